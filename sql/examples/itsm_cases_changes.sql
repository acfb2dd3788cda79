-- An hour at the service desk: 50 incidents have a new description, 20 of them are resolved, and one is reported anew.
--
--   psql -v ON_ERROR_STOP=1 -f sql/examples/itsm_cases_changes.sql "$WAREHOUSE_URL"

update itsm.incident
set description = coalesce(description || E'\n', '') || 'Again today.',
    short_description = 'Again: ' || btrim(short_description),
    state = case when substr(number, 4)::integer % 5 < 2 then '6' else state end,
    sys_updated_on = now()
where substr(number, 4)::integer % 50 = 1;

insert into itsm.incident
values ('INC0009001', md5('user 5'), 'Coffee machine', 'Descaled, "still" bitter.', '1', '4', now(), now())
on conflict (number) do update set sys_updated_on = now();

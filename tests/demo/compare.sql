-- Compares every contact of the simulator with what the model and the mapping say, worked out here in SQL and not by
-- outflow. Standard input: GET /_sim/records/contacts, one record a line. Prints: expected, found, equal.
--   psql -f tests/demo/compare.sql -v model="$(cat .../user_usage.sql)" <records
\set QUIET on
set client_min_messages = warning;
create temp table line (text text);
\copy line from pstdin with (format csv, delimiter E'\x02', quote E'\x01')
create temp view model as :model;

create temp view expected as
select lower(btrim(email)) as email,
       first_name,
       last_name,
       account_name,
       case when phone is not null then '+' || regexp_replace(phone, '\D', '', 'g') end as phone,
       case plan when 'free' then 'Free' when 'pro' then 'Professional' when 'ent' then 'Enterprise' end as plan_tier,
       mrr,
       wau_days::numeric,
       events::numeric,
       (last_seen_at at time zone 'UTC')::date as last_seen_on,
       is_admin,
       user_uuid,
       format('%s: %s events, active on %s of the last 7 days', account_name, events, wau_days) as usage_summary
from model
where user_id not in (4242, 13013, 26026, 31337);

create temp view found as
select p ->> 'email' as email, nullif(p ->> 'firstname', '') as first_name, nullif(p ->> 'lastname', '') as last_name,
       nullif(p ->> 'company', '') as account_name,
       nullif(p ->> 'phone', '') as phone, p ->> 'plan_tier' as plan_tier,
       nullif(p ->> 'monthly_revenue', '')::numeric as mrr, (p ->> 'weekly_active_days')::numeric as wau_days,
       (p ->> 'lifetime_events')::numeric as events, nullif(p ->> 'last_seen_on', '')::date as last_seen_on,
       (p ->> 'product_admin')::boolean as is_admin, (p ->> 'product_user_id')::uuid as user_uuid,
       p ->> 'usage_summary' as usage_summary
from (select rtrim(text, ',')::jsonb -> 'properties' as p from line where text like '{%') as record
where p ->> 'record_source_tool' = 'outflow' and p ->> 'synced_at' <> '';

select (select count(*) from expected), (select count(*) from found),
       (select count(*) from (table expected intersect all table found) as same);

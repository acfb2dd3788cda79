-- The ITSM warehouse of the example `itsm-cases`: 300 callers and 2,500 incidents in the schema `itsm`. Every value is
-- arithmetic on the row number, so each load gives the same rows.
--
--   psql -v ON_ERROR_STOP=1 -f sql/examples/itsm_cases.sql "$WAREHOUSE_URL"
--
-- It drops and makes the schema `itsm` again, and touches nothing else. Ten callers, number 30, 60 and so on, are nobody's
-- contact in Salesforce yet; examples/itsm-cases/README.md says what becomes of their incidents.

begin;

set local client_encoding = 'UTF8';
set local timezone = 'UTC';
set local client_min_messages = warning;

drop schema if exists itsm cascade;
create schema itsm;
comment on schema itsm is 'Example data for outflow: incidents and who reported them.';

create table itsm.sys_user (
    sys_id          text primary key,
    first_name      text not null,
    last_name       text not null,
    email           text not null unique,
    sys_updated_on  timestamptz not null
);

insert into itsm.sys_user
select md5('user ' || n),
       (array['Kim', 'Zoë', 'Łukasz', 'Søren', '美咲', 'Ольга', 'محمد', 'François'])[1 + n % 8],
       (array['Lovelace', 'O''Neil', 'Øster', 'Wójcik', '田中', 'Müller-Lüdenscheidt', 'Smith, Jr.'])[1 + n % 7] || ' ' || n,
       'caller' || n || '@customer' || n % 40 || '.example',
       timestamptz '2026-06-01 00:00:00Z' + interval '1 hour' * n
from generate_series(1, 300) as n;

create table itsm.incident (
    number             text primary key,
    caller_id          text not null references itsm.sys_user,
    short_description  text not null,
    description        text,
    state              text not null,
    priority           text not null,
    sys_created_on     timestamptz not null,
    sys_updated_on     timestamptz not null
);
comment on column itsm.incident.state is '1 new, 2 in progress, 3 on hold, 6 resolved, 7 closed';

insert into itsm.incident
select 'INC' || lpad(n::text, 7, '0'),
       md5('user ' || 1 + (n * 7919) % 300),
       -- As people write: spaces around it, quotes, and now and then a whole story in the title.
       case when n % 11 = 0 then '  VPN drops every ' || n % 60 || ' minutes '
            when n % 97 = 0 then repeat('It does not work and nobody answers. ', 12) || n
            else (array['Cannot print', 'Mail is "slow"', 'Écran noir 🖥', 'Password, again', '请求访问'])[1 + n % 5] || ' #' || n end,
       case when n % 13 = 0 then null
            else 'Since ' || n % 24 || ' o''clock.' || E'\nSteps:\n1. open "it"\n2. wait; see <error ' || n || '>' end,
       (array['1', '2', '2', '3', '6', '7'])[1 + n % 6],
       (array['1', '2', '3', '3', '4'])[1 + n % 5],
       created,
       created + interval '1 minute' * (n * 48271 % 10007)
from (
    select n, timestamptz '2026-09-01 00:00:00Z' + interval '1 second' * (n * 1299709 % 5000011) as created
    from generate_series(1, 2500::bigint) as n
) as made;

create index on itsm.incident (sys_updated_on, number);

commit;

analyze itsm.sys_user, itsm.incident;

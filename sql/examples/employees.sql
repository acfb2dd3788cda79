-- The HRIS warehouse of the example `employees`: 450 workers in the schema `hris`, 420 of them active. Every value is arithmetic on
-- the row number, so each load gives the same rows.
--
--   psql -v ON_ERROR_STOP=1 -f sql/examples/employees.sql "$WAREHOUSE_URL"
--
-- It drops and makes the schema `hris` again, and touches nothing else.

begin;

set local client_encoding = 'UTF8';
set local client_min_messages = warning;

drop schema if exists hris cascade;
create schema hris;
comment on schema hris is 'Example data for outflow: who works here.';

create table hris.workers (
    employee_id        integer primary key,
    first_name         text not null,
    preferred_name     text,
    last_name          text not null,
    work_email         text not null,
    department         text not null,
    office             text,
    manager_id         integer,
    employment_status  text not null,
    salary             numeric(12, 2) not null
);
comment on column hris.workers.salary is 'Must never leave this database: the sync denies the column.';

insert into hris.workers
select n,
       (array['Ada', 'Zoë', 'Łukasz', 'Søren', '美咲', 'Ольга', 'محمد', 'François', 'Þór'])[1 + n % 9],
       case when n % 12 = 0 then (array['Addie', 'Zo', 'Luke'])[1 + n % 3] end,
       (array['Lovelace', 'O''Neil', 'Øster', 'Wójcik', '田中', 'Smith, Jr.', 'Nakamura'])[1 + n % 7] || ' ' || n,
       case when n % 10 = 3 then ' Worker.' || n || '@Acme.Example' else 'worker.' || n || '@acme.example' end,
       (array['Sales', 'Support', 'R&D', 'People', 'Finance'])[1 + n % 5],
       case when n % 20 = 0 then null else (array['Lyon', 'Kraków', 'Remote'])[1 + n % 3] end,
       case when n > 10 then 1 + n % 10 end,
       case when n % 15 = 0 then 'left' else 'active' end,
       30000 + (n * 7919) % 60000
from generate_series(1, 450) as n;

commit;

analyze hris.workers;

-- The product-usage warehouse of the example and the demo: accounts, 50,000 users and a million usage events in
-- the schema `product`. Every value is arithmetic on the row number, so each load gives the same rows.
--
--   psql -v ON_ERROR_STOP=1 -f sql/examples/product_usage.sql "$WAREHOUSE_URL"
--
-- It drops and makes the schema `product` again, and touches nothing else. All timestamps lie before 2026-11-01.
--
-- Exactly 4 of the 50,000 users cannot become HubSpot contacts as they are; examples/product-usage/README.md says why:
--   user 4242   e-mail without an @                                          refused before sending
--   user 13013  plan `legacy`, which the mapping does not know               refused before sending
--   user 26026  telephone number with letters in it                          refused before sending
--   user 31337  e-mail with an emoji, which may well exist elsewhere          refused by HubSpot
--
-- `-v users=N` makes so many users, with a twentieth of that in accounts and twenty events each; those of the four that are
-- not there do no harm.

\if :{?users}
\else
    \set users 50000
\endif

begin;

set local client_encoding = 'UTF8';
set local timezone = 'UTC';
set local client_min_messages = warning;

drop schema if exists product cascade;
create schema product;
comment on schema product is 'Example data for outflow: product usage per user.';

create table product.accounts (
    account_id   integer primary key,
    name         text not null,
    domain       text not null,
    industry     text,
    seats        smallint not null,
    is_partner   boolean not null,
    signed_on    date not null
);

insert into product.accounts
select n,
       (array['Nørdwind', 'Blue Harbor', 'Żuraw', 'O''Neil & Sons', 'Kraków Optics', 'Sakura 桜', 'Ümlaut', 'Polar 🐻‍❄️'])[1 + n % 8]
           || ' ' || (array['Ltd', 'GmbH', 'S.A.', 'Inc.', 'KK'])[1 + n % 5] || ' ' || n,
       'account' || n || '.example',
       case when n % 9 = 0 then null else (array['Software', 'Retail', 'Health', 'Logistics', 'Education'])[1 + n % 5] end,
       1 + (n * 37) % 500,
       n % 25 = 0,
       date '2024-01-01' + (n * 17) % 700
from generate_series(1, :users / 20) as n;

create table product.users (
    user_id      bigint primary key,
    user_uuid    uuid not null unique,
    account_id   integer not null references product.accounts,
    email        text not null,
    first_name   text,
    last_name    text,
    phone        text,
    plan         text not null,
    mrr          numeric(12, 2),
    is_admin     boolean not null,
    traits       jsonb,
    created_at   timestamptz not null,
    updated_at   timestamptz not null
);
comment on column product.users.mrr is 'Monthly recurring revenue in USD; NULL for a user who never paid.';
comment on column product.users.updated_at is 'Set by the application on every change of the row.';

insert into product.users
select n,
       md5('user ' || n)::uuid,
       1 + (n * 7919) % (:users / 20),
       -- One address in ten as a person typed it: capitals and spaces around it.
       case when n % 10 = 3 then '  ' || initcap(slug) || '.' || n || '@Account' || 1 + (n * 7919) % (:users / 20) || '.example '
            else slug || '.' || n || '@account' || 1 + (n * 7919) % (:users / 20) || '.example' end,
       case when n % 97 = 0 then null else first end,
       case when n % 89 = 0 then null else last end,
       case n % 10
           when 0 then '+1 (415) 555-' || lpad((n % 10000)::text, 4, '0')
           when 1 then '+44 20 7946 ' || lpad((n % 10000)::text, 4, '0')
           when 2 then '+48 22 ' || lpad((n % 1000)::text, 3, '0') || ' 45 67'
           when 3 then ' +81-3-1234-' || lpad((n % 10000)::text, 4, '0')
           when 4 then '+1.212.555.' || lpad((n % 10000)::text, 4, '0')
           when 5 then '+49 30 ' || 100000 + n
           else null
       end,
       plan,
       case plan when 'pro' then 49 + (n % 40) * 2.5 when 'ent' then 400 + (n % 113) * 12.75 end,
       n % 17 = 0,
       case n % 5
           when 0 then null
           when 1 then jsonb_build_object('role', 'developer', 'languages', jsonb_build_array('rust', 'sql'), 'beta', n % 2 = 0)
           when 2 then jsonb_build_object('role', 'analyst', 'seats', n % 40, 'score', (n % 1000) / 8.0)
           when 3 then jsonb_build_object('role', 'manager', 'note', 'said "hi" \o/ 👋', 'address', jsonb_build_object('city', 'Gdańsk'))
           else '{}'::jsonb
       end,
       created_at,
       created_at + (timestamptz '2026-10-31 21:00:00.123456Z' - created_at) * ((n * 48271 % 10007) / 10007.0)
from (
    select n,
           (array['Ada', 'Zoë', 'Łukasz', 'Søren', 'Nguyễn', '美咲', 'Ольга', 'محمد', 'François', 'Þór', 'Kai 🦊', 'Renée',
                  'Jean-Luc', 'Σοφία', 'דנה', 'María José'])[1 + n % 16] as first,
           (array['ada', 'zoe', 'lukasz', 'soren', 'nguyen', 'misaki', 'olga', 'mohammed', 'francois', 'thor', 'kai', 'renee',
                  'jeanluc', 'sofia', 'dana', 'mariajose'])[1 + n % 16] as slug,
           (array['Lovelace', 'O''Neil', 'de la "Cruz"', 'Øster', 'Wójcik', '田中', 'Müller-Lüdenscheidt', 'Иванова', 'al-Fārābī',
                  'Smith, Jr.', 'Ó Briain', 'Nakamura'])[1 + n % 12] as last,
           case when n % 100 < 70 then 'free' when n % 100 < 92 then 'pro' else 'ent' end as plan,
           timestamptz '2024-01-01 00:00:00Z' + interval '1 microsecond' * (n * 1299709 * 17489 % 88000000000037) as created_at
    from generate_series(1, :users::bigint) as n
) as person;

-- The four that do not land; see the top.
update product.users set email = 'ada.lovelace.account.example' where user_id = 4242;
update product.users set plan = 'legacy' where user_id = 13013;
update product.users set phone = 'ask for Kim' where user_id = 26026;
update product.users set email = 'kai🦊@account204.example' where user_id = 31337;

create table product.usage_events (
    event_id     bigint not null,
    user_id      bigint not null,
    name         text not null,
    occurred_at  timestamptz not null,
    ingested_at  timestamptz not null,
    credits      numeric(10, 4),
    properties   jsonb
);
comment on column product.usage_events.ingested_at is 'When the warehouse learned of the event; never before occurred_at.';

-- A few users do most of the work (the cube), one in eleven never comes back, and a million events fall into 90 days.
insert into product.usage_events
select n,
       case when id % 11 = 0 then id - 1 else id end,
       (array['report_viewed', 'query_run', 'dashboard_shared', 'export_started', 'login', 'alert_created', 'api_call'])[1 + n % 7],
       occurred_at,
       occurred_at + interval '1 microsecond' * (n * 6151 % 240000000),
       case when n % 4 = 0 then null else (n % 100000) / 10000.0 end,
       case when n % 10 = 0 then null
            else jsonb_build_object('source', (array['web', 'ios', 'android', 'api'])[1 + n % 4], 'ms', n % 1500) end
from (
    select n,
           1 + (:users * power((n * 611953 % 1000003) / 1000003.0::float8, 3))::bigint % :users as id,
           timestamptz '2026-11-01 00:00:00Z' - interval '5 minutes'
               - interval '1 microsecond' * (n * 15485863 % 7776000000019) as occurred_at
    from generate_series(1, :users::bigint * 20) as n
) as event;

alter table product.usage_events add primary key (event_id);
alter table product.usage_events add foreign key (user_id) references product.users;
create index on product.usage_events (user_id, occurred_at);
create index on product.usage_events (ingested_at);
create index on product.users (updated_at, user_id);
create index on product.users (account_id);

commit;

analyze product.accounts, product.users, product.usage_events;

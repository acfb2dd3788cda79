-- The warehouse role outflow reads with: it can SELECT in the schemas you name and nothing else.
--
--   export OUTFLOW_ROLE_PASSWORD=...          (left out: the role gets no password, for peer or certificate login)
--   psql -v role=outflow_reader -v schemas=product,analytics -f sql/warehouse/role.sql "$ADMIN_URL"
--
-- Run it as the owner of the tables or as a superuser, in the database that holds them; it can be run again, for
-- instance after a new schema came up. Needs psql 14 or newer. outflow itself never runs this.

\set ON_ERROR_STOP on
\if :{?role}
\else
\set role outflow_reader
\endif
\if :{?schemas}
\else
do $$ begin raise 'say which schemas the role may read: -v schemas=product,analytics'; end $$;
\endif
\getenv password OUTFLOW_ROLE_PASSWORD

begin;

select format('create role %I', :'role')
where not exists (select from pg_roles where rolname = :'role')
\gexec

alter role :"role" with login nosuperuser nocreatedb nocreaterole noreplication nobypassrls connection limit 8;
\if :{?password}
alter role :"role" with password :'password';
\endif

-- Belts beside the braces: outflow opens a read-only transaction and sets its own timeouts; these hold for any client.
alter role :"role" set default_transaction_read_only = on;
alter role :"role" set idle_in_transaction_session_timeout = '10min';

select format('grant connect on database %I to %I', current_database(), :'role')
\gexec

select format(command, schema, :'role')
from unnest(string_to_array(:'schemas', ',')) as schema,
     unnest(array[
         'grant usage on schema %I to %I',
         'grant select on all tables in schema %I to %I',
         -- Tables made later by the role that runs this script; for other owners: alter default privileges for role ...
         'alter default privileges in schema %I grant select on tables to %I'
     ]) as command
\gexec

commit;

-- Up to PostgreSQL 14 `public` is in this list: everyone may make tables there until somebody who knows what else
-- uses the database runs `revoke create on schema public from public`.
\echo 'Schemas the role may make tables in (expect none):'
select nspname as schema
from pg_namespace
where nspname !~ '^pg_' and has_schema_privilege(:'role', oid, 'create');
\echo 'Tables the role may change (expect none):'
select oid::regclass as table
from pg_class
where relkind in ('r', 'p', 'v', 'f')
  and relnamespace not in (select oid from pg_namespace where nspname in ('pg_catalog', 'information_schema'))
  and has_table_privilege(:'role', oid, 'insert, update, delete, truncate')
limit 20;

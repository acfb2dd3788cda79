-- What `changes: { method: log }` needs besides role.sql: a publication of the tables, a replication slot, and the right
-- to read it. Run it as a superuser (or as the tables' owner with REPLICATION), in the database that holds the tables.
--
--   psql -v role=outflow_reader -v slot=outflow_cases -v publication=outflow_cases \
--        -v tables='itsm.incident, itsm.sys_user' -f sql/warehouse/log.sql "$ADMIN_URL"
--
-- It can be run again: what is there stays as it is. Each sync needs a slot of its own; a publication may serve several.
-- outflow itself never runs this, and never makes or drops a slot: it only reads the slot and moves it on.
--
-- A slot keeps the server's log back until the sync has settled it. Set max_slot_wal_keep_size on the server, so that a
-- sync nobody runs cannot fill the disk; and drop the slot of a sync that is given up:
--   select pg_drop_replication_slot('outflow_cases');
--
-- A table that is dropped and made anew (as dbt does) leaves the publication. On PostgreSQL 15 and later a publication
-- FOR TABLES IN SCHEMA keeps such tables; else run this again after each rebuild. outflow notices either way.

\set ON_ERROR_STOP on
\if :{?role}
\else
\set role outflow_reader
\endif
\if :{?slot}
\else
do $$ begin raise 'say the name of the slot: -v slot=outflow_cases'; end $$;
\endif
\if :{?publication}
\else
\set publication :slot
\endif
\if :{?tables}
\else
do $$ begin raise 'say which tables are followed: -v tables=''itsm.incident, itsm.sys_user'''; end $$;
\endif

select current_setting('wal_level') = 'logical' as is_logical
\gset
\if :is_logical
\else
do $$ begin raise 'wal_level is not logical: ALTER SYSTEM SET wal_level = ''logical''; and restart the server'; end $$;
\endif

-- The attribute lets the role read the log of every table and take base backups; PostgreSQL has no smaller right.
alter role :"role" with replication;

select format('create publication %I', :'publication')
where not exists (select from pg_publication where pubname = :'publication')
\gexec

select format('alter publication %I add table %s', :'publication', wanted::regclass)
from unnest(string_to_array(:'tables', ',')) as wanted
where not exists (
    select from pg_publication_rel as r join pg_publication as p on p.oid = r.prpubid
    where p.pubname = :'publication' and r.prrelid = wanted::regclass)
\gexec

-- Waits for transactions that are open now.
select pg_create_logical_replication_slot(:'slot', 'pgoutput') as created
where not exists (select from pg_replication_slots where slot_name = :'slot');

\echo 'Tables without a replica identity, whose updates and deletes PostgreSQL will refuse (expect none):'
select c.oid::regclass as table
from unnest(string_to_array(:'tables', ',')) as wanted
join pg_class as c on c.oid = wanted::regclass
where c.relkind = 'r' and (c.relreplident = 'n' or (c.relreplident = 'd' and not exists (
    select from pg_index as i where i.indrelid = c.oid and i.indisprimary)));

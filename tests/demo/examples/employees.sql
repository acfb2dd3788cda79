-- What the mapping of examples/employees makes of the warehouse, beside what Zendesk holds. Who was sent once and has left is suspended,
-- with what their last row said; those who had left before the first run were never sent.
create temp view expected as
select worker.employee_id::text as external_id,
       coalesce(worker.preferred_name, worker.first_name) || ' ' || worker.last_name as name,
       lower(btrim(worker.work_email)) as email, worker.department,
       coalesce(manager.preferred_name, manager.first_name) || ' ' || manager.last_name as manager,
       worker.office, worker.employment_status = 'left' as suspended
from hris.workers as worker
left join hris.workers as manager on manager.employee_id = worker.manager_id
where worker.employment_status = 'active'
   or worker.employee_id % 15 <> 0;

create temp view found (external_id, name, email, department, manager, office, suspended) as
select record ->> 'external_id', record ->> 'name', record ->> 'email', record -> 'user_fields' ->> 'department',
       record -> 'user_fields' ->> 'manager', record -> 'user_fields' ->> 'office', coalesce((record ->> 'suspended')::boolean, false)
from held_users
where record ->> 'external_id' is not null;

select 'users', (select count(*) from expected), (select count(*) from found),
       (select count(*) from (table expected intersect all table found) as same)
union all
select 'users made by hand', 1, (select count(*) from held_users where record ->> 'external_id' is null),
       (select count(*) from held_users where record ->> 'name' = 'A customer' and record ->> 'writes' = '1');

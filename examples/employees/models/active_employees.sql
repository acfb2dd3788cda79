-- Everybody who works here now. Who leaves is no longer in it: that is how the sync learns of it.
select worker.employee_id::text as employee_id,
       coalesce(worker.preferred_name, worker.first_name) as given_name,
       worker.last_name,
       worker.work_email,
       worker.department,
       worker.office,
       coalesce(manager.preferred_name, manager.first_name) || ' ' || manager.last_name as manager
from hris.workers as worker
left join hris.workers as manager on manager.employee_id = worker.manager_id
where worker.employment_status = 'active'

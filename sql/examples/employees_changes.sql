-- A day at the company: three people leave, one comes back, one marries, one moves to another department.
--
--   psql -v ON_ERROR_STOP=1 -f sql/examples/employees_changes.sql "$WAREHOUSE_URL"

update hris.workers set employment_status = 'left' where employee_id in (41, 142, 343);
update hris.workers set employment_status = 'active' where employee_id = 45;
update hris.workers set last_name = 'Wójcik-Øster' where employee_id = 77;
update hris.workers set department = 'People', office = null where employee_id = 88;

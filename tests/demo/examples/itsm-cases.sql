-- What the mapping of examples/itsm-cases makes of the warehouse, beside what Salesforce holds. Incidents of callers who are nobody's
-- contact wait. Salesforce trims text.
create temp view expected as
select number, rtrim(left(btrim(short_description), 255)) as subject, description,
       case state when '1' then 'New' when '2' then 'Working' when '3' then 'Escalated' else 'Closed' end as status,
       case when priority in ('1', '2') then 'High' when priority = '3' then 'Medium' when priority = '4' then 'Low' end as priority,
       'Web' as origin, contact.record ->> 'Id' as contact
from itsm.incident
join itsm.sys_user on sys_id = caller_id
join held_Contact as contact on contact.record ->> 'Email' = email;

create temp view found (number, subject, description, status, priority, origin, contact) as
select record ->> 'ITSM_Number__c', record ->> 'Subject', record ->> 'Description', record ->> 'Status', record ->> 'Priority',
       record ->> 'Origin', record ->> 'ContactId'
from held_Case;

select 'cases', (select count(*) from expected), (select count(*) from found),
       (select count(*) from (table expected intersect all table found) as same);

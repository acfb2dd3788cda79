-- One row per incident, with the e-mail address of whoever reported it. It is new again when the incident or the caller changes.
select incident.number,
       incident.short_description,
       incident.description,
       incident.state,
       incident.priority,
       caller.email as caller_email,
       greatest(incident.sys_updated_on, caller.sys_updated_on) as updated_at
from itsm.incident
join itsm.sys_user as caller on caller.sys_id = incident.caller_id

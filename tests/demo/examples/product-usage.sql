-- What the mappings of examples/product-usage make of the warehouse, beside what the tools hold.
create temp view expected_contact as
select lower(btrim(email)) as email, first_name, last_name, accounts.name as company,
       case when phone is not null then '+' || regexp_replace(phone, '\D', '', 'g') end as phone,
       case plan when 'free' then 'Free' when 'pro' then 'Professional' when 'ent' then 'Enterprise' end as plan,
       mrr, is_admin, user_uuid, (select count(*) from product.usage_events as event where event.user_id = users.user_id) as events
from product.users join product.accounts using (account_id);
create temp view contact (email, first_name, last_name, company, phone, plan, mrr, is_admin, user_uuid, events) as
select p ->> 'email', nullif(p ->> 'firstname', ''), nullif(p ->> 'lastname', ''), p ->> 'company', nullif(p ->> 'phone', ''),
       p ->> 'plan_tier', nullif(p ->> 'monthly_revenue', '')::numeric, (p ->> 'product_admin')::boolean,
       (p ->> 'product_user_id')::uuid, (p ->> 'lifetime_events')::bigint
from (select record -> 'properties' as p from held_contacts) as held;

create temp view expected_company as
select account_id::numeric, name, domain, seats::numeric, is_partner, signed_on from product.accounts;
create temp view company (account_id, name, domain, seats, is_partner, signed_on) as
select (p ->> 'account_number')::numeric, p ->> 'name', p ->> 'domain', (p ->> 'seats')::numeric, (p ->> 'partner_account')::boolean,
       (p ->> 'customer_since')::date
from (select record -> 'properties' as p from held_companies) as held;

create temp view expected_profile (user_uuid, email, name, plan, account, mrr, events, is_admin) as
select user_uuid, lower(btrim(email)), btrim(coalesce(first_name, '') || ' ' || coalesce(last_name, '')), plan, accounts.name, mrr,
       (select count(*) from product.usage_events as event where event.user_id = users.user_id), is_admin
from product.users join product.accounts using (account_id);
create temp view profile (user_uuid, email, name, plan, account, mrr, events, is_admin) as
select (record ->> 'distinct_id')::uuid, p ->> '$email', coalesce(p ->> '$name', ''), p ->> 'plan', p ->> 'account', (p ->> 'monthly_revenue')::numeric,
       (p ->> 'lifetime_events')::bigint, (p ->> 'admin')::boolean
from (select record, record -> 'properties' as p from held_profiles) as held;

select 'contacts', (select count(*) from expected_contact), (select count(*) from contact),
       (select count(*) from (table expected_contact intersect all table contact) as same)
union all
select 'companies', (select count(*) from expected_company), (select count(*) from company),
       (select count(*) from (table expected_company intersect all table company) as same)
union all
select 'profiles', (select count(*) from expected_profile), (select count(*) from profile),
       (select count(*) from (table expected_profile intersect all table profile) as same);

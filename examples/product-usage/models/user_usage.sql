-- One row per user: who they are and how much they used the product in the last 7 days of the data.
-- `updated_at` moves when the user's row changes and when an event of theirs arrives, so it can be the watermark.
with data as (
    select (max(occurred_at) at time zone 'UTC')::date as last_day from product.usage_events
),
usage as (
    select user_id,
           count(*) as events,
           count(distinct (occurred_at at time zone 'UTC')::date)
               filter (where (occurred_at at time zone 'UTC')::date > data.last_day - 7) as active_days,
           max(occurred_at) as last_seen_at,
           max(ingested_at) as ingested_at
    from product.usage_events, data
    group by user_id
)
select users.user_id,
       users.user_uuid,
       users.email,
       users.first_name,
       users.last_name,
       users.phone,
       users.plan,
       users.mrr,
       users.is_admin,
       users.account_id,
       accounts.name as account_name,
       coalesce(usage.active_days, 0) as wau_days,
       coalesce(usage.events, 0) as events,
       usage.last_seen_at,
       users.created_at,
       greatest(users.updated_at, usage.ingested_at) as updated_at
from product.users
join product.accounts using (account_id)
left join usage using (user_id)

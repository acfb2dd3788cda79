-- An hour in the product's life: exactly 1,000 of the 50,000 users change. Run it as often as you like; each time
-- the same 1,000 users pay 10 USD more, and one in ten of them also moves to the next plan.
--
--   psql -v ON_ERROR_STOP=1 -f sql/examples/product_usage_changes.sql "$WAREHOUSE_URL"

update product.users
set mrr = coalesce(mrr, 0) + 10,
    plan = case when user_id % 500 <> 7 then plan when plan = 'free' then 'pro' else 'ent' end,
    updated_at = now()
where user_id % 50 = 7;

-- An afternoon later: one user in a hundred goes to the next account. For the example with companies.
--
--   psql -v ON_ERROR_STOP=1 -f sql/examples/product_usage_moves.sql "$WAREHOUSE_URL"

update product.users
set account_id = 1 + account_id % (select max(account_id) from product.accounts),
    updated_at = now()
where user_id % 100 = 7;

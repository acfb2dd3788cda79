//! Tables to measure with: ten columns of the types a product warehouse has, made by SQL arithmetic.

use support::{Database, Postgres};

/// `bench_rows` with so many rows, frozen, so that a read touches no hint bits.
pub(crate) fn rows(count: u64) -> Database {
    let database = Postgres::shared().database(None);
    eprintln!("  making {count} rows");
    database.execute_blocking(&format!(
        "create unlogged table bench_rows as select i::bigint as id,
           md5(i::text)::uuid as account_id, 'user' || i || '@example.com' as email,
           'Name of user ' || i as name, (i % 7)::int as active_days,
           ((i % 100000)::numeric / 100)::numeric(12,2) as mrr, i % 3 = 0 as paying,
           jsonb_build_object('plan', i % 4, 'beta', i % 2 = 0) as traits,
           '2026-01-01T00:00:00Z'::timestamptz + i * interval '1 second' as created_at,
           '2026-03-01T00:00:00Z'::timestamptz + i * interval '1 second' as updated_at
         from generate_series(1, {count}) i"
    ));
    database.execute_blocking("alter table bench_rows add primary key (id)");
    database.execute_blocking("create index on bench_rows (updated_at, id)");
    database.execute_blocking("vacuum (freeze, analyze) bench_rows");
    database
}

/// The columns of `bench_rows`.
pub(crate) const COLUMNS: [&str; 10] = [
    "id",
    "account_id",
    "email",
    "name",
    "active_days",
    "mrr",
    "paying",
    "traits",
    "created_at",
    "updated_at",
];

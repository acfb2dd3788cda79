//! R2: one read is of one generation of its tables, whatever rebuilds them meanwhile.

use std::time::Duration;

use flow::{Model, Source};
use serde_json::json;
use support::Database;

use crate::warehouse::{code, database, open, request, sql, table, try_open, until};

const ROWS: usize = 200_000;

async fn rebuilt() -> Database {
    database(&format!(
        "CREATE TABLE t AS SELECT i AS id, repeat('x', 100) AS pad FROM generate_series(1, {ROWS}) AS i; \
         CREATE VIEW v AS SELECT * FROM t"
    ))
    .await
}

/// A rebuild the way dbt does it.
const SWAP: &str = "CREATE TABLE t_new AS SELECT id, 'new' AS pad FROM t LIMIT 10; \
    ALTER TABLE t RENAME TO t_old; ALTER TABLE t_new RENAME TO t; DROP TABLE t_old CASCADE";

/// Reads while `rebuild` is attempted after the first batch: every row of the old generation arrives.
async fn reads_one_generation(model: Model, rebuild: &str) {
    let database = rebuilt().await;
    let mut read = open(&database.url).read(request(&model)).await.unwrap();
    let mut rows = read.next().await.unwrap().unwrap().rows.num_rows();
    let url = database.url.clone();
    let sql = rebuild.to_owned();
    let rebuild = tokio::spawn(async move {
        support::connect(&url).await.batch_execute(&format!("BEGIN; {sql}; COMMIT")).await
    });
    let client = database.client().await;
    let waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'relation'";
    until("the rebuild waits for us", async || {
        client.query_one(waiting, &[]).await.unwrap().get::<_, i64>(0) > 0
    })
    .await;
    while let Some(batch) = read.next().await.unwrap() {
        assert!(batch.rows.column_by_name("pad").is_some());
        rows += batch.rows.num_rows();
    }
    assert_eq!(rows, ROWS);
    rebuild.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_swap_waits_for_a_read_of_the_table() {
    reads_one_generation(table("t", &["id"]), SWAP).await;
}

#[tokio::test]
async fn a_swap_waits_for_a_read_through_sql_or_a_view() {
    reads_one_generation(sql("SELECT id, pad FROM t", &["id"]), SWAP).await;
    reads_one_generation(table("v", &["id"]), SWAP).await;
}

#[tokio::test]
async fn a_truncate_waits_for_a_read() {
    let fill = "TRUNCATE t; INSERT INTO t VALUES (1, 'new')";
    reads_one_generation(table("t", &["id"]), fill).await;
}

#[tokio::test]
async fn a_partition_exchange_waits_for_a_read() {
    let database = database(&format!(
        "CREATE TABLE p (id int, part int, PRIMARY KEY (id, part)) PARTITION BY LIST (part); \
         CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1); CREATE TABLE p2 PARTITION OF p FOR VALUES IN (2); \
         INSERT INTO p SELECT i, 1 + i % 2 FROM generate_series(1, {ROWS}) AS i"
    ))
    .await;
    let mut read = open(&database.url).read(request(&table("p", &["id", "part"]))).await.unwrap();
    let client = database.client().await;
    client.batch_execute("SET lock_timeout = '100ms'").await.unwrap();
    let refused = client.batch_execute("ALTER TABLE p DETACH PARTITION p1").await.unwrap_err();
    assert_eq!(refused.code().unwrap().code(), "55P03");
    let mut rows = 0;
    while let Some(batch) = read.next().await.unwrap() {
        rows += batch.rows.num_rows();
    }
    assert_eq!(rows, ROWS);
    client.batch_execute("ALTER TABLE p DETACH PARTITION p1").await.unwrap();
}

/// E04: a rebuild under way when we come. The naive order, snapshot first, reads nothing without an error.
#[tokio::test]
async fn a_read_that_meets_a_rebuild_gives_the_new_generation_or_an_error() {
    for model in [table("t", &["id"]), sql("SELECT id, pad FROM t", &["id"])] {
        let database = rebuilt().await;
        let rebuilding = database.client().await;
        rebuilding.batch_execute(&format!("BEGIN; {SWAP}")).await.unwrap();

        let naive = database.client().await;
        naive
            .batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SELECT 1")
            .await
            .unwrap();
        let source = open(&database.url);
        let read =
            tokio::spawn(async move { crate::warehouse::read(&source, request(&model)).await });
        let client = database.client().await;
        until("we wait for the rebuild", async || {
            let sql = "SELECT count(*) FROM pg_locks WHERE NOT granted";
            client.query_one(sql, &[]).await.unwrap().get::<_, i64>(0) > 0
        })
        .await;
        rebuilding.batch_execute("COMMIT").await.unwrap();

        let seen: i64 = naive.query_one("SELECT count(*) FROM t", &[]).await.unwrap().get(0);
        assert_eq!(seen, 0, "the naive order reads no row and no error");
        match read.await.unwrap() {
            Ok(batches) => {
                assert_eq!(batches.iter().map(|batch| batch.rows.num_rows()).sum::<usize>(), 10);
            }
            Err(error) => {
                assert_eq!(code(&error), "E1020");
                assert_eq!(error.retry(), flow::Retry::Backoff);
            }
        }
    }
}

#[tokio::test]
async fn a_lock_that_is_not_given_is_a_clear_error() {
    let database = rebuilt().await;
    let rebuilding = database.client().await;
    rebuilding.batch_execute("BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let source = try_open(&database.url, json!({ "lock_timeout": "100ms" })).unwrap();
    let started = tokio::time::Instant::now();
    let error = source.read(request(&table("t", &["id"]))).await.err().unwrap();
    assert_eq!(code(&error), "E1008");
    assert_eq!(error.retry(), flow::Retry::Backoff);
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn an_unlogged_table_is_pointed_out() {
    let database =
        database("CREATE UNLOGGED TABLE t (id int PRIMARY KEY); CREATE VIEW v AS SELECT * FROM t")
            .await;
    for name in ["t", "v"] {
        let found = open(&database.url).check(&table(name, &["id"])).await.unwrap().findings;
        assert!(found.iter().any(|finding| finding.code.id == "E1054"), "{name}");
    }
}

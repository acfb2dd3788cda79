//! Hazards of what the server says about its transactions, and of sessions that stay open.

use std::time::Duration;

use flow::{Scope, Source};
use serde_json::json;

use super::{ask, read};
use crate::warehouse::{
    by, code, database, open, read as read_batches, request, table, try_open, until,
};

/// Hazard 3: who may not see the others' transactions is told that there are none.
#[tokio::test]
async fn the_oldest_transaction_of_pg_stat_activity_is_no_bound() {
    const BOUND: &str = "SELECT coalesce(min(xact_start) FILTER (WHERE backend_xid IS NOT NULL), now())::text \
        FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
    let database = database(
        "CREATE TABLE t (id int PRIMARY KEY, at timestamptz NOT NULL DEFAULT now()); \
         DROP ROLE IF EXISTS blind; CREATE ROLE blind LOGIN PASSWORD 'pw'; GRANT SELECT ON t TO blind",
    )
    .await;
    let url = database.url_as("blind", "pw");
    let (source, model) = (open(&url), by(table("t", &["id"]), "at"));
    let blind = support::connect(&url).await;
    for (write, commit) in [
        ("BEGIN; INSERT INTO t VALUES (1)", "COMMIT"),
        ("BEGIN; INSERT INTO t VALUES (2); PREPARE TRANSACTION 'blind'", "COMMIT PREPARED 'blind'"),
    ] {
        let late = database.client().await;
        late.batch_execute(write).await.unwrap();
        let kept = read(&source, &model, Scope::All).await;
        let bound = ask(&blind, BOUND).await.remove(0);
        late.batch_execute(commit).await.unwrap();
        let missed = ask(&blind, &format!("SELECT id::text FROM t WHERE at < '{bound}'")).await;
        let id = missed.last().expect("the naive bound is after the row").clone();
        assert!(!kept.ids.contains(&id), "the naive way will not ask for {id} again");
        assert!(read(&source, &model, kept.next()).await.ids.contains(&id));
    }
}

/// Hazard 4: rows of a sub-transaction carry a number that no snapshot lists.
#[tokio::test]
async fn a_snapshot_says_nothing_about_sub_transactions() {
    let database = database(
        "CREATE TABLE t (id int PRIMARY KEY, at timestamptz NOT NULL DEFAULT now()); CREATE TABLE other (id int)",
    )
    .await;
    let (source, model) = (open(&database.url), by(table("t", &["id"]), "at"));
    let (late, client) = (database.client().await, database.client().await);
    late.batch_execute(
        "BEGIN; INSERT INTO t VALUES (1); SAVEPOINT a; INSERT INTO t VALUES (2); RELEASE a",
    )
    .await
    .unwrap();
    client.batch_execute("INSERT INTO other VALUES (1)").await.unwrap();
    let kept = read(&source, &model, Scope::All).await;
    let snapshot = ask(&client, "SELECT pg_current_snapshot()::text").await.remove(0);
    late.batch_execute("COMMIT").await.unwrap();
    let naive = format!(
        "SELECT id::text FROM t WHERE NOT pg_visible_in_snapshot(xmin::text::xid8, '{snapshot}')"
    );
    assert_eq!(ask(&client, &naive).await, ["1"], "the naive way never sees 2");
    let later = read(&source, &model, kept.next()).await.ids;
    assert!(["1", "2"].iter().all(|id| later.contains(&(*id).to_owned())), "{later:?}");
}

/// Hazard 24: behind a lock that somebody waits for, everybody waits.
#[tokio::test]
async fn a_queue_of_locks_is_not_waited_in_for_ever() {
    let database = database("CREATE TABLE t (id int PRIMARY KEY)").await;
    let (long, ddl) = (database.client().await, database.client().await);
    long.batch_execute("BEGIN; SELECT * FROM t").await.unwrap();
    let altered =
        tokio::spawn(async move { ddl.batch_execute("ALTER TABLE t ADD COLUMN x int").await });
    let client = database.client().await;
    until("the ALTER waits", async || {
        let sql =
            "SELECT count(*)::text FROM pg_locks WHERE NOT granted AND relation = 't'::regclass";
        ask(&client, sql).await == ["1"]
    })
    .await;
    let naive = client.query("SELECT id FROM t", &[]);
    let naive = tokio::time::timeout(Duration::from_millis(500), naive).await;
    assert!(naive.is_err(), "the naive way waits for as long as the others do");
    let source = try_open(&database.url, json!({ "lock_timeout": "200ms" })).unwrap();
    let error = source.read(request(&table("t", &["id"]))).await.err().unwrap();
    assert_eq!((code(&error), error.retry()), ("E1008", flow::Retry::Backoff));
    long.batch_execute("COMMIT").await.unwrap();
    altered.await.unwrap().unwrap();
    assert!(read_batches(&source, request(&table("t", &["id"]))).await.unwrap().is_empty());
}

/// Hazard 25: a session that waits for a slow destination is ended by the server.
#[tokio::test]
async fn a_caller_that_takes_its_time_does_not_lose_its_session() {
    let database = database(
        "CREATE TABLE t AS SELECT i AS id, repeat('x', 500) AS pad FROM generate_series(1, 40000) AS i",
    )
    .await;
    database
        .execute("DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET idle_in_transaction_session_timeout = 100', current_database()); END $$")
        .await;
    let naive = database.client().await;
    naive.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1").await.unwrap();
    let source = open(&database.url);
    let mut read = source.read(request(&table("t", &["id"]))).await.unwrap();
    let mut rows = read.next().await.unwrap().unwrap().rows.num_rows();
    until("the naive session is ended", async || naive.is_closed()).await;
    while let Some(batch) = read.next().await.unwrap() {
        rows += batch.rows.num_rows();
    }
    assert_eq!(rows, 40_000);
}

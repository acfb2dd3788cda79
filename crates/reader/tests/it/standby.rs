//! A hot standby as warehouse: what its snapshots do not say, and what its primary does to reads.

use flow::{Changes, Log, Mark, Model, Retry, Scope, Source, Watermark};
use serde_json::json;
use support::{Database, Postgres};
use tokio_postgres::Client;

use crate::warehouse::{by, code, open, request, table, texts, try_open, until};

/// A primary with a database, and a standby with its copy.
struct Pair {
    primary: Postgres,
    _standby: Postgres,
    database: Database,
    copy: Database,
}

impl Pair {
    fn new(settings: &str) -> Self {
        let primary = Postgres::start();
        let database = primary.database("followed");
        let standby = primary.standby(settings);
        let copy = standby.copy_of(&database);
        Self { primary, _standby: standby, database, copy }
    }

    /// Whether the standby has received, and replayed, all that the primary had written.
    async fn followed(&self) -> impl AsyncFn() -> (bool, bool) {
        let at = "SELECT pg_current_wal_insert_lsn()::text";
        let row = self.database.client().await.query_one(at, &[]).await.unwrap();
        let at: String = row.get(0);
        let sql = format!(
            "SELECT pg_last_wal_receive_lsn() >= '{at}', pg_last_wal_replay_lsn() >= '{at}'"
        );
        let client = self.copy.client().await;
        async move || {
            let row = client.query_one(&sql, &[]).await.unwrap();
            (row.get(0), row.get(1))
        }
    }

    /// Waits until the standby has everything that the primary has written.
    async fn caught_up(&self) {
        let followed = self.followed().await;
        until("the standby has followed", async || followed().await.1).await;
    }

    /// Waits until the standby has received everything, and gets no further since a read is in the way; or is not.
    async fn caught_up_or_stuck(&self) {
        let (followed, mut stuck) = (self.followed().await, 0);
        until("the standby has followed, or is stuck", async || {
            let (received, replayed) = followed().await;
            stuck += u32::from(received && !replayed);
            replayed || stuck > 15
        })
        .await;
    }
}

async fn ask(client: &Client, sql: &str) -> Vec<String> {
    let rows = client.query(sql, &[]).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    rows.iter().map(|row| row.get(0)).collect()
}

async fn read(
    source: &reader::postgres::Postgres,
    model: &Model,
    scope: Scope,
) -> (Vec<String>, Option<Mark>, Watermark) {
    let mut page = request(model);
    page.scope = scope;
    let mut read = source.read(page).await.unwrap();
    let mut batches = Vec::new();
    while let Some(batch) = read.next().await.unwrap() {
        batches.push(batch);
    }
    (texts(&batches, "id"), read.mark(), read.opening().clock)
}

/// R1, hazards 3 and 5: a standby's snapshot lists no transaction as under way, and its pg_stat_activity shows none of
/// the primary's.
#[tokio::test]
async fn a_late_commit_on_the_primary_is_found_on_the_standby() {
    let pair = Pair::new("");
    pair.database
        .execute(
            "CREATE TABLE t (id int PRIMARY KEY, at timestamptz NOT NULL DEFAULT now()); CREATE TABLE other (id int); \
             INSERT INTO t VALUES (1, '2026-01-01')",
        )
        .await;
    let late = pair.database.client().await;
    late.batch_execute(
        "BEGIN; INSERT INTO t VALUES (2); SAVEPOINT a; INSERT INTO t VALUES (3); RELEASE a",
    )
    .await
    .unwrap();
    let prepared = pair.database.client().await;
    prepared
        .batch_execute("BEGIN; INSERT INTO t VALUES (4); PREPARE TRANSACTION 'late'")
        .await
        .unwrap();
    pair.database.execute("INSERT INTO other VALUES (1)").await;
    pair.caught_up().await;

    let (source, model) = (open(&pair.copy.url), by(table("t", &["id"]), "at"));
    let (ids, mark, clock) = read(&source, &model, Scope::All).await;
    assert_eq!(ids, ["1"]);
    let there = pair.copy.client().await;
    let snapshot = ask(&there, "SELECT pg_current_snapshot()::text").await.remove(0);
    assert!(snapshot.ends_with(':'), "nothing is listed as under way: {snapshot}");
    let bound = "SELECT min(xact_start)::text FROM pg_stat_activity \
        WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL HAVING count(*) > 0";
    assert!(ask(&there, bound).await.is_empty(), "nor does anybody seem to write");

    late.batch_execute("COMMIT").await.unwrap();
    prepared.batch_execute("COMMIT PREPARED 'late'").await.unwrap();
    pair.caught_up().await;
    let naive = format!(
        "SELECT id::text FROM t WHERE NOT pg_visible_in_snapshot(xmin::text::xid8, '{snapshot}')"
    );
    assert!(ask(&there, &naive).await.is_empty(), "the naive way never sees 2 to 4");
    let changed = Scope::Changed { from: Some(clock), mark: mark.unwrap() };
    let (mut ids, mark, clock) = read(&source, &model, changed).await;
    ids.sort();
    assert_eq!(ids, ["2", "3", "4"]);

    // A standby that is promoted writes a history of its own: nothing but reading everything will do.
    assert_eq!(ask(&there, "SELECT pg_promote(true, 30)::text").await, ["true"]);
    there.batch_execute("UPDATE t SET at = '2020-01-01' WHERE id = 1").await.unwrap();
    let mut page = request(&model);
    page.scope = Scope::Changed { from: Some(clock), mark: mark.unwrap() };
    let mut promoted = source.read(page).await.unwrap();
    let found: Vec<_> = promoted.findings().iter().map(|finding| finding.code.id).collect();
    assert_eq!(found, ["E1061"]);
    let mut rows = 0;
    while let Some(batch) = promoted.next().await.unwrap() {
        rows += batch.rows.num_rows();
    }
    assert_eq!(rows, 4);
}

/// R1: what a standby does not have yet, a run of the primary may have read already.
#[tokio::test]
async fn a_standby_that_is_behind_what_was_read_is_not_read() {
    let pair = Pair::new("");
    pair.database
        .execute("CREATE TABLE t (id int PRIMARY KEY, at timestamptz NOT NULL DEFAULT now())")
        .await;
    pair.caught_up().await;
    let there = pair.copy.client().await;
    there.batch_execute("SELECT pg_wal_replay_pause()").await.unwrap();
    until("the standby stands still", async || {
        ask(&there, "SELECT pg_get_wal_replay_pause_state()").await == ["paused"]
    })
    .await;
    pair.database.execute("INSERT INTO t VALUES (1)").await;
    let model = by(table("t", &["id"]), "at");
    let (ids, mark, clock) = read(&open(&pair.database.url), &model, Scope::All).await;
    assert_eq!(ids, ["1"]);
    let source = open(&pair.copy.url);
    let naive = ask(&there, "SELECT id::text FROM t").await;
    assert!(
        naive.is_empty(),
        "the naive way reads an older state, and keeps its end as the newest"
    );
    let mut page = request(&model);
    page.scope = Scope::Changed { from: Some(clock), mark: mark.unwrap() };
    let error = source.read(page.clone()).await.err().unwrap();
    assert_eq!((code(&error), error.retry()), ("E1025", Retry::Backoff));
    there.batch_execute("SELECT pg_wal_replay_resume()").await.unwrap();
    pair.caught_up().await;
    assert!(source.read(page).await.is_ok());
}

/// R3, hazard 27: the primary's vacuum takes away rows that a read on the standby still needs.
#[tokio::test]
async fn a_read_that_the_primary_is_in_the_way_of_is_worth_another_try() {
    const ROWS: usize = 60_000;
    let pair = Pair::new("max_standby_streaming_delay = 0\nhot_standby_feedback = off\n");
    pair.database
        .execute(&format!(
            "CREATE TABLE t (id int PRIMARY KEY, pad text); \
             INSERT INTO t SELECT i, repeat('x', 400) FROM generate_series(1, {ROWS}) AS i"
        ))
        .await;
    pair.caught_up().await;
    for way in ["copy", "query", "copy", "query"] {
        let source = try_open(&pair.copy.url, json!({ "read_by": way })).unwrap();
        let mut opened = source.read(request(&table("t", &["id"]))).await.unwrap();
        let mut rows = opened.next().await.unwrap().unwrap().rows.num_rows();
        pair.database.execute("UPDATE t SET pad = pad || 'y' WHERE id % 3 = 0").await;
        pair.database.execute("VACUUM t").await;
        pair.caught_up_or_stuck().await;
        let error = loop {
            match opened.next().await {
                Ok(Some(batch)) => rows += batch.rows.num_rows(),
                Ok(None) => panic!("a clean end after {rows} rows"),
                Err(error) => break error,
            }
        };
        assert!(rows < ROWS, "the naive way takes {rows} rows for all of {ROWS}");
        assert!(matches!(code(&error), "E1021" | "E1005"), "{way}: {error}");
        assert_eq!(error.retry(), Retry::Backoff, "{way}: {error}");
        pair.caught_up().await;
        let again = crate::warehouse::read_all(&source, &table("t", &["id"])).await;
        assert_eq!(again.iter().map(|batch| batch.rows.num_rows()).sum::<usize>(), ROWS);
    }
}

/// Hazard 28: the naive way fails when it is half done; we say it before.
#[tokio::test]
async fn the_log_of_a_standby_is_refused_with_the_reason() {
    let pair = Pair::new("");
    pair.database
        .execute("CREATE TABLE t (id int PRIMARY KEY); CREATE PUBLICATION p FOR TABLE t")
        .await;
    pair.caught_up().await;
    let there = pair.copy.client().await;
    let version = ask(&there, "SHOW server_version_num").await.remove(0);
    let naive = "SELECT pg_create_logical_replication_slot('s', 'pgoutput')::text";
    if version.parse::<u32>().unwrap() < 160_000 {
        let error = there.query(naive, &[]).await.unwrap_err();
        let message = error.as_db_error().unwrap().message();
        assert!(message.contains("recovery"), "no slot can be had: {message}");
    }
    let mut model = table("t", &["id"]);
    let (slot, publication) = ("s".to_owned(), "p".to_owned());
    model.changes =
        Changes::Log(Log { slot, publication, tables: Vec::new(), retained_bytes_max: None });
    let source = open(&pair.copy.url);
    for error in
        [source.check(&model).await.unwrap_err(), source.read(request(&model)).await.err().unwrap()]
    {
        assert_eq!((code(&error), error.retry()), ("E1026", Retry::Never), "{error}");
        assert!(error.remedy().contains("primary"), "{}", error.remedy());
    }
    drop(pair.primary);
}

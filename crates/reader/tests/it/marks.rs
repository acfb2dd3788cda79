//! R1: rows that a transaction wrote which was not over at the last snapshot are found, whatever their watermark says.
//! Each test also reads in the naive way and shows that it loses the row.

use flow::{Mark, Model, Scope, Source, Watermark};
use reader::postgres::Postgres;
use support::{Database, Setup};

use crate::warehouse::{by, code, database, open, request, sql, table, texts, until};

/// What a run keeps of a read.
struct Kept {
    ids: Vec<String>,
    mark: Option<Mark>,
    findings: Vec<&'static str>,
    clock: Watermark,
}

async fn read(source: &Postgres, model: &Model, scope: Scope) -> flow::Result<Kept> {
    let mut page = request(model);
    page.scope = scope;
    let mut read = source.read(page).await?;
    let mut batches = Vec::new();
    while let Some(batch) = read.next().await? {
        batches.push(batch);
    }
    let mut ids = texts(&batches, "id");
    ids.sort();
    let findings = read.findings().iter().map(|finding| finding.code.id).collect();
    Ok(Kept { ids, mark: read.mark(), findings, clock: read.opening().clock })
}

/// A table of three old rows and what a run that read them keeps.
async fn old_rows(columns: &str) -> (Database, Postgres, Model, Kept) {
    old_rows_in(database("").await, columns).await
}

async fn old_rows_in(database: Database, columns: &str) -> (Database, Postgres, Model, Kept) {
    let rows = format!(
        "CREATE TABLE t (id int PRIMARY KEY, at timestamptz NOT NULL DEFAULT now() {columns}); \
         INSERT INTO t SELECT i, '2020-01-01' FROM generate_series(1, 3) AS i"
    );
    database.execute(&rows).await;
    let source = open(&database.url);
    let model = by(table("t", &["id"]), "at");
    let kept = read(&source, &model, Scope::All).await.unwrap();
    assert_eq!(kept.ids, ["1", "2", "3"]);
    (database, source, model, kept)
}

fn changed(kept: &Kept) -> Scope {
    Scope::Changed { from: Some(kept.clock), mark: kept.mark.clone().unwrap() }
}

/// Whether a read since `kept` has these rows. Transactions of other tests on the same server may bring more of them.
async fn finds(source: &Postgres, model: &Model, kept: &Kept, ids: &[&str]) -> Kept {
    let later = read(source, model, changed(kept)).await.unwrap();
    let all = ids.iter().all(|id| later.ids.iter().any(|found| found == id));
    assert!(all && later.findings.is_empty(), "{:?}, {:?}", later.ids, later.findings);
    later
}

/// Whether in the end nothing is read again.
async fn falls_silent(source: &Postgres, model: &Model, mut kept: Kept) {
    until("a read of nothing", async || {
        kept = read(source, model, changed(&kept)).await.unwrap();
        kept.ids.is_empty()
    })
    .await;
}

/// The naive way: what the watermark alone shows, without a lookback.
async fn naive(source: &Postgres, model: &Model, kept: &Kept) -> Vec<String> {
    read(source, model, Scope::Since(kept.clock)).await.unwrap().ids
}

#[tokio::test]
async fn late_commits_savepoints_and_prepared_transactions_are_found_whatever_the_lookback() {
    // Hazards 1, 3 and 4.
    for (open_with, write, commit) in [
        ("BEGIN", "INSERT INTO t VALUES (9)", "COMMIT"),
        ("BEGIN", "SAVEPOINT a; INSERT INTO t VALUES (9); RELEASE a", "COMMIT"),
        (
            "BEGIN",
            "DO $$ BEGIN INSERT INTO t VALUES (9); EXCEPTION WHEN division_by_zero THEN END $$",
            "COMMIT",
        ),
        ("BEGIN", "INSERT INTO t VALUES (9); PREPARE TRANSACTION 'late'", "COMMIT PREPARED 'late'"),
    ] {
        let (database, source, model, _) = old_rows("").await;
        let writer = database.client().await;
        writer.batch_execute(&format!("{open_with}; {write}")).await.unwrap();
        let kept = read(&source, &model, Scope::All).await.unwrap();
        writer.batch_execute(commit).await.unwrap();
        assert!(naive(&source, &model, &kept).await.is_empty(), "the naive way loses it: {write}");
        let later = finds(&source, &model, &kept, &["9"]).await;
        falls_silent(&source, &model, later).await;
    }
}

#[tokio::test]
async fn a_transaction_that_took_its_timestamp_early_and_its_number_late_is_found() {
    // Hazard 1: at the snapshot it had no number yet, so that nothing about it could be seen.
    let (database, source, model, _) = old_rows("").await;
    let writer = database.client().await;
    writer.batch_execute("BEGIN; SELECT now()").await.unwrap();
    let kept = read(&source, &model, Scope::All).await.unwrap();
    writer.batch_execute("INSERT INTO t VALUES (9); COMMIT").await.unwrap();
    assert!(naive(&source, &model, &kept).await.is_empty());
    finds(&source, &model, &kept, &["9"]).await;
}

#[tokio::test]
async fn back_dated_rows_and_rows_of_slow_clocks_are_found() {
    // Hazards 2, 11 and 15: whatever the row says about itself, the transaction is new.
    let (database, source, model, kept) = old_rows("").await;
    database
        .execute("UPDATE t SET at = '2019-01-01' WHERE id = 2; INSERT INTO t VALUES (4, now() - interval '1 day')")
        .await;
    assert!(naive(&source, &model, &kept).await.is_empty());
    finds(&source, &model, &kept, &["2", "4"]).await;
}

#[tokio::test]
async fn one_stuck_writer_holds_nothing_back() {
    // Hazard 6. A server of its own, so that no transaction of another test is under way and adds rows.
    let settings = "autovacuum = off\n".to_owned();
    let server = support::Postgres::start_with(&Setup { settings, ..Setup::default() });
    let (database, source, model, kept) = old_rows_in(server.database("reader"), "").await;
    let stuck = database.client().await;
    stuck.batch_execute("BEGIN; INSERT INTO t VALUES (8)").await.unwrap();
    database.execute("INSERT INTO t VALUES (9)").await;
    let later = finds(&source, &model, &kept, &["9"]).await;
    let bounded = "SELECT count(*) FROM t WHERE id = 9 \
        AND xmin::text::bigint < pg_snapshot_xmin(pg_current_snapshot())::text::bigint";
    let passed: i64 = database.client().await.query_one(bounded, &[]).await.unwrap().get(0);
    assert_eq!(passed, 0, "an upper bound at the oldest transaction stalls");
    stuck.batch_execute("COMMIT").await.unwrap();
    let later = read(&source, &model, changed(&later)).await.unwrap();
    assert_eq!(
        later.ids,
        ["8", "9"],
        "9 is read again since 8 was under way: one request less, none lost"
    );
}

#[tokio::test]
async fn a_rebuilt_table_is_read_in_full() {
    // Hazards 21 to 23: values change, updated_at does not.
    let swap = "CREATE TABLE n (LIKE t INCLUDING ALL); INSERT INTO n SELECT id, at, 'new' FROM t; \
        DROP TABLE t; ALTER TABLE n RENAME TO t";
    let refill =
        "CREATE TEMP TABLE k AS TABLE t; TRUNCATE t; INSERT INTO t SELECT id, at, 'new' FROM k";
    for rebuild in [swap, refill] {
        let (database, source, model, kept) = old_rows(", value text").await;
        database.execute(rebuild).await;
        assert!(naive(&source, &model, &kept).await.is_empty());
        let later = read(&source, &model, changed(&kept)).await.unwrap();
        assert_eq!((later.ids.len(), later.findings.as_slice()), (3, ["E1062"].as_slice()));
        falls_silent(&source, &model, later).await;
    }
    // Also where the model is a query, whose rows have no transaction.
    let (database, source, _, _) = old_rows(", value text").await;
    let model = by(sql("SELECT * FROM t", &["id"]), "at");
    let kept = read(&source, &model, Scope::All).await.unwrap();
    database.execute(swap).await;
    assert_eq!(read(&source, &model, changed(&kept)).await.unwrap().ids.len(), 3);
}

#[tokio::test]
async fn a_partition_that_comes_or_goes_makes_the_next_read_full() {
    let database = database(
        "CREATE TABLE t (id int, at timestamptz NOT NULL, PRIMARY KEY (id)) PARTITION BY RANGE (id); \
         CREATE TABLE p1 PARTITION OF t FOR VALUES FROM (0) TO (10); INSERT INTO t VALUES (1, '2020-01-01'); \
         CREATE TABLE p2 (id int NOT NULL, at timestamptz NOT NULL, PRIMARY KEY (id)); INSERT INTO p2 VALUES (11, '2020-01-01')",
    )
    .await;
    let source = open(&database.url);
    let model = by(table("t", &["id"]), "at");
    let kept = read(&source, &model, Scope::All).await.unwrap();
    database.execute("UPDATE t SET at = '2019-01-01'").await;
    let kept = finds(&source, &model, &kept, &["1"]).await;
    database.execute("ALTER TABLE t ATTACH PARTITION p2 FOR VALUES FROM (10) TO (20)").await;
    assert!(naive(&source, &model, &kept).await.is_empty());
    let later = read(&source, &model, changed(&kept)).await.unwrap();
    assert_eq!((later.ids.len(), later.findings.as_slice()), (2, ["E1062"].as_slice()));
}

#[tokio::test]
async fn a_watermark_from_the_future_of_this_server_makes_the_read_full() {
    // F5: the server that answers now has less than the one that was read.
    let (_database, source, model, kept) = old_rows("").await;
    let ahead = Watermark(kept.clock.0 + 3_600_000_000);
    let scope = Scope::Changed { from: Some(ahead), mark: kept.mark.clone().unwrap() };
    let later = read(&source, &model, scope).await.unwrap();
    assert_eq!((later.ids.len(), later.findings.as_slice()), (3, ["E1061"].as_slice()));
    let naive = read(&source, &model, Scope::Since(ahead)).await.unwrap();
    assert!(naive.ids.is_empty(), "the naive way finds nothing until the clock has caught up");
}

#[tokio::test]
async fn a_server_that_is_behind_is_not_read() {
    // D3: its rows would overwrite newer ones.
    let (_database, source, model, kept) = old_rows("").await;
    let mark = kept.mark.clone().unwrap().0.replace("\"xmax\":", "\"xmax\":9");
    let scope = Scope::Changed { from: Some(kept.clock), mark: Mark(mark) };
    let error = read(&source, &model, scope).await.err().unwrap();
    assert_eq!((code(&error), error.retry()), ("E1025", flow::Retry::Backoff));
}

#[tokio::test]
async fn rows_that_were_frozen_or_stand_in_another_epoch_are_not_lost() {
    let (database, source, model, kept) = old_rows("").await;
    database.execute("INSERT INTO t VALUES (9, '2019-01-01')").await;
    database.execute("VACUUM FREEZE t").await;
    // A frozen row keeps its transaction's number.
    finds(&source, &model, &kept, &["9"]).await;
}

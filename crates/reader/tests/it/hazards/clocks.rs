//! Hazards of what a watermark says: its bounds, its clock, its precision, its absence.

use flow::{Changes, Scope, Source, Watermark};

use super::{ask, read};
use crate::warehouse::{by, code, database, open, request, table};

/// Hazard 2: numbers are given out before their transactions commit.
#[tokio::test]
async fn a_sequence_is_no_watermark() {
    let database = database(
        "CREATE TABLE t (id bigserial PRIMARY KEY, at timestamptz NOT NULL DEFAULT now())",
    )
    .await;
    let source = open(&database.url);
    let error = source.check(&by(table("t", &["id"]), "id")).await.unwrap_err();
    assert_eq!(code(&error), "E1017");
    let model = by(table("t", &["id"]), "at");
    let (late, client) = (database.client().await, database.client().await);
    late.batch_execute("BEGIN; INSERT INTO t DEFAULT VALUES").await.unwrap();
    client.batch_execute("INSERT INTO t DEFAULT VALUES").await.unwrap();
    let kept = read(&source, &model, Scope::All).await;
    assert_eq!(kept.ids, ["2"]);
    late.batch_execute("COMMIT").await.unwrap();
    let naive = ask(&client, "SELECT id::text FROM t WHERE id > 2").await;
    assert!(naive.is_empty(), "the naive way never sees 1");
    assert!(read(&source, &model, kept.next()).await.ids.contains(&"1".to_owned()));
}

/// Hazard 8: pages that begin with the last page's last watermark never get past many equal ones.
#[tokio::test]
async fn pages_of_equal_timestamps_end() {
    let database = database(
        "CREATE TABLE t (id int PRIMARY KEY, at timestamptz NOT NULL); \
         INSERT INTO t SELECT i, '2026-01-01' FROM generate_series(1, 200) AS i",
    )
    .await;
    let client = database.client().await;
    let naive = "SELECT id::text FROM t WHERE at >= '2026-01-01' ORDER BY at LIMIT 50";
    assert_eq!(ask(&client, naive).await, ask(&client, naive).await, "every page is the first");
    let (source, mut page) = (open(&database.url), request(&by(table("t", &["id"]), "at")));
    page.rows_max = Some(50);
    let mut ids = Vec::new();
    for _ in 0..4 {
        let batches = crate::warehouse::read(&source, page.clone()).await.unwrap();
        ids.extend(crate::warehouse::texts(&batches, "id"));
        page.after = crate::warehouse::last(&batches);
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 200);
}

/// Hazard 9: a row of an earlier page that changes goes to the end, and every later page skips one more.
#[tokio::test]
async fn rows_that_move_between_pages_are_not_skipped() {
    const ROWS: &str = "CREATE TABLE t (id int PRIMARY KEY, at timestamptz NOT NULL DEFAULT clock_timestamp()); \
        INSERT INTO t SELECT i, '2026-01-01'::timestamptz + i * interval '1 s' FROM generate_series(1, 60) AS i";
    let database = database(ROWS).await;
    let client = database.client().await;
    let mut naive = Vec::new();
    for page in 0..6 {
        let sql = format!("SELECT id::text FROM t ORDER BY at LIMIT 10 OFFSET {}", page * 10);
        naive.extend(ask(&client, &sql).await);
        let moved = format!(
            "UPDATE t SET at = clock_timestamp() WHERE id IN ({0} + 1, {0} + 2)",
            page * 10
        );
        client.batch_execute(&moved).await.unwrap();
    }
    naive.sort();
    naive.dedup();
    assert!(naive.len() < 60, "the naive way read {} of 60", naive.len());

    client.batch_execute(&format!("DROP TABLE t; {ROWS}")).await.unwrap();
    let (source, model) = (open(&database.url), by(table("t", &["id"]), "at"));
    let (mut page, mut ids) = (request(&model), Vec::new());
    page.rows_max = Some(10);
    for number in 0..20 {
        let batches = crate::warehouse::read(&source, page.clone()).await.unwrap();
        let Some(last) = crate::warehouse::last(&batches) else { break };
        ids.extend(crate::warehouse::texts(&batches, "id"));
        page.after = Some(last);
        if number < 6 {
            let moved = format!(
                "UPDATE t SET at = clock_timestamp() WHERE id IN ({0} + 1, {0} + 2)",
                number * 10
            );
            client.batch_execute(&moved).await.unwrap();
        }
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 60);
}

/// Hazard 10: a bound that is newer than the rows that were read skips what came between.
#[tokio::test]
async fn the_bound_and_the_rows_are_of_one_snapshot() {
    let database = database(
        "CREATE TABLE t (id int PRIMARY KEY, at timestamptz NOT NULL); INSERT INTO t VALUES (1, clock_timestamp())",
    )
    .await;
    let (source, model) = (open(&database.url), by(table("t", &["id"]), "at"));
    let client = database.client().await;
    let (mut page, mut naive) = (request(&model), ask(&client, "SELECT id::text FROM t").await);
    let mut opened = source.read(page.clone()).await.unwrap();
    client.batch_execute("INSERT INTO t VALUES (2, clock_timestamp())").await.unwrap();
    let bound = ask(&client, "SELECT max(at)::text FROM t").await.remove(0);
    naive.extend(ask(&client, &format!("SELECT id::text FROM t WHERE at > '{bound}'")).await);
    assert_eq!(naive, ["1"], "the naive way never sees 2");
    let clock = opened.opening().clock;
    let mut rows = 0;
    while let Some(batch) = opened.next().await.unwrap() {
        rows += batch.rows.num_rows();
    }
    page.scope = Scope::Since(clock);
    let later = crate::warehouse::read(&source, page).await.unwrap();
    assert_eq!((rows, crate::warehouse::texts(&later, "id")), (1, vec!["2".to_owned()]));
}

/// Hazard 11.
#[tokio::test]
async fn rows_without_a_watermark_are_read_in_every_run() {
    let database = database(
        "CREATE TABLE t (id int PRIMARY KEY, at timestamptz); INSERT INTO t VALUES (1, now())",
    )
    .await;
    let (source, model) = (open(&database.url), by(table("t", &["id"]), "at"));
    let kept = read(&source, &model, Scope::All).await;
    database.execute("INSERT INTO t VALUES (2, NULL)").await;
    let client = database.client().await;
    let naive = ask(&client, "SELECT id::text FROM t WHERE at > '2020-01-01' AND id <> 1").await;
    assert!(naive.is_empty(), "the naive way never sees 2");
    assert!(read(&source, &model, Scope::Since(kept.clock)).await.ids.contains(&"2".to_owned()));
}

/// Hazards 12 and 13: a cursor in milliseconds is after the row it is of, or before it for ever.
#[tokio::test]
async fn a_cursor_keeps_every_microsecond() {
    let database = database(
        "CREATE TABLE t (id int PRIMARY KEY, at timestamptz NOT NULL); \
         INSERT INTO t VALUES (1, '2026-01-05 10:00:02.869500+00')",
    )
    .await;
    let (source, model) = (open(&database.url), by(table("t", &["id"]), "at"));
    let kept = read(&source, &model, Scope::All).await;
    let last = kept.last.unwrap();
    database.execute("INSERT INTO t VALUES (2, '2026-01-05 10:00:02.869800+00')").await;
    let since =
        async |micros: i64| read(&source, &model, Scope::Since(Watermark(micros))).await.ids;
    let millis = last.0 / 1000;
    assert!(since((millis + 1) * 1000).await.is_empty(), "rounded up, it skips 2 for ever");
    let truncated = since(millis * 1000 + 1).await;
    assert_eq!(truncated, ["1", "2"], "cut off, it reads 1 again in every run");
    // As it is stored, and one microsecond later.
    let stored: Watermark = last.0.to_string().parse::<i64>().map(Watermark).unwrap();
    assert_eq!(since(stored.0).await, ["1", "2"]);
    assert_eq!(since(stored.0 + 1).await, ["2"]);
}

/// Hazards 16 and 17: one row of a fast clock, or of no clock at all, hides the others.
#[tokio::test]
async fn a_row_from_the_future_hides_nothing() {
    for future in ["now() + interval '1 hour'", "'infinity'"] {
        let database = database(&format!(
            "CREATE TABLE t (id int PRIMARY KEY, at timestamptz NOT NULL); \
             INSERT INTO t VALUES (1, '2026-01-01'), (2, {future})"
        ))
        .await;
        let (source, model) = (open(&database.url), by(table("t", &["id"]), "at"));
        let client = database.client().await;
        let kept = read(&source, &model, Scope::All).await;
        let cursor = ask(&client, "SELECT max(at)::text FROM t").await.remove(0);
        client.batch_execute("INSERT INTO t VALUES (3, now())").await.unwrap();
        let naive = ask(&client, &format!("SELECT id::text FROM t WHERE at > '{cursor}'")).await;
        assert!(naive.is_empty(), "the naive way waits until {future}");
        assert!(read(&source, &model, kept.next()).await.ids.contains(&"3".to_owned()), "{future}");
    }
}

/// Hazard 18: clocks on a wall go back an hour once a year.
#[tokio::test]
async fn a_timestamp_without_a_zone_needs_an_hour_of_lag() {
    let database = database("CREATE TABLE t (id int PRIMARY KEY, at timestamp NOT NULL)").await;
    let writer = database.client().await;
    writer.batch_execute("SET timezone = 'America/New_York'").await.unwrap();
    let insert = async |id: i32, at: &str| {
        writer
            .batch_execute(&format!("INSERT INTO t VALUES ({id}, '{at}'::timestamptz)"))
            .await
            .unwrap();
    };
    let (source, mut model) = (open(&database.url), by(table("t", &["id"]), "at"));
    insert(1, "2026-11-01 05:59:00+00").await;
    let last = read(&source, &model, Scope::All).await.last.unwrap();
    // Eleven minutes later the wall says fifty minutes less.
    insert(2, "2026-11-01 06:10:00+00").await;
    let since = async |lag: i64| {
        read(&source, &model, Scope::Since(Watermark(last.0 - lag)))
            .await
            .ids
            .contains(&"2".to_owned())
    };
    const MINUTE: i64 = 60_000_000;
    assert!(!since(0).await && !since(5 * MINUTE).await, "the naive way never sees 2");
    assert!(since(65 * MINUTE).await);
    for (lag, advised) in [(5 * MINUTE, true), (65 * MINUTE, false)] {
        model.changes = Changes::Watermark { column: "at".to_owned(), lag_micros: lag };
        let found = source.check(&model).await.unwrap().findings;
        assert_eq!(found.iter().any(|finding| finding.code.id == "E1051"), advised);
    }
}

/// Hazard 19: the end of time of many an application is beyond what nanoseconds can count to.
#[tokio::test]
async fn the_year_9999_is_a_moment_like_any_other() {
    let database = database(
        "CREATE TABLE t (id int PRIMARY KEY, at timestamptz NOT NULL); INSERT INTO t VALUES (1, '9999-12-31 23:59:59+00')",
    )
    .await;
    let (source, model) = (open(&database.url), by(table("t", &["id"]), "at"));
    let last = read(&source, &model, Scope::All).await.last.unwrap();
    assert_eq!(last.to_string(), "9999-12-31T23:59:59.000000Z");
    assert_eq!(last.0.checked_mul(1000), None, "the naive way overflows");
    assert_eq!(read(&source, &model, Scope::Since(last)).await.ids, ["1"]);
    assert!(read(&source, &model, Scope::Since(Watermark(last.0 + 1))).await.ids.is_empty());
}

//! R3, L4: a read that was cut, cancelled or stalled is an error, never a short clean end, and never hangs.

use std::time::Duration;

use flow::{Error, Retry, Source};
use serde_json::json;
use support::{Database, Fault, Postgres, Proxy};

use crate::warehouse::{code, database, open, read, request, sql, table, try_open, until};

const ROWS: usize = 300_000;

/// What rows are read by: all of this holds for both.
const WAYS: [&str; 2] = ["copy", "query"];

fn open_by(url: &str, way: &str) -> reader::postgres::Postgres {
    try_open(url, json!({ "read_by": way })).unwrap()
}

async fn big() -> Database {
    database(&format!(
        "CREATE TABLE t AS SELECT i AS id, repeat('x', 100) AS pad FROM generate_series(1, {ROWS}) AS i; \
         ALTER TABLE t ADD PRIMARY KEY (id)"
    ))
    .await
}

/// Reads on to the error.
async fn error_of(mut read: Box<dyn flow::Read>) -> (usize, Error) {
    let mut rows = 0;
    loop {
        match read.next().await {
            Ok(Some(batch)) => rows += batch.rows.num_rows(),
            Ok(None) => panic!("a clean end after {rows} rows"),
            Err(error) => {
                assert!(read.next().await.is_err(), "an error is not followed by an end");
                return (rows, error);
            }
        }
    }
}

#[tokio::test]
async fn a_restarted_server_is_an_error_and_the_next_read_is_whole() {
    let postgres = Postgres::start();
    for immediate in [false, true] {
        let database = postgres.database("restart");
        database
            .execute(&format!(
                "CREATE TABLE t AS SELECT i AS id, repeat('x', 100) AS pad FROM generate_series(1, {ROWS}) AS i"
            ))
            .await;
        database.execute("CHECKPOINT").await;
        let source = open(&database.url);
        let mut read = source.read(request(&table("t", &["id"]))).await.unwrap();
        assert!(read.next().await.unwrap().is_some());
        postgres.restart(immediate);
        let (rows, error) = error_of(read).await;
        assert!(rows < ROWS);
        assert_eq!(code(&error), "E1005", "{error}");
        assert_eq!(error.retry(), Retry::Backoff);
        let batches = crate::warehouse::read_all(&source, &table("t", &["id"])).await;
        assert_eq!(batches.iter().map(|batch| batch.rows.num_rows()).sum::<usize>(), ROWS);
    }
}

#[tokio::test]
async fn a_terminated_or_cancelled_session_is_an_error() {
    let database = big().await;
    let client = database.client().await;
    for (function, expected, way) in [
        ("pg_terminate_backend", "E1005", "copy"),
        ("pg_cancel_backend", "E1007", "copy"),
        ("pg_terminate_backend", "E1005", "query"),
        ("pg_cancel_backend", "E1007", "query"),
    ] {
        let source = open_by(&database.url, way);
        let mut read = source.read(request(&table("t", &["id"]))).await.unwrap();
        assert!(read.next().await.unwrap().is_some());
        let sql = format!(
            "SELECT {function}(pid) FROM pg_stat_activity WHERE datname = current_database() \
             AND state = 'active' AND (query LIKE 'COPY%' OR query LIKE 'SELECT m.%')"
        );
        assert_eq!(client.query(&sql, &[]).await.unwrap().len(), 1, "{way}");
        assert_eq!(code(&error_of(read).await.1), expected, "{way}");
    }
}

#[tokio::test]
async fn a_cut_connection_is_an_error_wherever_it_is_cut() {
    let database = big().await;
    let target = ([127, 0, 0, 1], Postgres::shared().port()).into();
    let proxy = Proxy::start(target, Fault::None).await;
    let cut = |way| {
        let options = json!({ "progress_timeout": "1s", "read_by": way });
        try_open(&proxy.url(&database.url), options).unwrap()
    };
    let sources = WAYS.map(cut);
    // From within the login to within the rows.
    for bytes in [1, 100, 700, 2_000, 5_000, 20_000, 1_000_000, 10_000_000] {
        for (fault, source) in [
            (Fault::Close(bytes), &sources[0]),
            (Fault::Reset(bytes), &sources[0]),
            (Fault::Close(bytes), &sources[1]),
            (Fault::Reset(bytes), &sources[1]),
        ] {
            proxy.set(fault);
            let error = match source.read(request(&table("t", &["id"]))).await {
                Ok(read) => error_of(read).await.1,
                Err(error) => error,
            };
            assert!(matches!(code(&error), "E1002" | "E1005"), "{fault:?}: {error}");
            assert_eq!(error.retry(), Retry::Backoff, "{fault:?}: {error}");
        }
    }
    proxy.set(Fault::None);
    for source in &sources {
        let batches = read(source, request(&table("t", &["id"]))).await.unwrap();
        assert_eq!(batches.iter().map(|batch| batch.rows.num_rows()).sum::<usize>(), ROWS);
    }
}

#[tokio::test]
async fn a_silent_connection_is_given_up() {
    let database = big().await;
    let target = ([127, 0, 0, 1], Postgres::shared().port()).into();
    let proxy = Proxy::start(target, Fault::None).await;
    let options = json!({ "progress_timeout": "500ms", "connect_timeout": "500ms" });
    let source = try_open(&proxy.url(&database.url), options).unwrap();
    for (fault, expected) in [
        (Fault::BlackHole, "E1002"),
        (Fault::Stall(50), "E1002"),
        (Fault::Stall(2_500), "E1006"),
        (Fault::Stall(5_000_000), "E1006"),
    ] {
        proxy.set(fault);
        let started = tokio::time::Instant::now();
        let error = match source.read(request(&table("t", &["id"]))).await {
            Ok(read) => error_of(read).await.1,
            Err(error) => error,
        };
        assert_eq!(code(&error), expected, "{fault:?}: {error}");
        assert_eq!(error.retry(), Retry::Backoff);
        assert!(started.elapsed() < Duration::from_secs(10), "{fault:?}");
    }
}

#[tokio::test]
async fn an_unreachable_or_refusing_server_is_told_apart() {
    let postgres = Postgres::shared();
    let database = database("").await;
    let model = sql("SELECT 1 AS id", &["id"]);
    let fails = async |url: &str| open(url).check(&model).await.unwrap_err();
    let error = fails("postgres://u:hunter2@127.0.0.1:1/x").await;
    assert_eq!((code(&error), error.retry()), ("E1002", Retry::Backoff));
    let error = fails("postgres://u:hunter2@no.such.host.invalid/x?sslmode=disable").await;
    assert_eq!(code(&error), "E1002");
    let error = fails(&database.url_as("postgres", "hunter2")).await;
    assert_eq!((code(&error), error.retry()), ("E1003", Retry::Never));
    assert!(!format!("{error:?}").contains("hunter2"));
    let error = fails(&database.url_as("nobody", "hunter2")).await;
    assert_eq!(code(&error), "E1003");
    let error = fails(&postgres.url("no_such_database")).await;
    assert_eq!(code(&error), "E1003");
}

#[tokio::test]
async fn a_full_server_is_worth_another_try() {
    let postgres = Postgres::start_with(&support::Setup {
        settings: "max_connections = 5\nsuperuser_reserved_connections = 1\nmax_wal_senders = 0"
            .to_owned(),
        ..Default::default()
    });
    let database = postgres.database("full");
    database.execute("CREATE ROLE reader LOGIN PASSWORD 'pw'").await;
    let url = database.url_as("reader", "pw");
    let mut held = Vec::new();
    while let Ok((client, connection)) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await
    {
        tokio::spawn(connection);
        held.push(client);
    }
    let error = open(&url).check(&sql("SELECT 1 AS id", &["id"])).await.unwrap_err();
    assert_eq!((code(&error), error.retry()), ("E1009", Retry::Backoff));
    assert!(!held.is_empty());
}

#[tokio::test]
async fn a_query_that_takes_too_long_is_stopped_by_the_server() {
    let database = database("").await;
    let source = try_open(&database.url, json!({ "statement_timeout": "200ms" })).unwrap();
    let model =
        sql("SELECT i AS id, pg_sleep(0.1)::text AS s FROM generate_series(1, 100) AS i", &["id"]);
    let error = read(&source, request(&model)).await.unwrap_err();
    assert_eq!((code(&error), error.retry()), ("E1007", Retry::Never));
    assert!(error.message().contains("statement timeout"), "{error}");
}

/// A dropped read leaves no query and no session behind.
#[tokio::test]
async fn dropping_a_read_cancels_its_query() {
    let database = big().await;
    let client = database.client().await;
    let sessions = async || -> i64 {
        let sql = "SELECT count(*) FROM pg_stat_activity \
            WHERE datname = current_database() AND application_name = 'outflow test'";
        client.query_one(sql, &[]).await.unwrap().get(0)
    };
    // While rows flow, and while the server still sorts.
    let sleepy = "SELECT id FROM t UNION ALL SELECT 0 FROM t, pg_sleep(600)";
    for way in WAYS {
        let source = open_by(&database.url, way);
        let mut flowing = source.read(request(&table("t", &["id"]))).await.unwrap();
        assert!(flowing.next().await.unwrap().is_some());
        let opening = source.read(request(&sql(sleepy, &["id"])));
        assert!(tokio::time::timeout(Duration::from_millis(300), opening).await.is_err());
        drop(flowing);
        until("the sessions are gone", async || sessions().await == 0).await;
        // A finished read too.
        read(&source, request(&table("t", &["id"]))).await.unwrap();
        until("the finished session is gone", async || sessions().await == 0).await;
    }
}

#[tokio::test]
async fn batches_are_small_and_the_reader_waits_for_its_caller() {
    let database = database(
        "CREATE TABLE t AS SELECT i AS id, repeat('x', 1000000) AS pad FROM generate_series(1, 60) AS i",
    )
    .await;
    let source = try_open(&database.url, json!({ "batch_rows": 10 })).unwrap();
    let batches = read(&source, request(&table("t", &["id"]))).await.unwrap();
    assert!(batches.iter().all(|batch| batch.rows.num_rows() <= 5), "about 4 MiB a batch");
    let narrow = sql("SELECT i AS id FROM generate_series(1, 101) AS i", &["id"]);
    let batches = read(&source, request(&narrow)).await.unwrap();
    assert_eq!(batches.iter().map(|batch| batch.rows.num_rows()).max(), Some(10));
    assert_eq!(batches.len(), 11);
}

/// L2: memory does not grow with the number of rows, since the server is made to wait.
#[tokio::test]
async fn a_caller_that_does_not_read_on_makes_the_server_wait() {
    let database = big().await;
    let client = database.client().await;
    for way in WAYS {
        let source = open_by(&database.url, way);
        let mut read = source.read(request(&table("t", &["id"]))).await.unwrap();
        until("the server waits for us", async || {
            let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                AND (query LIKE 'COPY%' OR query LIKE 'SELECT m.%') AND wait_event = 'ClientWrite'";
            client.query_one(sql, &[]).await.unwrap().get::<_, i64>(0) == 1
        })
        .await;
        let mut rows = 0;
        while let Some(batch) = read.next().await.unwrap() {
            rows += batch.rows.num_rows();
        }
        assert_eq!(rows, ROWS);
    }
}

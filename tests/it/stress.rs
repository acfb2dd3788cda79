//! R1 under load: eight writers with savepoints, prepared transactions, rollbacks, late commits and every kind of
//! timestamp, while three syncs follow them by watermark, snapshot and log. At the end nothing was never seen and nothing
//! is stale; the naive watermark, which reads along in the same run, loses rows. `make stress SECONDS=60` for more.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use engine::{Delivery, Guards, Ports, Progress, RetryPolicy, RunOptions, SpoolLimits, Stop, Sync};
use flow::metrics::Metrics;
use flow::{Changes, Clock, Log, Mode, Model, Relation, Trigger};
use support::{Book, Database, Postgres, Setup};
use tokio::time::Instant;
use tokio_postgres::Client;

const WRITERS: u64 = 8;
const SQL: &str = "the statement is carried out";

#[derive(Debug)]
struct WallClock;

impl Clock for WallClock {
    #[expect(clippy::disallowed_methods, reason = "what the engine is given is the real time")]
    fn now_micros(&self) -> i64 {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        now.map_or(0, |now| i64::try_from(now.as_micros()).unwrap_or(i64::MAX))
    }
}

struct Nobody;

impl engine::Watch for Nobody {
    fn progress(&self, _progress: &Progress) {}
}

/// One sync of the table, with a book and a state of its own.
struct Follower {
    name: &'static str,
    sync: Sync,
    ports: Ports,
    book: Arc<Book>,
    _dir: tempfile::TempDir,
}

impl Follower {
    fn new(database: &Database, name: &'static str, changes: Changes) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let book = Arc::new(Book::default());
        let options = serde_json::json!({ "url": database.url });
        let metrics = Metrics::new("test", "test");
        let source = reader::postgres::Postgres::open(reader::OpenArgs {
            connection: "warehouse".to_owned(),
            options: options.as_object().expect("an object").clone(),
            metrics: Arc::clone(&metrics),
            application: "stress".to_owned(),
            clock: Arc::new(WallClock),
            project_dir: dir.path().to_owned(),
            spool_dir: dir.path().join("reader"),
        });
        let ports = Ports {
            source: Arc::new(source.expect("a warehouse")),
            destination: Arc::<Book>::clone(&book),
            store: Arc::new(state::Sqlite::open(dir.path(), "stress").expect("a state")),
            metrics,
            clock: Arc::new(WallClock),
            spool_dir: dir.path().join("spool"),
            spool: SpoolLimits::default(),
            retry: RetryPolicy::default(),
        };
        let model = Model {
            relation: Relation::Table("t".to_owned()),
            primary_key: vec!["id".to_owned()],
            changes,
            removed_when: None,
        };
        let mappings = r#"{"value": {"from": "value", "as": "string"}}"#;
        let sync = Sync {
            name: name.to_owned(),
            model: Arc::new(model),
            source: "warehouse".to_owned(),
            destination: "book".to_owned(),
            object: "records".to_owned(),
            match_on: vec![("key".to_owned(), "id".to_owned())],
            mode: Mode::Upsert,
            mappings: serde_json::from_str(mappings).expect("mappings"),
            removed: None,
            delivery: Delivery::default(),
            compare_every_micros: None,
            guards: Guards::default(),
            private: Vec::new(),
        };
        Self { name, sync, ports, book, _dir: dir }
    }

    async fn run(&self) {
        let options = RunOptions {
            trigger: Trigger::Manual,
            full_refresh: false,
            rows_max: None,
            fail_fast: false,
            stop: Stop::default(),
        };
        let result = engine::run(&self.sync, &self.ports, options, &Nobody).await;
        let report = result.unwrap_or_else(|failure| panic!("{}: {}", self.name, failure.error));
        assert_eq!(report.run.counts.unaccounted(), 0);
    }
}

/// A generator of numbers; each writer has one of its own.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// Writes rows of its own until it is told to stop: inserts, updates, in every kind of transaction.
async fn write(client: Client, number: u64, late_max: Duration, stop: Arc<AtomicBool>) {
    let mut dice = Dice(number + 1);
    let mut made = 0;
    let mut transactions = 0;
    while !stop.load(Ordering::Relaxed) {
        transactions += 1;
        client.batch_execute("BEGIN").await.expect(SQL);
        for _ in 0..1 + dice.below(4) {
            let savepoint = dice.below(3) == 0;
            let at = [
                "now()",
                "statement_timestamp()",
                "clock_timestamp()",
                "now() - interval '1 hour'",
            ][[0, 0, 0, 1, 2, 3][dice.below(6) as usize]];
            let id = match made > 0 && dice.below(2) == 0 {
                true => number * 1_000_000 + dice.below(made),
                false => {
                    made += 1;
                    number * 1_000_000 + made - 1
                }
            };
            let value = dice.below(u64::MAX >> 31);
            let sql = format!(
                "INSERT INTO t VALUES ({id}, {value}, {at}) \
                 ON CONFLICT (id) DO UPDATE SET value = {value}, at = {at}"
            );
            match (savepoint, dice.below(3)) {
                (true, 0) => format_run(&client, &["SAVEPOINT a", &sql, "ROLLBACK TO a"]).await,
                (true, _) => format_run(&client, &["SAVEPOINT a", &sql, "RELEASE a"]).await,
                (false, _) => format_run(&client, &[&sql]).await,
            }
        }
        if dice.below(8) == 0 {
            tokio::time::sleep(late_max.mul_f64(dice.below(1000) as f64 / 1000.0)).await;
        }
        match dice.below(8) {
            0 => client.batch_execute("ROLLBACK").await.expect(SQL),
            1 => {
                let name = format!("w{number}_{transactions}");
                client.batch_execute(&format!("PREPARE TRANSACTION '{name}'")).await.expect(SQL);
                tokio::time::sleep(late_max.mul_f64(dice.below(300) as f64 / 1000.0)).await;
                let end = if dice.below(4) == 0 { "ROLLBACK" } else { "COMMIT" };
                client.batch_execute(&format!("{end} PREPARED '{name}'")).await.expect(SQL);
            }
            _ => client.batch_execute("COMMIT").await.expect(SQL),
        }
    }
}

async fn format_run(client: &Client, statements: &[&str]) {
    for statement in statements {
        client.batch_execute(statement).await.expect(SQL);
    }
}

/// The naive watermark: rows newer than the newest one seen.
async fn read_naively(client: Client, stop: Arc<AtomicBool>) -> BTreeMap<String, String> {
    let mut seen = BTreeMap::new();
    let mut newest = "-infinity".to_owned();
    loop {
        let last = stop.load(Ordering::Relaxed);
        let sql = "SELECT id::text, value::text, at::text FROM t \
            WHERE at > $1::text::timestamptz ORDER BY at";
        for row in client.query(sql, &[&newest]).await.expect(SQL) {
            newest = row.get(2);
            seen.insert(row.get(0), row.get(1));
        }
        if last {
            return seen;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Rows that are missing, and rows with another value.
fn wrong(expected: &BTreeMap<String, String>, found: &BTreeMap<String, String>) -> (usize, usize) {
    let missing = expected.keys().filter(|key| !found.contains_key(*key)).count();
    let stale = expected
        .iter()
        .filter(|(key, value)| found.get(*key).is_some_and(|found| found != *value))
        .count();
    (missing, stale)
}

/// What a stretch of writing came to.
struct Ended {
    rows: usize,
    /// Runs of each follower.
    runs: Vec<usize>,
    /// Never seen, and stale: of the naive watermark, and of each follower.
    naive: (usize, usize),
    found: Vec<(&'static str, (usize, usize))>,
}

/// A table, a publication and a slot, and one sync for each method.
async fn followers(server: &Postgres) -> (Database, Vec<Arc<Follower>>) {
    let database = server.database("stress");
    database
        .execute(
            "CREATE TABLE t (id bigint PRIMARY KEY, value bigint, at timestamptz NOT NULL); \
             CREATE INDEX ON t (at, id); CREATE PUBLICATION p FOR TABLE t",
        )
        .await;
    database.execute("SELECT pg_create_logical_replication_slot('stress', 'pgoutput')").await;
    let log = Log {
        slot: "stress".to_owned(),
        publication: "p".to_owned(),
        tables: Vec::new(),
        retained_bytes_max: None,
    };
    let methods = [
        // No lookback at all: only the rows' transactions help.
        ("watermark", Changes::Watermark { column: "at".to_owned(), lag_micros: 0 }),
        ("snapshot", Changes::Snapshot),
        ("log", Changes::Log(log)),
    ];
    let followers = methods
        .into_iter()
        .map(|(name, changes)| Arc::new(Follower::new(&database, name, changes)))
        .collect();
    (database, followers)
}

/// Runs the sync again and again until all is quiet, and once more for what the last run did not see yet. A run cannot
/// go from one thread to another, so each sync has a thread.
fn follow(follower: &Follower, quiet: &AtomicBool) -> usize {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let mut runs = 0;
        while !quiet.load(Ordering::Relaxed) {
            follower.run().await;
            runs += 1;
        }
        follower.run().await;
        runs
    })
}

async fn stress(seconds: u64, late_max: Duration) -> Ended {
    let settings = "max_prepared_transactions = 50\nsynchronous_commit = on".to_owned();
    let server = Postgres::start_with(&Setup { settings, ..Setup::default() });
    let (database, followers) = followers(&server).await;
    let (stop, quiet) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let mut writers = Vec::new();
    for number in 0..WRITERS {
        let client = database.client().await;
        writers.push(tokio::spawn(write(client, number, late_max, Arc::clone(&stop))));
    }
    let naive = tokio::spawn(read_naively(database.client().await, Arc::clone(&quiet)));
    let mut following = Vec::new();
    for follower in &followers {
        let (follower, quiet) = (Arc::clone(follower), Arc::clone(&quiet));
        following.push(tokio::task::spawn_blocking(move || follow(&follower, &quiet)));
    }
    tokio::time::sleep_until(Instant::now() + Duration::from_secs(seconds)).await;
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await.expect("the writer writes");
    }
    quiet.store(true, Ordering::Relaxed);
    let naive = naive.await.expect("the naive reader reads");
    let mut runs = Vec::new();
    for follower in following {
        runs.push(follower.await.expect("every run succeeds"));
    }
    let client = database.client().await;
    let rows = client.query("SELECT id::text, value::text FROM t", &[]).await.expect(SQL);
    let expected: BTreeMap<String, String> =
        rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    let of = |follower: &Arc<Follower>| (follower.name, wrong(&expected, &follower.book.records()));
    Ended {
        rows: expected.len(),
        runs,
        naive: wrong(&expected, &naive),
        found: followers.iter().map(of).collect(),
    }
}

/// How long to write, so that more can be asked for without another build.
#[expect(clippy::disallowed_methods, reason = "the only way to ask a test for something")]
fn seconds_asked() -> Option<u64> {
    std::env::var("STRESS_SECONDS").ok()?.parse().ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_whatever_writers_do() {
    // R1
    let asked = seconds_asked();
    let late_max = Duration::from_millis(if asked.is_some() { 5000 } else { 2000 });
    let Ended { rows, runs, naive, found } = stress(asked.unwrap_or(10), late_max).await;
    println!(
        "{rows} rows; runs {runs:?}; never seen and stale: {found:?}, by the naive watermark {naive:?}"
    );
    for (name, found) in found {
        assert_eq!(found, (0, 0), "{name}: never seen, stale");
    }
    assert!(naive.0 + naive.1 > 0, "the naive watermark loses rows, so this test is alive");
    assert!(rows > 100, "the writers wrote");
}

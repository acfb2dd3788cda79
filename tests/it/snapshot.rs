//! The snapshot method against a comparison by brute force, on random histories over PostgreSQL, for every type of key:
//! what is created, updated, unchanged and removed, through failures and lost processes (R1, D1, D8, hazards 31 and 32).

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arrow::array::AsArray;
use async_trait::async_trait;
use engine::{
    Delivery, Guards, Ports, Progress, RemovalLimit, Removed, RemovedAction, RetryPolicy,
    RunOptions, RunReport, SpoolLimits, Stop, Sync, Watch,
};
use flow::metrics::Metrics;
use flow::{
    Attribution, Changes, Clock, Code, Destination, Error, Field, FieldKind, Kind, Limits, Mode,
    Model, NullRule, ObjectSchema, Outcome, Receipt, Relation, Removal, Result, Trigger,
    WriteBatch,
};
use support::{Database, Postgres};

static BROKEN: Code = Code {
    id: "E2999",
    kind: Kind::Failed,
    title: "the call failed",
    cause: "A test says so.",
    remedy: "none",
};

/// Types of keys, and an expression for the key of row `i`: collations that order differently, numbers with several
/// texts, negative ones, and composites.
const KEYS: [(&str, &str); 12] = [
    ("k int8", "((i % 2 * 2 - 1) * i * i)::text"),
    ("k numeric", "((i - 40) / 8.0)::text || repeat('0', i % 3)"),
    ("k numeric(20,4)", "((i - 40) * 12.5)::text"),
    ("k float8", "((i - 40) * 0.1)::text"),
    (
        "k text collate \"en-x-icu\"",
        "chr(97 + i % 7 - 32 * (i % 2)) || (i / 3) || repeat('é', i % 2)",
    ),
    ("k char(12)", "chr(65 + i % 26 + 32 * (i % 2)) || i"),
    ("k uuid", "md5(i::text)"),
    (
        "k timestamptz",
        "(timestamptz '2000-01-01Z' + (i - 40) * interval '7 days 0.5 seconds')::text",
    ),
    ("k date", "(date '0001-01-20' - i)::text"),
    ("k bytea", "'\\x' || left(md5(i::text), 2 + 2 * (i % 9)) || to_hex(i + 256)||'0'"),
    ("k int4, l text collate \"en-x-icu\"", "(i / 5 - 7)::text, chr(97 + i % 5 - 32 * (i % 2))"),
    ("k date, l int8", "(date '2026-01-01' + i / 6)::text, (i % 6 - 3)::text"),
];

/// A tool in memory: records by e-mail, some calls fail before or after they are applied.
#[derive(Default)]
struct Tool {
    records: Mutex<BTreeMap<String, String>>,
    dice: Mutex<u64>,
}

impl Tool {
    fn roll(&self, sides: u64) -> bool {
        let mut dice = self.dice.lock().expect("nobody panics");
        *dice ^= *dice << 13;
        *dice ^= *dice >> 7;
        *dice ^= *dice << 17;
        dice.is_multiple_of(sides)
    }
}

#[async_trait]
impl Destination for Tool {
    fn limits(&self, _object: &str) -> Result<Limits> {
        Ok(Limits {
            rows_max: 7,
            in_flight_max: 3,
            modes: &[Mode::Upsert],
            attribution: Attribution::Position,
            null_rule: NullRule::EmptyString,
            removals: &[Removal::Delete],
            apply_max: Duration::ZERO,
            ..Limits::LEAST
        })
    }

    async fn describe(&self, object: &str) -> Result<ObjectSchema> {
        let field = |name: &str| Field {
            name: name.to_owned(),
            label: name.to_owned(),
            kind: FieldKind::Text { chars_max: None },
            required: false,
            unique: name == "email",
            read_only: false,
            folds_case: false,
        };
        let fields = vec![field("email"), field("name")];
        Ok(ObjectSchema { object: object.to_owned(), fields, open: false })
    }

    fn objects(&self) -> Vec<String> {
        vec!["people".to_owned()]
    }

    async fn write(&self, batch: &WriteBatch) -> Result<Receipt> {
        let failed = || Error::new(&BROKEN, "the tool is not there");
        if self.roll(40) {
            return Err(failed());
        }
        let text = |name: &str, row: usize| {
            let column = batch.payload.fields.column_by_name(name).expect("mapped");
            column.as_string::<i32>().value(row).to_owned()
        };
        let mut outcomes = Vec::new();
        {
            let mut records = self.records.lock().expect("nobody panics");
            let rows = batch.payload.rows().max(batch.record_ids.len());
            for row in 0..rows {
                let (created, id) = match batch.mode {
                    Mode::Delete => {
                        records.remove(&batch.record_ids[row]);
                        (None, batch.record_ids[row].clone())
                    }
                    _ => {
                        let email = text("email", row);
                        let new = records.insert(email.clone(), text("name", row)).is_none();
                        (Some(new), email)
                    }
                };
                outcomes.push(Outcome::Delivered { created, remote_id: Some(id) });
            }
        }
        // Applied, and nobody hears of it.
        if self.roll(40) { Err(failed().ambiguous()) } else { Ok(Receipt { outcomes }) }
    }
}

#[derive(Debug)]
struct Ticking(std::sync::atomic::AtomicI64);

impl Clock for Ticking {
    fn now_micros(&self) -> i64 {
        self.0.fetch_add(1000, std::sync::atomic::Ordering::Relaxed)
    }
}

struct Nobody;

impl Watch for Nobody {
    fn progress(&self, _progress: &Progress) {}
}

fn sync(keys: &str) -> Sync {
    let primary_key = keys.split(", ").filter_map(|key| key.split(' ').next());
    let model = Model {
        relation: Relation::Table("people".to_owned()),
        primary_key: primary_key.map(str::to_owned).collect(),
        changes: Changes::Snapshot,
        removed_when: None,
    };
    Sync {
        name: "people".to_owned(),
        model: Arc::new(model),
        source: "warehouse".to_owned(),
        destination: "tool".to_owned(),
        object: "people".to_owned(),
        match_on: vec![("email".to_owned(), "email".to_owned())],
        mode: Mode::Mirror,
        mappings: serde_json::from_str(r#"{"name": "name"}"#).expect("a mapping"),
        delivery: Delivery::default(),
        compare_every_micros: None,
        guards: Guards::default(),
        private: Vec::new(),
        removed: Some(Removed {
            action: RemovedAction::Delete,
            grace_micros: 0,
            limit: RemovalLimit { share: 1.0, floor: 1000 },
        }),
    }
}

/// A process with a state of its own: dropping it without more ado loses what was not committed.
fn ports(url: &str, dir: &Path, tool: &Arc<Tool>) -> Ports {
    let options = serde_json::json!({ "url": url, "tls": "off", "batch_rows": 16 });
    let clock: Arc<dyn Clock> = Arc::new(Ticking(1_800_000_000_000_000.into()));
    let source = reader::postgres::Postgres::open(reader::OpenArgs {
        clock: Arc::clone(&clock),
        project_dir: dir.to_owned(),
        spool_dir: dir.join("spool"),
        connection: "warehouse".to_owned(),
        options: options.as_object().cloned().expect("an object"),
        metrics: Metrics::new("test", "test"),
        application: "outflow tests".to_owned(),
    });
    Ports {
        source: Arc::new(source.expect("the options are right")),
        destination: Arc::<Tool>::clone(tool),
        store: Arc::new(state::Sqlite::open(&dir.join("state"), "test").expect("a state")),
        metrics: Metrics::new("test", "test"),
        clock,
        spool_dir: dir.join("spool"),
        spool: SpoolLimits::default(),
        retry: RetryPolicy { attempts_max: 1, ..RetryPolicy::default() },
    }
}

async fn run(sync: &Sync, ports: &Ports) -> Option<RunReport> {
    let options = RunOptions {
        trigger: Trigger::Manual,
        full_refresh: false,
        rows_max: None,
        fail_fast: false,
        stop: Stop::default(),
    };
    engine::run(sync, ports, options, &Nobody).await.ok()
}

async fn table(database: &Database) -> BTreeMap<String, String> {
    let rows = database
        .client()
        .await
        .query("SELECT email, name FROM people", &[])
        .await
        .expect("it can be read");
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_finds_what_brute_force_finds_whatever_the_key() {
    let mut compared = 0;
    for (number, (keys, value)) in KEYS.iter().enumerate() {
        let database = Postgres::shared().database(None);
        let names: Vec<&str> = keys.split(", ").filter_map(|key| key.split(' ').next()).collect();
        let cast = keys.split(", ").zip(split(value)).map(|(key, value)| {
            let kind = key.split(' ').nth(1).expect("a type");
            format!("({value})::{kind}")
        });
        let (cast, names) = (cast.collect::<Vec<_>>().join(", "), names.join(", "));
        database
            .execute(&format!(
                "CREATE TABLE people (n int, {keys}, email text, name text, PRIMARY KEY ({names})); \
                 CREATE TABLE pool AS SELECT i AS n, {cast} FROM generate_series(1, 90) AS i"
            ))
            .await;
        let columns = split(value).len();
        assert_eq!(columns, keys.split(", ").count());
        let dir = tempfile::tempdir().unwrap();
        let tool = Arc::new(Tool { dice: Mutex::new(7919 + number as u64), ..Tool::default() });
        let sync = sync(keys);
        let mut ports = ports_of(&database, dir.path(), &tool);
        for round in 1..=5_i64 {
            database.execute(&history(round)).await;
            let (source, before) = (table(&database).await, tool.records.lock().unwrap().clone());
            let mut tries = 0;
            let mut report = None;
            while report.is_none() {
                tries += 1;
                assert!(tries < 60, "{keys}: round {round} does not end");
                if tries % 2 == 0 {
                    drop(ports);
                    ports = ports_of(&database, dir.path(), &tool);
                }
                report = run(&sync, &ports).await;
            }
            // D1: what the warehouse holds, and nothing else.
            let records = tool.records.lock().unwrap().clone();
            assert_eq!(records, source, "{keys}: round {round}");
            let report = report.expect("it ended");
            let merged = report.findings.iter().all(|finding| finding.code.id != "E4050");
            assert!(merged, "{keys}: the rows come in the order of their keys");
            let counts = report.run.counts;
            // Rows whose request nobody heard of are read and sent once more, by earlier runs' leave.
            if tries == 1 && counts.read == source.len() as u64 {
                compared += 1;
                let same = source.iter().filter(|(email, name)| before.get(*email) == Some(*name));
                let same = same.count() as u64;
                let created = source.keys().filter(|email| !before.contains_key(*email)).count();
                let removed = before.keys().filter(|email| !source.contains_key(*email)).count();
                let found = (counts.unchanged, counts.created, counts.removed);
                assert_eq!(found, (same, created as u64, removed as u64), "{keys}: round {round}");
            }
            // And again: nothing to do, but for such rows.
            if let Some(again) = run(&sync, &ports).await {
                let counts = again.run.counts;
                assert_eq!(counts.unchanged, source.len() as u64, "{keys}: round {round}");
                assert_eq!(*tool.records.lock().unwrap(), source, "{keys}: round {round}");
            }
        }
        let ledger = ports.store.scan("people", None, 1000).await.unwrap();
        assert_eq!(ledger.len(), table(&database).await.len(), "{keys}");
    }
    assert!(compared > 12, "only {compared} runs went through without a failure");
}

fn ports_of(database: &Database, dir: &Path, tool: &Arc<Tool>) -> Ports {
    ports(&database.url, dir, tool)
}

/// The parts of a composite key's expression.
fn split(value: &str) -> Vec<&str> {
    let composite = value.split_once("::text, ");
    composite.map_or_else(|| vec![value], |(first, second)| vec![first, second])
}

/// Some rows come, some change, some go; a row that comes back has the key and the e-mail it had.
fn history(round: i64) -> String {
    format!(
        "SELECT setseed({seed}); \
         DELETE FROM people WHERE random() < 0.2; \
         UPDATE people SET name = name || '{round}' WHERE random() < 0.2; \
         INSERT INTO people SELECT pool.*, 'user' || pool.n || '@example.com', 'name {round}' \
         FROM pool WHERE random() < 0.5 AND n NOT IN (SELECT n FROM people) ON CONFLICT DO NOTHING",
        seed = round as f64 / 10.0
    )
}

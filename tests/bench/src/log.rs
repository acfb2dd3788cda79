//! The log method without an end: how long after a commit its rows are acknowledged, at 1,000 changes a second; and what
//! one large transaction costs.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use support::{Database, Postgres, Setup};
use tokio::time::Instant;

use crate::Scale;
use crate::child::{cost_so_far, measure};
use crate::end_to_end::binary;
use crate::figure::Figure;

const CHANGES_PER_SECOND: u64 = 1_000;
/// Rows of one transaction.
const ROWS: u64 = 10;
const SECONDS: u64 = 60;
/// The first changes find a process that has just begun.
const WARM_UP: u64 = 2_000;
const PROJECT: &str = "version: 1\nproject: bench\nconnections:\n  \
    warehouse: { type: postgres, url: \"${WAREHOUSE_URL}\" }\n  \
    sink:\n    type: webhook\n    base_url: \"${SINK_URL}\"\n    requests: 1000000\n    in_flight: 8\n    \
    objects:\n      rows:\n        rows_per_call: 1000\n        upsert: { path: /rows }\n";
const SYNC: &str = "version: 1\nsync: bench\n\
    model: { connection: warehouse, table: bench_log, primary_key: id }\n\
    changes: { method: log, slot: bench_log, publication: bench_log, retained_max_mib: 10000 }\n\
    destination: { connection: sink, object: rows, match_on: { id: id } }\n\
    mode: upsert\nmappings: { number: number }\nschedule: { continuous: {} }\n";

/// Latency at a steady rate, and one transaction of many rows.
pub(crate) fn run(scale: &Scale) -> Vec<Figure> {
    let rows = scale.rows(SECONDS * CHANGES_PER_SECOND);
    let settings = "synchronous_commit = on".to_owned();
    let server = Postgres::start_with(&Setup { settings, ..Setup::default() });
    let database = server.database("bench_log");
    for sql in [
        format!(
            "create table bench_log as select i::bigint as id, 0::bigint as number from generate_series(1, {rows}) i"
        ),
        "alter table bench_log add primary key (id)".to_owned(),
        "create publication bench_log for table bench_log".to_owned(),
        "select pg_create_logical_replication_slot('bench_log', 'pgoutput')".to_owned(),
    ] {
        database.execute_blocking(&sql);
    }
    let sink = Sink::start();
    let project = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(project.path().join("syncs")).expect("a folder");
    std::fs::write(project.path().join("outflow.yml"), PROJECT).expect("a file");
    std::fs::write(project.path().join("syncs/bench.yml"), SYNC).expect("a file");
    let outflow = |more: &[&str]| {
        let mut command = Command::new(binary());
        command.args(["run", "-q", "-s", "bench"]).args(more).current_dir(project.path());
        command.env("WAREHOUSE_URL", &database.url).env("SINK_URL", &sink.url);
        command.stdout(Stdio::null());
        command
    };
    measure(&mut outflow(&["--once"]));
    let following = Following::start(&mut outflow(&[]));
    let committed = write(&database, rows);
    sink.wait_for(rows);
    let cost = cost_so_far(following.0.id());
    following.stop();
    let latencies = sink.latencies(&committed);
    let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize];
    let seconds = rows as f64 / CHANGES_PER_SECOND as f64;

    let many = scale.rows(200_000);
    database.execute_blocking(&format!(
        "insert into bench_log select {rows} + i, i from generate_series(1, {many}) i"
    ));
    let large = measure(&mut outflow(&["--once"]));
    vec![
        Figure::info("log.changes_per_second", rate(&committed), "rows/s"),
        Figure::info("log.commit_to_ack.p50", at(0.5), "s"),
        Figure::at_most("log.commit_to_ack.p99", at(0.99), "s", 1.0),
        Figure::info("log.commit_to_ack.max", at(1.0), "s"),
        Figure::info("log.cpu_share", cost.cpu_s / seconds, "cores"),
        Figure::at_most("log.peak_rss", cost.peak_rss_mb, "MB", 256.0),
        Figure::info("log.large_transaction.wall", large.wall_s, "s"),
        Figure::info("log.large_transaction.rows_per_second", many as f64 / large.wall_s, "rows/s"),
        Figure::at_most("log.large_transaction.peak_rss", large.peak_rss_mb, "MB", 256.0),
    ]
}

/// Changes every row once, so many a second; when each change was committed, by its number.
fn write(database: &Database, rows: u64) -> Vec<(u64, Instant)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let client = database.client().await;
        let mut committed = Vec::new();
        let began = Instant::now();
        for first in (1..=rows).step_by(ROWS as usize) {
            let due = Duration::from_micros((first - 1) * 1_000_000 / CHANGES_PER_SECOND);
            tokio::time::sleep_until(began + due).await;
            let last = (first + ROWS - 1).min(rows);
            let sql =
                format!("update bench_log set number = id where id between {first} and {last}");
            client.batch_execute(&sql).await.expect("the rows are changed");
            let now = Instant::now();
            committed.extend((first..=last).map(|number| (number, now)));
        }
        committed
    })
}

/// Changes a second, as they were made.
fn rate(committed: &[(u64, Instant)]) -> f64 {
    let (first, last) = (committed[0].1, committed[committed.len() - 1].1);
    committed.len() as f64 / (last - first).as_secs_f64()
}

/// The process that follows.
struct Following(Child);

impl Following {
    fn start(command: &mut Command) -> Self {
        Self(command.spawn().expect("outflow starts"))
    }

    /// As an operator does.
    fn stop(mut self) {
        let pid = self.0.id().to_string();
        let told = Command::new("kill").args(["-TERM", &pid]).status();
        assert!(told.is_ok_and(|status| status.success()), "it is there to be told");
        let status = self.0.wait().expect("it ends");
        assert_eq!(status.code(), Some(143), "a clean drain");
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A destination that answers at once, and remembers when it acknowledged which number.
struct Sink {
    url: String,
    acknowledged: Arc<Mutex<HashMap<u64, Instant>>>,
}

impl Sink {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let acknowledged: Arc<Mutex<HashMap<u64, Instant>>> = Arc::default();
        let kept = Arc::clone(&acknowledged);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let kept = Arc::clone(&kept);
                std::thread::spawn(move || serve(stream, &kept));
            }
        });
        Self { url, acknowledged }
    }

    /// Waits until every row has its last number.
    fn wait_for(&self, rows: u64) {
        let deadline = Instant::now() + Duration::from_secs(120);
        while (self.lock().len() as u64) < rows {
            assert!(Instant::now() < deadline, "only {} of {rows} arrived", self.lock().len());
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }

    /// Seconds from commit to acknowledgement, in order of length.
    fn latencies(&self, committed: &[(u64, Instant)]) -> Vec<f64> {
        let acknowledged = self.lock();
        let warm_up = WARM_UP.min(committed.len() as u64 / 10);
        let mut latencies: Vec<f64> = committed
            .iter()
            .filter(|(number, _)| *number > warm_up)
            .map(|(number, at)| acknowledged[number].saturating_duration_since(*at).as_secs_f64())
            .collect();
        latencies.sort_by(f64::total_cmp);
        latencies
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Instant>> {
        self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Answers the requests of one connection.
fn serve(stream: TcpStream, acknowledged: &Mutex<HashMap<u64, Instant>>) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut writer = stream.try_clone().ok()?;
    let mut reader = BufReader::new(stream);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            let line = line.trim_end().to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().ok()?;
            }
            if line.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let rows: Vec<serde_json::Value> = serde_json::from_slice(&body).expect("a list of rows");
        writer.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").ok()?;
        let now = Instant::now();
        let mut acknowledged = acknowledged.lock().unwrap_or_else(PoisonError::into_inner);
        for number in rows.iter().filter_map(|row| row["number"].as_u64()).filter(|n| *n > 0) {
            acknowledged.entry(number).or_insert(now);
        }
    }
}

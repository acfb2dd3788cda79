//! The reader, warehouse to Arrow, against `psql -c "COPY (...) TO STDOUT (FORMAT binary)"` and other readers in the same
//! rounds: every row by one connection and by two, and one row in a hundred by watermark.

use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::sync::Arc;

use flow::{Changes, Model, ReadRequest, Relation, Scope, Source, Watermark};
use support::Postgres;

use crate::child::{Cost, measure};
use crate::figure::Figure;
use crate::peers::{self, PEERS};
use crate::quiet::Rounds;
use crate::{Scale, warehouse};

const ROUNDS: usize = 5;
/// One row in so many is read by watermark.
const CHANGED: u64 = 100;
/// `updated_at` of `bench_rows`: 2026-03-01, and a second later for every row.
const FIRST_MICROS: i64 = 1_772_323_200_000_000;

/// One round of every reader.
struct Round {
    psql: Cost,
    one: Cost,
    two: Cost,
    psql_changed: Cost,
    changed: Cost,
    /// Seconds of [`PEERS`].
    peers: Vec<f64>,
}

/// Interleaves all programs and compares round by round.
pub(crate) fn run(scale: &Scale) -> Vec<Figure> {
    let rows = scale.rows(5_000_000);
    let database = warehouse::rows(rows);
    let columns = warehouse::COLUMNS.join(", ");
    // The same rows in the same order as the reader asks for.
    let query = format!("select {columns} from bench_rows order by id");
    let since = FIRST_MICROS + (rows - rows / CHANGED + 1) as i64 * 1_000_000;
    let changed = format!(
        "select {columns} from bench_rows where updated_at >= to_timestamp({}) order by updated_at, id",
        since / 1_000_000
    );
    let psql = |query: &str| {
        let mut command = Command::new(Postgres::shared().program("psql"));
        let copy = format!("COPY ({query}) TO STDOUT (FORMAT binary)");
        measure(command.args([&database.url, "-X", "-q", "-c", &copy]))
    };
    let ours = |connections: &str, since: &str| {
        let this = std::env::current_exe().expect("this program has a path");
        measure(Command::new(this).args(["read-once", &database.url, connections, since]))
    };
    let python = peers::python();
    let peer = |python: &PathBuf, peer| {
        // connectorx cuts an unordered query itself.
        let unordered = format!("select {columns} from bench_rows");
        let query = if peer == 2 { &unordered } else { &query };
        peers::seconds(python, &PEERS[peer], (&database.url, query, rows))
    };
    psql(&query);
    let rounds = Rounds::of(ROUNDS, scale.noisy, |_| Round {
        psql: psql(&query),
        one: ours("1", "all"),
        two: ours("2", "all"),
        psql_changed: psql(&changed),
        changed: ours("1", &since.to_string()),
        peers: python.iter().flat_map(|python| (0..PEERS.len()).map(|n| peer(python, n))).collect(),
    });
    let mut figures = of_reader(&rounds, rows);
    if python.is_some() {
        figures.extend(of_peers(&rounds));
    }
    figures
}

fn of_reader(rounds: &Rounds<Round>, rows: u64) -> Vec<Figure> {
    let of = |name: &str| format!("read.{name}");
    let one = |round: &Round| round.one.wall_s / round.psql.wall_s;
    let two = |round: &Round| round.two.wall_s / round.psql.wall_s;
    let changed = |round: &Round| round.changed.wall_s / round.psql_changed.wall_s;
    let one_cpu = rounds.median(|round| round.one.cpu_s);
    let one_rss = rounds.median(|round| round.one.peak_rss_mb);
    let two_rss = rounds.median(|round| round.two.peak_rss_mb);
    vec![
        Figure::info(&of("psql_copy"), rounds.median(|round| round.psql.wall_s), "s"),
        Figure::info(&of("one_connection"), rounds.median(|round| round.one.wall_s), "s"),
        Figure::at_most(&of("one_connection.ratio_to_psql_copy"), rounds.median(one), "x", 1.05),
        Figure::info(&of("one_connection.least_ratio"), rounds.least(one), "x"),
        Figure::info(&of("one_connection.most_ratio"), rounds.most(one), "x"),
        Figure::info(&of("one_connection.cpu_per_row"), one_cpu * 1e6 / rows as f64, "us"),
        Figure::at_most(&of("one_connection.peak_rss"), one_rss, "MB", 64.0),
        Figure::info(&of("two_connections"), rounds.median(|round| round.two.wall_s), "s"),
        Figure::at_most(&of("two_connections.ratio_to_psql_copy"), rounds.median(two), "x", 0.75),
        Figure::info(&of("two_connections.least_ratio"), rounds.least(two), "x"),
        Figure::info(&of("two_connections.most_ratio"), rounds.most(two), "x"),
        Figure::at_most(&of("two_connections.peak_rss"), two_rss, "MB", 100.0),
        Figure::info(&of("watermark_1pct"), rounds.median(|round| round.changed.wall_s), "s"),
        Figure::at_most(&of("watermark_1pct.ratio_to_psql_copy"), rounds.median(changed), "x", 1.3),
    ]
}

/// How many times as long as ours the other readers take.
fn of_peers(rounds: &Rounds<Round>) -> Vec<Figure> {
    let mut figures = Vec::new();
    for (at, peer) in PEERS.iter().enumerate() {
        eprintln!("  {}: {}", peer.name, peer.settings);
        let name = |what: &str| format!("read.{}.{what}", peer.name);
        let seconds = rounds.median(|round| round.peers[at]);
        let to_psql = rounds.median(|round| round.peers[at] / round.psql.wall_s);
        figures.push(Figure::info(&name("wall"), seconds, "s"));
        figures.push(Figure::info(&name("ratio_to_psql_copy"), to_psql, "x"));
        let ours = |round: &Round| match at {
            2 => round.two.wall_s,
            _ => round.one.wall_s,
        };
        let to_ours = rounds.median(|round| round.peers[at] / ours(round));
        figures.push(Figure::at_least(&name("ratio_to_outflow"), to_ours, "x", 1.3));
    }
    figures
}

/// Reads `bench_rows` once and counts its rows; run as a process of its own, so that its memory can be measured.
pub(crate) fn read_once(url: &str, connections: &str, since: &str) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let connections = connections.parse().expect("a number");
    let since = since.parse().ok().map(Watermark);
    let rows = runtime.expect("a runtime can be built").block_on(read(url, connections, since));
    println!("{rows}");
    ExitCode::SUCCESS
}

async fn read(url: &str, connections: u32, since: Option<Watermark>) -> u64 {
    let options = serde_json::json!({ "url": url, "tls": "off", "read_connections": connections });
    let options = options.as_object().cloned().expect("an object");
    let source = reader::postgres::Postgres::open(reader::OpenArgs::new("bench", options))
        .expect("the options are right");
    let changes = match since {
        None => Changes::Snapshot,
        Some(_) => Changes::Watermark { column: "updated_at".to_owned(), lag_micros: 0 },
    };
    let model = Model {
        relation: Relation::Table("bench_rows".to_owned()),
        primary_key: vec!["id".to_owned()],
        changes,
        removed_when: None,
    };
    let request = ReadRequest {
        model: Arc::new(model),
        columns: warehouse::COLUMNS.iter().map(|&name| name.to_owned()).collect(),
        scope: since.map_or(Scope::All, Scope::Since),
        after: None,
        rows_max: None,
    };
    let mut read = source.read(request).await.expect("the read opens");
    let mut rows = 0;
    while let Some(batch) = read.next().await.expect("the read goes on") {
        rows += batch.rows.num_rows() as u64;
    }
    rows
}

//! The reader, warehouse to Arrow, against `psql -c "COPY (...) TO STDOUT (FORMAT binary)"` in the same run.

use std::process::{Command, ExitCode};
use std::sync::Arc;

use flow::{Changes, Model, ReadRequest, Relation, Scope, Source};
use support::Postgres;

use crate::child::{Cost, measure};
use crate::figure::{Figure, median};
use crate::{Scale, warehouse};

const ROUNDS: usize = 5;

/// Interleaves both programs and compares round by round.
pub(crate) fn run(scale: &Scale) -> Vec<Figure> {
    let rows = scale.rows(5_000_000);
    let database = warehouse::rows(rows);
    // The same rows in the same order as the reader asks for.
    let query = format!("select {} from bench_rows order by id", warehouse::COLUMNS.join(", "));
    let copy = format!("COPY ({query}) TO STDOUT (FORMAT binary)");
    let psql = || {
        let mut command = Command::new(Postgres::shared().program("psql"));
        measure(command.args([&database.url, "-X", "-q", "-c", &copy]))
    };
    let ours = || {
        let this = std::env::current_exe().expect("this program has a path");
        measure(Command::new(this).args(["read-once", &database.url, "bench_rows"]))
    };
    psql();
    let rounds: Vec<(Cost, Cost)> = (0..ROUNDS).map(|_| (psql(), ours())).collect();
    let pick = |of: fn(&(Cost, Cost)) -> f64| median(rounds.iter().map(of).collect());
    vec![
        Figure::info("read.psql_copy", pick(|(psql, _)| psql.wall_s), "s"),
        Figure::info("read.outflow", pick(|(_, ours)| ours.wall_s), "s"),
        Figure::at_most(
            "read.ratio_to_psql_copy",
            pick(|(psql, ours)| ours.wall_s / psql.wall_s),
            "x",
            1.10,
        ),
        Figure::info("read.outflow_cpu", pick(|(_, ours)| ours.cpu_s), "s"),
        Figure::at_most("read.peak_rss", pick(|(_, ours)| ours.peak_rss_mb), "MB", 100.0),
        Figure::info("read.rows_per_second", rows as f64 / pick(|(_, ours)| ours.wall_s), "rows/s"),
    ]
}

/// Reads a model once and counts its rows; run as a process of its own, so that its memory can be measured.
pub(crate) fn read_once(url: &str, table: &str) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let rows = runtime.expect("a runtime can be built").block_on(read_all(url, table));
    println!("{rows}");
    ExitCode::SUCCESS
}

async fn read_all(url: &str, table: &str) -> u64 {
    let options = serde_json::json!({ "url": url, "tls": "off" });
    let options = options.as_object().cloned().expect("an object");
    let source = reader::postgres::Postgres::open(reader::OpenArgs::new("bench", options))
        .expect("the options are right");
    let table = table.to_owned();
    let model = Model {
        relation: Relation::Table(table),
        primary_key: vec!["id".to_owned()],
        changes: Changes::Snapshot,
        removed_when: None,
    };
    let request = ReadRequest {
        model: Arc::new(model),
        columns: warehouse::COLUMNS.iter().map(|&name| name.to_owned()).collect(),
        scope: Scope::All,
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

//! The snapshot method: every row is read and merged with the ledger, against psql's plain binary COPY of the same rows in
//! the same order.

use std::process::Command;

use support::Postgres;

use crate::child::{Cost, measure};
use crate::end_to_end::{SYNC, Simulator, outflow, project};
use crate::figure::Figure;
use crate::quiet::Rounds;
use crate::{Scale, warehouse};

const ROUNDS: usize = 5;
const CHANGED_ROUNDS: usize = 3;

/// A first load that writes the ledger, runs that find nothing changed, and a run that finds 1 % changed.
pub(crate) fn run(scale: &Scale) -> Vec<Figure> {
    let rows = scale.rows(5_000_000);
    let database = warehouse::rows(rows);
    let simulator = Simulator::start();
    let method = "{ method: watermark, column: updated_at, lag: 5m }";
    assert!(SYNC.contains(method));
    let project = project(&SYNC.replace(method, "{ method: snapshot }"));
    let ours = || measure(&mut outflow(project.path(), &database.url, &simulator.url));
    // The columns that the sync reads.
    let columns = "id, email, name, active_days, mrr, traits, created_at";
    let copy =
        format!("COPY (select {columns} from bench_rows order by id) TO STDOUT (FORMAT binary)");
    let psql = || {
        let mut command = Command::new(Postgres::shared().program("psql"));
        measure(command.args([&database.url, "-X", "-q", "-c", &copy]))
    };
    let first = ours();
    let bytes = bytes_of(&project.path().join(".outflow")) as f64 / rows as f64;
    psql();
    let rounds = Rounds::of(ROUNDS, scale.noisy, |_| (psql(), ours()));
    let pick = |of: fn(&(Cost, Cost)) -> f64| rounds.median(of);
    let unchanged = pick(|(_, ours)| ours.wall_s);
    let ratio = pick(|(psql, ours)| ours.wall_s / psql.wall_s);
    let changed = Rounds::of(CHANGED_ROUNDS, scale.noisy, |round| {
        // Spread evenly, as changes are; one row in a hundred.
        let rows = format!("where id % 100 = {}", 7 * round % 100);
        database.execute_blocking(&format!("update bench_rows set name = name || '!' {rows}"));
        database.execute_blocking("vacuum (freeze, analyze) bench_rows");
        (psql(), ours())
    });
    let changed_ratio = changed.median(|(psql, ours)| ours.wall_s / psql.wall_s);
    let changed_rss = changed.median(|(_, ours)| ours.peak_rss_mb);
    vec![
        Figure::info("snapshot.first_load.wall", first.wall_s, "s"),
        Figure::info("snapshot.first_load.cpu_per_row", per_row(first.cpu_s, rows), "us"),
        Figure::at_most("snapshot.first_load.peak_rss", first.peak_rss_mb, "MB", 256.0),
        Figure::at_most("snapshot.state_bytes_per_row", bytes, "B", 40.0),
        Figure::info("snapshot.psql_copy", pick(|(psql, _)| psql.wall_s), "s"),
        Figure::info("snapshot.unchanged.wall", unchanged, "s"),
        Figure::at_most("snapshot.unchanged.ratio_to_psql_copy", ratio, "x", 1.20),
        Figure::at_most(
            "snapshot.unchanged.peak_rss",
            pick(|(_, ours)| ours.peak_rss_mb),
            "MB",
            100.0,
        ),
        Figure::info(
            "snapshot.unchanged.cpu_per_row",
            per_row(pick(|(_, ours)| ours.cpu_s), rows),
            "us",
        ),
        Figure::info("snapshot_1pct.ratio_to_psql_copy", changed_ratio, "x"),
        Figure::at_most("snapshot_1pct.adds", changed_ratio / ratio, "x", 1.10),
        Figure::at_most("snapshot_1pct.peak_rss", changed_rss, "MB", 100.0),
    ]
}

fn per_row(seconds: f64, rows: u64) -> f64 {
    seconds * 1e6 / rows as f64
}

/// Bytes of all files in a folder.
fn bytes_of(folder: &std::path::Path) -> u64 {
    let entries = std::fs::read_dir(folder).expect("the folder is there");
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(meta) if meta.is_dir() => bytes_of(&entry.path()),
            Ok(meta) => meta.len(),
            Err(_) => 0,
        })
        .sum()
}

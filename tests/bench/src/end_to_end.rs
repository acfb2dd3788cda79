//! The whole road: PostgreSQL, the real binary, the HubSpot simulator without rate limits.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::child::{Cost, measure};
use crate::figure::Figure;
use crate::{Scale, warehouse};

const PROJECT: &str = "version: 1\nproject: bench\nconnections:\n  \
    warehouse: { type: postgres, url: \"${WAREHOUSE_URL}\" }\n  \
    hubspot: { type: hubspot, token: \"${HUBSPOT_TOKEN}\", base_url: \"${HUBSPOT_BASE_URL}\", requests_per_10s: 1000000 }\n";

/// The sync of the benchmarks, by watermark.
pub(crate) const SYNC: &str = "version: 1\nsync: bench\n\
    model: { connection: warehouse, table: bench_rows, primary_key: id }\n\
    changes: { method: watermark, column: updated_at, lag: 5m }\n\
    destination: { connection: hubspot, object: contacts, match_on: { email: email } }\n\
    mode: upsert\nmappings:\n  firstname: name\n  active_days: active_days\n  mrr: mrr\n  \
    traits: { from: traits, as: string }\n  first_seen: created_at\n";

const PROPERTIES: [&str; 4] = [
    "property.active_days=contacts:active_days:number",
    "property.mrr=contacts:mrr:number",
    "property.traits=contacts:traits:string",
    "property.first_seen=contacts:first_seen:datetime",
];

/// First load, a run that finds nothing changed, and a full compare that finds nothing changed.
pub(crate) fn run(scale: &Scale) -> Vec<Figure> {
    let rows = scale.rows(200_000);
    let database = warehouse::rows(rows);
    let simulator = Simulator::start();
    let project = project(SYNC);
    let outflow =
        |args: &[&str]| measure(outflow(project.path(), &database.url, &simulator.url).args(args));
    let first = outflow(&[]);
    let nothing = outflow(&[]);
    let full = outflow(&["--full-refresh"]);
    let mut figures = Vec::new();
    for (name, cost) in [("first_load", first), ("no_change", nothing), ("full_compare", full)] {
        figures.extend(of_run(name, cost, rows));
    }
    figures
}

/// What every run of a benchmark has.
pub(crate) fn project(sync: &str) -> tempfile::TempDir {
    let project = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(project.path().join("syncs")).expect("a folder");
    std::fs::write(project.path().join("outflow.yml"), PROJECT).expect("a file");
    std::fs::write(project.path().join("syncs/bench.yml"), sync).expect("a file");
    project
}

/// A run of the project's sync with the release binary.
pub(crate) fn outflow(project: &Path, warehouse_url: &str, simulator_url: &str) -> Command {
    let mut command = Command::new(binary());
    command.args(["run", "-q", "-s", "bench"]);
    command.env("WAREHOUSE_URL", warehouse_url).env("HUBSPOT_TOKEN", "pat-bench");
    command.env("HUBSPOT_BASE_URL", simulator_url).current_dir(project);
    command
}

fn of_run(name: &str, cost: Cost, rows: u64) -> Vec<Figure> {
    let name = |what: &str| format!("end_to_end.{name}.{what}");
    vec![
        Figure::info(&name("wall"), cost.wall_s, "s"),
        Figure::info(&name("rows_per_second"), rows as f64 / cost.wall_s, "rows/s"),
        Figure::info(&name("cpu"), cost.cpu_s, "s"),
        Figure::info(&name("cpu_per_row"), cost.cpu_s * 1e6 / rows as f64, "us"),
        Figure::at_most(&name("peak_rss"), cost.peak_rss_mb, "MB", 256.0),
    ]
}

/// The release binary beside this program.
pub(crate) fn binary() -> PathBuf {
    let this = std::env::current_exe().expect("this program has a path");
    let binary = this.parent().unwrap_or(Path::new(".")).join("outflow");
    assert!(binary.exists(), "{} is missing: start this through `make bench`", binary.display());
    binary
}

/// A simulator in a process of its own, so that its cost is not ours.
pub(crate) struct Simulator {
    pub(crate) url: String,
    child: Child,
}

impl Simulator {
    pub(crate) fn start() -> Self {
        Self::of("hubspot", "off", &PROPERTIES)
    }

    /// The double of a vendor, with its limits (`vendor`) or without (`off`).
    pub(crate) fn of(vendor: &str, limits: &str, options: &[&str]) -> Self {
        let mut command = Command::new(binary());
        command.args(["simulate", vendor, "--port", "0", "--limits", limits]);
        for option in options {
            command.args(["--option", option]);
        }
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the simulator starts");
        let stdout = child.stdout.take().expect("stdout is a pipe");
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).expect("the simulator says where it is");
        let url = line.split_whitespace().last().unwrap_or_default().to_owned();
        assert!(url.starts_with("http://"), "unexpected: {line}");
        Self { url, child }
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

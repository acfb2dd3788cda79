//! The same boards on what the real binary writes: real runs between a real PostgreSQL and the simulator.

use std::path::PathBuf;

use simulator::LimitSwitch;

use super::live::every_panel_has_data;
use super::prometheus_is_here;
use crate::project::{Project, SYNC};

#[tokio::test]
async fn real_runs_answer_every_panel_with_data() {
    if !prometheus_is_here() {
        return;
    }
    let project = Project::with_limits(LimitSwitch::Vendor).await;
    project.write("syncs/people.yml", &format!("{SYNC}schedule: {{ every: 15m }}\n"));
    let textfile = project.path("outflow_people.prom");
    // The first run comes before the first scrape, which then finds a file.
    run_changed(&project, 1).await;
    tokio::select! {
        () = run_forever(&project) => {}
        () = every_panel_has_data(move || read_textfile(&textfile)) => {}
    }
}

fn read_textfile(file: &PathBuf) -> String {
    std::fs::read_to_string(file).unwrap_or_default()
}

/// A scheduler of sorts. Every run has more rows than the one before, so that its counters, which begin at 0 in
/// each process, move between two scrapes.
async fn run_forever(project: &Project) {
    for run in 2.. {
        run_changed(project, run).await;
    }
}

async fn run_changed(project: &Project, run: u64) {
    let from = run * 100_000;
    project.insert(from, from + 100 * run).await;
    let folder = project.dir.path().to_string_lossy().into_owned();
    let arguments = ["run", "-s", "people", "--quiet", "--metrics-textfile", &folder];
    project.outflow(&arguments).await.exits(0);
}

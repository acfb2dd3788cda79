//! The same boards on what the real binary writes: real runs between a real PostgreSQL and the simulator.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use simulator::LimitSwitch;

use super::live::every_panel_has_data;
use super::prometheus_is_here;
use crate::project::{Project, SYNC, eventually};

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
    let scrapes = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&scrapes);
    let expose = move || {
        counted.fetch_add(1, Ordering::Relaxed);
        std::fs::read_to_string(&textfile).unwrap_or_default()
    };
    tokio::select! {
        () = run_forever(&project, &scrapes) => {}
        () = every_panel_has_data(expose) => {}
    }
}

/// A scheduler of sorts. Every run has more rows than the one before, so that its counters, which begin at 0 in
/// each process, move from one run to the next; and each is scraped before the next one begins.
async fn run_forever(project: &Project, scrapes: &AtomicU64) {
    for run in 2.. {
        run_changed(project, run).await;
        let at_its_end = scrapes.load(Ordering::Relaxed);
        let scraped = async || scrapes.load(Ordering::Relaxed) > at_its_end + 1;
        eventually("two scrapes after a run", scraped).await;
    }
}

async fn run_changed(project: &Project, run: u64) {
    let from = run * 100_000;
    project.insert(from, from + 100 * run).await;
    let folder = project.dir.path().to_string_lossy().into_owned();
    let arguments = ["run", "-s", "people", "--quiet", "--metrics-textfile", &folder];
    project.outflow(&arguments).await.exits(0);
}

//! A state in PostgreSQL that several processes share: commands, owners that stand still, and workers (S2, D3).

use std::time::Duration;

use tokio::process::Child;
use tokio::time::Instant;

use crate::project::{Project, SYNC, eventually, finish};

/// A project whose state is in its warehouse's server, under leases that end soon; one call at a time.
async fn shared() -> Project {
    let project = Project::new().await;
    let file = std::fs::read_to_string(project.path("outflow.yml")).expect("a file");
    let state = "state: { backend: postgres, connection: warehouse, lease: 3s }\nconnections:";
    project.write("outflow.yml", &file.replace("connections:", state));
    project.write("syncs/people.yml", &format!("{SYNC}delivery: {{ max_concurrency: 1 }}\n"));
    project
}

fn signal(child: &Child, name: &str) {
    let id = child.id().expect("it runs").to_string();
    let sent = std::process::Command::new("kill").args([&format!("-{name}"), &id]).status();
    assert!(sent.is_ok_and(|status| status.success()), "kill -{name} {id}");
}

fn workers(project: &Project, number: usize) -> Vec<Child> {
    let args = ["run", "-s", "people", "--worker", "--output", "json"];
    (0..number).map(|_| project.spawn(&args)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_works_on_a_state_in_postgresql() {
    let project = shared().await;
    project.insert(0, 250).await;
    project.database.execute("update people set email = 'nobody' where id = 7").await;
    project.run().await.balances();
    assert!(!project.path(".outflow/state.db").exists());
    for (args, shows) in [
        (vec!["status"], "people"),
        (vec!["runs", "ls"], "people"),
        (vec!["state", "show"], "schema outflow_state"),
        (vec!["rejects", "ls"], "people"),
        (vec!["plan", "-s", "people"], "people"),
    ] {
        let shown = project.outflow(&args).await.exits(0);
        assert!(shown.stdout.contains(shows), "{args:?}: {}", shown.stdout);
    }
    let again = project.run().await.balances();
    assert_eq!(again.count("delivered"), 0);
    project.outflow(&["state", "reset", "-s", "people", "--yes"]).await.exits(0);
    let fresh = project.run().await.balances();
    assert_eq!(fresh.count("read"), 250, "from zero, and nothing is doubled");
    project.converged(&[7]).await;
    let file = std::fs::read_to_string(project.path("outflow.yml")).expect("a file");
    project.write("outflow.yml", &file.replace("project: test", "project: another"));
    let refused = project.run().await.exits(78);
    assert!(refused.stderr.contains("E3006"), "{}", refused.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_stood_still_is_superseded_and_sends_nothing_more() {
    // S2, F29: the owner is frozen past its lease; another takes over; the owner wakes up.
    let project = shared().await;
    project.insert(0, 3_000).await;
    project.faults("op=batch_upsert;do=delay:100;times=*").await;
    let first = project.spawn(&["run", "-s", "people", "--output", "json"]);
    eventually("rows arrive", || async { project.writes().await >= 3 }).await;
    let early = project.run().await.exits(5);
    assert!(early.stderr.contains("E3010"), "{}", early.stderr);
    signal(&first, "STOP");
    eventually("the lease is over", || async { project.run().await.code == Some(0) }).await;
    let writes = project.writes().await;
    signal(&first, "CONT");
    let late = finish(first).await;
    assert_eq!(late.code, Some(5), "{}\n{}", late.stdout, late.stderr);
    assert_eq!(project.writes().await, writes, "it sent after it was superseded");
    project.clear_faults().await;
    project.run().await.exits(0).balances();
    project.converged(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_make_a_first_load_faster_and_their_books_balance() {
    let mut took = Vec::new();
    for number in [1, 2, 4] {
        let project = shared().await;
        project.insert(0, 6_000).await;
        project.faults("op=batch_upsert;do=delay:150;times=*").await;
        let began = Instant::now();
        let (mut read, mut delivered) = (0, 0);
        for worker in workers(&project, number) {
            let summary = finish(worker).await.exits(0).summary();
            for sync in summary["syncs"].as_array().expect("a list") {
                let count = |name: &str| sync["counts"][name].as_u64().unwrap_or_default();
                read += count("read");
                delivered += count("delivered");
            }
        }
        took.push(began.elapsed());
        assert_eq!((read, delivered), (6_000, 6_000), "{number} workers");
        project.converged(&[]).await;
        // The watermark moved with the last shard: an ordinary run reads little, and sends nothing.
        let after = project.run().await.exits(0).balances();
        assert!(after.count("read") < 1_000 && after.count("requests") == 0, "{}", after.stdout);
    }
    let ratio = |index: usize| took[0].as_secs_f64() / took[index].as_secs_f64();
    assert!(ratio(1) > 1.3 && ratio(2) > 1.6, "1, 2 and 4 workers took {took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_and_a_frozen_worker_lose_and_double_nothing() {
    // S1, S2, D1, D3
    let project = shared().await;
    project.insert(0, 6_000).await;
    project.faults("op=batch_upsert;do=delay:50;times=*").await;
    let mut all = workers(&project, 4);
    eventually("rows arrive", || async { project.writes().await >= 12 }).await;
    let mut killed = all.remove(0);
    killed.kill().await.expect("killed");
    let frozen = all.remove(0);
    signal(&frozen, "STOP");
    for worker in all {
        finish(worker).await.exits(0);
    }
    let writes = project.writes().await;
    signal(&frozen, "CONT");
    let late = finish(frozen).await;
    assert!(late.code == Some(5) || late.code == Some(0), "{}\n{}", late.stdout, late.stderr);
    assert_eq!(project.writes().await, writes, "the frozen worker sent after it was superseded");
    project.clear_faults().await;
    tokio::time::timeout(Duration::from_secs(60), async {
        project.run().await.exits(0).balances()
    })
    .await
    .expect("in time");
    project.converged(&[]).await;
    let again = project.run().await.exits(0).balances();
    assert_eq!(again.count("requests"), 0);
}

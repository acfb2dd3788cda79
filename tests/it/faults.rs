//! Faults on both sides: the destination answers wrongly or not at all, the warehouse goes away, the process dies.

use std::time::Duration;

use support::Postgres;

use crate::project::{Project, SYNC, eventually, finish};

/// Runs into the fault and then until the run is clean; the destination must hold the source.
async fn converges_despite(rule: &str) {
    let project = Project::new().await;
    project.insert(0, 1_000).await;
    project.faults(rule).await;
    let mut runs = 0;
    loop {
        let run = project.run().await;
        let run = run.balances();
        runs += 1;
        if run.code == Some(0) {
            break;
        }
        assert!(runs < 5, "{rule}: {}\n{}", run.stdout, run.stderr);
    }
    project.converged(&[]).await;
    let again = project.run().await.exits(0).balances();
    assert_eq!(again.count("requests"), 0, "{rule}");
}

#[tokio::test(flavor = "multi_thread")]
async fn throttling_is_waited_out() {
    converges_despite(
        "op=batch_upsert;nth=3;times=2;do=status:429;policy=TEN_SECONDLY_ROLLING;retry-after=1",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn server_errors_and_html_pages_are_retried() {
    converges_despite(
        "op=batch_upsert;nth=2;times=2;do=status:500\nop=batch_upsert;nth=5;times=1;do=status:502;body=html",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_connection_and_a_lost_answer_double_nothing() {
    // D4, F14
    converges_despite(
        "op=batch_upsert;nth=2;times=1;do=reset\nop=batch_upsert;nth=4;times=2;do=apply-then-reset\n\
         op=batch_upsert;nth=8;times=1;do=truncate\nop=batch_upsert;nth=9;times=1;do=apply-then-status:500",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_the_answer_does_not_mention_are_sent_again() {
    // D6, F16: 207 with missing rows, empty results without errors, another order, a row twice.
    converges_despite(
        "op=batch_upsert;nth=2;times=1;do=drop-rows:7\nop=batch_upsert;nth=4;times=1;do=empty-result:207\n\
         op=batch_upsert;nth=6;times=1;do=reorder\nop=batch_upsert;nth=7;times=1;do=duplicate-rows:3",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_token_exits_77_and_changes_nothing() {
    let mut project = Project::new().await;
    project.insert(0, 10).await;
    project.faults("do=unauthorized;times=*").await;
    let run = project.run().await.exits(77);
    assert!(run.stderr.contains("E2"), "{}", run.stderr);
    assert!(!run.stderr.contains("pat-test-token") && !run.stdout.contains("pat-test-token"));
    assert!(project.contacts().await.is_empty());
    project.clear_faults().await;
    project.token = "pat-test-token".to_owned();
    project.run().await.exits(0);
    project.converged(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_warehouse_exits_69() {
    let mut project = Project::new().await;
    project.warehouse_url = "postgres://nobody@127.0.0.1:1/nothing".to_owned();
    let run = project.run().await.exits(69);
    assert!(run.stderr.contains("E1"), "{}", run.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_table_column_or_permission_is_named() {
    let mut project = Project::new().await;
    project.insert(0, 10).await;
    project.database.execute("create role reader_without_rights login password 'secret'").await;
    project.warehouse_url = project.database.url_as("reader_without_rights", "secret");
    let run = project.run().await;
    assert_ne!(run.code, Some(0));
    assert!(run.stderr.contains("people") && !run.stderr.contains("secret"), "{}", run.stderr);
    project.warehouse_url.clone_from(&project.database.url);
    project.database.execute("alter table people rename column score to points").await;
    let run = project.run().await;
    assert_ne!(run.code, Some(0));
    assert!(run.stderr.contains("score"), "{}", run.stderr);
    project.database.execute("drop table people").await;
    let run = project.run().await;
    assert_ne!(run.code, Some(0));
    assert!(run.stderr.contains("people"), "{}", run.stderr);
    assert_eq!(project.writes().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_restarted_in_mid_read_loses_nothing() {
    // R3, F3: on a cluster of its own, restarted while the run is under way.
    let postgres = Postgres::start();
    let project = Project::on(postgres.database(None), simulator::LimitSwitch::Off).await;
    // A read that takes its time: the warehouse sleeps at every hundredth row.
    let slow = "sql: \"select p.* from people p, lateral (select pg_sleep(case when p.id % 100 = 0 then 0.01 else 0 end)) s\"";
    project.write("syncs/people.yml", &SYNC.replace("table: people", slow));
    project.insert(0, 30_000).await;
    let child = project.spawn(&["run", "-s", "people", "--output", "json"]);
    eventually("rows arrive", || async { project.writes().await > 2 }).await;
    postgres.restart(true);
    let run = finish(child).await.balances();
    if run.code != Some(0) {
        project.run().await.exits(0).balances();
    }
    project.converged(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_run_of_the_same_sync_exits_5() {
    // S2
    let project = Project::new().await;
    project.insert(0, 2_000).await;
    project.faults("op=batch_upsert;nth=3;do=delay:6000;times=*").await;
    let first = project.spawn(&["run", "-s", "people", "--output", "json"]);
    eventually("the first run sends", || async { project.writes().await > 0 }).await;
    let second = project.run().await.exits(5);
    assert!(second.stderr.contains("E3"), "{}", second.stderr);
    project.clear_faults().await;
    finish(first).await.exits(0).balances();
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_drains_commits_and_exits_143() {
    // S3
    let project = Project::new().await;
    project.insert(0, 5_000).await;
    project.faults("op=batch_upsert;do=delay:200;times=*").await;
    let child = project.spawn(&["run", "-s", "people", "--output", "json"]);
    eventually("rows arrive", || async { project.writes().await >= 4 }).await;
    signal(&child, "TERM");
    let run = finish(child).await.exits(143).balances();
    assert!(run.count("delivered") > 0 && run.count("parked") > 0, "{}", run.stdout);
    let acknowledged = run.count("delivered");
    project.clear_faults().await;
    let rest = project.run().await.exits(0).balances();
    assert_eq!(rest.count("delivered") + acknowledged, 5_000, "no acknowledged row is sent again");
    project.converged(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sigkill_at_random_moments_loses_and_doubles_nothing() {
    // S1, D1, D2: the real binary, killed again and again while it syncs 20,000 rows that also change meanwhile.
    let project = Project::new().await;
    project.insert(0, 20_000).await;
    project.faults("op=batch_upsert;do=delay:5;times=*").await;
    let mut kills = 0;
    for round in 0..12_u64 {
        let writes = project.writes().await;
        let mut child = project.spawn(&["run", "-s", "people", "--output", "json"]);
        let more = 1 + round * 5 % 23;
        tokio::select! {
            () = eventually("some rows arrive", || async { project.writes().await >= writes + more }) => {
                child.kill().await.expect("killed");
                kills += 1;
            }
            _ = child.wait() => {}
        }
        let change = format!(
            "update people set name = 'round {round} ' || id, updated_at = now() where id % 997 = {round}"
        );
        project.database.execute(&change).await;
    }
    assert!(kills >= 5, "only {kills} kills hit a run");
    project.clear_faults().await;
    project.run().await.exits(0).balances();
    project.converged(&[]).await;
    let again = project.run().await.exits(0).balances();
    assert_eq!(again.count("requests"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_or_newer_state_is_refused_and_left_alone() {
    // S4, F26
    let project = Project::new().await;
    project.insert(0, 100).await;
    project.run().await.exits(0);
    let path = project.path(".outflow/state.db");
    let good = std::fs::read(&path).expect("the state is a file");
    std::fs::write(&path, &good[..good.len() / 2]).expect("truncated");
    let run = project.run().await;
    assert!(run.code != Some(0) && run.stderr.contains("E3"), "{}", run.stderr);
    assert_eq!(std::fs::read(&path).expect("still there").len(), good.len() / 2);

    let mut newer = good.clone();
    newer[60..64].copy_from_slice(&999_u32.to_be_bytes()); // user_version in the SQLite header
    std::fs::write(&path, &newer).expect("written");
    let run = project.run().await;
    assert!(run.code != Some(0) && run.stderr.contains("newer"), "{}", run.stderr);

    // Rebuilding from zero upserts and never doubles.
    std::fs::remove_dir_all(project.path(".outflow")).expect("removed");
    project.run().await.exits(0).balances();
    project.converged(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limits_of_the_account_are_kept_without_provoking_a_429() {
    // L1: measured at the simulator, over two runs that follow each other.
    let project = Project::with_limits(simulator::LimitSwitch::Vendor).await;
    project.insert(0, 15_000).await;
    let began = tokio::time::Instant::now();
    project.run().await.exits(0).balances();
    project
        .database
        .execute("update people set name = 'x', updated_at = now() where id < 5000")
        .await;
    project.run().await.exits(0).balances();
    assert!(began.elapsed() > Duration::from_secs(9), "200 calls do not fit into one window");
    let stats = project.stats().await;
    assert_eq!(stats["by_status"]["429"].as_u64().unwrap_or(0), 0, "{stats:#}");
    project.converged(&[]).await;
}

fn signal(child: &tokio::process::Child, name: &str) {
    let pid = child.id().expect("running").to_string();
    let sent = std::process::Command::new("kill").args([&format!("-{name}"), &pid]).status();
    assert!(sent.is_ok_and(|status| status.success()));
}

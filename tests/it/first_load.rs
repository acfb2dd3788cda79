//! First loads by several connections with the real binary: killed in the middle and gone on with, while rows move between
//! the parts, and complete in the end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use support::Database;

use crate::project::{Output, Project, SYNC, eventually};

const ROWS: i64 = 12_000;
const WATERMARK: &str = "changes: { method: watermark, column: updated_at, lag: 5m }";

/// Rows wide enough for more than one part of 8 MiB, in no order.
async fn project(sync: &str) -> Project {
    let project = Project::new().await;
    let config = std::fs::read_to_string(project.path("outflow.yml")).expect("a file");
    let url = "url: \"${WAREHOUSE_URL}\"";
    assert!(config.contains(url));
    project.write("outflow.yml", &config.replace(url, &format!("{url}, read_connections: 3")));
    project.write("syncs/people.yml", sync);
    let rows = format!(
        "insert into people select i, 'user' || i || '@example.com', (select string_agg(md5(i || '-' || j), '') from generate_series(1, 56) as j), 1,
           '2026-02-01T00:00:00Z'::timestamptz, 'pro',
           '2026-03-01T00:00:00Z'::timestamptz + i * interval '1 second'
         from generate_series(0, {}) i order by md5(i::text); analyze people",
        ROWS - 1
    );
    project.database.execute(&rows).await;
    project
}

/// Makes rows change their place in the order, and stops when it is told to.
async fn write(database: Database, stop: Arc<AtomicBool>, moves: &'static str) {
    let client = database.client().await;
    let mut round = 0_i64;
    while !stop.load(Ordering::Relaxed) {
        round += 1;
        let (row, far) = (round * 7919 % ROWS, round * 104_729 % ROWS);
        let sql = format!(
            "update people set updated_at = now(), name = 'moved ' || {round} where id = {row}; \
             update people set {moves} where id = {far}"
        );
        client.batch_execute(&sql).await.expect("the warehouse is there");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

/// Starts a run, sees that several connections read, and kills it after so many more calls.
async fn kill_after(project: &Project, calls: u64) {
    let writes = project.writes().await;
    let mut child = project.spawn(&["run", "-s", "people", "--output", "json"]);
    let client = project.database.client().await;
    let sessions = "select count(*) from pg_stat_activity \
        where datname = current_database() and query like 'COPY%' and query like '%people%'";
    eventually("several connections read", || async {
        client.query_one(sessions, &[]).await.expect("an answer").get::<_, i64>(0) >= 2
    })
    .await;
    eventually("rows arrive", || async { project.writes().await >= writes + calls }).await;
    child.kill().await.expect("killed");
}

/// Kills a first load twice while rows move; gives the run that then went through.
async fn killed(project: &Project, moves: &'static str) -> Output {
    project.faults("op=batch_upsert;do=delay:200;times=*").await;
    let stop = Arc::new(AtomicBool::new(false));
    let writer = tokio::spawn(write(project.database.clone(), Arc::clone(&stop), moves));
    kill_after(project, 20).await;
    kill_after(project, 30).await;
    stop.store(true, Ordering::Relaxed);
    writer.await.expect("the writer ends");
    project.clear_faults().await;
    let run = project.run().await.exits(0).balances();
    // What was acknowledged and written down is not sent again.
    let all_calls = ROWS as u64 / 100;
    assert!(run.count("requests") <= all_calls - 10, "{:#}", run.summary());
    run
}

/// R1, D1, S1: the ledger remembers the parts that were sent, and every row is read in one snapshot in the end.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_first_load_by_snapshot_goes_on_and_removes_only_after_a_complete_read() {
    let mirror = SYNC
        .replace(WATERMARK, "changes: { method: snapshot }")
        .replace("mode: upsert", "mode: mirror\nremoved: { action: delete }");
    let project = project(&mirror).await;
    let run = killed(&project, "id = -1 - id").await;
    assert!(run.count("read") == ROWS as u64, "a complete read in the end: {:#}", run.summary());
    project.converged(&[]).await;
    let again = project.run().await.exits(0).balances();
    assert_eq!(again.count("requests"), 0);
}

/// R1, D1, S1: rows that moved to where the load has been already are found by the read of every row that follows it.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_first_load_by_watermark_goes_on_and_misses_no_row_that_moved() {
    let project = project(SYNC).await;
    killed(&project, "updated_at = '2026-03-01T00:00:00Z'").await;
    let back = "update people set name = 'back-dated', updated_at = '2026-03-01T00:00:01Z' where id in (3, 9000)";
    project.database.execute(back).await;
    project.run().await.exits(0).balances();
    project.converged(&[]).await;
    let again = project.run().await.exits(0).balances();
    assert_eq!(again.count("requests"), 0);
}

//! One account, several processes of the real binary: its limits are kept together, and a used-up day parks a sync.

use crate::project::{Project, SYNC, finish};

/// A second sync of the same account, of other rows and another field.
const OTHERS: &str = r"
version: 1
sync: others
model: { connection: warehouse, table: others, primary_key: id }
changes: { method: watermark, column: updated_at, lag: 5m }
destination: { connection: hubspot, object: contacts, match_on: { email: email } }
mode: upsert
delivery: { batch_rows: 10 }
mappings:
  lastname: name
";

// L1: never above 100 in any ten seconds, measured at the simulator, nothing refused, and the limit is used.
#[tokio::test(flavor = "multi_thread")]
async fn two_processes_share_the_limits_of_one_account() {
    let project = Project::of_account(&[("limit_10s", "100")]).await;
    project.insert(0, 1_500).await;
    project
        .database
        .execute(
            "create table others as select id, 'other' || id || '@example.com' email, name, updated_at from people;
             alter table others alter updated_at set not null, add primary key (id);
             create index on others (updated_at, id)",
        )
        .await;
    project.write("syncs/people.yml", &format!("{SYNC}delivery: {{ batch_rows: 10 }}\n"));
    project.write("syncs/others.yml", OTHERS);
    let began = tokio::time::Instant::now();
    let run = |sync| finish(project.spawn(&["run", "-s", sync, "--output", "json"]));
    let (one, other) = tokio::join!(run("people"), run("others"));
    let seconds = began.elapsed().as_secs_f64();
    for run in [one, other] {
        assert_eq!(run.exits(0).balances().count("delivered"), 1_500);
    }
    let stats = project.stats().await;
    assert_eq!(stats["by_status"]["429"].as_u64().unwrap_or(0), 0, "{stats:#}");
    let most = stats["max_in_10s"].as_u64().expect("a peak");
    let calls = stats["requests"].as_u64().unwrap_or(0).max(304);
    // 100 go at once, and then 100 every ten seconds.
    let ideal = ((calls - 1) / 100 * 10) as f64;
    println!("{calls} calls in {seconds:.1} s (ideal {ideal:.1} s), at most {most} in ten seconds");
    assert!(most <= 100, "{stats:#}");
    assert!(seconds < ideal / 0.95 + 5.0, "{seconds} s instead of {ideal} s");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_used_up_day_parks_the_sync_and_the_next_run_makes_no_call() {
    let project = Project::of_account(&[("limit_daily", "8")]).await;
    project.insert(0, 2_000).await;
    let run = project.run().await.exits(75).balances();
    let summary = run.summary();
    let sync = &summary["syncs"][0];
    assert_eq!(
        (summary["status"].as_str(), sync["status"].as_str()),
        (Some("parked"), Some("parked"))
    );
    let (delivered, parked) = (run.count("delivered"), run.count("parked"));
    assert!(delivered > 0 && parked > 0, "{summary:#}");
    // The account's day ends at midnight UTC.
    let wake_at = sync["wake_at"].as_str().expect("a moment");
    assert!(wake_at.ends_with("T00:00:00.000000Z"), "{wake_at}");
    let calls = project.stats().await;
    assert_eq!(calls["by_status"]["429"].as_u64().unwrap_or(0), 0, "{calls:#}");

    let again = project.run().await.exits(75).balances();
    assert_eq!(again.summary()["syncs"][0]["wake_at"].as_str(), Some(wake_at));
    assert_eq!(project.stats().await["requests"], calls["requests"], "not a single call");
    let status = project.outflow(&["status", "--output", "json"]).await.exits(0);
    let shown = &status.summary()["items"][0];
    assert_eq!(shown["status"].as_str(), Some("parked"), "{shown:#}");
    assert!(shown["next_step"].as_str().is_some_and(|next| next.starts_with("wakes up")));
    let backfill = project.outflow(&["backfill", "-s", "people", "--where", "true"]).await;
    assert_eq!(backfill.code, Some(75), "{}", backfill.stderr);

    // Without the ledger's memory the account is asked, says the same, and nothing is lost.
    std::fs::remove_file(project.path(".outflow/quota.db")).expect("removed");
    project.run().await.exits(75).balances();
    assert!(project.contacts().await.len() as u64 >= delivered);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_quota_ledger_is_put_aside() {
    let project = Project::new().await;
    project.insert(0, 300).await;
    project.run().await.exits(0);
    std::fs::write(
        project.path(".outflow/quota.db"),
        b"not a database at all, and long enough to be read as one",
    )
    .expect("written");
    let _ = std::fs::remove_file(project.path(".outflow/quota.db-wal"));
    project.database.execute("update people set name = 'x', updated_at = now()").await;
    project.run().await.exits(0).balances();
    project.converged(&[]).await;
    assert!(project.path(".outflow/quota.db.damaged").exists());
}

// A backfill of one field leaves the others alone, never writes an older value, and hides nothing from the next run.
#[tokio::test(flavor = "multi_thread")]
async fn a_backfill_of_one_column_sends_that_column_alone() {
    let project = Project::new().await;
    project.insert(0, 250).await;
    project.run().await.exits(0);
    // Changes that no watermark shows: one in the column that is sent, one in another.
    project.database.execute("update people set score = 77 where id < 50; update people set name = 'changed' where id < 20").await;
    // New rows have no record yet.
    project.insert(250, 260).await;
    let run = project
        .outflow(&[
            "backfill",
            "-s",
            "people",
            "--where",
            "true",
            "--columns",
            "score",
            "--output",
            "json",
        ])
        .await
        .exits(0)
        .balances();
    assert_eq!((run.count("delivered"), run.count("unchanged")), (250, 10));
    let contacts = project.contacts().await;
    let of = |id: u64, field: &str| contacts[&format!("user{id}@example.com")][field].clone();
    assert_eq!((of(7, "score").as_str(), of(49, "score").as_str()), ("77", "77"));
    assert!(of(7, "firstname").starts_with("Näme"), "{}", of(7, "firstname"));
    let unknown = project
        .outflow(&["backfill", "-s", "people", "--where", "true", "--columns", "scores"])
        .await
        .exits(78);
    assert!(
        unknown.stderr.contains("E4071") && unknown.stderr.contains("score"),
        "{}",
        unknown.stderr
    );
    let rest =
        project.outflow(&["run", "-s", "people", "--full-refresh", "--output", "json"]).await;
    let rest = rest.exits(0).balances();
    assert_eq!(rest.count("delivered"), 60, "50 that changed and 10 new ones");
    project.converged(&[]).await;
    let again =
        project.outflow(&["run", "-s", "people", "--full-refresh", "--output", "json"]).await;
    assert_eq!(again.exits(0).count("requests"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_backfill_of_a_column_goes_on_where_it_stopped() {
    let project = Project::new().await;
    project.insert(0, 6_000).await;
    project.run().await.exits(0);
    project.faults("op=batch_upsert;do=delay:500;times=*").await;
    let args =
        ["backfill", "-s", "people", "--where", "true", "--columns", "score", "--output", "json"];
    let before = project.writes().await;
    let mut child = project.spawn(&args);
    crate::project::eventually("half of it is sent", || async {
        project.writes().await >= before + 50
    })
    .await;
    child.kill().await.expect("killed");
    project.clear_faults().await;
    let rest = project.outflow(&args).await.exits(0).balances();
    assert!(rest.count("read") < 6_000, "{:#}", rest.summary());
    project.converged(&[]).await;
}

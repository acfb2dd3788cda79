//! Guards and plans with the real binary: what stops, what it exits with, and that nothing was sent then.

use serde_json::Value;

use crate::project::{Output, Project, SYNC, eventually};

/// The sync with these guards.
fn guarded(guards: &str) -> String {
    format!("{SYNC}guards: {{ {guards} }}\n")
}

/// The run is stopped by the code: nothing is sent, and the next run without the guard sends everything.
async fn stopped(project: &Project, code: &str) -> Value {
    let writes = project.writes().await;
    let run = project.run().await.exits(4).balances();
    assert_eq!(project.writes().await, writes, "nothing is sent");
    let summary = run.summary();
    assert_eq!((&summary["status"], &summary["exit_code"]), (&"guarded".into(), &4.into()));
    let sync = summary["syncs"][0].clone();
    assert_eq!(sync["error"]["code"], code, "{sync:#}");
    assert!(run.stderr.contains(code) && run.stderr.contains("nothing was sent"), "{}", run.stderr);
    let runs = project.outflow(&["runs", "ls", "--output", "json"]).await.exits(0).summary();
    assert_eq!(runs["items"][0]["status"], "guarded");
    sync
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_would_change_too_many_rows_sends_nothing_and_says_what_they_have_in_common() {
    let project = Project::new().await;
    project.insert(0, 300).await;
    project.run().await.exits(0);
    let change = "update people set name = 'renamed ' || id, updated_at = now() where plan = 'pro'";
    project.database.execute(change).await;
    project.write("syncs/people.yml", &guarded("max_changed: 30%"));
    let sync = stopped(&project, "G004").await;
    let guard = &sync["guards"][0];
    assert_eq!((guard["count"].as_u64(), guard["of"].as_u64()), (Some(100), Some(300)), "{guard}");
    assert_eq!(guard["verdict"], "stopped");
    assert!(!sync.to_string().contains("\"pro\""), "X1: {sync}");

    let text = project.outflow(&["run", "--all", "-vv"]).await.exits(4);
    assert!(text.stdout.contains("max_changed 33.33 % of 30 % stopped"), "{}", text.stdout);
    let common = "all 100 changed rows have plan = pro";
    assert!(text.stdout.contains(common) && !text.stderr.contains("= pro"), "{}", text.stdout);
    let plan = project.outflow(&["plan"]).await.exits(0).stdout;
    assert!(plan.contains("max_changed 33.33 % of 30 % stopped"), "{plan}");
    project.write("syncs/people.yml", &guarded("max_changed: 34%"));
    let run = project.run().await.exits(0).balances();
    assert_eq!((run.count("updated"), run.count("requests")), (100, 1));
    project.converged(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_or_tiny_model_a_crowd_of_invalid_rows_and_too_many_calls_stop_a_run() {
    let project = Project::new().await;
    project.insert(0, 99).await;
    project.write("syncs/people.yml", &guarded("min_rows: 100"));
    stopped(&project, "G002").await;
    project.insert(99, 200).await;
    project.write("syncs/people.yml", &guarded("max_requests: 1"));
    stopped(&project, "G008").await;
    project.database.execute("update people set email = null where id < 20").await;
    for (guards, code) in [("max_invalid: 5%", "G007"), ("max_rejected: 5%", "G006")] {
        project.write("syncs/people.yml", &guarded(guards));
        stopped(&project, code).await;
    }
    project
        .write("syncs/people.yml", &guarded("max_invalid: 10%, max_rejected: 10%, min_rows: 200"));
    let run = project.run().await.exits(0).balances();
    assert_eq!((run.count("rejected"), run.count("created")), (20, 180));
}

/// Plans to `plan.outflow` and gives the SHA-256 that was printed.
async fn plan(project: &Project) -> String {
    let args = ["plan", "-s", "people", "--out", "plan.outflow", "--output", "json"];
    let summary = project.outflow(&args).await.exits(0).summary();
    summary["syncs"][0]["plan"]["sha256"].as_str().expect("a digest").to_owned()
}

async fn apply(project: &Project, allow: &[&str]) -> Output {
    let mut args = vec!["apply", "plan.outflow", "--output", "json"];
    for guard in allow {
        args.extend(["--allow", guard]);
    }
    project.outflow(&args).await
}

/// Applying is refused by the code: exit 4, and nothing is sent.
async fn refused(project: &Project, code: &str) {
    let writes = project.writes().await;
    let refused = apply(project, &[]).await.exits(4);
    assert_eq!(project.writes().await, writes, "nothing is sent");
    assert!(refused.stderr.contains(code), "{code}: {}", refused.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_is_reviewed_and_applied_once_and_exactly() {
    let project = Project::new().await;
    project.insert(0, 250).await;
    let text = project.outflow(&["plan", "-s", "people", "--out", "plan.outflow"]).await.exits(0);
    let digest = plan(&project).await;
    let file = std::fs::read(project.path("plan.outflow")).expect("a plan");
    assert!(file.starts_with(b"outflow plan 1 "), "it says what it is");
    assert!(text.stdout.contains("Apply it with `outflow apply plan.outflow`"), "{}", text.stdout);
    assert_eq!(digest.len(), 64);
    let late = "insert into people (id, email, updated_at) values (900, 'late@example.com', now())";
    project.database.execute(late).await;
    let applied = apply(&project, &[]).await.exits(0).balances();
    assert_eq!((applied.count("created"), applied.count("parked")), (250, 1));
    assert!(!project.contacts().await.contains_key("late@example.com"), "exactly the plan");
    refused(&project, "G012").await;
    let next = project.run().await.exits(0).balances();
    assert_eq!(next.count("created"), 1);
    project.converged(&[]).await;
    let several = project.outflow(&["plan", "--exclude", "people", "--out", "x"]).await;
    assert_eq!(several.code, Some(64), "{}", several.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_is_refused_when_source_config_or_state_moved_on_or_its_file_is_damaged() {
    let project = Project::new().await;
    project.insert(0, 100).await;
    plan(&project).await;
    project
        .database
        .execute("update people set name = 'other', updated_at = now() where id = 5")
        .await;
    refused(&project, "G010").await;
    plan(&project).await;
    project.database.execute("delete from people where id = 7").await;
    refused(&project, "G010").await;
    plan(&project).await;
    project.write("syncs/people.yml", &SYNC.replace("firstname: name", "lastname: name"));
    refused(&project, "G011").await;
    project.write("syncs/people.yml", SYNC);
    project.run().await.exits(0);
    refused(&project, "G012").await;

    project
        .database
        .execute("update people set name = 'x', updated_at = now() where id < 50")
        .await;
    plan(&project).await;
    let good = std::fs::read(project.path("plan.outflow")).expect("a plan");
    let mut bent = good.clone();
    let middle = bent.len() / 2;
    bent[middle] ^= 4;
    for (bytes, code) in [
        (bent, "E4032"),
        (good[..good.len() - 7].to_vec(), "E4032"),
        (b"id,name\n1,x\n".to_vec(), "E4031"),
        ([b"outflow plan 2 ".as_slice(), &good[15..]].concat(), "E4033"),
    ] {
        std::fs::write(project.path("plan.outflow"), bytes).expect("written");
        refused(&project, code).await;
    }
    std::fs::write(project.path("plan.outflow"), good).expect("written");
    apply(&project, &[]).await.exits(0).balances();
    project.converged(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guard_is_passed_once_by_applying_an_approved_plan() {
    let project = Project::new().await;
    project.insert(0, 100).await;
    project.write("syncs/people.yml", &guarded("first_run: confirm, max_changed: 5%"));
    stopped(&project, "G009").await;
    plan(&project).await;
    apply(&project, &[]).await.exits(0).balances();
    project.database.execute("update people set name = 'y', updated_at = now()").await;
    stopped(&project, "G004").await;
    plan(&project).await;
    refused(&project, "G004").await;
    project.outflow(&["apply", "plan.outflow", "--allow", "max_everything"]).await.exits(64);
    let applied = apply(&project, &["max_changed"]).await.exits(0).balances();
    assert_eq!(applied.count("updated"), 100);
    assert_eq!(applied.summary()["syncs"][0]["guards"][0]["verdict"], "allowed");
    project.database.execute("update people set name = 'z', updated_at = now()").await;
    stopped(&project, "G004").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_that_is_killed_is_finished_by_the_next_run() {
    // D1, S1: wherever it dies.
    let project = Project::new().await;
    project.insert(0, 4_000).await;
    plan(&project).await;
    project.faults("op=batch_upsert;do=delay:20").await;
    let mut child = project.spawn(&["apply", "plan.outflow", "-q"]);
    eventually("some rows have landed", || async { project.writes().await >= 8 }).await;
    child.start_kill().expect("killed");
    child.wait().await.expect("ended");
    project.clear_faults().await;
    project.run().await.exits(0).balances();
    project.converged(&[]).await;
    refused(&project, "G012").await;
}

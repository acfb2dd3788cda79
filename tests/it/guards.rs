//! Guards and plans with the real binary: what stops, what it exits with, and that nothing was sent then.

use serde_json::Value;

use crate::project::{Project, SYNC};

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

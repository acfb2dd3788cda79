//! What a plan shows with the real binary: from what to what, why, and as Markdown; and that it uses little memory.

use serde_json::{Value, json};

use crate::project::{Project, SYNC};

fn only(summary: &Value) -> Value {
    summary["syncs"][0].clone()
}

async fn plan(project: &Project, more: &[&str]) -> Value {
    let args: Vec<&str> =
        ["plan", "-s", "people", "--output", "json"].iter().chain(more).copied().collect();
    only(&project.outflow(&args).await.exits(0).summary())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_says_which_fields_change_from_what_to_what() {
    let project = Project::new().await;
    project.insert(0, 60).await;
    let remembering = format!("{SYNC}delivery: {{ remember: values }}\n");
    project.write("syncs/people.yml", &remembering);
    project.run().await.exits(0);
    project
        .database
        .execute(
            "update people set plan = 'ent', updated_at = now() where id in (3, 6);
                  update people set name = 'Eve', updated_at = now() where id = 9",
        )
        .await;
    let text = project.outflow(&["plan"]).await.exits(0).stdout;
    for line in [
        "~ update            3   plan_tier 2 · firstname 1",
        "sample      ~ 3   plan_tier Free -> Enterprise",
        "because     data 3",
    ] {
        assert!(text.contains(line), "{line} is not in:\n{text}");
    }
    let planned = plan(&project, &[]).await;
    assert_eq!(planned["fields"], json!({ "firstname": 1, "plan_tier": 2 }));
    let sample = &planned["samples"][0];
    assert_eq!((&sample["changed"], &sample["reason"]), (&json!(["plan_tier"]), &json!("data")));
    assert_eq!(sample["before"]["plan_tier"], "Free");
    let masked = project.outflow(&["plan", "--no-values"]).await.exits(0).stdout;
    assert!(masked.contains("plan_tier *** -> ***") && !masked.contains("Free"), "{masked}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_can_ask_the_destination_what_its_records_hold() {
    let project = Project::new().await;
    project.insert(0, 30).await;
    project.run().await.exits(0);
    project.database.execute("update people set score = 7, updated_at = now() where id < 3").await;
    let blind = plan(&project, &[]).await;
    assert_eq!((&blind["fields"], &blind["fields_unknown"]), (&json!({}), &json!(3)));
    assert!(blind["samples"][0]["before"].as_object().expect("fields").is_empty());
    let writes = project.writes().await;
    let live = plan(&project, &["--live"]).await;
    assert_eq!((&live["fields"], live.get("fields_unknown")), (&json!({ "score": 3 }), None));
    assert_eq!(live["samples"][1]["before"]["score"], "0.25");
    assert_eq!(project.writes().await, writes, "reading is not writing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_mapping_sends_again_only_what_it_changes_and_the_plan_says_why() {
    let project = Project::new().await;
    project.insert(0, 90).await;
    project.run().await.exits(0);
    // A third of the rows is `free`; one of the others changes by itself.
    project.write("syncs/people.yml", &SYNC.replace("free: Free", "free: Professional"));
    project
        .database
        .execute("update people set name = 'new', updated_at = now() where id = 1")
        .await;
    let planned = plan(&project, &[]).await;
    assert_eq!(planned["reasons"], json!({ "data": 1, "mapping": 30 }));
    assert_eq!(
        (&planned["counts"]["updated"], &planned["counts"]["unchanged"]),
        (&json!(31), &json!(59))
    );
    let run = project.run().await.exits(0).balances();
    assert_eq!((run.count("updated"), run.count("unchanged")), (31, 59));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_is_markdown_for_a_pull_request() {
    let project = Project::new().await;
    project.insert(0, 40).await;
    project
        .database
        .execute("update people set name = 'a|b <img src=x> @all [x](y)' where id = 0; update people set email = null where id = 5")
        .await;
    project.write(
        "syncs/people.yml",
        &format!("{SYNC}guards: {{ max_invalid: 1%, max_requests: 5 }}\n"),
    );
    let args = ["plan", "--output", "markdown", "--detailed-exitcode"];
    let page = project.outflow(&[&args[..], &["--values"]].concat()).await.exits(2).stdout;
    for line in [
        "### outflow plan: people",
        "| create | 39 |",
        "| max\\_invalid 2.5 % of 1 % | **stopped** |",
        "| max\\_requests 1 of 5 | ok |",
        "**Cost**: 1 request",
        "a\\|b &lt;img src=x&gt; &#64;all \\[x\\](y)",
    ] {
        assert!(page.contains(line), "{line} is not in:\n{page}");
    }
    assert!(!page.contains("<img"), "{page}");
    // X1: many read a pull request; which fields change is said, and no value of a row.
    let page = project.outflow(&args).await.exits(2).stdout;
    assert!(page.contains("| create | \\*\\*\\* |") || page.contains("| create | *** |"), "{page}");
    assert!(!page.contains("a\\|b") && !page.contains("person0@"), "{page}");
    project.outflow(&["status", "--output", "markdown"]).await.exits(64);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guard_that_is_new_reads_what_records_hold_before_it_judges() {
    let project = Project::new().await;
    project.insert(0, 100).await;
    project.run().await.exits(0);
    project.write("syncs/people.yml", &format!("{SYNC}guards: {{ max_null_out: 5% }}\n"));
    project
        .database
        .execute("update people set score = null, updated_at = now() where id < 40")
        .await;
    let writes = project.writes().await;
    let run = project.outflow(&["run", "--all"]).await.exits(4);
    assert!(run.stdout.contains("all 40 emptied values are in score"), "{}", run.stdout);
    assert!(run.stderr.contains("G005"), "{}", run.stderr);
    assert_eq!(project.writes().await, writes, "nothing was sent");
    // Asked for once: the plan is applied, and the guard stands.
    let planned = plan(&project, &["--out", "plan.outflow"]).await;
    let guard = &planned["guards"][0];
    assert_eq!((&guard["guard"], &guard["count"]), (&json!("max_null_out"), &json!(40)));
    project.outflow(&["apply", "plan.outflow"]).await.exits(4);
    assert_eq!(project.writes().await, writes, "nothing was sent");
    project.outflow(&["apply", "plan.outflow", "--allow", "max_null_out"]).await.exits(0);
    project.converged(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_would_empty_a_field_of_everybody_is_stopped_with_its_name() {
    let project = Project::new().await;
    project.insert(0, 100).await;
    project.write("syncs/people.yml", &format!("{SYNC}guards: {{ max_null_out: 5% }}\n"));
    project.run().await.exits(0);
    project
        .database
        .execute("update people set score = null, updated_at = now() where id < 40")
        .await;
    let writes = project.writes().await;
    let run = project.outflow(&["run", "--all"]).await.exits(4);
    assert_eq!(project.writes().await, writes);
    assert!(run.stdout.contains("all 40 emptied values are in score"), "{}", run.stdout);
    assert!(run.stderr.contains("G005"), "{}", run.stderr);
    project
        .database
        .execute("update people set score = id, updated_at = now() where id >= 20")
        .await;
    project.run().await.exits(0).balances();
    project.converged(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_is_stopped_with_what_the_gone_rows_had_in_common_and_goes_on_by_a_plan() {
    let project = Project::new().await;
    project.insert(0, 90).await;
    let mirror = SYNC.replace("mode: upsert", "mode: mirror\nremoved: { action: delete }");
    let guards = "guards: { max_removed: 5%, max_removed_floor: 5 }\n";
    let watermark = "method: watermark, column: updated_at, lag: 5m";
    let sync = mirror.replace(watermark, "method: snapshot");
    project.write("syncs/people.yml", &format!("{sync}{guards}"));
    project.run().await.exits(0);
    project.database.execute("delete from people where plan = 'free'").await;
    let writes = project.writes().await;
    let run = project.outflow(&["run", "--all"]).await.exits(4);
    assert!(run.stdout.contains("all 30 gone rows have plan_tier = Free"), "{}", run.stdout);
    assert!(run.stderr.contains("G003"), "{}", run.stderr);
    plan(&project, &["--out", "plan.outflow"]).await;
    project.outflow(&["apply", "plan.outflow"]).await.exits(4);
    assert_eq!(project.writes().await, writes, "nothing was sent");
    let applied =
        project.outflow(&["apply", "plan.outflow", "--allow", "max_removed", "--output", "json"]);
    let applied = only(&applied.await.exits(0).summary());
    assert_eq!(applied["counts"]["removed"], 30);
}

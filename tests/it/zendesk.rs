//! The whole system with Zendesk at its end: a process that is killed while a job is at work (D7).

use std::time::Duration;

use serde_json::Value;
use simulator::{LimitSwitch, Running, Settings};

use crate::project::{Project, eventually, finish, http};

const SYNC: &str = r#"
version: 1
sync: people
model: { connection: warehouse, table: people, primary_key: id }
changes: { method: watermark, column: updated_at, lag: 5m }
destination: { connection: desk, object: users, match_on: { email: email } }
mode: upsert
mappings:
  name: name
  external_id: { from: id, as: string }
"#;

/// A project that writes to a Zendesk of its own, whose jobs take so long.
async fn started(work: Duration) -> (Project, Running) {
    let project = Project::new().await;
    let mut settings = Settings { limits: LimitSwitch::Off, ..Settings::default() };
    settings.options.insert("work_ms".to_owned(), work.as_millis().to_string());
    let desk = simulator::start(writer_support::zendesk::simulator::build, settings)
        .await
        .expect("it starts");
    let file = format!(
        "version: 1\nproject: test\nconnections:\n  \
         warehouse: {{ type: postgres, url: \"${{WAREHOUSE_URL}}\" }}\n  \
         desk: {{ type: zendesk, email: agent@example.com, token: \"${{HUBSPOT_TOKEN}}\", base_url: \"{}\", plan: high_volume }}\n",
        desk.url()
    );
    project.write("outflow.yml", &file);
    project.write("syncs/people.yml", SYNC);
    (project, desk)
}

async fn asked(desk: &Running, path: &str) -> Value {
    let url = format!("{}/_sim/{path}", desk.url());
    http().get(url).send().await.expect("an answer").json().await.expect("JSON")
}

async fn jobs(desk: &Running) -> u64 {
    asked(desk, "stats").await["vendor"]["jobs"].as_u64().unwrap_or_default()
}

#[tokio::test]
async fn a_run_that_is_killed_while_a_job_is_at_work_doubles_nobody() {
    let (project, desk) = started(Duration::from_secs(2)).await;
    project.insert(0, 250).await;
    let mut child = project.spawn(&["run", "-s", "people", "--output", "json"]);
    eventually("a job is made", async || jobs(&desk).await > 0).await;
    child.start_kill().expect("SIGKILL");
    finish(child).await;
    let output = project.run().await.exits(0).balances();
    // Each row is delivered once: by a job that was found again, whose rows are in the books beside those that were
    // read, or by this run. What a job delivered is unchanged when it is read.
    assert_eq!(output.count("delivered"), 250);
    assert_eq!(output.count("read"), 250 + output.count("unchanged"));
    let users = asked(&desk, "records/users").await;
    let mut mails: Vec<&str> = users
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|user| user["email"].as_str())
        .collect();
    mails.sort_unstable();
    mails.dedup();
    assert_eq!((mails.len(), users.as_array().map(Vec::len)), (250, Some(250)), "everybody once");
    assert!(users.as_array().expect("a list").iter().all(|user| user["external_id"].is_string()));
}

//! The webhook destination against real software that nobody wrote for us: a ticket system and a feature server.

mod request_tracker;
mod unleash;

use serde_json::Value;

use crate::project::{Output, Project};

/// A project whose only destination is the webhook `api`, described by this YAML (indented by four).
async fn project(base_url: &str, connection: &str) -> Project {
    let project = Project::new().await;
    let yaml = format!(
        "version: 1\nproject: judged\nconnections:\n  \
         warehouse: {{ type: postgres, url: \"${{WAREHOUSE_URL}}\" }}\n  \
         api:\n    type: webhook\n    base_url: {base_url}\n{connection}"
    );
    project.write("outflow.yml", &yaml);
    std::fs::remove_file(project.path("syncs/people.yml")).expect("it was there");
    project
}

async fn run(project: &Project, sync: &str) -> Output {
    project.outflow(&["run", "-s", sync, "--output", "json"]).await
}

/// Open rejects: key, code, field and reason, by key.
async fn rejects(project: &Project, sync: &str) -> Vec<(String, String, String, String)> {
    let arguments = ["rejects", "show", "-s", sync, "--reveal", "--output", "ndjson"];
    let listed = project.outflow(&arguments).await.exits(0);
    let text = |row: &Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
    let mut rows: Vec<_> = listed
        .stdout
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON"))
        .filter(|row| row.get("reason").is_some())
        .map(|row| {
            (text(&row, "key"), text(&row, "code"), text(&row, "field"), text(&row, "reason"))
        })
        .collect();
    rows.sort();
    rows
}

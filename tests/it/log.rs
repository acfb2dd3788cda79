//! The log method in the whole system: the script that prepares the warehouse, a login without more rights than it
//! needs, runs with and without an end, a kill, and deletes.

use std::process::Command;
use std::time::Duration;

use support::{Database, Postgres, Setup};

use crate::project::{Output, Project, eventually, finish, root};

const SYNC: &str = r#"
version: 1
sync: people
model: { connection: warehouse, table: people, primary_key: id }
changes: { method: log, slot: people, publication: people, tables: [people], reconcile: { every: 1d } }
destination: { connection: hubspot, object: contacts, match_on: { email: email } }
mode: mirror
removed: { action: delete }
guards: { max_removed: 100% }
mappings:
  firstname: name
  score: score
  seen_at: seen_at
  plan_tier: { from: plan, values: { free: Free, pro: Professional, ent: Enterprise }, otherwise: keep }
"#;

/// A server whose commits are in the log when they are answered, and on it the project.
async fn project() -> (Postgres, Project) {
    let settings = "synchronous_commit = on".to_owned();
    let server = Postgres::start_with(&Setup { settings, ..Setup::default() });
    let project = Project::on(server.database("log"), simulator::LimitSwitch::Off).await;
    project.write("syncs/people.yml", SYNC);
    (server, project)
}

/// Runs a script of sql/warehouse with these variables.
fn script(server: &Postgres, database: &Database, name: &str, variables: &[&str]) {
    let mut psql = Command::new(server.program("psql"));
    psql.args(["-X", "-q", "-f"]).arg(root().join("sql/warehouse").join(name));
    psql.args(variables.iter().flat_map(|variable| ["-v", *variable]));
    psql.env("OUTFLOW_ROLE_PASSWORD", "secret");
    let output = psql.arg(&database.url).output().expect("psql runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Makes the login of role.sql and what log.sql makes, and lets the project use them.
async fn prepared() -> (Postgres, Project) {
    let (server, mut project) = project().await;
    script(&server, &project.database, "role.sql", &["role=reader", "schemas=public"]);
    let variables = ["role=reader", "slot=people", "publication=people", "tables=people"];
    for _ in 0..2 {
        script(&server, &project.database, "log.sql", &variables);
    }
    project.warehouse_url = project.database.url_as("reader", "secret");
    (server, project)
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_names_everything_the_log_needs_and_the_script_makes_it() {
    let (server, mut project) = project().await;
    script(&server, &project.database, "role.sql", &["role=reader", "schemas=public"]);
    project.warehouse_url = project.database.url_as("reader", "secret");
    let found = project.outflow(&["doctor", "warehouse"]).await;
    assert_ne!(found.code, Some(0));
    for part in
        ["WITH REPLICATION", "pg_create_logical_replication_slot", "CREATE PUBLICATION people"]
    {
        assert!(found.stdout.contains(part), "{part} is not in {}", found.stdout);
    }
    let variables = ["role=reader", "slot=people", "publication=people", "tables=people"];
    script(&server, &project.database, "log.sql", &variables);
    project.outflow(&["doctor", "warehouse"]).await.exits(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_deletes_and_truncate_reach_the_records_and_the_slot_moves_on() {
    let (_server, project) = prepared().await;
    project.insert(0, 500).await;
    let first = project.run().await.exits(0).balances();
    assert_eq!(first.count("created"), 500);
    // The log since the slot was made holds the same rows: read again, and nothing sent.
    let second = project.run().await.exits(0).balances();
    assert_eq!((second.count("read"), second.count("unchanged")), (500, 500));
    let third = project.run().await.exits(0).balances();
    assert_eq!((third.count("read"), third.count("requests")), (0, 0));

    project
        .database
        .execute("update people set name = 'new' where id = 7; delete from people where id in (8, 9); insert into people values (1000, 'x@example.com', 'x', 1, now(), 'free', '1999-01-01')")
        .await;
    let run = project.run().await.exits(0).balances();
    assert_eq!(run.count("read"), 2);
    project.converged(&[]).await;

    project.database.execute("truncate people; insert into people values (7, 'user7@example.com', 'again', 1, now(), 'pro', now())").await;
    let run = project.run().await.exits(0).balances();
    assert!(run.stdout.contains("E1067"), "why every row was read is said: {}", run.stdout);
    project.converged(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_run_is_told_the_same_again() {
    // R1, D2
    let (_server, project) = prepared().await;
    project.insert(0, 100).await;
    project.run().await.exits(0);
    project.run().await.exits(0);
    project.database.execute("update people set name = 'v' || id").await;
    project.faults("op=batch_upsert;do=delay:3000;times=*").await;
    let mut child = project.spawn(&["run", "-s", "people"]);
    eventually("the run has begun to write", || async { project.writes().await > 1 }).await;
    child.kill().await.unwrap();
    project.clear_faults().await;
    project.run().await.exits(0);
    project.converged(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_without_an_end_follows_until_a_signal_also_over_a_restart_of_the_warehouse() {
    let (server, project) = prepared().await;
    project.write(
        "syncs/people.yml",
        &format!("{SYNC}schedule: {{ continuous: {{ flush_every: 100ms }} }}\n"),
    );
    let child = project.spawn(&["run", "-s", "people", "--output", "json"]);
    for round in 0..3 {
        project.insert(round * 50, round * 50 + 50).await;
        let rows = usize::try_from(round * 50 + 50).unwrap();
        eventually("the rows have arrived", || async { project.contacts().await.len() == rows })
            .await;
        if round == 1 {
            server.restart(true);
        }
    }
    project.database.execute("delete from people where id < 50").await;
    eventually("the records are gone", || async { project.contacts().await.len() == 100 }).await;
    project.converged(&[]).await;
    let pid = child.id().unwrap().to_string();
    let ended = tokio::spawn(finish(child));
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    let ended: Output =
        tokio::time::timeout(Duration::from_secs(30), ended).await.unwrap().unwrap();
    let ended = ended.exits(143).balances();
    assert_eq!(ended.count("created"), 150, "the counts are of all flushes");
}

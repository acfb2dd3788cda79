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

/// Runs a script of sql/warehouse with these variables; gives what it said when it failed.
fn tried(
    server: &Postgres,
    database: &Database,
    name: &str,
    variables: &[&str],
) -> Result<(), String> {
    let mut psql = Command::new(server.program("psql"));
    psql.args(["-X", "-q", "-f"]).arg(root().join("sql/warehouse").join(name));
    psql.args(variables.iter().flat_map(|variable| ["-v", *variable]));
    psql.env("OUTFLOW_ROLE_PASSWORD", "secret");
    let output = psql.arg(&database.url).output().expect("psql runs");
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

fn script(server: &Postgres, database: &Database, name: &str, variables: &[&str]) {
    tried(server, database, name, variables).expect("the script does its work");
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

/// Where the slot is: everything before is acknowledged.
async fn confirmed(project: &Project) -> String {
    let sql =
        "select confirmed_flush_lsn::text from pg_replication_slots where slot_name = 'people'";
    project.database.client().await.query_one(sql, &[]).await.expect("the slot is there").get(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_names_everything_the_log_needs_and_the_script_makes_it() {
    let settings = "wal_level = replica\nsynchronous_commit = on\nmin_wal_size = 32MB".to_owned();
    let server = Postgres::start_with(&Setup { settings, ..Setup::default() });
    let mut project = Project::on(server.database("log"), simulator::LimitSwitch::Off).await;
    project.write("syncs/people.yml", SYNC);
    script(&server, &project.database, "role.sql", &["role=reader", "schemas=public"]);
    project.warehouse_url = project.database.url_as("reader", "secret");
    let says = async |code: i32, parts: &[&str]| {
        let found = project.outflow(&["doctor", "warehouse"]).await.exits(code);
        for part in parts {
            assert!(found.stdout.contains(part), "{part} is not in {}", found.stdout);
        }
    };
    let slot = "SELECT pg_create_logical_replication_slot('people', 'pgoutput');";
    let statements = [
        "ALTER SYSTEM SET wal_level = 'logical'; then restart the server.",
        "ALTER ROLE reader WITH REPLICATION;",
        slot,
        "CREATE PUBLICATION people FOR TABLE people;",
    ];
    says(78, &statements).await;
    let variables = ["role=reader", "slot=people", "publication=people", "tables=people"];
    for (variables, part) in [
        (&variables[..], "wal_level is not logical"),
        (&variables[..1], "say the name of the slot"),
        (&variables[..3], "say which tables are followed"),
    ] {
        let said = tried(&server, &project.database, "log.sql", variables).unwrap_err();
        assert!(said.contains(part), "{said}");
    }
    project.database.execute("alter system set wal_level = 'logical'").await;
    server.restart(true);
    script(&server, &project.database, "log.sql", &variables);
    says(0, &["E1038", "ALTER SYSTEM SET max_slot_wal_keep_size"]).await;

    project.database.execute("alter publication people drop table people").await;
    says(78, &["E1033", "ALTER PUBLICATION people ADD TABLE public.people;"]).await;
    project.database.execute("alter table people drop constraint people_pkey").await;
    script(&server, &project.database, "log.sql", &variables);
    says(78, &["E1035", "ALTER TABLE public.people REPLICA IDENTITY FULL;"]).await;
    project.database.execute("alter table people add primary key (id)").await;

    // Hazard: the server gives the log up.
    project.insert(0, 10).await;
    project.run().await.exits(0);
    project.run().await.exits(0);
    project.database.execute("alter system set max_slot_wal_keep_size = '1MB'").await;
    project.database.execute("select pg_reload_conf()").await;
    for _ in 0..4 {
        project.database.execute("select pg_switch_wal()").await;
        project.database.execute("create table w as select 1; drop table w; checkpoint").await;
    }
    says(1, &["E1029", &format!("SELECT pg_drop_replication_slot('people'); {slot}")]).await;
    project.insert(10, 20).await;
    project.run().await.exits(1);
    project.database.execute("select pg_drop_replication_slot('people')").await;
    script(&server, &project.database, "log.sql", &variables);
    let run = project.run().await.exits(0).balances();
    assert!(run.stdout.contains("E1064"), "why every row was read is said: {}", run.stdout);
    project.converged(&[]).await;
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
async fn plans_backfills_and_retries_know_the_log_and_only_runs_move_the_slot() {
    let (_server, project) = prepared().await;
    project.insert(0, 30).await;
    let outflow = async |args: &[&str]| project.outflow(args).await.exits(0);
    let plan = async || outflow(&["plan", "-s", "people", "--output", "json"]).await;
    assert_eq!(plan().await.count("created"), 30);
    project.run().await.exits(0);
    project.run().await.exits(0);
    let explained = outflow(&["explain", "people"]).await;
    assert!(explained.stdout.contains("slot people"), "{}", explained.stdout);

    project.database.execute("update people set name = 'p' || id where id < 3; update people set plan = 'gold' where id = 9; delete from people where id = 5").await;
    let before = confirmed(&project).await;
    let planned = plan().await;
    assert_eq!((planned.count("read"), planned.count("created")), (4, 0));
    outflow(&["backfill", "-s", "people", "--where", "id = 20"]).await;
    outflow(&["preview", "-s", "people"]).await;
    assert_eq!(confirmed(&project).await, before);
    let run = project.run().await.exits(0).balances();
    assert_eq!((run.count("read"), run.count("rejected")), (4, 1), "an unknown plan is refused");
    assert_ne!(confirmed(&project).await, before, "a reject keeps no log back");
    assert_eq!(project.contacts().await.len(), 29);
    project.database.execute("update people set plan = 'pro' where id = 9").await;
    outflow(&["rejects", "retry", "-s", "people"]).await;
    project.converged(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_run_is_told_the_same_again() {
    // R1, D2: the slot is moved on after the acknowledgement, so whatever a kill leaves behind is told again.
    let (_server, project) = prepared().await;
    project.insert(0, 300).await;
    project.run().await.exits(0);
    project.run().await.exits(0);
    for round in 0..5 {
        let before = (confirmed(&project).await, project.writes().await);
        project.database.execute(&format!("update people set name = '{round}v' || id")).await;
        // One kill while the first call has no answer, the others when calls were answered.
        let (rule, calls) = if round == 0 { ("delay:3000", 1) } else { ("delay:100", 2) };
        project.faults(&format!("op=batch_upsert;do={rule};times=*")).await;
        let mut child = project.spawn(&["run", "-s", "people"]);
        eventually("the run writes", || async { project.writes().await >= before.1 + calls }).await;
        child.kill().await.expect("it is there to be killed");
        if round == 0 {
            assert_eq!(confirmed(&project).await, before.0, "nothing is acknowledged");
        }
        project.clear_faults().await;
    }
    project.run().await.exits(0);
    project.converged(&[]).await;
    let before = confirmed(&project).await;
    project.database.execute("update people set name = 'last' where id = 1").await;
    project.run().await.exits(0);
    assert_ne!(confirmed(&project).await, before, "what is settled is let go");
    project.converged(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_load_while_others_write_is_joined_to_the_log() {
    // R1
    let (_server, project) = prepared().await;
    project.insert(0, 2000).await;
    let stop = std::sync::atomic::AtomicBool::new(false);
    let client = project.database.client().await;
    let writing = async {
        let mut number = 0;
        while !stop.load(std::sync::atomic::Ordering::Relaxed) {
            number += 1;
            let (old, new) = (number * 7 % 2000, 5000 + number);
            let sql = format!(
                "begin; update people set name = 'w{number}' where id = {old}; \
                 delete from people where id = {}; \
                 insert into people values ({new}, 'user{new}@example.com', 'n', 1, now(), 'pro', now()); commit",
                number * 13 % 2000
            );
            client.batch_execute(&sql).await.expect("it is written");
        }
        number
    };
    let running = async {
        let first = project.run().await.exits(0).balances();
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        first
    };
    let (written, first) = tokio::join!(writing, running);
    assert!(written > 20 && first.count("created") > 1000, "{written} transactions meanwhile");
    project.run().await.exits(0).balances();
    project.converged(&[]).await;
}

const JOINED: &str = r#"
version: 1
sync: people
model:
  connection: warehouse
  primary_key: id
  sql: select p.id, p.email, a.name as account, p.note from people p join accounts a on a.id = p.account_id
changes:
  method: log
  slot: people
  publication: people
  tables: [people, { name: accounts, keys: select p.id from people p join changed a on a.id = p.account_id }]
destination: { connection: hubspot, object: contacts, match_on: { email: email } }
mode: upsert
mappings: { company: account, lastname: note }
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_joined_table_leads_to_its_rows_large_values_stay_and_a_table_that_left_is_noticed() {
    let (server, mut project) = project().await;
    let note = "(select string_agg(md5(i || '.' || n), '') from generate_series(1, 150) n)";
    let sql = format!(
        "create table accounts (id int primary key, name text); \
         insert into accounts select i, 'account ' || i from generate_series(1, 3) i; \
         alter table people add account_id int, add note text; \
         alter table people alter note set storage external; \
         insert into people select i, 'user' || i || '@example.com', 'n', 1, now(), 'pro', now(), i % 3 + 1, {note} \
         from generate_series(1, 90) i"
    );
    project.database.execute(&sql).await;
    project.write("syncs/people.yml", JOINED);
    script(&server, &project.database, "role.sql", &["role=reader", "schemas=public"]);
    let variables = ["role=reader", "slot=people", "publication=people", "tables=people, accounts"];
    script(&server, &project.database, "log.sql", &variables);
    project.warehouse_url = project.database.url_as("reader", "secret");
    assert_eq!(project.run().await.exits(0).balances().count("created"), 90);
    project.run().await.exits(0);

    project.database.execute("update people set score = 2 where id = 1").await;
    let run = project.run().await.exits(0).balances();
    assert_eq!((run.count("read"), run.count("unchanged")), (1, 1));
    project.database.execute("update accounts set name = 'renamed' where id = 2").await;
    let run = project.run().await.exits(0).balances();
    assert_eq!((run.count("read"), run.count("updated")), (30, 30), "the account's people");
    let renamed =
        |contacts: &std::collections::BTreeMap<_, std::collections::BTreeMap<String, String>>| {
            contacts.values().filter(|contact| contact["company"] == "renamed").count()
        };
    let contacts = project.contacts().await;
    assert_eq!(renamed(&contacts), 30);
    assert!(
        contacts.values().all(|contact| contact["lastname"].len() == 4800),
        "no large value is lost"
    );

    // Hazard: a table that leaves the publication has no changes in the log any more.
    project.database.execute("alter publication people drop table accounts").await;
    project.database.execute("update accounts set name = 'renamed' where id = 3").await;
    let run = project.run().await.exits(78);
    assert!(
        run.stderr.contains("ALTER PUBLICATION people ADD TABLE public.accounts;"),
        "{}",
        run.stderr
    );
    project.database.execute("alter publication people add table accounts").await;
    let run = project.run().await.exits(0).balances();
    assert!(run.stdout.contains("E1062"), "why every row was read is said: {}", run.stdout);
    assert_eq!(renamed(&project.contacts().await), 60);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_of_200_000_rows_takes_little_memory() {
    // L2
    let (_server, project) = prepared().await;
    project.write(
        "syncs/people.yml",
        &SYNC.replace("table: people", "sql: select * from people where id < 1000"),
    );
    project.insert(0, 200_000).await;
    project.run().await.exits(0);
    project.run().await.exits(0);
    project.database.execute("update people set name = name || '!'").await;
    let mut child = project.spawn(&["run", "-s", "people", "--output", "json"]);
    let status = format!("/proc/{}/status", child.id().expect("it runs"));
    let mut peak = 0;
    while child.try_wait().expect("it can be asked").is_none() {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse().ok());
        peak = kib.unwrap_or(0u64).max(peak);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let run = finish(child).await.exits(0).balances();
    assert_eq!((run.count("read"), run.count("updated")), (1000, 1000));
    assert!((1..256 << 10).contains(&peak), "{peak} KiB");
    project.run().await.exits(0);
    assert_eq!(project.contacts().await.len(), 1000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_without_an_end_follows_until_a_signal_also_over_a_restart_of_the_warehouse() {
    let (server, project) = prepared().await;
    project.write(
        "syncs/people.yml",
        &format!("{SYNC}schedule: {{ continuous: {{ flush_every: 100ms }} }}\n"),
    );
    let textfiles = project.path("");
    let child = project.spawn(&[
        "run",
        "-s",
        "people",
        "--output",
        "json",
        "--metrics-textfile",
        &textfiles.display().to_string(),
    ]);
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
    let metrics = std::fs::read_to_string(project.path("outflow_people.prom")).unwrap();
    let value = |name: &str| -> f64 {
        let line = metrics.lines().find(|line| line.starts_with(&format!("{name}{{")));
        let line = line.unwrap_or_else(|| panic!("no {name} in {metrics}"));
        line.rsplit(' ').next().unwrap().parse().unwrap()
    };
    assert!(value("outflow_replication_slot_retained_bytes") > 0.0);
    assert!(value("outflow_delivered_watermark_timestamp_seconds") > 1.7e9);
    assert_eq!(value("outflow_rows_unaccounted"), 0.0);
}

//! Mirrors with the real binary, a real PostgreSQL and a HubSpot that archives: rows that left lose their records, and
//! nothing that only looks like leaving does (D8).

use std::time::Duration;

use serde_json::Value;
use simulator::LimitSwitch;
use support::Postgres;

use crate::project::{Output, Project, SYNC, eventually, finish, http};

const WATERMARK: &str = "changes: { method: watermark, column: updated_at, lag: 5m }";

/// The sync as a mirror that deletes.
fn mirror(removed: &str) -> String {
    SYNC.replace(WATERMARK, "changes: { method: snapshot }")
        .replace("mode: upsert", &format!("mode: mirror\nremoved: {{ {removed} }}"))
}

async fn mirrored(rows: u64, removed: &str) -> Project {
    let project = Project::new().await;
    project.write("syncs/people.yml", &mirror(removed));
    project.insert(0, rows).await;
    project.run().await.exits(0).balances();
    project.converged(&[]).await;
    project
}

/// `gone = removed + waiting + ignored + failed`, and how many were removed.
#[track_caller]
fn removed(run: &Output) -> u64 {
    let parts = ["removed", "gone_waiting", "gone_ignored", "gone_failed"];
    let sum: u64 = parts.iter().map(|part| run.count(part)).sum();
    assert_eq!(run.count("gone"), sum, "{:#}", run.summary());
    run.count("removed")
}

/// Runs while `disturb` is at work, as often as it says, and sees that no record is removed, whatever the runs end with.
async fn nothing_is_removed_despite(project: &Project, disturbances: Vec<String>) {
    let ids = ids(project).await;
    let client = project.database.client().await;
    let mut clean = 0;
    for (round, sql) in disturbances.iter().enumerate() {
        let run = project.spawn(&["run", "-s", "people", "--output", "json"]);
        // From the moment the process starts to the end of its read, at a different place every time.
        tokio::time::sleep(Duration::from_millis((round as u64 * 37) % 260)).await;
        client.batch_execute(sql).await.expect("the disturbance");
        let run = finish(run).await;
        let code = run.code.expect("an exit code");
        assert!([0, 1, 4].contains(&code), "{}\n{}", run.stdout, run.stderr);
        assert_eq!(removed(&run), 0, "round {round}: {:#}", run.summary());
        clean += u32::from(code == 0);
    }
    assert!(clean > 0, "some runs go through");
    project.run().await.exits(0).balances();
    project.converged(&[]).await;
    assert_eq!(self::ids(project).await, ids, "0 wrong removals: no record was made anew either");
}

/// The record ids of all contacts.
async fn ids(project: &Project) -> Vec<String> {
    let records = project.admin("records/contacts").await;
    let id = |record: &Value| record["id"].as_str().expect("an id").to_owned();
    let mut ids: Vec<String> = records.as_array().expect("a list").iter().map(id).collect();
    ids.sort();
    ids
}

/// What the naive way sees: a snapshot that was there before the disturbance, and a read of the table after it.
async fn naive_read(project: &Project, disturbance: &str) -> i64 {
    let naive = project.database.client().await;
    naive.batch_execute("begin isolation level repeatable read, read only").await.expect("begins");
    naive.query("select 1 from pg_class limit 1", &[]).await.expect("takes the snapshot");
    let other = project.database.client().await;
    other.batch_execute(disturbance).await.expect("the disturbance");
    let rows = naive.query_one("select count(*) from people", &[]).await.expect("reads").get(0);
    naive.batch_execute("rollback").await.expect("ends");
    rows
}

const SWAP: &str = "begin; create table people_new as select * from people; \
     alter table people_new add primary key (id); drop table people; \
     alter table people_new rename to people; \
     alter index people_new_pkey rename to people_pkey; commit";

const TRUNCATE: &str = "begin; create temp table kept on commit drop as select * from people; \
     truncate people; insert into people select * from kept; commit";

#[tokio::test(flavor = "multi_thread")]
async fn fifty_swaps_of_the_table_remove_nothing() {
    // R2, D8: the naive snapshot sees an empty table, and would delete everybody.
    let project = mirrored(400, "action: delete").await;
    assert_eq!(naive_read(&project, SWAP).await, 0, "the naive way fails, so the test is alive");
    nothing_is_removed_despite(&project, vec![SWAP.to_owned(); 50]).await;
    project.database.execute("delete from people where id < 7").await;
    assert_eq!(removed(&project.run().await.exits(0)), 7);
    project.converged(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_truncates_remove_nothing() {
    // R2, D8; every second one is done in two transactions, so that everybody sees an empty table for a while.
    let project = mirrored(400, "action: delete").await;
    assert_eq!(
        naive_read(&project, TRUNCATE).await,
        0,
        "the naive way fails, so the test is alive"
    );
    let in_two = "create temp table kept as select * from people; truncate people; \
         select pg_sleep(0.05); insert into people select * from kept; drop table kept";
    let disturbances = (0..20).map(|round| [TRUNCATE, in_two][round % 2].to_owned());
    // Several statements in one simple query are one transaction, unless they say otherwise.
    let disturbances = disturbances
        .map(|sql| sql.replace("truncate people; select", "truncate people; commit; select"));
    nothing_is_removed_despite(&project, disturbances.collect()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_exchanges_of_a_partition_remove_nothing() {
    let project = Project::new().await;
    let partitioned = "drop table people; create table people (id bigint primary key, email text, \
         name text, score numeric(12,2), seen_at timestamptz, plan text, \
         updated_at timestamptz not null) partition by range (id); \
         create table people_a partition of people for values from (0) to (360); \
         create table people_b partition of people for values from (360) to (1000)";
    project.database.execute(partitioned).await;
    project.write("syncs/people.yml", &mirror("action: delete"));
    project.insert(0, 400).await;
    project.run().await.exits(0).balances();
    // A tenth of the rows, which the brake lets through.
    let exchange = "begin; create table fresh as select * from people_b; \
         alter table fresh add primary key (id), alter id set not null, alter updated_at set not null; \
         alter table people detach partition people_b; drop table people_b; \
         alter table fresh rename to people_b; alter index fresh_pkey rename to people_b_pkey; \
         alter table people attach partition people_b for values from (360) to (1000); commit";
    let naive = naive_read(&project, exchange).await;
    assert!(naive < 400, "the naive way fails, so the test is alive: {naive}");
    nothing_is_removed_despite(&project, vec![exchange.to_owned(); 20]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_restarts_of_the_warehouse_remove_nothing() {
    // R3, F3
    let postgres = Postgres::start();
    let project = Project::on(postgres.database(None), LimitSwitch::Off).await;
    project.write("syncs/people.yml", &mirror("action: delete"));
    project.insert(0, 400).await;
    // The tests' server acknowledges commits before they are durable.
    project.database.execute("checkpoint").await;
    project.run().await.exits(0).balances();
    let ids = ids(&project).await;
    for round in 0..20_u64 {
        let run = project.spawn(&["run", "-s", "people", "--output", "json"]);
        tokio::time::sleep(Duration::from_millis(round * 41 % 260)).await;
        tokio::task::block_in_place(|| postgres.restart(round % 2 == 0));
        let run = finish(run).await;
        assert!(matches!(run.code, Some(0 | 1 | 69)), "{:?}: {}", run.code, run.stderr);
        if run.stdout.contains("\"counts\"") {
            assert_eq!(removed(&run), 0, "round {round}");
        }
    }
    project.run().await.exits(0).balances();
    assert_eq!(self::ids(&project).await, ids, "0 wrong removals");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unlogged_table_is_no_mirror_and_a_crash_removes_nothing() {
    // Hazard 29, D8
    let postgres = Postgres::start();
    let project = Project::on(postgres.database(None), LimitSwitch::Off).await;
    project.write("syncs/people.yml", &mirror("action: delete"));
    project.insert(0, 30).await;
    project.run().await.exits(0).balances();
    let ids = ids(&project).await;
    project.database.execute("alter table people set unlogged; checkpoint").await;
    tokio::task::block_in_place(|| postgres.restart(true));
    let left = project.database.client().await;
    let left = left.query_one("select count(*) from people", &[]).await.expect("reads");
    assert_eq!(left.get::<_, i64>(0), 0, "the naive mirror would remove everybody");
    let run = project.run().await;
    assert_eq!(run.code, Some(78), "{}", run.stderr);
    assert!(run.stderr.contains("E4056"), "{}", run.stderr);
    assert_eq!(self::ids(&project).await, ids);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_during_removals_loses_none_and_removes_nobody_else() {
    // D2, D4, S1: whatever was archived unheard is archived again, which changes nothing.
    let project = mirrored(1_000, "action: delete").await;
    project.write(
        "syncs/people.yml",
        &format!("{}guards: {{ max_removed: 60% }}\ndelivery: {{ batch_rows: 10, max_concurrency: 2 }}\n", mirror("action: delete")),
    );
    project.database.execute("delete from people where id % 2 = 0").await;
    for kill in 1..=4_usize {
        let before = archives(&project).await;
        project.faults("op=batch_archive;nth=2;times=*;do=hang").await;
        let mut run = project.spawn(&["run", "-s", "people"]);
        eventually("calls that archive", || async { archives(&project).await > before }).await;
        run.kill().await.expect("killed");
        run.wait().await.expect("gone");
        project.clear_faults().await;
        assert!(project.contacts().await.len() >= 500, "kill {kill}");
    }
    // What a killed process had on its way is left in peace until nothing of it can be carried out any more.
    let run = project.run().await.exits(0).balances();
    let waiting = run.count("gone_waiting");
    assert_eq!(run.count("gone"), removed(&run) + waiting, "{:#}", run.summary());
    assert!(waiting < 500 && removed(&run) > 0, "{:#}", run.summary());
    let contacts = project.contacts().await;
    assert!(contacts.len() <= 500 + waiting as usize, "{} and {waiting}", contacts.len());
    let rows = project.database.client().await.query("select email from people", &[]).await;
    for row in rows.expect("rows") {
        let email: String = row.get(0);
        assert!(contacts.contains_key(&email), "{email} is in the model and lost its record");
    }
}

async fn archives(project: &Project) -> usize {
    let journal = project.admin("journal").await;
    let calls = journal.as_array().expect("a list");
    calls.iter().filter(|call| call["operation"] == "batch_archive").count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_somebody_deleted_in_the_tool_is_no_obstacle() {
    let project = mirrored(50, "action: delete").await;
    let contacts = project.admin("records/contacts").await;
    let id = contacts[3]["id"].as_str().expect("an id").to_owned();
    let email = contacts[3]["properties"]["email"].as_str().expect("an e-mail").to_owned();
    let url = format!("{}/crm/v3/objects/contacts/{id}", project.simulator.url());
    let answer = http().delete(url).bearer_auth(&project.token).send().await.expect("an answer");
    assert!(answer.status().is_success(), "{answer:?}");
    project.database.execute(&format!("delete from people where email = '{email}'")).await;
    let run = project.run().await.exits(0).balances();
    assert_eq!((removed(&run), run.summary()["syncs"][0]["status"].as_str()), (1, Some("ok")));
    project.converged(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leaver_is_updated_after_its_grace_and_greeted_when_it_comes_back() {
    let project = mirrored(50, "action: update, set: { plan_tier: Free }, grace: 1s").await;
    let leaver = "select * from people where id = 4";
    project.database.execute(&format!("create table left_behind as {leaver}")).await;
    project.database.execute("delete from people where id = 4").await;
    let plan = project.outflow(&["plan"]).await.exits(0).stdout;
    assert!(plan.contains("- remove            0   (1 wait for their grace)"), "{plan}");
    let run = project.run().await.exits(0);
    assert_eq!((removed(&run), run.count("gone_waiting")), (0, 1));
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let plan = project.outflow(&["plan"]).await.exits(0).stdout;
    assert!(plan.contains("- remove            1   (updated with `removed.set`)"), "{plan}");
    assert!(plan.contains("sample      - 4   plan_tier Free"), "{plan}");
    let run = project.run().await.exits(0);
    assert_eq!((removed(&run), run.count("requests")), (1, 1));
    let contact = &project.contacts().await["user4@example.com"];
    assert_eq!((contact["plan_tier"].as_str(), contact["score"].as_str()), ("Free", "1"));
    assert_eq!(removed(&project.run().await.exits(0)), 0);
    project.database.execute("insert into people select * from left_behind").await;
    let run = project.run().await.exits(0).balances();
    assert_eq!((run.count("updated"), run.count("unchanged")), (1, 49));
    project.converged(&[]).await;
    let shown = project.outflow(&["runs", "ls", "--output", "json"]).await.exits(0).summary();
    assert!(shown["items"].as_array().is_some_and(|runs| runs.len() >= 5));
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_say_that_they_left_and_a_watermark_sees_it() {
    let project = Project::new().await;
    project.database.execute("alter table people add column deleted_at timestamptz").await;
    let soft = SYNC
        .replace("lag: 5m", "lag: 5m, removed_when: \"deleted_at is not null -- soft\"")
        .replace("mode: upsert", "mode: mirror\nremoved: { action: delete }");
    project.write("syncs/people.yml", &soft);
    project.database.execute("insert into people (id, email, updated_at) select i, 'user' || i || '@example.com', now() from generate_series(1, 60) i").await;
    project.run().await.exits(0).balances();
    let leave = "update people set deleted_at = now(), updated_at = now() where id in (3, 4)";
    project.database.execute(leave).await;
    let run = project.run().await.exits(0).balances();
    assert_eq!((removed(&run), project.contacts().await.len()), (2, 58));
    assert_eq!(removed(&project.run().await.exits(0)), 0);
    let back = "update people set deleted_at = null, updated_at = now() where id = 3";
    project.database.execute(back).await;
    assert_eq!(project.run().await.exits(0).balances().count("created"), 1);

    let broken = soft.replace("deleted_at is not null -- soft", "deleted_at > nowhere");
    project.write("syncs/people.yml", &broken);
    let refused = project.outflow(&["validate", "--online"]).await.exits(78);
    assert!(
        refused.stderr.contains("removed_when: \"deleted_at > nowhere\""),
        "{}",
        refused.stderr
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_without_a_key_or_with_a_double_one_are_not_gone() {
    // F21: the row behind a NULL key may be any of those that seem to be gone.
    let project = mirrored(50, "action: delete").await;
    let model = "sql: \"select case when id = 7 then null else id end as id, email, name, score, seen_at, plan from people union all select id, email, name, score, seen_at, plan from people where id = 9\"";
    let sql = mirror("action: delete").replace("table: people", model);
    project.write("syncs/people.yml", &sql);
    project.database.execute("delete from people where id = 20").await;
    let run = project.run().await.exits(0).balances();
    assert_eq!(run.count("gone"), 0, "{:#}", run.summary());
    let findings = run.summary()["syncs"][0]["findings"].to_string();
    assert!(findings.contains("E4021"), "{findings}");
    assert_eq!(project.contacts().await.len(), 50);
    let sql = sql.replace("case when id = 7 then null else id end as id", "id");
    project.write("syncs/people.yml", &sql);
    let run = project.run().await.exits(0).balances();
    assert_eq!(removed(&run), 1, "only the one that is really gone");
    assert_eq!(project.contacts().await.len(), 49);
}

//! The main job: first load, changes, nothing changed; and what every sync promises about its rows.

use crate::project::{Project, SYNC};

#[tokio::test(flavor = "multi_thread")]
async fn first_load_then_changes_then_nothing() {
    let project = Project::new().await;
    project.insert(0, 5_000).await;
    let first = project.run().await.exits(0).balances();
    assert_eq!((first.count("read"), first.count("created")), (5_000, 5_000));
    let writes = project.writes().await;
    assert!(writes <= 51, "{writes} calls for 5,000 rows");
    project.converged(&[]).await;

    project
        .database
        .execute("update people set name = 'changed ' || id, updated_at = now() where id % 50 = 0")
        .await;
    let second = project.run().await.exits(0).balances();
    assert_eq!((second.count("updated"), second.count("created")), (100, 0));
    assert_eq!(project.writes().await - writes, 1);
    project.converged(&[]).await;

    // The lookback reads the 100 rows again; they cost no request.
    let writes = project.writes().await;
    let third = project.run().await.exits(0).balances();
    assert_eq!((third.count("read"), third.count("unchanged")), (100, 100));
    assert_eq!((project.writes().await, third.count("requests")), (writes, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_model_is_a_run_of_no_rows() {
    let project = Project::new().await;
    let run = project.run().await.exits(0).balances();
    assert_eq!(run.count("read"), 0);
    assert_eq!(project.writes().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_without_a_watermark_and_rows_dated_in_the_future_are_delivered_and_hide_nothing() {
    // R1: NULL, -infinity, infinity and a fast clock.
    let project = Project::new().await;
    project.database.execute("alter table people alter updated_at drop not null").await;
    project
        .database
        .execute(
            "insert into people (id, email, updated_at) values (1, 'a@example.com', null),
             (2, 'b@example.com', 'infinity'), (3, 'c@example.com', now() + interval '1 hour'),
             (4, 'd@example.com', '-infinity'), (5, 'e@example.com', '2026-01-01')",
        )
        .await;
    project.run().await.exits(0).balances();
    project.converged(&[]).await;
    project
        .database
        .execute(
            "insert into people (id, email, updated_at) values (6, 'f@example.com', now());
             update people set name = 'late' where id = 1",
        )
        .await;
    let run = project.run().await.exits(0).balances();
    assert_eq!((run.count("created"), run.count("updated")), (1, 1));
    project.converged(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_commits_late_is_found_by_the_lookback() {
    // R1, E10: its timestamp is older than the stored watermark. The naive method would ask for newer rows only.
    let project = Project::new().await;
    let late = project.database.client().await;
    late.batch_execute(
        "begin; insert into people (id, email, updated_at) values (1, 'late@example.com', now())",
    )
    .await
    .expect("inserted");
    project
        .database
        .execute("insert into people (id, email, updated_at) values (2, 'x@example.com', clock_timestamp())")
        .await;
    project.run().await.exits(0);
    late.batch_execute("commit").await.expect("committed");
    let naive = project
        .database
        .client()
        .await
        .query("select 1 from people where id = 1 and updated_at > (select updated_at from people where id = 2)", &[])
        .await
        .expect("read");
    assert!(naive.is_empty(), "the naive method does not see the row");
    project.run().await.exits(0).balances();
    project.converged(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn duplicate_and_null_keys_become_rejects_and_no_row_wins_silently() {
    // F21, D9
    let project = Project::new().await;
    project.database.execute("alter table people drop constraint people_pkey").await;
    project.database.execute("alter table people alter id drop not null").await;
    project.insert(0, 10).await;
    project
        .database
        .execute(
            "insert into people (id, email, updated_at) values (3, 'twin@example.com', '2026-03-01'),
             (null, 'n1@example.com', '2026-03-01'), (null, 'n2@example.com', '2026-03-01')",
        )
        .await;
    let run = project.run().await.exits(0).balances();
    assert_eq!((run.count("read"), run.count("rejected"), run.count("delivered")), (13, 4, 9));
    let contacts = project.contacts().await;
    assert!(
        !contacts.contains_key("twin@example.com") && !contacts.contains_key("user3@example.com")
    );
    let shown = project.outflow(&["rejects", "ls"]).await.exits(0).stdout;
    assert!(shown.contains("R101") && shown.contains("R102"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_rows_for_one_record_are_a_reject_and_the_first_keeps_the_record() {
    let project = Project::new().await;
    project
        .database
        .execute(
            "insert into people (id, email, name, updated_at) values (1, 'Same@example.com', 'first', '2026-03-01'),
             (2, 'same@example.com', 'second', '2026-03-02')",
        )
        .await;
    let run = project.run().await.exits(0).balances();
    assert_eq!((run.count("delivered"), run.count("rejected")), (1, 1));
    project
        .database
        .execute("update people set name = 'again', updated_at = now() where id = 2")
        .await;
    project.run().await.exits(0).balances();
    assert_eq!(project.contacts().await["same@example.com"]["firstname"], "first");
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_who_comes_back_under_another_key_keeps_the_record() {
    // D1: the ledger knows the old row as the record's, the warehouse does not have it any more.
    let project = Project::new().await;
    project.insert(0, 50).await;
    project.run().await.exits(0);
    project
        .database
        .execute(
            "with gone as (delete from people where id = 7 returning *)
             insert into people select 900, email, 'again', score, seen_at, plan, now() from gone",
        )
        .await;
    let run = project.run().await.exits(0).balances();
    assert_eq!((run.count("updated"), run.count("rejected")), (1, 0));
    project.converged(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_only_the_destination_refuses_is_a_reject_and_not_sent_again_until_it_changes() {
    // D9: the other 99 land.
    let project = Project::new().await;
    project.insert(0, 100).await;
    project.faults("op=batch_upsert;do=reject-row:email=user7@example.com").await;
    let run = project.run().await.exits(0).balances();
    assert_eq!((run.count("delivered"), run.count("rejected")), (99, 1));
    project.converged(&[7]).await;
    let shown = project.outflow(&["rejects", "ls"]).await.exits(0).stdout;
    assert!(shown.contains("people") && shown.contains("R2"), "{shown}");

    let writes = project.writes().await;
    project.outflow(&["run", "-s", "people", "--full-refresh"]).await.exits(0);
    assert_eq!(project.writes().await, writes, "a refused payload is not sent again by itself");

    project.clear_faults().await;
    project.outflow(&["rejects", "retry", "-s", "people"]).await.exits(0);
    project.converged(&[]).await;
    let shown = project.outflow(&["rejects", "ls", "--output", "json"]).await.exits(0);
    assert_eq!(shown.summary()["items"].as_array().map_or(0, Vec::len), 0, "{}", shown.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poison_row_that_makes_the_whole_call_fail_is_found_by_halving() {
    let project = Project::new().await;
    project.insert(0, 300).await;
    project.faults("op=batch_upsert;do=poison-row:email=user142@example.com;code=409").await;
    let run = project.run().await.exits(0).balances();
    assert_eq!((run.count("delivered"), run.count("rejected")), (299, 1));
    project.converged(&[142]).await;
    let requests = run.count("requests");
    assert!(requests <= 3 + 2 * 8, "{requests} calls to find one row of 100");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backfill_sends_an_old_range_again_and_leaves_the_watermark() {
    let project = Project::new().await;
    project.insert(0, 1_000).await;
    project.run().await.exits(0);
    // Somebody edits and deletes records at the destination: the source's truth can be put back.
    let url = format!("{}/crm/v3/objects/contacts/batch/update", project.simulator.url());
    let id = project.admin("records/contacts").await[0]["id"].clone();
    let edit = serde_json::json!({ "inputs": [{ "id": id, "properties": { "firstname": "edited by hand" } }] });
    let answer = crate::project::http()
        .post(url)
        .bearer_auth(&project.token)
        .json(&edit)
        .send()
        .await
        .expect("an answer");
    assert!(answer.status().is_success(), "{answer:?}");
    let state = || async {
        project.outflow(&["state", "show", "--output", "json"]).await.exits(0).summary()["items"][0]
            ["watermark"]
            .clone()
    };
    let before = state().await;
    let run = project
        .outflow(&[
            "backfill",
            "-s",
            "people",
            "--from",
            "2026-03-01T00:00:00Z",
            "--to",
            "2026-04-01",
            "--output",
            "json",
        ])
        .await
        .exits(0)
        .balances();
    assert_eq!(run.count("delivered"), 1_000);
    project.converged(&[]).await;
    assert_eq!(state().await, before);

    project.write("keys.txt", "5\n17\n");
    let run = project
        .outflow(&["backfill", "-s", "people", "--keys", "keys.txt", "--output", "json"])
        .await
        .exits(0);
    assert_eq!(run.count("delivered"), 2);
    let run = project
        .outflow(&[
            "backfill",
            "-s",
            "people",
            "--where",
            "id between 10 and 19",
            "--output",
            "json",
        ])
        .await
        .exits(0);
    assert_eq!(run.count("delivered"), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_refresh_after_a_mapping_change_sends_only_the_rows_whose_payload_changed() {
    let project = Project::new().await;
    project.insert(0, 900).await;
    project.run().await.exits(0);
    project.write("syncs/people.yml", &SYNC.replace("pro: Professional", "pro: Enterprise"));
    let run = project
        .outflow(&["run", "-s", "people", "--full-refresh", "--output", "json"])
        .await
        .exits(0)
        .balances();
    assert_eq!((run.count("updated"), run.count("unchanged")), (300, 600));
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_are_only_stamped_anew_are_not_sent() {
    // Hazard 23: a rebuild gives every row the time of the rebuild.
    let project = Project::new().await;
    project.insert(0, 900).await;
    project.run().await.exits(0);
    project
        .database
        .execute(
            "create table anew (like people including all); insert into anew select * from people;
             update anew set updated_at = now(); drop table people; alter table anew rename to people",
        )
        .await;
    let naive = project.database.client().await;
    let naive = naive
        .query_one(
            "select count(*) from people where updated_at > now() - interval '1 minute'",
            &[],
        )
        .await
        .expect("read");
    assert_eq!(naive.get::<_, i64>(0), 900, "the naive method sends every row again");
    let run = project.run().await.exits(0).balances();
    assert_eq!((run.count("unchanged"), run.count("delivered")), (900, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn limit_sends_that_many_rows_and_the_next_runs_send_the_rest() {
    let project = Project::new().await;
    project.insert(0, 1_000).await;
    let first = project
        .outflow(&["run", "-s", "people", "--limit", "250", "--output", "json"])
        .await
        .exits(0)
        .balances();
    assert_eq!(first.count("delivered"), 250);
    project.run().await.exits(0).balances();
    project.converged(&[]).await;
}

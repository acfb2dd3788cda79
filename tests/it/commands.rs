//! What an operator sees: plan, status, rejects, doctor, metrics, logs, streams - after real runs.

use std::io::Write;
use std::process::Stdio;

use serde_json::Value;

use crate::project::{Output, Project, SYNC, finish};

/// The only sync of a summary.
fn only(output: &Output) -> Value {
    output.summary()["syncs"][0].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_says_what_the_run_then_does_and_a_scheduler_can_skip_what_follows() {
    let project = Project::new().await;
    project.insert(0, 250).await;
    project.outflow(&["plan", "-s", "people"]).await.exits(0);
    let json = ["plan", "-s", "people", "--detailed-exitcode", "--output", "json"];
    let plan = project.outflow(&json).await.exits(2);
    assert_eq!((plan.count("created"), plan.count("requests")), (250, 3));
    assert_eq!(project.writes().await, 0);
    let text = project.outflow(&["plan"]).await.exits(0).stdout;
    assert!(text.contains("+ create          250") && text.contains("user0@example.com"), "{text}");
    let masked = project.outflow(&["plan", "--no-values"]).await.exits(0).stdout;
    assert!(!masked.contains("@example.com") && masked.contains("***"), "{masked}");

    let run = ["run", "-s", "people", "--skip-code", "99", "--output", "json"];
    let first = project.outflow(&run).await.exits(0).balances();
    assert_eq!((first.count("created"), first.count("requests")), (250, 3));
    project.outflow(&json).await.exits(0);
    let second = project.outflow(&run).await.exits(99);
    assert_eq!(second.summary()["status"], "unchanged");
    assert_eq!(second.summary()["exit_code"], 99);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_report_of_a_run_accounts_for_every_row() {
    let project = Project::new().await;
    project.insert(0, 1_200).await;
    project.faults("op=batch_upsert;do=reject-row:email=user7@example.com").await;
    let text = project.outflow(&["run", "--all"]).await.exits(0).stdout;
    for line in [
        "people   warehouse.people -> hubspot.contacts (upsert on email)",
        "1 200 rows read, watermark updated_at none -> 2026-03-01 00:19:59Z, lag 5m",
        "read 1 200 = unchanged 0 + delivered 1 199 + rejected 1 + parked 0",
        "outflow rejects show -s people",
    ] {
        assert!(text.contains(line), "{line} is not in:\n{text}");
    }
    let status = project.outflow(&["status"]).await.exits(0).stdout;
    assert!(
        status.contains("partial") && status.contains("outflow rejects ls -s people"),
        "{status}"
    );
    let runs = project.outflow(&["runs", "ls", "--output", "json"]).await.exits(0).summary();
    let id = runs["items"][0]["id"].as_str().expect("an id").to_owned();
    let shown = project.outflow(&["runs", "show", &id[..20]]).await.exits(0).stdout;
    assert!(shown.contains(&id) && shown.contains("1 199 created"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn x1_a_rejected_row_is_shown_without_what_the_destination_says_about_it() {
    let project = Project::new().await;
    project.insert(0, 20).await;
    project
        .faults("op=batch_upsert;do=reject-row:email=user7@example.com;message=user7@example.com is odd")
        .await;
    let run = project.outflow(&["run", "--all", "-vvv"]).await.exits(0);
    for secret in ["user7@example.com", "Näme", project.token.as_str()] {
        assert!(!run.stdout.contains(secret), "{secret} is in {}", run.stdout);
        assert!(!run.stderr.contains(secret), "{secret} is in {}", run.stderr);
    }
    let show = ["rejects", "show", "-s", "people"];
    let masked = project.outflow(&show).await.exits(0).stdout;
    assert!(masked.starts_with("7  R2") && !masked.contains("is odd"), "{masked}");
    let revealed: Vec<&str> = show.into_iter().chain(["--reveal"]).collect();
    let revealed = project.outflow(&revealed).await.exits(0).stdout;
    assert!(revealed.contains("is odd"), "{revealed}");

    let export = ["rejects", "export", "-s", "people"];
    let exported = project.outflow(&export).await.exits(0).stdout;
    assert!(exported.starts_with("id,reject_rows,") && exported.contains("\r\n7,1,destination,R2"));
    assert!(!exported.contains("is odd") && exported.lines().count() == 2, "{exported}");

    project.clear_faults().await;
    project.outflow(&["rejects", "retry", "-s", "people", "--key", "8"]).await.exits(64);
    project.outflow(&["rejects", "discard", "-s", "people"]).await.exits(64);
    let retry = ["rejects", "retry", "-s", "people", "--key", "7", "--output", "json"];
    let retried = project.outflow(&retry).await.exits(0).balances();
    assert_eq!((retried.count("read"), retried.count("delivered")), (1, 1));
    project.converged(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn x1_no_row_value_key_or_token_is_logged_however_much_is_asked_for() {
    let project = Project::new().await;
    project.insert(31_000, 31_050).await;
    project.write("keys.txt", "31007\n");
    for args in [
        &["run", "--all", "-q"][..],
        &["backfill", "-s", "people", "--keys", "keys.txt", "-q"],
        &["backfill", "-s", "people", "--where", "name like 'Näme%'", "-q"],
    ] {
        let mut command = project.command(args);
        command.env("OUTFLOW_LOG", "trace").env("RUST_LOG", "trace");
        let output = finish(command.spawn().expect("outflow starts")).await.exits(0);
        for secret in ["31007", "@example.com", "Näme", project.token.as_str()] {
            assert!(!output.stderr.contains(secret), "{secret} is in {}", output.stderr);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn more_rejects_than_allowed_exit_with_3_and_the_rest_lands() {
    let project = Project::new().await;
    project.insert(0, 100).await;
    project.write("syncs/people.yml", &format!("{SYNC}guards: {{ max_rejected: 1% }}\n"));
    let row = |id: u32| format!("op=batch_upsert;do=reject-row:email=user{id}@example.com");
    project.faults(&row(1)).await;
    project.run().await.exits(0).balances();
    project.outflow(&["state", "reset", "-s", "people", "--yes"]).await.exits(0);
    project.faults(&row(2)).await;
    let run = project.run().await.exits(3).balances();
    assert_eq!((run.count("rejected"), run.count("delivered")), (2, 98));
    assert_eq!(only(&run)["rejects"][0]["rows"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_reader_went_away_still_delivers_every_row() {
    let project = Project::new().await;
    project.insert(0, 2_000).await;
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let mut command = project.command(&["run", "--all", "--summary-file", "run.json"]);
    let child = command.stdout(Stdio::from(writer)).spawn().expect("outflow starts");
    finish(child).await.exits(0);
    project.converged(&[]).await;
    let summary = std::fs::read_to_string(project.path("run.json")).expect("a summary");
    assert!(summary.contains("\"delivered\":2000"), "{summary}");
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_is_one_line_now_and_then_where_there_is_no_terminal() {
    let project = Project::new().await;
    project.insert(0, 500).await;
    project.faults("op=batch_upsert;do=delay:300;times=*").await;
    let mut command = project.command(&["run", "--all"]);
    command.env("OUTFLOW_PROGRESS_MS", "20");
    let run = finish(command.spawn().expect("outflow starts")).await.exits(0);
    assert!(run.stderr.contains("people: read 500 · "), "{}", run.stderr);
    assert!(!run.stdout.contains("people: read"), "{}", run.stdout);
    project.insert(500, 600).await;
    let mut command = project.command(&["run", "--all", "-q"]);
    command.env("OUTFLOW_PROGRESS_MS", "20");
    let quiet = finish(command.spawn().expect("outflow starts")).await.exits(0);
    assert_eq!(quiet.stderr, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_preview_and_discover_look_without_sending() {
    let mut project = Project::new().await;
    project.insert(0, 30).await;
    let doctor = project.outflow(&["doctor"]).await.exits(0).stdout;
    for part in ["PostgreSQL", "credentials work", "the model of `people`", "agrees with ours"] {
        assert!(doctor.contains(part), "{part}: {doctor}");
    }
    let preview = ["preview", "-s", "people", "--rows", "5", "--output", "json"];
    let preview = project.outflow(&preview).await.exits(0).summary();
    assert_eq!(preview["items"].as_array().map(Vec::len), Some(5));
    assert_eq!(preview["items"][0]["fields"]["email"], "user0@example.com");
    let table = project.outflow(&["discover", "warehouse", "people"]).await.exits(0).stdout;
    assert!(table.contains("numeric(12,2)") && table.contains("seen_at"), "{table}");
    let tables = project.outflow(&["discover", "warehouse"]).await.exits(0).stdout;
    assert!(tables.contains("people"), "{tables}");
    let fields = project.outflow(&["discover", "hubspot", "contacts", "--output", "json"]).await;
    let fields = fields.exits(0).summary();
    let tier =
        fields["items"].as_array().expect("fields").iter().find(|f| f["name"] == "plan_tier");
    assert_eq!(tier.expect("there")["options"][1], "Professional");
    assert_eq!(project.writes().await, 0);

    project.faults("do=unauthorized;times=*").await;
    project.token = "pat-refused".to_owned();
    let doctor = project.outflow(&["doctor"]).await.exits(77);
    assert!(
        doctor.stdout.contains("fail  hubspot") && doctor.stdout.contains("PostgreSQL"),
        "{doctor:?}"
    );
    project.outflow(&["doctor", "warehouse"]).await.exits(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_of_a_failed_run_still_say_when_the_last_one_succeeded() {
    let project = Project::new().await;
    project.insert(0, 10).await;
    std::fs::create_dir(project.path("metrics")).expect("a folder");
    let run = ["run", "--all", "--metrics-textfile", "metrics"];
    project.outflow(&run).await.exits(0);
    let success = || {
        let text =
            std::fs::read_to_string(project.path("metrics/outflow_people.prom")).expect("metrics");
        let text = text.replace(",textfile=\"people\"", "");
        let series = "outflow_run_last_success_timestamp_seconds{sync=\"people\"} ";
        let line = text.lines().find_map(|line| line.strip_prefix(series).map(str::to_owned));
        (line.expect("the series"), text)
    };
    let (first, text) = success();
    assert!(
        text.contains("outflow_rows_delivered_total{op=\"create\",sync=\"people\"} 10"),
        "{text}"
    );
    project.faults("do=unauthorized;times=*").await;
    project.insert(10, 20).await;
    project.outflow(&run).await.exits(77);
    let (second, text) = success();
    assert_eq!(first, second);
    assert!(text.contains("outflow_sync_status{status=\"failed\",sync=\"people\"} 1"), "{text}");
    assert!(text.contains("outflow_rejects_open{sync=\"people\"} 0"), "{text}");
    assert!(
        text.contains("outflow_delivered_watermark_timestamp_seconds{sync=\"people\"} 177"),
        "{text}"
    );
    assert!(
        !text.contains("outflow_runs_total{status=\"ok\",sync=\"people\",trigger=\"manual\"} 1"),
        "counters are this process's own: {text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_a_backfill_come_from_stdin_too_and_composite_ones_have_tabs_or_brackets() {
    let project = Project::new().await;
    project.insert(0, 50).await;
    let sync = SYNC.replace("primary_key: id", "primary_key: [plan, id]");
    project.write("syncs/people.yml", &sync);
    project.run().await.exits(0);
    let mut command =
        project.command(&["backfill", "-s", "people", "--keys", "-", "--output", "json"]);
    let mut child = command.stdin(Stdio::piped()).spawn().expect("outflow starts");
    let stdin = child.stdin.take().expect("piped").into_owned_fd().expect("a descriptor");
    std::fs::File::from(stdin).write_all(b"free\t3\n[\"pro\", 4]\n\nent\t999\n").expect("written");
    let run = finish(child).await.exits(0).balances();
    assert_eq!(run.count("delivered"), 2);
}

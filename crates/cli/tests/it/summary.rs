//! The object programs read.

use serde_json::Value;

use crate::folder::{Folder, run};

#[track_caller]
fn assert_valid(folder: &Folder, summary: &Value) {
    let schema = folder.outflow(&["schema", "summary"]).exits(0).stdout;
    let schema: Value = serde_json::from_str(&schema).expect("JSON");
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let problems: Vec<String> =
        validator.iter_errors(summary).map(|problem| problem.to_string()).collect();
    assert!(problems.is_empty(), "{problems:?} in {summary:#}");
}

#[test]
fn the_last_line_of_every_command_is_a_valid_summary() {
    let folder = Folder::project();
    let commands: &[(&[&str], i32)] = &[
        (&["validate"], 0),
        (&["plan"], 69),
        (&["run", "--all"], 69),
        (&["status"], 0),
        (&["runs", "ls"], 0),
        (&["rejects", "ls"], 0),
        (&["rejects", "show", "-s", "people_to_hubspot"], 0),
        (&["rejects", "retry", "-s", "people_to_hubspot"], 0),
        (&["state", "show"], 0),
        (&["state", "reset", "-s", "people_to_hubspot", "--yes"], 0),
        (&["explain", "E0001"], 0),
        (&["explain", "people_to_hubspot"], 0),
        (&["schema", "sync"], 0),
        (&["completions", "bash"], 0),
        (&["help", "run"], 0),
        (&["doctor"], 69),
        (&["discover", "warehouse"], 69),
        (&["discover", "hubspot"], 0),
        (&["preview", "-s", "people_to_hubspot"], 69),
        (&["backfill", "-s", "people_to_hubspot", "--where", "true"], 69),
        (&["runs", "show", "nope"], 64),
    ];
    for (command, code) in commands {
        for format in ["json", "ndjson"] {
            let args: Vec<&str> = command.iter().copied().chain(["--output", format]).collect();
            let printed = folder.outflow(&args);
            assert_eq!(printed.code, Some(*code), "{args:?}: {printed:?}");
            let summary = printed.summary();
            assert_valid(&folder, &summary);
            assert_eq!(summary["exit_code"], *code, "{args:?}");
            assert!(
                command.join(" ").starts_with(summary["command"].as_str().expect("a word")),
                "{args:?}"
            );
            for line in printed.stdout.lines() {
                assert!(
                    serde_json::from_str::<Value>(line).is_ok_and(|line| line.is_object()),
                    "{line}"
                );
            }
            if format == "json" {
                assert_eq!(printed.stdout.lines().count(), 1, "{args:?}");
            }
        }
    }
}

#[test]
fn the_summary_file_is_written_when_the_run_fails_and_when_it_cannot_begin() {
    let folder = Folder::project();
    folder.outflow(&["run", "-s", "people_to_hubspot", "--summary-file", "run.json"]).exits(69);
    let summary: Value = serde_json::from_str(&folder.read("run.json")).expect("JSON");
    assert_valid(&folder, &summary);
    assert_eq!((&summary["status"], &summary["exit_code"]), (&"failed".into(), &69.into()));
    assert_eq!(summary["syncs"][0]["exit_code"], 69);
    assert!(summary["syncs"][0]["error"]["help"].is_string());

    folder.write("syncs/broken.yml", "nonsense");
    folder.outflow(&["run", "--all", "--summary-file", "run.json"]).exits(78);
    let summary: Value = serde_json::from_str(&folder.read("run.json")).expect("JSON");
    assert_eq!((&summary["exit_code"], &summary["syncs"]), (&78.into(), &Value::Array(vec![])));
}

#[test]
fn a_summary_file_that_cannot_be_written_fails_the_command() {
    let folder = Folder::project();
    let printed =
        folder.outflow(&["run", "-s", "people_to_hubspot", "--summary-file", "no/such/run.json"]);
    assert!(printed.stderr.contains("no/such/run.json"), "{}", printed.stderr);
    assert_ne!(printed.code, Some(0));
}

#[test]
fn x1_no_secret_is_in_any_stream_however_much_is_logged() {
    let folder = Folder::project();
    folder.write(
        "outflow.yml",
        &crate::folder::PROJECT.replace("reader@127", "reader:warehouse-password@127"),
    );
    for format in ["text", "json"] {
        let args = ["run", "--all", "-vvv", "--log-format", format, "--output", "json"];
        let printed = run(folder.command(&args).env("OUTFLOW_LOG", "trace"));
        for secret in ["pat-secret-token", "warehouse-password"] {
            assert!(!printed.stdout.contains(secret), "{}", printed.stdout);
            assert!(!printed.stderr.contains(secret), "{}", printed.stderr);
        }
    }
}

#[test]
fn metrics_of_a_run_that_failed_are_written_whole() {
    let folder = Folder::project();
    std::fs::create_dir(folder.path("metrics")).expect("a folder");
    folder
        .outflow(&[
            "run",
            "-s",
            "people_to_hubspot",
            "--metrics-textfile",
            "metrics",
            "--metrics-file",
            "all.prom",
        ])
        .exits(69);
    let text = folder.read("metrics/outflow_people_to_hubspot.prom");
    for line in [
        "outflow_sync_status{status=\"failed\",sync=\"people_to_hubspot\",textfile=\"people_to_hubspot\"} 1",
        "outflow_runs_total{status=\"failed\",sync=\"people_to_hubspot\",trigger=\"manual\",textfile=\"people_to_hubspot\"} 1",
        "outflow_rows_unaccounted{sync=\"people_to_hubspot\",textfile=\"people_to_hubspot\"} 0",
    ] {
        assert!(text.contains(line), "{line} is not in {text}");
    }
    for metric in ["outflow_resident_memory_bytes", "outflow_state_size_bytes"] {
        let line = text.lines().find(|line| line.starts_with(metric)).expect("the series is there");
        assert!(!line.ends_with(" 0"), "{line}");
    }
    assert!(folder.read("all.prom").contains("outflow_build_info"));
    let files = std::fs::read_dir(folder.path("metrics")).expect("the folder").count();
    assert_eq!(files, 1, "nothing half-written is left");
    folder.outflow(&["run", "--all", "--metrics-textfile", "metrics"]).exits(69);
    assert!(folder.path("metrics/outflow_test.prom").exists(), "several syncs: the project's name");
}

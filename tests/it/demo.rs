//! `outflow demo`: the figures it shows, in little time, and a project one can go on with.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use crate::project::binary;

fn outflow(dir: &Path, args: &[&str]) -> (i32, String, String) {
    let output = Command::new(binary())
        .args(args)
        .current_dir(dir)
        .env_remove("OUTFLOW_ENV")
        .env("TMPDIR", dir)
        .stdin(Stdio::null())
        .output()
        .expect("outflow starts");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
}

/// Read, delivered and requests of every step.
fn figures(stdout: &str) -> Vec<[u64; 3]> {
    let last = stdout.lines().last().unwrap_or_default();
    let summary: Value =
        serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}: {last}"));
    let syncs = summary["syncs"].as_array().expect("syncs are a list");
    let count = |sync: &Value, name: &str| sync["counts"][name].as_u64().unwrap_or(0);
    syncs
        .iter()
        .map(|sync| ["read", "delivered", "requests"].map(|name| count(sync, name)))
        .collect()
}

#[test]
fn the_demo_shows_a_plan_a_run_no_call_and_one_change_and_leaves_nothing_behind() {
    let dir = tempfile::tempdir().expect("a temp dir");
    // Building it, where it is not there yet, is not the demo.
    binary();
    let began = Instant::now();
    let (code, stdout, stderr) = outflow(dir.path(), &["demo", "--output", "json"]);
    // Ten seconds is what is promised on a quiet machine; this one may be busy.
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
    assert_eq!(code, 0, "{stdout}\n{stderr}");
    let figures = figures(&stdout);
    assert_eq!(figures[0][..2], [1_000, 1_000], "what a run would send");
    assert_eq!(figures[1..], [[1_000, 1_000, 10], [1, 0, 0], [2, 1, 1]]);
    let left = std::fs::read_dir(dir.path()).expect("the folder is there").count();
    assert_eq!(left, 0, "nothing is left behind");
}

#[test]
fn the_demo_leaves_a_project_to_go_on_with_and_takes_no_folder_that_is_in_use() {
    let dir = tempfile::tempdir().expect("a temp dir");
    let (code, stdout, stderr) = outflow(dir.path(), &["demo", "--dir", "tryout"]);
    assert_eq!(code, 0, "{stdout}\n{stderr}");
    for shown in ["outflow plan", "0 requests", "1 request in", "outflow simulate hubspot"] {
        assert!(stdout.contains(shown), "{shown} in:\n{stdout}");
    }
    let (code, _, stderr) = outflow(dir.path(), &["-C", "tryout", "validate"]);
    assert_eq!(code, 0, "{stderr}");
    let (code, stdout, _) =
        outflow(dir.path(), &["-C", "tryout", "discover", "app_data", "users.csv"]);
    assert!(code == 0 && stdout.contains("timestamptz"), "{stdout}");
    assert!(!dir.path().join("tryout/.outflow").exists(), "the simulator it remembers is gone");
    let (code, _, stderr) = outflow(dir.path(), &["demo", "--dir", "tryout"]);
    assert!(code == 64 && stderr.contains("tryout"), "{stderr}");
}

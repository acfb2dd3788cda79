//! Which syncs a command is about.

use serde_json::Value;

use crate::folder::Folder;

/// Names of the syncs in a summary, with their status.
fn syncs(summary: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = summary["syncs"].as_array().expect("a list");
    list.iter().map(|sync| (text(&sync["sync"]), text(&sync["status"]))).collect()
}

#[test]
fn a_run_without_a_selection_names_what_there_is() {
    let printed = Folder::project().outflow(&["run"]).exits(64);
    assert!(
        printed.stderr.contains("people_to_hubspot, phones_to_hubspot, titles_to_hubspot"),
        "{}",
        printed.stderr
    );
}

#[test]
fn a_selector_that_names_nothing_suggests_and_lists() {
    let printed = Folder::project().outflow(&["plan", "-s", "peple_to_hubspot"]).exits(64);
    assert!(printed.stderr.contains("did you mean `people_to_hubspot`?"), "{}", printed.stderr);
}

#[test]
fn selectors_choose_syncs_in_the_order_of_the_project() {
    let folder = Folder::project();
    let chosen = |args: &[&str]| -> Vec<String> {
        let args: Vec<&str> =
            ["status", "--output", "json"].into_iter().chain(args.iter().copied()).collect();
        let summary = folder.outflow(&args).exits(0).summary();
        let items = summary["items"].as_array().cloned().unwrap_or_default();
        items.iter().filter_map(|item| item["sync"].as_str().map(str::to_owned)).collect()
    };
    assert_eq!(
        chosen(&["-s", "tag:daily", "-s", "people*"]),
        ["people_to_hubspot", "titles_to_hubspot"]
    );
    assert_eq!(
        chosen(&["-s", "destination:hubspot", "--exclude", "tag:hourly"]),
        ["titles_to_hubspot"]
    );
    assert_eq!(chosen(&[]).len(), 3);
    assert_eq!(chosen(&["-s", "result:failed"]), Vec::<String>::new());
}

#[test]
fn an_unreachable_warehouse_is_69_for_every_sync_and_fail_fast_begins_no_second_one() {
    let folder = Folder::project();
    let run = folder.outflow(&["run", "-s", "tag:hourly", "--output", "json"]).exits(69);
    let failed = |name: &str| (name.to_owned(), "failed".to_owned());
    assert_eq!(syncs(&run.summary()), [failed("people_to_hubspot"), failed("phones_to_hubspot")]);
    assert!(run.stderr.contains("error[E1"), "{}", run.stderr);
    let run =
        folder.outflow(&["run", "-s", "tag:hourly", "--fail-fast", "--output", "ndjson"]).exits(69);
    let summary = run.summary();
    assert_eq!(syncs(&summary)[1], ("phones_to_hubspot".to_owned(), "skipped".to_owned()));
    assert_eq!(run.stdout.lines().count(), 3, "one line a sync and the summary: {}", run.stdout);
    // Now there is a result to select by.
    let again = folder.outflow(&["run", "-s", "result:failed", "--output", "json"]).exits(69);
    assert_eq!(syncs(&again.summary()).len(), 2);
    let runs = folder.outflow(&["runs", "ls"]).exits(0).stdout;
    assert_eq!(runs.lines().filter(|line| line.contains("failed")).count(), 5, "{runs}");
}

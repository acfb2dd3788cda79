//! New projects, and projects with mistakes.

use crate::folder::{Folder, run};

#[test]
fn a_new_project_is_valid_and_explains_itself() {
    for (template, sync, holds) in [
        ("minimal", "example", "1 sync, 2 connections"),
        ("product-usage", "product_usage_to_hubspot", "3 syncs, 3 connections"),
    ] {
        let folder = Folder::empty();
        let printed = folder.outflow(&["init", "--template", template]).exits(0);
        assert!(printed.stdout.contains("wrote outflow.yml"), "{}", printed.stdout);
        assert!(printed.stderr.contains("outflow doctor"), "{}", printed.stderr);
        assert!(folder.read(".gitignore").contains(".outflow/"));
        // Also where no variable is set.
        let valid = run(folder.command(&["validate"]).env_clear()).exits(0);
        assert!(valid.stdout.contains(holds), "{}", valid.stdout);
        assert_eq!(valid.stderr, "", "nothing to warn about");
        let explained = folder.outflow(&["explain", sync]).exits(0).stdout;
        assert!(explained.contains("found by email"), "{explained}");
    }
}

#[test]
fn an_empty_environment_variable_chooses_no_environment() {
    let folder = Folder::project();
    run(folder.command(&["validate"]).env("OUTFLOW_ENV", "")).exits(0);
    run(folder.command(&["validate"]).env("OUTFLOW_ENV", "dev")).exits(78);
}

#[test]
fn init_never_writes_over_a_file() {
    let folder = Folder::empty();
    folder.write("outflow.yml", "mine");
    folder.write(".gitignore", "mine");
    let printed = folder.outflow(&["init"]).exits(64);
    assert!(
        printed.stderr.contains("outflow.yml, .gitignore are already there"),
        "{}",
        printed.stderr
    );
    assert_eq!(folder.read("outflow.yml"), "mine");
    assert!(!folder.path("syncs").exists(), "nothing is written when something is in the way");
}

#[test]
fn init_writes_into_the_folder_it_is_given() {
    let folder = Folder::empty();
    folder.outflow(&["-C", "new/project", "init"]).exits(0);
    folder.outflow(&["validate", "-C", "new/project"]).exits(0);
}

#[test]
fn mistakes_in_the_files_exit_with_78_and_are_shown_all_at_once() {
    let folder = Folder::empty();
    folder.outflow(&["validate"]).exits(78);
    let folder = Folder::project();
    folder.write("syncs/a.yml", "version: 1\nsync: a\nmodle: {}\n");
    folder.write("syncs/b.yml", "version: 1\nsync: b\nmode: upsrt\n");
    let printed = folder.outflow(&["validate"]).exits(78);
    for part in ["syncs/a.yml", "syncs/b.yml", "modle"] {
        assert!(printed.stderr.contains(part), "{part}: {}", printed.stderr);
    }
    assert_eq!(printed.stdout, "");
    let summary = folder.outflow(&["validate", "--output", "json"]).exits(78).summary();
    assert_eq!(summary["exit_code"], 78);
    assert_eq!(summary["error"]["code"], summary["items"][0]["code"]);
    assert_eq!(summary["items"][0]["type"], "problem");
    assert_eq!(summary["items"][0]["file"], "syncs/a.yml");
}

#[test]
fn a_missing_variable_is_named_before_anything_is_sent() {
    let folder = Folder::project();
    let printed =
        run(folder.command(&["run", "-s", "people_to_hubspot"]).env_remove("HUBSPOT_TOKEN"))
            .exits(78);
    assert!(printed.stderr.contains("HUBSPOT_TOKEN"), "{}", printed.stderr);
}

//! What the command line says about itself, and what it says to a wrong one.

use crate::folder::{Folder, run};

const COMMANDS: &[&[&str]] = &[
    &[],
    &["init"],
    &["validate"],
    &["discover"],
    &["preview"],
    &["plan"],
    &["apply"],
    &["reconcile"],
    &["run"],
    &["backfill"],
    &["status"],
    &["runs"],
    &["runs", "ls"],
    &["runs", "show"],
    &["rejects"],
    &["rejects", "ls"],
    &["rejects", "show"],
    &["rejects", "export"],
    &["rejects", "retry"],
    &["rejects", "discard"],
    &["state"],
    &["state", "show"],
    &["state", "reset"],
    &["demo"],
    &["simulate"],
    &["explain"],
    &["doctor"],
    &["schema"],
    &["completions"],
];

#[test]
fn every_help_page_is_as_it_was_reviewed() {
    let folder = Folder::empty();
    let mut pages = String::new();
    for command in COMMANDS {
        let args: Vec<&str> = command.iter().copied().chain(["--help"]).collect();
        let page = folder.outflow(&args).exits(0);
        assert_eq!(page.stderr, "");
        pages.push_str(&format!("==== outflow {}\n{}\n", command.join(" "), page.stdout));
    }
    insta::assert_snapshot!("help", pages);
}

#[test]
fn help_and_the_option_help_are_the_same_page() {
    let folder = Folder::empty();
    for command in COMMANDS {
        let option: Vec<&str> = command.iter().copied().chain(["--help"]).collect();
        let topic: Vec<&str> = ["help"].into_iter().chain(command.iter().copied()).collect();
        let (option, topic) = (folder.outflow(&option), folder.outflow(&topic).exits(0));
        assert_eq!(topic.stdout, option.stdout);
    }
}

#[test]
fn the_exit_codes_are_a_page_of_their_own() {
    let folder = Folder::empty();
    let page = folder.outflow(&["help", "exit-codes"]).exits(0);
    insta::assert_snapshot!("exit_codes", page.stdout);
    let json = folder.outflow(&["help", "exit-codes", "--output", "json"]).exits(0).summary();
    assert_eq!(json["items"][1]["code"], 1);
    folder.outflow(&["help", "nonsense"]).exits(64);
}

#[test]
fn a_wrong_command_line_exits_with_64_and_says_why_on_stderr() {
    let folder = Folder::project();
    for args in [
        &[][..],
        &["runn"],
        &["run", "--nope"],
        &["run", "--all", "-s", "people_to_hubspot"],
        &["run", "--all", "--limit", "0"],
        &["run", "--all", "--skip-code", "300"],
        &["run", "--all", "--output", "yaml"],
        &["plan", "-q", "-v"],
        &["backfill", "-s", "people_to_hubspot"],
        &["backfill", "-s", "people_to_hubspot", "--from", "2026-01-01"],
        &[
            "backfill",
            "-s",
            "people_to_hubspot",
            "--from",
            "2026-01-01",
            "--to",
            "now",
            "--where",
            "true",
        ],
        &["backfill", "-s", "people_to_hubspot", "--from", "now", "--to", "2026-01-01"],
        &["backfill", "-s", "people_to_hubspot", "--from", "soon", "--to", "now"],
        &["backfill", "-s", "people_to_hubspot", "--keys", "missing.txt"],
        &["explain", "E9999"],
        &["explain", "nobody"],
        &["discover", "nowhere"],
        &["doctor", "nowhere"],
        &["simulate", "nothing"],
        &["simulate", "hubspot", "--fault", "do=nonsense"],
        &["simulate", "hubspot", "--option", "latency"],
        &["simulate", "hubspot", "--option", "nonsense=1"],
        &["rejects", "retry"],
        &["rejects", "show", "-s", "nobody"],
        &["rejects", "show", "-s", "people_to_hubspot", "--code", "R999"],
        &["runs", "show", "0000"],
        &["state", "reset", "-s", "people_to_hubspot"],
        &["run", "--all", "--metrics-textfile", "no/such/folder"],
        &["run", "--all", "--pushgateway", "nowhere"],
    ] {
        let printed = folder.outflow(args);
        assert_eq!(printed.code, Some(64), "{args:?}: {printed:?}");
        assert_eq!(printed.stdout, "", "{args:?}");
        assert!(!printed.stderr.is_empty() && !printed.stderr.contains("panicked"), "{args:?}");
    }
}

#[test]
fn a_usage_error_has_its_summary_line_too() {
    let folder = Folder::project();
    for args in [
        &["run", "--nope", "--output", "json"][..],
        &["run", "--output=ndjson", "--nope"],
        &["run", "--output", "json"],
    ] {
        let summary = folder.outflow(args).exits(64).summary();
        assert_eq!(
            (&summary["outflow"], &summary["exit_code"]),
            (&1.into(), &64.into()),
            "{args:?}"
        );
        assert_eq!(summary["status"], "failed");
        assert!(summary["error"]["message"].is_string());
    }
}

#[test]
fn an_environment_filter_that_is_none_is_a_usage_error() {
    let folder = Folder::project();
    let printed = run(folder.command(&["status"]).env("OUTFLOW_LOG", "engine=loud")).exits(64);
    assert!(printed.stderr.contains("OUTFLOW_LOG"), "{}", printed.stderr);
}

#[test]
fn the_version_is_that_of_the_package() {
    let printed = Folder::empty().outflow(&["--version"]).exits(0);
    assert!(printed.stdout.starts_with(&format!("outflow {}", env!("CARGO_PKG_VERSION"))));
}

#[test]
fn every_shell_gets_a_completion_script() {
    let folder = Folder::empty();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = folder.outflow(&["completions", shell]).exits(0).stdout;
        assert!(script.contains("backfill") && script.contains("outflow"), "{shell}");
    }
}

#[test]
fn colour_is_only_there_when_it_is_asked_for() {
    let folder = Folder::project();
    let escape = '\u{1b}';
    let plain = folder.outflow(&["status"]).exits(0);
    assert!(!plain.stdout.contains(escape) && !plain.stderr.contains(escape));
    let coloured = folder.outflow(&["status", "--color", "always"]).exits(0);
    assert!(coloured.stdout.contains(escape));
    let never = run(folder.command(&["status", "--color", "auto"]).env("NO_COLOR", "1")).exits(0);
    assert!(!never.stdout.contains(escape));
}

//! No secret of a project file is ever shown (X1).

use super::{Folder, places, shown};

const P: &str = "outflow.yml";

#[test]
fn a_secret_in_the_file_is_a_warning_and_is_not_shown() {
    let folder = Folder::new();
    folder.edit(P, "token: ${HUBSPOT_TOKEN}", "token: pat-na1-very-secret");
    folder.edit(P, "url: ${WAREHOUSE_URL}", "url: postgres://me:hunter2@db.example/x");
    let project = folder.project();
    assert_eq!(places(&project.warnings), ["E0150 outflow.yml:6:10", "E0150 outflow.yml:10:12"]);
    let text = shown(&project.warnings);
    insta::assert_snapshot!(text);
    assert!(!text.contains("very-secret") && !text.contains("hunter2"));
    assert!(!format!("{project:?}").contains("very-secret"));
}

#[test]
fn an_address_on_this_machine_and_a_token_for_a_simulator_are_no_secrets() {
    let folder = Folder::new();
    folder.edit(
        P,
        "token: ${HUBSPOT_TOKEN}",
        "token: anything\n    base_url: http://127.0.0.1:8701",
    );
    folder.edit(P, "url: ${WAREHOUSE_URL}", "url: postgres://me:pw@localhost:5433/x");
    assert!(folder.project().warnings.is_empty());
    folder.edit(P, "token: anything", "token: ${T:-simulator}");
    folder.edit(P, "base_url: http://127.0.0.1:8701", "base_url: ${B:-http://127.0.0.1:8701}");
    assert!(folder.project().warnings.is_empty());
}

#[test]
fn no_snippet_of_a_broken_file_shows_a_secret() {
    let secret = "pat-na1-very-secret";
    let breaks: &[(&str, &str)] = &[
        ("    token: ${HUBSPOT_TOKEN}", "    tokn: pat-na1-very-secret"),
        ("    token: ${HUBSPOT_TOKEN}", "    token: [pat-na1-very-secret]"),
        ("    token: ${HUBSPOT_TOKEN}", "    token: pat-na1-very-secret\n    token: x"),
        ("    token: ${HUBSPOT_TOKEN}", "    token: \"pat-na1-very-secret"),
        ("    token: ${HUBSPOT_TOKEN}", "    token: !!str pat-na1-very-secret"),
        ("    token: ${HUBSPOT_TOKEN}", "    token: &a pat-na1-very-secret"),
        (
            "  hubspot:\n    type: hubspot\n    token: ${HUBSPOT_TOKEN}",
            "  hubspot: { type: hubspt, token: pat-na1-very-secret }",
        ),
        (
            "  hubspot:\n    type: hubspot\n    token: ${HUBSPOT_TOKEN}",
            "  hubspot: { type: hubspot, x: 1, token: pat-na1-very-secret }",
        ),
        (
            "  hubspot:\n    type: hubspot\n    token: ${HUBSPOT_TOKEN}",
            "  hubspot: pat-na1-very-secret",
        ),
        ("vars:\n", "state: { backend: postgres, dsn: pat-na1-very-secret }\nvars:\n"),
        ("vars:\n", "alerts: { slak: pat-na1-very-secret }\nvars:\n"),
        ("vars:\n", "alerts: { slack: 5, webhook: [pat-na1-very-secret] }\nvars:\n"),
        ("statement_timeout: 10m", "tls: pat-na1-very-secret"),
        ("type: postgres", "type: pat-na1-very-secret"),
    ];
    for (from, to) in breaks {
        let folder = Folder::new();
        folder.edit(P, from, to);
        let (text, json) = match folder.load() {
            Ok(project) => (shown(&project.warnings), project.warnings.to_json()),
            Err(report) => (shown(&report), report.to_json()),
        };
        // A secret in the place of a type or of a word is the word that is wrong: it cannot be told apart.
        if !from.contains("statement_timeout") && !from.contains("type: postgres") {
            assert!(!text.contains(secret), "{text}");
            assert!(!format!("{json:?}").contains(secret), "{json:?}");
        }
    }
}

#[test]
fn a_value_from_the_environment_is_never_repeated() {
    let mut folder = Folder::new();
    folder.set("HUBSPOT_TOKEN", "very-secret");
    folder.edit(P, "statement_timeout: 10m", "tls: ${HUBSPOT_TOKEN}\n    statement_timeout: ${HUBSPOT_TOKEN}\n    batch_rows: ${HUBSPOT_TOKEN}");
    let text = shown(&folder.report());
    assert!(!text.contains("very-secret"), "{text}");
}

#[test]
fn a_number_from_the_environment_is_a_number_where_one_belongs() {
    let mut folder = Folder::new();
    folder.set("ROWS", "500");
    folder.edit(P, "statement_timeout: 10m", "batch_rows: ${ROWS}\n    query_tag: ${TAG:-false}");
    let project = folder.project();
    let options = project.connection("warehouse").expect("resolved").options();
    assert_eq!(options["batch_rows"], 500);
    assert_eq!(options["query_tag"], false);
}

#[test]
fn a_secret_file_is_read_without_its_last_line_break() {
    let folder = Folder::new();
    folder.write("token.txt", "from-a-file\n");
    folder.edit(P, "${HUBSPOT_TOKEN}", "${file:token.txt}");
    let project = folder.project();
    assert_eq!(project.connection("hubspot").expect("resolved").options()["token"], "from-a-file");
}

#[test]
fn a_file_cannot_make_the_terminal_do_anything() {
    let folder = Folder::new();
    folder.edit(
        "syncs/usage.yml",
        "owner:",
        "\"own\\er\": x # \u{1b}[2J \u{9b}2J\n\"\\e[2Jx\": y\n#",
    );
    let text = shown(&folder.report());
    assert!(!text.contains('\u{1b}') && !text.contains('\u{9b}'), "{text:?}");
}

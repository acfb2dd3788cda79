//! Files of the wrong shape: unknown and missing keys, wrong types, values and forms.

use super::{Folder, broken, places, shown};

const S: &str = "syncs/usage.yml";
const P: &str = "outflow.yml";

#[test]
fn keys_are_checked_strictly() {
    let seen = broken(&[
        (
            "an unknown key with a neighbour",
            &[(S, "owner:", "ownr:")],
            &["E0010 syncs/usage.yml:4:1"],
        ),
        (
            "an unknown key without one",
            &[(S, "owner:", "frequency:")],
            &["E0010 syncs/usage.yml:4:1"],
        ),
        (
            "an unknown key in a section",
            &[(S, "  table:", "  tabel:")],
            &["E0010 syncs/usage.yml:8:3"],
        ),
        (
            "an unknown key in a mapping",
            &[(S, "on_null: skip", "onnull: skip")],
            &["E0010 syncs/usage.yml:23:50"],
        ),
        (
            "an unknown key in a connection",
            &[(P, "statement_timeout", "statment_timeout")],
            &["E0010 outflow.yml:7:5"],
        ),
        (
            "an unknown key in the project",
            &[(P, "vars:", "variables:")],
            &["E0010 outflow.yml:21:1"],
        ),
        (
            "an unknown key in an environment",
            &[(P, "  dev:\n    connections:", "  dev:\n    conections:")],
            &["E0010 outflow.yml:19:5"],
        ),
        ("a missing section", &[(S, "mode: upsert\n", "")], &["E0011 syncs/usage.yml:1:1"]),
        ("a missing key", &[(S, "  connection: hubspot\n", "")], &["E0011 syncs/usage.yml:14:1"]),
        (
            "a watermark without its column",
            &[(S, "  column: updated_at\n", "")],
            &["E0011 syncs/usage.yml:10:1"],
        ),
        (
            "changes without a method",
            &[(S, "  method: watermark\n", "")],
            &["E0011 syncs/usage.yml:10:1"],
        ),
        ("no version", &[(P, "version: 1\n", "")], &["E0011 outflow.yml:1:1"]),
        (
            "a connection without a type",
            &[(P, "    type: postgres\n", "")],
            &["E0011 outflow.yml:4:3"],
        ),
        (
            "a connection without its token",
            &[(P, "    type: hubspot\n    token: ${HUBSPOT_TOKEN}", "    type: hubspot")],
            &["E0011 outflow.yml:8:3"],
        ),
        (
            "a key without a value",
            &[(S, "object: contacts", "object:")],
            &["E0012 syncs/usage.yml:16:3"],
        ),
        (
            "otherwise without values",
            &[(S, "values: { free: Free, pro: Pro }, ", "")],
            &["E0011 syncs/usage.yml:22:23"],
        ),
    ]);
    insta::assert_snapshot!(seen);
}

#[test]
fn values_have_the_type_and_the_form_they_should() {
    let seen = broken(&[
        ("text instead of a list", &[(S, "[growth]", "growth")], &["E0012 syncs/usage.yml:5:7"]),
        (
            "text instead of a map",
            &[(S, "delivery:\n  batch_rows: 100\n", "delivery: fast\n")],
            &["E0012 syncs/usage.yml:26:11"],
        ),
        (
            "a number in quotes",
            &[(S, "batch_rows: 100", "batch_rows: \"100\"")],
            &["E0012 syncs/usage.yml:27:15"],
        ),
        (
            "a number instead of text",
            &[(S, "object: contacts", "object: 5")],
            &["E0012 syncs/usage.yml:16:11"],
        ),
        (
            "yes instead of true",
            &[(S, "tags: [growth]", "enabled: yes")],
            &["E0012 syncs/usage.yml:5:10"],
        ),
        (
            "a map instead of a column",
            &[(S, "firstname: first_name", "firstname: [first_name]")],
            &["E0012 syncs/usage.yml:21:14"],
        ),
        ("an unknown mode", &[(S, "mode: upsert", "mode: upsrt")], &["E0013 syncs/usage.yml:19:7"]),
        (
            "an unknown change method",
            &[(S, "method: watermark", "method: cursor")],
            &["E0013 syncs/usage.yml:11:11"],
        ),
        (
            "an unknown transform",
            &[(S, "[trim, e164]", "[trim, lowr]")],
            &["E0013 syncs/usage.yml:23:43"],
        ),
        (
            "a transform without its value",
            &[(S, "[trim, e164]", "[trim, truncate]")],
            &["E0013 syncs/usage.yml:23:43"],
        ),
        (
            "an unknown transform with a value",
            &[(S, "[trim, e164]", "[trim, { truncat: 5 }]")],
            &["E0010 syncs/usage.yml:23:45"],
        ),
        (
            "a transform with a wrong value",
            &[(S, "[trim, e164]", "[trim, { truncate: 0 }]")],
            &["E0015 syncs/usage.yml:23:55"],
        ),
        (
            "an unknown on_reject",
            &[(P, "on_reject: quarantine", "on_reject: ignore")],
            &["E0013 outflow.yml:16:16"],
        ),
        ("another version", &[(S, "version: 1", "version: 2")], &["E0013 syncs/usage.yml:1:10"]),
        (
            "an unknown tls mode",
            &[(P, "statement_timeout: 10m", "tls: prefer")],
            &["E0013 outflow.yml:7:10"],
        ),
        ("a bad duration", &[(S, "lag: 5m", "lag: 5 minutes")], &["E0014 syncs/usage.yml:13:8"]),
        (
            "a bad share",
            &[(S, "max_rejected: 0.5%", "max_rejected: 0.5")],
            &["E0012 syncs/usage.yml:29:17"],
        ),
        (
            "a share above all",
            &[(S, "max_rejected: 0.5%", "max_rejected: 150%")],
            &["E0014 syncs/usage.yml:29:17"],
        ),
        (
            "a bad sync name",
            &[(S, "sync: usage", "sync: Usage-Per-User")],
            &["E0014 syncs/usage.yml:2:7"],
        ),
        (
            "a bad connection name",
            &[(P, "  other:\n", "  Other-One:\n")],
            &["E0014 outflow.yml:11:3"],
        ),
        (
            "a bad project name",
            &[(P, "project: acme", "project: \"a b\"")],
            &["E0014 outflow.yml:2:10"],
        ),
        (
            "no rows per call",
            &[(S, "batch_rows: 100", "batch_rows: 0")],
            &["E0015 syncs/usage.yml:27:15"],
        ),
        (
            "an empty primary key",
            &[(S, "primary_key: user_id", "primary_key: []")],
            &["E0015 syncs/usage.yml:9:16"],
        ),
        (
            "a primary key column twice",
            &[(S, "primary_key: user_id", "primary_key: [a, b, a]")],
            &["E0015 syncs/usage.yml:9:23"],
        ),
        (
            "no mappings",
            &[(
                S,
                "mappings:\n  firstname: first_name\n  plan: { from: plan, values: { free: Free, pro: Pro }, otherwise: reject }\n  phone: { from: phone, transform: [trim, e164], on_null: skip }\n",
                "mappings: {}\n",
            )],
            &["E0015 syncs/usage.yml:20:11"],
        ),
        (
            "a mapping from two origins",
            &[(S, "{ from: plan, ", "{ from: plan, const: x, ")],
            &["E0016 syncs/usage.yml:22:11"],
        ),
        (
            "a mapping from nowhere",
            &[(S, "{ from: phone, ", "{ ")],
            &["E0016 syncs/usage.yml:23:3"],
        ),
        (
            "a model from nowhere",
            &[(S, "  table: analytics.users\n", "")],
            &["E0016 syncs/usage.yml:6:1"],
        ),
        (
            "a model from two places",
            &[(S, "  table: analytics.users\n", "  table: analytics.users\n  sql: select 1\n")],
            &["E0016 syncs/usage.yml:8:3"],
        ),
    ]);
    insta::assert_snapshot!(seen);
}

#[test]
fn one_file_with_six_errors_shows_six() {
    let folder = Folder::new();
    for (from, to) in [
        ("owner:", "ownr:"),
        ("[growth]", "growth"),
        ("connection: warehouse", "connection: warehose"),
        ("lag: 5m", "lag: soon"),
        ("otherwise: reject", "otherwise: drop"),
        ("batch_rows: 100", "batch_rows: 500"),
    ] {
        folder.edit(S, from, to);
    }
    let report = folder.report();
    assert_eq!(
        places(&report),
        [
            "E0010 syncs/usage.yml:4:1",
            "E0012 syncs/usage.yml:5:7",
            "E0102 syncs/usage.yml:7:15",
            "E0014 syncs/usage.yml:13:8",
            "E0013 syncs/usage.yml:22:68",
            "E0113 syncs/usage.yml:27:15",
        ]
    );
    insta::assert_snapshot!(shown(&report));
}

#[test]
fn a_problem_for_programs_has_code_place_and_help() {
    let folder = Folder::new();
    folder.edit(S, "Usage per user.", "Übersicht");
    folder.edit(S, "firstname: first_name", "größe: { frm: größe }");
    let json = serde_json::to_string_pretty(&folder.report().to_json()).expect("JSON");
    insta::assert_snapshot!(json);
}

#[test]
fn the_report_can_be_drawn_in_ascii_and_in_colour() {
    use crate::diagnostic::Style;
    let folder = Folder::new();
    folder.edit(S, "owner:", "ownr:");
    let report = folder.report();
    let ascii = report.render(Style { unicode: false, ..Style::PLAIN });
    assert!(ascii.is_ascii(), "{ascii}");
    let color = report.render(Style { color: true, ..Style::PLAIN });
    assert!(color.contains("\u{1b}["), "{color}");
    assert!(!report.render(Style::PLAIN).contains('\u{1b}'));
}

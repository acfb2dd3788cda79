//! Files of the right shape that do not make sense together.

use super::{Folder, SYNC, broken, places, shown};

const S: &str = "syncs/usage.yml";
const P: &str = "outflow.yml";

#[test]
fn what_the_parts_mean_together_is_checked() {
    let seen = broken(&[
        (
            "an undeclared connection",
            &[(S, "connection: hubspot", "connection: hubspt")],
            &["E0102 syncs/usage.yml:15:15"],
        ),
        (
            "a destination as model",
            &[(S, "connection: warehouse", "connection: hubspot")],
            &["E0103 syncs/usage.yml:7:15"],
        ),
        (
            "a warehouse as destination",
            &[(S, "connection: hubspot", "connection: warehouse")],
            &["E0103 syncs/usage.yml:15:15"],
        ),
        (
            "an unknown type",
            &[(
                P,
                "    type: hubspot\n    token: ${HUBSPOT_TOKEN}",
                "    type: hubspott\n    token: ${HUBSPOT_TOKEN}",
            )],
            &["E0104 outflow.yml:9:11"],
        ),
        (
            "a type of another version",
            &[(
                P,
                "    type: hubspot\n    token: ${OTHER_TOKEN}",
                "    type: marketo\n    token: ${OTHER_TOKEN}",
            )],
            &["E0104 outflow.yml:12:11"],
        ),
        (
            "empty SQL",
            &[(S, "table: analytics.users", "sql: \"  -- later\"")],
            &["E0106 syncs/usage.yml:8:8"],
        ),
        (
            "a SQL file that is not there",
            &[(S, "table: analytics.users", "sql_file: models/none.sql")],
            &["E0107 syncs/usage.yml:8:13"],
        ),
        (
            "a SQL file outside",
            &[(S, "table: analytics.users", "sql_file: ../secret.sql")],
            &["E0107 syncs/usage.yml:8:13"],
        ),
        (
            "an absolute SQL file",
            &[(S, "table: analytics.users", "sql_file: /etc/passwd")],
            &["E0107 syncs/usage.yml:8:13"],
        ),
        (
            "an empty SQL file",
            &[
                (S, "table: analytics.users", "sql_file: models/m.sql"),
                ("models/m.sql", "", "-- nothing\n"),
            ],
            &["E0106 syncs/usage.yml:8:13"],
        ),
        (
            "no match_on",
            &[(S, "  match_on:\n    email: email\n", "")],
            &["E0111 syncs/usage.yml:14:1"],
        ),
        (
            "too many rows per call",
            &[(S, "batch_rows: 100", "batch_rows: 101")],
            &["E0113 syncs/usage.yml:27:15"],
        ),
        (
            "an interface the destination does not have",
            &[(S, "batch_rows: 100", "api: bulk")],
            &["E2111 syncs/usage.yml:27:8"],
        ),
        (
            "too many rows per call by default",
            &[
                (P, "on_reject: quarantine", "batch_rows: 500"),
                (S, "delivery:\n  batch_rows: 100\n", ""),
            ],
            &["E0113 outflow.yml:16:17"],
        ),
        (
            "a denied column in the mapping",
            &[(S, "schedule:", "privacy: { deny_columns: [plan] }\nschedule:")],
            &["E0115 syncs/usage.yml:22:3"],
        ),
        (
            "a denied column as key",
            &[(S, "schedule:", "privacy: { deny_columns: [user_id] }\nschedule:")],
            &["E0115 syncs/usage.yml:9:16"],
        ),
        (
            "two schedules",
            &[(S, "  every: 15m", "  every: 15m\n  cron: \"0 * * * *\"")],
            &["E0116 syncs/usage.yml:26:3"],
        ),
        (
            "a late warning",
            &[(S, "schedule:", "freshness: { warn_after: 2h, error_after: 30m }\nschedule:")],
            &["E0117 syncs/usage.yml:24:26"],
        ),
        (
            "a mirror without removed",
            &[
                (S, "mode: upsert", "mode: mirror"),
                (S, "  method: watermark\n  column: updated_at\n  lag: 5m", "  method: snapshot"),
            ],
            &["E0109 syncs/usage.yml:17:7"],
        ),
        (
            "a mirror on a bare watermark",
            &[(S, "mode: upsert", "mode: mirror\nremoved: { action: delete }")],
            &["E0110 syncs/usage.yml:11:11"],
        ),
    ]);
    insta::assert_snapshot!(seen);
}

#[test]
fn what_this_version_cannot_do_is_refused_and_never_ignored() {
    let seen = broken(&[
        (
            "dbt",
            &[(S, "  table: analytics.users", "  dbt: fct_users")],
            &["E0040 syncs/usage.yml:8:3"],
        ),
        ("start", &[(S, "  lag: 5m", "  start: \"2026-01-01\"")], &["E0040 syncs/usage.yml:13:3"]),
        (
            "a lookup in a sync that is not there, and in itself",
            &[(
                S,
                "firstname: first_name",
                "owner: { lookup: { sync: owners, key: email } }\n  other: { lookup: { sync: usage, key: email } }",
            )],
            &["E0080 syncs/usage.yml:21:3", "E0081 syncs/usage.yml:22:3"],
        ),
        (
            "only_if_empty and only_on_create",
            &[(
                S,
                "firstname: first_name",
                "a: { from: a, only_if_empty: true }\n  b: { from: b, only_on_create: true }\n  c: { from: c, only_if_empty: false }",
            )],
            &["E0040 syncs/usage.yml:21:17", "E0040 syncs/usage.yml:22:17"],
        ),
        (
            "a rate by default, once",
            &[
                (P, "    on_reject: quarantine", "    on_reject: quarantine\n    rate: 5/s"),
                (
                    "syncs/b.yml",
                    "",
                    &SYNC
                        .replace("sync: usage", "sync: b")
                        .replace("object: contacts", "object: deals"),
                ),
            ],
            &["E0040 outflow.yml:17:5"],
        ),
        (
            "a run without an end of a watermark",
            &[(S, "  every: 15m", "  continuous: { flush_every: 10s }")],
            &["E0072 syncs/usage.yml:25:3"],
        ),
        ("a rate", &[(S, "batch_rows: 100", "rate: 5/s")], &["E0040 syncs/usage.yml:27:3"]),
        (
            "a state in PostgreSQL without a server",
            &[(
                P,
                "connections:\n  warehouse",
                "state: { backend: postgres, schema: s }\nconnections:\n  warehouse",
            )],
            &["E0121 outflow.yml:3:1"],
        ),
        (
            "a state on a connection that is none",
            &[(
                P,
                "connections:\n  warehouse",
                "state: { backend: postgres, connection: warehous }\nconnections:\n  warehouse",
            )],
            &["E0120 outflow.yml:3:41"],
        ),
        (
            "a state that is in two places",
            &[(
                P,
                "connections:\n  warehouse",
                "state: { backend: postgres, path: x, connection: warehouse }\nconnections:\n  warehouse",
            )],
            &["E0121 outflow.yml:3:29"],
        ),
        (
            "a state whose address may fall back to clear text",
            &[(
                P,
                "connections:\n  warehouse",
                "state: postgres://outflow@db.example/state?sslmode=prefer\nconnections:\n  warehouse",
            )],
            &["E0122 outflow.yml:3:1"],
        ),
        (
            "a state connection that says nothing",
            &[(
                P,
                "connections:\n  warehouse",
                "state: { connection: warehouse }\nconnections:\n  warehouse",
            )],
            &["E0121 outflow.yml:3:10"],
        ),
    ]);
    insta::assert_snapshot!(seen);
}

#[test]
fn references_are_substituted_only_where_they_belong() {
    let seen = broken(&[
        (
            "a variable in a sync",
            &[(S, "object: contacts", "object: ${OBJECT}")],
            &["E0022 syncs/usage.yml:16:11"],
        ),
        (
            "a variable in SQL",
            &[(S, "table: analytics.users", "sql: select * from ${SCHEMA}.users")],
            &["E0022 syncs/usage.yml:8:22"],
        ),
        (
            "a variable in the project name",
            &[(P, "project: acme", "project: ${NAME}")],
            &["E0022 outflow.yml:2:10"],
        ),
        (
            "an open brace",
            &[(P, "${HUBSPOT_TOKEN}", "${HUBSPOT_TOKEN")],
            &["E0021 outflow.yml:10:12"],
        ),
        (
            "a form of other tools",
            &[(P, "${HUBSPOT_TOKEN}", "${HUBSPOT_TOKEN-none}")],
            &["E0021 outflow.yml:10:12"],
        ),
        (
            "an unknown var",
            &[(S, "object: contacts", "object: ${var:regoin}")],
            &["E0024 syncs/usage.yml:16:11"],
        ),
        (
            "a var that changes SQL",
            &[
                (S, "table: analytics.users", "sql: select * from t where r = '${var:r}'"),
                (S, "tags: [growth]", "vars: { r: \"x' or 1=1\" }"),
            ],
            &["E0025 syncs/usage.yml:8:35"],
        ),
        (
            "a variable with a wrong value",
            &[(P, "statement_timeout: 10m", "tls: ${HUBSPOT_TOKEN}")],
            &["E0013 outflow.yml:7:10"],
        ),
    ]);
    insta::assert_snapshot!(seen);
}

#[test]
fn a_variable_that_is_not_set_is_shown_with_what_its_author_says() {
    let mut folder = Folder::new();
    folder.unset("WAREHOUSE_URL");
    folder.edit(P, "${WAREHOUSE_URL}", "${WAREHOUSE_URL:?set the read-only warehouse DSN}");
    folder.edit(P, "${OTHER_TOKEN}", "${file:/nowhere/token}");
    insta::assert_snapshot!(shown(&folder.project().unresolved()));
}

#[test]
fn an_environment_must_be_declared() {
    let mut folder = Folder::new();
    folder.environment = Some("deb");
    let report = folder.report();
    assert_eq!(places(&report), ["E0030 outflow.yml:17:1"]);
    assert!(shown(&report).contains("did you mean `dev`?"));
    folder.edit(P, "url: \"http://127.0.0.1:8701\"", "url: \"http://sim.example\"");
    folder.environment = Some("dev");
    assert_eq!(places(&folder.report()), ["E0105 outflow.yml:20:58"]);
}

#[test]
fn two_syncs_share_neither_a_name_nor_a_field() {
    let folder = Folder::new();
    folder.write("syncs/b.yml", SYNC);
    let report = folder.report();
    assert_eq!(places(&report), ["E0101 syncs/usage.yml:2:7"]);
    let mut seen = shown(&report);
    let other = SYNC.replace("sync: usage", "sync: b");
    folder.write("syncs/b.yml", &other.replace("firstname:", "lastname:"));
    let report = folder.report();
    assert_eq!(places(&report), ["E0112 syncs/usage.yml:22:3", "E0112 syncs/usage.yml:23:3"]);
    seen.push_str(&shown(&report));
    insta::assert_snapshot!(seen);
}

#[test]
fn a_disabled_sync_and_another_object_own_nothing_here() {
    let folder = Folder::new();
    let other = SYNC.replace("sync: usage", "sync: b");
    folder.write("syncs/b.yml", &other.replace("mode: upsert", "mode: upsert\nenabled: false"));
    folder.project();
    folder.write("syncs/b.yml", &other.replace("object: contacts", "object: companies"));
    folder.project();
}

#[test]
fn mistakes_of_a_mapping_that_need_no_connection_are_found() {
    let seen = broken(&[
        (
            "a template that is not valid",
            &[(S, "firstname: first_name", "firstname: { template: \"{{ a \" }")],
            &["E0202 syncs/usage.yml:21:3"],
        ),
        (
            "a match field mapped from another column",
            &[(S, "firstname: first_name", "email: other_email")],
            &["E0210 syncs/usage.yml:21:3"],
        ),
    ]);
    insta::assert_snapshot!(seen);
}

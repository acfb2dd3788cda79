//! Good projects: what the checked project holds.

use flow::{Changes, Relation};

use super::{Folder, SYNC, places};
use crate::config::Kind;

#[test]
fn a_good_project_has_everything_the_engine_needs() {
    let project = Folder::new().project();
    assert_eq!(project.name, "acme");
    assert!(project.state.dir.ends_with(".outflow"));
    let checked = project.sync("usage").expect("the sync");
    let sync = &checked.sync;
    assert_eq!(sync.model.relation, Relation::Table("analytics.users".into()));
    assert_eq!(sync.model.primary_key, ["user_id"]);
    let lag_micros = 300_000_000;
    assert_eq!(sync.model.changes, Changes::Watermark { column: "updated_at".into(), lag_micros });
    assert_eq!((sync.source.as_str(), sync.destination.as_str()), ("warehouse", "hubspot"));
    assert_eq!(sync.object, "contacts");
    assert_eq!(sync.match_on, [("email".to_owned(), "email".to_owned())]);
    assert_eq!(sync.delivery.batch_rows, Some(100));
    assert_eq!(sync.guards.max_rejected, Some(0.005));
    assert_eq!(checked.expected_interval_seconds, Some(900.0));
    assert_eq!(checked.tags, ["growth"]);
    assert!(checked.enabled);
    let fields: Vec<_> = sync.mappings.iter().map(|(field, _)| field).collect();
    assert_eq!(fields, ["firstname", "plan", "phone"]);
}

#[test]
fn a_missing_variable_stops_only_what_needs_it() {
    let mut folder = Folder::new();
    let project = folder.project();
    assert!(project.connection("hubspot").is_ok());
    assert!(project.connection("other").is_err());
    assert_eq!(places(&project.unresolved()), ["E0020 outflow.yml:13:12"]);
    folder.unset("HUBSPOT_TOKEN");
    let project = folder.project();
    assert!(project.connection("warehouse").is_ok());
    let report = project.connection("hubspot").expect_err("its token is missing");
    assert_eq!(places(&report), ["E0020 outflow.yml:10:12"]);
    assert_eq!(project.unresolved().errors(), 2);
}

#[test]
fn an_environment_replaces_a_whole_connection_and_merges_the_rest() {
    let mut folder = Folder::new();
    folder.edit(
        "outflow.yml",
        "environments:\n  dev:\n",
        "environments:\n  dev:\n    defaults: { delivery: { max_concurrency: 2 } }\n    vars: { extra: 1 }\n",
    );
    folder.environment = Some("dev");
    let project = folder.project();
    let hubspot = project.connection("hubspot").expect("no variable is needed");
    assert!(hubspot.simulated);
    assert!(matches!(hubspot.kind, Kind::Destination(kind) if kind.name == "hubspot"));
    assert_eq!(hubspot.options()["base_url"], "http://127.0.0.1:8701");
    assert_eq!(hubspot.options()["token"], "simulator");
    let sync = &project.syncs[0].sync;
    assert_eq!(sync.delivery.max_concurrency, Some(2));
    assert!(!sync.delivery.stop_on_reject);
}

#[test]
fn defaults_go_under_a_sync_key_by_key() {
    let folder = Folder::new();
    folder.edit(
        "outflow.yml",
        "    on_reject: quarantine\n",
        "    on_reject: stop\n    batch_rows: 7\n  guards: { max_rejected: 3% }\n  owner: all@acme.example\n",
    );
    folder.edit("syncs/usage.yml", "guards:\n  max_rejected: 0.5%\n", "");
    let project = folder.project();
    let checked = &project.syncs[0];
    assert!(checked.sync.delivery.stop_on_reject, "only the default says so");
    assert_eq!(checked.sync.delivery.batch_rows, Some(100), "the sync says otherwise");
    assert_eq!(checked.sync.guards.max_rejected, Some(0.03));
    assert_eq!(checked.owner.as_deref(), Some("growth@acme.example"));
}

#[test]
fn vars_reach_sync_files_and_sql_files() {
    let folder = Folder::new();
    folder.write(
        "models/m.sql",
        "select * from users where region = '${var:region}' and t = $${1}$$",
    );
    folder.edit("syncs/usage.yml", "table: analytics.users", "sql_file: models/m.sql");
    folder.edit("syncs/usage.yml", "lag: 5m", "lag: ${var:lag}");
    folder.edit("syncs/usage.yml", "batch_rows: 100", "batch_rows: ${var:rows}");
    folder.edit(
        "syncs/usage.yml",
        "tags: [growth]",
        "tags: [\"$${literal}\"]\nvars: { lag: 1h, rows: 50 }",
    );
    let project = folder.project();
    let checked = &project.syncs[0];
    let expected = "select * from users where region = 'eu' and t = $${1}$$";
    assert_eq!(checked.sync.model.relation, Relation::Sql(expected.into()));
    assert_eq!(checked.model_name, "models/m.sql");
    assert_eq!(checked.sync.delivery.batch_rows, Some(50));
    assert_eq!(checked.tags, ["${literal}"]);
    assert!(matches!(
        checked.sync.model.changes,
        Changes::Watermark { lag_micros: 3_600_000_000, .. }
    ));
}

#[test]
fn a_scalar_that_is_one_variable_has_its_type() {
    let folder = Folder::new();
    folder.edit("syncs/usage.yml", "batch_rows: 100", "batch_rows: ${var:text}");
    folder.edit("syncs/usage.yml", "tags: [growth]", "vars: { text: \"50\", number: 50 }");
    assert_eq!(places(&folder.report()), ["E0012 syncs/usage.yml:27:15"]);
    folder.edit("syncs/usage.yml", "${var:text}", "${var:number}");
    folder.edit("syncs/usage.yml", "object: contacts", "object: contact${var:s}");
    folder.edit("syncs/usage.yml", "vars: {", "vars: { s: s,");
    assert_eq!(folder.project().syncs[0].sync.object, "contacts");
}

#[test]
fn a_variable_the_state_or_a_type_needs_is_needed_at_once() {
    let folder = Folder::new();
    folder.edit("outflow.yml", "vars:\n", "state: { path: \"${STATE_DIR}\" }\nvars:\n");
    folder.edit("outflow.yml", "type: postgres", "type: ${WAREHOUSE_TYPE}");
    assert_eq!(places(&folder.report()), ["E0020 outflow.yml:5:11", "E0020 outflow.yml:21:17"]);
}

#[test]
fn every_environment_has_a_state_of_its_own() {
    let mut folder = Folder::new();
    folder.environment = Some("dev");
    assert!(folder.project().state.dir.ends_with(".outflow/environments/dev"));
    folder.edit("outflow.yml", "  dev:\n", "  dev:\n    state: { path: elsewhere }\n");
    assert!(folder.project().state.dir.ends_with("elsewhere"));
}

#[test]
fn a_snapshot_a_composite_key_and_a_query_are_accepted() {
    let folder = Folder::new();
    folder.edit(
        "syncs/usage.yml",
        "  table: analytics.users\n  primary_key: user_id",
        "  sql: |\n    select 1\n  primary_key: [a, b]",
    );
    folder.edit(
        "syncs/usage.yml",
        "  method: watermark\n  column: updated_at\n  lag: 5m",
        "  method: snapshot",
    );
    let project = folder.project();
    let model = &project.syncs[0].sync.model;
    assert_eq!(model.relation, Relation::Sql("select 1\n".into()));
    assert_eq!(model.primary_key, ["a", "b"]);
    assert_eq!(model.changes, Changes::Snapshot);
}

#[test]
fn the_log_with_its_tables_and_a_run_without_an_end_are_accepted() {
    let folder = Folder::new();
    folder.edit(
        "syncs/usage.yml",
        "  method: watermark\n  column: updated_at\n  lag: 5m",
        "  method: log\n  slot: s\n  publication: p\n  tables: [a.b, { name: c, keys: select k from changed }]\n  \
         retained_max_mib: 2\n  reconcile: { every: 1d }",
    );
    folder.edit("syncs/usage.yml", "  every: 15m", "  continuous: { flush_every: 10s }");
    let project = folder.project();
    let checked = &project.syncs[0];
    let Changes::Log(log) = &checked.sync.model.changes else { panic!("a log") };
    let tables: Vec<_> =
        log.tables.iter().map(|table| (table.name.as_str(), table.keys.as_deref())).collect();
    assert_eq!(tables, [("a.b", None), ("c", Some("select k from changed"))]);
    assert_eq!((log.slot.as_str(), log.retained_bytes_max), ("s", Some(2 << 20)));
    assert_eq!(checked.sync.compare_every_micros, Some(86_400_000_000));
    let follow = checked.continuous.unwrap();
    assert_eq!((follow.flush_every.as_secs(), follow.flush_rows), (10, 1000));

    let twice = std::fs::read_to_string(folder.root().join("syncs/usage.yml")).unwrap();
    folder.write(
        "syncs/other.yml",
        &twice.replace("sync: usage", "sync: other").replace("contacts", "deals"),
    );
    assert_eq!(places(&folder.report()), ["E0071 syncs/usage.yml:12:9"]);
}

#[test]
fn syncs_lie_in_any_folder_and_hidden_files_are_passed_over() {
    let folder = Folder::new();
    folder.write(
        "syncs/team/a.yaml",
        &SYNC.replace("sync: usage", "sync: a").replace("object: contacts", "object: companies"),
    );
    folder.write("syncs/.draft.yml", "not: [valid");
    folder.write("syncs/notes.txt", "not: [valid");
    let project = folder.project();
    let names: Vec<_> = project.syncs.iter().map(|sync| sync.sync.name.as_str()).collect();
    assert_eq!(names, ["a", "usage"]);
}

#[test]
fn a_file_with_windows_line_ends_and_a_byte_order_mark_is_read() {
    let folder = Folder::new();
    folder.write("syncs/usage.yml", &format!("\u{feff}{}", SYNC.replace('\n', "\r\n")));
    assert_eq!(folder.project().syncs.len(), 1);
    folder.edit("syncs/usage.yml", "owner:", "ownr:");
    assert_eq!(places(&folder.report()), ["E0010 syncs/usage.yml:4:1"]);
}

#[test]
fn what_changes_nothing_that_is_sent_is_accepted() {
    let folder = Folder::new();
    folder.edit(
        "syncs/usage.yml",
        "schedule:\n  every: 15m\n",
        "schedule: { cron: \"0 4 * * *\", timezone: Europe/Warsaw, after: dbt }\n\
         freshness: { warn_after: 30m, error_after: 2h }\n\
         privacy: { mask_in_logs: [email], deny_columns: [salary] }\n\
         alerts: { email: [a@b.example] }\n\
         tests: [{ name: nothing, given: [], expect: [] }]\n",
    );
    let project = folder.project();
    assert_eq!(project.syncs[0].deny_columns, ["salary"]);
    assert_eq!(project.syncs[0].expected_interval_seconds, None);
}

#[test]
fn a_state_in_postgresql_is_a_connection_or_an_address_and_each_environment_has_a_schema_of_its_own()
 {
    let mut folder = Folder::new();
    folder.edit(
        "outflow.yml",
        "vars:\n",
        "state: { backend: postgres, connection: warehouse, lease: 10s }\nvars:\n",
    );
    let server = folder.project().state.server.unwrap();
    assert_eq!((server.schema.as_str(), server.lease.unwrap().as_secs()), ("outflow_state", 10));
    folder.environment = Some("dev");
    assert_eq!(folder.project().state.server.unwrap().schema, "outflow_state_dev");
    folder.environment = None;
    folder.edit(
        "outflow.yml",
        "state: { backend: postgres, connection: warehouse, lease: 10s }",
        "state: postgres://outflow@localhost/state",
    );
    let server = folder.project().state.server.unwrap();
    assert_eq!(server.url.expose(), "postgres://outflow@localhost/state");
}

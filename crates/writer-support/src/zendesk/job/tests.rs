//! Every dialect of a job's result rows, and whose row each is (D6).

use flow::Secret;
use serde_json::json;

use super::*;

fn handed(verb: Verb, tokens: &[&'static str], by_id: bool) -> Handed<'static> {
    Handed { verb, rows: (0..tokens.len()).collect(), tokens: tokens.to_vec(), by_id }
}

fn booked(part: &Handed<'_>, results: Value) -> Vec<String> {
    let token = Secret::new("t");
    let judge = Judge { token: &token, now_micros: 0, rows: part.rows.len() };
    let mut outcomes = Outcomes::new(part.rows.len());
    let results = results.as_array().expect("a list").clone();
    part.book(judge, &End::Results(results), &mut outcomes);
    let shown = |outcome: &Outcome| match outcome {
        Outcome::Delivered { created, remote_id } => {
            let created = created.map_or("?", |created| if created { "new" } else { "old" });
            format!("{created} {}", remote_id.as_deref().unwrap_or("-"))
        }
        Outcome::Rejected { code, .. } => code.id.to_owned(),
        Outcome::Retry { .. } => "retry".to_owned(),
        _ => "unknown".to_owned(),
    };
    outcomes.receipt("-").outcomes.iter().map(shown).collect()
}

const MAILS: [&str; 3] = ["ada@x.io", "bob@x.io", "eve@x.io"];

#[test]
fn upserts_are_told_apart_by_what_they_echo_in_any_order() {
    let part = handed(Verb::Upsert, &MAILS, false);
    let results = json!([
        {"id": 903, "status": "Updated", "email": "Eve@X.io"},
        {"id": 1, "error": "UserUpdateError", "details": "Email: x is not properly formatted", "status": "Failed"},
        {"id": 901, "status": "Created", "email": "ada@x.io"},
    ]);
    assert_eq!(booked(&part, results), ["new 901", "R201", "old 903"]);
    let part = handed(Verb::Upsert, &["A-1", "B-2"], false);
    let results = json!([
        {"id": 2, "status": "Updated", "email": "x@x.io", "external_id": "b-2"},
        {"id": 1, "status": "Created", "email": "y@x.io", "external_id": "a-1"},
    ]);
    assert_eq!(booked(&part, results), ["new 1", "old 2"]);
}

#[test]
fn an_index_names_the_row_whatever_the_order() {
    let part = handed(Verb::Create, &["a", "b"], false);
    let results = json!([{"id": 12, "index": 1}, {"id": 11, "index": 0}]);
    assert_eq!(booked(&part, results), ["new 11", "new 12"]);
    let results = json!([
        {"index": 1, "action": "create", "success": false, "error": "x", "details": "Name: b has already been taken"},
        {"id": 11, "index": 0, "action": "create", "status": "Created", "success": true},
    ]);
    assert_eq!(booked(&part, results), ["new 11", "R202"]);
}

#[test]
fn records_addressed_by_id_are_named_by_it() {
    let part = handed(Verb::Update, &["1", "0", "360"], true);
    let results = json!([
        {"id": 360, "action": "update", "status": "Updated", "success": true},
        {"id": 0, "action": "update", "success": false, "error": "RecordNotFound", "details": "Not found"},
        {"id": 1, "action": "update", "status": "Updated", "success": true},
    ]);
    assert_eq!(booked(&part, results), ["old 1", "R203", "old 360"]);
}

#[test]
fn deleting_what_is_gone_is_done() {
    let part = handed(Verb::Delete, &["7", "8", "9"], true);
    let results = json!([
        {"id": 7, "action": "delete", "status": "Deleted", "success": true},
        {"id": 8, "action": "delete", "success": false, "error": "RecordNotFound", "details": "Not found"},
        {"id": 9, "action": "delete", "success": false, "error": "Forbidden", "details": "is an agent with tickets"},
    ]);
    assert_eq!(booked(&part, results), ["old 7", "old -", "R201"]);
    // Some deletions have one verdict for all.
    assert_eq!(booked(&part, json!([{"success": true}])), ["old -", "old -", "old -"]);
}

#[test]
fn a_row_that_is_named_by_nothing_is_known_by_its_place_only_among_all() {
    let part = handed(Verb::Upsert, &MAILS, false);
    let all = json!([{"id": 1, "status": "Created"}, {"id": 2, "status": "Updated"}, {"id": 3, "status": "Created"}]);
    // A place is enough to say that it worked, not to remember whose id it is.
    assert_eq!(booked(&part, all), ["new -", "old -", "new -"]);
    let few = json!([{"id": 1, "status": "Created"}, {"id": 2, "status": "Updated"}]);
    assert_eq!(booked(&part, few), ["unknown", "unknown", "unknown"]);
}

#[test]
fn rows_that_are_missing_twice_or_nobodys_are_unknown() {
    let part = handed(Verb::Upsert, &MAILS, false);
    let results = json!([
        {"id": 1, "status": "Created", "email": "ada@x.io"},
        {"id": 1, "status": "Created", "email": "ada@x.io"},
        {"id": 9, "status": "Created", "email": "stranger@x.io", "index": 77},
        {"id": 3, "status": "Queued", "email": "eve@x.io"},
    ]);
    assert_eq!(booked(&part, results), ["unknown", "unknown", "unknown"]);
    assert_eq!(booked(&part, json!([])), ["unknown", "unknown", "unknown"]);
    let hostile = json!([null, 7, "x", [], {}, {"id": {"a": 1}, "email": ["ada@x.io"]}]);
    assert_eq!(booked(&part, hostile), ["unknown", "unknown", "unknown"]);
}

#[test]
fn a_job_has_ended_when_it_says_so_and_is_lost_without_results() {
    let ended = |status: Value| match end(&status) {
        None => "goes on".to_owned(),
        Some(End::Vanished) => "vanished".to_owned(),
        Some(End::Results(rows)) => format!("{} rows", rows.len()),
    };
    for (status, expected) in [
        (json!({"status": "queued"}), "goes on"),
        (json!({"status": "working", "results": null}), "goes on"),
        (json!({"status": "completed", "results": [{}, {}]}), "2 rows"),
        (json!({"status": "completed", "results": null}), "vanished"),
        (json!({"status": "completed"}), "vanished"),
        (json!({"status": "completed", "results": {"success": true}}), "1 rows"),
        (json!({"status": "killed", "results": [{}]}), "1 rows"),
        (json!({"status": "failed", "results": {"success": false}}), "vanished"),
        (json!({"status": "failed", "results": null}), "vanished"),
        (json!({}), "goes on"),
        (json!(null), "goes on"),
    ] {
        assert_eq!(ended(status.clone()), expected, "{status}");
    }
}

#[test]
fn a_job_is_only_taken_for_ours_when_it_names_our_rows() {
    let part = handed(Verb::Upsert, &MAILS, false);
    let end = |rows: Value| End::Results(rows.as_array().expect("a list").clone());
    let row = |mail: &str| json!({"id": 1, "status": "Created", "email": mail});
    assert!(part.is_named_by(&end(
        json!([row("ada@x.io"), row("BOB@x.io"), {"id": 2, "error": "x", "status": "Failed"}])
    )));
    assert!(!part.is_named_by(&end(json!([row("ada@x.io"), row("bob@x.io"), row("zoe@x.io")]))));
    assert!(!part.is_named_by(&end(json!([row("ada@x.io"), row("bob@x.io")]))));
    let failed = json!({"id": 2, "error": "x", "status": "Failed"});
    assert!(!part.is_named_by(&end(json!([failed, failed, failed]))));
    assert!(!part.is_named_by(&End::Vanished));
}

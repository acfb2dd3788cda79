//! Answers that say success, row by row: complete, partial, silent, reordered, repeated, invented (D6, F16).

use std::sync::Arc;

use flow::arrow::array::{ArrayRef, RecordBatch, StringArray};
use flow::{Error, Mode, Payload, Secret};
use writer::conformance::refusals::reply;

use super::*;

fn batch(emails: &[&str]) -> WriteBatch {
    let column: ArrayRef = Arc::new(StringArray::from(emails.to_vec()));
    let fields = RecordBatch::try_from_iter([("email", column)]).expect("one column");
    WriteBatch {
        object: "contacts".into(),
        mode: Mode::Upsert,
        match_on: Arc::new(["email".to_owned()]),
        record_ids: Vec::new(),
        job: None,
        payload: Payload { fields, absent: vec![None] },
        run_id: "run".into(),
    }
}

const EMAILS: [&str; 3] = ["a@x.io", "b@x.io", "c@x.io"];

fn read(emails: &[&str], body: &str) -> Result<Receipt, Error> {
    let token = Secret::new("pat-secret");
    let reply = reply(207, &[], body);
    let judge = Judge { token: &token, now_micros: 0, rows: emails.len() };
    let trace = Trace { call: 5, rows: emails.len() };
    receipt(&reply, judge, (&batch(emails), Some(0)), trace)
}

/// One word per row: `new 7`, `old 7`, `R201 field: message`, `retry reason`, `? reason`.
#[track_caller]
fn check(emails: &[&str], body: &str, expected: &[&str]) {
    let receipt = read(emails, body).expect("readable");
    let words: Vec<String> = receipt
        .outcomes
        .iter()
        .map(|outcome| match outcome {
            Outcome::Delivered { created, remote_id } => {
                let word = match created {
                    Some(true) => "new",
                    Some(false) => "old",
                    None => "done",
                };
                format!("{word} {}", remote_id.as_deref().unwrap_or("-"))
            }
            Outcome::Rejected { code, message, field } => {
                format!("{} {}: {message}", code.id, field.as_deref().unwrap_or("-"))
            }
            Outcome::Retry { reason, .. } => format!("retry {reason}"),
            Outcome::Unknown { reason } => format!("? {reason}"),
            Outcome::InPart { .. } => "in part".to_owned(),
            Outcome::AcceptedUnverified { .. } => "accepted".to_owned(),
        })
        .collect();
    assert_eq!(words, expected, "{body}");
}

#[test]
fn a_complete_answer_in_any_order_names_every_row() {
    check(
        &EMAILS,
        r#"{"status":"COMPLETE","results":[
            {"id":"33","new":false,"properties":{"email":"c@x.io"},"objectWriteTraceId":"5-2"},
            {"id":"11","new":true,"objectWriteTraceId":"5-0"},
            {"id":22,"objectWriteTraceId":"5-1"}]}"#,
        &["new 11", "done 22", "old 33"],
    );
}

#[test]
fn a_bad_row_among_good_ones_is_rejected_with_code_field_and_message() {
    check(
        &EMAILS,
        r#"{"results":[{"id":"1","new":true,"objectWriteTraceId":"5-0"},{"id":"3","new":true,"objectWriteTraceId":"5-2"}],
            "numErrors":1,"errors":[{"status":"error","category":"VALIDATION_ERROR","message":"seats was not a valid number",
            "errors":[{"code":"INVALID_INTEGER","in":"seats"}],"context":{"objectWriteTraceId":["5-1"]}}]}"#,
        &["new 1", "R201 seats: seats was not a valid number", "new 3"],
    );
}

#[test]
fn row_errors_have_codes_by_their_kind() {
    let error = |category: &str, message: &str, status: &str| {
        format!(
            r#"{{"errors":[{{"status":"{status}","category":"{category}","message":"{message}","context":{{"objectWriteTraceId":["5-0"]}}}}]}}"#
        )
    };
    for (category, message, status, expected) in [
        ("VALIDATION_ERROR", "bad", "error", "R201 -: bad"),
        ("CONFLICT", "exists", "error", "R202 -: exists"),
        ("OBJECT_NOT_FOUND", "gone", "error", "R203 -: gone"),
        (
            "OTHER",
            "Cannot have more than 250 identities on a profile",
            "error",
            "R204 -: Cannot have more than 250 identities on a profile",
        ),
        ("", "x", "414", "R204 -: x"),
        ("", "x", "400", "R201 -: x"),
        ("", "x", "409", "R202 -: x"),
        ("", "x", "404", "R203 -: x"),
        ("WEIRD", "", "error", "R205 -: WEIRD"),
        ("", "token pat-secret leaked\\r\\n", "error", "R205 -: token *** leaked"),
        ("RATE_LIMITS", "slow", "error", "retry throttled"),
        ("", "slow", "429", "retry throttled"),
        ("", "locked", "423", "retry locked"),
        ("INTERNAL_ERROR", "oops", "error", "? server error for the row"),
        ("", "oops", "503", "? server error for the row"),
    ] {
        check(&["a@x.io"], &error(category, message, status), &[expected]);
    }
}

// HubSpot has answered 200 and 207 with nothing at all.
#[test]
fn a_silent_answer_says_nothing_about_any_row() {
    for body in [
        "{}",
        r#"{"status":"COMPLETE","results":[]}"#,
        r#"{"status":"COMPLETE","results":[],"errors":[],"numErrors":0}"#,
        r#"{"results":null,"errors":null}"#,
        r#"{"status":"PENDING"}"#,
        r#"{"results":"none","errors":7}"#,
    ] {
        check(&EMAILS, body, &["? empty answer"; 3]);
    }
}

#[test]
fn rows_the_answer_leaves_out_are_unknown() {
    check(
        &EMAILS,
        r#"{"results":[{"id":"2","new":false,"objectWriteTraceId":"5-1"}]}"#,
        &["? no answer for the row", "old 2", "? no answer for the row"],
    );
}

#[test]
fn invented_repeated_and_misspelled_trace_ids_touch_no_other_row() {
    let stranger = "? no answer for the row";
    for id in [
        "5-3",
        "4-0",
        "5-00",
        "5-+0",
        "05-0",
        "5-",
        "-0",
        "",
        "5-0 ",
        "5_0",
        "5-18446744073709551616",
    ] {
        let body =
            format!(r#"{{"results":[{{"id":"1","new":true,"objectWriteTraceId":"{id}"}}]}}"#);
        check(&EMAILS, &body, &[stranger; 3]);
    }
    check(
        &EMAILS,
        r#"{"results":[{"id":"1","objectWriteTraceId":"5-0"},{"id":"1","objectWriteTraceId":"5-0"},{"id":"2"}]}"#,
        &["? more than one answer", stranger, stranger],
    );
    check(
        &["a@x.io"],
        r#"{"results":[{"id":"1","objectWriteTraceId":"5-0"}],"errors":[{"category":"CONFLICT","context":{"objectWriteTraceId":["5-0"]}}]}"#,
        &["? more than one answer"],
    );
}

#[test]
fn errors_without_a_trace_id_are_matched_by_value_or_by_being_alone() {
    check(
        &EMAILS,
        r#"{"errors":[{"category":"OBJECT_NOT_FOUND","message":"m","context":{"ids":["b@x.io","stranger@x.io"]}}]}"#,
        &["? no answer for the row", "R203 -: m", "? no answer for the row"],
    );
    let unnamed = r#"{"errors":[{"category":"VALIDATION_ERROR","message":"m"}]}"#;
    check(&["a@x.io"], unnamed, &["R201 -: m"]);
    check(&EMAILS, unnamed, &["? no answer for the row"; 3]);
    // A value that two rows share names neither.
    check(
        &["a@x.io", "a@x.io"],
        r#"{"errors":[{"category":"CONFLICT","context":{"ids":["a@x.io"]}}]}"#,
        &["? no answer for the row"; 2],
    );
}

// A result without a trace id is still known by the unique property it holds.
#[test]
fn results_without_a_trace_id_are_matched_by_what_their_record_is_found_by() {
    check(
        &["A@x.io", "b@x.io", "c@x.io"],
        r#"{"results":[
            {"id":"3","new":true,"properties":{"email":"c@x.io"},"objectWriteTraceId":"5-2"},
            {"id":"1","new":true,"properties":{"email":"a@x.io","x":null}},
            {"id":"9","new":true,"properties":{"email":"stranger@x.io"}},
            {"id":"8","new":true,"properties":{"x":"b@x.io"}}]}"#,
        &["new 1", "? no answer for the row", "new 3"],
    );
    check(
        &["a@x.io", "A@x.io"],
        r#"{"results":[{"id":"1","properties":{"email":"a@x.io"}}]}"#,
        &["? no answer for the row"; 2],
    );
}

#[test]
fn two_complaints_about_one_row_are_one_rejection() {
    check(
        &["a@x.io"],
        r#"{"errors":[
            {"category":"VALIDATION_ERROR","message":"first","context":{"objectWriteTraceId":["5-0"]}},
            {"category":"VALIDATION_ERROR","message":"second","context":{"objectWriteTraceId":["5-0"]}}]}"#,
        &["R201 -: first"],
    );
}

#[test]
fn a_strange_record_id_is_not_kept() {
    for id in ["\"\"", "null", "{}", "\"a b\"", "\"line\\n\"", &format!("\"{}\"", "9".repeat(65))] {
        let body =
            format!(r#"{{"results":[{{"id":{id},"new":true,"objectWriteTraceId":"5-0"}}]}}"#);
        check(&["a@x.io"], &body, &["new -"]);
    }
}

#[test]
fn a_property_that_is_wrong_for_every_row_ends_the_run() {
    let complaint = |row: usize| {
        format!(
            r#"{{"category":"VALIDATION_ERROR","message":"x","context":{{"objectWriteTraceId":["5-{row}"]}},
                "errors":[{{"code":"PROPERTY_DOESNT_EXIST","context":{{"propertyName":["stagee"]}}}}]}}"#
        )
    };
    let all = format!(r#"{{"errors":[{},{}]}}"#, complaint(0), complaint(1));
    let error = read(&EMAILS[..2], &all).expect_err("the mapping is wrong");
    assert_eq!(error.code().id, "E2012");
    assert!(error.message().contains("`stagee`"), "{error}");
    let one = format!(
        r#"{{"results":[{{"id":"1","new":true,"objectWriteTraceId":"5-1"}}],"errors":[{}]}}"#,
        complaint(0)
    );
    check(&EMAILS[..2], &one, &["R201 stagee: x", "new 1"]);
}

// D4, F13
#[test]
fn a_success_that_cannot_be_read_may_have_been_applied() {
    let deep = format!(r#"{{"results":{}"#, "[".repeat(100_000));
    for body in
        ["", " ", "<html></html>", "[]", "null", "\"ok\"", "{", r#"{"results":[{"id""#, &deep]
    {
        let error = read(&EMAILS, body).expect_err("unreadable");
        assert_eq!((error.code().id, error.is_ambiguous()), ("E2004", true), "{error:?}");
    }
}

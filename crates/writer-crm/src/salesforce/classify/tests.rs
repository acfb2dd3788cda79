//! The table of answers: what Salesforce (or something in its place) says, and what becomes of the rows.

use std::sync::Arc;

use flow::arrow::array::{ArrayRef, RecordBatch, StringArray};
use flow::{Error, Mode, Payload, Receipt, WriteBatch};
use writer::conformance::refusals::reply;

use super::*;
use crate::salesforce::collections::Call;

const TOKEN: &str = "00D!secret-session";

fn judge(rows: usize) -> Judge {
    Judge { secret: Secret::new(TOKEN), now_micros: 1_445_412_420_000_000, rows }
}

fn batch(rows: usize, mode: Mode) -> WriteBatch {
    let keys: Vec<String> = (0..rows).map(|row| format!("key-{row}")).collect();
    let column: ArrayRef = Arc::new(StringArray::from(keys));
    let fields = RecordBatch::try_from_iter([("Ext__c", column)]).expect("a column");
    WriteBatch {
        object: "Contact".into(),
        mode,
        match_on: Arc::new(["Ext__c".to_owned()]),
        payload: Payload { fields, absent: vec![None] },
        record_ids: Vec::new(),
        job: None,
        run_id: "run".into(),
    }
}

/// What becomes of a call of `rows` rows that is answered like this.
fn answered(rows: usize, reply: &Reply) -> Result<Receipt, Error> {
    let batch = batch(rows, Mode::Upsert);
    let order: Vec<usize> = (0..rows).collect();
    let call = Call { batch: &batch, external: Some(0), id_column: None, ids: &[], order: &order };
    match reply.is_success() {
        true => call.receipt(reply, &judge(rows)),
        false => Err(judge(rows).error(reply)),
    }
}

fn word(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Delivered { created, remote_id } => {
            let created = created.map_or("?", |created| if created { "new" } else { "old" });
            format!("{created} {}", remote_id.as_deref().map_or("-", |id| &id[..6]))
        }
        Outcome::AcceptedUnverified { .. } => "accepted".to_owned(),
        Outcome::Retry { reason, .. } => format!("retry: {reason}"),
        Outcome::Rejected { code, field, .. } => {
            format!("{} {}", code.id, field.as_deref().unwrap_or("-"))
        }
        Outcome::Unknown { .. } => "unknown".to_owned(),
        Outcome::InPart { .. } => "in part".to_owned(),
    }
}

fn said(answer: &Result<Receipt, Error>) -> String {
    match answer {
        Ok(receipt) => receipt.outcomes.iter().map(word).collect::<Vec<_>>().join(" | "),
        Err(error) => {
            let retry = match error.retry() {
                Retry::Never => "never".to_owned(),
                Retry::Backoff => "backoff".to_owned(),
                Retry::After(wait) => format!("after {} s", wait.as_secs()),
            };
            let unclear = if error.is_ambiguous() { ", unclear" } else { "" };
            format!("{} {retry}{unclear}", error.code().id)
        }
    }
}

const OK1: &str = r#"{"id":"003000000000001AAA","success":true,"errors":[],"created":true}"#;
const OK2: &str = r#"{"id":"003000000000002AAA","success":true,"errors":[],"created":false}"#;

fn failed(code: &str, message: &str, fields: &str) -> String {
    format!(
        r#"{{"success":false,"errors":[{{"statusCode":"{code}","message":"{message}","fields":[{fields}]}}]}}"#
    )
}

#[track_caller]
fn rows(results: &[&str], expected: &str) {
    let body = format!("[{}]", results.join(","));
    assert_eq!(
        said(&answered(results.len(), &reply(200, &[], body.as_bytes()))),
        expected,
        "{body}"
    );
}

#[test]
fn rows_have_the_outcome_in_their_place() {
    let bad = |code: &str, message: &str, fields: &str| failed(code, message, fields);
    rows(&[OK1, OK2], "new 003000 | old 003000");
    rows(&[r#"{"id":"003000000000001AAA","success":true,"errors":[]}"#], "? 003000");
    rows(&[r#"{"success":true}"#], "? -");
    rows(&[r#"{"id":"../../x","success":true}"#], "? -");
    for (code, message, fields, expected) in [
        (
            "REQUIRED_FIELD_MISSING",
            "Required fields are missing: [LastName]",
            "\"LastName\"",
            "R201 LastName",
        ),
        ("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", "bad value", "\"Plan__c\"", "R201 Plan__c"),
        ("STRING_TOO_LONG", "data value too large", "\"FirstName\"", "R201 FirstName"),
        ("INVALID_EMAIL_ADDRESS", "invalid email address", "\"Email\"", "R201 Email"),
        ("FIELD_CUSTOM_VALIDATION_EXCEPTION", "our rule", "", "R201 -"),
        ("DUPLICATE_VALUE", "duplicate value found", "", "R202 -"),
        ("DUPLICATES_DETECTED", "Use one of these records?", "", "R202 -"),
        ("DUPLICATE_EXTERNAL_ID", "more than one record found", "\"Ext__c\"", "R220 Ext__c"),
        ("ENTITY_IS_DELETED", "entity is deleted", "", "R203 -"),
        ("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", "", "R203 -"),
        (
            "INVALID_CROSS_REFERENCE_KEY",
            "invalid cross reference id",
            "\"AccountId\"",
            "R221 AccountId",
        ),
        (
            "INVALID_FIELD",
            "Foreign key external ID: x not found for field Ext__c in entity Account",
            "",
            "R221 -",
        ),
        ("STORAGE_LIMIT_EXCEEDED", "storage limit exceeded", "", "R204 -"),
        ("INSUFFICIENT_ACCESS_OR_READONLY", "insufficient access rights", "", "R205 -"),
        ("SOMETHING_NEW", "", "", "R205 -"),
        ("UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access", "", "retry: locked"),
        (
            "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY",
            "a trigger: UNABLE_TO_LOCK_ROW",
            "",
            "retry: locked",
        ),
        ("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "Too many SOQL queries: 101", "", "retry: locked"),
        ("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "a trigger says no", "", "R205 -"),
        ("ALL_OR_NONE_OPERATION_ROLLED_BACK", "rolled back", "", "retry: rolled back"),
        ("SERVER_UNAVAILABLE", "later", "", "unknown"),
        ("UNKNOWN_EXCEPTION", "An unexpected error occurred", "", "unknown"),
    ] {
        let result = bad(code, message, fields);
        rows(&[OK1, &result], &format!("new 003000 | {expected}"));
    }
}

#[test]
fn what_a_row_does_not_say_is_unknown() {
    for odd in [
        "{}",
        "null",
        "7",
        r#"{"success":"true"}"#,
        r#"{"success":false,"errors":[]}"#,
        r#"{"success":false,"errors":"x"}"#,
        "[]",
    ] {
        rows(&[OK1, odd], "new 003000 | unknown");
    }
    // A list of another length says nothing about any row.
    let two = format!("[{OK1},{OK2}]");
    for sent in [1, 3] {
        let answer = answered(sent, &reply(200, &[], two.as_bytes()));
        assert!(answer.expect("a receipt").outcomes.iter().all(|one| word(one) == "unknown"));
    }
    assert_eq!(said(&answered(2, &reply(200, &[], b"[]"))), "unknown | unknown");
}

#[test]
fn a_field_that_is_wrong_for_every_row_ends_the_run() {
    let wrong = failed(
        "INVALID_FIELD_FOR_INSERT_UPDATE",
        "Unable to create/update fields: Name.",
        "\"Name\"",
    );
    rows(&[&wrong, &wrong], "E2012 never");
    rows(&[OK1, &wrong], "new 003000 | R201 Name");
}

#[track_caller]
fn call(status: u16, headers: &[(&'static str, &str)], body: &str, expected: &str) {
    assert_eq!(
        said(&answered(2, &reply(status, headers, body.as_bytes()))),
        expected,
        "{status} {body}"
    );
}

fn error(code: &str, message: &str) -> String {
    format!(r#"[{{"message":"{message}","errorCode":"{code}"}}]"#)
}

#[test]
fn whole_calls_are_judged_by_code_and_status() {
    call(
        400,
        &[],
        &error("JSON_PARSER_ERROR", "Cannot deserialize instance of double"),
        "R211 never",
    );
    call(
        400,
        &[],
        &error("INVALID_FIELD", "No such column 'X' on sobject of type Contact"),
        "E2012 never",
    );
    call(400, &[], &error("INVALID_FIELD", "Foreign key external ID: x not found"), "R211 never");
    call(400, &[], &error("INVALID_TYPE", "sObject type 'X' is not supported."), "E2011 never");
    call(401, &[], &error("INVALID_SESSION_ID", "Session expired or invalid"), "E2009 never");
    call(401, &[], "", "E2009 never");
    call(
        403,
        &[],
        &error("REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded."),
        "E2007 never",
    );
    call(
        403,
        &[],
        &error("REQUEST_LIMIT_EXCEEDED", "ConcurrentPerOrgLongTxn Limit exceeded."),
        "E2006 after 20 s",
    );
    call(403, &[], &error("API_DISABLED_FOR_ORG", "API is not enabled"), "E2010 never");
    call(403, &[], &error("INSUFFICIENT_ACCESS", "no"), "E2010 never");
    call(403, &[], "<html>blocked by your proxy</html>", "E2004 backoff, unclear");
    call(404, &[], &error("NOT_FOUND", "The requested resource does not exist"), "E2011 never");
    call(404, &[], "", "E2011 never");
    call(413, &[], "<html>too large</html>", "R213 never");
    call(414, &[], &error("URI_TOO_LONG", "too long"), "R213 never");
    call(429, &[("retry-after", "7")], "", "E2006 after 7 s");
    call(429, &[], "slow down", "E2006 after 20 s");
    call(300, &[], "[]", "E2018 never");
    call(302, &[("location", "https://evil.example")], "", "E2018 never");
    call(409, &[], &error("UNABLE_TO_LOCK_ROW", "locked"), "E2019 backoff");
    call(
        500,
        &[],
        &error("UNKNOWN_EXCEPTION", "An unexpected error occurred"),
        "E2005 backoff, unclear",
    );
    call(502, &[], "<html>bad gateway</html>", "E2005 backoff, unclear");
    call(
        503,
        &[("retry-after", "30")],
        &error("SERVER_UNAVAILABLE", "later"),
        "E2005 after 30 s, unclear",
    );
    call(503, &[("retry-after", "999999999999999")], "", "E2008 never, unclear");
    call(504, &[], "", "E2005 backoff, unclear");
}

#[test]
fn what_is_no_answer_of_salesforces_is_unclear() {
    for body in [
        "",
        "<html>login</html>",
        "{}",
        "null",
        "\"x\"",
        "7",
        "[",
        "[{\"success\":true}",
        "\u{feff}[]",
    ] {
        call(200, &[("content-type", "text/html")], body, "E2004 backoff, unclear");
    }
    let mut cut = reply(200, &[], format!("[{OK1},{OK2}]").as_bytes());
    cut.fault = Some("the answer was cut");
    assert_eq!(said(&answered(2, &cut)), "E2004 backoff, unclear");
    let deep = "[".repeat(100_000);
    call(200, &[], &deep, "E2004 backoff, unclear");
    call(400, &[], &deep, "E2004 backoff, unclear");
    assert_eq!(said(&answered(2, &reply(200, &[], [0xff, 0xfe, 0x00]))), "E2004 backoff, unclear");
    call(500, &[], &"x".repeat(2_000_000), "E2005 backoff, unclear");
}

#[test]
fn hostile_messages_become_one_clean_line_without_the_token() {
    let message = format!("\\u001b[31m{TOKEN}\\n{}", "é".repeat(5_000));
    for body in [error("X", &message), error(&message, "x")] {
        for status in [400, 401, 403, 404, 500] {
            let answer = answered(1, &reply(status, &[], body.as_bytes())).expect_err("refused");
            let shown = answer.to_string();
            assert!(!shown.contains(TOKEN) && !shown.contains('\u{1b}'), "{shown}");
            assert!(shown.chars().count() < 800 && !shown.contains('\n'), "{shown}");
        }
    }
    let result = failed("STRING_TOO_LONG", &message, &format!("\"{TOKEN}\""));
    let receipt =
        answered(1, &reply(200, &[], format!("[{result}]").as_bytes())).expect("a receipt");
    let shown = format!("{:?}", receipt.outcomes[0]);
    assert!(!shown.contains(TOKEN), "{shown}");
}

#[test]
fn a_refused_call_of_many_rows_repeats_no_value() {
    let body = error("JSON_PARSER_ERROR", "Cannot deserialize value alice@example.com");
    let many = answered(2, &reply(400, &[], body.as_bytes())).expect_err("refused");
    assert!(!many.to_string().contains("alice"), "{many}");
    let one = answered(1, &reply(400, &[], body.as_bytes())).expect_err("refused");
    assert!(one.to_string().contains("alice"), "the reject of the one row may say it: {one}");
}

#[test]
fn a_record_that_is_gone_is_deleted() {
    let batch = batch(4, Mode::Delete);
    let ids: Vec<String> = (1..=4).map(|n| format!("00300000000000{n}AAA")).collect();
    let call =
        Call { batch: &batch, external: None, id_column: None, ids: &ids, order: &[0, 1, 2, 3] };
    let body = format!(
        r#"[{{"id":"003000000000001AAA","success":true,"errors":[]}},{},{},{}]"#,
        failed("ENTITY_IS_DELETED", "entity is deleted", ""),
        failed("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", ""),
        failed("DELETE_FAILED", "has cases", ""),
    );
    let receipt = call.receipt(&reply(200, &[], body.as_bytes()), &judge(4)).expect("a receipt");
    let words: Vec<String> = receipt.outcomes.iter().map(word).collect();
    assert_eq!(words, ["? 003000", "? 003000", "? 003000", "R205 -"]);
    // The answer for another record is not taken for this one's.
    let swapped = r#"[{"id":"003000000000002AAA","success":true,"errors":[]}]"#;
    let call = Call { order: &[0], ..call };
    let receipt = call.receipt(&reply(200, &[], swapped.as_bytes()), &judge(1)).expect("a receipt");
    assert_eq!(word(&receipt.outcomes[0]), "unknown");
}

#[test]
fn the_quota_header_is_read_and_nonsense_is_not() {
    let left = |signals: &Signals| signals.day.map(|day| (day.limit, day.remaining));
    let read = |text: &str| {
        let signals = judge(0).signals(&reply(200, &[("sforce-limit-info", text)], b""));
        left(&signals)
    };
    assert_eq!(read("api-usage=7/15000"), Some((15_000, 14_993)));
    assert_eq!(
        read("api-usage=7/15000; per-app-api-usage=17/250(appName=x)"),
        Some((15_000, 14_993))
    );
    assert_eq!(read("api-usage=20000/15000"), Some((15_000, 0)));
    for odd in [
        "",
        "api-usage",
        "api-usage=7",
        "api-usage=a/b",
        "api-usage=7/0",
        "usage=7/9",
        "api-usage=-1/9",
    ] {
        assert_eq!(read(odd), None, "{odd}");
    }
    let limit = error("REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.");
    let signals =
        judge(0).signals(&reply(403, &[("sforce-limit-info", "api-usage=9/9")], limit.as_bytes()));
    assert_eq!((left(&signals), signals.overloaded), (Some((9, 0)), true));
}

//! Answers of every kind, and what became of each row.

use flow::metrics::Metrics;
use flow::{Kind, Outcome, Secret};
use writer::Reply;
use writer::conformance::refusals;

use super::classify::Judge;
use super::*;

fn reply(status: u16, header: &'static str, body: &str, fault: Option<&'static str>) -> Reply {
    let headers = header.split_once(':').map(|(name, value)| (name, value.trim()));
    Reply { fault, ..refusals::reply(status, headers.as_slice(), body) }
}

fn said(outcomes: Result<Vec<Outcome>>) -> String {
    match outcomes {
        Err(error) => {
            let ambiguous = if error.is_ambiguous() { " ambiguous" } else { "" };
            format!("{} {:?}{ambiguous}", error.code().id, error.retry())
        }
        Ok(outcomes) => outcomes
            .iter()
            .map(|outcome| match outcome {
                Outcome::Delivered { .. } => "delivered".to_owned(),
                Outcome::AcceptedUnverified { .. } => "accepted".to_owned(),
                Outcome::Rejected { code, message, field } => {
                    format!(
                        "{} {}{message}",
                        code.id,
                        field.as_ref().map(|field| format!("{field}: ")).unwrap_or_default()
                    )
                }
                Outcome::Retry { .. } => "retry".to_owned(),
                Outcome::Unknown { .. } => "unknown".to_owned(),
                Outcome::InPart { .. } => "in part".to_owned(),
            })
            .collect::<Vec<_>>()
            .join(", "),
    }
}

const CUT: Option<&str> = Some("the answer was cut");

/// Rows, status, header, body, what is wrong with the body, and what becomes of the rows.
type AboutProfiles = (usize, u16, &'static str, &'static str, Option<&'static str>, &'static str);

#[test]
fn every_answer_about_profiles_has_one_meaning() {
    let (token, secret) = (Secret::new("hunter2"), Secret::new("s3cret"));
    let table: &[AboutProfiles] = &[
        (3, 200, "", "{\"status\":1,\"error\":null}", None, "accepted, accepted, accepted"),
        (3, 200, "", "1", None, "accepted, accepted, accepted"),
        (3, 200, "", " 1\n", None, "accepted, accepted, accepted"),
        (3, 200, "", "{\"status\":0,\"error\":\"no valid object\"}", None, "R211 Never"),
        (3, 200, "", "0", None, "R211 Never"),
        (1, 200, "", "0", None, "R201 Mixpanel took no object of the call"),
        (
            1,
            200,
            "",
            "{\"status\":0,\"error\":\"token hunter2 is bad\"}",
            None,
            "R201 token *** is bad",
        ),
        (1, 200, "", "{\"status\":1,\"error\":\"some of it\"}", None, "R201 some of it"),
        (3, 200, "", "", None, "E2004 Backoff ambiguous"),
        (3, 200, "", "<html>", None, "E2004 Backoff ambiguous"),
        (3, 200, "", "{\"status\":1", CUT, "E2004 Backoff ambiguous"),
        (3, 200, "", "{\"status\":1,\"error\":null}", CUT, "E2004 Backoff ambiguous"),
        (3, 200, "", "2", None, "E2004 Backoff ambiguous"),
        (3, 200, "", "[]", None, "E2004 Backoff ambiguous"),
        (3, 200, "", "{\"status\":\"ok\"}", None, "R211 Never"),
        (3, 400, "", "{\"error\":\"bad\"}", None, "R211 Never"),
        (3, 401, "", "{\"error\":\"no\"}", None, "E2009 Never"),
        (3, 403, "", "", None, "E2010 Never"),
        (3, 404, "", "", None, "E2011 Never"),
        (3, 413, "", "<html>", None, "R213 Never"),
        (3, 429, "retry-after: 4", "{}", None, "E2006 After(4s)"),
        (3, 429, "", "{}", None, "E2006 Backoff"),
        (3, 500, "", "boom", None, "E2005 Backoff ambiguous"),
        (3, 502, "", "<html>", None, "E2005 Backoff ambiguous"),
        (3, 503, "retry-after: 9", "", None, "E2005 After(9s) ambiguous"),
        (3, 408, "", "", None, "E2005 Backoff ambiguous"),
        (3, 302, "location: /login", "", None, "E2018 Never"),
    ];
    for (rows, status, header, body, fault, expected) in table {
        let judge = Judge { secrets: [&token, &secret], now_micros: 0, rows: *rows };
        let outcome = judge.profiles(&reply(*status, header, body, *fault));
        assert_eq!(said(outcome.map(|outcome| vec![outcome; *rows])), *expected, "{status} {body}");
    }
}

#[test]
fn every_answer_about_events_has_one_meaning() {
    // D6: what is not named and does not add up is unknown.
    let (token, secret) = (Secret::new("hunter2"), Secret::new("s3cret"));
    let failed = |index: &str| {
        format!(
            "{{\"index\":{index},\"$insert_id\":\"b\",\"field\":\"properties.time\",\"message\":\"too old s3cret\"}}"
        )
    };
    let partial = |records: &str, imported: &str| {
        format!(
            "{{\"code\":400,\"error\":\"some\",\"failed_records\":[{records}],\"num_records_imported\":{imported}}}"
        )
    };
    let table: &[(u16, String, Option<&'static str>, &str)] = &[
        (
            200,
            "{\"code\":200,\"num_records_imported\":3,\"status\":\"OK\"}".to_owned(),
            None,
            "delivered, delivered, delivered",
        ),
        (
            200,
            "{\"code\":200,\"num_records_imported\":2,\"status\":\"OK\"}".to_owned(),
            None,
            "unknown, unknown, unknown",
        ),
        (200, "{\"code\":200,\"status\":\"OK\"}".to_owned(), None, "unknown, unknown, unknown"),
        (200, "1".to_owned(), None, "E2004 Backoff ambiguous"),
        (200, "{}".to_owned(), None, "unknown, unknown, unknown"),
        (400, partial(&failed("1"), "2"), None, "delivered, R201 time: too old ***, delivered"),
        (
            400,
            partial(&format!("{},{}", failed("2"), failed("0")), "1"),
            None,
            "R201 time: too old ***, delivered, R201 time: too old ***",
        ),
        (400, partial(&failed("1"), "1"), None, "unknown, R201 time: too old ***, unknown"),
        (400, partial(&failed("7"), "3"), None, "unknown, unknown, unknown"),
        (
            400,
            partial(&format!("{},{}", failed("1"), failed("1")), "2"),
            None,
            "delivered, R201 time: too old ***, delivered",
        ),
        (400, partial("", "0"), None, "R211 Never"),
        (400, "{\"code\":400,\"error\":\"unable to parse\"}".to_owned(), None, "R211 Never"),
        (400, "<html>".to_owned(), None, "R211 Never"),
        (400, partial(&failed("1"), "2"), CUT, "E2004 Backoff ambiguous"),
        (200, "{\"code\":200".to_owned(), CUT, "E2004 Backoff ambiguous"),
        (401, "{\"code\":401,\"error\":\"Invalid credentials\"}".to_owned(), None, "E2009 Never"),
        (413, "{\"code\":413}".to_owned(), None, "R213 Never"),
        (429, "{\"code\":429}".to_owned(), None, "E2006 Backoff"),
        (500, String::new(), None, "E2005 Backoff ambiguous"),
        (503, "<html>".to_owned(), None, "E2005 Backoff ambiguous"),
    ];
    for (status, body, fault, expected) in table {
        let judge = Judge { secrets: [&token, &secret], now_micros: 0, rows: 3 };
        assert_eq!(
            said(judge.events(&reply(*status, "", body, *fault))),
            *expected,
            "{status} {body}"
        );
    }
}

#[test]
fn ids_that_mixpanel_ignores_are_refused() {
    for id in ["", "  ", "null", "NULL", "0", "-1", "Unknown", "lmy47d", &"x".repeat(256)] {
        assert!(check::id("distinct_id", id).is_err(), "{id}");
    }
    for id in ["1", "ann@example.com", "nullable", "日本", &"x".repeat(255)] {
        assert!(check::id("distinct_id", id).is_ok(), "{id}");
    }
    for id in ["", "a b", "ä", "under_score", &"x".repeat(37)] {
        assert!(check::insert_id(id).is_err(), "{id}");
    }
    assert!(check::insert_id("01890a5d-ac96-774b-bcce-b302099a8057").is_ok());
}

#[test]
fn objects_are_known_by_name_and_others_are_refused_with_the_known_ones() {
    let destination = open(OpenArgs {
        connection: "mixpanel".to_owned(),
        options: serde_json::json!({
            "token": "t", "project_id": "1", "service_account_user": "u", "service_account_secret": "s", "region": "eu",
        })
        .as_object()
        .expect("an object")
        .clone(),
        metrics: Metrics::new("0", "0"),
        clock: Arc::new(Zero),
    })
    .expect("valid");
    for object in ["profiles", "events", "groups.company", "groups.Äccount"] {
        assert!(destination.limits(object).is_ok(), "{object}");
    }
    for object in ["people", "groups", "groups.", ""] {
        let error = destination.limits(object).map(|_| ()).expect_err("refused");
        assert_eq!((error.code().id, error.kind()), ("E2011", Kind::Config), "{object}");
        assert!(error.remedy().contains("profiles"), "{}", error.remedy());
    }
}

#[derive(Debug)]
struct Zero;

impl Clock for Zero {
    fn now_micros(&self) -> i64 {
        0
    }
}

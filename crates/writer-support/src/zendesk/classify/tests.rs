//! The table of Zendesk's refusals: status, headers and body, and what the engine is told.

use flow::Kind;
use serde_json::json;
use writer::conformance::refusals::{self, BACKOFF, Case, NEVER, after, reply};

use super::*;

/// 2026-01-05T10:00:00Z
const NOW: i64 = 1_767_607_200_000_000;
fn judge(token: &Secret, rows: usize) -> Judge<'_> {
    Judge { token, now_micros: NOW, rows }
}

const HTML: &str = "<!DOCTYPE html><html><body><h1>Bad gateway</h1></body></html>";
const INVALID: &str = r#"{"error":"RecordInvalid","description":"Record validation errors","details":{"email":[{"description":"Email: x is already being used by another user","error":"DuplicateValue"}]}}"#;
const FORBIDDEN: &str =
    r#"{"error":{"title":"Forbidden","message":"You do not have access to this page."}}"#;
const JOBS: &str =
    r#"{"error":"TooManyJobs","description":"You have reached the maximum number of jobs"}"#;
const MINUTE: &str = r#"{"error":"APIRateLimitExceeded","description":"Number of allowed API requests per minute exceeded"}"#;

#[test]
fn every_refusal_of_a_call_has_its_class() {
    let cases: &[Case] = &[
        (
            401,
            &[],
            r#"{"error":"Couldn't authenticate you"}"#,
            ("E2009", Kind::Credentials, NEVER, false, "authenticate"),
        ),
        (401, &[], HTML, ("E2009", Kind::Credentials, NEVER, false, "refuses the token")),
        (
            401,
            &[],
            r#"{"error":"invalid_token","error_description":"x"}"#,
            ("E2009", Kind::Credentials, NEVER, false, "invalid_token"),
        ),
        (403, &[], FORBIDDEN, ("E2010", Kind::Credentials, NEVER, false, "Forbidden: You do not")),
        (
            403,
            &[],
            r#"{"error":"Forbidden","description":"Bulk import is not enabled"}"#,
            ("E2010", Kind::Credentials, NEVER, false, "Bulk import"),
        ),
        (403, &[], HTML, ("E2004", Kind::Failed, BACKOFF, true, "403")),
        (
            404,
            &[],
            r#"{"error":"RecordNotFound","description":"Not found"}"#,
            ("E2011", Kind::Config, NEVER, false, "Not found"),
        ),
        (404, &[], HTML, ("E2004", Kind::Failed, BACKOFF, true, "404")),
        (
            400,
            &[],
            r#"{"error":"RequestInvalid","description":"secret row value"}"#,
            ("R211", Kind::Poison, NEVER, false, "100 rows"),
        ),
        (
            400,
            &[],
            r#"{"errors":[{"code":"InvalidJson","title":"Bad","detail":"x"}]}"#,
            ("R211", Kind::Poison, NEVER, false, "InvalidJson"),
        ),
        (422, &[], INVALID, ("R211", Kind::Poison, NEVER, false, "RecordInvalid")),
        (413, &[], r#"{"error":"PayloadTooLarge"}"#, ("R213", Kind::Poison, NEVER, false, "413")),
        (413, &[], HTML, ("R213", Kind::Poison, NEVER, false, "413")),
        (414, &[], "", ("R213", Kind::Poison, NEVER, false, "414")),
        (
            409,
            &[],
            r#"{"error":"Conflict","description":"x"}"#,
            ("E2019", Kind::Failed, after(2), false, "somebody else"),
        ),
        (429, &[], JOBS, ("E2006", Kind::Failed, after(5), false, "30 jobs")),
        (429, &[("retry-after", "7")], JOBS, ("E2006", Kind::Failed, after(7), false, "30 jobs")),
        (
            429,
            &[("retry-after", "93")],
            MINUTE,
            ("E2006", Kind::Failed, after(93), false, "rate limit"),
        ),
        (
            429,
            &[("ratelimit-reset", "41")],
            MINUTE,
            ("E2006", Kind::Failed, after(41), false, "rate limit"),
        ),
        (
            429,
            &[("zendesk-ratelimit-tickets-index", "total=100; remaining=0; resets=17")],
            MINUTE,
            ("E2006", Kind::Failed, after(17), false, "rate limit"),
        ),
        (
            429,
            &[("zendesk-ratelimit-tickets-index", "total=100; remaining=9; resets=17")],
            MINUTE,
            ("E2006", Kind::Failed, after(15), false, "rate limit"),
        ),
        (
            429,
            &[("retry-after", "0")],
            HTML,
            ("E2006", Kind::Failed, after(1), false, "rate limit"),
        ),
        (429, &[("retry-after", "4000")], MINUTE, ("E2008", Kind::Parked, NEVER, false, "67 min")),
        (
            429,
            &[("ratelimit-reset", "99999999")],
            MINUTE,
            ("E2006", Kind::Failed, after(15), false, "rate limit"),
        ),
        (
            500,
            &[],
            r#"{"error":"InternalError"}"#,
            ("E2005", Kind::Failed, BACKOFF, true, "500 (InternalError)"),
        ),
        (502, &[], HTML, ("E2005", Kind::Failed, BACKOFF, true, "502")),
        (503, &[("retry-after", "20")], "", ("E2005", Kind::Failed, after(20), true, "503")),
        (
            503,
            &[],
            r#"{"error":"DatabaseConflict"}"#,
            ("E2005", Kind::Failed, BACKOFF, true, "DatabaseConflict"),
        ),
        (504, &[], "", ("E2005", Kind::Failed, BACKOFF, true, "504")),
        (408, &[], "", ("E2005", Kind::Failed, BACKOFF, true, "408")),
        (
            302,
            &[("location", "https://acme.zendesk.com/access")],
            "",
            ("E2018", Kind::Failed, NEVER, false, "302"),
        ),
        (418, &[], "", ("E2018", Kind::Failed, NEVER, false, "418")),
    ];
    let token = Secret::new("tok-secret");
    refusals::check(|reply| judge(&token, 100).error(reply), cases);
}

#[test]
fn the_only_row_of_a_call_is_refused_with_zendesks_reason() {
    let token = Secret::new("tok-secret");
    let one = |status, body: &str| judge(&token, 1).single(&reply(status, &[], body));
    let Ok(Outcome::Rejected { code, message, field }) = one(422, INVALID) else {
        panic!("a reject")
    };
    assert_eq!((code.id, field.as_deref()), ("R202", Some("email")));
    assert_eq!(message, "Email: x is already being used by another user");
    let blank = r#"{"error":"RecordInvalid","description":"d","details":{"base":[{"description":"Name: is too short","error":"BlankValue"}]}}"#;
    let Ok(Outcome::Rejected { code, field, .. }) = one(422, blank) else { panic!("a reject") };
    assert_eq!((code.id, field), ("R201", None));
    let Ok(Outcome::Rejected { code, .. }) =
        one(404, r#"{"error":"RecordNotFound","description":"Not found"}"#)
    else {
        panic!("a reject")
    };
    assert_eq!(code.id, "R203");
    assert_eq!(one(404, HTML).expect_err("no reject").code().id, "E2004");
    assert_eq!(one(429, MINUTE).expect_err("no reject").code().id, "E2006");
    let hostile = format!(
        r#"{{"error":"RecordInvalid","details":"tok-secret {}"}}"#,
        "\u{202e}x".repeat(10_000)
    );
    let Ok(Outcome::Rejected { message, .. }) = one(422, &hostile) else { panic!("a reject") };
    assert!(message.chars().count() <= 300 && !message.contains("tok-secret"), "{message}");
    assert!(!message.contains('\u{202e}'), "{message}");
}

#[test]
fn a_jobs_row_has_the_outcome_its_error_means() {
    let token = Secret::new("tok-secret");
    let judged = |result: Value| match judge(&token, 100).row(&Complaint::of(&result)) {
        Outcome::Rejected { code, .. } => code.id,
        Outcome::Retry { .. } => "retry",
        Outcome::Unknown { .. } => "unknown",
        Outcome::InPart { .. } => "in part",
        other => panic!("{other:?}"),
    };
    for (result, expected) in [
        (
            json!({"id": 2, "error": "UserUpdateError", "details": "Name: Email: x is not properly formatted", "status": "Failed"}),
            "R201",
        ),
        (
            json!({"id": 2, "error": "UserUpdateError", "details": "Email: x is already being used by another user", "status": "Failed"}),
            "R202",
        ),
        (
            json!({"index": 1, "error": "OrganizationCreateError", "details": "Name: Acme has already been taken"}),
            "R202",
        ),
        (
            json!({"id": 7, "success": false, "error": "RecordNotFound", "details": "Not found"}),
            "R203",
        ),
        (
            json!({"id": 7, "success": false, "error": "TicketUpdateFailed", "details": "Could not be found"}),
            "R203",
        ),
        (json!({"id": 7, "success": false, "error": "DatabaseConflict", "details": "x"}), "retry"),
        (json!({"id": 7, "success": false, "error": "Timeout"}), "retry"),
        (json!({"id": 7, "success": false, "error": "InternalServerError"}), "unknown"),
        (json!({"id": 7, "success": false, "errors": "Plan: gold is not a valid option"}), "R205"),
        (json!({"id": 7, "success": false, "error": {"code": "Invalid", "message": "m"}}), "R201"),
        (json!({"id": 7, "success": false}), "R205"),
    ] {
        assert_eq!(judged(result.clone()), expected, "{result}");
    }
}

// L1: jobs that find no place stop no other call; the minute's limit stops all.
#[test]
fn only_the_accounts_own_limit_makes_everybody_wait() {
    let token = Secret::new("t");
    let signals = |reply: &Reply| judge(&token, 0).signals(reply);
    let jobs = signals(&reply(429, &[("retry-after", "7")], JOBS));
    assert_eq!((jobs.pause, jobs.overloaded), (None, false));
    let minute = signals(&reply(429, &[("retry-after", "7")], MINUTE));
    assert_eq!((minute.pause, minute.overloaded), (Some(Duration::from_secs(7)), true));
    let fine = reply(200, &[("x-rate-limit", "700"), ("x-rate-limit-remaining", "699")], "{}");
    let window = signals(&fine).window.expect("a window");
    assert_eq!((window.max, window.remaining, window.length), (700, 699, None));
    let newer = reply(200, &[("ratelimit-limit", "400"), ("ratelimit-remaining", "999")], "{}");
    assert_eq!(
        signals(&newer).window.map(|window| (window.max, window.remaining)),
        Some((400, 400))
    );
    for nonsense in ["", "-1", "0", "NaN", "99999999999"] {
        let odd = reply(200, &[("x-rate-limit", nonsense), ("x-rate-limit-remaining", "1")], "{}");
        assert_eq!(signals(&odd).window, None, "{nonsense}");
    }
}

#[test]
fn a_success_that_is_no_json_object_is_unreadable() {
    let token = Secret::new("t");
    for body in ["", HTML, "[]", "null", "\"x\"", r#"{"job_status":"#, &"[".repeat(100_000)] {
        let error = judge(&token, 1).object(&reply(200, &[], body)).expect_err("unreadable");
        assert_eq!((error.code().id, error.is_ambiguous()), ("E2004", true), "{body:.20}");
    }
    let cut = Reply { fault: Some("the answer was cut"), ..reply(200, &[], "{}") };
    assert_eq!(judge(&token, 1).object(&cut).expect_err("cut").code().id, "E2004");
}

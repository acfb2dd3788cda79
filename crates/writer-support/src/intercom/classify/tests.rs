//! The table of Intercom's answers that say no: status, headers and body, and what the engine is told.

use flow::Kind;
use writer::conformance::refusals::{self, BACKOFF, Case, NEVER, after, reply};

use super::*;

/// 2026-01-05T10:00:00Z
const NOW: i64 = 1_767_607_200_000_000;
fn list(code: &str, message: &str) -> String {
    serde_json::json!({"type": "error.list", "request_id": "r", "errors": [{"code": code, "message": message}]}).to_string()
}

const HTML: &str = "<!DOCTYPE html><html><body><h1>Bad gateway</h1></body></html>";

#[test]
fn every_refusal_of_a_call_has_its_class() {
    let unauthorized = list("unauthorized", "Access Token Invalid");
    let limited = || list("rate_limit_exceeded", "Exceeded rate limit of 167 in 10_seconds");
    let cases: Vec<Case<String>> = vec![
        (
            401,
            &[],
            unauthorized,
            ("E2009", Kind::Credentials, NEVER, false, "Access Token Invalid"),
        ),
        (
            401,
            &[],
            HTML.to_owned(),
            ("E2009", Kind::Credentials, NEVER, false, "refuses the token"),
        ),
        (
            403,
            &[],
            list("api_plan_restricted", "Active subscription needed."),
            ("E2010", Kind::Credentials, NEVER, false, "api_plan_restricted"),
        ),
        (403, &[], HTML.to_owned(), ("E2004", Kind::Failed, BACKOFF, true, "403")),
        (
            404,
            &[],
            list("not_found", "User Not Found"),
            ("E2011", Kind::Config, NEVER, false, "User Not Found"),
        ),
        (404, &[], String::new(), ("E2004", Kind::Failed, BACKOFF, true, "404")),
        (
            406,
            &[],
            list("media_type_not_acceptable", "x"),
            ("E2018", Kind::Failed, NEVER, false, "406"),
        ),
        (423, &[], list("locked", "x"), ("E2019", Kind::Failed, after(2), false, "locked")),
        (429, &[], limited(), ("E2006", Kind::Failed, after(10), false, "rate limit")),
        (
            429,
            &[("x-ratelimit-reset", "1767607207")],
            limited(),
            ("E2006", Kind::Failed, after(7), false, "rate limit"),
        ),
        (
            429,
            &[("x-ratelimit-reset", "1767607207"), ("date", "Mon, 05 Jan 2026 10:00:04 GMT")],
            limited(),
            ("E2006", Kind::Failed, after(3), false, "rate limit"),
        ),
        (
            429,
            &[("x-ratelimit-reset", "1")],
            limited(),
            ("E2006", Kind::Failed, after(1), false, "rate limit"),
        ),
        (
            429,
            &[("x-ratelimit-reset", "99999999999999999999")],
            limited(),
            ("E2006", Kind::Failed, after(10), false, "rate limit"),
        ),
        (
            429,
            &[("x-ratelimit-reset", "2767607207")],
            limited(),
            ("E2006", Kind::Failed, after(10), false, "rate limit"),
        ),
        (
            429,
            &[("retry-after", "4")],
            HTML.to_owned(),
            ("E2006", Kind::Failed, after(4), false, "rate limit"),
        ),
        (
            429,
            &[("retry-after", "4000")],
            limited(),
            ("E2008", Kind::Parked, NEVER, false, "67 min"),
        ),
        (408, &[], list("request_timeout", "x"), ("E2005", Kind::Failed, BACKOFF, true, "408")),
        (
            500,
            &[],
            list("server_error", "x"),
            ("E2005", Kind::Failed, BACKOFF, true, "server_error"),
        ),
        (502, &[], HTML.to_owned(), ("E2005", Kind::Failed, BACKOFF, true, "502")),
        (
            503,
            &[("retry-after", "3")],
            list("service_unavailable", "x"),
            ("E2005", Kind::Failed, after(3), true, "503"),
        ),
        (504, &[], list("server_timeout", "x"), ("E2005", Kind::Failed, BACKOFF, true, "504")),
        (302, &[], String::new(), ("E2018", Kind::Failed, NEVER, false, "302")),
    ];
    let token = Secret::new("tok-secret");
    refusals::check(|reply| Judge { token: &token, now_micros: NOW }.error(reply), &cases);
}

#[test]
fn a_refused_row_has_its_code_and_its_field() {
    let token = Secret::new("tok-secret");
    let judged = |status, body: &str| match (Judge { token: &token, now_micros: NOW }).row(&reply(
        status,
        &[],
        body,
    )) {
        Ok(Outcome::Rejected { code, field, .. }) => (code.id, field.unwrap_or_default()),
        Ok(other) => panic!("{other:?}"),
        Err(error) => (error.code().id, error.is_ambiguous().to_string()),
    };
    let row = |code: &str, field: &str| -> (&'static str, String) {
        let known = ["R201", "R202", "R203", "R205", "E2012", "R213", "E2004", "E2009"];
        (known.into_iter().find(|known| *known == code).expect("known"), field.to_owned())
    };
    let with_field = r#"{"type":"error.list","errors":[{"code":"parameter_invalid","message":"email is invalid","field":"email"}]}"#;
    assert_eq!(judged(400, with_field), row("R201", "email"));
    assert_eq!(judged(422, with_field), row("R201", "email"));
    assert_eq!(judged(400, &list("parameter_not_found", "x")), row("R201", ""));
    assert_eq!(judged(400, &list("tag_invalid", "x")), row("R205", ""));
    assert_eq!(
        judged(400, &list("parameter_invalid", "Custom attribute 'x' does not exist")),
        row("E2012", "false")
    );
    let multiple = list("conflict", "Multiple existing users match this email address");
    assert_eq!(judged(409, &multiple), row("R202", ""));
    assert_eq!(judged(400, &multiple), row("R202", ""));
    assert_eq!(judged(404, &list("company_not_found", "Company Not Found")), row("R203", ""));
    assert_eq!(judged(413, HTML), row("R213", "false"));
    assert_eq!(judged(401, &list("unauthorized", "x")), row("E2009", "false"));
    for hostile in [
        "",
        HTML,
        "[]",
        "{}",
        r#"{"errors": 7}"#,
        r#"{"errors": [7, null]}"#,
        r#"{"errors": [{"code": []}]}"#,
    ] {
        assert_eq!(judged(400, hostile), row("E2004", "true"), "{hostile}");
        assert_eq!(judged(409, hostile), row("E2004", "true"), "{hostile}");
    }
}

#[test]
fn a_conflict_names_the_contact_it_is_about_and_whether_it_is_archived() {
    let read = |message: &str| Complaint::read(&reply(409, &[], list("conflict", message)));
    let plain =
        read("A contact matching those details already exists with id=5ba682d23d7cf92bef87bfd4");
    assert_eq!((plain.existing(), plain.is_archived()), (Some("5ba682d23d7cf92bef87bfd4"), false));
    let archived = read(
        "An archived contact matching those details already exists with id=5ba682d23d7cf92bef87bfd4.",
    );
    assert_eq!(
        (archived.existing(), archived.is_archived()),
        (Some("5ba682d23d7cf92bef87bfd4"), true)
    );
    for odd in ["", "id=", "id=../admins", "exists", "id=x", &format!("id={}", "a".repeat(1000))] {
        assert_eq!(read(odd).existing(), None, "{odd}");
    }
}

// L1: what the headers say about the window is taken over, nonsense is not.
#[test]
fn the_window_is_read_from_the_headers() {
    let token = Secret::new("t");
    let signals = |headers: &[(&'static str, &str)]| {
        let window =
            Judge { token: &token, now_micros: NOW }.signals(&reply(200, headers, "{}")).window;
        window.map(|window| (window.max, window.remaining))
    };
    assert_eq!(
        signals(&[("x-ratelimit-limit", "166"), ("x-ratelimit-remaining", "165")]),
        Some((166, 165))
    );
    assert_eq!(
        signals(&[("x-ratelimit-limit", "166"), ("x-ratelimit-remaining", "900")]),
        Some((166, 166))
    );
    for nonsense in ["", "0", "-4", "1e3", "99999999999"] {
        assert_eq!(
            signals(&[("x-ratelimit-limit", nonsense), ("x-ratelimit-remaining", "1")]),
            None,
            "{nonsense}"
        );
    }
}

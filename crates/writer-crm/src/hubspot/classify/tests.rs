//! The table of HubSpot's refusals: status, headers and body, and what the engine is told.

use flow::Kind;
use writer::conformance::refusals::{self, BACKOFF, Case, NEVER, after, reply};

use super::*;

/// 2026-01-05T10:00:00Z
const NOW: i64 = 1_767_607_200_000_000;
fn judged(reply: &Reply, rows: usize) -> Error {
    let token = Secret::new("pat-na1-secret");
    Judge { token: &token, now_micros: NOW, rows }.error(reply)
}

#[track_caller]
fn check(rows: usize, cases: &[Case]) {
    refusals::check(|reply| judged(reply, rows), cases);
}

const HTML: &str = "<!DOCTYPE html><html><body><h1>Bad gateway</h1></body></html>";
const JSON: &[(&str, &str)] = &[("content-type", "application/json;charset=utf-8")];

#[test]
fn credentials_and_permissions_end_the_run() {
    const SCOPES: &str = r#"{"status":"error","message":"This app hasn't been granted all required scopes.","category":"MISSING_SCOPES",
        "errors":[{"message":"One or more scopes are required.","context":{"requiredScopes":["crm.objects.contacts.write"]}}]}"#;
    const GRANULAR: &str = r#"{"message":"m","category":"MISSING_SCOPES","errors":[{"context":{"requiredGranularScopes":["a","b"]}}]}"#;
    const TEXT: &str = r#"{"message":"m","category":"MISSING_SCOPES","errors":[{"context":"{missingScopes=[scope1, scope2]}"}]}"#;
    check(
        100,
        &[
            (
                401,
                JSON,
                r#"{"status":"error","message":"Authentication credentials not found.","category":"INVALID_AUTHENTICATION"}"#,
                ("E2009", Kind::Credentials, NEVER, false, "INVALID_AUTHENTICATION"),
            ),
            (
                401,
                JSON,
                r#"{"message":"The OAuth token used to make this call expired","category":"EXPIRED_AUTHENTICATION"}"#,
                ("E2009", Kind::Credentials, NEVER, false, "EXPIRED_AUTHENTICATION"),
            ),
            (401, &[], HTML, ("E2009", Kind::Credentials, NEVER, false, "refuses the token")),
            (401, &[], "", ("E2009", Kind::Credentials, NEVER, false, "refuses the token")),
            (
                401,
                &[],
                r#"{"message":"token pat-na1-secret is unknown"}"#,
                ("E2009", Kind::Credentials, NEVER, false, "token *** is unknown"),
            ),
            (
                403,
                JSON,
                SCOPES,
                ("E2010", Kind::Credentials, NEVER, false, "crm.objects.contacts.write"),
            ),
            (403, JSON, GRANULAR, ("E2010", Kind::Credentials, NEVER, false, "a, b")),
            (403, JSON, TEXT, ("E2010", Kind::Credentials, NEVER, false, "scope1, scope2")),
            (
                403,
                JSON,
                r#"{"message":"no","category":"BANNED"}"#,
                ("E2010", Kind::Credentials, NEVER, false, "BANNED: no"),
            ),
        ],
    );
}

#[test]
fn rows_hubspot_does_not_name_are_poison() {
    const INVALID: &str = r#"{"status":"error","message":"Property values were not valid: [{\"isValid\":false,\"message\":\"seats was not a valid number\",\"error\":\"INVALID_INTEGER\",\"name\":\"seats\"}]","correlationId":"c-1","category":"VALIDATION_ERROR"}"#;
    const DUPLICATE: &str = r#"{"message":"Duplicate IDs found in batch input: [ada@x.io]. IDs must be unique","category":"VALIDATION_ERROR","context":{"ids":["ada@x.io"]}}"#;
    const CONFLICT: &str = r#"{"message":"Contact already exists. Existing ID: 7","category":"CONFLICT","correlationId":"c-2"}"#;
    const IDENTITIES: &str = r#"{"message":"Cannot have more than 250 identities on a profile"}"#;
    check(
        100,
        &[
            (400, JSON, INVALID, ("R211", Kind::Poison, NEVER, false, "100 rows")),
            (400, JSON, DUPLICATE, ("R211", Kind::Poison, NEVER, false, "VALIDATION_ERROR")),
            (
                400,
                JSON,
                r#"{"message":"Invalid input JSON on line 1, column 2"}"#,
                ("R211", Kind::Poison, NEVER, false, "status 400"),
            ),
            (422, JSON, INVALID, ("R211", Kind::Poison, NEVER, false, "status 422")),
            (
                409,
                JSON,
                CONFLICT,
                ("R212", Kind::Poison, NEVER, false, "CONFLICT, correlation id c-2"),
            ),
            (
                413,
                JSON,
                r#"{"message":"too large"}"#,
                ("R213", Kind::Poison, NEVER, false, "status 413"),
            ),
            (413, &[], HTML, ("R213", Kind::Poison, NEVER, false, "status 413")),
            (414, JSON, IDENTITIES, ("R214", Kind::Poison, NEVER, false, "status 414")),
            (400, JSON, IDENTITIES, ("R214", Kind::Poison, NEVER, false, "status 400")),
        ],
    );
    // The last row left becomes a reject with HubSpot's own reason.
    check(
        1,
        &[
            (
                400,
                JSON,
                INVALID,
                ("R211", Kind::Poison, NEVER, false, "seats was not a valid number"),
            ),
            (
                400,
                JSON,
                r#"{"message":"bad value","errors":[{"in":"plan"}]}"#,
                ("R211", Kind::Poison, NEVER, false, "`plan`: bad value"),
            ),
            (409, JSON, CONFLICT, ("R212", Kind::Poison, NEVER, false, "Existing ID: 7")),
            (413, &[], "", ("R213", Kind::Poison, NEVER, false, "HubSpot answered 413")),
            (414, JSON, IDENTITIES, ("R214", Kind::Poison, NEVER, false, "250 identities")),
        ],
    );
}

// X1: what HubSpot says about several rows may repeat their values, and is not kept.
#[test]
fn a_poisoned_call_of_many_rows_repeats_no_value() {
    let body = r#"{"message":"Duplicate IDs: [ada@x.io]","category":"VALIDATION_ERROR"}"#;
    for status in [400, 409, 413, 414, 500] {
        let error = judged(&reply(status, JSON, body), 2);
        assert!(!format!("{error} {error:?}").contains("ada@x.io"), "{error:?}");
    }
}

#[test]
fn a_mapping_that_is_wrong_for_every_row_ends_the_run_and_names_the_property() {
    check(
        100,
        &[
            (
                400,
                JSON,
                r#"{"message":"Property values were not valid: [{\"error\":\"PROPERTY_DOESNT_EXIST\",\"name\":\"stagee\"}]","category":"VALIDATION_ERROR"}"#,
                ("E2012", Kind::Config, NEVER, false, "`stagee`"),
            ),
            (
                400,
                JSON,
                r#"{"message":"x","errors":[{"code":"PROPERTY_DOESNT_EXIST","context":{"propertyName":["stagee"]}}]}"#,
                ("E2012", Kind::Config, NEVER, false, "`stagee`"),
            ),
            (
                400,
                JSON,
                r#"{"message":"Property \"stagee\" does not exist"}"#,
                ("E2012", Kind::Config, NEVER, false, "`stagee`"),
            ),
            (
                400,
                JSON,
                r#"{"message":"x","errors":[{"code":"READ_ONLY_VALUE","in":"createdate"}]}"#,
                ("E2012", Kind::Config, NEVER, false, "`createdate`"),
            ),
            (
                400,
                JSON,
                r#"{"message":"x","errors":[{"code":"PROPERTY_DOESNT_EXIST"}]}"#,
                ("E2012", Kind::Config, NEVER, false, "`?`"),
            ),
            (
                400,
                JSON,
                r#"{"message":"Unable to perform update/upsert by non-unique 0-1 property"}"#,
                ("E2017", Kind::Config, NEVER, false, "match_on"),
            ),
            (
                400,
                JSON,
                r#"{"message":"Unable to infer object type from: contactz"}"#,
                ("E2011", Kind::Config, NEVER, false, "contactz"),
            ),
            (
                404,
                JSON,
                r#"{"message":"resource not found","category":"OBJECT_NOT_FOUND"}"#,
                ("E2011", Kind::Config, NEVER, false, "resource not found"),
            ),
            (404, &[], HTML, ("E2011", Kind::Config, NEVER, false, "does not know this object")),
        ],
    );
}

#[test]
fn rate_limits_are_waited_for_and_a_day_is_not() {
    const SECONDS: &str = r#"{"status":"error","message":"You have reached your ten_secondly_rolling limit.","errorType":"RATE_LIMIT","policyName":"TEN_SECONDLY_ROLLING"}"#;
    const OLD: &str = r#"{"status":"error","message":"Request Rate Limit reached","category":"RATE-LIMIT_REACHED"}"#;
    const DAILY: &str = r#"{"status":"error","message":"You have reached your daily limit.","errorType":"RATE_LIMIT","policyName":"DAILY"}"#;
    check(
        100,
        &[
            (429, JSON, SECONDS, ("E2006", Kind::Failed, after(10), false, "TEN_SECONDLY_ROLLING")),
            (429, JSON, OLD, ("E2006", Kind::Failed, after(10), false, "429 for rate limit")),
            (429, &[], HTML, ("E2006", Kind::Failed, after(10), false, "429")),
            (429, &[], "", ("E2006", Kind::Failed, after(10), false, "429")),
            (
                429,
                &[("retry-after", "7")],
                SECONDS,
                ("E2006", Kind::Failed, after(7), false, "429"),
            ),
            (
                429,
                &[("retry-after", "0")],
                SECONDS,
                ("E2006", Kind::Failed, after(1), false, "429"),
            ),
            (
                429,
                &[("retry-after", "soon")],
                SECONDS,
                ("E2006", Kind::Failed, after(10), false, "429"),
            ),
            (
                429,
                &[("retry-after", "Mon, 05 Jan 2026 10:00:30 GMT")],
                SECONDS,
                ("E2006", Kind::Failed, after(30), false, "429"),
            ),
            (
                429,
                &[("retry-after", "1000000000")],
                SECONDS,
                ("E2008", Kind::Parked, NEVER, false, "277778 h"),
            ),
            (
                429,
                &[
                    ("x-hubspot-ratelimit-max", "100"),
                    ("x-hubspot-ratelimit-remaining", "0"),
                    ("x-hubspot-ratelimit-interval-milliseconds", "5000"),
                ],
                SECONDS,
                ("E2006", Kind::Failed, after(5), false, "429"),
            ),
            (
                429,
                JSON,
                DAILY,
                ("E2007", Kind::Parked, NEVER, false, "midnight in the account's time zone"),
            ),
            (
                429,
                &[("retry-after", "10800")],
                DAILY,
                ("E2007", Kind::Parked, NEVER, false, "in 3 h"),
            ),
            (
                429,
                JSON,
                r#"{"message":"You have reached your daily limit."}"#,
                ("E2007", Kind::Parked, NEVER, false, "daily requests"),
            ),
            (
                423,
                JSON,
                r#"{"message":"locked"}"#,
                ("E2019", Kind::Failed, after(2), false, "locked"),
            ),
        ],
    );
}

#[test]
fn locks_and_moving_accounts_are_waited_for() {
    check(
        100,
        &[
            (423, &[("retry-after", "1")], "", ("E2019", Kind::Failed, after(2), false, "locked")),
            (423, &[("retry-after", "9")], "", ("E2019", Kind::Failed, after(9), false, "locked")),
            (
                477,
                &[("retry-after", "120")],
                "",
                ("E2019", Kind::Failed, after(120), false, "moving"),
            ),
            (477, &[("retry-after", "86400")], "", ("E2008", Kind::Parked, NEVER, false, "24 h")),
            (477, &[], "", ("E2019", Kind::Failed, after(60), false, "moving")),
        ],
    );
}

// D4: an answer that does not say what happened is neither a yes nor a no.
#[test]
fn server_errors_and_strange_pages_may_have_been_applied() {
    const ERROR: &str = r#"{"status":"error","message":"internal error","correlationId":"c-3"}"#;
    let cases: Vec<Case> = [500, 501, 502, 503, 504, 521, 522, 523, 524, 599, 408, 425]
        .into_iter()
        .flat_map(|status| {
            [HTML, ERROR, "", "{\"status\":\"err", "null", "\u{0}"].map(|body| -> Case {
                (status, &[], body, ("E2005", Kind::Failed, BACKOFF, true, "HubSpot answered"))
            })
        })
        .collect();
    check(100, &cases);
    check(
        100,
        &[
            (500, JSON, ERROR, ("E2005", Kind::Failed, BACKOFF, true, "correlation id c-3")),
            (503, &[("retry-after", "20")], HTML, ("E2005", Kind::Failed, after(20), true, "503")),
            (503, &[("retry-after", "0")], HTML, ("E2005", Kind::Failed, BACKOFF, true, "503")),
            (503, &[("retry-after", "90000")], HTML, ("E2008", Kind::Parked, NEVER, true, "25 h")),
            (
                400,
                &[("content-type", "text/html")],
                HTML,
                ("E2004", Kind::Failed, BACKOFF, true, "text/html"),
            ),
            (
                403,
                &[("content-type", "text/html")],
                HTML,
                ("E2004", Kind::Failed, BACKOFF, true, "text/html"),
            ),
            (409, &[], "", ("E2004", Kind::Failed, BACKOFF, true, "no content type")),
            (
                400,
                &[],
                r#"{"message":"cut in the mid"#,
                ("E2004", Kind::Failed, BACKOFF, true, "not the documented JSON"),
            ),
        ],
    );
}

#[test]
fn statuses_outside_the_contract_end_the_run() {
    check(
        100,
        &[
            (
                301,
                &[("location", "https://elsewhere")],
                "",
                ("E2018", Kind::Failed, NEVER, false, "301"),
            ),
            (307, &[], "", ("E2018", Kind::Failed, NEVER, false, "307")),
            (402, JSON, r#"{"message":"pay"}"#, ("E2018", Kind::Failed, NEVER, false, "402")),
            (405, &[], "", ("E2018", Kind::Failed, NEVER, false, "405")),
            (410, &[], "", ("E2018", Kind::Failed, NEVER, false, "410")),
            (451, &[], "", ("E2018", Kind::Failed, NEVER, false, "451")),
        ],
    );
    check(
        0,
        &[
            (400, JSON, r#"{"message":"odd"}"#, ("E2018", Kind::Failed, NEVER, false, "400")),
            (409, JSON, r#"{"message":"odd"}"#, ("E2018", Kind::Failed, NEVER, false, "409")),
            (413, &[], "", ("E2018", Kind::Failed, NEVER, false, "413")),
        ],
    );
}

#[test]
fn hostile_bodies_and_headers_are_only_strange() {
    let deep = "[".repeat(100_000);
    let long = format!(r#"{{"message":"{}"}}"#, "é".repeat(500_000));
    let huge = format!(r#"{{"message":"x","pad":"{}"}}"#, "y".repeat(2 * ERROR_BYTES_MAX));
    let forged = r#"{"message":"line\r\n[ERROR] forged \u001b[2J\u202e"}"#;
    for status in [200, 207, 302, 400, 401, 403, 404, 409, 413, 414, 418, 423, 429, 477, 500] {
        for body in ["", "null", "[]", "{}", "1", "\u{feff}{}", &deep, &long, &huge, forged] {
            let headers =
                [("retry-after", "é"), ("x-hubspot-ratelimit-max", "-1"), ("date", "never")];
            let reply = reply(status, &headers, body);
            let error = judged(&reply, 3);
            assert!(error.message().chars().count() < 700, "{error}");
            assert!(!error.message().contains(char::is_control), "{error:?}");
            let token = Secret::new("t");
            let signals = Judge { token: &token, now_micros: NOW, rows: 3 }.signals(&reply);
            assert_eq!((signals.window, signals.day.map(|day| day.remaining)), (None, None));
        }
    }
}

#[test]
fn signals_follow_the_headers_and_the_status() {
    let token = Secret::new("t");
    let signals = |reply: &Reply| Judge { token: &token, now_micros: NOW, rows: 1 }.signals(reply);
    let left = |signals: &Signals| signals.day.map(|day| (day.limit, day.remaining));
    let headers = [
        ("x-hubspot-ratelimit-max", "190"),
        ("x-hubspot-ratelimit-remaining", "180"),
        ("x-hubspot-ratelimit-interval-milliseconds", "10000"),
        ("x-hubspot-ratelimit-daily", "625000"),
        ("x-hubspot-ratelimit-daily-remaining", "624000"),
    ];
    let fine = signals(&reply(200, &headers, "{}"));
    let window = fine.window.expect("reported");
    assert_eq!((window.max, window.remaining, window.length), (190, 180, Some(WINDOW)));
    assert_eq!((left(&fine), fine.pause, fine.overloaded), (Some((625_000, 624_000)), None, false));

    let throttled = signals(&reply(429, &[("retry-after", "3")], "{}"));
    assert_eq!((throttled.pause, throttled.overloaded), (Some(Duration::from_secs(3)), true));
    let daily = signals(&reply(429, &headers, r#"{"policyName":"DAILY"}"#));
    assert_eq!((daily.pause, left(&daily)), (None, Some((625_000, 0))));
    let busy = signals(&reply(503, &[("retry-after", "4")], ""));
    assert_eq!((busy.pause, busy.overloaded), (Some(Duration::from_secs(4)), true));
    let invalid = signals(&reply(400, &[("retry-after", "4")], ""));
    assert_eq!((invalid.pause, invalid.overloaded), (None, false));
}

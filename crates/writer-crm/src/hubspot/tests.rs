//! The whole destination: the exact body it sends, and how it behaves against a scripted server on loopback.

use std::collections::VecDeque;
use std::sync::Mutex;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use flow::arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use flow::metrics::Metrics;
use flow::{Code, Outcome, Payload, Retry};
use serde_json::{Value, json};

use super::*;

#[derive(Debug)]
struct Epoch;

impl Clock for Epoch {
    fn now_micros(&self) -> i64 {
        0
    }
}

fn opened(options: Value) -> Result<(Arc<dyn Destination>, Arc<Metrics>)> {
    let metrics = Metrics::new("0", "0");
    let destination = open(OpenArgs {
        connection: "crm".to_owned(),
        options: options.as_object().expect("an object").clone(),
        metrics: Arc::clone(&metrics),
        clock: Arc::new(Epoch),
    })?;
    Ok((destination, metrics))
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> WriteBatch {
    let absent = vec![None; columns.len()];
    let fields = RecordBatch::try_from_iter_with_nullable(
        columns.into_iter().map(|(name, column)| (name, column, true)),
    )
    .expect("columns of one length");
    WriteBatch {
        object: "contacts".into(),
        mode: Mode::Upsert,
        match_on: Arc::new(["email".to_owned()]),
        record_ids: Vec::new(),
        job: None,
        payload: Payload { fields, absent },
        run_id: "01890000-0000-7000-8000-000000000000".into(),
    }
}

fn emails(rows: usize) -> WriteBatch {
    let emails: Vec<String> = (0..rows).map(|row| format!("user{row}@example.com")).collect();
    batch(vec![("email", Arc::new(StringArray::from(emails)))])
}

#[test]
fn the_body_of_an_upsert_is_exactly_this() {
    let seats = Decimal128Array::from(vec![Some(1_250), None, Some(-1)])
        .with_precision_and_scale(12, 2)
        .expect("fits");
    let seen = TimestampMicrosecondArray::from(vec![Some(1_767_607_202_869_800), None, Some(-1)])
        .with_timezone("UTC");
    let mut batch = batch(vec![
        ("email", Arc::new(StringArray::from(vec!["ada@x.io", "zoë@x.io", "a\"b@x.io"]))),
        ("firstname", Arc::new(StringArray::from(vec![Some("Ada 👩‍💻"), None, Some("a\\b\n\u{1}")]))),
        ("seats", Arc::new(seats)),
        ("visits", Arc::new(Int64Array::from(vec![Some(i64::MAX), Some(0), None]))),
        ("active", Arc::new(BooleanArray::from(vec![Some(true), Some(false), None]))),
        ("born", Arc::new(Date32Array::from(vec![Some(0), None, Some(20_000)]))),
        ("last_seen_at", Arc::new(seen)),
    ]);
    // Row 0 leaves `visits` alone, row 2 leaves `firstname` alone.
    batch.payload.absent[1] = Some(vec![false, false, true].into());
    batch.payload.absent[3] = Some(vec![true, false, false].into());
    let body = wire::body(&batch, Some(0), Trace { call: 7, rows: 3 }).expect("a body");
    let parsed: Value = serde_json::from_slice(&body).expect("valid JSON");
    assert_eq!(parsed["inputs"].as_array().map(Vec::len), Some(3));
    let lines =
        String::from_utf8(body).expect("UTF-8").replace(",{\"idProperty", "\n,{\"idProperty");
    insta::assert_snapshot!(lines);
}

#[test]
fn a_row_of_nothing_but_its_match_still_names_its_record() {
    let mut batch = emails(1);
    let body = wire::body(&batch, Some(0), Trace { call: 0, rows: 1 }).expect("a body");
    assert_eq!(
        serde_json::from_slice::<Value>(&body).expect("valid JSON")["inputs"][0],
        json!({"idProperty": "email", "objectWriteTraceId": "0-0", "id": "user0@example.com",
            "properties": {"email": "user0@example.com"}})
    );
    batch.payload.absent[0] = Some(vec![true].into());
    let error = wire::body(&batch, Some(0), Trace { call: 0, rows: 1 }).expect_err("no match");
    assert_eq!(error.code().id, "E2016");
}

#[test]
fn a_record_whose_match_changes_is_addressed_by_its_id() {
    let mut batch = emails(2);
    batch.record_ids = vec!["71".to_owned(), "7\"2".to_owned()];
    let body = wire::body(&batch, Some(0), Trace { call: 3, rows: 2 }).expect("a body");
    assert_eq!(
        serde_json::from_slice::<Value>(&body).expect("valid JSON")["inputs"],
        json!([
            {"objectWriteTraceId": "3-0", "id": "71", "properties": {"email": "user0@example.com"}},
            {"objectWriteTraceId": "3-1", "id": "7\"2", "properties": {"email": "user1@example.com"}},
        ])
    );
}

// D6: trace ids are unique in a call and hold no value of a row.
#[test]
fn trace_ids_are_unique_and_say_nothing_about_the_row() {
    let body = wire::body(&emails(100), Some(0), Trace { call: 12, rows: 100 }).expect("a body");
    let parsed: Value = serde_json::from_slice(&body).expect("valid JSON");
    let inputs = parsed["inputs"].as_array().expect("a list");
    for (row, input) in inputs.iter().enumerate() {
        assert_eq!(input["objectWriteTraceId"], format!("12-{row}"));
    }
}

#[test]
fn options_are_strict_and_the_schema_lists_them() {
    let refused = |options: Value| -> &'static Code {
        opened(options).map(|_| ()).expect_err("refused").code()
    };
    assert_eq!(refused(json!({})).id, "E2013");
    assert_eq!(refused(json!({"token": ""})).id, "E2013");
    assert_eq!(refused(json!({"token": "t", "tokn": "t"})).id, "E2013");
    assert_eq!(refused(json!({"token": "t", "tier": "gold"})).id, "E2013");
    assert_eq!(refused(json!({"token": "t", "requests_per_10s": 0})).id, "E2013");
    assert_eq!(refused(json!({"token": "t", "quota_share": "140%"})).id, "E2013");
    assert_eq!(refused(json!({"token": "t", "base_url": "http://api.hubapi.com"})).id, "E2014");
    assert_eq!(refused(json!({"token": "t", "ca_file": "/nowhere/ca.pem"})).id, "E2015");
    for pair in ["contacts", "contacts.", ".companies", "contacts.companies.Primary"] {
        let options = json!({"token": "t", "replace_associations": [pair]});
        assert_eq!(refused(options).id, "E2013", "{pair}");
    }
    opened(json!({"token": "t", "base_url": "http://127.0.0.1:1", "tier": "enterprise",
        "replace_associations": ["contacts.companies", "p_license.0-2"], "requests_per_10s": 50, "quota_share": "40%", "request_timeout": "5s"}))
    .expect("valid");
    let schema = serde_json::to_value((KIND.options_schema)()).expect("JSON");
    let properties = schema["properties"].as_object().expect("properties");
    assert_eq!(properties.len(), 8);
    assert_eq!(schema["required"], json!(["token"]));
    assert_eq!(schema["additionalProperties"], json!(false));
}

#[tokio::test]
async fn what_hubspot_cannot_do_is_refused_before_anything_is_sent() {
    let (hubspot, metrics) =
        opened(json!({"token": "t", "base_url": "http://127.0.0.1:1"})).expect("valid");
    let refused = async |change: &dyn Fn(&mut WriteBatch)| {
        let mut batch = emails(1);
        change(&mut batch);
        hubspot.write(&batch).await.expect_err("refused").code().id
    };
    for mode in [Mode::Update, Mode::Create, Mode::Mirror, Mode::Append, Mode::Delete] {
        assert_eq!(refused(&|batch| batch.mode = mode).await, "E2017", "{mode:?}");
    }
    assert_eq!(refused(&|batch| batch.match_on = Arc::new([])).await, "E2017");
    let two = ["email".to_owned(), "phone".to_owned()];
    assert_eq!(refused(&|batch| batch.match_on = Arc::new(two.clone())).await, "E2017");
    assert_eq!(refused(&|batch| batch.match_on = Arc::new(["id".to_owned()])).await, "E2016");
    assert_eq!(refused(&|batch| *batch = emails(101)).await, "E2016");
    assert_eq!(refused(&|batch| batch.record_ids = vec![String::new(); 2]).await, "E2016");
    for object in ["", "../x", "a/b", "contacts?x", "é", "a b", &"x".repeat(101)] {
        assert_eq!(refused(&|batch| batch.object = object.into()).await, "E2011", "{object}");
        assert!(hubspot.limits(object).is_err());
        assert!(hubspot.describe(object).await.is_err());
    }
    for object in ["contacts", "2-123", "p_license", "0-3"] {
        assert_eq!(hubspot.limits(object).expect("fine").rows_max, 100);
    }
    assert!(hubspot.write(&emails(0)).await.expect("nothing to do").outcomes.is_empty());
    assert!(!metrics.expose().contains("outflow_destination_requests_total{"));
}

/// What one request got, and what it was.
type Answer = (u16, Vec<(&'static str, &'static str)>, String);
type Seen = (Uri, HeaderMap, Bytes);

#[derive(Default)]
struct Script {
    answers: Mutex<VecDeque<Answer>>,
    seen: Mutex<Vec<Seen>>,
}

async fn scripted(
    State(script): State<Arc<Script>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    script.seen.lock().expect("no panic").push((uri, headers, body));
    let (status, headers, body) =
        script.answers.lock().expect("no panic").pop_front().expect("an answer is left");
    let mut response = (StatusCode::from_u16(status).expect("a status"), body).into_response();
    for (name, value) in headers {
        response.headers_mut().insert(name, value.parse().expect("a value"));
    }
    response
}

/// HubSpot over a server that gives these answers in order.
async fn against(answers: Vec<Answer>) -> (Arc<dyn Destination>, Arc<Script>, Arc<Metrics>) {
    let script = Arc::new(Script { answers: Mutex::new(answers.into()), ..Script::default() });
    let router = axum::Router::new().fallback(scripted).with_state(Arc::clone(&script));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let base_url = format!("http://{}", listener.local_addr().expect("bound"));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let (hubspot, metrics) =
        opened(json!({"token": "pat-secret", "base_url": base_url})).expect("valid");
    (hubspot, script, metrics)
}

#[tokio::test]
async fn an_upsert_is_one_authorized_request_and_its_answer() {
    let answer = r#"{"results":[{"id":"1","new":true,"objectWriteTraceId":"0-0"}]}"#;
    let (hubspot, script, metrics) = against(vec![(200, vec![], answer.to_owned())]).await;
    let receipt = hubspot.write(&emails(1)).await.expect("an answer");
    assert!(matches!(receipt.outcomes[..], [Outcome::Delivered { created: Some(true), .. }]));
    let seen = script.seen.lock().expect("no panic");
    let (uri, headers, _) = &seen[0];
    assert_eq!(uri.path(), "/crm/v3/objects/contacts/batch/upsert");
    assert_eq!(headers["authorization"], "Bearer pat-secret");
    assert_eq!(headers["content-type"], "application/json");
    assert!(headers["user-agent"].to_str().expect("text").starts_with("outflow/"));
    let exposed = metrics.expose();
    for line in [
        "outflow_destination_requests_total{destination=\"crm\",operation=\"upsert\",status=\"2xx\"} 1",
        "outflow_destination_auth_ok{destination=\"crm\"} 1",
    ] {
        assert!(exposed.contains(line), "{exposed}");
    }
}

#[tokio::test]
async fn a_refused_token_shows_in_the_metrics_and_nowhere_else() {
    let body = r#"{"message":"token pat-secret is unknown","category":"INVALID_AUTHENTICATION"}"#;
    let (hubspot, _, metrics) = against(vec![(401, vec![], body.to_owned())]).await;
    let error = hubspot.describe("contacts").await.expect_err("refused");
    assert_eq!(error.kind(), Kind::Credentials);
    assert!(!format!("{error} {error:?} {}", error.remedy()).contains("pat-secret"));
    assert!(metrics.expose().contains("outflow_destination_auth_ok{destination=\"crm\"} 0"));
}

#[tokio::test]
async fn limits_in_the_headers_are_learned_and_published() {
    let headers = vec![
        ("x-hubspot-ratelimit-max", "190"),
        ("x-hubspot-ratelimit-remaining", "150"),
        ("x-hubspot-ratelimit-interval-milliseconds", "10000"),
        ("x-hubspot-ratelimit-daily", "625000"),
        ("x-hubspot-ratelimit-daily-remaining", "7"),
    ];
    let (hubspot, _, metrics) = against(vec![(200, headers, "{\"portalId\":1}".into())]).await;
    hubspot.account().await.expect("an answer");
    let exposed = metrics.expose();
    for line in [
        "outflow_destination_quota_remaining{destination=\"crm\",window=\"10s\"} 150",
        "outflow_destination_quota_limit{destination=\"crm\",window=\"10s\"} 190",
        "outflow_destination_quota_remaining{destination=\"crm\",window=\"day\"} 7",
        "outflow_destination_quota_reset_timestamp_seconds{destination=\"crm\",window=\"10s\"} 10",
    ] {
        assert!(exposed.contains(line), "{exposed}");
    }
}

// L1: the second request waits for as long as the 429 asked, though nobody told it to.
#[tokio::test]
async fn a_429_holds_back_every_later_request() {
    let throttled = (429, vec![("retry-after", "0.3")], "{\"policyName\":\"SECONDLY\"}".to_owned());
    let headers = vec![
        ("x-hubspot-ratelimit-max", "100"),
        ("x-hubspot-ratelimit-remaining", "99"),
        ("x-hubspot-ratelimit-interval-milliseconds", "200"),
    ];
    let fine = (200, headers.clone(), "{\"portalId\":1}".to_owned());
    let mut throttled_in_small_windows = throttled;
    throttled_in_small_windows.1.extend(headers);
    let (hubspot, _, _) = against(vec![throttled_in_small_windows, fine]).await;
    let error = hubspot.account().await.expect_err("throttled");
    let Retry::After(wait) = error.retry() else { panic!("{error:?}") };
    assert_eq!(wait, Duration::from_millis(300));
    let began = tokio::time::Instant::now();
    hubspot.account().await.expect("an answer");
    assert!(began.elapsed() >= Duration::from_millis(290), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_used_up_day_stops_later_requests_at_once() {
    let daily = (429, vec![], r#"{"policyName":"DAILY","message":"daily limit"}"#.to_owned());
    let (hubspot, script, _) = against(vec![daily]).await;
    for _ in 0..3 {
        let error = hubspot.write(&emails(2)).await.expect_err("no quota");
        assert_eq!((error.code().id, error.retry()), ("E2007", Retry::Never), "{error}");
    }
    assert_eq!(script.seen.lock().expect("no panic").len(), 1);
}

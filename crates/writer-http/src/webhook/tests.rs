//! Answers of every kind, given by a real server: what became of each row, and what was sent.

use std::sync::Mutex;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap as Headers, Method as HttpMethod, StatusCode, Uri};
use axum::response::IntoResponse;
use flow::arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use flow::arrow::buffer::BooleanBuffer;
use flow::metrics::Metrics;
use flow::{Kind, Payload, Retry};
use serde_json::{Value as Json, json};

use super::*;

#[derive(Debug)]
struct Epoch;

impl Clock for Epoch {
    fn now_micros(&self) -> i64 {
        1_700_000_000_000_000
    }
}

/// One request as the server got it.
#[derive(Debug, Clone)]
struct Got {
    method: String,
    path: String,
    headers: Headers,
    body: Vec<u8>,
}

impl Got {
    fn json(&self) -> Json {
        serde_json::from_slice(&self.body).expect("JSON")
    }
}

type Answer = (u16, &'static str, &'static str);

/// A server that gives these answers, one after the other, the last one again and again.
#[derive(Clone, Default)]
struct Server {
    answers: Arc<Mutex<Vec<Answer>>>,
    got: Arc<Mutex<Vec<Got>>>,
}

impl Server {
    async fn start(answers: &[Answer]) -> (Self, String) {
        let server = Self::default();
        server.answers.lock().expect("held").extend(answers);
        let app = Router::new().fallback(Self::serve).with_state(server.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        tokio::spawn(async move { axum::serve(listener, app).await });
        (server, url)
    }

    #[expect(clippy::unused_async, reason = "handlers are async")]
    async fn serve(
        State(server): State<Self>,
        method: HttpMethod,
        uri: Uri,
        headers: Headers,
        body: Bytes,
    ) -> impl IntoResponse {
        let got =
            Got { method: method.to_string(), path: uri.to_string(), headers, body: body.to_vec() };
        server.got.lock().expect("held").push(got);
        let mut answers = server.answers.lock().expect("held");
        let (status, kind, body) = if answers.len() > 1 { answers.remove(0) } else { answers[0] };
        let header = match kind.strip_prefix("retry-after:") {
            Some(wait) => ("retry-after", wait),
            None => ("content-type", kind),
        };
        (StatusCode::from_u16(status).expect("a status"), [header], body)
    }

    fn got(&self) -> Vec<Got> {
        self.got.lock().expect("held").clone()
    }
}

fn connect(url: &str, objects: Json, more: Json) -> Result<Arc<dyn Destination>> {
    let mut options = json!({ "base_url": url, "objects": objects });
    options
        .as_object_mut()
        .expect("an object")
        .extend(more.as_object().expect("an object").clone());
    open(OpenArgs {
        connection: "api".to_owned(),
        options: options.as_object().expect("an object").clone(),
        metrics: Metrics::new("0", "0"),
        clock: Arc::new(Epoch),
    })
}

fn batch(mode: Mode, rows: &[(&str, Option<i64>)]) -> WriteBatch {
    let names: StringArray = rows.iter().map(|(name, _)| Some(*name)).collect();
    let ages: Int64Array = rows.iter().map(|(_, age)| *age).collect();
    let columns: [(&str, ArrayRef, bool); 2] =
        [("name", Arc::new(names), true), ("age", Arc::new(ages), true)];
    WriteBatch {
        object: "users".into(),
        mode,
        match_on: Arc::new(["name".to_owned()]),
        payload: Payload {
            fields: RecordBatch::try_from_iter_with_nullable(columns).expect("two columns"),
            absent: vec![None, None],
        },
        record_ids: Vec::new(),
        job: None,
        run_id: "run".into(),
    }
}

fn said(receipt: &Result<Receipt>) -> Vec<String> {
    match receipt {
        Err(error) => {
            let ambiguous = if error.is_ambiguous() { " ambiguous" } else { "" };
            vec![format!("{} {:?}{ambiguous}", error.code().id, error.retry())]
        }
        Ok(receipt) => receipt
            .outcomes
            .iter()
            .map(|outcome| match outcome {
                Outcome::Delivered { remote_id, .. } => {
                    format!("delivered {}", remote_id.clone().unwrap_or_default())
                }
                Outcome::Rejected { code, message, field } => {
                    let field =
                        field.as_ref().map(|field| format!("{field}: ")).unwrap_or_default();
                    format!("{} {field}{message}", code.id)
                }
                Outcome::Retry { .. } => "retry".to_owned(),
                Outcome::Unknown { .. } => "unknown".to_owned(),
                Outcome::InPart { .. } => "in part".to_owned(),
                Outcome::AcceptedUnverified { .. } => "accepted".to_owned(),
            })
            .collect(),
    }
}

const JSON: &str = "application/json";
const HTML: &str = "text/html";

#[tokio::test]
async fn every_status_has_one_meaning() {
    // One row a call: status, headers and body, and what became of the row.
    let table: &[(Answer, &str)] = &[
        ((200, JSON, "{}"), "delivered ann"),
        ((201, JSON, "{\"id\":7}"), "delivered ann"),
        ((202, "text/plain", ""), "delivered ann"),
        ((204, "text/plain", ""), "delivered ann"),
        ((207, JSON, "[]"), "E2018 Never"),
        ((301, HTML, ""), "E2018 Never"),
        ((302, HTML, "<html>"), "E2018 Never"),
        ((400, JSON, "{\"message\":\"age is wrong\"}"), "R201 age is wrong"),
        ((400, HTML, "<html><body>secret</body></html>"), "R201 an HTML page"),
        ((400, JSON, "{\"errors\":[{\"detail\":\"no\"}]}"), "R201 no"),
        ((400, "text/plain", "plain\u{0} words"), "R201 plain words"),
        ((401, JSON, "{\"error\":\"expired\"}"), "E2009 Never"),
        ((403, JSON, "{}"), "E2010 Never"),
        ((404, JSON, "{}"), "E2011 Never"),
        ((405, JSON, "{}"), "E2011 Never"),
        ((408, JSON, "{}"), "E2005 Backoff ambiguous"),
        ((409, JSON, "{\"error\":{\"message\":\"taken\"}}"), "R202 taken"),
        ((410, JSON, "{}"), "E2011 Never"),
        ((413, HTML, "<h1>Too large</h1>"), "R213 Never"),
        ((414, HTML, ""), "R213 Never"),
        ((415, JSON, "{}"), "E2018 Never"),
        ((422, JSON, "[\"first reason\"]"), "R201 first reason"),
        ((423, JSON, "{}"), "E2019 Backoff"),
        ((425, JSON, "{}"), "E2019 Backoff"),
        ((429, "retry-after:7", ""), "E2006 After(7s)"),
        ((429, "retry-after:soon", ""), "E2006 Backoff"),
        ((500, JSON, "{\"message\":\"boom\"}"), "E2005 Backoff ambiguous"),
        ((502, HTML, "<html>"), "E2005 Backoff ambiguous"),
        ((503, "retry-after:2", ""), "E2005 After(2s) ambiguous"),
        ((504, "text/plain", "late"), "E2005 Backoff ambiguous"),
    ];
    for (answer, expected) in table {
        let (_, url) = Server::start(&[*answer]).await;
        let destination =
            connect(&url, json!({"users": {"upsert": {"path": "/users"}}}), json!({}))
                .expect("valid");
        let receipt = destination.write(&batch(Mode::Upsert, &[("ann", Some(1))])).await;
        assert_eq!(said(&receipt), [*expected], "{answer:?}");
    }
}

#[tokio::test]
async fn a_call_of_many_rows_is_one_verdict_unless_the_answer_names_rows() {
    let rows = [("ann", Some(1)), ("bob", None), ("cid", Some(3))];
    let plain = json!({"users": {"rows_per_call": 3, "upsert": {"path": "/users"}}});
    for (answer, expected) in [
        ((200, JSON, "anything"), vec!["delivered ann", "delivered bob", "delivered cid"]),
        ((400, JSON, "{}"), vec!["R211 Never"]),
        ((409, JSON, "{}"), vec!["R212 Never"]),
        ((413, HTML, "<p>"), vec!["R213 Never"]),
        ((500, JSON, ""), vec!["E2005 Backoff ambiguous"]),
    ] {
        let (_, url) = Server::start(&[answer]).await;
        let destination = connect(&url, plain.clone(), json!({})).expect("valid");
        let receipt = destination.write(&batch(Mode::Upsert, &rows)).await;
        assert_eq!(said(&receipt), expected, "{answer:?}");
    }
    let poison = connect("http://127.0.0.1:1", plain, json!({})).expect("valid");
    let too_many = [rows.as_slice(), rows.as_slice()].concat();
    let error = poison.write(&batch(Mode::Upsert, &too_many)).await.expect_err("refused unsent");
    assert_eq!(error.code().id, "E2016");
}

#[tokio::test]
async fn results_find_their_rows_and_what_is_left_out_is_unknown() {
    // D6
    let rows = [("ann", Some(1)), ("bob", None), ("cid", Some(3))];
    let by_position = json!({"rows": "/out", "error": "/problem", "message": "/why", "id": "/id", "field": "/at"});
    let by_key = json!({"rows": "", "key": "/who", "status": "/code", "message": "/why"});
    let by_index = json!({"rows": "/out", "index": "/n", "error": "/problem"});
    let all_unknown = vec!["unknown"; 3];
    let cases: Vec<(&Json, Answer, Vec<&str>)> = vec![
        (
            &by_position,
            (
                200,
                JSON,
                r#"{"out":[{"id":1},{"problem":true,"why":"bad","at":"age"},{"id":"x3"}]}"#,
            ),
            vec!["delivered 1", "R201 age: bad", "delivered x3"],
        ),
        (
            &by_position,
            (207, JSON, r#"{"out":[{},{"problem":"no"},{"problem":null}]}"#),
            vec!["delivered ann", "R201 no", "delivered cid"],
        ),
        (&by_position, (200, JSON, r#"{"out":[{},{}]}"#), all_unknown.clone()),
        (&by_position, (200, JSON, r#"{"out":[{},{},{},{}]}"#), all_unknown.clone()),
        (&by_position, (200, JSON, r#"{"out":{}}"#), vec!["E2132 Backoff ambiguous"]),
        (&by_position, (200, HTML, "<html>"), vec!["E2132 Backoff ambiguous"]),
        (&by_position, (200, JSON, r#"{"out":[{},"#), vec!["E2132 Backoff ambiguous"]),
        (
            &by_key,
            (200, JSON, r#"[{"who":"cid","code":200},{"who":"ann","code":409,"why":"taken"}]"#),
            vec!["R202 taken", "unknown", "delivered cid"],
        ),
        (
            &by_key,
            (
                200,
                JSON,
                r#"[{"who":"ann","code":201},{"who":"ann","code":400},{"who":"bob","code":"503"},{"who":"cid","code":429}]"#,
            ),
            vec!["unknown", "unknown", "retry"],
        ),
        (
            &by_key,
            (
                200,
                JSON,
                r#"[{"who":"stranger","code":200},{"who":"ann"},{"code":200},{"who":"cid","code":200}]"#,
            ),
            vec!["unknown", "unknown", "delivered cid"],
        ),
        (
            &by_index,
            (200, JSON, r#"{"out":[{"n":2},{"n":"0","problem":["x"]},{"n":99}]}"#),
            vec!["R201 [\"x\"]", "unknown", "delivered cid"],
        ),
    ];
    for (reply, answer, expected) in cases {
        let (_, url) = Server::start(&[answer]).await;
        let object =
            json!({"users": {"rows_per_call": 3, "upsert": {"path": "/users"}, "reply": reply}});
        let destination = connect(&url, object, json!({})).expect("valid");
        let receipt = destination.write(&batch(Mode::Upsert, &rows)).await;
        assert_eq!(said(&receipt), expected, "{answer:?}");
    }
}

#[tokio::test]
async fn what_the_project_says_about_answers_comes_first() {
    let object = json!({"users": {
        "upsert": {"path": "/users", "if_exists": {"method": "PUT", "path": "/users/{{ name }}", "body": {"age": "{{ age }}"}}},
        "answers": [
            {"status": 400, "contains": "Name in use", "means": "exists"},
            {"status": 200, "contains": "\"ok\":false", "means": "invalid"},
            {"status": 418, "means": "retry"},
        ],
        "reply": {"id": "/id"},
    }});
    let exists = (400, JSON, "{\"message\":\"Name in use\"}");
    for (answers, expected, calls) in [
        (vec![exists, (200, JSON, "{\"id\":5}")], "delivered 5", 2),
        (vec![exists, (400, JSON, "{\"message\":\"bad age\"}")], "R201 bad age", 2),
        (vec![exists, (404, JSON, "{}")], "R203 ", 2),
        (vec![exists, (500, JSON, "{}")], "E2005 Backoff ambiguous", 2),
        (vec![exists, exists], "R202 Name in use", 2),
        (vec![(409, JSON, "{}"), (204, JSON, "{}")], "E2132 Backoff ambiguous", 2),
        (vec![(200, JSON, "{\"ok\":false,\"message\":\"no\"}")], "R201 no", 1),
        (vec![(418, JSON, "{}")], "E2019 Backoff", 1),
        (vec![(201, JSON, "{\"id\":9}")], "delivered 9", 1),
    ] {
        let (server, url) = Server::start(&answers).await;
        let destination = connect(&url, object.clone(), json!({})).expect("valid");
        let receipt = destination.write(&batch(Mode::Upsert, &[("a/b", Some(1))])).await;
        assert_eq!(said(&receipt), [expected], "{answers:?}");
        let got = server.got();
        assert_eq!(got.len(), calls, "{answers:?}");
        assert_eq!((got[0].method.as_str(), got[0].path.as_str()), ("POST", "/users"));
        assert_eq!(got[0].json(), json!({"name": "a/b", "age": 1}));
        if let Some(second) = got.get(1) {
            assert_eq!((second.method.as_str(), second.path.as_str()), ("PUT", "/users/a%2Fb"));
            assert_eq!(second.json(), json!({"age": 1}));
        }
    }
}

#[tokio::test]
async fn records_are_deleted_and_updated_by_their_ids() {
    let object = json!({"users": {
        "delete": {"path": "/users/{{ id }}"},
        "update": {"method": "PATCH", "path": "/users/{{ id }}"},
    }});
    for (status, expected) in [
        (204, "delivered u 1"),
        (404, "delivered u 1"),
        (410, "delivered u 1"),
        (500, "E2005 Backoff ambiguous"),
    ] {
        let (server, url) = Server::start(&[(status, JSON, "")]).await;
        let destination = connect(&url, object.clone(), json!({})).expect("valid");
        let nothing = RecordBatch::new_empty(Arc::new(flow::arrow::datatypes::Schema::empty()));
        let removed = WriteBatch {
            payload: Payload { fields: nothing, absent: Vec::new() },
            record_ids: vec!["u 1".to_owned()],
            ..batch(Mode::Delete, &[])
        };
        assert_eq!(said(&destination.write(&removed).await), [expected], "{status}");
        let got = server.got();
        assert_eq!(
            (got[0].method.as_str(), got[0].path.as_str(), got[0].body.len()),
            ("DELETE", "/users/u%201", 0)
        );
    }
    let (server, url) = Server::start(&[(404, JSON, "{}")]).await;
    let destination = connect(&url, object, json!({})).expect("valid");
    let update =
        WriteBatch { record_ids: vec!["7".to_owned()], ..batch(Mode::Update, &[("ann", None)]) };
    assert_eq!(said(&destination.write(&update).await), ["R203 "]);
    assert_eq!(server.got()[0].json(), json!({"name": "ann", "age": null}));
    let limits = destination.limits("users").expect("known");
    assert_eq!(limits.removals, [Removal::Delete, Removal::Update]);
    assert_eq!(limits.modes, [Mode::Update, Mode::Delete]);
}

#[tokio::test]
async fn nulls_absent_fields_and_lists_are_written_as_the_project_says() {
    let (server, url) = Server::start(&[(200, JSON, "")]).await;
    let objects = json!({"users": {"rows_per_call": 2, "upsert": {
        "path": "/bulk/{{ run_id }}", "body": {"items": "{{ rows }}", "by": "outflow {{ run_id }}"},
        "row": {"who": "{{ name | upper }}", "years": "{{ age }}", "all": "{{ row.age }}"},
    }}, "lines": {"rows_per_call": 9, "nulls": "omit", "upsert": {"path": "/lines", "format": "ndjson"}}});
    let destination = connect(&url, objects, json!({})).expect("valid");
    let mut rows = batch(Mode::Upsert, &[("ann", None), ("bob", Some(2))]);
    rows.payload.absent[1] = Some(BooleanBuffer::from(vec![false, true]));
    destination.write(&rows).await.expect("delivered");
    rows.object = "lines".into();
    destination.write(&rows).await.expect("delivered");
    let got = server.got();
    let items = json!([{"who": "ANN", "years": null, "all": null}, {"who": "BOB"}]);
    assert_eq!(
        (got[0].path.as_str(), got[0].json()),
        ("/bulk/run", json!({"items": items, "by": "outflow run"}))
    );
    assert_eq!(got[1].body, b"{\"name\":\"ann\"}\n{\"name\":\"bob\"}\n");
    assert_eq!(got[1].headers["content-type"], "application/x-ndjson");
}

#[tokio::test]
async fn a_row_that_cannot_be_written_is_refused_and_the_others_go() {
    // D9, X4
    let (server, url) = Server::start(&[(200, JSON, "{}")]).await;
    let objects = json!({"users": {"rows_per_call": 3, "upsert": {"path": "/users", "row": {"n": "{{ 10 // age }}"}}},
        "paths": {"upsert": {"path": "/users/{{ name }}"}}});
    let destination = connect(&url, objects, json!({})).expect("valid");
    let receipt = destination
        .write(&batch(Mode::Upsert, &[("a", Some(1)), ("b", Some(0)), ("c", Some(5))]))
        .await;
    let outcomes = said(&receipt);
    assert!(outcomes[1].starts_with("R250 "), "{outcomes:?}");
    assert_eq!((outcomes[0].as_str(), outcomes[2].as_str()), ("delivered a", "delivered c"));
    assert_eq!(server.got()[0].json(), json!([{"n": 10}, {"n": 2}]));
    for name in ["..", ".", ""] {
        let mut row = batch(Mode::Upsert, &[(name, None)]);
        row.object = "paths".into();
        let outcomes = said(&destination.write(&row).await);
        assert!(outcomes[0].starts_with("R250 "), "{name:?}: {outcomes:?}");
    }
    assert_eq!(server.got().len(), 1, "nothing else was sent");
}

#[tokio::test]
async fn requests_say_who_sends_them_and_never_show_a_secret() {
    // X1
    let (server, url) =
        Server::start(&[(400, JSON, "{\"message\":\"hunter2 and s3cret are wrong\"}")]).await;
    let objects =
        json!({"users": {"create": {"path": "/users"}, "idempotency_header": "Idempotency-Key"}});
    let more = json!({"auth": {"header": {"name": "X-Api-Key", "value": "hunter2"}},
        "headers": {"Accept": "application/json"}, "sign": {"secret": "s3cret"}});
    let destination = connect(&url, objects, more).expect("valid");
    let row = batch(Mode::Create, &[("ann", Some(1))]);
    assert_eq!(said(&destination.write(&row).await), ["R201 *** and *** are wrong"]);
    destination.write(&row).await.expect("an answer");
    let got = server.got();
    let header = |n: usize, name: &str| got[n].headers[name].to_str().expect("text").to_owned();
    assert_eq!(
        (header(0, "x-api-key").as_str(), header(0, "accept").as_str()),
        ("hunter2", "application/json")
    );
    assert_eq!(
        header(0, "idempotency-key"),
        header(1, "idempotency-key"),
        "the same when sent again"
    );
    assert_eq!(header(0, "x-timestamp"), "1700000000");
    // printf '1700000000.{"name":"ann","age":1}' | openssl dgst -sha256 -hmac s3cret
    assert_eq!(header(0, "x-signature-256"), SIGNATURE);
}

const SIGNATURE: &str = "sha256=74caa1e4b915a6763b2934f2da606607be76c099beddb6b5dab22e832cac8fe8";

#[test]
fn what_cannot_be_right_is_refused_when_the_project_is_checked() {
    let users = |object: Json| json!({ "users": object });
    let upsert = json!({"path": "/users"});
    for (objects, more, expected) in [
        (json!({}), json!({}), "E2013"),
        (users(json!({})), json!({}), "E2013"),
        (users(json!({"create": upsert})), json!({}), "E2013"),
        (users(json!({"append": upsert})), json!({}), "E2013"),
        (users(json!({"upsert": {"path": "users"}})), json!({}), "E2130"),
        (users(json!({"upsert": {"path": "/{{ name"}})), json!({}), "E2130"),
        (users(json!({"upsert": {"path": "/", "body": {"a": "{% if %}"}}})), json!({}), "E2130"),
        (users(json!({"rows_per_call": 2, "upsert": {"path": "/{{ name }}"}})), json!({}), "E2130"),
        (
            users(json!({"rows_per_call": 2, "upsert": {"path": "/", "if_exists": {"path": "/"}}})),
            json!({}),
            "E2130",
        ),
        (
            users(
                json!({"upsert": {"path": "/", "if_exists": {"path": "/", "if_missing": {"path": "/"}}}}),
            ),
            json!({}),
            "E2130",
        ),
        (
            users(json!({"upsert": {"path": "/", "format": "ndjson", "body": "{{ rows }}"}})),
            json!({}),
            "E2130",
        ),
        (
            users(json!({"rows_per_call": 2, "upsert": upsert, "reply": {"id": "/id"}})),
            json!({}),
            "E2013",
        ),
        (users(json!({"upsert": upsert})), json!({"auth": {}}), "E2013"),
        (
            users(json!({"upsert": upsert})),
            json!({"auth": {"bearer": "a", "header": {"name": "b", "value": "c"}}}),
            "E2013",
        ),
        (users(json!({"upsert": upsert})), json!({"auth": {"bearer": "a\nb"}}), "E2013"),
        (users(json!({"upsert": upsert})), json!({"headers": {"a b": "c"}}), "E2013"),
        (users(json!({"upsert": upsert})), json!({"headers": {"a": "b\r\nc: d"}}), "E2013"),
        (users(json!({"upsert": upsert})), json!({"sign": {"secret": ""}}), "E2013"),
        (users(json!({"upsert": upsert})), json!({"probe": "me"}), "E2013"),
        (users(json!({"upsert": upsert})), json!({"tokn": "x"}), "E2013"),
    ] {
        let error = connect("http://127.0.0.1:1", objects.clone(), more.clone())
            .map(|_| ())
            .expect_err("refused");
        assert_eq!(error.code().id, expected, "{objects} {more}: {error}");
        assert_eq!(error.kind(), Kind::Config, "{error}");
    }
    let error =
        connect("http://example.com", users(json!({"upsert": upsert})), json!({})).map(|_| ());
    assert_eq!(error.expect_err("plain http leaves this machine").code().id, "E2014");
}

#[tokio::test]
async fn a_field_that_the_sync_does_not_map_is_named_before_anything_is_sent() {
    let (server, url) = Server::start(&[(200, JSON, "")]).await;
    for object in [
        json!({"upsert": {"path": "/{{ nmae }}"}}),
        json!({"upsert": {"path": "/", "body": {"x": "{{ nmae }}"}}}),
        json!({"upsert": {"path": "/", "if_exists": {"path": "/{{ nmae }}"}}}),
        json!({"delete": {"path": "/{{ id }}"}, "upsert": {"path": "/{{ id }}"}}),
        json!({"rows_per_call": 2, "upsert": {"path": "/", "body": {"x": "{{ name }}"}}}),
    ] {
        let destination =
            connect(&url, json!({ "users": object }), json!({})).expect("it compiles");
        let error =
            destination.write(&batch(Mode::Upsert, &[("ann", None)])).await.expect_err("refused");
        assert_eq!((error.code().id, error.retry()), ("E2131", Retry::Never), "{object}: {error}");
    }
    assert!(server.got().is_empty());
}

#[tokio::test]
async fn the_probe_tells_wrong_credentials() {
    let objects = json!({"users": {"upsert": {"path": "/users"}}});
    for (answer, kind) in [((401, JSON, "{}"), Some(Kind::Credentials)), ((200, JSON, "{}"), None)]
    {
        let (server, url) = Server::start(&[answer]).await;
        let destination =
            connect(&url, objects.clone(), json!({"probe": "/me?full=1"})).expect("valid");
        let described = destination.describe("users").await;
        assert_eq!(described.as_ref().err().map(Error::kind), kind);
        assert_eq!(
            (server.got()[0].method.as_str(), server.got()[0].path.as_str()),
            ("GET", "/me?full=1")
        );
        assert!(described.is_err() || described.expect("described").open);
    }
    let destination = connect("http://127.0.0.1:1", objects, json!({})).expect("valid");
    assert_eq!(destination.describe("orders").await.expect_err("unknown").code().id, "E2011");
}

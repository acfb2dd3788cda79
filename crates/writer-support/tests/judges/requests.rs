//! The same request as a common client: what our writers send for the same input is what it was recorded to send, but
//! for the differences that are listed here with their reasons.

use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, Uri};
use axum::response::IntoResponse as _;
use flow::arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use flow::metrics::Metrics;
use flow::{Clock, Destination, Mode, Payload, WriteBatch};
use serde_json::{Value, json};
use support::judge::Client;

use crate::KEPT;

/// Recorded with zenpy 2.0.57 and python-intercom 5.0.1.
const RECORDED: &str = include_str!("recorded.json");

#[derive(Debug)]
struct Epoch;

impl Clock for Epoch {
    fn now_micros(&self) -> i64 {
        0
    }
}

type Log = Arc<Mutex<Vec<Value>>>;

/// Notes every request, and answers so that clients go on.
async fn note(
    State(log): State<Log>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> axum::response::Response {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    log.lock().unwrap().push(json!({
        "method": method.as_str(),
        "path": uri.path_and_query().map(ToString::to_string),
        "authorization": header("authorization"),
        "content-type": header("content-type"),
        "intercom-version": header("intercom-version"),
        "body": serde_json::from_slice::<Value>(&body).unwrap_or_default(),
    }));
    let answer = match uri.path() {
        path if path.contains("job_statuses") => {
            json!({"job_status": {"id": "1", "status": "completed", "total": 1,
            "results": [{"id": 7, "index": 0, "status": "Updated", "success": true}]}})
        }
        path if path.contains("_many") => {
            json!({"job_status": {"id": "1", "status": "queued", "total": 1,
            "url": "http://127.0.0.1/api/v2/job_statuses/1.json", "results": null}, "organizations": [{"id": 7, "external_id": "O1"}]})
        }
        path if path.contains("_fields") => json!({"user_fields": [], "organization_fields": []}),
        path if path.contains("data_attributes") => json!({"type": "list", "data": []}),
        _ => json!({"type": "contact", "id": "5ba682d23d7cf92bef87bfd4"}),
    };
    ([("content-type", "application/json")], answer.to_string()).into_response()
}

async fn recorder() -> (String, Log) {
    let log = Log::default();
    let router = axum::Router::new().fallback(note).with_state(Arc::clone(&log));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, log)
}

/// The requests that write.
fn writes(log: &Log) -> Vec<Value> {
    let log = log.lock().unwrap();
    log.iter().filter(|request| request["method"] != "GET").cloned().collect()
}

fn text(value: &str) -> ArrayRef {
    Arc::new(StringArray::from(vec![value]))
}

fn batch(object: &str, match_on: &str, columns: Vec<(&str, ArrayRef)>) -> WriteBatch {
    let absent = vec![None; columns.len()];
    WriteBatch {
        object: object.into(),
        mode: Mode::Upsert,
        match_on: Arc::new([match_on.to_owned()]),
        payload: Payload { fields: RecordBatch::try_from_iter(columns).unwrap(), absent },
        record_ids: Vec::new(),
        job: None,
        run_id: "run".into(),
    }
}

type Open = fn(writer::OpenArgs) -> flow::Result<Arc<dyn Destination>>;

fn opened(open: Open, options: Value) -> Arc<dyn Destination> {
    open(writer::OpenArgs {
        connection: "desk".to_owned(),
        options: options.as_object().unwrap().clone(),
        metrics: Metrics::new("0", "0"),
        clock: Arc::new(Epoch),
    })
    .unwrap()
}

fn recorded(name: &str) -> Vec<Value> {
    let all: Value = serde_json::from_str(RECORDED).unwrap();
    all[name].as_array().unwrap().clone()
}

#[tokio::test]
async fn zendesk_jobs_are_asked_for_as_zenpy_does() {
    let (url, log) = recorder().await;
    let options = json!({"email": "agent@x.io", "token": "secret", "base_url": url, "send_verification": true});
    let desk = opened(writer_support::zendesk::open, options);
    let user =
        vec![("name", text("Ada")), ("email", text("ada@x.io")), ("external_id", text("E1"))];
    desk.write(&batch("users", "email", user)).await.unwrap();
    let organization = batch(
        "organizations",
        "external_id",
        vec![("external_id", text("O1")), ("name", text("Acme"))],
    );
    desk.write(&organization).await.unwrap();
    let mut theirs = recorded("zenpy");
    for request in &mut theirs {
        // zenpy ends every path with `.json`, which Zendesk takes and does not ask for.
        let path = request["path"].as_str().unwrap().replace(".json", "");
        request["path"] = json!(path);
    }
    // Our update repeats the external id the record was found by.
    theirs[1]["body"]["organizations"][0]["external_id"] = json!("O1");
    assert_eq!(writes(&log), theirs);
}

#[tokio::test]
async fn intercom_is_asked_as_python_intercom_does() {
    let (url, log) = recorder().await;
    let intercom = opened(writer_support::intercom::open, json!({"token": "tok", "base_url": url}));
    let contact =
        batch("contacts", "email", vec![("email", text("ada@x.io")), ("name", text("Ada"))]);
    intercom.write(&contact).await.unwrap();
    let size: ArrayRef = Arc::new(Int64Array::from(vec![3]));
    let company = vec![("company_id", text("C1")), ("name", text("Acme")), ("size", size)];
    intercom.write(&batch("companies", "company_id", company)).await.unwrap();
    let mut theirs = recorded("python-intercom");
    for request in &mut theirs {
        // It sends the version it was made for; ours is the one of the description we keep to.
        request["intercom-version"] = json!("2.14");
    }
    // Without a role Intercom makes a user all the same; ours says so.
    theirs[0]["body"]["role"] = json!("user");
    assert_eq!(writes(&log), theirs);
}

#[tokio::test]
async fn the_clients_still_send_what_was_recorded() {
    let (url, log) = recorder().await;
    let netloc = url.trim_start_matches("http://").to_owned();
    let towards = [("ZENPY_FORCE_NETLOC", netloc), ("ZENPY_FORCE_SCHEME", "http".to_owned())];
    let zenpy = Client::Python("zenpy==2.0.57");
    if zenpy.run(KEPT, include_str!("zenpy.py"), &["write"], &towards).await.is_some() {
        assert_eq!(writes(&log), recorded("zenpy"));
    }
    let (url, log) = recorder().await;
    let intercom = Client::Python("python-intercom==5.0.1");
    if intercom.run(KEPT, include_str!("intercom.py"), &["write", &url], &[]).await.is_some() {
        assert_eq!(writes(&log), recorded("python-intercom"));
    }
}

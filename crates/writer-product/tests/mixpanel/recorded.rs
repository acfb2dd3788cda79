//! Our requests beside those of Mixpanel's own Python client for the same input. Where they differ, [`DIFFERENCES`] says why.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, Uri};
use flow::Mode;
use flow::arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray, TimestampMicrosecondArray,
};
use serde_json::{Map, Value, json};

use crate::{batch, client, connect, removed};

/// What the client sends and we do not, or otherwise, with the reason.
const DIFFERENCES: &[(&str, &str)] = &[
    (
        "$time",
        "when the client was called; with it Mixpanel ignores updates that come out of order, which ours never do",
    ),
    ("$ignore_alias", "ours is always there, so that no other profile is deleted"),
    ("$ip", "ours says so once, in the query"),
    ("token", "the token in an event is for /track; /import is told the project"),
    ("mp_lib", "names the client's own library"),
    ("$lib_version", "names the client's own library"),
];

/// The client's calls: path, and the objects of `data`. A form with one object there, a JSON list here.
const RECORDED: &str = include_str!("recorded.json");

type Calls = Arc<Mutex<Vec<(String, Value)>>>;

/// A server that keeps what it is sent and says yes.
async fn recorder() -> (Calls, String) {
    let calls = Calls::default();
    let kept = Arc::clone(&calls);
    let app = Router::new().fallback(move |uri: Uri, headers: HeaderMap, body: Bytes| {
        let text = String::from_utf8_lossy(&body).into_owned();
        let form = headers
            .get("content-type")
            .is_some_and(|kind| kind == "application/x-www-form-urlencoded");
        let data = if form { data_of(&text) } else { text };
        let objects: Value =
            serde_json::from_str(&data).unwrap_or_else(|error| panic!("{error}: {data}"));
        kept.lock().expect("held").push((uri.path().to_owned(), objects));
        let answer = json!({ "status": 1, "error": null, "code": 200, "num_records_imported": 1 });
        std::future::ready(axum::Json(answer))
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    tokio::spawn(async move { axum::serve(listener, app).await });
    (calls, url)
}

fn data_of(form: &str) -> String {
    let coded = form.split('&').find_map(|pair| pair.strip_prefix("data=")).expect("data");
    let bytes = coded.as_bytes();
    let (mut out, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        match bytes[at] {
            b'+' => out.push(b' '),
            b'%' => {
                out.push(u8::from_str_radix(&coded[at + 1..at + 3], 16).expect("hex"));
                at += 2;
            }
            byte => out.push(byte),
        }
        at += 1;
    }
    String::from_utf8(out).expect("UTF-8")
}

/// The calls with one object each, without what changes from run to run.
fn plain(calls: &Calls) -> Vec<Value> {
    let calls = calls.lock().expect("held");
    let objects = calls.iter().flat_map(|(path, objects)| {
        let list = objects.as_array().cloned().unwrap_or_else(|| vec![objects.clone()]);
        list.into_iter().map(move |object| json!({ "path": path, "object": steady(object) }))
    });
    objects.collect()
}

fn steady(mut object: Value) -> Value {
    if let Some(time) = object.get_mut("$time") {
        *time = json!("now");
    }
    object
}

fn text(values: &[Option<&str>]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

/// The same input as `judge.py record`, through our writer.
async fn ours() -> Vec<Value> {
    let (calls, url) = recorder().await;
    let destination = connect(&url);
    let one = |value: &str| text(&[Some(value)]);
    let profile = vec![
        ("distinct_id", one("u1")),
        ("$email", one("ann@example.com")),
        ("$name", one("Zoë \"Z\"")),
        ("plan", one("pro")),
        ("score", Arc::new(Float64Array::from(vec![1.5])) as ArrayRef),
        ("active", Arc::new(BooleanArray::from(vec![true]))),
        ("days", Arc::new(Int64Array::from(vec![7]))),
    ];
    let emptied = vec![("distinct_id", one("u2")), ("plan", text(&[None]))];
    let group = vec![
        ("group_id", one("c1")),
        ("$name", one("Acme")),
        ("seats", Arc::new(Int64Array::from(vec![20])) as ArrayRef),
    ];
    let moment = TimestampMicrosecondArray::from(vec![1_700_000_000_000_000]).with_timezone("UTC");
    let event = vec![
        ("insert_id", one("order-1")),
        ("event", one("Order")),
        ("time", Arc::new(moment) as ArrayRef),
        ("distinct_id", one("u1")),
        ("total", Arc::new(Float64Array::from(vec![12.5]))),
    ];
    let removed = removed("profiles", "distinct_id", vec!["u3".to_owned()]);
    for rows in [
        batch("profiles", Mode::Upsert, "distinct_id", profile),
        batch("profiles", Mode::Upsert, "distinct_id", emptied),
        removed,
        batch("groups.company", Mode::Upsert, "group_id", group),
        batch("events", Mode::Append, "insert_id", event),
    ] {
        destination.write(&rows).await.expect("an answer");
    }
    plain(&calls)
}

fn without(object: &Value, names: &[&str]) -> Value {
    let members = object.as_object().expect("an object").iter();
    let kept: Map<String, Value> = members
        .filter(|(name, _)| !names.contains(&name.as_str()))
        .map(|(name, value)| {
            let value = if name == "properties" { without(value, names) } else { value.clone() };
            (name.clone(), value)
        })
        .collect();
    Value::Object(kept)
}

#[tokio::test]
async fn our_requests_are_the_clients_but_for_the_listed_differences() {
    let recorded: Vec<Value> = serde_json::from_str(RECORDED).expect("JSON");
    let ours = ours().await;
    assert_eq!(ours.len(), recorded.len());
    let names: Vec<&str> = DIFFERENCES.iter().map(|(name, _)| *name).collect();
    for (ours, theirs) in ours.iter().zip(&recorded) {
        assert_eq!(ours["path"], theirs["path"]);
        let (mut ours, theirs) =
            (without(&ours["object"], &names), without(&theirs["object"], &names));
        // Seconds there, milliseconds here: Mixpanel takes both.
        if ours["properties"]["time"].is_i64() {
            ours["properties"]["time"] =
                json!(ours["properties"]["time"].as_i64().expect("whole") / 1000);
        }
        assert_eq!(ours, theirs);
    }
    for (name, reason) in DIFFERENCES {
        assert!(RECORDED.contains(name) && !reason.is_empty(), "{name} is no difference any more");
    }
}

#[tokio::test]
async fn the_recording_is_what_the_client_sends() {
    let (calls, url) = recorder().await;
    if client("record", &url).await.is_none() {
        return;
    }
    let recorded: Vec<Value> = serde_json::from_str(RECORDED).expect("JSON");
    assert_eq!(
        plain(&calls),
        recorded,
        "{}",
        serde_json::to_string_pretty(&plain(&calls)).expect("JSON")
    );
}

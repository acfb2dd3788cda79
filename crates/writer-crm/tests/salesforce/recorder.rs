//! A double that writes down every request in a form two clients can be compared in.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::{Next, from_fn};
use serde_json::{Map, Value, json};
use simulator::{Running, Settings, TlsFiles};
use writer::csv::{CsvReader, Record};
use writer_crm::salesforce::simulator::build;

/// A running double and what was asked of it.
pub(crate) struct Recorder {
    pub(crate) running: Running,
    asked: Arc<Mutex<Vec<Value>>>,
    /// The certificate, where it speaks TLS.
    pub(crate) certificate: Option<PathBuf>,
    _folder: tempfile::TempDir,
}

impl Recorder {
    pub(crate) async fn start(secure: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let tls = secure.then(|| {
            let names = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
            let made = rcgen::generate_simple_self_signed(names).unwrap();
            let files = TlsFiles {
                cert: folder.path().join("cert.pem"),
                key: folder.path().join("key.pem"),
            };
            std::fs::write(&files.cert, made.cert.pem()).unwrap();
            std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
            files
        });
        let certificate = tls.as_ref().map(|files| files.cert.clone());
        let asked: Arc<Mutex<Vec<Value>>> = Arc::default();
        let notes = Arc::clone(&asked);
        let recorded = move |settings: &Settings| {
            let notes = Arc::clone(&notes);
            let note = move |request: Request, next: Next| {
                let notes = Arc::clone(&notes);
                async move {
                    let (parts, body) = request.into_parts();
                    let bytes = to_bytes(body, usize::MAX).await.unwrap();
                    if !parts.uri.path().starts_with("/_sim") {
                        let kind =
                            parts.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
                        let uri = parts.uri.to_string();
                        let entry = entry(parts.method.as_str(), &uri, kind.unwrap_or(""), &bytes);
                        notes.lock().unwrap().push(entry);
                    }
                    next.run(Request::from_parts(parts, Body::from(bytes))).await
                }
            };
            build(settings).map(|router| router.layer(from_fn(note)))
        };
        let settings = Settings { tls, ..Settings::default() };
        let running = simulator::start(recorded, settings).await.unwrap();
        Self { running, asked, certificate, _folder: folder }
    }

    pub(crate) fn url(&self) -> String {
        self.running.url()
    }

    /// One line a request, in order; questions after a job are said once.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> =
            self.asked.lock().unwrap().iter().map(Value::to_string).collect();
        lines.dedup();
        lines
    }
}

/// Method, path, query, kind of the body, and the body itself with its members (or columns) in one order.
fn entry(method: &str, uri: &str, kind: &str, body: &[u8]) -> Value {
    let kind = kind.split(';').next().unwrap_or_default().trim();
    let body = match kind {
        _ if body.is_empty() => Value::Null,
        "application/json" => sorted(serde_json::from_slice(body).unwrap()),
        "text/csv" => table(body),
        _ => Value::from(String::from_utf8_lossy(body)),
    };
    let kind = if body.is_null() { "" } else { kind };
    json!({ "method": method, "uri": uri.trim_end_matches('/'), "type": kind, "body": body })
}

fn sorted(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let members: BTreeMap<String, Value> =
                members.into_iter().map(|(name, value)| (name, sorted(value))).collect();
            Value::Object(members.into_iter().collect::<Map<_, _>>())
        }
        Value::Array(items) => items.into_iter().map(sorted).collect(),
        value => value,
    }
}

/// A CSV as a list of records by column.
fn table(body: &[u8]) -> Value {
    let mut header: Vec<String> = Vec::new();
    let mut rows = Vec::new();
    let mut take = |record: &Record| {
        let cells: Vec<String> = record.fields().map(|cell| cell.into_owned()).collect();
        if header.is_empty() {
            header = cells;
        } else {
            let row: BTreeMap<&String, &String> = header.iter().zip(&cells).collect();
            rows.push(json!(row));
        }
    };
    let mut reader = CsvReader::default();
    reader.feed(body, &mut take);
    assert!(reader.finish(&mut take), "{}", String::from_utf8_lossy(body));
    Value::Array(rows)
}

//! What our writer asks about associations is what HubSpot's own client asks for the same: recorded, and asked of the client
//! itself where that can be had.

use std::sync::{Arc, Mutex};

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use flow::arrow::array::{ArrayRef, StringArray};
use serde_json::{Value, json};
use simulator::{Running, Settings};

use crate::{batch, open, text, write};

#[path = "../simulator/python.rs"]
#[expect(clippy::unwrap_used, reason = "shared with another test binary")]
mod python;

const RECORDED: &str = include_str!("recorded/hubspot_api_client.jsonl");

/// A double that writes down what is asked about associations.
struct Recorder {
    server: Running,
    asked: Arc<Mutex<Vec<Value>>>,
    contact: String,
    companies: [String; 2],
}

impl Recorder {
    async fn start() -> Self {
        let asked: Arc<Mutex<Vec<Value>>> = Arc::default();
        let notes = Arc::clone(&asked);
        let recorded = move |settings: &Settings| {
            let notes = Arc::clone(&notes);
            let note = move |request: Request, next: Next| {
                let notes = Arc::clone(&notes);
                async move {
                    let (parts, body) = request.into_parts();
                    let bytes = to_bytes(body, usize::MAX).await.expect("a body");
                    let path = parts.uri.to_string();
                    if path.contains("/associations/") && path.contains("/batch/") {
                        let kind = parts.headers.get("content-type").map(|kind| kind.as_bytes());
                        notes.lock().expect("no panic").push(json!({
                            "method": parts.method.as_str(),
                            "path": path,
                            "json": kind.is_some_and(|kind| kind.starts_with(b"application/json")),
                            "bearer": parts.headers["authorization"].as_bytes().starts_with(b"Bearer "),
                            "body": serde_json::from_slice::<Value>(&bytes).expect("JSON"),
                        }));
                    }
                    next.run(Request::from_parts(parts, Body::from(bytes))).await
                }
            };
            let build = writer_crm::hubspot::simulator::build(settings);
            build.map(|router| router.layer(from_fn(note)))
        };
        let mut settings = Settings::default();
        let own = "companies:key:string:unique".to_owned();
        settings.options.insert("property".to_owned(), own);
        let server = simulator::start(recorded, settings).await.expect("started");
        let hubspot = open(&server, json!({}));
        let firms = batch("companies", "key", vec![("key", text(&["f0", "f1"]))]);
        let firms = write(&hubspot, &firms).await.expect("an answer");
        let person = batch("contacts", "email", vec![("email", text(&["a@example.com"]))]);
        let person = write(&hubspot, &person).await.expect("an answer");
        let id = |outcome: &flow::Outcome| match outcome {
            flow::Outcome::Delivered { remote_id: Some(id), .. } => id.clone(),
            other => panic!("{other:?}"),
        };
        let companies = [id(&firms.outcomes[0]), id(&firms.outcomes[1])];
        Self { server, asked, contact: id(&person.outcomes[0]), companies }
    }

    /// What was asked, without ids that differ from run to run.
    fn asked(&self) -> Vec<Value> {
        let asked = std::mem::take(&mut *self.asked.lock().expect("no panic"));
        let text = serde_json::to_string(&asked).expect("JSON");
        let text = text.replace(&self.contact, "CONTACT");
        let text = text.replace(&self.companies[0], "FIRM 0").replace(&self.companies[1], "FIRM 1");
        serde_json::from_str(&text).expect("JSON")
    }
}

fn recorded() -> Vec<Value> {
    RECORDED.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[tokio::test]
async fn our_requests_are_those_of_hubspots_own_client() {
    let recorder = Recorder::start().await;
    let hubspot = open(&recorder.server, json!({"replace_associations": ["contacts.companies"]}));
    let [zero, one] = &recorder.companies;
    let asked = async |field: &str, value: Option<&str>| {
        let value: ArrayRef = Arc::new(StringArray::from(vec![value]));
        let columns = vec![("email", text(&["a@example.com"])), (field, value)];
        let receipt = write(&hubspot, &batch("contacts", "email", columns)).await;
        let delivered =
            matches!(receipt.expect("an answer").outcomes[..], [flow::Outcome::Delivered { .. }]);
        assert!(delivered, "{field}");
    };
    // One company; its label, and the label away again; then another company in its place.
    asked("associations.companies", Some(zero)).await;
    asked("associations.companies.Primary", Some(zero)).await;
    let plain = open(&recorder.server, json!({}));
    let nobody: ArrayRef = Arc::new(StringArray::from(vec![None::<&str>]));
    let columns =
        vec![("email", text(&["a@example.com"])), ("associations.companies.Primary", nobody)];
    write(&plain, &batch("contacts", "email", columns)).await.expect("an answer");
    asked("associations.companies", Some(one)).await;
    assert_eq!(recorder.asked(), recorded());
    recorder.server.stop().await;
}

#[tokio::test]
async fn the_recording_is_what_the_client_does() {
    let recorder = Recorder::start().await;
    let [zero, one] = &recorder.companies;
    let arguments = ["own", &recorder.server.url(), &recorder.contact, zero, one];
    let Some(output) = python::run(&arguments).await else { return };
    assert_eq!(support::judge::printed(&output), "");
    assert_eq!(recorder.asked(), recorded());
    recorder.server.stop().await;
}

//! zenpy and node-zendesk over the Zendesk double.

use std::sync::Arc;

use flow::arrow::array::{RecordBatch, StringArray};
use flow::metrics::Metrics;
use flow::{Clock, Mode, Payload, WriteBatch};
use serde_json::{Value, json};
use simulator::{Running, Settings};
use support::judge::{Client, printed};

use crate::KEPT;

const ZENPY: Client = Client::Python("zenpy==2.0.57");
const NODE: Client = Client::Node("node-zendesk@6.0.1");
const SCRIPT: &str = include_str!("zenpy.py");

#[derive(Debug)]
struct Epoch;

impl Clock for Epoch {
    fn now_micros(&self) -> i64 {
        0
    }
}

async fn start() -> Running {
    let mut settings = Settings::default();
    let options = [
        ("token", "secret"),
        ("field", "users:plan:dropdown:free|pro"),
        ("plan", "enterprise_plus"),
    ];
    for (name, value) in options {
        settings.options.insert(name.to_owned(), value.to_owned());
    }
    simulator::start(writer_support::zendesk::simulator::build, settings).await.unwrap()
}

/// Where zenpy is to go.
fn towards(server: &Running) -> Vec<(&'static str, String)> {
    vec![
        ("ZENPY_FORCE_NETLOC", server.addr().to_string()),
        ("ZENPY_FORCE_SCHEME", "http".to_owned()),
    ]
}

#[tokio::test]
async fn zenpy_is_content_with_the_double() {
    let server = start().await;
    let Some(output) = ZENPY.run(KEPT, SCRIPT, &["judge"], &towards(&server)).await else { return };
    assert!(printed(&output).contains("the client is content"));
}

#[tokio::test]
async fn node_zendesk_is_content_with_the_double() {
    let server = start().await;
    let script = include_str!("node_zendesk.js");
    let Some(output) = NODE.run(KEPT, script, &[&server.url()], &[]).await else { return };
    assert!(printed(&output).contains("the client is content"));
}

#[tokio::test]
async fn zenpy_reads_back_what_our_writer_wrote() {
    let server = start().await;
    let options = json!({"email": "agent@x.io", "token": "secret", "base_url": server.url()});
    let writer = writer_support::zendesk::open(writer::OpenArgs {
        connection: "desk".to_owned(),
        options: options.as_object().unwrap().clone(),
        metrics: Metrics::new("0", "0"),
        clock: Arc::new(Epoch),
    });
    let mails: Vec<String> = (0..100).map(|number| format!("u{number}@x.io")).collect();
    let column = |values: Vec<String>| Arc::new(StringArray::from(values)) as _;
    let fields = RecordBatch::try_from_iter([
        ("email", column(mails.clone())),
        ("name", column(mails.iter().map(|mail| format!("Zoë \"{mail}\" 😀\n")).collect())),
        ("user_fields.plan", column(vec!["pro".to_owned(); 100])),
    ])
    .unwrap();
    let batch = WriteBatch {
        object: "users".into(),
        mode: Mode::Upsert,
        match_on: Arc::new(["email".to_owned()]),
        payload: Payload { fields, absent: vec![None; 3] },
        record_ids: Vec::new(),
        job: None,
        run_id: "run".into(),
    };
    let receipt = writer.unwrap().write(&batch).await.unwrap();
    assert!(
        receipt.outcomes.iter().all(|outcome| matches!(outcome, flow::Outcome::Delivered { .. }))
    );
    let Some(output) = ZENPY.run(KEPT, SCRIPT, &["read-back"], &towards(&server)).await else {
        return;
    };
    let users: Vec<Value> =
        printed(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(users.len(), 100);
    for (user, mail) in users.iter().zip(&mails) {
        assert_eq!(user["email"], json!(mail));
        assert_eq!(user["name"], json!(format!("Zoë \"{mail}\" 😀\n")));
        assert_eq!(user["user_fields"]["plan"], "pro");
    }
}

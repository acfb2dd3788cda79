//! python-intercom over the Intercom double.

use std::sync::Arc;

use flow::arrow::array::{RecordBatch, StringArray};
use flow::metrics::Metrics;
use flow::{Clock, Mode, Payload, WriteBatch};
use serde_json::{Value, json};
use simulator::{Running, Settings};
use support::judge::{Client, printed};

use crate::KEPT;

const CLIENT: Client = Client::Python("python-intercom==5.0.1");
const SCRIPT: &str = include_str!("intercom.py");

#[derive(Debug)]
struct Epoch;

impl Clock for Epoch {
    fn now_micros(&self) -> i64 {
        0
    }
}

async fn start() -> Running {
    let mut settings = Settings::default();
    for (name, value) in [("token", "tok"), ("attribute", "contact:plan:string:free|pro")] {
        settings.options.insert(name.to_owned(), value.to_owned());
    }
    simulator::start(writer_support::intercom::simulator::build, settings).await.unwrap()
}

#[tokio::test]
async fn python_intercom_is_content_with_the_double() {
    let server = start().await;
    let Some(output) = CLIENT.run(KEPT, SCRIPT, &["judge", &server.url()], &[]).await else {
        return;
    };
    assert!(printed(&output).contains("the client is content"));
}

#[tokio::test]
async fn python_intercom_reads_back_what_our_writer_wrote() {
    let server = start().await;
    let options = json!({"token": "tok", "base_url": server.url()});
    let writer = writer_support::intercom::open(writer::OpenArgs {
        connection: "desk".to_owned(),
        options: options.as_object().unwrap().clone(),
        metrics: Metrics::new("0", "0"),
        clock: Arc::new(Epoch),
    });
    let writer = writer.unwrap();
    for number in 0..60 {
        let column = |value: String| Arc::new(StringArray::from(vec![value])) as _;
        let fields = RecordBatch::try_from_iter([
            ("email", column(format!("u{number}@x.io"))),
            ("name", column(format!("Zoë \"{number}\" 😀\n"))),
            ("custom_attributes.plan", column("pro".to_owned())),
        ])
        .unwrap();
        let batch = WriteBatch {
            object: "contacts".into(),
            mode: Mode::Upsert,
            match_on: Arc::new(["email".to_owned()]),
            payload: Payload { fields, absent: vec![None; 3] },
            record_ids: Vec::new(),
            job: None,
            run_id: "run".into(),
        };
        let receipt = writer.write(&batch).await.unwrap();
        assert!(matches!(
            receipt.outcomes[0],
            flow::Outcome::Delivered { created: Some(true), .. }
        ));
    }
    let Some(output) = CLIENT.run(KEPT, SCRIPT, &["read-back", &server.url()], &[]).await else {
        return;
    };
    let contacts: Vec<Value> =
        printed(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(contacts.len(), 60);
    for (number, contact) in contacts.iter().enumerate() {
        assert_eq!(contact["email"], json!(format!("u{number}@x.io")));
        assert_eq!(contact["name"], json!(format!("Zoë \"{number}\" 😀\n")));
        assert_eq!(contact["custom_attributes"]["plan"], "pro");
    }
}

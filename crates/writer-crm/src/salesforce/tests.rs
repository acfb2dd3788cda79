//! The whole destination against its double: calls, jobs, parents, removals, reading back, and what goes wrong.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use ::simulator::{Running, Settings};
use flow::arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use flow::arrow::buffer::BooleanBuffer;
use flow::metrics::Metrics;
use flow::{Journal, Kind, Outcome, Payload, Retry};
use serde_json::{Value, json};

use super::*;

mod bulk;
mod calls;
mod reading;

#[derive(Debug)]
struct Epoch;

impl Clock for Epoch {
    fn now_micros(&self) -> i64 {
        0
    }
}

/// A destination and its double.
struct Org {
    _double: Running,
    destination: Arc<dyn Destination>,
    admin: Client,
}

impl Org {
    async fn new() -> Self {
        Self::with(&[], json!({})).await
    }

    async fn with(double: &[(&str, &str)], mut options: Value) -> Self {
        let settings: BTreeMap<String, String> =
            double.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let settings = Settings { options: settings, ..Settings::default() };
        let double = ::simulator::start(simulator::build, settings).await.expect("it starts");
        options["base_url"] = double.url().into();
        if options.get("client_id").is_none() {
            options["access_token"] = "token".into();
        }
        let destination = open(OpenArgs {
            connection: "crm".to_owned(),
            options: options.as_object().expect("an object").clone(),
            metrics: Metrics::new("0", "0"),
            clock: Arc::new(Epoch),
        });
        let admin = Client::new(ClientOptions {
            connection: "admin".to_owned(),
            base_url: BaseUrl::new("admin", Some(&double.url()), "https://localhost")
                .expect("loopback"),
            ca_file: None,
            request_timeout: Duration::from_secs(30),
            headers: writer::header::HeaderMap::new(),
            metrics: Metrics::new("0", "0"),
        });
        Self {
            _double: double,
            destination: destination.expect("valid"),
            admin: admin.expect("a client"),
        }
    }

    async fn admin(&self, method: Method, path: &str, body: &str) -> Value {
        let body = (method != Method::GET).then(|| body.as_bytes().to_vec());
        let request = Request { method, path: path.to_owned(), operation: "admin", body };
        let reply = self.admin.send(request).await.expect("an answer");
        assert!(reply.is_success(), "{path}: {}", String::from_utf8_lossy(&reply.body));
        serde_json::from_slice(&reply.body).expect("JSON")
    }

    async fn fault(&self, rule: &str) {
        self.admin(Method::POST, "/_sim/faults", rule).await;
    }

    async fn records(&self, object: &str) -> Vec<Value> {
        let records = self.admin(Method::GET, &format!("/_sim/records/{object}"), "").await;
        records.as_array().expect("a list").clone()
    }

    /// Requests of one kind the double got.
    async fn asked(&self, operation: &str) -> u64 {
        let stats = self.admin(Method::GET, "/_sim/stats", "").await;
        stats["by_operation"][operation]["total"].as_u64().unwrap_or(0)
    }

    async fn write(&self, batch: &WriteBatch) -> Vec<Outcome> {
        let receipt = self.destination.write(batch).await.expect("an answer");
        assert_eq!(receipt.outcomes.len(), batch.payload.rows());
        receipt.outcomes
    }

    /// Writes rows and gives their record ids.
    async fn lands(&self, batch: &WriteBatch) -> Vec<String> {
        let ids = self.write(batch).await.into_iter().map(|outcome| match outcome {
            Outcome::Delivered { remote_id, .. } => remote_id.unwrap_or_default(),
            other => panic!("{other:?}"),
        });
        ids.collect()
    }
}

fn batch(object: &str, match_on: &str, columns: Vec<(&str, ArrayRef)>) -> WriteBatch {
    let absent = vec![None; columns.len()];
    let columns = columns.into_iter().map(|(name, column)| (name, column, true));
    WriteBatch {
        object: object.into(),
        mode: Mode::Upsert,
        match_on: Arc::new([match_on.to_owned()]),
        payload: Payload {
            fields: RecordBatch::try_from_iter_with_nullable(columns).expect("columns"),
            absent,
        },
        record_ids: Vec::new(),
        job: None,
        run_id: "run".into(),
    }
}

fn text<'a>(values: impl IntoIterator<Item = &'a str>) -> ArrayRef {
    Arc::new(values.into_iter().map(Some).collect::<StringArray>())
}

/// Contacts `c-0` and so on with this last name.
fn contacts(rows: usize, name: &str) -> WriteBatch {
    let keys: Vec<String> = (0..rows).map(|row| format!("c-{row}")).collect();
    let names = vec![name; rows];
    batch(
        "Contact",
        "External_Id__c",
        vec![("External_Id__c", Arc::new(StringArray::from(keys))), ("LastName", text(names))],
    )
}

/// A journal in memory.
#[derive(Default)]
struct Noted {
    ids: Mutex<Vec<String>>,
    dies: bool,
    calls: AtomicU64,
}

#[async_trait]
impl Journal for Noted {
    fn key(&self) -> &str {
        "job-1"
    }

    async fn created(&self, remote_id: &str) -> Result<()> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.ids.lock().expect("no panic").push(remote_id.to_owned());
        if self.dies {
            std::future::pending::<()>().await;
        }
        Ok(())
    }
}

fn as_job(mut batch: WriteBatch) -> (WriteBatch, Arc<Noted>) {
    let noted = Arc::new(Noted::default());
    let journal: Arc<dyn Journal> = Arc::<Noted>::clone(&noted);
    batch.job = Some(journal);
    (batch, noted)
}

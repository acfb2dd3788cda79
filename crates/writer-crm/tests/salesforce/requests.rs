//! For the same input our requests are those of the clients, but for the differences listed here, each with its reason.

use std::sync::Arc;

use async_trait::async_trait;
use flow::arrow::array::{ArrayRef, Float64Array, RecordBatch, StringArray};
use flow::arrow::datatypes::Schema;
use flow::metrics::Metrics;
use flow::{Clock, Destination, Journal, Mode, Outcome, Payload, ReadBack, Records, WriteBatch};
use serde_json::{Value, json};
use writer::OpenArgs;
use writer_crm::salesforce::open;

use crate::recorder::Recorder;

/// Where we differ from jsforce: the request it is in, the place in its body or its address, what stands there, and why.
const BESIDES_JSFORCE: &[(&str, &str)] = &[
    ("DELETE /composite/sobjects", "allOrNone=false is said, although it is the default"),
    (
        "POST /jobs/ingest",
        "contentType, columnDelimiter and lineEnding are said, although they are the defaults",
    ),
    ("PUT /jobs/ingest/batches", "jsforce adds an empty column Id; Salesforce passes over it"),
    (
        "GET /jobs/ingest/failedResults",
        "jsforce asks for all three results; we leave out those the job says are empty",
    ),
    ("GET /jobs/ingest/unprocessedrecords", "the same"),
];

#[derive(Debug)]
struct Epoch;

impl Clock for Epoch {
    fn now_micros(&self) -> i64 {
        0
    }
}

struct Note;

#[async_trait]
impl Journal for Note {
    fn key(&self) -> &str {
        "job"
    }

    async fn created(&self, _: &str) -> flow::Result<()> {
        Ok(())
    }
}

/// Our writer at a double.
pub(crate) struct Ours(pub(crate) Arc<dyn Destination>);

impl Ours {
    pub(crate) fn open(double: &Recorder) -> Self {
        let mut options = json!({ "base_url": double.url(), "access_token": "token" });
        if let Some(certificate) = &double.certificate {
            options["ca_file"] = json!(certificate);
        }
        let opened = open(OpenArgs {
            connection: "crm".to_owned(),
            options: options.as_object().unwrap().clone(),
            metrics: Metrics::new("0", "0"),
            clock: Arc::new(Epoch),
        });
        Self(opened.unwrap())
    }

    pub(crate) async fn write(&self, batch: &WriteBatch, as_job: bool) -> Vec<String> {
        let job = as_job.then(|| Arc::new(Note) as Arc<dyn Journal>);
        let receipt = self.0.write(&WriteBatch { job, ..batch.clone() }).await.unwrap();
        let ids = receipt.outcomes.into_iter().map(|outcome| match outcome {
            Outcome::Delivered { remote_id, .. } => remote_id.unwrap(),
            other => panic!("{other:?}"),
        });
        ids.collect()
    }
}

fn text(values: &[Option<&str>]) -> ArrayRef {
    Arc::new(values.iter().copied().collect::<StringArray>())
}

fn batch(object: &str, match_on: &str, columns: Vec<(&str, ArrayRef)>) -> WriteBatch {
    let absent = vec![None; columns.len()];
    let columns = columns.into_iter().map(|(name, column)| (name, column, true));
    WriteBatch {
        object: object.into(),
        mode: Mode::Upsert,
        match_on: Arc::new([match_on.to_owned()]),
        payload: Payload {
            fields: RecordBatch::try_from_iter_with_nullable(columns).unwrap(),
            absent,
        },
        record_ids: Vec::new(),
        job: None,
        run_id: "run".into(),
    }
}

/// Contacts `HOW-0` and so on with these descriptions.
pub(crate) fn contacts(texts: &[&str], how: &str) -> WriteBatch {
    let keys: Vec<String> = (0..texts.len()).map(|n| format!("{how}-{n}")).collect();
    let keys: Vec<Option<&str>> = keys.iter().map(|key| Some(key.as_str())).collect();
    let texts: Vec<Option<&str>> = texts.iter().copied().map(Some).collect();
    let columns = vec![
        ("External_Id__c", text(&keys)),
        ("LastName", text(&vec![Some(how); texts.len()])),
        ("Description", text(&texts)),
    ];
    batch("Contact", "External_Id__c", columns)
}

/// What the scripts of both clients do, done by our writer.
async fn as_jsforce(ours: &Ours) {
    let parent = vec![("External_Id__c", text(&[Some("P-1")])), ("Name", text(&[Some("Parent")]))];
    ours.write(&batch("Account", "External_Id__c", parent), false).await;
    let columns = vec![
        ("External_Id__c", text(&[Some("J-1"), Some("J-2")])),
        ("LastName", text(&[Some("Zoë \"Z\", jr"), Some("=1+1")])),
        ("FirstName", text(&[None, Some("Lee")])),
        ("Score__c", Arc::new(Float64Array::from(vec![12.5, -3.0])) as ArrayRef),
        ("Account.External_Id__c", text(&[Some("P-1"), Some("P-1")])),
    ];
    let ids = ours.write(&batch("Contact", "External_Id__c", columns), false).await;
    let some: Vec<Option<&str>> = ids.iter().map(|id| Some(id.as_str())).collect();
    let columns = vec![("Id", text(&some)), ("Title", text(&[Some("Dr"), Some("Dr")]))];
    ours.write(&WriteBatch { mode: Mode::Update, ..batch("Contact", "Id", columns) }, false).await;
    let columns = vec![
        ("External_Id__c", text(&[Some("J-3"), Some("J-4")])),
        ("LastName", text(&[Some("New"), Some("Newer")])),
    ];
    let create = batch("Contact", "External_Id__c", columns);
    ours.write(&WriteBatch { mode: Mode::Create, ..create }, false).await;
    let delete = batch("Contact", "Id", vec![("Id", text(&some))]);
    ours.write(&WriteBatch { mode: Mode::Delete, ..delete }, false).await;
    let field = flow::arrow::datatypes::Field::new(
        "LastName",
        flow::arrow::datatypes::DataType::Utf8,
        true,
    );
    let fields = Arc::new(Schema::new(vec![field]));
    let asked = ReadBack { object: "Contact".into(), records: Records::Ids(ids), fields };
    ours.0.reads_back().unwrap().read(&asked).await.unwrap();
    ours.write(&bulk(), true).await;
}

fn bulk() -> WriteBatch {
    let columns = vec![
        ("External_Id__c", text(&[Some("B-1"), Some("B-2")])),
        ("LastName", text(&[Some("say \"hi\", you"), Some("line\nline")])),
        ("FirstName", text(&[None, Some("Lee")])),
    ];
    batch("Contact", "External_Id__c", columns)
}

/// `METHOD /path` without versions and ids.
fn name(entry: &Value) -> String {
    let uri = entry["uri"].as_str().unwrap().split('?').next().unwrap();
    let path = uri.strip_prefix("/services/data/v62.0").unwrap_or(uri);
    let parts = path.split('/').filter(|part| !part.starts_with("750"));
    format!("{} {}", entry["method"].as_str().unwrap(), parts.collect::<Vec<_>>().join("/"))
}

fn read(lines: &str) -> Vec<Value> {
    let entries = lines.lines().map(|line| serde_json::from_str(line).unwrap());
    let but_describe = |entry: &Value| !entry["uri"].as_str().unwrap().ends_with("/describe");
    entries.filter(but_describe).collect()
}

/// Takes away the differences that are listed.
fn reconcile(entry: &mut Value) {
    let mut uri = entry["uri"].as_str().unwrap().replace("&allOrNone=false", "");
    // Questions differ in number only.
    uri = uri.trim_end_matches('/').to_owned();
    entry["uri"] = uri.into();
    if let Some(body) = entry["body"].as_object_mut() {
        for default in ["contentType", "columnDelimiter", "lineEnding"] {
            body.remove(default);
        }
    }
    let is_csv = entry["type"] == "text/csv";
    if let Some(rows) = entry["body"].as_array_mut().filter(|_| is_csv) {
        for row in rows {
            if row["Id"] == "" {
                row.as_object_mut().unwrap().remove("Id");
            }
        }
    }
}

#[tokio::test]
async fn our_requests_are_those_of_jsforce() {
    let double = Recorder::start(false).await;
    as_jsforce(&Ours::open(&double)).await;
    let mut ours = read(&double.lines().join("\n"));
    let mut theirs = read(include_str!("recorded/jsforce.jsonl"));
    let listed = |entry: &Value| BESIDES_JSFORCE.iter().any(|(request, _)| *request == name(entry));
    let differ = ours.iter().filter(|entry| !theirs.contains(entry)).map(name).collect::<Vec<_>>();
    for request in &differ {
        assert!(
            BESIDES_JSFORCE.iter().any(|(known, _)| known == request),
            "{request} is not listed: {differ:?}"
        );
    }
    let left_out = ["failedResults", "unprocessed"];
    theirs
        .retain(|entry| !(listed(entry) && left_out.iter().any(|part| name(entry).contains(part))));
    ours.iter_mut().chain(&mut theirs).for_each(reconcile);
    assert_eq!(ours, theirs);
}

#[tokio::test]
async fn our_requests_are_those_of_simple_salesforce() {
    let double = Recorder::start(false).await;
    let ours = Ours::open(&double);
    let columns =
        vec![("External_Id__c", text(&[Some("S-1")])), ("LastName", text(&[Some("Kim")]))];
    ours.write(&batch("Contact", "External_Id__c", columns), false).await;
    ours.write(&bulk(), true).await;
    let mut ours = read(&double.lines().join("\n"));
    // It asks for no results by itself; we do.
    ours.retain(|entry| !name(entry).contains("Results"));
    assert_eq!(ours, read(include_str!("recorded/simple_salesforce.jsonl")));
}

//! The HubSpot writer against the HubSpot double: what the suite for every destination cannot know.

mod associations;
mod requests;

use std::sync::Arc;

use flow::arrow::array::{
    Array, ArrayRef, BooleanArray, Date32Array, Decimal128Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use flow::metrics::Metrics;
use flow::{
    Clock, Destination, Error, Kind, Mode, Outcome, Payload, ReadBack, Receipt, Records, WriteBatch,
};
use serde_json::{Value, json};
use simulator::{Running, Settings};

#[derive(Debug)]
struct Epoch;

impl Clock for Epoch {
    fn now_micros(&self) -> i64 {
        0
    }
}

pub(crate) async fn started(options: &[(&str, &str)]) -> (Running, Arc<dyn Destination>) {
    let mut settings = Settings::default();
    for (name, value) in options {
        settings.options.insert((*name).to_owned(), (*value).to_owned());
    }
    let server =
        simulator::start(writer_crm::hubspot::simulator::build, settings).await.expect("started");
    let hubspot = open(&server, json!({}));
    (server, hubspot)
}

/// A connection to the double, with these options besides.
pub(crate) fn open(server: &Running, more: Value) -> Arc<dyn Destination> {
    let mut options = json!({"token": "pat-secret", "base_url": server.url()});
    let options = options.as_object_mut().expect("an object");
    options.extend(more.as_object().expect("an object").clone());
    let hubspot = writer_crm::hubspot::open(writer::OpenArgs {
        connection: "crm".to_owned(),
        options: options.clone(),
        metrics: Metrics::new("0", "0"),
        clock: Arc::new(Epoch),
    });
    hubspot.expect("valid options")
}

pub(crate) fn batch(object: &str, match_on: &str, columns: Vec<(&str, ArrayRef)>) -> WriteBatch {
    let absent = vec![None; columns.len()];
    let fields = RecordBatch::try_from_iter_with_nullable(
        columns.into_iter().map(|(name, column)| (name, column, true)),
    );
    WriteBatch {
        object: object.into(),
        mode: Mode::Upsert,
        match_on: Arc::new([match_on.to_owned()]),
        payload: Payload { fields: fields.expect("columns of one length"), absent },
        record_ids: Vec::new(),
        job: None,
        run_id: "run".into(),
    }
}

pub(crate) fn text(values: &[&str]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

pub(crate) async fn write(
    hubspot: &Arc<dyn Destination>,
    batch: &WriteBatch,
) -> Result<Receipt, Error> {
    hubspot.write(batch).await
}

pub(crate) async fn records(server: &Running, object: &str) -> Vec<Value> {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::TcpStream::connect(server.addr()).await.expect("connected");
    let request = format!("GET /_sim/records/{object} HTTP/1.0\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("answered");
    let body = answer.split_once("\r\n\r\n").expect("a body").1;
    serde_json::from_str(body).expect("JSON")
}

#[tokio::test]
async fn every_type_of_property_arrives_as_it_was_meant() {
    let property = "contacts:seats:number;contacts:born:date;contacts:active:bool;\
                    contacts:seen:datetime;contacts:plan:enumeration:free|pro";
    let (server, hubspot) = started(&[("property", property)]).await;
    let seats = Decimal128Array::from(vec![Some(1_250), None])
        .with_precision_and_scale(12, 2)
        .expect("fits");
    let seen = TimestampMicrosecondArray::from(vec![Some(1_767_607_202_869_800), None])
        .with_timezone("UTC");
    let batch = batch(
        "contacts",
        "email",
        vec![
            ("email", text(&["ada@example.com", "bob@example.com"])),
            ("seats", Arc::new(seats)),
            ("born", Arc::new(Date32Array::from(vec![Some(0), None]))),
            ("active", Arc::new(BooleanArray::from(vec![Some(true), Some(false)]))),
            ("seen", Arc::new(seen)),
            ("plan", text(&["pro", "free"])),
        ],
    );
    let receipt = write(&hubspot, &batch).await.expect("an answer");
    for outcome in &receipt.outcomes {
        let Outcome::Delivered { created: Some(true), remote_id: Some(_) } = outcome else {
            panic!("{outcome:?}")
        };
    }
    let records = records(&server, "contacts").await;
    let ada = records.iter().find(|record| record.to_string().contains("ada@")).expect("there");
    let ada = ada.get("properties").unwrap_or(ada);
    assert_eq!(ada["seats"], "12.5");
    assert_eq!(ada["born"], "1970-01-01");
    assert_eq!(ada["active"], "true");
    assert_eq!(ada["seen"], "2026-01-05T10:00:02.869Z");
    assert_eq!(ada["plan"], "pro");
    server.stop().await;
}

#[tokio::test]
async fn a_second_write_updates_the_record_whatever_the_case_of_its_address() {
    let (server, hubspot) = started(&[]).await;
    let write_as = async |email: &str, name: &str| {
        let columns = vec![("email", text(&[email])), ("firstname", text(&[name]))];
        let receipt = write(&hubspot, &batch("contacts", "email", columns)).await;
        receipt.expect("an answer").outcomes.remove(0)
    };
    let Outcome::Delivered { created: Some(true), remote_id: first } =
        write_as("Ada@Example.com", "Ada").await
    else {
        panic!("it is new")
    };
    let Outcome::Delivered { created: Some(false), remote_id: second } =
        write_as("ada@example.com", "Ada L.").await
    else {
        panic!("it is there")
    };
    assert_eq!(first, second);
    assert_eq!(records(&server, "contacts").await.len(), 1);
    server.stop().await;
}

#[tokio::test]
async fn a_bad_row_has_its_property_and_a_readable_reason() {
    let (server, hubspot) = started(&[]).await;
    let columns = vec![
        ("email", text(&["ada@example.com", "bob@example.com"])),
        ("lifecyclestage", text(&["lead", "no such stage"])),
    ];
    let receipt = write(&hubspot, &batch("contacts", "email", columns)).await.expect("an answer");
    assert!(matches!(receipt.outcomes[0], Outcome::Delivered { .. }));
    let Outcome::Rejected { code, message, field } = &receipt.outcomes[1] else {
        panic!("{:?}", receipt.outcomes[1])
    };
    assert_eq!((code.id, field.as_deref()), ("R201", Some("lifecyclestage")));
    assert!(message.starts_with("no such stage was not one of the allowed options"), "{message}");
    server.stop().await;
}

#[tokio::test]
async fn a_mapping_no_row_can_be_written_with_ends_the_run() {
    let (server, hubspot) = started(&[]).await;
    let refused = async |object: &str, match_on: &str, field: &str| {
        let columns = vec![(match_on, text(&["ada@example.com"])), (field, text(&["x"]))];
        write(&hubspot, &batch(object, match_on, columns)).await.expect_err("refused")
    };
    let missing = refused("contacts", "email", "no_such_property").await;
    assert_eq!((missing.code().id, missing.kind()), ("E2012", Kind::Config), "{missing}");
    assert!(missing.message().contains("`no_such_property`"), "{missing}");
    let read_only = refused("contacts", "email", "lastmodifieddate").await;
    assert_eq!(read_only.code().id, "E2012", "{read_only}");
    let object = refused("p_nothing", "email", "name").await;
    assert_eq!(object.code().id, "E2011", "{object}");
    let not_unique = refused("contacts", "firstname", "lastname").await;
    assert_eq!(not_unique.kind(), Kind::Config, "{not_unique}");
    assert!(records(&server, "contacts").await.is_empty());
    server.stop().await;
}

#[tokio::test]
async fn a_missing_scope_is_named() {
    let (server, hubspot) = started(&[("scopes", "crm.objects.companies.read")]).await;
    for error in [
        hubspot.describe("contacts").await.expect_err("not allowed"),
        write(&hubspot, &batch("contacts", "email", vec![("email", text(&["a@example.com"]))]))
            .await
            .expect_err("not allowed"),
    ] {
        assert_eq!((error.code().id, error.kind()), ("E2010", Kind::Credentials), "{error}");
        assert!(error.message().contains("contacts"), "{error}");
    }
    server.stop().await;
}

#[tokio::test]
async fn every_listed_object_is_described_with_a_way_to_find_records_or_none() {
    let (server, hubspot) = started(&[("property", "deals:erp_id:string:unique")]).await;
    for object in hubspot.objects() {
        let schema = hubspot.describe(&object).await.expect("it is there");
        assert!(schema.fields.len() > 5, "{object}");
        let unique: Vec<&str> = schema
            .fields
            .iter()
            .filter(|field| field.unique && !field.read_only)
            .map(|field| field.name.as_str())
            .collect();
        match object.as_str() {
            "contacts" => assert_eq!(unique, ["email"]),
            "deals" => assert_eq!(unique, ["erp_id"]),
            _ => assert!(unique.is_empty(), "{object}: {unique:?}"),
        }
    }
    assert_eq!(hubspot.describe("p_nothing").await.expect_err("unknown").code().id, "E2011");
    server.stop().await;
}

#[tokio::test]
async fn what_was_written_is_read_back_as_it_was_mapped() {
    let (_server, hubspot) = started(&[
        ("property.score", "contacts:score:number"),
        ("property.vip", "contacts:vip:bool"),
        ("property.born", "contacts:born:date"),
        ("property.seen", "contacts:seen:datetime"),
    ])
    .await;
    let score = Decimal128Array::from(vec![Some(1250), None]).with_precision_and_scale(10, 2);
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("email", text(&["ada@x.io", "eve@x.io"])),
        ("firstname", Arc::new(StringArray::from(vec![Some("Ada \"🦀\""), None]))),
        ("score", Arc::new(score.expect("fits"))),
        ("vip", Arc::new(BooleanArray::from(vec![Some(true), None]))),
        ("born", Arc::new(Date32Array::from(vec![Some(1), None]))),
        (
            "seen",
            Arc::new(
                TimestampMicrosecondArray::from(vec![Some(1_700_000_000_123_000), None])
                    .with_timezone("UTC"),
            ),
        ),
    ];
    let sent = batch("contacts", "email", columns);
    let receipt = write(&hubspot, &sent).await.expect("written");
    let ids: Vec<String> = receipt
        .outcomes
        .iter()
        .map(|outcome| match outcome {
            Outcome::Delivered { remote_id: Some(id), .. } => id.clone(),
            other => panic!("{other:?}"),
        })
        .collect();
    let reads = hubspot.reads_back().expect("it reads");
    let ask = |records| ReadBack {
        object: "contacts".into(),
        records,
        fields: sent.payload.fields.schema(),
    };
    let by_id = reads.read(&ask(Records::Ids(ids.clone()))).await.expect("read");
    assert_eq!(by_id.fields, sent.payload.fields, "equal means equal");
    assert_eq!(by_id.record_ids, [[ids[0].clone()], [ids[1].clone()]]);

    let emails = ["Ada@X.io", "nobody@x.io", "ada@x.io", "eve@x.io"];
    let asked = batch("contacts", "email", vec![("email", text(&emails))]).payload.fields;
    let found = reads.read(&ask(Records::Matching(asked))).await.expect("read");
    let [ada, eve] = [vec![ids[0].clone()], vec![ids[1].clone()]];
    assert_eq!(found.record_ids, [ada.clone(), Vec::new(), ada, eve]);
    assert!(found.fields.column(1).is_null(1) && found.fields.column(1).is_valid(2));
    for nobody in ["99999999", ""] {
        let gone = reads.read(&ask(Records::Ids(vec![nobody.to_owned()]))).await.expect("read");
        assert_eq!(gone.record_ids, [Vec::<String>::new()]);
    }
}

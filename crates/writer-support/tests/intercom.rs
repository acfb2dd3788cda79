//! The Intercom writer against the Intercom double: what the suite for every destination cannot know.

#![expect(clippy::unwrap_used, reason = "a test may fail at any line")]

use std::sync::Arc;
use std::time::Duration;

use flow::arrow::array::{
    ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use flow::arrow::datatypes::Schema;
use flow::metrics::Metrics;
use flow::{Clock, Destination, Mode, Outcome, Payload, ReadBack, Records, WriteBatch, text_at};
use serde_json::{Value, json};
use simulator::{Running, Settings};

#[derive(Debug)]
struct Epoch;

impl Clock for Epoch {
    fn now_micros(&self) -> i64 {
        0
    }
}

struct Desk {
    server: Running,
    writer: Arc<dyn Destination>,
}

const ATTRIBUTES: &str =
    "contact:plan:string:free|pro;contact:seats:integer;contact:since:date;company:score:float";

impl Desk {
    async fn start(simulated: &[(&str, &str)], options: Value) -> Self {
        // The tests' own HTTP client wants one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut settings = Settings::default();
        settings.options.insert("attribute".to_owned(), ATTRIBUTES.to_owned());
        for (name, value) in simulated {
            settings.options.insert((*name).to_owned(), (*value).to_owned());
        }
        let server =
            simulator::start(writer_support::intercom::simulator::build, settings).await.unwrap();
        let mut all = json!({"token": "secret", "base_url": server.url()});
        all.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
        let writer = writer_support::intercom::open(writer::OpenArgs {
            connection: "desk".to_owned(),
            options: all.as_object().unwrap().clone(),
            metrics: Metrics::new("0", "0"),
            clock: Arc::new(Epoch),
        });
        Self { server, writer: writer.unwrap() }
    }

    async fn get(&self, path: &str) -> Value {
        let answer = reqwest::get(format!("{}{path}", self.server.url())).await.unwrap();
        serde_json::from_str(&answer.text().await.unwrap()).unwrap()
    }

    async fn records(&self, object: &str) -> Vec<Value> {
        self.get(&format!("/_sim/records/{object}?archived=true")).await.as_array().unwrap().clone()
    }

    async fn fault(&self, rule: &str) {
        let http = reqwest::Client::new();
        let answer = http
            .post(format!("{}/_sim/faults", self.server.url()))
            .body(rule.to_owned())
            .send()
            .await;
        assert_eq!(answer.unwrap().status(), 200, "{rule}");
    }

    /// What became of one row, with its record id.
    async fn write(&self, batch: &WriteBatch) -> (String, String) {
        let receipt = self.writer.write(batch).await.unwrap_or_else(|error| panic!("{error:?}"));
        match &receipt.outcomes[0] {
            Outcome::Delivered { created, remote_id } => {
                let created = if *created == Some(true) { "new" } else { "there" };
                (created.to_owned(), remote_id.clone().unwrap_or_default())
            }
            Outcome::Rejected { code, message, .. } => (code.id.to_owned(), message.clone()),
            other => panic!("{other:?}"),
        }
    }
}

fn text(value: &str) -> ArrayRef {
    Arc::new(StringArray::from(vec![value]))
}

fn batch(object: &str, mode: Mode, columns: Vec<(&str, ArrayRef)>) -> WriteBatch {
    let absent = vec![None; columns.len()];
    let match_on = columns.first().map_or("external_id", |(name, _)| name).to_owned();
    let fields = match columns.is_empty() {
        true => RecordBatch::new_empty(Arc::new(Schema::empty())),
        false => RecordBatch::try_from_iter(columns).unwrap(),
    };
    WriteBatch {
        object: object.into(),
        mode,
        match_on: Arc::new([match_on]),
        payload: Payload { fields, absent },
        record_ids: Vec::new(),
        job: None,
        run_id: "run".into(),
    }
}

fn person(by: &str, key: &str, name: &str) -> WriteBatch {
    batch("contacts", Mode::Upsert, vec![(by, text(key)), ("name", text(name))])
}

#[tokio::test]
async fn a_contact_that_is_there_is_found_by_what_the_conflict_names() {
    let desk = Desk::start(&[("search_lag", "600000")], json!({})).await;
    let (new, id) = desk.write(&person("email", "Ada@x.io", "Ada")).await;
    assert_eq!(new, "new");
    // The search knows nothing of it yet, and is not asked.
    assert_eq!(
        desk.write(&person("email", "ada@x.io", "Ada L.")).await,
        ("there".to_owned(), id.clone())
    );
    let contacts = desk.records("contacts").await;
    assert_eq!((contacts.len(), &contacts[0]["name"]), (1, &json!("Ada L.")));
    let (new, _) = desk.write(&person("external_id", "E/1 ü,", "Bob")).await;
    assert_eq!(new, "new");
    assert_eq!(desk.write(&person("external_id", "E/1 ü,", "Bob B.")).await.0, "there");
    assert_eq!(desk.records("contacts").await.len(), 2);
}

#[tokio::test]
async fn somebody_elses_contact_is_never_taken_for_ones_own() {
    let desk = Desk::start(&[], json!({})).await;
    let both = |key: &str, mail: &str| {
        batch(
            "contacts",
            Mode::Upsert,
            vec![("external_id", text(key)), ("email", text(mail)), ("name", text(key))],
        )
    };
    assert_eq!(desk.write(&both("E1", "ada@x.io")).await.0, "new");
    let (code, message) = desk.write(&both("E2", "ada@x.io")).await;
    assert_eq!(code, "R202", "{message}");
    let contacts = desk.records("contacts").await;
    assert_eq!((contacts.len(), &contacts[0]["external_id"]), (1, &json!("E1")));
    // One with the address and no external id yet is the person.
    let (_, id) = desk.write(&person("email", "bob@x.io", "Bob")).await;
    assert_eq!(desk.write(&both("E3", "bob@x.io")).await, ("there".to_owned(), id));
    assert_eq!(desk.records("contacts").await[1]["external_id"], "E3");
}

#[tokio::test]
async fn an_archived_contact_is_a_reject_or_comes_back_as_the_options_say() {
    for (option, expected) in [("reject", "R202"), ("unarchive", "there")] {
        let desk = Desk::start(&[], json!({"archived": option})).await;
        let (_, id) = desk.write(&person("external_id", "E1", "Ada")).await;
        let mut gone = batch("contacts", Mode::Delete, Vec::new());
        gone.record_ids = vec![id];
        assert_eq!(desk.write(&gone).await.0, "there");
        assert_eq!(desk.records("contacts").await[0]["archived"], true);
        assert_eq!(desk.write(&gone).await.0, "there", "what is gone is done");
        let (outcome, message) = desk.write(&person("external_id", "E1", "Ada 2")).await;
        assert_eq!(outcome, expected, "{message}");
    }
}

#[tokio::test]
async fn contacts_leave_for_good_where_the_options_want_it() {
    let desk = Desk::start(&[("search_lag", "0")], json!({"permanently_delete": true})).await;
    let (_, id) = desk.write(&person("email", "ada@x.io", "Ada")).await;
    let listed = batch("contacts", Mode::Delete, vec![("email", text("ada@x.io"))]);
    assert_eq!(desk.write(&listed).await.0, "there");
    assert_eq!(desk.write(&listed).await.0, "there");
    assert_eq!(desk.records("contacts").await[0]["deleted"], true);
    let mut update = batch("contacts", Mode::Update, vec![("name", text("x"))]);
    update.record_ids = vec![id];
    assert_eq!(desk.write(&update).await.0, "R203");
    let missing =
        batch("contacts", Mode::Update, vec![("external_id", text("E9")), ("name", text("x"))]);
    assert_eq!(desk.write(&missing).await.0, "R203");
}

#[tokio::test]
async fn companies_and_tags_are_made_linked_and_removed() {
    let desk = Desk::start(&[], json!({})).await;
    let spend: ArrayRef = Arc::new(Float64Array::from(vec![12.9]));
    let score: ArrayRef = Arc::new(Float64Array::from(vec![0.5]));
    let company = batch(
        "companies",
        Mode::Upsert,
        vec![
            ("company_id", text("C1")),
            ("plan", text("pro")),
            ("monthly_spend", spend),
            ("custom_attributes.score", score),
        ],
    );
    let (_, company_id) = desk.write(&company).await;
    assert_eq!(desk.write(&company).await.1, company_id);
    let companies = desk.records("companies").await;
    assert_eq!(
        (&companies[0]["monthly_spend"], &companies[0]["plan"]),
        (&json!(12), &json!("pro"))
    );
    let (_, tag) = desk.write(&batch("tags", Mode::Upsert, vec![("name", text("vip"))])).await;
    assert_eq!(desk.write(&batch("tags", Mode::Upsert, vec![("name", text("vip"))])).await.1, tag);
    let linked = |company: &str| {
        batch(
            "contacts",
            Mode::Upsert,
            vec![
                ("email", text("ada@x.io")),
                ("associations.companies", text(company)),
                ("associations.tags", text(&tag)),
            ],
        )
    };
    assert_eq!(desk.write(&linked(&company_id)).await.0, "new");
    let ada = &desk.records("contacts").await[0];
    assert_eq!(ada["companies"]["data"][0]["id"], json!(company_id));
    assert_eq!(ada["tags"]["total_count"], 1);
    assert_eq!(desk.write(&linked("nowhere")).await.0, "R203");
    let (gone, _) =
        desk.write(&batch("companies", Mode::Delete, vec![("company_id", text("C1"))])).await;
    assert_eq!(gone, "there");
    assert_eq!(
        desk.write(&batch("companies", Mode::Delete, vec![("company_id", text("C1"))])).await.0,
        "there"
    );
    let mut untag = batch("tags", Mode::Delete, Vec::new());
    untag.record_ids = vec![tag];
    assert_eq!(desk.write(&untag).await.0, "there");
    assert_eq!(desk.write(&untag).await.0, "there");
}

#[tokio::test]
async fn values_have_their_types_and_are_read_back_as_they_were_meant() {
    let desk = Desk::start(&[], json!({})).await;
    let seen = TimestampMicrosecondArray::from(vec![1_767_607_202_869_800]).with_timezone("UTC");
    let millis: ArrayRef = Arc::new(Int64Array::from(vec![1_767_607_202_869]));
    let ada = batch(
        "contacts",
        Mode::Upsert,
        vec![
            ("external_id", text("E1")),
            ("name", text("Ada 👩‍💻")),
            ("signed_up_at", Arc::new(seen)),
            ("last_seen_at", millis),
            ("custom_attributes.plan", text("pro")),
            ("custom_attributes.seats", Arc::new(Int64Array::from(vec![3]))),
        ],
    );
    let (_, id) = desk.write(&ada).await;
    let held = &desk.records("contacts").await[0];
    assert_eq!(
        (&held["signed_up_at"], &held["last_seen_at"]),
        (&json!(1_767_607_202), &json!(1_767_607_202))
    );
    assert_eq!(held["custom_attributes"], json!({"plan": "pro", "seats": 3}));
    let wrong = batch(
        "contacts",
        Mode::Upsert,
        vec![("external_id", text("E1")), ("custom_attributes.plan", text("gold"))],
    );
    assert_eq!(desk.write(&wrong).await.0, "R201");
    let unknown = batch(
        "contacts",
        Mode::Upsert,
        vec![("external_id", text("E1")), ("custom_attributes.nope", text("x"))],
    );
    let error = desk.writer.write(&unknown).await.unwrap_err();
    assert!(error.code().id == "E2012" && error.message().contains("nope"), "{error}");
    let schema = ada.payload.fields.schema();
    let fields = ["name", "signed_up_at", "custom_attributes.seats"]
        .map(|name| schema.field_with_name(name).unwrap().clone());
    let asked = ReadBack {
        object: "contacts".into(),
        records: Records::Ids(vec![id.clone(), "5ba682d23d7cf92bef87bfd4".to_owned()]),
        fields: Arc::new(Schema::new(fields.to_vec())),
    };
    let found = desk.writer.reads_back().unwrap().read(&asked).await.unwrap();
    assert_eq!(found.record_ids, [vec![id], vec![]]);
    let cells: Vec<String> =
        found.fields.columns().iter().map(|column| text_at(column, 0).into_owned()).collect();
    assert_eq!(cells, ["Ada 👩‍💻", "2026-01-05T10:00:02Z", "3"]);
    assert!(found.fields.columns().iter().all(|column| column.is_null(1)));
}

// A lost answer makes no second contact, whatever call it was.
#[tokio::test]
async fn a_call_made_again_after_a_lost_answer_doubles_nothing() {
    let desk = Desk::start(&[], json!({})).await;
    for (by, key) in [("email", "ada@x.io"), ("external_id", "E1")] {
        for operation in ["create", "update"] {
            desk.fault(&format!("op={operation};do=apply-then-reset")).await;
            let lost = desk.writer.write(&person(by, key, "A")).await.unwrap_err();
            assert!(lost.is_ambiguous(), "{by} {operation}: {lost:?}");
            assert_eq!(desk.write(&person(by, key, "B")).await.0, "there");
        }
    }
    assert_eq!(desk.records("contacts").await.len(), 2);
    desk.fault("do=status:429").await;
    let later = desk.writer.write(&person("email", "ada@x.io", "C")).await.unwrap_err();
    assert!(
        matches!(later.retry(), flow::Retry::After(wait) if wait >= Duration::from_secs(1)),
        "{later:?}"
    );
}

#[test]
fn options_are_strict_and_limits_say_what_can_be_done() {
    let opened = |options: Value| {
        writer_support::intercom::open(writer::OpenArgs {
            connection: "desk".to_owned(),
            options: options.as_object().unwrap().clone(),
            metrics: Metrics::new("0", "0"),
            clock: Arc::new(Epoch),
        })
    };
    for options in [
        json!({}),
        json!({"token": ""}),
        json!({"token": "t", "region": "mars"}),
        json!({"token": "t", "tokn": 1}),
    ] {
        assert_eq!(opened(options).map(|_| ()).unwrap_err().code().id, "E2013");
    }
    let intercom = opened(json!({"token": "t", "region": "eu"})).unwrap();
    let contacts = intercom.limits("contacts").unwrap();
    assert_eq!((contacts.rows_max, contacts.renames, contacts.jobs), (1, true, None));
    assert!(contacts.in_flight_max >= 20);
    assert!(!intercom.limits("companies").unwrap().renames);
    assert_eq!(intercom.limits("users").unwrap_err().code().id, "E2011");
}

//! The Zendesk writer against the Zendesk double: what the suite for every destination cannot know.

#![expect(clippy::unwrap_used, reason = "a test may fail at any line")]

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use flow::arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Int64Array, RecordBatch, StringArray,
};
use flow::arrow::datatypes::{Field, Schema};
use flow::metrics::Metrics;
use flow::{
    Clock, Destination, Error, Journal, Mode, OpenJob, Outcome, Payload, ReadBack, Records,
    Resumed, WriteBatch, text_at,
};
use serde_json::{Value, json};
use simulator::{Running, Settings};

/// The machine's own time, which the double's jobs end by.
#[derive(Debug)]
struct Wall;

impl Clock for Wall {
    #[expect(
        clippy::disallowed_methods,
        reason = "the double's jobs end by the machine's own time"
    )]
    fn now_micros(&self) -> i64 {
        chrono::Utc::now().timestamp_micros()
    }
}

/// A double and a connection to it.
struct Desk {
    server: Running,
    writer: Arc<dyn Destination>,
}

/// Writes down ids in memory.
#[derive(Default)]
struct Notes(Mutex<Vec<String>>);

#[async_trait]
impl Journal for Notes {
    fn key(&self) -> &str {
        "job"
    }

    async fn created(&self, remote_id: &str) -> Result<(), Error> {
        self.0.lock().unwrap().push(remote_id.to_owned());
        Ok(())
    }
}

impl Desk {
    async fn start(simulated: &[(&str, &str)]) -> Self {
        Self::start_with(simulated, json!({})).await
    }

    async fn start_with(simulated: &[(&str, &str)], options: Value) -> Self {
        // The tests' own HTTP client wants one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut settings = Settings::default();
        for (name, value) in simulated {
            settings.options.insert((*name).to_owned(), (*value).to_owned());
        }
        let server =
            simulator::start(writer_support::zendesk::simulator::build, settings).await.unwrap();
        let mut all = json!({"email": "agent@x.io", "token": "secret", "base_url": server.url(), "plan": "enterprise"});
        all.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
        let writer = writer_support::zendesk::open(writer::OpenArgs {
            connection: "desk".to_owned(),
            options: all.as_object().unwrap().clone(),
            metrics: Metrics::new("0", "0"),
            clock: Arc::new(Wall),
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

    async fn calls(&self, operation: &str) -> u64 {
        self.get("/_sim/stats").await["by_operation"][operation]["total"].as_u64().unwrap_or(0)
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

    async fn write(&self, batch: &WriteBatch) -> Vec<String> {
        let receipt = self.writer.write(batch).await.unwrap_or_else(|error| panic!("{error:?}"));
        receipt.outcomes.iter().map(shown).collect()
    }

    /// Writes rows that must land; their record ids.
    async fn ids(&self, batch: &WriteBatch) -> Vec<String> {
        let receipt = self.writer.write(batch).await.unwrap();
        let id = |outcome: &Outcome| match outcome {
            Outcome::Delivered { remote_id: Some(id), .. } => id.clone(),
            other => panic!("{other:?}"),
        };
        receipt.outcomes.iter().map(id).collect()
    }
}

fn shown(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Delivered { created: Some(true), .. } => "new".to_owned(),
        Outcome::Delivered { .. } => "there".to_owned(),
        Outcome::Rejected { code, .. } => code.id.to_owned(),
        Outcome::Retry { .. } => "retry".to_owned(),
        Outcome::Unknown { .. } => "unknown".to_owned(),
        Outcome::InPart { .. } => "in part".to_owned(),
        Outcome::AcceptedUnverified { .. } => "accepted".to_owned(),
    }
}

fn text(values: &[&str]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

fn batch(object: &str, match_on: &str, columns: Vec<(&str, ArrayRef)>) -> WriteBatch {
    let absent = vec![None; columns.len()];
    let fields = match columns.is_empty() {
        true => RecordBatch::new_empty(Arc::new(Schema::empty())),
        false => RecordBatch::try_from_iter_with_nullable(
            columns.into_iter().map(|(name, column)| (name, column, true)),
        )
        .unwrap(),
    };
    WriteBatch {
        object: object.into(),
        mode: Mode::Upsert,
        match_on: Arc::new([match_on.to_owned()]),
        payload: Payload { fields, absent },
        record_ids: Vec::new(),
        job: None,
        run_id: "run".into(),
    }
}

fn users(match_on: &str, keys: &[&str], names: &[&str]) -> WriteBatch {
    batch("users", match_on, vec![(match_on, text(keys)), ("name", text(names))])
}

const FIELDS: &str = "users:plan:dropdown:free|pro;users:kinds:multiselect:a|b;users:seats:integer;users:since:date;\
                      users:vip:checkbox;users:rate:decimal;tickets:360:dropdown:x|y;car:color:text";

#[tokio::test]
async fn every_type_of_field_arrives_and_is_read_back_as_it_was_meant() {
    let desk = Desk::start(&[("field", FIELDS)]).await;
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("external_id", text(&["E1", "E2"])),
        ("name", text(&["Ada 👩‍💻", "Bob"])),
        ("email", text(&["Ada@X.io", "bob@x.io"])),
        ("user_fields.plan", text(&["pro", "free"])),
        ("user_fields.kinds", text(&["a;b", ""])),
        ("user_fields.seats", Arc::new(Int64Array::from(vec![Some(12), None]))),
        ("user_fields.since", Arc::new(Date32Array::from(vec![Some(0), None]))),
        ("user_fields.vip", Arc::new(BooleanArray::from(vec![true, false]))),
        ("user_fields.rate", text(&["12.5", "0.1"])),
        ("tags", text(&["x;y", ""])),
    ];
    let batch = batch("users", "external_id", columns);
    let ids = desk.ids(&batch).await;
    let records = desk.records("users").await;
    let ada = &records[0];
    assert_eq!(ada["email"], "ada@x.io");
    assert_eq!(ada["user_fields"]["kinds"], json!(["a", "b"]));
    assert_eq!(ada["user_fields"]["rate"], json!(12.5));
    assert_eq!((&ada["user_fields"]["vip"], &ada["tags"]), (&json!(true), &json!(["x", "y"])));
    assert_eq!(ada["skip_verify_email"], true);
    let wanted =
        ["name", "user_fields.plan", "user_fields.kinds", "user_fields.seats", "user_fields.since"];
    let schema = batch.payload.fields.schema();
    let fields: Vec<Field> =
        wanted.iter().map(|name| schema.field_with_name(name).unwrap().clone()).collect();
    let asked = |records: Records| ReadBack {
        object: "users".into(),
        records,
        fields: Arc::new(Schema::new(fields.clone())),
    };
    let back = desk.writer.reads_back().unwrap();
    let by_id = back
        .read(&asked(Records::Ids(vec![ids[1].clone(), "7".to_owned(), ids[0].clone()])))
        .await
        .unwrap();
    assert_eq!(by_id.record_ids, [vec![ids[1].clone()], vec![], vec![ids[0].clone()]]);
    let cells = |row: usize| -> Vec<String> {
        by_id.fields.columns().iter().map(|column| text_at(column, row).into_owned()).collect()
    };
    assert_eq!(cells(0), ["Bob", "free", "", "", ""]);
    assert_eq!(cells(1), ["", "", "", "", ""]);
    assert_eq!(cells(2), ["Ada 👩‍💻", "pro", "a;b", "12", "1970-01-01"]);
    let keys =
        RecordBatch::try_from_iter([("external_id", text(&["e2", "nobody", "E1"]))]).unwrap();
    let found = back.read(&asked(Records::Matching(keys))).await.unwrap();
    assert_eq!(found.record_ids, [vec![ids[1].clone()], vec![], vec![ids[0].clone()]]);
}

#[tokio::test]
async fn an_account_without_user_jobs_is_written_to_one_by_one() {
    let desk = Desk::start(&[("bulk_users", "false")]).await;
    let batch = users("email", &["a@x.io", "not an address", "c@x.io"], &["A", "B", "C"]);
    assert_eq!(desk.write(&batch).await, ["new", "R201", "new"]);
    assert_eq!(desk.write(&batch).await, ["there", "R201", "there"]);
    assert_eq!(desk.calls("create_or_update_many").await, 1, "it is remembered");
    assert_eq!(desk.calls("create_or_update").await, 6);
    let strict = Desk::start_with(&[("bulk_users", "false")], json!({"user_import": "bulk"})).await;
    let error = strict.writer.write(&batch).await.unwrap_err();
    assert_eq!(error.code().id, "E2010", "{error}");
}

#[tokio::test]
async fn a_changed_address_becomes_the_main_one() {
    let desk = Desk::start(&[]).await;
    let columns = |mail: &str| {
        let key = ("external_id", text(&["E1"]));
        batch("users", "external_id", vec![key, ("name", text(&["Ada"])), ("email", text(&[mail]))])
    };
    let ids = desk.ids(&columns("old@x.io")).await;
    assert_eq!(desk.ids(&columns("new@x.io")).await, ids);
    assert_eq!(desk.records("users").await[0]["email"], "new@x.io");
    // Back again: the address is there already, and becomes the main one once more.
    assert_eq!(desk.ids(&columns("old@x.io")).await, ids);
    assert_eq!(desk.records("users").await[0]["email"], "old@x.io");
    assert_eq!(desk.calls("make_primary").await, 2);
}

#[tokio::test]
async fn organizations_are_looked_up_then_made_and_changed_in_two_jobs() {
    let desk = Desk::start(&[]).await;
    let orgs = |keys: &[&str], names: &[&str]| {
        batch(
            "organizations",
            "external_id",
            vec![("external_id", text(keys)), ("name", text(names))],
        )
    };
    assert_eq!(desk.write(&orgs(&["A", "B"], &["Acme", "Bolt"])).await, ["new", "new"]);
    let notes = Arc::new(Notes::default());
    let mixed = orgs(&["C", "b", "D", "a,1"], &["Core", "Bolt 2", "Acme", "Comma"]);
    let mixed = WriteBatch { job: Some(Arc::<Notes>::clone(&notes)), ..mixed };
    // A taken name is a reject of that row alone; an external id with a comma is no list of two.
    assert_eq!(desk.write(&mixed).await, ["new", "there", "R202", "new"]);
    let written = notes.0.lock().unwrap().clone();
    assert_eq!(written.len(), 2, "{written:?}");
    assert!(written[1].starts_with(&written[0]), "{written:?}");
    let job = OpenJob {
        key: "job".to_owned(),
        remote_id: Some(written[1].clone()),
        object: "organizations".into(),
        mode: Mode::Upsert,
        match_on: Arc::new(["external_id".to_owned()]),
        tokens: ["C", "b", "D", "a,1"].map(str::to_owned).to_vec(),
        intended_at: 0,
    };
    let Resumed::Ended(receipt) = desk.writer.keeps_jobs().unwrap().resume(&job).await.unwrap()
    else {
        panic!("both jobs are known")
    };
    let outcomes: Vec<String> = receipt.outcomes.iter().map(shown).collect();
    assert_eq!(outcomes, ["new", "there", "R202", "new"]);
    let update = WriteBatch { mode: Mode::Update, ..orgs(&["C", "nobody"], &["Core 2", "x"]) };
    assert_eq!(desk.write(&update).await, ["there", "R203"]);
    assert_eq!(desk.records("organizations").await.len(), 4);
}

#[tokio::test]
async fn leavers_are_suspended_deleted_and_deleted_for_good() {
    let desk = Desk::start_with(&[], json!({"permanently_delete": true})).await;
    let ids = desk.ids(&users("external_id", &["E1", "E2"], &["Ada", "Bob"])).await;
    let suspended: ArrayRef = Arc::new(BooleanArray::from(vec![true]));
    let mut leaver = batch("users", "external_id", vec![("suspended", suspended)]);
    (leaver.mode, leaver.record_ids) = (Mode::Update, vec![ids[0].clone()]);
    assert_eq!(desk.write(&leaver).await, ["there"]);
    assert_eq!(desk.records("users").await[0]["suspended"], true);
    let mut gone = batch("users", "external_id", Vec::new());
    (gone.mode, gone.record_ids) = (Mode::Delete, vec![ids[0].clone(), "77".to_owned()]);
    assert_eq!(desk.write(&gone).await, ["there", "there"], "deleting what is gone is done");
    assert_eq!(desk.write(&gone).await, ["there", "there"]);
    let ada = &desk.records("users").await[0];
    assert_eq!((&ada["archived"], &ada["gone"]), (&json!(true), &json!(true)));
    let listed = WriteBatch {
        mode: Mode::Delete,
        ..batch("users", "external_id", vec![("external_id", text(&["e2", "E9"]))])
    };
    assert_eq!(desk.write(&listed).await, ["there", "there"]);
    assert_eq!(desk.records("users").await[1]["archived"], true);
}

#[tokio::test]
async fn tickets_are_changed_by_id_and_by_external_id_and_never_made() {
    let desk = Desk::start(&[("field", FIELDS)]).await;
    let http = reqwest::Client::new();
    for external_id in ["T1", "T2", "twice", "twice"] {
        let body = json!({"ticket": {"external_id": external_id, "subject": "s", "comment": {"body": "b"}}});
        let url = format!("{}/api/v2/tickets", desk.server.url());
        let made = http
            .post(url)
            .bearer_auth("t")
            .header("content-type", "application/json")
            .body(body.to_string());
        assert_eq!(made.send().await.unwrap().status(), 201);
    }
    let columns = vec![
        ("id", Arc::new(Int64Array::from(vec![2, 99])) as ArrayRef),
        ("custom_fields.360", text(&["y", "x"])),
    ];
    let by_id = WriteBatch { mode: Mode::Update, ..batch("tickets", "id", columns) };
    assert_eq!(desk.write(&by_id).await, ["there", "R203"]);
    let columns = vec![
        ("external_id", text(&["T1", "none", "twice"])),
        ("subject", text(&["new", "new", "new"])),
    ];
    let by_key = WriteBatch { mode: Mode::Update, ..batch("tickets", "external_id", columns) };
    assert_eq!(desk.write(&by_key).await, ["there", "R203", "R202"]);
    let tickets = desk.records("tickets").await;
    assert_eq!((&tickets[0]["subject"], tickets.len()), (&json!("new"), 4));
    assert_eq!(tickets[1]["custom_fields"], json!([{"id": 360, "value": "y"}]));
    let upsert = WriteBatch { mode: Mode::Upsert, ..by_key };
    let error = desk.writer.write(&upsert).await.unwrap_err();
    assert!(error.message().contains("twice"), "{error}");
}

#[tokio::test]
async fn custom_objects_are_upserted_by_jobs_of_their_own() {
    let desk = Desk::start(&[("field", FIELDS)]).await;
    let cars = |color: &str| {
        let columns = vec![
            ("external_id", text(&["C1", "C2"])),
            ("name", text(&["One", "Two"])),
            ("custom_object_fields.color", text(&[color, color])),
        ];
        batch("custom_objects/car", "external_id", columns)
    };
    let ids = desk.ids(&cars("red")).await;
    assert_eq!(desk.ids(&cars("blue")).await, ids);
    let records = desk.records("car").await;
    assert_eq!((records.len(), &records[0]["custom_object_fields"]["color"]), (2, &json!("blue")));
    let mut gone = batch("custom_objects/car", "external_id", Vec::new());
    (gone.mode, gone.record_ids) = (Mode::Delete, vec![ids[0].clone()]);
    assert_eq!(desk.write(&gone).await, ["there"]);
    let schema = desk.writer.describe("custom_objects/car").await.unwrap();
    assert!(schema.field("custom_object_fields.color").is_some());
    assert_eq!(desk.writer.describe("custom_objects/none").await.unwrap_err().code().id, "E2011");
}

#[tokio::test]
async fn every_dialect_of_results_is_read_and_lost_ones_are_unknown() {
    for (results, expected) in [
        ("usual", ["new", "R201", "new"]),
        ("indexed", ["new", "R201", "new"]),
        ("plain", ["new", "R201", "new"]),
        ("none", ["unknown", "unknown", "unknown"]),
    ] {
        let desk = Desk::start(&[("results", results)]).await;
        let batch = users("email", &["a@x.io", "not an address", "c@x.io"], &["A", "B", "C"]);
        assert_eq!(desk.write(&batch).await, expected, "{results}");
    }
    // D6: bent results touch no row they are not about.
    let desk = Desk::start(&[]).await;
    let batch = users("email", &["a@x.io", "b@x.io", "c@x.io"], &["A", "B", "C"]);
    for (rule, unknown) in [
        ("do=drop-rows:1", 1),
        ("do=reorder", 0),
        ("do=duplicate-rows:1", 1),
        ("do=empty-result:200", 3),
    ] {
        desk.fault(&format!("op=create_or_update_many;{rule}")).await;
        let outcomes = desk.write(&batch).await;
        assert_eq!(
            outcomes.iter().filter(|outcome| *outcome == "unknown").count(),
            unknown,
            "{rule}: {outcomes:?}"
        );
    }
}

// Users found by an external id that the results do not repeat are looked up before an id is remembered.
#[tokio::test]
async fn an_id_is_remembered_only_for_the_row_it_is_sure_about() {
    let desk = Desk::start(&[("results", "plain")]).await;
    let ids = desk.ids(&users("external_id", &["E1", "E2"], &["A", "B"])).await;
    let records = desk.records("users").await;
    assert_eq!(
        [&records[0]["id"], &records[1]["id"]].map(Value::to_string),
        [ids[0].clone(), ids[1].clone()]
    );
    assert_eq!(desk.calls("show_many").await, 1);
}

#[tokio::test]
async fn a_killed_job_leaves_the_rows_it_did_not_do_unknown() {
    let desk = Desk::start(&[("kill_every", "1"), ("shuffle", "false")]).await;
    let batch = users("email", &["a@x.io", "b@x.io", "c@x.io", "d@x.io"], &["A", "B", "C", "D"]);
    assert_eq!(desk.write(&batch).await, ["new", "new", "unknown", "unknown"]);
}

#[tokio::test]
async fn a_job_that_finds_no_place_waits_alone() {
    let desk = Desk::start(&[("jobs_max", "1"), ("work_ms", "600000")]).await;
    let full = Desk::start(&[("jobs_max", "0")]).await;
    let batch = users("email", &["a@x.io"], &["A"]);
    let error = full.writer.write(&batch).await.unwrap_err();
    assert_eq!((error.code().id, error.is_ambiguous()), ("E2006", false), "{error}");
    assert!(matches!(error.retry(), flow::Retry::After(_)), "{error:?}");
    full.writer.describe("users").await.unwrap();
    drop(desk);
}

#[tokio::test]
async fn a_job_that_never_ends_ends_the_run_and_is_asked_about_by_the_next() {
    let desk = Desk::start_with(&[("work_ms", "600000")], json!({"job_timeout": "300ms"})).await;
    let notes = Arc::new(Notes::default());
    let batch = WriteBatch {
        job: Some(Arc::<Notes>::clone(&notes)),
        ..users("email", &["a@x.io"], &["A"])
    };
    let error = desk.writer.write(&batch).await.unwrap_err();
    assert_eq!((error.code().id, error.is_ambiguous()), ("E2110", true), "{error}");
    let advance = format!("{}/_sim/advance?seconds=700", desk.server.url());
    reqwest::Client::new().post(advance).send().await.unwrap();
    let job = open_job(notes.0.lock().unwrap().first().cloned(), &["a@x.io"], 0);
    let resumed = desk.writer.keeps_jobs().unwrap().resume(&job).await.unwrap();
    assert!(
        matches!(&resumed, Resumed::Ended(receipt) if shown(&receipt.outcomes[0]) == "new"),
        "{resumed:?}"
    );
    // An hour later nobody knows it any more.
    let advance = format!("{}/_sim/advance?seconds=4000", desk.server.url());
    reqwest::Client::new().post(advance).send().await.unwrap();
    let resumed = desk.writer.keeps_jobs().unwrap().resume(&job).await.unwrap();
    assert!(matches!(resumed, Resumed::Lost), "{resumed:?}");
}

// D1: what the run that died would have done after the job is done by the next one.
#[tokio::test]
async fn a_changed_address_of_a_job_found_again_still_becomes_the_main_one() {
    let desk = Desk::start(&[("work_ms", "700")]).await;
    let columns = |mail: &str| {
        let key = ("external_id", text(&["E1"]));
        batch("users", "external_id", vec![key, ("name", text(&["Ada"])), ("email", text(&[mail]))])
    };
    desk.ids(&columns("old@x.io")).await;
    let notes = Arc::new(Notes::default());
    let changed = WriteBatch { job: Some(Arc::<Notes>::clone(&notes)), ..columns("new@x.io") };
    let dies =
        tokio::time::timeout(std::time::Duration::from_millis(300), desk.writer.write(&changed))
            .await;
    assert!(dies.is_err(), "the process dies while the job is at work");
    let id = notes.0.lock().unwrap().first().cloned();
    let job =
        OpenJob { match_on: Arc::new(["external_id".to_owned()]), ..open_job(id, &["E1"], 0) };
    let resumed = desk.writer.keeps_jobs().unwrap().resume(&job).await.unwrap();
    assert!(
        matches!(&resumed, Resumed::Ended(receipt) if shown(&receipt.outcomes[0]) == "unknown"),
        "{resumed:?}"
    );
    assert_eq!(desk.write(&columns("new@x.io")).await, ["there"]);
    assert_eq!(desk.records("users").await[0]["email"], "new@x.io");
}

fn open_job(remote_id: Option<String>, tokens: &[&str], intended_at: i64) -> OpenJob {
    OpenJob {
        key: "job".to_owned(),
        remote_id,
        object: "users".into(),
        mode: Mode::Upsert,
        match_on: Arc::new(["email".to_owned()]),
        tokens: tokens.iter().map(|token| (*token).to_owned()).collect(),
        intended_at,
    }
}

// D7: a process that died between the request and its answer finds the job by what it did, and only by that.
#[tokio::test]
async fn a_job_whose_id_was_lost_is_found_by_its_rows_or_not_at_all() {
    let desk = Desk::start(&[("work_ms", "1500")]).await;
    let resume = async |tokens: &[&str], intended_at: i64| {
        let job = open_job(None, tokens, intended_at);
        desk.writer.keeps_jobs().unwrap().resume(&job).await.unwrap()
    };
    let minutes = |minutes: i64| Wall.now_micros() - minutes * 60_000_000;
    let never = resume(&["a@x.io"], minutes(5)).await;
    assert!(matches!(never, Resumed::NotApplied), "there is no job at all: {never:?}");
    let just_now = resume(&["a@x.io"], minutes(0)).await;
    assert!(matches!(just_now, Resumed::Lost), "it may be under way: {just_now:?}");
    let long_ago = resume(&["a@x.io"], minutes(120)).await;
    assert!(matches!(long_ago, Resumed::Lost), "Zendesk forgets: {long_ago:?}");
    let batch = users("email", &["a@x.io", "b@x.io"], &["A", "B"]);
    let mine =
        tokio::time::timeout(std::time::Duration::from_millis(300), desk.writer.write(&batch))
            .await;
    assert!(mine.is_err(), "the process dies while the job is at work");
    let found = resume(&["A@x.io", "b@x.io"], minutes(1)).await;
    assert!(matches!(&found, Resumed::Ended(receipt) if receipt.outcomes.len() == 2), "{found:?}");
    let others = resume(&["a@x.io", "z@x.io"], minutes(1)).await;
    assert!(matches!(others, Resumed::Lost), "another's job: {others:?}");
    let later = resume(&["a@x.io", "b@x.io"], minutes(-1)).await;
    assert!(matches!(later, Resumed::Lost), "it ended before the intent: {later:?}");
    // Two that fit are one too many.
    assert_eq!(desk.write(&batch).await, ["there", "there"]);
    let two = resume(&["a@x.io", "b@x.io"], minutes(1)).await;
    assert!(matches!(two, Resumed::Lost), "{two:?}");
}

#[tokio::test]
async fn many_jobs_at_once_are_asked_about_together() {
    let desk = Desk::start(&[("work_ms", "400")]).await;
    let writes = (0..10).map(|number| {
        let writer = Arc::clone(&desk.writer);
        tokio::spawn(async move {
            let mail = format!("user{number}@x.io");
            writer
                .write(&users("email", &[&mail], &["A"]))
                .await
                .map(|receipt| shown(&receipt.outcomes[0]))
        })
    });
    for write in writes.collect::<Vec<_>>() {
        assert_eq!(write.await.unwrap().unwrap(), "new");
    }
    let polls = desk.calls("job_statuses").await;
    assert!(polls < 30, "{polls} polls for 10 jobs");
}

#[tokio::test]
async fn basic_authorization_carries_the_agent_and_the_token() {
    let desk = Desk::start(&[("token", "secret")]).await;
    desk.writer.describe("users").await.unwrap();
    let wrong = Desk::start_with(&[("token", "secret")], json!({"token": "other"})).await;
    assert_eq!(wrong.writer.describe("users").await.unwrap_err().code().id, "E2009");
}

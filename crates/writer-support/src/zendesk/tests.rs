//! The whole destination: its options, the exact bodies it sends, and the calls it refuses.

use flow::arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Int64Array, RecordBatch, StringArray,
};
use flow::metrics::Metrics;
use flow::{Code, Field, FieldKind, Payload};
use serde_json::{Value, json};

use super::*;

#[derive(Debug)]
struct Epoch;

impl Clock for Epoch {
    fn now_micros(&self) -> i64 {
        0
    }
}

fn opened(options: Value) -> Result<Arc<dyn Destination>> {
    open(OpenArgs {
        connection: "desk".to_owned(),
        options: options.as_object().expect("an object").clone(),
        metrics: Metrics::new("0", "0"),
        clock: Arc::new(Epoch),
    })
}

fn batch(object: &str, match_on: &str, columns: Vec<(&str, ArrayRef)>) -> WriteBatch {
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

fn text(values: &[Option<&str>]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

fn schema(lists: &[&str]) -> ObjectSchema {
    let field = |name: &&str| Field {
        name: (*name).to_owned(),
        label: String::new(),
        kind: FieldKind::MultiEnum { options: Vec::new() },
        required: false,
        unique: false,
        read_only: false,
        folds_case: false,
    };
    ObjectSchema { object: String::new(), fields: lists.iter().map(field).collect(), open: true }
}

fn rows(batch: &WriteBatch, schema: &ObjectSchema, ids: &[Option<&str>]) -> Vec<Value> {
    let object = Object::parse(&batch.object).expect("an object");
    let items = Items::of(batch, object, schema).without_verification();
    let row = |(row, id): (usize, &Option<&str>)| {
        let mut out = Vec::new();
        items.push(row, *id, &mut out);
        serde_json::from_slice(&out)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&out)))
    };
    ids.iter().enumerate().map(row).collect()
}

#[test]
fn a_row_is_nested_typed_and_keeps_null_and_absent_apart() {
    let seats = Decimal128Array::from(vec![Some(1_250), None])
        .with_precision_and_scale(12, 2)
        .expect("fits");
    let mut batch = batch(
        "users",
        "email",
        vec![
            ("user_fields.seats", Arc::new(seats)),
            ("email", text(&[Some("ada@x.io"), Some("a\"b@x.io")])),
            ("tags", text(&[Some("a; b"), None])),
            ("user_fields.kinds", text(&[Some("x;y"), Some("")])),
            ("suspended", Arc::new(BooleanArray::from(vec![Some(true), None]))),
            ("organization.name", text(&[Some("Acme"), Some("Acme")])),
            ("user_fields.born", Arc::new(Date32Array::from(vec![Some(0), Some(1)]))),
            ("organization_id", Arc::new(Int64Array::from(vec![Some(i64::MAX), Some(7)]))),
        ],
    );
    batch.payload.absent[7] = Some(vec![false, true].into());
    let schema = schema(&["user_fields.kinds"]);
    assert_eq!(
        rows(&batch, &schema, &[None, Some("12")]),
        [
            json!({"skip_verify_email": true, "email": "ada@x.io", "tags": ["a", "b"], "suspended": true,
                "organization_id": i64::MAX, "organization": {"name": "Acme"},
                "user_fields": {"seats": 12.5, "kinds": ["x", "y"], "born": "1970-01-01"}}),
            json!({"id": 12, "email": "a\"b@x.io", "tags": [], "suspended": null, "organization": {"name": "Acme"},
                "user_fields": {"seats": null, "kinds": [], "born": "1970-01-02"}}),
        ]
    );
}

#[test]
fn a_tickets_own_fields_are_numbered_and_custom_records_have_text_ids() {
    let ticket = batch(
        "tickets",
        "id",
        vec![
            ("id", Arc::new(Int64Array::from(vec![35]))),
            ("custom_fields.360", text(&[Some("gold")])),
            ("custom_fields.361", text(&[None])),
            ("comment.body", text(&[Some("hi")])),
        ],
    );
    assert_eq!(
        rows(&ticket, &schema(&[]), &[Some("35")]),
        [json!({"id": 35, "comment": {"body": "hi"},
            "custom_fields": [{"id": 360, "value": "gold"}, {"id": 361, "value": null}]})]
    );
    let car = batch("custom_objects/car", "external_id", vec![("external_id", text(&[Some("7")]))]);
    assert_eq!(
        rows(&car, &schema(&[]), &[Some("01H7")]),
        [json!({"id": "01H7", "external_id": "7"})]
    );
    assert_eq!(rows(&car, &schema(&[]), &[Some("77")]), [json!({"id": "77", "external_id": "7"})]);
}

#[test]
fn options_are_strict_and_the_schema_lists_them() {
    let refused = |options: Value| -> &'static Code {
        opened(options).map(|_| ()).expect_err("refused").code()
    };
    assert_eq!(refused(json!({})).id, "E2013");
    assert_eq!(refused(json!({"token": "t"})).id, "E2013");
    assert_eq!(refused(json!({"token": "t", "subdomain": "a.b"})).id, "E2013");
    assert_eq!(refused(json!({"token": "t", "subdomain": "evil.example.com/"})).id, "E2013");
    assert_eq!(refused(json!({"token": "", "subdomain": "acme"})).id, "E2013");
    assert_eq!(refused(json!({"token": "t", "subdomain": "acme", "email": "a:b"})).id, "E2013");
    assert_eq!(refused(json!({"token": "t", "subdomain": "acme", "plan": "gold"})).id, "E2013");
    assert_eq!(refused(json!({"token": "t", "base_url": "http://acme.zendesk.com"})).id, "E2014");
    opened(json!({"token": "t", "subdomain": "acme", "email": "a@x.io"})).expect("valid");
    opened(json!({"token": "t", "base_url": "http://127.0.0.1:1", "plan": "enterprise",
        "requests_per_minute": 50, "quota_share": "40%", "job_timeout": "5s", "user_import": "single"}))
    .expect("valid");
}

#[test]
fn what_is_not_safe_is_refused_with_the_reason() {
    let refused = |object: &str, mode: Mode, match_on: &str| {
        let batch =
            WriteBatch { mode, ..batch(object, match_on, vec![(match_on, text(&[Some("x")]))]) };
        check(&batch, Object::parse(object).expect("an object"), 100).expect_err("refused")
    };
    let twice = refused("tickets", Mode::Upsert, "external_id");
    assert!(twice.message().contains("twice"), "{twice}");
    for (object, mode, match_on) in [
        ("users", Mode::Create, "email"),
        ("users", Mode::Append, "email"),
        ("users", Mode::Upsert, "phone"),
        ("users", Mode::Update, "email"),
        ("organizations", Mode::Upsert, "name"),
        ("custom_objects/car", Mode::Delete, "name"),
    ] {
        let error = refused(object, mode, match_on);
        assert_eq!(error.code().id, "E2017", "{object} {mode:?} {match_on}");
    }
    for object in ["", "user", "custom_objects/", "custom_objects/a/b", "custom_objects/a?b"] {
        assert_eq!(Object::parse(object).expect_err("unknown").code().id, "E2011", "{object}");
    }
}

#[test]
fn limits_follow_from_the_object_and_the_options() {
    let desk =
        opened(json!({"token": "t", "subdomain": "acme", "quota_share": "50%"})).expect("valid");
    let users = desk.limits("users").expect("there");
    let jobs = users.jobs.expect("jobs");
    assert_eq!((jobs.rows_min, jobs.rows_max, users.in_flight_max), (1, 100, 10));
    assert!(!desk.limits("tickets").expect("there").modes.contains(&Mode::Upsert));
    let single =
        opened(json!({"token": "t", "subdomain": "acme", "user_import": "single"})).expect("valid");
    let users = single.limits("users").expect("there");
    assert_eq!((users.jobs, users.rows_max), (None, 1));
    assert!(single.limits("organizations").expect("there").jobs.is_some());
}

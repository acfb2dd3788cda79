//! Intercom's own description of its API (MIT, see `spec/NOTICE.md`) as a referee over the double's answers and the
//! writer's requests.

use std::sync::{Arc, Mutex};

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use flow::arrow::array::{
    ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use flow::metrics::Metrics;
use flow::{Clock, Destination, Mode, Payload, WriteBatch};
use serde_json::{Value, json};
use simulator::Settings;

const SPEC: &str = include_str!("spec/intercom-2.14.json");

#[derive(Debug)]
struct Epoch;

impl Clock for Epoch {
    fn now_micros(&self) -> i64 {
        0
    }
}

/// What went by: method, path, request, status, answer.
type Log = Arc<Mutex<Vec<(String, String, Value, u16, Value)>>>;

async fn watch(State(log): State<Log>, request: Request, next: Next) -> Response {
    let (head, body) = request.into_parts();
    let asked = to_bytes(body, usize::MAX).await.unwrap();
    let (method, path) = (head.method.to_string(), head.uri.path().to_owned());
    let answer = next.run(Request::from_parts(head, Body::from(asked.clone()))).await;
    let (head, body) = answer.into_parts();
    let said = to_bytes(body, usize::MAX).await.unwrap();
    let json = |bytes: &[u8]| serde_json::from_slice(bytes).unwrap_or(Value::Null);
    log.lock().unwrap().push((method, path, json(&asked), head.status.as_u16(), json(&said)));
    Response::from_parts(head, Body::from(said))
}

/// `nullable` of OpenAPI 3.0 in the words of JSON Schema, and every reference into `components`.
fn translated(node: &Value) -> Value {
    match node {
        Value::Object(members) => {
            let mut out: serde_json::Map<String, Value> = members
                .iter()
                .filter(|(name, _)| *name != "example")
                .map(|(name, value)| (name.clone(), translated(value)))
                .collect();
            // Its `date-time` is a number of seconds, and numbers have no format.
            out.remove("format");
            if members.get("nullable") == Some(&json!(true))
                && let Some(Value::String(kind)) = out.get("type").cloned()
            {
                out.insert("type".to_owned(), json!([kind, "null"]));
            }
            Value::Object(out)
        }
        Value::Array(items) => items.iter().map(translated).collect(),
        other => other.clone(),
    }
}

struct Referee {
    spec: Value,
}

impl Referee {
    fn new() -> Self {
        let mut spec = translated(&serde_json::from_str(SPEC).unwrap());
        // The description has text alone in a company's own attributes, and shows numbers and truth values in its examples.
        for schema in ["company", "create_or_update_company_request", "update_company_request"] {
            let own = spec
                .pointer_mut(&format!("/components/schemas/{schema}/properties/custom_attributes"));
            if let Some(Value::Object(own)) = own {
                own.remove("additionalProperties");
            }
        }
        Self { spec }
    }

    /// The path of the description that a request's path is one of.
    fn path(&self, path: &str) -> Option<String> {
        let parts: Vec<&str> = path.split('/').collect();
        let fits = |known: &str| {
            let known: Vec<&str> = known.split('/').collect();
            let alike = |(known, part): (&&str, &&str)| known.starts_with('{') || known == part;
            known.len() == parts.len() && known.iter().zip(&parts).all(alike)
        };
        let all = self.spec["paths"].as_object().unwrap();
        let exact = all.keys().find(|known| *known == path);
        exact.or_else(|| all.keys().find(|known| fits(known))).cloned()
    }

    fn check(&self, schema: &Value, value: &Value, what: &str) {
        let whole = json!({ "components": self.spec["components"], "allOf": [schema] });
        let validator =
            jsonschema::validator_for(&whole).unwrap_or_else(|error| panic!("{what}: {error}"));
        let wrong: Vec<String> = validator
            .iter_errors(value)
            .map(|error| format!("{}: {error}", error.instance_path))
            .collect();
        assert!(wrong.is_empty(), "{what}: {wrong:?}\n{value}");
    }
}

fn text(value: &str) -> ArrayRef {
    Arc::new(StringArray::from(vec![value]))
}

async fn write(
    writer: &Arc<dyn Destination>,
    object: &str,
    mode: Mode,
    columns: Vec<(&str, ArrayRef)>,
    ids: Vec<String>,
) -> Option<String> {
    let match_on = columns.first().map_or_else(String::new, |(name, _)| (*name).to_owned());
    let absent = vec![None; columns.len()];
    let fields = match columns.is_empty() {
        true => RecordBatch::new_empty(Arc::new(flow::arrow::datatypes::Schema::empty())),
        false => RecordBatch::try_from_iter(columns).unwrap(),
    };
    let batch = WriteBatch {
        object: object.into(),
        mode,
        match_on: Arc::new([match_on]),
        payload: Payload { fields, absent },
        record_ids: ids,
        job: None,
        run_id: "run".into(),
    };
    let receipt = writer.write(&batch).await.unwrap();
    match &receipt.outcomes[0] {
        flow::Outcome::Delivered { remote_id, .. } => remote_id.clone(),
        flow::Outcome::Rejected { .. } => None,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn requests_and_answers_are_as_intercom_describes_them() {
    let log = Log::default();
    let mut settings = Settings::default();
    let attributes =
        "contact:plan:string;contact:seats:integer;contact:vip:boolean;company:score:float";
    settings.options.insert("attribute".to_owned(), attributes.to_owned());
    let router = writer_support::intercom::simulator::build(&settings).unwrap();
    let router = router.layer(from_fn_with_state(Arc::clone(&log), watch));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let options = json!({"token": "tok", "base_url": url});
    let writer = writer_support::intercom::open(writer::OpenArgs {
        connection: "desk".to_owned(),
        options: options.as_object().unwrap().clone(),
        metrics: Metrics::new("0", "0"),
        clock: Arc::new(Epoch),
    })
    .unwrap();
    writer.account().await.unwrap();
    for object in writer.objects() {
        writer.describe(&object).await.unwrap();
    }
    let company = vec![("company_id", text("C1")), ("name", text("Acme")), ("plan", text("pro"))];
    let company = write(&writer, "companies", Mode::Upsert, company, Vec::new()).await.unwrap();
    let tag = write(&writer, "tags", Mode::Upsert, vec![("name", text("vip"))], Vec::new())
        .await
        .unwrap();
    let contact = || -> Vec<(&str, ArrayRef)> {
        let seen =
            TimestampMicrosecondArray::from(vec![1_767_607_202_869_800]).with_timezone("UTC");
        vec![
            ("external_id", text("E1")),
            ("email", text("ada@x.io")),
            ("name", text("Ada")),
            ("last_seen_at", Arc::new(seen)),
            ("unsubscribed_from_emails", Arc::new(BooleanArray::from(vec![true]))),
            ("custom_attributes.seats", Arc::new(Int64Array::from(vec![3]))),
            ("associations.companies", text(&company)),
            ("associations.tags", text(&tag)),
        ]
    };
    let id = write(&writer, "contacts", Mode::Upsert, contact(), Vec::new()).await.unwrap();
    assert_eq!(
        write(&writer, "contacts", Mode::Upsert, contact(), Vec::new()).await,
        Some(id.clone())
    );
    let update = vec![("email", text("ada@x.io")), ("name", text("A"))];
    write(&writer, "contacts", Mode::Upsert, update, Vec::new()).await.unwrap();
    let bad = vec![("email", text("no address")), ("name", text("A"))];
    assert_eq!(write(&writer, "contacts", Mode::Upsert, bad, Vec::new()).await, None);
    let update = vec![("company_id", text("C1")), ("name", text("B"))];
    write(&writer, "companies", Mode::Update, update, Vec::new()).await.unwrap();
    write(&writer, "contacts", Mode::Delete, Vec::new(), vec![id]).await;
    write(&writer, "companies", Mode::Delete, Vec::new(), vec![company]).await;
    write(&writer, "tags", Mode::Delete, Vec::new(), vec![tag]).await;
    let referee = Referee::new();
    let mut seen = std::collections::BTreeSet::new();
    for (method, path, asked, status, said) in log.lock().unwrap().iter() {
        let what = format!("{method} {path} {status}");
        let Some(known) = referee.path(path) else {
            // The description in this tree is a part of Intercom's; deleting a tag is not in it.
            assert_eq!(method, "DELETE", "{what}");
            continue;
        };
        let call = &referee.spec["paths"][&known][method.to_lowercase()];
        assert!(call.is_object(), "{what} is not described");
        seen.insert(format!("{method} {known}"));
        if let Some(schema) = call.pointer("/requestBody/content/application~1json/schema") {
            referee.check(schema, asked, &format!("{what}: request"));
        }
        let told = call.pointer(&format!("/responses/{status}/content/application~1json/schema"));
        let error = json!({"$ref": "#/components/schemas/error"});
        let schema = told.or((*status >= 400).then_some(&error));
        referee.check(
            schema.unwrap_or_else(|| panic!("{what} is not described")),
            said,
            &format!("{what}: answer"),
        );
    }
    for call in [
        "POST /contacts",
        "PUT /contacts/{contact_id}",
        "POST /companies",
        "POST /tags",
        "GET /data_attributes",
        "GET /contacts/find_by_external_id/{external_id}",
        "POST /contacts/{contact_id}/archive",
        "POST /contacts/{contact_id}/companies",
        "PUT /companies/{company_id}",
        "DELETE /companies/{company_id}",
        "GET /me",
    ] {
        assert!(seen.contains(call), "{call} was not tried: {seen:?}");
    }
}

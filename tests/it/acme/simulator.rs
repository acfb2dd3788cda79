//! Acme's double: strict, and written from Acme's documentation alone, not from the writer beside it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::extract::{Extension, State};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Map, Value, json};
use simulator::{Call, Double, Level, Manners, Operation, RecordQuery, Records, Refusal, Settings};

type Person = Map<String, Value>;

/// Everybody Acme knows, by e-mail address.
#[derive(Default)]
struct Account(Mutex<BTreeMap<String, Person>>);

/// Builds the double; the `simulate` of the table row.
pub(crate) fn build(settings: &Settings) -> Result<Router, String> {
    settings.refuse_unknown(&[])?;
    let account = Arc::new(Account::default());
    let routes = Router::new()
        .route("/me", get(|| std::future::ready(Json(json!({ "account": "acme" })))))
        .route("/people", post(upsert))
        .with_state(Arc::clone(&account));
    let double = Double {
        routes,
        admin: Router::new(),
        quotas: Vec::new(),
        manners: Arc::new(House),
        records: account,
    };
    simulator::assemble(double, settings)
}

async fn upsert(
    State(account): State<Arc<Account>>,
    Extension(call): Extension<Call>,
    Json(people): Json<Vec<Person>>,
) -> Response {
    call.set_rows(people.len());
    if people.is_empty() || people.len() > 50 {
        return (StatusCode::BAD_REQUEST, "1 to 50 people a call").into_response();
    }
    let mut answers: Vec<Value> =
        people.into_iter().map(|person| account.put(&call, person)).collect();
    let shape = call.shape();
    if let Some(status) = shape.empty {
        let status = StatusCode::from_u16(status).unwrap_or_default();
        return (status, Json(json!([]))).into_response();
    }
    if shape.reorder {
        answers.reverse();
    }
    answers.truncate(answers.len().saturating_sub(shape.drop_rows));
    answers.extend_from_within(..shape.duplicate_rows.min(answers.len()));
    Json(answers).into_response()
}

impl Account {
    fn put(&self, call: &Call, person: Person) -> Value {
        let value = |name: &str| person.get(name).and_then(Value::as_str);
        let email = value("email").unwrap_or_default().to_lowercase();
        if call.row_fault(value).is_some() {
            return json!({ "email": email, "error": "refused by the script" });
        }
        if !email.contains('@') {
            return json!({ "email": email, "error": "not an e-mail address" });
        }
        if !matches!(value("plan"), None | Some("" | "free" | "pro")) {
            return json!({ "email": email, "error": "no such plan" });
        }
        let mut people = self.0.lock().expect("no handler panics");
        let id = people.len() + 1;
        let known = people.entry(email.clone()).or_insert_with(|| {
            Map::from_iter([
                ("id".to_owned(), id.to_string().into()),
                ("email".to_owned(), email.clone().into()),
            ])
        });
        known.extend(person.into_iter().filter(|(name, _)| name != "email"));
        json!({ "email": email, "id": known["id"] })
    }
}

impl Records for Account {
    fn page(&self, object: &str, query: &RecordQuery) -> Option<(Vec<String>, u64)> {
        if object != "people" {
            return None;
        }
        let people = self.0.lock().expect("no handler panics");
        let from = usize::try_from(query.from).unwrap_or(usize::MAX);
        let page: Vec<String> = people
            .values()
            .skip(from)
            .take(1000)
            .map(|person| Value::from(person.clone()).to_string())
            .collect();
        let next = query.from + page.len() as u64;
        Some((page, next))
    }

    fn stats(&self) -> Value {
        json!({ "people": self.0.lock().expect("no handler panics").len() })
    }

    fn reset(&self) {
        self.0.lock().expect("no handler panics").clear();
    }
}

/// How Acme says no.
struct House;

impl Manners for House {
    fn operation(&self, method: &Method, path: &str) -> Operation {
        match (method.as_str(), path) {
            ("POST", "/people") => Operation { name: "upsert", write: true },
            ("GET", "/me") => Operation { name: "me", write: false },
            _ => Operation { name: "unknown", write: false },
        }
    }

    fn admit(&self, request: &Parts, _: Operation) -> Result<(), Response> {
        match request.headers.contains_key(AUTHORIZATION) {
            true => Ok(()),
            false => Err(self.refuse(&Refusal { status: 401, ..Refusal::default() })),
        }
    }

    fn refuse(&self, refusal: &Refusal) -> Response {
        let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::BAD_REQUEST);
        (status, Json(json!({ "error": refusal.message }))).into_response()
    }

    fn stamp(&self, _: Operation, _: &[Level], _: &mut HeaderMap) {}
}

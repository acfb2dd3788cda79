#![doc = include_str!("README.md")]

mod csv;
mod describe;
mod id;
mod ingest;
mod job;
mod manners;
mod options;
mod org;
mod query;
mod reply;
mod save;
mod schema;
mod single;
mod sobjects;
mod soql;
mod standard;
mod store;
mod token;
mod value;

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::routing::{get, post};
use serde_json::{Value, json};
use simulator::{Double, Router, Settings};

pub use options::OPTIONS;

use manners::Manner;
use options::Options;
use org::Org;
use reply::Problem;

/// Largest upload: 150 MB, as Salesforce takes it.
const BODY_MAX: &str = "157286400";

/// Builds the Salesforce double; `simulator::start` takes it.
///
/// # Errors
/// A sentence about an option that is unknown or cannot be read.
pub fn build(settings: &Settings) -> Result<Router, String> {
    let mut settings = settings.clone();
    settings.options.entry("body_max".to_owned()).or_insert_with(|| BODY_MAX.to_owned());
    let org = Arc::new(Org::new(Options::read(&settings)?)?);
    let routes = Router::new()
        .nest("/services/data/{version}", api())
        .route("/services/data/{version}/", get(resources))
        .route("/services/data", get(versions))
        .route("/services/data/", get(versions))
        .route("/services/oauth2/token", post(token::grant))
        .route("/services/oauth2/userinfo", get(identity))
        .route("/id/{org}/{user}", get(identity))
        .fallback(|| std::future::ready(Problem::not_found()))
        .method_not_allowed_fallback(|| std::future::ready(Problem::method()))
        .with_state(Arc::clone(&org));
    let admin = Router::new()
        .route("/jobs", get(ingest::admin_list).post(ingest::admin_set))
        .route("/fields", post(schema::add))
        .with_state(Arc::clone(&org));
    let double = Double {
        routes,
        admin,
        quotas: org.options.quotas(),
        manners: Arc::new(Manner(Arc::clone(&org))),
        records: org,
    };
    simulator::assemble(double, &settings)
}

fn api() -> Router<Arc<Org>> {
    let collections = post(sobjects::create).patch(sobjects::update).delete(sobjects::delete);
    let by_value = get(single::get_by_value).patch(single::upsert).delete(single::delete_by_value);
    let jobs = get(ingest::list).post(ingest::create);
    let job = get(ingest::get).patch(ingest::patch).delete(ingest::delete);
    let ingest = Router::new()
        .route("/", jobs.clone())
        .route("/{id}", job.clone())
        .route("/{id}/", job)
        .route("/{id}/batches", axum::routing::put(ingest::upload))
        .route("/{id}/batches/", axum::routing::put(ingest::upload))
        .route("/{id}/{results}", get(ingest::results))
        .route("/{id}/{results}/", get(ingest::results));
    Router::new()
        .route("/", get(resources))
        .route("/limits", get(limits))
        .route("/limits/", get(limits))
        .route("/query", get(query::query))
        .route("/query/", get(query::query))
        .route("/query/{locator}", get(query::more))
        .route("/sobjects", get(describe::global))
        .route("/sobjects/{object}", post(single::create).get(describe::basic))
        .route("/sobjects/{object}/", post(single::create).get(describe::basic))
        .route("/sobjects/{object}/describe", get(describe::describe))
        .route(
            "/sobjects/{object}/{id}",
            get(single::get).patch(single::update).delete(single::delete),
        )
        .route("/sobjects/{object}/{field}/{value}", by_value)
        .route("/composite/sobjects", collections)
        .route("/composite/sobjects/{object}", post(sobjects::read).get(sobjects::read_few))
        .route("/composite/sobjects/{object}/{field}", axum::routing::patch(sobjects::upsert))
        .nest("/jobs/ingest", ingest)
        .route("/jobs/ingest/", jobs)
}

async fn versions() -> Json<Value> {
    Json(json!([{ "label": "Winter '25", "url": "/services/data/v62.0", "version": "62.0" }]))
}

/// The resources of a version; `identity` tells who is asking.
async fn resources(State(org): State<Arc<Org>>) -> Json<Value> {
    let base = "/services/data/v62.0";
    Json(json!({
        "identity": org.identity_url(),
        "sobjects": format!("{base}/sobjects"),
        "query": format!("{base}/query"),
        "composite": format!("{base}/composite"),
        "limits": format!("{base}/limits"),
        "jobs": format!("{base}/jobs"),
    }))
}

async fn identity(State(org): State<Arc<Org>>) -> Json<Value> {
    Json(json!({
        "id": org.identity_url(), "user_id": org::USER, "organization_id": org.options.org_id,
        "username": "integration@example.com", "sub": org.identity_url(),
    }))
}

async fn limits(State(org): State<Arc<Org>>) -> Json<Value> {
    let max = org.options.limit_daily;
    Json(json!({
        "DailyApiRequests": { "Max": max, "Remaining": max },
        "DailyBulkApiBatches": { "Max": 15_000, "Remaining": 15_000 },
    }))
}

#![doc = include_str!("README.md")]

mod body;
mod events;
mod manners;
mod options;
mod profiles;
mod project;

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Map, Value, json};
use simulator::{Double, Settings};

use self::manners::House;
pub use self::options::OPTIONS;
use self::options::Options;
use self::project::Project;

/// Builds the Mixpanel double; `simulator::start` takes it.
///
/// # Errors
/// A sentence about an option that is unknown or cannot be read.
pub fn build(settings: &Settings) -> Result<Router, String> {
    let options = Options::read(settings)?;
    let project = Arc::new(Project::new(options));
    let routes = Router::new()
        .route("/engage", post(profiles::engage).get(profiles::engage))
        .route("/groups", post(profiles::groups).get(profiles::groups))
        .route("/import", post(events::import))
        .route("/api/app/projects/{project}/schemas", get(schemas))
        .fallback(|| std::future::ready(not_found()))
        .with_state(Arc::clone(&project));
    let double = Double {
        routes,
        admin: Router::new(),
        quotas: Vec::new(),
        manners: Arc::new(House(Arc::clone(&project))),
        records: project,
    };
    simulator::assemble(double, settings)
}

fn not_found() -> Response {
    (StatusCode::NOT_FOUND, Json(json!({ "status": "error", "error": "not found" })))
        .into_response()
}

/// The data dictionary of profiles.
async fn schemas(State(project): State<Arc<Project>>, Path(_): Path<String>) -> Json<Value> {
    let properties: Map<String, Value> = project.options.properties.clone().into_iter().collect();
    Json(json!({
        "status": "ok",
        "results": [{
            "entityType": "profile",
            "name": "$user",
            "schemaJson": { "$schema": "https://json-schema.org/draft/2020-12/schema", "properties": properties },
        }],
    }))
}

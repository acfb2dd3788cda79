#![doc = include_str!("README.md")]

mod association;
mod batch;
mod body;
mod custom;
mod input;
mod link;
mod manners;
mod object;
mod options;
mod portal;
mod property;
mod record;
mod reply;
mod schema;
mod search;
mod single;
mod standard;
mod store;
mod time;
mod value;
mod view;
mod write;

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::routing::{delete, get, post, put};
use serde_json::json;
use simulator::{Double, Router, Settings};

pub use options::OPTIONS;

use manners::HubSpot;
use options::Options;
use portal::Portal;
use reply::Problem;

/// The versions whose paths carry a date.
const DATED: [&str; 3] = ["2025-09", "2026-03", "2026-09"];

/// Builds the HubSpot double; `simulator::start` takes it.
///
/// # Errors
/// A sentence about an option that is unknown or cannot be read.
pub fn build(settings: &Settings) -> Result<Router, String> {
    let portal = Arc::new(Portal::new(Options::read(settings)?)?);
    let method_not_allowed = || {
        std::future::ready(Problem::new(405, "METHOD_NOT_ALLOWED", "HTTP 405 Method Not Allowed"))
    };
    let routes = dated(Router::new(), "/crm/v3/objects", "/crm/objects", objects);
    let routes = dated(routes, "/crm/v3/properties", "/crm/properties", properties);
    let routes = dated(routes, "/crm/v4/associations", "/crm/associations", associations)
        .nest("/crm/v4/objects", record_associations())
        .route("/crm-object-schemas/v3/schemas", get(custom::list))
        .route("/crm-object-schemas/v3/schemas/{object}", get(custom::get))
        .route("/account-info/v3/details", get(account))
        .fallback(|| std::future::ready(Problem::not_found()))
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(Arc::clone(&portal));
    let admin =
        Router::new().route("/properties", post(property::add)).with_state(Arc::clone(&portal));
    let double = Double {
        routes,
        admin,
        quotas: portal.options.quotas(),
        manners: Arc::new(HubSpot(Arc::clone(&portal))),
        records: portal,
    };
    simulator::assemble(double, settings)
}

type Routes = Router<Arc<Portal>>;

/// The same routes under the plain version and under every dated one.
fn dated(routes: Routes, plain: &str, stem: &str, part: fn() -> Routes) -> Routes {
    DATED.iter().fold(routes.nest(plain, part()), |routes, date| {
        routes.nest(&format!("{stem}/{date}"), part())
    })
}

fn objects() -> Routes {
    Router::new()
        .route("/{object}", get(single::list).post(single::create))
        .route("/{object}/search", post(search::search))
        .route("/{object}/batch/upsert", post(batch::upsert))
        .route("/{object}/batch/create", post(batch::create))
        .route("/{object}/batch/update", post(batch::update))
        .route("/{object}/batch/read", post(batch::read))
        .route("/{object}/batch/archive", post(batch::archive))
        .route("/{object}/{id}", get(single::get).patch(single::update).delete(single::archive))
}

fn properties() -> Routes {
    Router::new()
        .route("/{object}", get(property::list).post(property::create))
        .route("/{object}/{name}", get(property::get))
}

fn associations() -> Routes {
    Router::new()
        .route("/{from}/{to}/batch/create", post(association::create))
        .route("/{from}/{to}/batch/associate/default", post(association::create_default))
        .route("/{from}/{to}/batch/read", post(association::read))
        .route("/{from}/{to}/batch/archive", post(association::archive))
        .route("/{from}/{to}/batch/labels/archive", post(association::archive_labels))
        .route("/{from}/{to}/labels", get(association::labels).post(association::create_label))
}

fn record_associations() -> Routes {
    let one = put(association::put).merge(delete(association::delete));
    Router::new()
        .route("/{from}/{id}/associations/{to}", get(association::list))
        .route("/{from}/{id}/associations/{to}/{to_id}", one)
        .route("/{from}/{id}/associations/default/{to}/{to_id}", put(association::put_default))
}

async fn account(State(portal): State<Arc<Portal>>) -> Json<serde_json::Value> {
    Json(json!({
        "portalId": portal.options.portal_id,
        "accountType": "STANDARD",
        "timeZone": "UTC",
        "utcOffset": "+00:00",
        "utcOffsetMilliseconds": 0,
        "companyCurrency": "EUR",
        "uiDomain": "app.hubspot.com",
        "dataHostingLocation": "eu1",
    }))
}

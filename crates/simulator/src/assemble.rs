//! Puts a vendor's routes, the shared middleware and the admin routes together.

use std::sync::{Arc, Mutex};

use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::{Json, Router};
use serde_json::json;

use crate::front::{Desk, front};
use crate::journal::Journal;
use crate::manners::Double;
use crate::script::Script;
use crate::settings::Common;
use crate::window::Windows;
use crate::{Clock, LimitSwitch, Settings, admin};

/// A router that plays the vendor: this is what a vendor's `build` returns.
///
/// # Errors
/// A sentence about an option that cannot be read.
pub fn assemble(double: Double, settings: &Settings) -> Result<Router, String> {
    let common = Common::read(settings)?;
    let quotas = match settings.limits {
        LimitSwitch::Vendor => double.quotas,
        LimitSwitch::Off => Vec::new(),
    };
    let desk = Arc::new(Desk {
        clock: Clock::start(common.clock_ticks),
        common,
        journal: Journal::new(common.journal_max),
        script: Script::new(settings.faults.clone()),
        windows: Mutex::new(Windows::new(quotas)),
        manners: double.manners,
        records: double.records,
    });
    let admin = admin::routes(Arc::clone(&desk)).merge(double.admin).fallback(|| {
        let known = "health, journal, stats, records/{object}, faults, reset, advance";
        let error = Json(json!({ "error": format!("no such route; known: {known}") }));
        std::future::ready((StatusCode::NOT_FOUND, error))
    });
    Ok(double
        .routes
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn_with_state(desk, front))
        .nest("/_sim", admin))
}

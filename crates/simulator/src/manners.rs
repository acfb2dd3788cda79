//! What a vendor brings to a simulator: its routes, its quotas, and how it says no.

use std::sync::Arc;

use axum::Router;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method};
use axum::response::Response;
use serde_json::Value;

use crate::{Level, Quota};

/// What a request asks for, in the vendor's terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operation {
    /// Name in statistics, quotas and fault rules.
    pub name: &'static str,
    /// Whether it changes records.
    pub write: bool,
}

/// A refusal that does not come from a handler.
#[derive(Debug, Clone, Default)]
pub struct Refusal {
    /// HTTP status.
    pub status: u16,
    /// Rate-limit policy, for 429.
    pub policy: Option<String>,
    /// Milliseconds until the limit allows a call again, for 429.
    pub wait_ms: Option<u64>,
    /// Error category, where the script names one.
    pub category: Option<String>,
    /// Message, where the script names one.
    pub message: Option<String>,
}

/// How a vendor answers before, or instead of, doing the work.
pub trait Manners: Send + Sync + 'static {
    /// What a request asks for; also for paths that do not exist.
    fn operation(&self, method: &Method, path: &str) -> Operation;

    /// Checks the credentials; an `Err` is sent as it is and uses up no quota.
    #[expect(clippy::result_large_err, reason = "the error is the answer itself")]
    fn admit(&self, request: &Parts, operation: Operation) -> Result<(), Response>;

    /// A refusal in the vendor's shape.
    fn refuse(&self, refusal: &Refusal) -> Response;

    /// Adds the headers that tell how much quota is left.
    fn stamp(&self, operation: Operation, levels: &[Level], headers: &mut HeaderMap);
}

/// The records a vendor holds, for the oracle of a test.
pub trait Records: Send + Sync + 'static {
    /// Lines of JSON, one record each, from the given position on, and the next position.
    /// `None` when there is no such object; an empty list at the end.
    fn page(&self, object: &str, query: &RecordQuery) -> Option<(Vec<String>, u64)>;

    /// The vendor's part of the statistics.
    fn stats(&self) -> Value;

    /// Forgets all records; what the options set up comes back.
    fn reset(&self);
}

/// Which records to list.
#[derive(Debug, Clone, Default)]
pub struct RecordQuery {
    /// Position to go on from; 0 at first.
    pub from: u64,
    /// Whether archived records are listed too.
    pub archived: bool,
}

/// Everything that makes a vendor's double.
pub struct Double {
    /// The vendor's own API.
    pub routes: Router,
    /// The vendor's own routes below `/_sim`, such as one that adds a field.
    pub admin: Router,
    /// Rate limits of the account; empty when they are switched off.
    pub quotas: Vec<Quota>,
    /// How it says no.
    pub manners: Arc<dyn Manners>,
    /// What it holds.
    pub records: Arc<dyn Records>,
}

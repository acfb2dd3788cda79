//! The one object a program reads after a command: the last line of stdout in the JSON formats, and the content
//! of `--summary-file`. Its shape is public; `outflow schema summary` prints it.

use std::collections::BTreeMap;

use flow::{Finding, RunCounts, RunRecord, Watermark};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::exit;
use crate::failure::Failure;
use crate::rulings::GuardSummary;
use crate::text;

/// Version of the shape; grows when a field changes its meaning or goes away, not when one is added.
pub const VERSION: u32 = 1;

/// What a command did.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(title = "outflow summary")]
pub struct Summary {
    /// Version of this shape: 1.
    pub outflow: u32,
    /// The command, for example `run`.
    pub command: String,
    /// `ok`, `changes`, `unchanged`, `partial`, `failed`, `guarded`, `parked` or `interrupted`.
    pub status: String,
    /// What the process exits with.
    pub exit_code: u8,
    /// When the command began, RFC 3339 in UTC.
    pub started_at: String,
    /// When the command ended, RFC 3339 in UTC.
    pub ended_at: String,
    /// One entry per selected sync, in the order they ran.
    pub syncs: Vec<SyncSummary>,
    /// With `--output json`: what the command lists.
    pub items: Vec<Value>,
    /// Why the command as a whole stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorSummary>,
}

/// What became of one sync.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
pub struct SyncSummary {
    /// Sync name.
    pub sync: String,
    /// `ok`, `unchanged`, `changes`, `partial`, `failed`, `guarded`, `parked`, `interrupted` or `skipped`;
    /// with `reconcile`, `matching` or `drifted`.
    pub status: String,
    /// What the process would exit with if this were the only sync.
    pub exit_code: u8,
    /// The run, as `outflow runs show` takes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// Wall time in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    /// Of a parked sync: when it can go on, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wake_at: Option<String>,
    /// Row accounting: `read = unchanged + delivered + rejected + parked`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counts: Option<Counts>,
    /// The watermark before, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub watermark_from: Option<String>,
    /// The watermark after, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub watermark_to: Option<String>,
    /// Rejects of this sync waiting for a retry or a decision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open_rejects: Option<u64>,
    /// Rows that a call without a clear answer may still change; a later run sends them once more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unconfirmed: Option<u64>,
    /// Rows this call refused, by code and field.
    pub rejects: Vec<RejectGroup>,
    /// With `plan`: a few of the rows that would be sent: `op`, `key` and `fields`. With `reconcile`: a few of the rows that
    /// drifted: `drift`, `key`, `record_ids`, `before` and `fields`.
    pub samples: Vec<Value>,
    /// With `plan --out` and `reconcile --fix`: where the plan is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanSummary>,
    /// With guards: what each of them said before the first request.
    pub guards: Vec<GuardSummary>,
    /// With `plan`: rows to update by field that changes, as far as it is known. With `reconcile`: edited rows by field.
    pub fields: BTreeMap<String, u64>,
    /// With `plan`: rows to update of which nobody knows what changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fields_unknown: Option<u64>,
    /// With `plan`: rows to send by why: `first`, `data`, `mapping` or `unconfirmed`.
    pub reasons: BTreeMap<String, u64>,
    /// With `reconcile`: rows by what became of their records.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drift: Option<DriftSummary>,
    /// Advice.
    pub findings: Vec<ErrorSummary>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorSummary>,
}

/// A plan in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct PlanSummary {
    /// The file.
    pub file: String,
    /// Its SHA-256, in hexadecimal.
    pub sha256: String,
}

/// Rows of the model by what became of their records: `read` is the sum of all others but `orphan` and `requests`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct DriftSummary {
    /// Rows of the model.
    pub read: u64,
    /// Rows whose record is as it was acknowledged.
    pub matching: u64,
    /// Rows whose record differs only in fields that may be edited.
    pub kept: u64,
    /// Rows whose record is gone.
    pub missing: u64,
    /// Rows whose record has fields that somebody edited.
    pub edited: u64,
    /// Rows with several records where one was written.
    pub duplicate: u64,
    /// Records whose row left the model.
    pub orphan: u64,
    /// Rows that the next run sends, or that are rejects.
    pub behind: u64,
    /// Rows the mapping refuses.
    pub invalid: u64,
    /// Read calls made.
    pub requests: u64,
}

/// Rows and requests. All are counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Counts {
    /// Rows read from the warehouse.
    pub read: u64,
    /// Rows whose payload equals the last acknowledged one.
    pub unchanged: u64,
    /// Acknowledged rows: created plus updated.
    pub delivered: u64,
    /// Acknowledged rows that made a record.
    pub created: u64,
    /// Acknowledged rows that changed a record.
    pub updated: u64,
    /// Rows that did not land.
    pub rejected: u64,
    /// Rows read and not settled; the next run reads them again.
    pub parked: u64,
    /// Write calls made, retries included.
    pub requests: u64,
    /// Write calls made again.
    pub retries: u64,
    /// Rows that left the model: removed plus waiting plus ignored plus failed.
    pub gone: u64,
    /// Records the destination acknowledged as removed.
    pub removed: u64,
    /// Rows that left the model and are not acted on yet, as their grace is not over.
    pub gone_waiting: u64,
    /// Rows that left the model and need nothing.
    pub gone_ignored: u64,
    /// Rows that left the model and whose record could not be removed.
    pub gone_failed: u64,
    /// Of the rows sent, those that only a compare of every row found: the change method did not notice them.
    pub rows_found_only_by_compare: u64,
}

/// Rejected rows of one code and field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct RejectGroup {
    /// The code, for `outflow explain`.
    pub code: String,
    /// The field or column at fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// `validate` or `destination`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    /// Rows.
    pub rows: u64,
    /// What the code means.
    pub title: String,
    /// What to do.
    pub action: String,
}

/// An error or a piece of advice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ErrorSummary {
    /// The code, for `outflow explain`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// One sentence.
    pub message: String,
    /// What to do next.
    pub help: String,
}

impl From<&Failure> for ErrorSummary {
    fn from(failure: &Failure) -> Self {
        Self {
            code: failure.code().map(str::to_owned),
            message: failure.message(),
            help: failure.help().to_owned(),
        }
    }
}

impl From<&flow::Error> for ErrorSummary {
    fn from(error: &flow::Error) -> Self {
        Self {
            code: Some(error.code().id.to_owned()),
            message: error.message().to_owned(),
            help: error.remedy().to_owned(),
        }
    }
}

impl From<&Finding> for ErrorSummary {
    fn from(finding: &Finding) -> Self {
        Self {
            code: Some(finding.code.id.to_owned()),
            message: finding.message.clone(),
            help: finding.remedy.clone(),
        }
    }
}

impl From<RunCounts> for Counts {
    fn from(counts: RunCounts) -> Self {
        Self {
            read: counts.read,
            unchanged: counts.unchanged,
            delivered: counts.delivered(),
            created: counts.created,
            updated: counts.updated,
            rejected: counts.rejected,
            parked: counts.parked,
            requests: counts.requests,
            retries: counts.retries,
            gone: counts.gone,
            removed: counts.removed,
            gone_waiting: counts.gone_waiting,
            gone_ignored: counts.gone_ignored,
            gone_failed: counts.gone_failed,
            rows_found_only_by_compare: counts.found_only_by_compare,
        }
    }
}

impl SyncSummary {
    /// A sync that was not begun; `signal` is the exit code of the signal that kept it from it.
    pub(crate) fn skipped(sync: &str, signal: Option<u8>) -> Self {
        let exit_code = signal.unwrap_or(exit::DONE);
        Self { sync: sync.to_owned(), status: "skipped".to_owned(), exit_code, ..Self::default() }
    }

    /// A sync that ended before a run began.
    pub(crate) fn failed(sync: &str, failure: &Failure) -> Self {
        Self {
            sync: sync.to_owned(),
            status: status_of(failure.exit_code()).to_owned(),
            exit_code: failure.exit_code(),
            error: Some(failure.into()),
            ..Self::default()
        }
    }

    /// Takes over what the run's own record says.
    pub(crate) fn set_run(&mut self, run: &RunRecord) {
        self.run_id = Some(run.id.clone());
        self.seconds = run.ended_at.map(|ended| (ended - run.started_at) as f64 / 1e6);
        self.wake_at = run.wake_at.map(text::rfc3339);
        self.counts = Some(run.counts.into());
    }

    /// The watermark before and after.
    pub(crate) fn set_watermarks(&mut self, from: Option<Watermark>, to: Option<Watermark>) {
        self.watermark_from = from.map(|watermark| watermark.to_string());
        self.watermark_to = to.map(|watermark| watermark.to_string());
    }
}

/// The status word of a command that exits with `code`.
pub(crate) fn status_of(code: u8) -> &'static str {
    match code {
        exit::DONE => "ok",
        exit::CHANGES => "changes",
        exit::REJECTS => "partial",
        exit::GUARD => "guarded",
        exit::PARKED => "parked",
        exit::INTERRUPTED | exit::TERMINATED => "interrupted",
        _ => "failed",
    }
}

/// A moment of the summary.
pub(crate) fn moment(micros: i64) -> String {
    text::rfc3339(micros)
}

/// The JSON Schema of [`Summary`].
pub fn schema() -> schemars::Schema {
    schemars::schema_for!(Summary)
}

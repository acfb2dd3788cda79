//! The port to a tool: what it can do as data, its fields, and one bulk write with one outcome per row.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{Code, JobLimits, Journal, KeepsJobs, KeepsQuota, Payload, ReadsBack, Result};

/// What a sync does at its destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Create the record or update it.
    Upsert,
    /// Update records that exist; never create.
    Update,
    /// Create records; never update.
    Create,
    /// Upsert, and act on records whose row left the model.
    Mirror,
    /// Add an event or a row that is never changed again.
    Append,
    /// Delete the records of the model's rows.
    Delete,
}

impl Mode {
    /// The word used in configuration and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Upsert => "upsert",
            Self::Update => "update",
            Self::Create => "create",
            Self::Mirror => "mirror",
            Self::Append => "append",
            Self::Delete => "delete",
        }
    }
}

/// How a destination says which row an answer is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attribution {
    /// An id we send comes back with the row.
    EchoedId,
    /// Answers are in the order of the request.
    Position,
    /// The record's own key comes back.
    ReturnedKey,
    /// Result rows of an asynchronous job.
    JobRows,
    /// One verdict for the whole call.
    WholeCall,
    /// One record per call.
    Single,
}

/// How a destination spells "empty this field".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NullRule {
    /// An empty string.
    EmptyString,
    /// JSON null.
    JsonNull,
    /// Fields are emptied by a list of names.
    UnsetList,
    /// A field cannot be emptied.
    Impossible,
}

/// What can be done with the record of a row that left the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removal {
    /// It is deleted, as the destination's options say: to a bin, or for good.
    Delete,
    /// Some of its fields are set.
    Update,
}

/// What a destination can do with an object; asked before, not learned by failing.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Rows per write call.
    pub rows_max: usize,
    /// Bytes per request body.
    pub bytes_max: usize,
    /// Write calls in flight at once that make sense for this account.
    pub in_flight_max: usize,
    /// Modes that are safe here; others are refused when the project is checked.
    pub modes: &'static [Mode],
    /// How answers name rows.
    pub attribution: Attribution,
    /// How a field is emptied.
    pub null_rule: NullRule,
    /// Whether a record can be addressed by its id while its match value changes.
    pub renames: bool,
    /// What can be done with records of rows that left the model, addressed by their ids.
    pub removals: &'static [Removal],
    /// When rows are sent as a job; `None` where the destination has no jobs.
    pub jobs: Option<JobLimits>,
    /// Longest time after which a request that was not answered can still take effect (D4).
    pub apply_max: Duration,
}

impl Limits {
    /// As little as a destination can promise: upserts of one row a call, attributed to it.
    pub const LEAST: Self = Self {
        rows_max: 1,
        bytes_max: 1 << 20,
        in_flight_max: 1,
        modes: &[Mode::Upsert],
        attribution: Attribution::Single,
        null_rule: NullRule::Impossible,
        renames: false,
        removals: &[],
        jobs: None,
        apply_max: Duration::from_secs(60),
    };
}

/// The type of a destination field, which the mapping is checked against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FieldKind {
    /// Text of at most so many characters.
    Text {
        /// Longest text in characters, where the destination has a limit.
        chars_max: Option<usize>,
    },
    /// A number; exact decimals are kept.
    Number,
    /// True or false.
    Boolean,
    /// A calendar day.
    Date,
    /// A moment, to the microsecond at most.
    DateTime,
    /// One of the options.
    Enum {
        /// Allowed values, as sent.
        options: Vec<String>,
    },
    /// Any number of the options.
    MultiEnum {
        /// Allowed values, as sent.
        options: Vec<String>,
    },
    /// An e-mail address.
    Email,
    /// A telephone number.
    Phone,
    /// Anything JSON can say.
    Any,
}

/// One field of a destination object.
#[derive(Debug, Clone)]
pub struct Field {
    /// Name on the wire.
    pub name: String,
    /// Name people see.
    pub label: String,
    /// Type.
    pub kind: FieldKind,
    /// A record cannot be created without it.
    pub required: bool,
    /// No two records share a value, so records can be found by it.
    pub unique: bool,
    /// It cannot be written.
    pub read_only: bool,
    /// Values that differ only in letter case are the same.
    pub folds_case: bool,
}

/// The fields of one destination object.
#[derive(Debug, Clone)]
pub struct ObjectSchema {
    /// Object name.
    pub object: String,
    /// All fields, by name.
    pub fields: Vec<Field>,
    /// Whether fields that are not listed may be written too.
    pub open: bool,
}

impl ObjectSchema {
    /// The field of that name.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }
}

/// One write call's worth of rows.
#[derive(Debug, Clone)]
pub struct WriteBatch {
    /// Destination object.
    pub object: Arc<str>,
    /// What to do with the rows.
    pub mode: Mode,
    /// Fields a record is found by; each is a column of the payload, never null or absent.
    pub match_on: Arc<[String]>,
    /// The mapped rows, at most `Limits::rows_max`; as a job, at most `JobLimits::rows_max`. With [`Mode::Delete`] only
    /// the fields of `match_on`, and no field at all where records are addressed by id.
    pub payload: Payload,
    /// The destination's ids of the records, one per row: where the match value changes with this batch, so that the
    /// record is renamed and not doubled; and where the row left the model. Then `mode` is [`Mode::Delete`], or
    /// [`Mode::Update`] with the fields to set. Empty: every record is found by `match_on`.
    pub record_ids: Vec<String>,
    /// The rows are sent as one job, written down here. `None`: by one call.
    pub job: Option<Arc<dyn Journal>>,
    /// Unique to the run; for request ids and attribution.
    pub run_id: Arc<str>,
}

/// What became of one row.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// The destination confirms that the record holds the row.
    Delivered {
        /// Whether the record is new, where the destination says so.
        created: Option<bool>,
        /// The destination's own record id, where it gives one; else whatever else addresses the record. Rows that leave
        /// the model later are removed by it.
        remote_id: Option<String>,
    },
    /// The destination took the row and will apply it later, without saying whether that worked.
    AcceptedUnverified {
        /// How the record can be addressed from now on, where the destination has such a thing.
        remote_id: Option<String>,
    },
    /// Not applied; try again.
    Retry {
        /// Not before so long.
        after: Option<Duration>,
        /// Why, in a word or two.
        reason: &'static str,
    },
    /// Refused for good.
    Rejected {
        /// A code of kind `Row`.
        code: &'static Code,
        /// The destination's message.
        message: String,
        /// The field at fault, where the destination names it.
        field: Option<String>,
    },
    /// The answer does not say; the row may or may not have been applied.
    Unknown {
        /// Why, in a word or two.
        reason: &'static str,
    },
    /// The record was written, but not all of the row was: it holds neither what was acknowledged before nor the row.
    InPart {
        /// How the record can be addressed, where the destination says so.
        remote_id: Option<String>,
        /// What became of the rest: to be tried again, rejected, or unknown.
        rest: Box<Outcome>,
    },
}

/// The answer to one write call: exactly one outcome per row, in the order of the batch (D6).
#[derive(Debug, Clone)]
pub struct Receipt {
    /// One per row of the batch.
    pub outcomes: Vec<Outcome>,
}

/// A tool that rows are sent to.
///
/// Opening one is pure: no network, no tasks. An implementation never retries a write by itself and never
/// splits a batch; the engine does both. It does keep to the account's rate limits before it sends.
#[async_trait]
pub trait Destination: Send + Sync {
    /// What can be done with `object`.
    ///
    /// # Errors
    /// When the destination has no such object.
    fn limits(&self, object: &str) -> Result<Limits>;

    /// The object's fields, asked from the destination. Also the probe of credentials.
    ///
    /// # Errors
    /// `E2xxx`: unreachable, credentials refused, no such object.
    async fn describe(&self, object: &str) -> Result<ObjectSchema>;

    /// Names the account the credentials belong to, where the destination says so: what was acknowledged by one
    /// account says nothing about another.
    ///
    /// # Errors
    /// When the destination does not answer; not when it will not say.
    async fn account(&self) -> Result<Option<String>> {
        Ok(None)
    }

    /// Names of the objects that can be written, for `discover`.
    fn objects(&self) -> Vec<String>;

    /// Sends one batch in one call and says what became of each row. A row the answer does not mention is
    /// [`Outcome::Unknown`], never delivered.
    ///
    /// # Errors
    /// When the call as a whole failed. `Kind::Poison`: refused because of rows it does not name, nothing
    /// applied; the engine bisects. An error that [`crate::Error::is_ambiguous`] may have been applied.
    async fn write(&self, batch: &WriteBatch) -> Result<Receipt>;

    /// Reading records back, where the destination offers it.
    fn reads_back(&self) -> Option<&dyn ReadsBack> {
        None
    }

    /// Finding jobs of earlier runs again, where the destination works by jobs ([`Limits::jobs`]).
    fn keeps_jobs(&self) -> Option<&dyn KeepsJobs> {
        None
    }

    /// Its account's limits, where its requests are kept within them.
    fn keeps_quota(&self) -> Option<&dyn KeepsQuota> {
        None
    }
}

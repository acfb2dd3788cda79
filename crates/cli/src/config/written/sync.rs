//! The keys of a sync file.

use flow::Mode;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use transform::Mappings;

use super::super::amount::{Duration, Share};
use super::{Alerts, Name, OneOrMore, Pairs, Vars, Version};

/// One sync: which rows go where, and how.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "outflow sync")]
#[expect(dead_code, reason = "describes the file; its sections are read one by one")]
pub(crate) struct SyncFile {
    version: Version,
    /// The sync's name, unique in the project; its identity in state and metrics.
    sync: Name,
    /// What it is for, in a sentence.
    description: Option<String>,
    /// Who answers for it.
    owner: Option<String>,
    /// Words to select syncs by.
    #[schemars(extend("uniqueItems" = true))]
    tags: Option<Vec<String>>,
    /// Whether it runs.
    #[schemars(extend("default" = true))]
    enabled: Option<bool>,
    /// Values for `${var:name}` in this file.
    vars: Option<Vars>,
    model: ModelSection,
    changes: ChangesSection,
    destination: DestinationSection,
    /// What is done at the destination: upsert, update, create, mirror, append or delete.
    mode: Mode,
    removed: Option<RemovedSection>,
    /// Destination field: where its value comes from.
    mappings: Mappings,
    schedule: Option<Schedule>,
    delivery: Option<DeliverySection>,
    guards: Option<Guards>,
    freshness: Option<Freshness>,
    privacy: Option<PrivacySection>,
    alerts: Option<Alerts>,
    /// Unit tests: given rows and the writes they must make.
    tests: Option<Vec<UnitTest>>,
}

/// The rows to send.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes the file; read key by key")]
#[schemars(extend("oneOf" = [
    { "required": ["table"] }, { "required": ["sql"] }, { "required": ["sql_file"] }, { "required": ["dbt"] },
]))]
pub(crate) struct ModelSection {
    /// The warehouse.
    connection: Name,
    /// A table or view: `name` or `schema.name`.
    #[schemars(length(min = 1))]
    table: Option<String>,
    /// One SELECT statement.
    sql: Option<String>,
    /// A file with one SELECT statement, relative to the project.
    #[schemars(length(min = 1))]
    sql_file: Option<String>,
    /// A dbt model.
    #[schemars(length(min = 1))]
    dbt: Option<String>,
    /// Columns that identify a row.
    primary_key: OneOrMore,
}

/// How changes are found.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(tag = "method", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum ChangesSection {
    /// A run reads the rows whose progress column moved on.
    Watermark {
        /// The progress column, a timestamp.
        #[schemars(length(min = 1))]
        column: String,
        /// How far behind the watermark to read again, for transactions that commit late.
        lag: Option<Duration>,
        /// Where the first run begins.
        #[expect(dead_code, reason = "refused before it is read")]
        start: Option<String>,
        /// A condition in SQL: a row for which it is true counts as removed.
        #[expect(dead_code, reason = "read as text, with the model")]
        #[schemars(length(min = 1))]
        removed_when: Option<String>,
        /// A compare of every row now and then, for changes that the progress column does not show.
        reconcile: Option<Reconcile>,
    },
    /// Every run reads every row; the ledger finds what changed.
    Snapshot {
        /// Where the comparison is done.
        #[expect(dead_code, reason = "says what is always so, or is refused")]
        store: Option<SnapshotStore>,
        /// A condition in SQL: a row for which it is true counts as removed.
        #[expect(dead_code, reason = "read as text, with the model")]
        #[schemars(length(min = 1))]
        removed_when: Option<String>,
    },
    /// The log of changes: a replication slot says which rows changed.
    Log {
        /// Replication slot; each sync has one of its own.
        #[schemars(length(min = 1))]
        slot: String,
        /// Publication.
        #[schemars(length(min = 1))]
        publication: String,
        /// Tables whose changes lead to a row of the model; all that it reads where nothing is written.
        #[schemars(length(min = 1))]
        tables: Option<Vec<FollowedTable>>,
        /// Mebibytes of log that the slot may keep back before a run warns.
        #[schemars(range(min = 1))]
        retained_max_mib: Option<u64>,
        /// A compare of every row now and then.
        reconcile: Option<Reconcile>,
    },
}

/// A table whose changes lead to a row of the model.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum FollowedTable {
    /// Its name: `name` or `schema.name`.
    Name(#[schemars(length(min = 1))] String),
    /// Its name, and how its rows lead to the model's.
    Led(LedTable),
}

/// A table with a way to the model's rows.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LedTable {
    /// `name` or `schema.name`.
    #[schemars(length(min = 1))]
    pub(crate) name: String,
    /// One SELECT of the model's primary keys FROM `changed`, which has the table's replica identity of each changed row.
    #[schemars(length(min = 1))]
    pub(crate) keys: String,
}

/// Where a snapshot is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SnapshotStore {
    /// With the ledger.
    Engine,
    /// In the warehouse.
    Warehouse,
}

/// A compare of every row now and then.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Reconcile {
    /// Time between two: the run that is due then also reads every row.
    pub(crate) every: Duration,
    /// How; only `snapshot`.
    #[expect(dead_code, reason = "says what is always so")]
    method: Option<ReconcileMethod>,
}

/// How a full comparison reads.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ReconcileMethod {
    /// Every row.
    Snapshot,
}

/// Where rows go.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DestinationSection {
    /// The destination.
    pub(crate) connection: Name,
    /// The kind of record, as the destination names it.
    #[schemars(length(min = 1))]
    pub(crate) object: String,
    /// How a record is found: destination field and model column.
    pub(crate) match_on: Option<Pairs>,
}

/// What becomes of the record of a row that left the model, with `mode: mirror`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RemovedSection {
    /// What is done.
    pub(crate) action: RemovedAction,
    /// Fields to set with `action: update`: the value itself, or `{ run: started_at }`.
    pub(crate) set: Option<serde_json::Map<String, Value>>,
    /// The row must be missing in two complete reads that far apart.
    pub(crate) grace: Option<Duration>,
}

/// What is done with the record of a row that left the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RemovedAction {
    /// It is deleted.
    Delete,
    /// It is updated with `set`.
    Update,
    /// Nothing.
    Ignore,
}

/// When a scheduler runs the sync.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(
    dead_code,
    reason = "the schedule is for schedulers; `every` and `continuous` are used here"
)]
pub(crate) struct Schedule {
    /// Time between two runs.
    pub(crate) every: Option<Duration>,
    /// Cron expression.
    #[schemars(length(min = 1))]
    cron: Option<String>,
    /// Time zone of `cron`.
    #[schemars(length(min = 1))]
    timezone: Option<String>,
    /// Also after this, for example `dbt`.
    #[schemars(length(min = 1))]
    after: Option<String>,
    /// Run without an end.
    pub(crate) continuous: Option<Continuous>,
}

/// How a run without an end collects changes.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Continuous {
    /// A change waits at most so long before it is sent. Default: 500ms.
    pub(crate) flush_every: Option<Duration>,
    /// Send as soon as so many changes wait. Default: 1000.
    #[schemars(range(min = 1))]
    pub(crate) flush_rows: Option<u64>,
}

/// How rows are sent.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeliverySection {
    /// Rows per call, at most the destination's limit.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub(crate) batch_rows: Option<usize>,
    /// Calls in flight at once, at most the destination's limit.
    #[schemars(range(min = 1, max = 1_000))]
    pub(crate) max_concurrency: Option<usize>,
    /// What a rejected row does: `quarantine` keeps it for later, `stop` ends the run.
    pub(crate) on_reject: Option<OnReject>,
    /// What the state remembers of a delivered row besides a fingerprint, so that plans can show it: `fields` (a hash per
    /// field: which fields change) or `values` (the values: from what to what).
    pub(crate) remember: Option<Remember>,
    /// Which of the destination's interfaces is used, where it takes rows by calls and as jobs.
    pub(crate) api: Option<Api>,
    /// Changes of one key never overtake each other; that is always so.
    #[expect(dead_code, reason = "says what is always so")]
    order_by: Option<OrderBy>,
    /// Calls per time.
    #[expect(dead_code, reason = "refused before it is read")]
    rate: Option<String>,
}

/// What a rejected row does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OnReject {
    /// It is kept for later; the run goes on.
    Quarantine,
    /// The run ends.
    Stop,
}

/// What the state remembers of a delivered row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Remember {
    /// A hash per field.
    Fields,
    /// The values.
    Values,
}

/// Which of the destination's interfaces is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Api {
    /// A job where enough rows wait, else calls; chosen at each flush. The default.
    Auto,
    /// Always calls.
    Collections,
    /// Always jobs.
    Bulk,
}

impl From<Api> for engine::Api {
    fn from(api: Api) -> Self {
        match api {
            Api::Auto => Self::Auto,
            Api::Collections => Self::Collections,
            Api::Bulk => Self::Bulk,
        }
    }
}

/// What keeps its order.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OrderBy {
    /// Changes of one key.
    PrimaryKey,
}

/// Limits that stop a run before it does harm: exit 4, and nothing is sent.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Guards {
    /// Fewest rows the model must have.
    #[schemars(range(min = 0))]
    pub(crate) min_rows: Option<u64>,
    /// Largest share of known rows that may change in one run.
    pub(crate) max_changed: Option<Share>,
    /// Largest share of known rows that may leave the model at once.
    pub(crate) max_removed: Option<Share>,
    /// So many rows may always leave the model.
    #[schemars(range(min = 0))]
    pub(crate) max_removed_floor: Option<u64>,
    /// Largest share of rows that may be rejected, of those read or known, whichever are more. What only the
    /// destination refuses shows at the end: then more than this share is exit 3.
    pub(crate) max_rejected: Option<Share>,
    /// Largest share of rows that may be refused before sending, of those read or known, whichever are more.
    pub(crate) max_invalid: Option<Share>,
    /// Largest share of filled destination values a run may empty.
    pub(crate) max_null_out: Option<Share>,
    /// Most calls one run may make.
    #[schemars(range(min = 1))]
    pub(crate) max_requests: Option<u64>,
    /// Whether the first run must be confirmed.
    pub(crate) first_run: Option<FirstRun>,
}

/// Whether the first run must be confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FirstRun {
    /// It runs.
    Run,
    /// It needs an approved plan.
    Confirm,
}

/// How old the destination's data may be.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Freshness {
    /// Older than this deserves a look.
    pub(crate) warn_after: Option<Duration>,
    /// Older than this is a fault.
    pub(crate) error_after: Option<Duration>,
}

/// What must not leave the warehouse, or not be shown.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PrivacySection {
    /// Columns the model must not have.
    #[serde(default)]
    pub(crate) deny_columns: Vec<String>,
    /// Fields that are never shown in a diagnosis. Logs show no values anyway.
    #[serde(default)]
    pub(crate) mask_in_logs: Vec<String>,
}

/// A unit test of the sync.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "accepted; what is sent does not depend on it")]
pub(crate) struct UnitTest {
    /// What it shows, in a sentence.
    name: String,
    /// Rows of the model.
    given: Vec<serde_json::Map<String, Value>>,
    /// Records at the destination before.
    known: Option<Vec<serde_json::Map<String, Value>>>,
    /// Records that lookups find, by object.
    lookups: Option<serde_json::Map<String, Value>>,
    /// Writes that must come of it.
    expect: Vec<serde_json::Map<String, Value>>,
}

//! The port to a warehouse: describe a model, then read it as Arrow batches from one snapshot.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, SchemaRef};
use async_trait::async_trait;

use crate::{Code, Key, Result, Watermark};

/// The rows of a model: what to read and how to tell what changed.
#[derive(Debug, Clone)]
pub struct Model {
    /// A table or a query.
    pub relation: Relation,
    /// Columns that identify a row, at least one.
    pub primary_key: Vec<String>,
    /// How changes are found.
    pub changes: Changes,
    /// A condition of the warehouse's language; a row for which it is true counts as one that left the model. Every read
    /// then has the Boolean column [`REMOVED`], never null.
    pub removed_when: Option<String>,
}

/// The column that says whether [`Model::removed_when`] holds for a row.
pub const REMOVED: &str = "outflow.removed";

/// Where a model's rows come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Relation {
    /// A table or view as the user wrote it: `name`, `schema.name`, parts optionally quoted.
    Table(String),
    /// One SELECT statement.
    Sql(String),
}

/// How changes are found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changes {
    /// Every run reads every row; the ledger finds what changed.
    Snapshot,
    /// A run reads the rows whose progress column is not older than the stored watermark minus `lag`.
    Watermark {
        /// The progress column.
        column: String,
        /// How far behind the watermark to read again, for transactions that commit late.
        lag_micros: i64,
    },
    /// A run reads the rows whose keys the warehouse's change log names.
    Log(Log),
}

/// The change log a model is followed by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// Replication slot; it keeps the log until we have acknowledged it.
    pub slot: String,
    /// Publication: which tables' changes are in the log.
    pub publication: String,
    /// Tables whose changes lead to a row of the model; empty means every table the model reads.
    pub tables: Vec<LogTable>,
    /// Largest number of bytes of log that the slot may keep back before a run refuses to go on; `None` for no limit.
    pub retained_bytes_max: Option<u64>,
}

/// A table whose changes lead to a row of the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogTable {
    /// `name` or `schema.name`, parts optionally quoted.
    pub name: String,
    /// One SELECT of the model's primary keys for the table's changed keys, which it reads from a relation named
    /// `changed` that has the columns of the table's replica identity. `None` where the keys are the same columns.
    pub keys: Option<String>,
}

/// What a source remembers of a snapshot, for its own use in a later read: only the source that gave it reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark(pub String);

/// One column of a model.
#[derive(Debug, Clone)]
pub struct ColumnInfo {
    /// Name as the warehouse gives it.
    pub name: String,
    /// The Arrow type its values arrive in.
    pub data_type: DataType,
    /// The warehouse's own type name, for people.
    pub source_type: String,
}

/// The key of an Arrow field's metadata under which a source gives the warehouse's own type name. By it a mapping can
/// tell JSON and exact numbers from other text.
pub const SOURCE_TYPE: &str = "source_type";

impl ColumnInfo {
    /// The Arrow field of this column, as every batch has it.
    pub fn field(&self) -> Field {
        let metadata = HashMap::from([(SOURCE_TYPE.to_owned(), self.source_type.clone())]);
        Field::new(&self.name, self.data_type.clone(), true).with_metadata(metadata)
    }
}

/// What `Source::check` found out about a model.
#[derive(Debug, Clone)]
pub struct Checked {
    /// All columns, in order.
    pub columns: Vec<ColumnInfo>,
    /// Things that work but deserve the operator's attention.
    pub findings: Vec<Finding>,
}

/// Advice from a check; not an error.
#[derive(Debug, Clone)]
pub struct Finding {
    /// The documented code.
    pub code: &'static Code,
    /// One sentence.
    pub message: String,
    /// What to do.
    pub remedy: String,
}

/// A place in the order of a read: `(watermark, primary_key)`, or the primary key alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// The row's watermark. `None` in a read ordered by key only, and for the rows at the end of a
    /// watermark read whose watermark is NULL or `-infinity`.
    pub watermark: Option<Watermark>,
    /// The row's primary key.
    pub key: Key,
}

/// Which rows to read.
#[derive(Debug, Clone)]
pub enum Scope {
    /// Every row, ordered by watermark and key where the model has a watermark, else by key.
    All,
    /// Rows whose watermark is at or after this, then rows whose watermark is NULL or `-infinity`.
    Since(Watermark),
    /// Every row that changed since the snapshot that `mark` is of: for a model with a watermark what [`Scope::Since`]
    /// reads, then rows that changed without a newer watermark where the warehouse can tell; or every row, where
    /// nothing else would do.
    Changed {
        /// First watermark of the lookback; `None` where the model is followed by the log.
        from: Option<Watermark>,
        /// As [`Read::mark`] gave it.
        mark: Mark,
    },
    /// Rows with `from <= watermark < to`, ordered by watermark and key.
    Range {
        /// First watermark in the range.
        from: Watermark,
        /// First watermark after the range.
        to: Watermark,
    },
    /// Rows for which this SQL condition holds, ordered by key.
    Where(String),
    /// Rows with these keys, ordered by key; a key without a row is simply not in the answer.
    Keys(Arc<[Key]>),
}

/// One read of a model.
#[derive(Debug, Clone)]
pub struct ReadRequest {
    /// The model.
    pub model: Arc<Model>,
    /// Columns wanted, besides the primary key and the watermark, which always come.
    /// Empty means every column.
    pub columns: Vec<String>,
    /// Which rows.
    pub scope: Scope,
    /// Go on after this row of an earlier read with the same scope.
    pub after: Option<Position>,
    /// Stop after so many rows.
    pub rows_max: Option<u64>,
}

/// Rows as they arrive from the warehouse, in the order of the read.
#[derive(Debug, Clone)]
pub struct Batch {
    /// The requested columns.
    pub rows: RecordBatch,
    /// Cells that cannot be carried exactly; they are null in `rows`.
    pub faults: Vec<Fault>,
    /// The position of the last row; `None` where that row's key is NULL.
    pub last: Option<Position>,
}

/// A cell whose value the Arrow type cannot hold exactly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Row in the batch.
    pub row: usize,
    /// Column name.
    pub column: String,
    /// Why, without the value: "NaN does not fit numeric(12,2)".
    pub reason: String,
}

/// What is known once the snapshot is open, before the first row.
#[derive(Debug, Clone)]
pub struct Opening {
    /// Schema of every batch of this read.
    pub schema: SchemaRef,
    /// The warehouse's clock when the snapshot was taken. The stored watermark never passes it, so that
    /// a row dated in the future hides nothing.
    pub clock: Watermark,
    /// Keys that more than one row of the model has, in the same snapshot. Such rows become rejects.
    pub duplicates: Arc<HashSet<Key>>,
}

/// A warehouse.
///
/// A source never writes: every statement runs in a read-only transaction (R5).
#[async_trait]
pub trait Source: Send + Sync {
    /// Describes the model and checks what can be known before a read: the relation exists, may be read, has
    /// the key and watermark columns with usable types.
    ///
    /// # Errors
    /// `E1xxx` with the name of the column, table or permission at fault.
    async fn check(&self, model: &Model) -> Result<Checked>;

    /// Tables and views that could be a model, or the columns of one, for `discover`.
    ///
    /// # Errors
    /// As [`Source::check`].
    async fn discover(&self, relation: Option<&Relation>)
    -> Result<Vec<(String, Vec<ColumnInfo>)>>;

    /// How many rows the model has now; `None` where that cannot be asked.
    ///
    /// # Errors
    /// As [`Source::check`].
    async fn count_rows(&self, _model: &Model) -> Result<Option<u64>> {
        Ok(None)
    }

    /// Opens one snapshot and starts reading.
    ///
    /// # Errors
    /// As [`Source::check`], and when the warehouse cannot be reached.
    async fn read(&self, request: ReadRequest) -> Result<Box<dyn Read>>;

    /// Told once everything up to `mark` is settled and durable: what the warehouse keeps for us up to there, it need
    /// not keep longer.
    ///
    /// # Errors
    /// When the warehouse cannot be told; nothing is lost, and the next run tells it again.
    async fn settled(&self, _model: &Model, _mark: &Mark) -> Result<()> {
        Ok(())
    }

    /// Waits until so many changes since `mark` wait to be read, or until `at_most` has passed; at once where the
    /// source has no log to look at. Gives whether there is anything to read.
    ///
    /// # Errors
    /// As [`Source::read`].
    async fn wait(&self, _model: &Model, _mark: &Mark, _wait: Wait) -> Result<bool> {
        Ok(true)
    }
}

/// How long to collect changes.
#[derive(Debug, Clone, Copy)]
pub struct Wait {
    /// Enough changes.
    pub changes_min: u64,
    /// Longest time from the first change on; zero for the first change at once.
    pub at_most: Duration,
    /// Longest time without any change.
    pub idle_max: Duration,
}

/// One read in progress. Dropping it cancels the query and closes the snapshot.
#[async_trait]
pub trait Read: Send {
    /// What is known before the first row.
    fn opening(&self) -> &Opening;

    /// The next batch; `None` only at a clean end, after every row of one generation of the relation has
    /// arrived and the snapshot is closed (R2, R3).
    ///
    /// # Errors
    /// When the read was cut, timed out, or the relation was replaced meanwhile.
    async fn next(&mut self) -> Result<Option<Batch>>;

    /// What the source wants to be told when it is asked what changed since this read; known from the opening on.
    fn mark(&self) -> Option<Mark> {
        None
    }

    /// Keys whose rows changed, where the read is of a log that names only keys: their rows are to be read by
    /// [`Scope::Keys`], in a snapshot that is opened after this was asked. A key without a row is a row that is gone.
    /// Each is given once, after the batch it became known with.
    fn changed(&mut self) -> Vec<Key> {
        Vec::new()
    }

    /// Bytes of log that the warehouse keeps back until this read is settled.
    fn retained_bytes(&self) -> Option<u64> {
        None
    }

    /// Why every row is read although less was asked for, or other news of this read; asked at its end.
    fn findings(&mut self) -> Vec<Finding> {
        Vec::new()
    }

    /// Whether, at its end, only a read of every row can tell what changed.
    fn needs_all(&self) -> bool {
        false
    }
}

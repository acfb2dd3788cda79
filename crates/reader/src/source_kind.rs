//! The table of warehouses: what `type:` in a project file may say, and how each is opened.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use flow::metrics::Metrics;
use flow::{Clock, Result, Source};
use serde_json::{Map, Value};

use crate::{adbc, files, postgres};

/// What a warehouse is opened with.
#[derive(Clone)]
pub struct OpenArgs {
    /// Name of the connection in the project file, for messages and metrics.
    pub connection: String,
    /// The connection's options without `type`; values may be secrets.
    pub options: Map<String, Value>,
    /// Where query times are counted.
    pub metrics: Arc<Metrics>,
    /// What the warehouse's own monitoring should show for our sessions.
    pub application: String,
    /// What time it is, for warehouses without a clock of their own.
    pub clock: Arc<dyn Clock>,
    /// The project's folder, where relative paths start.
    pub project_dir: PathBuf,
    /// Folder for rows that do not fit in memory while they are sorted; made when it is needed.
    pub spool_dir: PathBuf,
}

impl OpenArgs {
    /// What is enough to check the options, and to read what has a clock and an order of its own.
    pub fn new(connection: &str, options: Map<String, Value>) -> Self {
        Self {
            connection: connection.to_owned(),
            options,
            metrics: Metrics::new("", ""),
            application: "outflow".to_owned(),
            clock: Arc::new(StandingStill),
            project_dir: PathBuf::new(),
            spool_dir: PathBuf::from("spool"),
        }
    }
}

/// A clock for those who ask for no time.
#[derive(Debug)]
struct StandingStill;

impl Clock for StandingStill {
    fn now_micros(&self) -> i64 {
        0
    }
}

impl fmt::Debug for OpenArgs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenArgs")
            .field("connection", &self.connection)
            .field("application", &self.application)
            .finish_non_exhaustive()
    }
}

/// One kind of warehouse.
pub struct SourceKind {
    /// The word after `type:`.
    pub name: &'static str,
    /// One sentence for people.
    pub summary: &'static str,
    /// Checks the options and opens the source, without touching the network.
    pub open: fn(OpenArgs) -> Result<Arc<dyn Source>>,
    /// JSON Schema of the options.
    pub options_schema: fn() -> schemars::Schema,
}

/// Every kind of warehouse.
pub const SOURCES: &[SourceKind] = &[
    SourceKind {
        name: "postgres",
        summary: "PostgreSQL, and what speaks its protocol closely.",
        open: |args| Ok(Arc::new(postgres::Postgres::open(args)?)),
        options_schema: || schemars::schema_for!(postgres::Options),
    },
    SourceKind {
        name: "files",
        summary: "Parquet, CSV or JSON lines in a folder, on this machine or in an object store.",
        open: |args| Ok(Arc::new(files::Files::open(args)?)),
        options_schema: || schemars::schema_for!(files::Options),
    },
    SourceKind {
        name: "adbc",
        summary: "Any database with an ADBC driver: DuckDB, SQLite, Snowflake, BigQuery, Flight SQL.",
        open: |args| Ok(Arc::new(adbc::Adbc::open(args)?)),
        options_schema: || schemars::schema_for!(adbc::Options),
    },
];

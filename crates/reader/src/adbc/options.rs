//! What a connection to an ADBC driver may say.

use std::collections::BTreeMap;
use std::path::PathBuf;

use flow::{Error, Result, Secret};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::dialect::Dialect;
use crate::codes;

/// Options of a connection of `type: adbc`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// The driver's shared library, for example `/usr/lib/libadbc_driver_snowflake.so`; relative paths start at the
    /// project's folder.
    pub driver: PathBuf,
    /// The function that starts the driver, where it is not the usual one: `duckdb_adbc_init` for DuckDB.
    #[serde(default)]
    pub entrypoint: Option<String>,
    /// The SQL that the database understands.
    pub dialect: Dialect,
    /// Settings of the driver's database: `uri`, `username`, `password`, `path`, `adbc.snowflake.sql.account`, ...
    #[serde(default)]
    pub database: BTreeMap<String, Secret>,
    /// Settings of each connection.
    #[serde(default)]
    pub connection: BTreeMap<String, Secret>,
    /// MiB of rows that are sorted in memory before the spool folder is used. Default: 64.
    #[serde(default = "sort_memory_mib")]
    #[schemars(range(min = 1, max = 65_536))]
    pub sort_memory_mib: usize,
    /// Most rows of one batch. Default: 8192.
    #[serde(default = "batch_rows")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub batch_rows: usize,
}

impl Options {
    /// Parses and checks the options of the connection `name`.
    pub(super) fn parse(name: &str, options: Map<String, Value>) -> Result<Self> {
        let wrong =
            |why: &str| Error::new(&codes::E1001_OPTIONS, format!("connection `{name}`: {why}"));
        let options: Self = serde_json::from_value(Value::Object(options))
            .map_err(|error| wrong(&error.to_string()))?;
        if !(1..=1_000_000).contains(&options.batch_rows) {
            return Err(wrong("`batch_rows` must be between 1 and 1000000"));
        }
        if !(1..=65_536).contains(&options.sort_memory_mib) {
            return Err(wrong("`sort_memory_mib` must be between 1 and 65536"));
        }
        Ok(options)
    }
}

fn sort_memory_mib() -> usize {
    64
}

fn batch_rows() -> usize {
    8192
}

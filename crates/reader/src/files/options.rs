//! What a connection to files may say.

use std::collections::BTreeMap;
use std::path::PathBuf;

use flow::arrow::datatypes::{DataType, TimeUnit};
use flow::{Error, Result, Secret};
use schemars::JsonSchema;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::store::Folder;
use crate::arrival::Arrival;
use crate::codes;

/// Options of a connection of `type: files`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Folder on this machine, relative to the project's. A model's `table` is a file, a folder or a glob below it.
    #[serde(default)]
    pub path: Option<PathBuf>,
    /// Folder in an object store instead: `s3://bucket/folder`, `gs://bucket/folder` or `az://container/folder`.
    #[serde(default)]
    pub url: Option<String>,
    /// Credentials and settings of the object store, by the names its command line knows: `access_key_id`, `region`,
    /// `endpoint`, `service_account_key`, `account_name`, ...
    #[serde(default)]
    pub storage: BTreeMap<String, Secret>,
    /// What the files are; by default the ending of each name says it, before a `.gz` where there is one.
    #[serde(default)]
    pub format: Option<Format>,
    /// CSV: whether the first line names the columns. Default: true.
    #[serde(default = "yes")]
    pub header: bool,
    /// CSV: the one character between fields, `tab` for a tabulator. Default: a comma, a tabulator for .tsv.
    #[serde(default)]
    pub delimiter: Option<String>,
    /// CSV: what an unquoted field says where there is no value. Default: nothing at all.
    #[serde(default)]
    pub null: String,
    /// CSV and JSON lines: types of columns, which the files cannot say: `{ id: bigint, updated_at: timestamptz }`.
    /// Columns without one are text in CSV, and what their values are in JSON. Without a header, these are the columns.
    #[serde(default)]
    pub columns: Columns,
    /// MiB of rows that are sorted in memory before the spool folder is used. Default: 64.
    #[serde(default = "sort_memory_mib")]
    #[schemars(range(min = 1, max = 65_536))]
    pub sort_memory_mib: usize,
    /// Most rows of one batch in memory. Default: 8192.
    #[serde(default = "batch_rows")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub batch_rows: usize,
}

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Apache Parquet.
    Parquet,
    /// Comma-separated values (RFC 4180).
    Csv,
    /// One JSON object a line.
    Jsonl,
}

impl Format {
    /// Its name for people.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Parquet => "Parquet",
            Self::Csv => "CSV",
            Self::Jsonl => "JSON lines",
        }
    }
}

/// Types of columns, in the order in which they are written.
#[derive(Debug, Clone, Default, JsonSchema)]
#[schemars(with = "BTreeMap<String, ColumnType>")]
pub struct Columns(pub Vec<(String, ColumnType)>);

impl Columns {
    /// The type of a column.
    pub(super) fn get(&self, name: &str) -> Option<ColumnType> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, kind)| *kind)
    }
}

impl<'de> Deserialize<'de> for Columns {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Columns;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("columns and their types")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Columns, A::Error> {
                let mut columns = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    columns.push(entry);
                }
                Ok(Columns(columns))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

/// The type of a column whose file gives it as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String", extend("examples" = [
    "text", "bigint", "integer", "smallint", "boolean", "double precision", "real", "numeric",
    "numeric(12,2)", "date", "time", "timestamp", "timestamptz", "json", "uuid",
]))]
pub enum ColumnType {
    /// As it is.
    Text,
    /// `true` or `false`, and what PostgreSQL takes for them.
    Boolean,
    /// 16 bits.
    Smallint,
    /// 32 bits.
    Integer,
    /// 64 bits.
    Bigint,
    /// 32 bits.
    Real,
    /// 64 bits.
    Double,
    /// An exact number of any size.
    Numeric,
    /// An exact number of so many digits, so many of them after the point.
    Decimal(u8, i8),
    /// `2026-01-31`.
    Date,
    /// `23:59:59.999999`.
    Time,
    /// `2026-01-31 23:59:59.999999`, without a zone.
    Timestamp,
    /// `2026-01-31T23:59:59.999999Z`, or with an offset.
    Timestamptz,
    /// JSON, in its own spelling.
    Json,
    /// 36 characters.
    Uuid,
}

impl TryFrom<String> for ColumnType {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let word = text.trim().to_ascii_lowercase();
        Ok(match word.as_str() {
            "text" | "string" | "varchar" => Self::Text,
            "boolean" | "bool" => Self::Boolean,
            "smallint" => Self::Smallint,
            "integer" | "int" => Self::Integer,
            "bigint" => Self::Bigint,
            "real" | "float" => Self::Real,
            "double precision" | "double" => Self::Double,
            "numeric" | "decimal" => Self::Numeric,
            "date" => Self::Date,
            "time" => Self::Time,
            "timestamp" => Self::Timestamp,
            "timestamptz" => Self::Timestamptz,
            "json" => Self::Json,
            "uuid" => Self::Uuid,
            _ => decimal(&word).ok_or_else(|| {
                format!(
                    "`{text}` is no type; there are text, bigint, integer, smallint, boolean, double precision, real, \
                     numeric, numeric(12,2), date, time, timestamp, timestamptz, json and uuid"
                )
            })?,
        })
    }
}

fn decimal(word: &str) -> Option<ColumnType> {
    let inside = word.strip_prefix("numeric").or_else(|| word.strip_prefix("decimal"))?;
    let inside = inside.trim().strip_prefix('(')?.strip_suffix(')')?;
    let (precision, scale) = inside.split_once(',').unwrap_or((inside, "0"));
    let (precision, scale) = (precision.trim().parse().ok()?, scale.trim().parse().ok()?);
    ((1..=38).contains(&precision) && (0..=precision).contains(&scale))
        .then(|| ColumnType::Decimal(precision, i8::try_from(scale).unwrap_or(0)))
}

impl ColumnType {
    /// How its values arrive.
    pub(super) fn arrival(self) -> Arrival {
        let micros =
            |zone: bool| DataType::Timestamp(TimeUnit::Microsecond, zone.then(|| "UTC".into()));
        let (data_type, name) = match self {
            Self::Text => (DataType::Utf8, "text"),
            Self::Boolean => (DataType::Boolean, "boolean"),
            Self::Smallint => (DataType::Int16, "smallint"),
            Self::Integer => (DataType::Int32, "integer"),
            Self::Bigint => (DataType::Int64, "bigint"),
            Self::Real => (DataType::Float32, "real"),
            Self::Double => (DataType::Float64, "double precision"),
            Self::Numeric => (DataType::Utf8, "numeric"),
            Self::Decimal(precision, scale) => {
                let name = format!("numeric({precision},{scale})");
                return Arrival::plain(DataType::Decimal128(precision, scale), &name);
            }
            Self::Date => (DataType::Date32, "date"),
            Self::Time => (DataType::Time64(TimeUnit::Microsecond), "time"),
            Self::Timestamp => (micros(false), "timestamp"),
            Self::Timestamptz => (micros(true), "timestamptz"),
            Self::Json => (DataType::Utf8, "json"),
            Self::Uuid => (DataType::Utf8, "uuid"),
        };
        Arrival::plain(data_type, name)
    }
}

impl Options {
    /// Parses and checks the options of the connection `name`.
    pub(super) fn parse(name: &str, options: Map<String, Value>) -> Result<Self> {
        let wrong =
            |why: &str| Error::new(&codes::E1001_OPTIONS, format!("connection `{name}`: {why}"));
        let options: Self = serde_json::from_value(Value::Object(options))
            .map_err(|error| wrong(&error.to_string()))?;
        if options.path.is_some() == options.url.is_some() {
            return Err(wrong("one of `path` and `url` says where the files are"));
        }
        if options.url.is_none() && !options.storage.is_empty() {
            return Err(wrong("`storage` is about an object store, and there is no `url`"));
        }
        if !(1..=1_000_000).contains(&options.batch_rows) {
            return Err(wrong("`batch_rows` must be between 1 and 1000000"));
        }
        if !(1..=65_536).contains(&options.sort_memory_mib) {
            return Err(wrong("`sort_memory_mib` must be between 1 and 65536"));
        }
        if let Some(url) = &options.url {
            Folder::open(url, &options.storage).map_err(|why| wrong(&why))?;
        }
        if options.delimiter().is_err() {
            return Err(wrong("`delimiter` is one ASCII character, or `tab`"));
        }
        if !options.header && options.columns.0.is_empty() {
            return Err(wrong("without a header, `columns` must name the columns in their order"));
        }
        Ok(options)
    }

    /// The byte between fields; `None` where the file's name decides.
    pub(super) fn delimiter(&self) -> Result<Option<u8>, ()> {
        match self.delimiter.as_deref() {
            None => Ok(None),
            Some("tab") => Ok(Some(b'\t')),
            Some(text) => match text.as_bytes() {
                [byte] if byte.is_ascii() && !matches!(byte, b'"' | b'\n' | b'\r') => {
                    Ok(Some(*byte))
                }
                _ => Err(()),
            },
        }
    }
}

fn yes() -> bool {
    true
}

fn sort_memory_mib() -> usize {
    64
}

fn batch_rows() -> usize {
    8192
}

//! What a PostgreSQL connection in a project file may say.

use std::path::PathBuf;
use std::time::Duration;

use flow::{Result, Secret};
use link::Tls;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::errors::options_error;

/// Options of a connection of `type: postgres`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Where and as whom: `postgres://user:password@host:port/database`. Use a role that may only SELECT.
    pub url: Secret,
    /// How the server's certificate is checked. Default: `verify-full`, and `off` for a loopback address or a Unix socket.
    #[serde(default)]
    pub tls: Option<Tls>,
    /// PEM file with the CA certificates to trust instead of the system's.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// Longest time one query may run, for example `30m`.
    #[serde(default = "one_hour")]
    pub statement_timeout: Span,
    /// Longest wait for a table that somebody else rebuilds.
    #[serde(default = "half_a_minute")]
    pub lock_timeout: Span,
    /// Longest time the server keeps our transaction open without a query.
    #[serde(default = "five_minutes")]
    pub idle_timeout: Span,
    /// Longest time without one byte from the server, the wait for a query's first row included.
    #[serde(default = "ten_minutes")]
    pub progress_timeout: Span,
    /// Longest time to connect: name lookup, TCP, TLS and login together.
    #[serde(default = "fifteen_seconds")]
    pub connect_timeout: Span,
    /// Whether the session's `application_name` carries project and sync. Default: true.
    #[serde(default = "yes")]
    pub query_tag: bool,
    /// What rows are read by. Default: `copy`, and `query` where the server has no COPY to the client.
    #[serde(default)]
    pub read_by: Option<ReadBy>,
    /// Most connections that one read of a large model uses at once: parts of it by ranges of its order, in one snapshot.
    /// Default: 1.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 32))]
    pub read_connections: usize,
    /// Most rows of one batch in memory. Default: 8192.
    #[serde(default = "batch_rows")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub batch_rows: usize,
}

/// What rows are read by. Both give the same rows in the same memory; `copy` is faster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ReadBy {
    /// `COPY (SELECT ...) TO STDOUT`.
    Copy,
    /// The rows of the query itself, for servers and poolers that have no COPY to the client.
    Query,
}

/// A length of time as written in project files: `500ms`, `10s`, `5m`, `2h`, `1d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String", extend("pattern" = "^[0-9]+(ms|s|m|h|d)$"))]
pub struct Span(pub Duration);

impl TryFrom<String> for Span {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let millis = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => 0,
        };
        let total = number.parse::<u64>().ok().and_then(|number| number.checked_mul(millis));
        match total {
            // The server counts milliseconds in 32 bits; 0 would switch a limit off.
            Some(total @ 1..=2_147_483_647) => Ok(Self(Duration::from_millis(total))),
            _ => Err(format!("`{text}` is not a time such as 500ms, 10s, 5m or 2h, at most 24d")),
        }
    }
}

impl Options {
    /// Parses and checks the options of the connection `name`.
    pub(super) fn parse(name: &str, options: Map<String, Value>) -> Result<Self> {
        let options: Self = serde_json::from_value(Value::Object(options))
            .map_err(|error| options_error(name, &error.to_string()))?;
        if !(1..=1_000_000).contains(&options.batch_rows) {
            return Err(options_error(name, "`batch_rows` must be between 1 and 1000000"));
        }
        if !(1..=32).contains(&options.read_connections) {
            return Err(options_error(name, "`read_connections` must be between 1 and 32"));
        }
        Ok(options)
    }
}

fn one_hour() -> Span {
    Span(Duration::from_secs(3600))
}

fn half_a_minute() -> Span {
    Span(Duration::from_secs(30))
}

fn five_minutes() -> Span {
    Span(Duration::from_secs(300))
}

fn ten_minutes() -> Span {
    Span(Duration::from_secs(600))
}

fn fifteen_seconds() -> Span {
    Span(Duration::from_secs(15))
}

fn yes() -> bool {
    true
}

fn one() -> usize {
    1
}

fn batch_rows() -> usize {
    8192
}

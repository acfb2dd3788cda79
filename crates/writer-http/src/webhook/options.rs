//! The options of a webhook connection: what is sent for rows of each object, and what the answers mean.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::PathBuf;

use flow::Secret;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use writer::options::{Share, Span};

/// A connection of `type: webhook`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// The root of all paths: `https://api.example.com`. Plain http only for this machine.
    pub base_url: String,
    /// What is sent for rows, by object.
    #[schemars(extend("minProperties" = 1))]
    pub objects: BTreeMap<String, ObjectOptions>,
    /// How requests say who sends them.
    #[serde(default)]
    pub auth: Option<Auth>,
    /// Headers of every request. For secrets use `auth`.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// A signature over time and body.
    #[serde(default)]
    pub sign: Option<Sign>,
    /// Path of a GET request that succeeds when the credentials are right, for `doctor` and `validate --online`.
    #[serde(default)]
    pub probe: Option<String>,
    /// Requests per `per`. Without it only the API's own answers (429) slow requests down.
    #[serde(default)]
    pub requests: Option<NonZeroU32>,
    /// The time `requests` are for. Default 1s.
    #[serde(default)]
    pub per: Option<Span>,
    /// The part of `requests` this connection may use, for example `40%`, where others share the account.
    #[serde(default)]
    pub quota_share: Option<Share>,
    /// Requests at once. Default 4.
    #[serde(default)]
    #[schemars(range(min = 1, max = 1000))]
    pub in_flight: Option<usize>,
    /// Longest time for one request and its answer. Default 30s.
    #[serde(default)]
    pub request_timeout: Option<Span>,
    /// Longest time after which a request that was not answered can still take effect. Default 60s.
    #[serde(default)]
    pub apply_max: Option<Span>,
    /// PEM file of the only certificate authorities to trust, instead of the system's.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
}

/// One way to say who sends a request.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
pub struct Auth {
    /// `Authorization: Bearer TOKEN`.
    #[serde(default)]
    pub bearer: Option<Secret>,
    /// `Authorization: Basic`, of a user and a password.
    #[serde(default)]
    pub basic: Option<Basic>,
    /// A header of the API's own, for example `X-Api-Key`.
    #[serde(default)]
    pub header: Option<SecretHeader>,
}

/// A user and a password.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Basic {
    /// The user's name.
    pub user: String,
    /// The password, or the token in its place.
    pub password: Secret,
}

/// A header whose value is a secret.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretHeader {
    /// The header's name.
    pub name: String,
    /// Its value.
    pub value: Secret,
}

/// A signature: `sha256=` and the HMAC-SHA-256, in hex, of the time, a dot and the body.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sign {
    /// The key both sides know.
    pub secret: Secret,
    /// The header with the signature. Default `X-Signature-256`.
    #[serde(default)]
    pub header: Option<String>,
    /// The header with the time, in seconds since 1970. Default `X-Timestamp`.
    #[serde(default)]
    pub timestamp_header: Option<String>,
}

/// One object: what is sent for its rows. At least one of `upsert`, `update`, `create`, `append` and `delete`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ObjectOptions {
    /// Creates the record or updates it; sending the same row twice must end as sending it once.
    #[serde(default)]
    pub upsert: Option<Call>,
    /// Updates a record that is there.
    #[serde(default)]
    pub update: Option<Call>,
    /// Creates a record. Needs `idempotency_header`, since a request whose answer is lost is sent again.
    #[serde(default)]
    pub create: Option<Call>,
    /// Adds an event. Needs `idempotency_header`, as `create` does.
    #[serde(default)]
    pub append: Option<Call>,
    /// Deletes a record. `{{ id }}` is its id.
    #[serde(default)]
    pub delete: Option<Call>,
    /// Rows per request. Default 1.
    #[serde(default)]
    #[schemars(range(min = 1, max = 100_000))]
    pub rows_per_call: Option<usize>,
    /// Bytes per request body. Default 1 MiB.
    #[serde(default)]
    #[schemars(range(min = 1, max = 268_435_456))]
    pub bytes_per_call: Option<usize>,
    /// A header with a text that is the same when the same rows are sent again in a run, and the API does it once.
    #[serde(default)]
    pub idempotency_header: Option<String>,
    /// How a field is emptied in the default body. Default `null`.
    #[serde(default)]
    pub nulls: Nulls,
    /// How the answer names rows. Without it, success means every row of the request.
    #[serde(default)]
    pub reply: Option<ReplyOptions>,
    /// What answers mean where it is not the usual; the first that fits counts.
    #[serde(default)]
    pub answers: Vec<AnswerRule>,
}

/// One request.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Call {
    /// HTTP method. Default POST; for `delete` DELETE.
    #[serde(default)]
    pub method: Option<Verb>,
    /// Path and query below `base_url`. `{{ field }}` is the row's value, percent-encoded.
    #[schemars(length(min = 1))]
    pub path: String,
    /// The body: any JSON in which `{{ ... }}` stands for values. Default: the row's fields as one object; with more
    /// than one row per call, the list of `{{ rows }}`. `null`: no body.
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "Option<Value>")]
    pub body: Option<Value>,
    /// What one row is within `{{ rows }}`. Default: its fields as one object.
    #[serde(default)]
    pub row: Option<Value>,
    /// How rows are written. Default `json`.
    #[serde(default)]
    pub format: Format,
    /// What is sent instead when the answer means that the record exists already.
    #[serde(default)]
    pub if_exists: Option<Box<Call>>,
    /// What is sent instead when the answer means that the record is missing.
    #[serde(default)]
    pub if_missing: Option<Box<Call>>,
}

/// Keeps `null` apart from a missing key.
fn given<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// HTTP methods that write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Verb {
    /// POST.
    Post,
    /// PUT.
    Put,
    /// PATCH.
    Patch,
    /// DELETE.
    Delete,
}

/// How rows are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// One JSON document.
    #[default]
    Json,
    /// One JSON document per line and row.
    Ndjson,
}

/// How a field is emptied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Nulls {
    /// JSON null.
    #[default]
    Null,
    /// An empty string.
    EmptyString,
    /// The field is left out: a field cannot be emptied.
    Omit,
}

/// How the answer to a success names rows. Places are JSON pointers (RFC 6901): `/results`, `` for the whole.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplyOptions {
    /// The list of results, in the answer. Without it the whole answer is the one result; for requests of one row.
    #[serde(default)]
    pub rows: Option<String>,
    /// In a result: the number of its row, counted from 0. Without it and `key`, results are in the order of the rows.
    #[serde(default)]
    pub index: Option<String>,
    /// In a result: the value its row is found by, as text.
    #[serde(default)]
    pub key: Option<String>,
    /// In a result: the record's id, to be kept. Default: what the record is found by.
    #[serde(default)]
    pub id: Option<String>,
    /// In a result: a status as of HTTP, which means what `answers` says.
    #[serde(default)]
    pub status: Option<String>,
    /// In a result: there, and neither null, false nor empty, where the row was refused.
    #[serde(default)]
    pub error: Option<String>,
    /// In a result: why. Default: what `error` points at.
    #[serde(default)]
    pub message: Option<String>,
    /// In a result: the field at fault.
    #[serde(default)]
    pub field: Option<String>,
    /// In a result: true where the record is new.
    #[serde(default)]
    pub created: Option<String>,
}

/// What an answer means.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AnswerRule {
    /// HTTP status.
    #[schemars(range(min = 200, max = 599))]
    pub status: u16,
    /// A text that the body holds; without it the status is enough.
    #[serde(default)]
    pub contains: Option<String>,
    /// What it means.
    pub means: Meaning,
}

/// What an answer means for the rows of its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Meaning {
    /// Every row landed.
    Delivered,
    /// The record exists already: `if_exists` is sent, else the row conflicts.
    Exists,
    /// The record is missing: `if_missing` is sent; a deletion is done; else the row is refused.
    Missing,
    /// The row is refused as invalid.
    Invalid,
    /// The row is refused as it conflicts with another record.
    Conflict,
    /// The request is too large.
    TooLarge,
    /// Not done; try again later.
    Retry,
    /// It may have been done; try again.
    Unknown,
    /// The credentials are refused.
    Credentials,
    /// The run cannot go on.
    Failed,
}

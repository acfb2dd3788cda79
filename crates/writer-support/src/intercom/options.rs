//! The options of an Intercom connection.

use std::num::NonZeroU32;
use std::path::PathBuf;

use flow::Secret;
use schemars::JsonSchema;
use serde::Deserialize;
use writer::options::{Share, Span};

/// A connection of `type: intercom`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Access token of an app, with the rights to read and write users, companies and tags.
    pub token: Secret,
    /// Where the workspace is hosted. Default `us`.
    #[serde(default)]
    pub region: Region,
    /// Where requests go instead of Intercom's own address: a simulator or a proxy.
    #[serde(default)]
    pub base_url: Option<String>,
    /// A contact that is found archived: `unarchive` it, or `reject` its row. Default `unarchive`.
    #[serde(default)]
    pub archived: Archived,
    /// Contacts that are deleted are deleted for good, and not only archived. Default false.
    #[serde(default)]
    pub permanently_delete: bool,
    /// Requests per ten seconds, instead of what Intercom's answers say. They can lower it, not raise it.
    #[serde(default)]
    pub requests_per_10s: Option<NonZeroU32>,
    /// The part of the rate limit this connection may use, for example `40%`, where others share the app.
    #[serde(default)]
    pub quota_share: Option<Share>,
    /// Longest time for one request and its answer. Default 60s.
    #[serde(default)]
    pub request_timeout: Option<Span>,
    /// PEM file of the only certificate authorities to trust, instead of the system's.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
}

/// Where a workspace is hosted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Region {
    /// `https://api.intercom.io`
    #[default]
    Us,
    /// `https://api.eu.intercom.io`
    Eu,
    /// `https://api.au.intercom.io`
    Au,
}

/// What is done about a contact that is found archived.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Archived {
    /// It is taken out of the archive, then written: a row that comes back brings its record back.
    #[default]
    Unarchive,
    /// Its row is a reject.
    Reject,
}

impl Region {
    /// The API's address.
    pub fn host(self) -> &'static str {
        match self {
            Self::Us => "https://api.intercom.io",
            Self::Eu => "https://api.eu.intercom.io",
            Self::Au => "https://api.au.intercom.io",
        }
    }
}

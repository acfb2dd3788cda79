//! The options of a Mixpanel connection.

use std::num::NonZeroU32;
use std::path::PathBuf;

use flow::Secret;
use schemars::JsonSchema;
use serde::Deserialize;
use writer::options::{Share, Span};

/// A connection of `type: mixpanel`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// The project's token (*Project Settings > Access Keys*). Profiles and groups are written under it.
    pub token: Secret,
    /// The project's number.
    pub project_id: String,
    /// User name of a service account of the project, with the role Admin or Owner.
    pub service_account_user: String,
    /// The service account's secret.
    pub service_account_secret: Secret,
    /// Where the project's data lives. A wrong region loses data without an error.
    #[serde(default)]
    pub region: Region,
    /// Where requests go instead of Mixpanel: a simulator or a proxy.
    #[serde(default)]
    pub base_url: Option<String>,
    /// Requests per second. Default 15, which is Mixpanel's limit for full calls of events.
    #[serde(default)]
    pub requests_per_second: Option<NonZeroU32>,
    /// The part of the rate limit this connection may use, for example `40%`, where others share the project.
    #[serde(default)]
    pub quota_share: Option<Share>,
    /// Longest time for one request and its answer. Default 60s.
    #[serde(default)]
    pub request_timeout: Option<Span>,
    /// PEM file of the only certificate authorities to trust, instead of the system's.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
}

/// Data residency.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Region {
    /// United States.
    #[default]
    Us,
    /// European Union.
    Eu,
    /// India.
    In,
}

impl Region {
    /// Where data is sent.
    pub(super) fn ingestion(self) -> &'static str {
        match self {
            Self::Us => "https://api.mixpanel.com",
            Self::Eu => "https://api-eu.mixpanel.com",
            Self::In => "https://api-in.mixpanel.com",
        }
    }

    /// Where the project is asked about itself.
    pub(super) fn application(self) -> &'static str {
        match self {
            Self::Us => "https://mixpanel.com",
            Self::Eu => "https://eu.mixpanel.com",
            Self::In => "https://in.mixpanel.com",
        }
    }
}

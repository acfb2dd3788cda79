//! The options of a Zendesk connection.

use std::num::NonZeroU32;
use std::path::PathBuf;

use flow::Secret;
use schemars::JsonSchema;
use serde::Deserialize;
use writer::options::{Share, Span};

/// A connection of `type: zendesk`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// The account's name: `acme` of `https://acme.zendesk.com`.
    #[serde(default)]
    pub subdomain: Option<String>,
    /// The agent an API token acts for. Without it `token` is taken for an OAuth access token.
    #[serde(default)]
    pub email: Option<String>,
    /// API token (with `email`), or OAuth access token with the scopes `read` and `write`.
    pub token: Secret,
    /// Where requests go instead of `https://SUBDOMAIN.zendesk.com`: a simulator, a proxy or a sandbox.
    #[serde(default)]
    pub base_url: Option<String>,
    /// How users are upserted: `bulk` by jobs of 100, which Zendesk's support has to enable; `single`, one a call;
    /// `auto` tries jobs first. Default `auto`.
    #[serde(default)]
    pub user_import: UserImport,
    /// Users and tickets that are deleted are deleted for good, and not only put into the bin. Default false.
    #[serde(default)]
    pub permanently_delete: bool,
    /// Users that are made get Zendesk's e-mail asking them to verify their address. Default false.
    #[serde(default)]
    pub send_verification: bool,
    /// The account's plan, which sets the rate limit to begin with. What Zendesk's answers say replaces it.
    #[serde(default)]
    pub plan: Plan,
    /// Requests per minute, instead of the plan's limit. Zendesk's answers can lower it, not raise it.
    #[serde(default)]
    pub requests_per_minute: Option<NonZeroU32>,
    /// The part of the rate limit and of the 30 jobs at once this connection may use, for example `40%`.
    #[serde(default)]
    pub quota_share: Option<Share>,
    /// Longest time for one request and its answer. Default 60s.
    #[serde(default)]
    pub request_timeout: Option<Span>,
    /// Longest wait for a job's end; then the run ends, and the next one asks again. Default 10m.
    #[serde(default)]
    pub job_timeout: Option<Span>,
    /// PEM file of the only certificate authorities to trust, instead of the system's.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
}

/// How users are upserted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UserImport {
    /// By jobs, and one a call where the account does not allow them.
    #[default]
    Auto,
    /// By jobs.
    Bulk,
    /// One a call.
    Single,
}

/// Zendesk Suite plans, as far as their rate limits differ.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Plan {
    /// 200 requests a minute.
    #[default]
    Team,
    /// 400 requests a minute.
    Growth,
    /// 400 requests a minute.
    Professional,
    /// 700 requests a minute.
    Enterprise,
    /// 2,500 requests a minute.
    EnterprisePlus,
    /// 2,500 requests a minute: the High Volume API add-on.
    HighVolume,
}

impl Plan {
    /// Zendesk's limit per account
    /// (<https://developer.zendesk.com/api-reference/introduction/rate-limits/>).
    pub fn requests_per_minute(self) -> u32 {
        match self {
            Self::Team => 200,
            Self::Growth | Self::Professional => 400,
            Self::Enterprise => 700,
            Self::EnterprisePlus | Self::HighVolume => 2_500,
        }
    }
}

//! The options of a HubSpot connection.

use std::num::NonZeroU32;
use std::path::PathBuf;

use flow::Secret;
use schemars::JsonSchema;
use serde::Deserialize;
use writer::options::{Share, Span};

/// A connection of `type: hubspot`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Access token of a private app (`pat-...`) with the scopes `crm.objects.OBJECT.read`,
    /// `crm.objects.OBJECT.write` and `crm.schemas.OBJECT.read`.
    pub token: Secret,
    /// Where requests go instead of `https://api.hubapi.com`: a simulator, a proxy or a sandbox.
    #[serde(default)]
    pub base_url: Option<String>,
    /// The account's tier, which sets the rate limit to begin with. What HubSpot's answers say replaces it.
    #[serde(default)]
    pub tier: Tier,
    /// Requests per ten seconds, instead of the tier's limit. HubSpot's answers can lower it, not raise it.
    #[serde(default)]
    pub requests_per_10s: Option<NonZeroU32>,
    /// The part of the rate limits this connection may use, for example `40%`, where others share the account.
    #[serde(default)]
    pub quota_share: Option<Share>,
    /// Pairs of objects, `contacts.companies`, where rows decide in full: a contact is then associated with the companies
    /// its row names and with no other. Without, associations that people made stay, and so do those of earlier rows.
    #[serde(default)]
    pub replace_associations: Vec<Pair>,
    /// Longest time for one request and its answer. Default 60s.
    #[serde(default)]
    pub request_timeout: Option<Span>,
    /// PEM file of the only certificate authorities to trust, instead of the system's.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
}

/// An object and another one, `contacts.companies`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String")]
pub struct Pair {
    from: String,
    to: String,
}

impl Pair {
    /// Whether it is about these two; the other one may have several names.
    pub(super) fn is(&self, from: &str, to: &[&str]) -> bool {
        self.from == from && to.contains(&&*self.to)
    }
}

impl TryFrom<String> for Pair {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.split_once('.') {
            Some((from, to)) if !from.is_empty() && !to.is_empty() && !to.contains('.') => {
                Ok(Self { from: from.to_owned(), to: to.to_owned() })
            }
            _ => Err("want two objects, `contacts.companies`".to_owned()),
        }
    }
}

/// HubSpot account tiers, as far as their rate limits differ.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    /// 100 requests in ten seconds.
    #[default]
    Free,
    /// 100 requests in ten seconds.
    Starter,
    /// 190 requests in ten seconds.
    Professional,
    /// 190 requests in ten seconds.
    Enterprise,
}

impl Tier {
    /// HubSpot's limit per private app.
    pub fn requests_per_10s(self) -> u32 {
        match self {
            Self::Free | Self::Starter => 100,
            Self::Professional | Self::Enterprise => 190,
        }
    }
}

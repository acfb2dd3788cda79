//! The options of a Salesforce connection, and the way to sign in that they add up to.

use std::path::PathBuf;

use flow::{Error, Result, Secret};
use schemars::JsonSchema;
use serde::Deserialize;
use writer::codes::E2013_OPTIONS;
use writer::options::{Share, Span};

/// A connection of `type: salesforce`. One way to sign in is chosen by what is given: `access_token`; or `client_id`
/// with `username` and `private_key` (JWT bearer), with `client_secret` (client credentials), or with `refresh_token`
/// and `token_file`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("examples" = [{"access_token": "00D..."}]))]
pub struct Options {
    /// The org's own address (My Domain), `https://acme.my.salesforce.com`; requests for tokens go there too.
    #[serde(default)]
    pub instance_url: Option<String>,
    /// Where requests go instead of `instance_url`: a simulator or a proxy.
    #[serde(default)]
    pub base_url: Option<String>,
    /// A token made elsewhere, for sandboxes and trials: it is not renewed when the session ends.
    #[serde(default)]
    pub access_token: Option<Secret>,
    /// Consumer key of the connected app.
    #[serde(default)]
    pub client_id: Option<String>,
    /// Consumer secret of the connected app.
    #[serde(default)]
    pub client_secret: Option<Secret>,
    /// JWT bearer: the user to act as, who has approved the app beforehand.
    #[serde(default)]
    pub username: Option<String>,
    /// JWT bearer: RSA private key in PEM whose certificate the app has.
    #[serde(default)]
    pub private_key: Option<Secret>,
    /// JWT bearer: who the assertion is for. Default `https://login.salesforce.com`, for a sandbox `https://test.salesforce.com`.
    #[serde(default)]
    pub audience: Option<String>,
    /// Refresh token from an authorization by hand. Needs `token_file`.
    #[serde(default)]
    pub refresh_token: Option<Secret>,
    /// File that keeps the refresh token Salesforce put in the place of the last one. Only this machine's user can read it.
    #[serde(default)]
    pub token_file: Option<PathBuf>,
    /// Version of the API, `62.0` for example.
    #[serde(default)]
    pub api_version: ApiVersion,
    /// How rows are sent: `auto` takes Bulk API 2.0 for 2,000 rows or more that wait, else sObject Collections.
    #[serde(default)]
    pub api: Api,
    /// Records are deleted for good, past the recycle bin. Needs the permission "Bulk API Hard Delete".
    #[serde(default)]
    pub hard_delete: bool,
    /// Longest time a Bulk job is waited for; the next run asks for it again. Default 1h.
    #[serde(default)]
    pub job_timeout: Option<Span>,
    /// The part of the daily API requests this connection may use, for example `40%`, where others share the org.
    #[serde(default)]
    pub quota_share: Option<Share>,
    /// Longest time for one request and its answer. Default 120s; uploads and results of jobs have ten minutes at least.
    #[serde(default)]
    pub request_timeout: Option<Span>,
    /// PEM file of the only certificate authorities to trust, instead of the system's.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
}

/// Which API rows are sent by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Api {
    /// Few rows by sObject Collections, many by Bulk API 2.0.
    #[default]
    Auto,
    /// Always sObject Collections.
    Collections,
    /// Always Bulk API 2.0.
    Bulk,
}

/// A version of the API as it is written in paths.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String", extend("pattern" = r"^[0-9]{2,3}\.0$", "examples" = ["62.0"]))]
pub struct ApiVersion(pub String);

impl Default for ApiVersion {
    fn default() -> Self {
        Self("62.0".to_owned())
    }
}

/// sObject Collections upsert by external id (46.0) and `sf__Id` in failed results (53.0) are needed.
const API_VERSION_MIN: u32 = 53;

impl TryFrom<String> for ApiVersion {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let major: Option<u32> = text.strip_suffix(".0").and_then(|major| major.parse().ok());
        match major {
            Some(API_VERSION_MIN..=999) => Ok(Self(text)),
            _ => Err("`api_version` is 53.0 or later, written like `62.0`"),
        }
    }
}

/// How a connection gets its access tokens.
#[derive(Debug)]
pub(super) enum Login {
    Given {
        token: Secret,
    },
    Jwt {
        client_id: String,
        username: String,
        private_key: Secret,
        audience: String,
    },
    ClientCredentials {
        client_id: String,
        client_secret: Secret,
    },
    Refresh {
        client_id: String,
        client_secret: Option<Secret>,
        refresh_token: Secret,
        token_file: PathBuf,
    },
}

impl Options {
    /// The one way to sign in that the options describe.
    ///
    /// # Errors
    /// [`E2013_OPTIONS`] when they describe none, or more than one.
    pub(super) fn login(&mut self, connection: &str) -> Result<Login> {
        let wrong = |reason: &str| {
            let message = format!("connection `{connection}`: {reason}");
            Error::new(&E2013_OPTIONS, message).with_remedy(
                "Give `access_token`; or `client_id` with `username` and `private_key`, with `client_secret`, or with \
                 `refresh_token` and `token_file`.",
            )
        };
        let (client_id, client_secret) = (self.client_id.take(), self.client_secret.take());
        let jwt = (self.username.take(), self.private_key.take());
        let refresh = (self.refresh_token.take(), self.token_file.take());
        let login = match (self.access_token.take(), client_id, jwt, refresh) {
            (Some(token), None, (None, None), (None, None)) if client_secret.is_none() => {
                Login::Given { token }
            }
            (Some(_), ..) => {
                return Err(wrong("`access_token` is given besides other credentials"));
            }
            (None, None, ..) => return Err(wrong("there is no `access_token` and no `client_id`")),
            (_, Some(client_id), (Some(username), Some(private_key)), (None, None))
                if client_secret.is_none() =>
            {
                let sandbox =
                    self.instance_url.as_ref().is_some_and(|url| url.contains(".sandbox."));
                let host = if sandbox { "test" } else { "login" };
                let audience = self.audience.take();
                let audience = audience.unwrap_or_else(|| format!("https://{host}.salesforce.com"));
                Login::Jwt { client_id, username, private_key, audience }
            }
            (_, Some(client_id), (None, None), (Some(refresh_token), Some(token_file))) => {
                Login::Refresh { client_id, client_secret, refresh_token, token_file }
            }
            (_, _, (None, None), (Some(_), None)) => {
                return Err(wrong(
                    "`refresh_token` needs `token_file`: Salesforce may replace the token at every use",
                ));
            }
            (_, Some(client_id), (None, None), (None, None)) => {
                let client_secret = client_secret
                    .ok_or_else(|| wrong("`client_id` is given without a secret or a key"))?;
                Login::ClientCredentials { client_id, client_secret }
            }
            _ => {
                return Err(wrong(
                    "the credentials belong to more than one way to sign in, or to half of one",
                ));
            }
        };
        Ok(login)
    }
}

//! The options of the Salesforce double, read strictly.

use std::path::PathBuf;
use std::time::Duration;

use simulator::{OptionHelp, Quota, Settings, Span};

/// What `--option` understands beside the options of every simulator.
pub const OPTIONS: &[OptionHelp] = &[
    OptionHelp { name: "limit_daily", help: "API requests in any 24 hours. Default 100000." },
    OptionHelp { name: "org_id", help: "Id of the org. Default 00D000000000001EAA." },
    OptionHelp { name: "token", help: "The only access token accepted besides those given out." },
    OptionHelp {
        name: "client_id",
        help: "The connected app. With it only tokens given out (and `token`) are accepted. Default: any token.",
    },
    OptionHelp { name: "client_secret", help: "The app's secret. Default: any." },
    OptionHelp { name: "username", help: "The user who has approved the app. Default: any." },
    OptionHelp {
        name: "jwt_public_key",
        help: "PEM file of the key assertions are checked with. Default: the signature is not checked.",
    },
    OptionHelp { name: "refresh_token", help: "The refresh token that is good at first." },
    OptionHelp {
        name: "rotate",
        help: "`true` puts another refresh token in the place of each that was used. Default false.",
    },
    OptionHelp {
        name: "session_calls",
        help: "Calls after which a token that was given out has expired. Default: never.",
    },
    OptionHelp {
        name: "jobs_take",
        help: "Milliseconds from a job's upload to its end. Default 0.",
    },
    OptionHelp {
        name: "field",
        help: "Custom fields, `OBJECT:NAME:TYPE[:external][:unique][:required][:A|B|C]`, several separated by `;`. \
               An object that is not there is made. Types: string, textarea, email, phone, url, double, int, currency, \
               percent, boolean, date, datetime, picklist, restricted, multipicklist, reference(OBJECT).",
    },
    OptionHelp { name: "field.*", help: "One more custom field, such as `field.2=...`." },
];

/// The options, checked.
#[derive(Debug, Clone)]
pub(super) struct Options {
    pub(super) limit_daily: u64,
    pub(super) org_id: String,
    pub(super) token: Option<String>,
    pub(super) client_id: Option<String>,
    pub(super) client_secret: Option<String>,
    pub(super) username: Option<String>,
    pub(super) jwt_public_key: Option<PathBuf>,
    pub(super) refresh_token: Option<String>,
    pub(super) rotate: bool,
    pub(super) session_calls: Option<u64>,
    pub(super) jobs_take: Duration,
    pub(super) fields: Vec<String>,
}

impl Options {
    pub(super) fn read(settings: &Settings) -> Result<Self, String> {
        settings.refuse_unknown(OPTIONS)?;
        let text = |name: &str| settings.options.get(name).cloned();
        let custom = |name: &str| name == "field" || name.starts_with("field.");
        Ok(Self {
            limit_daily: settings.option("limit_daily")?.unwrap_or(100_000),
            org_id: text("org_id").unwrap_or_else(|| "00D000000000001EAA".to_owned()),
            token: text("token"),
            client_id: text("client_id"),
            client_secret: text("client_secret"),
            username: text("username"),
            jwt_public_key: text("jwt_public_key").map(PathBuf::from),
            refresh_token: text("refresh_token"),
            rotate: settings.option("rotate")?.unwrap_or(false),
            session_calls: settings.option("session_calls")?,
            jobs_take: Duration::from_millis(settings.option("jobs_take")?.unwrap_or(0)),
            fields: settings
                .options
                .iter()
                .filter(|(name, _)| custom(name))
                .flat_map(|(_, fields)| fields.split(';'))
                .map(|field| field.trim().to_owned())
                .filter(|field| !field.is_empty())
                .collect(),
        })
    }

    /// The last 24 hours of all requests but those for tokens.
    pub(super) fn quotas(&self) -> Vec<Quota> {
        vec![Quota {
            policy: "TotalRequests",
            calls_max: self.limit_daily,
            span: Span::Rolling(Duration::from_secs(86_400)),
            operations: None,
            exempt: &["token"],
        }]
    }
}

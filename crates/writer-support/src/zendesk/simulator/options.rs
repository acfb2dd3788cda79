//! The options of the Zendesk double, read strictly.

use std::time::Duration;

use simulator::{OptionHelp, Quota, Settings, Span};

use super::field::{Kind, OwnField};

/// What `--option` understands beside the options of every simulator.
pub const OPTIONS: &[OptionHelp] = &[
    OptionHelp {
        name: "plan",
        help: "team (200 calls a minute), professional (400), enterprise (700) or enterprise_plus (2500). Default enterprise.",
    },
    OptionHelp { name: "limit_minute", help: "Calls in any minute, instead of the plan's." },
    OptionHelp { name: "token", help: "The only token accepted. Default: any that is not empty." },
    OptionHelp {
        name: "bulk_users",
        help: "`false` answers jobs that upsert users with 403. Default true.",
    },
    OptionHelp { name: "jobs_max", help: "Jobs queued or running at once. Default 30." },
    OptionHelp { name: "queue_ms", help: "Milliseconds until a job begins. Default 10." },
    OptionHelp { name: "work_ms", help: "Milliseconds a job works. Default 10." },
    OptionHelp { name: "job_ttl", help: "Seconds until a job is forgotten. Default 3600." },
    OptionHelp {
        name: "results",
        help: "Result rows: `usual` for each call, `plain` (id and status), `indexed` (with the row's place), or `none`.",
    },
    OptionHelp {
        name: "shuffle",
        help: "`false` keeps result rows in order. Default true, but for `plain`.",
    },
    OptionHelp { name: "kill_every", help: "Every N-th job is killed half way. Default 0, none." },
    OptionHelp {
        name: "search_lag",
        help: "Milliseconds until a search sees a new record. Default 1000.",
    },
    OptionHelp {
        name: "field",
        help: "The account's own fields, `OBJECT:KEY:TYPE[:A|B]`, several separated by `;`. Types: text, integer, \
               decimal, checkbox, date, dropdown, multiselect.",
    },
    OptionHelp { name: "field.*", help: "One more such field, as `field.2=...`." },
    OptionHelp {
        name: "custom_object",
        help: "Keys of custom objects, separated by `,`. Default `car`.",
    },
];

/// How a job's result rows look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    Usual,
    Plain,
    Indexed,
    None,
}

/// The options, checked.
#[derive(Debug, Clone)]
pub(super) struct Options {
    pub(super) calls_in_minute: u64,
    pub(super) token: Option<String>,
    pub(super) bulk_users: bool,
    pub(super) jobs_max: usize,
    pub(super) queue_ms: i64,
    pub(super) work_ms: i64,
    pub(super) job_ttl_ms: i64,
    pub(super) dialect: Dialect,
    pub(super) shuffle: bool,
    pub(super) kill_every: u64,
    pub(super) search_lag_ms: i64,
    pub(super) fields: Vec<(String, OwnField)>,
    pub(super) custom_objects: Vec<String>,
}

impl Options {
    pub(super) fn read(settings: &Settings) -> Result<Self, String> {
        settings.refuse_unknown(OPTIONS)?;
        let calls = match settings.options.get("plan").map_or("enterprise", String::as_str) {
            "team" => 200,
            "growth" | "professional" => 400,
            "enterprise" => 700,
            "enterprise_plus" | "high_volume" => 2_500,
            other => return Err(format!("option `plan`: `{other}` is not a plan")),
        };
        let dialect = match settings.options.get("results").map_or("usual", String::as_str) {
            "usual" => Dialect::Usual,
            "plain" => Dialect::Plain,
            "indexed" => Dialect::Indexed,
            "none" => Dialect::None,
            other => return Err(format!("option `results`: `{other}` is none of its values")),
        };
        let custom = settings.options.get("custom_object").map_or("car", String::as_str);
        let custom: Vec<String> = custom.split(',').map(|key| key.trim().to_owned()).collect();
        Ok(Self {
            calls_in_minute: settings.option("limit_minute")?.unwrap_or(calls),
            token: settings.options.get("token").cloned(),
            bulk_users: settings.option("bulk_users")?.unwrap_or(true),
            jobs_max: settings.option("jobs_max")?.unwrap_or(30),
            queue_ms: settings.option("queue_ms")?.unwrap_or(10),
            work_ms: settings.option("work_ms")?.unwrap_or(10),
            job_ttl_ms: settings.option::<i64>("job_ttl")?.unwrap_or(3_600) * 1_000,
            dialect,
            shuffle: settings.option("shuffle")?.unwrap_or(dialect != Dialect::Plain),
            kill_every: settings.option("kill_every")?.unwrap_or(0),
            search_lag_ms: settings.option("search_lag")?.unwrap_or(1_000),
            fields: fields(settings)?,
            custom_objects: custom,
        })
    }

    pub(super) fn quotas(&self) -> Vec<Quota> {
        vec![Quota {
            policy: "account",
            calls_max: self.calls_in_minute,
            span: Span::Rolling(Duration::from_secs(60)),
            operations: None,
            exempt: &[],
        }]
    }
}

fn fields(settings: &Settings) -> Result<Vec<(String, OwnField)>, String> {
    let named =
        settings.options.iter().filter(|(name, _)| *name == "field" || name.starts_with("field."));
    let texts = named.flat_map(|(_, value)| value.split(';')).map(str::trim);
    texts.filter(|text| !text.is_empty()).map(parse_field).collect()
}

/// Reads `OBJECT:KEY:TYPE[:A|B]`.
fn parse_field(text: &str) -> Result<(String, OwnField), String> {
    let mut parts = text.split(':').map(str::trim);
    let wrong = || format!("field `{text}`: want OBJECT:KEY:TYPE[:A|B]");
    let (object, key) = parts.next().zip(parts.next()).ok_or_else(wrong)?;
    let kind = parts.next().and_then(Kind::parse).ok_or_else(wrong)?;
    let options = parts.next().unwrap_or_default().split('|').filter(|option| !option.is_empty());
    let options = options.map(str::to_owned).collect();
    Ok((object.to_owned(), OwnField { key: key.to_owned(), kind, options }))
}

//! The options of the HubSpot double, read strictly.

use std::collections::BTreeSet;
use std::time::Duration;

use simulator::{OptionHelp, Quota, Settings, Span};

use super::object::{Custom, Object};
use super::schema::Property;

/// What `--option` understands beside the options of every simulator.
pub const OPTIONS: &[OptionHelp] = &[
    OptionHelp {
        name: "tier",
        help: "Account tier: free (100 calls in 10 s), professional or enterprise (190). \
               Default professional.",
    },
    OptionHelp { name: "limit_10s", help: "Calls in any 10 seconds, instead of the tier's." },
    OptionHelp { name: "limit_daily", help: "Calls in a UTC day, instead of the tier's." },
    OptionHelp { name: "limit_search", help: "Search calls in any second. Default 5." },
    OptionHelp {
        name: "retry_after",
        help: "`true` adds a Retry-After header in seconds to 429. Default false.",
    },
    OptionHelp { name: "token", help: "The only token accepted. Default: any that is not empty." },
    OptionHelp { name: "portal_id", help: "Number of the account. Default 62515." },
    OptionHelp {
        name: "scopes",
        help: "Scopes of the token, comma-separated; calls outside them get 403. Default: all.",
    },
    OptionHelp {
        name: "search_lag",
        help: "Milliseconds until search sees a write. Default 1000.",
    },
    OptionHelp { name: "shuffle", help: "`false` keeps results in input order. Default true." },
    OptionHelp {
        name: "object",
        help: "Custom objects, `NAME[:REQUIRED|REQUIRED]`, several separated by `;`.",
    },
    OptionHelp {
        name: "label",
        help: "Association labels of one's own, `FROM:TO:LABEL`, several separated by `;`.",
    },
    OptionHelp {
        name: "property",
        help: "Custom properties, `OBJECT:NAME:TYPE[:unique][:A|B|C]`, several separated by `;`.",
    },
    OptionHelp { name: "property.*", help: "One more custom property, such as `property.2=...`." },
];

/// The options, checked.
#[derive(Debug, Clone)]
pub(super) struct Options {
    pub(super) calls_in_10s: u64,
    pub(super) calls_in_day: u64,
    pub(super) searches_in_second: u64,
    pub(super) retry_after: bool,
    pub(super) token: Option<String>,
    pub(super) portal_id: u64,
    pub(super) scopes: Option<BTreeSet<String>>,
    pub(super) search_lag_ms: i64,
    pub(super) shuffle: bool,
    pub(super) properties: Vec<(Object, Property)>,
    /// Standard and custom object types.
    pub(super) objects: Vec<Object>,
    pub(super) labels: Vec<(Object, Object, String)>,
}

impl Options {
    pub(super) fn read(settings: &Settings) -> Result<Self, String> {
        settings.refuse_unknown(OPTIONS)?;
        let tier = settings.options.get("tier").map_or("professional", String::as_str);
        let (calls_in_10s, calls_in_day) = match tier {
            "free" | "starter" => (100, 250_000),
            "professional" => (190, 625_000),
            "enterprise" => (190, 1_000_000),
            _ => {
                return Err(format!(
                    "option `tier`: `{tier}` is not free, starter, professional or enterprise"
                ));
            }
        };
        let portal_id = settings.option("portal_id")?.unwrap_or(62_515);
        let mut objects = Object::STANDARD.to_vec();
        for (number, text) in (0..).zip(several(settings, "object")) {
            objects.push(Object::Custom(Custom::parse(text, number, portal_id)?));
        }
        let scopes = |text: &String| text.split(',').map(|scope| scope.trim().to_owned()).collect();
        Ok(Self {
            calls_in_10s: settings.option("limit_10s")?.unwrap_or(calls_in_10s),
            calls_in_day: settings.option("limit_daily")?.unwrap_or(calls_in_day),
            searches_in_second: settings.option("limit_search")?.unwrap_or(5),
            retry_after: settings.option("retry_after")?.unwrap_or(false),
            token: settings.options.get("token").cloned(),
            portal_id,
            scopes: settings.options.get("scopes").map(scopes),
            search_lag_ms: settings.option("search_lag")?.unwrap_or(1_000),
            shuffle: settings.option("shuffle")?.unwrap_or(true),
            properties: properties(settings, &objects)?,
            labels: labels(settings, &objects)?,
            objects,
        })
    }

    pub(super) fn quotas(&self) -> Vec<Quota> {
        let quota = |policy, calls_max, span| Quota {
            policy,
            calls_max,
            span,
            operations: None,
            exempt: &[],
        };
        let ten_seconds = Span::Rolling(Duration::from_secs(10));
        let second = Span::Rolling(Duration::from_secs(1));
        vec![
            Quota {
                exempt: &["search"],
                ..quota("TEN_SECONDLY_ROLLING", self.calls_in_10s, ten_seconds)
            },
            quota("DAILY", self.calls_in_day, Span::Day),
            Quota {
                operations: Some(&["search"]),
                ..quota("SECONDLY", self.searches_in_second, second)
            },
        ]
    }
}

/// The items of an option that takes several.
fn several<'a>(settings: &'a Settings, name: &str) -> impl Iterator<Item = &'a str> {
    let text = settings.options.get(name).map_or("", String::as_str);
    text.split(';').map(str::trim).filter(|text| !text.is_empty())
}

fn labels(settings: &Settings, all: &[Object]) -> Result<Vec<(Object, Object, String)>, String> {
    let label = |text: &str| {
        let mut parts = text.splitn(3, ':').map(str::trim);
        let mut object = || parts.next().and_then(|name| Object::parse(name, all));
        match (object(), object(), parts.next()) {
            (Some(from), Some(to), Some(label)) if !label.is_empty() => {
                Ok((from, to, label.to_owned()))
            }
            _ => Err(format!("label `{text}`: want FROM:TO:LABEL")),
        }
    };
    several(settings, "label").map(label).collect()
}

fn properties(settings: &Settings, all: &[Object]) -> Result<Vec<(Object, Property)>, String> {
    let named = settings
        .options
        .iter()
        .filter(|(name, _)| *name == "property" || name.starts_with("property."));
    named
        .flat_map(|(_, value)| value.split(';'))
        .map(str::trim)
        .filter(|text| !text.is_empty())
        .map(|text| parse_property(text, all))
        .collect()
}

/// Reads `OBJECT:NAME:TYPE[:unique][:A|B|C]`.
pub(super) fn parse_property(text: &str, all: &[Object]) -> Result<(Object, Property), String> {
    let (object, rest) = text
        .split_once(':')
        .ok_or_else(|| format!("property `{text}`: want OBJECT:NAME:TYPE[:unique][:A|B|C]"))?;
    let object = Object::parse(object.trim(), all)
        .ok_or_else(|| format!("property `{text}`: no object `{object}`"))?;
    Ok((object, Property::parse(rest)?))
}

//! The options of the Intercom double, read strictly.

use std::time::Duration;

use simulator::{OptionHelp, Quota, Settings, Span};

/// What `--option` understands beside the options of every simulator.
pub const OPTIONS: &[OptionHelp] = &[
    OptionHelp { name: "limit_10s", help: "Calls in any ten seconds. Default 1666." },
    OptionHelp { name: "token", help: "The only token accepted. Default: any that is not empty." },
    OptionHelp {
        name: "search_lag",
        help: "Milliseconds until a search sees a write. Default 1000.",
    },
    OptionHelp {
        name: "attribute",
        help: "Data attributes, `MODEL:NAME:TYPE[:A|B]` (model contact or company; type string, integer, float, boolean, \
               date), several separated by `;`.",
    },
    OptionHelp { name: "attribute.*", help: "One more data attribute, as `attribute.2=...`." },
];

/// A data attribute of the workspace.
#[derive(Debug, Clone)]
pub(super) struct Attribute {
    pub(super) model: String,
    pub(super) name: String,
    pub(super) data_type: String,
    pub(super) options: Vec<String>,
}

/// The options, checked.
#[derive(Debug, Clone)]
pub(super) struct Options {
    pub(super) calls_in_10s: u64,
    pub(super) token: Option<String>,
    pub(super) search_lag_ms: i64,
    pub(super) attributes: Vec<Attribute>,
}

impl Options {
    pub(super) fn read(settings: &Settings) -> Result<Self, String> {
        settings.refuse_unknown(OPTIONS)?;
        let named = settings.options.iter();
        let named =
            named.filter(|(name, _)| *name == "attribute" || name.starts_with("attribute."));
        let texts = named.flat_map(|(_, value)| value.split(';')).map(str::trim);
        Ok(Self {
            calls_in_10s: settings.option("limit_10s")?.unwrap_or(1_666),
            token: settings.options.get("token").cloned(),
            search_lag_ms: settings.option("search_lag")?.unwrap_or(1_000),
            attributes: texts
                .filter(|text| !text.is_empty())
                .map(attribute)
                .collect::<Result<_, _>>()?,
        })
    }

    pub(super) fn quotas(&self) -> Vec<Quota> {
        vec![Quota {
            policy: "app",
            calls_max: self.calls_in_10s,
            span: Span::Rolling(Duration::from_secs(10)),
            operations: None,
            exempt: &[],
        }]
    }
}

/// Reads `MODEL:NAME:TYPE[:A|B]`.
fn attribute(text: &str) -> Result<Attribute, String> {
    let parts: Vec<&str> = text.split(':').map(str::trim).collect();
    match parts.as_slice() {
        [model @ ("contact" | "company"), name, data_type, options @ ..]
            if ["string", "integer", "float", "boolean", "date"].contains(data_type) =>
        {
            let options = options.first().copied().unwrap_or_default().split('|');
            Ok(Attribute {
                model: (*model).to_owned(),
                name: (*name).to_owned(),
                data_type: (*data_type).to_owned(),
                options: options.filter(|option| !option.is_empty()).map(str::to_owned).collect(),
            })
        }
        _ => Err(format!("attribute `{text}`: want MODEL:NAME:TYPE[:A|B]")),
    }
}

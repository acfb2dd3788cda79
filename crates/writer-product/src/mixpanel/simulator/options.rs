//! What the double is started with.

use serde_json::{Value, json};
use simulator::{LimitSwitch, OptionHelp, Settings};

/// Options besides those of every simulator.
pub const OPTIONS: &[OptionHelp] = &[
    OptionHelp {
        name: "token",
        help: "The project's token; data under another one is taken and dropped. Default: any.",
    },
    OptionHelp { name: "secret", help: "The service account's secret. Default: any." },
    OptionHelp {
        name: "property.*",
        help: "`property.plan=string:free|pro`: a property of the data dictionary, with its options.",
    },
];

#[derive(Debug)]
pub(super) struct Options {
    pub(super) token: Option<String>,
    pub(super) secret: Option<String>,
    pub(super) properties: Vec<(String, Value)>,
    pub(super) limited: bool,
}

impl Options {
    pub(super) fn read(settings: &Settings) -> Result<Self, String> {
        settings.refuse_unknown(OPTIONS)?;
        let mut properties = Vec::new();
        for (name, written) in &settings.options {
            let Some(name) = name.strip_prefix("property.") else { continue };
            let (kind, options) = match written.split_once(':') {
                Some((kind, options)) => (kind, Some(options)),
                None => (written.as_str(), None),
            };
            if !["string", "number", "boolean", "array", "object"].contains(&kind) {
                return Err(format!(
                    "option `property.{name}`: `{kind}` is no type of JSON Schema"
                ));
            }
            let mut property = json!({ "type": kind });
            if let Some(options) = options {
                property["enum"] = options.split('|').map(Value::from).collect();
            }
            properties.push((name.to_owned(), property));
        }
        Ok(Self {
            token: settings.option("token")?,
            secret: settings.option("secret")?,
            properties,
            limited: settings.limits == LimitSwitch::Vendor,
        })
    }
}

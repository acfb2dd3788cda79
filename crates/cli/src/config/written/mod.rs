//! What may be written in the project's files, before anything is checked. The schemas of `outflow schema`
//! are generated from these types, so they accept exactly what is read here.

mod project;
mod sync;

use std::borrow::Cow;
use std::collections::BTreeMap;

use flow::Secret;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

pub(super) use project::{Backend, ProjectFile, SimulatorOptions, StateSection};
pub(super) use sync::{
    ChangesSection, Continuous, DeliverySection, DestinationSection, FirstRun, FollowedTable,
    Freshness, Guards, LedTable, OnReject, PrivacySection, Remember, RemovedAction, RemovedSection,
    Schedule, SyncFile,
};

/// The form of names of syncs, connections, environments and variables.
pub(super) const NAME: &str = "^[a-z][a-z0-9_]{0,62}$";

/// What a name looks like, in words.
pub(super) const NAME_IN_WORDS: &str =
    "A name: a lower-case letter, then lower-case letters, digits and `_`, 63 at most.";

/// A name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(transparent)]
pub(super) struct Name(pub(super) String);

impl JsonSchema for Name {
    fn schema_name() -> Cow<'static, str> {
        "Name".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": NAME, "description": NAME_IN_WORDS })
    }
}

/// The version of the file format.
#[derive(Debug, Clone, Copy)]
pub(super) struct Version;

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u64::deserialize(deserializer)? {
            1 => Ok(Self),
            _ => Err(de::Error::custom("the only version is 1")),
        }
    }
}

impl JsonSchema for Version {
    fn schema_name() -> Cow<'static, str> {
        "Version".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "integer",
            "const": 1,
            "description": "Version of the file format; always 1.",
        })
    }
}

/// One text, or several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OneOrMore(pub(super) Vec<String>);

impl<'de> Deserialize<'de> for OneOrMore {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::String(one) => Ok(Self(vec![one])),
            more => serde_json::from_value(more).map(Self).map_err(de::Error::custom),
        }
    }
}

impl JsonSchema for OneOrMore {
    fn schema_name() -> Cow<'static, str> {
        "OneOrMore".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "oneOf": [
                { "type": "string", "minLength": 1 },
                {
                    "type": "array",
                    "items": { "type": "string", "minLength": 1 },
                    "minItems": 1,
                    "uniqueItems": true,
                },
            ],
        })
    }
}

/// Pairs of destination field and model column, in the order written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pairs(pub(crate) Vec<(String, String)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let map = serde_json::Map::<String, serde_json::Value>::deserialize(deserializer)?;
        map.into_iter()
            .map(|(field, column)| match column {
                serde_json::Value::String(column) => Ok((field, column)),
                _ => Err(de::Error::custom(format!("`{field}` takes a model column"))),
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

impl JsonSchema for Pairs {
    fn schema_name() -> Cow<'static, str> {
        "Pairs".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "description": "Destination field: model column.",
            "minProperties": 1,
            "propertyNames": { "minLength": 1 },
            "additionalProperties": { "type": "string", "minLength": 1 },
        })
    }
}

/// A value that is put into sync files as `${var:name}`.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(transparent)]
pub(super) struct Vars(
    #[schemars(extend("propertyNames" = { "pattern": NAME, "description": NAME_IN_WORDS }))]
    #[expect(dead_code, reason = "describes the file; the values are read from its tree")]
    BTreeMap<String, VarValue>,
);

/// Text, a number or a boolean.
#[derive(Debug, Clone)]
pub(super) struct VarValue;

impl JsonSchema for VarValue {
    fn schema_name() -> Cow<'static, str> {
        "VarValue".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "number", "boolean"] })
    }
}

/// Where news of a run goes. Nothing is sent by this version; monitoring is done with the metrics.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "accepted; what is sent does not depend on it")]
pub(super) struct Alerts {
    /// Incoming-webhook address of a Slack channel.
    slack: Option<Secret>,
    /// Address that receives a POST.
    webhook: Option<Secret>,
    /// Mail addresses.
    email: Option<OneOrMore>,
}

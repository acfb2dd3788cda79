//! The JSON Schema of `mappings:`; it accepts exactly what `written.rs` reads.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::mappings::Transform;
use crate::mappings::{
    Convert, FieldMapping, IfMissing, Mappings, OnDrift, OnNull, Otherwise, RunValue,
};
use crate::words::Word;

fn words<T: Word>() -> Vec<&'static str> {
    T::WORDS.iter().map(|(word, _)| *word).collect()
}

impl JsonSchema for Mappings {
    fn schema_name() -> Cow<'static, str> {
        "Mappings".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let field = generator.subschema_for::<FieldMapping>();
        json_schema!({
            "type": "object",
            "description": "Destination field: where its value comes from.",
            "minProperties": 1,
            "propertyNames": { "minLength": 1 },
            "additionalProperties": field,
        })
    }
}

impl JsonSchema for FieldMapping {
    fn schema_name() -> Cow<'static, str> {
        "FieldMapping".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let transform = generator.subschema_for::<Transform>();
        json_schema!({
            "oneOf": [
                { "type": "string", "minLength": 1, "description": "Model column." },
                {
                    "type": "object",
                    "properties": {
                        "from": { "type": "string", "minLength": 1, "description": "Model column." },
                        "const": scalar("The same value in every row.", true),
                        "template": { "type": "string", "description": "minijinja template; its variables are model columns." },
                        "run": { "enum": words::<RunValue>(), "description": "Something about the run; not part of change detection." },
                        "lookup": lookup(),
                        "values": {
                            "type": "object",
                            "minProperties": 1,
                            "additionalProperties": scalar("What the source value becomes.", true),
                            "description": "Value map: source value to destination value.",
                        },
                        "otherwise": { "enum": words::<Otherwise>(), "default": "reject", "description": "A value that `values` does not list." },
                        "transform": { "type": "array", "items": transform, "description": "Applied in this order, after `values`." },
                        "as": { "enum": words::<Convert>(), "description": "Convert to this type, after `transform`." },
                        "default": scalar("What NULL becomes.", false),
                        "on_null": { "enum": words::<OnNull>(), "default": "send", "description": "send and clear empty the field, skip leaves it alone, reject refuses the row." },
                        "on_drift": { "enum": words::<OnDrift>(), "default": "overwrite", "description": "What `outflow reconcile --fix` does about a field that was edited at the destination." },
                        "only_if_empty": { "type": "boolean" },
                        "only_on_create": { "type": "boolean" },
                    },
                    "additionalProperties": false,
                    "dependentRequired": { "otherwise": ["values"] },
                    "oneOf": [
                        { "required": ["from"] },
                        { "required": ["const"] },
                        { "required": ["template"] },
                        { "required": ["run"] },
                        { "required": ["lookup"] },
                    ],
                },
            ],
        })
    }
}

impl JsonSchema for Transform {
    fn schema_name() -> Cow<'static, str> {
        "Transform".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let one = |name: &str, argument: Schema| {
            let mut properties = serde_json::Map::new();
            properties.insert(name.to_owned(), argument.into());
            json_schema!({
                "type": "object",
                "properties": properties,
                "required": [name],
                "additionalProperties": false,
            })
        };
        json_schema!({
            "oneOf": [
                { "enum": words::<Self>() },
                one("truncate", json_schema!({ "type": "integer", "minimum": 1, "description": "Characters kept." })),
                one("e164", json_schema!({
                    "oneOf": [
                        { "type": "string", "pattern": "^\\+?[1-9][0-9]{0,2}$" },
                        { "type": "integer", "minimum": 1, "maximum": 999 },
                    ],
                    "description": "Country code for numbers written without one.",
                })),
                one("date_format", json_schema!({ "type": "string", "description": "strftime format, in UTC." })),
            ],
        })
    }
}

fn scalar(description: &str, null: bool) -> Schema {
    let mut types = vec!["string", "number", "boolean"];
    if null {
        types.push("null");
    }
    json_schema!({ "type": types, "description": description })
}

fn lookup() -> Schema {
    json_schema!({
        "type": "object",
        "properties": {
            "object": { "type": "string", "minLength": 1, "description": "The destination's object in which the record is looked for." },
            "match_on": {
                "type": "object",
                "minProperties": 1,
                "additionalProperties": { "type": "string", "minLength": 1 },
                "description": "The object's field, and the model column that has its value.",
            },
            "sync": { "type": "string", "minLength": 1, "description": "The sync that wrote the record; its ids are in the ledger." },
            "key": {
                "oneOf": [
                    { "type": "string", "minLength": 1 },
                    { "type": "array", "minItems": 1, "items": { "type": "string", "minLength": 1 } },
                ],
                "description": "Model columns with the primary key of the other sync's row.",
            },
            "if_missing": { "enum": words::<IfMissing>(), "default": "reject", "description": "What happens when there is no such record." },
        },
        "oneOf": [{ "required": ["object"] }, { "required": ["sync"] }],
        "dependentRequired": {
            "object": ["match_on"], "match_on": ["object"], "sync": ["key"], "key": ["sync"],
        },
        "additionalProperties": false,
    })
}

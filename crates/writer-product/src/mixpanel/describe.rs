//! Properties the project's Lexicon knows, besides those every project has.

use flow::{Field, FieldKind, ObjectSchema};
use serde_json::Value;
use writer::Reply;

use super::object::Object;

/// Adds what the list of schemas (<https://docs.mixpanel.com/reference/list-all-schemas-for-project>) says about the
/// object. Properties that are not in it may be written, too.
pub(super) fn schema(mut known: ObjectSchema, object: &Object, reply: &Reply) -> ObjectSchema {
    let answer: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    let entity = match object {
        Object::Events => "event",
        Object::Profiles => "profile",
        Object::Groups(_) => return known,
    };
    let schemas = answer["results"].as_array().into_iter().flatten();
    for schema in schemas.filter(|schema| schema["entityType"] == entity) {
        let properties = schema["schemaJson"]["properties"].as_object().into_iter().flatten();
        for (name, property) in properties {
            if known.field(name).is_none() {
                known.fields.push(field(name, property));
            }
        }
    }
    known
}

fn field(name: &str, property: &Value) -> Field {
    let options = property["enum"].as_array().map(|options| {
        options.iter().filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>()
    });
    let kind = match (property["type"].as_str(), property["format"].as_str(), options) {
        (Some("string"), _, Some(options)) if !options.is_empty() => FieldKind::Enum { options },
        (Some("string"), Some("date-time" | "date"), _) => FieldKind::DateTime,
        (Some("number" | "integer"), ..) => FieldKind::Number,
        (Some("boolean"), ..) => FieldKind::Boolean,
        (Some("string"), ..) => FieldKind::Text { chars_max: None },
        _ => FieldKind::Any,
    };
    Field {
        name: name.to_owned(),
        label: name.to_owned(),
        kind,
        required: false,
        unique: false,
        read_only: false,
        folds_case: false,
    }
}

//! Choosing the fields the suite writes from what a destination describes, and finding them in what it holds.

use flow::{Field, FieldKind, ObjectSchema};
use serde_json::Value;

/// The text field with the most room, so that any text of the suite fits.
pub(super) fn roomiest_text(schema: &ObjectSchema) -> Option<Field> {
    let mut roomiest: Option<(usize, &Field)> = None;
    for field in schema.fields.iter().filter(|field| !field.unique && !field.read_only) {
        if field.required || field.name.starts_with("associations.") {
            continue;
        }
        if let FieldKind::Text { chars_max } = &field.kind {
            let room = chars_max.unwrap_or(usize::MAX);
            if roomiest.is_none_or(|(most, _)| room > most) {
                roomiest = Some((room, field));
            }
        }
    }
    roomiest.map(|(_, field)| field.clone())
}

/// A schema lists each field once.
pub(super) fn assert_each_field_is_listed_once(name: &str, schema: &ObjectSchema) {
    let mut names: Vec<&str> = schema.fields.iter().map(|field| field.name.as_str()).collect();
    names.sort_unstable();
    assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{name}: a field is listed twice");
}

/// The first member of that name anywhere in a record.
pub(super) fn value_of(record: &Value, name: &str) -> Option<String> {
    let members = record.as_object()?;
    match members.get(name) {
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => members.values().find_map(|member| value_of(member, name)),
    }
}

/// A field of a destination that describes none.
pub(super) fn named(name: &str) -> Field {
    Field {
        name: name.to_owned(),
        label: name.to_owned(),
        kind: FieldKind::Text { chars_max: None },
        required: false,
        unique: false,
        read_only: false,
        folds_case: false,
    }
}

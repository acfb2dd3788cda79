//! An object's properties, as HubSpot lists them, as the fields a mapping is checked against.

use flow::{Field, FieldKind, ObjectSchema, Result};
use serde::Deserialize;
use writer::Reply;

use super::answer::{List, Word};
use super::association::object;
use super::classify::Judge;
use super::wire;

/// Longest text of a property.
const TEXT_CHARS_MAX: usize = 65_536;

#[derive(Debug, Deserialize)]
struct Properties {
    results: Vec<Property>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Property {
    name: String,
    label: Word,
    r#type: Word,
    field_type: Word,
    options: List<PropertyOption>,
    has_unique_value: bool,
    calculated: bool,
    modification_metadata: Modification,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PropertyOption {
    value: Word,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Modification {
    read_only_value: bool,
}

/// Reads the answer to `GET /crm/v3/properties/{object}`.
///
/// # Errors
/// When it is not a list of properties.
pub(super) fn schema(object: &str, reply: &Reply, judge: Judge<'_>) -> Result<ObjectSchema> {
    let properties: Properties =
        serde_json::from_slice(&reply.body).map_err(|_| judge.unreadable(reply))?;
    let mut fields: Vec<Field> = properties
        .results
        .into_iter()
        .filter(|property| !property.name.is_empty())
        .map(|property| field(object, property))
        .collect();
    fields.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(ObjectSchema { object: object.to_owned(), fields, open: false })
}

#[derive(Debug, Deserialize)]
struct CustomObjects {
    results: List<CustomObject>,
}

/// An object the account has made itself.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct CustomObject {
    name: Word,
    object_type_id: Word,
    fully_qualified_name: Word,
    required_properties: List<Word>,
    #[serde(skip)]
    short: String,
}

impl CustomObject {
    /// `p_license`, by which HubSpot finds it in any account.
    pub(super) fn name(&self) -> &str {
        &self.short
    }

    /// `2-123`.
    pub(super) fn type_id(&self) -> &str {
        self.object_type_id.as_str()
    }

    /// Whether `object` is one of its names: `p_license`, `p123_license`, `2-123`.
    pub(super) fn is(&self, object: &str) -> bool {
        [self.name(), self.type_id(), self.fully_qualified_name.as_str()].contains(&object)
    }

    /// Marks the properties without which HubSpot makes no record of it.
    pub(super) fn require(&self, schema: &mut ObjectSchema) {
        let required: Vec<&str> = self.required_properties.0.iter().map(Word::as_str).collect();
        for field in &mut schema.fields {
            field.required = required.contains(&&*field.name);
        }
    }
}

/// Reads the answer to `GET /crm-object-schemas/v3/schemas`.
///
/// # Errors
/// When it is not a list of objects.
pub(super) fn custom_objects(reply: &Reply, judge: Judge<'_>) -> Result<Vec<CustomObject>> {
    let objects: CustomObjects = object(reply, judge)?;
    let named = |object: &CustomObject| {
        !object.name.as_str().is_empty() && wire::object_path(object.type_id()).is_ok()
    };
    let mut objects: Vec<CustomObject> = objects.results.0.into_iter().filter(named).collect();
    for object in &mut objects {
        object.short = format!("p_{}", object.name.as_str());
    }
    Ok(objects)
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Account {
    portal_id: Word,
    utc_offset_milliseconds: Option<serde_json::Number>,
}

/// Reads the answer to `GET /account-info/v3/details`: the account's name, and its distance from UTC in microseconds;
/// `None` where it does not say.
pub(super) fn account(reply: &Reply) -> (Option<String>, Option<i64>) {
    let account: Account = serde_json::from_slice(&reply.body).unwrap_or_default();
    let offset = account.utc_offset_milliseconds.and_then(|millis| millis.as_i64());
    // No zone is further away than 14 hours.
    let offset =
        offset.filter(|millis| millis.abs() <= 14 * 3_600_000).map(|millis| millis * 1_000);
    (account.portal_id.0.map(|id| format!("HubSpot account {id}")), offset)
}

fn field(object: &str, property: Property) -> Field {
    // A contact's e-mail address finds records although it is not marked as unique; letter case is ignored.
    let contact_email =
        matches!(object, "contacts" | "contact" | "0-1") && property.name == "email";
    Field {
        kind: if contact_email { FieldKind::Email } else { kind(&property) },
        label: property.label.0.unwrap_or_else(|| property.name.clone()),
        // HubSpot creates a record with nothing but the value it is found by.
        required: false,
        unique: contact_email || property.has_unique_value,
        read_only: property.calculated || property.modification_metadata.read_only_value,
        folds_case: contact_email,
        name: property.name,
    }
}

fn kind(property: &Property) -> FieldKind {
    let options = || -> Vec<String> {
        property.options.0.iter().filter_map(|option| option.value.0.clone()).collect()
    };
    match (property.r#type.as_str(), property.field_type.as_str()) {
        ("number", _) => FieldKind::Number,
        ("bool", _) | ("enumeration", "booleancheckbox") => FieldKind::Boolean,
        ("date", _) => FieldKind::Date,
        ("datetime", _) => FieldKind::DateTime,
        ("phone_number", _) => FieldKind::Phone,
        // Options kept elsewhere, as of an owner: any text, checked by HubSpot.
        ("string", _) => FieldKind::Text { chars_max: Some(TEXT_CHARS_MAX) },
        ("enumeration", _) if property.options.0.is_empty() => {
            FieldKind::Text { chars_max: Some(TEXT_CHARS_MAX) }
        }
        ("enumeration", "checkbox") => FieldKind::MultiEnum { options: options() },
        ("enumeration", _) => FieldKind::Enum { options: options() },
        _ => FieldKind::Any,
    }
}

#[cfg(test)]
mod tests {
    use flow::Secret;
    use writer::conformance::refusals::reply;

    use super::*;

    fn read(object: &str, body: &str) -> Result<ObjectSchema> {
        let token = Secret::new("t");
        let reply = reply(200, &[], body);
        schema(object, &reply, Judge { token: &token, now_micros: 0, rows: 0 })
    }

    const PROPERTIES: &str = r#"{"results": [
        {"name": "email", "label": "E-mail", "type": "string", "fieldType": "text"},
        {"name": "seats", "label": "Seats", "type": "number", "fieldType": "number"},
        {"name": "score", "type": "number", "calculated": true},
        {"name": "createdate", "type": "datetime", "modificationMetadata": {"readOnlyValue": true}},
        {"name": "born", "type": "date", "modificationMetadata": {"readOnlyValue": false}},
        {"name": "code", "type": "string", "hasUniqueValue": true},
        {"name": "active", "type": "bool", "fieldType": "booleancheckbox"},
        {"name": "vip", "type": "enumeration", "fieldType": "booleancheckbox",
         "options": [{"value": "true"}, {"value": "false"}]},
        {"name": "plan", "type": "enumeration", "fieldType": "select",
         "options": [{"label": "Free", "value": "free"}, {"value": "pro", "hidden": true}]},
        {"name": "tags", "type": "enumeration", "fieldType": "checkbox", "options": [{"value": "a"}]},
        {"name": "owner", "type": "enumeration", "fieldType": "select", "options": []},
        {"name": "mobile", "type": "phone_number", "fieldType": "phonenumber"},
        {"name": "place", "type": "object_coordinates"},
        {"label": "without a name"}
    ]}"#;

    #[test]
    fn properties_become_fields() {
        let schema = read("contacts", PROPERTIES).expect("a schema");
        let kind = |name: &str| schema.field(name).expect("known").kind.clone();
        let text = FieldKind::Text { chars_max: Some(65_536) };
        assert_eq!(schema.fields.len(), 13);
        assert_eq!(kind("email"), FieldKind::Email);
        assert_eq!(kind("seats"), FieldKind::Number);
        assert_eq!(kind("createdate"), FieldKind::DateTime);
        assert_eq!(kind("born"), FieldKind::Date);
        assert_eq!((kind("active"), kind("vip")), (FieldKind::Boolean, FieldKind::Boolean));
        let options = vec!["free".to_owned(), "pro".to_owned()];
        assert_eq!(kind("plan"), FieldKind::Enum { options });
        assert_eq!(kind("tags"), FieldKind::MultiEnum { options: vec!["a".to_owned()] });
        assert_eq!((kind("owner"), kind("code")), (text.clone(), text));
        assert_eq!((kind("mobile"), kind("place")), (FieldKind::Phone, FieldKind::Any));
        assert!(!schema.open);
    }

    #[test]
    fn only_a_contacts_email_is_unique_without_saying_so() {
        let contacts = read("contacts", PROPERTIES).expect("a schema");
        let email = contacts.field("email").expect("known");
        assert!(email.unique && email.folds_case && !email.required);
        assert!(contacts.field("code").expect("known").unique);
        assert!(!contacts.field("seats").expect("known").unique);
        let companies = read("companies", PROPERTIES).expect("a schema");
        assert!(!companies.field("email").expect("known").unique);
    }

    #[test]
    fn calculated_and_read_only_properties_cannot_be_written() {
        let schema = read("contacts", PROPERTIES).expect("a schema");
        let read_only: Vec<_> =
            schema.fields.iter().filter(|field| field.read_only).map(|field| &field.name).collect();
        assert_eq!(read_only, ["createdate", "score"]);
    }

    #[test]
    fn an_answer_that_is_no_list_of_properties_is_an_error() {
        for body in ["", "<html>", "{}", "[]", "null", r#"{"results": 1}"#, r#"{"results": [1]}"#] {
            let error = read("contacts", body).expect_err("unreadable");
            assert_eq!(error.code().id, "E2004", "{body}");
        }
    }
}

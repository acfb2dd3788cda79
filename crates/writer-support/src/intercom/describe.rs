//! An object's fields: Intercom's own, and the workspace's data attributes.

use flow::{Field, FieldKind, ObjectSchema, Result};
use serde_json::Value;
use writer::{Reply, json, text};

use super::Intercom;
use super::object::Object;
use super::wire::OWN;

/// Longest text of an attribute.
const TEXT_CHARS_MAX: usize = 255;

/// Intercom's own fields: name, kind, and `u` unique, `r` read-only.
/// Source: <https://developers.intercom.com/docs/references/rest-api/api.intercom.io/contacts/createcontact>
type Own = (&'static str, &'static str, &'static str);

const CONTACTS: &[Own] = &[
    ("associations.companies", "ids", ""),
    ("associations.tags", "ids", ""),
    ("avatar", "url", ""),
    ("created_at", "datetime", "r"),
    ("email", "email", "u"),
    ("external_id", "text", "u"),
    ("id", "text", "r"),
    ("last_seen_at", "datetime", ""),
    ("name", "text", ""),
    ("owner_id", "number", ""),
    ("phone", "phone", ""),
    ("role", "user|lead", ""),
    ("signed_up_at", "datetime", ""),
    ("unsubscribed_from_emails", "boolean", ""),
    ("updated_at", "datetime", "r"),
];

const COMPANIES: &[Own] = &[
    ("company_id", "text", "u"),
    ("created_at", "datetime", "r"),
    ("id", "text", "r"),
    ("industry", "text", ""),
    ("monthly_spend", "number", ""),
    ("name", "text", ""),
    ("plan", "text", ""),
    ("remote_created_at", "datetime", ""),
    ("size", "number", ""),
    ("updated_at", "datetime", "r"),
    ("website", "url", ""),
];

const TAGS: &[Own] = &[("id", "text", "r"), ("name", "text", "u")];

impl Intercom {
    /// The object's fields, asked from Intercom.
    pub(super) async fn schema(&self, object: Object) -> Result<ObjectSchema> {
        let (own, path) = match object {
            Object::Contacts => (CONTACTS, "/data_attributes?model=contact"),
            Object::Companies => (COMPANIES, "/data_attributes?model=company"),
            Object::Tags => (TAGS, "/tags"),
        };
        let reply = self.ask(path.to_owned(), "describe").await?;
        let judge = self.judge();
        if !reply.is_success() {
            return Err(judge.error(&reply));
        }
        let answer = judge.object(&reply)?;
        let Some(listed) = answer["data"].as_array() else { return Err(judge.unreadable(&reply)) };
        let mut fields: Vec<Field> = own.iter().map(of_intercom).collect();
        if object != Object::Tags {
            fields.extend(listed.iter().filter_map(of_workspace));
        }
        fields.sort_by(|a, b| a.name.cmp(&b.name));
        fields.dedup_by(|a, b| a.name == b.name);
        Ok(ObjectSchema { object: object.name().to_owned(), fields, open: false })
    }
}

/// Reads the answer to `GET /me`; `None` where it does not name the workspace.
pub(super) fn account(reply: &Reply) -> Option<String> {
    let answer = json(reply)?;
    text(&answer["app"], "id_code").map(|id| format!("Intercom workspace {id}"))
}

fn of_intercom((name, kind, marks): &Own) -> Field {
    Field {
        name: (*name).to_owned(),
        label: name.replace(['.', '_'], " "),
        kind: match *kind {
            "text" => FieldKind::Text { chars_max: Some(TEXT_CHARS_MAX) },
            "url" | "ids" => FieldKind::Text { chars_max: None },
            "number" => FieldKind::Number,
            "boolean" => FieldKind::Boolean,
            "datetime" => FieldKind::DateTime,
            "email" => FieldKind::Email,
            "phone" => FieldKind::Phone,
            options => FieldKind::Enum { options: options.split('|').map(str::to_owned).collect() },
        },
        required: false,
        unique: marks.contains('u'),
        read_only: marks.contains('r'),
        folds_case: *kind == "email",
    }
}

/// A data attribute the workspace has made.
fn of_workspace(listed: &Value) -> Option<Field> {
    let name = text(listed, "name").filter(|_| listed["custom"] == true)?;
    let options: Vec<String> = listed["options"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|option| text(option, "value").or_else(|| option.as_str().map(str::to_owned)))
        .collect();
    Some(Field {
        kind: match listed["data_type"].as_str().unwrap_or_default() {
            "integer" | "float" => FieldKind::Number,
            "boolean" => FieldKind::Boolean,
            "date" | "datetime" => FieldKind::DateTime,
            "string" | "options" if !options.is_empty() => FieldKind::Enum { options },
            "string" | "options" => FieldKind::Text { chars_max: Some(TEXT_CHARS_MAX) },
            _ => FieldKind::Any,
        },
        label: text(listed, "label").unwrap_or_else(|| name.clone()),
        name: format!("{OWN}.{name}"),
        required: false,
        unique: false,
        read_only: listed["api_writable"] == false || listed["archived"] == true,
        folds_case: false,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn data_attributes_are_nested_and_typed() {
        let read = |listed: Value| of_workspace(&listed);
        let seats =
            read(json!({"name": "seats", "label": "Seats", "data_type": "integer", "custom": true,
            "api_writable": true}))
            .expect("a field");
        assert_eq!(
            (seats.name.as_str(), seats.kind),
            ("custom_attributes.seats", FieldKind::Number)
        );
        let plan = read(
            json!({"name": "plan", "data_type": "string", "custom": true, "options": ["a", {"value": "b"}]}),
        );
        let options = vec!["a".to_owned(), "b".to_owned()];
        assert_eq!(plan.expect("a field").kind, FieldKind::Enum { options });
        assert!(
            read(json!({"name": "x", "custom": true, "archived": true}))
                .expect("a field")
                .read_only
        );
        assert!(
            read(json!({"name": "x", "custom": true, "api_writable": false}))
                .expect("a field")
                .read_only
        );
        assert!(read(json!({"name": "email", "custom": false})).is_none());
    }

    #[test]
    fn every_field_of_intercom_is_listed_once_and_in_order() {
        for own in [CONTACTS, COMPANIES, TAGS] {
            assert!(own.windows(2).all(|pair| pair[0].0 < pair[1].0), "{own:?}");
        }
    }
}

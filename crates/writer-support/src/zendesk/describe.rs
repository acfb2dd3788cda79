//! An object's fields: Zendesk's own, which it lists nowhere, and the account's.

use flow::{Field, FieldKind, ObjectSchema, Result};
use serde_json::Value;
use writer::{Method, Request, percent, text};

use super::Zendesk;
use super::object::Object;
use super::wire::LISTS;

/// Longest text of a field.
const TEXT_CHARS_MAX: usize = 65_536;
/// Pages of 100 fields; Zendesk allows a few hundred.
const PAGES_MAX: usize = 50;

/// Zendesk's own fields: name, kind, and `*` required, `u` unique, `r` read-only.
/// Source: <https://developer.zendesk.com/api-reference/ticketing/users/users/> and the pages of the other objects.
type Own = (&'static str, &'static str, &'static str);

const USERS: &[Own] = &[
    ("alias", "text", ""),
    ("created_at", "datetime", "r"),
    ("custom_role_id", "number", ""),
    ("default_group_id", "number", ""),
    ("details", "text", ""),
    ("email", "email", "u"),
    ("external_id", "text", "u"),
    ("id", "number", "r"),
    ("last_login_at", "datetime", "r"),
    ("locale", "text", ""),
    ("moderator", "boolean", ""),
    ("name", "text", "*"),
    ("notes", "text", ""),
    ("only_private_comments", "boolean", ""),
    ("organization.name", "text", ""),
    ("organization_id", "number", ""),
    ("phone", "phone", ""),
    ("restricted_agent", "boolean", ""),
    ("role", "end-user|agent|admin", ""),
    ("shared_phone_number", "boolean", ""),
    ("signature", "text", ""),
    ("suspended", "boolean", ""),
    ("tags", "list", ""),
    ("ticket_restriction", "organization|groups|assigned|requested", ""),
    ("time_zone", "text", ""),
    ("updated_at", "datetime", "r"),
    ("verified", "boolean", ""),
];

const ORGANIZATIONS: &[Own] = &[
    ("created_at", "datetime", "r"),
    ("details", "text", ""),
    ("domain_names", "list", ""),
    ("external_id", "text", "u"),
    ("group_id", "number", ""),
    ("id", "number", "r"),
    ("name", "text", "*"),
    ("notes", "text", ""),
    ("shared_comments", "boolean", ""),
    ("shared_tickets", "boolean", ""),
    ("tags", "list", ""),
    ("updated_at", "datetime", "r"),
];

const TICKETS: &[Own] = &[
    ("assignee_email", "email", ""),
    ("assignee_id", "number", ""),
    ("brand_id", "number", ""),
    ("collaborator_ids", "list", ""),
    ("comment.body", "text", ""),
    ("comment.html_body", "text", ""),
    ("comment.public", "boolean", ""),
    ("created_at", "datetime", "r"),
    ("due_at", "datetime", ""),
    ("email_cc_ids", "list", ""),
    ("external_id", "text", "u"),
    ("follower_ids", "list", ""),
    ("group_id", "number", ""),
    ("id", "number", "u"),
    ("organization_id", "number", ""),
    ("priority", "urgent|high|normal|low", ""),
    ("problem_id", "number", ""),
    ("requester_id", "number", ""),
    ("status", "new|open|pending|hold|solved|closed", ""),
    ("subject", "text", ""),
    ("tags", "list", ""),
    ("ticket_form_id", "number", ""),
    ("type", "problem|incident|question|task", ""),
    ("updated_at", "datetime", "r"),
];

const CUSTOM: &[Own] = &[
    ("created_at", "datetime", "r"),
    ("external_id", "text", "u"),
    ("id", "text", "r"),
    ("name", "text", "u"),
    ("updated_at", "datetime", "r"),
];

impl Zendesk {
    /// The object's fields, asked from Zendesk.
    pub(super) async fn schema(&self, name: &str) -> Result<ObjectSchema> {
        let object = Object::parse(name)?;
        let mut fields: Vec<Field> = own(object).iter().map(of_zendesk).collect();
        let mut after = String::new();
        for _ in 0..PAGES_MAX {
            let path = format!("{}?page[size]=100{after}", object.fields_path());
            let request = Request { method: Method::GET, path, operation: "describe", body: None };
            let reply = self.call(request).await?;
            let judge = self.judge(0);
            if !reply.is_success() {
                return Err(judge.error(&reply));
            }
            let answer = judge.object(&reply)?;
            let list =
                object.fields_path().rsplit('/').next().map(str::to_owned).unwrap_or_default();
            let list = if list == "fields" { "custom_object_fields" } else { &list };
            let Some(page) = answer[list].as_array() else { return Err(judge.unreadable(&reply)) };
            fields.extend(page.iter().filter_map(|listed| of_account(object, listed)));
            let more = answer["meta"]["has_more"] == true;
            match text(&answer["meta"], "after_cursor").filter(|_| more) {
                Some(cursor) => after = format!("&page[after]={}", percent(&cursor)),
                None => break,
            }
        }
        fields.sort_by(|a, b| a.name.cmp(&b.name));
        fields.dedup_by(|a, b| a.name == b.name);
        Ok(ObjectSchema { object: name.to_owned(), fields, open: false })
    }
}

fn own(object: Object<'_>) -> &'static [Own] {
    match object {
        Object::Users => USERS,
        Object::Organizations => ORGANIZATIONS,
        Object::Tickets => TICKETS,
        Object::Custom(_) => CUSTOM,
    }
}

fn of_zendesk((name, kind, marks): &Own) -> Field {
    let kind = match *kind {
        "text" => FieldKind::Text { chars_max: Some(TEXT_CHARS_MAX) },
        "number" => FieldKind::Number,
        "boolean" => FieldKind::Boolean,
        "datetime" => FieldKind::DateTime,
        "email" => FieldKind::Email,
        "phone" => FieldKind::Phone,
        "list" => FieldKind::Any,
        options => FieldKind::Enum { options: options.split('|').map(str::to_owned).collect() },
    };
    debug_assert!(!matches!(kind, FieldKind::Any) || LISTS.contains(name), "{name} is a list");
    Field {
        name: (*name).to_owned(),
        label: name.replace(['.', '_'], " "),
        folds_case: matches!(*name, "email" | "external_id"),
        kind,
        required: marks.contains('*'),
        unique: marks.contains('u'),
        read_only: marks.contains('r'),
    }
}

/// A field of the account; `None` where it is one of Zendesk's own in the list of ticket fields, or of no use.
fn of_account(object: Object<'_>, listed: &Value) -> Option<Field> {
    if object == Object::Tickets && listed["removable"] == false {
        return None;
    }
    let key = text(listed, if object == Object::Tickets { "id" } else { "key" })?;
    let options = || -> Vec<String> {
        let options = listed["custom_field_options"].as_array();
        options.into_iter().flatten().filter_map(|option| text(option, "value")).collect()
    };
    let kind = match listed["type"].as_str()? {
        "integer" | "decimal" | "lookup" => FieldKind::Number,
        "checkbox" => FieldKind::Boolean,
        "date" => FieldKind::Date,
        "dropdown" | "tagger" => FieldKind::Enum { options: options() },
        "multiselect" => FieldKind::MultiEnum { options: options() },
        "text" | "textarea" | "regexp" => FieldKind::Text { chars_max: Some(TEXT_CHARS_MAX) },
        _ => FieldKind::Any,
    };
    // A lookup of a custom object holds text.
    let custom = text(listed, "relationship_target_type")
        .is_some_and(|target| target.starts_with("zen:custom"));
    Some(Field {
        name: format!("{}.{key}", object.own_fields()),
        label: text(listed, "title").unwrap_or_else(|| key.clone()),
        kind: if custom { FieldKind::Text { chars_max: None } } else { kind },
        required: false,
        unique: false,
        read_only: listed["active"] == false,
        folds_case: false,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_of_the_account_are_nested_and_typed() {
        let read = |object, listed: Value| of_account(object, &listed);
        let plan = read(
            Object::Users,
            json!({"key": "plan", "title": "Plan", "type": "dropdown", "active": true,
                "custom_field_options": [{"name": "Pro", "value": "plan_pro"}]}),
        )
        .expect("a field");
        assert_eq!((plan.name.as_str(), plan.label.as_str()), ("user_fields.plan", "Plan"));
        assert_eq!(plan.kind, FieldKind::Enum { options: vec!["plan_pro".to_owned()] });
        let number =
            read(Object::Tickets, json!({"id": 360, "type": "decimal", "removable": true}));
        assert_eq!(number.expect("a field").name, "custom_fields.360");
        assert!(
            read(Object::Tickets, json!({"id": 1, "type": "subject", "removable": false}))
                .is_none()
        );
        let old = read(Object::Organizations, json!({"key": "x", "type": "text", "active": false}));
        assert!(old.expect("a field").read_only);
        let many =
            read(Object::Users, json!({"key": "m", "type": "multiselect"})).expect("a field");
        assert_eq!(many.kind, FieldKind::MultiEnum { options: Vec::new() });
        assert!(read(Object::Users, json!({"key": "m"})).is_none());
    }

    #[test]
    fn every_field_of_zendesk_is_listed_once_and_in_order() {
        for object in [Object::Users, Object::Organizations, Object::Tickets, Object::Custom("car")]
        {
            let names: Vec<&str> = own(object).iter().map(|own| own.0).collect();
            assert!(names.windows(2).all(|pair| pair[0] < pair[1]), "{names:?}");
            let fields: Vec<Field> = own(object).iter().map(of_zendesk).collect();
            assert!(fields.iter().any(|field| field.unique && !field.read_only), "{object:?}");
        }
    }
}

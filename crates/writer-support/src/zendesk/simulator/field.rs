//! What a value may be: Zendesk's own fields and the account's.

use serde_json::{Map, Value, json};

/// The type of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Integer,
    Decimal,
    Checkbox,
    Date,
    DateTime,
    Dropdown,
    Multiselect,
    List,
}

/// A field of the account's own.
#[derive(Debug, Clone)]
pub(super) struct OwnField {
    pub(super) key: String,
    pub(super) kind: Kind,
    pub(super) options: Vec<String>,
}

/// Why a row is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) word: &'static str,
    pub(super) field: String,
    pub(super) text: String,
}

impl Refused {
    pub(super) fn new(word: &'static str, field: &str, text: impl Into<String>) -> Self {
        Self { word, field: field.to_owned(), text: text.into() }
    }

    pub(super) fn not_found() -> Self {
        Self::new("RecordNotFound", "base", "Not found")
    }
}

impl Kind {
    pub(super) fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "text" | "textarea" | "regexp" => Self::Text,
            "integer" => Self::Integer,
            "decimal" => Self::Decimal,
            "checkbox" => Self::Checkbox,
            "date" => Self::Date,
            "dropdown" | "tagger" => Self::Dropdown,
            "multiselect" => Self::Multiselect,
            _ => return None,
        })
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Integer => "integer",
            Self::Decimal => "decimal",
            Self::Checkbox => "checkbox",
            Self::Date | Self::DateTime => "date",
            Self::Dropdown => "dropdown",
            Self::Multiselect | Self::List => "multiselect",
        }
    }
}

impl OwnField {
    /// As the lists of fields show it.
    pub(super) fn view(&self, number: usize) -> Value {
        let options: Vec<Value> =
            self.options.iter().map(|option| json!({ "name": option, "value": option })).collect();
        let id = self.key.parse::<u64>().unwrap_or(360_000 + number as u64);
        json!({
            "id": id, "key": self.key, "title": self.key, "type": self.kind.name(), "active": true,
            "removable": true, "custom_field_options": options,
        })
    }
}

/// The value as it is kept, of a field with these options.
pub(super) fn check(
    (name, kind): (&str, Kind),
    options: &[String],
    value: &Value,
) -> Result<Value, Refused> {
    let invalid = |what: &str| {
        let shown = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        Err(Refused::new("InvalidValue", name, format!("{}: {shown} {what}", title(name))))
    };
    if value.is_null() {
        return Ok(Value::Null);
    }
    let number = || match value {
        Value::Number(number) => Some(number.clone()),
        Value::String(text) => serde_json::from_str(text).ok(),
        _ => None,
    };
    match kind {
        Kind::Text => match value {
            Value::String(text) if text.chars().count() > 65_536 => invalid("is too long"),
            Value::String(text) => Ok(json!(text)),
            Value::Number(_) | Value::Bool(_) => Ok(json!(value.to_string())),
            _ => invalid("is not text"),
        },
        Kind::Integer => match number().filter(|number| number.is_i64() || number.is_u64()) {
            Some(number) => Ok(Value::Number(number)),
            None => invalid("is not a number"),
        },
        Kind::Decimal => {
            number().map_or_else(|| invalid("is not a number"), |n| Ok(Value::Number(n)))
        }
        Kind::Checkbox => match value {
            Value::Bool(_) => Ok(value.clone()),
            _ => invalid("is not true or false"),
        },
        Kind::Date => match value.as_str().and_then(|text| text.get(..10)) {
            Some(day) if day.parse::<chrono::NaiveDate>().is_ok() => {
                Ok(json!(format!("{day}T00:00:00+00:00")))
            }
            _ => invalid("is not a date"),
        },
        Kind::DateTime => match value.as_str().map(chrono::DateTime::parse_from_rfc3339) {
            Some(Ok(_)) => Ok(value.clone()),
            _ => invalid("is not a date"),
        },
        Kind::Dropdown => match value.as_str() {
            Some("") => Ok(Value::Null),
            Some(option) if options.iter().any(|known| known == option) => Ok(value.clone()),
            _ => invalid("is not a valid option"),
        },
        Kind::Multiselect | Kind::List => {
            let Some(items) = value.as_array() else { return invalid("is not a list") };
            let known = |item: &Value| {
                kind == Kind::List || options.iter().any(|option| item == option.as_str())
            };
            if items.iter().all(known) {
                Ok(value.clone())
            } else {
                invalid("is not a valid option")
            }
        }
    }
}

/// `organization_id` as Zendesk shows it: `Organization`.
fn title(name: &str) -> String {
    let name = name.strip_suffix("_id").unwrap_or(name).replace('_', " ");
    let mut letters = name.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// Zendesk's own fields that can be written, with their options.
pub(super) fn own(object: &str) -> &'static [(&'static str, Kind, &'static str)] {
    match object {
        "users" => &[
            ("alias", Kind::Text, ""),
            ("custom_role_id", Kind::Integer, ""),
            ("default_group_id", Kind::Integer, ""),
            ("details", Kind::Text, ""),
            ("external_id", Kind::Text, ""),
            ("locale", Kind::Text, ""),
            ("moderator", Kind::Checkbox, ""),
            ("name", Kind::Text, ""),
            ("notes", Kind::Text, ""),
            ("only_private_comments", Kind::Checkbox, ""),
            ("organization_id", Kind::Integer, ""),
            ("phone", Kind::Text, ""),
            ("restricted_agent", Kind::Checkbox, ""),
            ("role", Kind::Dropdown, "end-user|agent|admin"),
            ("shared_phone_number", Kind::Checkbox, ""),
            ("signature", Kind::Text, ""),
            ("skip_verify_email", Kind::Checkbox, ""),
            ("suspended", Kind::Checkbox, ""),
            ("tags", Kind::List, ""),
            ("ticket_restriction", Kind::Dropdown, "organization|groups|assigned|requested"),
            ("time_zone", Kind::Text, ""),
            ("verified", Kind::Checkbox, ""),
        ],
        "organizations" => &[
            ("details", Kind::Text, ""),
            ("domain_names", Kind::List, ""),
            ("external_id", Kind::Text, ""),
            ("group_id", Kind::Integer, ""),
            ("name", Kind::Text, ""),
            ("notes", Kind::Text, ""),
            ("shared_comments", Kind::Checkbox, ""),
            ("shared_tickets", Kind::Checkbox, ""),
            ("tags", Kind::List, ""),
        ],
        "tickets" => &[
            ("assignee_email", Kind::Text, ""),
            ("assignee_id", Kind::Integer, ""),
            ("brand_id", Kind::Integer, ""),
            ("collaborator_ids", Kind::List, ""),
            ("description", Kind::Text, ""),
            ("due_at", Kind::DateTime, ""),
            ("email_cc_ids", Kind::List, ""),
            ("external_id", Kind::Text, ""),
            ("follower_ids", Kind::List, ""),
            ("group_id", Kind::Integer, ""),
            ("organization_id", Kind::Integer, ""),
            ("priority", Kind::Dropdown, "urgent|high|normal|low"),
            ("problem_id", Kind::Integer, ""),
            ("requester_id", Kind::Integer, ""),
            ("status", Kind::Dropdown, "new|open|pending|hold|solved|closed"),
            ("subject", Kind::Text, ""),
            ("tags", Kind::List, ""),
            ("ticket_form_id", Kind::Integer, ""),
            ("type", Kind::Dropdown, "problem|incident|question|task"),
        ],
        _ => &[("external_id", Kind::Text, ""), ("name", Kind::Text, "")],
    }
}

/// Values by name.
pub(super) type Values = Map<String, Value>;

/// The values of a row that are kept: Zendesk's own and the account's, by name. What Zendesk does not know it passes over.
pub(super) fn kept(
    object: &str,
    account: &[OwnField],
    row: &Map<String, Value>,
) -> Result<(Values, Values), Refused> {
    let mut own_values = Map::new();
    for (name, kind, options) in own(object) {
        if let Some(value) = row.get(*name) {
            let options: Vec<String> = options.split('|').map(str::to_owned).collect();
            own_values.insert((*name).to_owned(), check((name, *kind), &options, value)?);
        }
    }
    let member = match object {
        "users" => "user_fields",
        "organizations" => "organization_fields",
        "tickets" => "custom_fields",
        _ => "custom_object_fields",
    };
    let mut account_values = Map::new();
    let sent = row.get(member).unwrap_or(&Value::Null);
    for field in account {
        let value = match sent {
            Value::Object(values) => values.get(&field.key),
            Value::Array(values) => values
                .iter()
                .find(|one| one["id"].to_string().trim_matches('"') == field.key)
                .map(|one| &one["value"]),
            _ => None,
        };
        if let Some(value) = value {
            let kept = check((&field.key, field.kind), &field.options, value)?;
            account_values.insert(field.key.clone(), kept);
        }
    }
    Ok((own_values, account_values))
}

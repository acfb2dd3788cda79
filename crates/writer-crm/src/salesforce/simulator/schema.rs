//! Objects and their fields, standard and custom.

use std::sync::Arc;

use axum::extract::State;
use serde_json::json;

use super::org::Org;
use super::reply::{Answer, Problem, answer};

/// The type of a field, as far as values differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Text(&'static str),
    Number(&'static str),
    Boolean,
    Date,
    DateTime,
    /// Options; restricted ones are the only ones.
    Picklist {
        options: Vec<String>,
        restricted: bool,
        multi: bool,
    },
    Reference(String),
    Compound,
}

/// One field.
#[derive(Debug, Clone)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) length: usize,
    pub(super) required: bool,
    pub(super) external: bool,
    pub(super) unique: bool,
    pub(super) lookup: bool,
    pub(super) read_only: bool,
}

impl Field {
    pub(super) fn new(name: &str, kind: Kind, length: usize) -> Self {
        Self {
            name: name.to_owned(),
            kind,
            length,
            required: false,
            external: false,
            unique: false,
            lookup: false,
            read_only: false,
        }
    }

    /// Whether records can be found by it.
    pub(super) fn finds(&self) -> bool {
        self.external || self.lookup || self.unique
    }

    /// `AccountId` is the relationship `Account`, `Plan__c` is `Plan__r`.
    pub(super) fn relationship(&self) -> Option<String> {
        matches!(self.kind, Kind::Reference(_)).then(|| match self.name.strip_suffix("__c") {
            Some(stem) => format!("{stem}__r"),
            None => self.name.trim_end_matches("Id").to_owned(),
        })
    }
}

/// One object.
#[derive(Debug, Clone)]
pub(super) struct Object {
    pub(super) name: String,
    /// The beginning of its records' ids.
    pub(super) prefix: String,
    pub(super) fields: Vec<Field>,
}

impl Object {
    /// The field of that name, letter case aside, and its place.
    pub(super) fn find(&self, name: &str) -> Option<(usize, &Field)> {
        self.fields.iter().enumerate().find(|(_, field)| field.name.eq_ignore_ascii_case(name))
    }

    /// The reference behind a relationship, and the object it leads to.
    pub(super) fn parent(&self, relationship: &str) -> Option<(usize, &str)> {
        self.fields.iter().enumerate().find_map(|(place, field)| match &field.kind {
            Kind::Reference(to)
                if field
                    .relationship()
                    .is_some_and(|name| name.eq_ignore_ascii_case(relationship)) =>
            {
                Some((place, to.as_str()))
            }
            _ => None,
        })
    }
}

/// Adds a custom field, and its object where that is not there: `Contact:Tier__c:restricted:Gold|Silver`.
pub(super) fn add_field(objects: &mut Vec<Object>, text: &str) -> Result<(), String> {
    let wrong = |why: &str| format!("field `{text}`: {why}");
    let mut parts = text.split(':').map(str::trim);
    let (object, name, kind) = match (parts.next(), parts.next(), parts.next()) {
        (Some(object), Some(name), Some(kind)) => (object, name, kind),
        _ => return Err(wrong("want OBJECT:NAME:TYPE")),
    };
    if !name.ends_with("__c") {
        return Err(wrong("a custom field's name ends with __c"));
    }
    let mut field = Field::new(name, Kind::Text("string"), 255);
    let mut options = Vec::new();
    for part in parts {
        match part {
            "external" => field.external = true,
            "unique" => field.unique = true,
            "required" => field.required = true,
            values => options = values.split('|').map(str::to_owned).collect(),
        }
    }
    field.kind = kind_of(kind, options).ok_or_else(|| wrong("no such type"))?;
    match kind {
        "textarea" => field.length = 32_000,
        "email" => field.length = 80,
        "phone" => field.length = 40,
        _ => {}
    }
    let number = objects.len();
    let place = objects.iter().position(|known| known.name == object).unwrap_or(number);
    if place == number {
        if !object.ends_with("__c") {
            return Err(wrong("a custom object's name ends with __c"));
        }
        let name = Field { required: false, ..Field::new("Name", Kind::Text("string"), 80) };
        let prefix = format!("a{number:02}");
        objects.push(Object { name: object.to_owned(), prefix, fields: vec![name] });
    }
    let object = &mut objects[place];
    if object.find(name).is_some() {
        return Err(wrong("there is a field of that name"));
    }
    object.fields.push(field);
    Ok(())
}

fn kind_of(text: &str, options: Vec<String>) -> Option<Kind> {
    let picklist =
        |restricted, multi| Kind::Picklist { options: options.clone(), restricted, multi };
    Some(match text {
        "string" => Kind::Text("string"),
        "textarea" => Kind::Text("textarea"),
        "email" => Kind::Text("email"),
        "phone" => Kind::Text("phone"),
        "url" => Kind::Text("url"),
        "double" => Kind::Number("double"),
        "int" => Kind::Number("int"),
        "currency" => Kind::Number("currency"),
        "percent" => Kind::Number("percent"),
        "boolean" => Kind::Boolean,
        "date" => Kind::Date,
        "datetime" => Kind::DateTime,
        "picklist" => picklist(false, false),
        "restricted" => picklist(true, false),
        "multipicklist" => picklist(true, true),
        other => {
            let to = other.strip_prefix("reference(")?.strip_suffix(')')?;
            Kind::Reference(to.to_owned())
        }
    })
}

/// `POST /_sim/fields`, one field a line.
pub(super) async fn add(State(org): State<Arc<Org>>, body: String) -> Answer {
    let mut added = 0;
    for line in body.lines().map(str::trim).filter(|line| !line.is_empty()) {
        org.add_field(line).map_err(|why| Problem::bad("INVALID_FIELD", why))?;
        added += 1;
    }
    Ok(answer(200, &json!({ "added": added })))
}

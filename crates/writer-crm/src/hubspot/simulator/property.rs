//! The routes that describe properties and add one.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::body::Posted;
use super::input;
use super::options::parse_property;
use super::portal::Portal;
use super::reply::{Answer, Problem, json_response};
use super::schema::{Kind, Property};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewProperty {
    name: String,
    label: String,
    #[serde(rename = "type")]
    value_type: String,
    field_type: String,
    group_name: String,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    has_unique_value: Option<bool>,
    #[serde(default)]
    options: Option<Vec<NewOption>>,
}

#[derive(Debug, Deserialize)]
struct NewOption {
    label: String,
    value: String,
}

impl NewProperty {
    fn kind(&self) -> Result<Kind, Problem> {
        Ok(match (self.value_type.as_str(), self.field_type.as_str()) {
            ("string", "text") => Kind::Text,
            ("string", "textarea" | "html" | "file") => Kind::TextArea,
            ("string", "phonenumber") => Kind::Phone,
            ("number", "number") => Kind::Number,
            ("date", "date") => Kind::Date,
            ("datetime", "date") => Kind::DateTime,
            ("bool", "booleancheckbox") => Kind::Bool,
            ("enumeration", "select" | "radio") => Kind::Choice,
            ("enumeration", "checkbox") => Kind::Choices,
            ("enumeration", "booleancheckbox") => Kind::Bool,
            (value_type, field_type) => {
                return Err(Problem::validation(format!(
                    "Property type {value_type} cannot have the field type {field_type}"
                )));
            }
        })
    }

    fn define(self) -> Result<Property, Problem> {
        let kind = self.kind()?;
        let mut property = Property::custom(&self.name, kind);
        property.label = self.label;
        property.group = self.group_name;
        property.description = self.description.unwrap_or_default();
        property.unique = self.has_unique_value.unwrap_or(false);
        if kind != Kind::Bool {
            let pair = |option: NewOption| (option.value, option.label);
            property.options = self.options.unwrap_or_default().into_iter().map(pair).collect();
        }
        Ok(property)
    }
}

pub(super) async fn list(State(portal): State<Arc<Portal>>, Path(object): Path<String>) -> Answer {
    let object = portal.object(&object)?;
    let results: Vec<Value> = portal.schema(object).all().iter().map(Property::to_json).collect();
    Ok(json_response(200, json!({ "results": results }).to_string().into_bytes()))
}

pub(super) async fn get(
    State(portal): State<Arc<Portal>>,
    Path((object, name)): Path<(String, String)>,
) -> Answer {
    let object = portal.object(&object)?;
    match portal.schema(object).find(&name) {
        Some((_, property)) => Ok(json_response(200, property.to_json().to_string().into_bytes())),
        None => {
            let message = format!("Property \"{name}\" does not exist");
            Err(Problem::new(404, "OBJECT_NOT_FOUND", message))
        }
    }
}

pub(super) async fn create(
    State(portal): State<Arc<Portal>>,
    Path(object): Path<String>,
    Posted { bytes, .. }: Posted,
) -> Answer {
    let object = portal.object(&object)?;
    let body: NewProperty = input::parse(&bytes).map_err(Problem::validation)?;
    let property = body.define()?;
    let shown = property.to_json();
    portal.add_property(object, property)?;
    Ok(json_response(201, shown.to_string().into_bytes()))
}

/// `POST /_sim/properties`: one `OBJECT:NAME:TYPE[:unique][:A|B|C]` a line.
pub(super) async fn add(State(portal): State<Arc<Portal>>, body: String) -> Response {
    let mut added = 0;
    for line in body.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let outcome = parse_property(line, &portal.objects).and_then(|(object, property)| {
            portal.add_property(object, property).map_err(|problem| problem.message)
        });
        if let Err(error) = outcome {
            return (StatusCode::BAD_REQUEST, Json(json!({ "error": error }))).into_response();
        }
        added += 1;
    }
    Json(json!({ "added": added })).into_response()
}

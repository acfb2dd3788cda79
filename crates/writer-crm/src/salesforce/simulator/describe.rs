//! What the API tells about objects and their fields.

use std::sync::Arc;

use axum::extract::{Path, State};
use serde_json::{Value, json};

use super::org::Org;
use super::reply::{Answer, answer};
use super::schema::{Field, Kind, Object};

fn brief(object: &Object) -> Value {
    let base = format!("/services/data/v62.0/sobjects/{}", object.name);
    json!({
        "name": object.name, "label": object.name, "labelPlural": format!("{}s", object.name),
        "keyPrefix": object.prefix, "custom": object.name.ends_with("__c"), "createable": true,
        "updateable": true, "deletable": true, "queryable": true, "retrieveable": true,
        "urls": { "sobject": base, "describe": format!("{base}/describe") },
    })
}

pub(super) async fn global(State(org): State<Arc<Org>>) -> Answer {
    let objects: Vec<Value> = org.all_objects().iter().map(brief).collect();
    Ok(answer(200, &json!({ "encoding": "UTF-8", "maxBatchSize": 200, "sobjects": objects })))
}

pub(super) async fn basic(
    State(org): State<Arc<Org>>,
    Path((_, object)): Path<(String, String)>,
) -> Answer {
    let object = org.object(&object)?;
    Ok(answer(200, &json!({ "objectDescribe": brief(&object), "recentItems": [] })))
}

pub(super) async fn describe(
    State(org): State<Arc<Org>>,
    Path((_, object)): Path<(String, String)>,
) -> Answer {
    let object = org.object(&object)?;
    let mut all = brief(&object);
    let id = Field { lookup: true, read_only: true, ..Field::new("Id", Kind::Text("id"), 18) };
    let fields = std::iter::once(&id).chain(&object.fields).map(told).collect();
    all["fields"] = Value::Array(fields);
    all["recordTypeInfos"] = json!([]);
    Ok(answer(200, &all))
}

fn told(field: &Field) -> Value {
    let kind = match &field.kind {
        Kind::Text(name) | Kind::Number(name) => name,
        Kind::Boolean => "boolean",
        Kind::Date => "date",
        Kind::DateTime => "datetime",
        Kind::Picklist { multi: true, .. } => "multipicklist",
        Kind::Picklist { .. } => "picklist",
        Kind::Reference(_) => "reference",
        Kind::Compound => "address",
    };
    let (options, restricted) = match &field.kind {
        Kind::Picklist { options, restricted, .. } => (options.as_slice(), *restricted),
        _ => (&[][..], false),
    };
    let options: Vec<Value> = options
        .iter()
        .map(|value| json!({ "value": value, "label": value, "active": true, "defaultValue": false }))
        .collect();
    let to: Vec<&str> = match &field.kind {
        Kind::Reference(to) => vec![to],
        _ => Vec::new(),
    };
    let numeric = matches!(field.kind, Kind::Number(_));
    json!({
        "name": field.name, "label": field.name.trim_end_matches("__c").replace('_', " "), "type": kind,
        "length": if numeric || field.kind == Kind::Boolean { 0 } else { field.length },
        "precision": if numeric { 18 } else { 0 }, "scale": if numeric { 2 } else { 0 },
        "createable": !field.read_only, "updateable": !field.read_only,
        "nillable": !field.required && field.kind != Kind::Boolean && field.name != "Id",
        "defaultedOnCreate": field.kind == Kind::Boolean || field.name == "Id",
        "externalId": field.external, "idLookup": field.lookup || field.external,
        "unique": field.unique, "caseSensitive": false, "calculated": false,
        "custom": field.name.ends_with("__c"), "restrictedPicklist": restricted,
        "picklistValues": options, "referenceTo": to, "relationshipName": field.relationship(),
    })
}

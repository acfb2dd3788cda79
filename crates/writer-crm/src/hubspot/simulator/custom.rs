//! The routes that describe the account's own objects.

use std::sync::Arc;

use axum::extract::{Path, State};
use serde_json::{Value, json};

use super::object::{Custom, Object};
use super::portal::Portal;
use super::reply::{Answer, Problem, json_response};
use super::schema::Property;

pub(super) async fn list(State(portal): State<Arc<Portal>>) -> Answer {
    let customs = portal.objects.iter().filter_map(|object| match object {
        Object::Custom(custom) => Some(shown(&portal, *custom)),
        _ => None,
    });
    let results: Vec<Value> = customs.collect();
    Ok(json_response(200, json!({ "results": results }).to_string().into_bytes()))
}

pub(super) async fn get(State(portal): State<Arc<Portal>>, Path(object): Path<String>) -> Answer {
    match portal.object(&object)? {
        Object::Custom(custom) => {
            Ok(json_response(200, shown(&portal, custom).to_string().into_bytes()))
        }
        _ => Err(Problem::not_found()),
    }
}

fn shown(portal: &Portal, custom: Custom) -> Value {
    let object = Object::Custom(custom);
    let properties: Vec<Value> =
        portal.schema(object).all().iter().map(Property::to_json).collect();
    let kinds = portal.kinds();
    let associations = portal.objects.iter().flat_map(|to| {
        let kinds = kinds.between(object, *to).into_iter();
        kinds.map(|kind| {
            json!({
                "id": kind.id.to_string(),
                "fromObjectTypeId": object.type_id(),
                "toObjectTypeId": to.type_id(),
                "name": format!("{}_to_{}", object.name(), to.name()),
            })
        })
    });
    let associations: Vec<Value> = associations.collect();
    let required = object.required();
    json!({
        "id": object.type_id().trim_start_matches("2-"),
        "name": object.name(),
        "objectTypeId": object.type_id(),
        "fullyQualifiedName": custom.full_name(),
        "labels": { "singular": object.name(), "plural": object.name() },
        "requiredProperties": required,
        "searchableProperties": required,
        "secondaryDisplayProperties": [],
        "primaryDisplayProperty": required.first(),
        "properties": properties,
        "associations": associations,
        "archived": false,
    })
}

//! The JSON Schemas of the project's files, generated from the types that read them.

use std::sync::LazyLock;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value as Json, json};

use super::catalog::CATALOG;
use super::written::{ProjectFile, SimulatorOptions, SyncFile};

/// The connection type that puts a built-in double in the place of a destination.
pub(crate) const SIMULATOR: &str = "simulator";

/// JSON Schema of `outflow.yml` (draft 2020-12), with the options of every connection type.
pub fn project() -> &'static Json {
    static SCHEMA: LazyLock<Json> = LazyLock::new(project_schema);
    &SCHEMA
}

/// JSON Schema of a sync file (draft 2020-12).
pub fn sync() -> &'static Json {
    static SCHEMA: LazyLock<Json> = LazyLock::new(generate::<SyncFile>);
    &SCHEMA
}

fn project_schema() -> Json {
    let mut root = generate::<ProjectFile>();
    let mut branches = Vec::new();
    for kind in CATALOG.kinds() {
        branches.push(branch(&mut root, kind.name(), kind.options_schema()));
    }
    let profiles: Vec<&str> = CATALOG.simulated().map(|kind| kind.name).collect();
    let mut simulator = generate::<SimulatorOptions>();
    simulator["properties"]["profile"]["examples"] = json!(profiles);
    branches.push(branch(&mut root, SIMULATOR, simulator));
    if let Some(connection) = root.pointer_mut("/$defs/Connection") {
        connection["allOf"] = Json::Array(branches);
    }
    root
}

fn generate<T: JsonSchema>() -> Json {
    let schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>();
    let mut schema = schema.to_value();
    refuse_null(&mut schema);
    schema
}

/// An optional key is left out when it has no value; `key:` with nothing after it is a mistake.
fn refuse_null(schema: &mut Json) {
    match schema {
        Json::Object(map) => {
            let null = Json::from("null");
            if let Some(Json::Array(types)) = map.get_mut("type")
                && types.len() == 2
            {
                types.retain(|name| *name != null);
                if let [only] = types.as_slice() {
                    let only = only.clone();
                    map.insert("type".to_owned(), only);
                }
            }
            if let Some(Json::Array(values)) = map.get_mut("enum") {
                values.retain(|value| !value.is_null());
            }
            if let Some(Json::Array(branches)) = map.get_mut("anyOf") {
                branches.retain(|branch| branch.get("type") != Some(&null));
                if let [Json::Object(only)] = branches.as_slice() {
                    let only = only.clone();
                    map.remove("anyOf");
                    for (key, value) in only {
                        map.entry(key).or_insert(value);
                    }
                }
            }
            map.values_mut().for_each(refuse_null);
        }
        Json::Array(items) => items.iter_mut().for_each(refuse_null),
        _ => {}
    }
}

/// `if type is name, then these options`; the definitions of the options move to the root.
fn branch(root: &mut Json, name: &str, mut options: Json) -> Json {
    refuse_null(&mut options);
    rename_references(&mut options, name);
    let Json::Object(mut options) = options else { return json!({}) };
    options.remove("$schema");
    if let Some(Json::Object(definitions)) = options.remove("$defs")
        && let Some(Json::Object(all)) = root.get_mut("$defs")
    {
        all.extend(definitions.into_iter().map(|(key, value)| (format!("{name}.{key}"), value)));
    }
    let mut properties = Map::new();
    properties.insert("type".to_owned(), json!({ "const": name }));
    if let Some(Json::Object(own)) = options.remove("properties") {
        properties.extend(own);
    }
    options.insert("properties".to_owned(), Json::Object(properties));
    options.insert("additionalProperties".to_owned(), Json::Bool(false));
    json!({
        "if": { "properties": { "type": { "const": name } }, "required": ["type"] },
        "then": options,
    })
}

fn rename_references(schema: &mut Json, name: &str) {
    match schema {
        Json::Object(map) => {
            if let Some(Json::String(target)) = map.get_mut("$ref")
                && let Some(definition) = target.strip_prefix("#/$defs/")
            {
                *target = format!("#/$defs/{name}.{definition}");
            }
            map.values_mut().for_each(|value| rename_references(value, name));
        }
        Json::Array(items) => items.iter_mut().for_each(|item| rename_references(item, name)),
        _ => {}
    }
}

//! The schemas people get, the validator that reports, and the types that read: they accept the same.

use std::path::Path;

use serde_json::Value as Json;

use super::super::file::SourceFile;
use super::super::shape::Shape;
use super::super::{project_schema, sync_schema, yaml};
use super::{PROJECT, SYNC};

/// Keywords the validator acts on or may pass over.
const KEYWORDS: [&str; 41] = [
    "$schema",
    "$defs",
    "$ref",
    "title",
    "description",
    "default",
    "examples",
    "format",
    "writeOnly",
    "type",
    "enum",
    "const",
    "properties",
    "required",
    "additionalProperties",
    "propertyNames",
    "minProperties",
    "maxProperties",
    "dependentRequired",
    "items",
    "minItems",
    "maxItems",
    "uniqueItems",
    "minLength",
    "maxLength",
    "pattern",
    "minimum",
    "maximum",
    "oneOf",
    "anyOf",
    "allOf",
    "if",
    "then",
    "deprecated",
    "readOnly",
    "$comment",
    "$id",
    "contentEncoding",
    "contentMediaType",
    "contentSchema",
    "$anchor",
];

#[track_caller]
fn known_keywords(schema: &Json) {
    let Json::Object(map) = schema else { return };
    for (key, value) in map {
        assert!(KEYWORDS.contains(&key.as_str()), "the validator does not know `{key}`: {schema}");
        match key.as_str() {
            "properties" | "$defs" => {
                value
                    .as_object()
                    .into_iter()
                    .flatten()
                    .for_each(|(_, inner)| known_keywords(inner));
            }
            "items" | "additionalProperties" | "propertyNames" | "if" | "then" => {
                known_keywords(value);
            }
            "oneOf" | "anyOf" | "allOf" => {
                value.as_array().into_iter().flatten().for_each(known_keywords);
            }
            "pattern" => {
                regex::Regex::new(value.as_str().expect("text")).expect("a pattern Rust can read");
            }
            _ => {}
        }
    }
}

#[test]
fn the_validator_knows_every_keyword_of_our_schemas() {
    known_keywords(project_schema());
    known_keywords(sync_schema());
}

/// A schema and the `jsonschema` crate's reading of it.
struct Both {
    schema: &'static Json,
    theirs: jsonschema::Validator,
}

fn both(schema: &'static Json) -> Both {
    Both { schema, theirs: jsonschema::validator_for(schema).expect("a valid schema") }
}

/// Whether the text is accepted, by our validator and by the `jsonschema` crate; they must agree.
#[track_caller]
fn accepted(both: &Both, text: &str) -> bool {
    let (node, problems) = yaml::parse(&SourceFile::new("test.yml", text));
    assert!(problems.is_empty(), "{problems:?}\n{text}");
    let node = node.expect("a document");
    let ours = Shape::new(both.schema).check(&node, "the file");
    let json = node.to_json();
    let theirs: Vec<String> =
        both.theirs.iter_errors(&json).map(|error| error.to_string()).collect();
    assert_eq!(ours.is_empty(), theirs.is_empty(), "{text}\nours: {ours:#?}\ntheirs: {theirs:#?}");
    ours.is_empty()
}

#[test]
fn the_design_s_example_files_are_accepted() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/design");
    let read = |name: &str| std::fs::read_to_string(fixtures.join(name)).expect(name);
    let (project, sync) = (both(project_schema()), both(sync_schema()));
    assert!(accepted(&project, &read("outflow.yml")));
    for name in
        ["hris_employees_to_zendesk", "itsm_cases_to_salesforce", "product_usage_to_hubspot"]
    {
        assert!(accepted(&sync, &read(&format!("syncs/{name}.yml"))), "{name}");
    }
}

#[test]
fn our_validator_and_jsonschema_agree_about_broken_files() {
    let (project, sync) = (both(project_schema()), both(sync_schema()));
    assert!(accepted(&project, PROJECT));
    assert!(accepted(&sync, SYNC));
    let mut refused = 0;
    for (schema, text, values) in [(&project, PROJECT, PROJECT_VALUES), (&sync, SYNC, SYNC_VALUES)]
    {
        // Every line removed, every key misspelled, every value replaced by others.
        let lines: Vec<&str> = text.lines().collect();
        for index in 0..lines.len() {
            let mut variants = vec![String::new()];
            let line = lines[index];
            if let Some((key, _)) = line.split_once(':') {
                variants.push(line.replacen(key, &format!("{key}x"), 1));
                let values = values.iter().map(|value| format!("{key}: {value}"));
                variants.extend(values);
            }
            for variant in variants {
                let mut changed = lines.clone();
                changed[index] = &variant;
                let changed = changed.join("\n");
                if parses(&changed) && !accepted(schema, &changed) {
                    refused += 1;
                }
            }
        }
    }
    assert!(refused > 300, "only {refused} broken files were tried");
}

fn parses(text: &str) -> bool {
    let (node, problems) = yaml::parse(&SourceFile::new("test.yml", text));
    node.is_some() && problems.is_empty()
}

const PROJECT_VALUES: &[&str] = &[
    "5",
    "true",
    "null",
    "[]",
    "{}",
    "[a]",
    "postgres",
    "\"\"",
    "{ type: postgres }",
    "5m",
    "{ a: b }",
];

const SYNC_VALUES: &[&str] = &[
    "5",
    "-1",
    "1.5",
    "true",
    "null",
    "[]",
    "{}",
    "[a, a]",
    "[1]",
    "\"\"",
    "5m",
    "10%",
    "upsert",
    "{ a: b }",
    "{ from: a }",
    "{ from: a, const: b }",
    "{ const: null }",
    "{ from: a, otherwise: keep }",
    "{ from: a, transform: [trim, { truncate: 0 }] }",
    "{ from: a, transform: [nope] }",
    "{ from: a, transform: [{ e164: 48 }] }",
    "{ from: a, transform: [{ e164: \"+x\" }] }",
    "{ from: a, transform: [{ truncate: 5, date_format: x }] }",
    "{ method: snapshot, column: a }",
    "{ method: log, slot: a, publication: b, reconcile: { every: 1d, method: snapshot } }",
    "{ method: watermark }",
    "{ run: id }",
    "{ run: never }",
    "{ values: { a: b } }",
    "{ lookup: { object: a, match_on: {} } }",
    "{ every: 5m, cron: x, continuous: { flush_rows: 0 } }",
];

//! What `mappings:` accepts, and that its JSON Schema accepts the same.

use serde_json::{Value, json};
use transform::{FieldMapping, Mappings, Origin, Scalar};

const EXAMPLES: [&str; 3] = [
    r#"
firstname: first_name
lastname: last_name
weekly_active_days: wau_days
last_seen_at: { from: last_seen_at, as: epoch_ms_midnight_utc }
plan_tier:
  from: plan
  values: { free: Free, pro: Professional, ent: Enterprise }
  otherwise: reject
lifecyclestage: { const: customer, only_if_empty: true }
phone: { from: phone, transform: [trim, e164], on_null: skip }
outflow_synced_at: { run: started_at }
"#,
    r#"
Subject: { from: short_description, transform: [trim, { truncate: 255 }] }
Description: description
ContactId:
  lookup: { object: Contact, match_on: { Email: user_email }, if_missing: reject }
Status:
  from: state
  values: { "1": New, "2": Working, "6": Closed, "7": Closed }
  otherwise: reject
Priority: { from: priority, values: { "1": High, "2": High, "3": Medium, "4": Low }, otherwise: set_null }
Origin: { const: ITSM }
"#,
    r#"
name: { template: "{{ preferred_name or first_name }} {{ last_name }}" }
email: { from: work_email, transform: [trim, lower] }
user_fields.department: department
user_fields.manager: manager_name
user_fields.office: { from: office, on_null: clear }
suspended: { const: false }
role: { const: end-user, only_on_create: true }
"#,
];

fn schema() -> Value {
    schemars::schema_for!(Mappings).to_value()
}

#[test]
fn the_example_syncs_are_read_in_the_order_written() {
    let validator = jsonschema::validator_for(&schema()).expect("a valid schema");
    for yaml in EXAMPLES {
        let mappings: Mappings = serde_saphyr::from_str(yaml).expect("valid mappings");
        let json: Value = serde_saphyr::from_str(yaml).expect("valid YAML");
        assert!(validator.is_valid(&json), "{yaml}");
        let names: Vec<&str> = mappings.iter().map(|(name, _)| name).collect();
        let written: Vec<&str> = yaml
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with(' '))
            .filter_map(|line| line.split_once(':').map(|(name, _)| name))
            .collect();
        assert_eq!(names, written);
    }
}

#[test]
fn keys_of_values_are_text_whatever_yaml_makes_of_them() {
    let mappings: Mappings = serde_saphyr::from_str(
        "f: {from: c, values: {1: High, true: 'yes', 1.5: 2, 007: ~, no: false, text: 1.50}}",
    )
    .expect("valid mappings");
    let values = mappings.get("f").and_then(|field| field.values.clone()).expect("values");
    let keys: Vec<&str> = values.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(keys, ["1", "true", "1.5", "007", "no", "text"]);
    let results: Vec<&Scalar> = values.iter().map(|(_, value)| value).collect();
    assert_eq!(
        results,
        [
            &Scalar::Text("High".into()),
            &Scalar::Text("yes".into()),
            &Scalar::Number("2".into()),
            &Scalar::Null,
            &Scalar::Boolean(false),
            &Scalar::Number("1.5".into()),
        ]
    );
}

#[test]
fn a_string_is_a_column() {
    let mappings: Mappings = serde_saphyr::from_str("f: c").expect("valid mappings");
    let column = FieldMapping::new(Origin::Column("c".into()));
    assert_eq!(mappings.get("f"), Some(&column));
    assert_eq!(mappings.len(), 1);
    assert!(!mappings.is_empty());
}

#[track_caller]
fn message(yaml: &str) -> String {
    let error = serde_saphyr::from_str::<Mappings>(yaml).expect_err("invalid mappings");
    error.to_string().lines().next().unwrap_or_default().to_owned()
}

#[test]
fn messages_name_the_field_and_the_word_that_was_meant() {
    let texts: Vec<String> = [
        "f: {form: c}",
        "f: {from: c, on_nul: skip}",
        "f: {from: c, bogus: 1}",
        "f: {transform: [trim]}",
        "f: {from: c, const: 1}",
        "f: {from: c, otherwise: keep}",
        "f: {from: c, as: epochms}",
        "f: {from: c, on_null: drop}",
        "f: {from: c, transform: [trimm]}",
        "f: {from: c, transform: [truncate]}",
        "f: {from: c, transform: [{truncate: 0}]}",
        "f: {from: c, transform: [{trim: 1}]}",
        "f: {from: c, transform: [{e164: '048'}]}",
        "f: {from: c, transform: [{truncate: 1, e164: '48'}]}",
        "f: {from: c, default: null}",
        "f: {from: c, values: {}}",
        "f: {const: .nan}",
        "f: {const: 123456789012345678901.5}",
        "f: {const: [1]}",
        "f: {run: begun}",
        "f: {lookup: {object: O, match: {}}}",
        "f: 5",
        "{}",
    ]
    .into_iter()
    .map(message)
    .collect();
    insta::assert_snapshot!(texts.join("\n"), @r#"
    error: line 1 column 4: `f`: unknown key `form`; did you mean `from`?
    error: line 1 column 4: `f`: unknown key `on_nul`; did you mean `on_null`?
    error: line 1 column 4: `f`: unknown key `bogus`; use `from`, `const`, `template`, `run`, `lookup`, `values`, `otherwise`, `transform`, `as`, `default`, `on_null`, `on_drift`, `only_if_empty`, `only_on_create`
    error: line 1 column 4: `f`: needs one of `from`, `const`, `template`, `run`, `lookup`
    error: line 1 column 4: `f`: `from`, `const` exclude each other
    error: line 1 column 4: `f`: `otherwise` says nothing without `values`
    error: line 1 column 18: `as`: unknown `epochms`; did you mean `epoch_ms`?
    error: line 1 column 23: `on_null`: unknown `drop`; use one of `send`, `skip`, `clear`, `reject`
    error: line 1 column 26: `transform`: unknown `trimm`; did you mean `trim`?
    error: line 1 column 26: `truncate` needs an argument: {truncate: …}
    error: line 1 column 26: `truncate` keeps at least 1 character
    error: line 1 column 26: no transform `trim` takes an argument; there is `truncate`, `e164`, `date_format`
    error: line 1 column 26: `e164` takes a country code of 1 to 3 digits, for example "48"
    error: line 1 column 26: one transform per entry; write them as a list
    error: line 1 column 4: `f`: `default: null` says nothing
    error: line 1 column 4: `f`: `values` needs at least one entry
    error: line 1 column 12: non-finite float `.nan` rejected by the configured policy
    error: line 1 column 12: this number has too many digits to be kept exactly; write it in quotes
    error: line 1 column 5: invalid type: sequence, expected a string, a number, true, false or null
    error: line 1 column 10: `run`: unknown `begun`; use one of `id`, `started_at`, `sync`
    error: line 1 column 13: unknown key `match` in `lookup`; there is `object`, `match_on`, `sync`, `key`, `if_missing`
    error: line 1 column 1: invalid type: integer `5`, expected for `f` a model column (a string) or an object with one of `from`, `const`, `template`, `run`, `lookup`
    `mappings` needs at least one field
    "#);
}

/// Both say yes or both say no, for what a user may write.
#[test]
fn the_json_schema_accepts_what_is_read() {
    let validator = jsonschema::validator_for(&schema()).expect("a valid schema");
    for field in written_fields() {
        let written = json!({"f": field});
        let read = serde_json::from_value::<Mappings>(written.clone());
        assert_eq!(validator.is_valid(&written), read.is_ok(), "{written}: {read:?}");
    }
    for written in [json!({}), json!([]), json!("c"), json!({"": "c"}), json!(null)] {
        let read = serde_json::from_value::<Mappings>(written.clone());
        assert_eq!(validator.is_valid(&written), read.is_ok(), "{written}: {read:?}");
    }
}

/// Mappings of one field, right and wrong.
fn written_fields() -> Vec<Value> {
    vec![
        json!("c"),
        json!(""),
        json!(5),
        json!(null),
        json!(true),
        json!([]),
        json!({}),
        json!({"from": "c"}),
        json!({"from": ""}),
        json!({"from": 1}),
        json!({"from": "c", "const": 1}),
        json!({"const": null}),
        json!({"const": 1.5}),
        json!({"const": {"a": 1}}),
        json!({"const": [1]}),
        json!({"template": ""}),
        json!({"template": 1}),
        json!({"run": "id"}),
        json!({"run": "started_at"}),
        json!({"run": "sync"}),
        json!({"run": "other"}),
        json!({"from": "c", "unknown": 1}),
        json!({"transform": ["trim"]}),
        json!({"from": "c", "transform": []}),
        json!({"from": "c", "transform": "trim"}),
        json!({"from": "c", "transform": ["trim", "lower", "upper", "e164", "sha256", "strip_html", "null_if_empty"]}),
        json!({"from": "c", "transform": ["truncate"]}),
        json!({"from": "c", "transform": ["date_format"]}),
        json!({"from": "c", "transform": [{"truncate": 1}]}),
        json!({"from": "c", "transform": [{"truncate": 0}]}),
        json!({"from": "c", "transform": [{"truncate": -1}]}),
        json!({"from": "c", "transform": [{"truncate": "1"}]}),
        json!({"from": "c", "transform": [{"truncate": 1, "e164": "48"}]}),
        json!({"from": "c", "transform": [{}]}),
        json!({"from": "c", "transform": [{"trim": 1}]}),
        json!({"from": "c", "transform": [{"e164": "48"}]}),
        json!({"from": "c", "transform": [{"e164": "+48"}]}),
        json!({"from": "c", "transform": [{"e164": 48}]}),
        json!({"from": "c", "transform": [{"e164": 0}]}),
        json!({"from": "c", "transform": [{"e164": 1000}]}),
        json!({"from": "c", "transform": [{"e164": "048"}]}),
        json!({"from": "c", "transform": [{"e164": "4x"}]}),
        json!({"from": "c", "transform": [{"e164": ""}]}),
        json!({"from": "c", "transform": [{"date_format": "%Y"}]}),
        json!({"from": "c", "transform": [{"date_format": 5}]}),
        json!({"from": "c", "as": "string"}),
        json!({"from": "c", "as": "json"}),
        json!({"from": "c", "as": "text"}),
        json!({"from": "c", "values": {"a": "b", "c": null, "d": 1, "e": false}}),
        json!({"from": "c", "values": {"a": []}}),
        json!({"from": "c", "values": {}}),
        json!({"from": "c", "values": ["a"]}),
        json!({"from": "c", "otherwise": "keep"}),
        json!({"from": "c", "otherwise": "keep", "values": {"a": 1}}),
        json!({"from": "c", "otherwise": "drop", "values": {"a": 1}}),
        json!({"from": "c", "default": "x"}),
        json!({"from": "c", "default": null}),
        json!({"from": "c", "default": {}}),
        json!({"from": "c", "on_null": "clear"}),
        json!({"from": "c", "on_null": "drop"}),
        json!({"from": "c", "on_null": null}),
        json!({"from": "c", "only_if_empty": true, "only_on_create": false}),
        json!({"from": "c", "only_if_empty": "yes"}),
        json!({"lookup": {"object": "O", "match_on": {"f": "c"}}}),
        json!({"lookup": {"object": "O", "match_on": {"f": "c"}, "if_missing": "create"}}),
        json!({"lookup": {"object": "O", "match_on": {"f": "c"}, "if_missing": "drop"}}),
        json!({"lookup": {"object": "O", "match_on": {"f": ""}}}),
        json!({"lookup": {"object": "O", "match_on": {}}}),
        json!({"lookup": {"object": "", "match_on": {"f": "c"}}}),
        json!({"lookup": {"object": "O"}}),
        json!({"lookup": {"match_on": {"f": "c"}}}),
        json!({"lookup": {"object": "O", "match_on": {"f": "c"}, "other": 1}}),
        json!({"lookup": {"sync": "S", "key": "c"}}),
        json!({"lookup": {"sync": "S", "key": ["c", "d"], "if_missing": "skip"}}),
        json!({"lookup": {"sync": "S", "key": []}}),
        json!({"lookup": {"sync": "S", "key": ""}}),
        json!({"lookup": {"sync": "", "key": "c"}}),
        json!({"lookup": {"sync": "S"}}),
        json!({"lookup": {"key": "c"}}),
        json!({"lookup": {"sync": "S", "key": "c", "object": "O"}}),
        json!({"lookup": {"sync": "S", "key": "c", "match_on": {"f": "c"}}}),
        json!({"lookup": {"sync": "S", "object": "O"}}),
        json!({"lookup": {"sync": "S", "key": "c", "object": "O", "match_on": {"f": "c"}}}),
        json!({"lookup": "O"}),
    ]
}

//! Which rows are rejected, and what identifies the others: keys, match values, fingerprints (F21, D3).

use std::collections::HashSet;
use std::sync::Arc;

use flow::arrow::array::{ArrayRef, Decimal128Array, Int64Array, RecordBatch};
use flow::{Batch, Fault, Field, FieldKind, Key, Kind, Mode, NullRule};
use transform::{MapContext, Mapped};

use crate::fixture::{Setup, described, field, map_with, mappings, object, rows, run, text, words};

fn codes(mapped: &Mapped) -> Vec<&'static str> {
    mapped.rejects.iter().map(|reject| reject.code.id).collect()
}

fn keys(mapped: &Mapped) -> Vec<&str> {
    mapped.keys.iter().map(Key::as_str).collect()
}

const TEXT: &str = r#"{"text": "c"}"#;

#[test]
fn a_null_key_rejects_the_row() {
    let ids: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None, Some(3)]));
    let batch = rows(3, vec![("id", ids), ("c", words(&["a", "b", "c"]))]);
    let mapped = Setup::default().map(TEXT, &batch);
    assert_eq!(keys(&mapped), ["1", "3"]);
    assert_eq!(mapped.source_rows, [0, 2]);
    assert_eq!(codes(&mapped), ["R101"]);
    assert_eq!(mapped.rejects[0].key, None);
    assert_eq!(mapped.rejects[0].field.as_deref(), Some("id"));
}

#[test]
fn no_row_of_a_duplicate_key_wins() {
    let ids = Decimal128Array::from(vec![100, 200, 100, 300]);
    let ids: ArrayRef = Arc::new(ids.with_precision_and_scale(5, 2).expect("fits"));
    let batch = rows(4, vec![("id", ids), ("c", words(&["a", "b", "c", "d"]))]);
    let mapped = Setup::default().map(TEXT, &batch);
    assert_eq!(keys(&mapped), ["2", "3"]);
    assert_eq!(codes(&mapped), ["R102", "R102"]);
    assert_eq!(mapped.rejects[0].key, Some(Key::from_parts(&["1"])));
}

#[test]
fn keys_known_to_be_duplicates_are_rejected_wherever_the_other_row_is() {
    let batch = rows(3, vec![("c", words(&["a", "b", "c"]))]);
    let setup = Setup::default();
    let mapper = setup.compile(&mappings(TEXT), batch.schema()).expect("valid");
    let duplicates = HashSet::from([Key::from_parts(&["2"]), Key::from_parts(&["99"])]);
    let mapped = map_with(&mapper, &batch, Vec::new(), &duplicates);
    assert_eq!(keys(&mapped), ["1", "3"]);
    assert_eq!(codes(&mapped), ["R102"]);
}

#[test]
fn a_fault_in_a_column_that_is_used_rejects_the_row() {
    let batch =
        rows(4, vec![("c", words(&["a", "b", "c", "d"])), ("unused", words(&["", "", "", ""]))]);
    let setup = Setup::default();
    let json = r#"{"text": {"template": "{{ c }}"}}"#;
    let mapper = setup.compile(&mappings(json), batch.schema()).expect("valid");
    let fault = |row: usize, column: &str| Fault {
        row,
        column: column.to_owned(),
        reason: "NaN does not fit numeric(12,2)".to_owned(),
    };
    let faults =
        vec![fault(0, "c"), fault(1, "unused"), fault(2, "id"), fault(3, "email"), fault(9, "c")];
    let mapped = map_with(&mapper, &batch, faults, &HashSet::new());
    assert_eq!(codes(&mapped), ["R104", "R104", "R104"]);
    let fields: Vec<_> =
        mapped.rejects.iter().filter_map(|reject| reject.field.as_deref()).collect();
    assert_eq!(fields, ["c", "id", "email"]);
    assert_eq!(mapped.rejects[0].reason, "NaN does not fit numeric(12,2)");
    assert_eq!(keys(&mapped), ["2"]);
}

#[test]
fn a_row_without_its_match_value_is_rejected() {
    let emails = text(&[Some("a@x.io"), None, Some(""), Some("  "), Some("no-address")]);
    let batch = rows(5, vec![("email", emails), ("c", words(&["a", "b", "c", "d", "e"]))]);
    let mapped = Setup::default().map(TEXT, &batch);
    assert_eq!(codes(&mapped), ["R103", "R103", "R103", "R113"]);
}

#[test]
fn match_fields_are_sent_trimmed_and_found_whatever_their_case() {
    let emails = words(&["Ada@x.io", " ada@X.io ", "bob@x.io"]);
    let batch = rows(3, vec![("email", emails), ("c", words(&["a", "a", "a"]))]);
    let mapped = Setup::default().map(TEXT, &batch);
    assert_eq!(described(&mapped, "email", 3), ["Ada@x.io", "ada@X.io", "bob@x.io"]);
    assert_eq!(mapped.matches[0], mapped.matches[1]);
    assert_ne!(mapped.matches[0], mapped.matches[2]);
    assert_ne!(mapped.fingerprints[0], mapped.fingerprints[1], "the payload did change");
}

#[test]
fn a_mapped_match_field_identifies_by_the_mapped_value() {
    let emails = words(&["Ada@x.io ", "ada@x.io"]);
    let batch = rows(2, vec![("email", emails)]);
    let json = r#"{"email": {"from": "email", "transform": ["trim", "lower"]}}"#;
    let mapped = Setup::default().map(json, &batch);
    assert_eq!(described(&mapped, "email", 2), ["ada@x.io", "ada@x.io"]);
    assert_eq!(mapped.matches[0], mapped.matches[1]);
    assert_eq!(mapped.fingerprints[0], mapped.fingerprints[1]);
}

#[test]
fn match_values_are_compared_by_value_not_by_spelling() {
    let setup = Setup { match_on: vec![("number_id".into(), "c".into())], ..Setup::default() };
    let one = setup.map(TEXT, &rows(2, vec![("c", words(&["1.0", "01"]))]));
    assert_eq!(one.matches[0], one.matches[1]);
    let folded = Setup { match_on: vec![("external_id".into(), "c".into())], ..Setup::default() };
    let cased = folded.map(TEXT, &rows(2, vec![("c", words(&["A", "a"]))]));
    assert_ne!(cased.matches[0], cased.matches[1], "this field does not fold case");
}

#[test]
fn without_match_fields_the_key_stands_in() {
    let setup = Setup { match_on: Vec::new(), mode: Mode::Append, ..Setup::default() };
    let mapped = setup.map(TEXT, &rows(2, vec![("c", words(&["a", "a"]))]));
    assert_eq!(mapped.fingerprints[0], mapped.fingerprints[1]);
    assert_ne!(mapped.matches[0], mapped.matches[1]);
}

#[test]
fn required_fields_and_destinations_that_cannot_empty_refuse_null() {
    let batch = rows(2, vec![("c", text(&[Some("a"), None]))]);
    let mut setup = Setup::default();
    setup
        .object
        .fields
        .push(Field { required: true, ..field("need", FieldKind::Text { chars_max: None }) });
    let mapped = setup.map(r#"{"need": "c"}"#, &batch);
    assert_eq!(codes(&mapped), ["R106"]);
    let setup = Setup { null_rule: NullRule::Impossible, ..Setup::default() };
    assert_eq!(codes(&setup.map(TEXT, &batch)), ["R118"]);
    let skipped = setup.map(r#"{"text": {"from": "c", "on_null": "skip"}}"#, &batch);
    assert_eq!(described(&skipped, "text", 2), ["a", "absent"]);
}

#[test]
fn null_and_absent_and_empty_text_have_three_fingerprints() {
    let batch = rows(2, vec![("c", text(&[None, Some("")]))]);
    let null = Setup::default().map(TEXT, &batch);
    let absent = Setup::default().map(r#"{"text": {"from": "c", "on_null": "skip"}}"#, &batch);
    // Rows 1 and 2 differ in their address, so compare across mappings and with a fixed address.
    let same =
        rows(2, vec![("c", text(&[None, Some("")])), ("email", words(&["a@x.io", "a@x.io"]))]);
    let sent = Setup::default().map(TEXT, &same);
    assert_ne!(sent.fingerprints[0], sent.fingerprints[1]);
    assert_ne!(null.fingerprints[0], absent.fingerprints[0]);
    assert_eq!(null.fingerprints[1], absent.fingerprints[1]);
}

#[test]
fn the_run_is_not_part_of_the_fingerprint() {
    let batch = rows(1, vec![("c", words(&["a"]))]);
    let json =
        r#"{"text": "c", "outflow_synced_at": {"run": "started_at"}, "short": {"run": "sync"}}"#;
    let mapper = Setup::default().compile(&mappings(json), batch.schema()).expect("valid");
    let map = |started_at: i64| {
        let run = transform::RunMeta { started_at, ..run() };
        let batch = Batch { rows: batch.clone(), faults: Vec::new(), last: None };
        let none = HashSet::new();
        mapper
            .map(&batch, &MapContext { run: &run, duplicates: &none, lookups: &[] })
            .expect("the batch maps")
    };
    let (first, second) = (map(0), map(1_000_000));
    assert_ne!(
        described(&first, "outflow_synced_at", 1),
        described(&second, "outflow_synced_at", 1)
    );
    assert_eq!(first.fingerprints, second.fingerprints);
    assert_eq!(first.fingerprints, Setup::default().map(TEXT, &batch).fingerprints);
}

#[test]
fn the_fingerprint_of_version_1_does_not_change() {
    let mapped = Setup::default().map(
        r#"{"text": "c", "number": {"const": 5}, "active": {"const": true}}"#,
        &rows(1, vec![("c", words(&["a"]))]),
    );
    insta::assert_snapshot!(format!("{:?} {:?}", mapped.fingerprints[0], mapped.matches[0]), @r#"
    00000000000000007801644d6d719733 000000000000fc76b6c7af9006079632
    "#);
}

#[test]
fn a_batch_with_other_columns_is_an_error_that_names_the_column() {
    let batch = rows(1, vec![("c", words(&["a"]))]);
    let mapper = Setup::default().compile(&mappings(TEXT), batch.schema()).expect("valid");
    let map = |rows: RecordBatch| {
        let batch = Batch { rows, faults: Vec::new(), last: None };
        let none = HashSet::new();
        let error =
            mapper.map(&batch, &MapContext { run: &run(), duplicates: &none, lookups: &[] });
        error.expect_err("the columns changed").to_string()
    };
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    assert_eq!(map(rows(1, Vec::new())), "E0213: the model's column `c` is missing during the run");
    assert_eq!(
        map(rows(1, vec![("c", numbers)])),
        "E0213: the model's column `c` changed its type during the run"
    );
}

#[test]
fn fields_are_match_fields_first_then_as_written() {
    let batch = rows(1, vec![("c", words(&["a"]))]);
    let written = mappings(r#"{"text": "c", "any": "c", "short": "c"}"#);
    let mapper = Setup::default().compile(&written, batch.schema()).expect("valid");
    assert_eq!(mapper.fields(), ["email", "text", "any", "short"]);
    let mapped = map_with(&mapper, &batch, Vec::new(), &HashSet::new());
    assert_eq!(&mapped.payload.fields.schema(), mapper.schema());
}

#[test]
fn open_objects_take_any_field() {
    let mut setup = Setup { object: object(), ..Setup::default() };
    setup.object.open = true;
    let batch = rows(1, vec![("c", words(&["a"]))]);
    assert_eq!(described(&setup.map(r#"{"custom.field": "c"}"#, &batch), "custom.field", 1), ["a"]);
}

#[test]
fn an_empty_batch_maps_to_nothing() {
    let batch = rows(0, vec![("c", words(&[]))]);
    let json = r#"{"text": "c", "short": {"template": "{{ c }}"}, "any": {"const": 1}, "phone": {"run": "id"},
        "plan_tier": {"from": "c", "values": {"a": "Free"}, "otherwise": "keep"}, "number": {"from": "c", "default": 1}}"#;
    let mapped = Setup::default().map(json, &batch);
    assert_eq!((mapped.payload.rows(), mapped.rejects.len()), (0, 0));
}

#[test]
fn every_code_is_listed_once_with_its_texts() {
    let mut seen = HashSet::new();
    for code in transform::codes::CODES {
        assert!(seen.insert(code.id), "{} is listed twice", code.id);
        assert!(!code.title.is_empty() && !code.cause.is_empty() && !code.remedy.is_empty());
        assert_eq!(code.id.starts_with("R1"), code.kind == Kind::Row, "{}", code.id);
        assert!(code.id.starts_with("R1") || code.id.starts_with("E02"), "{}", code.id);
    }
}

#[test]
fn composite_match_fields_do_not_depend_on_their_order() {
    let pairs = [("number_id", "id"), ("external_id", "c")];
    let pairs = pairs.map(|(field, column)| (field.to_owned(), column.to_owned()));
    let turned = vec![pairs[1].clone(), pairs[0].clone()];
    let batch = rows(2, vec![("c", words(&["a", "b"]))]);
    let one = Setup { match_on: pairs.to_vec(), ..Setup::default() }.map(TEXT, &batch);
    let other = Setup { match_on: turned, ..Setup::default() }.map(TEXT, &batch);
    assert_eq!(one.matches, other.matches);
    assert_eq!(one.fingerprints, other.fingerprints);
}

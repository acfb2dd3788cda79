//! Templates: values print exactly, NULL prints as nothing, and one bad row is one reject.

use std::collections::HashMap;
use std::sync::Arc;

use flow::arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int64Array, ListBuilder,
    RecordBatch, StringArray, StringBuilder,
};
use flow::arrow::datatypes::{DataType, Field, Schema};
use transform::columns;

use crate::fixture::{Setup, described, mappings, outcomes, rows, text, words};

#[track_caller]
fn check(template: &str, column: ArrayRef, expected: &[&str]) {
    let mapping = serde_json::json!({ "template": template }).to_string();
    assert_eq!(outcomes(&mapping, "text", column), expected, "{template}");
}

#[test]
fn numbers_print_exactly() {
    check(
        "{{ c }}",
        Arc::new(Int64Array::from(vec![i64::MAX, -1])),
        &["9223372036854775807", "-1"],
    );
    check("{{ c }}", Arc::new(Float64Array::from(vec![1.0, 0.1, 1.5])), &["1", "0.1", "1.5"]);
    let decimals = Decimal128Array::from(vec![12_345_678_901_234_567_890_123_400_i128, 150, 100])
        .with_precision_and_scale(38, 2)
        .expect("fits");
    check("{{ c }}", Arc::new(decimals), &["123456789012345678901234", "1.5", "1"]);
    let long = Decimal128Array::from(vec![12_345_678_901_234_567_890_i128])
        .with_precision_and_scale(38, 18)
        .expect("fits");
    check("{{ c }}", Arc::new(long.clone()), &["12.34567890123456789"]);
    // No double holds it, so arithmetic would change it silently: the row is rejected instead.
    check("{{ c * 2 }}", Arc::new(long), &["R116"]);
}

#[test]
fn arithmetic_and_comparison_work_on_numbers() {
    let numbers = || {
        Arc::new(
            Decimal128Array::from(vec![150, 100]).with_precision_and_scale(5, 2).expect("fits"),
        )
    };
    check("{{ c * 2 }}", numbers(), &["3", "2"]);
    check("{% if c > 1 %}big{% else %}small{% endif %}", numbers(), &["big", "small"]);
}

#[test]
fn null_prints_as_nothing_and_is_none() {
    let cells = || text(&[Some("ada"), None]);
    check("[{{ c }}]", cells(), &["[ada]", "[]"]);
    check("[{{ c | title }}]", cells(), &["[Ada]", "[]"]);
    check("{{ 'x' ~ c ~ 'y' }}", cells(), &["xaday", "xy"]);
    check("{{ c or 'nobody' }}", cells(), &["ada", "nobody"]);
    check("{{ c | default('nobody', true) }}", cells(), &["ada", "nobody"]);
    check("{% if c is none %}none{% else %}some{% endif %}", cells(), &["some", "none"]);
    check("{% if c is not none %}some{% endif %}", cells(), &["some", ""]);
    check("{{ c | tojson }}", cells(), &["\"ada\"", "null"]);
}

#[test]
fn booleans_dates_lists_and_html_print_as_they_are() {
    check("{{ c }}", Arc::new(BooleanArray::from(vec![true, false])), &["true", "false"]);
    check("{{ c }}", Arc::new(Date32Array::from(vec![20_458])), &["2026-01-05"]);
    check("{{ c }} {{ '<' }}", words(&["<b>&"]), &["<b>& <"]);
    let mut lists = ListBuilder::new(StringBuilder::new());
    lists.append_value([Some("a"), Some("b")]);
    let lists: ArrayRef = Arc::new(lists.finish());
    check("{{ c | join(', ') }}", Arc::clone(&lists), &["a, b"]);
    check("{{ c }}", lists, &[r#"["a","b"]"#]);
}

#[test]
fn the_result_goes_through_the_other_steps() {
    let mapping =
        r#"{"template": " {{ c }} ", "transform": ["trim", "null_if_empty"], "on_null": "skip"}"#;
    assert_eq!(outcomes(mapping, "text", text(&[Some("a"), None])), ["a", "absent"]);
}

/// The row's value stays out of the reason, also when minijinja's own message quotes it.
#[test]
fn a_failing_row_is_rejected_without_its_value() {
    check("{{ c | int + 1 }}", words(&["5", "secret"]), &["6", "R116"]);
    let batch = rows(1, vec![("c", words(&["secret"]))]);
    let mapped = Setup::default().map(r#"{"text": {"template": "{{ c | int }}"}}"#, &batch);
    assert_eq!(mapped.rejects[0].reason, "the template failed on line 1: invalid operation");
}

#[test]
fn a_row_cannot_make_a_template_work_for_ever() {
    let numbers = || -> ArrayRef { Arc::new(Int64Array::from(vec![2, 2_000_000_000])) };
    check("{{ 'ab' * c }}", numbers(), &["abab", "R116"]);
    check(
        "{% for i in range(c) %}{% for j in range(c) %}{% endfor %}{% endfor %}",
        numbers(),
        &["", "R116"],
    );
}

fn json_column(cells: Vec<Option<&str>>, source_type: &str) -> RecordBatch {
    let plain = rows(cells.len(), Vec::new());
    let metadata = HashMap::from([("source_type".to_owned(), source_type.to_owned())]);
    let column = Field::new("c", DataType::Utf8, true).with_metadata(metadata);
    let mut fields: Vec<_> = plain.schema().fields().iter().cloned().collect();
    fields.push(Arc::new(column));
    let mut columns = plain.columns().to_vec();
    columns.push(Arc::new(StringArray::from(cells)));
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).expect("columns of one length")
}

#[track_caller]
fn check_typed(source_type: &str, template: &str, cells: Vec<Option<&str>>, expected: &[&str]) {
    let count = cells.len();
    let batch = json_column(cells, source_type);
    let json = serde_json::json!({ "text": { "template": template } }).to_string();
    let mapped = Setup::default().map(&json, &batch);
    assert_eq!(described(&mapped, "text", count), expected, "{template}");
}

#[test]
fn json_columns_are_values() {
    let template = "{{ c.city }}/{{ c.tags | length }}/{{ c.zip is none }}";
    let cells =
        vec![Some(r#"{"city": "Łódź", "tags": [1, 2], "zip": null}"#), Some("{}"), None, Some("{")];
    check_typed("jsonb", template, cells, &["Łódź/2/true", "R116", "R116", "R116"]);
    check_typed(
        "json",
        "{% if c %}{{ c.a }}{% endif %}",
        vec![Some(r#"{"a": 0.1}"#), None],
        &["0.1", ""],
    );
    let long = vec![
        Some(r#"{"a": 12345678901234567890123}"#),
        Some(r#"{"a": 9007199254740993}"#),
        Some(r#"["1234567890123456789012345"]"#),
    ];
    check_typed(
        "json",
        "{{ c is defined }}{{ c }}",
        long,
        &["R116", "true{\"a\":9007199254740993}", "true[\"1234567890123456789012345\"]"],
    );
}

#[test]
fn numeric_text_columns_are_numbers() {
    check_typed(
        "numeric",
        "{{ c * 2 }}",
        vec![Some("1.5"), Some("NaN"), None],
        &["3", "R116", "R116"],
    );
    check_typed(
        "numeric(50,20)",
        "{{ c }}",
        vec![Some("0.12345678901234567891")],
        &["0.12345678901234567891"],
    );
}

#[test]
fn columns_lists_what_is_read_once_and_in_order() {
    let written = mappings(
        r#"{"a": "first", "b": {"template": "{{ x or first }} {% for i in range(3) %}{{ loop.index }}{{ y }}{% endfor %}"},
            "c": {"const": 1}, "d": {"run": "id"}, "e": {"template": "{{ broken"},
            "f": {"lookup": {"object": "O", "match_on": {"k": "z"}}}, "g": {"from": "first"}}"#,
    );
    let match_on = [("email".to_owned(), "mail".to_owned()), ("k".to_owned(), "x".to_owned())];
    assert_eq!(columns(&written, &match_on), ["first", "x", "y", "z", "mail"]);
}

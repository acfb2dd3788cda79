//! Each step of a mapping on its own, and the order they are done in.

use std::sync::Arc;

use flow::arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int64Array,
    TimestampMicrosecondArray,
};

use crate::fixture::{outcomes, text, words};

#[track_caller]
fn check(mapping: &str, field: &str, column: ArrayRef, expected: &[&str]) {
    assert_eq!(outcomes(mapping, field, column), expected, "{mapping}");
}

#[track_caller]
fn transform(written: &str, cells: &[Option<&str>], expected: &[&str]) {
    let mapping = format!(r#"{{"from": "c", "transform": {written}}}"#);
    check(&mapping, "text", text(cells), expected);
}

fn moments() -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from(vec![
        Some(1_767_607_202_869_800),
        Some(-1),
        None,
        Some(i64::MAX),
    ]))
}

#[test]
fn trim_lower_and_upper_are_unicode() {
    transform(r#"["trim"]"#, &[Some("\u{a0} a b \t"), Some(""), None], &["a b", "", "null"]);
    transform(r#"["lower"]"#, &[Some("ŻÓŁĆ ABC"), Some("abc"), None], &["żółć abc", "abc", "null"]);
    transform(r#"["upper"]"#, &[Some("straße"), Some("ABC"), None], &["STRASSE", "ABC", "null"]);
}

#[test]
fn truncate_counts_characters_and_never_splits_one() {
    transform(
        r#"[{"truncate": 3}]"#,
        &[Some("żółć"), Some("👍👍👍👍"), Some("abc"), Some(""), None],
        &["żół", "👍👍👍", "abc", "", "null"],
    );
}

#[test]
fn a_number_that_is_not_e164_rejects_the_row() {
    transform(
        r#"["trim", "e164"]"#,
        &[Some(" +48 600 100 200 "), Some("600 100 200"), Some("n/a"), None],
        &["+48600100200", "R114", "R114", "null"],
    );
    transform(r#"[{"e164": "48"}]"#, &[Some("600 100 200"), Some("12")], &["+48600100200", "R114"]);
    transform(r#"[{"e164": 48}]"#, &[Some("600 100 200")], &["+48600100200"]);
}

#[test]
fn sha256_is_hex_of_utf8() {
    transform(
        r#"["sha256"]"#,
        &[Some("abc"), Some("ł"), None],
        &[
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            "6bd022e87d92407bdc51339598d8578ce666e8f33dcce747bfdebae2b5d9459b",
            "null",
        ],
    );
}

#[test]
fn html_is_stripped_and_empty_text_can_be_null() {
    transform(r#"["strip_html"]"#, &[Some("<p>a &amp; b</p>"), None], &["a & b", "null"]);
    transform(r#"["trim", "null_if_empty"]"#, &[Some("  "), Some("a")], &["null", "a"]);
}

#[test]
fn date_format_works_on_dates_moments_and_iso_text() {
    let mapping = r#"{"from": "c", "transform": [{"date_format": "%d.%m.%Y %H:%M"}]}"#;
    check(mapping, "text", moments(), &["05.01.2026 10:00", "31.12.1969 23:59", "null", "R110"]);
    let dates = Date32Array::from(vec![Some(20_458), None, Some(i32::MIN)]);
    check(mapping, "text", Arc::new(dates), &["05.01.2026 00:00", "null", "R110"]);
    check(mapping, "text", words(&["2026-01-05", "soon"]), &["05.01.2026 00:00", "R110"]);
}

#[test]
fn as_string_and_as_number_are_exact() {
    let decimals =
        Decimal128Array::from(vec![100, 5]).with_precision_and_scale(5, 2).expect("fits");
    check(r#"{"from": "c", "as": "string"}"#, "text", Arc::new(decimals), &["1", "0.05"]);
    check(r#"{"from": "c", "as": "number"}"#, "text", words(&["1.50", "x"]), &["1.5", "R109"]);
}

#[test]
fn as_boolean_takes_0_and_1() {
    let numbers = Int64Array::from(vec![Some(0), Some(1), Some(2), None]);
    check(
        r#"{"from": "c", "as": "boolean"}"#,
        "active",
        Arc::new(numbers),
        &["false", "true", "R112", "null"],
    );
}

#[test]
fn as_date_takes_the_day_in_utc() {
    check(
        r#"{"from": "c", "as": "date"}"#,
        "date",
        moments(),
        &["2026-01-05", "1969-12-31", "null", "R111"],
    );
    check(
        r#"{"from": "c", "as": "date"}"#,
        "date",
        words(&["2026-01-05T23:30:00-01:00", "x"]),
        &["2026-01-06", "R110"],
    );
}

#[test]
fn as_epoch_ms_rounds_down() {
    check(
        r#"{"from": "c", "as": "epoch_ms"}"#,
        "datetime",
        moments(),
        &["1767607202869", "-1", "null", "R111"],
    );
    check(
        r#"{"from": "c", "as": "epoch_ms_midnight_utc"}"#,
        "date",
        moments(),
        &["1767571200000", "-86400000", "null", "R111"],
    );
    let numbers = Int64Array::from(vec![1_767_607_202_869, i64::MAX]);
    check(
        r#"{"from": "c", "as": "epoch_ms_midnight_utc"}"#,
        "date",
        Arc::new(numbers),
        &["1767571200000", "R111"],
    );
    let numbers = Int64Array::from(vec![1_767_571_200_000, 1_767_571_200_001]);
    check(
        r#"{"from": "c", "as": "epoch_ms"}"#,
        "date",
        Arc::new(numbers),
        &["1767571200000", "R110"],
    );
}

#[test]
fn as_json_keeps_json_and_refuses_other_text() {
    check(
        r#"{"from": "c", "as": "json"}"#,
        "any",
        words(&[r#"{"a": 1.50}"#, "[1", "plain", "\"x\"", ""]),
        &[r#"{"a": 1.50}"#, "R117", "R117", "\"x\"", "R117"],
    );
    check(
        r#"{"from": "c", "as": "json"}"#,
        "any",
        Arc::new(BooleanArray::from(vec![true])),
        &["true"],
    );
    let dates = Date32Array::from(vec![20_458]);
    check(r#"{"from": "c", "as": "json"}"#, "any", Arc::new(dates), &["\"2026-01-05\""]);
    check(
        r#"{"from": "c", "as": "json"}"#,
        "any",
        Arc::new(Float64Array::from(vec![f64::NAN])),
        &["R111"],
    );
}

#[test]
fn values_are_translated_and_the_rest_is_rejected_nulled_or_kept() {
    let cells = [Some("pro"), Some("ent"), Some("other"), Some("Free"), None];
    let mapping = |otherwise: &str| {
        format!(r#"{{"from": "c", "values": {{"pro": "Professional", "ent": null}}{otherwise}}}"#)
    };
    let rejected = ["Professional", "null", "R115", "R115", "null"];
    check(&mapping(""), "plan_tier", text(&cells), &rejected);
    check(&mapping(r#", "otherwise": "reject""#), "plan_tier", text(&cells), &rejected);
    let nulled = ["Professional", "null", "null", "null", "null"];
    check(&mapping(r#", "otherwise": "set_null""#), "plan_tier", text(&cells), &nulled);
    let kept = ["Professional", "null", "R107", "Free", "null"];
    check(&mapping(r#", "otherwise": "keep""#), "plan_tier", text(&cells), &kept);
}

#[test]
fn keys_of_values_match_numbers_and_booleans_by_value() {
    let decimals =
        Decimal128Array::from(vec![100, 250]).with_precision_and_scale(5, 2).expect("fits");
    check(
        r#"{"from": "c", "values": {"1.0": "one", "2.50": "two and a half"}}"#,
        "text",
        Arc::new(decimals),
        &["one", "two and a half"],
    );
    check(
        r#"{"from": "c", "values": {"True": 1, "false": 0}}"#,
        "number",
        Arc::new(BooleanArray::from(vec![Some(true), Some(false), None])),
        &["1", "0", "null"],
    );
    check(
        r#"{"from": "c", "values": {"1": 10}, "otherwise": "keep"}"#,
        "number",
        Arc::new(Int64Array::from(vec![1, 2])),
        &["10", "2"],
    );
    check(
        r#"{"from": "c", "values": {"1": "ten"}, "otherwise": "keep"}"#,
        "text",
        Arc::new(Int64Array::from(vec![1, 2])),
        &["ten", "2"],
    );
}

#[test]
fn the_order_is_values_transform_as_default_on_null() {
    check(
        r#"{"from": "c", "values": {"a": " 1.0 ", "b": null}, "transform": ["trim"], "as": "number", "default": 7, "on_null": "reject"}"#,
        "number",
        text(&[Some("a"), Some("b"), None]),
        &["1", "7", "7"],
    );
}

#[test]
fn nulls_are_sent_skipped_cleared_or_rejected() {
    let cells = [Some("a"), None];
    for (on_null, expected) in
        [("send", "null"), ("clear", "null"), ("skip", "absent"), ("reject", "R105")]
    {
        let mapping = format!(r#"{{"from": "c", "on_null": "{on_null}"}}"#);
        check(&mapping, "text", text(&cells), &["a", expected]);
    }
}

#[test]
fn a_default_fills_nulls_exactly_in_every_type() {
    let with =
        |default: &str| format!(r#"{{"from": "c", "default": {default}, "on_null": "skip"}}"#);
    check(&with("\"x\""), "text", text(&[None, Some("")]), &["x", ""]);
    let whole: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None]));
    check(&with("5"), "number", Arc::clone(&whole), &["1", "5"]);
    check(&with("1.5"), "number", Arc::clone(&whole), &["1", "1.5"]);
    check(&with("\"1.5\""), "number", whole, &["1", "1.5"]);
    let decimals =
        Decimal128Array::from(vec![Some(100), None]).with_precision_and_scale(5, 2).expect("fits");
    check(&with("0.5"), "number", Arc::new(decimals.clone()), &["1", "0.5"]);
    check(&with("0.555"), "number", Arc::new(decimals), &["1", "0.555"]);
    check(
        &with("0.1"),
        "number",
        Arc::new(Float64Array::from(vec![Some(1.5), None])),
        &["1.5", "0.1"],
    );
    check(
        &with("false"),
        "active",
        Arc::new(BooleanArray::from(vec![Some(true), None])),
        &["true", "false"],
    );
    check(
        &with("\"2026-01-05\""),
        "date",
        Arc::new(Date32Array::from(vec![None, Some(0)])),
        &["2026-01-05", "1970-01-01"],
    );
    let epoch = r#"{"from": "c", "as": "epoch_ms", "default": "2026-01-05"}"#;
    check(
        epoch,
        "datetime",
        Arc::new(Date32Array::from(vec![None, Some(0)])),
        &["1767571200000", "0"],
    );
}

#[test]
fn constants_and_the_run_fill_every_row() {
    let column = || text(&[Some("a"), None]);
    check(r#"{"const": "Free"}"#, "plan_tier", column(), &["Free", "Free"]);
    check(r#"{"const": 1.50}"#, "number", column(), &["1.5", "1.5"]);
    check(r#"{"const": false}"#, "active", column(), &["false", "false"]);
    check(r#"{"const": null}"#, "text", column(), &["null", "null"]);
    check(r#"{"const": null, "on_null": "skip"}"#, "text", column(), &["absent", "absent"]);
    check(r#"{"const": "  Ab ", "transform": ["trim", "upper"]}"#, "text", column(), &["AB", "AB"]);
    check(r#"{"run": "id"}"#, "text", column(), &["run-1", "run-1"]);
    check(r#"{"run": "sync", "transform": ["upper"]}"#, "text", column(), &["USAGE", "USAGE"]);
    check(r#"{"run": "started_at"}"#, "datetime", column(), &["2026-01-05T10:00:02.8698Z"; 2]);
    check(r#"{"run": "started_at", "as": "date"}"#, "date", column(), &["2026-01-05"; 2]);
}

//! What each kind of destination field takes from each kind of column, cell by cell.

use std::sync::Arc;

use flow::arrow::array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float32Array,
    Float64Array, Int16Array, Int64Array, ListArray, ListBuilder, NullArray, StringArray,
    StringBuilder, Time64MicrosecondArray, TimestampMicrosecondArray, TimestampNanosecondArray,
    UInt64Array,
};
use flow::arrow::datatypes::{DataType, Int32Type, TimeUnit};

use crate::fixture::{Setup, outcomes, rows, text, words};

#[track_caller]
fn check(field: &str, column: ArrayRef, expected: &[&str]) {
    assert_eq!(outcomes("\"c\"", field, column), expected, "field `{field}`");
}

fn floats() -> ArrayRef {
    let cells = vec![Some(1.0), Some(-0.0), Some(0.1), None, Some(f64::NAN), Some(f64::INFINITY)];
    Arc::new(Float64Array::from(cells))
}

fn decimals() -> ArrayRef {
    let array = Decimal128Array::from(vec![Some(100), Some(-5), None, Some(123_456)]);
    Arc::new(array.with_precision_and_scale(12, 2).expect("fits"))
}

fn moments(zone: Option<&str>) -> ArrayRef {
    let cells = vec![
        Some(1_767_607_202_869_800),
        Some(1_767_571_200_000_000),
        None,
        Some(i64::MAX),
        Some(i64::MIN),
        Some(-70_000_000_000_000_000),
    ];
    let array = TimestampMicrosecondArray::from(cells);
    match zone {
        Some(zone) => Arc::new(array.with_timezone(zone)),
        None => Arc::new(array),
    }
}

fn dates() -> ArrayRef {
    let cells = vec![Some(20_458), None, Some(i32::MAX), Some(i32::MIN), Some(-719_163)];
    Arc::new(Date32Array::from(cells))
}

#[test]
fn text_takes_every_type_as_exact_text() {
    check("text", text(&[Some(" a "), Some(""), None, Some("żółć")]), &[" a ", "", "null", "żółć"]);
    check("text", floats(), &["1", "0", "0.1", "null", "R111", "R111"]);
    check("text", decimals(), &["1", "-0.05", "null", "1234.56"]);
    check("text", Arc::new(Int16Array::from(vec![Some(-7), None])), &["-7", "null"]);
    check("text", Arc::new(BooleanArray::from(vec![Some(true), None])), &["true", "null"]);
    check("text", Arc::new(Float32Array::from(vec![0.1])), &["0.1"]);
    check("text", Arc::new(UInt64Array::from(vec![u64::MAX])), &["18446744073709551615"]);
    check("text", dates(), &["2026-01-05", "null", "R111", "R111", "0000-12-31"]);
    check(
        "text",
        moments(None),
        &[
            "2026-01-05T10:00:02.8698",
            "2026-01-05T00:00:00",
            "null",
            "R111",
            "R111",
            "-0249-10-15T19:33:20",
        ],
    );
    check("text", Arc::new(BinaryArray::from_vec(vec![b"\x00\xff"])), &["00ff"]);
    check("text", Arc::new(Time64MicrosecondArray::from(vec![86_400_000_000])), &["24:00:00"]);
    let lists = ListArray::from_iter_primitive::<Int32Type, _, _>([Some([Some(1), None])]);
    check("text", Arc::new(lists), &["[1,null]"]);
}

/// A day so far away that its microseconds overflow once made a debug build panic.
#[test]
fn dates_beyond_the_calendar_reject_the_row() {
    let far =
        || Arc::new(Date32Array::from(vec![i32::MAX - 1, i32::MIN + 1, 100_000_000])) as ArrayRef;
    for field in ["text", "date", "datetime", "any"] {
        check(field, far(), &["R111"; 3]);
    }
    let format = r#"{"from": "c", "transform": [{"date_format": "%Y"}]}"#;
    assert_eq!(outcomes(format, "text", far()), ["R110"; 3]);
    let moments = TimestampMicrosecondArray::from(vec![i64::MAX - 1, i64::MIN + 1]);
    check("text", Arc::new(moments), &["R111"; 2]);
}

#[test]
fn text_counts_characters_not_bytes() {
    check(
        "short",
        words(&["żółćż", "żółćżó", "abcde", "abcdef", ""]),
        &["żółćż", "R108", "abcde", "R108", ""],
    );
}

#[test]
fn too_long_text_says_how_long_and_the_limit() {
    let batch = rows(1, vec![("c", words(&["abcdefgh"]))]);
    let mapped = Setup::default().map(r#"{"short": "c"}"#, &batch);
    assert_eq!(mapped.rejects[0].reason, "the text has 8 characters; the field takes at most 5");
    assert_eq!(mapped.rejects[0].field.as_deref(), Some("short"));
}

#[test]
fn numbers_stay_exact_and_are_never_nan() {
    check(
        "number",
        Arc::new(Int64Array::from(vec![i64::MAX, i64::MIN])),
        &["9223372036854775807", "-9223372036854775808"],
    );
    check("number", floats(), &["1", "0", "0.1", "null", "R111", "R111"]);
    check("number", decimals(), &["1", "-0.05", "null", "1234.56"]);
    check("number", Arc::new(Float32Array::from(vec![0.1, f32::NAN])), &["0.1", "R111"]);
    check("number", Arc::new(UInt64Array::from(vec![u64::MAX])), &["18446744073709551615"]);
    check(
        "number",
        words(&[
            "1.50",
            " 7 ",
            "1e3",
            "",
            "x",
            "1,5",
            "NaN",
            "Infinity",
            "99999999999999999999.000000000000001",
        ]),
        &[
            "1.5",
            "7",
            "1000",
            "R109",
            "R109",
            "R109",
            "R111",
            "R111",
            "99999999999999999999.000000000000001",
        ],
    );
}

#[test]
fn booleans_take_booleans_and_the_words_for_them() {
    check(
        "active",
        Arc::new(BooleanArray::from(vec![Some(true), Some(false), None])),
        &["true", "false", "null"],
    );
    check(
        "active",
        words(&["true", "F", "Yes", "n", "on", "0", " 1 ", "", "2", "maybe"]),
        &["true", "false", "true", "false", "true", "false", "true", "R112", "R112", "R112"],
    );
}

#[test]
fn dates_have_no_time_of_day_and_a_year_of_four_digits() {
    check("date", dates(), &["2026-01-05", "null", "R111", "R111", "R111"]);
    check("date", moments(Some("UTC")), &["R110", "2026-01-05", "null", "R111", "R111", "R111"]);
    check(
        "date",
        words(&[
            "2026-01-05",
            "2026-01-05T00:00:00Z",
            "2026-01-05 10:00",
            "05.01.2026",
            "infinity",
            "",
        ]),
        &["2026-01-05", "2026-01-05", "R110", "R110", "R110", "R110"],
    );
}

#[test]
fn moments_are_utc_to_the_microsecond() {
    let expected =
        ["2026-01-05T10:00:02.8698Z", "2026-01-05T00:00:00Z", "null", "R111", "R111", "R111"];
    check("datetime", moments(None), &expected);
    check("datetime", moments(Some("UTC")), &expected);
    check("datetime", moments(Some("+02:00")), &expected);
    check("datetime", dates(), &["2026-01-05T00:00:00Z", "null", "R111", "R111", "R111"]);
    check(
        "datetime",
        words(&["2026-01-05T10:00:00+02:00", "2026-01-05", "now"]),
        &["2026-01-05T08:00:00Z", "2026-01-05T00:00:00Z", "R110"],
    );
    let nanos = TimestampNanosecondArray::from(vec![1_000, 1_001]);
    check("datetime", Arc::new(nanos), &["1970-01-01T00:00:00.000001Z", "R111"]);
}

#[test]
fn options_are_compared_exactly() {
    check(
        "plan_tier",
        text(&[Some("Free"), Some("free"), Some(" Free"), Some(""), None]),
        &["Free", "R107", "R107", "R107", "null"],
    );
}

#[test]
fn several_options_are_checked_one_by_one() {
    check(
        "plans",
        words(&["Free;Enterprise", "Free ; Enterprise", "Free;Other", "Free;", ";Free", ""]),
        &["Free;Enterprise", "Free;Enterprise", "R107", "R107", "R107", "R107"],
    );
    let mut lists = ListBuilder::new(StringBuilder::new());
    lists.append_value([Some("Free"), Some("Professional")]);
    lists.append_value([Some("Free"), None]);
    lists.append_value([Some("Free;Enterprise")]);
    lists.append_value(Vec::<Option<&str>>::new());
    lists.append_null();
    check(
        "plans",
        Arc::new(lists.finish()),
        &["Free;Professional", "R107", "R107", "null", "null"],
    );
}

#[test]
fn addresses_are_checked_and_telephone_numbers_are_not() {
    check(
        "second_email",
        words(&["a@x.io", "a@x", " a@x.io", ""]),
        &["a@x.io", "R113", "R113", "R113"],
    );
    check("phone", words(&["+48 600 100 200", "n/a"]), &["+48 600 100 200", "n/a"]);
    check("phone", Arc::new(Int64Array::from(vec![48_600_100_200])), &["48600100200"]);
}

#[test]
fn any_takes_values_as_they_come() {
    check("any", words(&["a"]), &["a"]);
    check("any", floats(), &["1", "0", "0.1", "null", "R111", "R111"]);
    check("any", dates(), &["2026-01-05", "null", "R111", "R111", "0000-12-31"]);
    check("any", Arc::new(BinaryArray::from_vec(vec![b"\x0a"])), &["0a"]);
}

#[test]
fn every_kind_takes_a_column_that_is_always_null() {
    for field in [
        "text",
        "short",
        "number",
        "active",
        "date",
        "datetime",
        "plan_tier",
        "plans",
        "phone",
        "second_email",
        "any",
    ] {
        let column: ArrayRef = Arc::new(NullArray::new(2));
        check(field, column, &["null", "null"]);
        let empty: ArrayRef = Arc::new(StringArray::from(Vec::<Option<&str>>::new()));
        check(field, empty, &[]);
    }
}

/// The Arrow types that writers may rely on.
#[test]
fn every_kind_has_its_canonical_arrow_types() {
    let micros = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let cases: Vec<(&str, &str, ArrayRef, DataType)> = vec![
        ("text", "\"c\"", decimals(), DataType::Utf8),
        ("plan_tier", "\"c\"", words(&["Free"]), DataType::Utf8),
        ("plans", "\"c\"", words(&["Free"]), DataType::Utf8),
        ("second_email", "\"c\"", words(&["a@x.io"]), DataType::Utf8),
        ("phone", "\"c\"", Arc::new(Int64Array::from(vec![1])), DataType::Utf8),
        ("number", "\"c\"", Arc::new(Int16Array::from(vec![1])), DataType::Int64),
        ("number", "\"c\"", Arc::new(Float32Array::from(vec![1.0])), DataType::Float64),
        ("number", "\"c\"", decimals(), DataType::Decimal128(12, 2)),
        ("number", "\"c\"", words(&["1"]), DataType::Utf8),
        ("active", "\"c\"", words(&["true"]), DataType::Boolean),
        ("date", "\"c\"", moments(None), DataType::Date32),
        ("datetime", "\"c\"", dates(), micros.clone()),
        ("datetime", "\"c\"", moments(None), micros),
        ("date", r#"{"from": "c", "as": "epoch_ms_midnight_utc"}"#, moments(None), DataType::Int64),
        ("datetime", r#"{"from": "c", "as": "epoch_ms"}"#, dates(), DataType::Int64),
        ("any", "\"c\"", Arc::new(BooleanArray::from(vec![true])), DataType::Boolean),
    ];
    for (field, mapping, column, expected) in cases {
        let batch = rows(column.len(), vec![("c", column)]);
        let mapped = Setup::default().map(&format!("{{\"{field}\": {mapping}}}"), &batch);
        let schema = mapped.payload.fields.schema();
        assert_eq!(
            schema.field_with_name(field).expect("mapped").data_type(),
            &expected,
            "{field}"
        );
    }
}

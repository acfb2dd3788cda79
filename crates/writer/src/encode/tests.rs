//! What cells look like in a JSON body, compared with serde_json and chrono as referees.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    BooleanArray, Date32Array, Decimal128Array, Float64Array, Int16Array, Int32Array, Int64Array,
    ListBuilder, StringArray, StringBuilder, TimestampMicrosecondArray,
};
use proptest::prelude::*;

use super::*;

const SPELLING: Spelling = Spelling { second_decimals: SecondDecimals::Three, list_separator: ";" };

fn texts(column: ArrayRef, spelling: Spelling) -> Vec<String> {
    let cells = Cells::new(&column, spelling);
    (0..column.len())
        .map(|row| {
            let mut out = Vec::new();
            cells.push_string(row, &mut out);
            serde_json::from_slice(&out).expect("valid JSON")
        })
        .collect()
}

#[track_caller]
fn check(column: ArrayRef, expected: &[&str]) {
    assert_eq!(texts(column, SPELLING), expected);
}

#[test]
fn text_of_any_script_survives_and_null_is_empty() {
    let hard = [
        "Ada",
        "Zoë",
        "日本語",
        "👩‍👩‍👧‍👦🏳️‍🌈",
        "a\"b\\c/d",
        "line\nline\r\n\ttab",
        "\u{0}\u{1}\u{1f}\u{7f}",
        "</script>",
        "",
        " ",
        "null",
        "\u{fffd}\u{feff}\u{2028}",
    ];
    check(Arc::new(StringArray::from(hard.to_vec())), &hard);
    check(Arc::new(StringArray::from(vec![None, Some("")])), &["", ""]);
}

#[test]
fn a_huge_value_is_written_whole() {
    let huge = "é\"".repeat(1_000_000);
    let column: ArrayRef = Arc::new(StringArray::from(vec![huge.clone()]));
    assert_eq!(texts(column, SPELLING), [huge]);
}

#[test]
fn numbers_are_exact() {
    check(Arc::new(Int16Array::from(vec![i16::MIN, 0, i16::MAX])), &["-32768", "0", "32767"]);
    check(Arc::new(Int32Array::from(vec![i32::MIN, -1])), &["-2147483648", "-1"]);
    check(
        Arc::new(Int64Array::from(vec![i64::MIN, 10, i64::MAX])),
        &["-9223372036854775808", "10", "9223372036854775807"],
    );
    let decimals = Decimal128Array::from(vec![12_345, -5, 10_000_000_000_000_000_000_000_000])
        .with_precision_and_scale(38, 2)
        .expect("fits");
    check(Arc::new(decimals), &["123.45", "-0.05", "100000000000000000000000"]);
    check(
        Arc::new(Float64Array::from(vec![0.1, -0.0, 1e300])),
        &["0.1", "0", &format!("{}", 1e300_f64)],
    );
}

#[test]
fn booleans_and_lists_have_their_words() {
    check(
        Arc::new(BooleanArray::from(vec![Some(true), Some(false), None])),
        &["true", "false", ""],
    );
    let mut list = ListBuilder::new(StringBuilder::new());
    list.append_value([Some("a"), None, Some("b\"c")]);
    list.append_value(Vec::<Option<&str>>::new());
    list.append_null();
    check(Arc::new(list.finish()), &["a;b\"c", "", ""]);
}

#[test]
fn seconds_are_cut_never_rounded() {
    let moments = [0, 999_999, -1, 1_767_607_202_869_800, 951_782_400_000_000];
    let column = || -> ArrayRef {
        Arc::new(TimestampMicrosecondArray::from(moments.to_vec()).with_timezone("UTC"))
    };
    check(
        column(),
        &[
            "1970-01-01T00:00:00.000Z",
            "1970-01-01T00:00:00.999Z",
            "1969-12-31T23:59:59.999Z",
            "2026-01-05T10:00:02.869Z",
            "2000-02-29T00:00:00.000Z",
        ],
    );
    let micros = Spelling { second_decimals: SecondDecimals::Six, ..SPELLING };
    assert_eq!(texts(column(), micros)[3], "2026-01-05T10:00:02.869800Z");
}

#[test]
fn moments_without_a_four_digit_year_keep_their_canonical_text() {
    let column: ArrayRef = Arc::new(
        TimestampMicrosecondArray::from(vec![i64::MAX, i64::MIN, i64::MAX - 1])
            .with_timezone("UTC"),
    );
    let expected: Vec<String> =
        (0..3).map(|row| flow::text_at(&column, row).into_owned()).collect();
    assert_eq!(expected[0], "infinity");
    assert_eq!(texts(column, SPELLING), expected);
    check(Arc::new(Date32Array::from(vec![i32::MAX, i32::MIN])), &["infinity", "-infinity"]);
}

#[test]
fn the_first_and_last_days_with_a_four_digit_year_are_known() {
    check(
        Arc::new(Date32Array::from(vec![-719_162, 2_932_896, 0, 19_782])),
        &["0001-01-01", "9999-12-31", "1970-01-01", "2024-02-29"],
    );
}

proptest! {
    #[test]
    fn any_text_reads_back(text in any::<String>()) {
        let mut out = Vec::new();
        push_string(&text, &mut out);
        prop_assert_eq!(serde_json::from_slice::<String>(&out).expect("valid JSON"), text);
    }

    #[test]
    fn any_day_is_the_day_chrono_says(days in -719_162_i64..=2_932_896) {
        let date = chrono::DateTime::from_timestamp(days * 86_400, 0).expect("in range");
        let mut out = Vec::new();
        push_date(civil(days).expect("in range"), &mut out);
        prop_assert_eq!(String::from_utf8(out).expect("ASCII"), date.format("%Y-%m-%d").to_string());
    }

    #[test]
    fn any_integer_is_decimal(value in any::<i64>()) {
        let mut out = Vec::new();
        push_integer(value, &mut out);
        prop_assert_eq!(String::from_utf8(out).expect("ASCII"), value.to_string());
    }
}

#[test]
fn a_json_value_keeps_its_type_and_exact_digits() {
    let json = |field: Field, column: ArrayRef| -> Vec<String> {
        let cells = Cells::of(&field, &column, SPELLING);
        (0..column.len())
            .map(|row| {
                let mut out = Vec::new();
                cells.push_json(row, &mut out);
                let text = String::from_utf8(out).expect("UTF-8");
                let _: serde_json::Value = serde_json::from_str(&text).expect("valid JSON");
                text
            })
            .collect()
    };
    let plain = |data_type: DataType| Field::new("a", data_type, true);
    let text: ArrayRef = Arc::new(StringArray::from(vec![Some("1\"2"), None, Some("[1]")]));
    assert_eq!(json(plain(DataType::Utf8), Arc::clone(&text)), ["\"1\\\"2\"", "null", "\"[1]\""]);
    let documents: ArrayRef =
        Arc::new(StringArray::from(vec!["{\"a\":[1,null]}", "12345678901234567890.123456789"]));
    let meaning = [("ARROW:extension:name".to_owned(), "arrow.json".to_owned())];
    let field = plain(DataType::Utf8).with_metadata(HashMap::from(meaning));
    assert_eq!(json(field, documents), ["{\"a\":[1,null]}", "12345678901234567890.123456789"]);
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![i64::MIN, 7]));
    assert_eq!(json(plain(DataType::Int64), numbers), ["-9223372036854775808", "7"]);
    let floats: ArrayRef = Arc::new(Float64Array::from(vec![0.1, 1e21, f64::NAN]));
    let expected = ["0.1", "1000000000000000000000", "\"NaN\""];
    assert_eq!(json(plain(DataType::Float64), floats), expected);
    let decimals: ArrayRef =
        Arc::new(Decimal128Array::from(vec![1250]).with_precision_and_scale(10, 2).expect("fits"));
    assert_eq!(json(plain(DataType::Decimal128(10, 2)), decimals), ["12.5"]);
    let truths: ArrayRef = Arc::new(BooleanArray::from(vec![true]));
    assert_eq!(json(plain(DataType::Boolean), truths), ["true"]);
    let days: ArrayRef = Arc::new(Date32Array::from(vec![0]));
    assert_eq!(json(plain(DataType::Date32), days), ["\"1970-01-01\""]);
    let mut lists = ListBuilder::new(StringBuilder::new());
    lists.append_value([Some("a"), None]);
    let lists: ArrayRef = Arc::new(lists.finish());
    assert_eq!(json(plain(lists.data_type().clone()), Arc::clone(&lists)), ["[\"a\",null]"]);
}

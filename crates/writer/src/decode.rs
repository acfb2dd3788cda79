//! A vendor's JSON values as the Arrow cells a mapped payload would have, for reading records back.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int64Array, RecordBatch,
    RecordBatchOptions, StringArray, TimestampMicrosecondArray, new_null_array,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use chrono::{DateTime, NaiveDate, NaiveDateTime};
use flow::{Error, Result};
use serde_json::Value;

use crate::codes::E2016_CALL;

/// The columns of `fields` with a row per record; `member` gives a record's value of a field. All may be NULL.
///
/// # Errors
/// [`E2016_CALL`] when a column is of a type that no payload has.
pub fn records(
    fields: &SchemaRef,
    rows: usize,
    separator: &str,
    member: impl Fn(usize, &Field) -> Option<Value>,
) -> Result<RecordBatch> {
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(fields.fields().len());
    for field in fields.fields() {
        let values: Vec<Option<Value>> = (0..rows).map(|row| member(row, field)).collect();
        let values: Vec<Option<&Value>> = values.iter().map(Option::as_ref).collect();
        columns.push(column(field, &values, separator));
    }
    let nullable = fields.fields().iter().map(|field| field.as_ref().clone().with_nullable(true));
    let schema = Schema::new_with_metadata(nullable.collect::<Vec<_>>(), fields.metadata().clone());
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::new(schema), columns, &options).map_err(|error| {
        let message = "fields of a type that no payload has were asked for";
        Error::new(&E2016_CALL, message).with_source(error)
    })
}

/// One column of `field`'s type, a cell per value. What is missing, null, an empty text in a column that is not text,
/// or of another form than the type is NULL.
///
/// Lists become text joined by `separator`, as a field with any number of options is mapped. A day may come as the
/// moment it begins at.
pub fn column(field: &Field, values: &[Option<&Value>], separator: &str) -> ArrayRef {
    let rows = values.iter().map(|value| value.filter(|value| !value.is_null()));
    match field.data_type() {
        DataType::Utf8 => {
            let json = field.metadata().get("ARROW:extension:name").is_some();
            let texts = rows.map(|value| value.and_then(|value| text(value, separator, json)));
            Arc::new(texts.collect::<StringArray>())
        }
        DataType::Boolean => Arc::new(rows.map(|value| truth(value?)).collect::<BooleanArray>()),
        DataType::Int16 | DataType::Int32 | DataType::Int64 => {
            let whole: ArrayRef =
                Arc::new(rows.map(|value| integer(value?)).collect::<Int64Array>());
            cast(&whole, field.data_type()).unwrap_or(whole)
        }
        DataType::Float64 => {
            Arc::new(rows.map(|value| number(value?)?.parse().ok()).collect::<Float64Array>())
        }
        DataType::Decimal128(precision, scale) => {
            let cells: Decimal128Array =
                rows.map(|value| decimal(&number(value?)?, *scale)).collect();
            match cells.with_precision_and_scale(*precision, *scale) {
                Ok(cells) => Arc::new(cells),
                Err(_) => new_null_array(field.data_type(), values.len()),
            }
        }
        DataType::Date32 => {
            Arc::new(rows.map(|value| day(value?.as_str()?)).collect::<Date32Array>())
        }
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            let cells: TimestampMicrosecondArray =
                rows.map(|value| moment(value?.as_str()?)).collect();
            Arc::new(cells.with_timezone_opt(zone.clone()))
        }
        other => new_null_array(other, values.len()),
    }
}

fn text(value: &Value, separator: &str, json: bool) -> Option<String> {
    match value {
        _ if json => Some(value.to_string()),
        Value::String(text) => Some(text.clone()),
        Value::Array(items) => {
            let items: Vec<String> =
                items.iter().filter_map(|item| text(item, separator, false)).collect();
            Some(items.join(separator)).filter(|text| !text.is_empty())
        }
        Value::Null => None,
        other => Some(other.to_string()),
    }
}

fn truth(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(truth) => Some(*truth),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

fn number(value: &Value) -> Option<String> {
    match value {
        Value::Number(number) => Some(number.to_string()),
        Value::String(text) => Some(text.trim().to_owned()),
        _ => None,
    }
}

fn integer(value: &Value) -> Option<i64> {
    let text = number(value)?;
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    whole.parse().ok().filter(|_| fraction.bytes().all(|digit| digit == b'0'))
}

/// Exact: digits beyond the scale make it NULL rather than another number.
fn decimal(text: &str, scale: i8) -> Option<i128> {
    let scale = usize::try_from(scale).ok()?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let fraction = fraction.trim_end_matches('0');
    let digits = whole.bytes().any(|byte| byte.is_ascii_digit());
    if !digits || fraction.len() > scale || !fraction.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    format!("{whole}{fraction:0<scale$}").parse().ok()
}

fn day(text: &str) -> Option<i32> {
    let date = text.get(..10)?;
    let rest = &text[10..];
    if !rest.is_empty() && !rest.starts_with("T00:00:00") {
        return None;
    }
    let date: NaiveDate = date.parse().ok()?;
    i32::try_from(date.signed_duration_since(NaiveDate::default()).num_days()).ok()
}

fn moment(text: &str) -> Option<i64> {
    if let Ok(moment) = DateTime::parse_from_rfc3339(text) {
        return Some(moment.timestamp_micros());
    }
    // A zone without a colon: `+0000`.
    if let Ok(moment) = DateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f%z") {
        return Some(moment.timestamp_micros());
    }
    let local: NaiveDateTime = text.parse().ok()?;
    Some(local.and_utc().timestamp_micros())
}

#[cfg(test)]
mod tests {
    use flow::text_at;
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(data_type: DataType, values: &[Value], expected: &[Option<&str>]) {
        let values: Vec<Option<&Value>> = values.iter().map(Some).collect();
        let column = column(&Field::new("a", data_type, true), &values, ";");
        let found: Vec<Option<String>> = (0..column.len())
            .map(|row| column.is_valid(row).then(|| text_at(&column, row).into_owned()))
            .collect();
        let expected: Vec<Option<String>> =
            expected.iter().map(|text| text.map(str::to_owned)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn values_take_the_type_of_the_payload_they_are_compared_with() {
        let mixed =
            [json!("a"), json!(1.5), json!(true), json!(["x", "y"]), json!([]), json!(null)];
        check(
            DataType::Utf8,
            &mixed,
            &[Some("a"), Some("1.5"), Some("true"), Some("x;y"), None, None],
        );
        let numbers = [json!(12), json!("12.50"), json!("x"), json!(7.0), json!("")];
        check(DataType::Int64, &numbers, &[Some("12"), None, None, Some("7"), None]);
        check(
            DataType::Decimal128(10, 2),
            &numbers,
            &[Some("12"), Some("12.5"), None, Some("7"), None],
        );
        check(DataType::Float64, &numbers[..2], &[Some("12"), Some("12.5")]);
        check(
            DataType::Boolean,
            &[json!(false), json!("true"), json!(1)],
            &[Some("false"), Some("true"), None],
        );
        let days = [
            json!("2026-01-05"),
            json!("2026-01-05T00:00:00+00:00"),
            json!("2026-01-05T10:00:00Z"),
        ];
        check(DataType::Date32, &days, &[Some("2026-01-05"), Some("2026-01-05"), None]);
        check(
            DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            &[
                json!("2026-01-05T11:00:00.5+01:00"),
                json!("2026-01-05T11:00:00.000+0100"),
                json!("soon"),
            ],
            &[Some("2026-01-05T10:00:00.5Z"), Some("2026-01-05T10:00:00Z"), None],
        );
    }

    #[test]
    fn what_is_missing_is_null_and_a_huge_number_is_no_other_number() {
        let column = column(&Field::new("a", DataType::Int64, true), &[None], ";");
        assert!(column.is_null(0));
        check(DataType::Decimal128(5, 0), &[json!("123456789012345678901234567890.5")], &[None]);
    }
}

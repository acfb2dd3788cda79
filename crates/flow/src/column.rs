//! One cell of an Arrow column as canonical text: the form used for keys, templates and text fields.

use std::borrow::Cow;
use std::fmt::Write as _;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, Time64MicrosecondType, TimeUnit, TimestampMicrosecondType, UInt32Type,
};

use crate::Watermark;

/// The cell as exact text; empty for null.
///
/// Integers are decimal; decimals lose trailing zeros (1.00 is 1); floats are the shortest text that
/// reads back to the same value; booleans are `true`/`false`; dates `YYYY-MM-DD`; timestamps ISO 8601
/// in UTC with as many of six decimals as needed (`Z` only where the column has a time zone); binary is
/// lower-case hex; lists are JSON. Other types use Arrow's display.
pub fn text_at(column: &ArrayRef, row: usize) -> Cow<'_, str> {
    if column.is_null(row) {
        return Cow::Borrowed("");
    }
    match column.data_type() {
        DataType::Utf8 => Cow::Borrowed(column.as_string::<i32>().value(row)),
        DataType::LargeUtf8 => Cow::Borrowed(column.as_string::<i64>().value(row)),
        DataType::Boolean => {
            Cow::Borrowed(if column.as_boolean().value(row) { "true" } else { "false" })
        }
        DataType::Int8 => column.as_primitive::<Int8Type>().value(row).to_string().into(),
        DataType::Int16 => column.as_primitive::<Int16Type>().value(row).to_string().into(),
        DataType::Int32 => column.as_primitive::<Int32Type>().value(row).to_string().into(),
        DataType::Int64 => column.as_primitive::<Int64Type>().value(row).to_string().into(),
        DataType::UInt32 => column.as_primitive::<UInt32Type>().value(row).to_string().into(),
        DataType::Float32 => {
            float(f64::from(column.as_primitive::<Float32Type>().value(row)), || {
                column.as_primitive::<Float32Type>().value(row).to_string()
            })
        }
        DataType::Float64 => float(column.as_primitive::<Float64Type>().value(row), || {
            column.as_primitive::<Float64Type>().value(row).to_string()
        }),
        DataType::Decimal128(_, scale) => {
            decimal(column.as_primitive::<Decimal128Type>().value(row), *scale).into()
        }
        DataType::Date32 => date(column.as_primitive::<Date32Type>().value(row)).into(),
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            timestamp(column.as_primitive::<TimestampMicrosecondType>().value(row), zone.is_some())
                .into()
        }
        DataType::Time64(TimeUnit::Microsecond) => {
            time(column.as_primitive::<Time64MicrosecondType>().value(row)).into()
        }
        DataType::Binary => hex(column.as_binary::<i32>().value(row)).into(),
        DataType::List(_) => list(&column.as_list::<i32>().value(row)).into(),
        _ => arrow::util::display::array_value_to_string(column, row).unwrap_or_default().into(),
    }
}

fn float(value: f64, shortest: impl Fn() -> String) -> Cow<'static, str> {
    if value == 0.0 {
        // -0 and 0 are one number.
        Cow::Borrowed("0")
    } else if value.is_infinite() {
        Cow::Borrowed(if value > 0.0 { "Infinity" } else { "-Infinity" })
    } else {
        shortest().into()
    }
}

fn decimal(value: i128, scale: i8) -> String {
    if scale <= 0 {
        let zeros = usize::from(scale.unsigned_abs());
        return if value == 0 { "0".to_owned() } else { format!("{value}{}", "0".repeat(zeros)) };
    }
    let scale = usize::from(scale.unsigned_abs());
    let digits = value.unsigned_abs().to_string();
    let digits = format!("{digits:0>width$}", width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    let fraction = fraction.trim_end_matches('0');
    let sign = if value < 0 { "-" } else { "" };
    if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

/// A day as canonical text.
pub(crate) fn date(days: i32) -> String {
    match days {
        i32::MAX => return "infinity".to_owned(),
        i32::MIN => return "-infinity".to_owned(),
        _ => {}
    }
    let seconds = i64::from(days) * 86_400;
    chrono::DateTime::from_timestamp(seconds, 0)
        .map_or_else(|| format!("{days} d"), |at| at.format("%Y-%m-%d").to_string())
}

/// A moment as canonical text.
pub(crate) fn timestamp(micros: i64, zoned: bool) -> String {
    if let i64::MAX | i64::MIN = micros {
        return Watermark(micros).to_string();
    }
    let Some(at) = chrono::DateTime::from_timestamp_micros(micros) else {
        return format!("{micros} us");
    };
    let mut text = at.format("%Y-%m-%dT%H:%M:%S").to_string();
    push_fraction(&mut text, micros.rem_euclid(1_000_000));
    if zoned {
        text.push('Z');
    }
    text
}

fn time(micros: i64) -> String {
    let seconds = micros / 1_000_000;
    let mut text = format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    push_fraction(&mut text, micros % 1_000_000);
    text
}

fn push_fraction(text: &mut String, micros: i64) {
    if micros != 0 {
        let fraction = format!("{micros:06}");
        text.push('.');
        text.push_str(fraction.trim_end_matches('0'));
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn list(items: &ArrayRef) -> String {
    let numeric = items.data_type().is_numeric() || items.data_type() == &DataType::Boolean;
    let items: Vec<String> = (0..items.len())
        .map(|row| match items.is_null(row) {
            true => "null".to_owned(),
            false if numeric => text_at(items, row).into_owned(),
            false => serde_json::Value::from(text_at(items, row)).to_string(),
        })
        .collect();
    format!("[{}]", items.join(","))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Decimal128Array, Float64Array, TimestampMicrosecondArray};

    use super::*;

    #[test]
    fn numbers_have_one_text() {
        let decimals: ArrayRef = Arc::new(
            Decimal128Array::from(vec![100, -5, 0, 1234])
                .with_precision_and_scale(10, 2)
                .expect("fits"),
        );
        let texts: Vec<_> = (0..4).map(|row| text_at(&decimals, row).into_owned()).collect();
        assert_eq!(texts, ["1", "-0.05", "0", "12.34"]);
        let floats: ArrayRef = Arc::new(Float64Array::from(vec![1.0, -0.0, f64::NAN, 0.1]));
        let texts: Vec<_> = (0..4).map(|row| text_at(&floats, row).into_owned()).collect();
        assert_eq!(texts, ["1", "0", "NaN", "0.1"]);
    }

    #[test]
    fn timestamps_keep_every_microsecond() {
        let column: ArrayRef = Arc::new(
            TimestampMicrosecondArray::from(vec![1, 1_767_607_202_869_800, i64::MAX, -1])
                .with_timezone("UTC"),
        );
        let texts: Vec<_> = (0..4).map(|row| text_at(&column, row).into_owned()).collect();
        assert_eq!(
            texts,
            [
                "1970-01-01T00:00:00.000001Z",
                "2026-01-05T10:00:02.8698Z",
                "infinity",
                "1969-12-31T23:59:59.999999Z"
            ]
        );
    }
}

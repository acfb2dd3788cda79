//! A part of a key, canonical text, as a value of its column's type: the way back from `flow::text_at`.

use std::str::FromStr;
use std::sync::Arc;

use chrono::{NaiveDate, NaiveDateTime, NaiveTime, Timelike};
use flow::arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array,
    Int16Array, Int32Array, Int64Array, StringArray, Time64MicrosecondArray,
    TimestampMicrosecondArray,
};
use flow::arrow::datatypes::DataType;

/// An array of one value; `None` where no value of the type has this text.
pub(super) fn value(part: &str, data_type: &DataType) -> Option<ArrayRef> {
    fn parsed<T: FromStr>(part: &str) -> Option<Vec<T>> {
        part.parse().ok().map(|value| vec![value])
    }
    Some(match data_type {
        DataType::Boolean => Arc::new(BooleanArray::from(parsed::<bool>(part)?)),
        DataType::Int16 => Arc::new(Int16Array::from(parsed::<i16>(part)?)),
        DataType::Int32 => Arc::new(Int32Array::from(parsed::<i32>(part)?)),
        DataType::Int64 => Arc::new(Int64Array::from(parsed::<i64>(part)?)),
        DataType::Float32 => Arc::new(Float32Array::from(parsed::<f32>(part)?)),
        DataType::Float64 => Arc::new(Float64Array::from(parsed::<f64>(part)?)),
        DataType::Decimal128(precision, scale) => {
            let array = Decimal128Array::from(vec![unscaled(part, *scale)?]);
            Arc::new(array.with_precision_and_scale(*precision, *scale).ok()?)
        }
        DataType::Utf8 => Arc::new(StringArray::from(vec![part])),
        DataType::Binary => Arc::new(BinaryArray::from_vec(vec![&unhex(part)?])),
        DataType::Date32 => Arc::new(Date32Array::from(vec![date(part)?])),
        DataType::Time64(_) => Arc::new(Time64MicrosecondArray::from(vec![time(part)?])),
        DataType::Timestamp(_, zone) => Arc::new(
            TimestampMicrosecondArray::from(vec![moment(part)?]).with_timezone_opt(zone.clone()),
        ),
        _ => return None,
    })
}

/// A decimal number times 10^scale; `None` where it has more decimals.
pub(crate) fn unscaled(text: &str, scale: i8) -> Option<i128> {
    let scale = usize::try_from(scale).ok()?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let fraction = fraction.trim_end_matches('0');
    if fraction.len() > scale || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    format!("{whole}{fraction:0<scale$}").parse().ok()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.is_ascii() {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}

fn date(text: &str) -> Option<i32> {
    match text {
        "infinity" => Some(i32::MAX),
        "-infinity" => Some(i32::MIN),
        _ => match text.strip_suffix(" d") {
            Some(days) => days.parse().ok(),
            None => Some(NaiveDate::from_str(text).ok()?.to_epoch_days()),
        },
    }
}

fn time(text: &str) -> Option<i64> {
    if text == "24:00:00" {
        return Some(86_400_000_000);
    }
    let time = NaiveTime::from_str(text).ok()?;
    Some(
        i64::from(time.num_seconds_from_midnight()) * 1_000_000
            + i64::from(time.nanosecond() / 1_000),
    )
}

fn moment(text: &str) -> Option<i64> {
    match text {
        "infinity" => Some(i64::MAX),
        "-infinity" => Some(i64::MIN),
        _ => match text.strip_suffix(" us") {
            Some(micros) => micros.parse().ok(),
            None => {
                let text = text.strip_suffix('Z').unwrap_or(text);
                Some(NaiveDateTime::from_str(text).ok()?.and_utc().timestamp_micros())
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use flow::arrow::datatypes::TimeUnit;
    use flow::text_at;

    use super::*;

    #[test]
    fn every_key_text_comes_back_to_its_value() {
        let zoned = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        for (text, data_type) in [
            ("true", DataType::Boolean),
            ("-32768", DataType::Int16),
            ("9223372036854775807", DataType::Int64),
            ("0.1", DataType::Float64),
            ("NaN", DataType::Float64),
            ("-Infinity", DataType::Float32),
            ("-0.05", DataType::Decimal128(12, 2)),
            ("12", DataType::Decimal128(12, 2)),
            ("naïve", DataType::Utf8),
            ("00ff", DataType::Binary),
            ("2026-02-28", DataType::Date32),
            ("-0043-03-15", DataType::Date32),
            ("infinity", DataType::Date32),
            ("23:59:59.000001", DataType::Time64(TimeUnit::Microsecond)),
            ("24:00:00", DataType::Time64(TimeUnit::Microsecond)),
            ("2026-01-05T10:00:02.8698Z", zoned.clone()),
            ("+12026-01-05T10:00:02Z", zoned.clone()),
            ("-infinity", zoned),
            ("2026-01-05T10:00:02", DataType::Timestamp(TimeUnit::Microsecond, None)),
        ] {
            let array = value(text, &data_type).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(array.data_type(), &data_type);
            assert_eq!(text_at(&array, 0), text);
        }
        assert!(value("x", &DataType::Int64).is_none());
        assert!(value("1.234", &DataType::Decimal128(12, 2)).is_none());
    }
}

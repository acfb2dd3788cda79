//! Text as values of the type that a column has: exactly, or as a fault of its cell.

use std::sync::Arc;

use chrono::{NaiveDate, NaiveTime, Timelike};
use flow::arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array, Int16Array,
    Int32Array, Int64Array, StringArray, Time64MicrosecondArray, TimestampMicrosecondArray,
};

use super::options::ColumnType;
use crate::arrival::Refused;
use crate::arrival::number::canonical;
use crate::ordered::unscaled;

const DAY_MICROS: i64 = 86_400_000_000;

/// A column of these texts; those that are no value of the type are null and named in `refused`.
pub(super) fn column(texts: &[Option<&str>], kind: ColumnType, refused: &mut Refused) -> ArrayRef {
    fn each<T>(
        texts: &[Option<&str>],
        refused: &mut Refused,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Vec<Option<T>> {
        let cell = |(row, text): (usize, &Option<&str>)| match parse((*text)?) {
            Ok(value) => Some(value),
            Err(reason) => {
                refused.push((row, reason));
                None
            }
        };
        texts.iter().enumerate().map(cell).collect()
    }
    fn number<T: std::str::FromStr>(name: &'static str) -> impl Fn(&str) -> Result<T, String> {
        move |text| {
            let text = text.trim();
            text.strip_prefix('+').unwrap_or(text).parse().map_err(|_| format!("it is no {name}"))
        }
    }
    match kind {
        ColumnType::Text | ColumnType::Json => Arc::new(StringArray::from(texts.to_vec())),
        ColumnType::Boolean => Arc::new(BooleanArray::from(each(texts, refused, boolean))),
        ColumnType::Smallint => {
            Arc::new(Int16Array::from(each(texts, refused, number::<i16>("smallint"))))
        }
        ColumnType::Integer => {
            Arc::new(Int32Array::from(each(texts, refused, number::<i32>("integer"))))
        }
        ColumnType::Bigint => {
            Arc::new(Int64Array::from(each(texts, refused, number::<i64>("bigint"))))
        }
        ColumnType::Real => Arc::new(Float32Array::from(each(texts, refused, |text| {
            number::<f32>("number")(text).and_then(|value| finite(value, value.is_infinite(), text))
        }))),
        ColumnType::Double => Arc::new(Float64Array::from(each(texts, refused, |text| {
            number::<f64>("number")(text).and_then(|value| finite(value, value.is_infinite(), text))
        }))),
        ColumnType::Numeric => Arc::new(StringArray::from(each(texts, refused, canonical))),
        ColumnType::Decimal(precision, scale) => {
            let values = each(texts, refused, |text| decimal(text, precision, scale));
            let array = Decimal128Array::from(values).with_precision_and_scale(precision, scale);
            Arc::new(array.expect("the options hold a precision and scale that fit"))
        }
        ColumnType::Date => Arc::new(Date32Array::from(each(texts, refused, date))),
        ColumnType::Time => Arc::new(Time64MicrosecondArray::from(each(texts, refused, |text| {
            time(text.trim())
                .filter(|micros| *micros <= DAY_MICROS)
                .ok_or_else(|| "it is no time".to_owned())
        }))),
        ColumnType::Timestamp => {
            let zoneless = |text: &str| {
                moment(text).and_then(|(micros, zone)| match zone {
                    None => Ok(micros),
                    Some(_) => Err("it has a time zone, and its column has none".to_owned()),
                })
            };
            Arc::new(TimestampMicrosecondArray::from(each(texts, refused, zoneless)))
        }
        ColumnType::Timestamptz => {
            let zoned = |text: &str| {
                moment(text).and_then(|(micros, zone)| match (micros, zone) {
                    (i64::MAX | i64::MIN, _) => Ok(micros),
                    (_, Some(offset)) => Ok(micros - offset),
                    (_, None) => Err("it has no time zone".to_owned()),
                })
            };
            let array = TimestampMicrosecondArray::from(each(texts, refused, zoned));
            Arc::new(array.with_timezone("UTC"))
        }
        ColumnType::Uuid => Arc::new(StringArray::from(each(texts, refused, uuid))),
    }
}

fn finite<T>(value: T, infinite: bool, text: &str) -> Result<T, String> {
    match infinite && !text.to_ascii_lowercase().contains("inf") {
        true => Err("it is out of range".to_owned()),
        false => Ok(value),
    }
}

fn boolean(text: &str) -> Result<bool, String> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "t" | "yes" | "y" | "on" | "1" => Ok(true),
        "false" | "f" | "no" | "n" | "off" | "0" => Ok(false),
        _ => Err("it is no boolean".to_owned()),
    }
}

fn decimal(text: &str, precision: u8, scale: i8) -> Result<i128, String> {
    let exact = canonical(text)?;
    let value = unscaled(&exact, scale);
    value
        .filter(|value| value.unsigned_abs() < 10_u128.pow(u32::from(precision)))
        .ok_or_else(|| format!("it does not fit numeric({precision},{scale})"))
}

fn date(text: &str) -> Result<i32, String> {
    match text.trim() {
        "infinity" => Ok(i32::MAX),
        "-infinity" => Ok(i32::MIN),
        text => day(text).ok_or_else(|| "it is no date".to_owned()),
    }
}

fn day(text: &str) -> Option<i32> {
    // Years of four digits, or more with a sign, as in ISO 8601.
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
    let shape = text.trim_start_matches(['+', '-']);
    let year = shape.find('-')?;
    (year >= 4 && shape.len() == year + 6).then(|| date.to_epoch_days())
}

/// Microseconds since midnight; 24:00 is the end of the day.
fn time(text: &str) -> Option<i64> {
    let (clock, fraction) = text.split_once('.').unwrap_or((text, ""));
    let micros = micros(fraction)?;
    if matches!(clock, "24:00" | "24:00:00") && micros == 0 {
        return Some(DAY_MICROS);
    }
    let time = NaiveTime::parse_from_str(clock, "%H:%M:%S")
        .or_else(|_| NaiveTime::parse_from_str(clock, "%H:%M"))
        .ok()
        .filter(|time| time.nanosecond() == 0)?;
    Some(i64::from(time.num_seconds_from_midnight()) * 1_000_000 + micros)
}

/// A fraction of a second; `None` where it has parts of a microsecond.
fn micros(fraction: &str) -> Option<i64> {
    let digits = fraction.trim_end_matches('0');
    if digits.len() > 6 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    format!("{digits:0<6}").parse().ok()
}

/// Microseconds since 1970 as written, and the zone's offset in microseconds where one is written.
fn moment(text: &str) -> Result<(i64, Option<i64>), String> {
    let none = || "it is no timestamp to the microsecond".to_owned();
    let text = text.trim();
    match text {
        "infinity" => return Ok((i64::MAX, None)),
        "-infinity" => return Ok((i64::MIN, None)),
        _ => {}
    }
    let at = text.find(['T', 't', ' ']).ok_or_else(none)?;
    let (date, rest) = (&text[..at], &text[at + 1..]);
    let (clock, zone) = match rest.find(['Z', 'z', '+', '-']) {
        Some(at) => (rest[..at].trim_end(), Some(offset(&rest[at..]).ok_or_else(none)?)),
        None => match rest.strip_suffix(" UTC") {
            Some(clock) => (clock, Some(0)),
            None => (rest, None),
        },
    };
    let days = day(date).ok_or_else(none)?;
    let micros = time(clock).ok_or_else(none)?;
    let at = i64::from(days).checked_mul(DAY_MICROS).and_then(|at| at.checked_add(micros));
    Ok((at.ok_or_else(none)?, zone))
}

fn offset(zone: &str) -> Option<i64> {
    if matches!(zone, "Z" | "z") {
        return Some(0);
    }
    let (sign, digits) = zone.split_at_checked(1)?;
    let digits: String = digits.chars().filter(|c| *c != ':').collect();
    if !matches!(digits.len(), 2 | 4 | 6) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let part = |at: usize| digits.get(at..at + 2).map_or(Some(0), |part| part.parse::<i64>().ok());
    let (hours, minutes, seconds) = (part(0)?, part(2)?, part(4)?);
    let total = (hours * 3_600 + minutes * 60 + seconds) * 1_000_000;
    (hours < 24 && minutes < 60 && seconds < 60).then_some(if sign == "-" { -total } else { total })
}

fn uuid(text: &str) -> Result<String, String> {
    let text = text.trim().to_ascii_lowercase();
    let fits = text.len() == 36
        && text.bytes().enumerate().all(|(index, byte)| match index {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        });
    if fits { Ok(text) } else { Err("it is no uuid".to_owned()) }
}

#[cfg(test)]
mod tests {
    use flow::arrow::array::Array;
    use flow::text_at;

    use super::*;

    fn texts(kind: ColumnType, cells: &[&str]) -> Vec<Option<String>> {
        let cells: Vec<Option<&str>> = cells.iter().map(|cell| Some(*cell)).collect();
        let mut refused = Refused::new();
        let array = column(&cells, kind, &mut refused);
        assert_eq!(refused.len(), array.null_count());
        (0..array.len())
            .map(|row| array.is_valid(row).then(|| text_at(&array, row).into_owned()))
            .collect()
    }

    #[track_caller]
    fn check(kind: ColumnType, pairs: &[(&str, Option<&str>)]) {
        for (text, expected) in pairs {
            assert_eq!(texts(kind, &[text])[0].as_deref(), *expected, "{kind:?} {text:?}");
        }
    }

    #[test]
    fn numbers_are_exact_or_refused() {
        check(
            ColumnType::Numeric,
            &[
                ("1.00", Some("1")),
                ("-0012.3400", Some("-12.34")),
                ("1e3", Some("1000")),
                ("1.5E-3", Some("0.0015")),
                (".5", Some("0.5")),
                ("-0.0", Some("0")),
                ("123456789012345678901234567890.1", Some("123456789012345678901234567890.1")),
                ("NaN", Some("NaN")),
                ("1e99999999", None),
                ("1,5", None),
                ("", None),
            ],
        );
        check(
            ColumnType::Decimal(5, 2),
            &[("999.99", Some("999.99")), ("1000", None), ("0.001", None), ("1.10", Some("1.1"))],
        );
        check(
            ColumnType::Bigint,
            &[
                ("9223372036854775807", Some("9223372036854775807")),
                ("9223372036854775808", None),
                ("007", Some("7")),
                ("1.0", None),
            ],
        );
        check(
            ColumnType::Double,
            &[("0.1", Some("0.1")), ("1e400", None), ("-inf", Some("-Infinity"))],
        );
        check(ColumnType::Boolean, &[("T", Some("true")), ("0", Some("false")), ("maybe", None)]);
    }

    #[test]
    fn moments_are_exact_to_the_microsecond_or_refused() {
        check(
            ColumnType::Timestamptz,
            &[
                ("2026-01-05T10:00:02.869801Z", Some("2026-01-05T10:00:02.869801Z")),
                ("2026-01-05 10:00:02.8698010+02", Some("2026-01-05T08:00:02.869801Z")),
                ("2026-01-05 10:00:02 UTC", Some("2026-01-05T10:00:02Z")),
                ("2026-01-05T10:00-05:30", Some("2026-01-05T15:30:00Z")),
                ("infinity", Some("infinity")),
                ("2026-01-05T10:00:02.8698011Z", None),
                ("2026-01-05T10:00:02", None),
                ("2026-02-30T10:00:02Z", None),
                ("26-01-05T10:00:02Z", None),
                ("1767607202", None),
            ],
        );
        check(
            ColumnType::Timestamp,
            &[("2026-01-05 10:00:02", Some("2026-01-05T10:00:02")), ("2026-01-05 10:00:02Z", None)],
        );
        check(
            ColumnType::Date,
            &[("2026-02-28", Some("2026-02-28")), ("2026-2-28", None), ("28.02.2026", None)],
        );
        check(
            ColumnType::Time,
            &[("24:00", Some("24:00:00")), ("23:59:60", None), ("1:2", Some("01:02:00"))],
        );
        check(
            ColumnType::Uuid,
            &[
                (
                    "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11",
                    Some("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
                ),
                ("x", None),
            ],
        );
    }
}

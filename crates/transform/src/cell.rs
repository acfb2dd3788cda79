//! One cell as a template's value, and how values print: exact, and NULL as nothing.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Decimal128Type, Float32Type, Float64Type, Int64Type};
use flow::text_at;
use minijinja::value::{DynObject, Object, ObjectRepr, ValueKind};
use minijinja::{Error, ErrorKind, Output, State, Value};

use crate::number;
use crate::shape::Meaning;

/// SQL NULL: prints as nothing also inside `~` and filters, is false, and `is none`.
#[derive(Debug)]
pub(crate) struct Null;

impl Object for Null {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn is_true(self: &Arc<Self>) -> bool {
        false
    }

    fn custom_cmp(self: &Arc<Self>, other: &DynObject) -> Option<Ordering> {
        other.downcast_ref::<Self>().map(|_| Ordering::Equal)
    }

    fn render(self: &Arc<Self>, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ok(())
    }
}

/// A decimal number that no double holds exactly: it prints exactly, and arithmetic on it fails.
#[derive(Debug)]
struct Exact(String);

impl Object for Exact {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn custom_cmp(self: &Arc<Self>, other: &DynObject) -> Option<Ordering> {
        other.downcast_ref::<Self>().map(|other| self.0.cmp(&other.0))
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The test `is none`.
pub(crate) fn is_null(value: &Value) -> bool {
    value.is_none() || value.downcast_object_ref::<Null>().is_some()
}

/// The filter `tojson`, which writes SQL NULL as `null` and is never escaped.
pub(crate) fn to_json(value: &Value) -> Result<String, Error> {
    if is_null(value) {
        return Ok("null".to_owned());
    }
    if let Some(exact) = value.downcast_object_ref::<Exact>() {
        return Ok(exact.0.clone());
    }
    serde_json::to_string(value)
        .map_err(|_| Error::new(ErrorKind::BadSerialization, "the value has no JSON form"))
}

/// How `{{ value }}` prints: null as nothing, booleans as `true` and `false`, numbers without a needless
/// `.0`, lists and maps as JSON.
pub(crate) fn print(
    out: &mut Output<'_>,
    state: &mut State<'_, '_>,
    value: &Value,
) -> Result<(), Error> {
    match value.kind() {
        ValueKind::None => Ok(()),
        ValueKind::Bool => Ok(out.write_str(if value.is_true() { "true" } else { "false" })?),
        ValueKind::Number if !value.is_integer() => {
            let text = value.to_string();
            Ok(out.write_str(text.strip_suffix(".0").unwrap_or(&text))?)
        }
        ValueKind::Map | ValueKind::Seq => Ok(out.write_str(&to_json(value)?)?),
        _ => minijinja::escape_formatter(out, state, value),
    }
}

/// A cell that is not NULL.
pub(crate) fn value(column: &ArrayRef, row: usize, meaning: Meaning) -> Value {
    match column.data_type() {
        DataType::Utf8 => {
            let text = column.as_string::<i32>().value(row);
            match meaning {
                Meaning::Json => json(text),
                Meaning::Number => exact(text),
                Meaning::Plain | Meaning::EpochMs => Value::from(text),
            }
        }
        DataType::Boolean => Value::from(column.as_boolean().value(row)),
        DataType::Int64 => Value::from(column.as_primitive::<Int64Type>().value(row)),
        DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::UInt8
        | DataType::UInt16
        | DataType::UInt32
        | DataType::UInt64
        | DataType::Decimal256(..) => exact(&text_at(column, row)),
        DataType::Decimal128(_, scale) => {
            let units = column.as_primitive::<Decimal128Type>().value(row);
            if *scale == 0 { Value::from(units) } else { exact(&text_at(column, row)) }
        }
        DataType::Float32 => {
            let value = column.as_primitive::<Float32Type>().value(row);
            value.to_string().parse().map_or_else(|_| f64::from(value).into(), double)
        }
        DataType::Float64 => double(column.as_primitive::<Float64Type>().value(row)),
        DataType::List(_) => {
            let items = column.as_list::<i32>().value(row);
            let item = |at: usize| match items.is_null(at) {
                true => Value::from(()),
                false => value(&items, at, Meaning::Plain),
            };
            (0..items.len()).map(item).collect()
        }
        _ => Value::from(text_at(column, row).into_owned()),
    }
}

/// A double; whole numbers that are exact become whole numbers, so that 5 prints as 5.
fn double(value: f64) -> Value {
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    if !value.is_finite() {
        return not_a_number();
    }
    if value.fract() == 0.0 && value.abs() <= EXACT_MAX {
        #[expect(clippy::cast_possible_truncation, reason = "a whole number below 2^53")]
        return Value::from(value as i64);
    }
    Value::from(value)
}

/// NaN and the infinities: using the value fails.
fn not_a_number() -> Value {
    Value::from(Error::new(ErrorKind::InvalidOperation, "the value is infinite or not a number"))
}

/// A number from its exact text.
fn exact(text: &str) -> Value {
    let Some(text) = number::exact(text) else { return not_a_number() };
    if let Ok(whole) = text.parse::<i64>() {
        return Value::from(whole);
    }
    if let Ok(whole) = text.parse::<i128>() {
        return Value::from(whole);
    }
    match number::double(&text) {
        Some(value) => Value::from(value),
        None => Value::from_object(Exact(text.into_owned())),
    }
}

/// A JSON cell as the value it says. A number that would lose digits makes the template fail.
fn json(text: &str) -> Value {
    match serde_json::from_str(text) {
        Ok(parsed) if !loses_digits(text) => from_json(&parsed),
        Ok(_) => Value::from(Error::new(
            ErrorKind::CannotDeserialize,
            "the JSON has a number with more digits than can be carried",
        )),
        Err(_) => {
            Value::from(Error::new(ErrorKind::CannotDeserialize, "the column does not hold JSON"))
        }
    }
}

fn from_json(parsed: &serde_json::Value) -> Value {
    match parsed {
        serde_json::Value::Null => Value::from_object(Null),
        other => Value::from(minijinja::value::Serde(other)),
    }
}

/// Whether a number in the JSON text is neither a 64-bit integer nor exactly a double.
fn loses_digits(text: &str) -> bool {
    let mut bytes = text.bytes().enumerate();
    let mut in_text = false;
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'\\' if in_text => {
                bytes.next();
            }
            b'"' => in_text = !in_text,
            b'0'..=b'9' | b'-' if !in_text => {
                let length = text[at..]
                    .find(|c: char| !c.is_ascii_digit() && !"+-.eE".contains(c))
                    .unwrap_or(text.len() - at);
                let token = &text[at..at + length];
                if length > 15 && !is_carried(token) {
                    return true;
                }
                for _ in 1..length {
                    bytes.next();
                }
            }
            _ => {}
        }
    }
    false
}

fn is_carried(token: &str) -> bool {
    token.parse::<i64>().is_ok()
        || number::exact(token).is_some_and(|exact| number::double(&exact).is_some())
}

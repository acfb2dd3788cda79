//! `as:` - converts a whole column to a written type.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Date32Array, Int64Array, StringArray,
    TimestampMicrosecondArray,
};
use arrow::datatypes::DataType;

use crate::error::Misfit;
use crate::mappings::Convert;
use crate::refusals::FieldRows;
use crate::shape::{self, Meaning, Shape};
use crate::steps::{self, map, micros_at};
use crate::{codes, moment, number};

/// What the conversion makes of a column of that shape.
pub(crate) fn shape(convert: Convert, from: &Shape) -> Result<Shape, Misfit> {
    let numeric = from.is_number() || from.meaning == Meaning::EpochMs;
    let dated = matches!(from.data_type, DataType::Date32 | DataType::Timestamp(..));
    let null = from.data_type == DataType::Null;
    let whole = from.data_type == DataType::Int64;
    let (works, to) = match convert {
        Convert::String => (true, Shape::text()),
        Convert::Number if numeric => (true, from.clone()),
        Convert::Number => (from.is_text(), Shape::number_text()),
        Convert::Boolean => {
            let works = from.is_free_text() || whole || from.data_type == DataType::Boolean;
            (works, Shape::plain(DataType::Boolean))
        }
        Convert::Date => (from.is_free_text() || dated, Shape::plain(DataType::Date32)),
        Convert::Datetime => (from.is_free_text() || dated, Shape::plain(shape::moment_type(true))),
        Convert::EpochMs | Convert::EpochMsMidnightUtc => {
            (from.is_free_text() || dated || whole, Shape::epoch_ms())
        }
        Convert::Json => (true, Shape::json()),
    };
    if works || null {
        return Ok(to);
    }
    let help = match convert {
        Convert::Number if dated => "`as: epoch_ms` makes a number of a moment",
        Convert::Number | Convert::Boolean => "translate the values with `values:`",
        _ => "cast the column in the model's SQL",
    };
    Err(Misfit::new(
        &codes::E0205_TYPE_NEVER_FITS,
        format!("{} can never become what `as` asks for", from.describe()),
        help,
    ))
}

/// Converts; NULL stays NULL and a value that does not convert refuses its row.
pub(crate) fn apply(
    convert: Convert,
    column: &ArrayRef,
    from: &Shape,
    rows: &mut FieldRows<'_>,
) -> ArrayRef {
    if from.data_type == DataType::Null {
        let to = shape(convert, from).map_or(DataType::Utf8, |shape| shape.data_type);
        return arrow::array::new_null_array(&to, column.len());
    }
    match convert {
        Convert::String => Arc::new(shape::text(column, rows)),
        Convert::Number if from.is_text() => Arc::new(numbers(column.as_string(), rows)),
        Convert::Number => Arc::clone(column),
        Convert::Boolean => booleans(column, rows),
        Convert::Date => Arc::new(dates(column, rows)),
        Convert::Datetime => Arc::new(moments(column, rows)),
        Convert::EpochMs => Arc::new(epoch_ms(column, rows, |ms| ms)),
        Convert::EpochMsMidnightUtc => {
            Arc::new(epoch_ms(column, rows, |ms| ms - ms.rem_euclid(moment::DAY_MS)))
        }
        Convert::Json => Arc::new(json(column, from, rows)),
    }
}

/// Text as exact numbers, in their one spelling.
pub(crate) fn numbers(text: &StringArray, rows: &mut FieldRows<'_>) -> StringArray {
    map(text, |row, cell| {
        let number = number::exact(cell);
        match cell {
            _ if number.is_some() => {}
            "NaN" | "Infinity" | "-Infinity" => {
                rows.refuse(row, &codes::R111_OUT_OF_RANGE, shape::INFINITE);
            }
            _ => rows.refuse(row, &codes::R109_NOT_A_NUMBER, "the text is not a number"),
        }
        number
    })
}

/// Text or 0 and 1 as booleans.
pub(crate) fn booleans(column: &ArrayRef, rows: &mut FieldRows<'_>) -> ArrayRef {
    let boolean = |row: usize| match column.data_type() {
        DataType::Utf8 => boolean(column.as_string::<i32>().value(row)),
        _ => match shape::integer_column(column).value(row) {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        },
    };
    if column.data_type() == &DataType::Boolean {
        return Arc::clone(column);
    }
    let mut cell = |row: usize| {
        let value = boolean(row);
        if value.is_none() {
            rows.refuse(row, &codes::R112_NOT_A_BOOLEAN, "the value is not true or false");
        }
        value
    };
    let array: BooleanArray =
        (0..column.len()).map(|row| if column.is_valid(row) { cell(row) } else { None }).collect();
    Arc::new(array)
}

/// The words PostgreSQL takes for a boolean.
fn boolean(text: &str) -> Option<bool> {
    let is = |words: [&str; 5]| words.iter().any(|word| text.trim().eq_ignore_ascii_case(word));
    if is(["true", "t", "yes", "on", "1"]) || text.trim().eq_ignore_ascii_case("y") {
        Some(true)
    } else if is(["false", "f", "no", "off", "0"]) || text.trim().eq_ignore_ascii_case("n") {
        Some(false)
    } else {
        None
    }
}

/// The day of each value in UTC.
fn dates(column: &ArrayRef, rows: &mut FieldRows<'_>) -> Date32Array {
    moments_with(column, rows, |micros| i32::try_from(micros.div_euclid(moment::DAY_MICROS)).ok())
        .into()
}

/// Dates, moments and ISO text as moments in UTC.
pub(crate) fn moments(column: &ArrayRef, rows: &mut FieldRows<'_>) -> TimestampMicrosecondArray {
    TimestampMicrosecondArray::from(moments_with(column, rows, Some)).with_timezone("UTC")
}

/// Every value's microseconds through `each`; what is not a date or out of range refuses its row.
pub(crate) fn moments_with<T>(
    column: &ArrayRef,
    rows: &mut FieldRows<'_>,
    each: impl Fn(i64) -> Option<T>,
) -> Vec<Option<T>> {
    (0..column.len())
        .map(|row| {
            if column.is_null(row) {
                return None;
            }
            let Some(micros) = micros_at(column, row) else {
                refuse_date(column, row, rows);
                return None;
            };
            let value = moment::in_range(micros).then(|| each(micros)).flatten();
            if value.is_none() {
                rows.refuse(row, &codes::R111_OUT_OF_RANGE, "the year is not from 0001 to 9999");
            }
            value
        })
        .collect()
}

fn refuse_date(column: &ArrayRef, row: usize, rows: &mut FieldRows<'_>) {
    if column.data_type() == &DataType::Utf8 {
        rows.refuse(row, &codes::R110_NOT_A_DATE, "the text is not an ISO 8601 date or moment");
    } else {
        rows.refuse(row, &codes::R111_OUT_OF_RANGE, "the date is infinite or out of range");
    }
}

/// Milliseconds since 1970, rounded down; whole numbers already are such.
fn epoch_ms(column: &ArrayRef, rows: &mut FieldRows<'_>, then: impl Fn(i64) -> i64) -> Int64Array {
    if column.data_type() != &DataType::Int64 {
        return moments_with(column, rows, |micros| Some(then(micros.div_euclid(1_000)))).into();
    }
    let numbers = shape::integer_column(column);
    (0..numbers.len())
        .map(|row| {
            let ms = numbers.is_valid(row).then(|| numbers.value(row))?;
            if ms.checked_mul(1_000).is_some_and(moment::in_range) {
                return Some(then(ms));
            }
            rows.refuse(row, &codes::R111_OUT_OF_RANGE, "the year is not from 0001 to 9999");
            None
        })
        .collect()
}

/// JSON text: text must be JSON already, other values become it.
fn json(column: &ArrayRef, from: &Shape, rows: &mut FieldRows<'_>) -> StringArray {
    let text = shape::text(column, rows);
    let bare = from.meaning != Meaning::Plain
        || matches!(
            from.data_type,
            DataType::Boolean
                | DataType::Int64
                | DataType::Float64
                | DataType::Decimal128(..)
                | DataType::List(_)
        );
    if bare {
        return text;
    }
    if !from.is_text() {
        return map(&text, |_, cell| Some(serde_json::Value::from(cell).to_string().into()));
    }
    let tidy = steps::trim(text);
    map(tidy.as_string(), |row, cell| {
        let valid = serde_json::from_str::<serde::de::IgnoredAny>(cell).is_ok();
        if !valid {
            rows.refuse(row, &codes::R117_NOT_JSON, "the text is not valid JSON");
        }
        valid.then(|| cell.into())
    })
}

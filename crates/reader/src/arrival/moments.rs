//! Moments and times of day to the microsecond, days to the day: whole ones only, since nothing is rounded.

use std::sync::Arc;

use flow::arrow::array::{Array, ArrayRef, AsArray, Int64Array, PrimitiveArray};
use flow::arrow::compute::cast;
use flow::arrow::datatypes::{ArrowPrimitiveType, DataType, Date32Type, Int64Type, TimeUnit};
use flow::arrow::error::ArrowError;

use super::{Refused, without};

const DAY_MILLIS: i64 = 86_400_000;

/// Timestamps and times of day of any unit in microseconds. `to` is the type they get.
pub(super) fn micros(
    column: &ArrayRef,
    to: &DataType,
    refused: &mut Refused,
) -> Result<ArrayRef, ArrowError> {
    let (unit, counts) = match column.data_type() {
        DataType::Timestamp(unit, _) | DataType::Time64(unit) => {
            (*unit, cast(column, &DataType::Int64)?)
        }
        DataType::Time32(unit) => {
            (*unit, cast(&cast(column, &DataType::Int32)?, &DataType::Int64)?)
        }
        other => return Err(ArrowError::CastError(format!("{other} is no moment"))),
    };
    let counts = counts.as_primitive::<Int64Type>();
    let (values, bad) = match unit {
        TimeUnit::Second => each(counts, |value| value.checked_mul(1_000_000)),
        TimeUnit::Millisecond => each(counts, |value| value.checked_mul(1_000)),
        TimeUnit::Microsecond => (counts.clone(), Vec::new()),
        TimeUnit::Nanosecond => each(counts, |value| (value % 1_000 == 0).then_some(value / 1_000)),
    };
    let reason = match unit {
        TimeUnit::Nanosecond => "it has parts of a microsecond",
        _ => "it is past the year 294246",
    };
    refused.extend(bad.iter().map(|row| (*row, reason.to_owned())));
    let values: ArrayRef = Arc::new(values);
    cast(&without(&values, bad.into_iter())?, to)
}

/// Dates counted in milliseconds, as days.
pub(super) fn days(column: &ArrayRef, refused: &mut Refused) -> Result<ArrayRef, ArrowError> {
    let counts = cast(column, &DataType::Int64)?;
    let (values, bad) = each(counts.as_primitive::<Int64Type>(), |value| {
        (value % DAY_MILLIS == 0).then_some(value / DAY_MILLIS)
    });
    refused.extend(bad.iter().map(|row| (*row, "it is no whole day".to_owned())));
    let days: PrimitiveArray<Date32Type> = values
        .unary(|days| <Date32Type as ArrowPrimitiveType>::Native::try_from(days).unwrap_or(0));
    without(&(Arc::new(days) as ArrayRef), bad.into_iter())
}

/// Every value by `convert`, and the rows it has no answer for.
fn each(counts: &Int64Array, convert: impl Fn(i64) -> Option<i64>) -> (Int64Array, Vec<usize>) {
    let mut bad = Vec::new();
    let values = (0..counts.len())
        .map(|row| {
            if counts.is_null(row) {
                return None;
            }
            let value = convert(counts.value(row));
            if value.is_none() {
                bad.push(row);
            }
            value
        })
        .collect();
    (values, bad)
}

//! Brings a written default to the exact type of the column it fills, or says that it cannot.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Decimal128Array, Float64Array, Int64Array, StringArray,
};
use arrow::datatypes::{DataType, Date32Type, TimeUnit, TimestampMicrosecondType};
use flow::text_at;

use crate::shape::{Meaning, Shape};
use crate::{moment, number};

/// `one`, a column of one row that is not NULL, as the type of `to`; `None` where that is not exact.
pub(crate) fn unify(one: &ArrayRef, to: &Shape) -> Option<ArrayRef> {
    if to.meaning == Meaning::EpochMs {
        return epoch_ms(one);
    }
    if one.data_type() == &to.data_type {
        return match to.meaning {
            Meaning::Json => json(one),
            _ => Some(Arc::clone(one)),
        };
    }
    let text = text_at(one, 0);
    match &to.data_type {
        DataType::Utf8 if to.meaning == Meaning::Json => json(one),
        DataType::Utf8 => Some(Arc::new(StringArray::from(vec![text.into_owned()]))),
        DataType::Int64 => Some(Arc::new(Int64Array::from(vec![text.parse::<i64>().ok()?]))),
        DataType::Float64 => {
            let value = number::double(&number::exact(&text)?)?;
            Some(Arc::new(Float64Array::from(vec![value])))
        }
        DataType::Decimal128(precision, scale) => {
            let units = number::scaled(&number::exact(&text)?, *scale)?;
            let digits = units.unsigned_abs().checked_ilog10().map_or(1, |log| log + 1);
            if digits > u32::from(*precision) {
                return None;
            }
            let array = Decimal128Array::from(vec![units]);
            Some(Arc::new(array.with_precision_and_scale(*precision, *scale).ok()?))
        }
        _ => None,
    }
}

fn json(one: &ArrayRef) -> Option<ArrayRef> {
    let text = text_at(one, 0);
    let text = match one.data_type() {
        DataType::Utf8 => match serde_json::from_str::<serde::de::IgnoredAny>(&text) {
            Ok(_) => text.into_owned(),
            Err(_) => serde_json::Value::from(text).to_string(),
        },
        DataType::Int64 | DataType::Float64 | DataType::Boolean => text.into_owned(),
        _ => return None,
    };
    Some(Arc::new(StringArray::from(vec![text])))
}

fn epoch_ms(one: &ArrayRef) -> Option<ArrayRef> {
    let ms = match one.data_type() {
        DataType::Int64 => return Some(Arc::clone(one)),
        DataType::Date32 => i64::from(one.as_primitive::<Date32Type>().value(0)) * moment::DAY_MS,
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            one.as_primitive::<TimestampMicrosecondType>().value(0).div_euclid(1_000)
        }
        _ => return None,
    };
    Some(Arc::new(Int64Array::from(vec![ms])))
}

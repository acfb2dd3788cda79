//! Values with parts as JSON text: exact numbers as numbers, everything else as the text our columns would have.

use std::sync::Arc;

use flow::arrow::array::{Array, ArrayRef, AsArray, StringArray};
use flow::arrow::datatypes::{DataType, Field};
use flow::arrow::error::ArrowError;
use serde_json::Value as Json;

use super::{Arrival, Refused, leaf_text, without};

/// The JSON of every row.
pub(super) fn texts(column: &ArrayRef, refused: &mut Refused) -> Result<ArrayRef, ArrowError> {
    let mut bad = Refused::new();
    let mut texts = Vec::with_capacity(column.len());
    for row in 0..column.len() {
        if column.is_null(row) {
            texts.push(None);
            continue;
        }
        let mut text = String::new();
        let mut inside = Refused::new();
        write(column, row, &mut text, &mut inside)?;
        if let Some((_, reason)) = inside.into_iter().next() {
            bad.push((row, format!("a part: {reason}")));
        }
        texts.push(Some(text));
    }
    let texts: ArrayRef = Arc::new(StringArray::from(texts));
    let texts = without(&texts, bad.iter().map(|(row, _)| *row))?;
    refused.extend(bad);
    Ok(texts)
}

fn write(
    column: &ArrayRef,
    row: usize,
    text: &mut String,
    refused: &mut Refused,
) -> Result<(), ArrowError> {
    if column.is_null(row) {
        text.push_str("null");
        return Ok(());
    }
    match column.data_type() {
        DataType::Struct(fields) => {
            let parts = column.as_struct();
            text.push('{');
            for (index, field) in fields.iter().enumerate() {
                separate(index, text);
                text.push_str(&Json::from(field.name().as_str()).to_string());
                text.push(':');
                write(parts.column(index), row, text, refused)?;
            }
            text.push('}');
            Ok(())
        }
        DataType::Map(..) => {
            let entries = column.as_map().value(row);
            let (keys, values) = (entries.column(0), entries.column(1));
            text.push('{');
            for index in 0..entries.len() {
                separate(index, text);
                let mut key = String::new();
                write(keys, index, &mut key, refused)?;
                let quoted = key.starts_with('"');
                text.push_str(&if quoted { key } else { Json::from(key).to_string() });
                text.push(':');
                write(values, index, text, refused)?;
            }
            text.push('}');
            Ok(())
        }
        DataType::List(_) => items(&column.as_list::<i32>().value(row), text, refused),
        DataType::LargeList(_) => items(&column.as_list::<i64>().value(row), text, refused),
        DataType::FixedSizeList(..) => {
            items(&column.as_fixed_size_list().value(row), text, refused)
        }
        DataType::ListView(_) => items(&column.as_list_view::<i32>().value(row), text, refused),
        DataType::LargeListView(_) => {
            items(&column.as_list_view::<i64>().value(row), text, refused)
        }
        _ => leaf(column, row, text, refused),
    }
}

fn items(items: &ArrayRef, text: &mut String, refused: &mut Refused) -> Result<(), ArrowError> {
    text.push('[');
    for row in 0..items.len() {
        separate(row, text);
        write(items, row, text, refused)?;
    }
    text.push(']');
    Ok(())
}

fn separate(index: usize, text: &mut String) {
    if index > 0 {
        text.push(',');
    }
}

fn leaf(
    column: &ArrayRef,
    row: usize,
    text: &mut String,
    refused: &mut Refused,
) -> Result<(), ArrowError> {
    let one = column.slice(row, 1);
    let field = Field::new("", one.data_type().clone(), true);
    let arrival = Arrival::of(&field)
        .ok_or_else(|| ArrowError::CastError(format!("{} has no values", one.data_type())))?;
    let value = arrival.convert(&one, refused)?;
    let shown = leaf_text(&value, 0);
    let bare = match value.data_type() {
        DataType::Boolean
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::Decimal128(..) => true,
        DataType::Float32 | DataType::Float64 => {
            !matches!(shown.as_str(), "NaN" | "Infinity" | "-Infinity")
        }
        _ => arrival.is_numeric_text(),
    };
    match bare {
        true => text.push_str(&shown),
        false => text.push_str(&Json::from(shown).to_string()),
    }
    Ok(())
}

//! The transforms of a chain, each over a whole column.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringArray, StringBuilder};
use arrow::datatypes::{DataType, Date32Type, TimeUnit, TimestampMicrosecondType};
use chrono::format::{Item, StrftimeItems};
use ring::digest::{SHA256, digest};

use crate::codes;
use crate::error::Misfit;
use crate::mappings::Transform;
use crate::refusals::FieldRows;
use crate::shape::{Shape, text};
use crate::{html, moment, phone};

/// What the transform makes of a column of that shape.
pub(crate) fn shape(transform: &Transform, from: &Shape) -> Result<Shape, Misfit> {
    if let Transform::DateFormat(format) = transform {
        format_items(format)?;
        let fits =
            from.is_text() || matches!(from.data_type, DataType::Date32 | DataType::Timestamp(..));
        if !fits {
            return Err(Misfit::new(
                &codes::E0212_BAD_STEP,
                format!("`date_format` works on dates and timestamps; this is {}", from.describe()),
                "put it before transforms that change the type",
            ));
        }
    }
    Ok(Shape::text())
}

/// The parts of a strftime format.
pub(crate) fn format_items(format: &str) -> Result<Vec<Item<'_>>, Misfit> {
    let bad = || {
        Misfit::new(
            &codes::E0212_BAD_STEP,
            format!("`{format}` is not a date format"),
            "use strftime specifiers, for example \"%Y-%m-%d\" or \"%d.%m.%Y %H:%M\"",
        )
    };
    let items: Vec<Item<'_>> = StrftimeItems::new(format).collect();
    let works = !items.is_empty() && !items.contains(&Item::Error);
    if !works || moment::utc(0).is_none_or(|at| formatted(&mut String::new(), at, &items).is_err())
    {
        return Err(bad());
    }
    Ok(items)
}

/// Applies one transform; NULL stays NULL.
pub(crate) fn apply(
    transform: &Transform,
    column: &ArrayRef,
    rows: &mut FieldRows<'_>,
) -> ArrayRef {
    if let Transform::DateFormat(format) = transform {
        return date_format(format, column, rows);
    }
    let text = text(column, rows);
    let out = match transform {
        Transform::Trim => return trim(text),
        Transform::Lower => map(&text, |_, cell| {
            match cell.bytes().any(|b| !b.is_ascii() || b.is_ascii_uppercase()) {
                true => Some(cell.to_lowercase().into()),
                false => Some(cell.into()),
            }
        }),
        Transform::Upper => map(&text, |_, cell| {
            match cell.bytes().any(|b| !b.is_ascii() || b.is_ascii_lowercase()) {
                true => Some(cell.to_uppercase().into()),
                false => Some(cell.into()),
            }
        }),
        Transform::StripHtml => map(&text, |_, cell| Some(html::strip(cell))),
        Transform::NullIfEmpty => map(&text, |_, cell| (!cell.is_empty()).then(|| cell.into())),
        Transform::Sha256 => map(&text, |_, cell| Some(sha256(cell).into())),
        Transform::Truncate(chars) => map(&text, |_, cell| Some(truncated(cell, *chars).into())),
        Transform::E164 { country_code } => map(&text, |row, cell| {
            phone::e164(cell, country_code.as_deref())
                .map_err(|reason| rows.refuse(row, &codes::R114_NOT_E164, reason))
                .ok()
                .map(Cow::Owned)
        }),
        Transform::DateFormat(_) => text,
    };
    Arc::new(out)
}

/// Every cell that is not NULL through `each`; `None` is NULL.
pub(crate) fn map<'a>(
    text: &'a StringArray,
    mut each: impl FnMut(usize, &'a str) -> Option<Cow<'a, str>>,
) -> StringArray {
    let mut builder = StringBuilder::with_capacity(text.len(), text.value_data().len());
    for row in 0..text.len() {
        match text.is_valid(row).then(|| each(row, text.value(row))).flatten() {
            Some(cell) => builder.append_value(cell),
            None => builder.append_null(),
        }
    }
    builder.finish()
}

/// Removes white space at both ends; a column without any is not copied.
pub(crate) fn trim(text: StringArray) -> ArrayRef {
    let untidy = |cell: &str| cell.trim().len() != cell.len();
    if !text.iter().flatten().any(untidy) {
        return Arc::new(text);
    }
    Arc::new(map(&text, |_, cell| Some(cell.trim().into())))
}

/// At most so many characters; never half of one.
fn truncated(cell: &str, chars: usize) -> &str {
    if cell.len() <= chars {
        return cell;
    }
    cell.char_indices().nth(chars).map_or(cell, |(at, _)| &cell[..at])
}

fn sha256(cell: &str) -> String {
    let mut hex = String::with_capacity(64);
    for byte in digest(&SHA256, cell.as_bytes()).as_ref() {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

fn date_format(format: &str, column: &ArrayRef, rows: &mut FieldRows<'_>) -> ArrayRef {
    let items: Vec<Item<'_>> = StrftimeItems::new(format).collect();
    let mut builder = StringBuilder::with_capacity(column.len(), column.len() * 10);
    let mut cell = String::new();
    for row in 0..column.len() {
        if column.is_null(row) {
            builder.append_null();
            continue;
        }
        cell.clear();
        let at = micros_at(column, row).and_then(moment::utc);
        match at.map(|at| formatted(&mut cell, at, &items)) {
            Some(Ok(())) => builder.append_value(&cell),
            _ => {
                rows.refuse(
                    row,
                    &codes::R110_NOT_A_DATE,
                    "the value is not an ISO 8601 date or moment",
                );
                builder.append_null();
            }
        }
    }
    Arc::new(builder.finish())
}

fn formatted(
    out: &mut String,
    at: chrono::DateTime<chrono::Utc>,
    items: &[Item<'_>],
) -> std::fmt::Result {
    write!(out, "{}", at.format_with_items(items.iter()))
}

/// A cell that is not NULL as microseconds since 1970; `None` where it is infinite, too far away or not a date.
pub(crate) fn micros_at(column: &ArrayRef, row: usize) -> Option<i64> {
    match column.data_type() {
        DataType::Utf8 => moment::parse(column.as_string::<i32>().value(row)),
        DataType::Date32 => i64::from(column.as_primitive::<Date32Type>().value(row))
            .checked_mul(moment::DAY_MICROS),
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            let micros = column.as_primitive::<TimestampMicrosecondType>().value(row);
            (!matches!(micros, i64::MAX | i64::MIN)).then_some(micros)
        }
        _ => None,
    }
}

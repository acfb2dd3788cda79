//! Where a row stands in the order of a read: bytes that compare like (watermark, key), NULL last.

use std::sync::Arc;

use flow::arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, Float32Array, Float64Array, Int64Array, RecordBatch,
};
use flow::arrow::compute::SortOptions;
use flow::arrow::datatypes::{
    DataType, Date32Type, Float32Type, Float64Type, TimestampMicrosecondType,
};
use flow::arrow::error::ArrowError;
use flow::arrow::row::{OwnedRow, RowConverter, Rows, SortField};
use flow::{Error, Key, Position, Result, Watermark};

use super::typed;
use crate::codes;
use crate::layout::Layout;

const DAY_MICROS: i64 = 86_400_000_000;
/// As PostgreSQL sorts: NULL after everything.
const NULLS_LAST: SortOptions = SortOptions { descending: false, nulls_first: false };

/// The order of one read.
pub(super) struct Order {
    converter: RowConverter,
    keys: Vec<(usize, bool)>,
    key_types: Vec<DataType>,
    watermark: Option<usize>,
}

impl Order {
    /// The order of rows of `layout`: by watermark and key where `by_watermark`, else by key.
    pub(super) fn new(layout: &Layout, by_watermark: bool) -> Result<Self> {
        let watermark = layout.watermark.filter(|_| by_watermark);
        let mut fields = Vec::new();
        if watermark.is_some() {
            fields.push(SortField::new_with_options(DataType::Int64, NULLS_LAST));
        }
        for key in layout.key_columns() {
            let data_type = match key.arrival.is_numeric_text() {
                true => DataType::Binary,
                false => key.arrival.data_type.clone(),
            };
            fields.push(SortField::new_with_options(data_type, NULLS_LAST));
        }
        let keys = layout
            .keys
            .iter()
            .map(|index| (*index, layout.columns[*index].arrival.is_numeric_text()))
            .collect();
        let key_types = layout.key_columns().map(|key| key.arrival.data_type.clone()).collect();
        let converter = RowConverter::new(fields).map_err(unsortable)?;
        Ok(Self { converter, keys, key_types, watermark })
    }

    /// The places of these rows.
    pub(super) fn places(&self, rows: &RecordBatch) -> Result<Rows> {
        let mut columns = Vec::new();
        if let Some(index) = self.watermark {
            columns.push(placed(rows.column(index)));
        }
        for (index, numeric) in &self.keys {
            columns.push(comparable(rows.column(*index), *numeric));
        }
        self.converter.convert_columns(&columns).map_err(unsortable)
    }

    /// The place of a position.
    ///
    /// # Errors
    /// `E1011` where the position is of another key.
    pub(super) fn place(&self, position: &Position) -> Result<OwnedRow> {
        let mut columns: Vec<ArrayRef> = Vec::new();
        if self.watermark.is_some() {
            let at = position.watermark.map(|at| at.0).filter(|at| *at != i64::MIN);
            columns.push(Arc::new(Int64Array::from(vec![at])));
        }
        let parts = position.key.parts();
        let other = || {
            Error::new(&codes::E1011_NO_COLUMN, "a read cannot go on after a row of another key")
        };
        if parts.len() != self.keys.len() {
            return Err(other());
        }
        for ((part, (_, numeric)), data_type) in parts.iter().zip(&self.keys).zip(&self.key_types) {
            let value = typed::value(part, data_type).ok_or_else(other)?;
            columns.push(comparable(&value, *numeric));
        }
        let rows = self.converter.convert_columns(&columns).map_err(unsortable)?;
        Ok(rows.row(0).owned())
    }

    /// The key of a row; `None` where a part is NULL.
    pub(super) fn key(&self, rows: &RecordBatch, row: usize) -> Option<Key> {
        let columns: Vec<&ArrayRef> =
            self.keys.iter().map(|(index, _)| rows.column(*index)).collect();
        Key::at(&columns, row)
    }

    /// The position of a row; `None` where its key is NULL.
    pub(super) fn position(&self, rows: &RecordBatch, row: usize) -> Option<Position> {
        let key = self.key(rows, row)?;
        let watermark = self.watermark.and_then(|index| watermark_at(rows.column(index), row));
        Some(Position { watermark, key })
    }
}

/// The watermark of a row; `None` where it has no place on the progress column: NULL or -infinity.
pub(crate) fn watermark_at(column: &ArrayRef, row: usize) -> Option<Watermark> {
    if column.is_null(row) {
        return None;
    }
    let micros = match column.data_type() {
        DataType::Date32 => match column.as_primitive::<Date32Type>().value(row) {
            i32::MAX => i64::MAX,
            i32::MIN => i64::MIN,
            days => i64::from(days).saturating_mul(DAY_MICROS),
        },
        _ => column.as_primitive::<TimestampMicrosecondType>().value(row),
    };
    (micros != i64::MIN).then_some(Watermark(micros))
}

/// Watermarks as numbers to sort by; null for rows that have no place.
fn placed(column: &ArrayRef) -> ArrayRef {
    let values: Int64Array =
        (0..column.len()).map(|row| watermark_at(column, row).map(|at| at.0)).collect();
    Arc::new(values)
}

/// A key column in a form in which equal keys are equal bytes: 0 and -0 are one number, and so is every NaN.
fn comparable(column: &ArrayRef, numeric: bool) -> ArrayRef {
    match column.data_type() {
        DataType::Utf8 if numeric => {
            let texts = column.as_string::<i32>();
            let bytes: BinaryArray =
                texts.iter().map(|text| text.map(super::number::sortable)).collect();
            Arc::new(bytes)
        }
        DataType::Float32 => {
            let values: Float32Array = column
                .as_primitive::<Float32Type>()
                .unary(|value| if value.is_nan() { f32::NAN } else { value + 0.0 });
            Arc::new(values)
        }
        DataType::Float64 => {
            let values: Float64Array = column
                .as_primitive::<Float64Type>()
                .unary(|value| if value.is_nan() { f64::NAN } else { value + 0.0 });
            Arc::new(values)
        }
        _ => Arc::clone(column),
    }
}

fn unsortable(error: ArrowError) -> Error {
    Error::new(&codes::E1018_KEY_TYPE, "the primary key has a type that cannot be sorted")
        .with_source(error)
}

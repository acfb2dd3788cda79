//! Rows under construction: the binary values of one row after the other become the columns of a batch.

use flow::arrow::array::RecordBatch;
use flow::arrow::datatypes::SchemaRef;
use flow::{Error, Fault, Result};

use super::decode::{Column, Refused};
use super::types::Carry;
use crate::codes;

/// Columns that grow row by row.
pub(super) struct Rows {
    schema: SchemaRef,
    columns: Vec<Column>,
    rows: usize,
    bytes: usize,
    faults: Vec<Fault>,
}

/// Rows that were decoded together.
pub(super) struct Decoded {
    pub(super) rows: RecordBatch,
    pub(super) faults: Vec<Fault>,
}

impl Rows {
    /// No rows yet, of these columns, which the fields of `schema` name.
    pub(super) fn new<'a>(schema: SchemaRef, carries: impl Iterator<Item = &'a Carry>) -> Self {
        let columns = carries.map(Column::new).collect();
        Self { schema, columns, rows: 0, bytes: 0, faults: Vec::new() }
    }

    /// Values a row has.
    pub(super) fn width(&self) -> usize {
        self.columns.len()
    }

    /// Rows since the last batch.
    pub(super) fn count(&self) -> usize {
        self.rows
    }

    /// Bytes since the last batch, with four for each value, as they arrive.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The row's next value, in the column `index`.
    ///
    /// # Errors
    /// `E1024` for bytes that are no value of the column's type.
    pub(super) fn append(&mut self, index: usize, value: Option<&[u8]>) -> Result<()> {
        self.bytes += 4 + value.map_or(0, <[u8]>::len);
        match self.columns[index].append(value) {
            Ok(()) => {}
            Err(Refused::Fault(reason)) => {
                let column = self.schema.field(index).name().clone();
                self.faults.push(Fault { row: self.rows, column, reason });
            }
            Err(Refused::Corrupt) => {
                let name = self.schema.field(index).name();
                return Err(broken(&format!("a value of column {name} of another type")));
            }
        }
        Ok(())
    }

    /// Ends a row; every column has got its value.
    pub(super) fn end_row(&mut self) {
        self.rows += 1;
    }

    /// The rows; `None` when there are none.
    ///
    /// # Errors
    /// `E1024` for text that is not UTF-8.
    pub(super) fn take(&mut self) -> Result<Option<Decoded>> {
        if self.rows == 0 {
            return Ok(None);
        }
        let arrays = self.columns.iter_mut().map(Column::finish).collect::<Result<Vec<_>, _>>();
        let rows = arrays.and_then(|arrays| RecordBatch::try_new(self.schema.clone(), arrays));
        let rows = rows.map_err(|error| broken(&format!("rows that are no batch: {error}")))?;
        self.rows = 0;
        self.bytes = 0;
        Ok(Some(Decoded { rows, faults: std::mem::take(&mut self.faults) }))
    }
}

/// The error for bytes that are not what was announced.
pub(super) fn broken(what: &str) -> Error {
    Error::new(&codes::E1024_PROTOCOL, format!("the warehouse sent {what}"))
}

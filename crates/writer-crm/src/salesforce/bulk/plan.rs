//! What a job does with which rows, and its file.

use flow::{Error, Mode, Result, WriteBatch};
use writer::codes::R213_CALL_TOO_LARGE;
use writer::csv::{CsvColumns, push_field};

use super::super::wire::{ID, SPELLING, columns};

/// 150 MB once Salesforce has encoded the file as base64.
const FILE_BYTES_MAX: usize = 100_000_000;
/// Longest field and longest record in characters.
const FIELD_CHARS_MAX: usize = 32_000;
const RECORD_CHARS_MAX: usize = 400_000;
/// What empties a field; an empty cell leaves it alone.
const NULL: &str = "#N/A";

/// What a job does, and how its rows are told apart.
pub(in crate::salesforce) struct Plan<'a> {
    pub(in crate::salesforce) batch: &'a WriteBatch,
    pub(in crate::salesforce) operation: &'static str,
    /// The field of the external id, of an upsert.
    pub(in crate::salesforce) external: Option<&'a str>,
    /// The column that holds the text in `tokens` and is not written as `Id`.
    pub(in crate::salesforce) id_column: Option<usize>,
    /// The records' own ids, one per row, or none.
    pub(in crate::salesforce) ids: &'a [String],
    /// Per row what it is found by in the results: its record id, or its `match_on` value.
    pub(in crate::salesforce) tokens: Vec<String>,
}

impl Plan<'_> {
    /// Rows the CSV form cannot say, or not without being misunderstood: a text that is the word for null, a field or a
    /// record that is too long.
    pub(in crate::salesforce) fn unfit(&self) -> Vec<usize> {
        if self.batch.mode == Mode::Delete {
            return Vec::new();
        }
        let payload = &self.batch.payload;
        let cells = CsvColumns::new(payload.fields.columns(), SPELLING);
        let columns = 0..payload.fields.num_columns();
        let is_unfit = |row: &usize| {
            let mut bytes = 0;
            let odd = columns.clone().any(|column| {
                if cells.is_null(column, *row) || payload.is_absent(column, *row) {
                    return false;
                }
                let Some(text) = cells.as_text(column, *row) else { return false };
                bytes += text.len();
                let long = text.len() > FIELD_CHARS_MAX && text.chars().count() > FIELD_CHARS_MAX;
                text == NULL || long
            });
            odd || bytes > RECORD_CHARS_MAX
        };
        (0..payload.rows()).filter(is_unfit).collect()
    }

    /// The file. Null is `#N/A`, and so is an empty text, which Salesforce does not tell from null; a field that is left
    /// alone is an empty cell.
    ///
    /// # Errors
    /// When the batch cannot be spelled, or the file is too large.
    pub(in crate::salesforce) fn csv(&self, order: &[usize]) -> Result<Vec<u8>> {
        let payload = &self.batch.payload;
        let columns = match self.batch.mode {
            Mode::Delete => Vec::new(),
            _ => columns(self.batch, self.id_column)?,
        };
        let cells = CsvColumns::new(payload.fields.columns(), SPELLING);
        let names = payload.fields.schema_ref();
        let ids = (!self.ids.is_empty()).then_some(ID);
        let header = columns.iter().map(|column| names.field(column.index).name().as_str());
        let header: Vec<&str> = ids.into_iter().chain(header).collect();
        let mut out = Vec::with_capacity(order.len() * 32 * header.len().max(1));
        out.extend_from_slice(header.join(",").as_bytes());
        out.push(b'\n');
        for row in order {
            let mut first = true;
            if let Some(id) = self.ids.get(*row) {
                push_field(id, &mut out);
                first = false;
            }
            for column in columns.iter().map(|column| column.index) {
                if !first {
                    out.push(b',');
                }
                first = false;
                if payload.is_absent(column, *row) {
                    continue;
                }
                let empty = cells.as_text(column, *row) == Some("");
                match cells.is_null(column, *row) || empty {
                    true => out.extend_from_slice(NULL.as_bytes()),
                    false => cells.push(column, *row, &mut out),
                }
            }
            out.push(b'\n');
            if out.len() > FILE_BYTES_MAX {
                let message = "the rows of one job are larger than the 100 MB Salesforce takes";
                return Err(Error::new(&R213_CALL_TOO_LARGE, message));
            }
        }
        Ok(out)
    }
}

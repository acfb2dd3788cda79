//! The rows of a batch as a template sees them, and as the default body writes them.

use std::collections::BTreeMap;

use flow::WriteBatch;
use flow::arrow::array::{Array as _, AsArray as _};
use flow::arrow::datatypes::{DataType, Float64Type, Int64Type};
use minijinja::Value;
use minijinja::value::Serde;
use writer::encode::{Cells, SecondDecimals, Spelling, push_string};

use super::options::Nulls;
use super::template::Values;

const SPELLING: Spelling = Spelling { second_decimals: SecondDecimals::Six, list_separator: ";" };

/// All rows of a batch.
pub(super) struct Rows<'a> {
    pub(super) batch: &'a WriteBatch,
    columns: Vec<(&'a str, Cells<'a>)>,
    nulls: Nulls,
}

impl<'a> Rows<'a> {
    pub(super) fn new(batch: &'a WriteBatch, nulls: Nulls) -> Self {
        let fields = &batch.payload.fields;
        let columns = fields.schema_ref().fields().iter().zip(fields.columns());
        let columns = columns
            .map(|(field, column)| (field.name().as_str(), Cells::of(field, column, SPELLING)));
        Self { batch, columns: columns.collect(), nulls }
    }

    /// One of them.
    pub(super) fn row(&'a self, row: usize) -> Row<'a> {
        Row { rows: self, row }
    }

    /// What a record is found by, as text: its id, else its first match value.
    pub(super) fn address(&self, row: usize) -> Option<String> {
        if let Some(id) = self.batch.record_ids.get(row) {
            return Some(id.clone());
        }
        let name = self.batch.match_on.first()?;
        let column = self.batch.payload.fields.column_by_name(name)?;
        column.is_valid(row).then(|| flow::text_at(column, row).into_owned())
    }
}

/// One row.
#[derive(Clone, Copy)]
pub(super) struct Row<'a> {
    rows: &'a Rows<'a>,
    row: usize,
}

impl Row<'_> {
    /// Appends its fields as one JSON object.
    pub(super) fn push_object(&self, out: &mut Vec<u8>) {
        out.push(b'{');
        let mut first = true;
        for (at, (name, cells)) in self.rows.columns.iter().enumerate() {
            let null = cells.is_null(self.row);
            if self.rows.batch.payload.is_absent(at, self.row)
                || (null && self.rows.nulls == Nulls::Omit)
            {
                continue;
            }
            if !std::mem::take(&mut first) {
                out.push(b',');
            }
            push_string(name, out);
            out.push(b':');
            match (null, self.rows.nulls) {
                (true, Nulls::EmptyString) => out.extend_from_slice(b"\"\""),
                _ => cells.push_json(self.row, out),
            }
        }
        out.push(b'}');
    }

    fn value(&self, at: usize) -> Value {
        let (_, cells) = &self.rows.columns[at];
        let column = self.rows.batch.payload.fields.column(at);
        let mut json = Vec::new();
        match column.data_type() {
            _ if column.is_null(self.row) => Value::from(()),
            DataType::Int64 => Value::from(column.as_primitive::<Int64Type>().value(self.row)),
            DataType::Float64 => Value::from(column.as_primitive::<Float64Type>().value(self.row)),
            DataType::Boolean => Value::from(column.as_boolean().value(self.row)),
            _ => {
                cells.push_json(self.row, &mut json);
                // A number is kept as its digits, which a float could not hold.
                match serde_json::from_slice::<serde_json::Value>(&json) {
                    Ok(serde_json::Value::Number(_)) | Err(_) => {
                        Value::from(String::from_utf8_lossy(&json).into_owned())
                    }
                    Ok(value) => Value::from(Serde(value)),
                }
            }
        }
    }

    /// All values by name; `row` holds them too, for names that are no words.
    fn names(&self) -> BTreeMap<String, Value> {
        let payload = &self.rows.batch.payload;
        let present = (0..self.rows.columns.len()).filter(|at| !payload.is_absent(*at, self.row));
        let mut names: BTreeMap<String, Value> =
            present.map(|at| (self.rows.columns[at].0.to_owned(), self.value(at))).collect();
        let row =
            Value::from_pairs(names.iter().map(|(name, value)| (name.clone(), value.clone())));
        names.insert("row".to_owned(), row);
        names.insert("run_id".to_owned(), Value::from(&*self.rows.batch.run_id));
        if let Some(id) = self.rows.batch.record_ids.get(self.row) {
            names.insert("id".to_owned(), Value::from(id.as_str()));
        }
        names
    }
}

impl Values for Row<'_> {
    fn field(&self, name: &str, out: &mut Vec<u8>) -> bool {
        let Some(at) = self.rows.columns.iter().position(|(column, _)| *column == name) else {
            return false;
        };
        if self.rows.batch.payload.is_absent(at, self.row) {
            return false;
        }
        self.rows.columns[at].1.push_json(self.row, out);
        true
    }

    fn rows(&self, _out: &mut Vec<u8>) {}

    fn scope(&self) -> Value {
        Value::from_pairs(self.names())
    }
}

/// The whole request: its rows are written already; where it has one row, that row's fields are there too.
pub(super) struct Whole<'a> {
    /// The list of rows, or the one row.
    pub(super) rows: &'a [u8],
    pub(super) row: Option<Row<'a>>,
    pub(super) run_id: &'a str,
}

impl Values for Whole<'_> {
    fn field(&self, name: &str, out: &mut Vec<u8>) -> bool {
        self.row.is_some_and(|row| row.field(name, out))
    }

    fn rows(&self, out: &mut Vec<u8>) {
        match self.row {
            Some(_) => out.extend([b"[", self.rows, b"]"].concat()),
            None => out.extend_from_slice(self.rows),
        }
    }

    fn scope(&self) -> Value {
        match self.row {
            Some(row) => row.scope(),
            None => Value::from_pairs([("run_id".to_owned(), Value::from(self.run_id))]),
        }
    }
}

//! One schema for all files of a model: what they agree on, or who disagrees about what.

use flow::arrow::datatypes::DataType;
use flow::{Error, Result};

use crate::arrival::Arrival;
use crate::codes;
use crate::layout::Column;

/// The columns of all files, in the order in which they first occur.
#[derive(Debug, Default)]
pub(super) struct Merged {
    columns: Vec<(Column, Origin)>,
}

/// The file that a column's type is from.
#[derive(Debug)]
struct Origin {
    file: String,
    /// Whether the file has no value in it, so that any type fits.
    untyped: bool,
}

impl Merged {
    /// Adds a column of a file; `untyped` where it has nothing but NULL.
    ///
    /// # Errors
    /// `E1105` when another file has the column with a type that does not go with this one.
    pub(super) fn add(&mut self, file: &str, column: Column, untyped: bool) -> Result<()> {
        let known = self.columns.iter_mut().find(|(known, _)| known.name == column.name);
        let Some((known, origin)) = known else {
            self.columns.push((column, Origin { file: file.to_owned(), untyped }));
            return Ok(());
        };
        if untyped || known.arrival == column.arrival {
            return Ok(());
        }
        if origin.untyped {
            known.arrival = column.arrival;
            *origin = Origin { file: file.to_owned(), untyped };
            return Ok(());
        }
        match wider(&known.arrival, &column.arrival) {
            Some(arrival) => {
                known.arrival = arrival;
                Ok(())
            }
            None => {
                let Column { name, arrival } = column;
                let (ours, theirs) = (&known.arrival.source_type, &arrival.source_type);
                let message =
                    format!("column `{name}` is {ours} in {}, and {theirs} in {file}", origin.file);
                Err(Error::new(&codes::E1105_DISAGREE, message))
            }
        }
    }

    pub(super) fn columns(self) -> Vec<Column> {
        self.columns.into_iter().map(|(column, _)| column).collect()
    }
}

/// The type that holds the values of both exactly.
fn wider(a: &Arrival, b: &Arrival) -> Option<Arrival> {
    let rank = |arrival: &Arrival| match arrival.data_type {
        DataType::Int16 => Some(0),
        DataType::Int32 => Some(1),
        DataType::Int64 => Some(2),
        _ => None,
    };
    if let (Some(first), Some(second)) = (rank(a), rank(b)) {
        return Some(if first >= second { a.clone() } else { b.clone() });
    }
    let is_exact = |arrival: &Arrival| {
        arrival.is_numeric_text()
            || rank(arrival).is_some()
            || matches!(arrival.data_type, DataType::Decimal128(..))
    };
    (is_exact(a) && is_exact(b)).then(|| Arrival::plain(DataType::Utf8, "numeric"))
}

//! Rows that say of themselves that they left the model (`removed_when`): taken out of a batch before it is mapped.

use flow::arrow::array::{ArrayRef, AsArray, BooleanArray};
use flow::arrow::compute::{filter_record_batch, not};
use flow::arrow::error::ArrowError;
use flow::{Batch, Error, Fault, Key, Opening, REMOVED, Result};

use crate::{Sync, codes};

/// The batch without such rows, and their keys. A key that another row has too is left out of both: which of the rows
/// counts is not known.
pub(crate) fn leave_out(sync: &Sync, batch: Batch, opening: &Opening) -> Result<(Batch, Vec<Key>)> {
    let said = match batch.rows.column_by_name(REMOVED) {
        Some(said) => said.as_boolean().clone(),
        None if sync.model.removed_when.is_none() => return Ok((batch, Vec::new())),
        None => {
            let message = "the read does not say which rows count as removed";
            return Err(Error::new(&codes::E4007, message));
        }
    };
    if said.true_count() == 0 {
        return Ok((batch, Vec::new()));
    }
    let columns: Option<Vec<&ArrayRef>> =
        sync.model.primary_key.iter().map(|name| batch.rows.column_by_name(name)).collect();
    let columns = columns.unwrap_or_default();
    let keys = (0..batch.rows.num_rows())
        .filter(|row| said.value(*row))
        .filter_map(|row| Key::at(&columns, row))
        .filter(|key| !opening.duplicates.contains(key));
    let keys = keys.collect();
    let faults = kept(batch.faults, &said);
    let rows = not(&said).and_then(|kept| filter_record_batch(&batch.rows, &kept)).map_err(lost)?;
    Ok((Batch { rows, faults, last: batch.last }, keys))
}

/// The faults of the rows that stay, at their new places.
fn kept(faults: Vec<Fault>, said: &BooleanArray) -> Vec<Fault> {
    let before = |row: usize| said.slice(0, row).true_count();
    faults
        .into_iter()
        .filter(|fault| !said.value(fault.row))
        .map(|fault| Fault { row: fault.row - before(fault.row), ..fault })
        .collect()
}

fn lost(error: ArrowError) -> Error {
    Error::new(&codes::E4007, "the rows that count as removed could not be taken out")
        .with_source(error)
}

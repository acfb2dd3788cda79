//! What is sent for a row: mapped destination fields, as Arrow, with null and absent kept apart.

use std::fmt;
use std::sync::Arc;

use arrow::array::{BooleanBufferBuilder, RecordBatch, RecordBatchOptions, UInt32Array};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::Schema;
use arrow::error::ArrowError;

/// Mapped rows. Column names are destination field names.
///
/// A null cell means "empty this field"; an absent cell means "leave this field alone". The two stay
/// different up to the wire.
#[derive(Debug, Clone)]
pub struct Payload {
    /// One column per destination field, one row per row to send.
    pub fields: RecordBatch,
    /// Per column: which rows leave the field alone. `None` where no row does.
    pub absent: Vec<Option<BooleanBuffer>>,
}

impl Payload {
    /// So many rows without any field, for records that are addressed by their ids.
    ///
    /// # Errors
    /// Never, as far as is known.
    pub fn without_fields(rows: usize) -> Result<Self, ArrowError> {
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let schema = Arc::new(Schema::empty());
        let fields = RecordBatch::try_new_with_options(schema, Vec::new(), &options)?;
        Ok(Self { fields, absent: Vec::new() })
    }

    /// Rows in this payload.
    pub fn rows(&self) -> usize {
        self.fields.num_rows()
    }

    /// Whether `row` leaves the field in `column` alone.
    pub fn is_absent(&self, column: usize, row: usize) -> bool {
        self.absent[column].as_ref().is_some_and(|mask| mask.value(row))
    }

    /// `rows` rows from `first` on; shares the buffers.
    ///
    /// # Panics
    /// When there are fewer rows.
    #[must_use]
    pub fn slice(&self, first: usize, rows: usize) -> Self {
        let absent = self.absent.iter();
        Self {
            fields: self.fields.slice(first, rows),
            absent: absent.map(|mask| mask.as_ref().map(|mask| mask.slice(first, rows))).collect(),
        }
    }

    /// The named rows, in that order.
    ///
    /// # Errors
    /// When an index is out of bounds.
    pub fn take(&self, rows: &[u32]) -> Result<Self, ArrowError> {
        let fields = match self.fields.num_columns() {
            // Records addressed by their ids alone have no field, and are rows all the same.
            0 => {
                let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
                RecordBatch::try_new_with_options(self.fields.schema(), Vec::new(), &options)?
            }
            _ => {
                arrow::compute::take_record_batch(&self.fields, &UInt32Array::from(rows.to_vec()))?
            }
        };
        let absent = self
            .absent
            .iter()
            .map(|mask| {
                mask.as_ref().map(|mask| rows.iter().map(|row| mask.value(*row as usize)).collect())
            })
            .collect();
        Ok(Self { fields, absent })
    }

    /// All rows with the named fields alone; a name that is no field is passed over.
    ///
    /// # Errors
    /// Never, as far as is known.
    pub fn only(&self, names: &[String]) -> Result<Self, ArrowError> {
        let fields = self.fields.schema_ref().fields();
        let kept: Vec<usize> =
            (0..fields.len()).filter(|column| names.contains(fields[*column].name())).collect();
        let absent = kept.iter().map(|column| self.absent[*column].clone()).collect();
        Ok(Self { fields: self.fields.project(&kept)?, absent })
    }

    /// These cells, each a column and a row, are absent from now on.
    pub fn leave_alone(&mut self, cells: &[(usize, usize)]) {
        for (column, mask) in self.absent.iter_mut().enumerate() {
            let mut rows =
                cells.iter().filter(|cell| cell.0 == column).map(|cell| cell.1).peekable();
            if rows.peek().is_none() {
                continue;
            }
            let mut builder = BooleanBufferBuilder::new(self.fields.num_rows());
            match mask {
                Some(mask) => builder.append_buffer(mask),
                None => builder.append_n(self.fields.num_rows(), false),
            }
            rows.for_each(|row| builder.set_bit(row, true));
            *mask = Some(builder.finish());
        }
    }

    /// All rows of `parts`, which have the same columns, one after the other.
    ///
    /// # Errors
    /// When `parts` is empty or the columns differ.
    pub fn concat(parts: &[Self]) -> Result<Self, ArrowError> {
        let first = parts
            .first()
            .ok_or_else(|| ArrowError::InvalidArgumentError("no payload to join".to_owned()))?;
        let fields = arrow::compute::concat_batches(
            first.fields.schema_ref(),
            parts.iter().map(|part| &part.fields),
        )?;
        let absent = (0..first.absent.len())
            .map(|column| {
                parts.iter().any(|part| part.absent[column].is_some()).then(|| {
                    parts
                        .iter()
                        .flat_map(|part| {
                            (0..part.rows()).map(move |row| part.is_absent(column, row))
                        })
                        .collect()
                })
            })
            .collect();
        Ok(Self { fields, absent })
    }
}

/// Hash (XXH3) of a mapped payload: equal means nothing to send. Zero stands for "no payload could be made".
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub u128);

impl Fingerprint {
    /// The fingerprint of a payload with this hash: its low 64 bits. A fingerprint is only ever compared with the one
    /// before it of the same key, so a change is missed once in 2^64 changes; the other 64 bits would cost 8 bytes a row.
    pub fn of(hash: u128) -> Self {
        Self((hash & u128::from(u64::MAX)).max(1))
    }
}

/// Hash (XXH3) of the values a record is found by at the destination (`match_on`).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct MatchHash(pub u128);

impl MatchHash {
    /// Bits kept of a hash. Match values are compared with those of all other rows, so they need more bits than a
    /// fingerprint: among 100 million rows any two share 80 bits once in 240 million ledgers.
    pub const BITS: u32 = 80;

    /// The hash kept of match values with this full hash: its low [`MatchHash::BITS`] bits.
    pub fn of(hash: u128) -> Self {
        Self(hash & ((1 << Self::BITS) - 1))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for MatchHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_without_fields_are_counted_through_every_cut() {
        let payload = Payload::without_fields(7).unwrap();
        assert_eq!(payload.rows(), 7);
        assert_eq!(payload.slice(2, 3).rows(), 3);
        assert_eq!(payload.take(&[1, 1, 6]).unwrap().rows(), 3);
        let joined = Payload::concat(&[payload.slice(0, 2), payload]).unwrap();
        assert_eq!(joined.rows(), 9);
    }

    #[test]
    fn cells_that_are_left_alone_are_absent_and_others_stay_as_they_were() {
        let column = || Arc::new(arrow::array::Int64Array::from(vec![1, 2, 3])) as _;
        let fields = RecordBatch::try_from_iter([("a", column()), ("b", column())]).unwrap();
        let absent = vec![None, Some([true, false, false].into_iter().collect())];
        let mut payload = Payload { fields, absent };
        payload.leave_alone(&[(0, 1), (1, 2)]);
        let absent = |column| [0, 1, 2].map(|row| payload.is_absent(column, row));
        assert_eq!((absent(0), absent(1)), ([false, true, false], [true, false, true]));
    }
}

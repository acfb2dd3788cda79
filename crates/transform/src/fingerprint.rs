//! Hashes of mapped rows: what is compared to see whether a row changed, and what finds its record.

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, StringArray};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float64Type, Int64Type, TimeUnit,
    TimestampMicrosecondType,
};
use flow::{Fingerprint, MatchHash, text_at};
use xxhash_rust::xxh3::xxh3_128_with_seed;

/// Changes when the bytes below change, so that an old ledger resends instead of comparing different things.
const VERSION: u64 = 1;

const ABSENT: u8 = 0;
const NULL: u8 = 1;
const TEXT: u8 = 2;
const JSON: u8 = 3;
const INTEGER: u8 = 4;
const DOUBLE: u8 = 5;
const DECIMAL: u8 = 6;
const BOOLEAN: u8 = 7;
const DATE: u8 = 8;
const MOMENT: u8 = 9;
const OTHER: u8 = 10;

/// One field's values, ready to be written into a row's bytes.
pub(crate) struct HashColumn<'a> {
    /// Length and bytes of the field name.
    head: Vec<u8>,
    column: &'a ArrayRef,
    values: Values<'a>,
    absent: Option<&'a BooleanBuffer>,
}

enum Values<'a> {
    Text(&'a StringArray, u8),
    Integer(&'a [i64], u8),
    Double(&'a [f64]),
    Decimal(&'a [i128], i8),
    Boolean(&'a BooleanArray),
    Date(&'a [i32]),
    Other,
}

impl<'a> HashColumn<'a> {
    pub(crate) fn new(
        name: &str,
        column: &'a ArrayRef,
        json: bool,
        absent: Option<&'a BooleanBuffer>,
    ) -> Self {
        let mut head = Vec::with_capacity(name.len() + 4);
        push_bytes(&mut head, name.as_bytes());
        let values = match column.data_type() {
            DataType::Utf8 => Values::Text(column.as_string(), if json { JSON } else { TEXT }),
            DataType::Int64 => {
                Values::Integer(column.as_primitive::<Int64Type>().values(), INTEGER)
            }
            DataType::Timestamp(TimeUnit::Microsecond, _) => {
                Values::Integer(column.as_primitive::<TimestampMicrosecondType>().values(), MOMENT)
            }
            DataType::Float64 => Values::Double(column.as_primitive::<Float64Type>().values()),
            DataType::Decimal128(_, scale) => {
                Values::Decimal(column.as_primitive::<Decimal128Type>().values(), *scale)
            }
            DataType::Boolean => Values::Boolean(column.as_boolean()),
            DataType::Date32 => Values::Date(column.as_primitive::<Date32Type>().values()),
            _ => Values::Other,
        };
        Self { head, column, values, absent }
    }

    /// Appends the field's name and the row's value.
    fn push(&self, row: usize, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.head);
        if self.absent.is_some_and(|absent| absent.value(row)) {
            out.push(ABSENT);
            return;
        }
        if self.column.is_null(row) {
            out.push(NULL);
            return;
        }
        match &self.values {
            Values::Text(text, tag) => {
                out.push(*tag);
                push_bytes(out, text.value(row).as_bytes());
            }
            Values::Integer(values, tag) => {
                out.push(*tag);
                out.extend_from_slice(&values[row].to_le_bytes());
            }
            Values::Double(values) => {
                // -0 and 0 are one number.
                let value = if values[row] == 0.0 { 0.0 } else { values[row] };
                out.push(DOUBLE);
                out.extend_from_slice(&value.to_bits().to_le_bytes());
            }
            Values::Decimal(values, scale) => {
                out.push(DECIMAL);
                out.extend_from_slice(&scale.to_le_bytes());
                out.extend_from_slice(&values[row].to_le_bytes());
            }
            Values::Boolean(values) => {
                out.push(BOOLEAN);
                out.push(u8::from(values.value(row)));
            }
            Values::Date(values) => {
                out.push(DATE);
                out.extend_from_slice(&values[row].to_le_bytes());
            }
            Values::Other => {
                out.push(OTHER);
                push_bytes(out, text_at(self.column, row).as_bytes());
            }
        }
    }
}

/// The fingerprint of each row over `columns`, which come in the order of their names.
///
/// The hash is XXH3-128, as far as [`Fingerprint::of`] keeps it, over, for every field: the length of its name (8 bytes, little endian) and the name;
/// a tag that says absent, null or the value's type; and the value - text by length and bytes, numbers, dates
/// and moments by their fixed bytes, decimals with their scale.
pub(crate) fn fingerprints(columns: &[HashColumn<'_>], rows: usize) -> Vec<Fingerprint> {
    let mut bytes = Vec::with_capacity(256);
    (0..rows)
        .map(|row| {
            bytes.clear();
            columns.iter().for_each(|column| column.push(row, &mut bytes));
            Fingerprint::of(xxh3_128_with_seed(&bytes, VERSION))
        })
        .collect()
}

/// A field that finds the record.
pub(crate) struct MatchColumn<'a> {
    pub(crate) name: &'a str,
    pub(crate) column: &'a ArrayRef,
    pub(crate) folds_case: bool,
}

/// The hash of each row's match values; `columns` come in the order of their names. Canonical text is hashed,
/// in lower case where the destination ignores case, so that a record keeps its hash.
pub(crate) fn matches(columns: &[MatchColumn<'_>], rows: usize) -> Vec<MatchHash> {
    let mut bytes = Vec::with_capacity(64);
    (0..rows)
        .map(|row| {
            bytes.clear();
            for column in columns {
                push_bytes(&mut bytes, column.name.as_bytes());
                let text = text_at(column.column, row);
                if column.folds_case
                    && text.bytes().any(|b| !b.is_ascii() || b.is_ascii_uppercase())
                {
                    push_bytes(&mut bytes, text.to_lowercase().as_bytes());
                } else {
                    push_bytes(&mut bytes, text.as_bytes());
                }
            }
            MatchHash::of(xxh3_128_with_seed(&bytes, VERSION))
        })
        .collect()
}

fn push_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
    out.extend_from_slice(bytes);
}

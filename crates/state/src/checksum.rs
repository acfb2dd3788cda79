//! Our own checksum of a stored row: SQLite does not notice a flipped bit, so every row that decides what is
//! sent carries one and is refused when it does not fit.

use flow::{Error, Result};
use xxhash_rust::xxh3::xxh3_64;

use crate::codes;

/// Collects the values of one row; the buffer is used again for the next row.
#[derive(Default)]
pub(crate) struct Checksum {
    bytes: Vec<u8>,
}

impl Checksum {
    /// Begins the row of a table; a row of one table never passes for one of another.
    pub(crate) fn begin(&mut self, table: u8) -> &mut Self {
        self.bytes.clear();
        self.bytes.push(table);
        self
    }

    pub(crate) fn int(&mut self, value: i64) -> &mut Self {
        self.bytes.extend_from_slice(&value.to_le_bytes());
        self
    }

    pub(crate) fn maybe_int(&mut self, value: Option<i64>) -> &mut Self {
        self.bytes.push(u8::from(value.is_some()));
        self.int(value.unwrap_or_default())
    }

    /// Text or bytes, with its length, so that no two rows collect the same bytes.
    pub(crate) fn bytes(&mut self, value: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(&(value.len() as u64).to_le_bytes());
        self.bytes.extend_from_slice(value);
        self
    }

    pub(crate) fn maybe_bytes(&mut self, value: Option<&[u8]>) -> &mut Self {
        self.bytes.push(u8::from(value.is_some()));
        self.bytes(value.unwrap_or_default())
    }

    /// The checksum, as SQLite's signed integer.
    pub(crate) fn sum(&self) -> i64 {
        xxh3_64(&self.bytes).cast_signed()
    }
}

/// The row of `table` was changed by something else.
pub(crate) fn mismatch(table: &str) -> Error {
    Error::new(
        &codes::E3007_CHECKSUM,
        format!("A row of the state's table `{table}` does not match its checksum."),
    )
}

/// Refuses a row whose stored checksum is not the computed one.
pub(crate) fn verify(table: &str, stored: i64, computed: i64) -> Result<()> {
    if stored == computed { Ok(()) } else { Err(mismatch(table)) }
}

//! A ledger as a stream in the order of a read by primary key, so that the two can be merged in one pass.

use async_trait::async_trait;

use crate::{Fingerprint, Result};

/// What the ledger remembers of rows, in its order of keys, as it was when the stream began.
#[async_trait]
pub trait LedgerStream: Send {
    /// The next rows; `None` after the last.
    ///
    /// # Errors
    /// `E3xxx` when the ledger cannot be read.
    async fn next(&mut self) -> Result<Option<LedgerPage>>;
}

/// Rows of a [`LedgerStream`], one after the other.
#[derive(Debug, Default)]
pub struct LedgerPage {
    /// Keys as [`crate::KeyOrder::encode`] writes them, without anything between them.
    keys: Vec<u8>,
    rows: Vec<(u32, LedgerRow)>,
}

/// What decides, for most rows, that there is nothing to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LedgerRow {
    /// See [`crate::Entry::acknowledged`].
    pub acknowledged: Option<Fingerprint>,
    /// The row has an open reject.
    pub is_rejected: bool,
    /// The row left the model; see [`crate::Entry::gone`].
    pub is_gone: bool,
}

impl LedgerPage {
    /// Adds a row after the others.
    ///
    /// # Panics
    /// When the page has 4 GiB of keys.
    pub fn push(&mut self, key: &[u8], row: LedgerRow) {
        self.keys.extend_from_slice(key);
        let end = u32::try_from(self.keys.len()).expect("a page is small");
        self.rows.push((end, row));
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// A row's key, as bytes.
    ///
    /// # Panics
    /// When there are fewer rows.
    pub fn key(&self, row: usize) -> &[u8] {
        let begin = row.checked_sub(1).map_or(0, |before| self.rows[before].0);
        &self.keys[begin as usize..self.rows[row].0 as usize]
    }

    /// What is remembered of it.
    ///
    /// # Panics
    /// When there are fewer rows.
    pub fn row(&self, row: usize) -> LedgerRow {
        self.rows[row].1
    }
}

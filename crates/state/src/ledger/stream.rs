//! A ledger as a stream: read ahead by a thread where waiting for the disk is allowed.

use async_trait::async_trait;
use flow::{Error, Fingerprint, LedgerPage, LedgerRow, LedgerStream, Result};
use tokio::sync::mpsc;

use super::merge::Merge;
use super::row::Fields;
use crate::checksum::mismatch;
use crate::codes;

/// Rows of a page.
const PAGE_ROWS: usize = if cfg!(test) { 9 } else { 8192 };
/// Pages read ahead.
const PAGES_AHEAD: usize = 2;

/// All rows of a ledger at one moment.
pub(crate) struct Rows(Merge);

impl Rows {
    pub(super) fn new(rows: Merge) -> Self {
        Self(rows)
    }

    /// No rows.
    pub(crate) fn none() -> Self {
        Self(Merge::new(&[], &Vec::new(), None))
    }

    fn page(&mut self) -> Result<LedgerPage> {
        let mut page = LedgerPage::default();
        while page.len() < PAGE_ROWS && self.0.advance_known()? {
            let fields = Fields::of(self.0.row()).ok_or_else(|| mismatch("ledger"))?;
            let row = LedgerRow {
                acknowledged: fields.acknowledged.map(Fingerprint),
                is_rejected: fields.rejected.is_some(),
                is_gone: fields.gone.is_some(),
            };
            page.push(self.0.key(), row);
        }
        Ok(page)
    }
}

/// Pages on their way from the thread that reads them.
struct Stream(mpsc::Receiver<Result<LedgerPage>>);

/// Reads the rows, as far ahead as there is room; ends when nobody listens.
pub(crate) fn stream(mut rows: Rows) -> impl LedgerStream {
    let (sender, pages) = mpsc::channel(PAGES_AHEAD);
    tokio::task::spawn_blocking(move || {
        loop {
            let page = rows.page();
            let last = page.as_ref().map_or(true, LedgerPage::is_empty);
            if sender.blocking_send(page).is_err() || last {
                return;
            }
        }
    });
    Stream(pages)
}

#[async_trait]
impl LedgerStream for Stream {
    async fn next(&mut self) -> Result<Option<LedgerPage>> {
        // An empty page is the end. A thread that was lost must not look like one (R3).
        let lost = || Error::new(&codes::E3099_UNEXPECTED, "The reading of the ledger was lost.");
        let page = self.0.recv().await.ok_or_else(lost)??;
        Ok((!page.is_empty()).then_some(page))
    }
}

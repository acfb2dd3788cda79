//! A ledger in memory as a stream, a few rows a page.

use async_trait::async_trait;
use flow::{Entry, Key, KeyOrder, LedgerPage, LedgerRow, LedgerStream, Result};

/// Rows of a page: few, so that pages end in the middle of chunks.
const PAGE_ROWS: usize = 3;

struct Stream(Vec<LedgerPage>);

/// The ledger in this order, as it is now.
pub(crate) fn stream<'a>(
    ledger: impl Iterator<Item = (&'a Key, &'a Entry)>,
    order: &KeyOrder,
) -> Box<dyn LedgerStream> {
    let mut rows: Vec<(Vec<u8>, LedgerRow)> = ledger
        .map(|(key, entry)| {
            let mut bytes = Vec::new();
            order.encode(key, &mut bytes);
            let row = LedgerRow {
                acknowledged: entry.acknowledged,
                is_rejected: entry.rejected.is_some(),
                is_gone: entry.gone.is_some(),
            };
            (bytes, row)
        })
        .collect();
    rows.sort_by(|a, b| a.0.cmp(&b.0));
    let pages = rows.chunks(PAGE_ROWS).rev().map(|rows| {
        let mut page = LedgerPage::default();
        rows.iter().for_each(|(key, row)| page.push(key, *row));
        page
    });
    Box::new(Stream(pages.collect()))
}

#[async_trait]
impl LedgerStream for Stream {
    async fn next(&mut self) -> Result<Option<LedgerPage>> {
        Ok(self.0.pop())
    }
}

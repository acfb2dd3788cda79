//! Merges a complete read that is ordered by primary key with the ledger in the same order: unchanged, changed and new
//! rows, and rows of the ledger that the read does not contain, in one pass, with memory that does not grow and without
//! looking rows up.
//!
//! The order is not taken on trust. A read that goes back in it is not merged any further: its rows are looked up, and
//! nothing is said of rows that it does not contain.

use std::cmp::Ordering;

use flow::{KeyOrder, LedgerPage, LedgerRow, LedgerStream, Result};
use transform::Mapped;

use crate::conductor::Conductor;
use crate::diff::Resend;
use crate::intake::Chunk;
use crate::missing::Missing;
use crate::prepare::schema_of;

/// A ledger that is gone through beside a read.
pub(crate) struct Merger {
    order: KeyOrder,
    ledger: Box<dyn LedgerStream>,
    page: LedgerPage,
    at: usize,
    ended: bool,
    /// The ledger's row at `at` is in the read.
    found: bool,
    /// The largest key of the read so far.
    last: Option<Vec<u8>>,
    /// What the read does not contain, where somebody wants to know.
    missing: Option<Missing>,
    disordered: bool,
}

/// One row of a chunk: where its key lies, and which mapped row it is, if it is one.
struct Place {
    begin: usize,
    end: usize,
    mapped: Option<usize>,
}

impl Conductor<'_> {
    /// Merges the rows to come with the ledger, where they are one read of everything in the order of the key.
    pub(crate) async fn merger(&mut self) -> Result<Option<Merger>> {
        // Rows that are only confirmed are read by key, and all of them are sent.
        if self.resend == Resend::Everything || !std::mem::take(&mut self.ordered) {
            return Ok(None);
        }
        let (store, sync) = (&self.ports.store, &self.sync.name);
        let columns = schema_of(&self.prepared.checked);
        let key = self.sync.model.primary_key.iter();
        let order = KeyOrder::of(key.filter_map(|name| columns.field_with_name(name).ok()));
        let ledger = match store.stream(sync, &order).await? {
            None => {
                store.order_keys(self.lease, &order).await?;
                store.stream(sync, &order).await?
            }
            ledger => ledger,
        };
        let Some(ledger) = ledger else { return Ok(None) };
        let missing = self.seen.as_mut().map(|seen| {
            seen.merge();
            Missing::new(order.clone(), &self.ports.spool_dir)
        });
        Ok(Some(Merger::new(order, ledger, missing)))
    }
}

impl Merger {
    /// Before the first row of both.
    pub(crate) fn new(
        order: KeyOrder,
        ledger: Box<dyn LedgerStream>,
        missing: Option<Missing>,
    ) -> Self {
        Self {
            order,
            ledger,
            page: LedgerPage::default(),
            at: 0,
            ended: false,
            found: false,
            last: None,
            missing,
            disordered: false,
        }
    }

    /// Takes the rows out of the chunk that are as they were last acknowledged, and notes which are new.
    pub(crate) async fn merge(&mut self, chunk: &mut Chunk) -> Result<()> {
        if self.disordered {
            return Ok(());
        }
        let (bytes, places) = self.places(chunk);
        let key = |place: &Place| &bytes[place.begin..place.end];
        let (Some(first), Some(last)) = (places.first().map(key), places.last().map(key)) else {
            return Ok(());
        };
        if self.last.as_deref().is_some_and(|last| first < last) {
            tracing::warn!("the rows do not come in the order of their keys; each is looked up");
            self.disordered = true;
            return Ok(());
        }
        let mut keep = Vec::new();
        for place in &places {
            let known = self.find(key(place)).await?;
            let Some(row) = place.mapped else { continue };
            let print = chunk.mapped.fingerprints[row];
            let plain = |known: &LedgerRow| !known.is_rejected && !known.is_gone;
            if !known.is_some_and(|known| known.acknowledged == Some(print) && plain(&known)) {
                keep.push((row, known.is_none()));
            }
        }
        self.last = Some(last.to_vec());
        chunk.unchanged = (chunk.mapped.keys.len() - keep.len()) as u64;
        keep.sort_unstable();
        let rows: Vec<u32> = keep.iter().map(|(row, _)| *row as u32).collect();
        chunk.new_rows = Some(keep.into_iter().map(|(_, new)| new).collect());
        chunk.keep(&rows)
    }

    /// The keys of all rows of the chunk, in order.
    fn places(&self, chunk: &Chunk) -> (Vec<u8>, Vec<Place>) {
        let Mapped { keys, rejects, .. } = &chunk.mapped;
        let mut bytes = Vec::with_capacity(keys.len() * 10);
        let mut places = Vec::with_capacity(keys.len() + rejects.len());
        let mapped = keys.iter().enumerate().map(|(row, key)| (key, Some(row)));
        let refused = rejects.iter().filter_map(|reject| reject.key.as_ref());
        for (key, mapped) in mapped.chain(refused.chain(&chunk.said).map(|key| (key, None))) {
            let begin = bytes.len();
            self.order.encode(key, &mut bytes);
            places.push(Place { begin, end: bytes.len(), mapped });
        }
        let key = |place: &Place| &bytes[place.begin..place.end];
        if !places.is_sorted_by(|a, b| key(a) <= key(b)) {
            places.sort_by(|a, b| key(a).cmp(key(b)));
        }
        (bytes, places)
    }

    /// What the ledger remembers of the row with this key; rows before it are not in the read.
    async fn find(&mut self, key: &[u8]) -> Result<Option<LedgerRow>> {
        while self.at < self.page.len() || self.next_page().await? {
            match self.page.key(self.at).cmp(key) {
                Ordering::Less => self.pass_over(),
                // It stays where it is: rows of the read may share a key, and are refused then.
                Ordering::Equal => {
                    self.found = true;
                    return Ok(Some(self.page.row(self.at)));
                }
                Ordering::Greater => return Ok(None),
            }
        }
        Ok(None)
    }

    async fn next_page(&mut self) -> Result<bool> {
        if self.ended {
            return Ok(false);
        }
        if let Some(missing) = &mut self.missing {
            missing.spill().await?;
        }
        match self.ledger.next().await? {
            Some(page) => (self.page, self.at) = (page, 0),
            None => self.ended = true,
        }
        Ok(!self.ended)
    }

    fn pass_over(&mut self) {
        if let Some(missing) = &mut self.missing {
            // What is gone already is known.
            if !self.found && !self.page.row(self.at).is_gone {
                missing.push(self.page.key(self.at));
            }
        }
        self.at += 1;
        self.found = false;
    }

    /// The read has ended cleanly: rows of the ledger that are left are not in it. Gives back all that it did not contain,
    /// where somebody wants to know and it can be told.
    pub(crate) async fn finish(mut self) -> Result<Option<Missing>> {
        if self.disordered || self.missing.is_none() {
            return Ok(None);
        }
        while self.at < self.page.len() || self.next_page().await? {
            self.pass_over();
        }
        Ok(self.missing)
    }
}

//! Goes through several sorted parts of a ledger as one: of a key that is in several, the newest row counts.

use std::sync::Arc;

use flow::Result;

use super::delta::Delta;
use super::file::{Files, LedgerFile, Scan};
use super::row::FORGOTTEN_ROW;

/// One sorted part.
pub(super) enum Part {
    Delta { delta: Arc<Delta>, links: Vec<u32>, at: usize },
    File { file: Arc<LedgerFile>, scan: Scan },
}

impl Part {
    fn of_delta(delta: &Arc<Delta>, after: Option<&[u8]>) -> Self {
        let links = delta.sorted();
        let key = |link: &u32| delta.at(*link).map_or(&[][..], |change| change.key);
        let at = after.map_or(0, |after| links.partition_point(|link| key(link) <= after));
        Self::Delta { delta: Arc::clone(delta), links, at }
    }

    fn of_file(file: &Arc<LedgerFile>, after: Option<&[u8]>) -> Self {
        let scan = after.map_or_else(Scan::new, |after| Scan::near(file, after));
        Self::File { file: Arc::clone(file), scan }
    }

    /// Goes to the next row, the first at first.
    fn advance(&mut self) -> Result<bool> {
        match self {
            Self::Delta { links, at, .. } => {
                *at += 1;
                Ok(*at <= links.len())
            }
            Self::File { file, scan } => scan.advance(file),
        }
    }

    fn key(&self) -> &[u8] {
        match self {
            Self::Delta { delta, links, at } => delta.at(links[at - 1]).map_or(&[], |c| c.key),
            Self::File { scan, .. } => scan.key(),
        }
    }

    fn row(&self) -> &[u8] {
        match self {
            Self::Delta { delta, links, at } => delta.at(links[at - 1]).map_or(&[], |c| c.row),
            Self::File { scan, .. } => scan.row(),
        }
    }

    /// How new the row is compared with others that have its match hash; `age` is the number of newer parts.
    fn recency(&self, age: u32) -> u32 {
        // Within a delta changes are in order; a file keeps that order only for rows that need it.
        let within = match self {
            Self::Delta { delta, links, at } => {
                delta.at(links[at - 1]).map_or(0, |change| change.place)
            }
            Self::File { file, scan } => {
                file.shared(scan.number()).map_or(0, |place| 0xFF_FFFF - place.min(0xFF_FFFE))
            }
        };
        let parts_newer = 127_u32.saturating_sub(age);
        // Places in a delta need up to 26 bits; only rows with one hash are compared, so the lowest may go.
        parts_newer << 24
            | (within >> if matches!(self, Self::Delta { .. }) { 3 } else { 0 }) & 0xFF_FFFF
    }
}

/// All parts in key order.
pub(super) struct Merge {
    /// The newest first.
    parts: Vec<Part>,
    after: Option<Vec<u8>>,
    /// Parts that are at a row, the one with the smallest key last; of equal keys the newest last.
    live: Vec<usize>,
    started: bool,
}

impl Merge {
    /// Begins before the first row, or before the first with a greater key than `after`. The newest part comes first.
    pub(super) fn new(deltas: &[&Arc<Delta>], files: &Files, after: Option<&[u8]>) -> Self {
        let deltas = deltas.iter().map(|delta| Part::of_delta(delta, after));
        let files = files.iter().map(|file| Part::of_file(file, after));
        let parts = deltas.chain(files).collect();
        Self { parts, after: after.map(<[u8]>::to_vec), live: Vec::new(), started: false }
    }

    /// Goes to the next row that is not forgotten.
    pub(super) fn advance_known(&mut self) -> Result<bool> {
        while self.advance()? {
            if self.row() != FORGOTTEN_ROW {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Goes to the next row.
    pub(super) fn advance(&mut self) -> Result<bool> {
        if !self.started {
            self.started = true;
            let after = self.after.take();
            for index in 0..self.parts.len() {
                let passed_over =
                    |part: &Part| after.as_deref().is_some_and(|after| part.key() <= after);
                let mut more = self.parts[index].advance()?;
                while more && passed_over(&self.parts[index]) {
                    more = self.parts[index].advance()?;
                }
                if more {
                    self.insert(index);
                }
            }
            return Ok(!self.live.is_empty());
        }
        let Some(current) = self.live.pop() else { return Ok(false) };
        // Older rows of the same key are passed over.
        while let Some(next) = self.live.last().copied() {
            if self.parts[next].key() != self.parts[current].key() {
                break;
            }
            self.live.pop();
            if self.parts[next].advance()? {
                self.insert(next);
            }
        }
        if self.parts[current].advance()? {
            self.insert(current);
        }
        Ok(!self.live.is_empty())
    }

    fn insert(&mut self, index: usize) {
        let key = self.parts[index].key();
        let before = |other: &usize| match self.parts[*other].key().cmp(key) {
            std::cmp::Ordering::Equal => *other > index,
            order => order.is_gt(),
        };
        // Mostly the part goes on with the next row, so it is looked for from the end.
        let at = self.live.iter().rposition(before).map_or(0, |at| at + 1);
        self.live.insert(at, index);
    }

    pub(super) fn key(&self) -> &[u8] {
        self.live.last().map_or(&[], |part| self.parts[*part].key())
    }

    pub(super) fn row(&self) -> &[u8] {
        self.live.last().map_or(&[], |part| self.parts[*part].row())
    }

    pub(super) fn recency(&self) -> u32 {
        self.live.last().map_or(0, |part| self.parts[*part].recency(*part as u32))
    }
}

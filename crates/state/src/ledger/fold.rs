//! Makes one sorted file of changes and, where wanted, of files before them: sequentially, with memory that does not
//! grow with the ledger, and beside everything else.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flow::{KeyOrder, Result};

use super::delta::Delta;
use super::file::{Files, LedgerFile, Scan};
use super::merge::Merge;
use super::view::{DELTA_BYTES_MAX, DELTA_ROWS_MAX};
use super::writer::{Named, Writer};
use crate::checksum::mismatch;

/// What is to become one file.
pub(crate) struct Fold {
    pub(super) dir: PathBuf,
    pub(super) name: String,
    pub(super) order: KeyOrder,
    /// The order it is to have.
    pub(super) into: KeyOrder,
    /// The newest first.
    pub(super) deltas: Vec<Arc<Delta>>,
    pub(super) files: Files,
    /// Nothing older is left beside the new file, so that forgotten rows need not be in it.
    pub(super) whole: bool,
    /// The newest change in it.
    pub(super) folded: i64,
}

/// A file that is complete and durable, and not named by the state yet.
#[derive(Debug, Clone)]
pub(crate) struct Folded {
    pub(super) named: Named,
    pub(super) order: KeyOrder,
    /// Files that are in it.
    pub(super) replaces: Vec<String>,
    pub(super) folded: i64,
}

impl Fold {
    /// Writes the file.
    pub(super) fn run(self) -> Result<Folded> {
        let named = match self.into == self.order {
            true => self.merge(&self.name)?,
            false => self.reorder()?,
        };
        let replaces = self.files.iter().map(|file| file.named().name.clone()).collect();
        Ok(Folded { named, order: self.into, replaces, folded: self.folded })
    }

    fn merge(&self, name: &str) -> Result<Named> {
        let deltas: Vec<_> = self.deltas.iter().collect();
        let mut rows = Merge::new(&deltas, &self.files, None);
        let mut writer = Writer::create(&self.dir, name, &self.order)?;
        while if self.whole { rows.advance_known()? } else { rows.advance()? } {
            writer.push(rows.key(), rows.row(), rows.recency())?;
        }
        writer.finish()
    }

    /// Writes one file in the old order, then sorts it piece by piece into the new one.
    fn reorder(&self) -> Result<Named> {
        let name = format!("{}.whole", self.name);
        let file = LedgerFile::open(&self.dir, &self.merge(&name)?)?;
        // It stays readable, and a kill leaves it to the next owner.
        let _ = std::fs::remove_file(self.dir.join(&name));
        let (mut scan, mut key) = (Scan::new(), Vec::new());
        let mut sorter = RowSorter::new(&self.dir, &self.name, &self.into);
        while scan.advance(&file)? {
            key.clear();
            let known = self.order.decode(scan.key()).ok_or_else(|| mismatch("ledger"))?;
            self.into.encode(&known, &mut key);
            sorter.push(&key, scan.row(), file.shared(scan.number()))?;
        }
        sorter.finish()
    }
}

/// Makes a file of rows that come in any order, each key once.
struct RowSorter<'a> {
    dir: &'a Path,
    name: &'a str,
    order: &'a KeyOrder,
    delta: Delta,
    runs: Vec<Named>,
    /// Places of the rows whose match hash others have too; there are few.
    shared: HashMap<Vec<u8>, u32>,
}

impl<'a> RowSorter<'a> {
    fn new(dir: &'a Path, name: &'a str, order: &'a KeyOrder) -> Self {
        let (delta, runs, shared) = (Delta::default(), Vec::new(), HashMap::new());
        Self { dir, name, order, delta, runs, shared }
    }

    fn push(&mut self, key: &[u8], row: &[u8], shared: Option<u32>) -> Result<()> {
        self.delta.put(key, row).ok_or_else(|| mismatch("ledger"))?;
        self.shared.extend(shared.map(|place| (key.to_vec(), place)));
        if self.delta.rows() < DELTA_ROWS_MAX && self.delta.bytes() < DELTA_BYTES_MAX {
            return Ok(());
        }
        let delta = Arc::new(std::mem::take(&mut self.delta));
        let name = format!("{}.part{}", self.name, self.runs.len());
        let mut writer = Writer::create(self.dir, &name, self.order)?;
        let mut rows = Merge::new(&[&delta], &Vec::new(), None);
        while rows.advance()? {
            writer.push(rows.key(), rows.row(), 0)?;
        }
        self.runs.push(writer.finish()?);
        Ok(())
    }

    fn finish(self) -> Result<Named> {
        let delta = Arc::new(self.delta);
        let open = |named: &Named| LedgerFile::open(self.dir, named).map(Arc::new);
        let files = self.runs.iter().map(open).collect::<Result<Files>>()?;
        for run in &self.runs {
            // They stay readable, and a kill leaves them to the next owner.
            let _ = std::fs::remove_file(self.dir.join(&run.name));
        }
        let mut writer = Writer::create(self.dir, self.name, self.order)?;
        let mut rows = Merge::new(&[&delta], &files, None);
        while rows.advance()? {
            let place = if self.shared.is_empty() { None } else { self.shared.get(rows.key()) };
            writer.push(rows.key(), rows.row(), place.map_or(0, |place| u32::MAX - place))?;
        }
        writer.finish()
    }
}

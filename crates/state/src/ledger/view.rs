//! One ledger as this process sees it: its open files, and the changes since in memory. What SQLite names is the truth; a
//! view only ever follows it, so that nothing is seen that is not committed.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flow::{Entry, Key, KeyOrder, MatchHash, Result};
use rusqlite::Connection;
use xxhash_rust::xxh3::xxh3_64;

use super::delta::Delta;
use super::file::{Files, Finder, LedgerFile, Scan};
use super::fold::Fold;
use super::merge::Merge;
use super::row::{self, FORGOTTEN_ROW, Fields, Remote};
use super::table::{self, Made};
use crate::checksum::mismatch;
use crate::syncs::SyncRow;

/// Changed rows in memory before they go to a file: a few dozen bytes each.
/// Tests fold after a few rows.
pub(super) const DELTA_ROWS_MAX: usize = if cfg!(test) { 40 } else { 128 << 10 };
/// The same in bytes, for long keys and rows that change again and again.
pub(super) const DELTA_BYTES_MAX: usize = 16 << 20;
/// Files side by side before all are merged into one.
const FILES_MAX: usize = if cfg!(test) { 3 } else { 24 };
/// At the end of a run changes are merged into the largest file when they are at least one in so many of its rows.
const WORTH_SHARE: u64 = 8;
/// Fewer changes than this stay where they are: they are read in some milliseconds.
const WORTH_ROWS: u64 = if cfg!(test) { 20 } else { 16 << 10 };

/// Changes in memory, up to and with one delta of the state.
struct Layer {
    delta: Arc<Delta>,
    newest: i64,
}

/// See the module.
pub(super) struct View {
    dir: PathBuf,
    pub(super) made: Made,
    /// The newest first, as in `made`.
    files: Files,
    /// The newest first.
    layers: Vec<Layer>,
    /// The newest delta in the layers.
    loaded: i64,
    /// Layers up to this delta are becoming a file, and take no more changes.
    folding: i64,
}

impl View {
    pub(super) fn new(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
            made: Made::default(),
            files: Vec::new(),
            layers: Vec::new(),
            loaded: 0,
            folding: 0,
        }
    }

    /// Takes over what was committed since the last look.
    pub(super) fn follow(&mut self, connection: &Connection, sync: &SyncRow) -> Result<()> {
        let made = table::get(connection, sync)?;
        if made.version <= self.made.version {
            return Ok(());
        }
        let open = |named| {
            let known = self.files.iter().find(|file| file.named() == named);
            known.map_or_else(
                || LedgerFile::open(&self.dir, named).map(Arc::new),
                |known| Ok(Arc::clone(known)),
            )
        };
        let files = made.files.iter().map(open).collect::<Result<Files>>()?;
        if files.iter().any(|file| *file.order() != made.order) {
            return Err(mismatch("ledgers"));
        }
        self.layers.retain(|layer| layer.newest > made.folded);
        self.loaded = self.loaded.max(made.folded);
        self.files = files;
        for seq in self.loaded + 1..=made.newest {
            let blob = table::delta(connection, sync.id, seq)?;
            let top = self.top();
            top.extend(&blob).ok_or_else(|| mismatch("ledger_deltas"))?;
            self.layers[0].newest = seq;
            self.loaded = seq;
        }
        self.made = made;
        Ok(())
    }

    /// The layer that takes changes: a new one when the newest becomes a file, or somebody still reads it.
    fn top(&mut self) -> &mut Delta {
        let folding = self.folding;
        let free = self.layers.first_mut().is_some_and(|layer| {
            layer.newest > folding && Arc::get_mut(&mut layer.delta).is_some()
        });
        if !free {
            self.layers.insert(0, Layer { delta: Arc::default(), newest: self.loaded });
        }
        Arc::get_mut(&mut self.layers[0].delta).expect("nobody else has the new one")
    }

    /// Rows, or changes of rows, in memory.
    fn layer_rows(&self) -> u64 {
        self.layers.iter().map(|layer| layer.delta.rows() as u64).sum()
    }

    /// Whether changes in memory are to go to a file.
    pub(super) fn is_full(&self) -> bool {
        let filling = || self.layers.iter().filter(|layer| layer.newest > self.folding);
        let rows: usize = filling().map(|layer| layer.delta.rows()).sum();
        let bytes: usize = filling().map(|layer| layer.delta.bytes()).sum();
        rows >= DELTA_ROWS_MAX || bytes >= DELTA_BYTES_MAX
    }

    /// What makes a file of the changes in memory; later ones come on top of it.
    pub(super) fn fold(&mut self, name: String) -> Fold {
        self.folding = self.loaded;
        let all = self.files.len() >= FILES_MAX;
        self.fold_into(name, if all { self.files.len() } else { 0 })
    }

    /// What brings the ledger into as few files as is worth its while at the end of a run.
    pub(super) fn fold_at_end(&mut self, name: String) -> Option<Fold> {
        let largest = self.files.iter().map(|file| file.rows()).max().unwrap_or(0);
        let rest: u64 = self.files.iter().map(|file| file.rows()).sum::<u64>() - largest;
        let changed = rest + self.layer_rows();
        let worth = changed >= WORTH_ROWS && changed >= largest / WORTH_SHARE;
        worth.then(|| {
            self.folding = self.loaded;
            self.fold_into(name, self.files.len())
        })
    }

    /// All of the ledger in another order.
    pub(super) fn fold_all(&mut self, name: String, order: &KeyOrder) -> Fold {
        self.folding = self.loaded;
        Fold { into: order.clone(), ..self.fold_into(name, self.files.len()) }
    }

    fn fold_into(&self, name: String, merged: usize) -> Fold {
        Fold {
            dir: self.dir.clone(),
            name,
            order: self.made.order.clone(),
            into: self.made.order.clone(),
            deltas: self.layers.iter().map(|layer| Arc::clone(&layer.delta)).collect(),
            files: self.files[..merged].to_vec(),
            whole: merged == self.files.len(),
            folded: self.loaded,
        }
    }

    /// All rows in order, from the first with a greater key than `after` on.
    pub(super) fn rows(&self, after: Option<&[u8]>) -> Merge {
        let deltas: Vec<_> = self.layers.iter().map(|layer| &layer.delta).collect();
        Merge::new(&deltas, &self.files, after)
    }

    fn finders(&self) -> Vec<Finder> {
        self.files.iter().map(|_| Finder::new()).collect()
    }

    /// The row with this key as it is now.
    fn row<'a>(&'a self, finders: &'a mut [Finder], key: &[u8]) -> Result<Option<&'a [u8]>> {
        let hash = xxh3_64(key);
        if let Some(row) = self.layers.iter().find_map(|layer| layer.delta.get(key, hash)) {
            return Ok(Some(row));
        }
        for (file, finder) in self.files.iter().zip(finders) {
            if let Some(row) = finder.get(file, key, hash)? {
                return Ok(Some(row));
            }
        }
        Ok(None)
    }

    /// Calls `each` with the place in `keys`, the bytes and the row of every key that is there. Keys are looked for in
    /// their order, so that each block of a file is read once.
    pub(super) fn each_known(
        &self,
        keys: &[Key],
        mut each: impl FnMut(usize, &[u8], &[u8]) -> Result<()>,
    ) -> Result<()> {
        let (mut bytes, mut ends) = (Vec::new(), vec![0]);
        for key in keys {
            self.made.order.encode(key, &mut bytes);
            ends.push(bytes.len());
        }
        let key = |index: usize| &bytes[ends[index]..ends[index + 1]];
        let mut sorted: Vec<usize> = (0..keys.len()).collect();
        if !sorted.is_sorted_by_key(|index| key(*index)) {
            sorted.sort_unstable_by_key(|index| key(*index));
        }
        let mut finders = self.finders();
        for index in sorted {
            if let Some(row) = self.row(&mut finders, key(index))?
                && row != FORGOTTEN_ROW
            {
                each(index, key(index), row)?;
            }
        }
        Ok(())
    }

    /// The entries of these rows, in this order.
    pub(super) fn lookup(&self, keys: &[Key]) -> Result<Vec<Option<Entry>>> {
        let mut entries = vec![None; keys.len()];
        self.each_known(keys, |index, _, row| {
            entries[index] = Some(row::decode(row).ok_or_else(|| mismatch("ledger"))?);
            Ok(())
        })?;
        Ok(entries)
    }

    /// Which row was last acknowledged under each match value, in this order.
    pub(super) fn owners(&self, matches: &[MatchHash]) -> Result<Vec<Option<Key>>> {
        // Neighbours in the index are asked for together.
        let mut sorted: Vec<usize> = (0..matches.len()).collect();
        sorted.sort_unstable_by_key(|index| matches[*index].0 & ((1 << MatchHash::BITS) - 1));
        let mut owners = vec![None; matches.len()];
        let mut buffer = Vec::new();
        for index in sorted {
            owners[index] = self.owner(matches[index].0, &mut buffer)?;
        }
        Ok(owners)
    }

    /// A row whose newest write was refused no longer owns the record another row was written to: of those that were
    /// not, the one changed last; else of all.
    fn owner(&self, match_hash: u128, buffer: &mut Vec<u8>) -> Result<Option<Key>> {
        let mut found = None;
        let mut consider = |key: &[u8], row: &[u8]| -> Result<bool> {
            let fields = Fields::of(row).ok_or_else(|| mismatch("ledger"))?;
            if fields.match_hash != Some(match_hash)
                || (found.is_some() && fields.rejected.is_some())
            {
                return Ok(false);
            }
            found = Some(self.made.order.decode(key).ok_or_else(|| mismatch("ledger"))?);
            Ok(fields.rejected.is_none())
        };
        for (age, layer) in self.layers.iter().enumerate() {
            for change in layer.delta.matching(match_hash) {
                if !self.changed_since(change.key, age, 0)? && consider(change.key, change.row)? {
                    return Ok(found);
                }
            }
        }
        for (age, file) in self.files.iter().enumerate() {
            for number in file.matching(match_hash, buffer)? {
                let scan = Scan::at_row(file, number)?;
                let same =
                    Fields::of(scan.row()).is_some_and(|row| row.match_hash == Some(match_hash));
                if same
                    && !self.changed_since(scan.key(), self.layers.len(), age)?
                    && consider(scan.key(), scan.row())?
                {
                    return Ok(found);
                }
            }
        }
        Ok(found)
    }

    /// Whether the row is in one of so many newest layers or files.
    fn changed_since(&self, key: &[u8], layers: usize, files: usize) -> Result<bool> {
        let hash = xxh3_64(key);
        if self.layers[..layers].iter().any(|layer| layer.delta.get(key, hash).is_some()) {
            return Ok(true);
        }
        for file in &self.files[..files] {
            if Finder::new().get(file, key, hash)?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Rows with one of these record ids, in one pass over all.
    pub(super) fn holders(&self, record_ids: &[String]) -> Result<Vec<(String, Key)>> {
        let numbers: HashSet<u64> = record_ids
            .iter()
            .filter_map(|id| match Remote::of(id) {
                Remote::Number(number) => Some(number),
                _ => None,
            })
            .collect();
        let texts: HashSet<&str> = record_ids.iter().map(String::as_str).collect();
        let mut holders = Vec::new();
        let mut rows = self.rows(None);
        while rows.advance_known()? {
            let fields = Fields::of(rows.row()).ok_or_else(|| mismatch("ledger"))?;
            let wanted = match fields.remote {
                Remote::None => false,
                Remote::Number(id) => numbers.contains(&id),
                Remote::Text(id) => texts.contains(id),
            };
            if let (true, Some(id)) = (wanted, fields.entry().remote_id) {
                let key = self.made.order.decode(rows.key());
                holders.push((id, key.ok_or_else(|| mismatch("ledger"))?));
            }
        }
        Ok(holders)
    }

    /// How many rows have a record, in one pass over all.
    pub(super) fn known(&self) -> Result<u64> {
        let mut rows = self.rows(None);
        let mut known = 0;
        while rows.advance_known()? {
            let fields = Fields::of(rows.row()).ok_or_else(|| mismatch("ledger"))?;
            known += u64::from(fields.match_hash.is_some());
        }
        Ok(known)
    }

    /// A page of rows in the ledger's order, after this one.
    pub(super) fn page(&self, after: Option<&Key>, rows_max: usize) -> Result<Vec<(Key, Entry)>> {
        let mut begin = Vec::new();
        after.inspect(|key| self.made.order.encode(key, &mut begin));
        let mut rows = self.rows(after.map(|_| begin.as_slice()));
        let mut page = Vec::new();
        while page.len() < rows_max && rows.advance_known()? {
            let row = self.made.order.decode(rows.key()).zip(row::decode(rows.row()));
            page.push(row.ok_or_else(|| mismatch("ledger"))?);
        }
        Ok(page)
    }

    /// As [`View::page`], but only rows that left the model and are not settled; looks at no others.
    pub(super) fn gone(&self, after: Option<&Key>, rows_max: usize) -> Result<Vec<(Key, Entry)>> {
        let mut begin = Vec::new();
        after.inspect(|key| self.made.order.encode(key, &mut begin));
        let after = after.map(|_| begin.as_slice());
        let mut found: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        for (age, layer) in self.layers.iter().enumerate() {
            let mut taken = 0;
            for key in layer.delta.gone(after) {
                let row = layer.delta.get(key, xxh3_64(key));
                if let (Some(row), false) = (row, self.changed_since(key, age, 0)?) {
                    found.push((key.to_vec(), row.to_vec()));
                    taken += 1;
                }
                if taken == rows_max {
                    break;
                }
            }
        }
        for (age, file) in self.files.iter().enumerate() {
            self.gone_in_file((age, file), after, rows_max, &mut found)?;
        }
        found.sort_unstable();
        let entry = |(key, row): (Vec<u8>, Vec<u8>)| {
            self.made.order.decode(&key).zip(row::decode(&row)).ok_or_else(|| mismatch("ledger"))
        };
        found.into_iter().take(rows_max).map(entry).collect()
    }

    fn gone_in_file(
        &self,
        (age, file): (usize, &LedgerFile),
        after: Option<&[u8]>,
        rows_max: usize,
        found: &mut Vec<(Vec<u8>, Vec<u8>)>,
    ) -> Result<()> {
        let mut taken = 0;
        let gone = file.gone()?;
        let mut at = after.map_or(Ok(0), |after| first_after(file, gone, after))?;
        while let Some(number) = gone.get(at)
            && taken < rows_max
        {
            let scan = Scan::at_row(file, *number)?;
            if !self.changed_since(scan.key(), self.layers.len(), age)? {
                found.push((scan.key().to_vec(), scan.row().to_vec()));
                taken += 1;
            }
            at += 1;
        }
        Ok(())
    }

    /// How many rows there are.
    pub(super) fn count(&self) -> Result<u64> {
        if self.files.len() > 1 {
            let (mut rows, mut count) = (self.rows(None), 0);
            while rows.advance_known()? {
                count += 1;
            }
            return Ok(count);
        }
        let deltas: Vec<_> = self.layers.iter().map(|layer| &layer.delta).collect();
        let mut changed = Merge::new(&deltas, &Vec::new(), None);
        let mut count: u64 = self.files.iter().map(|file| file.rows()).sum();
        let mut finders = self.finders();
        while changed.advance()? {
            let hash = xxh3_64(changed.key());
            let known = match (self.files.first(), finders.first_mut()) {
                (Some(file), Some(finder)) => finder.get(file, changed.key(), hash)?.is_some(),
                _ => false,
            };
            match changed.row() == FORGOTTEN_ROW {
                true => count -= u64::from(known),
                false => count += u64::from(!known),
            }
        }
        Ok(count)
    }
}

/// The place of the first of these rows with a greater key.
fn first_after(file: &LedgerFile, rows: &[u64], key: &[u8]) -> Result<usize> {
    let (mut low, mut high) = (0, rows.len());
    while low < high {
        let middle = low + (high - low) / 2;
        let before = Scan::at_row(file, rows[middle])?.key() <= key;
        if before { low = middle + 1 } else { high = middle }
    }
    Ok(low)
}

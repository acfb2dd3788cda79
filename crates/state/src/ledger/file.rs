//! Reads one ledger file. Nothing of it is used before its checksum was looked at (S4); it is never read as a whole
//! only to be checked.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use flow::{KeyOrder, Result};
use xxhash_rust::xxh3::xxh3_64;

use super::block::Cursor;
use super::fault::{OfFile, damaged};
use super::filter::Filter;
use super::footer::{Directory, FOOTER_BYTES_MAX, Footer, Part, Place};
use super::number;
use super::pairs::short;
use super::writer::Named;

/// A filter pays for itself when so many of a file's rows were asked for, or more.
const ASKED_SHARE: u64 = 32;

/// An open ledger file. What it names stays readable after its name is gone.
pub(super) struct LedgerFile {
    named: Named,
    path: PathBuf,
    file: File,
    order: KeyOrder,
    last_key: Vec<u8>,
    rows: Directory,
    matches: Directory,
    /// Rows whose match hash others share, with their place among them: the newest has the lowest.
    shared: HashMap<u64, u32>,
    gone: Part,
    gone_rows: OnceLock<Vec<u64>>,
    keys_asked: AtomicU64,
    key_filter: OnceLock<Filter>,
    matches_asked: AtomicU64,
    match_filter: OnceLock<Filter>,
}

impl LedgerFile {
    /// Opens the file and checks all but its rows and its match index, which are checked when they are read.
    pub(super) fn open(dir: &Path, named: &Named) -> Result<Self> {
        let path = dir.join(&named.name);
        let file = File::open(&path).of_file(&path)?;
        let length = file.metadata().of_file(&path)?.len();
        if length != named.bytes || length < 4 {
            return Err(damaged(&path));
        }
        let mut tail = [0; 4];
        file.read_exact_at(&mut tail, length - 4).of_file(&path)?;
        let footer_bytes = u32::from_le_bytes(tail) as usize;
        if footer_bytes > FOOTER_BYTES_MAX || footer_bytes as u64 + 4 > length {
            return Err(damaged(&path));
        }
        let mut bytes = vec![0; footer_bytes];
        file.read_exact_at(&mut bytes, length - 4 - footer_bytes as u64).of_file(&path)?;
        let footer = Footer::decode(&bytes, named.root).ok_or_else(|| damaged(&path))?;
        let part = |part| read_part(&file, &path, part);
        let (rows, matches) = (part(footer.row_directory)?, part(footer.match_directory)?);
        let shared = part(footer.shared)?;
        let mut rest = rows.as_slice();
        let read = || {
            let last_key = number::take_bytes(&mut rest)?.to_vec();
            let rows = Directory::decode(rest, 0)?;
            let matches = Directory::decode(&matches, rows.end())?;
            Some((last_key, rows, matches, shared_rows(&shared)?))
        };
        let (last_key, rows, matches, shared) = { read }().ok_or_else(|| damaged(&path))?;
        if rows.rows() != footer.rows || footer.rows != named.rows {
            return Err(damaged(&path));
        }
        Ok(Self {
            named: named.clone(),
            order: footer.order,
            file,
            last_key,
            rows,
            matches,
            shared,
            gone: footer.gone,
            gone_rows: OnceLock::new(),
            keys_asked: AtomicU64::new(0),
            key_filter: OnceLock::new(),
            matches_asked: AtomicU64::new(0),
            match_filter: OnceLock::new(),
            path,
        })
    }

    pub(super) fn named(&self) -> &Named {
        &self.named
    }

    pub(super) fn order(&self) -> &KeyOrder {
        &self.order
    }

    pub(super) fn rows(&self) -> u64 {
        self.named.rows
    }

    /// The smallest and the largest key; `None` in a file without rows.
    pub(super) fn range(&self) -> Option<(&[u8], &[u8])> {
        (self.rows.len() > 0).then(|| (self.rows.first(0), self.last_key.as_slice()))
    }

    /// Where a row comes among rows with its match hash, if others have it too.
    pub(super) fn shared(&self, row: u64) -> Option<u32> {
        if self.shared.is_empty() { None } else { self.shared.get(&row).copied() }
    }

    pub(super) fn damaged(&self) -> flow::Error {
        damaged(&self.path)
    }

    /// Numbers of rows that left the model and are not settled, in order.
    pub(super) fn gone(&self) -> Result<&[u64]> {
        if let Some(rows) = self.gone_rows.get() {
            return Ok(rows);
        }
        let bytes = read_part(&self.file, &self.path, self.gone)?;
        let (mut rest, mut rows) = (bytes.as_slice(), Vec::new());
        while !rest.is_empty() {
            rows.push(number::take(&mut rest).ok_or_else(|| self.damaged())?);
        }
        Ok(self.gone_rows.get_or_init(|| rows))
    }

    fn read(&self, place: Place, into: &mut Vec<u8>) -> Result<()> {
        into.resize(place.length as usize, 0);
        self.file.read_exact_at(into, place.offset).of_file(&self.path)?;
        if xxh3_64(into) == place.sum { Ok(()) } else { Err(self.damaged()) }
    }

    /// Whether a key with this hash may be in the file, as far as that can be told without reading it.
    fn may_have_key(&self, key: &[u8], hash: u64) -> Result<bool> {
        let within = self.range().is_some_and(|(first, last)| first <= key && key <= last);
        if !within {
            return Ok(false);
        }
        if let Some(filter) = self.key_filter.get() {
            return Ok(filter.may_have(hash));
        }
        let asked = self.keys_asked.fetch_add(1, Ordering::Relaxed);
        if asked.saturating_mul(ASKED_SHARE) < self.rows() {
            return Ok(true);
        }
        let mut filter = Filter::new(self.rows());
        let mut scan = Scan::new();
        while scan.advance(self)? {
            filter.insert(xxh3_64(scan.key()));
        }
        Ok(self.key_filter.get_or_init(|| filter).may_have(hash))
    }

    fn may_have_match(&self, hash: u64) -> Result<bool> {
        if let Some(filter) = self.match_filter.get() {
            return Ok(filter.may_have(hash << 16));
        }
        let asked = self.matches_asked.fetch_add(1, Ordering::Relaxed);
        if asked.saturating_mul(ASKED_SHARE) < self.rows() {
            return Ok(true);
        }
        let mut filter = Filter::new(self.matches.rows());
        let mut buffer = Vec::new();
        for block in 0..self.matches.len() {
            self.each_match(block, &mut buffer, |hash, _| filter.insert(hash << 16))?;
        }
        Ok(self.match_filter.get_or_init(|| filter).may_have(hash << 16))
    }

    fn each_match(
        &self,
        block: usize,
        buffer: &mut Vec<u8>,
        mut each: impl FnMut(u64, u64),
    ) -> Result<()> {
        let Some(place) = self.matches.place(block) else { return Ok(()) };
        self.read(place, buffer)?;
        let mut hash = first_hash(self.matches.first(block));
        let mut rest = buffer.as_slice();
        while !rest.is_empty() {
            let entry = number::take(&mut rest).zip(number::take(&mut rest));
            let (more, row) = entry.ok_or_else(|| self.damaged())?;
            hash = hash.wrapping_add(more);
            each(hash, row);
        }
        Ok(())
    }

    /// Rows that may have this match hash, by number, of equal hashes the newest first.
    pub(super) fn matching(&self, match_hash: u128, buffer: &mut Vec<u8>) -> Result<Vec<u64>> {
        let wanted = short(match_hash);
        let mut rows = Vec::new();
        if !self.may_have_match(wanted)? {
            return Ok(rows);
        }
        // Equal hashes may begin at the end of the block before the one that begins with them.
        let before = self.matches.count_before(|first| first_hash(first) < wanted);
        let mut block = before.saturating_sub(1);
        while block < self.matches.len() && first_hash(self.matches.first(block)) <= wanted {
            self.each_match(block, buffer, |hash, row| {
                if hash == wanted {
                    rows.push(row);
                }
            })?;
            block += 1;
        }
        Ok(rows)
    }
}

fn read_part(file: &File, path: &Path, part: Part) -> Result<Vec<u8>> {
    let length = file.metadata().of_file(path)?.len();
    if part.offset.checked_add(part.length).is_none_or(|end| end > length) {
        return Err(damaged(path));
    }
    let mut bytes = vec![0; part.length as usize];
    file.read_exact_at(&mut bytes, part.offset).of_file(path)?;
    if xxh3_64(&bytes) == part.sum { Ok(bytes) } else { Err(damaged(path)) }
}

fn shared_rows(mut bytes: &[u8]) -> Option<HashMap<u64, u32>> {
    let mut shared = HashMap::new();
    while !bytes.is_empty() {
        shared.insert(number::take(&mut bytes)?, shared.len() as u32);
    }
    Some(shared)
}

fn first_hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

/// Looks rows up one after the other; cheap where the keys are asked for in order.
pub(super) struct Finder {
    cursor: Cursor,
    block: Option<usize>,
    /// The cursor is at a row.
    at_row: bool,
}

impl Finder {
    pub(super) fn new() -> Self {
        Self { cursor: Cursor::default(), block: None, at_row: false }
    }

    /// The row with this key.
    pub(super) fn get(
        &mut self,
        file: &LedgerFile,
        key: &[u8],
        hash: u64,
    ) -> Result<Option<&[u8]>> {
        if !file.may_have_key(key, hash)? {
            return Ok(None);
        }
        let Some(block) = file.rows.find(key) else { return Ok(None) };
        if self.block != Some(block) || !self.at_row || self.cursor.key() > key {
            let place = file.rows.place(block).ok_or_else(|| file.damaged())?;
            self.block = None;
            file.read(place, self.cursor.refill())?;
            self.block = Some(block);
            self.at_row = self.cursor.advance().ok_or_else(|| file.damaged())?;
        }
        while self.at_row && self.cursor.key() < key {
            self.at_row = self.cursor.advance().ok_or_else(|| file.damaged())?;
        }
        Ok((self.at_row && self.cursor.key() == key).then(|| self.cursor.row()))
    }
}

/// Goes through all rows in order.
pub(super) struct Scan {
    cursor: Cursor,
    next_block: usize,
    row: u64,
}

impl Scan {
    pub(super) fn new() -> Self {
        Self { cursor: Cursor::default(), next_block: 0, row: 0 }
    }

    /// A scan that begins at or before the first row with a greater key.
    pub(super) fn near(file: &LedgerFile, key: &[u8]) -> Self {
        let block = file.rows.find(key).unwrap_or(0);
        let row = file.rows.place(block).map_or(0, |place| place.first_row);
        Self { cursor: Cursor::default(), next_block: block, row }
    }

    /// A scan that is at the row with this number.
    pub(super) fn at_row(file: &LedgerFile, row: u64) -> Result<Self> {
        let block = file.rows.of_row(row).ok_or_else(|| file.damaged())?;
        let first_row = file.rows.place(block).map_or(0, |place| place.first_row);
        let mut scan = Self { cursor: Cursor::default(), next_block: block, row: first_row };
        while scan.row <= row {
            if !scan.advance(file)? {
                return Err(file.damaged());
            }
        }
        Ok(scan)
    }

    /// Goes to the next row.
    pub(super) fn advance(&mut self, file: &LedgerFile) -> Result<bool> {
        loop {
            if self.cursor.advance().ok_or_else(|| file.damaged())? {
                self.row += 1;
                return Ok(true);
            }
            let Some(place) = file.rows.place(self.next_block) else { return Ok(false) };
            self.next_block += 1;
            file.read(place, self.cursor.refill())?;
        }
    }

    pub(super) fn key(&self) -> &[u8] {
        self.cursor.key()
    }

    pub(super) fn row(&self) -> &[u8] {
        self.cursor.row()
    }

    /// The number of the row the scan is at.
    pub(super) fn number(&self) -> u64 {
        self.row - 1
    }
}

/// A file and its place among the files of a ledger.
pub(super) type Files = Vec<Arc<LedgerFile>>;

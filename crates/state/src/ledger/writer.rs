//! Writes one ledger file: rows in key order, then the index of their match hashes, then what vouches for both.

use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use flow::{KeyOrder, Result};
use xxhash_rust::xxh3::xxh3_64;

use super::block::{Block, Builder};
use super::fault::OfFile;
use super::footer::{Directory, Footer, Part};
use super::number;
use super::pairs::{Pair, Sorter};
use super::row::Fields;

const BUFFER_BYTES: usize = 256 << 10;
/// A block of the match index is full from here on.
const MATCH_BLOCK_BYTES: usize = if cfg!(test) { 60 } else { 4 << 10 };

/// A finished file, as the state names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    /// Its name in the folder of ledger files.
    pub(crate) name: String,
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
    /// Checksum of its footer, which vouches for everything else.
    pub(crate) root: u64,
}

/// A file that is being written. Until it is finished it has another name; dropped before that, it is gone.
pub(super) struct Writer {
    name: String,
    path: PathBuf,
    draft: PathBuf,
    out: BufWriter<File>,
    order: KeyOrder,
    builder: Builder,
    rows: Directory,
    last_key: Vec<u8>,
    pairs: Sorter,
    /// Rows that left the model, by number.
    gone: Vec<u8>,
    pushed: u64,
    finished: bool,
}

impl Writer {
    /// Begins the file `name` in `dir`.
    pub(super) fn create(dir: &Path, name: &str, order: &KeyOrder) -> Result<Self> {
        let path = dir.join(name);
        let draft = dir.join(format!("{name}.draft"));
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let file = options.open(&draft).of_file(&draft)?;
        Ok(Self {
            name: name.to_owned(),
            out: BufWriter::with_capacity(BUFFER_BYTES, file),
            order: order.clone(),
            builder: Builder::default(),
            rows: Directory::new(0),
            last_key: Vec::new(),
            pairs: Sorter::new(dir.join(format!("{name}.sort"))),
            gone: Vec::new(),
            pushed: 0,
            finished: false,
            path,
            draft,
        })
    }

    /// Adds a row; its key is greater than the one before. Of rows with one match hash, the one with the highest
    /// `recency` was changed last.
    pub(super) fn push(&mut self, key: &[u8], row: &[u8], recency: u32) -> Result<()> {
        debug_assert!(self.pushed == 0 || self.last_key.as_slice() < key, "rows come in key order");
        let fields = Fields::of(row).expect("a row we encoded or verified");
        if let Some(hash) = fields.match_hash {
            self.pairs.push(Pair::new(hash, recency, self.pushed))?;
        }
        if fields.waits() {
            number::put(self.pushed, &mut self.gone);
        }
        self.pushed += 1;
        self.builder.push(key, row);
        self.last_key.clear();
        self.last_key.extend_from_slice(key);
        if self.builder.is_full() { self.end_block() } else { Ok(()) }
    }

    fn end_block(&mut self) -> Result<()> {
        if let Some(Block { bytes, first, rows }) = self.builder.take() {
            self.rows.push(&first, &bytes, rows);
            self.out.write_all(&bytes).of_file(&self.draft)?;
        }
        Ok(())
    }

    /// Completes the file, makes it durable and gives it its name.
    pub(super) fn finish(mut self) -> Result<Named> {
        self.end_block()?;
        let pairs = std::mem::replace(&mut self.pairs, Sorter::new(PathBuf::new()));
        let mut index = Index::new(self.rows.end());
        let (out, draft) = (&mut self.out, &self.draft);
        pairs.finish(|pair| {
            index.push(pair);
            index.end_block_when_full(|block| out.write_all(block).of_file(draft))
        })?;
        index.end_block(|block| out.write_all(block).of_file(draft))?;
        let mut offset = index.directory.end();
        let mut part = |out: &mut BufWriter<File>, bytes: &[u8]| {
            let part = Part { offset, length: bytes.len() as u64, sum: xxh3_64(bytes) };
            offset += part.length;
            out.write_all(bytes).of_file(draft).map(|()| part)
        };
        let mut rows = Vec::new();
        number::put_bytes(&self.last_key, &mut rows);
        rows.extend_from_slice(&self.rows.encode());
        let row_directory = part(out, &rows)?;
        let match_directory = part(out, &index.directory.encode())?;
        let mut shared = Vec::new();
        index.shared.iter().for_each(|row| number::put(*row, &mut shared));
        let shared = part(out, &shared)?;
        let gone = part(out, &self.gone)?;
        let (order, rows) = (self.order.clone(), self.pushed);
        let footer = Footer { order, rows, row_directory, match_directory, shared, gone };
        let footer = footer.encode();
        out.write_all(&footer).of_file(draft)?;
        out.write_all(&(footer.len() as u32).to_le_bytes()).of_file(draft)?;
        out.flush().of_file(draft)?;
        out.get_ref().sync_all().of_file(draft)?;
        fs::rename(&self.draft, &self.path).of_file(&self.path)?;
        self.finished = true;
        let dir = self.path.parent().unwrap_or(Path::new("."));
        File::open(dir).and_then(|dir| dir.sync_all()).of_file(dir)?;
        let bytes = offset + footer.len() as u64 + 4;
        Ok(Named { name: self.name.clone(), rows: self.pushed, bytes, root: xxh3_64(&footer) })
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if !self.finished {
            // What is left of it is cleared away by the next owner of the sync.
            let _ = fs::remove_file(&self.draft);
        }
    }
}

/// The index of match hashes.
struct Index {
    directory: Directory,
    block: Vec<u8>,
    first: u64,
    last: Option<Pair>,
    entries: u64,
    shared: Vec<u64>,
    sharing: bool,
}

impl Index {
    fn new(offset: u64) -> Self {
        Self {
            directory: Directory::new(offset),
            block: Vec::new(),
            first: 0,
            last: None,
            entries: 0,
            shared: Vec::new(),
            sharing: false,
        }
    }

    fn push(&mut self, pair: Pair) {
        let before = self.last.replace(pair);
        if self.entries == 0 {
            self.first = pair.hash();
        }
        match before.filter(|before| before.hash() == pair.hash()) {
            Some(before) => {
                if !self.sharing {
                    self.shared.push(before.row());
                }
                self.shared.push(pair.row());
                self.sharing = true;
            }
            None => self.sharing = false,
        }
        let base = match self.entries {
            0 => self.first,
            _ => before.map_or(0, Pair::hash),
        };
        number::put(pair.hash() - base, &mut self.block);
        number::put(pair.row(), &mut self.block);
        self.entries += 1;
    }

    fn end_block_when_full(&mut self, write: impl FnOnce(&[u8]) -> Result<()>) -> Result<()> {
        if self.block.len() >= MATCH_BLOCK_BYTES { self.end_block(write) } else { Ok(()) }
    }

    fn end_block(&mut self, write: impl FnOnce(&[u8]) -> Result<()>) -> Result<()> {
        if self.entries > 0 {
            write(&self.block)?;
            // Big endian, so that beginnings compare as the hashes do.
            self.directory.push(&self.first.to_be_bytes()[2..], &self.block, self.entries);
            self.block.clear();
            self.entries = 0;
        }
        Ok(())
    }
}

//! A queue between the warehouse and a slower destination: a little in memory, the rest in files, in order.
//!
//! The reader never waits for the destination, so no warehouse snapshot stays open meanwhile (R6). Only when the disk
//! budget is used up does reading pause, with its snapshot closed.
//!
//! A run that weighs its rows first keeps them: everything is taken once without being removed, and then again.

use std::collections::VecDeque;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flow::arrow::array::RecordBatch;
use flow::arrow::compute::concat_batches;
use flow::{Batch, Error, Fault, Key, Opening, Position, Result};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::Notify;

use crate::SpoolLimits;
use crate::codes;
use crate::request::Part;

/// One batch on its way, and what its read knew.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    /// The rows.
    pub(crate) batch: Batch,
    /// The read it belongs to.
    pub(crate) opening: Arc<Opening>,
    /// How far the sync has come once these rows and all before them are settled; `None` when that moves nothing.
    pub(crate) position: Option<Position>,
    /// What its page is for.
    pub(crate) part: Part,
    /// Keys without a row, known since the batch before.
    pub(crate) gone: Vec<Key>,
}

impl Item {
    /// A batch that moves nothing.
    pub(crate) fn of(batch: Batch, opening: Arc<Opening>) -> Self {
        Self { batch, opening, position: None, part: Part::Rows, gone: Vec::new() }
    }
}

/// The queue. Its files vanish with it.
pub(crate) struct Spool {
    dir: tempfile::TempDir,
    limits: SpoolLimits,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    slots: VecDeque<Slot>,
    memory_bytes: u64,
    disk_bytes: u64,
    rows: u64,
    files_made: u64,
    closed: Option<Result<()>>,
    /// Batches stay when they are taken; so many were taken since the beginning.
    kept: Option<usize>,
}

#[derive(Clone)]
enum Slot {
    Memory(Item, u64),
    File(Spilled),
}

/// A batch whose rows are in a file.
#[derive(Clone)]
struct Spilled {
    path: PathBuf,
    bytes: u64,
    rows: u64,
    faults: Vec<Fault>,
    last: Option<Position>,
    opening: Arc<Opening>,
    position: Option<Position>,
    part: Part,
    gone: Vec<Key>,
}

impl Spool {
    /// An empty queue with a folder of its own under `dir`, made when it is missing.
    pub(crate) fn new(dir: &Path, limits: SpoolLimits) -> Result<Arc<Self>> {
        std::fs::create_dir_all(dir).map_err(|error| unusable(dir, error))?;
        let dir = tempfile::Builder::new()
            .prefix(&format!("{}-", std::process::id()))
            .tempdir_in(dir)
            .map_err(|error| unusable(dir, error))?;
        Ok(Arc::new(Self { dir, limits, state: Mutex::default(), changed: Notify::new() }))
    }

    /// An empty queue that keeps its batches until [`Spool::replay`].
    pub(crate) fn keeping(dir: &Path, limits: SpoolLimits) -> Result<Arc<Self>> {
        let spool = Self::new(dir, limits)?;
        spool.lock().kept = Some(0);
        Ok(spool)
    }

    /// The next batch taken is the first one again; with `keep`, batches go on staying when they are taken.
    pub(crate) fn replay(&self, keep: bool) {
        self.lock().kept = keep.then_some(0);
    }

    /// Adds a batch at the end; writes it to a file when memory is used up or files are already waiting.
    pub(crate) async fn push(self: &Arc<Self>, item: Item) -> Result<()> {
        let bytes = item.batch.rows.get_array_memory_size() as u64;
        let to_file = {
            let mut state = self.lock();
            if state.kept.is_some() && state.disk_bytes >= self.limits.disk_bytes_max {
                return Err(too_much_to_keep(self.limits.disk_bytes_max));
            }
            state.rows += item.batch.rows.num_rows() as u64;
            let spilling = state.slots.back().is_some_and(|slot| matches!(slot, Slot::File(_)));
            if spilling || state.memory_bytes + bytes > self.limits.memory_bytes_max {
                state.files_made += 1;
                Some(self.dir.path().join(format!("{:08}.parquet", state.files_made)))
            } else {
                state.memory_bytes += bytes;
                state.slots.push_back(Slot::Memory(item, bytes));
                self.changed.notify_waiters();
                return Ok(());
            }
        };
        if let Some(path) = to_file {
            let spilled = blocking(move || write_file(path, item)).await?;
            let mut state = self.lock();
            state.disk_bytes += spilled.bytes;
            state.slots.push_back(Slot::File(spilled));
        }
        self.changed.notify_waiters();
        Ok(())
    }

    /// No more batches come; `result` is what the one who takes them sees at the end.
    pub(crate) fn close(&self, result: Result<()>) {
        let mut state = self.lock();
        if state.closed.is_none() {
            state.closed = Some(result);
        }
        drop(state);
        self.changed.notify_waiters();
    }

    /// The next batch, in order; `None` at the end.
    ///
    /// # Errors
    /// What [`Spool::close`] was given, after every batch before it; or a file that cannot be read.
    pub(crate) async fn pop(self: &Arc<Self>) -> Result<Option<Item>> {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let slot = {
                let mut state = self.lock();
                match state.take() {
                    Some(slot) => Some(slot),
                    None => match state.closed.take() {
                        Some(result) => {
                            state.closed = Some(Ok(()));
                            return result.map(|()| None);
                        }
                        None => None,
                    },
                }
            };
            match slot {
                Some(slot) => return self.open(slot).await.map(Some),
                None => changed.await,
            }
        }
    }

    /// Rows and bytes waiting.
    pub(crate) fn size(&self) -> (u64, u64) {
        let state = self.lock();
        (state.rows, state.memory_bytes + state.disk_bytes)
    }

    /// Bytes that may wait.
    pub(crate) fn bytes_max(&self) -> u64 {
        self.limits.memory_bytes_max + self.limits.disk_bytes_max
    }

    /// Whether the disk budget is used up and taking batches would free some of it.
    pub(crate) fn is_full(&self) -> bool {
        let state = self.lock();
        state.kept.is_none() && state.disk_bytes >= self.limits.disk_bytes_max
    }

    /// Waits until every batch was taken.
    pub(crate) async fn drained(&self) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.lock().slots.is_empty() {
                return;
            }
            changed.await;
        }
    }

    async fn open(&self, slot: Slot) -> Result<Item> {
        if self.lock().kept.is_some() {
            return match slot {
                Slot::Memory(item, _) => Ok(item),
                Slot::File(spilled) => blocking(move || read_file(spilled, Then::Keep)).await,
            };
        }
        let item = match slot {
            Slot::Memory(item, bytes) => {
                self.lock().memory_bytes -= bytes;
                item
            }
            Slot::File(spilled) => {
                let bytes = spilled.bytes;
                let item = blocking(move || read_file(spilled, Then::Remove)).await?;
                self.lock().disk_bytes -= bytes;
                item
            }
        };
        self.lock().rows -= item.batch.rows.num_rows() as u64;
        self.changed.notify_waiters();
        Ok(item)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take(&mut self) -> Option<Slot> {
        let Some(taken) = &mut self.kept else { return self.slots.pop_front() };
        let slot = self.slots.get(*taken).cloned();
        *taken += usize::from(slot.is_some());
        slot
    }
}

/// What becomes of a file that was read.
enum Then {
    Keep,
    Remove,
}

/// Work that may wait for a disk.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    // Where there is one thread only, as in a simulation, order must not depend on another.
    if Handle::current().runtime_flavor() == RuntimeFlavor::CurrentThread {
        return work();
    }
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        Error::new(&codes::E4007, "a spool file was not finished").with_source(error)
    })?
}

fn write_file(path: PathBuf, item: Item) -> Result<Spilled> {
    let Item { batch: Batch { rows, faults, last }, opening, position, part, gone } = item;
    write_rows(&path, &rows).map_err(|error| unusable(&path, error))?;
    let bytes = std::fs::metadata(&path).map_err(|error| unusable(&path, error))?.len();
    let rows = rows.num_rows() as u64;
    Ok(Spilled { path, bytes, rows, faults, last, opening, position, part, gone })
}

fn write_rows(path: &Path, rows: &RecordBatch) -> Result<(), parquet::errors::ParquetError> {
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_dictionary_enabled(false)
        .build();
    let mut writer = ArrowWriter::try_new(File::create(path)?, rows.schema(), Some(properties))?;
    writer.write(rows)?;
    writer.close()?;
    Ok(())
}

fn read_file(spilled: Spilled, then: Then) -> Result<Item> {
    let Spilled { path, rows, faults, last, opening, position, part, gone, .. } = spilled;
    let batch = read_rows(&path).map_err(|error| unusable(&path, error))?;
    if batch.num_rows() as u64 != rows {
        return Err(unusable(&path, "rows are missing"));
    }
    if let Then::Remove = then {
        std::fs::remove_file(&path).map_err(|error| unusable(&path, error))?;
    }
    Ok(Item { batch: Batch { rows: batch, faults, last }, opening, position, part, gone })
}

fn read_rows(path: &Path) -> Result<RecordBatch, parquet::errors::ParquetError> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(path)?)?;
    let schema = builder.schema().clone();
    let batches = builder.build()?.collect::<Result<Vec<_>, _>>()?;
    Ok(concat_batches(&schema, &batches)?)
}

fn too_much_to_keep(bytes_max: u64) -> Error {
    let megabytes = bytes_max >> 20;
    let message = format!("the rows to be weighed take more than {megabytes} MiB in the spool");
    Error::new(&codes::E4030, message)
}

fn unusable(path: &Path, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    let error = error.into();
    Error::new(&codes::E4006, format!("{}: {error}", path.display())).with_source(error)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use flow::arrow::array::{
        ArrayRef, Int64Array, ListArray, StringArray, TimestampMicrosecondArray,
    };
    use flow::arrow::datatypes::Int32Type;

    use super::*;

    fn item(n: i64) -> Item {
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("id", Arc::new(Int64Array::from(vec![n, n + 1]))),
            ("name", Arc::new(StringArray::from(vec![Some("zażółć 🦀"), None]))),
            (
                "at",
                Arc::new(TimestampMicrosecondArray::from(vec![i64::MAX, n]).with_timezone("UTC")),
            ),
            (
                "tags",
                Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(vec![
                    Some(vec![Some(1), None]),
                    None,
                ])),
            ),
        ];
        let rows = RecordBatch::try_from_iter_with_nullable(
            columns.into_iter().map(|(name, column)| (name, column, true)),
        )
        .expect("columns fit");
        let opening = Opening {
            schema: rows.schema(),
            clock: flow::Watermark(0),
            duplicates: Arc::default(),
        };
        let batch = Batch { rows, faults: Vec::new(), last: None };
        Item::of(batch, Arc::new(opening))
    }

    #[tokio::test]
    async fn batches_come_back_in_order_and_equal_from_memory_and_from_files() {
        let dir = tempfile::tempdir().unwrap();
        let limits = SpoolLimits { memory_bytes_max: 3000, disk_bytes_max: 1 << 20 };
        let spool = Spool::new(dir.path(), limits).unwrap();
        for n in 0..20 {
            spool.push(item(n)).await.unwrap();
        }
        assert!(spool.lock().disk_bytes > 0, "some batches are in files");
        assert_eq!(spool.size().0, 40);
        spool.close(Ok(()));
        for n in 0..20 {
            let got = spool.pop().await.unwrap().unwrap();
            assert_eq!(got.batch.rows, item(n).batch.rows);
        }
        assert!(spool.pop().await.unwrap().is_none());
        assert_eq!(spool.size(), (0, 0));
        drop(spool);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "no file is left");
    }

    #[tokio::test]
    async fn kept_batches_come_again_and_a_kept_spool_that_is_full_says_so() {
        // L2, L3: they wait where they were, in memory and in files.
        let dir = tempfile::tempdir().unwrap();
        let limits = SpoolLimits { memory_bytes_max: 3000, disk_bytes_max: 1 << 20 };
        let spool = Spool::keeping(dir.path(), limits).unwrap();
        for n in 0..20 {
            spool.push(item(n)).await.unwrap();
        }
        spool.close(Ok(()));
        for keep in [true, false, false] {
            spool.replay(keep);
            for n in 0..20 {
                let got = spool.pop().await.unwrap();
                assert_eq!(got.map(|got| got.batch.rows), Some(item(n).batch.rows));
                assert_eq!(spool.size().0, if keep { 40 } else { 38 - 2 * n as u64 });
            }
            assert!(spool.pop().await.unwrap().is_none());
            if !keep {
                break;
            }
        }
        assert_eq!(spool.size(), (0, 0));
        let limits = SpoolLimits { memory_bytes_max: 0, disk_bytes_max: 1 };
        let spool = Spool::keeping(dir.path(), limits).unwrap();
        spool.push(item(1)).await.unwrap();
        assert!(!spool.is_full(), "waiting would not help");
        assert_eq!(spool.push(item(2)).await.unwrap_err().code().id, "E4030");
    }

    #[tokio::test]
    async fn a_failed_read_is_seen_only_after_the_rows_before_it() {
        // R3: a read that was cut never looks like the end.
        let dir = tempfile::tempdir().unwrap();
        let spool = Spool::new(dir.path(), SpoolLimits::default()).unwrap();
        spool.push(item(1)).await.unwrap();
        spool.close(Err(Error::new(&codes::E4007, "cut")));
        assert!(spool.pop().await.unwrap().is_some());
        assert!(spool.pop().await.is_err());
    }

    #[tokio::test]
    async fn a_spool_folder_that_cannot_be_made_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "x").unwrap();
        let Err(error) = Spool::new(&file.join("spool"), SpoolLimits::default()) else {
            panic!("a file is not a folder")
        };
        assert_eq!(error.code().id, "E4006");
    }
}

//! Reading: pages from the warehouse into the spool, and from the spool, mapped, to the conductor.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flow::arrow::array::{Array, AsArray, RecordBatch, UInt32Array};
use flow::arrow::compute::take;
use flow::arrow::datatypes::{DataType, Date32Type, TimestampMicrosecondType};
use flow::arrow::error::ArrowError;
use flow::metrics::{Busy, Metrics};
use flow::{
    Batch, Error, Finding, Key, Mark, Opening, Position, Result, Scope, Shard, Source, Watermark,
};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use transform::{MapContext, Mapped, Mapper, RunMeta};

use crate::lookups::Lookups;
use crate::merge::Merger;
use crate::missing::Missing;
use crate::prepare::{Prepared, compile};
use crate::request::{self, Page, Part, pages_of_changed, since, watermark_column};
use crate::retry::Attempts;
use crate::said::leave_out;
use crate::shard;
use crate::spool::{Item, Spool};
use crate::{Ports, RetryPolicy, Sync, codes};

/// Mapped batches that wait to be taken.
const CHUNKS_WAITING: usize = 2;

/// Mapped batches as they come.
pub(crate) struct Chunks(mpsc::Receiver<Result<Option<Chunk>>>);

impl Chunks {
    /// The next of them; `None` after a clean end.
    pub(crate) async fn next(&mut self) -> Result<Option<Chunk>> {
        let lost = || Error::new(&codes::E4007, "the mapping ended without an end");
        self.0.recv().await.unwrap_or_else(|| Err(lost()))
    }
}

/// Everything the reading task needs.
pub(crate) struct Reading {
    pub(crate) source: Arc<dyn Source>,
    pub(crate) pages: Vec<Page>,
    pub(crate) retry: RetryPolicy,
    pub(crate) drain: CancellationToken,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) sync: Arc<Sync>,
    pub(crate) facts: Arc<Mutex<Facts>>,
}

/// What the reads of a run have said besides their rows.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    /// What the source wants to be told by the next run, once all rows are settled.
    pub(crate) mark: Option<Mark>,
    /// The warehouse's clock when `mark` was taken.
    pub(crate) clock: Option<Watermark>,
    /// Whether every row was read.
    pub(crate) compared: bool,
    /// Whether a read went on in another snapshot than it began in.
    pub(crate) in_pieces: bool,
    pub(crate) findings: Vec<Finding>,
}

/// How far the attempts at a page have come.
struct SoFar {
    /// The last row that has a position.
    after: Option<Position>,
    /// The warehouse's clock at the first snapshot. What became visible since then, at a place that was already read,
    /// is found by the next run only if the watermark stays behind this.
    clock: Option<Watermark>,
    /// What the first snapshot wants to be told later, likewise.
    mark: Option<Mark>,
    /// The source cannot tell what changed.
    needs_all: bool,
    /// Keys asked for that have not come, where that is asked.
    missing: Option<HashSet<Key>>,
}

/// How one attempt at a page ended.
enum Ended {
    /// Every row of the page has arrived.
    Complete,
    /// The spool's disk budget is used up; the snapshot is closed.
    Full,
    /// The run is told to stop.
    Drained,
}

impl Reading {
    /// Reads these pages; what the reads say besides their rows goes to `facts`.
    pub(crate) fn new(
        (sync, ports): (Arc<Sync>, &Ports),
        pages: Vec<Page>,
        drain: CancellationToken,
        facts: Arc<Mutex<Facts>>,
    ) -> Self {
        let (source, metrics) = (Arc::clone(&ports.source), Arc::clone(&ports.metrics));
        Self { source, pages, retry: ports.retry, drain, metrics, sync, facts }
    }

    /// Begins to read all pages into `spool`, until the handle is dropped.
    pub(crate) fn start(self, spool: &Arc<Spool>) -> AbortOnDropHandle<()> {
        AbortOnDropHandle::new(tokio::spawn(self.fill(Arc::clone(spool))))
    }

    /// Reads all pages into `spool` and closes it with the result.
    async fn fill(self, spool: Arc<Spool>) {
        let unless_closed = CloseOnDrop(Arc::clone(&spool));
        let result = self.read_pages(&spool).await;
        spool.close(result);
        drop(unless_closed);
    }

    async fn read_pages(&self, spool: &Arc<Spool>) -> Result<()> {
        let mut first = None;
        for page in &self.pages {
            let mut page = page.clone();
            if let (Part::Since, Some(SoFar { clock, mark, .. })) = (page.part, &first) {
                page.request.scope = since(&self.sync, *clock, mark.as_ref());
            }
            let (ended, so_far) = self.read_page(spool, &page).await?;
            if let Ended::Drained = ended {
                return Ok(());
            }
            if so_far.needs_all {
                let every = Page { part: page.part, ..request::page(&self.sync, Scope::All, None) };
                if let Ended::Drained = self.read_page(spool, &every).await?.0 {
                    return Ok(());
                }
                self.facts().compared = true;
            }
            let mut facts = self.facts();
            facts.mark.clone_from(&so_far.mark);
            facts.clock = so_far.clock;
            facts.compared |= matches!(page.request.scope, Scope::All);
            first.get_or_insert(so_far);
        }
        Ok(())
    }

    fn facts(&self) -> MutexGuard<'_, Facts> {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads one page to its end: goes on after a pause when the spool was full, and after the last row when the
    /// connection was cut and trying again may help.
    async fn read_page(&self, spool: &Arc<Spool>, page: &Page) -> Result<(Ended, SoFar)> {
        let after = page.request.after.clone();
        let mut so_far = SoFar { after, clock: None, mark: None, needs_all: false, missing: None };
        if let (Scope::Keys(keys), None) = (&page.request.scope, &page.ends_at) {
            so_far.missing = Some(keys.iter().cloned().collect());
        }
        let mut attempts = Attempts::new(self.retry);
        loop {
            let before = so_far.after.clone();
            match self.read_on(spool, page, &mut so_far).await {
                Ok(Ended::Full) => tokio::select! {
                    biased;
                    () = spool.drained() => {}
                    () = self.drain.cancelled() => return Ok((Ended::Drained, so_far)),
                },
                Ok(ended) => return Ok((ended, so_far)),
                Err(error) => {
                    if before != so_far.after {
                        attempts = Attempts::new(self.retry);
                    }
                    let Some(pause) = attempts.next_pause(error.retry()) else {
                        return Err(error);
                    };
                    tracing::warn!(code = error.code().id, "reading stopped; trying again");
                    tokio::select! {
                        biased;
                        () = tokio::time::sleep(pause) => {}
                        () = self.drain.cancelled() => return Ok((Ended::Drained, so_far)),
                    }
                }
            }
        }
    }

    async fn read_on(&self, spool: &Arc<Spool>, page: &Page, so_far: &mut SoFar) -> Result<Ended> {
        let mut request = page.request.clone();
        request.after.clone_from(&so_far.after);
        if request.after != page.request.after {
            self.facts().in_pieces = true;
        }
        let mut read = self.source.read(request).await?;
        let mut opening = read.opening().clone();
        if so_far.clock.is_none() {
            so_far.mark = read.mark();
        }
        opening.clock = *so_far.clock.get_or_insert(opening.clock);
        let opening = Arc::new(opening);
        // A later read can only go on after a row that has a position; without one it would never come further.
        let mut may_pause = false;
        loop {
            if self.drain.is_cancelled() {
                return Ok(Ended::Drained);
            }
            if spool.is_full() && may_pause {
                return Ok(Ended::Full);
            }
            let began = Instant::now();
            let batch = read.next().await?;
            self.metrics.busy(&self.sync.name, Busy::Read, began.elapsed());
            let Some(batch) = batch else { break };
            self.metrics.read_bytes(&self.sync.name, batch.rows.get_array_memory_size() as u64);
            if let Some(missing) = &mut so_far.missing {
                self.forget_found(missing, &batch.rows);
            }
            let last = batch.last.clone();
            let position = if page.ends_at.is_some() { None } else { last.clone() };
            let changed = read.changed();
            let (part, gone) = (page.part, Vec::new());
            spool.push(Item { batch, opening: Arc::clone(&opening), position, part, gone }).await?;
            for page in pages_of_changed(&self.sync, changed, page.part) {
                // A log that is read has no rows of its own, so this goes no deeper.
                if let Ended::Drained = Box::pin(self.read_page(spool, &page)).await?.0 {
                    return Ok(Ended::Drained);
                }
            }
            may_pause = last.is_some();
            so_far.after = last.or(so_far.after.take());
            show_queue(&self.metrics, &self.sync.name, spool);
        }
        self.facts().findings.extend(read.findings());
        so_far.needs_all |= read.needs_all();
        if let Some(bytes) = read.retained_bytes() {
            self.metrics.slot_retained(&self.sync.name, bytes);
        }
        if let Some(missing) = so_far.missing.take().filter(|missing| !missing.is_empty()) {
            let batch = RecordBatch::new_empty(Arc::clone(&opening.schema));
            let batch = Batch { rows: batch, faults: Vec::new(), last: None };
            let gone = missing.into_iter().collect();
            let part = page.part;
            spool.push(Item { gone, part, ..Item::of(batch, Arc::clone(&opening)) }).await?;
        }
        if let Some(position) = &page.ends_at {
            spool.push(end_of_page(&opening, position.clone())).await?;
        }
        Ok(Ended::Complete)
    }
}

impl Reading {
    fn forget_found(&self, missing: &mut HashSet<Key>, rows: &RecordBatch) {
        let names = self.sync.model.primary_key.iter();
        let columns: Vec<_> = names.filter_map(|name| rows.column_by_name(name)).collect();
        for row in 0..rows.num_rows() {
            if let Some(key) = Key::at(&columns, row) {
                missing.remove(&key);
            }
        }
    }
}

/// Ends the spool with an error when the reading task is lost, so that nobody waits for ever and no lost read looks
/// complete (R3). A spool that is closed already stays as it is.
struct CloseOnDrop(Arc<Spool>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.close(Err(Error::new(&codes::E4007, "the reading task ended unexpectedly")));
    }
}

fn show_queue(metrics: &Metrics, sync: &str, spool: &Spool) {
    let (rows, bytes) = spool.size();
    metrics.queue(sync, rows, bytes, spool.bytes_max());
}

/// An empty batch that carries the position of a page's end.
fn end_of_page(opening: &Arc<Opening>, position: Position) -> Item {
    let rows = RecordBatch::new_empty(Arc::clone(&opening.schema));
    let batch = Batch { rows, faults: Vec::new(), last: None };
    Item { position: Some(position), ..Item::of(batch, Arc::clone(opening)) }
}

/// A mapped batch.
pub(crate) struct Chunk {
    /// Rows read.
    pub(crate) rows: u64,
    /// The rows themselves.
    pub(crate) source: RecordBatch,
    /// What they became.
    pub(crate) mapped: Mapped,
    /// The watermark of each mapped row, parallel to `mapped.keys`; `None` where the model has none or it is not finite.
    pub(crate) changed_at: Vec<Option<i64>>,
    /// See [`Item::position`].
    pub(crate) position: Option<Position>,
    /// The warehouse's clock at the snapshot.
    pub(crate) clock: Watermark,
    /// See [`Item::part`].
    pub(crate) part: Part,
    /// Keys that were looked for and have no row.
    pub(crate) gone: Vec<Key>,
    /// Keys of further rows, which say of themselves that they left the model; not in the counts.
    pub(crate) said: Vec<Key>,
    /// Rows that were taken out of `mapped`, since they are as they were last acknowledged.
    pub(crate) unchanged: u64,
    /// Which mapped rows the ledger does not know; `None` where it must be asked.
    pub(crate) new_rows: Option<Vec<bool>>,
}

impl Chunk {
    /// Keeps only these mapped rows, in this order.
    pub(crate) fn keep(&mut self, rows: &[u32]) -> Result<()> {
        let Mapped { source_rows, keys, matches, fingerprints, payload, .. } = &mut self.mapped;
        if rows.len() == keys.len() {
            return Ok(());
        }
        let lost = |error: ArrowError| {
            Error::new(&codes::E4007, "mapped rows cannot be picked").with_source(error)
        };
        *payload = match rows {
            [] => payload.slice(0, 0),
            rows => payload.take(rows).map_err(lost)?,
        };
        pick(source_rows, rows);
        pick(matches, rows);
        pick(fingerprints, rows);
        pick(&mut self.changed_at, rows);
        let mut all: Vec<Option<Key>> = std::mem::take(keys).into_iter().map(Some).collect();
        *keys = rows.iter().filter_map(|row| all[*row as usize].take()).collect();
        Ok(())
    }
}

fn pick<T: Copy>(values: &mut Vec<T>, rows: &[u32]) {
    *values = rows.iter().map(|row| values[*row as usize]).collect();
}

/// Where the end of a merged read leaves what it did not contain.
pub(crate) type Slot = Arc<Mutex<Option<Missing>>>;

/// Maps batches, compiling the mapping anew when the model's columns change from one read to the next.
pub(crate) struct Mapping {
    sync: Arc<Sync>,
    prepared: Arc<Prepared>,
    run: RunMeta,
    compiled: Option<(Arc<Opening>, Mapper)>,
    merger: Option<Merger>,
    missing: Slot,
    lookups: Lookups,
    shard: Option<Shard>,
}

impl Mapping {
    pub(crate) fn new(
        sync: Arc<Sync>,
        ports: &Ports,
        (prepared, run): (Arc<Prepared>, RunMeta),
    ) -> Self {
        let lookups = Lookups::new(&sync, ports);
        let (compiled, merger, missing) = (None, None, Arc::default());
        Self { sync, prepared, run, compiled, merger, missing, lookups, shard: None }
    }

    /// Merges what is mapped with the ledger from now on; what the read did not contain is in `missing` after its end.
    pub(crate) fn merging(self, merger: Option<Merger>, missing: Slot) -> Self {
        Self { merger, missing, ..self }
    }

    /// Takes only this shard's rows.
    pub(crate) fn only(self, shard: Option<Shard>) -> Self {
        Self { shard, ..self }
    }

    /// Maps one batch.
    pub(crate) async fn map(&mut self, item: Item) -> Result<Chunk> {
        let Item { batch, opening, position, part, gone } = item;
        let batch = match self.shard {
            Some(shard) => shard::keep(&self.sync, shard, batch)?,
            None => batch,
        };
        let (batch, said) = leave_out(&self.sync, batch, &opening)?;
        let compiled = match self.compiled.take() {
            Some((known, mapper)) if known.schema == opening.schema => mapper,
            _ => compile(&self.sync, &self.prepared, &opening.schema)?,
        };
        let lookups = self.lookups.find(&batch.rows).await?;
        let context =
            MapContext { run: &self.run, duplicates: &opening.duplicates, lookups: &lookups };
        let mapped = compiled.map(&batch, &context)?;
        let changed_at = changed_at(&self.sync, &batch.rows, &mapped.source_rows);
        let clock = opening.clock;
        self.compiled = Some((opening, compiled));
        let source = batch.rows;
        let rows = source.num_rows() as u64;
        Ok(Chunk {
            rows,
            source,
            mapped,
            changed_at,
            position,
            clock,
            part,
            gone,
            said,
            unchanged: 0,
            new_rows: None,
        })
    }

    /// Begins to map everything in the spool, in order, until the handle is dropped.
    pub(crate) fn start(
        self,
        spool: &Arc<Spool>,
        metrics: &Arc<Metrics>,
    ) -> (Chunks, AbortOnDropHandle<()>) {
        let (sender, chunks) = mpsc::channel(CHUNKS_WAITING);
        let mapping = self.map_spool(Arc::clone(spool), Arc::clone(metrics), sender);
        (Chunks(chunks), AbortOnDropHandle::new(tokio::spawn(mapping)))
    }

    /// Maps everything in the spool, until it ends (then sends `None`) or nobody listens.
    async fn map_spool(
        mut self,
        spool: Arc<Spool>,
        metrics: Arc<Metrics>,
        chunks: mpsc::Sender<Result<Option<Chunk>>>,
    ) {
        loop {
            let chunk = match spool.pop().await {
                Ok(None) => self.end().await,
                Ok(Some(item)) => {
                    show_queue(&metrics, &self.sync.name, &spool);
                    let began = Instant::now();
                    let chunk = self.map(item).await;
                    metrics.busy(&self.sync.name, Busy::Map, began.elapsed());
                    self.merge(chunk).await.map(Some)
                }
                Err(error) => Err(error),
            };
            let last = !matches!(chunk, Ok(Some(_)));
            if chunks.send(chunk).await.is_err() || last {
                return;
            }
        }
    }
}

impl Mapping {
    async fn merge(&mut self, chunk: Result<Chunk>) -> Result<Chunk> {
        let mut chunk = chunk?;
        if let Some(merger) = &mut self.merger {
            merger.merge(&mut chunk).await?;
        }
        Ok(chunk)
    }

    async fn end(&mut self) -> Result<Option<Chunk>> {
        if let Some(merger) = self.merger.take() {
            let missing = merger.finish().await?;
            *self.missing.lock().unwrap_or_else(PoisonError::into_inner) = missing;
        }
        Ok(None)
    }
}

/// When the mapped rows changed in the warehouse, in microseconds since 1970.
fn changed_at(sync: &Sync, rows: &RecordBatch, mapped_rows: &[u32]) -> Vec<Option<i64>> {
    let nothing = || vec![None; mapped_rows.len()];
    let Some(column) = watermark_column(&sync.model).and_then(|name| rows.column_by_name(name))
    else {
        return nothing();
    };
    let Ok(column) = take(column, &UInt32Array::from(mapped_rows.to_vec()), None) else {
        return nothing();
    };
    let finite = |micros: i64| !matches!(micros, i64::MAX | i64::MIN);
    match column.data_type() {
        DataType::Timestamp(..) => column
            .as_primitive_opt::<TimestampMicrosecondType>()
            .map_or_else(nothing, |at| at.iter().map(|at| at.filter(|at| finite(*at))).collect()),
        DataType::Date32 => column
            .as_primitive::<Date32Type>()
            .iter()
            .map(|day| day.map(|day| i64::from(day) * 86_400_000_000))
            .collect(),
        _ => nothing(),
    }
}

/// The task that maps ended without a word.
pub(crate) fn task_lost(error: tokio::task::JoinError) -> Error {
    Error::new(&codes::E4007, "a task of the run ended unexpectedly").with_source(error)
}

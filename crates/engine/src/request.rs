//! What a run asks of the warehouse: one or more pages, read one after the other.

use std::fmt::Write;
use std::sync::Arc;

use flow::{
    Changes, Key, Mark, Model, Position, ReadRequest, Result, Scope, StoredMark, StoredWatermark,
    Watermark,
};
use xxhash_rust::xxh3::xxh3_128;

use crate::{Ports, Sync};

/// Keys asked for in one query of a keyed read.
const KEYS_PER_PAGE: usize = 1000;
/// The same where a log names the keys: each query has a connection of its own.
const CHANGED_PER_PAGE: usize = 8192;

/// One read, and where its end leaves the job.
#[derive(Debug, Clone)]
pub(crate) struct Page {
    /// The read.
    pub(crate) request: ReadRequest,
    /// Overrides the rows' own positions: the job is here once the whole page is settled.
    pub(crate) ends_at: Option<Position>,
    pub(crate) part: Part,
}

/// What a page is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Part {
    /// The rows the run is about.
    #[default]
    Rows,
    /// Every row, to find what the change method did not notice.
    Compare,
    /// What changed since the first page: a row of it was not overlooked, it changed meanwhile.
    Since,
}

/// How far the sync has come, as far as it says something about the mapping and the column used now.
#[derive(Debug, Clone, Default)]
pub(crate) struct Remembered {
    pub(crate) watermark: Option<StoredWatermark>,
    pub(crate) mark: Option<StoredMark>,
}

impl Remembered {
    /// A watermark of another column says nothing: then every row is read, and the ledger keeps what did not change
    /// from being sent.
    pub(crate) async fn of(sync: &Sync, ports: &Ports) -> Result<Self> {
        let mapping = mapping_name(sync);
        let column = watermark_column(&sync.model);
        let watermark = ports.store.watermark(&sync.name).await?;
        let mark = ports.store.mark(&sync.name).await?;
        Ok(Self {
            watermark: watermark.filter(|stored| Some(stored.column.as_str()) == column),
            mark: mark.filter(|stored| stored.mapping == mapping),
        })
    }

    /// Whether a compare of every row is due.
    fn is_due(&self, sync: &Sync, now: i64) -> bool {
        let compared_at = self.mark.as_ref().map_or(i64::MIN, |stored| stored.compared_at);
        sync.compare_every_micros.is_some_and(|every| now.saturating_sub(compared_at) >= every)
    }
}

/// The progress column, where the model has one.
pub(crate) fn watermark_column(model: &Model) -> Option<&str> {
    match &model.changes {
        Changes::Watermark { column, .. } => Some(column),
        Changes::Snapshot | Changes::Log(_) => None,
    }
}

/// The rows an incremental run reads: everything from the stored watermark less the lag on, or what the log names; or
/// everything, when nothing is stored or the rows so far were sent with another mapping.
pub(crate) fn changed_since(sync: &Sync, remembered: &Remembered) -> Scope {
    let mapping = mapping_name(sync);
    let reached = remembered.watermark.as_ref().filter(|stored| stored.mapping == mapping);
    let mark = remembered.mark.as_ref().and_then(|stored| stored.mark.as_ref());
    match &sync.model.changes {
        Changes::Snapshot => Scope::All,
        _ => since(sync, reached.map(|stored| stored.watermark), mark),
    }
}

/// What changed since a watermark and a mark, or everything where these do not say it.
pub(crate) fn since(sync: &Sync, reached: Option<Watermark>, mark: Option<&Mark>) -> Scope {
    match (&sync.model.changes, reached, mark) {
        (Changes::Watermark { lag_micros, .. }, Some(reached), Some(mark)) => {
            let from = Some(reached.minus_micros(*lag_micros));
            Scope::Changed { from, mark: mark.clone() }
        }
        (Changes::Watermark { lag_micros, .. }, Some(reached), None) => {
            Scope::Since(reached.minus_micros(*lag_micros))
        }
        (Changes::Log(_), _, Some(mark)) => Scope::Changed { from: None, mark: mark.clone() },
        _ => Scope::All,
    }
}

/// One read that finds at least what a run would.
pub(crate) fn scope_of_plan(sync: &Sync, remembered: &Remembered, now: i64) -> Scope {
    match remembered.is_due(sync, now) {
        true => Scope::All,
        false => changed_since(sync, remembered),
    }
}

/// What a run reads: what changed, and every row where that is due.
pub(crate) fn pages_of_run(sync: &Sync, remembered: &Remembered, now: i64) -> Vec<Page> {
    let scope = changed_since(sync, remembered);
    let everything = matches!(scope, Scope::All);
    let mut pages = vec![page(sync, scope, None)];
    if !everything && remembered.is_due(sync, now) {
        let part = |part| Page { part, ..page(sync, Scope::All, None) };
        pages.extend([part(Part::Compare), part(Part::Since)]);
    }
    pages
}

/// Names what decides which payloads there are, apart from the warehouse's rows: mapping and model.
pub fn mapping_name(sync: &Sync) -> String {
    let Model { relation, primary_key, removed_when, .. } = &*sync.model;
    let model = (relation, primary_key);
    let mut written = format!("{:?} {:?} {} {model:?}", sync.mappings, sync.match_on, sync.object);
    if let Some(condition) = removed_when {
        let _ = write!(written, " removed when {condition}");
    }
    format!("{:032x}", xxh3_128(written.as_bytes()))
}

/// One page with this scope.
pub(crate) fn page(sync: &Sync, scope: Scope, after: Option<Position>) -> Page {
    let columns = transform::columns(&sync.mappings, &sync.match_on);
    let model = Arc::clone(&sync.model);
    let request = ReadRequest { model, columns, scope, after, rows_max: None };
    Page { request, ends_at: None, part: Part::Rows }
}

/// Whether these pages are one read of every row from the first on, in the order of the key.
pub(crate) fn is_by_key(sync: &Sync, pages: &[Page]) -> bool {
    let [Page { request, .. }] = pages else { return false };
    matches!((&sync.model.changes, &request.scope), (Changes::Snapshot, Scope::All))
        && request.after.is_none()
        && request.rows_max.is_none()
}

/// Pages for these keys, in key order, each once, going on after `after`.
pub(crate) fn pages_of_keys(
    sync: &Sync,
    mut keys: Vec<Key>,
    after: Option<&Position>,
) -> Vec<Page> {
    keys.sort_unstable();
    keys.dedup();
    let done = after.map_or(0, |after| keys.partition_point(|key| *key <= after.key));
    keys[done..]
        .chunks(KEYS_PER_PAGE)
        .map(|chunk| Page {
            ends_at: chunk.last().map(|key| Position { watermark: None, key: key.clone() }),
            ..page(sync, Scope::Keys(chunk.into()), None)
        })
        .collect()
}

/// Pages for keys that a log names, as part of another page.
pub(crate) fn pages_of_changed(sync: &Sync, mut keys: Vec<Key>, part: Part) -> Vec<Page> {
    keys.sort_unstable();
    keys.dedup();
    let page = |chunk: &[Key]| Page { part, ..page(sync, Scope::Keys(chunk.into()), None) };
    keys.chunks(CHANGED_PER_PAGE).map(page).collect()
}

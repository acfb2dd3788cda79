//! What a run asks of the warehouse: one or more pages, read one after the other.

use std::sync::Arc;

use flow::{Changes, Key, Model, Position, ReadRequest, Scope, StoredWatermark};
use xxhash_rust::xxh3::xxh3_128;

use crate::Sync;

/// Keys asked for in one query of a keyed read.
const KEYS_PER_PAGE: usize = 1000;

/// One read, and where its end leaves the job.
#[derive(Debug, Clone)]
pub(crate) struct Page {
    /// The read.
    pub(crate) request: ReadRequest,
    /// Overrides the rows' own positions: the job is here once the whole page is settled.
    pub(crate) ends_at: Option<Position>,
}

/// The progress column, where the model has one.
pub(crate) fn watermark_column(model: &Model) -> Option<&str> {
    match &model.changes {
        Changes::Watermark { column, .. } => Some(column),
        Changes::Snapshot => None,
    }
}

/// The rows an incremental run reads: everything from the stored watermark less the lag on; or everything, when nothing
/// is stored or the rows so far were sent with another mapping.
pub(crate) fn changed_since(sync: &Sync, stored: Option<&StoredWatermark>) -> Scope {
    match (&sync.model.changes, stored) {
        (Changes::Watermark { lag_micros, .. }, Some(stored))
            if stored.mapping == mapping_name(sync) =>
        {
            Scope::Since(stored.watermark.minus_micros(*lag_micros))
        }
        _ => Scope::All,
    }
}

/// Names what decides which payloads there are, apart from the warehouse's rows: mapping and model.
pub(crate) fn mapping_name(sync: &Sync) -> String {
    let Model { relation, primary_key, .. } = &*sync.model;
    let model = (relation, primary_key);
    let written = format!("{:?} {:?} {} {model:?}", sync.mappings, sync.match_on, sync.object);
    format!("{:032x}", xxh3_128(written.as_bytes()))
}

/// One page with this scope.
pub(crate) fn page(sync: &Sync, scope: Scope, after: Option<Position>) -> Page {
    let columns = transform::columns(&sync.mappings, &sync.match_on);
    let model = Arc::clone(&sync.model);
    Page { request: ReadRequest { model, columns, scope, after, rows_max: None }, ends_at: None }
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

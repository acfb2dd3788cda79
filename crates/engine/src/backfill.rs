//! Sending an old range again, and sending rejected rows again: both read the current rows, so neither overwrites
//! newer data with older, and neither moves the sync's watermark.

use std::collections::BTreeSet;
use std::sync::Arc;

use flow::{Error, Key, Mode, Result, Scope, Trigger, Watermark};
use xxhash_rust::xxh3::Xxh3;

use crate::request::{mapping_name, page, pages_of_keys};
use crate::run::{Job, execute};
use crate::settle::Advance;
use crate::{Ports, RunFailure, RunOptions, RunReport, Sync, Watch, codes};

/// Which rows a backfill sends again.
#[derive(Debug, Clone)]
pub enum BackfillScope {
    /// Rows with `from <= watermark < to`.
    Range {
        /// First watermark in the range.
        from: Watermark,
        /// First watermark after the range.
        to: Watermark,
    },
    /// Rows for which this SQL condition holds.
    Where(String),
    /// Rows with these keys.
    Keys(Vec<Key>),
}

impl BackfillScope {
    /// Names the backfill in the state, so that the same one started again goes on where it stopped.
    fn spec(&self) -> String {
        match self {
            Self::Range { from, to } => format!("range {from} {to}"),
            Self::Where(condition) => format!("where {condition}"),
            Self::Keys(keys) => {
                let mut keys: Vec<_> = keys.iter().collect();
                keys.sort_unstable();
                keys.dedup();
                let mut hash = Xxh3::new();
                for key in &keys {
                    hash.update(&(key.as_str().len() as u64).to_le_bytes());
                    hash.update(key.as_str().as_bytes());
                }
                format!("keys {} {:032x}", keys.len(), hash.digest128())
            }
        }
    }
}

/// Sends every row of the scope again, also unchanged ones, without moving the watermark. Interrupted, it goes on from
/// the last settled row when it is started again with the same scope.
///
/// # Errors
/// As [`crate::run`].
pub async fn backfill(
    sync: &Sync,
    ports: &Ports,
    (scope, options): (BackfillScope, RunOptions),
    watch: &dyn Watch,
) -> Result<RunReport, RunFailure> {
    backfill_fields(sync, ports, (scope, &[], options), watch).await
}

/// As [`backfill`], of these destination fields alone, to records that are there; of all where it is empty. A row of
/// which something else has changed is still sent by the next run.
///
/// # Errors
/// As [`crate::run`]; `E4071` for fields that cannot be sent alone.
pub async fn backfill_fields(
    sync: &Sync,
    ports: &Ports,
    (scope, fields, mut options): (BackfillScope, &[String], RunOptions),
    watch: &dyn Watch,
) -> Result<RunReport, RunFailure> {
    let only = only(sync, fields)?;
    options.trigger = Trigger::Backfill;
    let lease = ports.store.acquire(&sync.name, ports.clock.now_micros()).await?;
    let mut spec = format!("{} {}", mapping_name(sync), scope.spec());
    if let Some(only) = &only {
        spec.push_str(&format!(" fields {}", only.join(" ")));
    }
    let progress = ports.store.backfill(&sync.name, &spec).await?;
    let rows_before = progress.as_ref().map_or(0, |progress| progress.rows);
    let after = progress.map(|progress| progress.after);
    let pages = match scope {
        BackfillScope::Range { from, to } => vec![page(sync, Scope::Range { from, to }, after)],
        BackfillScope::Where(condition) => vec![page(sync, Scope::Where(condition), after)],
        BackfillScope::Keys(keys) => pages_of_keys(sync, keys, after.as_ref()),
    };
    let (drain, rows_max) = (options.stop.drain.clone(), options.rows_max);
    let advance = Advance::Backfill { spec: spec.clone(), rows_before };
    let job = Job { forced: true, only, ..Job::new(pages, advance) };
    let report = execute(sync, ports, &lease, (job, options), watch).await?;
    let counts = &report.run.counts;
    let limited = rows_max.is_some_and(|max| counts.delivered() + counts.rejected >= max);
    if !drain.is_cancelled() && !limited {
        ports.store.end_backfill(&lease, &spec).await?;
    }
    Ok(report)
}

/// The fields to send alone, in the order of their names, with those a record is found by.
fn only(sync: &Sync, fields: &[String]) -> Result<Option<Arc<[String]>>> {
    if fields.is_empty() {
        return Ok(None);
    }
    if !matches!(sync.mode, Mode::Upsert | Mode::Update | Mode::Mirror) {
        let message = format!("mode {} makes a new record of every row", sync.mode.as_str());
        return Err(Error::new(&codes::E4071, message));
    }
    if let Some(unknown) = fields.iter().find(|field| sync.mappings.get(field).is_none()) {
        let known: Vec<&str> = sync.mappings.iter().map(|(field, _)| field).collect();
        let message =
            format!("sync `{}` does not map `{unknown}`; it maps {}", sync.name, known.join(", "));
        return Err(Error::new(&codes::E4071, message));
    }
    let found_by = sync.match_on.iter().map(|(field, _)| field.clone());
    let all: BTreeSet<String> = fields.iter().cloned().chain(found_by).collect();
    Ok(Some(all.into_iter().collect()))
}

/// Sends the current rows of these keys again, also when their payload was refused before. The open reject of a key
/// that has no row any more is closed.
///
/// # Errors
/// As [`crate::run`].
pub async fn retry(
    sync: &Sync,
    ports: &Ports,
    (keys, options): (Vec<Key>, RunOptions),
    watch: &dyn Watch,
) -> Result<RunReport, RunFailure> {
    let lease = ports.store.acquire(&sync.name, ports.clock.now_micros()).await?;
    let pages = pages_of_keys(sync, keys.clone(), None);
    let job = Job { forced: true, asked: Some(keys), ..Job::new(pages, Advance::Nothing) };
    execute(sync, ports, &lease, (job, options), watch).await
}

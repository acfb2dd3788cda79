//! Reconciling: what was acknowledged is read back and compared with the model, so that what changed at the destination
//! behind our back is known. Nothing is sent; what is to be put back goes into a plan.

mod compare;
mod fix;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use self::compare::{Compared, compare};
use self::fix::Fix;
use crate::absent::{Absent, Seen};
use crate::before::Past;
use crate::diff::{self, Resend, Verdict};
use crate::intake::{Chunk, Facts, Mapping, Reading};
use crate::plan::most_first;
use crate::plan_file::Change;
use crate::prepare::{Prepared, prepare};
use crate::preview::run_meta;
use crate::request::{Remembered, page};
use crate::spool::Spool;
use crate::target::target;
use crate::{Ports, Stop, Sync, codes};
use flow::arrow::datatypes::{Schema, SchemaRef};
use flow::{Entry, Error, GoneHow, Key, ReadsBack, Records, Result, Scope};

/// Rows shown as samples, per kind of drift.
const SAMPLES: usize = 3;

/// How a record is not what was last acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Drift {
    /// It is gone.
    Missing,
    /// Somebody changed its fields.
    Edited,
    /// There are several where one was written.
    Duplicate,
    /// Its row left the model, and it is still there.
    Orphan,
}

impl Drift {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Missing, Self::Edited, Self::Duplicate, Self::Orphan];

    /// The word in output and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Edited => "edited",
            Self::Duplicate => "duplicate",
            Self::Orphan => "orphan",
        }
    }
}

/// One row whose record drifted.
#[derive(Debug, Clone)]
pub struct Drifted {
    /// Its primary key.
    pub key: Key,
    /// How.
    pub drift: Drift,
    /// Ids of its records.
    pub record_ids: Vec<String>,
    /// The fields that differ: what the record has, and what the row makes of it.
    pub fields: Vec<Change>,
}

/// What a reconciliation found. `read = matching + kept + drifted rows of the model + behind + invalid`.
#[derive(Debug, Clone, Default)]
pub struct Reconciled {
    /// Rows of the model.
    pub read: u64,
    /// Rows whose record is as it was acknowledged.
    pub matching: u64,
    /// Rows whose record differs in fields alone that may be edited (`on_drift: keep_remote_edit`).
    pub kept: u64,
    /// Rows that the next run sends, or that were refused: what their record has says nothing about drift.
    pub behind: u64,
    /// Rows the mapping refuses.
    pub invalid: u64,
    /// Rows by how their record drifted.
    pub drift: BTreeMap<Drift, u64>,
    /// Edited rows by field, the most frequent first.
    pub fields: Vec<(String, u64)>,
    /// A few of the rows.
    pub samples: Vec<Drifted>,
    /// Rows of the plan.
    pub planned: u64,
    /// SHA-256 of the plan's file, where one was written.
    pub sha256: Option<String>,
    /// Read calls it took.
    pub requests: u64,
}

impl Reconciled {
    /// Rows whose record drifted.
    pub fn drifted(&self) -> u64 {
        self.drift.values().sum()
    }

    fn count(&mut self, row: Drifted) {
        *self.drift.entry(row.drift).or_default() += 1;
        if self.samples.iter().filter(|known| known.drift == row.drift).count() < SAMPLES {
            self.samples.push(row);
        }
    }
}

/// How to reconcile.
#[derive(Debug, Clone, Default)]
pub struct ReconcileOptions {
    /// Where a plan is written that puts back what the model says, for [`crate::apply`].
    pub fix: Option<PathBuf>,
    /// Project and environment, by name; a plan is applied where it was made.
    pub origin: String,
    /// How to stop early.
    pub stop: Stop,
}

/// Reads the whole model, and the record of every row that was acknowledged as it is now. Holds the sync's lease, so that
/// no run changes records meanwhile.
///
/// # Errors
/// `E4080` where the destination cannot be read; else as a run's, before anything is sent.
pub async fn reconcile(
    sync: &Sync,
    ports: &Ports,
    options: &ReconcileOptions,
) -> Result<Reconciled> {
    let Some(reads) = ports.destination.reads_back() else {
        let message = format!("records of `{}` cannot be read back", sync.destination);
        return Err(Error::new(&codes::E4080, message));
    };
    let _lease = ports.store.acquire(&sync.name, ports.clock.now_micros()).await?;
    let prepared = Arc::new(prepare(sync, ports).await?);
    let target = target(sync, ports, &prepared.object).await?.now;
    let fix = options.fix.as_deref().map(Fix::new).transpose()?;
    let past = Past::new((sync, ports), &prepared, true);
    let reading = Reconciling {
        sync,
        ports,
        reads,
        past,
        rows_max: prepared.limits.rows_max.max(1),
        renames: prepared.limits.renames,
        seen: Seen::default(),
        fields: BTreeMap::new(),
        found: Reconciled::default(),
        fix,
    };
    let mut done = reading.read((&prepared, options)).await?;
    if let Some(fix) = done.fix.take() {
        let remembered = Remembered::of(sync, ports).await?;
        let about = (sync, &target, &remembered);
        let made = (options.origin.as_str(), ports.clock.now_micros());
        done.found.sha256 = Some(fix.finish(about, made, &done.found)?);
    }
    done.found.fields = most_first(&done.fields);
    Ok(done.found)
}

/// A reconciliation under way.
struct Reconciling<'a> {
    sync: &'a Sync,
    ports: &'a Ports,
    reads: &'a dyn ReadsBack,
    past: Past<'a>,
    /// Records asked for at once.
    rows_max: usize,
    /// A record can be written that is found by its id alone.
    renames: bool,
    seen: Seen,
    fields: BTreeMap<String, u64>,
    found: Reconciled,
    fix: Option<Fix>,
}

impl Reconciling<'_> {
    /// Reads everything; the warehouse is not kept waiting for the destination (R6).
    async fn read(
        mut self,
        (prepared, options): (&Arc<Prepared>, &ReconcileOptions),
    ) -> Result<Self> {
        let spool = Spool::new(&self.ports.spool_dir, self.ports.spool)?;
        let facts = Arc::<Mutex<Facts>>::default();
        let (sync, drain) = (Arc::new(self.sync.clone()), options.stop.drain.clone());
        let pages = vec![page(self.sync, Scope::All, None)];
        let reading = Reading::new((Arc::clone(&sync), self.ports), pages, drain.clone(), facts);
        let _reader = reading.start(&spool);
        let meta = run_meta(self.sync, self.ports);
        let mapping = Mapping::new(sync, self.ports, (Arc::clone(prepared), meta));
        let (mut chunks, _mapper) = mapping.start(&spool, &self.ports.metrics);
        let interrupted = || Error::new(&codes::E4004, "the reconciliation was interrupted");
        loop {
            let chunk = tokio::select! {
                biased;
                () = drain.cancelled() => return Err(interrupted()),
                chunk = chunks.next() => chunk?,
            };
            match chunk {
                Some(chunk) => self.see(&chunk).await?,
                // A read that was told to stop looks like a complete one from here (R3).
                None if drain.is_cancelled() => return Err(interrupted()),
                None => break,
            }
        }
        // A row without a key may be any row of the ledger.
        if self.seen.nameless == 0 {
            self.orphans().await?;
        }
        Ok(self)
    }

    async fn see(&mut self, chunk: &Chunk) -> Result<()> {
        self.seen.note(chunk);
        let mapped = &chunk.mapped;
        let entries = self.ports.store.lookup(&self.sync.name, &mapped.keys).await?;
        let verdicts = diff::compare(&mapped.fingerprints, &entries, Resend::Nothing);
        let settled = |row: &usize| matches!(verdicts[*row], Verdict::Unchanged { .. });
        let rows: Vec<usize> = (0..verdicts.len()).filter(settled).collect();
        self.found.read += chunk.rows;
        self.found.invalid += mapped.rejects.len() as u64;
        self.found.behind += (verdicts.len() - rows.len()) as u64;
        for rows in rows.chunks(self.rows_max) {
            let known: Vec<_> = rows.iter().map(|row| entries[*row].as_ref()).collect();
            let answers = self.answers((&mapped.payload, rows), &known).await?;
            for ((row, entry), answer) in rows.iter().zip(known).zip(answers) {
                let about = (self.sync, &self.past, self.renames);
                let compared = compare(about, (mapped, *row, entry), answer);
                self.book((&mapped.keys[*row], mapped.fingerprints[*row], entry), compared)?;
            }
        }
        Ok(())
    }

    fn book(
        &mut self,
        (key, fingerprint, entry): (&Key, flow::Fingerprint, Option<&Entry>),
        compared: Compared,
    ) -> Result<()> {
        let Compared { drift, kept, record_ids, fields, put_back } = compared;
        let Some(drift) = drift else {
            match kept {
                true => self.found.kept += 1,
                false => self.found.matching += 1,
            }
            return Ok(());
        };
        if drift == Drift::Edited {
            for field in &fields {
                *self.fields.entry(field.field.clone()).or_default() += 1;
            }
        }
        if let Some(fix) = &mut self.fix
            && !put_back.is_empty()
        {
            fix.push((key, fingerprint, entry), put_back)?;
            self.found.planned += 1;
        }
        self.found.count(Drifted { key: key.clone(), drift, record_ids, fields });
        Ok(())
    }

    /// Records of rows that left the model, which no other row has, and which nobody removed.
    async fn orphans(&mut self) -> Result<()> {
        let store = Arc::clone(&self.ports.store);
        let seen = std::mem::take(&mut self.seen);
        let mut absent = Absent::new(store.as_ref(), &self.sync.name, &seen)?;
        while let Some(rows) = absent.next().await? {
            let open = |entry: &Entry| entry.gone.is_none_or(|gone| gone.how != GoneHow::Settled);
            let mut left: Vec<(Key, String)> = rows
                .into_iter()
                .filter(|(_, entry)| open(entry))
                .filter_map(|(key, entry)| Some((key, entry.remote_id?)))
                .collect();
            let ids: Vec<String> = left.iter().map(|(_, id)| id.clone()).collect();
            if ids.is_empty() {
                continue;
            }
            let holders = store.holders(&self.sync.name, &ids).await?;
            left.retain(|(_, id)| {
                !holders.iter().any(|(held, key)| held == id && seen.contains(key))
            });
            for rows in left.chunks(self.rows_max) {
                let ids = rows.iter().map(|(_, id)| id.clone()).collect();
                let found = self.ask(Records::Ids(ids), Arc::new(Schema::empty())).await?;
                let there = rows.iter().zip(found.record_ids).filter(|(_, ids)| !ids.is_empty());
                for ((key, _), record_ids) in there {
                    let (key, drift) = (key.clone(), Drift::Orphan);
                    self.found.count(Drifted { key, drift, record_ids, fields: Vec::new() });
                }
            }
        }
        Ok(())
    }

    async fn ask(&mut self, records: Records, fields: SchemaRef) -> Result<flow::Found> {
        self.found.requests += 1;
        self.past.read(self.reads, records, fields).await
    }
}

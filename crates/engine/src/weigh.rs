//! Weighing: everything a run would do is read, mapped and compared before the first request, and the rows wait in the
//! spool. A plan is a weighing of which nothing is sent; a run with guards weighs first and then sends the same rows.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use flow::arrow::array::RecordBatch;
use flow::{Code, Entry, Error, Result, Scope, StoredWatermark, Watermark};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;
use transform::{Mapped, RunMeta};

use crate::diagnosis::{About, Common, Diagnosis};
use crate::diff::{self, Verdict};
use crate::guard::{Counts, Guard, Guards, Ruling, rulings};
use crate::intake::{Chunk, Facts, Mapping, Reading};
use crate::known::Known;
use crate::left::{Left, Noted};
use crate::ownership;
use crate::plan::PlanOp;
use crate::prepare::{Prepared, asked};
use crate::request::{Page, Part, mapping_name};
use crate::spool::Spool;
use crate::twins::{Twins, Wanted};
use crate::{Ports, Stop, Sync, codes};

/// Mapped batches that wait to be weighed.
const CHUNKS_WAITING: usize = 2;

/// Why a row would be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// Nothing was acknowledged of it yet.
    First,
    /// Its values changed.
    Data,
    /// Its values did not change since it was looked at with another mapping.
    Mapping,
    /// What became of its last request is not known.
    Unconfirmed,
    /// It left the model.
    Gone,
}

impl Reason {
    /// The word in plans.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Data => "data",
            Self::Mapping => "mapping",
            Self::Unconfirmed => "unconfirmed",
            Self::Gone => "gone",
        }
    }
}

/// Rows the mapping or the ledger refuses, by code and field.
pub(crate) type Groups = BTreeMap<(&'static str, Option<String>), (&'static Code, u64)>;

/// What was weighed. `read = create + update + unchanged + refused()`.
#[derive(Debug, Default)]
pub(crate) struct Weight {
    pub(crate) read: u64,
    pub(crate) create: u64,
    pub(crate) update: u64,
    pub(crate) unchanged: u64,
    /// Refused by the mapping.
    pub(crate) invalid: u64,
    /// Refused before with the same payload.
    pub(crate) held: u64,
    /// Another row has the record.
    pub(crate) conflicts: u64,
    /// Known rows that left the model.
    pub(crate) left: Left,
    /// Filled values that would be emptied, and filled values as last acknowledged.
    pub(crate) emptied: u64,
    pub(crate) filled: u64,
    /// Rows the destination has acknowledged so far.
    pub(crate) known: u64,
    /// Rows of the model, where it was counted.
    pub(crate) model_rows: Option<u64>,
    /// Write calls, repeats aside.
    pub(crate) requests: u64,
    /// Rows whose record is addressed by its id, in calls of their own.
    renamed: u64,
    pub(crate) reasons: BTreeMap<Reason, u64>,
    /// How far the rows would move the watermark.
    pub(crate) reached: Option<Watermark>,
    pub(crate) groups: Groups,
    diagnosis: Diagnosis,
}

impl Weight {
    /// Rows that would be rejects whatever the destination says.
    pub(crate) fn refused(&self) -> u64 {
        self.invalid + self.held + self.conflicts
    }

    /// What the rows that a guard stops have in common.
    pub(crate) fn common(&self, guard: Guard) -> Vec<Common> {
        let about = match guard {
            Guard::MaxRemoved => About::Removed,
            Guard::MaxChanged => About::Changed,
            Guard::MaxNullOut => About::Emptied,
            Guard::MaxRejected => About::Refused,
            Guard::MaxInvalid => About::Invalid,
            Guard::MinRows | Guard::MaxRequests | Guard::FirstRun => return Vec::new(),
        };
        self.diagnosis.common(about)
    }

    /// How many rows the model has.
    pub(crate) fn count_model(&mut self, rows: Counted) {
        self.model_rows = match rows {
            Counted::ByReading => Some(self.read),
            Counted::As(rows) => Some(rows),
            Counted::Never => None,
        };
    }

    /// What the guards judge.
    pub(crate) fn counts(&self) -> Counts {
        Counts {
            read: self.read,
            known: self.known,
            model_rows: self.model_rows,
            removed: self.left.due,
            update: self.update,
            emptied: self.emptied,
            filled: self.filled,
            invalid: self.invalid,
            refused: self.refused(),
            requests: self.requests,
        }
    }

    /// What the guards say.
    pub(crate) fn rulings(&self, guards: &Guards) -> Vec<Ruling> {
        rulings(guards, &self.counts(), |guard| self.common(guard))
    }

    fn refuse(&mut self, code: &'static Code, field: Option<String>) {
        self.groups.entry((code.id, field)).or_insert((code, 0)).1 += 1;
    }
}

/// How it is known how many rows the model has.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Counted {
    /// Every row is read anyway.
    ByReading,
    /// The warehouse was asked.
    As(u64),
    /// Nobody wants to know, or the warehouse cannot say.
    Never,
}

/// Asks the warehouse how many rows the model has, where a guard wants to know and not all of them are read.
pub(crate) async fn model_rows(sync: &Sync, ports: &Ports, scope: &Scope) -> Result<Counted> {
    match scope {
        Scope::All => Ok(Counted::ByReading),
        _ if sync.guards.min_rows.is_none() => Ok(Counted::Never),
        _ => {
            let counted = asked(ports, || ports.source.count_rows(&sync.model)).await?;
            Ok(counted.map_or(Counted::Never, Counted::As))
        }
    }
}

/// A batch on the scale.
pub(crate) struct Weighed<'a> {
    /// Mapped and refused.
    pub(crate) rows: usize,
    pub(crate) mapped: &'a Mapped,
    /// Of every mapped row.
    pub(crate) verdicts: &'a [Verdict],
    /// Of every mapped row.
    pub(crate) entries: &'a [Option<Entry>],
    /// Of every mapped row; says something where the verdict is to send.
    pub(crate) reasons: &'a [Reason],
}

/// A row of a batch.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Place {
    /// The n-th mapped row.
    Mapped(usize),
    /// The n-th reject.
    Refused(usize),
}

impl Weighed<'_> {
    /// All rows in the order of the read, however it was cut into batches.
    pub(crate) fn places(&self) -> Vec<Place> {
        let (mut mapped, mut refused) = (0, 0);
        (0..self.rows)
            .map(|row| match self.mapped.source_rows.get(mapped) {
                Some(next) if *next as usize == row => {
                    mapped += 1;
                    Place::Mapped(mapped - 1)
                }
                _ => {
                    refused += 1;
                    Place::Refused(refused - 1)
                }
            })
            .collect()
    }

    /// What would happen to a row that is sent.
    pub(crate) fn op(&self, row: usize) -> PlanOp {
        match &self.entries[row] {
            Some(entry) if entry.match_hash.is_some() => PlanOp::Update,
            _ => PlanOp::Create,
        }
    }
}

/// Someone who is shown every batch, in the order of the read.
pub(crate) trait Beholder: Send {
    /// Everything shown so far was preliminary; it begins again.
    fn restart(&mut self) -> Result<()>;
    /// A batch.
    fn behold(&mut self, weighed: &Weighed<'_>) -> Result<()>;
}

/// Nobody looks on.
pub(crate) struct Nobody;

impl Beholder for Nobody {
    fn restart(&mut self) -> Result<()> {
        Ok(())
    }

    fn behold(&mut self, _weighed: &Weighed<'_>) -> Result<()> {
        Ok(())
    }
}

/// What is weighed, and with what.
pub(crate) struct Scale<'a> {
    pub(crate) sync: &'a Sync,
    pub(crate) ports: &'a Ports,
    pub(crate) prepared: &'a Arc<Prepared>,
    pub(crate) meta: &'a RunMeta,
    pub(crate) stop: &'a Stop,
    /// The stored watermark before.
    pub(crate) stored: Option<&'a StoredWatermark>,
}

/// Weighed rows.
pub(crate) struct Kept {
    /// Where they wait.
    pub(crate) spool: Arc<Spool>,
    /// What their reads said.
    pub(crate) facts: Arc<Mutex<Facts>>,
}

/// The page of a run whose rows are weighed: where every row is compared, that page has those of the others too.
pub(crate) fn weighed_page(pages: &[Page]) -> Option<&Page> {
    pages.iter().find(|page| page.part == Part::Compare).or(pages.first())
}

/// How a weighing ended.
pub(crate) enum Ended {
    /// Everything was weighed, and waits in the spool to be taken again.
    Complete(Box<Weight>, Kept),
    /// It was told to stop.
    Drained,
}

impl Scale<'_> {
    /// Reads `pages` to their end and weighs every row. A second look at the spool is taken only when new rows of the
    /// read want one record, which the first look cannot know in time.
    pub(crate) async fn weigh(
        &self,
        pages: Vec<Page>,
        beholder: &mut dyn Beholder,
    ) -> Result<Ended> {
        let spool = Spool::keeping(&self.ports.spool_dir, self.ports.spool)?;
        let Some(page) = weighed_page(&pages) else {
            return Err(Error::new(&codes::E4007, "a run without a page"));
        };
        let (part, whole) = (page.part, matches!(page.request.scope, Scope::All));
        let facts = Arc::<Mutex<Facts>>::default();
        let (sync, drain) = (Arc::new(self.sync.clone()), self.stop.drain.clone());
        let reading = Reading::new((sync, self.ports), pages, drain, Arc::clone(&facts));
        let _reader = AbortOnDropHandle::new(tokio::spawn(reading.fill(Arc::clone(&spool))));
        let mut twins = Twins::new(&self.ports.spool_dir);
        let about = (&spool, part);
        let mut noted = Noted::new(self.sync, whole);
        let contest = &mut Contest::Watched(&mut twins);
        let mut weight = self.pass(about, (contest, &mut noted), beholder).await?;
        let mut wanted = twins.found()?;
        if !wanted.is_empty() && !self.stop.drain.is_cancelled() {
            spool.replay(true);
            beholder.restart()?;
            noted = Noted::new(self.sync, whole);
            let contest = &mut Contest::Judged(&mut wanted);
            weight = self.pass(about, (contest, &mut noted), beholder).await?;
        }
        if self.stop.drain.is_cancelled() {
            return Ok(Ended::Drained);
        }
        spool.replay(false);
        weight.known = self.ports.store.known_rows(&self.sync.name).await?;
        let rows_max = self.prepared.limits.rows_max;
        let rows_per_call =
            self.sync.delivery.batch_rows.unwrap_or(rows_max).min(rows_max).max(1) as u64;
        let found = weight.create + weight.update - weight.renamed;
        weight.left = noted.weigh(self).await?;
        weight.requests = found.div_ceil(rows_per_call)
            + weight.renamed.div_ceil(rows_per_call)
            + weight.left.due.div_ceil(rows_per_call);
        weight.diagnosis.whole(whole);
        Ok(Ended::Complete(Box::new(weight), Kept { spool, facts }))
    }

    /// Weighs everything in the spool once.
    async fn pass(
        &self,
        (spool, part): (&Arc<Spool>, Part),
        (contest, noted): (&mut Contest<'_, '_>, &mut Noted),
        beholder: &mut dyn Beholder,
    ) -> Result<Weight> {
        let sync = Arc::new(self.sync.clone());
        let about = (Arc::clone(self.prepared), self.meta.clone());
        let mapping = Mapping::new(sync, self.ports, about);
        let (sender, mut chunks) = mpsc::channel(CHUNKS_WAITING);
        let metrics = Arc::clone(&self.ports.metrics);
        let mapper = mapping.map_spool(Arc::clone(spool), metrics, sender);
        let _mapper = AbortOnDropHandle::new(tokio::spawn(mapper));
        let mut weight = Weight { diagnosis: Diagnosis::new(self.sync), ..Weight::default() };
        loop {
            let chunk = tokio::select! {
                biased;
                () = self.stop.abort.cancelled() => {
                    return Err(Error::new(&codes::E4004, "aborted by a second signal; nothing was sent"));
                }
                chunk = chunks.recv() => chunk,
            };
            match chunk {
                Some(Ok(Some(chunk))) if chunk.part != part => {}
                Some(Ok(Some(chunk))) => {
                    self.add(&mut weight, &chunk, (contest, noted), beholder).await?;
                }
                Some(Ok(None)) => return Ok(weight),
                Some(Err(error)) => return Err(error),
                None => {
                    return Err(Error::new(&codes::E4007, "the mapping ended without an end"));
                }
            }
        }
    }

    async fn add(
        &self,
        weight: &mut Weight,
        chunk: &Chunk,
        (contest, noted): (&mut Contest<'_, '_>, &mut Noted),
        beholder: &mut dyn Beholder,
    ) -> Result<()> {
        let mapped = &chunk.mapped;
        let store = self.ports.store.as_ref();
        let Known { entries, mut verdicts, asked, mut owners } =
            Known::ask(store, &self.sync.name, (mapped, None), false).await?;
        let about = (self.prepared, self.meta);
        let contested = diff::contested(mapped, (&asked, &owners));
        let left = ownership::left(self.sync, self.ports, about, contested).await?;
        noted.see(chunk, left.keys());
        for owner in &mut owners {
            *owner = owner.take().filter(|owner| !left.contains_key(owner));
        }
        diff::settle_conflicts(mapped, (&asked, &owners), &mut verdicts);
        contest.settle(mapped, &asked, &mut verdicts)?;
        if self.prepared.limits.renames {
            let renamed = diff::renamed(mapped, (&asked, &owners), (&entries, &verdicts));
            // A value that another row had until now is found by it, not renamed to.
            let free = |row: &&usize| !left.values().any(|value| *value == mapped.matches[**row]);
            weight.renamed += renamed.iter().filter(free).count() as u64;
        }
        let reasons: Vec<Reason> = entries
            .iter()
            .zip(&chunk.changed_at)
            .map(|(entry, changed_at)| self.reason(entry.as_ref(), *changed_at))
            .collect();
        let weighed = Weighed {
            rows: chunk.source.num_rows(),
            mapped,
            verdicts: &verdicts,
            entries: &entries,
            reasons: &reasons,
        };
        weight.count(&weighed, &chunk.source);
        let reached = chunk.position.as_ref().and_then(|position| position.watermark);
        weight.reached = weight.reached.max(reached.map(|reached| reached.min(chunk.clock)));
        beholder.behold(&weighed)
    }

    /// Why a row would be sent, as far as the ledger and the row's watermark can say.
    fn reason(&self, entry: Option<&Entry>, changed_at: Option<i64>) -> Reason {
        let Some(entry) = entry.filter(|entry| entry.match_hash.is_some()) else {
            return Reason::First;
        };
        if entry.acknowledged.is_none() {
            return Reason::Unconfirmed;
        }
        let seen_before = |stored: &StoredWatermark| {
            changed_at.is_some_and(|at| Watermark(at) <= stored.watermark)
        };
        match self.stored {
            Some(stored) if stored.mapping != mapping_name(self.sync) && seen_before(stored) => {
                Reason::Mapping
            }
            _ => Reason::Data,
        }
    }
}

/// What is known about new rows that want one record.
enum Contest<'a, 'd> {
    /// Nothing yet: who wants what is written down.
    Watched(&'a mut Twins<'d>),
    /// All: the first one gets it.
    Judged(&'a mut Wanted),
}

impl Contest<'_, '_> {
    fn settle(&mut self, mapped: &Mapped, asked: &[usize], verdicts: &mut [Verdict]) -> Result<()> {
        for row in asked {
            if verdicts[*row] != Verdict::Send {
                continue;
            }
            match self {
                Self::Watched(twins) => twins.add(mapped.matches[*row])?,
                Self::Judged(wanted) => {
                    if wanted.take(mapped.matches[*row]) {
                        verdicts[*row] = Verdict::Conflict;
                    }
                }
            }
        }
        Ok(())
    }
}

impl Weight {
    fn count(&mut self, weighed: &Weighed<'_>, source: &RecordBatch) {
        let Weighed { mapped, verdicts, reasons, .. } = weighed;
        self.read += source.num_rows() as u64;
        let mut about = Vec::new();
        for (row, verdict) in verdicts.iter().enumerate() {
            let source_row = mapped.source_rows[row] as usize;
            match verdict {
                Verdict::Unchanged { .. } => self.unchanged += 1,
                // Nothing is left while there is no plan to pick from.
                Verdict::Left => {}
                Verdict::Held => {
                    self.held += 1;
                    self.refuse(&codes::R403, None);
                    about.push((source_row, About::Refused));
                }
                Verdict::Conflict => {
                    self.conflicts += 1;
                    self.refuse(&codes::R401, None);
                    about.push((source_row, About::Refused));
                }
                Verdict::Send => {
                    *self.reasons.entry(reasons[row]).or_default() += 1;
                    match weighed.op(row) {
                        PlanOp::Create | PlanOp::Remove => self.create += 1,
                        PlanOp::Update => {
                            self.update += 1;
                            about.push((source_row, About::Changed));
                        }
                    }
                }
            }
        }
        self.invalid += mapped.rejects.len() as u64;
        for (reject, row) in mapped.rejects.iter().zip(refused_rows(mapped, source.num_rows())) {
            self.refuse(reject.code, reject.field.clone());
            about.extend([(row, About::Invalid), (row, About::Refused)]);
            if let Some(field) = &reject.field {
                self.diagnosis.see_field(About::Invalid, field);
                self.diagnosis.see_field(About::Refused, field);
            }
        }
        self.diagnosis.see(source, &about);
    }
}

/// Which rows of the batch the rejects are: those that are not among the mapped ones, in order.
fn refused_rows(mapped: &Mapped, rows: usize) -> Vec<usize> {
    let mut sent = mapped.source_rows.iter().peekable();
    (0..rows).filter(|row| sent.next_if(|next| **next as usize == *row).is_none()).collect()
}

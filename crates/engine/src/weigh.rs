//! Weighing: everything a run would do is read, mapped and compared before the first request, and the rows wait in the
//! spool. A plan is a weighing of which nothing is sent; a run with guards weighs first and then sends the same rows.

use std::sync::{Arc, Mutex};

use flow::{Entry, Error, Key, Result, Scope, StoredWatermark, Watermark};
use transform::{Mapped, RunMeta};

use crate::before::Past;
use crate::diagnosis::{Common, Diagnosis};
use crate::diff::{self, Verdict};
use crate::groups::{self, Groups};
use crate::guard::Guard;
use crate::intake::{Chunk, Facts, Mapping, Reading};
use crate::known::Known;
use crate::left::Noted;
use crate::ownership;
use crate::plan::PlanOp;
use crate::plan_file::Change;
use crate::prepare::{Prepared, asked};
use crate::remembered;
use crate::request::{Page, Part, mapping_name};
use crate::spool::Spool;
use crate::twins::{Twins, Wanted};
use crate::weight::{Reason, Weight};
use crate::{Ports, Stop, Sync, codes};

/// Remembered payloads looked at in one go.
const PAGE_ROWS: usize = 10_000;

/// Whether fields are compared with what the destination has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compare {
    /// Nobody asks.
    No,
    /// With what is remembered.
    Remembered,
    /// With the records as they are.
    Live,
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
    /// Of every mapped row that would be sent: its fields, from what to what. Empty where nobody asks.
    pub(crate) changes: &'a [Vec<Change>],
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
    /// A row that left the model and whose record would be removed; after all batches.
    fn behold_gone(&mut self, key: &Key, entry: &Entry) -> Result<()>;
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

    fn behold_gone(&mut self, _key: &Key, _entry: &Entry) -> Result<()> {
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
    /// Whether fields are compared, and with what.
    pub(crate) compare: Compare,
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
        let _reader = reading.start(&spool);
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
        if weight.emptied > 0 && self.sync.guards.max_null_out.is_some() {
            weight.filled = self.filled(&weight).await?;
        }
        let rows_max = self.prepared.limits.rows_max;
        let rows_per_call =
            self.sync.delivery.batch_rows.unwrap_or(rows_max).min(rows_max).max(1) as u64;
        let found = weight.create + weight.update - weight.renamed;
        weight.left = noted.weigh(self, beholder).await?;
        weight.requests = found.div_ceil(rows_per_call)
            + weight.renamed.div_ceil(rows_per_call)
            + weight.left.due.div_ceil(rows_per_call);
        weight.diagnosis.whole(whole);
        weight.gone_common = self.gone_common(&weight).await?;
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
        let (mut chunks, _mapper) = mapping.start(spool, &self.ports.metrics);
        let mut weight = Weight { diagnosis: Diagnosis::new(self.sync), ..Weight::default() };
        loop {
            let chunk = tokio::select! {
                biased;
                () = self.stop.abort.cancelled() => {
                    return Err(Error::new(&codes::E4004, "aborted by a second signal; nothing was sent"));
                }
                chunk = chunks.next() => chunk?,
            };
            match chunk {
                Some(chunk) if chunk.part != part => {}
                Some(chunk) => self.add(&mut weight, &chunk, (contest, noted), beholder).await?,
                None => return Ok(weight),
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
            Known::ask(store, &self.sync.name, (mapped, None), self.prepared.resend).await?;
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
        let changes = self.changes(mapped, (&verdicts, &entries)).await?;
        let weighed = Weighed {
            rows: chunk.source.num_rows(),
            mapped,
            verdicts: &verdicts,
            entries: &entries,
            reasons: &reasons,
            changes: &changes,
        };
        weight.count(&weighed, &chunk.source);
        let reached = chunk.position.as_ref().and_then(|position| position.watermark);
        weight.reached = weight.reached.max(reached.map(|reached| reached.min(chunk.clock)));
        beholder.behold(&weighed)
    }

    /// The fields of every row that would be sent, from what to what.
    async fn changes(
        &self,
        mapped: &Mapped,
        (verdicts, entries): (&[Verdict], &[Option<Entry>]),
    ) -> Result<Vec<Vec<Change>>> {
        if self.compare == Compare::No {
            return Ok(Vec::new());
        }
        let live = self.compare == Compare::Live;
        let past = Past::new((self.sync, self.ports), self.prepared, live);
        let before = past.of(mapped, (verdicts, entries)).await?;
        let sent = verdicts.iter().zip(&before).enumerate();
        Ok(sent
            .map(|(row, (verdict, before))| match verdict {
                Verdict::Send => past.changes(&mapped.payload, (row, before.as_ref())),
                _ => Vec::new(),
            })
            .collect())
    }

    /// Filled values as last acknowledged, in one pass over what is remembered. Rows of which nothing is remembered
    /// count as the rows that were looked at do on average.
    async fn filled(&self, weight: &Weight) -> Result<u64> {
        let (mut rows, mut filled, mut after) = (0, 0, None);
        loop {
            let store = &self.ports.store;
            let page = store.payloads_after(&self.sync.name, after.as_ref(), PAGE_ROWS).await?;
            rows += page.iter().filter(|(key, _)| groups::is_row(key)).count() as u64;
            filled += page.iter().map(|(_, bytes)| remembered::filled(bytes)).sum::<u64>();
            let last = page.len() < PAGE_ROWS;
            after = page.into_iter().next_back().map(|(key, _)| key);
            if last {
                let blank = weight.known.saturating_sub(rows) as f64;
                let (seen, values) = weight.seen_filled;
                let each = values as f64 / seen.max(1) as f64;
                return Ok(filled + (blank * each).round() as u64);
            }
        }
    }

    /// What the rows that left have in common, where there are too many of them.
    async fn gone_common(&self, weight: &Weight) -> Result<Vec<Common>> {
        let rulings = weight.rulings(self.sync);
        if !rulings.iter().any(|ruling| ruling.stopped && ruling.guard == Guard::MaxRemoved) {
            return Ok(Vec::new());
        }
        let store = self.ports.store.as_ref();
        match Groups::of(self.sync, store).await? {
            Some(groups) => groups.common(store, (&self.sync.name, &weight.left.gone)).await,
            None => Ok(Vec::new()),
        }
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

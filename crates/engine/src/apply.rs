//! Applying a plan: exactly its rows are sent, by the way a run goes, or nothing is. The warehouse is read again first; a
//! row that is not what was planned refuses the plan, and a row that changed only since then is left for the next run.

use std::collections::HashMap;
use std::sync::Arc;

use flow::{Entry, Fingerprint, GoneHow, Key, Lease, Result, Scope, Store, Target, Watermark};
use transform::Mapped;
use xxhash_rust::xxh3::xxh3_128;

use crate::diff::Verdict;
use crate::guard::{Guard, allow, rulings};
use crate::plan::PlanOp;
use crate::plan_file::{Header, PlanFile, PlanRows, PlannedRow};
use crate::request::{Remembered, changed_since, page};
use crate::run::{Job, advance, execute};
use crate::weigh::{Beholder, Place, Weighed};
use crate::weight::Reason;
use crate::{Ports, Ruling, RunFailure, RunOptions, RunReport, Sync, Watch, codes};

/// Rows of a plan looked at in one go.
const ROWS_AT_ONCE: usize = 10_000;

/// Names the configuration of a sync: what is read, what is sent where, and what guards it.
pub(crate) fn config_name(sync: &Sync) -> String {
    format!("{:032x}", xxh3_128(format!("{sync:?}").as_bytes()))
}

/// A plan that somebody approved.
#[derive(Clone)]
pub(crate) struct Approval {
    pub(crate) plan: Arc<PlanFile>,
    /// Guards it may pass.
    allowed: Vec<Guard>,
    /// The rows whose records it removes.
    removals: Removals,
}

/// Rows of a plan whose records are removed, by key.
pub(crate) type Removals = Arc<HashMap<Key, PlannedRow>>;

/// Does what the plan says. `allowed`: guards that may be passed, this once.
///
/// # Errors
/// As a run's; and `G010`, `G011`, `G012` when source, configuration or state moved on, and a guard's code where the plan
/// passes it and it is not allowed. Nothing was sent then.
pub async fn apply(
    (sync, origin): (&Sync, &str),
    ports: &Ports,
    (plan, allowed, mut options): (Arc<PlanFile>, Vec<Guard>, RunOptions),
    watch: &dyn Watch,
) -> Result<RunReport, RunFailure> {
    let lease = ports.store.acquire(&sync.name, ports.clock.now_micros()).await?;
    (options.rows_max, options.full_refresh) = (None, false);
    let remembered = Remembered::of(sync, ports).await?;
    let scope = match plan.header.whole {
        true => Scope::All,
        false => changed_since(sync, &remembered),
    };
    let removals = Arc::new(removals(&plan)?);
    let removes = sync.removed.is_some() && !removals.is_empty();
    let approval = Approval { plan, allowed, removals };
    let mut refused = approval.about(sync, origin).and_then(|()| approval.state(&remembered));
    if refused.is_ok() && approval.plan.header.drift {
        refused = approval.forget_acknowledged(ports.store.as_ref(), &lease).await;
    }
    let job = Job {
        approval: Some(approval),
        refused: refused.err(),
        guarded: true,
        removes,
        sees_all: removes,
        ..Job::new(vec![page(sync, scope, None)], advance(sync, remembered))
    };
    execute(sync, ports, &lease, (job, options), watch).await
}

fn removals(plan: &PlanFile) -> Result<HashMap<Key, PlannedRow>> {
    let (mut rows, mut found) = (plan.rows()?, HashMap::new());
    while let Some(row) = rows.next()? {
        if let Some(key) = row.key.clone().filter(|_| row.is_removal()) {
            found.insert(key, row);
        }
    }
    Ok(found)
}

impl Approval {
    /// Whether the plan is about this sync as it is configured now.
    fn about(&self, sync: &Sync, origin: &str) -> Result<()> {
        let header = &self.plan.header;
        let what = if header.sync != sync.name {
            format!("the plan is of the sync `{}`", header.sync)
        } else if header.origin != origin {
            format!("the plan was made in {}, and this is {origin}", header.origin)
        } else if header.config != config_name(sync) {
            format!("the configuration of `{}` changed since the plan was made", sync.name)
        } else {
            return Ok(());
        };
        Err(flow::Error::new(&codes::G011, what))
    }

    /// Whether the sync has come as far as it had when the plan was made.
    fn state(&self, remembered: &Remembered) -> Result<()> {
        let header = &self.plan.header;
        if header.watermark == Header::watermark_of(remembered)
            && header.mark == Header::mark_of(remembered)
        {
            return Ok(());
        }
        let message = format!("`{}` has moved on since the plan was made", header.sync);
        Err(flow::Error::new(&codes::G012, message))
    }

    /// Rows whose record drifted are as they were acknowledged: they are sent once nobody knows that they were. Only if all
    /// of them still are.
    async fn forget_acknowledged(&self, store: &dyn Store, lease: &Lease) -> Result<()> {
        let mut rows = self.plan.rows()?;
        while let Some((keys, prints)) = some_rows(&mut rows)? {
            let entries = store.lookup(&lease.sync, &keys).await?;
            let now = entries.iter().map(|entry| entry.as_ref().and_then(|e| e.acknowledged));
            if !now.eq(prints.into_iter().map(Some)) {
                return Err(Moved::State.error(&lease.sync));
            }
        }
        let mut rows = self.plan.rows()?;
        while let Some((keys, _)) = some_rows(&mut rows)? {
            store.mark_dirty(lease, &keys).await?;
        }
        Ok(())
    }

    /// Whether it goes where the plan was to go.
    pub(crate) fn goes_to(&self, target: &Target) -> Result<()> {
        match self.plan.header.target == Header::of_target(target) {
            true => Ok(()),
            false => Err(flow::Error::new(
                &codes::G011,
                "the connection leads to another account than the plan's",
            )),
        }
    }

    /// What the guards say about the plan, and about what was allowed. An applied plan is an approved one.
    pub(crate) fn rulings(&self, sync: &Sync) -> Vec<Ruling> {
        let mut said = rulings(sync, &self.plan.header.counts, |_| Vec::new());
        let allowed = [self.allowed.as_slice(), &[Guard::FirstRun]].concat();
        allow(&mut said, &allowed);
        said
    }

    /// Where the watermark goes at most: where a run would have left it when the plan was made.
    pub(crate) fn reached(&self, before: Option<Watermark>) -> Option<Watermark> {
        self.plan.header.reached.map(Watermark).or(before)
    }

    /// Compares a weighing with the plan.
    pub(crate) fn verifier(&self) -> Result<Verifier> {
        Ok(Verifier {
            cursor: Cursor::new(&self.plan)?,
            plan: Arc::clone(&self.plan),
            found: None,
            removals: Arc::clone(&self.removals),
            gone: HashMap::clone(&self.removals),
        })
    }

    /// The rows whose records the plan removes.
    pub(crate) fn removals(&self) -> Removals {
        Arc::clone(&self.removals)
    }

    /// Picks the plan's rows out of a read.
    pub(crate) fn picker(&self) -> Result<Picker> {
        Ok(Picker { cursor: Cursor::over(self.plan.named_rows()?)?, drift: self.plan.header.drift })
    }
}

/// The next rows of a plan that have a payload, by key and fingerprint; `None` after the last.
fn some_rows(rows: &mut PlanRows) -> Result<Option<(Vec<Key>, Vec<Fingerprint>)>> {
    let mut some = (Vec::new(), Vec::new());
    while some.0.len() < ROWS_AT_ONCE
        && let Some(row) = rows.next()?
    {
        some.extend(row.key.zip(row.fingerprint));
    }
    Ok((!some.0.is_empty()).then_some(some))
}

/// A place in a plan.
struct Cursor {
    rows: PlanRows,
    head: Option<PlannedRow>,
}

impl Cursor {
    fn new(plan: &PlanFile) -> Result<Self> {
        Self::over(plan.rows()?)
    }

    fn over(rows: PlanRows) -> Result<Self> {
        let mut cursor = Self { rows, head: None };
        cursor.head = cursor.next()?;
        Ok(cursor)
    }

    /// The next row of the read; those that are not in it come after all others.
    fn next(&mut self) -> Result<Option<PlannedRow>> {
        Ok(self.rows.next()?.filter(|row| !row.is_removal()))
    }

    /// The planned row, if it is the next one in the plan; the one after it is next then.
    fn take(&mut self, key: Option<&Key>) -> Result<Option<PlannedRow>> {
        match &self.head {
            Some(head) if head.key.as_ref() == key => {
                let next = self.next()?;
                Ok(std::mem::replace(&mut self.head, next))
            }
            _ => Ok(None),
        }
    }
}

/// What moved on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moved {
    Source,
    State,
}

impl Moved {
    fn error(self, sync: &str) -> flow::Error {
        let (code, what) = match self {
            Self::Source => (&codes::G010, "rows of the plan have changed in the warehouse"),
            Self::State => (&codes::G012, "rows of the plan have been sent or refused"),
        };
        flow::Error::new(code, format!("`{sync}`: {what} since the plan was made"))
    }
}

/// Holds a weighing against the plan.
pub(crate) struct Verifier {
    plan: Arc<PlanFile>,
    cursor: Cursor,
    found: Option<Moved>,
    removals: Removals,
    /// Of these, the ones that were not seen yet.
    gone: HashMap<Key, PlannedRow>,
}

impl Verifier {
    /// Whether every row of the plan was there, as planned, and every row whose record it removes was not.
    pub(crate) async fn verdict(self, store: &dyn Store) -> Result<()> {
        let moved = match (self.found, self.cursor.head, self.gone.keys().next()) {
            (Some(moved), ..) => moved,
            (None, Some(_), _) => Moved::Source,
            (None, None, None) => return Ok(()),
            (None, None, Some(key)) => {
                let known = store.lookup(&self.plan.header.sync, std::slice::from_ref(key)).await?;
                let is_open = |entry: Entry| {
                    entry.gone.is_none_or(|gone| gone.how != GoneHow::Settled)
                        && entry.rejected.is_none()
                };
                match known.into_iter().flatten().next().is_some_and(is_open) {
                    true => Moved::Source,
                    false => Moved::State,
                }
            }
        };
        Err(moved.error(&self.plan.header.sync))
    }

    fn differs(&mut self, moved: Moved) {
        self.found.get_or_insert(moved);
    }
}

impl Beholder for Verifier {
    fn restart(&mut self) -> Result<()> {
        (self.cursor, self.found) = (Cursor::new(&self.plan)?, None);
        self.gone = HashMap::clone(&self.removals);
        Ok(())
    }

    fn behold(&mut self, weighed: &Weighed<'_>) -> Result<()> {
        for place in weighed.places() {
            let now = planned(weighed, place);
            let key = key_at(weighed, place);
            let Some(planned) = self.cursor.take(key)? else { continue };
            match now {
                Some(now) if now == planned => {}
                // The same payload, and something else is to be done about it: that is the ledger.
                _ if fingerprint_at(weighed, place) == planned.fingerprint
                    && planned.fingerprint.is_some() =>
                {
                    self.differs(Moved::State);
                }
                _ => self.differs(Moved::Source),
            }
        }
        Ok(())
    }

    fn behold_gone(&mut self, key: &Key, entry: &Entry) -> Result<()> {
        // Who left only since then is not in the plan, and is left for the next run.
        if let Some(planned) = self.gone.remove(key)
            && planned != planned_removal(key, entry)
        {
            self.differs(Moved::State);
        }
        Ok(())
    }
}

fn key_at<'a>(weighed: &'a Weighed<'_>, place: Place) -> Option<&'a Key> {
    match place {
        Place::Mapped(row) => Some(&weighed.mapped.keys[row]),
        Place::Refused(row) => weighed.mapped.rejects[row].key.as_ref(),
    }
}

fn fingerprint_at(weighed: &Weighed<'_>, place: Place) -> Option<Fingerprint> {
    match place {
        Place::Mapped(row) => Some(weighed.mapped.fingerprints[row]),
        Place::Refused(_) => None,
    }
}

/// The row as a plan has it, without its values; `None` where there is nothing to do about it.
pub(crate) fn planned(weighed: &Weighed<'_>, place: Place) -> Option<PlannedRow> {
    let row = match place {
        Place::Mapped(row) => row,
        Place::Refused(row) => {
            let reject = &weighed.mapped.rejects[row];
            return Some(PlannedRow {
                key: reject.key.clone(),
                op: "invalid".to_owned(),
                code: Some(reject.code.id.to_owned()),
                field: reject.field.clone(),
                ..PlannedRow::default()
            });
        }
    };
    let entry = weighed.entries[row].as_ref();
    let planned = PlannedRow {
        key: Some(weighed.mapped.keys[row].clone()),
        fingerprint: Some(weighed.mapped.fingerprints[row]),
        prior: entry.and_then(|entry| entry.acknowledged),
        ..PlannedRow::default()
    };
    let invalid = |code: &flow::Code| PlannedRow {
        op: "invalid".to_owned(),
        code: Some(code.id.to_owned()),
        ..planned.clone()
    };
    match weighed.verdicts[row] {
        Verdict::Unchanged { .. } | Verdict::Left => None,
        Verdict::Held => Some(invalid(&codes::R403)),
        Verdict::Conflict => Some(invalid(&codes::R401)),
        Verdict::Send => Some(PlannedRow {
            op: weighed.op(row).as_str().to_owned(),
            reason: Some(weighed.reasons[row].as_str().to_owned()),
            ..planned
        }),
    }
}

/// The row as a plan has it that removes its record, without what is set in it.
pub(crate) fn planned_removal(key: &Key, entry: &Entry) -> PlannedRow {
    PlannedRow {
        key: Some(key.clone()),
        op: PlanOp::Remove.as_str().to_owned(),
        reason: Some(Reason::Gone.as_str().to_owned()),
        prior: entry.acknowledged,
        ..PlannedRow::default()
    }
}

impl PlannedRow {
    /// It is not in the read: its record is removed.
    pub(crate) fn is_removal(&self) -> bool {
        self.op == PlanOp::Remove.as_str()
    }
}

/// Picks the plan's rows out of a read, in the order of both.
pub(crate) struct Picker {
    cursor: Cursor,
    /// A row is written without the fields that the plan leaves alone.
    drift: bool,
}

/// What was picked of a batch.
#[derive(Default)]
pub(crate) struct Picked {
    /// Rows that the plan does not send since another row has their record.
    pub(crate) invalid: Vec<usize>,
    /// Columns and rows of the payload that are left alone.
    pub(crate) left_alone: Vec<(usize, usize)>,
    /// Rows whose record is not found by its match value any more, but by its id.
    pub(crate) by_id: Vec<usize>,
}

impl Picker {
    /// Turns rows to send that are not in the plan into rows that are left.
    pub(crate) fn pick(
        &mut self,
        (mapped, match_on): (&Mapped, &[(String, String)]),
        verdicts: &mut [Verdict],
    ) -> Result<Picked> {
        let cursor = &mut self.cursor;
        let mut picked = Picked::default();
        for (row, (key, verdict)) in mapped.keys.iter().zip(verdicts).enumerate() {
            // Rows the mapping refused are in the plan, and not among these.
            while cursor.head.as_ref().is_some_and(|head| head.fingerprint.is_none()) {
                cursor.head = cursor.next()?;
            }
            match cursor.take(Some(key))? {
                Some(planned) if planned.op == "invalid" => picked.invalid.push(row),
                Some(planned) if self.drift => picked.put_back((mapped, match_on), row, &planned),
                Some(_) => {}
                None if *verdict == Verdict::Send => *verdict = Verdict::Left,
                None => {}
            }
        }
        Ok(picked)
    }
}

impl Picked {
    fn put_back(
        &mut self,
        (mapped, match_on): (&Mapped, &[(String, String)]),
        row: usize,
        planned: &PlannedRow,
    ) {
        let found_by = |field: &str| match_on.iter().any(|(name, _)| name == field);
        let edited = planned.values.iter().filter(|change| change.changed == Some(true));
        if edited.into_iter().any(|change| found_by(&change.field)) {
            self.by_id.push(row);
        }
        let fields = mapped.payload.fields.schema_ref().fields().iter();
        let others = fields.enumerate().filter(|(_, field)| {
            !planned.values.iter().any(|change| change.field == *field.name())
        });
        self.left_alone.extend(others.map(|(column, _)| (column, row)));
    }
}

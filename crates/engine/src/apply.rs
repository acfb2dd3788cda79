//! Applying a plan: exactly its rows are sent, by the way a run goes, or nothing is. The warehouse is read again first; a
//! row that is not what was planned refuses the plan, and a row that changed only since then is left for the next run.

use std::sync::Arc;

use flow::{Fingerprint, Key, Result, Scope, Target, Watermark};
use transform::Mapped;
use xxhash_rust::xxh3::xxh3_128;

use crate::diff::Verdict;
use crate::guard::{Guard, allow, rulings};
use crate::plan_file::{Header, PlanFile, PlanRows, PlannedRow};
use crate::request::{Remembered, changed_since, page};
use crate::run::{Job, advance, execute};
use crate::weigh::{Beholder, Place, Weighed};
use crate::{Ports, Ruling, RunFailure, RunOptions, RunReport, Sync, Watch, codes};

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
}

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
    let approval = Approval { plan, allowed };
    let refused = approval.about(sync, origin).and_then(|()| approval.state(&remembered));
    let job = Job {
        approval: Some(approval),
        refused: refused.err(),
        guarded: true,
        ..Job::new(vec![page(sync, scope, None)], advance(sync, remembered))
    };
    execute(sync, ports, &lease, (job, options), watch).await
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
        let mut said = rulings(&sync.guards, &self.plan.header.counts, |_| Vec::new());
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
        Ok(Verifier { cursor: Cursor::new(&self.plan)?, plan: Arc::clone(&self.plan), found: None })
    }

    /// Picks the plan's rows out of a read.
    pub(crate) fn picker(&self) -> Result<Picker> {
        Ok(Picker(Cursor::new(&self.plan)?))
    }
}

/// A place in a plan.
struct Cursor {
    rows: PlanRows,
    head: Option<PlannedRow>,
}

impl Cursor {
    fn new(plan: &PlanFile) -> Result<Self> {
        let mut rows = plan.rows()?;
        let head = rows.next()?;
        Ok(Self { rows, head })
    }

    /// The planned row, if it is the next one in the plan; the one after it is next then.
    fn take(&mut self, key: Option<&Key>) -> Result<Option<PlannedRow>> {
        match &self.head {
            Some(head) if head.key.as_ref() == key => {
                let next = self.rows.next()?;
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

/// Holds a weighing against the plan.
pub(crate) struct Verifier {
    plan: Arc<PlanFile>,
    cursor: Cursor,
    found: Option<Moved>,
}

impl Verifier {
    /// Whether every row of the plan was there, as planned.
    pub(crate) fn verdict(self) -> Result<()> {
        let moved = match (self.found, self.cursor.head) {
            (Some(moved), _) => moved,
            (None, Some(_)) => Moved::Source,
            (None, None) => return Ok(()),
        };
        let (code, what) = match moved {
            Moved::Source => (&codes::G010, "rows of the plan have changed in the warehouse"),
            Moved::State => (&codes::G012, "rows of the plan have been sent or refused"),
        };
        let sync = &self.plan.header.sync;
        Err(flow::Error::new(code, format!("`{sync}`: {what} since the plan was made")))
    }

    fn differs(&mut self, moved: Moved) {
        self.found.get_or_insert(moved);
    }
}

impl Beholder for Verifier {
    fn restart(&mut self) -> Result<()> {
        (self.cursor, self.found) = (Cursor::new(&self.plan)?, None);
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

/// Picks the plan's rows out of a read, in the order of both.
pub(crate) struct Picker(Cursor);

impl Picker {
    /// Turns rows to send that are not in the plan into rows that are left, and gives those that the plan does not send
    /// since another row has their record.
    pub(crate) fn pick(&mut self, mapped: &Mapped, verdicts: &mut [Verdict]) -> Result<Vec<usize>> {
        let cursor = &mut self.0;
        let mut invalid = Vec::new();
        for (row, (key, verdict)) in mapped.keys.iter().zip(verdicts).enumerate() {
            // Rows the mapping refused are in the plan, and not among these.
            while cursor.head.as_ref().is_some_and(|head| head.fingerprint.is_none()) {
                cursor.head = cursor.rows.next()?;
            }
            match cursor.take(Some(key))? {
                Some(planned) if planned.op == "invalid" => invalid.push(row),
                Some(_) => {}
                None if *verdict == Verdict::Send => *verdict = Verdict::Left,
                None => {}
            }
        }
        Ok(invalid)
    }
}

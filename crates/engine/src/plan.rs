//! What a run would do now: weighs its rows as a run with guards does, and sends nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flow::{Entry, Error, Finding, Key, Result, Scope, Watermark};
use transform::RunMeta;

use crate::apply::{config_name, planned, planned_removal};
use crate::before::written;
use crate::diff::Verdict;
use crate::forecast::Forecast;
use crate::guard::Ruling;
use crate::plan_file::{Change, Header, PlanWriter, PlannedRow};
use crate::prepare::{Prepared, mapping_error, prepare, setter};
use crate::preview::run_meta;
use crate::request::{Remembered, page, scope_of_plan};
use crate::target::target;
use crate::weigh::{Beholder, Compare, Ended, Place, Scale, Weighed, model_rows};
use crate::weight::{Reason, Weight};
use crate::{Ports, Stop, Sync, codes};

/// Rows shown as samples, per operation.
const SAMPLES: usize = 3;

/// What a run would do.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// Rows read.
    pub read: u64,
    /// Rows of the model, where a guard asked for it.
    pub model_rows: Option<u64>,
    /// Rows that would be sent for the first time.
    pub create: u64,
    /// Rows whose payload changed.
    pub update: u64,
    /// Rows with nothing to send.
    pub unchanged: u64,
    /// Rows that would be refused before sending, or are held back since they were refused.
    pub invalid: u64,
    /// Records that would be removed, since their row left the model.
    pub removed: u64,
    /// Rows that left the model and are not acted on yet, since their grace is not over.
    pub removed_later: u64,
    /// Rows that left the model and need nothing.
    pub removed_ignored: u64,
    /// Rows that left the model and whose record cannot be removed.
    pub removed_failed: u64,
    /// Rows to send by why they are.
    pub reasons: Vec<(Reason, u64)>,
    /// Rows to update by field that changes, the most frequent first.
    pub fields: Vec<(String, u64)>,
    /// Rows to update of which nobody knows what changes.
    pub unknown: u64,
    /// What the guards say.
    pub rulings: Vec<Ruling>,
    /// The stored watermark.
    pub from: Option<Watermark>,
    /// A few of the rows that would be sent.
    pub samples: Vec<PlanRow>,
    /// Invalid rows by code and field.
    pub rejects: Vec<RejectGroup>,
    /// Write calls it would take.
    pub requests: u64,
    /// What these cost at the present limits.
    pub forecast: Forecast,
    /// Advice from the check of the model.
    pub findings: Vec<Finding>,
    /// SHA-256 of the plan's file, where one was written.
    pub sha256: Option<String>,
}

/// What would happen to a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlanOp {
    /// Sent for the first time.
    Create,
    /// Sent since its payload changed.
    Update,
    /// Its record is removed, since the row left the model.
    Remove,
}

impl PlanOp {
    /// The word in plans.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Remove => "remove",
        }
    }
}

/// One row that would be sent.
#[derive(Debug, Clone)]
pub struct PlanRow {
    /// Its primary key.
    pub key: Key,
    /// What would happen.
    pub op: PlanOp,
    /// Why.
    pub reason: Reason,
    /// Its fields, from what to what. Fields that are left alone are not listed.
    pub fields: Vec<Change>,
}

/// Rows refused for one reason.
#[derive(Debug, Clone)]
pub struct RejectGroup {
    /// The documented code.
    pub code: &'static flow::Code,
    /// The field at fault, where known.
    pub field: Option<String>,
    /// How many rows.
    pub rows: u64,
}

/// How to plan.
#[derive(Debug, Clone, Default)]
pub struct PlanOptions {
    /// Where the exact rows are written, for [`crate::apply`].
    pub out: Option<PathBuf>,
    /// Compare with the destination's records as they are, not with what is remembered of them.
    pub live: bool,
    /// Project and environment, by name; a plan is applied where it was made.
    pub origin: String,
    /// How to stop early.
    pub stop: Stop,
}

/// Compares the rows a run would read now with the ledger.
///
/// # Errors
/// As a run's, before anything is sent; `E4034` when the file cannot be written.
pub async fn plan(sync: &Sync, ports: &Ports, options: &PlanOptions) -> Result<Plan> {
    let remembered = Remembered::of(sync, ports).await?;
    let stored = remembered.watermark.as_ref();
    let mut prepared = prepare(sync, ports).await?;
    let aim = target(sync, ports, &prepared.object).await?;
    prepared.resend = aim.resend();
    let prepared = Arc::new(prepared);
    let scope = scope_of_plan(sync, &remembered, ports.clock.now_micros());
    let counted = model_rows(sync, ports, &scope).await?;
    let meta = run_meta(sync, ports);
    let (stop, whole) = (&options.stop, matches!(scope, Scope::All));
    let compare = if options.live { Compare::Live } else { Compare::Remembered };
    let scale = Scale { sync, ports, prepared: &prepared, meta: &meta, stop, stored, compare };
    let set = removal_fields(sync, (&prepared, &meta))?;
    let mut writing = Writing::new(options.out.as_deref(), &set)?;
    let ended = scale.weigh(vec![page(sync, scope, None)], &mut writing).await?;
    let Ended::Complete(mut weight, _) = ended else {
        return Err(Error::new(&codes::E4004, "the plan was interrupted; nothing was sent"));
    };
    weight.count_model(counted);
    let mut plan = Plan::of(&weight);
    plan.forecast = Forecast::of(sync, ports, Some(plan.requests)).await;
    plan.rulings = weight.rulings(sync);
    plan.from = stored.map(|stored| stored.watermark);
    plan.findings.clone_from(&prepared.checked.findings);
    plan.findings.extend(weight.blind(&sync.guards));
    plan.samples = writing.samples;
    plan.samples.extend(weight.left.samples.iter().map(|key| removal(key, &set)));
    if let Some(writer) = writing.writer {
        let header = Header {
            sync: sync.name.clone(),
            origin: options.origin.clone(),
            made_at: meta.started_at,
            config: config_name(sync),
            target: Header::of_target(&aim.now),
            watermark: Header::watermark_of(&remembered),
            mark: Header::mark_of(&remembered),
            whole,
            reached: weight.reached.map(|reached| reached.0),
            counts: weight.counts(),
            drift: false,
        };
        plan.sha256 = Some(writer.finish(&header)?);
    }
    Ok(plan)
}

/// The fields that are set in the records of rows that left the model.
fn removal_fields(sync: &Sync, (prepared, meta): (&Prepared, &RunMeta)) -> Result<Vec<Change>> {
    Ok(match setter(sync, prepared).map_err(|errors| mapping_error(&errors))? {
        Some(setter) => written(&setter.payload(1, meta)?, 0),
        None => Vec::new(),
    })
}

fn removal(key: &Key, set: &[Change]) -> PlanRow {
    PlanRow { key: key.clone(), op: PlanOp::Remove, reason: Reason::Gone, fields: set.to_vec() }
}

impl Plan {
    /// Rows that would be sent.
    pub fn changes(&self) -> u64 {
        self.create + self.update + self.removed
    }

    fn of(weight: &Weight) -> Self {
        let groups = weight.groups.iter();
        Self {
            read: weight.read,
            model_rows: weight.model_rows,
            create: weight.create,
            update: weight.update,
            unchanged: weight.unchanged,
            invalid: weight.refused(),
            removed: weight.left.due,
            removed_later: weight.left.waiting,
            removed_ignored: weight.left.ignored,
            removed_failed: weight.left.failed,
            reasons: weight.reasons.iter().map(|(reason, rows)| (*reason, *rows)).collect(),
            fields: most_first(&weight.fields),
            unknown: weight.unknown,
            requests: weight.requests,
            rejects: groups
                .map(|((_, field), (code, rows))| RejectGroup {
                    code,
                    field: field.clone(),
                    rows: *rows,
                })
                .collect(),
            ..Self::default()
        }
    }
}

/// Keeps the first rows to be sent, per operation, and writes all rows of the plan to its file.
struct Writing<'a> {
    out: Option<&'a Path>,
    /// What is set in the records of rows that left the model.
    set: &'a [Change],
    writer: Option<PlanWriter>,
    samples: Vec<PlanRow>,
}

impl<'a> Writing<'a> {
    fn new(out: Option<&'a Path>, set: &'a [Change]) -> Result<Self> {
        Ok(Self { out, set, writer: out.map(PlanWriter::new).transpose()?, samples: Vec::new() })
    }

    fn sample(&mut self, weighed: &Weighed<'_>, row: usize) {
        let op = weighed.op(row);
        if self.samples.iter().filter(|known| known.op == op).count() < SAMPLES {
            let (mapped, reason) = (weighed.mapped, weighed.reasons[row]);
            let (key, fields) = (mapped.keys[row].clone(), weighed.changes[row].clone());
            self.samples.push(PlanRow { key, op, reason, fields });
        }
    }
}

impl Beholder for Writing<'_> {
    fn restart(&mut self) -> Result<()> {
        *self = Self::new(self.out, self.set)?;
        Ok(())
    }

    fn behold(&mut self, weighed: &Weighed<'_>) -> Result<()> {
        for (row, verdict) in weighed.verdicts.iter().enumerate() {
            if *verdict == Verdict::Send {
                self.sample(weighed, row);
            }
        }
        let Some(writer) = &mut self.writer else { return Ok(()) };
        for place in weighed.places() {
            let Some(planned) = planned(weighed, place) else { continue };
            let values = match place {
                Place::Mapped(row) => weighed.changes[row].clone(),
                _ => Vec::new(),
            };
            writer.push(PlannedRow { values, ..planned })?;
        }
        Ok(())
    }

    fn behold_gone(&mut self, key: &Key, entry: &Entry) -> Result<()> {
        match &mut self.writer {
            Some(writer) => {
                writer.push(PlannedRow { values: self.set.to_vec(), ..planned_removal(key, entry) })
            }
            None => Ok(()),
        }
    }
}

/// The most frequent first, those that are as frequent by name.
pub(crate) fn most_first(fields: &BTreeMap<String, u64>) -> Vec<(String, u64)> {
    let mut fields: Vec<(String, u64)> =
        fields.iter().map(|(field, rows)| (field.clone(), *rows)).collect();
    fields.sort_by_key(|(_, rows)| std::cmp::Reverse(*rows));
    fields
}

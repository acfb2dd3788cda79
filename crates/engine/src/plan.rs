//! What a run would do now: weighs its rows as a run with guards does, and sends nothing.

use std::sync::Arc;

use flow::arrow::array::Array;
use flow::{Error, Finding, Key, Result, Watermark, text_at};
use transform::Mapped;

use crate::diff::Verdict;
use crate::guard::{Ruling, rulings};
use crate::prepare::prepare;
use crate::preview::run_meta;
use crate::request::{Remembered, page, scope_of_plan};
use crate::target::target;
use crate::weigh::{Beholder, Ended, Reason, Scale, Weighed, Weight, model_rows};
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
    /// Records whose row left the model.
    pub removed: u64,
    /// Rows to send by why they are.
    pub reasons: Vec<(Reason, u64)>,
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
    /// Advice from the check of the model.
    pub findings: Vec<Finding>,
}

/// What would happen to a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlanOp {
    /// Sent for the first time.
    Create,
    /// Sent since its payload changed.
    Update,
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
    /// Field and value; `None` empties the field. Fields that are left alone are not listed.
    pub fields: Vec<(String, Option<String>)>,
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

/// Compares the rows a run would read now with the ledger.
///
/// # Errors
/// As a run's, before anything is sent.
pub async fn plan(sync: &Sync, ports: &Ports, stop: &Stop) -> Result<Plan> {
    let remembered = Remembered::of(sync, ports).await?;
    let stored = remembered.watermark.as_ref();
    let prepared = Arc::new(prepare(sync, ports).await?);
    target(sync, ports).await?;
    let scope = scope_of_plan(sync, &remembered, ports.clock.now_micros());
    let counted = model_rows(sync, ports, &scope).await?;
    let meta = run_meta(sync, ports);
    let scale = Scale { sync, ports, prepared: &prepared, meta: &meta, stop, stored };
    let mut samples = Samples::default();
    let ended = scale.weigh(vec![page(sync, scope, None)], &mut samples).await?;
    let Ended::Complete(mut weight, _) = ended else {
        return Err(Error::new(&codes::E4004, "the plan was interrupted; nothing was sent"));
    };
    weight.count_model(counted);
    let mut plan = Plan::of(&weight);
    plan.rulings = rulings(&sync.guards, &weight, &[]);
    plan.from = stored.map(|stored| stored.watermark);
    plan.findings.clone_from(&prepared.checked.findings);
    plan.samples = samples.rows;
    Ok(plan)
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
            removed: weight.removed,
            reasons: weight.reasons.iter().map(|(reason, rows)| (*reason, *rows)).collect(),
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

/// The first rows to be sent, per operation.
#[derive(Default)]
struct Samples {
    rows: Vec<PlanRow>,
}

impl Beholder for Samples {
    fn restart(&mut self) -> Result<()> {
        self.rows.clear();
        Ok(())
    }

    fn behold(&mut self, weighed: &Weighed<'_>) -> Result<()> {
        for (row, verdict) in weighed.verdicts.iter().enumerate() {
            let op = weighed.op(row);
            let full = self.rows.iter().filter(|known| known.op == op).count() >= SAMPLES;
            if *verdict == Verdict::Send && !full {
                let (mapped, reason) = (weighed.mapped, weighed.reasons[row]);
                let fields = fields(mapped, row);
                self.rows.push(PlanRow { key: mapped.keys[row].clone(), op, reason, fields });
            }
        }
        Ok(())
    }
}

fn fields(mapped: &Mapped, row: usize) -> Vec<(String, Option<String>)> {
    let payload = &mapped.payload;
    let columns = payload.fields.schema_ref().fields().iter().zip(payload.fields.columns());
    columns
        .enumerate()
        .filter(|(column, _)| !payload.is_absent(*column, row))
        .map(|(_, (field, column))| {
            let value = column.is_valid(row).then(|| text_at(column, row).into_owned());
            (field.name().clone(), value)
        })
        .collect()
}

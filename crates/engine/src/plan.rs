//! What a run would do now: reads, maps and compares as a run does, and sends nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use flow::arrow::array::Array;
use flow::{Error, Finding, Key, Result, Watermark, text_at};
use transform::{Mapped, RunMeta};

use crate::diff::{self, Verdict};
use crate::intake::Mapping;
use crate::known::Known;
use crate::ownership;
use crate::prepare::{Prepared, prepare};
use crate::preview::run_meta;
use crate::request::{Remembered, page, scope_of_plan};
use crate::spool::Item;
use crate::target::target;
use crate::{Ports, Stop, Sync, codes};

/// Rows shown as samples, per operation.
const SAMPLES: usize = 3;

/// What a run would do.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// Rows read.
    pub read: u64,
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

type Groups = BTreeMap<(&'static str, Option<String>), (&'static flow::Code, u64)>;

/// Compares the rows a run would read now with the ledger.
///
/// # Errors
/// As a run's, before anything is sent.
pub async fn plan(sync: &Sync, ports: &Ports, stop: &Stop) -> Result<Plan> {
    let remembered = Remembered::of(sync, ports).await?;
    let from = remembered.watermark.as_ref().map(|stored| stored.watermark);
    let prepared = Arc::new(prepare(sync, ports).await?);
    target(sync, ports).await?;
    let rows_max = prepared.limits.rows_max;
    let rows_per_call = sync.delivery.batch_rows.unwrap_or(rows_max).min(rows_max).max(1);
    let findings = prepared.checked.findings.clone();
    let mut plan = Plan { from, findings, ..Plan::default() };
    let mut groups = Groups::new();
    let about = (&prepared, &run_meta(sync, ports));
    let mut mapping = Mapping::new(Arc::new(sync.clone()), Arc::clone(&prepared), about.1.clone());
    let scope = scope_of_plan(sync, &remembered, ports.clock.now_micros());
    let request = page(sync, scope, None).request;
    let mut read = ports.source.read(request).await?;
    let opening = Arc::new(read.opening().clone());
    while let Some(batch) = read.next().await? {
        if stop.drain.is_cancelled() {
            return Err(Error::new(&codes::E4004, "the plan was interrupted; nothing was sent"));
        }
        let chunk = mapping.map(Item::of(batch, Arc::clone(&opening)))?;
        plan.read += chunk.rows;
        plan.add((sync, ports), about, (&chunk.mapped, &mut groups)).await?;
    }
    plan.requests = (plan.create + plan.update).div_ceil(rows_per_call as u64);
    plan.rejects = groups
        .into_iter()
        .map(|((_, field), (code, rows))| RejectGroup { code, field, rows })
        .collect();
    Ok(plan)
}

impl Plan {
    /// Rows that would be sent.
    pub fn changes(&self) -> u64 {
        self.create + self.update + self.removed
    }

    async fn add(
        &mut self,
        (sync, ports): (&Sync, &Ports),
        about: (&Arc<Prepared>, &RunMeta),
        (mapped, groups): (&Mapped, &mut Groups),
    ) -> Result<()> {
        let known = Known::ask(ports.store.as_ref(), &sync.name, mapped, false).await?;
        let Known { entries, mut verdicts, asked, mut owners } = known;
        let contested = diff::contested(mapped, (&asked, &owners));
        let left = ownership::left(sync, ports, about, contested).await?;
        for owner in &mut owners {
            *owner = owner.take().filter(|owner| !left.contains_key(owner));
        }
        diff::settle_conflicts(mapped, (&asked, &owners), &mut verdicts);
        let mut refuse = |plan: &mut Self, code: &'static flow::Code, field: Option<String>| {
            plan.invalid += 1;
            groups.entry((code.id, field)).or_insert((code, 0)).1 += 1;
        };
        for reject in &mapped.rejects {
            refuse(self, reject.code, reject.field.clone());
        }
        for (row, (verdict, entry)) in verdicts.iter().zip(&entries).enumerate() {
            let known = entry.as_ref().is_some_and(|entry| entry.match_hash.is_some());
            match verdict {
                Verdict::Unchanged { .. } => self.unchanged += 1,
                Verdict::Held => refuse(self, &codes::R403, None),
                Verdict::Conflict => refuse(self, &codes::R401, None),
                Verdict::Send if known => {
                    self.update += 1;
                    self.sample(mapped, row, (PlanOp::Update, self.update));
                }
                Verdict::Send => {
                    self.create += 1;
                    self.sample(mapped, row, (PlanOp::Create, self.create));
                }
            }
        }
        Ok(())
    }

    fn sample(&mut self, mapped: &Mapped, row: usize, (op, nth): (PlanOp, u64)) {
        if nth > SAMPLES as u64 {
            return;
        }
        let payload = &mapped.payload;
        let columns = payload.fields.schema_ref().fields().iter().zip(payload.fields.columns());
        let fields = columns
            .enumerate()
            .filter(|(column, _)| !payload.is_absent(*column, row))
            .map(|(_, (field, column))| {
                let value = column.is_valid(row).then(|| text_at(column, row).into_owned());
                (field.name().clone(), value)
            })
            .collect();
        self.samples.push(PlanRow { key: mapped.keys[row].clone(), op, fields });
    }
}

//! From HubSpot's answer to one outcome per row.

use std::collections::{HashMap, HashSet};

use flow::{Outcome, Receipt, Result, WriteBatch};
use writer::{Outcomes, Reply};

use super::answer::{BatchAnswer, Complaint, HeldAnswer, HeldRow, ResultRow};
use super::classify::Judge;
use super::fault::wrong_for_every_row;
use super::wire::{self, Trace};

/// Longest record id that is kept; HubSpot's are numbers.
const ID_CHARS_MAX: usize = 64;

/// Reads the answer to a write that says success.
///
/// # Errors
/// When it cannot be read, and when every row is refused for a property that no row can be written to.
pub(super) fn receipt(
    reply: &Reply,
    judge: Judge<'_>,
    (batch, match_on): (&WriteBatch, Option<usize>),
    trace: Trace,
) -> Result<Receipt> {
    // An HTML page or a cut body is no JSON object; `[]` would pass for an empty one.
    if reply.fault.is_some() || reply.body.trim_ascii_start().first() != Some(&b'{') {
        return Err(judge.unreadable(reply));
    }
    let answer: BatchAnswer =
        serde_json::from_slice(&reply.body).map_err(|_| judge.unreadable(reply))?;
    if let Some(field) = refused_for_every_row(&answer, trace.rows) {
        return Err(judge.wrong_field(&field));
    }
    let silent = answer.results.0.is_empty() && answer.errors.0.is_empty();
    let mut outcomes = Outcomes::new(trace.rows);
    let mut by_id = ById { batch, match_on, rows: None };
    let untraced = answer.results.0.iter().any(|row| row.object_write_trace_id.0.is_none());
    let held = if untraced { held(reply) } else { Vec::new() };
    for (index, row) in answer.results.0.iter().enumerate() {
        let known = match &row.object_write_trace_id.0 {
            Some(trace_id) => trace.row(trace_id),
            None => held.get(index).and_then(|held| by_id.holder(held)),
        };
        outcomes.set(known, delivered(row, batch));
    }
    for complaint in &answer.errors.0 {
        let rows = rows_of(complaint, trace, &mut by_id);
        if rows.is_empty() {
            outcomes.set(None, judge.row(complaint));
        }
        for row in rows {
            outcomes.set(Some(row), judge.row(complaint));
        }
    }
    if outcomes.strangers() > 0 {
        tracing::warn!(
            answers = outcomes.strangers(),
            "HubSpot answered about rows it was not sent"
        );
    }
    Ok(outcomes.receipt(if silent { "empty answer" } else { "no answer for the row" }))
}

/// Reads the answer to an archive that says success. HubSpot answers with an empty body, also about records that were not
/// there; where it says more, whoever it complains about was not archived.
///
/// # Errors
/// When there is a body and it cannot be read.
pub(super) fn archived(reply: &Reply, judge: Judge<'_>, batch: &WriteBatch) -> Result<Receipt> {
    let rows = batch.payload.rows();
    let answer: BatchAnswer = match reply.body.trim_ascii() {
        [] if reply.status == 204 && reply.fault.is_none() => BatchAnswer::default(),
        body if reply.fault.is_none() && body.first() == Some(&b'{') => {
            let answer: BatchAnswer =
                serde_json::from_slice(body).map_err(|_| judge.unreadable(reply))?;
            if answer.errors.0.is_empty() {
                return Err(judge.unreadable(reply));
            }
            answer
        }
        _ => return Err(judge.unreadable(reply)),
    };
    let trace = Trace { call: 0, rows };
    let mut by_id = ById { batch, match_on: None, rows: None };
    let mut outcomes = Outcomes::new(rows);
    for complaint in &answer.errors.0 {
        let named = rows_of(complaint, trace, &mut by_id);
        if named.is_empty() {
            // About some row, and nobody knows which: none of them counts as archived.
            return Err(judge.unreadable(reply));
        }
        for row in named {
            outcomes.set(Some(row), judge.row(complaint));
        }
    }
    let complained: HashSet<usize> =
        answer.errors.0.iter().flat_map(|one| rows_of(one, trace, &mut by_id)).collect();
    for (row, id) in
        batch.record_ids.iter().enumerate().filter(|(row, _)| !complained.contains(row))
    {
        let remote_id = Some(id.clone());
        outcomes.set(Some(row), Outcome::Delivered { created: Some(false), remote_id });
    }
    Ok(outcomes.receipt("no answer for the record"))
}

fn delivered(row: &ResultRow, batch: &WriteBatch) -> Outcome {
    // An update cannot make a record, and does not say so.
    let created = if batch.record_ids.is_empty() { row.new } else { Some(false) };
    let remote_id = row.id.0.clone().filter(|id| {
        (1..=ID_CHARS_MAX).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic())
    });
    Outcome::Delivered { created, remote_id }
}

/// The rows an error is about: by trace id, else by the id they were sent with. An error without either is
/// about the only row of the call, where there is only one.
fn rows_of(complaint: &Complaint, trace: Trace, by_id: &mut ById<'_>) -> Vec<usize> {
    let context = &complaint.context;
    let rows: Vec<usize> = match context.trace_ids.is_empty() {
        false => context.trace_ids.iter().filter_map(|id| trace.row(id)).collect(),
        true => context.ids.iter().filter_map(|id| by_id.row(id)).collect(),
    };
    let unnamed = context.trace_ids.is_empty() && context.ids.is_empty();
    if unnamed && trace.rows == 1 { vec![0] } else { rows }
}

/// Finds rows by the id they were sent with, letter case aside; built only when an answer needs it.
struct ById<'a> {
    batch: &'a WriteBatch,
    match_on: Option<usize>,
    /// `None` marks an id that two rows share.
    rows: Option<HashMap<String, Option<usize>>>,
}

impl ById<'_> {
    fn row(&mut self, id: &str) -> Option<usize> {
        let (batch, match_on) = (self.batch, self.match_on);
        let rows = self.rows.get_or_insert_with(|| {
            let mut rows = HashMap::new();
            for row in 0..batch.payload.rows() {
                rows.entry(wire::sent_id(batch, match_on, row).to_lowercase())
                    .and_modify(|known| *known = None)
                    .or_insert(Some(row));
            }
            rows
        });
        rows.get(&id.to_lowercase()).copied().flatten()
    }

    /// The row whose id the record holds: its own, where records are addressed by it, else the unique property
    /// it was found by.
    fn holder(&mut self, held: &HeldRow) -> Option<usize> {
        if !self.batch.record_ids.is_empty() {
            return self.row(held.id.0.as_deref()?);
        }
        let schema = self.batch.payload.fields.schema();
        let value = held.properties.get(schema.field(self.match_on?).name())?;
        self.row(value.0.as_deref()?)
    }
}

fn held(reply: &Reply) -> Vec<HeldRow> {
    let answer: HeldAnswer = serde_json::from_slice(&reply.body).unwrap_or_default();
    answer.results.0
}

/// The property, when nothing was written and every row is refused for a property that does not exist or is
/// read-only: the mapping is wrong, not the rows.
fn refused_for_every_row(answer: &BatchAnswer, rows: usize) -> Option<String> {
    let errors = &answer.errors.0;
    if !answer.results.0.is_empty() || errors.is_empty() {
        return None;
    }
    let named: usize = errors.iter().map(|error| error.context.trace_ids.len().max(1)).sum();
    let fields: Option<Vec<String>> = errors.iter().map(wrong_for_every_row).collect();
    fields.filter(|_| named >= rows)?.into_iter().next()
}

#[cfg(test)]
mod tests;

//! One row and its record: where the record is, and which of its fields are not what the row makes of them.

use flow::arrow::array::RecordBatch;
use flow::{Entry, Payload, Records, Result};
use transform::{Mapped, OnDrift};

use super::{Drift, Reconciling};
use crate::Sync;
use crate::before::{Past, RowBefore};
use crate::plan_file::Change;

/// What the destination says about one row.
pub(super) struct Answer {
    /// Records found by what the row is found by.
    pub(super) by_value: Vec<String>,
    /// The record it was written to is there, though it is not found by that alone.
    pub(super) by_id: Option<String>,
    /// The fields of the one that counts: a row of this batch.
    pub(super) fields: (RecordBatch, usize),
}

/// A row compared with its record.
#[derive(Default)]
pub(super) struct Compared {
    pub(super) drift: Option<Drift>,
    /// It differs, in fields alone that may.
    pub(super) kept: bool,
    pub(super) record_ids: Vec<String>,
    /// Fields that differ.
    pub(super) fields: Vec<Change>,
    /// Fields to be written again.
    pub(super) put_back: Vec<Change>,
}

impl Reconciling<'_> {
    /// Asks for the records of these rows: by what finds them, and where that does not lead to the record that was
    /// written, by its id.
    pub(super) async fn answers(
        &mut self,
        (payload, rows): (&Payload, &[usize]),
        known: &[Option<&Entry>],
    ) -> Result<Vec<Answer>> {
        let values = self.past.match_values(payload, rows)?;
        let found = self.ask(Records::Matching(values), payload.fields.schema()).await?;
        let mut answers: Vec<Answer> = found
            .record_ids
            .into_iter()
            .enumerate()
            .map(|(at, by_value)| Answer {
                by_value,
                by_id: None,
                fields: (found.fields.clone(), at),
            })
            .collect();
        let strays: Vec<(usize, String)> = (0..rows.len())
            .filter_map(|at| Some((at, known[at]?.remote_id.clone()?)))
            .filter(|(at, id)| !answers[*at].by_value.contains(id))
            .collect();
        if strays.is_empty() {
            return Ok(answers);
        }
        let ids = strays.iter().map(|(_, id)| id.clone()).collect();
        let found = self.ask(Records::Ids(ids), payload.fields.schema()).await?;
        for (place, ((at, id), ids)) in strays.into_iter().zip(found.record_ids).enumerate() {
            if ids.is_empty() {
                continue;
            }
            let answer = &mut answers[at];
            answer.by_id = Some(id);
            if answer.by_value.is_empty() {
                answer.fields = (found.fields.clone(), place);
            }
        }
        Ok(answers)
    }
}

/// What became of a row's record.
pub(super) fn compare(
    (sync, past, renames): (&Sync, &Past<'_>, bool),
    (mapped, row, entry): (&Mapped, usize, Option<&Entry>),
    answer: Answer,
) -> Compared {
    let Answer { by_value, by_id, fields: (batch, at) } = answer;
    // By its match value it would be written a second time.
    let reachable = renames || !by_value.is_empty();
    let record_ids: Vec<String> = by_value.into_iter().chain(by_id).collect();
    let before = match record_ids.is_empty() {
        true => None,
        false => Some(RowBefore::Live(batch, at)),
    };
    let changes = past.changes(&mapped.payload, (row, before.as_ref()));
    if record_ids.is_empty() {
        // Everything is written again.
        let drift = entry.map(|_| Drift::Missing);
        return Compared { drift, record_ids, put_back: changes, ..Compared::default() };
    }
    if record_ids.len() > 1 {
        // Which of them is the right one is for people to say.
        return Compared { drift: Some(Drift::Duplicate), record_ids, ..Compared::default() };
    }
    let differs = |change: &&Change| change.changed == Some(true);
    let policy = |change: &Change| {
        let found_by = sync.match_on.iter().any(|(field, _)| *field == change.field);
        let mapping = sync.mappings.get(&change.field);
        mapping.filter(|_| !found_by).map_or(OnDrift::Overwrite, |mapping| mapping.on_drift)
    };
    let fields: Vec<Change> = changes.iter().filter(differs).cloned().collect();
    let (kept, drifted): (Vec<_>, Vec<_>) =
        fields.into_iter().partition(|change| policy(change) == OnDrift::KeepRemoteEdit);
    let edited = drifted.iter().any(|change| policy(change) == OnDrift::Overwrite);
    // What is put back is the whole payload, but for the fields that somebody may have edited.
    let stays =
        |change: &Change| change.changed == Some(true) && policy(change) != OnDrift::Overwrite;
    let put_back = match edited && reachable {
        true => changes.into_iter().filter(|change| !stays(change)).collect(),
        false => Vec::new(),
    };
    Compared {
        drift: (!drifted.is_empty()).then_some(Drift::Edited),
        kept: !kept.is_empty(),
        record_ids,
        fields: drifted,
        put_back,
    }
}

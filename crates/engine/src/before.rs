//! What rows that would be sent have at the destination before: as it was last acknowledged and remembered, or as the
//! destination says now. Nothing of it changes what is sent (D10).

use std::collections::HashSet;

use flow::arrow::array::{Array, RecordBatch, UInt32Array};
use flow::arrow::compute::take_record_batch;
use flow::arrow::datatypes::SchemaRef;
use flow::arrow::error::ArrowError;
use flow::{Entry, Error, Found, Payload, ReadBack, ReadsBack, Records, Result, text_at};
use transform::{Mapped, Origin};

use crate::diff::Verdict;
use crate::plan_file::Change;
use crate::prepare::{Prepared, asked};
use crate::remembered::{Before, LastPayload};
use crate::{Ports, Remember, Sync, codes};

/// What is known of one row.
pub(crate) enum RowBefore {
    /// What was last acknowledged.
    Last(LastPayload),
    /// The record as it is, a row of this batch; without a value where there is no record.
    Live(RecordBatch, usize),
}

impl RowBefore {
    fn field(&self, name: &str) -> Option<Before> {
        match self {
            Self::Last(last) => last.field(name).cloned(),
            Self::Live(batch, row) => {
                let column = batch.column_by_name(name)?;
                Some(match column.is_valid(*row) {
                    true => Before::Text(text_at(column, *row).into_owned()),
                    false => Before::Empty,
                })
            }
        }
    }
}

/// Finds out what rows had before.
pub(crate) struct Past<'a> {
    sync: &'a Sync,
    ports: &'a Ports,
    live: bool,
    /// Where nothing is remembered of a record that is known, the destination is asked: a guard counts by it.
    must_know: bool,
    /// Fields that differ with every run, and say nothing.
    of_the_run: HashSet<&'a str>,
    /// Fields whose values differ only in letter case are the same.
    folds_case: HashSet<&'a str>,
}

impl<'a> Past<'a> {
    /// With `live`, the destination is asked instead of the memory.
    pub(crate) fn new(
        (sync, ports): (&'a Sync, &'a Ports),
        prepared: &'a Prepared,
        live: bool,
    ) -> Self {
        let run = sync.mappings.iter().filter(|(_, field)| matches!(field.origin, Origin::Run(_)));
        let folding = prepared.object.fields.iter().filter(|field| field.folds_case);
        Self {
            sync,
            ports,
            live,
            must_know: sync.guards.max_null_out.is_some(),
            of_the_run: run.map(|(name, _)| name).collect(),
            folds_case: folding.map(|field| field.name.as_str()).collect(),
        }
    }

    /// What is known of each row of the batch that would be sent.
    pub(crate) async fn of(
        &self,
        mapped: &Mapped,
        (verdicts, entries): (&[Verdict], &[Option<Entry>]),
    ) -> Result<Vec<Option<RowBefore>>> {
        let mut known: Vec<Option<RowBefore>> = verdicts.iter().map(|_| None).collect();
        let sent: Vec<usize> =
            (0..verdicts.len()).filter(|row| verdicts[*row] == Verdict::Send).collect();
        if sent.is_empty() {
            return Ok(known);
        }
        if self.live {
            self.ask(&mut known, mapped, (sent, entries)).await?;
        } else if self.sync.remember() != Remember::Nothing {
            let keys: Vec<_> = sent.iter().map(|row| mapped.keys[*row].clone()).collect();
            let found = self.ports.store.payloads(&self.sync.name, &keys).await?;
            for (row, bytes) in sent.iter().zip(found) {
                let last = bytes.and_then(|b| LastPayload::of(&b, entries[*row].as_ref()));
                known[*row] = last.map(RowBefore::Last);
            }
            if self.must_know {
                let landed = |row: &usize| entries[*row].as_ref().is_some_and(has_record);
                let blank = sent.into_iter().filter(|row| known[*row].is_none() && landed(row));
                let blank = blank.collect();
                self.ask(&mut known, mapped, (blank, entries)).await?;
            }
        }
        Ok(known)
    }

    /// Asks the destination for these rows' records: by id where it is known, else by what finds them.
    async fn ask(
        &self,
        known: &mut [Option<RowBefore>],
        mapped: &Mapped,
        (rows, entries): (Vec<usize>, &[Option<Entry>]),
    ) -> Result<()> {
        let Some(reads) = self.ports.destination.reads_back() else { return Ok(()) };
        let fields = || mapped.payload.fields.schema();
        let named = |row: &usize| entries[*row].as_ref()?.remote_id.clone();
        let (by_id, by_value): (Vec<usize>, Vec<usize>) =
            rows.into_iter().partition(|row| named(row).is_some());
        for rows in by_id.chunks(self.rows_max()?) {
            let ids = rows.iter().filter_map(named).collect();
            note(known, rows, &self.read(reads, Records::Ids(ids), fields()).await?);
        }
        for rows in by_value.chunks(self.rows_max()?) {
            let values = Records::Matching(self.match_values(&mapped.payload, rows)?);
            note(known, rows, &self.read(reads, values, fields()).await?);
        }
        Ok(())
    }

    fn rows_max(&self) -> Result<usize> {
        Ok(self.ports.destination.limits(&self.sync.object)?.rows_max.max(1))
    }

    /// What these rows' records are found by.
    pub(crate) fn match_values(&self, payload: &Payload, rows: &[usize]) -> Result<RecordBatch> {
        let taken = || {
            let schema = payload.fields.schema();
            let columns = self.sync.match_on.iter().map(|(field, _)| schema.index_of(field));
            let found = payload.fields.project(&columns.collect::<Result<Vec<_>, _>>()?)?;
            let rows: UInt32Array = rows.iter().map(|row| *row as u32).collect();
            take_record_batch(&found, &rows)
        };
        taken().map_err(|error: ArrowError| {
            Error::new(&codes::E4007, "rows to be looked up could not be put together")
                .with_source(error)
        })
    }

    /// Asks the destination about these records.
    pub(crate) async fn read(
        &self,
        reads: &dyn ReadsBack,
        records: Records,
        fields: SchemaRef,
    ) -> Result<Found> {
        let question = ReadBack { object: self.sync.object.as_str().into(), records, fields };
        let found = asked(self.ports, || reads.read(&question)).await?;
        all_answered(found, question.records.count())
    }

    /// The row's fields, from what to what; those that are left alone are not listed.
    pub(crate) fn changes(
        &self,
        payload: &Payload,
        (row, before): (usize, Option<&RowBefore>),
    ) -> Vec<Change> {
        let mut changes = written(payload, row);
        let Some(before) = before else { return changes };
        for change in &mut changes {
            let Some(known) = before.field(&change.field) else { continue };
            let says = !self.of_the_run.contains(change.field.as_str());
            let after = change.after.as_deref();
            change.changed = says.then(|| self.differs(&change.field, &known, after));
            change.filled = Some(known.is_filled());
            change.before = match known {
                Before::Text(text) => Some(Some(text)),
                Before::Empty => Some(None),
                Before::Hash(_) => None,
            };
        }
        changes
    }

    fn differs(&self, name: &str, before: &Before, after: Option<&str>) -> bool {
        let same = match (before, after) {
            (Before::Text(before), Some(after)) if self.folds_case.contains(name) => {
                before.to_lowercase() == after.to_lowercase()
            }
            _ => false,
        };
        !same && before.differs(after)
    }
}

/// Something of the row was acknowledged, or may have been.
fn has_record(entry: &Entry) -> bool {
    entry.match_hash.is_some()
}

/// What is written of a row, of which nobody asks what it had before.
pub(crate) fn written(payload: &Payload, row: usize) -> Vec<Change> {
    let columns = payload.fields.schema_ref().fields().iter().zip(payload.fields.columns());
    let present = columns.enumerate().filter(|(column, _)| !payload.is_absent(*column, row));
    present
        .map(|(_, (field, column))| {
            let after = column.is_valid(row).then(|| text_at(column, row).into_owned());
            let field = field.name().clone();
            Change { field, before: None, filled: None, changed: None, after }
        })
        .collect()
}

/// The answer, if it is about every record that was asked for.
pub(crate) fn all_answered(found: Found, count: usize) -> Result<Found> {
    let values = found.fields.num_columns() == 0 || found.fields.num_rows() == count;
    if values && found.record_ids.len() == count {
        return Ok(found);
    }
    let message = "a destination did not answer about every record it was asked for";
    Err(Error::new(&codes::E4007, message))
}

fn note(known: &mut [Option<RowBefore>], rows: &[usize], found: &Found) {
    for (at, row) in rows.iter().enumerate() {
        known[*row] = Some(RowBefore::Live(found.fields.clone(), at));
    }
}

//! What a weighing counts: rows by what would happen to them and why, and what the guards judge.

use std::collections::BTreeMap;

use flow::arrow::array::{Array, RecordBatch};
use flow::{Code, Finding, Payload, Watermark};
use transform::Mapped;

use crate::Sync;
use crate::codes;
use crate::diagnosis::{About, Common, Diagnosis};
use crate::diff::Verdict;
use crate::guard::{Counts, Guard, Guards, Ruling, rulings};
use crate::left::Left;
use crate::plan::PlanOp;
use crate::plan_file::Change;
use crate::weigh::{Counted, Weighed};

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
    /// What they have in common, where a guard stops.
    pub(crate) gone_common: Vec<Common>,
    /// Filled values that would be emptied, and filled values as last acknowledged.
    pub(crate) emptied: u64,
    pub(crate) filled: u64,
    /// Rows of which it is known what they have at the destination, and the filled values among it.
    pub(crate) seen_filled: (u64, u64),
    /// Rows the destination has acknowledged so far.
    pub(crate) known: u64,
    /// Rows of the model, where it was counted.
    pub(crate) model_rows: Option<u64>,
    /// Write calls, repeats aside.
    pub(crate) requests: u64,
    /// Rows whose record is addressed by its id, in calls of their own.
    pub(crate) renamed: u64,
    pub(crate) reasons: BTreeMap<Reason, u64>,
    /// Rows to update by field that changes.
    pub(crate) fields: BTreeMap<String, u64>,
    /// Rows to update of which nobody knows what changes.
    pub(crate) unknown: u64,
    /// How far the rows would move the watermark.
    pub(crate) reached: Option<Watermark>,
    pub(crate) groups: Groups,
    pub(crate) diagnosis: Diagnosis,
}

impl Weight {
    /// Rows that would be rejects whatever the destination says.
    pub(crate) fn refused(&self) -> u64 {
        self.invalid + self.held + self.conflicts
    }

    /// What the rows that a guard stops have in common.
    pub(crate) fn common(&self, guard: Guard) -> Vec<Common> {
        let about = match guard {
            Guard::MaxRemoved => return self.gone_common.clone(),
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
            nothing_read: self.left.nothing_read,
            update: self.update,
            emptied: self.emptied,
            filled: self.filled,
            invalid: self.invalid,
            refused: self.refused(),
            requests: self.requests,
        }
    }

    /// What the guards say.
    pub(crate) fn rulings(&self, sync: &Sync) -> Vec<Ruling> {
        rulings(sync, &self.counts(), |guard| self.common(guard))
    }

    fn refuse(&mut self, code: &'static Code, field: Option<String>) {
        self.groups.entry((code.id, field)).or_insert((code, 0)).1 += 1;
    }
}

impl Weight {
    pub(crate) fn count(&mut self, weighed: &Weighed<'_>, source: &RecordBatch) {
        let Weighed { mapped, verdicts, reasons, changes, .. } = weighed;
        self.read += source.num_rows() as u64;
        let mut about = Vec::new();
        for (row, verdict) in verdicts.iter().enumerate() {
            let source_row = mapped.source_rows[row] as usize;
            match verdict {
                Verdict::Unchanged { .. } => {
                    self.unchanged += 1;
                    if !changes.is_empty() {
                        self.see_filled(filled_fields(&mapped.payload, row));
                    }
                }
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
                            if let Some(changes) = changes.get(row)
                                && self.count_fields(changes)
                            {
                                about.push((source_row, About::Emptied));
                            }
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

impl Weight {
    /// Counts the fields of a row that is updated, and says whether it empties one.
    fn count_fields(&mut self, changes: &[Change]) -> bool {
        let mut empties = false;
        if changes.iter().any(|change| change.filled.is_some()) {
            let filled = changes.iter().filter(|change| change.filled == Some(true)).count();
            self.see_filled(filled as u64);
        }
        for change in changes {
            if change.changed == Some(true) {
                *self.fields.entry(change.field.clone()).or_default() += 1;
                self.diagnosis.see_field(About::Changed, &change.field);
            }
            if change.after.is_none() && change.filled == Some(true) {
                empties = true;
                self.emptied += 1;
                self.diagnosis.see_field(About::Emptied, &change.field);
            }
        }
        let known = changes.iter().any(|change| change.changed.is_some());
        self.unknown += u64::from(!known);
        empties
    }

    fn see_filled(&mut self, values: u64) {
        self.seen_filled.0 += 1;
        self.seen_filled.1 += values;
    }

    /// Says so where the guard counts less than it was asked to.
    pub(crate) fn blind(&self, guards: &Guards) -> Option<Finding> {
        let (unknown, update) = (self.unknown, self.update);
        (guards.max_null_out.is_some() && unknown > 0).then(|| Finding {
            code: &codes::E4040,
            message: format!("what {unknown} of {update} rows to update had before is not known"),
            remedy: codes::E4040.remedy.to_owned(),
        })
    }
}

/// Fields of the row that are sent with a value.
fn filled_fields(payload: &Payload, row: usize) -> u64 {
    let columns = payload.fields.columns().iter().enumerate();
    columns.filter(|(at, column)| !payload.is_absent(*at, row) && column.is_valid(row)).count()
        as u64
}

/// Which rows of the batch the rejects are: those that are not among the mapped ones, in order.
fn refused_rows(mapped: &Mapped, rows: usize) -> Vec<usize> {
    let mut sent = mapped.source_rows.iter().peekable();
    (0..rows).filter(|row| sent.next_if(|next| **next as usize == *row).is_none()).collect()
}

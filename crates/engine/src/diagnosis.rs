//! What rows in question have in common: "58 of the 61 gone rows have office = Lyon". Counts values of columns that have
//! few of them, so that memory does not grow with the rows and no row can be told from another.

use std::collections::{BTreeMap, HashMap};

use flow::arrow::array::{Array, ArrayRef, RecordBatch};
use flow::arrow::datatypes::DataType;
use flow::text_at;

use crate::Sync;

/// A column with more values than this tells too much, or nothing.
pub(crate) const VALUES_MAX: usize = 32;
/// So many rows must share a value on average before the column counts as one of groups, not of individuals.
const ROWS_PER_VALUE_MIN: u64 = 4;
/// Longer values are prose, or names of individuals.
pub(crate) const VALUE_BYTES_MAX: usize = 60;
/// So large a part of the rows in question is worth a word.
const SHARE_MIN: f64 = 0.75;
/// Their part must exceed the part among all rows by so much.
const ABOVE_ALL_MIN: f64 = 0.15;
/// Most that is said about one guard.
const SAID_MAX: usize = 2;

/// Something most of the rows in question have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Common {
    /// A column of the model or a field of the destination.
    pub name: String,
    /// Its value; `None` where the column or field itself is what they have in common.
    pub value: Option<String>,
    /// Rows (or values) for which it holds.
    pub rows: u64,
    /// Rows (or values) in question.
    pub of: u64,
}

/// Why a row is in question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum About {
    /// Its payload changed.
    Changed,
    /// A filled value would be emptied.
    Emptied,
    /// The mapping refuses it.
    Invalid,
    /// It is a reject for any reason.
    Refused,
}

/// Kinds of [`About`].
const KINDS: usize = 4;

/// How often something was seen: among all rows, and among those in question.
type Seen = (u64, [u64; KINDS]);

/// Counts over one weighing.
#[derive(Debug, Default)]
pub(crate) struct Diagnosis {
    rows: u64,
    /// Every row of the model is counted, so that a value's part among all rows says something.
    whole: bool,
    about: [u64; KINDS],
    /// By column; `None` where it has too many values.
    columns: BTreeMap<String, Option<HashMap<String, Seen>>>,
    /// By field, of [`About::Emptied`], [`About::Changed`] and [`About::Invalid`].
    fields: BTreeMap<(About, String), u64>,
    hidden: Vec<String>,
}

impl Diagnosis {
    /// Looks away from keys, match values and what the sync keeps private.
    pub(crate) fn new(sync: &Sync) -> Self {
        Self { hidden: hidden(sync), ..Self::default() }
    }

    /// Whether every row of the model was seen.
    pub(crate) fn whole(&mut self, whole: bool) {
        self.whole = whole;
    }

    /// Counts the rows of a batch; `about` says which of them are in question, and why.
    pub(crate) fn see(&mut self, batch: &RecordBatch, about: &[(usize, About)]) {
        self.rows += batch.num_rows() as u64;
        for (_, why) in about {
            self.about[*why as usize] += 1;
        }
        for (field, column) in batch.schema_ref().fields().iter().zip(batch.columns()) {
            if self.hidden.contains(field.name()) || !is_grouping(field.data_type()) {
                continue;
            }
            let known =
                self.columns.entry(field.name().clone()).or_insert_with(|| Some(HashMap::new()));
            let Some(values) = known else { continue };
            let fits =
                (0..batch.num_rows()).all(|row| count(values, column, row, |seen| seen.0 += 1));
            if !fits {
                *known = None;
                continue;
            }
            for (row, why) in about {
                count(values, column, *row, |seen| seen.1[*why as usize] += 1);
            }
        }
    }

    /// A field is why a row is in question.
    pub(crate) fn see_field(&mut self, why: About, field: &str) {
        *self.fields.entry((why, field.to_owned())).or_default() += 1;
    }

    /// What those in question have in common, the most telling first.
    pub(crate) fn common(&self, why: About) -> Vec<Common> {
        let all = self.about[why as usize];
        let mut found = self.common_fields(why, all);
        let mut values: Vec<(f64, Common)> = Vec::new();
        for (name, counted) in &self.columns {
            let Some(counted) = counted else { continue };
            if (counted.len() as u64) * ROWS_PER_VALUE_MIN > self.rows {
                continue;
            }
            for (value, (everywhere, seen)) in counted {
                let rows = seen[why as usize];
                let everywhere = match self.whole {
                    true => *everywhere as f64 / self.rows.max(1) as f64,
                    false => 0.0,
                };
                values.extend(telling((name, value), (rows, all), everywhere));
            }
        }
        found.extend(most_telling(values));
        found.truncate(SAID_MAX);
        found
    }

    fn common_fields(&self, why: About, rows: u64) -> Vec<Common> {
        let counts = self.fields.iter().filter(|((about, _), _)| *about == why);
        // Emptied values are counted one by one, the others by row.
        let of = match why {
            About::Emptied => counts.clone().map(|(_, count)| count).sum(),
            _ => rows,
        };
        let most = counts.max_by_key(|(_, count)| **count);
        most.filter(|(_, count)| **count as f64 >= SHARE_MIN * of as f64)
            .map(|((_, field), rows)| Common { name: field.clone(), value: None, rows: *rows, of })
            .into_iter()
            .collect()
    }
}

/// Columns and fields that no report looks at: keys, match values, and what the sync keeps private.
pub(crate) fn hidden(sync: &Sync) -> Vec<String> {
    let matched = sync.match_on.iter().flat_map(|(field, column)| [field, column]);
    let hidden = sync.model.primary_key.iter().chain(matched).chain(&sync.private);
    let private_sources = sync
        .mappings
        .iter()
        .filter(|(field, _)| sync.private.iter().any(|private| private == field));
    let sources = private_sources.filter_map(|(_, mapping)| match &mapping.origin {
        transform::Origin::Column(column) => Some(column),
        _ => None,
    });
    hidden.chain(sources).cloned().collect()
}

/// A value that `rows` of `all` rows in question have, if that says something: most have it, and clearly more of them
/// than `everywhere`.
pub(crate) fn telling(
    (name, value): (&str, &str),
    (rows, all): (u64, u64),
    everywhere: f64,
) -> Option<(f64, Common)> {
    let share = rows as f64 / all.max(1) as f64;
    let above = share - everywhere;
    let says = all > 1 && share >= SHARE_MIN && above >= ABOVE_ALL_MIN;
    let value = Some(value.to_owned());
    says.then(|| (above, Common { name: name.to_owned(), value, rows, of: all }))
}

/// The most telling first, and not too many.
pub(crate) fn most_telling(mut found: Vec<(f64, Common)>) -> Vec<Common> {
    found.sort_by(|one, other| other.0.total_cmp(&one.0).then(one.1.name.cmp(&other.1.name)));
    found.truncate(SAID_MAX);
    found.into_iter().map(|(_, common)| common).collect()
}

/// Whether values of this type can name a group. Numbers with fractions and moments do not.
fn is_grouping(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Utf8
            | DataType::Boolean
            | DataType::Date32
            | DataType::Int16
            | DataType::Int32
            | DataType::Int64
    )
}

/// Counts the value of one cell; `false` when it is one value too many, or too long.
fn count(
    values: &mut HashMap<String, Seen>,
    column: &ArrayRef,
    row: usize,
    change: impl FnOnce(&mut Seen),
) -> bool {
    if column.is_null(row) {
        return true;
    }
    let text = text_at(column, row);
    if let Some(seen) = values.get_mut(text.as_ref()) {
        change(seen);
        return true;
    }
    if values.len() == VALUES_MAX || text.len() > VALUE_BYTES_MAX {
        return false;
    }
    let mut seen = Seen::default();
    change(&mut seen);
    values.insert(text.into_owned(), seen);
    true
}

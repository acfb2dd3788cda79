//! The first look at a relation: which keys it has twice, and whether its rows are in the wanted order already.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use flow::arrow::array::{AsArray, BooleanArray, RecordBatch};
use flow::arrow::datatypes::{DataType, Field, Schema};
use flow::{Error, Key, Result, Scope};

use super::place::Order;
use super::read::{Request, dropped};
use super::sorter::{Sorter, place};
use super::{Relation, Window};
use crate::codes;
use crate::layout::Layout;

/// More than this is not bad rows but a wrong `primary_key`.
const DUPLICATES_MAX: usize = 100_000;

/// What the look found.
#[derive(Debug, Default)]
pub(super) struct Looked {
    /// Keys with a row in the scope that more than one row has.
    pub(super) twins: HashSet<Key>,
    /// Whether the rows in the scope come in the order of the read.
    pub(super) in_order: bool,
}

/// Looks at the keys of the whole relation.
///
/// # Errors
/// When it cannot be read; `E1019` for more than 100,000 keys that occur more than once.
pub(super) fn look(
    relation: &mut dyn Relation,
    request: &Request,
    stop: &dyn Fn() -> bool,
) -> Result<Looked> {
    if let Some(twins) = relation.twins(&request.layout)? {
        return Ok(Looked { twins, in_order: false });
    }
    let layout = request.layout.places();
    let mut keys = match &request.scope {
        Scope::Keys(wanted) => Keys::named(wanted),
        _ => Keys::Neighbours(None),
    };
    loop {
        let looked = walk(relation, request, &layout, keys, stop)?;
        match looked {
            Some(looked) if looked.twins.len() > DUPLICATES_MAX => {
                let message =
                    format!("more than {DUPLICATES_MAX} primary keys occur more than once");
                return Err(Error::new(&codes::E1019_DUPLICATES, message));
            }
            Some(looked) => return Ok(looked),
            // Not in the order of the keys: once more from the start, sorting them.
            None => keys = Keys::Sorted(Sorter::new(&request.room)),
        }
    }
}

/// How twins are found.
enum Keys {
    /// Among a few keys by counting.
    Named(HashMap<Key, u64>),
    /// Next to each other, while the keys come in order: the last place, whether its key has a row in the scope, and
    /// whether it is known as a twin.
    Neighbours(Option<Neighbour>),
    /// By sorting all of them.
    Sorted(Sorter),
}

struct Neighbour {
    place: Vec<u8>,
    in_scope: bool,
    twin: bool,
}

impl Keys {
    fn named(wanted: &[Key]) -> Self {
        Self::Named(wanted.iter().map(|key| (key.clone(), 0)).collect())
    }
}

/// One walk over all rows; `None` when the keys turned out not to be in order.
fn walk(
    relation: &mut dyn Relation,
    request: &Request,
    layout: &Layout,
    mut keys: Keys,
    stop: &dyn Fn() -> bool,
) -> Result<Option<Looked>> {
    let (by_key, wanted) =
        (Order::new(layout, false)?, Order::new(layout, request.by_watermark())?);
    let mut looked = Looked { in_order: true, ..Looked::default() };
    let mut last: Vec<u8> = Vec::new();
    let mut rows = relation.rows(layout, Window::All)?;
    while let Some(batch) = rows.next()? {
        if stop() {
            return Err(dropped());
        }
        let rows = &batch.rows;
        let in_scope = request.in_scope(layout, &by_key, rows);
        if looked.in_order {
            let places = wanted.places(rows)?;
            for row in (0..rows.num_rows()).filter(|row| in_scope[*row]) {
                let place = places.row(row);
                if place.as_ref() < last.as_slice() {
                    looked.in_order = false;
                    break;
                }
                last.clear();
                last.extend_from_slice(place.as_ref());
            }
        }
        if !take(&mut keys, &by_key, rows, &in_scope, &mut looked.twins)? {
            return Ok(None);
        }
    }
    match keys {
        Keys::Named(counts) => {
            looked.twins = counts.into_iter().filter(|(_, n)| *n > 1).map(|(key, _)| key).collect();
        }
        Keys::Sorted(sorter) => merge(sorter, &by_key, &mut looked.twins, stop)?,
        Keys::Neighbours(_) => {}
    }
    Ok(Some(looked))
}

/// Takes the keys of a batch; false when they had to be in order and are not.
fn take(
    keys: &mut Keys,
    by_key: &Order,
    rows: &RecordBatch,
    in_scope: &[bool],
    twins: &mut HashSet<Key>,
) -> Result<bool> {
    match keys {
        Keys::Named(counts) => {
            for row in (0..rows.num_rows()).filter(|row| in_scope[*row]) {
                if let Some(count) = by_key.key(rows, row).and_then(|key| counts.get_mut(&key)) {
                    *count += 1;
                }
            }
        }
        Keys::Sorted(sorter) => {
            let flagged = flagged(rows, in_scope)?;
            sorter.push(flagged, by_key.places(rows)?)?;
        }
        Keys::Neighbours(last) => {
            let places = by_key.places(rows)?;
            for (row, wanted) in in_scope.iter().enumerate() {
                let place = places.row(row);
                let place: &[u8] = place.as_ref();
                match last {
                    Some(known) if place < known.place.as_slice() => return Ok(false),
                    Some(known) if place == known.place => {
                        known.in_scope |= *wanted;
                        if known.in_scope && !known.twin {
                            known.twin = true;
                            twins.extend(by_key.key(rows, row));
                        }
                    }
                    _ => {
                        let known = last.get_or_insert_with(|| Neighbour {
                            place: Vec::new(),
                            in_scope: false,
                            twin: false,
                        });
                        known.place.clear();
                        known.place.extend_from_slice(place);
                        known.in_scope = *wanted;
                        known.twin = false;
                    }
                }
            }
        }
    }
    Ok(true)
}

fn flagged(rows: &RecordBatch, in_scope: &[bool]) -> Result<RecordBatch> {
    let schema = rows.schema();
    let mut fields: Vec<_> = schema.fields().iter().cloned().collect();
    fields.push(Arc::new(Field::new("in_scope", DataType::Boolean, false)));
    let mut columns = rows.columns().to_vec();
    columns.push(Arc::new(BooleanArray::from(in_scope.to_vec())));
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(|error| {
        Error::new(&codes::E1107_BROKEN_FILE, format!("rows that are no batch: {error}"))
    })
}

/// Finds twins among sorted keys.
fn merge(
    sorter: Sorter,
    by_key: &Order,
    twins: &mut HashSet<Key>,
    stop: &dyn Fn() -> bool,
) -> Result<()> {
    let mut sorted = sorter.finish()?;
    let mut last: Option<Neighbour> = None;
    while let Some(batch) = sorted.next()? {
        if stop() {
            return Err(dropped());
        }
        let in_scope = batch.column(batch.num_columns() - 2).as_boolean();
        for row in 0..batch.num_rows() {
            let here = place(&batch, row);
            match &mut last {
                Some(known) if known.place == here => {
                    known.in_scope |= in_scope.value(row);
                    if known.in_scope && !known.twin {
                        known.twin = true;
                        twins.extend(by_key.key(&batch, row));
                    }
                }
                _ => {
                    let (place, in_scope) = (here.to_vec(), in_scope.value(row));
                    last = Some(Neighbour { place, in_scope, twin: false });
                }
            }
        }
        if twins.len() > DUPLICATES_MAX {
            break;
        }
    }
    Ok(())
}

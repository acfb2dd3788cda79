//! One call as the vendor's handler sees it: when it came, and what the fault script wants from it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::script::{Armed, Chosen};
use crate::{Action, Moment};

/// The request extension every handler finds.
#[derive(Debug, Clone)]
pub struct Call {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    number: u64,
    arrived: Moment,
    seed: u64,
    rows: AtomicUsize,
    row_rules: Vec<Arc<Armed>>,
    shape: Shape,
}

/// What the script does to one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RowFault {
    /// Refuse the row alone, in the answer for that row.
    Reject {
        /// Category to name, where the rule has one.
        category: Option<String>,
        /// Message to carry, where the rule has one.
        message: Option<String>,
    },
    /// Refuse the whole call with this status.
    Poison(u16),
}

/// How the list of results is bent after the work is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Shape {
    /// Answer with this status, no results and no errors.
    pub empty: Option<u16>,
    /// Leave out so many results.
    pub drop_rows: usize,
    /// Name so many results twice.
    pub duplicate_rows: usize,
    /// Turn the order round.
    pub reorder: bool,
}

impl Call {
    pub(crate) fn new(number: u64, arrived: Moment, seed: u64, chosen: &Chosen) -> Self {
        let mut shape = Shape::default();
        for armed in &chosen.wire {
            match armed.rule.action {
                Action::EmptyResult(status) => shape.empty = Some(status),
                Action::DropRows(rows) => shape.drop_rows += rows,
                Action::DuplicateRows(rows) => shape.duplicate_rows += rows,
                Action::Reorder => shape.reorder = true,
                _ => {}
            }
        }
        let row_rules = chosen.rows.clone();
        let rows = AtomicUsize::new(0);
        Self { inner: Arc::new(Inner { number, arrived, seed, rows, row_rules, shape }) }
    }

    /// Number of the request, from 1; the same as in the journal.
    pub fn number(&self) -> u64 {
        self.inner.number
    }

    /// When the request arrived.
    pub fn arrived(&self) -> Moment {
        self.inner.arrived
    }

    /// Random numbers that are the same for the same seed and request number.
    pub fn dice(&self) -> fastrand::Rng {
        let mixed = self.inner.number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        fastrand::Rng::with_seed(self.inner.seed ^ mixed)
    }

    /// Tells the journal how many rows the request holds.
    pub fn set_rows(&self, rows: usize) {
        self.inner.rows.store(rows, Ordering::Relaxed);
    }

    /// How the answer's list is to be bent.
    pub fn shape(&self) -> Shape {
        self.inner.shape
    }

    /// Whether rows have to be asked about at all.
    pub fn has_row_faults(&self) -> bool {
        !self.inner.row_rules.is_empty()
    }

    /// The fault of one row; `value` gives the row's value of a field, and its own key for `id`.
    pub fn row_fault<'r>(&self, value: impl Fn(&str) -> Option<&'r str>) -> Option<RowFault> {
        self.inner.row_rules.iter().find_map(|armed| {
            let (row, fault) = match &armed.rule.action {
                Action::RejectRow(row) => {
                    let category = armed.rule.category.clone();
                    let message = armed.rule.message.clone();
                    (row, RowFault::Reject { category, message })
                }
                Action::PoisonRow(row, status) => (row, RowFault::Poison(*status)),
                _ => return None,
            };
            (value(&row.field) == Some(row.value.as_str()) && armed.fires()).then_some(fault)
        })
    }

    pub(crate) fn rows(&self) -> usize {
        self.inner.rows.load(Ordering::Relaxed)
    }
}

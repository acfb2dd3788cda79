//! Which rows of a batch cannot be sent, and the first reason found for each.

use std::borrow::Cow;
use std::sync::Arc;

use flow::Code;

/// Why one row cannot be sent. The reason never holds a value of the row.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    pub(crate) code: &'static Code,
    pub(crate) field: Option<Arc<str>>,
    pub(crate) reason: Cow<'static, str>,
}

/// The refused rows of one batch.
#[derive(Debug)]
pub(crate) struct Refusals {
    rows: Vec<Option<Box<Refusal>>>,
    refused: usize,
}

impl Refusals {
    pub(crate) fn new(rows: usize) -> Self {
        let mut all = Vec::new();
        all.resize_with(rows, || None);
        Self { rows: all, refused: 0 }
    }

    /// Refuses a row; the first reason stays.
    pub(crate) fn refuse(&mut self, row: usize, refusal: impl FnOnce() -> Refusal) {
        if let Some(slot @ None) = self.rows.get_mut(row) {
            *slot = Some(Box::new(refusal()));
            self.refused += 1;
        }
    }

    pub(crate) fn contains(&self, row: usize) -> bool {
        self.rows.get(row).is_some_and(Option::is_some)
    }

    pub(crate) fn get(&self, row: usize) -> Option<&Refusal> {
        self.rows.get(row).and_then(Option::as_deref)
    }

    /// Number of rows of the batch.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Number of refused rows.
    pub(crate) fn refused(&self) -> usize {
        self.refused
    }

    /// The view of one field's work.
    pub(crate) fn of<'a>(&'a mut self, field: &'a Arc<str>) -> FieldRows<'a> {
        FieldRows { field, refusals: self }
    }
}

/// Refuses rows in the name of one field.
pub(crate) struct FieldRows<'a> {
    pub(crate) field: &'a Arc<str>,
    refusals: &'a mut Refusals,
}

impl FieldRows<'_> {
    /// Refuses a row because of this field; the first reason stays.
    pub(crate) fn refuse(
        &mut self,
        row: usize,
        code: &'static Code,
        reason: impl Into<Cow<'static, str>>,
    ) {
        let field = self.field;
        self.refusals.refuse(row, || Refusal {
            code,
            field: Some(Arc::clone(field)),
            reason: reason.into(),
        });
    }

    /// Number of rows of the batch.
    pub(crate) fn len(&self) -> usize {
        self.refusals.len()
    }

    pub(crate) fn is_refused(&self, row: usize) -> bool {
        self.refusals.contains(row)
    }
}

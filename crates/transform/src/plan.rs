//! One destination field, checked and ready: where its value comes from and what is done to it.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, UInt32Array};
use arrow::buffer::BooleanBuffer;
use arrow::compute::kernels::zip::zip;
use arrow::compute::{is_null, take};
use flow::NullRule;

use crate::fit::Fit;
use crate::mappings::{Convert, IfMissing, OnNull, RunValue, Transform};
use crate::refusals::{FieldRows, Refusals};
use crate::shape::Shape;
use crate::template::Template;
use crate::values::ValueMap;
use crate::{codes, convert, shape, steps};

/// Where a field's value comes from, checked.
#[derive(Debug, Clone)]
pub(crate) enum Input {
    /// A model column.
    Column(String),
    /// A template.
    Template(Template),
    /// Something about the run.
    Run(RunValue),
    /// What the lookup with this number found, and what to do where it found nothing.
    Lookup(usize, IfMissing),
    /// A value that is the same in every row and every run; one row, already of the field's type.
    Const(ArrayRef),
}

/// One step from input to destination type, with the shape it starts from.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// Value map.
    Values(ValueMap),
    /// Transform.
    Transform(Transform),
    /// `as`.
    Convert(Convert, Shape),
}

impl Step {
    fn apply(&self, column: &ArrayRef, rows: &mut FieldRows<'_>) -> ArrayRef {
        match self {
            Self::Values(map) => map.apply(column, rows),
            Self::Transform(transform) => steps::apply(transform, column, rows),
            Self::Convert(to, from) => convert::apply(*to, column, from, rows),
        }
    }
}

/// What a NULL that is left becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nulls {
    /// The field is emptied.
    Send,
    /// The field is left alone.
    Skip,
    /// The row is rejected.
    Reject(NullReason),
}

/// Why NULL rejects a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NullReason {
    /// The mapping says so.
    Asked,
    /// The field is required.
    Required,
    /// The destination cannot empty a field.
    CannotEmpty,
    /// The field finds the record.
    Match,
}

impl Nulls {
    pub(crate) fn new(on_null: Option<OnNull>, required: bool, rule: NullRule) -> Self {
        match on_null {
            Some(OnNull::Reject) => Self::Reject(NullReason::Asked),
            Some(OnNull::Skip) => Self::Skip,
            Some(OnNull::Send | OnNull::Clear) | None if required => {
                Self::Reject(NullReason::Required)
            }
            Some(OnNull::Send | OnNull::Clear) | None if rule == NullRule::Impossible => {
                Self::Reject(NullReason::CannotEmpty)
            }
            Some(OnNull::Send | OnNull::Clear) | None => Self::Send,
        }
    }
}

impl NullReason {
    fn refuse(self, row: usize, rows: &mut FieldRows<'_>) {
        let (code, reason) = match self {
            Self::Asked => (&codes::R105_NULL_REFUSED, "the value is NULL"),
            Self::Required => {
                (&codes::R106_REQUIRED_NULL, "the value is NULL and the field is required")
            }
            Self::CannotEmpty => (
                &codes::R118_CANNOT_EMPTY_FIELD,
                "the value is NULL and the destination cannot empty the field",
            ),
            Self::Match => (
                &codes::R103_MATCH_MISSING,
                "the value is NULL or empty, and the record is found by it",
            ),
        };
        rows.refuse(row, code, reason);
    }
}

/// One destination field.
#[derive(Debug, Clone)]
pub(crate) struct FieldPlan {
    pub(crate) name: Arc<str>,
    pub(crate) input: Input,
    pub(crate) steps: Vec<Step>,
    pub(crate) fit: Fit,
    /// What enters `fit`.
    pub(crate) before: Shape,
    /// What is sent.
    pub(crate) after: Shape,
    /// One row of the field's type that NULL becomes.
    pub(crate) default: Option<ArrayRef>,
    pub(crate) nulls: Nulls,
    /// Whether records are found by this field.
    pub(crate) matched: bool,
}

/// A field's cells for the rows of a batch, and which of them leave the field alone.
#[derive(Debug)]
pub(crate) struct Filled {
    pub(crate) column: ArrayRef,
    pub(crate) absent: Option<BooleanBuffer>,
}

impl FieldPlan {
    /// From the input's column to the column that is sent.
    pub(crate) fn fill(&self, input: &ArrayRef, refusals: &mut Refusals) -> Filled {
        let column = self.cells(input, refusals);
        self.settle_nulls(column, refusals)
    }

    /// Steps and destination type, without NULL handling.
    pub(crate) fn cells(&self, input: &ArrayRef, refusals: &mut Refusals) -> ArrayRef {
        let mut rows = refusals.of(&self.name);
        let mut column = shape::normal(input, &mut rows);
        for step in &self.steps {
            column = step.apply(&column, &mut rows);
        }
        if self.matched {
            refuse_empty(&column, &mut rows);
        }
        self.fit.apply(&column, &self.before, &mut rows)
    }

    /// `default` and `on_null`.
    pub(crate) fn settle_nulls(&self, column: ArrayRef, refusals: &mut Refusals) -> Filled {
        let mut rows = refusals.of(&self.name);
        if column.logical_null_count() == 0 {
            return Filled { column, absent: None };
        }
        let column = match &self.default {
            Some(default) => filled(&column, default),
            None => column,
        };
        let missing = column.logical_nulls().filter(|nulls| nulls.null_count() > 0);
        match (self.nulls, missing) {
            (Nulls::Skip, Some(missing)) => Filled { column, absent: Some(!missing.inner()) },
            (Nulls::Reject(reason), Some(missing)) => {
                (0..column.len())
                    .filter(|row| missing.is_null(*row))
                    .for_each(|row| reason.refuse(row, &mut rows));
                Filled { column, absent: None }
            }
            _ => Filled { column, absent: None },
        }
    }
}

/// One row as many.
pub(crate) fn repeated(one: &ArrayRef, rows: usize) -> ArrayRef {
    take(one, &UInt32Array::from(vec![0; rows]), None).expect("the column has one row")
}

/// NULL cells become the default, which is one row of the same type.
fn filled(column: &ArrayRef, default: &ArrayRef) -> ArrayRef {
    let missing: BooleanArray = is_null(column).expect("a null mask can always be made");
    let default = arrow::array::Scalar::new(Arc::clone(default));
    zip(&missing, &default, column).expect("the default has the column's type")
}

/// A record cannot be found by nothing.
fn refuse_empty(column: &ArrayRef, rows: &mut FieldRows<'_>) {
    if let Some(text) = column.as_any().downcast_ref::<arrow::array::StringArray>() {
        for row in (0..text.len()).filter(|row| text.is_valid(*row) && text.value(*row).is_empty())
        {
            NullReason::Match.refuse(row, rows);
        }
    }
}

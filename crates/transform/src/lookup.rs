//! What a lookup found becomes the field's value, or the row's reject.

use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray};
use arrow::buffer::BooleanBuffer;

use crate::codes;
use crate::mappings::{IfMissing, LookedUp};
use crate::plan::{FieldPlan, Filled};
use crate::refusals::Refusals;

/// The field's cells, from what was found for each row.
pub(crate) fn fill(
    plan: &FieldPlan,
    found: &[LookedUp],
    if_missing: IfMissing,
    refusals: &mut Refusals,
) -> Filled {
    {
        let mut rows = refusals.of(&plan.name);
        for (row, found) in found.iter().enumerate() {
            match found {
                LookedUp::Ambiguous => {
                    rows.refuse(row, &codes::R120_AMBIGUOUS, "more than one record fits");
                }
                LookedUp::Missing if if_missing == IfMissing::Reject => {
                    rows.refuse(row, &codes::R119_NOT_FOUND, "there is no such record");
                }
                _ => {}
            }
        }
    }
    let ids: StringArray = found
        .iter()
        .map(|found| match found {
            LookedUp::Found(id) => Some(&**id),
            LookedUp::Nothing | LookedUp::Missing | LookedUp::Ambiguous => None,
        })
        .collect();
    let ids: ArrayRef = Arc::new(ids);
    let mut filled = plan.fill(&ids, refusals);
    if if_missing == IfMissing::Skip {
        let missing: BooleanBuffer =
            found.iter().map(|found| *found == LookedUp::Missing).collect();
        filled.absent = Some(match filled.absent {
            Some(absent) => &absent | &missing,
            None => missing,
        });
    }
    filled
}

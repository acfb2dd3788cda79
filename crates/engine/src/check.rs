//! The live check of a sync, for `validate --online`: every problem both sides can name, at once.

use flow::{Checked, Error, ObjectSchema};
use transform::MappingError;

use crate::diff::Resend;
use crate::prepare::{Prepared, compile_all, describe, limits, schema_of, setter};
use crate::target::target;
use crate::{Ports, Sync};

/// Something that keeps the sync from running.
#[derive(Debug)]
pub enum Problem {
    /// The warehouse or the destination said so.
    Error(Error),
    /// A field of the mapping does not fit.
    Mapping(MappingError),
    /// A field of `removed.set` does not fit.
    Removed(MappingError),
}

/// Asks the warehouse for the model's columns and the destination for the object's fields, and checks the mapping
/// against both.
///
/// # Errors
/// Every problem found; the two sides are asked independently.
pub async fn check(sync: &Sync, ports: &Ports) -> Result<(Checked, ObjectSchema), Vec<Problem>> {
    let checked = ports.source.check(&sync.model).await;
    let limits = limits(sync, ports);
    let object = describe(sync, ports).await;
    let (checked, limits, object) = match (checked, limits, object) {
        (Ok(checked), Ok(limits), Ok(object)) => (checked, limits, object),
        (checked, limits, object) => {
            let errors = [checked.err(), limits.err(), object.err()];
            return Err(errors.into_iter().flatten().map(Problem::Error).collect());
        }
    };
    target(sync, ports, &object).await.map_err(|error| vec![Problem::Error(error)])?;
    let schema = schema_of(&checked);
    let resend = Resend::Nothing;
    let prepared = Prepared { object, limits, checked, resend, tries_again: false };
    let set = setter(sync, &prepared).err().unwrap_or_default().into_iter().map(Problem::Removed);
    let mapped = compile_all(sync, &prepared, &schema).err().unwrap_or_default();
    let problems: Vec<_> = mapped.into_iter().map(Problem::Mapping).chain(set).collect();
    if problems.is_empty() { Ok((prepared.checked, prepared.object)) } else { Err(problems) }
}

//! Fields that are set to the same values on many records: `removed.set`, checked and typed as mappings are.

use std::sync::Arc;

use arrow::datatypes::Schema;
use flow::{Mode, NullRule, ObjectSchema, Payload};
use serde_json::Value;

use crate::compile::{self, MapperSpec};
use crate::error::{MappingError, Misfit};
use crate::mapper::{Mapper, RunMeta};
use crate::mappings::{FieldMapping, Mappings, OnNull, Origin};
use crate::{Scalar, codes};

/// Reads written values: a scalar is the value itself; `{ const: .. }` and `{ run: .. }` are as in `mappings:`.
///
/// # Errors
/// Every field that is anything else.
pub fn read_set(written: &serde_json::Map<String, Value>) -> Result<Mappings, Vec<MappingError>> {
    let mut errors = Vec::new();
    let mut fields = Vec::new();
    for (field, value) in written {
        match read(field, value) {
            Ok(mapping) => fields.push((field.clone(), mapping)),
            Err(misfit) => errors.push(misfit.of(field)),
        }
    }
    if errors.is_empty() { Ok(Mappings { fields }) } else { Err(errors) }
}

fn read(field: &str, value: &Value) -> Result<FieldMapping, Misfit> {
    let help = "write the value itself, or `{ run: started_at }`";
    let misfit = |message: String| Misfit::new(&codes::E0209_NOT_SUPPORTED, message, help);
    let other = || misfit(format!("`{field}` is set to something that is not one value"));
    match value {
        Value::Array(_) => Err(other()),
        Value::Object(_) => {
            let one = serde_json::Map::from_iter([(field.to_owned(), value.clone())]);
            let read: Mappings = serde_json::from_value(Value::Object(one))
                .map_err(|error| misfit(error.to_string()))?;
            let mapping = read.get(field).cloned().ok_or_else(other)?;
            match mapping.origin {
                Origin::Const(_) | Origin::Run(_) => Ok(mapping),
                _ => Err(misfit(format!(
                    "`{field}` cannot be read from a row: the row is not there any more"
                ))),
            }
        }
        scalar => {
            let scalar: Scalar = serde_json::from_value(scalar.clone()).map_err(|_| other())?;
            // Null is said plainly here, so a destination that cannot empty a field is an error and not a surprise.
            let on_null = (scalar == Scalar::Null).then_some(OnNull::Clear);
            Ok(FieldMapping { on_null, ..FieldMapping::new(Origin::Const(scalar)) })
        }
    }
}

/// What [`Setter::compile`] checks against.
#[derive(Debug, Clone, Copy)]
pub struct SetterSpec<'a> {
    /// The values.
    pub set: &'a Mappings,
    /// Pairs of destination field and model column that find the record; those fields stay as they are.
    pub match_on: &'a [(String, String)],
    /// The destination object.
    pub object: &'a ObjectSchema,
    /// How the destination empties a field.
    pub null_rule: NullRule,
}

/// Checked values, ready to be set on any number of records.
#[derive(Debug)]
pub struct Setter {
    mapper: Mapper,
}

impl Setter {
    /// Checks the values against the destination's fields.
    ///
    /// # Errors
    /// Every mistake at once, one per field at most.
    pub fn compile(spec: SetterSpec<'_>) -> Result<Self, Vec<MappingError>> {
        let matched = spec
            .set
            .iter()
            .filter(|(field, _)| spec.match_on.iter().any(|(name, _)| name == field));
        let mut errors: Vec<MappingError> = matched
            .map(|(field, _)| {
                let message = "the record is found by this field, so it cannot be set";
                Misfit::new(&codes::E0210_CONTRADICTION, message, "leave it out").of(field)
            })
            .collect();
        let known = MapperSpec {
            mappings: spec.set,
            match_on: &[],
            primary_key: &[],
            columns: Arc::new(Schema::empty()),
            object: spec.object,
            mode: Mode::Update,
            null_rule: spec.null_rule,
        };
        match compile::compile_set(&known) {
            Ok(compiled) if errors.is_empty() => {
                Ok(Self { mapper: Mapper::compiled(compiled, &known) })
            }
            Ok(_) => Err(errors),
            Err(more) => {
                errors.extend(more);
                Err(errors)
            }
        }
    }

    /// The payload of so many records.
    ///
    /// # Errors
    /// When what the run says does not fit a field.
    pub fn payload(&self, rows: usize, run: &RunMeta) -> flow::Result<Payload> {
        self.mapper.repeated(rows, run)
    }
}

//! Checks the mappings against a model and a destination object and makes a plan for every field.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::{DataType, SchemaRef};
use flow::{Field, FieldKind, Mode, NullRule, ObjectSchema};

use crate::check::check;
use crate::error::{MappingError, Misfit};
use crate::fit::Fit;
use crate::mappings::{FieldMapping, Mappings, OnNull, Origin, Otherwise, RunValue, Transform};
use crate::plan::{FieldPlan, Input, NullReason, Nulls, Step};
use crate::refusals::Refusals;
use crate::shape::{self, Shape};
use crate::template::{self, Templates};
use crate::unify::unify;
use crate::values::{ValueMap, column_of, options_help};
use crate::{Scalar, codes, convert, steps, suggest};

/// What the mappings are checked against.
#[derive(Debug, Clone)]
pub struct MapperSpec<'a> {
    /// The mappings.
    pub mappings: &'a Mappings,
    /// Pairs of destination field and model column that find the record.
    pub match_on: &'a [(String, String)],
    /// The model's key columns.
    pub primary_key: &'a [String],
    /// The model's columns, as the batches will have them.
    pub columns: SchemaRef,
    /// The destination object.
    pub object: &'a ObjectSchema,
    /// What the sync does; required fields count only where records are created.
    pub mode: Mode,
    /// How the destination empties a field.
    pub null_rule: NullRule,
}

/// A plan for every field that is sent, and the templates they use.
pub(crate) struct Compiled {
    pub(crate) plans: Vec<FieldPlan>,
    pub(crate) templates: Templates,
}

/// Checks everything and gives every mistake at once.
pub(crate) fn compile(spec: &MapperSpec<'_>) -> Result<Compiled, Vec<MappingError>> {
    let mut errors = check(spec.mappings, spec.match_on);
    errors.extend(key_errors(spec));
    errors.extend(match_errors(spec));
    let mut templates = Templates::new();
    let mut plans = Vec::new();
    let added = spec
        .match_on
        .iter()
        .filter(|(field, _)| spec.mappings.get(field).is_none())
        .map(|(field, column)| (field, FieldMapping::new(Origin::Column(column.clone()))));
    let added: Vec<(&String, FieldMapping)> = added.collect();
    let all = added.iter().map(|(field, mapping)| (field.as_str(), mapping));
    for (field, mapping) in all.chain(spec.mappings.iter()) {
        if errors.iter().any(|error| error.field == field) {
            continue;
        }
        let mut builder = Builder { spec, templates: &mut templates, field };
        match builder.plan(mapping) {
            Ok(plan) => plans.push(plan),
            Err(misfit) => errors.push(misfit.of(field)),
        }
    }
    errors.extend(required_errors(spec));
    if errors.is_empty() { Ok(Compiled { plans, templates }) } else { Err(errors) }
}

/// As [`compile`], for values that need no row: no key, nothing to find a record by, nothing required.
pub(crate) fn compile_set(spec: &MapperSpec<'_>) -> Result<Compiled, Vec<MappingError>> {
    let mut errors = check(spec.mappings, &[]);
    let mut templates = Templates::new();
    let mut plans = Vec::new();
    for (field, mapping) in spec.mappings.iter() {
        if errors.iter().any(|error| error.field == field) {
            continue;
        }
        match (Builder { spec, templates: &mut templates, field }).plan(mapping) {
            Ok(plan) => plans.push(plan),
            Err(misfit) => errors.push(misfit.of(field)),
        }
    }
    if errors.is_empty() { Ok(Compiled { plans, templates }) } else { Err(errors) }
}

fn key_errors(spec: &MapperSpec<'_>) -> Vec<MappingError> {
    if spec.primary_key.is_empty() {
        let misfit = Misfit::new(&codes::E0201_UNKNOWN_COLUMN, "`primary_key` names no column", "");
        return vec![misfit.of("primary_key")];
    }
    let missing = |column: &&String| spec.columns.column_with_name(column).is_none();
    let error = |column: &String| unknown_column(spec, column, "`primary_key`").of(column);
    spec.primary_key.iter().filter(missing).map(error).collect()
}

fn match_errors(spec: &MapperSpec<'_>) -> Vec<MappingError> {
    let finds = matches!(spec.mode, Mode::Upsert | Mode::Update | Mode::Mirror | Mode::Delete);
    if spec.match_on.is_empty() && finds {
        let message = format!("mode `{}` needs `match_on`", spec.mode.as_str());
        return vec![Misfit::new(&codes::E0215_NO_MATCH, message, "").of("match_on")];
    }
    let mut errors = Vec::new();
    for (name, column) in spec.match_on {
        let field = spec.object.field(name);
        let misfit = match field {
            None if !spec.object.open => Some(unknown_field(spec, name)),
            Some(field) if field.read_only => Some(read_only(spec, name)),
            Some(field) if !field.unique => Some(not_unique(spec, name)),
            _ if spec.columns.column_with_name(column).is_none() => {
                Some(unknown_column(spec, column, "`match_on`"))
            }
            _ => None,
        };
        errors.extend(misfit.map(|misfit| misfit.of(name)));
    }
    errors
}

fn required_errors(spec: &MapperSpec<'_>) -> Vec<MappingError> {
    if matches!(spec.mode, Mode::Update | Mode::Delete) {
        return Vec::new();
    }
    let mapped = |name: &str| {
        spec.mappings.get(name).is_some() || spec.match_on.iter().any(|(field, _)| field == name)
    };
    spec.object
        .fields
        .iter()
        .filter(|field| field.required && !field.read_only && !mapped(&field.name))
        .map(|field| {
            let message = format!(
                "`{}` requires the field `{}`, and no mapping gives it a value",
                spec.object.object, field.name
            );
            Misfit::new(&codes::E0208_REQUIRED_NOT_MAPPED, message, "").of(&field.name)
        })
        .collect()
}

fn unknown_column(spec: &MapperSpec<'_>, column: &str, place: &str) -> Misfit {
    let names = spec.columns.fields().iter().map(|field| field.name().as_str());
    Misfit::new(
        &codes::E0201_UNKNOWN_COLUMN,
        format!("{place} reads the column `{column}`, which the model does not have"),
        suggest::hint(column, names),
    )
}

fn unknown_field(spec: &MapperSpec<'_>, name: &str) -> Misfit {
    let names = spec.object.fields.iter().filter(|field| !field.read_only);
    let meant = suggest::closest(name, names.map(|field| field.name.as_str()));
    let meant = meant.map_or_else(String::new, |meant| format!("did you mean `{meant}`? "));
    let object = &spec.object.object;
    Misfit::new(
        &codes::E0203_UNKNOWN_FIELD,
        format!("`{object}` has no field `{name}`"),
        format!(
            "{meant}`outflow discover CONNECTION {object}` lists the {} fields",
            spec.object.fields.len()
        ),
    )
}

fn read_only(spec: &MapperSpec<'_>, name: &str) -> Misfit {
    let message = format!("the field `{name}` of `{}` cannot be written", spec.object.object);
    Misfit::new(&codes::E0204_READ_ONLY_FIELD, message, "")
}

fn not_unique(spec: &MapperSpec<'_>, name: &str) -> Misfit {
    let unique = spec.object.fields.iter().filter(|field| field.unique && !field.read_only);
    let unique: Vec<&str> = unique.map(|field| field.name.as_str()).collect();
    let help = match unique[..] {
        [] => String::new(),
        _ => format!("unique fields are {}", suggest::listed(unique)),
    };
    Misfit::new(
        &codes::E0207_MATCH_NOT_UNIQUE,
        format!(
            "records of `{}` cannot be found by `{name}`: it is not unique",
            spec.object.object
        ),
        help,
    )
}

/// Plans one field.
struct Builder<'a, 's> {
    spec: &'a MapperSpec<'s>,
    templates: &'a mut Templates,
    field: &'a str,
}

impl Builder<'_, '_> {
    fn plan(&mut self, mapping: &FieldMapping) -> Result<FieldPlan, Misfit> {
        let field = self.destination_field()?;
        let matched = self.spec.match_on.iter().any(|(name, _)| name == self.field);
        let (input, start) = self.input(&mapping.origin)?;
        let (mut steps, mut shape) = steps_of(mapping, start)?;
        if matched && shape.is_text() {
            // Records are found by the trimmed value, so the trimmed value is sent.
            steps.push(Step::Transform(Transform::Trim));
            shape = Shape::text();
        }
        let fit = Fit::new(&field.kind);
        let after = fit.shape(&shape)?;
        let explicit = matches!(mapping.on_null, Some(OnNull::Send | OnNull::Clear));
        if explicit && self.spec.null_rule == NullRule::Impossible {
            let message = "`on_null` asks to empty the field, which this destination cannot do";
            return Err(Misfit::new(&codes::E0211_CANNOT_EMPTY, message, ""));
        }
        let nulls = match matched {
            true => Nulls::Reject(NullReason::Match),
            false => Nulls::new(mapping.on_null, field.required, self.spec.null_rule),
        };
        let mut plan = FieldPlan {
            name: self.field.into(),
            input,
            steps,
            fit,
            before: shape,
            after,
            default: None,
            nulls,
            matched,
        };
        if let Some(default) = &mapping.default {
            add_default(&mut plan, default)?;
        }
        settle_constants(&mut plan, mapping)?;
        check_results(&plan, mapping)?;
        Ok(plan)
    }

    fn destination_field(&self) -> Result<Field, Misfit> {
        match self.spec.object.field(self.field) {
            Some(field) if field.read_only => Err(read_only(self.spec, self.field)),
            Some(field) => Ok(field.clone()),
            None if self.spec.object.open => Ok(Field {
                name: self.field.to_owned(),
                label: self.field.to_owned(),
                kind: FieldKind::Any,
                required: false,
                unique: false,
                read_only: false,
                folds_case: false,
            }),
            None => Err(unknown_field(self.spec, self.field)),
        }
    }

    fn input(&mut self, origin: &Origin) -> Result<(Input, Shape), Misfit> {
        match origin {
            Origin::Column(name) => {
                let (_, column) = self
                    .spec
                    .columns
                    .column_with_name(name)
                    .ok_or_else(|| unknown_column(self.spec, name, "the mapping"))?;
                Ok((Input::Column(name.clone()), Shape::of_column(column)))
            }
            Origin::Template(source) => {
                let template = self.templates.add(self.field, source)?;
                let names = self.spec.columns.fields().iter().map(|field| field.name().as_str());
                template::check_columns(&template, names)?;
                Ok((Input::Template(template), Shape::text()))
            }
            Origin::Run(value @ RunValue::StartedAt) => {
                Ok((Input::Run(*value), Shape::plain(shape::moment_type(true))))
            }
            Origin::Run(value) => Ok((Input::Run(*value), Shape::text())),
            Origin::Const(value) => {
                let (column, shape) = column_of(&[value]);
                Ok((Input::Const(column), shape))
            }
            Origin::Lookup(lookup) => {
                for name in lookup.place.columns() {
                    if self.spec.columns.column_with_name(name).is_none() {
                        return Err(unknown_column(self.spec, name, "the lookup"));
                    }
                }
                let lookups = crate::check::lookups(self.spec.mappings);
                let at = lookups.iter().position(|(field, _)| *field == self.field);
                let at = at.expect("the mapping is one of the mappings");
                Ok((Input::Lookup(at, lookup.if_missing), Shape::text()))
            }
        }
    }
}

/// The steps in their fixed order, and the shape they end with.
fn steps_of(mapping: &FieldMapping, start: Shape) -> Result<(Vec<Step>, Shape), Misfit> {
    let mut steps = Vec::new();
    let mut shape = start;
    if let Some(entries) = &mapping.values {
        let otherwise = mapping.otherwise.unwrap_or(Otherwise::Reject);
        let map = ValueMap::new(entries, otherwise, &shape)?;
        shape = map.shape().clone();
        steps.push(Step::Values(map));
    }
    for transform in &mapping.transform {
        shape = steps::shape(transform, &shape)?;
        steps.push(Step::Transform(transform.clone()));
    }
    if let Some(to) = mapping.convert {
        let from = std::mem::replace(&mut shape, Shape::text());
        shape = convert::shape(to, &from)?;
        steps.push(Step::Convert(to, from));
    }
    Ok((steps, shape))
}

/// Runs written values through the field's own type; the first that does not fit is the error.
fn fits(
    plan: &FieldPlan,
    column: &ArrayRef,
    what: &dyn Fn(usize) -> String,
) -> Result<ArrayRef, Misfit> {
    let mut refusals = Refusals::new(column.len());
    let cells = plan.cells(column, &mut refusals);
    let Some((row, refusal)) = (0..column.len()).find_map(|row| Some((row, refusals.get(row)?)))
    else {
        return Ok(cells);
    };
    let help = match plan.fit.kind() {
        FieldKind::Enum { options } | FieldKind::MultiEnum { options } => {
            options_help(&flow::text_at(column, row), options)
        }
        _ => String::new(),
    };
    let message = format!("{} does not fit the field: {}", what(row), refusal.reason);
    Err(Misfit::new(&codes::E0206_VALUE_NEVER_FITS, message, help))
}

fn quoted(column: &ArrayRef, row: usize) -> String {
    if column.is_null(row) {
        "null".to_owned()
    } else {
        format!("`{}`", flow::text_at(column, row))
    }
}

/// A constant is worked out once; what the run says is tried with an example.
fn settle_constants(plan: &mut FieldPlan, mapping: &FieldMapping) -> Result<(), Misfit> {
    match (&plan.input, &mapping.origin) {
        (Input::Const(column), _) => {
            let column = Arc::clone(column);
            let what = |row: usize| format!("the constant {}", quoted(&column, row));
            let done = fits(plan, &column, &what)?;
            plan.steps.clear();
            plan.before = plan.after.clone();
            plan.input = Input::Const(done);
            let constant_null = mapping.origin == Origin::Const(Scalar::Null);
            match plan.nulls {
                Nulls::Reject(_) if constant_null && plan.default.is_none() => Err(Misfit::new(
                    &codes::E0206_VALUE_NEVER_FITS,
                    "the constant is null, and null rejects every row here",
                    "",
                )),
                _ => Ok(()),
            }
        }
        (Input::Run(value @ (RunValue::Id | RunValue::StartedAt)), _) => {
            let example = crate::mapper::run_column(
                *value,
                &crate::RunMeta {
                    id: "01890a5d-ac96-774b-bcce-b302099a8057".to_owned(),
                    sync: String::new(),
                    started_at: 1_767_607_202_869_800,
                },
            );
            fits(plan, &example, &|_| "what the run says".to_owned()).map(|_| ())
        }
        _ => Ok(()),
    }
}

/// Every result of `values` must fit the field after the steps that follow.
fn check_results(plan: &FieldPlan, mapping: &FieldMapping) -> Result<(), Misfit> {
    let Some(Step::Values(map)) = plan.steps.first() else { return Ok(()) };
    let rest = FieldPlan { steps: plan.steps[1..].to_vec(), ..plan.clone() };
    let key = |row: usize| {
        let entries = mapping.values.as_deref().unwrap_or_default();
        entries.get(row).map_or("", |(key, _)| key).to_owned()
    };
    let what =
        |row: usize| format!("{}, the result for `{}`,", quoted(map.results(), row), key(row));
    fits(&rest, map.results(), &what).map(|_| ())
}

/// A default is given in the destination's terms, so only the field's own type applies to it.
fn add_default(plan: &mut FieldPlan, default: &Scalar) -> Result<(), Misfit> {
    let (column, from) = column_of(&[default]);
    let to = plan.fit.shape(&from).map_err(|misfit| Misfit {
        code: &codes::E0206_VALUE_NEVER_FITS,
        message: format!("the default `{}` does not fit: {}", default.as_text(), misfit.message),
        help: misfit.help,
    })?;
    let own = FieldPlan { steps: Vec::new(), before: from, after: to, ..plan.clone() };
    let what = |_: usize| format!("the default `{}`", default.as_text());
    let cells = fits(&own, &column, &what)?;
    if let Some(cells) = unify(&cells, &plan.after) {
        plan.default = Some(cells);
        return Ok(());
    }
    let exact = matches!(plan.fit.kind(), FieldKind::Number);
    if exact && plan.after.data_type != DataType::Utf8 {
        // The column's type cannot hold the default exactly; exact text holds both.
        let shape = plan.before.clone();
        plan.steps.push(Step::Convert(crate::Convert::String, shape));
        plan.before = Shape::text();
        plan.after = Shape::number_text();
        plan.default = unify(&cells, &plan.after);
    }
    match plan.default {
        Some(_) => Ok(()),
        None => Err(Misfit::new(
            &codes::E0206_VALUE_NEVER_FITS,
            format!("the default `{}` has another type than the column", default.as_text()),
            "give both one type, for example with `as`",
        )),
    }
}

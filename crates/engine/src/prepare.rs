//! What is asked before anything is sent: the destination's limits and fields, the model's columns, the mapping.

use std::sync::Arc;

use flow::arrow::datatypes::{Schema, SchemaRef};
use flow::{Checked, ColumnInfo, Error, Kind, Limits, Mode, ObjectSchema, Removal, Result, Retry};
use transform::{Mapper, MapperSpec, MappingError, Setter, SetterSpec};

use crate::diff::Resend;
use crate::gone::write_mode;
use crate::retry::repeat;
use crate::{Ports, Removed, RemovedAction, Sync, codes, lookups};

/// The finding of a source whose table a crash empties.
const UNLOGGED: &str = "E1054";

/// The answers.
#[derive(Debug, Clone)]
pub(crate) struct Prepared {
    pub(crate) object: ObjectSchema,
    pub(crate) limits: Limits,
    pub(crate) checked: Checked,
    /// Whether rows refused before are tried again, see [`crate::target::Aim::resend`].
    pub(crate) resend: Resend,
    /// Rejects that may land by now are tried again.
    pub(crate) tries_again: bool,
}

/// Asks both sides and checks the mapping against them.
pub(crate) async fn prepare(sync: &Sync, ports: &Ports) -> Result<Prepared> {
    let limits = limits(sync, ports)?;
    let checked = ports.source.check(&sync.model).await?;
    refuse_unlogged(sync, &checked)?;
    let object = describe(sync, ports).await?;
    let resend = Resend::Nothing;
    let prepared = Prepared { object, limits, checked, resend, tries_again: true };
    lookups::check(sync, ports)?;
    compile(sync, &prepared, &schema_of(&prepared.checked))?;
    setter(sync, &prepared).map_err(|errors| mapping_error(&errors))?;
    Ok(prepared)
}

/// Hazard 29: after a crash of the warehouse such a table is empty, which looks like a complete read of nothing.
fn refuse_unlogged(sync: &Sync, checked: &Checked) -> Result<()> {
    let unlogged = checked.findings.iter().find(|finding| finding.code.id == UNLOGGED);
    match unlogged.filter(|_| sync.mode == Mode::Mirror) {
        Some(finding) => Err(Error::new(&codes::E4056, finding.message.clone())),
        None => Ok(()),
    }
}

/// The object's fields; asked again when that may help, as when another process has just used the account's window up.
pub(crate) async fn describe(sync: &Sync, ports: &Ports) -> Result<ObjectSchema> {
    asked(ports, || ports.destination.describe(&sync.object)).await
}

/// A question before anything is sent, asked again when that may help.
pub(crate) async fn asked<T, F: Future<Output = Result<T>>>(
    ports: &Ports,
    ask: impl Fn() -> F,
) -> Result<T> {
    // A place that cannot be reached at all is said at once: nothing has begun yet.
    let retry_of = |error: &Error| match error.kind() {
        Kind::Unreachable => Retry::Never,
        _ => error.retry(),
    };
    repeat(ports.retry, retry_of, async || ask().await).await
}

/// The destination's limits, when it can do the sync's mode.
pub(crate) fn limits(sync: &Sync, ports: &Ports) -> Result<Limits> {
    let limits = ports.destination.limits(&sync.object)?;
    let Some(limits) = sync.delivery.api.choose(limits) else {
        let message = format!(
            "`{}` does not take `{}` the way `delivery.api` says",
            sync.destination, sync.object
        );
        return Err(Error::new(&codes::E4008, message));
    };
    if let Some(refused) = refused_removal(sync, &limits) {
        return Err(refused);
    }
    if limits.modes.contains(&write_mode(sync.mode)) {
        return Ok(limits);
    }
    let modes: Vec<_> = limits.modes.iter().map(|mode| mode.as_str()).collect();
    let message = format!(
        "`{}` cannot {} `{}` safely; it can: {}",
        sync.destination,
        sync.mode.as_str(),
        sync.object,
        modes.join(", ")
    );
    Err(Error::new(&codes::E4008, message))
}

/// What the destination cannot do for `removed`.
fn refused_removal(sync: &Sync, limits: &Limits) -> Option<Error> {
    let wanted = sync.removed.as_ref()?.action.needs()?;
    if limits.removals.contains(&wanted) {
        return None;
    }
    let (name, object) = (&sync.destination, &sync.object);
    let what = match wanted {
        Removal::Delete => "delete",
        Removal::Update => "update",
    };
    let message = format!("`{name}` cannot {what} records of `{object}` whose row left the model");
    Some(Error::new(&codes::E4023, message))
}

/// The fields to set on records whose row left the model; `None` where none are set.
pub(crate) fn setter(
    sync: &Sync,
    prepared: &Prepared,
) -> Result<Option<Setter>, Vec<MappingError>> {
    let Some(Removed { action: RemovedAction::Update(set), .. }) = &sync.removed else {
        return Ok(None);
    };
    let (match_on, object) = (&sync.match_on, &prepared.object);
    let null_rule = prepared.limits.null_rule;
    Setter::compile(SetterSpec { set, match_on, object, null_rule }).map(Some)
}

/// The mapping for rows of this schema.
pub(crate) fn compile(sync: &Sync, prepared: &Prepared, columns: &SchemaRef) -> Result<Mapper> {
    compile_all(sync, prepared, columns).map_err(|errors| mapping_error(&errors))
}

/// As [`compile`], with every error.
pub(crate) fn compile_all(
    sync: &Sync,
    prepared: &Prepared,
    columns: &SchemaRef,
) -> Result<Mapper, Vec<MappingError>> {
    Mapper::compile(&MapperSpec {
        mappings: &sync.mappings,
        match_on: &sync.match_on,
        primary_key: &sync.model.primary_key,
        columns: Arc::clone(columns),
        object: &prepared.object,
        mode: write_mode(sync.mode),
        null_rule: prepared.limits.null_rule,
    })
}

/// All columns of the model.
pub(crate) fn schema_of(checked: &Checked) -> SchemaRef {
    let fields: Vec<_> = checked.columns.iter().map(ColumnInfo::field).collect();
    Arc::new(Schema::new(fields))
}

pub(crate) fn mapping_error(errors: &[MappingError]) -> Error {
    let places: Vec<_> =
        errors.iter().map(|error| format!("{}: {}", error.field, error.message)).collect();
    let error = Error::new(&codes::E4003, places.join("; "));
    match errors {
        [only] => error.with_remedy(only.help.clone()),
        _ => error,
    }
}

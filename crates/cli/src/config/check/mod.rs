//! From a sync file of the right shape to a checked sync: what its parts mean together.

mod guards;
mod log;
mod lookups;
mod model;
mod not_yet;
mod ownership;
mod parts;
mod privacy;
mod removed;

use std::collections::BTreeMap;
use std::path::Path;

use flow::{Limits, Mode};

pub(super) use log::slots;
pub(super) use lookups::check as lookups;
pub(crate) use lookups::parents;
pub(super) use ownership::check as ownership;

use super::checked::{CheckedSync, Connection};
use super::nearest::{did_you_mean, list};
use super::node::{Entry, Node};
use super::open::Opened;
use super::vars::Vars;
use super::written::Freshness;
use parts::Parts;

use crate::codes::{
    E0102_UNKNOWN_CONNECTION, E0103_CONNECTION_SIDE, E0111_MATCH_ON_NEEDED, E0113_BATCH_TOO_LARGE,
    E0114_MODE_NOT_POSSIBLE, E0116_SCHEDULE, E0117_FRESHNESS,
};
use crate::diagnostic::Diagnostic;
use writer::codes::E2111_NO_SUCH_API;

/// What a sync is checked against.
pub(super) struct Setting<'a> {
    /// By name; `None` for one that is declared and wrong.
    pub(super) connections: &'a BTreeMap<String, Option<Connection>>,
    /// The project's folder.
    pub(super) root: &'a Path,
    /// Values of `${var:name}`.
    pub(super) vars: &'a Vars,
    /// Whether the file has the right shape; if not, what cannot be read was already reported.
    pub(super) well_formed: bool,
}

/// Which way rows go through a connection.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Warehouse,
    Destination,
}

/// Checks one sync. `None` when a part is missing or cannot be read.
pub(super) fn sync(
    node: &Node,
    setting: &Setting<'_>,
    opened: &mut Opened,
    problems: &mut Vec<Diagnostic>,
) -> Option<CheckedSync> {
    problems.extend(not_yet::sync(node));
    let parts = Parts::read(node, setting.well_formed, problems);
    let model = model::check(node, setting, opened, problems);
    log::check(node, warehouse(node, setting), problems);
    match_on(node, parts.mode, problems);
    guards::check(node, (parts.mode, &parts.guards), problems);
    calendar(node, parts.freshness.as_ref(), problems);
    let limits = limits(node, setting, opened, problems);
    within_limits(node, &parts, limits.as_ref(), problems);
    let removed = parts.removed(node, limits.as_ref(), problems);
    let checked = parts.assemble(node, model?, removed)?;
    problems.extend(privacy::check(node, &checked));
    mapping(&checked, problems);
    Some(checked)
}

/// Mistakes of the mapping that show without a model and a destination.
fn mapping(checked: &CheckedSync, problems: &mut Vec<Diagnostic>) {
    for error in transform::check(&checked.sync.mappings, &checked.sync.match_on) {
        // Refused above, at the very key.
        if error.code != &transform::codes::E0209_NOT_SUPPORTED {
            problems.push(checked.mapping_error(&error));
        }
    }
}

/// The warehouse, when it is one.
fn warehouse<'a>(node: &Node, setting: &Setting<'a>) -> Option<&'a Connection> {
    connection(node, ["model", "connection"], Side::Warehouse, setting).ok().flatten()
}

/// The connection that `path` names, when it is there and on the right side.
fn connection<'a>(
    node: &Node,
    path: [&str; 2],
    side: Side,
    setting: &Setting<'a>,
) -> Result<Option<&'a Connection>, Diagnostic> {
    let Some(entry) = node.entry_at(&path) else { return Ok(None) };
    let Some(name) = entry.value.as_text() else { return Ok(None) };
    let place = entry.value_place();
    let is_here =
        |connection: &Connection| connection.source().is_some() == (side == Side::Warehouse);
    match setting.connections.get(name) {
        Some(Some(connection)) if is_here(connection) => Ok(Some(connection)),
        Some(Some(_)) => {
            let fitting: Vec<&str> = setting
                .connections
                .iter()
                .filter(|(_, one)| one.as_ref().is_some_and(is_here))
                .map(|(name, _)| name.as_str())
                .collect();
            let (is, needs) = match side {
                Side::Warehouse => ("a destination", "a model is read from a warehouse"),
                Side::Destination => ("a warehouse", "rows are written to a destination"),
            };
            let help = match fitting.is_empty() {
                true => "declare one under `connections:` of outflow.yml".to_owned(),
                false => format!("use {}", list(fitting)),
            };
            Err(Diagnostic::error(&E0103_CONNECTION_SIDE, format!("`{name}` is {is}; {needs}"))
                .at(place, is)
                .with_help(help))
        }
        // Declared, and its own problem was reported there.
        Some(None) => Ok(None),
        None => {
            let known = setting.connections.keys().map(String::as_str);
            let near = did_you_mean(name, known.clone());
            let help = match setting.connections.is_empty() {
                true => "declare it under `connections:` of outflow.yml".to_owned(),
                false => format!("{near}declared are {}", list(known)),
            };
            Err(Diagnostic::error(
                &E0102_UNKNOWN_CONNECTION,
                format!("the connection `{name}` is not declared"),
            )
            .at(place, "not in outflow.yml")
            .with_help(help))
        }
    }
}

fn match_on(node: &Node, mode: Option<Mode>, problems: &mut Vec<Diagnostic>) {
    let Some(mode) = mode.filter(|mode| *mode != Mode::Append) else { return };
    let Some(destination) = node.entry("destination") else { return };
    if !destination.value.entries().is_empty() && destination.value.entry("match_on").is_none() {
        problems.push(
            Diagnostic::error(
                &E0111_MATCH_ON_NEEDED,
                format!("`mode: {}` needs `match_on`", mode.as_str()),
            )
            .at(&destination.place, "`match_on` is missing"),
        );
    }
}

fn calendar(node: &Node, freshness: Option<&Freshness>, problems: &mut Vec<Diagnostic>) {
    let schedule = node.entry("schedule").map(|entry| entry.value.entries()).unwrap_or_default();
    let ways: Vec<&Entry> = schedule
        .iter()
        .filter(|entry| ["every", "cron", "continuous"].contains(&entry.key.as_str()))
        .collect();
    if let [first, second, ..] = ways.as_slice() {
        problems.push(
            Diagnostic::error(
                &E0116_SCHEDULE,
                format!("the schedule has both `{}` and `{}`", first.key, second.key),
            )
            .at(&second.place, "or this one")
            .at(&first.place, "this one"),
        );
    }
    if let Some(Freshness { warn_after: Some(warn), error_after: Some(error) }) = freshness
        && warn >= error
        && let Some(entry) = node.entry_at(&["freshness", "warn_after"])
    {
        problems.push(
            Diagnostic::error(&E0117_FRESHNESS, "`warn_after` is not before `error_after`")
                .at(entry.value_place(), "not the shorter of the two"),
        );
    }
}

/// What the destination says it can do with the object.
fn limits(
    node: &Node,
    setting: &Setting<'_>,
    opened: &mut Opened,
    problems: &mut Vec<Diagnostic>,
) -> Option<Limits> {
    let found = connection(node, ["destination", "connection"], Side::Destination, setting);
    let connection = found.map_err(|problem| problems.push(problem)).ok()??;
    let object = node.entry_at(&["destination", "object"])?;
    let destination = opened.destination(connection, problems)?;
    destination
        .limits(object.value.as_text()?)
        .map_err(|error| {
            problems.push(
                Diagnostic::error(error.code(), error.message())
                    .at(object.value_place(), "of this object")
                    .with_help(error.remedy()),
            );
        })
        .ok()
}

fn within_limits(
    node: &Node,
    parts: &Parts,
    limits: Option<&Limits>,
    problems: &mut Vec<Diagnostic>,
) {
    let Some(limits) = limits else { return };
    if let Some(entry) = node.entry_at(&["delivery", "batch_rows"])
        && parts.delivery.batch_rows.is_some_and(|rows| rows > limits.rows_max)
    {
        problems.push(
            Diagnostic::error(
                &E0113_BATCH_TOO_LARGE,
                format!("the destination takes at most {} rows in one call", limits.rows_max),
            )
            .at(entry.value_place(), format!("more than {}", limits.rows_max)),
        );
    }
    api_is_there(node, parts, limits, problems);
    // A mirror is upserts, and removals, which are checked with `removed`.
    let mirror = limits.modes.contains(&Mode::Upsert).then_some(Mode::Mirror);
    let mut possible = limits.modes.to_vec();
    possible.extend(mirror.filter(|mirror| !limits.modes.contains(mirror)));
    if let Some((mode, entry)) = parts.mode.zip(node.entry("mode"))
        && !possible.contains(&mode)
        && !problems.iter().any(|problem| problem.place() == Some(&entry.place))
    {
        let modes = list(possible.iter().map(|mode| mode.as_str()));
        problems.push(
            Diagnostic::error(
                &E0114_MODE_NOT_POSSIBLE,
                format!("the destination cannot do `mode: {}` safely", mode.as_str()),
            )
            .at(entry.value_place(), "not possible here")
            .with_help(format!("possible are {modes}")),
        );
    }
}

fn api_is_there(node: &Node, parts: &Parts, limits: &Limits, problems: &mut Vec<Diagnostic>) {
    let Some(entry) = node.entry_at(&["delivery", "api"]) else { return };
    let api = parts.delivery.api.map(engine::Api::from).unwrap_or_default();
    if api.choose(limits.clone()).is_some() {
        return;
    }
    let (way, others) = match limits.jobs {
        None => ("takes no rows as jobs", "`auto` or `collections`"),
        Some(_) => ("takes rows as jobs only", "`auto` or `bulk`"),
    };
    problems.push(
        Diagnostic::error(&E2111_NO_SUCH_API, format!("the destination {way}"))
            .at(entry.value_place(), "not possible here")
            .with_help(format!("use {others}; what the connection's options choose comes first")),
    );
}

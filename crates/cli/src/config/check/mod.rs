//! From a sync file of the right shape to a checked sync: what its parts mean together.

mod model;
mod not_yet;
mod ownership;
mod privacy;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use flow::{Changes, Limits, Mode};
use serde::de::DeserializeOwned;

pub(super) use not_yet::project as not_yet_in_project;
pub(super) use ownership::check as ownership;

use super::checked::{CheckedSync, Connection, Places};
use super::file::Place;
use super::nearest::{did_you_mean, list};
use super::node::{Entry, Node};
use super::open::Opened;
use super::reference::Vars;
use super::written::{
    ChangesSection, DeliverySection, DestinationSection, Freshness, Guards, Name, OnReject,
    PrivacySection, Schedule,
};
use crate::codes::{
    E0019_SCHEMA_BUG, E0102_UNKNOWN_CONNECTION, E0103_CONNECTION_SIDE,
    E0109_MIRROR_WITHOUT_REMOVED, E0110_MIRROR_ON_WATERMARK, E0111_MATCH_ON_NEEDED,
    E0113_BATCH_TOO_LARGE, E0114_MODE_NOT_POSSIBLE, E0116_SCHEDULE, E0117_FRESHNESS,
};
use crate::diagnostic::Diagnostic;

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
    let mut reader = Sections { node, well_formed: setting.well_formed, problems };
    let name: Option<Name> = reader.read("sync");
    let mode: Option<Mode> = reader.read("mode");
    let changes: Option<ChangesSection> = reader.read("changes");
    let destination: Option<DestinationSection> = reader.read("destination");
    let mappings: Option<transform::Mappings> = reader.read("mappings");
    let schedule: Option<Schedule> = reader.read("schedule");
    let delivery: DeliverySection = reader.read("delivery").unwrap_or_default();
    let guards: Guards = reader.read("guards").unwrap_or_default();
    let freshness: Option<Freshness> = reader.read("freshness");
    let privacy: PrivacySection = reader.read("privacy").unwrap_or_default();

    let model = model::check(node, setting, opened, problems);
    mirror(node, mode, problems);
    match_on(node, mode, problems);
    calendar(node, freshness.as_ref(), problems);
    let limits = limits(node, setting, opened, problems);
    within_limits(node, mode, &delivery, limits.as_ref(), problems);

    let (model, destination) = (model?, destination?);
    let changes = flow_changes(changes?)?;
    let place = |path: &[&str]| node.entry_at(path).map(|entry| entry.value_place().clone());
    let places = Places {
        name: place(&["sync"])?,
        relation: model.place,
        primary_key: place(&["model", "primary_key"])?,
        watermark: place(&["changes", "column"]),
        object: place(&["destination", "object"])?,
        match_on: pair_places(node),
        mappings: key_places(node.entry("mappings")),
        deny_columns: place(&["privacy", "deny_columns"]),
    };
    let checked = CheckedSync {
        sync: engine::Sync {
            name: name?.0,
            model: Arc::new(flow::Model {
                relation: model.relation,
                primary_key: model.primary_key,
                changes,
            }),
            source: model.connection,
            destination: destination.connection.0,
            object: destination.object,
            match_on: destination.match_on.map(|pairs| pairs.0).unwrap_or_default(),
            mode: mode?,
            mappings: mappings?,
            delivery: engine::Delivery {
                batch_rows: delivery.batch_rows,
                max_concurrency: delivery.max_concurrency,
                stop_on_reject: delivery.on_reject == Some(OnReject::Stop),
            },
            rejected_max: guards.max_rejected.map(|share| share.0),
        },
        description: text(node, "description"),
        owner: text(node, "owner"),
        tags: tags(node),
        enabled: node.entry("enabled").is_none_or(|entry| entry.value.to_json() != false),
        model_name: model.name,
        expected_interval_seconds: schedule
            .and_then(|schedule| schedule.every)
            .map(|every| every.seconds()),
        deny_columns: privacy.deny_columns,
        places,
    };
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

/// Reads the parts of a sync one by one, so that one wrong part hides no problem of another.
struct Sections<'a> {
    node: &'a Node,
    well_formed: bool,
    problems: &'a mut Vec<Diagnostic>,
}

impl Sections<'_> {
    fn read<T: DeserializeOwned>(&mut self, key: &str) -> Option<T> {
        let entry = self.node.entry(key)?;
        match serde_json::from_value(entry.value.to_json()) {
            Ok(value) => Some(value),
            Err(error) => {
                if self.well_formed {
                    self.problems.push(
                        Diagnostic::error(
                            &E0019_SCHEMA_BUG,
                            format!("`{key}` cannot be used: {error}"),
                        )
                        .at(&entry.place, "in this part"),
                    );
                }
                None
            }
        }
    }
}

/// The changes the engine can follow; the others were refused with their own code.
fn flow_changes(changes: ChangesSection) -> Option<Changes> {
    match changes {
        ChangesSection::Watermark { column, lag, .. } => {
            let lag_micros = lag.map_or(0, |lag| lag.micros);
            Some(Changes::Watermark { column, lag_micros })
        }
        ChangesSection::Snapshot { .. } => Some(Changes::Snapshot),
        ChangesSection::Log { .. } => None,
    }
}

fn text(node: &Node, key: &str) -> Option<String> {
    node.entry(key).and_then(|entry| entry.value.as_text()).map(str::to_owned)
}

fn tags(node: &Node) -> Vec<String> {
    let items = node.entry("tags").map(|entry| entry.value.items()).unwrap_or_default();
    items.iter().filter_map(|item| item.as_text().map(str::to_owned)).collect()
}

fn key_places(map: Option<&Entry>) -> Vec<(String, Place)> {
    let entries = map.map(|entry| entry.value.entries()).unwrap_or_default();
    entries.iter().map(|entry| (entry.key.clone(), entry.place.clone())).collect()
}

fn pair_places(node: &Node) -> Vec<(String, String, Place)> {
    let pairs = node.entry_at(&["destination", "match_on"]);
    let entries = pairs.map(|entry| entry.value.entries()).unwrap_or_default();
    entries
        .iter()
        .filter_map(|entry| {
            let column = entry.value.as_text()?.to_owned();
            Some((entry.key.clone(), column, entry.place.clone()))
        })
        .collect()
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

fn mirror(node: &Node, mode: Option<Mode>, problems: &mut Vec<Diagnostic>) {
    let Some(entry) = node.entry("mode").filter(|_| mode == Some(Mode::Mirror)) else { return };
    if node.entry("removed").is_none() {
        problems.push(
            Diagnostic::error(&E0109_MIRROR_WITHOUT_REMOVED, "`mode: mirror` needs `removed:`")
                .at(entry.value_place(), "a mirror acts on removed rows"),
        );
    }
    let method = node.entry_at(&["changes", "method"]);
    let bare = node.entry_at(&["changes", "removed_when"]).is_none();
    if let Some(method) = method.filter(|entry| bare && entry.value.as_text() == Some("watermark"))
    {
        problems.push(
            Diagnostic::error(
                &E0110_MIRROR_ON_WATERMARK,
                "a mirror cannot see removed rows through a watermark",
            )
            .at(method.value_place(), "shows no removals")
            .at(entry.value_place(), "needs to see them"),
        );
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
    mode: Option<Mode>,
    delivery: &DeliverySection,
    limits: Option<&Limits>,
    problems: &mut Vec<Diagnostic>,
) {
    let Some(limits) = limits else { return };
    if let Some(entry) = node.entry_at(&["delivery", "batch_rows"])
        && delivery.batch_rows.is_some_and(|rows| rows > limits.rows_max)
    {
        problems.push(
            Diagnostic::error(
                &E0113_BATCH_TOO_LARGE,
                format!("the destination takes at most {} rows in one call", limits.rows_max),
            )
            .at(entry.value_place(), format!("more than {}", limits.rows_max)),
        );
    }
    if let Some((mode, entry)) = mode.zip(node.entry("mode"))
        && !limits.modes.contains(&mode)
        && !problems.iter().any(|problem| problem.place() == Some(&entry.place))
    {
        let modes = list(limits.modes.iter().map(|mode| mode.as_str()));
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

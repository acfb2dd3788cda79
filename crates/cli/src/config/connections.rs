//! The connections of a project: their types, their options, and simulators that stand in for them.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};
use writer::DestinationKind;

use super::catalog::{CATALOG, Kind};
use super::checked::Connection;
use super::nearest::{did_you_mean, list};
use super::node::{Entry, Node, Value};
use super::schema::SIMULATOR;
use super::secrets::is_loopback;
use super::written::SimulatorOptions;
use crate::codes::{E0104_UNKNOWN_CONNECTION_TYPE, E0105_BAD_OPTIONS};
use crate::diagnostic::{Diagnostic, Severity};

/// Every declared connection by name; `None` for one that is wrong.
pub(super) fn build(
    project: &Node,
    problems: &mut Vec<Diagnostic>,
) -> BTreeMap<String, Option<Connection>> {
    let declared = project.entry("connections").map(|entry| entry.value.entries());
    declared
        .unwrap_or_default()
        .iter()
        .map(|entry| (entry.key.clone(), connection(entry, problems)))
        .collect()
}

fn connection(entry: &Entry, problems: &mut Vec<Diagnostic>) -> Option<Connection> {
    let written = entry.value.entry("type")?;
    problems.extend(written.value.unresolved());
    let name = written.value.as_text()?;
    if name == SIMULATOR {
        return simulator(entry, problems);
    }
    let Some(kind) = CATALOG.kind(name) else {
        let known: Vec<&str> =
            CATALOG.kinds().map(Kind::name).chain(std::iter::once(SIMULATOR)).collect();
        let near = did_you_mean(name, known.iter().copied());
        problems.push(
            Diagnostic::error(
                &E0104_UNKNOWN_CONNECTION_TYPE,
                format!("connection `{}` has the unknown type `{name}`", entry.key),
            )
            .at(written.value_place(), "not a type of this version")
            .with_help(format!("{near}the types are {}", list(known))),
        );
        return None;
    };
    let options = match entry.value.to_json() {
        Json::Object(mut options) => {
            options.remove("type");
            options
        }
        _ => Map::new(),
    };
    let faulty = problems.iter().any(|problem| lies_in(problem, entry));
    Some(Connection { faulty, ..made(entry, kind, options, false) })
}

/// Whether the error is about this connection.
fn lies_in(problem: &Diagnostic, entry: &Entry) -> bool {
    let end = entry.value.place.end.max(entry.place.end);
    problem.severity == Severity::Error
        && problem.place().is_some_and(|place| {
            place.file.name() == entry.place.file.name()
                && (entry.place.start..end).contains(&place.start)
        })
}

fn made(entry: &Entry, kind: Kind, options: Map<String, Json>, simulated: bool) -> Connection {
    let places = entry.value.entries().iter();
    Connection {
        name: entry.key.clone(),
        kind,
        simulated,
        place: entry.place.clone(),
        option_places: places.map(|one| (one.key.clone(), one.place.clone())).collect(),
        options,
        faulty: false,
        unresolved: entry.value.unresolved(),
    }
}

fn simulator(entry: &Entry, problems: &mut Vec<Diagnostic>) -> Option<Connection> {
    let profile = entry.value.entry("profile")?;
    problems.extend(profile.value.unresolved());
    let written: SimulatorOptions = {
        let mut options = entry.value.to_json();
        options.as_object_mut()?.remove("type");
        serde_json::from_value(options).ok()?
    };
    let kind = CATALOG.simulated().find(|kind| kind.name == written.profile);
    let Some(kind) = kind else {
        let known: Vec<&str> = CATALOG.simulated().map(|kind| kind.name).collect();
        problems.push(
            Diagnostic::error(
                &E0105_BAD_OPTIONS,
                format!("there is no simulator `{}`", written.profile),
            )
            .at(profile.value_place(), "not a simulator of this version")
            .with_help(format!(
                "{}the simulators are {}",
                did_you_mean(&written.profile, known.iter().copied()),
                list(known.iter().copied())
            )),
        );
        return None;
    };
    let url = entry.value.entry("url");
    let is_unresolved = url.is_some_and(|url| matches!(url.value.value, Value::Unresolved(_)));
    if !is_unresolved && !written.url.as_deref().is_some_and(is_loopback) {
        let (place, label) = match url {
            Some(url) => (url.value_place(), "not on this machine"),
            None => (&entry.place, "`url` is missing"),
        };
        problems.push(
            Diagnostic::error(&E0105_BAD_OPTIONS, "a simulator needs a `url` on this machine")
                .at(place, label)
                .with_help(format!(
                    "start `outflow simulate {} --port 8701` and write `url: http://127.0.0.1:8701`",
                    kind.name
                )),
        );
        return None;
    }
    let options = practice_options(kind, written.url);
    Some(made(entry, Kind::Destination(kind), options, true))
}

/// Options with which the destination's own writer talks to its simulator: every text that must be there
/// says `simulator`.
fn practice_options(kind: &DestinationKind, url: Option<String>) -> Map<String, Json> {
    let mut options = kind.practice_options(SIMULATOR);
    if let Some(url) = url {
        options.insert("base_url".to_owned(), Json::from(url));
    }
    options
}

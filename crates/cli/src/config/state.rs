//! `state:` of the project file: a folder on this machine, or a schema in PostgreSQL that several machines share.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use flow::Secret;
use serde_json::Value as Json;
use state::PostgresOptions;

use super::checked::{Connection, StateConfig, StateServer};
use super::nearest::{did_you_mean, list};
use super::node::{Entry, Node, Text, Value};
use super::written::{Backend, StateSection};
use crate::codes::{E0120_STATE_CONNECTION, E0121_STATE_KEYS, E0122_STATE_SERVER};
use crate::diagnostic::Diagnostic;

/// The schema where none is named.
const SCHEMA: &str = "outflow_state";
/// The only type of connection that can keep a state.
const POSTGRES: &str = "postgres";

/// Writes `state: postgres://...` out, in the project and in its environments.
pub(super) fn spell_out(project: &mut Node) {
    let Value::Map(entries) = &mut project.value else { return };
    for entry in entries {
        match entry.key.as_str() {
            "state" => spell_out_one(&mut entry.value),
            "environments" => {
                if let Value::Map(environments) = &mut entry.value.value {
                    environments.iter_mut().for_each(|one| spell_out(&mut one.value));
                }
            }
            _ => {}
        }
    }
}

fn spell_out_one(state: &mut Node) {
    let is_url = |text: &str| {
        ["postgres://", "postgresql://", "${"].iter().any(|start| text.starts_with(start))
    };
    if !state.as_text().is_some_and(|text| is_url(text.trim())) {
        return;
    }
    let place = state.place.clone();
    let entry = |key: &str, value: Value| Entry {
        key: key.to_owned(),
        place: place.clone(),
        value: Node { place: place.clone(), value },
    };
    let backend = Text { text: POSTGRES.to_owned(), unquoted: true, substituted: false };
    let url = std::mem::replace(&mut state.value, Value::Map(Vec::new()));
    state.value = Value::Map(vec![entry("backend", Value::Text(backend)), entry("url", url)]);
}

/// Where the project and its environment are.
pub(super) struct Setting<'a> {
    pub(super) root: &'a Path,
    pub(super) environment: Option<&'a str>,
    pub(super) connections: &'a BTreeMap<String, Option<Connection>>,
}

/// Where the state is. What one environment's accounts acknowledged says nothing about another's, so that each has a state
/// of its own, unless it says itself where its state is.
pub(super) fn check(
    project: &Node,
    setting: &Setting<'_>,
    problems: &mut Vec<Diagnostic>,
) -> StateConfig {
    let written = project.entry("state");
    let section: StateSection = written
        .and_then(|entry| serde_json::from_value(entry.value.to_json()).ok())
        .unwrap_or_default();
    let own = |name: &str| project.entry_at(&["environments", name, "state"]).is_some();
    let environment = setting.environment.filter(|name| !own(name));
    let path = section.path.as_deref().filter(|_| section.backend == Backend::Local);
    let dir = setting.root.join(path.unwrap_or(".outflow"));
    let dir = match environment {
        Some(name) => dir.join("environments").join(name),
        None => dir,
    };
    let server = written.and_then(|entry| match section.backend {
        Backend::Local => {
            for key in ["connection", "url", "schema", "lease"] {
                refuse(entry, key, "belongs to `backend: postgres`", problems);
            }
            None
        }
        Backend::Postgres => {
            refuse(entry, "path", "belongs to `backend: local`", problems);
            server(entry, &section, (setting, environment), problems)
        }
    });
    StateConfig { dir, server }
}

fn refuse(state: &Entry, key: &str, why: &str, problems: &mut Vec<Diagnostic>) {
    if let Some(entry) = state.value.entry(key) {
        problems.push(
            Diagnostic::error(&E0121_STATE_KEYS, format!("`state.{key}` {why}"))
                .at(&entry.place, "no meaning here")
                .with_help("remove it, or name the backend it belongs to"),
        );
    }
}

fn server(
    state: &Entry,
    section: &StateSection,
    (setting, environment): (&Setting<'_>, Option<&str>),
    problems: &mut Vec<Diagnostic>,
) -> Option<StateServer> {
    let (connection, url) = (state.value.entry("connection"), state.value.entry("url"));
    let (url, tls, ca_file) = match (connection, url) {
        (Some(_), Some(url)) => {
            refuse_both(url, problems);
            return None;
        }
        (None, Some(url)) => (Secret::new(url.value.as_text()?), None, None),
        (Some(connection), _) => of_connection(connection, setting.connections, problems)?,
        (None, None) => {
            problems.push(
                Diagnostic::error(&E0121_STATE_KEYS, "a state in PostgreSQL needs a server")
                    .at(&state.place, "neither `connection` nor `url`")
                    .with_help(
                        "name a connection of type postgres with `connection:`, or give `url:`",
                    ),
            );
            return None;
        }
    };
    let schema = section.schema.as_deref().unwrap_or(SCHEMA);
    let schema = match environment {
        Some(name) => format!("{schema}_{name}"),
        None => schema.to_owned(),
    };
    let lease = section.lease.map(|lease| Duration::from_micros(lease.micros.cast_unsigned()));
    let server = StateServer { url, tls, ca_file, schema, lease };
    if let Err(error) = server.options().check() {
        problems.push(
            Diagnostic::error(&E0122_STATE_SERVER, error.message().trim_end_matches('.'))
                .at(&state.place, "this state"),
        );
    }
    Some(server)
}

fn refuse_both(url: &Entry, problems: &mut Vec<Diagnostic>) {
    problems.push(
        Diagnostic::error(&E0121_STATE_KEYS, "`state` names a connection and a URL")
            .at(&url.place, "one of them is too much")
            .with_help("keep `connection` or `url`"),
    );
}

type Reached = (Secret, Option<reader::postgres::Tls>, Option<PathBuf>);

fn of_connection(
    entry: &Entry,
    connections: &BTreeMap<String, Option<Connection>>,
    problems: &mut Vec<Diagnostic>,
) -> Option<Reached> {
    let name = entry.value.as_text()?;
    let wrong = |why: String, help: String| {
        Diagnostic::error(&E0120_STATE_CONNECTION, why)
            .at(entry.value_place(), "not a server to keep a state on")
            .with_help(help)
    };
    let connection = match connections.get(name) {
        // What is wrong with it was said where it stands.
        Some(known) => known.as_ref()?,
        None => {
            let known: Vec<&str> = connections.keys().map(String::as_str).collect();
            let near = did_you_mean(name, known.iter().copied());
            problems.push(wrong(
                format!("there is no connection `{name}`"),
                format!("{near}the connections are {}", list(known)),
            ));
            return None;
        }
    };
    if connection.kind.name() != POSTGRES || connection.simulated {
        problems.push(wrong(
            format!("connection `{name}` is not of type postgres"),
            "name a connection of type postgres, or give `url:`".to_owned(),
        ));
        return None;
    }
    // Nothing works without the state, so that what it needs must be there.
    problems.extend(connection.unresolved.iter().cloned());
    let options = Json::Object(connection.options());
    let options: reader::postgres::Options = serde_json::from_value(options).ok()?;
    Some((options.url, options.tls, options.ca_file))
}

impl StateServer {
    /// As the state takes it.
    pub(crate) fn options(&self) -> PostgresOptions<'_> {
        let at = state::At { url: &self.url, tls: self.tls, ca_file: self.ca_file.as_deref() };
        PostgresOptions { at, schema: &self.schema, lease: self.lease }
    }
}

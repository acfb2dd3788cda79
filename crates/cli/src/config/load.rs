//! Reads every file of a project and checks it: the road from text to [`Project`].

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::check::{self, Setting};
use super::checked::{CheckedSync, Connection, Project, StateConfig};
use super::file::{Place, SourceFile};
use super::files::{self, PROJECT_FILE};
use super::nearest::{did_you_mean, list};
use super::node::{Entry, Node, Value};
use super::open::Opened;
use super::reference::{self, Outside};
use super::shape::Shape;
use super::vars::{self, Vars};
use super::{connections, schema, secrets, state, yaml};
use crate::codes::{E0019_SCHEMA_BUG, E0030_UNKNOWN_ENVIRONMENT, E0101_SYNC_NAME_TWICE};
use crate::diagnostic::{Diagnostic, Report, Severity};

/// What is loaded, and what it may see of the world.
#[derive(Clone, Copy)]
struct LoadOptions<'a> {
    root: &'a Path,
    environment: Option<&'a str>,
    variable: &'a dyn Fn(&str) -> Option<String>,
}

/// Loads the project in the folder `root`, with the environment `--env` names and the variables of the
/// process.
///
/// Variables that are not set are no error here: [`Project::connection`] reports them for the connections
/// that are used, [`Project::unresolved`] all of them.
///
/// # Errors
/// Every problem of every file at once, warnings included.
pub fn load(
    root: &Path,
    environment: Option<&str>,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<Project, Report> {
    let options = LoadOptions { root, environment, variable };
    let mut problems = Vec::new();
    let project_file = files::project(options.root, &mut problems);
    let sync_files = files::syncs(options.root, &mut problems);
    let project = project_file.map(|file| ProjectTree::read(&file, options, &mut problems));
    let syncs: Vec<(Node, bool)> =
        sync_files.iter().filter_map(|file| parsed(file, &mut problems)).collect();
    let loaded = match project.flatten() {
        Some(project) => Some(project.check(syncs, options, &mut problems)),
        None => {
            // Without connections only the shape of the syncs can be checked.
            for (mut sync, _) in syncs {
                shape_of_sync(&mut sync, None, &mut problems);
            }
            None
        }
    };
    let report = Report::new(problems);
    match loaded {
        Some(project) if report.errors() == 0 => Ok(Project { warnings: report, ..project }),
        _ => Err(report),
    }
}

/// The tree of a file, and whether it was without a problem.
fn parsed(file: &Arc<SourceFile>, problems: &mut Vec<Diagnostic>) -> Option<(Node, bool)> {
    let (node, found) = yaml::parse(file);
    let is_clean = found.is_empty();
    problems.extend(found);
    Some((node?, is_clean))
}

/// The project file with its references substituted and the environment laid over it.
struct ProjectTree {
    node: Node,
    /// Whether it has the right shape, so that defaults under a sync do not spoil it.
    well_formed: bool,
    /// Variables and files outside of connections that are not there.
    unresolved: Vec<Diagnostic>,
}

impl ProjectTree {
    fn read(
        file: &Arc<SourceFile>,
        options: LoadOptions<'_>,
        problems: &mut Vec<Diagnostic>,
    ) -> Option<Self> {
        let (mut node, is_clean) = parsed(file, problems)?;
        state::spell_out(&mut node);
        problems.extend(secrets::hide(&node));
        let outside = Outside { variable: options.variable, root: options.root };
        substitute(&mut node, outside, problems);
        let shape = Shape::new(schema::project());
        shape.conform(&mut node);
        let found = shape.check(&node, PROJECT_FILE);
        let well_formed = is_clean && found.is_empty();
        problems.extend(found);
        overlay(&mut node, options.environment, problems);
        // Nothing works without the state, so that what it needs must be there.
        problems.extend(
            node.entry("state").map(|entry| entry.value.unresolved()).into_iter().flatten(),
        );
        let alerts = [&["alerts"][..], &["defaults", "alerts"]];
        let unresolved = alerts.iter().filter_map(|path| node.entry_at(path));
        let unresolved = unresolved.flat_map(|entry| entry.value.unresolved()).collect();
        Some(Self { node, well_formed, unresolved })
    }

    fn check(
        self,
        syncs: Vec<(Node, bool)>,
        options: LoadOptions<'_>,
        problems: &mut Vec<Diagnostic>,
    ) -> Project {
        let connections = connections::build(&self.node, problems);
        let defaults = self.node.entry("defaults").map(|entry| &entry.value);
        let project_vars = vars::declared(&self.node);
        let mut opened = Opened::new();
        let mut checked: Vec<CheckedSync> = Vec::new();
        let mut names: BTreeMap<String, Place> = BTreeMap::new();
        let mut lost: Vec<Place> = Vec::new();
        for (mut sync, is_clean) in syncs {
            let vars: Vars =
                project_vars.clone().into_iter().chain(vars::declared(&sync)).collect();
            let well_formed =
                shape_of_sync(&mut sync, Some(&vars), problems) && is_clean && self.well_formed;
            unique_name(&sync, &mut names, problems);
            merge_defaults(&mut sync, defaults);
            let setting =
                Setting { connections: &connections, root: options.root, vars: &vars, well_formed };
            let found = check::sync(&sync, &setting, &mut opened, problems);
            if found.is_none() {
                lost.push(sync.place.first_line());
            }
            checked.extend(found);
        }
        checked.sort_by(|a, b| a.sync.name.cmp(&b.sync.name));
        problems.extend(check::ownership(&checked));
        problems.extend(check::slots(&checked));
        problems.extend(check::lookups(&checked));
        if problems.iter().all(|problem| problem.severity != Severity::Error) {
            // No sync is ever left out without a word.
            problems.extend(lost.iter().map(|place| {
                Diagnostic::error(&E0019_SCHEMA_BUG, "the sync cannot be used")
                    .at(place, "this sync")
            }));
        }
        let setting = state::Setting {
            root: options.root,
            environment: options.environment,
            connections: &connections,
        };
        let state = state::check(&self.node, &setting, problems);
        self.project(options, (connections, state), checked)
    }

    fn project(
        self,
        options: LoadOptions<'_>,
        (connections, state): (BTreeMap<String, Option<Connection>>, StateConfig),
        syncs: Vec<CheckedSync>,
    ) -> Project {
        let name = self.node.entry("project").and_then(|entry| entry.value.as_text());
        Project {
            name: name.unwrap_or_default().to_owned(),
            root: options.root.to_owned(),
            state,
            connections: connections
                .into_iter()
                .filter_map(|(name, connection)| Some((name, connection?)))
                .collect(),
            syncs,
            warnings: Report::default(),
            environment: options.environment.map(str::to_owned),
            unresolved: self.unresolved,
        }
    }
}

/// Substitutes what comes from outside where that is allowed, and refuses it everywhere else.
fn substitute(project: &mut Node, outside: Outside<'_>, problems: &mut Vec<Diagnostic>) {
    let Value::Map(entries) = &mut project.value else { return };
    for entry in entries {
        match entry.key.as_str() {
            "connections" | "state" | "alerts" => {
                reference::substitute(&mut entry.value, outside, problems);
            }
            "environments" => {
                if let Value::Map(environments) = &mut entry.value.value {
                    for environment in environments {
                        substitute(&mut environment.value, outside, problems);
                    }
                }
            }
            "defaults" => substitute(&mut entry.value, outside, problems),
            _ => reference::refuse(&mut entry.value, problems),
        }
    }
}

/// Lays the chosen environment over the project: connections are replaced whole, everything else is merged
/// key by key.
fn overlay(project: &mut Node, environment: Option<&str>, problems: &mut Vec<Diagnostic>) {
    let Some(name) = environment else { return };
    let declared = project.entry("environments").cloned();
    let known = declared.as_ref().map(|entry| entry.value.entries()).unwrap_or_default();
    let Some(chosen) = known.iter().find(|entry| entry.key == name) else {
        problems.push(unknown_environment(project, name, declared.as_ref()));
        return;
    };
    for entry in chosen.value.entries() {
        let mut over = entry.clone();
        let Value::Map(base) = &mut project.value else { return };
        match base.iter_mut().find(|base| base.key == entry.key) {
            None => base.push(over),
            Some(base) if entry.key == "connections" => {
                for connection in over.value.entries() {
                    replace(&mut base.value, connection);
                }
            }
            Some(base) if entry.key == "state" => *base = over,
            Some(base) => {
                over.value.merge_under(&base.value);
                *base = over;
            }
        }
    }
}

fn replace(map: &mut Node, entry: &Entry) {
    let Value::Map(entries) = &mut map.value else { return };
    match entries.iter_mut().find(|own| own.key == entry.key) {
        Some(own) => *own = entry.clone(),
        None => entries.push(entry.clone()),
    }
}

fn unknown_environment(project: &Node, name: &str, declared: Option<&Entry>) -> Diagnostic {
    let known: Vec<&str> = declared
        .map(|entry| entry.value.entries().iter().map(|entry| entry.key.as_str()).collect())
        .unwrap_or_default();
    let help = if known.is_empty() {
        format!("declare it under `environments:` of {PROJECT_FILE}, or leave out `--env`")
    } else {
        format!(
            "{}declared are {}",
            did_you_mean(name, known.iter().copied()),
            list(known.iter().copied())
        )
    };
    let first = project.place.first_line();
    let place = declared.map_or(&first, |entry| &entry.place);
    Diagnostic::error(
        &E0030_UNKNOWN_ENVIRONMENT,
        format!("the environment `{name}` is not declared"),
    )
    .at(place, "not declared here")
    .with_help(help)
}

/// Checks one sync file against the schema; true when nothing is wrong with its form.
fn shape_of_sync(sync: &mut Node, known: Option<&Vars>, problems: &mut Vec<Diagnostic>) -> bool {
    secrets::hide_alerts(sync);
    let before = problems.len();
    if let (Some(sql), Some(known)) = (sync.entry_at(&["model", "sql"]), known) {
        vars::check_sql(&sql.value, known, problems);
    }
    if let (Value::Map(entries), Some(known)) = (&mut sync.value, known) {
        for entry in entries.iter_mut().filter(|entry| entry.key != "vars") {
            vars::substitute(&mut entry.value, known, problems);
        }
    }
    problems.extend(Shape::new(schema::sync()).check(sync, "the sync"));
    problems[before..].iter().all(|problem| problem.severity != Severity::Error)
}

fn unique_name(sync: &Node, names: &mut BTreeMap<String, Place>, problems: &mut Vec<Diagnostic>) {
    let Some(entry) = sync.entry("sync") else { return };
    let Some(name) = entry.value.as_text() else { return };
    match names.get(name) {
        Some(first) => problems.push(
            Diagnostic::error(&E0101_SYNC_NAME_TWICE, format!("two syncs are called `{name}`"))
                .at(entry.value_place(), "the name is taken")
                .at(first, "it is taken here"),
        ),
        None => {
            names.insert(name.to_owned(), entry.value_place().clone());
        }
    }
}

/// Sections whose keys are merged one by one; the others are a sync's own or the default's as a whole.
const MERGED: [&str; 5] = ["delivery", "guards", "freshness", "privacy", "alerts"];

fn merge_defaults(sync: &mut Node, defaults: Option<&Node>) {
    let Value::Map(entries) = &mut sync.value else { return };
    for default in defaults.map(Node::entries).unwrap_or_default() {
        match entries.iter_mut().find(|own| own.key == default.key) {
            None => entries.push(default.clone()),
            Some(own) if MERGED.contains(&own.key.as_str()) => {
                own.value.merge_under(&default.value);
            }
            Some(_) => {}
        }
    }
}

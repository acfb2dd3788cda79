//! The checked project: everything the commands need, and nothing that could still be wrong in the files.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use flow::Secret;
use reader::SourceKind;
use serde_json::{Map, Value as Json};
use writer::DestinationKind;

use super::catalog::Kind;
use super::file::Place;
use crate::diagnostic::{Diagnostic, Report};

/// A project whose files are right.
#[derive(Debug)]
pub struct Project {
    /// The project's name.
    pub name: String,
    /// The folder of `outflow.yml`.
    pub root: PathBuf,
    /// Where the state is.
    pub state: StateConfig,
    /// Every connection, by name.
    pub connections: BTreeMap<String, Connection>,
    /// Every sync, by name.
    pub syncs: Vec<CheckedSync>,
    /// What works and deserves attention.
    pub warnings: Report,
    /// The environment that was chosen.
    pub environment: Option<String>,
    pub(super) unresolved: Vec<Diagnostic>,
}

impl Project {
    /// The sync of that name.
    pub fn sync(&self, name: &str) -> Option<&CheckedSync> {
        self.syncs.iter().find(|sync| sync.sync.name == name)
    }

    /// The connection of that name, ready to be opened.
    ///
    /// # Errors
    /// The variables and files its options need and that are not there.
    pub fn connection(&self, name: &str) -> Result<&Connection, Report> {
        match self.connections.get(name) {
            Some(connection) if connection.unresolved.is_empty() => Ok(connection),
            Some(connection) => Err(Report::new(connection.unresolved.clone())),
            None => Err(Report::default()),
        }
    }

    /// Every variable and file any part of the project needs and that is not there; for `validate`.
    pub fn unresolved(&self) -> Report {
        let connections = self.connections.values().flat_map(|one| one.unresolved.iter());
        Report::new(connections.chain(&self.unresolved).cloned().collect())
    }
}

/// Where the state is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateConfig {
    /// The folder; `.outflow` in the project where nothing else is written. The spool is there in any case.
    pub dir: PathBuf,
    /// The server that keeps the state instead.
    pub server: Option<StateServer>,
}

/// A schema in PostgreSQL that keeps the state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateServer {
    /// Where, and as whom.
    pub url: Secret,
    /// The TLS mode, where one is named outside of the URL.
    pub tls: Option<reader::postgres::Tls>,
    /// PEM file with the CA certificates to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// The schema.
    pub schema: String,
    /// How long the lease of a process lasts that stands still.
    pub lease: Option<Duration>,
}

/// A named warehouse or destination.
pub struct Connection {
    /// The name syncs use.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// Whether a built-in double stands in for it.
    pub simulated: bool,
    /// Where its name stands.
    pub place: Place,
    /// Where its options stand.
    pub(super) option_places: Vec<(String, Place)>,
    pub(super) options: Map<String, Json>,
    /// Its options were already refused.
    pub(super) faulty: bool,
    pub(super) unresolved: Vec<Diagnostic>,
}

impl Connection {
    /// The options without `type`, secrets resolved; for the kind's `open`.
    pub fn options(&self) -> Map<String, Json> {
        self.options.clone()
    }

    /// The warehouse type, when it is one.
    pub fn source(&self) -> Option<&'static SourceKind> {
        match self.kind {
            Kind::Source(kind) => Some(kind),
            Kind::Destination(_) => None,
        }
    }

    /// The destination type, when it is one.
    pub fn destination(&self) -> Option<&'static DestinationKind> {
        match self.kind {
            Kind::Destination(kind) => Some(kind),
            Kind::Source(_) => None,
        }
    }

    /// An error of opening it, at the option it names or at the connection.
    pub fn problem(&self, error: &flow::Error) -> Diagnostic {
        let named = self
            .option_places
            .iter()
            .find(|(option, _)| error.message().contains(&format!("`{option}`")));
        let place = named.map_or(&self.place, |(_, place)| place);
        Diagnostic::error(error.code(), error.message())
            .at(place, "of this connection")
            .with_help(error.remedy())
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Options hold secrets.
        f.debug_struct("Connection")
            .field("name", &self.name)
            .field("kind", &self.kind)
            .field("simulated", &self.simulated)
            .finish_non_exhaustive()
    }
}

/// A sync whose file is right.
#[derive(Debug)]
pub struct CheckedSync {
    /// What the engine runs.
    pub sync: engine::Sync,
    /// What it is for.
    pub description: Option<String>,
    /// Who answers for it.
    pub owner: Option<String>,
    /// Words to select it by.
    pub tags: Vec<String>,
    /// Whether it runs when it is not named.
    pub enabled: bool,
    /// What the model is called: a table, or a SQL file, or `sql`.
    pub model_name: String,
    /// Seconds between two runs, where `schedule.every` says so.
    pub expected_interval_seconds: Option<f64>,
    /// How a run without an end collects changes, where `schedule.continuous` asks for one.
    pub continuous: Option<engine::Follow>,
    /// Columns the model must not have.
    pub deny_columns: Vec<String>,
    /// Where everything stands.
    pub places: Places,
}

/// Where the parts of a sync stand, for problems that only the other side can find.
#[derive(Debug, Clone)]
pub struct Places {
    /// The sync's name.
    pub name: Place,
    /// The table, the SQL or the SQL file.
    pub relation: Place,
    /// The primary key.
    pub primary_key: Place,
    /// The progress column.
    pub watermark: Option<Place>,
    /// The replication slot.
    pub slot: Option<Place>,
    /// The destination object.
    pub object: Place,
    /// Destination field, model column and place of each match field.
    pub match_on: Vec<(String, String, Place)>,
    /// Destination field and place of each mapping, at its key.
    pub mappings: Vec<(String, Place)>,
    /// `changes.removed_when`.
    pub removed_when: Option<Place>,
    /// `removed.action`.
    pub removed_action: Option<Place>,
    /// Destination field and place of each field of `removed.set`, at its key.
    pub removed_set: Vec<(String, Place)>,
    /// `privacy.deny_columns`.
    pub deny_columns: Option<Place>,
}

//! Opens every connection in use once, without touching the network, so that wrong options and limits are
//! found while the project is checked.

use std::collections::HashMap;
use std::sync::Arc;

use flow::metrics::Metrics;
use flow::{Clock, Destination};

use super::catalog::Kind;
use super::checked::Connection;
use crate::diagnostic::Diagnostic;

/// Opening a connection asks for no time.
#[derive(Debug)]
struct StandingStill;

impl Clock for StandingStill {
    fn now_micros(&self) -> i64 {
        0
    }
}

/// Connections that were opened; never used to send or read anything.
pub(super) struct Opened {
    metrics: Arc<Metrics>,
    destinations: HashMap<String, Option<Arc<dyn Destination>>>,
    sources: HashMap<String, ()>,
}

impl Opened {
    pub(super) fn new() -> Self {
        Self {
            metrics: Metrics::new("", ""),
            destinations: HashMap::new(),
            sources: HashMap::new(),
        }
    }

    /// The destination behind `connection`; `None` when its options are wrong or not all there.
    pub(super) fn destination(
        &mut self,
        connection: &Connection,
        problems: &mut Vec<Diagnostic>,
    ) -> Option<Arc<dyn Destination>> {
        if let Some(known) = self.destinations.get(&connection.name) {
            return known.clone();
        }
        let opened = self.open_destination(connection, problems);
        self.destinations.insert(connection.name.clone(), opened.clone());
        opened
    }

    fn open_destination(
        &self,
        connection: &Connection,
        problems: &mut Vec<Diagnostic>,
    ) -> Option<Arc<dyn Destination>> {
        let Kind::Destination(kind) = connection.kind else { return None };
        if connection.faulty || !connection.unresolved.is_empty() {
            return None;
        }
        let args = writer::OpenArgs {
            connection: connection.name.clone(),
            options: connection.options(),
            metrics: Arc::clone(&self.metrics),
            clock: Arc::new(StandingStill),
        };
        (kind.open)(args).map_err(|error| problems.push(connection.problem(&error))).ok()
    }

    /// Checks the options of the warehouse behind `connection`.
    pub(super) fn source(&mut self, connection: &Connection, problems: &mut Vec<Diagnostic>) {
        let Kind::Source(kind) = connection.kind else { return };
        let known = self.sources.insert(connection.name.clone(), ()).is_some();
        if known || connection.faulty || !connection.unresolved.is_empty() {
            return;
        }
        let args = reader::OpenArgs::new(&connection.name, connection.options());
        if let Err(error) = (kind.open)(args) {
            problems.push(connection.problem(&error));
        }
    }
}

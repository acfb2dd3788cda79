//! The checked project as the commands use it: selecting syncs, opening connections and the state.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use engine::{Ports, RetryPolicy, SpoolLimits};
use flow::{Clock, Destination, Lane, QuotaStore, RunStatus, Source, Store};
use state::{Postgres, QuotaFile, Sqlite, State};

use crate::args::Selection;
use crate::config::{self, CheckedSync, Connection, Kind};
use crate::context::Context;
use crate::diagnostic::{Report, Style};
use crate::environment;
use crate::exit;
use crate::failure::{Failure, Result};
use crate::select::{self, Candidate};
use crate::spool::InUse;

/// A project whose files are valid.
pub(crate) struct Project {
    checked: config::Project,
    /// Connections opened so far. Syncs share them, since the limits of a destination hold for its account.
    opened: Mutex<HashMap<String, Opened>>,
    /// Whose requests these are.
    lane: Lane,
    /// The quota ledger of a state that is elsewhere, once that is open.
    ledger: Mutex<Option<Arc<dyn QuotaStore>>>,
}

/// An open connection.
#[derive(Clone)]
pub(crate) enum Opened {
    /// A warehouse.
    Source(Arc<dyn Source>),
    /// A destination.
    Destination(Arc<dyn Destination>),
}

impl Project {
    /// Loads and checks the files of the project folder; every problem is shown on stderr.
    ///
    /// # Errors
    /// When there is a problem; it was shown then.
    pub(crate) fn load(context: &Context) -> Result<Self> {
        let global = &context.global;
        // A scheduler may only be able to set OUTFLOW_ENV to nothing, not to leave it out.
        let chosen = global.env.as_deref().filter(|name| !name.is_empty());
        match config::load(&global.project_dir, chosen, &environment::var) {
            Ok(checked) => Ok(Self {
                checked,
                opened: Mutex::default(),
                lane: Lane::Live,
                ledger: Mutex::default(),
            }),
            Err(report) => Err(shown(context, &report)),
        }
    }

    /// Its requests give way to those of the live lane.
    pub(crate) fn in_backfill_lane(mut self) -> Self {
        self.lane = Lane::Backfill;
        self
    }

    /// The project's name.
    pub(crate) fn name(&self) -> &str {
        &self.checked.name
    }

    /// Where a plan is made, and may be applied.
    pub(crate) fn origin(&self) -> String {
        match &self.checked.environment {
            Some(environment) => format!("project `{}`, environment `{environment}`", self.name()),
            None => format!("project `{}`", self.name()),
        }
    }

    /// All syncs, by name.
    pub(crate) fn syncs(&self) -> &[CheckedSync] {
        &self.checked.syncs
    }

    /// The names of all syncs, for messages.
    pub(crate) fn sync_names(&self) -> String {
        select::names(&self.candidates(&[]))
    }

    /// What works in the files and deserves attention, and the variables and files that are not there.
    pub(crate) fn remarks(&self) -> (&Report, Report) {
        (&self.checked.warnings, self.checked.unresolved())
    }

    /// The sync of that name.
    ///
    /// # Errors
    /// A usage error that says which there are.
    pub(crate) fn one(&self, name: &str) -> Result<&CheckedSync> {
        if let Some(planned) = self.syncs().iter().find(|planned| planned.sync.name == name) {
            return Ok(planned);
        }
        Err(Failure::usage(
            format!("there is no sync `{name}`"),
            format!("syncs in this project: {}", self.sync_names()),
        ))
    }

    /// Whether the project or the state knows the sync.
    ///
    /// # Errors
    /// A usage error where neither does.
    pub(crate) async fn known_sync(&self, name: &str, state: &dyn State) -> Result<()> {
        if self.one(name).is_ok() || state.syncs().await?.iter().any(|known| known.sync == name) {
            return Ok(());
        }
        self.one(name).map(drop)
    }

    /// The selected syncs, in the order of the project; all of them where nothing is selected.
    ///
    /// # Errors
    /// A usage error for a selector that names nothing, and for a project without syncs.
    pub(crate) async fn select(
        &self,
        selection: &Selection,
        state: &dyn State,
    ) -> Result<Vec<&CheckedSync>> {
        let mut failed = Vec::new();
        if select::needs_results(&selection.select) || select::needs_results(&selection.exclude) {
            let not_well = |status| !matches!(status, RunStatus::Ok | RunStatus::Partial);
            failed = state
                .syncs()
                .await?
                .into_iter()
                .filter(|known| known.last_run.as_ref().is_some_and(|run| not_well(run.status)))
                .map(|known| known.sync)
                .collect();
        }
        self.select_from(selection, &failed)
    }

    /// As [`Project::select`], without looking at the state: `result:failed` selects nothing.
    ///
    /// # Errors
    /// As [`Project::select`].
    pub(crate) fn select_offline(&self, selection: &Selection) -> Result<Vec<&CheckedSync>> {
        self.select_from(selection, &[])
    }

    fn select_from(&self, selection: &Selection, failed: &[String]) -> Result<Vec<&CheckedSync>> {
        let candidates = self.candidates(failed);
        let chosen = select::select(&selection.select, &selection.exclude, &candidates)?;
        let chosen: Vec<&CheckedSync> =
            chosen.into_iter().map(|index| &self.syncs()[index]).collect();
        Ok(parents_first(&chosen))
    }

    fn candidates(&self, failed: &[String]) -> Vec<Candidate<'_>> {
        self.syncs()
            .iter()
            .map(|planned| Candidate {
                name: &planned.sync.name,
                tags: &planned.tags,
                source: &planned.sync.source,
                destination: &planned.sync.destination,
                failed: failed.contains(&planned.sync.name),
                enabled: planned.enabled,
            })
            .collect()
    }

    /// The folder of the state.
    pub(crate) fn state_dir(&self) -> &Path {
        &self.checked.state.dir
    }

    fn spool_dir(&self) -> PathBuf {
        self.state_dir().join("spool")
    }

    /// Opens the state.
    ///
    /// # Errors
    /// `E3xxx` when it is damaged, from a newer version, or cannot be written.
    pub(crate) async fn open_state(&self) -> Result<Arc<dyn State>> {
        let (dir, name) = (self.state_dir().to_owned(), self.name().to_owned());
        if let Some(server) = &self.checked.state.server {
            // Rows that wait are kept here also where the state is elsewhere; nobody else may read them.
            state::prepare_dir(&dir)?;
            let opened = Arc::new(Postgres::open(&server.options(), &name).await?);
            let ledger: Arc<dyn QuotaStore> = Arc::clone(&opened) as _;
            *self.ledger.lock().unwrap_or_else(PoisonError::into_inner) = Some(ledger);
            return Ok(opened);
        }
        let opening = tokio::task::spawn_blocking(move || Sqlite::open(&dir, &name));
        match opening.await {
            Ok(opened) => {
                let opened: Arc<dyn State> = Arc::new(opened?);
                Ok(opened)
            }
            Err(_) => {
                Err(Failure::Shown(exit::FAILED, None, "the state could not be opened".to_owned()))
            }
        }
    }

    /// Marks the spool folder as in use, and removes what processes that are gone left in it.
    pub(crate) fn claim_spool(&self) -> InUse {
        InUse::claim(&self.spool_dir())
    }

    /// Names of all connections.
    pub(crate) fn connection_names(&self) -> Vec<String> {
        self.checked.connections.keys().cloned().collect()
    }

    /// Whether there is a connection of that name.
    ///
    /// # Errors
    /// A usage error that says which there are.
    pub(crate) fn known_connection(&self, name: &str) -> Result<()> {
        self.connection(name).map(drop)
    }

    fn connection(&self, name: &str) -> Result<&Connection> {
        self.checked.connections.get(name).ok_or_else(|| {
            Failure::usage(
                format!("there is no connection `{name}`"),
                format!("connections in this project: {}", self.connection_names().join(", ")),
            )
        })
    }

    /// The type of a connection; empty for one there is none of.
    pub(crate) fn kind_of(&self, name: &str) -> String {
        self.connection(name).map_or("", |connection| connection.kind.name()).to_owned()
    }

    /// Opens a connection, once; nothing goes over the network yet.
    ///
    /// # Errors
    /// A usage error when there is none of that name, and when its options are wrong.
    pub(crate) fn open(&self, context: &Context, name: &str) -> Result<Opened> {
        let known = self.opened.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
        if let Some(opened) = known {
            return Ok(opened);
        }
        let opened = self.open_new(context, name)?;
        let mut all = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(all.entry(name.to_owned()).or_insert(opened).clone())
    }

    fn open_new(&self, context: &Context, name: &str) -> Result<Opened> {
        let connection = self.connection(name)?;
        self.checked.connection(name).map_err(|report| shown(context, &report))?;
        let (metrics, clock) = (Arc::clone(&context.metrics), Arc::clone(&context.clock));
        let options = connection.options();
        match connection.kind {
            Kind::Source(kind) => (kind.open)(reader::OpenArgs {
                connection: name.to_owned(),
                options,
                metrics,
                application: format!("outflow {}", self.name()),
                clock,
                project_dir: context.global.project_dir.clone(),
                spool_dir: self.spool_dir(),
            })
            .map(Opened::Source),
            Kind::Destination(kind) => (kind.open)(writer::OpenArgs {
                connection: name.to_owned(),
                options,
                metrics,
                clock: Arc::clone(&clock),
            })
            .map(|destination| {
                context.opened.push(&destination);
                if let Some(keeper) = destination.keeps_quota() {
                    keeper.share(self.quota_ledger(clock), self.lane);
                }
                Opened::Destination(destination)
            }),
        }
        .map_err(|error| shown(context, &connection.problem(&error).into()))
    }

    /// Where what is left of the accounts' limits is kept: with the state; beside it on this machine, where a command does
    /// not open the state.
    fn quota_ledger(&self, clock: Arc<dyn Clock>) -> Arc<dyn QuotaStore> {
        let shared = self.ledger.lock().unwrap_or_else(PoisonError::into_inner).clone();
        shared.unwrap_or_else(|| Arc::new(QuotaFile::new(self.state_dir(), clock)))
    }

    /// Everything a run of the sync needs from outside.
    ///
    /// # Errors
    /// As [`Project::open`].
    pub(crate) fn ports(
        &self,
        context: &Context,
        planned: &CheckedSync,
        state: &Arc<dyn State>,
    ) -> Result<Ports> {
        let sync = &planned.sync;
        let source = match self.open(context, &sync.source)? {
            Opened::Source(source) => source,
            Opened::Destination(_) => return Err(wrong_role(&sync.source, "a warehouse")),
        };
        let destination = match self.open(context, &sync.destination)? {
            Opened::Destination(destination) => destination,
            Opened::Source(_) => return Err(wrong_role(&sync.destination, "a destination")),
        };
        let store: Arc<dyn Store> = state.clone();
        Ok(Ports {
            source,
            destination,
            store,
            metrics: Arc::clone(&context.metrics),
            clock: Arc::clone(&context.clock),
            spool_dir: self.spool_dir(),
            spool: SpoolLimits::default(),
            retry: RetryPolicy::default(),
        })
    }
}

/// Refuses a sync whose model has a column that the project denies.
///
/// # Errors
/// When there is such a column, which was shown then; and when the model cannot be checked.
pub(crate) async fn refuse_denied(
    context: &Context,
    planned: &CheckedSync,
    ports: &Ports,
) -> Result<()> {
    if planned.deny_columns.is_empty() {
        return Ok(());
    }
    let checked = ports.source.check(&planned.sync.model).await?;
    let denied = Report::new(planned.denied(&checked));
    if denied.is_empty() { Ok(()) } else { Err(shown(context, &denied)) }
}

/// Shows problems of the files on stderr, and gives the failure for the summary.
pub(crate) fn shown(context: &Context, report: &Report) -> Failure {
    let style = Style { color: context.output.colors_errors(), ..Style::PLAIN };
    context.output.complain(report.render(style).trim_end());
    for problem in report.to_json() {
        context.output.item("problem", &problem);
    }
    let code = match report.diagnostics() {
        [only] => exit::of(only.code.kind),
        _ => exit::CONFIG,
    };
    let first = report.diagnostics().first().map(|problem| problem.message.as_str());
    let sentence = match report.diagnostics() {
        [_] => first.unwrap_or_default().to_owned(),
        _ => format!("{}; the first: {}", report.closing(), first.unwrap_or_default()),
    };
    let id = report.diagnostics().first().map(|problem| problem.code.id);
    Failure::Shown(code, id, sentence)
}

fn wrong_role(connection: &str, wanted: &str) -> Failure {
    Failure::usage(format!("the connection `{connection}` is not {wanted}"), "outflow validate")
}

/// Syncs in an order in which a record is written before its id is looked up; else as they were.
fn parents_first<'a>(syncs: &[&'a CheckedSync]) -> Vec<&'a CheckedSync> {
    let mut ordered: Vec<&CheckedSync> = Vec::with_capacity(syncs.len());
    let mut waiting: Vec<&CheckedSync> = syncs.to_vec();
    while !waiting.is_empty() {
        let is_ready = |sync: &CheckedSync| {
            let parents = config::parents(sync);
            !waiting
                .iter()
                .any(|other| parents.iter().any(|(_, parent, _)| *parent == other.sync.name))
        };
        // A circle was refused when the project was checked; should there be one, the order says nothing.
        let next = waiting.iter().position(|sync| is_ready(sync)).unwrap_or(0);
        ordered.push(waiting.remove(next));
    }
    ordered
}

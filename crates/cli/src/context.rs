//! What every command is handed, and what it hands back.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use flow::metrics::Metrics;
use flow::{Clock, Destination};
use indicatif::MultiProgress;

use crate::args::Global;
use crate::environment;
use crate::exit;
use crate::output::Output;
use crate::progress;
use crate::summary::SyncSummary;

/// Time between two lines of progress where there is no terminal.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(10);

/// Longest time for giving a quota back at the end.
const LEAVE_MAX: Duration = Duration::from_secs(2);

/// What every command is handed.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    /// The options every command understands.
    pub global: Global,
    /// Both streams.
    pub output: Arc<Output>,
    /// What is measured.
    pub metrics: Arc<Metrics>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// The progress bars, so that log lines go around them.
    pub bars: MultiProgress,
    /// Destinations opened so far.
    pub opened: Opened,
}

/// Destinations that hold part of a quota; it is given back at the end.
#[derive(Clone, Default)]
pub(crate) struct Opened(Arc<Mutex<Vec<Arc<dyn Destination>>>>);

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Opened")
    }
}

impl Opened {
    /// One more.
    pub(crate) fn push(&self, destination: &Arc<dyn Destination>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(destination));
    }

    /// Gives back what they hold of their quotas, so that nobody waits until it lapses.
    pub(crate) async fn leave(&self) {
        let all = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        for destination in all {
            if let Some(keeper) = destination.keeps_quota() {
                // What is not given back in time lapses by itself.
                let _ = tokio::time::timeout(LEAVE_MAX, keeper.leave()).await;
            }
        }
    }
}

impl Context {
    /// How progress is shown. `OUTFLOW_PROGRESS_MS` shortens the interval for tests.
    pub(crate) fn progress_style(&self) -> progress::Style {
        let interval = environment::var("OUTFLOW_PROGRESS_MS")
            .and_then(|text| text.parse().ok())
            .filter(|millis| *millis > 0)
            .map_or(PROGRESS_INTERVAL, Duration::from_millis);
        progress::Style { bars: self.bars.clone(), interval }
    }
}

/// How a command ended, when it ended by itself.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outcome {
    /// What the process exits with.
    pub exit_code: u8,
    /// The status word; by default that of the exit code.
    pub status: Option<&'static str>,
    /// What became of each selected sync.
    pub syncs: Vec<SyncSummary>,
}

impl Outcome {
    /// Nothing to complain about.
    pub(crate) fn done() -> Self {
        Self::default()
    }

    /// The command did its work and exits with `code`.
    pub(crate) fn exit(code: u8) -> Self {
        Self { exit_code: code, ..Self::default() }
    }

    /// The worst of these syncs decides.
    pub(crate) fn of_syncs(syncs: Vec<SyncSummary>) -> Self {
        let exit_code = syncs.iter().map(|sync| sync.exit_code).fold(exit::DONE, exit::worse);
        Self { exit_code, status: None, syncs }
    }
}

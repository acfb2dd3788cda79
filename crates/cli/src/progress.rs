//! How far a run has come: a bar on a terminal, else one line every ten seconds.

use std::io::{self, IsTerminal};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use engine::{Forecast, Progress, Watch};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use tokio::task::JoinHandle;

use crate::cost::cost;
use crate::output::Output;
use crate::text;

/// How progress is shown.
#[derive(Debug, Clone)]
pub(crate) struct Style {
    /// Where the bars are, so that log lines go around them.
    pub bars: MultiProgress,
    /// Time between two lines where there is no terminal.
    pub interval: Duration,
}

/// Shows one sync's progress until it is dropped.
#[derive(Debug)]
pub(crate) struct Reporter {
    latest: Arc<Mutex<Option<Progress>>>,
    bar: Option<ProgressBar>,
    lines: Option<JoinHandle<()>>,
    sync: String,
    bars: MultiProgress,
    /// Where the forecast goes; nowhere when nobody wants to hear it.
    output: Option<Arc<Output>>,
}

impl Reporter {
    /// Starts showing `sync`.
    pub(crate) fn start(sync: &str, style: &Style, output: &Arc<Output>) -> Self {
        let latest = Arc::new(Mutex::new(None));
        let (name, bars) = (sync.to_owned(), style.bars.clone());
        let mut reporter = Self {
            latest: Arc::clone(&latest),
            bar: None,
            lines: None,
            sync: name,
            bars,
            output: None,
        };
        if output.is_quiet() {
            return reporter;
        }
        reporter.output = Some(Arc::clone(output));
        if io::stderr().is_terminal() {
            let bar = style.bars.add(ProgressBar::new_spinner());
            bar.set_style(
                ProgressStyle::with_template("{spinner} {prefix} · {elapsed}\n  {wide_msg}")
                    .expect("the template is valid"),
            );
            bar.set_prefix(sync.to_owned());
            bar.set_message("opening");
            bar.enable_steady_tick(Duration::from_millis(120));
            reporter.bar = Some(bar);
            return reporter;
        }
        let lines =
            tokio::spawn(print_lines(sync.to_owned(), latest, style.interval, Arc::clone(output)));
        reporter.lines = Some(lines);
        reporter
    }
}

impl Watch for Reporter {
    fn forecast(&self, forecast: &Forecast) {
        if let (Some(output), Some(cost)) = (&self.output, cost(forecast)) {
            self.bars.suspend(|| output.note(format_args!("{}: forecast {cost}", self.sync)));
        }
    }

    fn progress(&self, progress: &Progress) {
        if let Some(bar) = &self.bar {
            bar.set_message(sentence(progress));
        } else {
            *self.latest.lock().unwrap_or_else(PoisonError::into_inner) = Some(*progress);
        }
    }
}

impl Drop for Reporter {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        if let Some(lines) = &self.lines {
            lines.abort();
        }
    }
}

async fn print_lines(
    sync: String,
    latest: Arc<Mutex<Option<Progress>>>,
    interval: Duration,
    output: Arc<Output>,
) {
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    // The first tick is now, when there is nothing to tell.
    ticks.tick().await;
    loop {
        ticks.tick().await;
        let progress = *latest.lock().unwrap_or_else(PoisonError::into_inner);
        match progress {
            Some(progress) => output.note(format_args!("{sync}: {}", sentence(&progress))),
            None => output.note(format_args!("{sync}: opening")),
        }
    }
}

fn sentence(progress: &Progress) -> String {
    let removed = match progress.removed {
        0 => String::new(),
        rows => format!(" · removed {}", text::number(rows)),
    };
    format!(
        "read {} · unchanged {} · delivered {} · rejected {}{removed} · in flight {} · requests {}",
        text::number(progress.read),
        text::number(progress.unchanged),
        text::number(progress.delivered),
        text::number(progress.rejected),
        text::number(progress.in_flight),
        text::number(progress.requests),
    )
}

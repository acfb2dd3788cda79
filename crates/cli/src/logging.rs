//! Log lines on stderr: constant sentences with fields, never a row value, a key or a secret; counted by level.

use std::io::{self, Write};
use std::sync::Arc;

use flow::metrics::Metrics;
use indicatif::MultiProgress;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::filter::{FilterExt, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, filter::LevelFilter, fmt};

use crate::args::LogFormat;
use crate::failure::{Failure, Result};

/// How log lines are filtered and written.
#[derive(Debug)]
pub(crate) struct Logging {
    /// `OUTFLOW_LOG`, which wins over the number of `-v`.
    pub filter: Option<String>,
    /// How often `-v` was given.
    pub verbose: u8,
    /// Text or JSON.
    pub format: LogFormat,
    /// Whether text is coloured.
    pub color: bool,
}

/// Starts logging for the whole process. Lines are written around the progress bars.
///
/// # Errors
/// A usage error when `OUTFLOW_LOG` is no filter.
pub(crate) fn start(logging: &Logging, metrics: Arc<Metrics>, bars: MultiProgress) -> Result<()> {
    let lines = fmt::layer()
        .with_writer(AroundBars(bars))
        .with_ansi(logging.color)
        // A closed stderr must not panic.
        .log_internal_errors(false);
    let lines = match logging.format {
        LogFormat::Text => lines.with_target(false).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    let lines = lines.with_filter(filter(logging)?.and(filter_fn(may_be_shown)));
    let counted = Counted(metrics).with_filter(LevelFilter::INFO);
    // A second start in one process, as in tests, keeps the first.
    let _ = Registry::default().with(lines).with(counted).try_init();
    Ok(())
}

fn filter(logging: &Logging) -> Result<EnvFilter> {
    if let Some(filter) = logging.filter.as_deref().filter(|filter| !filter.is_empty()) {
        return EnvFilter::try_new(filter).map_err(|error| {
            Failure::usage(
                format!("OUTFLOW_LOG is not a filter: {error}"),
                "for example OUTFLOW_LOG=info or OUTFLOW_LOG=warn,engine=debug",
            )
        });
    }
    Ok(EnvFilter::new(match logging.verbose {
        0 => "warn",
        1 => "info",
        // What is below our own crates stays quiet: it may show statements and headers.
        2 => {
            "info,outflow=debug,engine=debug,reader=debug,state=debug,writer=debug,writer_crm=debug,\
             writer_support=debug,writer_product=debug,writer_http=debug"
        }
        _ => {
            "info,outflow=trace,engine=trace,reader=trace,state=trace,writer=trace,writer_crm=trace,\
             writer_support=trace,writer_product=trace,writer_http=trace"
        }
    }))
}

/// Crates whose log lines hold constant sentences, and no row value, key or secret.
const OURS: &[&str] = &[
    "outflow",
    "engine",
    "reader",
    "state",
    "writer",
    "writer_crm",
    "writer_support",
    "writer_product",
    "writer_http",
    "transform",
    "simulator",
];

/// What is below our own crates may log statements, headers and notices: of that only warnings are shown, whatever
/// filter is asked for (X1).
fn may_be_shown(metadata: &Metadata<'_>) -> bool {
    let target = metadata.target().split("::").next().unwrap_or_default();
    *metadata.level() <= Level::WARN || OURS.contains(&target)
}

/// Counts messages by level in `outflow_log_messages_total`.
struct Counted(Arc<Metrics>);

impl<S: Subscriber> Layer<S> for Counted {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        self.0.log_message(match *event.metadata().level() {
            Level::ERROR => "error",
            Level::WARN => "warn",
            _ => "info",
        });
    }
}

/// Stderr, with the progress bars taken away while a line is written.
struct AroundBars(MultiProgress);

impl<'a> MakeWriter<'a> for AroundBars {
    type Writer = Lines;

    fn make_writer(&'a self) -> Lines {
        Lines(self.0.clone())
    }
}

struct Lines(MultiProgress);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.suspend(|| io::stderr().lock().write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().lock().flush()
    }
}

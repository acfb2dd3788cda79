//! The process from its arguments to its exit code: parse, start logging, run the command, write the summary.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use clap::error::ErrorKind;
use flow::Clock;
use flow::metrics::Metrics;

use crate::args::{Cli, Command};
use crate::clock::SystemClock;
use crate::commands;
use crate::context::{Context, Opened, Outcome};
use crate::environment;
use crate::exit;
use crate::failure::{Failure, Result};
use crate::logging::{self, Logging};
use crate::metrics;
use crate::output::{Color, Format, Output, Tone};
use crate::summary::{self, ErrorSummary, Summary};

/// Runs `outflow` with these arguments, the first of which is the name of the binary.
pub fn main(args: impl Iterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.collect();
    let code = match Cli::try_parse_from(&args) {
        Ok(cli) => command(&cli),
        Err(error) => not_parsed(&args, &error),
    };
    ExitCode::from(code)
}

/// Help and the version are data; everything else is a usage error.
fn not_parsed(args: &[OsString], error: &clap::Error) -> u8 {
    // Nobody is left to tell when the stream is gone.
    let _ = error.print();
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        return exit::DONE;
    }
    if let Some(format) = wanted_format(args) {
        let output = Output::new(format, Color::Never, true, true);
        let message = error.to_string();
        let sentence = message.lines().next().unwrap_or_default();
        let failure = Failure::usage(sentence.trim_start_matches("error: "), "outflow help");
        let now = SystemClock.now_micros();
        let mut summary = summarise("", now, &Err(failure));
        output.finish(&mut summary);
    }
    exit::USAGE
}

/// The JSON format an unparsable command line asks for.
fn wanted_format(args: &[OsString]) -> Option<Format> {
    let texts: Vec<_> = args.iter().filter_map(|arg| arg.to_str()).collect();
    texts.iter().enumerate().find_map(|(index, text)| {
        let value = match text.strip_prefix("--output") {
            Some("") => texts.get(index + 1).copied(),
            Some(rest) => rest.strip_prefix('='),
            None => None,
        };
        match value {
            Some("json") => Some(Format::Json),
            Some("ndjson") => Some(Format::Ndjson),
            _ => None,
        }
    })
}

fn command(cli: &Cli) -> u8 {
    let global = &cli.global;
    let no_color = environment::var("NO_COLOR").is_some_and(|value| !value.is_empty());
    let output = Output::new(global.output, global.color, no_color, global.quiet);
    let context = Context {
        global: global.clone(),
        output: Arc::new(output),
        metrics: Metrics::new(
            env!("CARGO_PKG_VERSION"),
            option_env!("OUTFLOW_REVISION").unwrap_or("unknown"),
        ),
        clock: Arc::new(SystemClock),
        bars: indicatif::MultiProgress::new(),
        opened: Opened::default(),
    };
    let started_at = context.clock.now_micros();
    let result = start(cli, &context);
    if let Err(failure) = &result {
        show(&context.output, failure);
    }
    let mut summary = summarise(cli.command.name(), started_at, &result);
    finish(cli, &context, &mut summary)
}

/// Starts logging and the runtime, and runs the command in it.
fn start(cli: &Cli, context: &Context) -> Result<Outcome> {
    let logging = Logging {
        filter: environment::var("OUTFLOW_LOG"),
        verbose: cli.global.verbose,
        format: cli.global.log_format,
        color: context.output.colors_errors(),
    };
    logging::start(&logging, Arc::clone(&context.metrics), context.bars.clone())?;
    // A second start in one process keeps the first provider.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::File("the async runtime".to_owned(), error))?;
    let result = runtime.block_on(async {
        let result = commands::run(context, &cli.command).await;
        context.opened.leave().await;
        result
    });
    // A blocking call that hangs, as on a dead file system, must not hold the process.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    result
}

/// Tells a person why the command stopped and what to do next.
pub(crate) fn show(output: &Output, failure: &Failure) {
    if let Failure::Shown(..) = failure {
        return;
    }
    let head = match failure.code() {
        Some(code) if failure.exit_code() == exit::PARKED => format!("parked[{code}]"),
        Some(code) => format!("error[{code}]"),
        None => "error".to_owned(),
    };
    output.complain(format_args!(
        "{}: {}",
        output.paint_error(Tone::Bad, head),
        crate::output::clean(&failure.message())
    ));
    if !failure.help().is_empty() {
        output.complain(format_args!("  help: {}", failure.help()));
    }
}

fn summarise(command: &str, started_at: i64, result: &Result<Outcome>) -> Summary {
    let (exit_code, status, syncs, error) = match result {
        Ok(outcome) => (outcome.exit_code, outcome.status, outcome.syncs.clone(), None),
        Err(failure) => (failure.exit_code(), None, Vec::new(), Some(ErrorSummary::from(failure))),
    };
    Summary {
        outflow: summary::VERSION,
        command: command.to_owned(),
        status: status.unwrap_or_else(|| summary::status_of(exit_code)).to_owned(),
        exit_code,
        started_at: summary::moment(started_at),
        ended_at: String::new(),
        syncs,
        items: Vec::new(),
        error,
    }
}

/// Writes the summary where it is wanted and gives the exit code of the process.
fn finish(cli: &Cli, context: &Context, summary: &mut Summary) -> u8 {
    summary.ended_at = summary::moment(context.clock.now_micros());
    if let Some(file) = cli.command.summary_file()
        && let Err(failure) = write_summary(file, summary)
    {
        show(&context.output, &failure);
        summary.exit_code = exit::worse(summary.exit_code, exit::FAILED);
        summary.error.get_or_insert_with(|| ErrorSummary::from(&failure));
    }
    context.output.finish(summary);
    if let Some(error) = context.output.error() {
        context.output.complain(format_args!("error: stdout could not be written: {error}"));
        return exit::worse(summary.exit_code, exit::FAILED);
    }
    summary.exit_code
}

fn write_summary(file: &Path, summary: &Summary) -> Result<()> {
    let mut text = serde_json::to_vec(summary).expect("a summary has string keys only");
    text.push(b'\n');
    metrics::replace(file, &text).map_err(|error| Failure::file(file, error))
}

impl Command {
    /// Where the summary goes besides stdout.
    fn summary_file(&self) -> Option<&Path> {
        match self {
            Self::Apply(args) => args.summary_file.as_deref(),
            Self::Run(args) => args.summary_file.as_deref(),
            Self::Backfill(args) => args.summary_file.as_deref(),
            _ => None,
        }
    }
}

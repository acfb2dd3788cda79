//! `outflow run`: send what changed, one selected sync after the other.

use std::path::PathBuf;

use crate::args::Selection;
use crate::commands::worker::{SharingArgs, work};
use crate::config::CheckedSync;
use crate::context::{Context, Outcome};
use crate::exit;
use crate::failure::{Failure, Result};
use crate::metrics::{Exporter, MetricsArgs};
use crate::output::Tone;
use crate::project::Project;
use crate::session::{Job, Manner, Session};
use crate::summary::SyncSummary;
use crate::text;

/// Arguments of `outflow run`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Several syncs run one after the other, in the order of the project; the worst one decides what \
                  the process exits with. The first Ctrl-C or SIGTERM finishes what is in flight and commits.\n\
                  A sync with `schedule.continuous` that is selected alone is followed until then.\n\n\
                  Examples:\n  outflow run -s product_usage_to_hubspot\n  outflow run -s tag:hourly --skip-code 99 \
                  --summary-file run.json\n  outflow run --all --metrics-textfile /var/lib/node_exporter"
)]
pub(crate) struct RunArgs {
    /// Which syncs.
    #[command(flatten)]
    pub selection: Selection,
    /// Every sync of the project.
    #[arg(long, conflicts_with = "select")]
    pub all: bool,
    /// Read every row, not only what is newer than the watermark. Unchanged rows are still not sent.
    #[arg(long)]
    pub full_refresh: bool,
    /// Send at most so many rows of each sync; the rest stays for the next run.
    #[arg(long, value_name = "ROWS", value_parser = clap::value_parser!(u64).range(1..))]
    pub limit: Option<u64>,
    /// Stop a sync at its first reject, and begin no further sync after one that failed.
    #[arg(long)]
    pub fail_fast: bool,
    /// Whether the run is shared with other processes.
    #[command(flatten)]
    pub sharing: SharingArgs,
    /// Run once also where the sync has `schedule.continuous`.
    #[arg(long)]
    pub once: bool,
    /// Exit with N instead of 0 when nothing changed in any selected sync.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8))]
    pub skip_code: Option<u8>,
    /// Write the summary object to this file, whether the run succeeds or fails.
    #[arg(long, value_name = "FILE")]
    pub summary_file: Option<PathBuf>,
    /// Where metrics go.
    #[command(flatten)]
    pub metrics: MetricsArgs,
}

/// Runs the selected syncs.
///
/// # Errors
/// What keeps every sync from being begun: the command line, the project, the state.
pub(crate) async fn run(context: &Context, args: &RunArgs) -> Result<Outcome> {
    if args.selection.select.is_empty() && !args.all {
        let project = Project::load(context)?;
        return Err(Failure::usage(
            "nothing is selected",
            format!(
                "select syncs with -s, or all of them with --all; in this project: {}",
                project.sync_names()
            ),
        ));
    }
    let project = Project::load(context)?;
    let state = project.open_state().await?;
    let syncs = project.select(&args.selection, state.as_ref()).await?;
    let session = Session::start(context, &project, state);
    session.announce(&syncs).await;
    let names: Vec<String> = syncs.iter().map(|planned| planned.sync.name.clone()).collect();
    let metrics = context.metrics.clone();
    let label = if let [name] = names.as_slice() { name } else { project.name() };
    let exporter = Exporter::start(&args.metrics, label, metrics)?;
    let summaries = each(&session, context, &syncs, args).await;
    exporter.finish(&names).await;
    Ok(conclude(context, args, summaries))
}

async fn each(
    session: &Session<'_>,
    context: &Context,
    syncs: &[&CheckedSync],
    args: &RunArgs,
) -> Vec<SyncSummary> {
    let manner = Manner {
        full_refresh: args.full_refresh,
        rows_max: args.limit,
        fail_fast: args.fail_fast,
        // One that goes on without an end would keep the others from being begun.
        follow: syncs.len() == 1 && args.limit.is_none() && !args.once,
    };
    let mut summaries: Vec<SyncSummary> = Vec::new();
    for planned in syncs {
        let failed = summaries.iter().any(|summary| summary.exit_code != exit::DONE);
        if session.is_stopping() || (args.fail_fast && failed) {
            let skipped = SyncSummary::skipped(&planned.sync.name, session.signals.exit_code());
            context.output.line(format_args!(
                "{}   {}",
                context.output.paint(Tone::Head, &planned.sync.name),
                context.output.paint(Tone::Warn, "skipped")
            ));
            context.output.stream("sync", &skipped);
            summaries.push(skipped);
            continue;
        }
        if !summaries.is_empty() {
            context.output.line("");
        }
        if args.sharing.worker {
            summaries.extend(work(session, context, planned, (&args.sharing, manner)).await);
            continue;
        }
        summaries.push(session.perform(planned, Job::Run, manner).await);
    }
    summaries
}

fn conclude(context: &Context, args: &RunArgs, summaries: Vec<SyncSummary>) -> Outcome {
    let mut outcome = Outcome::of_syncs(summaries);
    let count = |status: &str| outcome.syncs.iter().filter(|sync| sync.status == status).count();
    let (all, failed, skipped) = (outcome.syncs.len(), count("failed"), count("skipped"));
    let idle = count("unchanged") == all;
    let partial = count("partial") > 0;
    if all > 1 {
        context.output.line("");
        context.output.line(format_args!(
            "{}: {} failed, {} skipped",
            text::counted(all as u64, "sync"),
            failed,
            skipped
        ));
    }
    if outcome.exit_code == exit::DONE {
        if idle {
            outcome.status = Some("unchanged");
            outcome.exit_code = args.skip_code.unwrap_or(exit::DONE);
        } else if partial {
            outcome.status = Some("partial");
        }
    }
    outcome
}

//! `outflow run --worker`: several processes share the run of a sync, each taking one shard after the other.

use std::sync::Arc;
use std::time::Duration;

use flow::{Claim, Work};

use crate::config::CheckedSync;
use crate::context::Context;
use crate::exit;
use crate::failure::Failure;
use crate::process;
use crate::session::{Job, Manner, Session};
use crate::summary::SyncSummary;

/// How often a process that found every shard taken looks again: the one that has it may die.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// How a run is shared.
#[derive(Debug, clap::Args)]
pub(crate) struct SharingArgs {
    /// Share the run with other processes started like this one: rows are cut into shards by their keys, and whoever is
    /// free takes the next. Needs a state in PostgreSQL.
    #[arg(long, conflicts_with_all = ["limit", "once"])]
    pub worker: bool,
    /// Into how many shards the rows are cut; the same for every process.
    #[arg(long, value_name = "N", default_value_t = 8, requires = "worker",
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub shards: u32,
    /// Only shard I of N, counted from 0: for a Kubernetes Indexed Job, `--shard $JOB_COMPLETION_INDEX/8`.
    #[arg(long, value_name = "I/N", requires = "worker", conflicts_with = "shards", value_parser = parse_shard)]
    pub shard: Option<(u32, u32)>,
}

fn parse_shard(text: &str) -> Result<(u32, u32), String> {
    let parsed = text.split_once('/').and_then(|(number, of)| {
        let (number, of): (u32, u32) = (number.parse().ok()?, of.parse().ok()?);
        (number < of && of <= 1000).then_some((number, of))
    });
    parsed.ok_or_else(|| "write I/N with I from 0 to N-1 and N at most 1000".to_owned())
}

/// Takes shards of the sync's run until there is none left, or one fails.
pub(crate) async fn work(
    session: &Session<'_>,
    context: &Context,
    planned: &CheckedSync,
    (args, manner): (&SharingArgs, Manner),
) -> Vec<SyncSummary> {
    let sync = &planned.sync;
    let full = if manner.full_refresh { "full " } else { "" };
    let mut work = Work {
        spec: format!("{full}run with mapping {}", engine::mapping_name(sync)),
        shards: args.shard.map_or(args.shards, |(_, of)| of),
        only: args.shard.map(|(number, _)| number),
        begun: None,
    };
    let mut summaries = Vec::new();
    while !session.is_stopping() {
        let now = context.clock.now_micros();
        match session.state().claim(&sync.name, &work, now).await {
            Ok(Claim::Ours(lease, shard, number)) => {
                work.begun = Some(number);
                context
                    .output
                    .line(format_args!("{}   shard {} of {}", sync.name, shard.number, shard.of));
                let job = Job::Shard(Arc::new(lease), shard);
                let summary = session.perform(planned, job, manner).await;
                let failed = ![exit::DONE, exit::REJECTS].contains(&summary.exit_code);
                summaries.push(summary);
                if failed {
                    break;
                }
            }
            Ok(Claim::Busy(number)) => {
                work.begun = Some(number);
                tokio::select! {
                    () = tokio::time::sleep(LOOK_AGAIN) => {}
                    () = session.signals.stop.drain.cancelled() => {}
                }
            }
            Ok(Claim::Done) => break,
            Ok(Claim::Alone) => {
                let failure = Failure::usage(
                    "the state is this machine's alone, and cannot be shared with other processes",
                    "keep it in PostgreSQL: `state: { backend: postgres, connection: NAME }`; or leave `--worker` out",
                );
                summaries.push(refused(context, planned, &failure));
                break;
            }
            Err(error) => {
                summaries.push(refused(context, planned, &error.into()));
                break;
            }
        }
    }
    if summaries.is_empty() {
        context.output.line(format_args!("{}   nothing left to share", sync.name));
    }
    summaries
}

fn refused(context: &Context, planned: &CheckedSync, failure: &Failure) -> SyncSummary {
    process::show(&context.output, failure);
    SyncSummary::failed(&planned.sync.name, failure)
}

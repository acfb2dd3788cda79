//! `outflow apply`: sends exactly what a plan says, or nothing.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::{Guard, PlanFile};

use crate::context::{Context, Outcome};
use crate::failure::{Failure, Result};
use crate::metrics::{Exporter, MetricsArgs};
use crate::project::Project;
use crate::session::{Job, Manner, Session};
use crate::text;

/// Arguments of `outflow apply`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "A plan is applied exactly, or refused with exit code 4 when the rows in the warehouse, the project or \
                  the state are not what the plan was made from. Rows that changed only since then are left for the next \
                  run. A plan can be applied once.\n\n\
                  Examples:\n  outflow plan -s product_usage_to_hubspot --out plan.outflow\n  outflow apply plan.outflow\n  \
                  outflow apply plan.outflow --allow max_changed"
)]
pub(crate) struct ApplyArgs {
    /// The file that `outflow plan --out` wrote.
    #[arg(value_name = "PLAN")]
    pub plan: PathBuf,
    /// A guard that may be passed, this once: min_rows, max_changed, max_removed, max_null_out, max_rejected, max_invalid
    /// or max_requests. Repeatable.
    #[arg(long, value_name = "GUARD", value_parser = guard)]
    pub allow: Vec<Guard>,
    /// Write the summary object to this file, whether the plan is applied or not.
    #[arg(long, value_name = "FILE")]
    pub summary_file: Option<PathBuf>,
    /// Where metrics go.
    #[command(flatten)]
    pub metrics: MetricsArgs,
}

fn guard(name: &str) -> Result<Guard, String> {
    Guard::named(name).ok_or_else(|| {
        let known: Vec<&str> = Guard::ALL.iter().map(|guard| guard.name()).collect();
        format!("there is no such guard; there are {}", known.join(", "))
    })
}

/// Applies the plan.
///
/// # Errors
/// What keeps it from being begun: the command line, the plan's file, the project, the state.
pub(crate) async fn run(context: &Context, args: &ApplyArgs) -> Result<Outcome> {
    let project = Project::load(context)?;
    let plan = open(&args.plan)?;
    let planned = project.one(&plan.header.sync).map_err(|_| {
        Failure::usage(
            format!(
                "the plan is of the sync `{}`, which this project does not have",
                plan.header.sync
            ),
            format!("syncs in this project: {}", project.sync_names()),
        )
    })?;
    let state = project.open_state().await?;
    let session = Session::start(context, &project, state);
    session.announce(&[planned]).await;
    let name = planned.sync.name.clone();
    let exporter = Exporter::start(&args.metrics, &name, context.metrics.clone())?;
    let job = Job::Apply(Arc::new(plan), args.allow.clone());
    let summary = session.perform(planned, job, Manner::default()).await;
    exporter.finish(&[name]).await;
    let left = summary.counts.map_or(0, |counts| counts.parked);
    if left > 0 && summary.error.is_none() {
        context.output.note(format_args!(
            "apply: {} changed since the plan was made; the next run sends what they are then",
            text::counted(left, "row")
        ));
    }
    Ok(Outcome::of_syncs(vec![summary]))
}

/// The plan, with the file's name in what is wrong with it.
fn open(path: &Path) -> Result<PlanFile> {
    PlanFile::open(path).map_err(|error| {
        let message = format!("{}: {}", path.display(), error.message());
        Failure::Error(flow::Error::new(error.code(), message))
    })
}

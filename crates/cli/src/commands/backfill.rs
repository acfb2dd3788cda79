//! `outflow backfill`: an old range again, in a lane of its own: the watermark of the sync stays where it is.

use std::collections::HashSet;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use engine::BackfillScope;
use flow::Changes;

use crate::config::CheckedSync;
use crate::context::{Context, Outcome};
use crate::exit;
use crate::failure::{Failure, Result};
use crate::metrics::{Exporter, MetricsArgs};
use crate::moment;
use crate::project::Project;
use crate::session::{Job, Manner, Session};
use crate::text;

/// Arguments of `outflow backfill`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "A moment is a date (2026-01-05, midnight UTC), a time (2026-01-05T10:00:00Z; without a zone it is \
                  UTC), `now`, or how long ago (90m, 12h, 7d). --from is included, --to is not.\n\n\
                  The file of --keys has one primary key a line. A key of several columns has its parts in the order \
                  of the model's primary_key, separated by tabs, or is a JSON array: [\"eu\", 7].\n\n\
                  With --columns, rows without a record are left to the next run. Requests of a backfill give way to those \
                  of runs. Interrupted, the same command goes on where it stopped.",
    group = clap::ArgGroup::new("scope").required(true).args(["from", "condition", "keys"])
)]
pub(crate) struct BackfillArgs {
    /// The sync.
    #[arg(short, long = "select", value_name = "SYNC")]
    pub sync: String,
    /// Rows whose watermark is at or after this moment.
    #[arg(long, value_name = "MOMENT", requires = "to", allow_hyphen_values = true)]
    pub from: Option<String>,
    /// Rows whose watermark is before this moment.
    #[arg(long, value_name = "MOMENT", requires = "from", allow_hyphen_values = true)]
    pub to: Option<String>,
    /// Rows for which this SQL condition over the model's columns holds.
    #[arg(long = "where", value_name = "SQL", id = "condition")]
    pub condition: Option<String>,
    /// Rows with the primary keys in this file; `-` is stdin.
    #[arg(long, value_name = "FILE")]
    pub keys: Option<PathBuf>,
    /// Of each row only these destination fields, separated by commas, to records that are there.
    #[arg(long, value_name = "FIELDS", value_delimiter = ',')]
    pub columns: Vec<String>,
    /// Stop at the first reject.
    #[arg(long)]
    pub fail_fast: bool,
    /// Write the summary object to this file, whether the backfill succeeds or fails.
    #[arg(long, value_name = "FILE")]
    pub summary_file: Option<PathBuf>,
    /// Where metrics go.
    #[command(flatten)]
    pub metrics: MetricsArgs,
}

/// Runs the backfill.
///
/// # Errors
/// What keeps it from being begun: the command line, the project, the state.
pub(crate) async fn run(context: &Context, args: &BackfillArgs) -> Result<Outcome> {
    let project = Project::load(context)?.in_backfill_lane();
    let planned = project.one(&args.sync)?;
    let scope = scope(context, args, planned)?;
    let asked = match &scope {
        BackfillScope::Keys(keys) => keys.iter().collect::<HashSet<_>>().len() as u64,
        _ => 0,
    };
    let state = project.open_state().await?;
    let session = Session::start(context, &project, state);
    session.announce(&[planned]).await;
    let name = planned.sync.name.clone();
    let exporter = Exporter::start(&args.metrics, &name, context.metrics.clone())?;
    let manner = Manner { fail_fast: args.fail_fast, ..Manner::default() };
    let summary =
        session.perform(planned, Job::Backfill(scope, args.columns.clone()), manner).await;
    exporter.finish(&[name]).await;
    if let Some(counts) = summary.counts {
        let settled = counts.read - counts.parked.min(counts.read);
        let done = matches!(summary.exit_code, exit::DONE | exit::REJECTS);
        if done && counts.read < asked {
            // Some may have been settled by an earlier call; a key without a row is no error.
            context.output.note(format_args!(
                "backfill: {} read of {asked} keys; the others have no row in the model now, or were settled before",
                text::counted(counts.read, "row")
            ));
        }
        context.output.note(format_args!(
            "backfill: {} settled by this call; {}",
            text::counted(settled, "row"),
            if done { "done" } else { "the same command goes on from there" }
        ));
    }
    Ok(Outcome::of_syncs(vec![summary]))
}

fn scope(context: &Context, args: &BackfillArgs, planned: &CheckedSync) -> Result<BackfillScope> {
    let model = &planned.sync.model;
    if let Some(condition) = &args.condition {
        if condition.trim().is_empty() {
            return Err(Failure::usage(
                "--where is empty",
                "give a condition, or use --from and --to",
            ));
        }
        return Ok(BackfillScope::Where(condition.clone()));
    }
    if let Some(file) = &args.keys {
        let keys = moment::keys(&read(file)?, &model.primary_key)?;
        return Ok(BackfillScope::Keys(keys));
    }
    if !matches!(model.changes, Changes::Watermark { .. }) {
        return Err(Failure::usage(
            format!("`{}` has no watermark column that --from and --to could mean", args.sync),
            "use --where or --keys",
        ));
    }
    let now = context.clock.now_micros();
    let moment = |option, text: &Option<String>| {
        moment::parse(option, text.as_deref().unwrap_or_default(), now)
    };
    let (from, to) = (moment("--from", &args.from)?, moment("--to", &args.to)?);
    if from >= to {
        return Err(Failure::usage(
            format!("the range is empty: --from is {from}, --to is {to}"),
            "--from is included, --to is not",
        ));
    }
    Ok(BackfillScope::Range { from, to })
}

fn read(file: &Path) -> Result<String> {
    let text = if file == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().lock().read_to_string(&mut text).map(|_| text)
    } else {
        fs::read_to_string(file)
    };
    text.map_err(|error| Failure::usage(format!("--keys {}: {error}", file.display()), ""))
}

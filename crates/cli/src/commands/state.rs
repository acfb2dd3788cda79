//! `outflow state`: what is remembered between runs, and forgetting it.

use std::sync::Arc;

use serde_json::json;
use state::{State, SyncState};

use crate::confirm;
use crate::context::{Context, Outcome};
use crate::failure::Result;
use crate::output::Tone;
use crate::project::Project;
use crate::report;
use crate::text;

/// Commands about the state.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum StateCommand {
    /// Show what is remembered about every sync, also about those that left the project.
    Show {
        /// Only this sync.
        #[arg(short, long = "select", value_name = "SYNC")]
        sync: Option<String>,
    },
    /// Forget watermark, ledger, backfills and rejects of a sync; the run history stays. The next run reads and
    /// sends every row again.
    Reset {
        /// The sync.
        #[arg(short, long = "select", value_name = "SYNC")]
        sync: String,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
}

impl StateCommand {
    /// The word in the summary.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Show { .. } => "state show",
            Self::Reset { .. } => "state reset",
        }
    }
}

/// Runs the command.
///
/// # Errors
/// When the project or the state cannot be opened, for a sync there is none of, and while a run holds its lease.
pub(crate) async fn run(context: &Context, command: &StateCommand) -> Result<Outcome> {
    let project = Project::load(context)?;
    let state = project.open_state().await?;
    match command {
        StateCommand::Show { sync } => show(context, &project, &state, sync.as_deref()).await?,
        StateCommand::Reset { sync, yes } => reset(context, &project, &state, (sync, *yes)).await?,
    }
    Ok(Outcome::done())
}

async fn show(
    context: &Context,
    project: &Project,
    state: &Arc<dyn State>,
    sync: Option<&str>,
) -> Result<()> {
    if let Some(sync) = sync {
        project.known_sync(sync, state.as_ref()).await?;
    }
    let output = &context.output;
    let size = state.size_bytes().await?;
    output.line(format_args!("{}  {}", state.place(), text::bytes(size)));
    let heads = ["sync", "watermark", "ledger rows", "open rejects", "open backfills", "held by"];
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    let known = state.syncs().await?;
    for known in known.iter().filter(|known| sync.is_none_or(|sync| sync == known.sync)) {
        output.item("sync_state", &json_of(known));
        rows.push(vec![
            known.sync.clone(),
            match &known.watermark {
                Some(stored) => {
                    format!("{} {}", stored.column, report::watermark(Some(stored.watermark)))
                }
                None => "none".to_owned(),
            },
            text::number(known.ledger_rows),
            text::number(known.open_rejects),
            text::number(known.open_backfills),
            known.held_by.as_ref().map_or("-".to_owned(), |holder| format!("pid {}", holder.pid)),
        ]);
    }
    output.item("state", &json!({ "path": state.place(), "bytes": size }));
    if rows.len() == 1 {
        output.note("nothing is remembered yet");
        return Ok(());
    }
    for (index, line) in text::table(&rows).into_iter().enumerate() {
        output.line(if index == 0 { output.paint(Tone::Head, line) } else { line });
    }
    Ok(())
}

fn json_of(known: &SyncState) -> serde_json::Value {
    json!({
        "sync": known.sync,
        "watermark_column": known.watermark.as_ref().map(|stored| &stored.column),
        "watermark": known.watermark.as_ref().map(|stored| stored.watermark.to_string()),
        "ledger_rows": known.ledger_rows,
        "open_rejects": known.open_rejects,
        "oldest_reject_at": known.oldest_reject_at.map(text::rfc3339),
        "open_backfills": known.open_backfills,
        "held_by_pid": known.held_by.as_ref().map(|holder| holder.pid),
    })
}

async fn reset(
    context: &Context,
    project: &Project,
    state: &Arc<dyn State>,
    (sync, yes): (&str, bool),
) -> Result<()> {
    project.known_sync(sync, state.as_ref()).await?;
    let known = state.syncs().await?.into_iter().find(|known| known.sync == sync);
    let rows = known.map_or(0, |known| known.ledger_rows);
    let remembered = text::counted(rows, "remembered row");
    confirm::ask(yes, &format!("Forget the watermark and {remembered} of `{sync}`?"))?;
    let lease = state.acquire(sync, context.clock.now_micros()).await?;
    state.reset(&lease).await?;
    context.output.line(format_args!("reset {sync}; its next run is a first load"));
    context.output.item("reset", &json!({ "sync": sync, "ledger_rows": rows }));
    Ok(())
}

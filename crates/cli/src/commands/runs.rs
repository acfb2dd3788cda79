//! `outflow runs`: past runs, and one of them in full.

use flow::RunRecord;
use serde_json::{Value, json};

use crate::context::{Context, Outcome};
use crate::failure::{Failure, Result};
use crate::output::{Tone, clean};
use crate::project::Project;
use crate::report;
use crate::summary::Counts;
use crate::text;

/// Commands about past runs.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum RunsCommand {
    /// List past runs, newest first.
    Ls {
        /// Only runs of this sync.
        #[arg(short, long = "select", value_name = "SYNC")]
        sync: Option<String>,
        /// How many.
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..))]
        limit: u64,
    },
    /// Show one run.
    Show {
        /// Id of the run, or how it begins.
        id: String,
    },
}

impl RunsCommand {
    /// The word in the summary.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Ls { .. } => "runs ls",
            Self::Show { .. } => "runs show",
        }
    }
}

/// Runs the command.
///
/// # Errors
/// When the project or the state cannot be opened, and for a run there is none of.
pub(crate) async fn run(context: &Context, command: &RunsCommand) -> Result<Outcome> {
    let project = Project::load(context)?;
    let state = project.open_state().await?;
    match command {
        RunsCommand::Ls { sync, limit } => {
            if let Some(sync) = sync {
                project.known_sync(sync, state.as_ref()).await?;
            }
            list(context, &state.runs(sync.as_deref(), *limit).await?);
        }
        RunsCommand::Show { id } => {
            let found = state.run(id).await.map_err(|error| match error.code() {
                code if *code == state::codes::E3017_AMBIGUOUS_RUN => {
                    Failure::usage(error.message(), error.remedy())
                }
                _ => error.into(),
            })?;
            let run = found.ok_or_else(|| {
                Failure::usage(format!("there is no run `{id}`"), "`outflow runs ls` lists them")
            })?;
            show(context, &run);
        }
    }
    Ok(Outcome::done())
}

fn list(context: &Context, runs: &[RunRecord]) {
    let now = context.clock.now_micros();
    let heads = [
        "run", "sync", "status", "trigger", "started", "took", "read", "sent", "rejected",
        "requests",
    ];
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    for run in runs {
        context.output.item("run", &json_of(run));
        rows.push(vec![
            run.id.clone(),
            run.sync.clone(),
            run.status.as_str().to_owned(),
            run.trigger.as_str().to_owned(),
            format!("{} ({})", text::moment(run.started_at), text::ago(now, run.started_at)),
            run.ended_at.map_or("-".to_owned(), |ended| text::span(ended - run.started_at)),
            text::number(run.counts.read),
            text::number(run.counts.delivered()),
            text::number(run.counts.rejected),
            text::number(run.counts.requests),
        ]);
    }
    if runs.is_empty() {
        context.output.note("no runs yet: `outflow run --all`");
        return;
    }
    for (index, line) in text::table(&rows).into_iter().enumerate() {
        let line = if index == 0 { context.output.paint(Tone::Head, line) } else { line };
        context.output.line(line);
    }
}

/// A run for programs.
pub(crate) fn json_of(run: &RunRecord) -> Value {
    json!({
        "id": run.id,
        "sync": run.sync,
        "trigger": run.trigger,
        "status": run.status,
        "started_at": text::rfc3339(run.started_at),
        "ended_at": run.ended_at.map(text::rfc3339),
        "counts": Counts::from(run.counts),
        "error": run.error,
        "wake_at": run.wake_at.map(text::rfc3339),
    })
}

fn show(context: &Context, run: &RunRecord) {
    let output = &context.output;
    let now = context.clock.now_micros();
    let status = run.status.as_str();
    let mut lines = vec![
        ("run", run.id.clone()),
        ("sync", run.sync.clone()),
        ("status", output.paint(report::tone_of(status), status)),
        ("trigger", run.trigger.as_str().to_owned()),
        (
            "started",
            format!("{} ({})", text::moment(run.started_at), text::ago(now, run.started_at)),
        ),
    ];
    if let Some(ended) = run.ended_at {
        lines.push(("ended", text::moment(ended)));
    }
    lines.extend(run.wake_at.map(|wake_at| ("wakes up", text::moment(wake_at))));
    lines.push(("accounts", report::accounts(run)));
    lines.extend(report::gone_line(&run.counts).map(|gone| ("left", gone)));
    lines.push((
        "delivered",
        format!(
            "{} created, {} updated",
            text::number(run.counts.created),
            text::number(run.counts.updated)
        ),
    ));
    lines.push(("sent", report::sent(run)));
    if let Some(error) = &run.error {
        lines.push(("error", clean(error)));
    }
    for (label, value) in lines {
        output.line(format_args!("{label:<10} {value}"));
    }
    output.item("run", &json_of(run));
}

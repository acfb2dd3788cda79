//! `outflow status`: every sync with its last run, how far it is behind, and the next step.

use flow::{RunRecord, RunStatus};
use serde_json::json;
use state::SyncState;

use crate::args::Selection;
use crate::commands::runs;
use crate::config::CheckedSync;
use crate::context::{Context, Outcome};
use crate::failure::Result;
use crate::output::Tone;
use crate::project::Project;
use crate::report;
use crate::text;

/// Arguments of `outflow status`.
#[derive(Debug, clap::Args)]
pub(crate) struct StatusArgs {
    /// Which syncs; all of them where none is selected.
    #[command(flatten)]
    pub selection: Selection,
}

/// Shows the table.
///
/// # Errors
/// When the project or the state cannot be opened.
pub(crate) async fn run(context: &Context, args: &StatusArgs) -> Result<Outcome> {
    let project = Project::load(context)?;
    let state = project.open_state().await?;
    let selection = &args.selection;
    let all = selection.select.is_empty() && selection.exclude.is_empty();
    let syncs: Vec<&CheckedSync> = match all {
        // Disabled ones are shown too.
        true => project.syncs().iter().collect(),
        false => project.select(selection, state.as_ref()).await?,
    };
    let known = state.syncs().await?;
    let now = context.clock.now_micros();
    let output = &context.output;
    let heads = [
        "sync",
        "status",
        "last run",
        "rows",
        "watermark",
        "behind",
        "open rejects",
        "unconfirmed",
        "next step",
    ];
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    for planned in syncs {
        let known = known.iter().find(|known| known.sync == planned.sync.name);
        let line = Line::of(planned, known, now);
        output.item("sync", &line.json());
        rows.push(line.cells(now));
    }
    if rows.len() == 1 {
        output.note("the project has no syncs: `outflow init` writes one");
        return Ok(Outcome::done());
    }
    for (index, line) in text::table(&rows).into_iter().enumerate() {
        output.line(if index == 0 { output.paint(Tone::Head, line) } else { line });
    }
    Ok(Outcome::done())
}

/// One sync's state, as it is shown.
struct Line<'a> {
    sync: &'a str,
    status: &'static str,
    run: Option<&'a RunRecord>,
    watermark: Option<flow::Watermark>,
    behind_micros: Option<i64>,
    open_rejects: u64,
    /// Rows that a call without a clear answer may still change, and jobs whose end nobody has seen.
    unconfirmed: (u64, u64),
    next: String,
}

impl<'a> Line<'a> {
    fn of(planned: &'a CheckedSync, known: Option<&'a SyncState>, now: i64) -> Self {
        let run = known.and_then(|known| known.last_run.as_ref());
        let held = known.is_some_and(|known| known.held_by.is_some());
        let status = match run.map(|run| run.status) {
            None if !planned.enabled => "disabled",
            None => "never run",
            // The process that was at it is gone.
            Some(RunStatus::Running) if !held => "crashed",
            Some(status) => status.as_str(),
        };
        let watermark =
            known.and_then(|known| known.watermark.as_ref()).map(|stored| stored.watermark);
        let finite = |watermark: &flow::Watermark| {
            ![flow::Watermark::INFINITY, flow::Watermark::NEG_INFINITY].contains(watermark)
        };
        let open_rejects = known.map_or(0, |known| known.open_rejects);
        let sync = planned.sync.name.as_str();
        Self {
            sync,
            status,
            run,
            watermark,
            behind_micros: watermark.filter(finite).map(|at| now.saturating_sub(at.0).max(0)),
            open_rejects,
            unconfirmed: known.map_or((0, 0), |known| (known.unconfirmed_rows, known.open_jobs)),
            next: next_step(sync, (status, run), open_rejects),
        }
    }

    fn cells(&self, now: i64) -> Vec<String> {
        let dash = || "-".to_owned();
        vec![
            self.sync.to_owned(),
            self.status.to_owned(),
            self.run.map_or_else(dash, |run| {
                let at = run.ended_at.unwrap_or(run.started_at);
                format!("{} ({})", text::moment(at), text::ago(now, at))
            }),
            self.run.map_or_else(dash, |run| {
                let counts = &run.counts;
                let gone = match (counts.removed, counts.gone_waiting) {
                    (0, 0) => String::new(),
                    (removed, 0) => format!(", {} removed", text::number(removed)),
                    (removed, waiting) => format!(
                        ", {} removed, {} waiting to be",
                        text::number(removed),
                        text::number(waiting)
                    ),
                };
                format!(
                    "{} read, {} sent, {} unchanged, {} rejected{gone}",
                    text::number(counts.read),
                    text::number(counts.delivered()),
                    text::number(counts.unchanged),
                    text::number(counts.rejected)
                )
            }),
            report::watermark(self.watermark),
            self.behind_micros.map_or_else(dash, text::span),
            text::number(self.open_rejects),
            match self.unconfirmed {
                (rows, 0) => text::number(rows),
                (rows, jobs) => {
                    format!("{}, {}", text::number(rows), text::counted(jobs, "open job"))
                }
            },
            self.next.clone(),
        ]
    }

    fn json(&self) -> serde_json::Value {
        json!({
            "sync": self.sync,
            "status": self.status,
            "last_run": self.run.map(runs::json_of),
            "watermark": self.watermark.map(|watermark| watermark.to_string()),
            "behind_seconds": self.behind_micros.map(|micros| micros as f64 / 1e6),
            "open_rejects": self.open_rejects,
            "unconfirmed": self.unconfirmed.0,
            "open_jobs": self.unconfirmed.1,
            "next_step": self.next,
        })
    }
}

fn next_step(sync: &str, (status, run): (&str, Option<&RunRecord>), open_rejects: u64) -> String {
    match status {
        "never run" => format!("outflow plan -s {sync}"),
        "failed" | "guarded" => match run {
            Some(run) => format!("outflow runs show {}", run.id),
            None => format!("outflow runs ls -s {sync}"),
        },
        "crashed" | "interrupted" => format!("outflow run -s {sync}"),
        "running" => "wait for it".to_owned(),
        "parked" => match run.and_then(|run| run.wake_at) {
            Some(wake_at) => format!("wakes up {}", text::moment(wake_at)),
            None => format!("outflow run -s {sync}"),
        },
        _ if open_rejects > 0 => format!("outflow rejects ls -s {sync}"),
        _ => "-".to_owned(),
    }
}

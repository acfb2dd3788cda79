//! `outflow plan`: what a run would send now, without sending it.

use std::path::PathBuf;
use std::sync::Arc;

use engine::{Plan, PlanOp, PlanOptions, PlanRow, Reason, Removed, RemovedAction};
use flow::Changes;
use serde_json::{Value, json};

use crate::args::Selection;
use crate::config::CheckedSync;
use crate::context::{Context, Outcome};
use crate::exit;
use crate::failure::{Failure, Result};
use crate::output::{Output, clean};
use crate::process;
use crate::project::{self, Project};
use crate::report;
use crate::rulings;
use crate::signals::Signals;
use crate::summary::{Counts, ErrorSummary, PlanSummary, SyncSummary};
use crate::text;

/// Seconds one write call takes while nothing is known about the destination.
const CALL_SECONDS: f64 = 0.4;
/// Fields shown of a sample; the JSON formats show all.
const FIELDS_SHOWN: usize = 5;
/// Longest value shown in a sample, in characters.
const VALUE_CHARS_MAX: usize = 40;

/// Arguments of `outflow plan`.
#[derive(Debug, clap::Args)]
pub(crate) struct PlanArgs {
    /// Which syncs; all of them where none is selected.
    #[command(flatten)]
    pub selection: Selection,
    /// Exit with 2 when there is something to send.
    #[arg(long)]
    pub detailed_exitcode: bool,
    /// Write the exact rows to this file, for `outflow apply`. It holds row values, and only its owner may read it.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Show `***` instead of keys and values in the samples.
    #[arg(long)]
    pub no_values: bool,
}

/// Plans the selected syncs.
///
/// # Errors
/// What keeps every sync from being planned: the command line, the project, the state.
pub(crate) async fn run(context: &Context, args: &PlanArgs) -> Result<Outcome> {
    let project = Project::load(context)?;
    let _spool = project.claim_spool();
    let state = project.open_state().await?;
    let syncs = project.select(&args.selection, &state).await?;
    if args.out.is_some() && syncs.len() != 1 {
        let selected = text::counted(syncs.len() as u64, "sync");
        return Err(Failure::usage(
            format!("a plan's file is of one sync, and {selected} are selected"),
            "select one with -s",
        ));
    }
    let signals = Signals::listen(context.output.clone(), "stopping");
    let mut summaries = Vec::new();
    for (index, planned) in syncs.iter().enumerate() {
        if index > 0 {
            context.output.line("");
        }
        let result = plan_one(context, &project, planned, (&state, &signals, args)).await;
        let summary = match result {
            Ok((plan, destination)) => {
                print(&context.output, planned, (&plan, &destination), args.no_values);
                saved(&context.output, args, &plan);
                summary_of(planned, &plan, args)
            }
            Err(failure) => {
                report::heading(&context.output, planned);
                process::show(&context.output, &failure);
                let mut summary = SyncSummary::failed(&planned.sync.name, &failure);
                if let Some(code) = signals.exit_code() {
                    summary.exit_code = code;
                }
                summary
            }
        };
        context.output.stream("sync", &summary);
        summaries.push(summary);
        if signals.exit_code().is_some() {
            break;
        }
    }
    Ok(Outcome::of_syncs(summaries))
}

async fn plan_one(
    context: &Context,
    project: &Project,
    planned: &CheckedSync,
    (state, signals, args): (&Arc<state::Sqlite>, &Signals, &PlanArgs),
) -> Result<(Plan, Destination)> {
    let ports = project.ports(context, planned, state)?;
    project::refuse_denied(context, planned, &ports).await?;
    let options =
        PlanOptions { out: args.out.clone(), origin: project.origin(), stop: signals.stop.clone() };
    let planning = engine::plan(&planned.sync, &ports, &options);
    let plan = tokio::select! {
        plan = planning => plan?,
        () = signals.first() => {
            return Err(Failure::Shown(exit::FAILED, None, "interrupted".to_owned()));
        }
    };
    let in_flight_max = ports.destination.limits(&planned.sync.object)?.in_flight_max;
    let quotas = context.metrics.quotas(&planned.sync.destination);
    Ok((plan, Destination { in_flight_max, quotas }))
}

fn summary_of(planned: &CheckedSync, plan: &Plan, args: &PlanArgs) -> SyncSummary {
    let changes = plan.changes() > 0;
    let exit_code = if changes && args.detailed_exitcode { exit::CHANGES } else { exit::DONE };
    let mut summary = SyncSummary {
        sync: planned.sync.name.clone(),
        status: if changes { "changes" } else { "unchanged" }.to_owned(),
        exit_code,
        counts: Some(Counts {
            read: plan.read,
            unchanged: plan.unchanged,
            delivered: plan.create + plan.update,
            created: plan.create,
            updated: plan.update,
            rejected: plan.invalid,
            gone: plan.removed + plan.removed_later + plan.removed_ignored + plan.removed_failed,
            removed: plan.removed,
            gone_waiting: plan.removed_later,
            gone_ignored: plan.removed_ignored,
            gone_failed: plan.removed_failed,
            requests: plan.requests,
            ..Counts::default()
        }),
        rejects: groups(plan),
        samples: plan.samples.iter().map(|row| sample_json(planned, row, args.no_values)).collect(),
        plan: args
            .out
            .as_ref()
            .zip(plan.sha256.clone())
            .map(|(file, sha256)| PlanSummary { file: file.display().to_string(), sha256 }),
        guards: rulings::summaries(&plan.rulings, !args.no_values),
        reasons: plan.reasons.iter().map(|(why, rows)| (why.as_str().to_owned(), *rows)).collect(),
        findings: plan.findings.iter().map(ErrorSummary::from).collect(),
        ..SyncSummary::default()
    };
    summary.set_watermarks(plan.from, None);
    summary
}

/// Says where the plan went.
fn saved(output: &Output, args: &PlanArgs, plan: &Plan) {
    if let (Some(file), Some(sha256)) = (&args.out, &plan.sha256) {
        let file = clean(&file.display().to_string());
        output.line(format_args!(
            "Plan saved to {file} (sha256 {sha256}). Apply it with `outflow apply {file}`."
        ));
    }
}

fn groups(plan: &Plan) -> Vec<crate::summary::RejectGroup> {
    plan.rejects
        .iter()
        .map(|group| report::group(group.code.id, group.field.as_deref(), None, group.rows))
        .collect()
}

fn sample_json(planned: &CheckedSync, row: &PlanRow, no_values: bool) -> Value {
    let shown = |value: &Option<String>| match value {
        Some(_) if no_values => Value::from("***"),
        Some(value) => Value::from(value.as_str()),
        None => Value::Null,
    };
    let key: serde_json::Map<String, Value> = planned
        .sync
        .model
        .primary_key
        .iter()
        .zip(row.key.parts())
        .map(|(column, part)| (column.clone(), shown(&Some(part))))
        .collect();
    let fields: serde_json::Map<String, Value> =
        row.fields.iter().map(|(field, value)| (field.clone(), shown(value))).collect();
    json!({ "op": row.op.as_str(), "reason": row.reason.as_str(), "key": key, "fields": fields })
}

fn print(
    output: &Output,
    planned: &CheckedSync,
    (plan, destination): (&Plan, &Destination),
    no_values: bool,
) {
    report::heading(output, planned);
    output.line(format_args!("  source      {}", source_line(planned, plan)));
    for (sign, label, rows, note) in [
        ("+", "create", plan.create, ""),
        ("~", "update", plan.update, ""),
        ("=", "unchanged", plan.unchanged, "(payload equal to the last acknowledged one)"),
        ("!", "invalid", plan.invalid, ""),
    ] {
        let note = if rows == 0 { "" } else { note };
        let line = format!("  {sign} {label:<9} {:>9}   {note}", text::number(rows));
        output.line(line.trim_end());
    }
    if let Some(removed) = &planned.sync.removed {
        let line =
            format!("  - remove    {:>9}   {}", text::number(plan.removed), left(removed, plan));
        output.line(line.trim_end());
    }
    report::print_groups(output, "invalid", &groups(plan));
    for row in &plan.samples {
        output.line(format_args!("  sample      {}", sample(row, no_values)));
    }
    if let Some(why) = reasons(plan) {
        output.line(format_args!("  because     {why}"));
    }
    output.line(format_args!("  cost        {}", cost(planned, plan, destination)));
    rulings::print(output, &plan.rulings, !no_values);
    for finding in &plan.findings {
        report::print_finding(output, finding);
    }
}

/// What would be done with the records of rows that left the model, and with which of them nothing yet.
fn left(removed: &Removed, plan: &Plan) -> String {
    let action = match removed.action {
        RemovedAction::Delete => "deleted",
        RemovedAction::Update(_) => "updated with `removed.set`",
        RemovedAction::Ignore => "left alone",
    };
    let others = [
        (plan.removed_later, "wait for their grace"),
        (plan.removed_ignored, "need nothing"),
        (plan.removed_failed, "cannot be removed"),
    ];
    let others = others.into_iter().filter(|(rows, _)| *rows > 0);
    let others = others.map(|(rows, what)| format!("{} {what}", text::number(rows)));
    let done = (plan.removed > 0).then(|| action.to_owned());
    let said: Vec<String> = done.into_iter().chain(others).collect();
    if said.is_empty() { String::new() } else { format!("({})", said.join("; ")) }
}

/// Why rows would be sent, where it is not all for their first time.
fn reasons(plan: &Plan) -> Option<String> {
    let said: Vec<String> = plan
        .reasons
        .iter()
        .map(|(why, rows)| format!("{} {}", why.as_str(), text::number(*rows)))
        .collect();
    let telling = plan.reasons.iter().any(|(why, _)| *why != Reason::First);
    telling.then(|| said.join(" · "))
}

fn source_line(planned: &CheckedSync, plan: &Plan) -> String {
    let read = match plan.model_rows {
        Some(rows) if rows != plan.read => {
            format!("{}, {}", text::counted(rows, "row"), text::number(plan.read))
        }
        _ => text::counted(plan.read, "row"),
    };
    match (&planned.sync.model.changes, plan.from) {
        (Changes::Snapshot, _) => format!("{read} read (snapshot)"),
        (Changes::Log(log), _) => format!("{read} read (log, slot {})", log.slot),
        (Changes::Watermark { column, lag_micros }, None) => format!(
            "{read} read, the first run (watermark {column}, lag {})",
            text::duration(*lag_micros)
        ),
        (Changes::Watermark { column, lag_micros }, from) => format!(
            "{read} changed since {} (watermark {column}, lag {})",
            report::watermark(from),
            text::duration(*lag_micros)
        ),
    }
}

fn sample(row: &PlanRow, no_values: bool) -> String {
    let shown = |value: &str| match no_values {
        true => "***".to_owned(),
        false => shorten(&clean(value)),
    };
    let sign = match row.op {
        PlanOp::Create => "+",
        PlanOp::Update => "~",
        PlanOp::Remove => "-",
    };
    let key: Vec<String> = row.key.parts().iter().map(|part| shown(part)).collect();
    let mut fields: Vec<String> = row
        .fields
        .iter()
        .take(FIELDS_SHOWN)
        .map(|(field, value)| match value {
            Some(value) => format!("{field} {}", shown(value)),
            None => format!("{field} (emptied)"),
        })
        .collect();
    if let Some(more @ 1..) = row.fields.len().checked_sub(FIELDS_SHOWN) {
        fields.push(format!("{more} more"));
    }
    format!("{sign} {}   {}", key.join(", "), fields.join(" · "))
}

fn shorten(value: &str) -> String {
    match value.char_indices().nth(VALUE_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &value[..end]),
        None => value.to_owned(),
    }
}

/// What the plan costs at the destination: requests, about how long they take, and their part of the day's quota.
fn cost(planned: &CheckedSync, plan: &Plan, destination: &Destination) -> String {
    let requests = text::counted(plan.requests, "request");
    if plan.requests == 0 {
        return requests;
    }
    let rate = destination.calls_per_second(planned.sync.delivery.max_concurrency);
    let seconds = (plan.requests as f64 / rate).ceil() as u64;
    let mut cost = format!("{requests}, about {} s at {rate:.0}/s", text::number(seconds));
    if let Some((_, left, limit)) = destination.quotas.iter().find(|(window, ..)| window == "day") {
        let share = plan.requests as f64 / limit.max(1.0) * 100.0;
        let left = text::number(*left as u64);
        cost.push_str(&format!(", {share:.2} % of today's quota ({left} left)"));
    }
    cost
}

/// What is known about the destination once it was asked for its fields.
struct Destination {
    in_flight_max: usize,
    /// Window, remaining and limit.
    quotas: Vec<(String, f64, f64)>,
}

impl Destination {
    /// The present rate: calls in flight, each about as long as CRM calls are, or the reported window if that is less.
    fn calls_per_second(&self, in_flight_max: Option<usize>) -> f64 {
        let calls = self.in_flight_max.min(in_flight_max.unwrap_or(usize::MAX)).max(1);
        let windows = self.quotas.iter().filter_map(|(window, _, limit)| {
            let seconds: f64 = window.strip_suffix('s')?.parse().ok()?;
            Some(limit / seconds)
        });
        windows.fold(calls as f64 / CALL_SECONDS, f64::min).max(0.01)
    }
}

#[cfg(test)]
mod tests {
    use flow::Key;

    use super::*;

    #[test]
    fn the_rate_is_the_smaller_of_the_window_and_the_calls_in_flight() {
        let window = |limit| ("10s".to_owned(), 100.0, limit);
        let day = ("day".to_owned(), 10.0, 1_000_000.0);
        let with = |quotas| Destination { in_flight_max: 20, quotas };
        assert_eq!(with(vec![]).calls_per_second(None), 50.0);
        assert_eq!(with(vec![]).calls_per_second(Some(2)), 5.0);
        assert_eq!(with(vec![day.clone(), window(190.0)]).calls_per_second(None), 19.0);
        assert_eq!(with(vec![day, window(190.0)]).calls_per_second(Some(1)), 2.5);
    }

    #[test]
    fn a_sample_shows_values_unless_told_not_to() {
        let row = PlanRow {
            key: Key::from_parts(&["7", "eu"]),
            op: PlanOp::Update,
            reason: Reason::Data,
            fields: vec![
                ("firstname".to_owned(), Some("Ada\u{1b}[2J".to_owned())),
                ("phone".to_owned(), None),
            ],
        };
        assert_eq!(sample(&row, false), "~ 7, eu   firstname Ada\\u{1b}[2J · phone (emptied)");
        assert_eq!(sample(&row, true), "~ ***, ***   firstname *** · phone (emptied)");
        assert_eq!(shorten(&"é".repeat(60)).chars().count(), VALUE_CHARS_MAX + 1);
    }
}

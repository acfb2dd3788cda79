//! `outflow plan`: what a run would send now, without sending it.

mod markdown;
mod shown;

use std::path::PathBuf;
use std::sync::Arc;

use engine::{Change, Plan, PlanOptions, PlanRow};
use serde_json::{Map, Value, json};

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
    /// Compare with the destination's records as they are now, which costs a read call per batch, instead of with what is
    /// remembered of them.
    #[arg(long)]
    pub live: bool,
    /// Show `***` instead of keys and values in the samples.
    #[arg(long, conflicts_with = "values")]
    pub no_values: bool,
    /// Show keys and values in Markdown too, which leaves them out unless asked, since many read a pull request.
    #[arg(long)]
    pub values: bool,
}

/// Plans the selected syncs.
///
/// # Errors
/// What keeps every sync from being planned: the command line, the project, the state.
pub(crate) async fn run(context: &Context, args: &PlanArgs) -> Result<Outcome> {
    let project = Project::load(context)?;
    let _spool = project.claim_spool();
    let state = project.open_state().await?;
    let syncs = project.select(&args.selection, state.as_ref()).await?;
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
            Ok(plan) => {
                match context.output.is_markdown() {
                    true => context.output.script(&markdown::page(planned, &plan, args)),
                    false => shown::print(&context.output, planned, &plan, args.no_values),
                }
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
    (state, signals, args): (&Arc<dyn state::State>, &Signals, &PlanArgs),
) -> Result<Plan> {
    let ports = project.ports(context, planned, state)?;
    project::refuse_denied(context, planned, &ports).await?;
    if args.live && ports.destination.reads_back().is_none() {
        return Err(Failure::usage(
            format!("records of `{}` cannot be read back", planned.sync.destination),
            "plan without --live; `delivery.remember: values` keeps what was sent",
        ));
    }
    let options = PlanOptions {
        out: args.out.clone(),
        live: args.live,
        origin: project.origin(),
        stop: signals.stop.clone(),
    };
    let planning = engine::plan(&planned.sync, &ports, &options);
    let plan = tokio::select! {
        plan = planning => plan?,
        () = signals.first() => {
            return Err(Failure::Shown(exit::FAILED, None, "interrupted".to_owned()));
        }
    };
    Ok(plan)
}

/// What the plan costs at the destination.
fn cost(plan: &Plan) -> String {
    crate::cost::cost(&plan.forecast).unwrap_or_else(|| text::counted(plan.requests, "request"))
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
        fields: plan.fields.iter().cloned().collect(),
        fields_unknown: (plan.unknown > 0).then_some(plan.unknown),
        reasons: plan.reasons.iter().map(|(why, rows)| (why.as_str().to_owned(), *rows)).collect(),
        findings: plan.findings.iter().map(ErrorSummary::from).collect(),
        ..SyncSummary::default()
    };
    summary.set_watermarks(plan.from, None);
    summary
}

/// Says where the plan went.
fn saved(output: &Output, args: &PlanArgs, plan: &Plan) {
    if output.is_markdown() {
        return;
    }
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
    let key: Map<String, Value> = planned
        .sync
        .model
        .primary_key
        .iter()
        .zip(row.key.parts())
        .map(|(column, part)| (column.clone(), shown(&Some(part))))
        .collect();
    let fields = |value: &dyn Fn(&Change) -> Option<Value>| -> Map<String, Value> {
        let known = row.fields.iter();
        known.filter_map(|change| Some((change.field.clone(), value(change)?))).collect()
    };
    let changed = |truth: bool| -> Vec<&str> {
        let known = row.fields.iter().filter(|change| change.changed == Some(truth));
        known.map(|change| change.field.as_str()).collect()
    };
    json!({
        "op": row.op.as_str(),
        "reason": row.reason.as_str(),
        "key": key,
        "fields": fields(&|change| Some(shown(&change.after))),
        "before": fields(&|change| change.before.as_ref().map(shown)),
        "changed": changed(true),
        "unchanged": changed(false),
    })
}

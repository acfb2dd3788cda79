//! `outflow reconcile`: what became of the records at the destination since they were written.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::{Change, Drift, Drifted, ReconcileOptions, Reconciled};
use serde_json::{Map, Value, json};

use crate::config::CheckedSync;
use crate::context::{Context, Outcome};
use crate::exit;
use crate::failure::Result;
use crate::metrics::{Exporter, MetricsArgs};
use crate::output::{Output, clean};
use crate::process;
use crate::project::{self, Project};
use crate::report;
use crate::signals::Signals;
use crate::summary::{DriftSummary, PlanSummary, SyncSummary};
use crate::text;

/// Stands for the plan's file where none is named.
const DEFAULT_FIX: &str = "SYNC.fix.outflow";

/// Arguments of `outflow reconcile`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Every row that was acknowledged is read back and compared:\n  \
                  missing    its record is gone\n  \
                  edited     somebody changed fields of its record\n  \
                  duplicate  there are several records where one was written\n  \
                  orphan     its row left the model, and its record is still there\n\
                  Records that no row was written to are never looked at. With --fix, a plan is written that puts back what \
                  is missing or edited; duplicates and orphans are for people to decide.\n\n\
                  Examples:\n  outflow reconcile product_usage_to_hubspot\n  \
                  outflow reconcile product_usage_to_hubspot --fix\n  \
                  outflow apply product_usage_to_hubspot.fix.outflow")]
pub(crate) struct ReconcileArgs {
    /// The sync.
    #[arg(value_name = "SYNC")]
    pub sync: String,
    /// Write a plan that puts back what the warehouse says, for `outflow apply`; by default to SYNC.fix.outflow. It holds
    /// row values, and only its owner may read it.
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true, default_missing_value = DEFAULT_FIX)]
    pub fix: Option<PathBuf>,
    /// Exit with 2 when a record drifted.
    #[arg(long)]
    pub detailed_exitcode: bool,
    /// Show `***` instead of keys and values.
    #[arg(long)]
    pub no_values: bool,
    /// Where metrics go.
    #[command(flatten)]
    pub metrics: MetricsArgs,
}

/// Reconciles the sync.
///
/// # Errors
/// What keeps it from being begun: the command line, the project, the state.
pub(crate) async fn run(context: &Context, args: &ReconcileArgs) -> Result<Outcome> {
    let project = Project::load(context)?;
    let _spool = project.claim_spool();
    let planned = project.one(&args.sync)?;
    let state = project.open_state().await?;
    let signals = Signals::listen(context.output.clone(), "stopping");
    let name = planned.sync.name.clone();
    let exporter = Exporter::start(&args.metrics, &name, context.metrics.clone())?;
    let fix = args.fix.as_ref().map(|file| match file.as_os_str() == DEFAULT_FIX {
        true => PathBuf::from(format!("{name}.fix.outflow")),
        false => file.clone(),
    });
    let options =
        ReconcileOptions { fix: fix.clone(), origin: project.origin(), stop: signals.stop.clone() };
    let done = reconcile(context, &project, planned, (&state, &options)).await;
    report::heading(&context.output, planned);
    let summary = match done {
        Ok(found) => {
            print(&context.output, &found, args.no_values);
            saved(&context.output, fix.as_deref(), &found);
            summary_of(planned, &found, (args, fix.as_deref()))
        }
        Err(failure) => {
            process::show(&context.output, &failure);
            let mut summary = SyncSummary::failed(&name, &failure);
            if let Some(code) = signals.exit_code() {
                summary.exit_code = code;
            }
            summary
        }
    };
    exporter.finish(&[name]).await;
    context.output.stream("sync", &summary);
    Ok(Outcome::of_syncs(vec![summary]))
}

async fn reconcile(
    context: &Context,
    project: &Project,
    planned: &CheckedSync,
    (state, options): (&Arc<dyn state::State>, &ReconcileOptions),
) -> Result<Reconciled> {
    let ports = project.ports(context, planned, state)?;
    project::refuse_denied(context, planned, &ports).await?;
    let found = engine::reconcile(&planned.sync, &ports, options).await?;
    let drift = Drift::ALL
        .map(|drift| (drift.as_str(), found.drift.get(&drift).copied().unwrap_or_default()));
    context.metrics.reconciled(&planned.sync.name, &drift, context.clock.now_micros());
    Ok(found)
}

fn print(output: &Output, found: &Reconciled, no_values: bool) {
    let rows = |drift| found.drift.get(&drift).copied().unwrap_or_default();
    let edited: Vec<String> = found
        .fields
        .iter()
        .map(|(field, rows)| format!("{field} {}", text::number(*rows)))
        .collect();
    let edited = edited.join(" · ");
    for (label, rows, note) in [
        ("match", found.matching, ""),
        ("kept", found.kept, "(edits of fields with `on_drift: keep_remote_edit`)"),
        ("missing", rows(Drift::Missing), "(the record is gone)"),
        ("edited", rows(Drift::Edited), edited.as_str()),
        ("duplicate", rows(Drift::Duplicate), "(several records where one was written)"),
        ("orphan", rows(Drift::Orphan), "(the row left the model, the record is still there)"),
        ("behind", found.behind, "(the next run sends it, or it is a reject)"),
        ("invalid", found.invalid, "(the mapping refuses it)"),
    ] {
        let note = if rows == 0 { "" } else { note };
        let line = format!("  {label:<11} {:>9}   {note}", text::number(rows));
        output.line(line.trim_end());
    }
    for row in &found.samples {
        output.line(format_args!("  sample      {}", sample(row, no_values)));
    }
    output.line(format_args!("  cost        {}", text::counted(found.requests, "read call")));
}

/// One row: for an edited one, what its record says and what it should.
fn sample(row: &Drifted, no_values: bool) -> String {
    let shown = |value: &str| match no_values {
        true => "***".to_owned(),
        false => text::shortened(&clean(value)),
    };
    let value =
        |value: &Option<String>| value.as_deref().map_or_else(|| "(empty)".to_owned(), shown);
    let key: Vec<String> = row.key.parts().iter().map(|part| shown(part)).collect();
    let from_to = |change: &Change| {
        let before = change.before.as_ref().map_or_else(|| "?".to_owned(), value);
        format!("{} {before} -> {}", change.field, value(&change.after))
    };
    let fields: Vec<String> = row.fields.iter().map(from_to).collect();
    let ids = match row.drift {
        Drift::Duplicate | Drift::Orphan => row.record_ids.join(", "),
        Drift::Missing | Drift::Edited => String::new(),
    };
    let about = if fields.is_empty() { clean(&ids) } else { fields.join(" · ") };
    let line = format!("{} {}   {about}", row.drift.as_str(), key.join(", "));
    line.trim_end().to_owned()
}

fn saved(output: &Output, fix: Option<&Path>, found: &Reconciled) {
    if let (Some(file), Some(sha256)) = (fix, &found.sha256) {
        let (file, rows) =
            (clean(&file.display().to_string()), text::counted(found.planned, "row"));
        output.line(format_args!(
            "A plan to put {rows} back is in {file} (sha256 {sha256}). Apply it with `outflow apply {file}`."
        ));
    }
}

fn summary_of(
    planned: &CheckedSync,
    found: &Reconciled,
    (args, fix): (&ReconcileArgs, Option<&Path>),
) -> SyncSummary {
    let drifted = found.drifted() > 0;
    let exit_code = if drifted && args.detailed_exitcode { exit::CHANGES } else { exit::DONE };
    SyncSummary {
        sync: planned.sync.name.clone(),
        status: if drifted { "drifted" } else { "matching" }.to_owned(),
        exit_code,
        drift: Some(DriftSummary {
            read: found.read,
            matching: found.matching,
            kept: found.kept,
            missing: found.drift.get(&Drift::Missing).copied().unwrap_or_default(),
            edited: found.drift.get(&Drift::Edited).copied().unwrap_or_default(),
            duplicate: found.drift.get(&Drift::Duplicate).copied().unwrap_or_default(),
            orphan: found.drift.get(&Drift::Orphan).copied().unwrap_or_default(),
            behind: found.behind,
            invalid: found.invalid,
            requests: found.requests,
        }),
        fields: found.fields.iter().cloned().collect(),
        samples: found
            .samples
            .iter()
            .map(|row| sample_json(planned, row, args.no_values))
            .collect(),
        plan: fix
            .zip(found.sha256.clone())
            .map(|(file, sha256)| PlanSummary { file: file.display().to_string(), sha256 }),
        ..SyncSummary::default()
    }
}

fn sample_json(planned: &CheckedSync, row: &Drifted, no_values: bool) -> Value {
    let shown = |value: &Option<String>| match value {
        Some(_) if no_values => Value::from("***"),
        Some(value) => Value::from(value.as_str()),
        None => Value::Null,
    };
    let columns = planned.sync.model.primary_key.iter().zip(row.key.parts());
    let key: Map<String, Value> =
        columns.map(|(column, part)| (column.clone(), shown(&Some(part)))).collect();
    let before: Map<String, Value> = row
        .fields
        .iter()
        .filter_map(|change| Some((change.field.clone(), shown(change.before.as_ref()?))))
        .collect();
    let fields: Map<String, Value> =
        row.fields.iter().map(|change| (change.field.clone(), shown(&change.after))).collect();
    json!({
        "drift": row.drift.as_str(),
        "key": key,
        "record_ids": row.record_ids,
        "before": before,
        "fields": fields,
    })
}

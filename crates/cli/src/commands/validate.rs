//! `outflow validate`: every problem of the project files at once, and with `--online` those only the warehouse and
//! the destination can name.

use engine::Ports;
use flow::{Checked, ObjectSchema};

use crate::args::Selection;
use crate::config::CheckedSync;
use crate::context::{Context, Outcome};
use crate::diagnostic::Report;
use crate::exit;
use crate::failure::Result;
use crate::output::Tone;
use crate::project::{self, Project};
use crate::report;
use crate::summary::{ErrorSummary, SyncSummary};
use crate::text;

/// Arguments of `outflow validate`.
#[derive(Debug, clap::Args)]
pub(crate) struct ValidateArgs {
    /// Which syncs are checked online; all of them where none is selected. The files are always all checked.
    #[command(flatten)]
    pub selection: Selection,
    /// Also ask the warehouse for the model's columns and the destination for the object's fields.
    #[arg(long)]
    pub online: bool,
}

/// Checks the project.
///
/// # Errors
/// When the project files are wrong; everything wrong was shown then.
pub(crate) async fn run(context: &Context, args: &ValidateArgs) -> Result<Outcome> {
    let project = Project::load(context)?;
    let chosen = project.select_offline(&args.selection)?;
    let output = &context.output;
    let (warnings, unresolved) = project.remarks();
    if !warnings.is_empty() {
        project::shown(context, warnings);
    }
    if !unresolved.is_empty() {
        return Err(project::shown(context, &unresolved));
    }
    if !args.online {
        let syncs = text::counted(project.syncs().len() as u64, "sync");
        let connections = text::counted(project.connection_names().len() as u64, "connection");
        output.line(format_args!(
            "{}: {syncs}, {connections}; the files are valid",
            output.paint(Tone::Good, "ok")
        ));
        return Ok(Outcome::done());
    }
    let state = project.open_state().await?;
    let mut summaries = Vec::new();
    for planned in chosen {
        report::heading(output, planned);
        let summary = match project.ports(context, planned, &state) {
            Ok(ports) => conclude(context, planned, check(planned, &ports).await),
            Err(failure) => SyncSummary::failed(&planned.sync.name, &failure),
        };
        output.stream("sync", &summary);
        summaries.push(summary);
    }
    Ok(Outcome::of_syncs(summaries))
}

/// Everything only the warehouse and the destination can name, at its place in the files.
async fn check(planned: &CheckedSync, ports: &Ports) -> Result<(Checked, ObjectSchema), Report> {
    match engine::check(&planned.sync, ports).await {
        Ok((checked, schema)) => {
            let denied = Report::new(planned.denied(&checked));
            if denied.is_empty() { Ok((checked, schema)) } else { Err(denied) }
        }
        Err(problems) => {
            Err(Report::new(problems.iter().map(|problem| planned.problem(problem)).collect()))
        }
    }
}

fn conclude(
    context: &Context,
    planned: &CheckedSync,
    result: Result<(Checked, ObjectSchema), Report>,
) -> SyncSummary {
    let output = &context.output;
    match result {
        Ok((checked, schema)) => {
            output.line(format_args!(
                "  {}          {}, {}",
                output.paint(Tone::Good, "ok"),
                text::counted(checked.columns.len() as u64, "column"),
                text::counted(schema.fields.len() as u64, "field"),
            ));
            for finding in &checked.findings {
                report::print_finding(output, finding);
            }
            SyncSummary {
                sync: planned.sync.name.clone(),
                status: "ok".to_owned(),
                findings: checked.findings.iter().map(ErrorSummary::from).collect(),
                ..SyncSummary::default()
            }
        }
        Err(problems) => {
            project::shown(context, &problems);
            let codes = problems.diagnostics().iter().map(|problem| exit::of(problem.code.kind));
            let exit_code = codes.fold(exit::DONE, exit::worse);
            let first = problems.diagnostics().first();
            SyncSummary {
                sync: planned.sync.name.clone(),
                status: "failed".to_owned(),
                // A code that belongs to rows is still a problem of the files here.
                exit_code: if exit_code == exit::FAILED { exit::CONFIG } else { exit_code },
                error: first.map(|problem| ErrorSummary {
                    code: Some(problem.code.id.to_owned()),
                    message: problem.message.clone(),
                    help: problem.help.clone(),
                }),
                ..SyncSummary::default()
            }
        }
    }
}

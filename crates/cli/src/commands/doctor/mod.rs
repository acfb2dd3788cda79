//! `outflow doctor`: is everything in place, and if not, what to do.

mod destination;
mod warehouse;

use std::cell::RefCell;

use flow::Finding;
use serde_json::json;

use crate::config::CheckedSync;
use crate::context::{Context, Outcome};
use crate::exit;
use crate::failure::{Failure, Result};
use crate::output::{Tone, clean};
use crate::project::{Opened, Project};
use crate::text;

/// Arguments of `outflow doctor`.
#[derive(Debug, clap::Args)]
pub(crate) struct DoctorArgs {
    /// Only this connection.
    pub connection: Option<String>,
}

/// Checks everything and goes on after what is wrong.
///
/// # Errors
/// When the project cannot be loaded or has no such connection.
pub(crate) async fn run(context: &Context, args: &DoctorArgs) -> Result<Outcome> {
    let project = Project::load(context)?;
    if let Some(only) = &args.connection {
        // A typing error must not look like health.
        project.known_connection(only)?;
    }
    let report = Report { context, exit_code: RefCell::new(exit::DONE) };
    let (syncs, connections) = (project.syncs(), project.connection_names());
    report.ok(
        "project",
        &format!(
            "{}: {}, {}",
            project.name(),
            text::counted(syncs.len() as u64, "sync"),
            text::counted(connections.len() as u64, "connection")
        ),
    );
    match project.open_state().await {
        Ok(state) => {
            let size = state.size_bytes().await.unwrap_or(0);
            let place = state.place();
            report.ok("state", &format!("{place}, {}", text::bytes(size)));
        }
        Err(failure) => report.fail("state", &failure),
    }
    for name in connections {
        if args.connection.as_ref().is_some_and(|only| *only != name) {
            continue;
        }
        let used: Vec<&CheckedSync> = syncs
            .iter()
            .filter(|planned| planned.sync.source == name || planned.sync.destination == name)
            .collect();
        match project.open(context, &name) {
            Ok(Opened::Source(source)) => {
                let kind = project.kind_of(&name);
                warehouse::check(&report, (&name, &kind), &source, &used).await;
            }
            Ok(Opened::Destination(destination)) => {
                destination::check(&report, &name, &destination, &used).await;
            }
            Err(failure) => report.fail(&name, &failure),
        }
    }
    Ok(Outcome::exit(report.exit_code.take()))
}

/// Prints the lines and remembers the worst.
struct Report<'a> {
    context: &'a Context,
    exit_code: RefCell<u8>,
}

impl Report<'_> {
    fn ok(&self, subject: &str, message: &str) {
        self.line((Tone::Good, "ok"), subject, (None, message, ""));
    }

    fn warn(&self, subject: &str, message: &str, help: &str) {
        self.line((Tone::Warn, "warn"), subject, (None, message, help));
    }

    fn advise(&self, subject: &str, finding: &Finding) {
        let line = (Some(finding.code.id), finding.message.as_str(), finding.remedy.as_str());
        self.line((Tone::Warn, "warn"), subject, line);
    }

    fn fail(&self, subject: &str, failure: &Failure) {
        let worst = exit::worse(*self.exit_code.borrow(), failure.exit_code());
        self.exit_code.replace(worst);
        let message = failure.message();
        self.line((Tone::Bad, "fail"), subject, (failure.code(), &message, failure.help()));
    }

    fn line(
        &self,
        (tone, level): (Tone, &str),
        subject: &str,
        (code, message, help): (Option<&str>, &str, &str),
    ) {
        let output = &self.context.output;
        let prefix = code.map(|code| format!("{code}: ")).unwrap_or_default();
        output.line(format_args!(
            "{} {subject:<14} {prefix}{}",
            output.paint(tone, format_args!("{level:<5}")),
            clean(message)
        ));
        if !help.is_empty() {
            output.line(format_args!("{:<20} -> {help}", ""));
        }
        output.item(
            "check",
            &json!({
                "level": level,
                "subject": subject,
                "code": code,
                "message": message,
                "help": help,
            }),
        );
    }
}

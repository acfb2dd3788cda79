//! The commands, one file each.

pub(crate) mod apply;
pub(crate) mod backfill;
pub(crate) mod completions;
pub(crate) mod demo;
pub(crate) mod discover;
pub(crate) mod doctor;
pub(crate) mod explain;
pub(crate) mod help;
pub(crate) mod init;
pub(crate) mod plan;
pub(crate) mod preview;
pub(crate) mod reconcile;
pub(crate) mod rejects;
pub(crate) mod run;
pub(crate) mod runs;
pub(crate) mod schema;
pub(crate) mod simulate;
pub(crate) mod state;
pub(crate) mod status;
pub(crate) mod validate;
mod worker;

use crate::args::Command;
use crate::context::{Context, Outcome};
use crate::failure::{Failure, Result};

/// Runs a command.
///
/// # Errors
/// Why it stopped early.
pub(crate) async fn run(context: &Context, command: &Command) -> Result<Outcome> {
    if context.output.is_markdown() && !matches!(command, Command::Plan(_)) {
        let message = format!("`{}` cannot be written as Markdown", command.name());
        return Err(Failure::usage(message, "`--output markdown` is for `outflow plan`"));
    }
    match command {
        Command::Init(args) => init::run(context, args),
        Command::Validate(args) => validate::run(context, args).await,
        Command::Discover(args) => discover::run(context, args).await,
        Command::Preview(args) => preview::run(context, args).await,
        Command::Plan(args) => plan::run(context, args).await,
        Command::Apply(args) => apply::run(context, args).await,
        Command::Reconcile(args) => reconcile::run(context, args).await,
        Command::Run(args) => run::run(context, args).await,
        Command::Backfill(args) => backfill::run(context, args).await,
        Command::Status(args) => status::run(context, args).await,
        Command::Runs(command) => runs::run(context, command).await,
        Command::Rejects(command) => rejects::run(context, command).await,
        Command::State(command) => state::run(context, command).await,
        Command::Demo(args) => Box::pin(demo::run(context, args)).await,
        Command::Simulate(args) => simulate::run(context, args).await,
        Command::Explain(args) => explain::run(context, args),
        Command::Doctor(args) => doctor::run(context, args).await,
        Command::Schema(args) => schema::run(context, args),
        Command::Completions(args) => Ok(completions::run(context, args)),
        Command::Help(args) => help::run(context, args),
    }
}

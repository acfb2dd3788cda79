//! The command line: what every command understands, and the commands.

use std::path::PathBuf;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{ArgAction, Args, Parser, Subcommand};

use crate::commands;
use crate::output::{Color, Format};

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

/// Sends rows from a data warehouse to the tools that teams use.
///
/// The warehouse is the source of truth: rows go one way, only what changed is sent, and every row is accounted
/// for. A project is a folder with `outflow.yml`, `syncs/` and `models/`; `outflow init` writes one.
#[derive(Debug, Parser)]
#[command(
    name = "outflow",
    version = version(),
    styles = STYLES,
    disable_help_subcommand = true,
    subcommand_required = true,
    arg_required_else_help = true,
    max_term_width = 100,
    after_help = "`outflow help COMMAND` explains a command, `outflow help exit-codes` what it exits with."
)]
pub(crate) struct Cli {
    /// What every command understands.
    #[command(flatten)]
    pub global: Global,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// What every command understands.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// Folder with `outflow.yml`; by default the working directory.
    #[arg(
        short = 'C',
        long,
        global = true,
        value_name = "DIR",
        default_value = ".",
        hide_default_value = true
    )]
    pub project_dir: PathBuf,
    /// Environment of the project file whose connections are used; by default OUTFLOW_ENV.
    #[arg(long, global = true, value_name = "NAME", env = "OUTFLOW_ENV", hide_env = true)]
    pub env: Option<String>,
    /// How data is written to stdout: for people; as one JSON object; or as one a line, the last one being the summary.
    /// A plan also as `markdown`, for a pull request.
    #[arg(
        long,
        global = true,
        value_name = "text|json|ndjson",
        default_value = "text",
        hide_default_value = true,
        hide_possible_values = true
    )]
    pub output: Format,
    /// Only data, warnings and errors: no progress, no notes.
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Log more: -v is info, -vv debug, -vvv trace. `OUTFLOW_LOG` names a filter of its own.
    #[arg(short, long, global = true, action = ArgAction::Count, conflicts_with = "quiet")]
    pub verbose: u8,
    /// How log lines are written to stderr.
    #[arg(
        long,
        global = true,
        value_name = "text|json",
        default_value = "text",
        hide_default_value = true,
        hide_possible_values = true
    )]
    pub log_format: LogFormat,
    /// When to colour text: auto is on a terminal, unless NO_COLOR is set.
    #[arg(
        long,
        global = true,
        value_name = "auto|always|never",
        default_value = "auto",
        hide_default_value = true,
        hide_possible_values = true
    )]
    pub color: Color,
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Which syncs a command is about.
#[derive(Debug, Clone, Args)]
pub(crate) struct Selection {
    /// A sync name, a glob, `tag:NAME`, `destination:NAME`, `connection:NAME` or `result:failed`. Repeatable:
    /// a sync is selected when any of them names it.
    #[arg(short, long, value_name = "SELECTOR")]
    pub select: Vec<String>,
    /// Leave these out again; understands the same selectors.
    #[arg(long, value_name = "SELECTOR")]
    pub exclude: Vec<String>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write a new project: outflow.yml, one sync, one model.
    Init(commands::init::InitArgs),
    /// Check the project files; with --online also against the warehouse and the destinations.
    Validate(commands::validate::ValidateArgs),
    /// List the tables of a warehouse, or the fields of a destination's object.
    Discover(commands::discover::DiscoverArgs),
    /// Show mapped rows of a sync without sending anything.
    Preview(commands::preview::PreviewArgs),
    /// Show exactly what a run would send, without sending it.
    Plan(commands::plan::PlanArgs),
    /// Send exactly what a plan says, or nothing.
    Apply(commands::apply::ApplyArgs),
    /// Compare the records at the destination with what was sent; make a plan that puts them back.
    Reconcile(commands::reconcile::ReconcileArgs),
    /// Send what changed.
    Run(commands::run::RunArgs),
    /// Send an old range again, without moving the watermark; goes on where it stopped.
    Backfill(commands::backfill::BackfillArgs),
    /// Show how every sync is doing.
    Status(commands::status::StatusArgs),
    /// Look at past runs.
    #[command(subcommand)]
    Runs(commands::runs::RunsCommand),
    /// Look at rows that did not land, and decide about them.
    #[command(subcommand)]
    Rejects(commands::rejects::RejectsCommand),
    /// Look at what is remembered between runs, or forget it.
    #[command(subcommand)]
    State(commands::state::StateCommand),
    /// Show a whole project at work, from sample files to a simulated HubSpot, with no server at all.
    Demo(commands::demo::DemoArgs),
    /// Start doubles of destinations on loopback, to try things out.
    Simulate(commands::simulate::SimulateArgs),
    /// Explain an error code or a sync.
    Explain(commands::explain::ExplainArgs),
    /// Check the machine, the project, the state and every connection.
    Doctor(commands::doctor::DoctorArgs),
    /// Print a JSON Schema: of the project file, of a sync file, or of the summary object.
    Schema(commands::schema::SchemaArgs),
    /// Print a completion script for a shell.
    Completions(commands::completions::CompletionsArgs),
    /// Explain a command, or the exit codes.
    Help(commands::help::HelpArgs),
}

impl Command {
    /// The word in the summary.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Init(_) => "init",
            Self::Validate(_) => "validate",
            Self::Discover(_) => "discover",
            Self::Preview(_) => "preview",
            Self::Plan(_) => "plan",
            Self::Apply(_) => "apply",
            Self::Reconcile(_) => "reconcile",
            Self::Run(_) => "run",
            Self::Backfill(_) => "backfill",
            Self::Status(_) => "status",
            Self::Runs(command) => command.name(),
            Self::Rejects(command) => command.name(),
            Self::State(command) => command.name(),
            Self::Demo(_) => "demo",
            Self::Simulate(_) => "simulate",
            Self::Explain(_) => "explain",
            Self::Doctor(_) => "doctor",
            Self::Schema(_) => "schema",
            Self::Completions(_) => "completions",
            Self::Help(_) => "help",
        }
    }
}

/// The version with the commit, where the build says which: `0.1.0 (1a2b3c4)`.
fn version() -> String {
    match option_env!("OUTFLOW_REVISION") {
        Some(revision) => format!("{} ({revision})", env!("CARGO_PKG_VERSION")),
        None => env!("CARGO_PKG_VERSION").to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}

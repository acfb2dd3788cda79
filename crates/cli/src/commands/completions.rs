//! `outflow completions`: a script that lets a shell complete commands and options.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::args::Cli;
use crate::context::{Context, Outcome};

/// Arguments of `outflow completions`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: outflow completions bash > /etc/bash_completion.d/outflow")]
pub(crate) struct CompletionsArgs {
    /// The shell.
    pub shell: Shell,
}

/// Prints the script.
pub(crate) fn run(context: &Context, args: &CompletionsArgs) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "outflow", &mut script);
    context.output.script(&String::from_utf8_lossy(&script));
    Outcome::done()
}

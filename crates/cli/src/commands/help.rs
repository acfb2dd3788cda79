//! `outflow help`: a command's own help, or the table of exit codes.

use clap::CommandFactory;

use crate::args::Cli;
use crate::context::{Context, Outcome};
use crate::exit;
use crate::failure::{Failure, Result};
use crate::output::Tone;
use crate::text;

/// Arguments of `outflow help`.
#[derive(Debug, clap::Args)]
pub(crate) struct HelpArgs {
    /// A command, for example `run` or `rejects retry`, or `exit-codes`.
    pub topic: Vec<String>,
}

/// Prints the help of the topic.
///
/// # Errors
/// A usage error for a topic there is none of.
pub(crate) fn run(context: &Context, args: &HelpArgs) -> Result<Outcome> {
    if args.topic == ["exit-codes"] {
        exit_codes(context);
        return Ok(Outcome::done());
    }
    let mut command = Cli::command();
    command.build();
    for name in &args.topic {
        command = command.find_subcommand(name).cloned().ok_or_else(|| {
            Failure::usage(
                format!("there is no help on `{}`", args.topic.join(" ")),
                "`outflow help` lists the commands; `outflow help exit-codes` the exit codes",
            )
        })?;
    }
    // As `--help` does: only the first page has more to say in its long form.
    let long = args.topic.is_empty();
    let help = if long { command.render_long_help() } else { command.render_help() };
    if context.output.colors_text() {
        context.output.script(&help.ansi().to_string());
    } else {
        context.output.script(&help.to_string());
    }
    Ok(Outcome::done())
}

fn exit_codes(context: &Context) {
    let output = &context.output;
    let mut rows = vec![vec!["code".to_owned(), "meaning".to_owned(), "what to do".to_owned()]];
    for (code, meaning, action) in exit::TABLE {
        rows.push(vec![code.to_string(), (*meaning).to_owned(), (*action).to_owned()]);
        output.item(
            "exit_code",
            &serde_json::json!({ "code": code, "meaning": meaning, "action": action }),
        );
    }
    for (index, line) in text::table(&rows).into_iter().enumerate() {
        output.line(if index == 0 { output.paint(Tone::Head, line) } else { line });
    }
    output.line("");
    output.line("`run --skip-code N` exits with N instead of 0 when nothing changed.");
    output.line("With several syncs the worst one decides. A second signal ends a run without waiting for its requests.");
}

//! `outflow explain`: an error code offline, or a sync in words.

use flow::{Changes, Relation};
use serde_json::json;

use crate::config::CheckedSync;
use crate::context::{Context, Outcome};
use crate::explain;
use crate::failure::{Failure, Result};
use crate::project::Project;
use crate::report;
use crate::text;

/// Arguments of `outflow explain`.
#[derive(Debug, clap::Args)]
pub(crate) struct ExplainArgs {
    /// A code, for example `E1004`, or a sync of the project.
    pub topic: String,
}

/// Explains the topic.
///
/// # Errors
/// A usage error for a code or a sync there is none of.
pub(crate) fn run(context: &Context, args: &ExplainArgs) -> Result<Outcome> {
    let output = &context.output;
    if let Some(code) = explain::code(&args.topic) {
        output.line(explain::text(code));
        output.item(
            "code",
            &json!({
                "id": code.id,
                "title": code.title,
                "cause": code.cause,
                "remedy": code.remedy,
                "exit_code": crate::exit::of(code.kind),
            }),
        );
        return Ok(Outcome::done());
    }
    if looks_like_code(&args.topic) {
        let near = explain::nearest_code(&args.topic);
        return Err(Failure::usage(
            format!("there is no code `{}`", args.topic),
            near.map_or("codes are like E1004, G001, R201".to_owned(), |code| {
                format!("did you mean {}: {}?", code.id, code.title)
            }),
        ));
    }
    let project = Project::load(context)?;
    sync(context, project.one(&args.topic)?);
    Ok(Outcome::done())
}

fn looks_like_code(topic: &str) -> bool {
    topic.starts_with(['E', 'G', 'R', 'e', 'g', 'r'])
        && topic.len() > 2
        && topic[1..].bytes().all(|digit| digit.is_ascii_digit())
}

fn sync(context: &Context, planned: &CheckedSync) {
    let output = &context.output;
    let sync = &planned.sync;
    report::heading(output, planned);
    let rows = match &sync.model.relation {
        Relation::Table(table) => format!("every row of {table}"),
        Relation::Sql(_) => format!("every row of the query `{}`", planned.model_name),
    };
    let key = sync.model.primary_key.join(", ");
    let changes = match &sync.model.changes {
        Changes::Snapshot => {
            "every run reads all rows and compares them with the ledger".to_owned()
        }
        Changes::Log(log) => format!(
            "a run reads the rows whose keys the log of slot {} names, in their present form",
            log.slot
        ),
        Changes::Watermark { column, lag_micros } => format!(
            "a run reads rows whose {column} is not older than the last one seen, minus {}",
            text::duration(*lag_micros)
        ),
    };
    let found: Vec<String> =
        sync.match_on.iter().map(|(field, column)| format!("{field} = {column}")).collect();
    let fields: Vec<&str> =
        planned.places.mappings.iter().map(|(field, _)| field.as_str()).collect();
    let (line, _) = planned.places.name.position();
    let file = format!("{}:{line}", planned.places.name.file.name());
    for (label, value) in [
        ("rows", rows),
        ("identity", format!("one row per {key}")),
        ("changes", changes),
        ("record", format!("found by {}", found.join(" and "))),
        ("mode", sync.mode.as_str().to_owned()),
        ("fields", fields.join(", ")),
        ("file", file.clone()),
    ] {
        output.line(format_args!("  {label:<10} {value}"));
    }
    output.item(
        "sync",
        &json!({
            "sync": sync.name,
            "source": sync.source,
            "destination": sync.destination,
            "object": sync.object,
            "mode": sync.mode,
            "primary_key": sync.model.primary_key,
            "match_on": sync.match_on,
            "fields": fields,
            "file": file,
            "description": planned.description,
            "owner": planned.owner,
            "tags": planned.tags,
        }),
    );
}

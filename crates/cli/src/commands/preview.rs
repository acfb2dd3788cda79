//! `outflow preview`: the first rows of a sync as they would be sent.

use flow::Reject;
use serde_json::{Map, Value, json};

use crate::context::{Context, Outcome};
use crate::failure::Result;
use crate::output::{Tone, clean};
use crate::project::{self, Project};
use crate::text;

/// Longest cell shown, in characters.
const CELL_CHARS_MAX: usize = 32;

/// Arguments of `outflow preview`.
#[derive(Debug, clap::Args)]
pub(crate) struct PreviewArgs {
    /// The sync.
    #[arg(short, long = "select", value_name = "SYNC")]
    pub sync: String,
    /// How many rows.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub rows: u64,
}

/// Shows the rows.
///
/// # Errors
/// As a run's, before anything is sent.
pub(crate) async fn run(context: &Context, args: &PreviewArgs) -> Result<Outcome> {
    let project = Project::load(context)?;
    let planned = project.one(&args.sync)?;
    let state = project.open_state().await?;
    let ports = project.ports(context, planned, &state)?;
    project::refuse_denied(context, planned, &ports).await?;
    let preview = engine::preview(&planned.sync, &ports, args.rows).await?;
    let output = &context.output;
    for row in &preview.rows {
        let fields: Map<String, Value> = preview
            .fields
            .iter()
            .cloned()
            .zip(row.iter().map(|cell| cell.clone().map_or(Value::Null, Value::from)))
            .collect();
        output.item("row", &json!({ "fields": fields }));
    }
    let mut rows = vec![preview.fields.clone()];
    rows.extend(preview.rows.iter().map(|row| {
        row.iter().map(|cell| cell.as_deref().map_or("NULL".to_owned(), shorten)).collect()
    }));
    if !preview.rows.is_empty() {
        for (index, line) in text::table(&rows).into_iter().enumerate() {
            output.line(if index == 0 { output.paint(Tone::Head, line) } else { line });
        }
    }
    for reject in &preview.rejects {
        show_reject(context, reject);
    }
    if preview.rows.is_empty() && preview.rejects.is_empty() {
        output.note("the model has no rows");
    }
    Ok(Outcome::done())
}

fn show_reject(context: &Context, reject: &Reject) {
    let key = reject.key.as_ref().map(ToString::to_string);
    context.output.line(format_args!(
        "{} {}  {}  {}: {}",
        context.output.paint(Tone::Warn, "! invalid"),
        clean(key.as_deref().unwrap_or("NULL")),
        reject.code.id,
        clean(reject.field.as_deref().unwrap_or("-")),
        clean(&reject.reason),
    ));
    context.output.item(
        "reject",
        &json!({
            "key": key,
            "code": reject.code.id,
            "field": reject.field,
            "reason": reject.reason,
        }),
    );
}

fn shorten(cell: &str) -> String {
    let cell = clean(cell);
    match cell.char_indices().nth(CELL_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &cell[..end]),
        None => cell,
    }
}

//! `outflow discover`: what a warehouse offers, and what a destination takes.

use std::sync::Arc;

use flow::{Destination, Field, FieldKind, Relation, Source};
use serde_json::json;

use crate::context::{Context, Outcome};
use crate::failure::{Failure, Result};
use crate::output::{Output, Tone, clean};
use crate::project::{Opened, Project};
use crate::text;

/// Options of a field shown in text.
const OPTIONS_SHOWN: usize = 6;

/// Arguments of `outflow discover`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  outflow discover warehouse\n  outflow discover warehouse public.users\n  \
                        outflow discover hubspot contacts"
)]
pub(crate) struct DiscoverArgs {
    /// Connection.
    pub connection: String,
    /// Table or view of a warehouse, or object of a destination.
    pub object: Option<String>,
}

/// Lists what is asked for.
///
/// # Errors
/// When the connection does not exist, cannot be opened or refuses.
pub(crate) async fn run(context: &Context, args: &DiscoverArgs) -> Result<Outcome> {
    let project = Project::load(context)?;
    match project.open(context, &args.connection)? {
        Opened::Source(source) => tables(&context.output, &source, args.object.as_deref()).await?,
        Opened::Destination(destination) => {
            fields(&context.output, &destination, args).await?;
        }
    }
    Ok(Outcome::done())
}

async fn tables(output: &Output, source: &Arc<dyn Source>, table: Option<&str>) -> Result<()> {
    let relation = table.map(|table| Relation::Table(table.to_owned()));
    let found = source.discover(relation.as_ref()).await?;
    let mut rows = Vec::new();
    for (name, columns) in &found {
        let listed: Vec<_> = columns
            .iter()
            .map(|column| {
                json!({
                    "name": column.name,
                    "type": column.source_type,
                    "arrow_type": column.data_type.to_string(),
                })
            })
            .collect();
        // Without a table only the names are asked for.
        let listed = table.is_some().then_some(listed);
        output.item("table", &json!({ "name": name, "columns": listed }));
        if table.is_some() {
            for column in columns {
                rows.push(vec![clean(&column.name), clean(&column.source_type)]);
            }
        } else {
            rows.push(vec![clean(name)]);
        }
    }
    let heads: &[&str] = if table.is_some() { &["column", "type"] } else { &["table"] };
    print(output, heads, rows);
    if found.is_empty() {
        output.note(
            "nothing this role may read; grant it USAGE on a schema and SELECT on its tables",
        );
    }
    Ok(())
}

async fn fields(
    output: &Output,
    destination: &Arc<dyn Destination>,
    args: &DiscoverArgs,
) -> Result<()> {
    let Some(object) = &args.object else {
        let objects = destination.objects();
        for object in &objects {
            output.line(object);
            output.item("object", &json!({ "name": object }));
        }
        output.note(format_args!(
            "\nfields of one: `outflow discover {} {}`",
            args.connection,
            objects.first().map_or("OBJECT", String::as_str)
        ));
        return Ok(());
    };
    let known = destination.objects();
    if !known.is_empty() && !known.contains(object) {
        return Err(Failure::usage(
            format!("`{}` has no object `{object}`", args.connection),
            format!("objects: {}", known.join(", ")),
        ));
    }
    let schema = destination.describe(object).await?;
    let rows = schema.fields.iter().map(|field| {
        output.item("field", &field_json(field));
        vec![
            clean(&field.name),
            kind_word(&field.kind).to_owned(),
            traits(field).join(", "),
            clean(&options_text(&field.kind)),
            clean(&field.label),
        ]
    });
    print(output, &["field", "type", "", "options", "label"], rows.collect());
    Ok(())
}

fn print(output: &Output, heads: &[&str], rows: Vec<Vec<String>>) {
    if rows.is_empty() {
        return;
    }
    let mut all = vec![heads.iter().map(|head| (*head).to_owned()).collect()];
    all.extend(rows);
    for (index, line) in text::table(&all).into_iter().enumerate() {
        output.line(if index == 0 { output.paint(Tone::Head, line) } else { line });
    }
}

fn kind_word(kind: &FieldKind) -> &'static str {
    match kind {
        FieldKind::Text { .. } => "text",
        FieldKind::Number => "number",
        FieldKind::Boolean => "boolean",
        FieldKind::Date => "date",
        FieldKind::DateTime => "date_time",
        FieldKind::Enum { .. } => "enum",
        FieldKind::MultiEnum { .. } => "multi_enum",
        FieldKind::Email => "email",
        FieldKind::Phone => "phone",
        FieldKind::Any => "any",
    }
}

fn options_of(kind: &FieldKind) -> &[String] {
    match kind {
        FieldKind::Enum { options } | FieldKind::MultiEnum { options } => options,
        _ => &[],
    }
}

fn options_text(kind: &FieldKind) -> String {
    let options = options_of(kind);
    let shown = options.iter().take(OPTIONS_SHOWN).cloned().collect::<Vec<_>>().join(" | ");
    match options.len().checked_sub(OPTIONS_SHOWN) {
        Some(more) if more > 0 => format!("{shown} | {more} more"),
        _ => shown,
    }
}

fn traits(field: &Field) -> Vec<&'static str> {
    let all = [
        (field.unique, "unique"),
        (field.read_only, "read-only"),
        (field.required, "required"),
        (field.folds_case, "ignores case"),
    ];
    all.into_iter().filter(|(holds, _)| *holds).map(|(_, word)| word).collect()
}

fn field_json(field: &Field) -> serde_json::Value {
    let chars_max = match field.kind {
        FieldKind::Text { chars_max } => chars_max,
        _ => None,
    };
    json!({
        "name": field.name,
        "label": field.label,
        "kind": kind_word(&field.kind),
        "chars_max": chars_max,
        "unique": field.unique,
        "read_only": field.read_only,
        "required": field.required,
        "folds_case": field.folds_case,
        "options": options_of(&field.kind),
    })
}

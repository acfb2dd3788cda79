//! `outflow schema`: JSON Schemas for editors and for programs that read the summary.

use crate::config;
use crate::context::{Context, Outcome};
use crate::failure::Result;
use crate::summary;

/// Arguments of `outflow schema`.
#[derive(Debug, clap::Args)]
pub(crate) struct SchemaArgs {
    /// Of outflow.yml, of a file in syncs/, or of the summary object of the JSON formats.
    #[arg(value_name = "project|sync|summary", hide_possible_values = true)]
    pub of: SchemaOf,
}

/// What a schema is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum SchemaOf {
    /// outflow.yml.
    Project,
    /// A file in syncs/.
    Sync,
    /// The summary object of the JSON formats.
    Summary,
}

/// Prints the schema.
///
/// # Errors
/// None today.
pub(crate) fn run(context: &Context, args: &SchemaArgs) -> Result<Outcome> {
    let schema = match args.of {
        SchemaOf::Project => config::project_schema().clone(),
        SchemaOf::Sync => config::sync_schema().clone(),
        SchemaOf::Summary => summary::schema().to_value(),
    };
    let text = serde_json::to_string_pretty(&schema).unwrap_or_default();
    if context.output.is_text() {
        context.output.script(&format!("{text}\n"));
    } else {
        context.output.item("schema", &serde_json::json!({ "schema": schema }));
    }
    Ok(Outcome::done())
}

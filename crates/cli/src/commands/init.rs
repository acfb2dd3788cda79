//! `outflow init`: a new project that passes `outflow validate` and explains itself.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;

use crate::context::{Context, Outcome};
use crate::failure::{Failure, Result};
use crate::output::Tone;

/// Arguments of `outflow init`.
#[derive(Debug, clap::Args)]
pub(crate) struct InitArgs {
    /// What the project starts from: one table, or a query with value maps and templates.
    #[arg(
        long,
        value_name = "minimal|product-usage",
        default_value = "minimal",
        hide_default_value = true,
        hide_possible_values = true
    )]
    pub template: Template,
}

/// A project to start from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Template {
    /// One table to HubSpot contacts.
    Minimal,
    /// Usage per user, from a query, to HubSpot contacts of companies and to Mixpanel: value maps, templates, lookups.
    ProductUsage,
}

impl Template {
    /// Path and content of every file.
    fn files(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Minimal => &[
                ("outflow.yml", include_str!("../../templates/minimal/outflow.yml")),
                ("syncs/example.yml", include_str!("../../templates/minimal/syncs/example.yml")),
                ("models/README.md", include_str!("../../templates/minimal/models/README.md")),
                (".gitignore", include_str!("../../templates/gitignore")),
            ],
            Self::ProductUsage => &[
                ("outflow.yml", include_str!("../../../../examples/product-usage/outflow.yml")),
                (
                    "syncs/product_usage_to_hubspot.yml",
                    include_str!(
                        "../../../../examples/product-usage/syncs/product_usage_to_hubspot.yml"
                    ),
                ),
                (
                    "syncs/accounts_to_hubspot.yml",
                    include_str!(
                        "../../../../examples/product-usage/syncs/accounts_to_hubspot.yml"
                    ),
                ),
                (
                    "syncs/product_usage_to_mixpanel.yml",
                    include_str!(
                        "../../../../examples/product-usage/syncs/product_usage_to_mixpanel.yml"
                    ),
                ),
                (
                    "models/user_usage.sql",
                    include_str!("../../../../examples/product-usage/models/user_usage.sql"),
                ),
                (".gitignore", include_str!("../../templates/gitignore")),
            ],
        }
    }
}

/// What to do with the new files.
const NEXT: &str = "\nNext: set WAREHOUSE_URL and HUBSPOT_TOKEN, edit the files, then
  outflow doctor               can both ends be reached
  outflow validate --online    the files, the live columns and fields
  outflow plan                 what a run would send
  outflow run --all            send it";

/// Writes the files; none of them when one is there already.
///
/// # Errors
/// A usage error that lists the files in the way, and when a file cannot be written.
pub(crate) fn run(context: &Context, args: &InitArgs) -> Result<Outcome> {
    let root = &context.global.project_dir;
    let files = args.template.files();
    // A link that leads nowhere is in the way too.
    let in_the_way: Vec<&str> = files
        .iter()
        .map(|(path, _)| *path)
        .filter(|path| root.join(path).symlink_metadata().is_ok())
        .collect();
    if !in_the_way.is_empty() {
        return Err(Failure::usage(
            format!("nothing was written: {} already there", listed(&in_the_way)),
            "choose another folder with -C, or move the files away",
        ));
    }
    let output = &context.output;
    for (path, content) in files {
        write(&root.join(path), content)?;
        output.line(format_args!("{} {path}", output.paint(Tone::Good, "wrote")));
        output.item("file", &serde_json::json!({ "path": path }));
    }
    output.note(NEXT);
    Ok(Outcome::done())
}

fn listed(paths: &[&str]) -> String {
    let verb = if paths.len() == 1 { "is" } else { "are" };
    format!("{} {verb}", paths.join(", "))
}

fn write(path: &Path, content: &str) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(|error| Failure::file(folder, error))?;
    }
    // Created, never replaced, also when the file appeared since the check.
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)
        .and_then(|mut file| file.write_all(content.as_bytes()))
        .map_err(|error| Failure::file(path, error))
}

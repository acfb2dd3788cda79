//! From the project's files to a checked project. Every problem is found before anything is used, and all
//! of them are shown at once.
//!
//! The road: [`load`] reads the files, `yaml` makes trees in which everything has a place, `reference`
//! substitutes `${...}`, `shape` compares with the generated schemas, and `check` says what the parts mean
//! together.

mod amount;
mod catalog;
mod check;
mod checked;
mod connections;
mod file;
mod files;
mod load;
mod nearest;
mod node;
mod online;
mod open;
mod reference;
mod scalar;
mod schema;
mod secrets;
mod shape;
mod state;
mod vars;
mod written;
mod yaml;

pub use catalog::{CATALOG, Catalog, Kind};
pub(crate) use check::parents;
pub use checked::{CheckedSync, Connection, Places, Project, StateConfig, StateServer};
pub use file::{Place, SourceFile};
pub use files::PROJECT_FILE;
pub use load::load;
pub(crate) use nearest::nearest;
pub use schema::{project as project_schema, sync as sync_schema};

#[cfg(test)]
mod tests;

//! Files as a warehouse: a folder or glob of Parquet, CSV or JSON lines, on this machine or in an object store.

mod cells;
pub mod codes;
mod csv;
mod csv_text;
mod generation;
mod input;
mod jsonl;
mod listing;
mod options;
mod parquet;
mod relation;
mod schema;
mod source;
mod store;

pub use options::{ColumnType, Columns, Format, Options};
pub use source::Files;

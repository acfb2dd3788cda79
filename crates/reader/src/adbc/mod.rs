//! Any database with an ADBC driver: DuckDB, SQLite, Snowflake, BigQuery, Flight SQL and others. Arrow in.
//!
//! Every call blocks, and is made on a thread of its own. Order, twins and pages are made here, not in the warehouse:
//! no promise about collations or row constructors is needed of a dialect.

pub mod codes;
mod dialect;
mod errors;
mod options;
mod relation;
mod source;

pub use dialect::Dialect;
pub use options::Options;
pub use source::Adbc;

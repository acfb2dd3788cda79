//! PostgreSQL as a warehouse: one read-only snapshot per read, COPY BINARY decoded straight into Arrow.
#![doc = include_str!("TYPES.md")]
#![doc = include_str!("DIALECTS.md")]

mod check;
mod columns;
mod connect;
mod copy;
mod decode;
mod dialect;
mod discover;
mod duplicates;
mod errors;
mod literal;
mod log;
mod mark;
mod names;
mod numeric;
mod options;
mod parallel;
mod query;
mod read;
mod relation;
mod rows;
mod session;
mod source;
pub(crate) mod sql;
mod stream;
mod thread;
mod types;
mod variable;

pub use link::Tls;
pub use options::{Options, ReadBy, Span};
pub use source::Postgres;

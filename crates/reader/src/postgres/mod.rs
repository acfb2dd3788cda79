//! PostgreSQL as a warehouse: one read-only snapshot per read, COPY BINARY decoded straight into Arrow.
#![doc = include_str!("TYPES.md")]

mod address;
mod check;
mod columns;
mod connect;
mod copy;
mod decode;
mod discover;
mod duplicates;
mod errors;
mod literal;
mod log;
mod mark;
mod numeric;
mod options;
mod query;
mod read;
mod relation;
mod session;
mod source;
pub(crate) mod sql;
mod thread;
mod tls;
mod types;
mod variable;

pub use options::{Options, Span, Tls};
pub use source::Postgres;

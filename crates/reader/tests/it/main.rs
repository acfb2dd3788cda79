//! The reader against real PostgreSQL servers.
#![expect(clippy::unwrap_used, reason = "a test may fail at any line")]

mod adbc;
mod conformance;
mod dialects;
mod faults;
mod files;
mod hazards;
mod keys;
mod log;
mod marks;
mod model;
mod object_store;
mod properties;
mod standby;
mod swaps;
mod tls;
mod types;
mod warehouse;
mod watermark;

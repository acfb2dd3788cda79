#![doc = include_str!("../README.md")]

mod checksum;
pub mod codes;
mod directory;
mod fault;
mod header;
mod jobs;
mod lease;
mod ledger;
mod marks;
mod migrate;
mod open;
mod operator;
mod payloads;
mod postgres;
mod process;
mod progress;
mod quota;
mod rejects;
mod runs;
mod sqlite;
mod syncs;
mod target;
mod unconfirmed;
mod upkeep;
mod worker;

pub use codes::CODES;
pub use directory::prepare as prepare_dir;
pub use lease::Holder;
pub use link::At;
pub use operator::{State, SyncState};
pub use postgres::{Postgres, PostgresOptions};
pub use quota::QuotaFile;
pub use rejects::{RejectFilter, RejectGroup};
pub use sqlite::Sqlite;

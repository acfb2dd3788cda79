#![doc = include_str!("../README.md")]

mod clock;
mod code;
mod column;
mod destination;
mod error;
mod job;
mod key;
mod key_order;
mod lease;
mod ledger_stream;
pub mod metrics;
mod payload;
mod quota;
mod read_back;
mod reject;
mod run;
mod secret;
mod shard;
mod source;
mod store;
mod unconfirmed;
mod watermark;

pub use clock::Clock;
pub use code::Code;
pub use column::text_at;
pub use destination::{
    Attribution, Destination, Field, FieldKind, Limits, Mode, NullRule, ObjectSchema, Outcome,
    Receipt, Removal, WriteBatch,
};
pub use error::{Error, Kind, Result, Retry};
pub use job::{JobLimits, JobRow, Journal, KeepsJobs, OpenJob, Resumed, StoredJob};
pub use key::Key;
pub use key_order::{KeyOrder, PartOrder};
pub use lease::Lease;
pub use ledger_stream::{LedgerPage, LedgerRow, LedgerStream};
pub use payload::{Fingerprint, MatchHash, Payload};
pub use quota::{KeepsQuota, Lane, Quota, QuotaChange, QuotaMoment, QuotaStore, QuotaWindow};
pub use read_back::{Found, ReadBack, ReadsBack, Records};
pub use reject::{Reject, Stage};
pub use run::{RunCounts, RunRecord, RunStatus, Trigger};
pub use secret::Secret;
pub use shard::{Claim, Shard, Work};
pub use source::{
    Batch, Changes, Checked, ColumnInfo, Fault, Finding, Log, LogTable, Mark, Model, Opening,
    Position, REMOVED, Read, ReadRequest, Relation, SOURCE_TYPE, Scope, Source, Wait,
};
pub use store::{
    BackfillProgress, Commit, Entry, Gone, GoneHow, LedgerChange, RejectRecord, Store, StoredMark,
    StoredWatermark, Target,
};
pub use unconfirmed::Unconfirmed;
pub use watermark::Watermark;

/// Rust types of the third-party crates that appear in the ports, so that callers agree on one version.
pub use arrow;

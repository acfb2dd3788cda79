#![doc = include_str!("../README.md")]

mod absent;
mod backfill;
mod check;
pub mod codes;
mod conductor;
mod confirm;
mod deliver;
mod diagnosis;
mod diff;
mod doubt;
mod gone;
mod guard;
mod intake;
mod known;
mod merge;
mod missing;
mod overlooked;
mod ownership;
mod plan;
mod prepare;
mod preview;
mod removal;
mod request;
mod retry;
mod run;
mod said;
mod settle;
mod sort;
mod spool;
mod sync;
mod target;
mod twins;
mod weigh;

pub use backfill::{BackfillScope, backfill, retry};
pub use check::{Problem, check};
pub use diagnosis::Common;
pub use guard::{Guard, Guards, Limit, Ruling};
pub use plan::{Plan, PlanOp, PlanRow, RejectGroup, plan};
pub use preview::{Preview, preview};
pub use retry::RetryPolicy;
pub use run::run;
pub use sync::{
    Delivery, Ports, Progress, RemovalLimit, Removed, RemovedAction, RunFailure, RunOptions,
    RunReport, SpoolLimits, Stop, Sync, Watch,
};
pub use weigh::Reason;

#![doc = include_str!("../README.md")]

mod absent;
mod again;
mod apply;
mod backfill;
mod batch;
mod before;
mod check;
pub mod codes;
mod conductor;
mod confirm;
mod deliver;
mod diagnosis;
mod diff;
mod doubt;
mod follow;
mod gone;
mod groups;
mod guard;
mod hold;
mod intake;
mod jobs;
mod known;
mod left;
mod lookups;
mod mark;
mod merge;
mod missing;
mod outcome;
mod overlooked;
mod ownership;
mod plan;
mod plan_file;
mod prepare;
mod preview;
mod remembered;
mod removal;
mod request;
mod resume;
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
mod weight;

pub use apply::apply;
pub use backfill::{BackfillScope, backfill, retry};
pub use check::{Problem, check};
pub use diagnosis::Common;
pub use follow::{Follow, Told, follow};
pub use guard::{Guard, Guards, Limit, Ruling};
pub use plan::{Plan, PlanOp, PlanOptions, PlanRow, RejectGroup, plan};
pub use plan_file::{Change, Header, PlanFile, Value};
pub use preview::{Preview, preview};
pub use retry::RetryPolicy;
pub use run::run;
pub use sync::{
    Api, Delivery, Ports, Progress, Remember, RemovalLimit, Removed, RemovedAction, RunFailure,
    RunOptions, RunReport, SpoolLimits, Stop, Sync, Watch,
};
pub use weight::Reason;

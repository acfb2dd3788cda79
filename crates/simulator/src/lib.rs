#![doc = include_str!("../README.md")]

mod admin;
mod assemble;
mod call;
mod clock;
mod connection;
mod damage;
mod fault;
mod front;
mod journal;
mod manners;
mod script;
mod server;
mod settings;
mod tls;
mod window;

pub use assemble::assemble;
pub use call::{Call, RowFault, Shape};
pub use clock::{Clock, Moment};
pub use fault::{Action, Body, FaultRule, RowMatch};
pub use manners::{Double, Manners, Operation, RecordQuery, Records, Refusal};
pub use server::{Running, start};
pub use settings::{LimitSwitch, OPTIONS, OptionHelp, Settings, TlsFiles};
pub use window::{Level, Quota, Span};

/// The router a vendor's `build` returns; re-exported so that callers need no axum of their own.
pub use axum::Router;

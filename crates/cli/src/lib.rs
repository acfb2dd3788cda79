#![doc = include_str!("../README.md")]

mod args;
mod clock;
pub mod codes;
mod commands;
pub mod config;
mod confirm;
mod context;
mod cost;
pub mod diagnostic;
mod environment;
pub mod exit;
pub mod explain;
mod failure;
mod logging;
mod metrics;
mod moment;
mod output;
mod process;
mod progress;
mod project;
mod report;
mod rulings;
mod select;
mod session;
mod signals;
mod spool;
pub mod summary;
mod text;

pub use process::main;

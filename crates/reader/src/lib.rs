#![doc = include_str!("../README.md")]

pub mod adbc;
mod arrival;
pub mod codes;
pub mod files;
mod handover;
mod layout;
mod ordered;
pub mod postgres;
mod source_kind;

pub use codes::CODES;
pub use source_kind::{OpenArgs, SOURCES, SourceKind};

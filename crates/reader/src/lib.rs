#![doc = include_str!("../README.md")]

pub mod codes;
pub mod postgres;
mod source_kind;

pub use codes::CODES;
pub use source_kind::{OpenArgs, SOURCES, SourceKind};

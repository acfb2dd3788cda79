//! The command line: from files and arguments to a checked project, and from there to the engine.

pub mod codes;
pub mod config;
pub mod diagnostic;
pub mod explain;

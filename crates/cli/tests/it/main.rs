//! The real binary, without a warehouse: arguments, files, streams, exit codes.

mod closed;
mod folder;
mod help;
mod init;
mod pushed;
mod select;
mod signals;
mod summary;

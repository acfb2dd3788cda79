//! The state on real files.

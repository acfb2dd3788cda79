//! An error code: the stable name an operator can look up with `outflow explain CODE`.

use crate::Kind;

/// A documented error code. Each crate lists its codes in one `CODES` table.
///
/// Ranges: `E0xxx` configuration, `E1xxx` warehouse, `E2xxx` destination, `E3xxx` state,
/// `E4xxx` the engine, `G0xx` guards, `R1xx` rows refused before sending, `R2xx` rows refused by the destination.
#[derive(Debug, PartialEq, Eq)]
pub struct Code {
    /// For example `E1004`.
    pub id: &'static str,
    /// What a caller does about it; decides the exit code.
    pub kind: Kind,
    /// One sentence without row values: what is wrong.
    pub title: &'static str,
    /// Why it happens, for `outflow explain`.
    pub cause: &'static str,
    /// What the operator does next.
    pub remedy: &'static str,
}

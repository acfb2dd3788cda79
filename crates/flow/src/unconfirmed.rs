//! Rows whose record a request may still change that nobody heard of any more (D4).

use crate::{Key, MatchHash};

/// A row whose request was given up without a clear answer: until some time it may still be carried out, over whatever was
/// acknowledged meanwhile. Only an acknowledged write that began after that time says what the record holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unconfirmed {
    /// The row.
    pub key: Key,
    /// What that request finds its record by: whoever takes this value is unconfirmed too.
    pub match_hash: MatchHash,
    /// Only a write that began at this time or later confirms, in microseconds since 1970.
    pub confirm_after: i64,
}

//! A row that did not land, and why.

use crate::{Code, Fingerprint, Key};

/// Where a row was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Before it was sent: the row cannot become what the destination accepts.
    Validate,
    /// By the destination.
    Destination,
}

impl Stage {
    /// The word used in state, metrics and output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Validate => "validate",
            Self::Destination => "destination",
        }
    }
}

/// One row that did not land.
#[derive(Debug, Clone)]
pub struct Reject {
    /// The row's primary key; `None` where the key itself is NULL.
    pub key: Option<Key>,
    /// Where it was refused.
    pub stage: Stage,
    /// A code of kind [`crate::Kind::Row`].
    pub code: &'static Code,
    /// The destination field or model column at fault, where known.
    pub field: Option<String>,
    /// Why, in a sentence. May hold a row value only where the destination's own message does.
    pub reason: String,
    /// The refused payload; the same payload is not sent again by itself. `None` where none was made.
    pub fingerprint: Option<Fingerprint>,
}

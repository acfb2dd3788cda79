//! What is wrong with a mapping, found before the first row.

use flow::Code;

/// One mistake in the mappings, for one destination field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MappingError {
    /// The documented code.
    pub code: &'static Code,
    /// The destination field, or the `match_on` field or key column at fault.
    pub field: String,
    /// One sentence: what is wrong.
    pub message: String,
    /// What to do about it.
    pub help: String,
}

/// A mistake whose field the caller knows.
#[derive(Debug, Clone)]
pub(crate) struct Misfit {
    pub(crate) code: &'static Code,
    pub(crate) message: String,
    pub(crate) help: String,
}

impl Misfit {
    pub(crate) fn new(
        code: &'static Code,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        Self { code, message: message.into(), help: help.into() }
    }

    /// The mistake of `field`; a missing help is the code's own remedy.
    pub(crate) fn of(self, field: &str) -> MappingError {
        let help = if self.help.is_empty() { self.code.remedy.to_owned() } else { self.help };
        MappingError { code: self.code, field: field.to_owned(), message: self.message, help }
    }
}

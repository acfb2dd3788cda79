//! Intercom's objects, and how each is found, made, changed and removed.

use flow::{Error, Mode, Removal, Result};
use writer::codes::E2011_NO_SUCH_OBJECT;

/// An object records are written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Object {
    Contacts,
    Companies,
    Tags,
}

impl Object {
    pub(super) const ALL: [Self; 3] = [Self::Contacts, Self::Companies, Self::Tags];

    /// # Errors
    /// [`E2011_NO_SUCH_OBJECT`] when Intercom has no such object.
    pub(super) fn parse(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|object| object.name() == name).ok_or_else(|| {
            let message = "the sync's `object` is not one of Intercom's: contacts, companies, tags";
            Error::new(&E2011_NO_SUCH_OBJECT, message)
        })
    }

    /// Name in a sync, and in paths.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Contacts => "contacts",
            Self::Companies => "companies",
            Self::Tags => "tags",
        }
    }

    /// Modes that are safe.
    pub(super) fn modes(self) -> &'static [Mode] {
        match self {
            Self::Tags => &[Mode::Upsert, Mode::Mirror],
            _ => &[Mode::Upsert, Mode::Update, Mode::Mirror, Mode::Delete],
        }
    }

    /// What can be done with records of rows that left the model.
    pub(super) fn removals(self) -> &'static [Removal] {
        match self {
            Self::Tags => &[Removal::Delete],
            _ => &[Removal::Delete, Removal::Update],
        }
    }

    /// The fields records can be found by.
    pub(super) fn found_by(self) -> &'static [&'static str] {
        match self {
            Self::Contacts => &["external_id", "email"],
            Self::Companies => &["company_id"],
            Self::Tags => &["name"],
        }
    }
}

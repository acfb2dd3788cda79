//! The types a connection may have: the tables of warehouses and destinations, side by side.

use reader::SourceKind;
use serde_json::Value as Json;
use writer::DestinationKind;

/// What a connection type is.
#[derive(Clone, Copy)]
pub enum Kind {
    /// Rows are read from it.
    Source(&'static SourceKind),
    /// Rows are written to it.
    Destination(&'static DestinationKind),
}

impl Kind {
    /// The word after `type:`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Source(kind) => kind.name,
            Self::Destination(kind) => kind.name,
        }
    }

    /// JSON Schema of its options.
    pub fn options_schema(self) -> Json {
        match self {
            Self::Source(kind) => (kind.options_schema)().to_value(),
            Self::Destination(kind) => (kind.options_schema)().to_value(),
        }
    }
}

impl std::fmt::Debug for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// Every known connection type.
#[derive(Clone, Copy)]
pub struct Catalog {
    sources: &'static [SourceKind],
    /// One table per crate.
    destinations: &'static [&'static [DestinationKind]],
}

/// What this build of outflow knows.
pub const CATALOG: Catalog = Catalog {
    sources: reader::SOURCES,
    destinations: &[
        writer_crm::DESTINATIONS,
        writer_support::DESTINATIONS,
        writer_product::DESTINATIONS,
        writer_http::DESTINATIONS,
    ],
};

impl Catalog {
    /// Every type, warehouses first.
    pub fn kinds(self) -> impl Iterator<Item = Kind> {
        self.sources.iter().map(Kind::Source).chain(self.destinations().map(Kind::Destination))
    }

    /// The type of that name.
    pub fn kind(self, name: &str) -> Option<Kind> {
        self.kinds().find(|kind| kind.name() == name)
    }

    /// Every destination type.
    pub fn destinations(self) -> impl Iterator<Item = &'static DestinationKind> {
        self.destinations.iter().copied().flatten()
    }

    /// The destination types that have a simulator.
    pub fn simulated(self) -> impl Iterator<Item = &'static DestinationKind> {
        self.destinations().filter(|kind| kind.simulate.is_some())
    }
}

//! The object types of the double, and the names HubSpot accepts for them in a path.

/// An object type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Object {
    Contacts,
    Companies,
    Deals,
    Tickets,
}

impl Object {
    pub(super) const ALL: [Self; 4] = [Self::Contacts, Self::Companies, Self::Deals, Self::Tickets];

    /// Reads the name in a path: plural, singular or type id.
    pub(super) fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "contacts" | "contact" | "0-1" => Self::Contacts,
            "companies" | "company" | "0-2" => Self::Companies,
            "deals" | "deal" | "0-3" => Self::Deals,
            "tickets" | "ticket" | "0-5" => Self::Tickets,
            _ => return None,
        })
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Contacts => "contacts",
            Self::Companies => "companies",
            Self::Deals => "deals",
            Self::Tickets => "tickets",
        }
    }

    pub(super) fn singular(self) -> &'static str {
        match self {
            Self::Contacts => "Contact",
            Self::Companies => "Company",
            Self::Deals => "Deal",
            Self::Tickets => "Ticket",
        }
    }

    pub(super) fn type_id(self) -> &'static str {
        match self {
            Self::Contacts => "0-1",
            Self::Companies => "0-2",
            Self::Deals => "0-3",
            Self::Tickets => "0-5",
        }
    }

    /// The first record id; far apart, so that an id of one type is never one of another.
    pub(super) fn first_id(self) -> u64 {
        match self {
            Self::Contacts => 151_000_000_001,
            Self::Companies => 252_000_000_001,
            Self::Deals => 353_000_000_001,
            Self::Tickets => 454_000_000_001,
        }
    }

    /// What is returned of a record when nothing is asked for.
    pub(super) fn default_properties(self) -> &'static [&'static str] {
        match self {
            Self::Contacts => &["createdate", "email", "firstname", "lastmodifieddate", "lastname"],
            Self::Companies => &["createdate", "domain", "hs_lastmodifieddate", "name"],
            Self::Deals => &[
                "amount",
                "closedate",
                "createdate",
                "dealname",
                "dealstage",
                "hs_lastmodifieddate",
                "pipeline",
            ],
            Self::Tickets => &["createdate", "hs_lastmodifieddate", "hs_pipeline", "subject"],
        }
    }

    /// The scopes a private app needs to read or write it.
    pub(super) fn scope(self, write: bool) -> String {
        match self {
            Self::Tickets => "tickets".to_owned(),
            _ => format!("crm.objects.{}.{}", self.name(), if write { "write" } else { "read" }),
        }
    }

    pub(super) fn index(self) -> usize {
        match self {
            Self::Contacts => 0,
            Self::Companies => 1,
            Self::Deals => 2,
            Self::Tickets => 3,
        }
    }
}

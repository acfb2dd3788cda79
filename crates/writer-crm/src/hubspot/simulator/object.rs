//! The object types of the double, and the names HubSpot accepts for them in a path.

/// An object type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Object {
    Contacts,
    Companies,
    Deals,
    Tickets,
    Custom(Custom),
}

/// An object the account has made itself. Its description stays in memory as long as the process, as names of the
/// standard ones do; an account has a handful.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Custom(&'static CustomObject);

#[derive(Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct CustomObject {
    /// 0 is the first one.
    number: u32,
    name: String,
    type_id: String,
    short: String,
    full: String,
    /// Properties without which no record is made.
    required: Vec<String>,
}

impl std::ops::Deref for Custom {
    type Target = CustomObject;

    fn deref(&self) -> &CustomObject {
        self.0
    }
}

impl Custom {
    /// Reads `NAME[:REQUIRED|REQUIRED]`, the form of the option `object`.
    ///
    /// # Errors
    /// A sentence about what is wrong with the text.
    pub(super) fn parse(text: &str, number: u32, portal_id: u64) -> Result<Self, String> {
        let (name, required) = text.split_once(':').unwrap_or((text, ""));
        let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if !name.starts_with(|c: char| c.is_ascii_lowercase()) || !name.chars().all(legal) {
            return Err(format!("object `{text}`: want NAME[:REQUIRED|REQUIRED] in lower case"));
        }
        let required = required.split('|').filter(|name| !name.is_empty());
        Ok(Self(Box::leak(Box::new(CustomObject {
            number,
            name: name.to_owned(),
            type_id: format!("2-{}", 1_000_001 + number),
            short: format!("p_{name}"),
            full: format!("p{portal_id}_{name}"),
            required: required.map(str::to_owned).collect(),
        }))))
    }

    fn answers_to(self, text: &str) -> bool {
        text == self.type_id || text == self.short || text == self.full
    }
}

impl CustomObject {
    pub(super) fn full_name(&self) -> &str {
        &self.full
    }
}

impl Object {
    pub(super) const STANDARD: [Self; 4] =
        [Self::Contacts, Self::Companies, Self::Deals, Self::Tickets];

    /// Reads the name in a path: plural, singular or type id; a custom object has its short and its full name.
    pub(super) fn parse(text: &str, all: &[Self]) -> Option<Self> {
        Some(match text {
            "contacts" | "contact" | "0-1" => Self::Contacts,
            "companies" | "company" | "0-2" => Self::Companies,
            "deals" | "deal" | "0-3" => Self::Deals,
            "tickets" | "ticket" | "0-5" => Self::Tickets,
            _ => {
                return all.iter().copied().find(
                    |object| matches!(object, Self::Custom(custom) if custom.answers_to(text)),
                );
            }
        })
    }

    /// Properties without which no record of it is made.
    pub(super) fn required(self) -> &'static [String] {
        match self {
            Self::Custom(Custom(custom)) => &custom.required,
            _ => &[],
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Contacts => "contacts",
            Self::Companies => "companies",
            Self::Deals => "deals",
            Self::Tickets => "tickets",
            Self::Custom(Custom(custom)) => &custom.name,
        }
    }

    pub(super) fn singular(self) -> &'static str {
        match self {
            Self::Contacts => "Contact",
            Self::Companies => "Company",
            Self::Deals => "Deal",
            Self::Tickets => "Ticket",
            Self::Custom(Custom(custom)) => &custom.name,
        }
    }

    pub(super) fn type_id(self) -> &'static str {
        match self {
            Self::Contacts => "0-1",
            Self::Companies => "0-2",
            Self::Deals => "0-3",
            Self::Tickets => "0-5",
            Self::Custom(Custom(custom)) => &custom.type_id,
        }
    }

    /// The first record id; far apart, so that an id of one type is never one of another.
    pub(super) fn first_id(self) -> u64 {
        match self {
            Self::Contacts => 151_000_000_001,
            Self::Companies => 252_000_000_001,
            Self::Deals => 353_000_000_001,
            Self::Tickets => 454_000_000_001,
            Self::Custom(custom) => 555_000_000_001 + u64::from(custom.number) * 1_000_000_000,
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
            Self::Custom(_) => &["hs_createdate", "hs_lastmodifieddate"],
        }
    }

    /// The scopes a private app needs to read or write it.
    pub(super) fn scope(self, write: bool) -> String {
        match self {
            Self::Tickets => "tickets".to_owned(),
            Self::Custom(_) => {
                format!("crm.objects.custom.{}", if write { "write" } else { "read" })
            }
            _ => format!("crm.objects.{}.{}", self.name(), if write { "write" } else { "read" }),
        }
    }

    pub(super) fn index(self) -> usize {
        match self {
            Self::Contacts => 0,
            Self::Companies => 1,
            Self::Deals => 2,
            Self::Tickets => 3,
            Self::Custom(custom) => 4 + custom.number as usize,
        }
    }
}

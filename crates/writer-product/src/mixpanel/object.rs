//! What can be written: profiles of users, profiles of groups, and events.

use flow::{Error, Field, FieldKind, Mode, ObjectSchema, Result};
use writer::codes::E2011_NO_SUCH_OBJECT;

/// One kind of record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Object {
    /// Profiles of users, by distinct id.
    Profiles,
    /// Profiles of groups of one group key.
    Groups(String),
    /// Events.
    Events,
}

impl Object {
    pub(super) fn new(name: &str) -> Result<Self> {
        match name {
            "profiles" => Ok(Self::Profiles),
            "events" => Ok(Self::Events),
            _ => match name.strip_prefix("groups.").filter(|key| !key.is_empty()) {
                Some(key) => Ok(Self::Groups(key.to_owned())),
                None => Err(Error::new(
                    &E2011_NO_SUCH_OBJECT,
                    format!("Mixpanel has no object `{name}`"),
                )
                .with_remedy("Its objects are `profiles`, `events`, and `groups.KEY` with a group key of the project.")),
            },
        }
    }

    /// The field its records are found by.
    pub(super) fn id_field(&self) -> &'static str {
        match self {
            Self::Profiles => "distinct_id",
            Self::Groups(_) => "group_id",
            Self::Events => "insert_id",
        }
    }

    /// Rows per call.
    pub(super) fn rows_max(&self) -> usize {
        match self {
            Self::Profiles | Self::Events => 2000,
            // Mixpanel names no limit; its other clients send so many.
            Self::Groups(_) => 200,
        }
    }

    /// Bytes per call.
    pub(super) fn bytes_max(&self) -> usize {
        match self {
            Self::Profiles | Self::Groups(_) => 2 << 20,
            Self::Events => 10 << 20,
        }
    }

    pub(super) fn modes(&self) -> &'static [Mode] {
        match self {
            Self::Profiles | Self::Groups(_) => &[Mode::Upsert, Mode::Update, Mode::Delete],
            Self::Events => &[Mode::Append],
        }
    }

    /// The fields every project has; any other property may be written, too.
    pub(super) fn schema(&self, name: &str) -> ObjectSchema {
        let text = |chars_max| FieldKind::Text { chars_max };
        let id = field(self.id_field(), "Id", text(Some(255)), true);
        let fields = match self {
            Self::Profiles => vec![
                id,
                field("$email", "Email", FieldKind::Email, false),
                field("$phone", "Phone", FieldKind::Phone, false),
                field("$name", "Name", text(None), false),
                field("$first_name", "First name", text(None), false),
                field("$last_name", "Last name", text(None), false),
                field("$avatar", "Avatar", text(None), false),
                field("$created", "Created", FieldKind::DateTime, false),
            ],
            Self::Groups(_) => vec![id, field("$name", "Name", text(None), false)],
            Self::Events => vec![
                id,
                field("event", "Event", text(Some(255)), true),
                field("time", "Time", FieldKind::DateTime, true),
                field("distinct_id", "Distinct id", text(Some(255)), false),
            ]
            .into_iter()
            .map(|field| Field { unique: field.name == "insert_id", ..field })
            .collect(),
        };
        ObjectSchema { object: name.to_owned(), fields, open: true }
    }
}

fn field(name: &str, label: &str, kind: FieldKind, required: bool) -> Field {
    Field {
        name: name.to_owned(),
        label: label.to_owned(),
        kind,
        required,
        unique: required,
        read_only: false,
        folds_case: false,
    }
}

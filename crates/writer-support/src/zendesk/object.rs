//! Zendesk's objects: what can be done with each, how its records are found, and which call does what.

use flow::{Error, Mode, Removal, Result};
use writer::codes::E2011_NO_SUCH_OBJECT;
use writer::encode::push_string;
use writer::{Method, Request};

use super::wire::push_number;

/// An object records are written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Object<'a> {
    Users,
    Organizations,
    Tickets,
    /// A custom object, by its key.
    Custom(&'a str),
}

/// What a call does with its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Upsert,
    Create,
    Update,
    Delete,
}

/// How custom objects are named in a sync.
const CUSTOM: &str = "custom_objects/";

impl<'a> Object<'a> {
    /// # Errors
    /// [`E2011_NO_SUCH_OBJECT`] when Zendesk has no such object.
    pub(super) fn parse(name: &'a str) -> Result<Self> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        match name {
            "users" => Ok(Self::Users),
            "organizations" => Ok(Self::Organizations),
            "tickets" => Ok(Self::Tickets),
            _ => match name.strip_prefix(CUSTOM) {
                Some(key) if (1..=100).contains(&key.len()) && key.bytes().all(plain) => {
                    Ok(Self::Custom(key))
                }
                _ => Err(Error::new(
                    &E2011_NO_SUCH_OBJECT,
                    "the sync's `object` is not one of Zendesk's: users, organizations, tickets, custom_objects/KEY",
                )),
            },
        }
    }

    /// Path below `/api/v2`, up to the records.
    pub(super) fn path(self) -> String {
        match self {
            Self::Custom(key) => format!("/api/v2/custom_objects/{key}/records"),
            _ => format!("/api/v2/{}", self.list()),
        }
    }

    /// The member that holds records in bodies and answers.
    pub(super) fn list(self) -> &'static str {
        match self {
            Self::Users => "users",
            Self::Organizations => "organizations",
            Self::Tickets => "tickets",
            Self::Custom(_) => "custom_object_records",
        }
    }

    /// The member that holds the account's own fields.
    pub(super) fn own_fields(self) -> &'static str {
        match self {
            Self::Users => "user_fields",
            Self::Organizations => "organization_fields",
            Self::Tickets => "custom_fields",
            Self::Custom(_) => "custom_object_fields",
        }
    }

    /// Where the account's own fields are listed.
    pub(super) fn fields_path(self) -> String {
        match self {
            Self::Users => "/api/v2/user_fields".to_owned(),
            Self::Organizations => "/api/v2/organization_fields".to_owned(),
            Self::Tickets => "/api/v2/ticket_fields".to_owned(),
            Self::Custom(key) => format!("/api/v2/custom_objects/{key}/fields"),
        }
    }

    /// A record's id as Zendesk has it: a number, and text for custom objects.
    pub(super) fn push_id(self, id: &str, out: &mut Vec<u8>) {
        match self {
            Self::Custom(_) => push_string(id, out),
            _ => push_number(id, out),
        }
    }

    /// Modes that are safe.
    ///
    /// No object has `create`: a lost answer would make the record twice, or a reject of it. A ticket cannot be upserted
    /// either: its external id is not unique, so that two jobs that overlap would make it twice, with its e-mails.
    pub(super) fn modes(self) -> &'static [Mode] {
        match self {
            Self::Tickets => &[Mode::Update, Mode::Delete],
            _ => &[Mode::Upsert, Mode::Update, Mode::Mirror, Mode::Delete],
        }
    }

    /// What can be done with records of rows that left the model.
    pub(super) fn removals(self) -> &'static [Removal] {
        &[Removal::Delete, Removal::Update]
    }

    /// The fields records can be found by, in `mode`.
    pub(super) fn found_by(self, mode: Mode) -> &'static [&'static str] {
        match (self, mode) {
            (Self::Users, Mode::Upsert | Mode::Mirror) => &["email", "external_id"],
            (Self::Tickets, _) => &["id", "external_id"],
            (Self::Custom(_), Mode::Upsert | Mode::Mirror) => &["external_id", "name"],
            _ => &["external_id"],
        }
    }

    /// Whether Zendesk finds the records of an upsert by itself.
    pub(super) fn upserts(self) -> bool {
        matches!(self, Self::Users | Self::Custom(_))
    }

    /// The request that hands `items` (comma-separated JSON) over as a job. A deletion of `ids` needs no items.
    pub(super) fn job(
        self,
        verb: Verb,
        match_on: &str,
        (ids, items): (&[&str], Vec<u8>),
    ) -> Request {
        let (method, path, wrap): (_, String, (String, &str)) = match (self, verb) {
            (Self::Custom(key), _) => {
                let action = match (verb, match_on) {
                    (Verb::Upsert, "name") => "create_or_update_by_name",
                    (Verb::Upsert, _) => "create_or_update_by_external_id",
                    (Verb::Create, _) => "create",
                    (Verb::Update, _) => "update",
                    (Verb::Delete, _) => "delete",
                };
                let open = format!(r#"{{"job":{{"action":"{action}","items":["#);
                (Method::POST, format!("/api/v2/custom_objects/{key}/jobs"), (open, "]}}"))
            }
            (_, Verb::Delete) => {
                let path = format!("{}/destroy_many?ids={}", self.path(), ids.join(","));
                return Request { method: Method::DELETE, path, operation: "delete", body: None };
            }
            _ => {
                let (method, call) = match verb {
                    Verb::Upsert => (Method::POST, "create_or_update_many"),
                    Verb::Create => (Method::POST, "create_many"),
                    _ => (Method::PUT, "update_many"),
                };
                let open = format!(r#"{{"{}":["#, self.list());
                (method, format!("{}/{call}", self.path()), (open, "]}"))
            }
        };
        let mut body = wrap.0.into_bytes();
        body.extend_from_slice(&items);
        body.extend_from_slice(wrap.1.as_bytes());
        Request { method, path, operation: verb.operation(), body: Some(body) }
    }
}

impl Verb {
    /// One letter for it; a capital where rows are known by their records' ids.
    pub(super) fn letter(self, by_id: bool) -> char {
        let letter = match self {
            Self::Upsert => 's',
            Self::Create => 'c',
            Self::Update => 'u',
            Self::Delete => 'd',
        };
        if by_id { letter.to_ascii_uppercase() } else { letter }
    }

    /// What [`Verb::letter`] wrote.
    pub(super) fn of_letter(letter: char) -> Option<(Self, bool)> {
        [Self::Upsert, Self::Create, Self::Update, Self::Delete]
            .into_iter()
            .flat_map(|verb| [(verb, false), (verb, true)])
            .find(|(verb, by_id)| verb.letter(*by_id) == letter)
    }

    /// The word for metrics.
    fn operation(self) -> &'static str {
        match self {
            Self::Upsert => "upsert",
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }
}

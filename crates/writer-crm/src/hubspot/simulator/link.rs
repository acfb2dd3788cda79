//! Associations between records, kept in both directions, with the types HubSpot defines.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::input::LinkType;
use super::object::Object;
use super::portal::Portal;
use super::reply::Problem;
use super::write::Row;

/// A type of association that HubSpot defines: ids for both directions.
struct Defined {
    from: Object,
    to: Object,
    forward: u32,
    backward: u32,
    label: Option<&'static str>,
}

const fn defined(from: Object, to: Object, forward: u32, backward: u32) -> Defined {
    Defined { from, to, forward, backward, label: None }
}

const fn primary(from: Object, to: Object, forward: u32, backward: u32) -> Defined {
    Defined { from, to, forward, backward, label: Some("Primary") }
}

/// The unlabelled type of a pair comes first: it is the default.
const DEFINED: &[Defined] = &[
    defined(Object::Contacts, Object::Companies, 279, 280),
    primary(Object::Contacts, Object::Companies, 1, 2),
    defined(Object::Deals, Object::Contacts, 3, 4),
    defined(Object::Deals, Object::Companies, 341, 342),
    primary(Object::Deals, Object::Companies, 5, 6),
    defined(Object::Tickets, Object::Contacts, 16, 15),
    defined(Object::Tickets, Object::Companies, 339, 340),
    primary(Object::Tickets, Object::Companies, 26, 25),
    defined(Object::Deals, Object::Tickets, 27, 28),
    defined(Object::Contacts, Object::Contacts, 449, 449),
    defined(Object::Companies, Object::Companies, 450, 450),
];

/// One type as seen from one side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LinkKind {
    pub(super) id: u32,
    pub(super) inverse: u32,
    pub(super) label: Option<&'static str>,
}

impl LinkKind {
    pub(super) fn to_json(self) -> Value {
        json!({ "category": "HUBSPOT_DEFINED", "typeId": self.id, "label": self.label })
    }
}

/// The types between two object types, the default first.
pub(super) fn kinds(from: Object, to: Object) -> Vec<LinkKind> {
    let seen = |one: &Defined| {
        if (one.from, one.to) == (from, to) {
            return Some(LinkKind { id: one.forward, inverse: one.backward, label: one.label });
        }
        if (one.to, one.from) == (from, to) {
            return Some(LinkKind { id: one.backward, inverse: one.forward, label: one.label });
        }
        None
    };
    DEFINED.iter().filter_map(seen).collect()
}

/// Finds the type a request names.
///
/// # Errors
/// A type that does not exist between the two.
pub(super) fn kind(from: Object, to: Object, asked: &LinkType<'_>) -> Result<LinkKind, Problem> {
    let known = kinds(from, to).into_iter().find(|kind| kind.id == asked.association_type_id);
    match (known, &*asked.association_category.0) {
        (Some(kind), "HUBSPOT_DEFINED") => Ok(kind),
        (None, "HUBSPOT_DEFINED") | (_, "USER_DEFINED" | "INTEGRATOR_DEFINED" | "WORK") => {
            let (id, from, to) = (asked.association_type_id, from.type_id(), to.type_id());
            Err(Problem::validation(format!(
                "{id} is not a valid association type between {from} and {to}"
            )))
        }
        (_, category) => Err(Problem::validation(format!(
            "Invalid input JSON: {category} is no association category"
        ))),
    }
}

type End = (Object, u64);

/// All associations of the account.
#[derive(Debug, Default)]
pub(super) struct Links {
    /// From one end to the other, the types' ids; every association is here twice.
    pairs: BTreeMap<(End, End), Vec<u32>>,
}

impl Links {
    pub(super) fn add(&mut self, from: End, to: End, kind: LinkKind) {
        for (pair, id) in [((from, to), kind.id), ((to, from), kind.inverse)] {
            let ids = self.pairs.entry(pair).or_default();
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
    }

    /// Removes one type, or all of them.
    pub(super) fn remove(&mut self, from: End, to: End, only: Option<LinkKind>) {
        let pairs = [((from, to), only.map(|kind| kind.id)), ((to, from), only.map(|k| k.inverse))];
        for (pair, only) in pairs {
            let Some(ids) = self.pairs.get_mut(&pair) else { continue };
            ids.retain(|id| only.is_some_and(|only| only != *id));
            if ids.is_empty() {
                self.pairs.remove(&pair);
            }
        }
    }

    /// The records of one type that a record is associated with, and how.
    pub(super) fn of(&self, from: End, to: Object) -> Vec<(u64, &[u32])> {
        let range = (from, (to, 0))..=(from, (to, u64::MAX));
        self.pairs.range(range).map(|((_, (_, id)), ids)| (*id, ids.as_slice())).collect()
    }

    /// Drops the associations of records that were archived.
    pub(super) fn forget(&mut self, object: Object, ids: &[u64]) {
        for id in ids {
            let from = (object, *id);
            let range = (from, (Object::Contacts, 0))..=(from, (Object::Tickets, u64::MAX));
            let ends: Vec<End> = self.pairs.range(range).map(|((_, to), _)| *to).collect();
            for to in ends {
                self.pairs.remove(&(from, to));
                self.pairs.remove(&(to, from));
            }
        }
    }

    /// Associations, each counted once.
    pub(super) fn len(&self) -> usize {
        self.pairs.keys().filter(|(from, to)| from <= to).count()
    }
}

/// An association that is made once its row has landed.
pub(super) struct Target {
    row: usize,
    to: End,
    kind: LinkKind,
}

/// Checks the associations that come with new records.
///
/// # Errors
/// A type that does not exist, or a record that does not.
pub(super) fn targets(
    portal: &Portal,
    object: Object,
    rows: &[Row<'_>],
) -> Result<Vec<Target>, Problem> {
    let mut targets = Vec::new();
    for (number, row) in rows.iter().enumerate() {
        for link in &row.links {
            for asked in &link.types {
                let to = Object::ALL
                    .into_iter()
                    .find(|to| kinds(object, *to).iter().any(|k| k.id == asked.association_type_id))
                    .unwrap_or(object);
                let kind = kind(object, to, asked)?;
                let end = end(portal, to, &link.to.id.0)?;
                targets.push(Target { row: number, to: end, kind });
            }
        }
    }
    Ok(targets)
}

/// Makes the associations of the rows that landed.
pub(super) fn attach(
    portal: &Portal,
    object: Object,
    targets: Vec<Target>,
    id: impl Fn(usize) -> Option<u64>,
) {
    if targets.is_empty() {
        return;
    }
    let mut links = portal.links();
    for target in targets {
        if let Some(id) = id(target.row) {
            links.add((object, id), target.to, target.kind);
        }
    }
}

/// A record that is there.
///
/// # Errors
/// 404 when it is not.
pub(super) fn end(portal: &Portal, object: Object, id: &str) -> Result<End, Problem> {
    let store = portal.store(object);
    match store.live(id) {
        Some(position) => Ok((object, store.id(position))),
        None => Err(Problem::not_found().with(json!({ "context": { "id": [id] } }))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADA: End = (Object::Contacts, 1);
    const ACME: End = (Object::Companies, 2);

    #[test]
    fn an_association_is_seen_from_both_ends_and_removed_from_both() {
        let mut links = Links::default();
        let both = kinds(Object::Contacts, Object::Companies);
        assert_eq!((both[0].id, both[0].inverse), (279, 280));
        links.add(ADA, ACME, both[0]);
        links.add(ADA, ACME, both[1]);
        assert_eq!(links.of(ACME, Object::Contacts), [(1, &[280, 2][..])]);
        links.remove(ACME, ADA, Some(kinds(Object::Companies, Object::Contacts)[1]));
        assert_eq!(links.of(ADA, Object::Companies), [(2, &[279][..])]);
        assert_eq!(links.len(), 1);
        links.forget(Object::Companies, &[2]);
        assert_eq!(links.len(), 0);
    }

    #[test]
    fn a_type_of_the_other_direction_is_refused() {
        let asked = |id| LinkType {
            association_category: super::super::input::Text("HUBSPOT_DEFINED".into()),
            association_type_id: id,
        };
        assert!(kind(Object::Contacts, Object::Companies, &asked(279)).is_ok());
        assert!(kind(Object::Contacts, Object::Companies, &asked(280)).is_err());
    }
}

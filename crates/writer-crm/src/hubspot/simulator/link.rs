//! Associations between records, kept in both directions, with the types HubSpot defines.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::input::LinkType;
use super::object::Object;
use super::portal::Portal;
use super::reply::Problem;
use super::write::Row;

/// A type of association: ids for both directions.
#[derive(Debug, Clone)]
struct Defined {
    from: Object,
    to: Object,
    forward: u32,
    backward: u32,
    /// As seen from either end.
    labels: Option<(Arc<str>, Arc<str>)>,
    /// Whether the account has made it.
    own: bool,
}

/// From, to, both ids, and whether it is the primary one.
const STANDARD: &[(Object, Object, u32, u32, bool)] = &[
    (Object::Contacts, Object::Companies, 279, 280, false),
    (Object::Contacts, Object::Companies, 1, 2, true),
    (Object::Deals, Object::Contacts, 3, 4, false),
    (Object::Deals, Object::Companies, 341, 342, false),
    (Object::Deals, Object::Companies, 5, 6, true),
    (Object::Tickets, Object::Contacts, 16, 15, false),
    (Object::Tickets, Object::Companies, 339, 340, false),
    (Object::Tickets, Object::Companies, 26, 25, true),
    (Object::Deals, Object::Tickets, 27, 28, false),
    (Object::Contacts, Object::Contacts, 449, 449, false),
    (Object::Companies, Object::Companies, 450, 450, false),
];

const PRIMARY: &str = "Primary";
/// Labels of one's own between two objects.
const LABELS_MAX: usize = 50;

/// One type as seen from one side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LinkKind {
    pub(super) id: u32,
    pub(super) inverse: u32,
    pub(super) label: Option<Arc<str>>,
    pub(super) own: bool,
}

impl LinkKind {
    pub(super) fn category(&self) -> &'static str {
        if self.own { "USER_DEFINED" } else { "HUBSPOT_DEFINED" }
    }

    pub(super) fn to_json(&self) -> Value {
        json!({ "category": self.category(), "typeId": self.id, "label": self.label })
    }

    /// A record has one other at most that is its primary one.
    fn is_primary(&self) -> bool {
        !self.own && self.label.as_deref() == Some(PRIMARY)
    }
}

/// All types of the account. The unlabelled type of a pair comes first: it is the default.
#[derive(Debug)]
pub(super) struct LinkKinds {
    all: Vec<Defined>,
    next_id: u32,
}

impl LinkKinds {
    /// The types HubSpot defines, and one between every custom object and every other.
    pub(super) fn of(objects: &[Object]) -> Self {
        let standard = STANDARD.iter().map(|(from, to, forward, backward, primary)| Defined {
            from: *from,
            to: *to,
            forward: *forward,
            backward: *backward,
            labels: primary.then(|| (PRIMARY.into(), PRIMARY.into())),
            own: false,
        });
        let mut kinds = Self { all: standard.collect(), next_id: 37 };
        for (index, from) in objects.iter().enumerate() {
            for to in objects[..index].iter().filter(|_| matches!(from, Object::Custom(_))) {
                kinds.push((*from, *to), None);
            }
        }
        kinds
    }

    fn push(&mut self, (from, to): (Object, Object), labels: Option<(Arc<str>, Arc<str>)>) {
        let (forward, backward) = (self.next_id, self.next_id + 1);
        self.next_id += 2;
        self.all.push(Defined { from, to, forward, backward, labels, own: true });
    }

    /// Adds a label of the account's own; the ids of both directions.
    ///
    /// # Errors
    /// Objects that cannot be associated, a label that is there already, or too many.
    pub(super) fn define(
        &mut self,
        (from, to): (Object, Object),
        label: &str,
        inverse: Option<&str>,
    ) -> Result<(LinkKind, LinkKind), Problem> {
        let known = self.between(from, to);
        if known.is_empty() {
            return Err(no_association(from, to));
        }
        if label.trim().is_empty() || known.iter().any(|kind| kind.label.as_deref() == Some(label))
        {
            return Err(Problem::validation(format!("The label {label} is taken or empty")));
        }
        if known.iter().filter(|kind| kind.own && kind.label.is_some()).count() >= LABELS_MAX {
            let message = format!("At most {LABELS_MAX} labels are allowed between two objects");
            return Err(Problem::validation(message));
        }
        self.push((from, to), Some((label.into(), inverse.unwrap_or(label).into())));
        let last = &self.all[self.all.len() - 1];
        Ok((last.forward_kind(), last.backward_kind()))
    }

    /// The types between two object types, the default first.
    pub(super) fn between(&self, from: Object, to: Object) -> Vec<LinkKind> {
        let seen = |one: &Defined| {
            if (one.from, one.to) == (from, to) {
                return Some(one.forward_kind());
            }
            ((one.to, one.from) == (from, to)).then(|| one.backward_kind())
        };
        self.all.iter().filter_map(seen).collect()
    }

    /// Finds the type a request names.
    ///
    /// # Errors
    /// A type that does not exist between the two.
    pub(super) fn find(
        &self,
        (from, to): (Object, Object),
        asked: &LinkType<'_>,
    ) -> Result<LinkKind, Problem> {
        let category = &*asked.association_category.0;
        let known = self
            .between(from, to)
            .into_iter()
            .find(|kind| kind.id == asked.association_type_id && kind.category() == category);
        match (known, category) {
            (Some(kind), _) => Ok(kind),
            (None, "HUBSPOT_DEFINED" | "USER_DEFINED" | "INTEGRATOR_DEFINED" | "WORK") => {
                let (id, from, to) = (asked.association_type_id, from.type_id(), to.type_id());
                Err(Problem::validation(format!(
                    "{id} is not a valid association type between {from} and {to}"
                )))
            }
            (None, category) => Err(Problem::validation(format!(
                "Invalid input JSON: {category} is no association category"
            ))),
        }
    }
}

impl Defined {
    fn forward_kind(&self) -> LinkKind {
        let label = self.labels.as_ref().map(|(label, _)| Arc::clone(label));
        LinkKind { id: self.forward, inverse: self.backward, label, own: self.own }
    }

    fn backward_kind(&self) -> LinkKind {
        let label = self.labels.as_ref().map(|(_, label)| Arc::clone(label));
        LinkKind { id: self.backward, inverse: self.forward, label, own: self.own }
    }
}

pub(super) fn no_association(from: Object, to: Object) -> Problem {
    let (from, to) = (from.type_id(), to.type_id());
    Problem::validation(format!("There is no association between {from} and {to}"))
}

type End = (Object, u64);

/// All associations of the account.
#[derive(Debug, Default)]
pub(super) struct Links {
    /// From one end to the other, the types' ids; every association is here twice.
    pairs: BTreeMap<(End, End), Vec<u32>>,
}

impl Links {
    /// Adds a type, and with a label also the one without; a new primary one takes the place of the other.
    pub(super) fn add(&mut self, from: End, to: End, (kind, default): (&LinkKind, &LinkKind)) {
        if kind.is_primary() {
            let others: Vec<u64> = self.of(from, to.0).iter().map(|(id, _)| *id).collect();
            for other in others.into_iter().filter(|other| *other != to.1) {
                self.remove(from, (to.0, other), Some(kind));
            }
        }
        for kind in [default, kind] {
            for (pair, id) in [((from, to), kind.id), ((to, from), kind.inverse)] {
                let ids = self.pairs.entry(pair).or_default();
                if !ids.contains(&id) {
                    ids.push(id);
                }
            }
        }
    }

    /// Removes one type, or all of them.
    pub(super) fn remove(&mut self, from: End, to: End, only: Option<&LinkKind>) {
        let ids = [only.map(|kind| kind.id), only.map(|kind| kind.inverse)];
        let pairs = [((from, to), ids[0]), ((to, from), ids[1])];
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
            let first = (from, (Object::Contacts, 0));
            let own = self.pairs.range(first..).take_while(|((end, _), _)| *end == from);
            let ends: Vec<End> = own.map(|((_, to), _)| *to).collect();
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
    default: LinkKind,
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
    let kinds = portal.kinds();
    for (number, row) in rows.iter().enumerate() {
        for link in &row.links {
            for asked in &link.types {
                let fits = |kind: &LinkKind| kind.id == asked.association_type_id;
                let to = portal.objects.iter().copied();
                let to = to.into_iter().find(|to| kinds.between(object, *to).iter().any(fits));
                let to = to.unwrap_or(object);
                let kind = kinds.find((object, to), asked)?;
                let default = kinds.between(object, to).swap_remove(0);
                let end = end(portal, to, &link.to.id.0)?;
                targets.push(Target { row: number, to: end, kind, default });
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
            links.add((object, id), target.to, (&target.kind, &target.default));
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
        let kinds = LinkKinds::of(&Object::STANDARD);
        let both = kinds.between(Object::Contacts, Object::Companies);
        assert_eq!((both[0].id, both[0].inverse), (279, 280));
        links.add(ADA, ACME, (&both[1], &both[0]));
        assert_eq!(links.of(ACME, Object::Contacts), [(1, &[280, 2][..])]);
        let back = kinds.between(Object::Companies, Object::Contacts);
        links.remove(ACME, ADA, Some(&back[1]));
        assert_eq!(links.of(ADA, Object::Companies), [(2, &[279][..])]);
        assert_eq!(links.len(), 1);
        links.forget(Object::Companies, &[2]);
        assert_eq!(links.len(), 0);
    }

    #[test]
    fn a_record_has_one_primary_other() {
        let mut links = Links::default();
        let both = LinkKinds::of(&Object::STANDARD).between(Object::Contacts, Object::Companies);
        links.add(ADA, ACME, (&both[1], &both[0]));
        links.add(ADA, (Object::Companies, 3), (&both[1], &both[0]));
        let found = links.of(ADA, Object::Companies);
        assert_eq!(found, [(2, &[279][..]), (3, &[279, 1][..])]);
    }

    #[test]
    fn a_type_of_the_other_direction_is_refused() {
        let asked = |id| LinkType {
            association_category: super::super::input::Text("HUBSPOT_DEFINED".into()),
            association_type_id: id,
        };
        let kinds = LinkKinds::of(&Object::STANDARD);
        let between = (Object::Contacts, Object::Companies);
        assert!(kinds.find(between, &asked(279)).is_ok());
        assert!(kinds.find(between, &asked(280)).is_err());
    }
}

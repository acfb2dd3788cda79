//! What has to be asked of HubSpot so that its associations are the ones the rows want, and how it is spelled.

use std::collections::{BTreeSet, HashMap};

use writer::encode::push_string;

use super::ways::Way;
use super::wish::Target;

/// Two records, and what is asked about them for a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) row: usize,
    /// The row's record.
    pub(super) from: String,
    /// The other one.
    pub(super) to: String,
    /// The ways, as positions in the target's; empty where it is about all.
    pub(super) ways: Vec<usize>,
}

/// The other records a record is associated with, and the numbers of the ways.
pub(super) type Held = HashMap<String, Vec<u32>>;

/// In the order in which they are taken: what is wrong goes first, so that a limit of HubSpot's leaves room.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Steps {
    pub(super) part: Vec<Pair>,
    pub(super) unlabel: Vec<Pair>,
    pub(super) join: Vec<Pair>,
}

impl Steps {
    /// From what there is to what the rows want. `records`: the rows' own records, none where the row is not to be
    /// associated; `held`: what each of them has already, none where that was not asked.
    pub(super) fn new(
        target: &Target,
        records: &[Option<&str>],
        held: Option<&HashMap<String, Held>>,
    ) -> Self {
        let (mut steps, nothing) = (Self::default(), Held::new());
        for (row, (wish, record)) in target.rows.iter().zip(records).enumerate() {
            let (Some(wish), Some(record)) = (wish, record) else { continue };
            let pair =
                |to: &str, ways| Pair { row, from: (*record).to_owned(), to: to.to_owned(), ways };
            let has = held.map(|held| held.get(*record).unwrap_or(&nothing));
            for (to, ways) in &wish.wanted {
                let has = has.and_then(|has| has.get(to));
                let is_there =
                    |way: &usize| has.is_some_and(|ids| ids.contains(&target.ways[*way].type_id));
                let missing: Vec<usize> =
                    ways.iter().copied().filter(|way| !is_there(way)).collect();
                if !missing.is_empty() {
                    steps.join.push(pair(to, missing));
                }
            }
            let there: BTreeSet<&String> = has.into_iter().flatten().map(|(to, _)| to).collect();
            for to in there {
                let wanted = wish.wanted.get(to);
                if target.replace && wanted.is_none() {
                    steps.part.push(pair(to, Vec::new()));
                    continue;
                }
                let has = has.and_then(|has| has.get(to));
                let stale = |at: &usize| {
                    let way = &target.ways[*at];
                    way.label.is_some()
                        && has.is_some_and(|ids| ids.contains(&way.type_id))
                        && wanted.is_none_or(|wanted| !wanted.contains(at))
                };
                let stale: Vec<usize> = wish.said.iter().copied().filter(stale).collect();
                if !stale.is_empty() {
                    steps.unlabel.push(pair(to, stale));
                }
            }
        }
        steps
    }
}

/// `{"inputs":[{"from":{"id":"1"},"to":{"id":"2"},"types":[...]}]}`, of a new association and of a label taken away.
pub(super) fn typed(pairs: &[Pair], ways: &[Way]) -> Vec<u8> {
    inputs(pairs, |pair, body| {
        body.extend_from_slice(b"\"from\":");
        push_id(&pair.from, body);
        body.extend_from_slice(b",\"to\":");
        push_id(&pair.to, body);
        body.extend_from_slice(b",\"types\":[");
        for (index, way) in pair.ways.iter().enumerate() {
            if index > 0 {
                body.push(b',');
            }
            body.extend_from_slice(b"{\"associationCategory\":");
            push_string(&ways[*way].category, body);
            body.extend_from_slice(
                format!(",\"associationTypeId\":{}}}", ways[*way].type_id).as_bytes(),
            );
        }
        body.push(b']');
    })
}

/// `{"inputs":[{"from":{"id":"1"},"to":[{"id":"2"}]}]}`, of associations taken away altogether.
pub(super) fn parted(pairs: &[Pair]) -> Vec<u8> {
    inputs(pairs, |pair, body| {
        body.extend_from_slice(b"\"from\":");
        push_id(&pair.from, body);
        body.extend_from_slice(b",\"to\":[");
        push_id(&pair.to, body);
        body.push(b']');
    })
}

/// `{"inputs":[{"id":"1","after":"x"}]}`, of a question about what is there.
pub(super) fn asked(records: &[(String, Option<String>)]) -> Vec<u8> {
    inputs(records, |(record, after), body| {
        body.extend_from_slice(b"\"id\":");
        push_string(record, body);
        if let Some(after) = after {
            body.extend_from_slice(b",\"after\":");
            push_string(after, body);
        }
    })
}

fn push_id(id: &str, body: &mut Vec<u8>) {
    body.extend_from_slice(b"{\"id\":");
    push_string(id, body);
    body.push(b'}');
}

fn inputs<T>(items: &[T], push: impl Fn(&T, &mut Vec<u8>)) -> Vec<u8> {
    let mut body = b"{\"inputs\":[".to_vec();
    for (index, item) in items.iter().enumerate() {
        body.extend_from_slice(if index > 0 { b",{" } else { b"{" });
        push(item, &mut body);
        body.push(b'}');
    }
    body.extend_from_slice(b"]}");
    body
}

//! From HubSpot's answers about associations to one outcome per pair of records (D6).

use std::collections::{HashMap, HashSet};

use flow::{Outcome, Result};
use serde::Deserialize;
use writer::Reply;

use super::super::answer::{Complaint, List, Word};
use super::super::classify::Judge;
use super::super::codes::R222_ASSOCIATION;
use super::steps::{Held, Pair};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Made {
    results: List<MadeOne>,
    errors: List<Complaint>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct MadeOne {
    from_object_id: Word,
    to_object_id: Word,
}

/// What became of each pair of a call that makes associations; `None` for one that is made. A pair the answer does not
/// mention is unknown.
///
/// # Errors
/// When the answer cannot be read.
pub(super) fn made(
    reply: &Reply,
    judge: Judge<'_>,
    pairs: &[Pair],
) -> Result<Vec<Option<Outcome>>> {
    let answer: Made = object(reply, judge)?;
    let made: HashSet<(&str, &str)> = answer
        .results
        .0
        .iter()
        .map(|one| (one.from_object_id.as_str(), one.to_object_id.as_str()))
        .collect();
    let mut outcomes: Vec<Option<Option<Outcome>>> =
        pairs.iter().map(|pair| made.contains(&(&*pair.from, &*pair.to)).then_some(None)).collect();
    let mut unnamed = Vec::new();
    for complaint in &answer.errors.0 {
        let mut named = false;
        for (outcome, _) in
            outcomes.iter_mut().zip(pairs).filter(|(_, pair)| is_about(complaint, pair))
        {
            named = true;
            *outcome = Some(Some(match outcome {
                Some(None) => Outcome::Unknown { reason: "more than one answer" },
                _ => refusal(judge, complaint),
            }));
        }
        if !named {
            unnamed.push(complaint);
        }
    }
    // An error that names nobody is about the only pair that is left over, where there is only one.
    let mut left = outcomes.iter_mut().filter(|outcome| outcome.is_none());
    if let ([complaint], Some(outcome), None) = (&*unnamed, left.next(), left.next()) {
        *outcome = Some(Some(refusal(judge, complaint)));
    }
    let unknown = || Some(Outcome::Unknown { reason: "no answer for the association" });
    Ok(outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(unknown)).collect())
}

/// Whether an error is about these two records: named from both ends, from one, or by the id of either.
fn is_about(complaint: &Complaint, pair: &Pair) -> bool {
    let context = &complaint.context;
    let (from, to) = (&context.from_ids, &context.to_ids);
    if from.len() > 1 && from.len() == to.len() {
        return from.iter().zip(to).any(|(from, to)| (from, to) == (&pair.from, &pair.to));
    }
    if from.is_empty() && to.is_empty() {
        return context.ids.contains(&pair.from) || context.ids.contains(&pair.to);
    }
    (from.is_empty() || from.contains(&pair.from)) && (to.is_empty() || to.contains(&pair.to))
}

/// As for a row, but with the code that says that the record itself is written.
fn refusal(judge: Judge<'_>, complaint: &Complaint) -> Outcome {
    match judge.row(complaint) {
        Outcome::Rejected { message, .. } => {
            Outcome::Rejected { code: &R222_ASSOCIATION, message, field: None }
        }
        outcome => outcome,
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Found {
    results: List<FoundOne>,
    errors: List<Complaint>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct FoundOne {
    from: Id,
    to: List<FoundTo>,
    paging: Paging,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Id {
    id: Word,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct FoundTo {
    to_object_id: Word,
    association_types: List<FoundType>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct FoundType {
    type_id: Word,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Paging {
    next: Next,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Next {
    after: Word,
}

/// Adds what an answer says each record is associated with. Records that have more, with where to go on; records HubSpot
/// says nothing about have nothing, unless it says that it could not look.
///
/// # Errors
/// When the answer cannot be read, or HubSpot could not look at every record.
pub(super) fn found(
    reply: &Reply,
    judge: Judge<'_>,
    held: &mut HashMap<String, Held>,
) -> Result<Vec<(String, Option<String>)>> {
    let answer: Found = object(reply, judge)?;
    let nothing = |complaint: &Complaint| {
        complaint.category.as_str() == "OBJECT_NOT_FOUND"
            || complaint.sub_category.as_str().contains("NO_ASSOCIATIONS")
    };
    if !answer.errors.0.iter().all(nothing) {
        return Err(judge.unreadable(reply));
    }
    let mut more = Vec::new();
    for one in answer.results.0 {
        let Some(record) = one.from.id.0 else { return Err(judge.unreadable(reply)) };
        let known = held.entry(record.clone()).or_default();
        for to in one.to.0 {
            let ids = to
                .association_types
                .0
                .iter()
                .filter_map(|one| one.type_id.as_str().parse::<u32>().ok());
            known.entry(to.to_object_id.as_str().to_owned()).or_default().extend(ids);
        }
        if let Some(after) = one.paging.next.after.0 {
            more.push((record, Some(after)));
        }
    }
    Ok(more)
}

/// An answer that is a JSON object.
///
/// # Errors
/// When it is anything else.
pub(in super::super) fn object<T: for<'de> Deserialize<'de>>(
    reply: &Reply,
    judge: Judge<'_>,
) -> Result<T> {
    // An HTML page or a cut body is no JSON object; `[]` would pass for an empty one.
    if reply.fault.is_some() || reply.body.trim_ascii_start().first() != Some(&b'{') {
        return Err(judge.unreadable(reply));
    }
    serde_json::from_slice(&reply.body).map_err(|_| judge.unreadable(reply))
}

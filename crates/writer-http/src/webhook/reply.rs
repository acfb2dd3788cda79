//! From a success to one outcome per row, by the places the connection names.

use std::collections::HashMap;

use flow::{Error, Outcome, Receipt, Result};
use serde_json::Value as Json;
use writer::{Outcomes, Reply};

use super::classify::Judge;
use super::codes::E2132_REPLY;
use super::options::{Meaning, ReplyOptions};
use super::row::Rows;

/// Longest record id that is kept.
const ID_CHARS_MAX: usize = 256;

/// Reads the answer about `sent`, rows of the batch in the order of the request; outcomes are in that order.
///
/// # Errors
/// When the answer cannot be read; then any of the rows may have been applied.
pub(super) fn receipt(
    reply: &Reply,
    judge: Judge<'_>,
    options: &ReplyOptions,
    (rows, sent): (&Rows<'_>, &[usize]),
) -> Result<Receipt> {
    let unreadable = |what: &str| {
        let retry = flow::Retry::Backoff;
        Err(Error::new(&E2132_REPLY, format!("the API answered {}, but {what}", reply.status))
            .with_retry(retry)
            .ambiguous())
    };
    if let Some(fault) = reply.fault {
        return unreadable(fault);
    }
    let Ok(answer) = serde_json::from_slice::<Json>(&reply.body) else {
        return unreadable("its body is not JSON");
    };
    let results: Vec<&Json> = match &options.rows {
        None => vec![&answer],
        Some(place) => match answer.pointer(place).and_then(Json::as_array) {
            Some(list) => list.iter().collect(),
            None => return unreadable("there is no list at `reply.rows`"),
        },
    };
    let by_position = options.index.is_none() && options.key.is_none();
    let mut outcomes = Outcomes::new(sent.len());
    if by_position && results.len() != sent.len() {
        // Nobody can say which of the rows an answer of another length leaves out.
        return Ok(outcomes.receipt("the answer has another number of results"));
    }
    let addresses = options.key.as_ref().map(|_| by_address(rows, sent));
    for (position, result) in results.into_iter().enumerate() {
        let row = match (&options.index, &options.key) {
            (Some(place), _) => result.pointer(place).and_then(number),
            (None, Some(place)) => result
                .pointer(place)
                .and_then(text)
                .and_then(|key| addresses.as_ref()?.get(&key).copied().flatten()),
            (None, None) => Some(position),
        };
        outcomes.set(row, outcome(result, reply.status, judge, options));
    }
    if outcomes.strangers() > 0 {
        tracing::warn!(
            answers = outcomes.strangers(),
            "the API answered about rows it was not sent"
        );
    }
    let mut receipt = outcomes.receipt("no answer for the row");
    for (outcome, row) in receipt.outcomes.iter_mut().zip(sent) {
        if let Outcome::Delivered { remote_id, .. } = outcome
            && remote_id.is_none()
        {
            *remote_id = rows.address(*row);
        }
    }
    Ok(receipt)
}

/// The outcome of the only row of a call that was refused; `message` and `field` may be in the answer, too.
pub(super) fn refusal(
    reply: &Reply,
    judge: Judge<'_>,
    options: Option<&ReplyOptions>,
    meaning: Meaning,
) -> Outcome {
    let answer = serde_json::from_slice::<Json>(&reply.body).unwrap_or_default();
    let at = |place: Option<&String>| {
        answer.pointer(place?).and_then(text).map(|text| judge.clean(&text))
    };
    let message = at(options.and_then(|options| options.message.as_ref()));
    let field = at(options.and_then(|options| options.field.as_ref()));
    judge.outcome(meaning, message.unwrap_or_else(|| judge.reason(reply)), field)
}

/// Rows by what they are found by; `None` where two are.
fn by_address(rows: &Rows<'_>, sent: &[usize]) -> HashMap<String, Option<usize>> {
    let mut known = HashMap::new();
    for (position, row) in sent.iter().enumerate() {
        let Some(address) = rows.address(*row) else { continue };
        known.entry(address).and_modify(|seen| *seen = None).or_insert(Some(position));
    }
    known
}

fn outcome(result: &Json, status: u16, judge: Judge<'_>, options: &ReplyOptions) -> Outcome {
    let at = |place: &Option<String>| place.as_ref().and_then(|place| result.pointer(place));
    let error = at(&options.error).filter(|value| is_given(value));
    let meaning = match at(&options.status).and_then(number) {
        Some(status) => judge.meaning_of_result(u16::try_from(status).unwrap_or(0), result),
        None if options.status.is_some() => Meaning::Unknown,
        None if error.is_some() => judge.rule_of_text(status, result).unwrap_or(Meaning::Invalid),
        None => Meaning::Delivered,
    };
    let meaning = match (meaning, error) {
        (Meaning::Delivered, Some(_)) => {
            judge.rule_of_text(status, result).unwrap_or(Meaning::Invalid)
        }
        (meaning, _) => meaning,
    };
    let message = at(&options.message)
        .or(error)
        .map(|value| text(value).unwrap_or_else(|| value.to_string()));
    let field = at(&options.field).and_then(text).map(|field| judge.clean(&field));
    match judge.outcome(meaning, judge.clean(&message.unwrap_or_default()), field) {
        Outcome::Delivered { .. } => Outcome::Delivered {
            created: at(&options.created).and_then(Json::as_bool),
            remote_id: at(&options.id).and_then(text).filter(|id| is_id(id)),
        },
        outcome => outcome,
    }
}

fn is_given(value: &Json) -> bool {
    match value {
        Json::Null | Json::Bool(false) => false,
        Json::String(text) => !text.is_empty(),
        Json::Array(items) => !items.is_empty(),
        Json::Object(members) => !members.is_empty(),
        Json::Number(number) => number.as_f64() != Some(0.0),
        Json::Bool(true) => true,
    }
}

fn is_id(id: &str) -> bool {
    (1..=ID_CHARS_MAX).contains(&id.chars().count()) && !id.chars().any(char::is_control)
}

fn text(value: &Json) -> Option<String> {
    match value {
        Json::String(text) => Some(text.clone()),
        Json::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn number(value: &Json) -> Option<usize> {
    match value {
        Json::String(text) => text.parse().ok(),
        value => value.as_u64().and_then(|number| usize::try_from(number).ok()),
    }
}

//! Queries: records by conditions, 2,000 to a page.

use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use axum::extract::{Path, Query as Params, State};
use serde_json::{Map, Value, json};

use super::org::{Org, members};
use super::reply::{Answer, Problem, answer};
use super::schema::{Kind, Object};
use super::soql::{Condition, Literal, Query, parse};
use super::store::Store;

/// Records of a page.
const PAGE: usize = 2_000;

type Stores = HashMap<String, Store>;

pub(super) async fn query(
    State(org): State<Arc<Org>>,
    Params(params): Params<HashMap<String, String>>,
) -> Answer {
    let text = params.get("q").ok_or_else(|| Problem::bad("MALFORMED_QUERY", "q is missing"))?;
    page(&org, text, 0)
}

/// The next page: the locator is the query itself and a position.
pub(super) async fn more(
    State(org): State<Arc<Org>>,
    Path((_, locator)): Path<(String, String)>,
) -> Answer {
    let wrong = || Problem::bad("INVALID_QUERY_LOCATOR", "invalid query locator");
    let (hex, from) = locator.rsplit_once('-').ok_or_else(wrong)?;
    let from = from.parse().map_err(|_| wrong())?;
    let bytes: Option<Vec<u8>> = hex
        .as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect();
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(wrong)?;
    page(&org, &text, from)
}

fn page(org: &Org, text: &str, from: usize) -> Answer {
    let query = parse(text).map_err(|why| Problem::bad("MALFORMED_QUERY", why))?;
    let object = org.find(&query.object).ok_or_else(|| {
        Problem::bad("INVALID_TYPE", format!("sObject type '{}' is not supported.", query.object))
    })?;
    let stores = org.stores();
    let view = View { org, stores: &stores, object: &object };
    view.check(&query)?;
    let places = view.find(&query);
    let total = places.len();
    if query.fields.is_empty() {
        return Ok(answer(200, &json!({ "totalSize": total, "done": true, "records": [] })));
    }
    let shown = places.iter().skip(from).take(PAGE);
    let records: Vec<Value> = shown.map(|place| view.shown(&query, *place)).collect();
    let next = from + records.len();
    let mut body = json!({ "totalSize": total, "done": next >= total, "records": records });
    if next < total {
        let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
        body["nextRecordsUrl"] = format!("/services/data/v62.0/query/{hex}-{next}").into();
    }
    Ok(answer(200, &body))
}

struct View<'a> {
    org: &'a Org,
    stores: &'a Stores,
    object: &'a Object,
}

impl View<'_> {
    /// Refuses fields that do not exist, and literals of another type.
    fn check(&self, query: &Query) -> Result<(), Problem> {
        for field in query.fields.iter().chain(query.order.iter().map(|(field, _)| field)) {
            self.kind(field)?;
        }
        query.condition.as_ref().map_or(Ok(()), |condition| self.check_condition(condition))
    }

    fn kind(&self, name: &str) -> Result<Kind, Problem> {
        let unknown = || {
            let message = format!("No such column '{name}' on entity '{}'", self.object.name);
            Problem::bad("INVALID_FIELD", message)
        };
        let (object, name) = match name.split_once('.') {
            None => (self.object.clone(), name),
            Some((relationship, name)) => {
                let (_, to) = self.object.parent(relationship).ok_or_else(unknown)?;
                (self.org.find(to).ok_or_else(unknown)?, name)
            }
        };
        if name.eq_ignore_ascii_case("Id") {
            return Ok(Kind::Text("id"));
        }
        object.find(name).map(|(_, field)| field.kind.clone()).ok_or_else(unknown)
    }

    fn check_condition(&self, condition: &Condition) -> Result<(), Problem> {
        let fits = |field: &str, value: &Literal| -> Result<(), Problem> {
            let quoted = !matches!(
                self.kind(field)?,
                Kind::Number(_) | Kind::Boolean | Kind::Date | Kind::DateTime
            );
            let good = match value {
                Literal::Null => true,
                Literal::Text(_) => quoted,
                Literal::Bare(_) => !quoted,
            };
            let message =
                format!("value of filter criterion for field '{field}' must be of another type");
            if good { Ok(()) } else { Err(Problem::bad("INVALID_FIELD", message)) }
        };
        match condition {
            Condition::And(parts) | Condition::Or(parts) => {
                parts.iter().try_for_each(|part| self.check_condition(part))
            }
            Condition::Not(inner) => self.check_condition(inner),
            Condition::Is { field, value, .. } => fits(field, value),
            Condition::In { field, values, .. } => {
                values.iter().try_for_each(|value| fits(field, value))
            }
        }
    }

    fn find(&self, query: &Query) -> Vec<usize> {
        let Some(store) = self.stores.get(&self.object.name) else { return Vec::new() };
        let candidates =
            query.condition.as_ref().and_then(|condition| self.candidates(store, condition));
        let all = || (0..store.records.len()).collect();
        let places: Vec<usize> = candidates.map_or_else(all, |places| places.into_iter().collect());
        let mut found: Vec<usize> = places
            .into_iter()
            .filter(|place| !store.records[*place].deleted)
            .filter(|place| {
                query.condition.as_ref().is_none_or(|condition| self.holds(*place, condition))
            })
            .collect();
        for (field, down) in query.order.iter().rev() {
            found.sort_by(|a, b| {
                let order = compare(&self.value(*a, field), &self.value(*b, field));
                if *down { order.reverse() } else { order }
            });
        }
        let limit = query.limit.unwrap_or(usize::MAX);
        found.into_iter().skip(query.offset).take(limit).collect()
    }

    /// The only records that can match, where an index knows them.
    fn candidates(&self, store: &Store, condition: &Condition) -> Option<BTreeSet<usize>> {
        let equal = |field: &str, value: &Literal| -> Option<BTreeSet<usize>> {
            let Literal::Text(text) = value else { return None };
            if field.eq_ignore_ascii_case("Id") {
                return Some(store.by_id(self.object, text).into_iter().collect());
            }
            let (place, field) = self.object.find(field)?;
            field
                .finds()
                .then(|| store.holders(place, text).iter().map(|at| *at as usize).collect())
        };
        match condition {
            Condition::Is { field, operator, value } if operator == "=" => equal(field, value),
            Condition::In { field, not: false, values } => {
                let sets: Option<Vec<_>> = values.iter().map(|value| equal(field, value)).collect();
                Some(sets?.into_iter().flatten().collect())
            }
            Condition::Or(parts) => {
                let sets: Option<Vec<_>> =
                    parts.iter().map(|part| self.candidates(store, part)).collect();
                Some(sets?.into_iter().flatten().collect())
            }
            Condition::And(parts) => parts.iter().find_map(|part| self.candidates(store, part)),
            _ => None,
        }
    }

    fn holds(&self, place: usize, condition: &Condition) -> bool {
        match condition {
            Condition::And(parts) => parts.iter().all(|part| self.holds(place, part)),
            Condition::Or(parts) => parts.iter().any(|part| self.holds(place, part)),
            Condition::Not(inner) => !self.holds(place, inner),
            Condition::In { field, not, values } => {
                let held = self.value(place, field);
                values.iter().any(|value| equals(&held, value)) != *not
            }
            Condition::Is { field, operator, value } => {
                let held = self.value(place, field);
                match operator.as_str() {
                    "=" => equals(&held, value),
                    "!=" => !equals(&held, value),
                    "like" => like(&held, value),
                    sign => {
                        let order = compare(&held, &json_of(value));
                        !held.is_null()
                            && match sign {
                                "<" => order.is_lt(),
                                "<=" => order.is_le(),
                                ">" => order.is_gt(),
                                _ => order.is_ge(),
                            }
                    }
                }
            }
        }
    }

    /// A field's value, or a parent's.
    fn value(&self, place: usize, name: &str) -> Value {
        let Some(store) = self.stores.get(&self.object.name) else { return Value::Null };
        let Some((relationship, name)) = name.split_once('.') else {
            return own(self.object, store, place, name);
        };
        let Some((reference, to)) = self.object.parent(relationship) else { return Value::Null };
        let Some(to) = self.org.find(to) else { return Value::Null };
        let id = store.records[place].get(reference).map(super::value::Held::text);
        let parent = self.stores.get(&to.name);
        match parent.zip(id).and_then(|(parent, id)| Some((parent, parent.by_id(&to, &id)?))) {
            Some((parent, place)) => own(&to, parent, place, name),
            None => Value::Null,
        }
    }

    fn shown(&self, query: &Query, place: usize) -> Value {
        let mut record = Map::new();
        record.insert("attributes".to_owned(), json!({ "type": self.object.name }));
        for name in &query.fields {
            let value = self.value(place, name);
            match name.split_once('.') {
                None => {
                    let name =
                        self.object.find(name).map_or("Id", |(_, field)| field.name.as_str());
                    record.insert(name.to_owned(), value);
                }
                Some((parent, name)) => {
                    let inner = record.entry(parent.to_owned()).or_insert_with(|| json!({}));
                    inner[name] = value;
                }
            }
        }
        Value::Object(record)
    }
}

fn own(object: &Object, store: &Store, place: usize, name: &str) -> Value {
    if name.eq_ignore_ascii_case("Id") {
        return store.id(object, place).into();
    }
    match object.find(name) {
        Some((_, field)) if field.name.ends_with("Date") && field.read_only => {
            members(object, store, place).remove(&field.name).unwrap_or(Value::Null)
        }
        Some((index, _)) => {
            store.records[place].get(index).map_or(Value::Null, super::value::Held::json)
        }
        None => Value::Null,
    }
}

fn json_of(value: &Literal) -> Value {
    match value {
        Literal::Null => Value::Null,
        Literal::Text(text) => Value::from(text.as_str()),
        Literal::Bare(text) => {
            serde_json::from_str(text).unwrap_or_else(|_| Value::from(text.as_str()))
        }
    }
}

/// Text is equal without its letter case; moments by their instant.
fn equals(held: &Value, value: &Literal) -> bool {
    match (held, value) {
        (Value::Null, Literal::Null) => true,
        // Ids of 15 and of 18 characters are one.
        (Value::String(held), Literal::Text(text)) => {
            held.to_lowercase() == text.to_lowercase()
                || (super::id::is_id(held) && text.len() == 15 && held.starts_with(text.as_str()))
        }
        (Value::Null, _) | (_, Literal::Null) => false,
        _ => compare(held, &json_of(value)).is_eq(),
    }
}

fn compare(a: &Value, b: &Value) -> Ordering {
    let moment = |text: &str| {
        let known = chrono::DateTime::parse_from_rfc3339(text)
            .or_else(|_| chrono::DateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f%z"));
        known.ok().map(|at| at.timestamp_micros())
    };
    match (a, b) {
        (Value::Null, Value::Null) => Ordering::Equal,
        (Value::Null, _) => Ordering::Less,
        (_, Value::Null) => Ordering::Greater,
        (Value::Number(a), Value::Number(b)) => {
            a.as_f64().partial_cmp(&b.as_f64()).unwrap_or(Ordering::Equal)
        }
        (Value::String(a), Value::String(b)) => match (moment(a), moment(b)) {
            (Some(a), Some(b)) => a.cmp(&b),
            _ => a.to_lowercase().cmp(&b.to_lowercase()),
        },
        (a, b) => a.to_string().cmp(&b.to_string()),
    }
}

/// `%` stands for any text; other patterns are not played.
fn like(held: &Value, value: &Literal) -> bool {
    let (Value::String(held), Literal::Text(pattern)) = (held, value) else { return false };
    let (held, pattern) = (held.to_lowercase(), pattern.to_lowercase());
    let parts: Vec<&str> = pattern.split('%').collect();
    let (first, last) = (parts[0], parts[parts.len() - 1]);
    if parts.len() == 1 {
        return held == pattern;
    }
    if !held.starts_with(first) || !held.ends_with(last) || held.len() < first.len() + last.len() {
        return false;
    }
    let mut rest = &held[first.len()..held.len() - last.len()];
    parts[1..parts.len() - 1].iter().all(|part| match rest.find(part) {
        Some(at) => {
            rest = &rest[at + part.len()..];
            true
        }
        None => false,
    })
}

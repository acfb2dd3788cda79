//! Creates, updates and upserts rows: the whole call is checked first, then it is applied in one go.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap, HashSet};

use simulator::{Call, RowFault};

use super::input::{NewLink, Text, Values};
use super::link;
use super::object::Object;
use super::portal::Portal;
use super::reply::Problem;
use super::schema::{Kind, Schema};
use super::store::{Change, Store};
use super::value::{self, Invalid};

/// What a call does with its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Create,
    Update,
    Upsert,
}

/// What one call is about.
#[derive(Clone, Copy)]
pub(super) struct Work<'a> {
    pub(super) portal: &'a Portal,
    pub(super) object: Object,
    pub(super) call: &'a Call,
    pub(super) verb: Verb,
}

/// How a row names its record.
#[derive(Debug)]
pub(super) enum Key<'a> {
    New,
    RecordId(Cow<'a, str>),
    Unique(u16, Cow<'a, str>),
}

/// One row on its way in.
#[derive(Debug)]
pub(super) struct Row<'a> {
    pub(super) trace: Option<Cow<'a, str>>,
    pub(super) key: Key<'a>,
    pub(super) changes: Vec<(u16, Cow<'a, str>)>,
    pub(super) links: Vec<NewLink<'a>>,
    invalid: Vec<Invalid>,
    refused: Option<Refused>,
}

/// Why one row did not land.
#[derive(Debug, Clone)]
pub(super) struct Refused {
    pub(super) category: String,
    pub(super) message: String,
    /// The id that was not found, when that is the reason.
    pub(super) missing: Option<String>,
}

/// Where one row landed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Done {
    pub(super) id: u64,
    pub(super) new: bool,
    pub(super) created_ms: i64,
    pub(super) updated_ms: i64,
}

/// A row as it was sent.
pub(super) struct Sent<'a> {
    pub(super) id: Option<Text<'a>>,
    pub(super) id_property: Option<Text<'a>>,
    pub(super) trace: Option<Text<'a>>,
    pub(super) values: Values<'a>,
    pub(super) links: Vec<NewLink<'a>>,
}

/// Reads the rows against the schema, and asks the fault script about each.
///
/// # Errors
/// Everything that refuses the whole call before records are looked at.
pub(super) fn prepare<'a>(work: Work<'_>, sent: Vec<Sent<'a>>) -> Result<Vec<Row<'a>>, Problem> {
    let Work { portal, object, call, verb } = work;
    let schema = portal.schema(object);
    let mut rows = Vec::with_capacity(sent.len());
    for one in sent {
        let fault = if call.has_row_faults() { row_fault(call, &one) } else { None };
        let mut row = row(&schema, verb, one)?;
        match fault {
            Some(RowFault::Poison(409)) => return Err(conflict(object, None)),
            Some(RowFault::Poison(status)) => {
                let problem = Problem::validation("The batch holds a row that cannot be processed");
                return Err(Problem { status, ..problem });
            }
            Some(RowFault::Reject { category, message }) => {
                row.refused = Some(Refused {
                    category: category.unwrap_or_else(|| "VALIDATION_ERROR".to_owned()),
                    message: message.unwrap_or_else(|| "The row was refused".to_owned()),
                    missing: None,
                });
            }
            None => {}
        }
        rows.push(row);
    }
    whole_call(&rows)?;
    for row in &mut rows {
        if row.refused.is_none() && !row.invalid.is_empty() {
            row.refused = Some(Refused {
                category: "VALIDATION_ERROR".to_owned(),
                message: value::sentence(&row.invalid),
                missing: None,
            });
        }
    }
    Ok(rows)
}

fn row_fault(call: &Call, sent: &Sent<'_>) -> Option<RowFault> {
    call.row_fault(|field| match field {
        "id" => sent.id.as_ref().map(|id| &*id.0),
        _ => sent.values.0.iter().find(|(name, _)| name == field).map(|(_, value)| &**value),
    })
}

fn row<'a>(schema: &Schema, verb: Verb, sent: Sent<'a>) -> Result<Row<'a>, Problem> {
    let mut row = Row {
        trace: sent.trace.map(|Text(trace)| trace),
        key: Key::New,
        changes: Vec::with_capacity(sent.values.0.len() + 1),
        links: sent.links,
        invalid: Vec::new(),
        refused: None,
    };
    for (name, value) in sent.values.0 {
        let Some((index, property)) = schema.find(&name) else {
            row.invalid.push(Invalid::unknown(&name));
            continue;
        };
        match value::check(property, value) {
            Ok(value) => row.changes.push((index, value)),
            Err(invalid) => row.invalid.push(invalid),
        }
    }
    let Some(Text(id)) = sent.id else { return Ok(row) };
    if id.is_empty() {
        return Err(Problem::validation("Invalid input: `id` must not be empty"));
    }
    let Some(Text(name)) = sent.id_property.filter(|name| name.0 != "hs_object_id") else {
        row.key = Key::RecordId(id);
        return Ok(row);
    };
    let index = identifying(schema, verb, &name)?;
    match value::check(schema.at(index), id.clone()) {
        Ok(id) => {
            if verb == Verb::Upsert && !row.changes.iter().any(|(known, _)| *known == index) {
                row.changes.push((index, id.clone()));
            }
            row.key = Key::Unique(index, id);
        }
        Err(invalid) => {
            row.key = Key::Unique(index, id);
            if !row.invalid.contains(&invalid) {
                row.invalid.push(invalid);
            }
        }
    }
    Ok(row)
}

/// The property rows are found by; an update cannot use one that is not declared unique.
fn identifying(schema: &Schema, verb: Verb, name: &str) -> Result<u16, Problem> {
    let Some((index, property)) = schema.find(name) else {
        return Err(Problem::validation(value::sentence(&[Invalid::unknown(name)])));
    };
    let fits = if verb == Verb::Upsert { schema.identifies(index) } else { property.unique };
    if fits {
        return Ok(index);
    }
    Err(Problem::validation(format!(
        "Unable to perform update/upsert by non-unique {} property {name}",
        schema.object().type_id()
    )))
}

/// Duplicates, and values that refuse the call whichever row they came with.
fn whole_call(rows: &[Row<'_>]) -> Result<(), Problem> {
    let mut seen = HashSet::with_capacity(rows.len());
    let mut twice = BTreeSet::new();
    for row in rows {
        let key = match &row.key {
            Key::New => continue,
            Key::RecordId(id) => (u16::MAX, id.to_lowercase()),
            Key::Unique(index, id) => (*index, id.to_lowercase()),
        };
        if let Some(again) = seen.replace(key) {
            twice.insert(again.1);
        }
    }
    if !twice.is_empty() {
        let ids: Vec<String> = twice.into_iter().collect();
        let list = ids.join(", ");
        let message = format!("Duplicate IDs found in batch input: [{list}]. IDs must be unique");
        let context = serde_json::json!({ "context": { "ids": ids } });
        return Err(Problem::validation(message).with(context));
    }
    let mut fatal: Vec<Invalid> = Vec::new();
    for invalid in rows.iter().flat_map(|row| &row.invalid).filter(|invalid| invalid.whole_call) {
        if !fatal.contains(invalid) {
            fatal.push(invalid.clone());
        }
    }
    if fatal.is_empty() { Ok(()) } else { Err(Problem::validation(value::sentence(&fatal))) }
}

/// Whether the answer may be a 207: only with an `objectWriteTraceId` of its own for every row.
fn multi_status(rows: &[Row<'_>]) -> bool {
    let traces: HashSet<&str> = rows.iter().filter_map(|row| row.trace.as_deref()).collect();
    traces.len() == rows.len()
}

/// Applies the rows; a conflict refuses them all, and so does a bad row that cannot be named.
///
/// # Errors
/// Everything that refuses the whole call.
pub(super) fn apply(
    work: Work<'_>,
    rows: &mut [Row<'_>],
) -> Result<Vec<Result<Done, Refused>>, Problem> {
    let Work { portal, object, call, verb } = work;
    let refused = rows.iter().find_map(|row| row.refused.as_ref());
    if let Some(refused) = refused
        && !multi_status(rows)
    {
        return Err(Problem::new(400, &refused.category, refused.message.clone()));
    }
    let targets = link::targets(portal, object, rows)?;
    let schema = portal.schema(object);
    let mut store = portal.store(object);
    let steps = plan(&schema, &store, rows, verb)?;
    let now_ms = call.arrived().unix_ms;
    let mut ground = Ground { schema: &schema, store: &mut store, now_ms };
    let done: Vec<Result<Done, Refused>> = rows
        .iter_mut()
        .zip(steps)
        .map(|(row, step)| {
            let step = step?;
            Ok(ground.land(row, step))
        })
        .collect();
    drop(store);
    let landed = |result: &Result<Done, Refused>| result.as_ref().ok().map(|done| done.id);
    link::attach(portal, object, targets, |row| done.get(row).and_then(landed));
    Ok(done)
}

/// The record a row goes to; none is a new one.
type Step = Option<u32>;

fn plan(
    schema: &Schema,
    store: &Store,
    rows: &[Row<'_>],
    verb: Verb,
) -> Result<Vec<Result<Step, Refused>>, Problem> {
    let object = schema.object();
    let mut claimed: HashMap<(u16, String), (usize, Step)> = HashMap::with_capacity(rows.len());
    let mut steps = Vec::with_capacity(rows.len());
    for (number, row) in rows.iter().enumerate() {
        if let Some(refused) = &row.refused {
            steps.push(Err(refused.clone()));
            continue;
        }
        let step = match find(store, row, verb) {
            Ok(step) => step,
            Err(id) => {
                steps.push(Err(missing(object, id)));
                continue;
            }
        };
        if step.is_none()
            && let Some(refused) = incomplete(schema, row)
        {
            steps.push(Err(refused));
            continue;
        }
        for (property, text) in store.claims(&row.changes, |index| schema.identifies(index)) {
            let holder = store.holder(property, text);
            if holder.is_some() && holder != step {
                return Err(conflict(object, holder.map(|position| store.id(position))));
            }
            let other = claimed.insert((property, text.to_owned()), (number, step));
            if let Some((row, target)) = other
                && row != number
                && (target.is_none() || target != step)
            {
                return Err(conflict(object, None));
            }
        }
        steps.push(Ok(step));
    }
    Ok(steps)
}

fn find(store: &Store, row: &Row<'_>, verb: Verb) -> Result<Step, String> {
    let (found, id) = match &row.key {
        Key::New => return Ok(None),
        Key::RecordId(id) => (store.live(id), id),
        Key::Unique(index, id) => match (store.holder(*index, id), verb) {
            (None, Verb::Upsert) => return Ok(None),
            (found, _) => (found, id),
        },
    };
    found.map(Some).ok_or_else(|| id.clone().into_owned())
}

/// The records while rows land on them.
struct Ground<'a> {
    schema: &'a Schema,
    store: &'a mut Store,
    now_ms: i64,
}

impl Ground<'_> {
    fn land(&mut self, row: &mut Row<'_>, step: Step) -> Done {
        complete(self.schema, self.store, row, step);
        let claims = self.store.claims(&row.changes, |index| self.schema.identifies(index));
        let change = Change { values: &row.changes, claims: &claims, now_ms: self.now_ms };
        let position = match step {
            Some(position) => {
                self.store.update(position, &change);
                position
            }
            None => self.store.create(&change),
        };
        let record = self.store.at(position);
        Done {
            id: self.store.id(position),
            new: step.is_none(),
            created_ms: record.created_ms,
            updated_ms: record.updated_ms,
        }
    }
}

/// Works out the values that depend on what the record held before.
fn complete(schema: &Schema, store: &Store, row: &mut Row<'_>, step: Step) {
    let fields = step.map(|position| &store.at(position).fields);
    let before = |index| fields.and_then(|fields| fields.get(index));
    for (index, text) in &mut row.changes {
        if text.starts_with(';') && schema.at(*index).kind == Kind::Choices {
            *text = value::added(before(*index), text).into();
        }
    }
    if let (Key::Unique(index, id), Some(_)) = (&row.key, step)
        && before(*index) != Some(id)
    {
        // Found by a further address: the address it was found by does not become the main one.
        row.changes.retain(|(changed, text)| changed != index || text != id);
    }
    let Some((extra, _)) = schema.find("hs_additional_emails") else { return };
    let Some(held) = before(extra) else { return };
    let main = row.changes.iter().find(|(index, _)| schema.at(*index).kind == Kind::Email);
    let untouched = row.changes.iter().all(|(index, _)| *index != extra);
    if let Some((_, main)) = main
        && untouched
        && held.split(';').any(|further| further == main)
    {
        // A further address that becomes the main one is no further address any more.
        let kept: Vec<&str> = held.split(';').filter(|further| further != main).collect();
        row.changes.push((extra, kept.join(";").into()));
    }
}

/// A new record without a property its object cannot do without.
fn incomplete(schema: &Schema, row: &Row<'_>) -> Option<Refused> {
    let object = schema.object();
    let is_set = |name: &str| {
        let set = |(index, value): &(u16, Cow<'_, str>)| {
            schema.at(*index).name == name && !value.is_empty()
        };
        row.changes.iter().any(set)
    };
    let lacking = object.required().iter().find(|name| !is_set(name))?;
    let name = object.name().to_uppercase();
    let message =
        format!("Error creating {name}. Some required properties were not set: {lacking}");
    Some(Refused { category: "VALIDATION_ERROR".to_owned(), message, missing: None })
}

fn missing(object: Object, id: String) -> Refused {
    let name = object.singular().to_uppercase();
    Refused {
        category: "OBJECT_NOT_FOUND".to_owned(),
        message: format!(
            "Could not get some {name} objects, they may be deleted or not exist. Check that ids \
             are valid."
        ),
        missing: Some(id),
    }
}

fn conflict(object: Object, id: Option<u64>) -> Problem {
    let name = object.singular();
    let message = match id {
        Some(id) => format!("{name} already exists. Existing ID: {id}"),
        None => format!("{name} already exists."),
    };
    Problem::new(409, "CONFLICT", message)
}

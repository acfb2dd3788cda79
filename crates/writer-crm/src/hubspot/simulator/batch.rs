//! The batch routes: up to 100 rows a call, answered in an order of HubSpot's own.

use std::io::Write as _;
use std::sync::Arc;

use axum::extract::{Path, State};
use serde_json::{Value, json};
use simulator::Call;

use super::body::Posted;
use super::input::{self, CreateInput, Id, Inputs, ReadInputs, Text, UpsertInput};
use super::object::Object;
use super::portal::{Portal, name_of};
use super::reply::{
    Answer, Frame, Problem, close_batch, no_content, open_batch, push_pair, push_text, row_error,
};
use super::schema::{Origin, Schema};
use super::time::iso;
use super::view::View;
use super::write::{Done, Refused, Row, Sent, Verb, Work, apply, prepare};

/// Rows a batch call may hold.
pub(super) const ROWS_MAX: usize = 100;

/// Counts the rows for the journal and refuses none or too many.
pub(super) fn count(call: &Call, rows: usize, rows_max: usize) -> Result<(), Problem> {
    call.set_rows(rows);
    match rows {
        0 => Err(Problem::validation("No inputs were provided")),
        _ if rows > rows_max => Err(Problem::validation(format!(
            "The number of inputs in a batch cannot exceed {rows_max}, but there were {rows}"
        ))),
        _ => Ok(()),
    }
}

pub(super) async fn upsert(
    State(portal): State<Arc<Portal>>,
    Path(object): Path<String>,
    Posted { call, bytes }: Posted,
) -> Answer {
    let object = portal.object(&object)?;
    named(Work { portal: &portal, object, call: &call, verb: Verb::Upsert }, &bytes)
}

pub(super) async fn update(
    State(portal): State<Arc<Portal>>,
    Path(object): Path<String>,
    Posted { call, bytes }: Posted,
) -> Answer {
    let object = portal.object(&object)?;
    named(Work { portal: &portal, object, call: &call, verb: Verb::Update }, &bytes)
}

fn named(work: Work<'_>, bytes: &[u8]) -> Answer {
    let body: Inputs<UpsertInput<'_>> = input::parse(bytes).map_err(Problem::validation)?;
    count(work.call, body.inputs.len(), ROWS_MAX)?;
    let sent = body.inputs.into_iter().map(|input| Sent {
        id: Some(input.id),
        id_property: input.id_property,
        trace: input.object_write_trace_id,
        values: input.properties,
        links: Vec::new(),
    });
    write(work, sent.collect())
}

pub(super) async fn create(
    State(portal): State<Arc<Portal>>,
    Path(object): Path<String>,
    Posted { call, bytes }: Posted,
) -> Answer {
    let object = portal.object(&object)?;
    let body: Inputs<CreateInput<'_>> = input::parse(&bytes).map_err(Problem::validation)?;
    count(&call, body.inputs.len(), ROWS_MAX)?;
    let sent = body.inputs.into_iter().map(|input| Sent {
        id: None,
        id_property: None,
        trace: input.object_write_trace_id,
        values: input.properties,
        links: input.associations,
    });
    let work = Work { portal: &portal, object, call: &call, verb: Verb::Create };
    write(work, sent.collect())
}

fn write(work: Work<'_>, sent: Vec<Sent<'_>>) -> Answer {
    let mut rows = prepare(work, sent)?;
    let done = apply(work, &mut rows)?;
    let schema = work.portal.schema(work.object);
    let modified = name_of(&schema, Origin::Modified);
    let shown = Shown { schema: &schema, rows: &rows, done: &done, verb: work.verb, modified };
    Ok(shown.answer(work.call, work.portal.options.shuffle))
}

/// The outcome of a write call, about to be shown.
struct Shown<'a> {
    schema: &'a Schema,
    rows: &'a [Row<'a>],
    done: &'a [Result<Done, Refused>],
    verb: Verb,
    /// The object's name for the time of its last change.
    modified: &'a str,
}

impl Shown<'_> {
    fn answer(&self, call: &Call, shuffle: bool) -> axum::response::Response {
        let errors: Vec<Value> = self
            .rows
            .iter()
            .zip(self.done)
            .filter_map(|(row, done)| done.as_ref().err().map(|refused| error(row, refused)))
            .collect();
        let landed = (0..self.rows.len()).filter(|row| self.done[*row].is_ok()).collect();
        let order = Order::of(call, landed, shuffle);
        let good = if self.verb == Verb::Create { 201 } else { 200 };
        let status = order.status.unwrap_or(if errors.is_empty() { good } else { 207 });
        let mut out = open_batch(order.rows.len());
        for row in order.rows {
            if let Ok(done) = &self.done[row] {
                self.push(&mut out, &self.rows[row], done);
            }
        }
        let errors = if order.empty { Vec::new() } else { errors };
        let now = iso(call.arrived().unix_ms);
        close_batch(
            out,
            &Frame {
                status,
                started: &now,
                completed: &now,
                errors: (status == 207).then_some(&errors),
            },
        )
    }

    fn push(&self, out: &mut Vec<u8>, row: &Row<'_>, done: &Done) {
        let _ = write!(out, r#"{{"id":"{}","properties":{{"#, done.id);
        for (index, value) in &row.changes {
            let value = Some(&**value).filter(|value| !value.is_empty());
            push_pair(out, &self.schema.at(*index).name, value);
        }
        let (created, updated) = (iso(done.created_ms), iso(done.updated_ms));
        push_pair(out, "createdate", Some(&created));
        push_pair(out, self.modified, Some(&updated));
        let _ = write!(
            out,
            r#""hs_object_id":"{}"}},"createdAt":"{created}","updatedAt":"{updated}","archived":false"#,
            done.id
        );
        if self.verb == Verb::Upsert {
            let _ = write!(out, r#","new":{}"#, done.new);
        }
        if let Some(trace) = &row.trace {
            out.extend_from_slice(br#","objectWriteTraceId":"#);
            push_text(out, trace);
        }
        out.extend_from_slice(b"},");
    }
}

fn error(row: &Row<'_>, refused: &Refused) -> Value {
    let mut context = serde_json::Map::new();
    if let Some(id) = &refused.missing {
        context.insert("ids".to_owned(), json!([id]));
    }
    if let Some(trace) = &row.trace {
        context.insert("objectWriteTraceId".to_owned(), json!([trace]));
    }
    row_error(&refused.category, &refused.message, context.into())
}

/// Which results are shown and in what order: shuffled, then bent as the fault script wants.
struct Order {
    rows: Vec<usize>,
    status: Option<u16>,
    empty: bool,
}

impl Order {
    fn of(call: &Call, mut rows: Vec<usize>, shuffle: bool) -> Self {
        if shuffle {
            call.dice().shuffle(&mut rows);
        }
        let shape = call.shape();
        if shape.reorder {
            rows.reverse();
        }
        rows.truncate(rows.len().saturating_sub(shape.drop_rows));
        rows.extend_from_within(..shape.duplicate_rows.min(rows.len()));
        if shape.empty.is_some() {
            rows.clear();
        }
        let status = shape.empty.or((shape.drop_rows > 0).then_some(207));
        Self { rows, status, empty: shape.empty.is_some() }
    }
}

pub(super) async fn read(
    State(portal): State<Arc<Portal>>,
    Path(object): Path<String>,
    Posted { call, bytes }: Posted,
) -> Answer {
    let object = portal.object(&object)?;
    let body: ReadInputs<'_> = input::parse(&bytes).map_err(Problem::validation)?;
    count(&call, body.inputs.len(), ROWS_MAX)?;
    if !body.properties_with_history.is_empty() {
        let message = "propertiesWithHistory is not part of this double";
        return Err(Problem::validation(message));
    }
    let schema = portal.schema(object);
    let unique = match body.id_property.as_ref().map(|name| &*name.0) {
        None | Some("hs_object_id") => None,
        Some(name) => match schema.find(name) {
            Some((index, _)) if schema.identifies(index) => Some(index),
            _ => return Err(Problem::validation(format!("{name} is not a unique property"))),
        },
    };
    let store = portal.store(object);
    let mut found = Vec::new();
    let mut lost = Vec::new();
    for Id { id: Text(id) } in &body.inputs {
        let position = match unique {
            None => store.live(id),
            Some(index) => store.holder(index, &id.to_lowercase()).or(store.holder(index, id)),
        };
        match position {
            Some(position) => found.push(position),
            None => lost.push(&**id),
        }
    }
    let names = wanted(object, &body.properties);
    let order = Order::of(&call, (0..found.len()).collect(), portal.options.shuffle);
    let mut out = open_batch(found.len());
    for position in order.rows.into_iter().map(|row| found[row]) {
        let view = View { schema: &schema, id: store.id(position), record: store.at(position) };
        view.push(&mut out, &names);
        out.push(b',');
    }
    let errors = if order.empty { Vec::new() } else { not_found(object, &lost) };
    let status = order.status.unwrap_or(if lost.is_empty() { 200 } else { 207 });
    let now = iso(call.arrived().unix_ms);
    let errors = (status == 207).then_some(&*errors);
    Ok(close_batch(out, &Frame { status, started: &now, completed: &now, errors }))
}

/// The properties to show: those asked for, or the object's usual ones.
pub(super) fn wanted(object: Object, asked: &[String]) -> Vec<String> {
    match asked {
        [] => object.default_properties().iter().map(|name| (*name).to_owned()).collect(),
        asked => asked.to_vec(),
    }
}

fn not_found(object: Object, ids: &[&str]) -> Vec<Value> {
    if ids.is_empty() {
        return Vec::new();
    }
    let name = object.singular().to_uppercase();
    let message = format!(
        "Could not get some {name} objects, they may be deleted or not exist. Check that ids are \
         valid."
    );
    vec![row_error("OBJECT_NOT_FOUND", &message, json!({ "ids": ids }))]
}

/// Archives; ids that do not exist are passed over, as HubSpot does.
pub(super) async fn archive(
    State(portal): State<Arc<Portal>>,
    Path(object): Path<String>,
    Posted { call, bytes }: Posted,
) -> Answer {
    let object = portal.object(&object)?;
    let body: Inputs<Id<'_>> = input::parse(&bytes).map_err(Problem::validation)?;
    count(&call, body.inputs.len(), ROWS_MAX)?;
    let mut store = portal.store(object);
    let mut gone = Vec::new();
    for Id { id: Text(id) } in &body.inputs {
        if let Some(position) = store.live(id) {
            store.archive(position, call.arrived().unix_ms);
            gone.push(store.id(position));
        }
    }
    drop(store);
    portal.links().forget(object, &gone);
    Ok(no_content())
}

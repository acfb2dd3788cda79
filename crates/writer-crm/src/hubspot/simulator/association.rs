//! The routes of associations v4.

use std::sync::Arc;

use axum::extract::{Extension, Path, State};
use serde::Deserialize;
use serde_json::{Value, json};
use simulator::Call;

use super::batch::count;
use super::body::Posted;
use super::input::{self, Id, Inputs, LinkType, Text};
use super::link::{self, LinkKind, kinds};
use super::object::Object;
use super::portal::Portal;
use super::reply::{Answer, Problem, json_response, no_content, row_error};
use super::time::iso;

const WRITES_MAX: usize = 2_000;
const READS_MAX: usize = 1_000;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pair<'a> {
    #[serde(borrow)]
    from: Id<'a>,
    #[serde(borrow)]
    to: Id<'a>,
    #[serde(borrow, default)]
    types: Vec<LinkType<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fan<'a> {
    #[serde(borrow)]
    from: Id<'a>,
    #[serde(borrow)]
    to: Vec<Id<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct From<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    #[serde(default)]
    after: Option<String>,
}

/// The two object types of a path.
#[derive(Clone, Copy)]
struct Between {
    from: Object,
    to: Object,
}

impl Between {
    fn read(portal: &Portal, names: &(String, String)) -> Result<Self, Problem> {
        Ok(Self { from: portal.object(&names.0)?, to: portal.object(&names.1)? })
    }

    /// The type without a label.
    fn default_kind(self) -> Result<LinkKind, Problem> {
        kinds(self.from, self.to).first().copied().ok_or_else(|| {
            let (from, to) = (self.from.type_id(), self.to.type_id());
            Problem::validation(format!("There is no association between {from} and {to}"))
        })
    }

    fn made(self, from: u64, to: u64, labels: &[&str]) -> Value {
        json!({
            "fromObjectTypeId": self.from.type_id(),
            "fromObjectId": from.to_string(),
            "toObjectTypeId": self.to.type_id(),
            "toObjectId": to.to_string(),
            "labels": labels,
        })
    }
}

/// A batch answer; errors make it a 207.
fn batch(call: &Call, good: u16, results: Vec<Value>, errors: Vec<Value>) -> Answer {
    let now = iso(call.arrived().unix_ms);
    let mut body = json!({
        "status": "COMPLETE", "results": results, "startedAt": now, "completedAt": now,
    });
    let status = if errors.is_empty() { good } else { 207 };
    if !errors.is_empty() {
        body["numErrors"] = json!(errors.len());
        body["errors"] = Value::from(errors);
    }
    Ok(json_response(status, body.to_string().into_bytes()))
}

fn lost(problem: Problem, from: &str, to: &str) -> Value {
    let context = json!({ "fromObjectId": [from], "toObjectId": [to] });
    row_error(&problem.category, &problem.message, context)
}

pub(super) async fn create(
    State(portal): State<Arc<Portal>>,
    Path(names): Path<(String, String)>,
    Posted { call, bytes }: Posted,
) -> Answer {
    let between = Between::read(&portal, &names)?;
    let body: Inputs<Pair<'_>> = input::parse(&bytes).map_err(Problem::validation)?;
    count(&call, body.inputs.len(), WRITES_MAX)?;
    let mut wanted = Vec::with_capacity(body.inputs.len());
    for pair in &body.inputs {
        if pair.types.is_empty() {
            return Err(Problem::validation("Invalid input JSON: `types` must not be empty"));
        }
        let kinds: Result<Vec<LinkKind>, Problem> =
            pair.types.iter().map(|asked| link::kind(between.from, between.to, asked)).collect();
        wanted.push(kinds?);
    }
    let (mut results, mut errors) = (Vec::new(), Vec::new());
    for (pair, kinds) in body.inputs.iter().zip(wanted) {
        match join(&portal, between, (&pair.from.id.0, &pair.to.id.0), &kinds) {
            Ok(made) => results.push(made),
            Err(problem) => errors.push(lost(problem, &pair.from.id.0, &pair.to.id.0)),
        }
    }
    batch(&call, 201, results, errors)
}

fn join(
    portal: &Portal,
    between: Between,
    ids: (&str, &str),
    kinds: &[LinkKind],
) -> Result<Value, Problem> {
    let from = link::end(portal, between.from, ids.0)?;
    let to = link::end(portal, between.to, ids.1)?;
    let mut links = portal.links();
    for kind in kinds {
        links.add(from, to, *kind);
    }
    let labels: Vec<&str> = kinds.iter().filter_map(|kind| kind.label).collect();
    Ok(between.made(from.1, to.1, &labels))
}

pub(super) async fn create_default(
    State(portal): State<Arc<Portal>>,
    Path(names): Path<(String, String)>,
    Posted { call, bytes }: Posted,
) -> Answer {
    let between = Between::read(&portal, &names)?;
    let body: Inputs<Pair<'_>> = input::parse(&bytes).map_err(Problem::validation)?;
    count(&call, body.inputs.len(), WRITES_MAX)?;
    let kind = between.default_kind()?;
    let (mut results, mut errors) = (Vec::new(), Vec::new());
    for pair in &body.inputs {
        let ids = (&*pair.from.id.0, &*pair.to.id.0);
        match join(&portal, between, ids, &[kind]) {
            Ok(_) => results.push(default_made(ids, kind)),
            Err(problem) => errors.push(lost(problem, ids.0, ids.1)),
        }
    }
    batch(&call, 200, results, errors)
}

fn default_made(ids: (&str, &str), kind: LinkKind) -> Value {
    json!({
        "from": { "id": ids.0 },
        "to": { "id": ids.1 },
        "associationSpec": {
            "associationCategory": "HUBSPOT_DEFINED", "associationTypeId": kind.id,
        },
    })
}

/// The associations of one record, as the read routes show them.
fn shown(portal: &Portal, between: Between, id: u64) -> Vec<Value> {
    let kinds = kinds(between.from, between.to);
    let links = portal.links();
    let found = links.of((between.from, id), between.to);
    let to = |(id, ids): (u64, &[u32])| {
        let types: Vec<Value> =
            kinds.iter().filter(|kind| ids.contains(&kind.id)).map(|kind| kind.to_json()).collect();
        json!({ "toObjectId": id.to_string(), "associationTypes": types })
    };
    found.into_iter().map(to).collect()
}

pub(super) async fn read(
    State(portal): State<Arc<Portal>>,
    Path(names): Path<(String, String)>,
    Posted { call, bytes }: Posted,
) -> Answer {
    let between = Between::read(&portal, &names)?;
    let body: Inputs<From<'_>> = input::parse(&bytes).map_err(Problem::validation)?;
    count(&call, body.inputs.len(), READS_MAX)?;
    let (mut results, mut errors) = (Vec::new(), Vec::new());
    for From { id: Text(id), after } in &body.inputs {
        if after.is_some() {
            return Err(Problem::validation("`after` is not part of this double: pages are whole"));
        }
        let found = link::end(&portal, between.from, id).ok();
        let to = found.map(|(_, id)| shown(&portal, between, id)).unwrap_or_default();
        if to.is_empty() {
            let message = format!("No {} is associated with {id}.", between.to.singular());
            let context = json!({ "fromObjectId": [id], "toObjectType": [between.to.name()] });
            errors.push(row_error("OBJECT_NOT_FOUND", &message, context));
        } else {
            results.push(json!({ "from": { "id": id }, "to": to }));
        }
    }
    batch(&call, 200, results, errors)
}

pub(super) async fn archive(
    State(portal): State<Arc<Portal>>,
    Path(names): Path<(String, String)>,
    Posted { call, bytes }: Posted,
) -> Answer {
    let between = Between::read(&portal, &names)?;
    let body: Inputs<Fan<'_>> = input::parse(&bytes).map_err(Problem::validation)?;
    count(&call, body.inputs.len(), WRITES_MAX)?;
    for fan in &body.inputs {
        let Ok(from) = link::end(&portal, between.from, &fan.from.id.0) else { continue };
        for to in &fan.to {
            if let Ok(to) = link::end(&portal, between.to, &to.id.0) {
                portal.links().remove(from, to, None);
            }
        }
    }
    Ok(no_content())
}

pub(super) async fn archive_labels(
    State(portal): State<Arc<Portal>>,
    Path(names): Path<(String, String)>,
    Posted { call, bytes }: Posted,
) -> Answer {
    let between = Between::read(&portal, &names)?;
    let body: Inputs<Pair<'_>> = input::parse(&bytes).map_err(Problem::validation)?;
    count(&call, body.inputs.len(), WRITES_MAX)?;
    for pair in &body.inputs {
        let from = link::end(&portal, between.from, &pair.from.id.0);
        let to = link::end(&portal, between.to, &pair.to.id.0);
        let (Ok(from), Ok(to)) = (from, to) else { continue };
        for asked in &pair.types {
            let kind = link::kind(between.from, between.to, asked)?;
            portal.links().remove(from, to, Some(kind));
        }
    }
    Ok(no_content())
}

pub(super) async fn labels(
    State(portal): State<Arc<Portal>>,
    Path(names): Path<(String, String)>,
) -> Answer {
    let between = Between::read(&portal, &names)?;
    let kinds: Vec<Value> =
        kinds(between.from, between.to).into_iter().map(LinkKind::to_json).collect();
    Ok(json_response(200, json!({ "results": kinds }).to_string().into_bytes()))
}

type OnePath = (String, String, String, String);

pub(super) async fn put(
    State(portal): State<Arc<Portal>>,
    Path((from, from_id, to, to_id)): Path<OnePath>,
    Posted { call, bytes }: Posted,
) -> Answer {
    call.set_rows(1);
    let between = Between::read(&portal, &(from, to))?;
    let types: Vec<LinkType<'_>> = input::parse(&bytes).map_err(Problem::validation)?;
    let kinds: Result<Vec<LinkKind>, Problem> =
        types.iter().map(|asked| link::kind(between.from, between.to, asked)).collect();
    let made = join(&portal, between, (&from_id, &to_id), &kinds?)?;
    Ok(json_response(201, made.to_string().into_bytes()))
}

pub(super) async fn put_default(
    State(portal): State<Arc<Portal>>,
    Path((from, from_id, to, to_id)): Path<OnePath>,
    Extension(call): Extension<Call>,
) -> Answer {
    call.set_rows(1);
    let between = Between::read(&portal, &(from, to))?;
    let kind = between.default_kind()?;
    join(&portal, between, (&from_id, &to_id), &[kind])?;
    batch(&call, 200, vec![default_made((&from_id, &to_id), kind)], Vec::new())
}

pub(super) async fn delete(
    State(portal): State<Arc<Portal>>,
    Path((from, from_id, to, to_id)): Path<OnePath>,
    Extension(call): Extension<Call>,
) -> Answer {
    call.set_rows(1);
    let between = Between::read(&portal, &(from, to))?;
    let from = link::end(&portal, between.from, &from_id);
    let to = link::end(&portal, between.to, &to_id);
    if let (Ok(from), Ok(to)) = (from, to) {
        portal.links().remove(from, to, None);
    }
    Ok(no_content())
}

pub(super) async fn list(
    State(portal): State<Arc<Portal>>,
    Path((from, id, to)): Path<(String, String, String)>,
) -> Answer {
    let between = Between::read(&portal, &(from, to))?;
    let (_, id) = link::end(&portal, between.from, &id)?;
    let results = shown(&portal, between, id);
    Ok(json_response(200, json!({ "results": results }).to_string().into_bytes()))
}

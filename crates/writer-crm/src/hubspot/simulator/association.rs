//! The routes of associations v4.

use std::sync::Arc;

use axum::extract::{Extension, Path, State};
use serde::Deserialize;
use serde_json::{Value, json};
use simulator::{Call, RowFault};

use super::batch::count;
use super::body::Posted;
use super::input::{self, Id, Inputs, LinkType, Text};
use super::link::{self, LinkKind};
use super::object::Object;
use super::portal::Portal;
use super::reply::{Answer, Problem, json_response, no_content, row_error};
use super::time::iso;

const WRITES_MAX: usize = 2_000;
const READS_MAX: usize = 1_000;
/// Other records per record of a read.
const PAGE_MAX: usize = 500;

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

    fn both(self) -> (Object, Object) {
        (self.from, self.to)
    }

    /// The type without a label.
    fn default_kind(self, portal: &Portal) -> Result<LinkKind, Problem> {
        let kinds = portal.kinds().between(self.from, self.to);
        kinds.into_iter().next().ok_or_else(|| link::no_association(self.from, self.to))
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
        wanted.push(named(&portal, between, &pair.types)?);
    }
    let (mut results, mut errors) = (Vec::new(), Vec::new());
    for (pair, kinds) in body.inputs.iter().zip(wanted) {
        if let Some(problem) = fault(&call, pair) {
            errors.push(lost(problem?, &pair.from.id.0, &pair.to.id.0));
            continue;
        }
        match join(&portal, between, (&pair.from.id.0, &pair.to.id.0), &kinds) {
            Ok(made) => results.push(made),
            Err(problem) => errors.push(lost(problem, &pair.from.id.0, &pair.to.id.0)),
        }
    }
    batch(&call, 201, results, errors)
}

/// What the fault script says about a pair: an error of its own, or a refusal of the whole call.
fn fault(call: &Call, pair: &Pair<'_>) -> Option<Result<Problem, Problem>> {
    let fault = call.row_fault(|field| match field {
        "from" => Some(&*pair.from.id.0),
        "to" => Some(&*pair.to.id.0),
        _ => None,
    })?;
    Some(match fault {
        RowFault::Poison(status) => {
            let message = "The batch holds an association that cannot be made";
            Err(Problem { status, ..Problem::validation(message) })
        }
        RowFault::Reject { category, message } => Ok(Problem::new(
            400,
            &category.unwrap_or_else(|| "VALIDATION_ERROR".to_owned()),
            message.unwrap_or_else(|| "The association was refused".to_owned()),
        )),
    })
}

/// The types a request names.
fn named(
    portal: &Portal,
    between: Between,
    types: &[LinkType<'_>],
) -> Result<Vec<LinkKind>, Problem> {
    let kinds = portal.kinds();
    types.iter().map(|asked| kinds.find(between.both(), asked)).collect()
}

fn join(
    portal: &Portal,
    between: Between,
    ids: (&str, &str),
    kinds: &[LinkKind],
) -> Result<Value, Problem> {
    let from = link::end(portal, between.from, ids.0)?;
    let to = link::end(portal, between.to, ids.1)?;
    let default = between.default_kind(portal)?;
    let mut links = portal.links();
    for kind in kinds {
        links.add(from, to, (kind, &default));
    }
    let labels: Vec<&str> = kinds.iter().filter_map(|kind| kind.label.as_deref()).collect();
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
    let kind = between.default_kind(&portal)?;
    let (mut results, mut errors) = (Vec::new(), Vec::new());
    for pair in &body.inputs {
        let ids = (&*pair.from.id.0, &*pair.to.id.0);
        match join(&portal, between, ids, std::slice::from_ref(&kind)) {
            Ok(_) => results.push(default_made(ids, &kind)),
            Err(problem) => errors.push(lost(problem, ids.0, ids.1)),
        }
    }
    batch(&call, 200, results, errors)
}

fn default_made(ids: (&str, &str), kind: &LinkKind) -> Value {
    json!({
        "from": { "id": ids.0 },
        "to": { "id": ids.1 },
        "associationSpec": {
            "associationCategory": kind.category(), "associationTypeId": kind.id,
        },
    })
}

/// The associations of one record, as the read routes show them.
fn shown(portal: &Portal, between: Between, id: u64) -> Vec<Value> {
    let kinds = portal.kinds().between(between.from, between.to);
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
        let found = link::end(&portal, between.from, id).ok();
        let mut to = found.map(|(_, id)| shown(&portal, between, id)).unwrap_or_default();
        let from = after.as_deref().map_or(Ok(0), str::parse::<usize>);
        let from = from.map_err(|_| Problem::validation("`after` is not one of this call's"))?;
        let more = (to.len() > from + PAGE_MAX).then(|| (from + PAGE_MAX).to_string());
        to = to.into_iter().skip(from).take(PAGE_MAX).collect();
        if to.is_empty() {
            let message = format!("No {} is associated with {id}.", between.to.singular());
            let context = json!({ "fromObjectId": [id], "toObjectType": [between.to.name()] });
            errors.push(row_error("OBJECT_NOT_FOUND", &message, context));
        } else {
            let mut found = json!({ "from": { "id": id }, "to": to });
            if let Some(after) = more {
                found["paging"] = json!({ "next": { "after": after } });
            }
            results.push(found);
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
        for kind in named(&portal, between, &pair.types)? {
            portal.links().remove(from, to, Some(&kind));
        }
    }
    Ok(no_content())
}

pub(super) async fn labels(
    State(portal): State<Arc<Portal>>,
    Path(names): Path<(String, String)>,
) -> Answer {
    let between = Between::read(&portal, &names)?;
    let kinds = portal.kinds().between(between.from, between.to);
    let kinds: Vec<Value> = kinds.iter().map(LinkKind::to_json).collect();
    Ok(json_response(200, json!({ "results": kinds }).to_string().into_bytes()))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct NewLabel {
    label: String,
    /// HubSpot wants a name that is no longer used for anything.
    #[expect(dead_code, reason = "must be there, and says nothing")]
    name: String,
    #[serde(default)]
    inverse_label: Option<String>,
}

pub(super) async fn create_label(
    State(portal): State<Arc<Portal>>,
    Path(names): Path<(String, String)>,
    Posted { bytes, .. }: Posted,
) -> Answer {
    let between = Between::read(&portal, &names)?;
    let body: NewLabel = input::parse(&bytes).map_err(Problem::validation)?;
    let inverse = body.inverse_label.as_deref();
    let (there, back) = portal.kinds_mut().define(between.both(), &body.label, inverse)?;
    let made = json!({ "results": [there.to_json(), back.to_json()] });
    Ok(json_response(200, made.to_string().into_bytes()))
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
    let kinds = named(&portal, between, &types)?;
    let made = join(&portal, between, (&from_id, &to_id), &kinds)?;
    Ok(json_response(201, made.to_string().into_bytes()))
}

pub(super) async fn put_default(
    State(portal): State<Arc<Portal>>,
    Path((from, from_id, to, to_id)): Path<OnePath>,
    Extension(call): Extension<Call>,
) -> Answer {
    call.set_rows(1);
    let between = Between::read(&portal, &(from, to))?;
    let kind = between.default_kind(&portal)?;
    join(&portal, between, (&from_id, &to_id), std::slice::from_ref(&kind))?;
    batch(&call, 200, vec![default_made((&from_id, &to_id), &kind)], Vec::new())
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

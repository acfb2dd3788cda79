//! The routes of one record, and the list of all of a type.

use std::sync::Arc;

use axum::extract::{Extension, Path, Query, State};
use serde_json::json;
use simulator::Call;

use super::batch::wanted;
use super::body::Posted;
use super::input::{self, SingleInput, Text};
use super::object::Object;
use super::portal::Portal;
use super::reply::{Answer, Problem, drop_comma, json_response, no_content};
use super::view::View;
use super::write::{Sent, Verb, Work, apply, prepare};

/// Records a page of the list may hold.
const PAGE_MAX: u32 = 100;

/// The query of a path, read leniently as HubSpot does: unknown names are passed over.
#[derive(Debug, Default)]
struct Asked {
    limit: Option<u32>,
    after: Option<String>,
    /// Names may be separated by commas or come one by one.
    properties: Vec<String>,
    id_property: Option<String>,
    archived: bool,
}

type Pairs = Query<Vec<(String, String)>>;

impl Asked {
    fn read(Query(pairs): Pairs) -> Result<Self, Problem> {
        let mut asked = Self::default();
        for (name, value) in pairs {
            let bad = || Problem::validation(format!("Invalid query parameter {name}: {value}"));
            match name.as_str() {
                "limit" => asked.limit = Some(value.parse().map_err(|_| bad())?),
                "after" => asked.after = Some(value).filter(|after| !after.is_empty()),
                "archived" => asked.archived = value.parse().map_err(|_| bad())?,
                "idProperty" => asked.id_property = Some(value),
                "properties" => {
                    let names = value.split(',').map(str::trim).filter(|name| !name.is_empty());
                    asked.properties.extend(names.map(str::to_owned));
                }
                _ => {}
            }
        }
        Ok(asked)
    }
}

pub(super) async fn list(
    State(portal): State<Arc<Portal>>,
    Path(object): Path<String>,
    pairs: Pairs,
) -> Answer {
    let object = portal.object(&object)?;
    let query = Asked::read(pairs)?;
    let limit = query.limit.unwrap_or(10);
    if limit == 0 || limit > PAGE_MAX {
        return Err(Problem::validation(format!("limit must be between 1 and {PAGE_MAX}")));
    }
    let names = wanted(object, &query.properties);
    let schema = portal.schema(object);
    let store = portal.store(object);
    let first = match query.after.as_deref() {
        None => 0,
        Some(after) => store.by_id(after).map(|position| position + 1).ok_or_else(|| {
            Problem::validation(format!("`after` is not a value of paging.next.after: {after}"))
        })?,
    };
    let mut out = br#"{"results":["#.to_vec();
    let mut shown = 0;
    let mut last = None;
    let mut more = false;
    for position in first..store.len() {
        let record = store.at(position);
        if record.archived_ms.is_some() != query.archived {
            continue;
        }
        if shown == limit {
            more = true;
            break;
        }
        View { schema: &schema, id: store.id(position), record }.push(&mut out, &names);
        out.push(b',');
        (shown, last) = (shown + 1, Some(store.id(position)));
    }
    drop_comma(&mut out);
    out.push(b']');
    if let (true, Some(last)) = (more, last) {
        let link = format!("https://api.hubapi.com/crm/v3/objects/{}?after={last}", object.name());
        let next = json!({ "next": { "after": last.to_string(), "link": link } });
        out.extend_from_slice(format!(r#","paging":{next}"#).as_bytes());
    }
    out.push(b'}');
    Ok(json_response(200, out))
}

/// Shows one record, or says that it is not there.
fn show(portal: &Portal, object: Object, id: &str, query: &Asked) -> Result<Vec<u8>, Problem> {
    let schema = portal.schema(object);
    let store = portal.store(object);
    let position = match query.id_property.as_deref() {
        None | Some("hs_object_id") => store.by_id(id),
        Some(name) => match schema.find(name) {
            Some((index, _)) if schema.identifies(index) => {
                store.holder(index, &id.to_lowercase()).or(store.holder(index, id))
            }
            _ => return Err(Problem::validation(format!("{name} is not a unique property"))),
        },
    };
    let found = position.filter(|p| store.at(*p).archived_ms.is_some() == query.archived);
    let position = found.ok_or_else(Problem::not_found)?;
    let mut out = Vec::new();
    let names = wanted(object, &query.properties);
    let view = View { schema: &schema, id: store.id(position), record: store.at(position) };
    view.push(&mut out, &names);
    Ok(out)
}

pub(super) async fn get(
    State(portal): State<Arc<Portal>>,
    Path((object, id)): Path<(String, String)>,
    pairs: Pairs,
) -> Answer {
    let object = portal.object(&object)?;
    let shown = show(&portal, object, &id, &Asked::read(pairs)?)?;
    Ok(json_response(200, shown))
}

pub(super) async fn create(
    State(portal): State<Arc<Portal>>,
    Path(object): Path<String>,
    Posted { call, bytes }: Posted,
) -> Answer {
    let object = portal.object(&object)?;
    let body: SingleInput<'_> = input::parse(&bytes).map_err(Problem::validation)?;
    let sent = Sent {
        id: None,
        id_property: None,
        trace: None,
        values: body.properties,
        links: body.associations,
    };
    write(Work { portal: &portal, object, call: &call, verb: Verb::Create }, sent)
}

pub(super) async fn update(
    State(portal): State<Arc<Portal>>,
    Path((object, id)): Path<(String, String)>,
    pairs: Pairs,
    Posted { call, bytes }: Posted,
) -> Answer {
    let object = portal.object(&object)?;
    let query = Asked::read(pairs)?;
    let body: SingleInput<'_> = input::parse(&bytes).map_err(Problem::validation)?;
    let sent = Sent {
        id: Some(Text(id.into())),
        id_property: query.id_property.map(|name| Text(name.into())),
        trace: None,
        values: body.properties,
        links: Vec::new(),
    };
    let work = Work { portal: &portal, object, call: &call, verb: Verb::Update };
    // One record may be found by its e-mail address here, which a batch update refuses.
    let by_email = sent.id_property.as_ref().is_some_and(|name| name.0 == "email");
    if by_email {
        let id = sent.id.as_ref().map_or("", |id| &*id.0).to_lowercase();
        let schema = portal.schema(object);
        let email = schema.find("email").map_or(u16::MAX, |(index, _)| index);
        let store = portal.store(object);
        let position = store.holder(email, &id).ok_or_else(Problem::not_found)?;
        let id = Some(Text(store.id(position).to_string().into()));
        drop(store);
        drop(schema);
        return write(work, Sent { id, id_property: None, ..sent });
    }
    write(work, sent)
}

fn write(work: Work<'_>, sent: Sent<'_>) -> Answer {
    work.call.set_rows(1);
    let names: Vec<String> = sent.values.0.iter().map(|(name, _)| name.to_string()).collect();
    let mut rows = prepare(work, vec![sent])?;
    let done = apply(work, &mut rows)?;
    match done.into_iter().next() {
        Some(Ok(done)) => {
            let properties = names.into_iter().chain(wanted(work.object, &[])).collect();
            let query = Asked { properties, ..Asked::default() };
            let status = if work.verb == Verb::Create { 201 } else { 200 };
            let shown = show(work.portal, work.object, &done.id.to_string(), &query)?;
            Ok(json_response(status, shown))
        }
        Some(Err(refused)) if refused.missing.is_some() => Err(Problem::not_found()),
        Some(Err(refused)) => Err(Problem::new(400, &refused.category, refused.message)),
        None => Err(Problem::not_found()),
    }
}

pub(super) async fn archive(
    State(portal): State<Arc<Portal>>,
    Path((object, id)): Path<(String, String)>,
    Extension(call): Extension<Call>,
) -> Answer {
    let object = portal.object(&object)?;
    call.set_rows(1);
    let mut store = portal.store(object);
    if let Some(position) = store.live(&id) {
        store.archive(position, call.arrived().unix_ms);
        let gone = store.id(position);
        drop(store);
        portal.links().forget(object, &[gone]);
    }
    Ok(no_content())
}

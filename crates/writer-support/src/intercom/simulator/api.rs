//! The calls themselves: contacts, companies, tags and data attributes.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::Request;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use serde_json::{Map, Value, json};
use simulator::{Call, RowFault};

use super::options::Attribute;
use super::reply::{Problem, answer};
use super::workspace::{Inner, Record, Workspace};

type Answer = Result<Value, Problem>;

/// A call, taken apart.
struct Asked<'a> {
    workspace: &'a Workspace,
    now_ms: i64,
    query: BTreeMap<String, String>,
    body: Map<String, Value>,
}

/// Answers every call.
pub(super) async fn dispatch(
    State(workspace): State<Arc<Workspace>>,
    request: Request<Body>,
) -> Response {
    let (head, body) = request.into_parts();
    let Some(call) = head.extensions.get::<Call>().cloned() else {
        return Problem::new(500, "server_error", "Internal server error").answer();
    };
    let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
    let label =
        head.headers.get(CONTENT_TYPE).and_then(|label| label.to_str().ok()).unwrap_or_default();
    let body = match parse(&bytes, label) {
        Ok(body) => body,
        Err(problem) => return problem.answer(),
    };
    let pairs =
        head.uri.query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
    let query = pairs.map(|(name, value)| (decoded(name), decoded(value))).collect();
    let path: Vec<String> =
        head.uri.path().split('/').filter(|part| !part.is_empty()).map(decoded).collect();
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    let asked = Asked { workspace: &workspace, now_ms: call.arrived().unix_ms, query, body };
    let method = head.method.as_str();
    if let Some(problem) = asked.scripted(&call, (method, &path)) {
        return problem.answer();
    }
    if let ("DELETE", ["tags", id]) = (method, path.as_slice()) {
        return asked.delete_tag(id);
    }
    match asked.answer(method, &path) {
        Ok(body) => answer(200, &body),
        Err(problem) => problem.answer(),
    }
}

fn parse(bytes: &Bytes, label: &str) -> Result<Map<String, Value>, Problem> {
    if bytes.is_empty() {
        return Ok(Map::new());
    }
    if !label.starts_with("application/json") {
        return Err(Problem::new(400, "bad_request", "bad 'Content-Type' header value"));
    }
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(body)) => Ok(body),
        _ => Err(Problem::new(400, "bad_request", "the body is not a JSON object")),
    }
}

impl Asked<'_> {
    /// What the script does to the record of a write.
    fn scripted(&self, call: &Call, (method, path): (&str, &[&str])) -> Option<Problem> {
        let write = matches!(
            path,
            ["contacts"] | ["contacts", _] | ["companies"] | ["companies", _] | ["tags"]
        );
        if !write || method == "GET" || !call.has_row_faults() {
            return None;
        }
        call.set_rows(1);
        let own = self.body.get("custom_attributes").and_then(Value::as_object);
        let fault = call.row_fault(|name| {
            self.body.get(name).or_else(|| own?.get(name)).and_then(Value::as_str)
        })?;
        Some(match fault {
            RowFault::Poison(status) => {
                Problem::new(status, "parameter_invalid", "Refused by the script")
            }
            RowFault::Reject { message, category } => Problem::new(
                400,
                category.as_deref().unwrap_or("parameter_invalid"),
                message.unwrap_or_else(|| "Refused by the script".to_owned()),
            ),
        })
    }

    fn inner(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.workspace.at(self.now_ms)
    }

    fn answer(&self, method: &str, path: &[&str]) -> Answer {
        match (method, path) {
            ("GET", ["me"]) => {
                Ok(json!({ "type": "admin", "id": "991", "email": "admin@example.com",
                "app": { "type": "app", "id_code": "ecahpwf5", "name": "Acme", "region": "US" } }))
            }
            (_, ["contacts", ..]) => self.contacts(method, path),
            (_, ["companies", ..]) => self.companies(method, path),
            ("GET", ["tags"]) => {
                let inner = self.inner();
                let tags = inner.tags.iter().filter(|tag| !tag.deleted).map(Inner::view_tag);
                Ok(json!({ "type": "list", "data": tags.collect::<Vec<_>>() }))
            }
            ("POST", ["tags"]) => {
                let name = self
                    .text("name")
                    .ok_or_else(|| Problem::new(400, "parameter_not_found", "name is needed"))?;
                let id = self.text("id");
                let mut inner = self.inner();
                let at = inner.write_tag(id.as_deref(), &name)?;
                Ok(Inner::view_tag(&inner.tags[at]))
            }
            ("GET", ["data_attributes"]) => self.data_attributes(),
            ("POST", ["data_attributes"]) => self.make_data_attribute(),
            _ => Err(Problem::not_found("Resource")),
        }
    }

    fn text(&self, name: &str) -> Option<String> {
        self.body.get(name).and_then(Value::as_str).map(str::to_owned)
    }

    fn contacts(&self, method: &str, path: &[&str]) -> Answer {
        let mut inner = self.inner();
        let times = (self.now_ms, self.workspace.options.search_lag_ms);
        let missing = || Problem::not_found("User");
        match (method, path) {
            ("POST", [_]) => {
                let at = inner.write_contact(None, &self.body, times)?;
                Ok(inner.view_contact(&inner.contacts[at]))
            }
            ("GET", [_]) => {
                let live =
                    inner.contacts.iter().filter(|contact| !contact.deleted && !contact.archived);
                self.page(live.map(|contact| inner.view_contact(contact)).collect(), None)
            }
            ("POST", [_, "search"]) => self.search(&inner),
            ("GET", [_, "find_by_external_id", external_id]) => {
                let at = inner.contact_by_external_id(external_id).ok_or_else(missing)?;
                Ok(inner.view_contact(&inner.contacts[at]))
            }
            (_, [_, id, rest @ ..]) => {
                let at = inner.contact(id).ok_or_else(missing)?;
                match (method, rest) {
                    ("GET", []) => {}
                    ("PUT", []) if inner.contacts[at].archived => return Err(missing()),
                    ("PUT", []) => _ = inner.write_contact(Some(at), &self.body, times)?,
                    ("DELETE", []) => {
                        inner.delete_contact(at);
                        return Ok(
                            json!({ "type": "contact", "id": id, "external_id": null, "deleted": true }),
                        );
                    }
                    ("POST", ["archive"]) => {
                        inner.contacts[at].archived = true;
                        return Ok(
                            json!({ "type": "contact", "id": id, "external_id": null, "archived": true }),
                        );
                    }
                    ("POST", ["unarchive"]) => {
                        inner.contacts[at].archived = false;
                        return Ok(
                            json!({ "type": "contact", "id": id, "external_id": null, "archived": false }),
                        );
                    }
                    ("POST" | "GET" | "DELETE", [object @ ("companies" | "tags"), linked @ ..]) => {
                        return self.link(&mut inner, at, (method, object, linked));
                    }
                    _ => return Err(Problem::not_found("Resource")),
                }
                Ok(inner.view_contact(&inner.contacts[at]))
            }
            _ => Err(Problem::not_found("Resource")),
        }
    }

    fn link(
        &self,
        inner: &mut Inner,
        at: usize,
        (method, object, linked): (&str, &str, &[&str]),
    ) -> Answer {
        let companies = object == "companies";
        let records =
            |inner: &Inner| if companies { inner.companies.clone() } else { inner.tags.clone() };
        let what = if companies { "Company" } else { "Tag" };
        let view = |record: &Record| {
            if companies { Inner::view_company(record) } else { Inner::view_tag(record) }
        };
        let held = records(inner);
        if method == "GET" {
            let contact = &inner.contacts[at];
            let numbers = if companies { &contact.companies } else { &contact.tags };
            let data: Vec<Value> = numbers.iter().map(|one| view(&held[*one])).collect();
            return Ok(
                json!({ "type": "list", "data": data, "total_count": data.len(), "pages": null }),
            );
        }
        let id = match linked {
            [id] => Some((*id).to_owned()),
            _ => self.text("id"),
        };
        let id = id.ok_or_else(|| {
            Problem::new(400, "parameter_not_found", format!("{object} not specified"))
        })?;
        let found = held.iter().position(|record| record.id == id && !record.deleted);
        let found = found.ok_or_else(|| Problem::not_found(what))?;
        let contact = &mut inner.contacts[at];
        let numbers = if companies { &mut contact.companies } else { &mut contact.tags };
        numbers.retain(|one| *one != found);
        if method == "POST" {
            numbers.push(found);
        }
        Ok(view(&held[found]))
    }

    /// Sees what the index knows by now.
    fn search(&self, inner: &Inner) -> Answer {
        let query = self
            .body
            .get("query")
            .ok_or_else(|| Problem::new(400, "parameter_not_found", "query is needed"))?;
        let filters: Vec<&Value> = match query["value"].as_array() {
            Some(filters) => filters.iter().collect(),
            None => vec![query],
        };
        let known = |filter: &&Value| filter["field"].is_string() && filter["operator"] == "=";
        if !filters.iter().all(known) {
            return Err(Problem::new(400, "invalid_field", "this double searches by `=` alone"));
        }
        let fits = |contact: &Record| {
            let Some(shown) = inner.indexed(contact, self.now_ms) else { return false };
            filters.iter().all(|filter| {
                let held = shown.get(filter["field"].as_str().unwrap_or_default());
                match (held.and_then(Value::as_str), filter["value"].as_str()) {
                    (Some(held), Some(value)) => held.eq_ignore_ascii_case(value),
                    _ => held == Some(&filter["value"]),
                }
            })
        };
        let live = inner.contacts.iter().filter(|contact| !contact.deleted && !contact.archived);
        let found = live.filter(|contact| fits(contact)).map(|contact| inner.view_contact(contact));
        self.page(found.collect(), self.body.get("pagination"))
    }

    fn page(&self, items: Vec<Value>, asked: Option<&Value>) -> Answer {
        let member = |name: &str| {
            let sent = asked.and_then(|asked| {
                asked[name]
                    .as_str()
                    .map(str::to_owned)
                    .or_else(|| asked[name].as_u64().map(|n| n.to_string()))
            });
            sent.or_else(|| self.query.get(name).cloned())
        };
        let number = |name: &str| member(name).and_then(|text| text.parse::<usize>().ok());
        let size = number("per_page").unwrap_or(50).clamp(1, 150);
        let page = number("page").unwrap_or(1).max(1);
        let from = number("starting_after").unwrap_or((page - 1) * size);
        let total = items.len();
        let data: Vec<Value> = items.into_iter().skip(from).take(size).collect();
        let next = from + data.len();
        let mut pages = json!({ "type": "pages", "page": from / size + 1, "per_page": size,
            "total_pages": total.div_ceil(size) });
        if next < total {
            pages["next"] = json!({ "page": from / size + 2, "starting_after": next.to_string() });
        }
        Ok(json!({ "type": "list", "data": data, "total_count": total, "pages": pages }))
    }

    fn companies(&self, method: &str, path: &[&str]) -> Answer {
        let mut inner = self.inner();
        let missing = || Problem::not_found("Company");
        match (method, path) {
            ("POST", [_]) => {
                let at = inner.write_company(None, &self.body, self.now_ms)?;
                Ok(Inner::view_company(&inner.companies[at]))
            }
            ("GET", [_]) => match self.query.get("company_id") {
                Some(company_id) => {
                    let at = inner.company_by_company_id(company_id).ok_or_else(missing)?;
                    // One company comes as a list of one.
                    self.page(vec![Inner::view_company(&inner.companies[at])], None)
                }
                None => self.list_companies(&inner),
            },
            ("POST", [_, "list"]) => self.list_companies(&inner),
            (_, [_, id]) => {
                let at = inner.company(id).ok_or_else(missing)?;
                match method {
                    "PUT" => _ = inner.write_company(Some(at), &self.body, self.now_ms)?,
                    "DELETE" => {
                        inner.delete_company(at);
                        return Ok(json!({ "id": id, "object": "company", "deleted": true }));
                    }
                    _ => {}
                }
                Ok(Inner::view_company(&inner.companies[at]))
            }
            _ => Err(Problem::not_found("Resource")),
        }
    }

    /// Only companies with a contact are listed.
    fn list_companies(&self, inner: &Inner) -> Answer {
        let companies = inner.companies.iter().enumerate().filter(|(at, company)| {
            let peopled = inner.contacts.iter().any(|contact| contact.companies.contains(at));
            peopled && !company.deleted
        });
        self.page(companies.map(|(_, company)| Inner::view_company(company)).collect(), None)
    }

    fn delete_tag(&self, id: &str) -> Response {
        let mut inner = self.inner();
        match inner.tags.iter_mut().find(|tag| tag.id == id && !tag.deleted) {
            Some(tag) => {
                tag.deleted = true;
                axum::http::StatusCode::OK.into_response()
            }
            None => Problem::not_found("Tag").answer(),
        }
    }

    fn data_attributes(&self) -> Answer {
        let inner = self.inner();
        let model = self.query.get("model");
        let own = inner.attributes.iter().enumerate();
        let own = own.filter(|(_, one)| model.is_none_or(|model| *model == one.model));
        let own = own.map(|(number, one)| shown(number, one));
        let standard = [
            ("contact", "email"),
            ("contact", "name"),
            ("company", "name"),
            ("company", "company_id"),
        ];
        let standard = standard.iter().filter(|(of, _)| model.is_none_or(|model| model == of)).map(|(of, name)| {
            json!({ "type": "data_attribute", "model": of, "name": name, "full_name": name, "label": name,
                "data_type": "string", "api_writable": true, "ui_writable": false, "custom": false, "archived": false })
        });
        Ok(json!({ "type": "list", "data": standard.chain(own).collect::<Vec<_>>() }))
    }

    fn make_data_attribute(&self) -> Answer {
        let (name, model) = self
            .text("name")
            .zip(self.text("model"))
            .ok_or_else(|| Problem::new(400, "parameter_not_found", "name and model are needed"))?;
        let data_type = self.text("data_type").unwrap_or_default();
        let mut inner = self.inner();
        let valid = name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == ' ');
        if !valid
            || !["string", "integer", "float", "boolean", "date", "datetime"]
                .contains(&data_type.as_str())
        {
            return Err(Problem::new(
                400,
                "parameter_invalid",
                "Your name or data_type is invalid",
            ));
        }
        if inner.attributes.iter().any(|one| one.model == model && one.name == name) {
            return Err(Problem::new(
                400,
                "parameter_invalid",
                "You already have an attribute of this name",
            ));
        }
        let options = self.body.get("options").and_then(Value::as_array).into_iter().flatten();
        let options = options
            .filter_map(|one| one["value"].as_str().or(one.as_str()).map(str::to_owned))
            .collect();
        inner.attributes.push(Attribute { model, name, data_type, options });
        let number = inner.attributes.len() - 1;
        Ok(shown(number, &inner.attributes[number]))
    }
}

fn shown(number: usize, one: &Attribute) -> Value {
    let mut shown = json!({
        "type": "data_attribute", "id": number + 1, "model": one.model, "name": one.name,
        "full_name": format!("custom_attributes.{}", one.name), "label": one.name,
        "data_type": if one.data_type == "datetime" { "date" } else { &one.data_type },
        "api_writable": true, "messenger_writable": false, "ui_writable": true, "custom": true, "archived": false,
        "created_at": 1_734_537_753, "updated_at": 1_734_537_753, "admin_id": "991",
    });
    if !one.options.is_empty() {
        shown["options"] = json!(one.options);
    }
    shown
}

/// A part of a path or a query, without its percent signs.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [byte, tail @ ..] = rest {
        let hex = tail.get(..2).filter(|_| *byte == b'%');
        let coded = hex.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        bytes.push(coded.unwrap_or(*byte));
        rest = if coded.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

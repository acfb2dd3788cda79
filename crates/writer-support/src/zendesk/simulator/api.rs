//! The calls themselves: single records, lists, searches and jobs.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{Method, Request};
use axum::response::Response;
use bytes::Bytes;
use serde_json::{Value, json};
use simulator::{Call, RowFault};

use super::account::{Account, Inner};
use super::field::{Kind, OwnField};
use super::jobs::{Order, row_fault};
use super::manners::parts;
use super::reply::{answer, bad_request, list, not_found, refused};
use super::table::{Ask, Record, Table};

/// Rows of a job, and ids of a list.
const ROWS_MAX: usize = 100;

/// A call, taken apart.
struct Asked<'a> {
    account: &'a Account,
    call: &'a Call,
    query: BTreeMap<String, String>,
    /// The call's own address, without its query.
    at: String,
    body: &'a Bytes,
}

/// Answers every call.
pub(super) async fn dispatch(
    State(account): State<Arc<Account>>,
    request: Request<axum::body::Body>,
) -> Response {
    let (head, body) = request.into_parts();
    let Some(call) = head.extensions.get::<Call>().cloned() else { return not_found() };
    let Ok(body) = axum::body::to_bytes(body, usize::MAX).await else { return not_found() };
    let query = head.uri.query().unwrap_or_default();
    let query = query.split('&').filter_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        Some((decoded(name), decoded(value)))
    });
    let host = head.headers.get("host").and_then(|host| host.to_str().ok()).unwrap_or_default();
    let at = format!("http://{host}{}", head.uri.path());
    let asked = Asked { account: &account, call: &call, query: query.collect(), at, body: &body };
    let parts = parts(head.uri.path());
    let object = match parts.first().copied() {
        Some(object @ ("users" | "organizations" | "tickets")) => object,
        Some("custom_objects") => return asked.custom_object(&head.method, &parts),
        _ => return asked.other(&head.method, &parts),
    };
    asked.standard(&head.method, object, &parts[1..])
}

impl Asked<'_> {
    fn now(&self) -> i64 {
        self.call.arrived().unix_ms
    }

    fn json(&self) -> Option<Value> {
        serde_json::from_slice(self.body).ok()
    }

    fn ids(&self, name: &str) -> Option<Vec<String>> {
        let ids = self.query.get(name)?.split(',').map(str::to_owned);
        Some(ids.filter(|id| !id.is_empty()).collect())
    }

    /// Users, organizations and tickets.
    fn standard(&self, method: &Method, object: &str, rest: &[&str]) -> Response {
        let singular = &object[..object.len() - 1];
        match (method.as_str(), rest) {
            ("GET", []) => self.list(object),
            ("GET", ["show_many"]) => self.show_many(object),
            ("GET", ["search"]) => self.search(object),
            ("GET", ["me"]) => {
                answer(200, &json!({ "user": { "id": 1, "role": "admin", "name": "Agent" } }))
            }
            ("POST", ["create_or_update_many"]) if object == "users" => {
                match self.account.options.bulk_users {
                    true => self.job(object, Ask::Upsert, None),
                    false => answer(
                        403,
                        &json!({ "error": { "title": "Forbidden",
                    "message": "Bulk user import is not enabled for this account." } }),
                    ),
                }
            }
            ("POST", ["create_or_update"]) if object != "tickets" => {
                self.one(object, singular, Ask::Upsert, None)
            }
            ("POST", ["create_many"]) => self.job(object, Ask::Create, None),
            ("PUT", ["update_many"]) => self.job(object, Ask::Update, None),
            ("DELETE", ["destroy_many"]) => self.destroy_many(object),
            ("POST", []) => self.one(object, singular, Ask::Create, None),
            ("GET", [id, "identities"]) if object == "users" => self.identities(id),
            ("PUT", [id, "identities", identity, "make_primary"]) if object == "users" => {
                // The account is locked no longer than this takes.
                let made = self
                    .inner()
                    .tables
                    .get_mut(object)
                    .is_some_and(|table| table.make_primary(id, identity));
                if made { self.identities(id) } else { not_found() }
            }
            ("GET", [id]) => self.with(object, |table| match table.get(id) {
                Some(record) => answer(200, &json!({ singular: table.view(record) })),
                None => not_found(),
            }),
            ("PUT", [id]) => self.one(object, singular, Ask::Update, Some(id)),
            ("DELETE", [id]) => {
                let mut inner = self.inner();
                let done = inner
                    .tables
                    .get_mut(object)
                    .map(|table| table.apply(Ask::Delete, &json!(*id), self.now()));
                match done {
                    Some(Ok(_)) => answer(200, &json!({ singular: { "id": id, "active": false } })),
                    _ => not_found(),
                }
            }
            _ => not_found(),
        }
    }

    fn inner(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.account.at(self.now())
    }

    fn with(&self, object: &str, look: impl FnOnce(&Table) -> Response) -> Response {
        self.inner().tables.get(object).map_or_else(not_found, look)
    }

    fn list(&self, object: &str) -> Response {
        self.with(object, |table| {
            let records: Vec<&Record> = match self.query.get("external_id") {
                Some(external_id) => table.with_external_id(external_id),
                None => table.all().iter().filter(|record| !record.deleted).collect(),
            };
            list(
                object,
                records.into_iter().map(|record| table.view(record)).collect(),
                (&self.query, &self.at),
            )
        })
    }

    fn show_many(&self, object: &str) -> Response {
        let by_id = self.ids("ids");
        let by_external_id = self.ids("external_ids").filter(|_| object != "tickets");
        let asked = by_id.as_ref().or(by_external_id.as_ref()).map_or(0, Vec::len);
        if asked == 0 || asked > ROWS_MAX {
            return bad_request("between 1 and 100 ids or external_ids are needed");
        }
        self.with(object, |table| {
            let found: Vec<Value> = match (&by_id, &by_external_id) {
                (Some(ids), _) => ids.iter().filter_map(|id| table.get(id)).map(|one| table.view(one)).collect(),
                (_, Some(ids)) => {
                    let records = ids.iter().flat_map(|id| table.with_external_id(id));
                    records.map(|one| table.view(one)).collect()
                }
                _ => Vec::new(),
            };
            answer(200, &json!({ object: found, "count": found.len(), "next_page": null, "previous_page": null }))
        })
    }

    /// By external id what is there now; by a query what the index knows by now.
    fn search(&self, object: &str) -> Response {
        let lag = self.account.options.search_lag_ms;
        self.with(object, |table| {
            let found: Vec<&Record> = match (self.query.get("external_id"), self.query.get("query"))
            {
                (Some(external_id), _) => table.with_external_id(external_id),
                (None, Some(query)) => {
                    let address = query.strip_prefix("email:").unwrap_or(query).trim_matches('"');
                    let found = table.with_address(address);
                    found
                        .filter(|record| record.created_ms + lag <= self.now())
                        .into_iter()
                        .collect()
                }
                _ => return bad_request("query or external_id is missing"),
            };
            list(
                object,
                found.into_iter().map(|record| table.view(record)).collect(),
                (&self.query, &self.at),
            )
        })
    }

    fn identities(&self, user: &str) -> Response {
        self.with("users", |table| match table.identities(user) {
            Some(found) => answer(200, &json!({ "identities": found, "count": found.len() })),
            None => not_found(),
        })
    }

    fn one(&self, object: &str, singular: &str, ask: Ask, id: Option<&str>) -> Response {
        self.call.set_rows(1);
        let Some(mut row) =
            self.json().and_then(|mut body| body.get_mut(singular).map(Value::take))
        else {
            return bad_request("the record is missing");
        };
        // zenpy and node-zendesk hand a list to the same call: then it is a job.
        if row.is_array() {
            return bad_request("one record is needed");
        }
        if let (Some(id), Some(row)) = (id, row.as_object_mut()) {
            row.insert("id".to_owned(), json!(id));
        }
        match row_fault(self.call, &row) {
            Some(RowFault::Poison(status)) => {
                return answer(status, &json!({ "error": "RecordInvalid" }));
            }
            Some(RowFault::Reject { message, .. }) => {
                let text = message.unwrap_or_else(|| "Refused by the script".to_owned());
                return refused(&super::field::Refused::new("InvalidValue", "base", text));
            }
            None => {}
        }
        let mut inner = self.inner();
        let Some(table) = inner.tables.get_mut(object) else { return not_found() };
        match table.apply(ask, &row, self.now()) {
            Err(why) => refused(&why),
            Ok((id, new)) => {
                let view = table.get(&id).map(|record| table.view(record)).unwrap_or_default();
                let mut body = json!({ singular: view });
                if object == "tickets" {
                    body["audit"] = json!({ "id": 1, "ticket_id": view["id"], "events": [] });
                }
                answer(if new { 201 } else { 200 }, &body)
            }
        }
    }

    fn destroy_many(&self, object: &str) -> Response {
        let (ids, ask) = match (self.ids("ids"), self.ids("external_ids")) {
            (Some(ids), _) => (ids, Ask::Delete),
            (None, Some(ids)) => (ids, Ask::DeleteByExternalId),
            _ => return bad_request("ids are missing"),
        };
        self.job(object, ask, Some(ids.into_iter().map(Value::from).collect()))
    }

    fn job(&self, object: &str, ask: Ask, items: Option<Vec<Value>>) -> Response {
        let items = match items {
            Some(items) => items,
            None => match self.json() {
                Some(body) if self.query.contains_key("ids") => self.alike(object, &body),
                Some(mut body) => match body.get_mut(object).map(Value::take) {
                    Some(Value::Array(items)) => items,
                    _ => return bad_request(&format!("`{object}` is missing")),
                },
                None => return bad_request("the body is not JSON"),
            },
        };
        self.take(Order { object: object.to_owned(), ask, items }, 200)
    }

    /// The same change for several records.
    fn alike(&self, object: &str, body: &Value) -> Vec<Value> {
        let change = body.get(&object[..object.len() - 1]).cloned().unwrap_or_default();
        let row = |id: String| {
            let mut row = change.clone();
            row["id"] = json!(id);
            row
        };
        self.ids("ids").unwrap_or_default().into_iter().map(row).collect()
    }

    fn take(&self, order: Order, status: u16) -> Response {
        self.call.set_rows(order.items.len());
        if order.items.is_empty() || order.items.len() > ROWS_MAX {
            let text =
                format!("between 1 and {ROWS_MAX} records are needed, not {}", order.items.len());
            return bad_request(&text);
        }
        for item in &order.items {
            if let Some(RowFault::Poison(status)) = row_fault(self.call, item) {
                return answer(
                    status,
                    &json!({ "error": "RecordInvalid", "description": "Record validation errors" }),
                );
            }
        }
        let mut inner = self.inner();
        match inner.jobs.take(&self.account.options, order, self.call) {
            Some(status_of) => answer(status, &json!({ "job_status": status_of })),
            None => {
                let text = "You have reached the maximum number of jobs queued or running";
                let mut full = answer(429, &json!({ "error": "TooManyJobs", "description": text }));
                full.headers_mut().insert("retry-after", axum::http::HeaderValue::from_static("1"));
                full
            }
        }
    }

    fn custom_object(&self, method: &Method, parts: &[&str]) -> Response {
        let known = &self.account.options.custom_objects;
        match (method.as_str(), parts) {
            ("GET", [_]) => {
                let each = known.iter().map(|key| json!({ "key": key, "title": key }));
                list("custom_objects", each.collect(), (&self.query, &self.at))
            }
            (_, [_, key, ..]) if !known.iter().any(|one| one == key) => not_found(),
            ("GET", [_, key, "fields"]) => self.fields(key, "custom_object_fields"),
            ("GET", [_, key, "records"]) => self.with(key, |table| {
                let found: Vec<&Record> =
                    match (self.ids("filter[ids]"), self.ids("filter[external_ids]")) {
                        (Some(ids), _) => ids.iter().filter_map(|id| table.get(id)).collect(),
                        (_, Some(ids)) => {
                            ids.iter().flat_map(|id| table.with_external_id(id)).collect()
                        }
                        _ => table.all().iter().filter(|record| !record.deleted).collect(),
                    };
                let found = found.into_iter().map(|record| table.view(record)).collect();
                list("custom_object_records", found, (&self.query, &self.at))
            }),
            ("POST", [_, key, "jobs"]) => {
                let body = self.json().unwrap_or_default();
                let items = body["job"]["items"].as_array().cloned().unwrap_or_default();
                let ask = match body["job"]["action"].as_str() {
                    Some("create") => Ask::Create,
                    Some("update") => Ask::Update,
                    Some("delete") => Ask::Delete,
                    Some("delete_by_external_id") => Ask::DeleteByExternalId,
                    Some("create_or_update_by_external_id") => Ask::Upsert,
                    Some("create_or_update_by_name") => Ask::UpsertByName,
                    _ => return bad_request("`action` is none of those there are"),
                };
                self.take(Order { object: (*key).to_owned(), ask, items }, 201)
            }
            _ => not_found(),
        }
    }

    fn other(&self, method: &Method, parts: &[&str]) -> Response {
        let options = &self.account.options;
        let object = match parts.first().copied() {
            Some("user_fields") => "users",
            Some("organization_fields") => "organizations",
            Some("ticket_fields") => "tickets",
            _ => "",
        };
        match (method.as_str(), parts) {
            ("GET", [name]) if !object.is_empty() => self.fields(object, name),
            ("POST", [name]) if !object.is_empty() => {
                self.make_field(object, &name[..name.len() - 1])
            }
            ("GET", ["job_statuses"]) => {
                let inner = self.inner();
                list("job_statuses", inner.jobs.list(options, self.now()), (&self.query, &self.at))
            }
            ("GET", ["job_statuses", "show_many"]) => {
                let inner = self.inner();
                let ids = self.ids("ids").unwrap_or_default();
                let found = ids.iter().filter_map(|id| inner.jobs.show(options, id, self.now()));
                answer(200, &json!({ "job_statuses": found.collect::<Vec<_>>() }))
            }
            ("GET", ["job_statuses", id]) => {
                let found = self.inner().jobs.show(options, id, self.now());
                found.map_or_else(not_found, |status| answer(200, &json!({ "job_status": status })))
            }
            ("DELETE", [bin @ ("deleted_users" | "deleted_tickets"), id]) => {
                let object = bin.trim_start_matches("deleted_");
                let gone =
                    self.inner().tables.get_mut(object).is_some_and(|table| table.forget(id));
                match gone {
                    true => answer(200, &json!({ "deleted_user": { "id": id, "active": false } })),
                    false => not_found(),
                }
            }
            _ => not_found(),
        }
    }

    fn fields(&self, object: &str, name: &str) -> Response {
        self.with(object, |table| {
            let fields = table.fields.iter().enumerate();
            list(
                name,
                fields.map(|(number, field)| field.view(number)).collect(),
                (&self.query, &self.at),
            )
        })
    }

    fn make_field(&self, object: &str, name: &str) -> Response {
        let body = self.json().unwrap_or_default();
        let field = &body[name];
        let mut inner = self.inner();
        let Some(table) = inner.tables.get_mut(object) else { return not_found() };
        let key = match object {
            "tickets" => (360_500 + table.fields.len()).to_string(),
            _ => field["key"].as_str().unwrap_or_default().to_owned(),
        };
        let Some(kind) = field["type"].as_str().and_then(Kind::parse).filter(|_| !key.is_empty())
        else {
            return bad_request("key and type are needed");
        };
        let options = field["custom_field_options"].as_array().into_iter().flatten();
        let options =
            options.filter_map(|option| option["value"].as_str().map(str::to_owned)).collect();
        table.fields.push(OwnField { key, kind, options });
        let made = table.fields.last().map(|field| field.view(table.fields.len() - 1));
        answer(201, &json!({ name: made }))
    }
}

/// A part of a query, without its percent signs.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [byte, tail @ ..] = rest {
        let hex = tail.get(..2).filter(|_| *byte == b'%');
        let coded = hex.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        match coded {
            Some(coded) => {
                bytes.push(coded);
                rest = &tail[2..];
            }
            None => {
                bytes.push(if *byte == b'+' { b' ' } else { *byte });
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

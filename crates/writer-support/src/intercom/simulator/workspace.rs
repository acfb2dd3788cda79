//! One Intercom workspace: contacts, companies, tags and data attributes, and the rules between them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Map, Value, json};
use simulator::{RecordQuery, Records};

use super::options::{Attribute, Options};
use super::reply::Problem;

/// Lines of a page that `/_sim/records` makes at a time.
const PAGE_ROWS: usize = 1_000;
/// Characters of a text attribute.
const TEXT_CHARS_MAX: usize = 255;

/// The workspace.
#[derive(Debug)]
pub(super) struct Workspace {
    pub(super) options: Options,
    inner: Mutex<Inner>,
    seen_ms: AtomicI64,
}

/// All that changes.
#[derive(Debug, Default)]
pub(super) struct Inner {
    pub(super) contacts: Vec<Record>,
    pub(super) companies: Vec<Record>,
    pub(super) tags: Vec<Record>,
    pub(super) attributes: Vec<Attribute>,
    by_external_id: BTreeMap<String, usize>,
    by_email: BTreeMap<String, Vec<usize>>,
    by_company_id: BTreeMap<String, usize>,
    by_id: BTreeMap<String, usize>,
    next: u64,
    writes: u64,
}

/// One record.
#[derive(Debug, Clone, Default)]
pub(super) struct Record {
    pub(super) id: String,
    pub(super) values: Map<String, Value>,
    pub(super) own: Map<String, Value>,
    /// Numbers of the companies and tags a contact is linked with.
    pub(super) companies: Vec<usize>,
    pub(super) tags: Vec<usize>,
    pub(super) created_ms: i64,
    pub(super) updated_ms: i64,
    pub(super) archived: bool,
    pub(super) deleted: bool,
    /// What a search still shows, and until when.
    stale: Option<(Option<Map<String, Value>>, i64)>,
    writes: u64,
    version: u64,
}

/// Fields of a contact that can be written, with their forms: text, seconds, number, truth.
const CONTACT: &[(&str, char)] = &[
    ("role", 't'),
    ("external_id", 't'),
    ("email", 't'),
    ("phone", 't'),
    ("name", 't'),
    ("avatar", 't'),
    ("signed_up_at", 's'),
    ("last_seen_at", 's'),
    ("owner_id", 'n'),
    ("unsubscribed_from_emails", 'b'),
];

const COMPANY: &[(&str, char)] = &[
    ("company_id", 't'),
    ("name", 't'),
    ("plan", 't'),
    ("size", 'n'),
    ("website", 't'),
    ("industry", 't'),
    ("remote_created_at", 's'),
    ("monthly_spend", 'm'),
];

impl Workspace {
    pub(super) fn new(options: Options) -> Self {
        let inner = Inner { attributes: options.attributes.clone(), next: 1, ..Inner::default() };
        Self { inner: Mutex::new(inner), options, seen_ms: AtomicI64::new(0) }
    }

    /// The workspace at a moment.
    pub(super) fn at(&self, now_ms: i64) -> MutexGuard<'_, Inner> {
        self.seen_ms.store(now_ms, Ordering::Relaxed);
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The moment of the latest call that got this far.
    pub(super) fn now_ms(&self) -> i64 {
        match self.seen_ms.load(Ordering::Relaxed) {
            0 => chrono::DateTime::UNIX_EPOCH.timestamp_millis(),
            seen => seen,
        }
    }
}

impl Inner {
    fn id(&mut self, prefix: &str) -> String {
        self.next += 1;
        format!("{prefix}{:020x}", self.next)
    }

    pub(super) fn contact(&self, id: &str) -> Option<usize> {
        self.by_id
            .get(id)
            .copied()
            .filter(|at| self.contacts[*at].id == id && !self.contacts[*at].deleted)
    }

    pub(super) fn contact_by_external_id(&self, external_id: &str) -> Option<usize> {
        let at = *self.by_external_id.get(external_id)?;
        let contact = &self.contacts[at];
        (!contact.archived && contact.values.get("role") != Some(&json!("lead"))).then_some(at)
    }

    pub(super) fn company(&self, id: &str) -> Option<usize> {
        self.companies.iter().position(|company| company.id == id && !company.deleted)
    }

    pub(super) fn company_by_company_id(&self, company_id: &str) -> Option<usize> {
        self.by_company_id.get(company_id).copied()
    }

    /// Makes a contact, or changes the one at `at`.
    pub(super) fn write_contact(
        &mut self,
        at: Option<usize>,
        body: &Map<String, Value>,
        (now_ms, lag_ms): (i64, i64),
    ) -> Result<usize, Problem> {
        let values = values(CONTACT, body)?;
        let own = self.own("contact", body)?;
        if let Some(role) = values.get("role")
            && !matches!(role.as_str(), Some("user" | "lead"))
        {
            return Err(Problem::invalid("role", "role is not one of the allowed options"));
        }
        if at.is_none()
            && !["email", "external_id", "role"].iter().any(|name| values.contains_key(*name))
        {
            let text = "email, external_id or role is needed";
            return Err(Problem::new(400, "parameter_not_found", text));
        }
        self.unique(at, &values)?;
        let at = at.unwrap_or_else(|| {
            let id = self.id("65a0");
            self.by_id.insert(id.clone(), self.contacts.len());
            let mut record = Record { id, created_ms: now_ms, ..Record::default() };
            record.values.insert("role".to_owned(), json!("user"));
            record.stale = Some((None, now_ms + lag_ms));
            self.contacts.push(record);
            self.contacts.len() - 1
        });
        self.index(at, &values);
        self.writes += 1;
        let record = &mut self.contacts[at];
        if record.stale.as_ref().is_none_or(|(_, until)| *until <= now_ms) {
            record.stale = Some((Some(record.values.clone()), now_ms + lag_ms));
        }
        record.values.extend(values);
        record.own.extend(own);
        record.updated_ms = now_ms;
        record.writes += 1;
        record.version = self.writes;
        Ok(at)
    }

    fn unique(&self, at: Option<usize>, values: &Map<String, Value>) -> Result<(), Problem> {
        let text =
            |name: &str| values.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        let by_external_id =
            text("external_id").and_then(|id| self.by_external_id.get(id)).copied();
        let held = text("email").and_then(|email| self.by_email.get(&email.to_lowercase()));
        let held: Vec<usize> = held.into_iter().flatten().copied().collect();
        if by_external_id.is_none() && held.len() > 1 {
            let text = "Multiple existing users match this email address - must be more specific using user_id";
            return Err(Problem::new(409, "conflict", text));
        }
        let other = by_external_id.or(held.first().copied()).filter(|other| Some(*other) != at);
        let Some(contact) = other.map(|other| &self.contacts[other]) else { return Ok(()) };
        let what = if contact.archived { "An archived contact" } else { "A contact" };
        let text = format!("{what} matching those details already exists with id={}", contact.id);
        Err(Problem::new(409, "conflict", text))
    }

    fn index(&mut self, at: usize, values: &Map<String, Value>) {
        let old = |name: &str| {
            self.contacts[at]
                .values
                .get(name)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let (old_id, old_email) = (old("external_id"), old("email").to_lowercase());
        if let Some(new) = values.get("external_id") {
            self.by_external_id.remove(&old_id);
            if let Some(new) = new.as_str().filter(|new| !new.is_empty()) {
                self.by_external_id.insert(new.to_owned(), at);
            }
        }
        if let Some(new) = values.get("email") {
            if let Some(held) = self.by_email.get_mut(&old_email) {
                held.retain(|one| *one != at);
            }
            if let Some(new) = new.as_str().filter(|new| !new.is_empty()) {
                self.by_email.entry(new.to_lowercase()).or_default().push(at);
            }
        }
    }

    pub(super) fn delete_contact(&mut self, at: usize) {
        let nothing = json!({ "external_id": null, "email": null });
        if let Value::Object(nothing) = nothing {
            self.index(at, &nothing);
        }
        self.contacts[at].deleted = true;
    }

    /// Makes a company or changes the one with this `company_id`.
    pub(super) fn write_company(
        &mut self,
        at: Option<usize>,
        body: &Map<String, Value>,
        now_ms: i64,
    ) -> Result<usize, Problem> {
        let mut values = values(COMPANY, body)?;
        let own = self.own("company", body)?;
        let company_id = values.get("company_id").and_then(Value::as_str).map(str::to_owned);
        let at = match at {
            // It cannot be changed.
            Some(at) => {
                values.remove("company_id");
                at
            }
            None => {
                let company_id = company_id
                    .filter(|id| !id.is_empty())
                    .ok_or_else(|| Problem::new(400, "bad_request", "Company ID not specified"))?;
                match self.by_company_id.get(&company_id) {
                    Some(at) => *at,
                    None => {
                        let id = self.id("6613");
                        self.companies.push(Record { id, created_ms: now_ms, ..Record::default() });
                        self.by_company_id.insert(company_id, self.companies.len() - 1);
                        self.companies.len() - 1
                    }
                }
            }
        };
        self.writes += 1;
        let record = &mut self.companies[at];
        record.values.extend(values);
        record.own.extend(own);
        record.updated_ms = now_ms;
        record.writes += 1;
        record.version = self.writes;
        Ok(at)
    }

    pub(super) fn delete_company(&mut self, at: usize) {
        self.by_company_id.retain(|_, held| *held != at);
        self.companies[at].deleted = true;
        for contact in &mut self.contacts {
            contact.companies.retain(|company| *company != at);
        }
    }

    /// Makes a tag; the same name is the same tag.
    pub(super) fn write_tag(&mut self, id: Option<&str>, name: &str) -> Result<usize, Problem> {
        let same = |tag: &Record| tag.values.get("name") == Some(&json!(name)) && !tag.deleted;
        let named = self.tags.iter().position(same);
        let at = match id {
            Some(id) => {
                let found = self.tags.iter().position(|tag| tag.id == id && !tag.deleted);
                Some(found.ok_or_else(|| Problem::not_found("Tag"))?)
            }
            None => named,
        };
        let at = at.unwrap_or_else(|| {
            self.next += 1;
            self.tags.push(Record { id: self.next.to_string(), ..Record::default() });
            self.tags.len() - 1
        });
        self.tags[at].values.insert("name".to_owned(), json!(name));
        self.tags[at].writes += 1;
        Ok(at)
    }

    fn own(&self, model: &str, body: &Map<String, Value>) -> Result<Map<String, Value>, Problem> {
        let Some(sent) = body.get("custom_attributes").filter(|sent| !sent.is_null()) else {
            return Ok(Map::new());
        };
        let sent = sent
            .as_object()
            .ok_or_else(|| Problem::invalid("custom_attributes", "not an object"))?;
        for (name, value) in sent {
            let known = self.attributes.iter().find(|one| one.model == model && one.name == *name);
            let Some(attribute) = known else {
                return Err(Problem::invalid(
                    "custom_attributes",
                    format!("Custom attribute '{name}' does not exist"),
                ));
            };
            let fits = match (attribute.data_type.as_str(), value) {
                (_, Value::Null) => true,
                ("string", Value::String(text)) => {
                    let listed = attribute.options.is_empty() || attribute.options.contains(text);
                    listed && text.chars().count() <= TEXT_CHARS_MAX
                }
                ("integer" | "date", value) => value.is_i64(),
                ("float", value) => value.is_number(),
                ("boolean", value) => value.is_boolean(),
                _ => false,
            };
            if !fits {
                let field = format!("custom_attributes.{name}");
                let text =
                    format!("Custom attribute '{name}' is not a valid {}", attribute.data_type);
                return Err(Problem::invalid(&field, text));
            }
        }
        Ok(sent.clone())
    }

    /// What a search sees of a contact.
    pub(super) fn indexed(&self, contact: &Record, now_ms: i64) -> Option<Map<String, Value>> {
        match &contact.stale {
            Some((shown, until)) if now_ms < *until => shown.clone(),
            _ => Some(contact.values.clone()),
        }
    }

    pub(super) fn view_contact(&self, contact: &Record) -> Value {
        let seconds = |ms: i64| ms.div_euclid(1_000);
        let linked = |object: &str, ids: Vec<&str>, kind: &str| {
            let data: Vec<Value> = ids
                .iter()
                .map(|id| json!({ "type": kind, "id": id, "url": format!("/{object}/{id}") }))
                .collect();
            json!({ "type": "list", "data": data, "url": format!("/contacts/{}/{object}", contact.id),
                "total_count": data.len(), "has_more": false })
        };
        let mut shown = json!({
            "type": "contact", "id": contact.id, "workspace_id": "ecahpwf5", "external_id": null, "email": "",
            "phone": null, "name": null, "owner_id": null, "avatar": { "type": "avatar", "image_url": null },
            "has_hard_bounced": false, "marked_email_as_spam": false, "unsubscribed_from_emails": false,
            "signed_up_at": null, "last_seen_at": null,
            "created_at": seconds(contact.created_ms), "updated_at": seconds(contact.updated_ms),
            "custom_attributes": contact.own,
            "tags": linked("tags", contact.tags.iter().map(|at| self.tags[*at].id.as_str()).collect(), "tag"),
            "companies": linked(
                "companies",
                contact.companies.iter().map(|at| self.companies[*at].id.as_str()).collect(),
                "company",
            ),
        });
        for (name, value) in &contact.values {
            match name.as_str() {
                "avatar" => shown["avatar"]["image_url"] = value.clone(),
                // An address that is cleared is shown as an empty one.
                "email" if value.is_null() => shown["email"] = json!(""),
                _ => shown[name] = value.clone(),
            }
        }
        shown
    }

    pub(super) fn view_company(company: &Record) -> Value {
        let seconds = |ms: i64| ms.div_euclid(1_000);
        let mut shown = json!({
            "type": "company", "id": company.id, "app_id": "ecahpwf5", "plan": {},
            "created_at": seconds(company.created_ms), "updated_at": seconds(company.updated_ms),
            "session_count": 0, "user_count": 0, "custom_attributes": company.own,
            "tags": { "type": "tag.list", "tags": [] }, "segments": { "type": "segment.list", "segments": [] },
        });
        for (name, value) in company.values.iter().filter(|(_, value)| !value.is_null()) {
            shown[name] = match name.as_str() {
                "plan" => json!({ "type": "plan", "id": "1", "name": value }),
                _ => value.clone(),
            };
        }
        shown
    }

    pub(super) fn view_tag(tag: &Record) -> Value {
        json!({ "type": "tag", "id": tag.id, "name": tag.values.get("name") })
    }
}

/// The values of a body that Intercom knows; it passes over the others.
fn values(
    fields: &[(&str, char)],
    body: &Map<String, Value>,
) -> Result<Map<String, Value>, Problem> {
    let mut values = Map::new();
    for (name, form) in fields {
        let Some(value) = body.get(*name) else { continue };
        let kept = match (form, value) {
            (_, Value::Null) => Some(Value::Null),
            ('t', Value::String(text)) => Some(json!(text)),
            // Milliseconds would be a moment in the far future.
            ('s', value) => {
                value.as_i64().filter(|at| (0..100_000_000_000).contains(at)).map(Value::from)
            }
            ('n', value) => value.as_i64().map(Value::from),
            ('m', value) => {
                let whole =
                    value.as_f64().map(f64::trunc).filter(|whole| whole.abs() < 2_147_483_648.0);
                // What is behind the point is cut off.
                whole.map(|whole| json!(whole as i64))
            }
            ('b', Value::Bool(truth)) => Some(json!(truth)),
            _ => None,
        };
        match kept {
            Some(Value::String(email)) if *name == "email" && !email.contains('@') => {
                return Err(Problem::invalid("email", "email is invalid"));
            }
            Some(kept) => _ = values.insert((*name).to_owned(), kept),
            None => return Err(Problem::invalid(name, format!("{name} is invalid"))),
        }
    }
    Ok(values)
}

impl Records for Workspace {
    fn page(&self, object: &str, query: &RecordQuery) -> Option<(Vec<String>, u64)> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let records = match object {
            "contacts" => &inner.contacts,
            "companies" => &inner.companies,
            "tags" => &inner.tags,
            _ => return None,
        };
        let from = usize::try_from(query.from).unwrap_or(usize::MAX);
        let shown = |record: &Record| query.archived || !(record.archived || record.deleted);
        let page: Vec<(usize, &Record)> = records
            .iter()
            .enumerate()
            .skip(from)
            .filter(|(_, record)| shown(record))
            .take(PAGE_ROWS)
            .collect();
        let next = page.last().map_or(from, |(at, _)| at + 1);
        let lines: Vec<String> = page
            .into_iter()
            .map(|(_, record)| {
                let mut shown = match object {
                    "contacts" => inner.view_contact(record),
                    "companies" => Inner::view_company(record),
                    _ => Inner::view_tag(record),
                };
                // Plainly, as they were written.
                for (name, value) in &record.values {
                    shown[name] = value.clone();
                }
                shown["archived"] = json!(record.archived);
                shown["deleted"] = json!(record.deleted);
                shown["writes"] = json!(record.writes);
                shown["updates"] = json!(record.writes.saturating_sub(1));
                shown["version"] = json!(record.version);
                shown.to_string()
            })
            .collect();
        Some((lines, next as u64))
    }

    fn stats(&self) -> Value {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let count = |records: &[Record]| {
            records.iter().filter(|record| !record.deleted && !record.archived).count()
        };
        json!({ "objects": { "contacts": count(&inner.contacts), "companies": count(&inner.companies),
            "tags": count(&inner.tags) }, "writes": inner.writes })
    }

    fn reset(&self) {
        let fresh =
            Inner { attributes: self.options.attributes.clone(), next: 1, ..Inner::default() };
        *self.inner.lock().unwrap_or_else(PoisonError::into_inner) = fresh;
    }
}

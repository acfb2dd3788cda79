//! The records of one object, and the rules that hold between them: keys, addresses, and what a write does to both.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::field::{OwnField, Refused, kept};

/// One record.
#[derive(Debug, Clone)]
pub(super) struct Record {
    pub(super) id: String,
    own: Map<String, Value>,
    account: Map<String, Value>,
    /// A user's addresses: number, address, whether it is the main one.
    identities: Vec<(u64, String, bool)>,
    pub(super) created_ms: i64,
    updated_ms: i64,
    pub(super) deleted: bool,
    /// Deleted for good.
    gone: bool,
    writes: u64,
    version: u64,
}

/// The records of one object.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) object: String,
    pub(super) fields: Vec<OwnField>,
    records: Vec<Record>,
    by_id: HashMap<String, usize>,
    by_external_id: HashMap<String, Vec<usize>>,
    by_name: HashMap<String, usize>,
    by_address: HashMap<String, usize>,
    next: u64,
    writes: u64,
}

/// What a row asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ask {
    Upsert,
    UpsertByName,
    Create,
    Update,
    Delete,
    DeleteByExternalId,
}

impl Table {
    pub(super) fn new(object: &str, fields: Vec<OwnField>) -> Self {
        let next = match object {
            "tickets" => 1,
            "users" => 1_900_000_000_000,
            _ => 360_000_000_000,
        };
        Self {
            object: object.to_owned(),
            fields,
            records: Vec::new(),
            by_id: HashMap::new(),
            by_external_id: HashMap::new(),
            by_name: HashMap::new(),
            by_address: HashMap::new(),
            next,
            writes: 0,
        }
    }

    fn is_users(&self) -> bool {
        self.object == "users"
    }

    pub(super) fn all(&self) -> &[Record] {
        &self.records
    }

    pub(super) fn get(&self, id: &str) -> Option<&Record> {
        self.records.get(*self.by_id.get(id)?).filter(|record| !record.deleted)
    }

    /// Letter case does not count.
    pub(super) fn with_external_id(&self, external_id: &str) -> Vec<&Record> {
        let found = self.by_external_id.get(&external_id.to_lowercase());
        let records = found.into_iter().flatten().map(|at| &self.records[*at]);
        records.filter(|record| !record.deleted).collect()
    }

    pub(super) fn with_address(&self, address: &str) -> Option<&Record> {
        let at = self.by_address.get(&address.to_lowercase())?;
        Some(&self.records[*at]).filter(|record| !record.deleted)
    }

    /// Does what a row asks for: the record's id, and whether it is new.
    pub(super) fn apply(
        &mut self,
        ask: Ask,
        row: &Value,
        now_ms: i64,
    ) -> Result<(String, bool), Refused> {
        if let Ask::Delete | Ask::DeleteByExternalId = ask {
            return self.delete(ask, row).map(|id| (id, false));
        }
        let row =
            row.as_object().ok_or_else(|| Refused::new("InvalidValue", "base", "not an object"))?;
        let at = match ask {
            Ask::Create => None,
            Ask::Update => {
                let id = row.get("id").map(id_text).unwrap_or_default();
                let at = self.by_id.get(&id).copied().filter(|at| !self.records[*at].deleted);
                Some(at.ok_or_else(Refused::not_found)?)
            }
            Ask::UpsertByName => self.by_name.get(&folded(row, "name")).copied(),
            _ => self.same(row),
        };
        let (own, account) = kept(&self.object, &self.fields, row)?;
        let address = match row.get("email").filter(|_| self.is_users()) {
            Some(Value::String(text)) => Some(address(text)?),
            _ => None,
        };
        self.unique(at, &own, address.as_deref())?;
        let new = at.is_none();
        let at = match at {
            Some(at) => at,
            None => self.create(&own, row, now_ms)?,
        };
        self.index(at, &own);
        let record = &mut self.records[at];
        record.own.extend(own);
        record.account.extend(account);
        record.updated_ms = now_ms;
        record.writes += 1;
        self.writes += 1;
        record.version = self.writes;
        if let Some(address) = address {
            self.add_address(at, address);
        }
        Ok((self.records[at].id.clone(), new))
    }

    /// The record an upsert means: by external id, else by address.
    fn same(&self, row: &Map<String, Value>) -> Option<usize> {
        let external_id = folded(row, "external_id");
        let held = self.by_external_id.get(&external_id).and_then(|held| held.first()).copied();
        let held = held.filter(|_| !external_id.is_empty());
        let address = folded(row, "email");
        held.or_else(|| self.by_address.get(&address).copied().filter(|_| self.is_users()))
    }

    fn unique(
        &self,
        at: Option<usize>,
        own: &Map<String, Value>,
        address: Option<&str>,
    ) -> Result<(), Refused> {
        let other = |held: Option<&usize>| held.is_some_and(|held| Some(*held) != at);
        let external_id = folded(own, "external_id");
        let held = self.by_external_id.get(&external_id).and_then(|held| held.first());
        if self.object != "tickets" && !external_id.is_empty() && other(held) {
            return Err(Refused::new(
                "DuplicateValue",
                "external_id",
                "External has already been taken",
            ));
        }
        let name = folded(own, "name");
        if self.object == "organizations" && !name.is_empty() && other(self.by_name.get(&name)) {
            let text = format!("Name: {name} has already been taken");
            return Err(Refused::new("DuplicateValue", "name", text));
        }
        match address {
            Some(address) if other(self.by_address.get(address)) => {
                let text = format!("Email: {address} is already being used by another user");
                Err(Refused::new("DuplicateValue", "email", text))
            }
            _ => Ok(()),
        }
    }

    fn create(
        &mut self,
        own: &Map<String, Value>,
        row: &Map<String, Value>,
        now_ms: i64,
    ) -> Result<usize, Refused> {
        let blank = |name: &str| folded(own, name).trim().is_empty();
        match self.object.as_str() {
            "tickets" if row.get("comment").is_none() && blank("description") => {
                return Err(Refused::new("BlankValue", "base", "Description: cannot be blank"));
            }
            "tickets" => {}
            _ if blank("name") => {
                let text = "Name: is too short (minimum one character)";
                return Err(Refused::new("BlankValue", "name", text));
            }
            _ => {}
        }
        let id = match self.object.as_str() {
            "users" | "organizations" | "tickets" => self.next.to_string(),
            _ => format!("01H{:020}QV", self.next),
        };
        self.next += if self.object == "tickets" { 1 } else { 20 };
        let at = self.records.len();
        self.records.push(Record {
            id: id.clone(),
            own: Map::new(),
            account: Map::new(),
            identities: Vec::new(),
            created_ms: now_ms,
            updated_ms: now_ms,
            deleted: false,
            gone: false,
            writes: 0,
            version: 0,
        });
        self.by_id.insert(id, at);
        Ok(at)
    }

    fn index(&mut self, at: usize, own: &Map<String, Value>) {
        if own.contains_key("external_id") {
            let old = folded(&self.records[at].own, "external_id");
            self.unhold(&old, at);
            let new = folded(own, "external_id");
            if !new.is_empty() {
                self.by_external_id.entry(new).or_default().push(at);
            }
        }
        if own.contains_key("name") {
            self.by_name.remove(&folded(&self.records[at].own, "name"));
            self.by_name.insert(folded(own, "name"), at);
        }
    }

    fn unhold(&mut self, external_id: &str, at: usize) {
        if let Some(held) = self.by_external_id.get_mut(external_id) {
            held.retain(|one| *one != at);
            if held.is_empty() {
                self.by_external_id.remove(external_id);
            }
        }
    }

    /// A further address does not become the main one.
    fn add_address(&mut self, at: usize, address: String) {
        let record = &mut self.records[at];
        if record.identities.iter().all(|(_, held, _)| *held != address) {
            let first = record.identities.is_empty();
            record.identities.push((self.next + 1, address.clone(), first));
            self.next += 20;
            self.by_address.insert(address, at);
        }
    }

    pub(super) fn make_primary(&mut self, user: &str, identity: &str) -> bool {
        let Some(at) = self.by_id.get(user).copied().filter(|at| !self.records[*at].deleted) else {
            return false;
        };
        let identities = &mut self.records[at].identities;
        if identities.iter().all(|(id, _, _)| id.to_string() != identity) {
            return false;
        }
        for one in identities {
            one.2 = one.0.to_string() == identity;
        }
        true
    }

    pub(super) fn identities(&self, user: &str) -> Option<Vec<Value>> {
        let shown = |(id, address, primary): &(u64, String, bool)| {
            json!({ "id": id, "user_id": user.parse::<u64>().ok(), "type": "email", "value": address,
                "verified": false, "primary": primary })
        };
        Some(self.get(user)?.identities.iter().map(shown).collect())
    }

    fn delete(&mut self, ask: Ask, row: &Value) -> Result<String, Refused> {
        let key = id_text(row);
        let at = match ask {
            Ask::DeleteByExternalId => {
                self.by_external_id.get(&key.to_lowercase()).and_then(|held| held.first())
            }
            _ => self.by_id.get(&key),
        };
        let at =
            at.copied().filter(|at| !self.records[*at].deleted).ok_or_else(Refused::not_found)?;
        self.unhold(&folded(&self.records[at].own, "external_id"), at);
        let name = folded(&self.records[at].own, "name");
        if self.by_name.get(&name) == Some(&at) {
            self.by_name.remove(&name);
        }
        for (_, address, _) in &self.records[at].identities {
            self.by_address.remove(address);
        }
        self.records[at].deleted = true;
        self.writes += 1;
        Ok(self.records[at].id.clone())
    }

    /// Out of the bin, for good.
    pub(super) fn forget(&mut self, id: &str) -> bool {
        let at = self
            .by_id
            .get(id)
            .copied()
            .filter(|at| self.records[*at].deleted && !self.records[*at].gone);
        at.is_some_and(|at| {
            self.records[at].gone = true;
            true
        })
    }

    /// A record as clients see it.
    pub(super) fn view(&self, record: &Record) -> Value {
        let mut shown = record.own.clone();
        let numbered = record.id.parse::<u64>();
        shown.insert("id".to_owned(), numbered.map_or_else(|_| json!(record.id), |id| json!(id)));
        shown
            .insert("url".to_owned(), json!(format!("/api/v2/{}/{}.json", self.object, record.id)));
        shown.insert("created_at".to_owned(), json!(iso(record.created_ms)));
        shown.insert("updated_at".to_owned(), json!(iso(record.updated_ms)));
        for name in ["external_id", "notes", "details"] {
            shown.entry(name).or_insert(Value::Null);
        }
        let account =
            |field: &OwnField| record.account.get(&field.key).cloned().unwrap_or(Value::Null);
        let keyed: Map<String, Value> =
            self.fields.iter().map(|field| (field.key.clone(), account(field))).collect();
        let (member, fields) = match self.object.as_str() {
            "users" => ("user_fields", json!(keyed)),
            "organizations" => ("organization_fields", json!(keyed)),
            "tickets" => {
                let each = self.fields.iter().map(|field| {
                    json!({ "id": field.key.parse::<u64>().unwrap_or(0), "value": account(field) })
                });
                ("custom_fields", each.collect())
            }
            _ => ("custom_object_fields", json!(keyed)),
        };
        shown.insert(member.to_owned(), fields);
        if self.is_users() {
            let main = record.identities.iter().find(|(_, _, primary)| *primary);
            shown.insert("email".to_owned(), json!(main.map(|(_, address, _)| address)));
            shown.entry("role").or_insert(json!("end-user"));
            shown.entry("suspended").or_insert(json!(false));
            shown.insert("active".to_owned(), json!(!record.deleted));
        }
        Value::Object(shown)
    }

    /// A record as the oracle of a test reads it.
    pub(super) fn oracle_line(&self, record: &Record) -> String {
        let mut shown = self.view(record);
        let more = json!({ "archived": record.deleted, "gone": record.gone, "writes": record.writes,
            "updates": record.writes.saturating_sub(1), "version": record.version });
        if let (Value::Object(shown), Value::Object(more)) = (&mut shown, more) {
            shown.extend(more);
        }
        shown.to_string()
    }

    pub(super) fn stats(&self) -> Value {
        let live = self.records.iter().filter(|record| !record.deleted);
        let most = live.clone().map(|record| record.writes.saturating_sub(1)).max().unwrap_or(0);
        json!({ "records": live.count(), "created": self.records.len(), "updates_max": most, "writes": self.writes })
    }
}

fn folded(row: &Map<String, Value>, name: &str) -> String {
    row.get(name).map(id_text).unwrap_or_default().to_lowercase()
}

/// A text or a number as text.
pub(super) fn id_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => String::new(),
    }
}

fn address(text: &str) -> Result<String, Refused> {
    let address = text.trim().to_lowercase();
    let plain = !address.contains(char::is_whitespace);
    match address.split_once('@') {
        Some((name, host))
            if plain && !name.is_empty() && host.contains('.') && !host.ends_with(['.', '_']) =>
        {
            Ok(address)
        }
        _ => {
            let text = format!("Email: {text} is not properly formatted");
            Err(Refused::new("InvalidValue", "email", text))
        }
    }
}

pub(super) fn iso(ms: i64) -> String {
    let at = chrono::DateTime::from_timestamp_millis(ms).unwrap_or_default();
    at.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

//! A record as clients see it: stored and computed properties, and when it was made and changed.

use std::io::Write as _;

use super::record::{Fields, Record};
use super::reply::{drop_comma, push_pair, push_text};
use super::schema::{Origin, Schema};
use super::time::iso;

/// A record together with what is needed to show it.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) schema: &'a Schema,
    pub(super) id: u64,
    pub(super) record: &'a Record,
}

impl View<'_> {
    /// The value of a property, computed ones included; none when it is not set or not known.
    pub(super) fn value(&self, name: &str) -> Option<String> {
        self.value_in(&self.record.fields, name)
    }

    /// The same, read from another state of the record.
    pub(super) fn value_in(&self, fields: &Fields, name: &str) -> Option<String> {
        let (index, property) = self.schema.find(name)?;
        match property.origin {
            Origin::Stored => fields.get(index).map(str::to_owned),
            Origin::RecordId => Some(self.id.to_string()),
            Origin::Created => Some(iso(self.record.created_ms)),
            Origin::Modified => Some(iso(self.record.updated_ms)),
        }
    }

    /// Appends the record as JSON with the named properties, open at its end for more members.
    pub(super) fn push_open(&self, out: &mut Vec<u8>, names: &[impl AsRef<str>]) {
        let _ = write!(out, r#"{{"id":"{}","properties":{{"#, self.id);
        let names = names.iter().map(AsRef::as_ref);
        for (number, name) in names.clone().enumerate() {
            let again = names.clone().take(number).any(|earlier| earlier == name);
            if !again && name != "hs_object_id" && self.schema.find(name).is_some() {
                push_pair(out, name, self.value(name).as_deref());
            }
        }
        push_pair(out, "hs_object_id", Some(&self.id.to_string()));
        drop_comma(out);
        out.push(b'}');
        self.push_times(out);
    }

    /// Appends the record as JSON with the named properties.
    pub(super) fn push(&self, out: &mut Vec<u8>, names: &[impl AsRef<str>]) {
        self.push_open(out, names);
        out.push(b'}');
    }

    fn push_times(&self, out: &mut Vec<u8>) {
        let (created, updated) = (iso(self.record.created_ms), iso(self.record.updated_ms));
        let archived = self.record.archived_ms;
        let _ = write!(
            out,
            r#","createdAt":"{created}","updatedAt":"{updated}","archived":{}"#,
            archived.is_some()
        );
        if let Some(at) = archived {
            let _ = write!(out, r#","archivedAt":"{}""#, iso(at));
        }
    }

    /// The record as the oracle of a test reads it: all properties, and how often it was written.
    pub(super) fn oracle_line(&self) -> String {
        let mut out = Vec::with_capacity(256);
        let _ = write!(out, r#"{{"id":"{}","properties":{{"#, self.id);
        for (index, value) in self.record.fields.iter() {
            push_text(&mut out, &self.schema.at(index).name);
            out.push(b':');
            push_text(&mut out, value);
            out.push(b',');
        }
        drop_comma(&mut out);
        out.push(b'}');
        self.push_times(&mut out);
        let record = self.record;
        let _ = write!(
            out,
            r#","updates":{},"writes":{},"version":{}}}"#,
            record.updates,
            u64::from(record.updates) + 1,
            record.version
        );
        String::from_utf8(out).unwrap_or_default()
    }
}

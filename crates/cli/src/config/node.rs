//! A YAML document as a tree in which every key and value knows its place.

use serde_json::Value as Json;

use super::file::Place;
use crate::diagnostic::Diagnostic;

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    /// The value's place; empty where a key has no value.
    pub(crate) place: Place,
    /// The value.
    pub(crate) value: Value,
}

/// What a node holds.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    /// Null, a boolean or a number, as JSON.
    Plain(Json),
    /// Text.
    Text(Text),
    /// A list.
    List(Vec<Node>),
    /// Keys and values in the order they are written.
    Map(Vec<Entry>),
    /// A scalar that names a variable which is not there; an error only where the value is needed.
    Unresolved(Box<Diagnostic>),
}

/// Text and how it came to be.
#[derive(Clone)]
pub(crate) struct Text {
    /// The text.
    pub(crate) text: String,
    /// Written without quotes, so that after substitution it may still be a number or a boolean.
    pub(crate) unquoted: bool,
    /// Came out of a variable or a file: must not be shown.
    pub(crate) substituted: bool,
}

impl std::fmt::Debug for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.substituted { "***" } else { &self.text })
    }
}

/// One key of a map.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// The key.
    pub(crate) key: String,
    /// Where the key stands.
    pub(crate) place: Place,
    /// Its value.
    pub(crate) value: Node,
}

impl Entry {
    /// The value's place, or the key's where there is no value.
    pub(crate) fn value_place(&self) -> &Place {
        if self.value.place.is_empty() { &self.place } else { &self.value.place }
    }
}

impl Node {
    /// The entries of a map; none for anything else.
    pub(crate) fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The entry with that key, where this is a map.
    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.key == key)
    }

    /// The entry under several keys, one inside the other.
    pub(crate) fn entry_at(&self, path: &[&str]) -> Option<&Entry> {
        let (first, rest) = path.split_first()?;
        let entry = self.entry(first)?;
        if rest.is_empty() { Some(entry) } else { entry.value.entry_at(rest) }
    }

    /// The items of a list; none for anything else.
    pub(crate) fn items(&self) -> &[Self] {
        match &self.value {
            Value::List(items) => items,
            _ => &[],
        }
    }

    /// The text of a text scalar.
    pub(crate) fn as_text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(&text.text),
            _ => None,
        }
    }

    /// The value as JSON. What is not resolved is null.
    pub(crate) fn to_json(&self) -> Json {
        match &self.value {
            Value::Plain(value) => value.clone(),
            Value::Text(text) => Json::String(text.text.clone()),
            Value::List(items) => Json::Array(items.iter().map(Self::to_json).collect()),
            Value::Map(entries) => Json::Object(
                entries.iter().map(|entry| (entry.key.clone(), entry.value.to_json())).collect(),
            ),
            Value::Unresolved(_) => Json::Null,
        }
    }

    /// Calls `visit` on every scalar below, this one included.
    pub(crate) fn scalars_mut(&mut self, visit: &mut dyn FnMut(&mut Self)) {
        match &mut self.value {
            Value::List(items) => items.iter_mut().for_each(|item| item.scalars_mut(visit)),
            Value::Map(entries) => {
                entries.iter_mut().for_each(|entry| entry.value.scalars_mut(visit));
            }
            Value::Plain(_) | Value::Text(_) | Value::Unresolved(_) => visit(self),
        }
    }

    /// The errors of every scalar below that is not resolved.
    pub(crate) fn unresolved(&self) -> Vec<Diagnostic> {
        match &self.value {
            Value::Unresolved(diagnostic) => vec![(**diagnostic).clone()],
            Value::List(items) => items.iter().flat_map(Self::unresolved).collect(),
            Value::Map(entries) => {
                entries.iter().flat_map(|entry| entry.value.unresolved()).collect()
            }
            Value::Plain(_) | Value::Text(_) => Vec::new(),
        }
    }

    /// Puts the keys of `base` that this map does not have under it, key by key at every depth.
    pub(crate) fn merge_under(&mut self, base: &Self) {
        let (Value::Map(entries), Value::Map(base)) = (&mut self.value, &base.value) else {
            return;
        };
        for entry in base {
            match entries.iter_mut().find(|own| own.key == entry.key) {
                Some(own) => own.value.merge_under(&entry.value),
                None => entries.push(entry.clone()),
            }
        }
    }
}

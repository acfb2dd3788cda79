//! Checks a [`Node`] tree against a JSON Schema and finds every error with its place.
//!
//! It knows the keywords our generated schemas use, no more; a test keeps it so.

mod alternatives;
mod keywords;

use serde_json::Value as Json;

use super::file::Place;
use super::nearest::{did_you_mean, list, nearest};
use super::node::{Entry, Node, Value};
use super::scalar::resolve;
use crate::codes::{
    E0010_UNKNOWN_KEY, E0011_MISSING_KEY, E0012_WRONG_TYPE, E0013_VALUE_NOT_ALLOWED,
};
use crate::diagnostic::Diagnostic;

/// A schema and the definitions its references point into.
#[derive(Clone, Copy)]
pub(crate) struct Shape<'s> {
    root: &'s Json,
}

/// What is being checked, and what it is called in messages.
#[derive(Clone, Copy)]
struct Spot<'n> {
    node: &'n Node,
    /// With backticks: "`model`", "item 2 of `tags`".
    name: &'n str,
    /// The key that leads here; underlined where the value itself cannot be.
    key: &'n Place,
    /// The value must not be quoted.
    secret: bool,
}

impl<'n> Spot<'n> {
    /// What to underline when the value as a whole is wrong.
    fn place(&self) -> &'n Place {
        let block = matches!(self.node.value, Value::Map(_) | Value::List(_))
            && self.node.place.text().contains('\n');
        if self.node.place.is_empty() || block { self.key } else { &self.node.place }
    }

    /// The written value for a message, or nothing where it must not be shown.
    fn written(&self) -> Option<String> {
        if self.secret {
            return None;
        }
        let text = match &self.node.value {
            Value::Text(text) if !text.substituted => text.text.clone(),
            Value::Plain(value) if !self.node.place.is_empty() => value.to_string(),
            _ => return None,
        };
        let line = text.lines().next().unwrap_or_default();
        let short: String = line.chars().take(40).collect();
        Some(if short.len() < text.len() { format!("`{short}…`") } else { format!("`{short}`") })
    }
}

impl<'s> Shape<'s> {
    /// A shape; `root` holds `$defs`.
    pub(crate) fn new(root: &'s Json) -> Self {
        Self { root }
    }

    /// Every error of the document `node`, whose name in messages is `name`.
    pub(crate) fn check(self, node: &Node, name: &str) -> Vec<Diagnostic> {
        let mut problems = Vec::new();
        // What is missing in the whole file is shown at its first line.
        let first = Place::new(&node.place.file, node.place.start, node.place.end).first_line();
        let spot = Spot { node, name, key: &first, secret: false };
        self.visit(spot, self.root, &mut problems);
        problems
    }

    /// Gives substituted text the type the schema asks for, where it is not text: `${PORT}` is a number
    /// where a number belongs.
    pub(crate) fn conform(self, node: &mut Node) {
        self.conform_to(node, self.root);
    }

    fn conform_to(self, node: &mut Node, schema: &'s Json) {
        for schema in self.parts(node, schema) {
            match &mut node.value {
                Value::Text(text) if text.substituted && text.unquoted => {
                    let types = self.types(schema);
                    if !types.is_empty()
                        && !types.contains(&"string")
                        && let Ok(value) = resolve(&text.text)
                        && !value.is_string()
                    {
                        node.value = Value::Plain(value);
                    }
                }
                Value::List(items) => {
                    if let Some(item_schema) = schema.get("items") {
                        items.iter_mut().for_each(|item| self.conform_to(item, item_schema));
                    }
                }
                Value::Map(entries) => {
                    for entry in entries {
                        let known = schema.get("properties").and_then(|all| all.get(&entry.key));
                        if let Some(schema) = known.or(schema.get("additionalProperties")) {
                            self.conform_to(&mut entry.value, schema);
                        }
                    }
                }
                _ => {}
            }
        }
    }

    /// The schema itself and every schema that may hold together with it for this value.
    fn parts(self, node: &Node, schema: &'s Json) -> Vec<&'s Json> {
        let mut parts = vec![schema];
        let inner = ["allOf", "anyOf", "oneOf"].into_iter().flat_map(|key| branches(schema, key));
        for part in self.target(schema).into_iter().chain(inner) {
            parts.extend(self.parts(node, part));
        }
        if let (Some(condition), Some(then)) = (schema.get("if"), schema.get("then")) {
            let spot = Spot { node, name: "", key: &node.place, secret: true };
            if self.holds(spot, condition) {
                parts.extend(self.parts(node, then));
            }
        }
        parts
    }

    fn target(self, schema: &Json) -> Option<&'s Json> {
        let path = schema.get("$ref")?.as_str()?.strip_prefix('#')?;
        self.root.pointer(path)
    }

    fn visit(self, spot: Spot<'_>, schema: &Json, problems: &mut Vec<Diagnostic>) {
        if matches!(spot.node.value, Value::Unresolved(_)) || schema == &Json::Bool(true) {
            return;
        }
        let secret = spot.secret || is_secret(schema);
        let spot = Spot { secret, ..spot };
        if let Some(target) = self.target(schema) {
            self.visit(spot, target, problems);
        }
        let types = own_types(schema);
        if !types.is_empty() && !types.iter().any(|name| has_type(spot.node, name)) {
            problems.push(wrong_type(spot, &types, schema));
            return;
        }
        for branch in branches(schema, "allOf") {
            self.visit(spot, branch, problems);
        }
        if let Some(condition) = schema.get("if")
            && is_decided(spot.node, condition)
            && self.holds(spot, condition)
            && let Some(then) = schema.get("then")
        {
            self.visit(spot, then, problems);
        }
        for (key, exactly_one) in [("oneOf", true), ("anyOf", false)] {
            self.alternatives(spot, schema, branches(schema, key), exactly_one, problems);
        }
        if let Some(choices) = own_choices(schema)
            && !choices.contains(&spot.node.to_json())
        {
            problems.push(not_allowed(spot, &choices, &[]));
        }
        keywords::scalar(spot, schema, problems);
        self.list(spot, schema, problems);
        self.map(spot, schema, problems);
    }

    /// Whether the schema accepts the value, without a word.
    fn holds(self, spot: Spot<'_>, schema: &Json) -> bool {
        let mut problems = Vec::new();
        self.visit(spot, schema, &mut problems);
        problems.is_empty()
    }

    fn list(self, spot: Spot<'_>, schema: &Json, problems: &mut Vec<Diagnostic>) {
        let Value::List(items) = &spot.node.value else { return };
        keywords::list(spot, items, schema, problems);
        let Some(item_schema) = schema.get("items") else { return };
        for (index, item) in items.iter().enumerate() {
            let name = format!("item {} of {}", index + 1, spot.name);
            let key =
                if item.place.is_empty() { spot.key.clone() } else { item.place.first_line() };
            let item = Spot { node: item, name: &name, key: &key, secret: spot.secret };
            self.visit(item, item_schema, problems);
        }
    }

    fn map(self, spot: Spot<'_>, schema: &Json, problems: &mut Vec<Diagnostic>) {
        let Value::Map(entries) = &spot.node.value else { return };
        let known = schema.get("properties").and_then(Json::as_object);
        for entry in entries {
            let name = format!("`{}`", entry.key);
            let inner =
                Spot { node: &entry.value, name: &name, key: &entry.place, secret: spot.secret };
            if let Some(schema) = known.and_then(|known| known.get(&entry.key)) {
                self.visit(inner, schema, problems);
                continue;
            }
            match schema.get("additionalProperties") {
                Some(Json::Bool(false)) => {
                    let known = known.into_iter().flatten().map(|(key, _)| key.as_str());
                    problems.push(unknown_key(spot.name, &entry.key, &entry.place, known));
                }
                Some(schema) => self.visit(inner, schema, problems),
                None => {}
            }
        }
        for key in schema.get("required").and_then(Json::as_array).into_iter().flatten() {
            let Some(key) = key.as_str() else { continue };
            let is_missing = entries.iter().all(|entry| entry.key != key);
            if is_missing && !is_misspelled(entries, schema, key) {
                let schema = known.and_then(|known| known.get(key));
                problems.push(missing_key(spot, key, schema.and_then(|schema| self.about(schema))));
            }
        }
        keywords::map(spot, entries, schema, problems);
    }

    /// The first description on the way along references.
    fn about(self, schema: &Json) -> Option<String> {
        let own = schema.get("description").and_then(Json::as_str);
        let text = match own {
            Some(text) => Some(text.to_owned()),
            None => self.target(schema).and_then(|target| self.about(target)),
        };
        text.map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "))
    }

    /// The type names a value of this schema may have; none when any.
    fn types(self, schema: &Json) -> Vec<&'static str> {
        let own = own_types(schema);
        if !own.is_empty() {
            return TYPES.into_iter().filter(|name| own.contains(name)).collect();
        }
        if let Some(target) = self.target(schema) {
            return self.types(target);
        }
        let mut all = Vec::new();
        for key in ["oneOf", "anyOf"] {
            for branch in branches(schema, key) {
                all.extend(self.types(branch));
            }
        }
        all
    }
}

/// Whether every value the condition asks about is there; a variable that is not set fits any condition.
fn is_decided(node: &Node, condition: &Json) -> bool {
    let asked = condition.get("properties").and_then(Json::as_object).into_iter().flatten();
    asked
        .filter_map(|(key, _)| node.entry(key))
        .all(|entry| !matches!(entry.value.value, Value::Unresolved(_)))
}

const TYPES: [&str; 7] = ["null", "boolean", "integer", "number", "string", "array", "object"];

fn branches<'a>(schema: &'a Json, key: &str) -> &'a [Json] {
    schema.get(key).and_then(Json::as_array).map_or(&[], Vec::as_slice)
}

fn is_secret(schema: &Json) -> bool {
    schema.get("writeOnly") == Some(&Json::Bool(true))
}

fn own_types(schema: &Json) -> Vec<&str> {
    match schema.get("type") {
        Some(Json::String(name)) => vec![name],
        Some(Json::Array(names)) => names.iter().filter_map(Json::as_str).collect(),
        _ => Vec::new(),
    }
}

fn own_choices(schema: &Json) -> Option<Vec<Json>> {
    match (schema.get("enum"), schema.get("const")) {
        (Some(Json::Array(values)), _) => Some(values.clone()),
        (_, Some(value)) => Some(vec![value.clone()]),
        _ => None,
    }
}

fn has_type(node: &Node, name: &str) -> bool {
    match &node.value {
        Value::Plain(Json::Null) => name == "null",
        Value::Plain(Json::Bool(_)) => name == "boolean",
        Value::Plain(Json::Number(number)) => {
            name == "number" || (name == "integer" && !number.is_f64())
        }
        Value::Text(_) => name == "string",
        Value::List(_) => name == "array",
        Value::Map(_) => name == "object",
        Value::Plain(_) | Value::Unresolved(_) => true,
    }
}

fn type_in_words(name: &str) -> &'static str {
    match name {
        "null" => "nothing",
        "boolean" => "`true` or `false`",
        "integer" => "a whole number",
        "number" => "a number",
        "string" => "text",
        "array" => "a list",
        _ => "a map",
    }
}

/// Whether an unknown key is most likely meant to be this one, so that it is not missing besides.
fn is_misspelled(entries: &[Entry], schema: &Json, key: &str) -> bool {
    let Some(known) = schema.get("properties").and_then(Json::as_object) else { return false };
    let closed = schema.get("additionalProperties") == Some(&Json::Bool(false));
    let unknown = entries.iter().filter(|entry| closed && !known.contains_key(&entry.key));
    unknown
        .map(|entry| nearest(&entry.key, known.keys().map(String::as_str)))
        .any(|near| near == Some(key))
}

fn wrong_type(spot: Spot<'_>, types: &[&str], schema: &Json) -> Diagnostic {
    let mut words: Vec<&str> = types.iter().map(|name| type_in_words(name)).collect();
    words.dedup();
    let expected = words.join(" or ");
    let found = match &spot.node.value {
        Value::Plain(Json::Null) => "empty",
        Value::Plain(Json::Bool(_)) => "a boolean",
        Value::Plain(_) => "a number",
        Value::Text(_) => "text",
        Value::List(_) => "a list",
        Value::Map(_) | Value::Unresolved(_) => "a map",
    };
    let problem =
        Diagnostic::error(&E0012_WRONG_TYPE, format!("{} is {found}, not {expected}", spot.name))
            .at(spot.place(), format!("expected {expected}"));
    let written = spot.node.as_text().unwrap_or_default().to_lowercase();
    match (&spot.node.value, types) {
        (Value::Plain(_), ["string"]) if schema.get("pattern").is_some() => {
            problem.with_help(format!("expected {}", keywords::form_in_words(schema)))
        }
        (Value::Plain(Json::Null), _) => problem.with_help("write a value, or remove the key"),
        (Value::Text(_), ["boolean"]) if matches!(written.as_str(), "yes" | "on" | "y") => {
            problem.with_help("in YAML 1.2 this is text: write `true`")
        }
        (Value::Text(_), ["boolean"]) if matches!(written.as_str(), "no" | "off" | "n") => {
            problem.with_help("in YAML 1.2 this is text: write `false`")
        }
        (Value::Text(_), ["integer" | "number"]) => problem.with_help("write it without quotes"),
        (Value::Plain(_), ["string"]) => problem.with_help("put it in quotes"),
        (Value::Plain(_) | Value::Text(_), ["array"]) => {
            problem.with_help("write a list: `[a, b]`, or one `- item` per line")
        }
        (_, ["object"]) => problem.with_help("write keys and values below it, indented"),
        _ => problem.with_help(format!("write {expected}")),
    }
}

fn not_allowed(spot: Spot<'_>, choices: &[Json], forms: &[String]) -> Diagnostic {
    let words: Vec<String> = choices
        .iter()
        .map(|choice| choice.as_str().map_or_else(|| choice.to_string(), str::to_owned))
        .collect();
    let message = match spot.written() {
        Some(written) => format!("{} cannot be {written}", spot.name),
        None => format!("{} has a value that is not allowed", spot.name),
    };
    let forms_listed: String = forms.iter().map(|form| format!(", `{{ {form}: … }}`")).collect();
    let typed = spot.node.as_text().filter(|_| spot.written().is_some()).unwrap_or_default();
    let help = if forms.iter().any(|form| form == typed) {
        format!("`{typed}` takes a value: write `{{ {typed}: … }}`")
    } else {
        let near = did_you_mean(typed, words.iter().map(String::as_str));
        let all = list(words.iter().map(String::as_str));
        match words.as_slice() {
            [only] if forms.is_empty() => format!("{near}the only value is `{only}`"),
            _ => format!("{near}the values are {all}{forms_listed}"),
        }
    };
    Diagnostic::error(&E0013_VALUE_NOT_ALLOWED, message)
        .at(spot.place(), "not one of the values")
        .with_help(help)
}

/// The error for a key that is not known in the map called `map`.
pub(super) fn unknown_key<'a>(
    map: &str,
    key: &str,
    place: &Place,
    known: impl Iterator<Item = &'a str> + Clone,
) -> Diagnostic {
    let near = did_you_mean(key, known.clone());
    Diagnostic::error(&E0010_UNKNOWN_KEY, format!("unknown key `{key}` in {map}"))
        .at(place, "not a key here")
        .with_help(format!("{near}{map} takes {}", list(known)))
}

fn missing_key(spot: Spot<'_>, key: &str, about: Option<String>) -> Diagnostic {
    let place = match &spot.node.value {
        Value::Map(entries) if entries.is_empty() => spot.place(),
        _ => spot.key,
    };
    let help = about.map_or_else(|| format!("add `{key}:`"), |about| format!("`{key}`: {about}"));
    Diagnostic::error(&E0011_MISSING_KEY, format!("{} needs the key `{key}`", spot.name))
        .at(place, format!("`{key}` is missing"))
        .with_help(help)
}

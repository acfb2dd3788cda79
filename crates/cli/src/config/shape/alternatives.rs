//! `oneOf` and `anyOf`: finds the form that was meant, so that the message is about that one.

use serde_json::Value as Json;

use super::{
    Shape, Spot, branches, is_misspelled, not_allowed, own_choices, unknown_key, wrong_type,
};
use crate::codes::{E0011_MISSING_KEY, E0016_EXACTLY_ONE};
use crate::config::nearest::list;
use crate::config::node::{Entry, Value};
use crate::diagnostic::Diagnostic;

impl<'s> Shape<'s> {
    pub(super) fn alternatives(
        self,
        spot: Spot<'_>,
        schema: &Json,
        branches: &[Json],
        exactly_one: bool,
        problems: &mut Vec<Diagnostic>,
    ) {
        if branches.is_empty() {
            return;
        }
        if let Some(keys) = required_only(branches) {
            let entries = spot.node.entries();
            if !keys.iter().any(|key| is_misspelled(entries, schema, key)) {
                self.one_key(spot, &keys, exactly_one, problems);
            }
            return;
        }
        let holding = branches.iter().filter(|branch| self.holds(spot, branch)).count();
        match (holding, exactly_one) {
            (0, _) => self.no_form(spot, branches, problems),
            (1, _) | (_, false) => {}
            (_, true) => problems.push(
                Diagnostic::error(
                    &E0016_EXACTLY_ONE,
                    format!("{} can be understood in several ways", spot.name),
                )
                .at(spot.place(), "not clear"),
            ),
        }
    }

    /// Branches that each ask for one key and no more.
    fn one_key(
        self,
        spot: Spot<'_>,
        keys: &[&str],
        exactly_one: bool,
        problems: &mut Vec<Diagnostic>,
    ) {
        let Value::Map(entries) = &spot.node.value else { return };
        let found: Vec<&Entry> =
            entries.iter().filter(|entry| keys.contains(&entry.key.as_str())).collect();
        let all = list(keys.iter().copied());
        if found.is_empty() {
            problems.push(
                Diagnostic::error(&E0016_EXACTLY_ONE, format!("{} needs one of {all}", spot.name))
                    .at(spot.key, "none of them is here")
                    .with_help(format!("add one of {all}")),
            );
        } else if found.len() > 1 && exactly_one {
            let both = list(found.iter().map(|entry| entry.key.as_str()));
            let mut problem = Diagnostic::error(
                &E0016_EXACTLY_ONE,
                format!("{} takes only one of {both}", spot.name),
            )
            .with_help(format!("keep one of {both}"));
            for (index, entry) in found.iter().enumerate() {
                let text = if index == 0 { "this one" } else { "or this one" };
                problem = problem.at(&entry.place, text);
            }
            problems.push(problem);
        }
    }

    /// No branch holds: says what is wrong with the one that was meant.
    fn no_form(self, spot: Spot<'_>, branches: &[Json], problems: &mut Vec<Diagnostic>) {
        let branches: Vec<&Json> = branches.iter().flat_map(|branch| self.flat(branch)).collect();
        let fitting: Vec<&Json> =
            branches.iter().copied().filter(|branch| self.fits(spot, branch)).collect();
        let words: Vec<Json> =
            branches.iter().filter_map(|branch| own_choices(branch)).flatten().collect();
        let is_scalar = !matches!(spot.node.value, Value::Map(_) | Value::List(_));
        if is_scalar
            && !words.is_empty()
            && fitting.iter().all(|branch| own_choices(branch).is_some())
        {
            let tags: Vec<String> = branches.iter().filter_map(|branch| tag(branch)).collect();
            problems.push(not_allowed(spot, &words, &tags));
            return;
        }
        match fitting.as_slice() {
            [] => {
                let mut types: Vec<&str> =
                    branches.iter().flat_map(|branch| self.types(branch)).collect();
                types.dedup();
                problems.push(wrong_type(spot, &types, &Json::Null));
            }
            [only] => self.visit(spot, only, problems),
            _ => self.meant(spot, &fitting, problems),
        }
    }

    /// Several forms have the value's type: decides by a key.
    fn meant(self, spot: Spot<'_>, fitting: &[&Json], problems: &mut Vec<Diagnostic>) {
        let entries = spot.node.entries();
        if let Some(key) = self.discriminator(fitting) {
            let choices = |branch: &Json| self.choices_of(branch, &key).unwrap_or_default();
            let all: Vec<Json> = fitting.iter().flat_map(|branch| choices(branch)).collect();
            let Some(entry) = entries.iter().find(|entry| entry.key == key) else {
                let words = list(all.iter().filter_map(Json::as_str));
                problems.push(
                    Diagnostic::error(
                        &E0011_MISSING_KEY,
                        format!("{} needs the key `{key}`", spot.name),
                    )
                    .at(spot.key, format!("`{key}` is missing"))
                    .with_help(format!("`{key}` is one of {words}")),
                );
                return;
            };
            let value = entry.value.to_json();
            match fitting.iter().find(|branch| choices(branch).contains(&value)) {
                Some(branch) => self.visit(spot, branch, problems),
                None => {
                    let name = format!("`{key}`");
                    let inner = Spot { node: &entry.value, name: &name, key: &entry.place, ..spot };
                    problems.push(not_allowed(inner, &all, &[]));
                }
            }
            return;
        }
        let tags: Vec<String> = fitting.iter().filter_map(|branch| tag(branch)).collect();
        if tags.len() == fitting.len() && matches!(spot.node.value, Value::Map(_)) {
            let position = tags.iter().position(|tag| entries.iter().any(|e| e.key == *tag));
            match (position, entries.first()) {
                (Some(position), _) => self.visit(spot, fitting[position], problems),
                (None, Some(entry)) => {
                    let known = tags.iter().map(String::as_str);
                    problems.push(unknown_key(spot.name, &entry.key, &entry.place, known));
                }
                (None, None) => {
                    let keys: Vec<&str> = tags.iter().map(String::as_str).collect();
                    self.one_key(spot, &keys, true, problems);
                }
            }
            return;
        }
        let fewest = fitting.iter().map(|branch| {
            let mut found = Vec::new();
            self.visit(spot, branch, &mut found);
            found
        });
        problems.extend(fewest.min_by_key(Vec::len).unwrap_or_default());
    }

    /// The branch, or the branches it is only a list of.
    fn flat(self, branch: &'s Json) -> Vec<&'s Json> {
        let target = self.target(branch).unwrap_or(branch);
        for key in ["oneOf", "anyOf"] {
            let inner = branches(target, key);
            if !inner.is_empty() && required_only(inner).is_none() {
                return inner.iter().flat_map(|branch| self.flat(branch)).collect();
            }
        }
        vec![target]
    }

    fn fits(self, spot: Spot<'_>, branch: &Json) -> bool {
        if let Some(choices) = own_choices(branch) {
            let kind = |json: &Json| std::mem::discriminant(json);
            let own = spot.node.to_json();
            return choices.iter().any(|choice| kind(choice) == kind(&own));
        }
        let types = self.types(branch);
        types.is_empty() || types.iter().any(|name| super::has_type(spot.node, name))
    }

    fn choices_of(self, branch: &Json, key: &str) -> Option<Vec<Json>> {
        let schema = branch.get("properties")?.get(key)?;
        own_choices(schema).or_else(|| self.target(schema).and_then(own_choices))
    }

    /// A required key that tells the branches apart by its value.
    fn discriminator(self, fitting: &[&Json]) -> Option<String> {
        let (first, rest) = fitting.split_first()?;
        let keys = first.get("properties")?.as_object()?.keys();
        keys.filter(|key| {
            self.choices_of(first, key).is_some()
                && rest.iter().all(|branch| self.choices_of(branch, key).is_some())
        })
        .map(String::to_owned)
        .next()
    }
}

/// The keys, when every branch is `{ "required": [key] }`.
fn required_only(branches: &[Json]) -> Option<Vec<&str>> {
    branches
        .iter()
        .map(|branch| {
            let branch = branch.as_object()?;
            match branch.get("required")?.as_array()?.as_slice() {
                [key] if branch.len() == 1 => key.as_str(),
                _ => None,
            }
        })
        .collect()
}

/// The one key of a map that may have only that key.
fn tag(branch: &Json) -> Option<String> {
    let closed = branch.get("additionalProperties") == Some(&Json::Bool(false));
    match branch.get("properties")?.as_object()?.keys().collect::<Vec<_>>().as_slice() {
        [key] if closed => Some((*key).clone()),
        _ => None,
    }
}

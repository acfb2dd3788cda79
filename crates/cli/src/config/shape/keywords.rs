//! The schema keywords that limit one value: forms, ranges, counts.

use regex::Regex;
use serde_json::Value as Json;

use super::Spot;
use crate::codes::{E0011_MISSING_KEY, E0014_WRONG_FORM, E0015_OUT_OF_RANGE};
use crate::config::node::{Entry, Node, Value};
use crate::diagnostic::Diagnostic;

/// `pattern`, `minLength`, `maxLength`, `minimum`, `maximum`.
pub(super) fn scalar(spot: Spot<'_>, schema: &Json, problems: &mut Vec<Diagnostic>) {
    match &spot.node.value {
        Value::Text(text) => {
            let length = text.text.chars().count() as f64;
            let too_short = limit(schema, "minLength").is_some_and(|least| length < least);
            if too_short {
                let message = format!("{} is empty or too short", spot.name);
                problems.push(out_of_range(spot, message, "write some text"));
            } else if let Some(most) = limit(schema, "maxLength").filter(|most| length > *most) {
                let message = format!("{} is longer than {most} characters", spot.name);
                problems.push(out_of_range(spot, message, &format!("at most {most} characters")));
            } else {
                form(spot, &text.text, schema, problems);
            }
        }
        Value::Plain(Json::Number(number)) => {
            let number = number.as_f64().unwrap_or(f64::NAN);
            if let Some(least) = limit(schema, "minimum").filter(|least| number < *least) {
                let message = format!("{} is less than {least}", spot.name);
                problems.push(out_of_range(spot, message, &format!("at least {least}")));
            }
            if let Some(most) = limit(schema, "maximum").filter(|most| number > *most) {
                let message = format!("{} is more than {most}", spot.name);
                problems.push(out_of_range(spot, message, &format!("at most {most}")));
            }
        }
        _ => {}
    }
}

fn form(spot: Spot<'_>, text: &str, schema: &Json, problems: &mut Vec<Diagnostic>) {
    let Some(pattern) = schema.get("pattern").and_then(Json::as_str) else { return };
    if Regex::new(pattern).is_ok_and(|pattern| !pattern.is_match(text)) {
        problems.push(wrong_form(spot, schema));
    }
}

/// What a text of this schema looks like.
pub(super) fn form_in_words(schema: &Json) -> String {
    let pattern = schema.get("pattern").and_then(Json::as_str).unwrap_or_default();
    let about = schema.get("description").and_then(Json::as_str);
    about.map_or_else(|| format!("text of the form {pattern}"), lower_first)
}

fn wrong_form(spot: Spot<'_>, schema: &Json) -> Diagnostic {
    let message = match spot.written() {
        Some(written) => format!("{} cannot be {written}", spot.name),
        None => format!("{} does not have the expected form", spot.name),
    };
    Diagnostic::error(&E0014_WRONG_FORM, message)
        .at(spot.place(), "not in the expected form")
        .with_help(format!("expected {}", form_in_words(schema)))
}

/// `A duration` -> `a duration`, on one line and without the full stop.
fn lower_first(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut letters = text.trim_end_matches('.').chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

/// `minItems`, `maxItems`, `uniqueItems`.
pub(super) fn list(spot: Spot<'_>, items: &[Node], schema: &Json, problems: &mut Vec<Diagnostic>) {
    count(spot, items.len(), schema, ["minItems", "maxItems", "item"], problems);
    if schema.get("uniqueItems") != Some(&Json::Bool(true)) {
        return;
    }
    for (index, item) in items.iter().enumerate() {
        let same = items[..index].iter().find(|earlier| earlier.to_json() == item.to_json());
        if let Some(first) = same {
            problems.push(
                Diagnostic::error(
                    &E0015_OUT_OF_RANGE,
                    format!("{} has the same item twice", spot.name),
                )
                .at(&item.place, "again here")
                .at(&first.place, "first here")
                .with_help("remove one of the two"),
            );
        }
    }
}

/// `minProperties`, `maxProperties`, `propertyNames`, `dependentRequired`.
pub(super) fn map(
    spot: Spot<'_>,
    entries: &[Entry],
    schema: &Json,
    problems: &mut Vec<Diagnostic>,
) {
    count(spot, entries.len(), schema, ["minProperties", "maxProperties", "key"], problems);
    dependents(spot, entries, schema, problems);
    let Some(names) = schema.get("propertyNames") else { return };
    for entry in entries.iter().filter(|entry| entry.key.is_empty()) {
        if limit(names, "minLength").is_some() {
            problems.push(
                Diagnostic::error(&E0015_OUT_OF_RANGE, format!("a key of {} is empty", spot.name))
                    .at(&entry.place, "an empty name")
                    .with_help("write a name"),
            );
        }
    }
    let Some(pattern) = names.get("pattern").and_then(Json::as_str) else { return };
    let Ok(regex) = Regex::new(pattern) else { return };
    for entry in entries.iter().filter(|entry| !regex.is_match(&entry.key)) {
        let name = format!("the name `{}`", entry.key);
        let key = Node { place: entry.place.clone(), value: Value::Plain(Json::Null) };
        let spot = Spot { node: &key, name: &name, key: &entry.place, secret: true };
        problems.push(wrong_form(spot, names));
    }
}

fn dependents(spot: Spot<'_>, entries: &[Entry], schema: &Json, problems: &mut Vec<Diagnostic>) {
    let pairs = schema.get("dependentRequired").and_then(Json::as_object).into_iter().flatten();
    for (key, needed) in pairs {
        let Some(entry) = entries.iter().find(|entry| entry.key == *key) else { continue };
        for needed in needed.as_array().into_iter().flatten().filter_map(Json::as_str) {
            if entries.iter().all(|entry| entry.key != needed) {
                problems.push(
                    Diagnostic::error(
                        &E0011_MISSING_KEY,
                        format!("`{key}` says nothing without `{needed}`"),
                    )
                    .at(&entry.place, format!("needs `{needed}` in {}", spot.name))
                    .with_help(format!("add `{needed}:`, or remove `{key}`")),
                );
            }
        }
    }
}

fn count(
    spot: Spot<'_>,
    found: usize,
    schema: &Json,
    [least, most, word]: [&str; 3],
    problems: &mut Vec<Diagnostic>,
) {
    let found = found as f64;
    let plural = |number: f64| if number == 1.0 { word.to_owned() } else { format!("{word}s") };
    if let Some(least) = limit(schema, least).filter(|least| found < *least) {
        let expected = format!("at least {least} {}", plural(least));
        problems.push(out_of_range(spot, format!("{} needs {expected}", spot.name), &expected));
    }
    if let Some(most) = limit(schema, most).filter(|most| found > *most) {
        let expected = format!("at most {most} {}", plural(most));
        problems.push(out_of_range(spot, format!("{} takes {expected}", spot.name), &expected));
    }
}

fn limit(schema: &Json, keyword: &str) -> Option<f64> {
    schema.get(keyword).and_then(Json::as_f64)
}

fn out_of_range(spot: Spot<'_>, message: String, expected: &str) -> Diagnostic {
    Diagnostic::error(&E0015_OUT_OF_RANGE, message)
        .at(spot.place(), expected)
        .with_help(format!("write {expected}"))
}

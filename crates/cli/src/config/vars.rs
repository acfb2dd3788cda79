//! `vars:`: values that are declared in the project, in the environment or in a sync file, and put into sync
//! files and SQL as `${var:name}`. The nearer declaration wins.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::file::Place;
use super::nearest::{did_you_mean, list};
use super::node::{Node, Text, Value};
use super::reference::{Piece, apply, expand, not_here, pieces, reference_place};
use crate::codes::{E0024_UNKNOWN_VAR, E0025_UNSAFE_VAR};
use crate::diagnostic::Diagnostic;

/// Declared values by name: text, numbers and booleans.
pub(super) type Vars = BTreeMap<String, Json>;

/// What `vars:` of a file declares.
pub(super) fn declared(file: &Node) -> Vars {
    let entries = file.entry("vars").map(|entry| entry.value.entries()).unwrap_or_default();
    entries.iter().map(|entry| (entry.key.clone(), entry.value.to_json())).collect()
}

/// Substitutes `${var:name}` in every scalar below; any other reference is a problem. A scalar that is
/// nothing but one reference has the type of the variable.
pub(super) fn substitute(node: &mut Node, vars: &Vars, problems: &mut Vec<Diagnostic>) {
    node.scalars_mut(&mut |scalar| {
        if let Some(value) = whole(scalar, vars) {
            scalar.value = value;
            return;
        }
        let result = expand(scalar, |inside| text_of(inside, vars));
        apply(scalar, result, problems);
    });
}

fn whole(scalar: &Node, vars: &Vars) -> Option<Value> {
    let Value::Text(Text { text, unquoted: true, .. }) = &scalar.value else { return None };
    let [Piece::Plain(""), Piece::Reference(inside), Piece::Plain("")] = pieces(text)[..] else {
        return None;
    };
    match vars.get(inside.strip_prefix("var:")?)? {
        Json::String(text) => {
            let text = text.clone();
            Some(Value::Text(Text { text, unquoted: false, substituted: false }))
        }
        value => Some(Value::Plain(value.clone())),
    }
}

/// Substitutes `${var:name}` in SQL. Other `${` are SQL's own. A value must be a plain word.
pub(super) fn substitute_sql(
    sql: &str,
    vars: &Vars,
    place: &Place,
    problems: &mut Vec<Diagnostic>,
) -> String {
    let mut out = String::with_capacity(sql.len());
    let mut rest = sql;
    while let Some(at) = rest.find("${var:") {
        out.push_str(&rest[..at]);
        let after = &rest[at..];
        let Some(end) = after.find('}') else { break };
        match text_of(&after[2..end], vars) {
            Ok(value) if is_plain_word(&value) => out.push_str(&value),
            Ok(_) => problems.push(unsafe_var(&after[6..end]).at(place, "used in SQL")),
            Err(problem) => problems.push(problem.at(place, "used in this SQL")),
        }
        rest = &after[end + 1..];
    }
    out.push_str(rest);
    out
}

/// The variables a scalar's references name, and whether each of their values may stand in SQL.
pub(super) fn check_sql(scalar: &Node, vars: &Vars, problems: &mut Vec<Diagnostic>) {
    for piece in pieces(scalar.as_text().unwrap_or_default()) {
        if let Piece::Reference(inside) = piece
            && let Some(name) = inside.strip_prefix("var:")
            && text_of(inside, vars).is_ok_and(|value| !is_plain_word(&value))
        {
            problems.push(unsafe_var(name).at(&reference_place(scalar, inside), "used in SQL"));
        }
    }
}

fn is_plain_word(value: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | ':' | '-');
    !value.is_empty() && value.chars().all(plain) && !value.contains("--")
}

fn unsafe_var(name: &str) -> Diagnostic {
    Diagnostic::error(
        &E0025_UNSAFE_VAR,
        format!("the value of `{name}` cannot be put into SQL as it is"),
    )
}

fn text_of(inside: &str, vars: &Vars) -> Result<String, Diagnostic> {
    let Some(name) = inside.strip_prefix("var:") else { return Err(not_here()) };
    let text = |value: &Json| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    vars.get(name).map(text).ok_or_else(|| {
        let known = vars.keys().map(String::as_str);
        let near = did_you_mean(name, known.clone());
        let help = match vars.is_empty() {
            true => "declare it under `vars:` of this file or of outflow.yml".to_owned(),
            false => format!("{near}declared are {}", list(known)),
        };
        Diagnostic::error(&E0024_UNKNOWN_VAR, format!("the variable `{name}` is not declared"))
            .with_help(help)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_in_sql_cannot_change_the_statement() {
        for good in ["analytics", "2026-01-05", "10:30", "a.b", "5"] {
            assert!(is_plain_word(good), "{good}");
        }
        for bad in ["", "a b", "a'", "a--b", "a;b", "a/*", "x\"", "ä"] {
            assert!(!is_plain_word(bad), "{bad}");
        }
    }
}

//! Secrets in the project file: finds those that are written out, hides them from every snippet, and warns.

use serde_json::Value as Json;

use super::catalog::CATALOG;
use super::file::is_reference;
use super::node::{Entry, Node, Value};
use crate::codes::E0150_LITERAL_SECRET;
use crate::diagnostic::Diagnostic;

/// Keys of `state` and `alerts` that are no secrets.
const PLAIN_KEYS: [&str; 7] = ["backend", "path", "connection", "schema", "lease", "email", "type"];

/// Hides what may be a secret, and returns a warning for each that surely is one. Call it on the tree as
/// written, before anything is substituted.
pub(super) fn hide(project: &Node) -> Vec<Diagnostic> {
    let mut warnings = Vec::new();
    let environments = project.entry("environments").map(|entry| entry.value.entries());
    let layers = environments.unwrap_or_default().iter().map(|entry| &entry.value);
    for layer in std::iter::once(project).chain(layers) {
        for connection in layer.entry("connections").into_iter().flat_map(|e| e.value.entries()) {
            in_connection(connection, &mut warnings);
        }
        for path in [&["state"][..], &["alerts"], &["defaults", "alerts"]] {
            for entry in layer.entry_at(path).into_iter().flat_map(|entry| entry.value.entries()) {
                if !PLAIN_KEYS.contains(&entry.key.as_str()) {
                    hide_below(&entry.value);
                }
            }
        }
        let url = layer.entry_at(&["state", "url"]);
        if let Some(url) = url.filter(|url| url.value.as_text().is_some_and(is_literal_secret)) {
            warnings.push(
                Diagnostic::warning(
                    &E0150_LITERAL_SECRET,
                    "the state's `url` is written in the file",
                )
                .at(url.value_place(), "a secret")
                .with_help("write `${STATE_URL}` and set the variable, or `${file:/path}`"),
            );
        }
    }
    warnings
}

/// Hides the alerts of a sync file.
pub(super) fn hide_alerts(sync: &Node) {
    for entry in sync.entry("alerts").into_iter().flat_map(|entry| entry.value.entries()) {
        if !PLAIN_KEYS.contains(&entry.key.as_str()) {
            hide_below(&entry.value);
        }
    }
}

fn in_connection(connection: &Entry, warnings: &mut Vec<Diagnostic>) {
    if !matches!(connection.value.value, Value::Map(_)) {
        hide_below(&connection.value);
    }
    let options = connection.value.entries();
    let kind = connection.value.entry("type").and_then(|entry| entry.value.as_text());
    let schema = kind.and_then(|kind| CATALOG.kind(kind)).map(|kind| kind.options_schema());
    let for_practice = options
        .iter()
        .any(|option| option.key == "base_url" && option.value.as_text().is_some_and(is_loopback));
    for option in options {
        if option.key == "type" || (kind == Some("simulator") && option.key == "profile") {
            continue;
        }
        let known = schema.as_ref().and_then(|schema| secrecy(schema, &option.key));
        if known != Some(false) {
            hide_below(&option.value);
        }
        let text = option.value.as_text().unwrap_or_default();
        if known == Some(true) && !for_practice && is_literal_secret(text) {
            warnings.push(
                Diagnostic::warning(
                    &E0150_LITERAL_SECRET,
                    format!("`{}` of connection `{}` is written in the file", option.key, connection.key),
                )
                .at(option.value_place(), "a secret")
                .with_help(format!(
                    "write `${{{}_{}}}` and set the variable, or `${{file:/path}}`; then change the \
                     secret, since it is known",
                    connection.key.to_uppercase(),
                    option.key.to_uppercase()
                )),
            );
        }
    }
}

fn hide_below(node: &Node) {
    match &node.value {
        Value::Text(text) if is_reference(text.text.trim()) => {}
        Value::Text(_) | Value::Plain(_) => {
            node.place.file.hide(node.place.start..node.place.end);
        }
        Value::List(items) => items.iter().for_each(hide_below),
        Value::Map(entries) => entries.iter().for_each(|entry| hide_below(&entry.value)),
        Value::Unresolved(_) => {}
    }
}

/// Whether the option is a secret; `None` when there is no such option.
fn secrecy(schema: &Json, key: &str) -> Option<bool> {
    let option = schema.get("properties")?.get(key)?;
    Some(is_secret(schema, option))
}

fn is_secret(root: &Json, schema: &Json) -> bool {
    let target = schema
        .get("$ref")
        .and_then(Json::as_str)
        .and_then(|path| root.pointer(path.trim_start_matches('#')));
    schema.get("writeOnly") == Some(&Json::Bool(true))
        || target.is_some_and(|target| is_secret(root, target))
        || ["anyOf", "oneOf", "allOf"].iter().any(|key| {
            let branches = schema.get(key).and_then(Json::as_array);
            branches.into_iter().flatten().any(|branch| is_secret(root, branch))
        })
}

/// What of a value is written in the file: all of it, the default of a reference, or nothing.
fn written_value(text: &str) -> &str {
    match text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')) {
        Some(inside) if !inside.contains('}') => {
            inside.split_once(":-").map_or("", |(_, default)| default)
        }
        _ if text.contains("${") => "",
        _ => text,
    }
}

/// Whether the value of a secret option gives a secret away. An address does so only with a password, and
/// not when it leads to this very machine.
fn is_literal_secret(text: &str) -> bool {
    let text = written_value(text);
    // `unset` is what `outflow init` writes for a token that is not there yet.
    if text.is_empty() || text == "unset" || is_loopback(text) {
        return false;
    }
    if let Some((_, rest)) = text.split_once("://") {
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        return authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':'))
            || text.contains("password=");
    }
    // A PostgreSQL keyword string: host=... password=...
    !text.contains("host=") || text.contains("password=")
}

/// Whether an address, or a PostgreSQL keyword string, leads to this machine.
pub(super) fn is_loopback(text: &str) -> bool {
    let host = if let Some((_, rest)) = text.split_once("://") {
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        match host.strip_prefix('[') {
            Some(v6) => v6.split(']').next().unwrap_or_default(),
            None => host.split(':').next().unwrap_or_default(),
        }
    } else if let Some((_, rest)) = text.split_once("host=") {
        rest.split_whitespace().next().unwrap_or_default()
    } else {
        return false;
    };
    let address = host.parse::<std::net::IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_gives_a_secret_away_is_warned_about() {
        for secret in [
            "pat-na1-abc",
            "postgres://me:pw@db.example/x",
            "host=db.example password=x",
            "${TOKEN:-pat-na1-abc}",
        ] {
            assert!(is_literal_secret(secret), "{secret}");
        }
        for plain in [
            "",
            "${TOKEN}",
            "${TOKEN:-}",
            "${TOKEN:-unset}",
            "${file:/run/secrets/x}",
            "postgres://me:pw@localhost/x",
            "postgres://me:pw@127.0.0.1:5433/x",
            "postgres://me:pw@[::1]:5433/x",
            "postgres://me@db.example/x",
            "postgres://me:${PW}@db.example/x",
            "host=localhost password=x",
        ] {
            assert!(!is_literal_secret(plain), "{plain}");
        }
    }
}

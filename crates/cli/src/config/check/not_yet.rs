//! What the project format has and this version cannot do: refused at its place, never ignored.

use crate::codes::E0040_NOT_YET;
use crate::config::node::{Entry, Node};
use crate::diagnostic::Diagnostic;

/// Which values of a key are refused.
enum Values {
    Any,
    Only(&'static [&'static str]),
}

struct NotYet {
    /// Keys from the root; `*` is any key.
    path: &'static [&'static str],
    values: Values,
    /// The feature, as the message names it.
    what: &'static str,
    help: &'static str,
}

const fn any(path: &'static [&'static str], what: &'static str, help: &'static str) -> NotYet {
    NotYet { path, values: Values::Any, what, help }
}

const SYNC: &[NotYet] = &[
    any(&["changes", "start"], "`changes.start`", "leave the older rows out in the model's SQL"),
    NotYet {
        path: &["changes", "store"],
        values: Values::Only(&["warehouse"]),
        what: "a snapshot kept in the warehouse",
        help: "remove `store`; the ledger finds what changed",
    },
    any(&["model", "dbt"], "a dbt model", "name the relation that dbt builds with `table:`"),
    NotYet {
        path: &["mappings", "*", "only_if_empty"],
        values: Values::Only(&["true"]),
        what: "`only_if_empty`",
        help: "remove the field, or let the sync own it",
    },
    NotYet {
        path: &["mappings", "*", "only_on_create"],
        values: Values::Only(&["true"]),
        what: "`only_on_create`",
        help: "remove the field, or let the sync own it",
    },
    any(&["delivery", "rate"], "`delivery.rate`", "use `quota_share` of the connection"),
];

/// What a sync asks for and cannot have.
pub(super) fn sync(node: &Node) -> Vec<Diagnostic> {
    SYNC.iter().flat_map(|row| found(node, row)).collect()
}

fn found(node: &Node, row: &NotYet) -> Vec<Diagnostic> {
    let mut entries = Vec::new();
    follow(node, row.path, &mut entries);
    entries
        .into_iter()
        .filter(|entry| {
            let written = entry
                .value
                .as_text()
                .map_or_else(|| entry.value.to_json().to_string(), str::to_owned);
            match row.values {
                Values::Any => true,
                Values::Only(refused) => refused.contains(&written.as_str()),
            }
        })
        .map(|entry| {
            Diagnostic::error(&E0040_NOT_YET, format!("{} is not in this version yet", row.what))
                .at(&entry.place, "not in this version")
                .with_help(row.help)
        })
        .collect()
}

fn follow<'n>(node: &'n Node, path: &[&str], found: &mut Vec<&'n Entry>) {
    let Some((first, rest)) = path.split_first() else { return };
    for entry in node.entries().iter().filter(|entry| *first == "*" || entry.key == *first) {
        if rest.is_empty() {
            found.push(entry);
        } else {
            follow(&entry.value, rest, found);
        }
    }
}

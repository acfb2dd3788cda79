//! What the log method and runs without an end need of the rest of the project.

use std::collections::HashMap;

use flow::Changes;

use crate::codes::{E0070_LOG_OF, E0071_SLOT_TWICE, E0072_CONTINUOUS};
use crate::config::checked::{CheckedSync, Connection};
use crate::config::file::Place;
use crate::config::node::Node;
use crate::diagnostic::Diagnostic;

/// Checks one sync with the connection its model is read from.
pub(super) fn check(node: &Node, connection: Option<&Connection>, problems: &mut Vec<Diagnostic>) {
    let Some(method) = node.entry_at(&["changes", "method"]) else { return };
    let is_log = method.value.as_text() == Some("log");
    let kind = connection.and_then(Connection::source).map(|kind| kind.name);
    if let Some(kind) = kind.filter(|kind| is_log && *kind != "postgres") {
        problems.push(
            Diagnostic::error(&E0070_LOG_OF, format!("a connection of `type: {kind}` has no log"))
                .at(method.value_place(), "not with this warehouse"),
        );
    }
    if let Some(entry) = node.entry_at(&["schedule", "continuous"]).filter(|_| !is_log) {
        problems.push(
            Diagnostic::error(&E0072_CONTINUOUS, "a run without an end needs `method: log`")
                .at(&entry.place, "without an end")
                .at(method.value_place(), "does not say when something changed"),
        );
    }
}

/// Slots that two enabled syncs use, at the later one in the order of names.
pub(crate) fn slots(syncs: &[CheckedSync]) -> Vec<Diagnostic> {
    let mut users: HashMap<(&str, &str), (&str, &Place)> = HashMap::new();
    let mut problems = Vec::new();
    for checked in syncs.iter().filter(|checked| checked.enabled) {
        let Changes::Log(log) = &checked.sync.model.changes else { continue };
        let Some(place) = &checked.places.slot else { continue };
        let name = checked.sync.name.as_str();
        match users.insert((&checked.sync.source, &log.slot), (name, place)) {
            Some((user, first)) if user != name => problems.push(
                Diagnostic::error(
                    &E0071_SLOT_TWICE,
                    format!("the slot `{}` is used by `{user}` and `{name}`", log.slot),
                )
                .at(place, format!("`{user}` uses this slot"))
                .at(first, format!("`{user}` names it here")),
            ),
            _ => {}
        }
    }
    problems
}

//! `privacy.deny_columns`: columns a sync must not touch.

use flow::Changes;
use transform::Origin;

use crate::codes::E0115_DENIED_COLUMN;
use crate::config::checked::CheckedSync;
use crate::config::file::Place;
use crate::config::node::Node;
use crate::diagnostic::Diagnostic;

/// Denied columns that the sync itself names. Those its model has besides are found with the live model.
pub(super) fn check(node: &Node, sync: &CheckedSync) -> Vec<Diagnostic> {
    let denied = node.entry_at(&["privacy", "deny_columns"]);
    let denied = denied.map(|entry| entry.value.items()).unwrap_or_default();
    let mut problems = Vec::new();
    for item in denied {
        let Some(column) = item.as_text() else { continue };
        for place in uses(sync, column) {
            problems.push(
                Diagnostic::error(
                    &E0115_DENIED_COLUMN,
                    format!("the denied column `{column}` is used"),
                )
                .at(place, "used here")
                .at(&item.place, "denied here")
                .with_help("remove the use, or take the column off the list"),
            );
        }
    }
    problems
}

fn uses<'s>(sync: &'s CheckedSync, column: &str) -> Vec<&'s Place> {
    let mut places = Vec::new();
    let model = &sync.sync.model;
    if model.primary_key.iter().any(|key| key == column) {
        places.push(&sync.places.primary_key);
    }
    if let Changes::Watermark { column: watermark, .. } = &model.changes
        && watermark == column
    {
        places.extend(&sync.places.watermark);
    }
    let matched = sync.places.match_on.iter().filter(|(_, matched, _)| matched == column);
    places.extend(matched.map(|(.., place)| place));
    for (field, mapping) in sync.sync.mappings.iter() {
        let used = match &mapping.origin {
            Origin::Column(from) => from == column,
            Origin::Template(template) => has_word(template, column),
            _ => false,
        };
        if used {
            places.extend(sync.places.field(field));
        }
    }
    places
}

fn has_word(text: &str, word: &str) -> bool {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').any(|part| part == word)
}

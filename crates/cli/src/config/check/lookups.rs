//! Lookups in other syncs: the other sync is there, writes to the same place, and does not wait for this one.

use transform::LookupPlace;

use crate::codes::{E0080_LOOKUP_SYNC, E0081_LOOKUP_CIRCLE};
use crate::config::checked::CheckedSync;
use crate::config::nearest::{did_you_mean, list};
use crate::diagnostic::Diagnostic;

/// Every lookup that cannot find anything, at its field.
pub(crate) fn check(syncs: &[CheckedSync]) -> Vec<Diagnostic> {
    let mut problems = Vec::new();
    for sync in syncs {
        for (field, other, columns) in parents(sync) {
            let Some((_, place)) = sync.places.mappings.iter().find(|(name, _)| name == field)
            else {
                continue;
            };
            let problem = |message: String, help: String| {
                Diagnostic::error(&E0080_LOOKUP_SYNC, message)
                    .at(place, "this lookup")
                    .with_help(help)
            };
            let Some(parent) = syncs.iter().find(|known| known.sync.name == other) else {
                let names = || syncs.iter().map(|known| known.sync.name.as_str());
                let help = format!(
                    "{}the syncs are {}",
                    did_you_mean(other, names()),
                    list(names().collect::<Vec<_>>())
                );
                problems.push(problem(
                    format!("there is no sync `{other}` to look a record up in"),
                    help,
                ));
                continue;
            };
            if parent.sync.destination != sync.sync.destination {
                let message = format!(
                    "`{other}` writes to `{}`, and this sync to `{}`",
                    parent.sync.destination, sync.sync.destination
                );
                let help = "a record's id means something only at its own destination";
                problems.push(problem(message, help.to_owned()));
            } else if columns != parent.sync.model.primary_key.len() {
                let message = format!(
                    "`key` has {columns} of the {} columns of `{other}`'s primary key",
                    parent.sync.model.primary_key.len()
                );
                let help = format!(
                    "give a column for each of: {}",
                    parent.sync.model.primary_key.join(", ")
                );
                problems.push(problem(message, help));
            } else if waits_for(syncs, parent, &sync.sync.name, syncs.len()) {
                let message =
                    format!("`{}` and `{other}` look records up in each other", sync.sync.name);
                problems.push(
                    Diagnostic::error(&E0081_LOOKUP_CIRCLE, message)
                        .at(place, "this lookup")
                        .with_help("one of them has to be written first, without the other's ids"),
                );
            }
        }
    }
    problems
}

/// The syncs that this one looks records up in: by field, with the number of key columns.
pub(crate) fn parents(sync: &CheckedSync) -> Vec<(&str, &str, usize)> {
    let lookups = transform::lookups(&sync.sync.mappings).into_iter();
    lookups
        .filter_map(|(field, lookup)| match &lookup.place {
            LookupPlace::Sync { sync, key } => Some((field, sync.as_str(), key.len())),
            LookupPlace::Object { .. } => None,
        })
        .collect()
}

/// Whether `sync` is `name` or waits for it over any number of lookups.
fn waits_for(syncs: &[CheckedSync], sync: &CheckedSync, name: &str, depth: usize) -> bool {
    let next = |other: &str| syncs.iter().find(|known| known.sync.name == other);
    sync.sync.name == name
        || (depth > 0
            && parents(sync)
                .iter()
                .filter_map(|(_, other, _)| next(other))
                .any(|parent| waits_for(syncs, parent, name, depth - 1)))
}

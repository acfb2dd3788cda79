//! The field-ownership map: no destination field is written by two syncs.

use std::collections::HashMap;

use crate::codes::E0112_FIELD_OWNED_TWICE;
use crate::config::checked::CheckedSync;
use crate::config::file::Place;
use crate::diagnostic::Diagnostic;

/// Fields that two enabled syncs write, at the later one in the order of names.
pub(crate) fn check(syncs: &[CheckedSync]) -> Vec<Diagnostic> {
    let mut owners: HashMap<(&str, &str, &str), (&str, &Place)> = HashMap::new();
    let mut problems = Vec::new();
    for sync in syncs.iter().filter(|sync| sync.enabled) {
        let name = sync.sync.name.as_str();
        let (destination, object) = (sync.sync.destination.as_str(), sync.sync.object.as_str());
        for (field, place) in sync.places.mappings.iter().chain(&sync.places.removed_set) {
            // A field both find records by has the same value in both.
            if sync.sync.match_on.iter().any(|(matched, _)| matched == field) {
                continue;
            }
            match owners.get(&(destination, object, field.as_str())) {
                None => {
                    owners.insert((destination, object, field), (name, place));
                }
                // Two syncs of one name are reported as such.
                Some((owner, _)) if *owner == name => {}
                Some((owner, first)) => problems.push(
                    Diagnostic::error(
                        &E0112_FIELD_OWNED_TWICE,
                        format!(
                            "`{destination}.{object}.{field}` is written by `{owner}` and `{name}`"
                        ),
                    )
                    .at(place, format!("`{owner}` owns this field"))
                    .at(first, format!("`{owner}` writes it here")),
                ),
            }
        }
    }
    problems
}

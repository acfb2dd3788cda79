//! `guards:`: limits that can never speak are refused at their place, since somebody relies on them.

use flow::Mode;

use crate::codes::{E0118_GUARD_WITHOUT_EFFECT, E0119_GUARDS_CONTRADICT};
use crate::config::node::{Entry, Node};
use crate::config::written::Guards;
use crate::diagnostic::Diagnostic;

/// Guards that say nothing in some modes, and why.
const SILENT: &[(&str, &[Mode], &str)] = &[
    (
        "max_removed",
        &[Mode::Upsert, Mode::Update, Mode::Create, Mode::Append, Mode::Delete],
        "only a mirror acts on rows that left the model",
    ),
    (
        "max_removed_floor",
        &[Mode::Upsert, Mode::Update, Mode::Create, Mode::Append, Mode::Delete],
        "only a mirror acts on rows that left the model",
    ),
    (
        "max_changed",
        &[Mode::Create, Mode::Append, Mode::Delete],
        "no record is changed in this mode",
    ),
    (
        "max_null_out",
        &[Mode::Create, Mode::Append, Mode::Delete],
        "no value is emptied in this mode",
    ),
];

/// Guards of one sync. What comes from `defaults:` counts where it can, and is silent elsewhere.
pub(super) fn check(
    node: &Node,
    (mode, guards): (Option<Mode>, &Guards),
    problems: &mut Vec<Diagnostic>,
) {
    let Some(mode_entry) = node.entry("mode") else { return };
    let own = |key: &str| {
        let entry = node.entry_at(&["guards", key])?;
        (entry.place.file.name() == mode_entry.place.file.name()).then_some(entry)
    };
    for (key, modes, why) in SILENT {
        if let Some(entry) = own(key)
            && mode.is_some_and(|mode| modes.contains(&mode))
        {
            problems.push(silent(key, entry, mode_entry, why));
        }
    }
    if let Some(entry) = own("max_removed_floor")
        && mode == Some(Mode::Mirror)
        && guards.max_removed.is_none()
    {
        problems.push(
            Diagnostic::error(
                &E0118_GUARD_WITHOUT_EFFECT,
                "`max_removed_floor` has no effect without `max_removed`",
            )
            .at(&entry.place, "the floor of a limit that is not there")
            .with_help("add `max_removed`, for example 2%"),
        );
    }
    if let (Some(invalid), Some(rejected)) = (guards.max_invalid, guards.max_rejected)
        && invalid.0 > rejected.0
        && let (Some(entry), Some(other)) =
            (node.entry_at(&["guards", "max_invalid"]), node.entry_at(&["guards", "max_rejected"]))
    {
        problems.push(
            Diagnostic::error(
                &E0119_GUARDS_CONTRADICT,
                "`max_invalid` allows more than `max_rejected`",
            )
            .at(entry.value_place(), "never reached")
            .at(other.value_place(), "stops before"),
        );
    }
}

fn silent(key: &str, entry: &Entry, mode: &Entry, why: &str) -> Diagnostic {
    let written = mode.value.as_text().unwrap_or_default();
    let message = format!("`{key}` has no effect with `mode: {written}`");
    Diagnostic::error(&E0118_GUARD_WITHOUT_EFFECT, message)
        .at(&entry.place, why)
        .at(mode.value_place(), "in this mode")
        .with_help("remove it, so that nobody relies on it")
}

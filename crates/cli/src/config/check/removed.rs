//! What becomes of rows that left the model: `mode: mirror`, `removed:` and `changes.removed_when` together.

use engine::{RemovalLimit, Removed, RemovedAction};
use flow::{Limits, Mode, Removal};
use transform::MappingError;

use crate::codes::{
    E0060_REMOVED_WITHOUT_MIRROR, E0061_SET_WITHOUT_UPDATE, E0062_NOTHING_TO_SET, E0063_SET_FIELD,
    E0064_REMOVAL_NOT_POSSIBLE, E0065_DELETE_SENDS_NO_FIELD, E0109_MIRROR_WITHOUT_REMOVED,
    E0110_MIRROR_ON_WATERMARK,
};
use crate::config::nearest::list;
use crate::config::node::{Entry, Node};
use crate::config::written::{Pairs, RemovedAction as Action, RemovedSection};
use crate::diagnostic::Diagnostic;

/// What a sync that has its parts is checked with.
pub(super) struct About<'a> {
    pub(super) node: &'a Node,
    pub(super) mode: Option<Mode>,
    pub(super) limits: Option<&'a Limits>,
    pub(super) match_on: Option<&'a Pairs>,
}

/// Checks the parts that are about rows that left the model; `None` where there is nothing to do for them, or something
/// is wrong.
pub(super) fn check(
    about: &About<'_>,
    section: Option<&RemovedSection>,
    problems: &mut Vec<Diagnostic>,
) -> Option<Removed> {
    let before = problems.len();
    mirror(about, problems);
    without_mirror(about, problems);
    if let (Some(mode @ Mode::Delete), Some(pairs)) = (about.mode, about.match_on) {
        fields_of_delete(about.node, (mode, pairs), problems);
    }
    let section = section?;
    let action = action(about, section, problems)?;
    possible(about, &action, problems);
    let sound = problems.len() == before && about.mode == Some(Mode::Mirror);
    sound.then(|| Removed {
        action,
        grace_micros: section.grace.map_or(0, |grace| grace.micros),
        limit: RemovalLimit::default(),
    })
}

fn mirror(about: &About<'_>, problems: &mut Vec<Diagnostic>) {
    let entry = about.node.entry("mode").filter(|_| about.mode == Some(Mode::Mirror));
    let Some(entry) = entry else { return };
    if about.node.entry("removed").is_none() {
        problems.push(
            Diagnostic::error(&E0109_MIRROR_WITHOUT_REMOVED, "`mode: mirror` needs `removed:`")
                .at(entry.value_place(), "a mirror acts on removed rows"),
        );
    }
    let method = about.node.entry_at(&["changes", "method"]);
    let bare = about.node.entry_at(&["changes", "removed_when"]).is_none();
    if let Some(method) = method.filter(|entry| bare && entry.value.as_text() == Some("watermark"))
    {
        problems.push(
            Diagnostic::error(
                &E0110_MIRROR_ON_WATERMARK,
                "a mirror cannot see removed rows through a watermark",
            )
            .at(method.value_place(), "shows no removals")
            .at(entry.value_place(), "needs to see them"),
        );
    }
}

fn without_mirror(about: &About<'_>, problems: &mut Vec<Diagnostic>) {
    let Some(mode) = about.mode.filter(|mode| *mode != Mode::Mirror) else { return };
    let removed = about.node.entry("removed");
    let removed_when = about.node.entry_at(&["changes", "removed_when"]);
    for entry in [removed, removed_when].into_iter().flatten() {
        let message = format!("`mode: {}` does nothing with `{}`", mode.as_str(), entry.key);
        let mut problem = Diagnostic::error(&E0060_REMOVED_WITHOUT_MIRROR, message)
            .at(&entry.place, "only a mirror acts on removed rows");
        if let Some(mode) = about.node.entry("mode") {
            problem = problem.at(mode.value_place(), "not a mirror");
        }
        problems.push(problem);
    }
}

/// In `mode: delete` nothing is sent but what the record is found by.
fn fields_of_delete(node: &Node, (mode, pairs): (Mode, &Pairs), problems: &mut Vec<Diagnostic>) {
    let mappings = node.entry("mappings").map(|entry| entry.value.entries()).unwrap_or_default();
    let others = mappings.iter().filter(|entry| pairs.0.iter().all(|(name, _)| *name != entry.key));
    for entry in others {
        let message = format!("`mode: {}` does not send the field `{}`", mode.as_str(), entry.key);
        problems.push(
            Diagnostic::error(&E0065_DELETE_SENDS_NO_FIELD, message)
                .at(&entry.place, "the record is deleted"),
        );
    }
}

fn action(
    about: &About<'_>,
    section: &RemovedSection,
    problems: &mut Vec<Diagnostic>,
) -> Option<RemovedAction> {
    let removed = about.node.entry("removed")?;
    let set = removed.value.entry("set");
    let action = removed.value.entry("action")?;
    match (section.action, set) {
        (Action::Update, None) => {
            problems.push(
                Diagnostic::error(&E0062_NOTHING_TO_SET, "`action: update` needs `set`")
                    .at(action.value_place(), "sets nothing"),
            );
            None
        }
        (Action::Update, Some(set)) => set_fields(about, set, section, problems),
        (_, Some(set)) => {
            let word = action.value.as_text().unwrap_or_default();
            problems.push(
                Diagnostic::error(
                    &E0061_SET_WITHOUT_UPDATE,
                    format!("`action: {word}` sets no fields"),
                )
                .at(&set.place, "would be ignored")
                .at(action.value_place(), "not `update`"),
            );
            None
        }
        (Action::Delete, None) => Some(RemovedAction::Delete),
        (Action::Ignore, None) => Some(RemovedAction::Ignore),
    }
}

fn set_fields(
    about: &About<'_>,
    set: &Entry,
    section: &RemovedSection,
    problems: &mut Vec<Diagnostic>,
) -> Option<RemovedAction> {
    let written = section.set.as_ref()?;
    if written.is_empty() {
        problems.push(
            Diagnostic::error(&E0062_NOTHING_TO_SET, "`set` names no field")
                .at(set.value_place(), "sets nothing"),
        );
        return None;
    }
    let at = |field: &str| set.value.entry(field).map_or(&set.place, |entry| &entry.place);
    let before = problems.len();
    let mut refuse = |error: &MappingError| {
        problems.push(
            Diagnostic::error(&E0063_SET_FIELD, &error.message)
                .at(at(&error.field), "of this field")
                .with_help(&error.help),
        );
    };
    let read = transform::read_set(written).map_err(|errors| errors.iter().for_each(&mut refuse));
    for (field, _) in about.match_on.map(|pairs| pairs.0.as_slice()).unwrap_or_default() {
        if set.value.entry(field).is_some() {
            let message = format!("the record is found by `{field}`, so it cannot be set");
            problems.push(
                Diagnostic::error(&E0063_SET_FIELD, message)
                    .at(at(field), "of this field")
                    .with_help("leave it out"),
            );
        }
    }
    read.ok().filter(|_| problems.len() == before).map(RemovedAction::Update)
}

/// Whether the destination can do it with the object's records.
fn possible(about: &About<'_>, action: &RemovedAction, problems: &mut Vec<Diagnostic>) {
    let (Some(limits), Some(wanted)) = (about.limits, action.needs()) else { return };
    if limits.removals.contains(&wanted) {
        return;
    }
    let Some(entry) = about.node.entry_at(&["removed", "action"]) else { return };
    let word = |removal: &Removal| match removal {
        Removal::Delete => "delete",
        Removal::Update => "update",
    };
    let possible = list(limits.removals.iter().map(word).chain(["ignore"]));
    let message = format!(
        "the destination cannot {} records of this object whose row left the model",
        word(&wanted)
    );
    problems.push(
        Diagnostic::error(&E0064_REMOVAL_NOT_POSSIBLE, message)
            .at(entry.value_place(), "not possible here")
            .with_help(format!("possible: {possible}")),
    );
}

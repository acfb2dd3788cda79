//! `mode: mirror`, `removed:` and `removed_when`: what fits together, and every mistake at its place.

use engine::{Removed, RemovedAction};

use super::{Folder, broken};

const S: &str = "syncs/usage.yml";
const WATERMARK: &str = "  method: watermark\n  column: updated_at\n  lag: 5m";

/// A mirror with this `removed:`.
fn mirror(removed: &str) -> Folder {
    let folder = Folder::new();
    folder.edit(S, WATERMARK, "  method: snapshot");
    folder.edit(S, "mode: upsert", &format!("mode: mirror\nremoved: {removed}"));
    folder
}

#[track_caller]
fn removed(folder: &Folder) -> Removed {
    folder.project().syncs[0].sync.removed.clone().expect("a mirror removes")
}

#[test]
fn a_mirror_says_what_becomes_of_removed_rows() {
    let delete = removed(&mirror("{ action: delete }"));
    assert!(matches!(delete.action, RemovedAction::Delete));
    assert_eq!((delete.grace_micros, delete.limit), (0, engine::RemovalLimit::default()));
    let ignore = removed(&mirror("{ action: ignore, grace: 2d }"));
    assert!(matches!(ignore.action, RemovedAction::Ignore));
    assert_eq!(ignore.grace_micros, 2 * 86_400_000_000);
    let set =
        "{ action: update, grace: 90m, set: { plan: null, churned_at: { run: started_at } } }";
    let RemovedAction::Update(set) = removed(&mirror(set)).action else { panic!("an update") };
    assert_eq!(set.len(), 2);
}

#[test]
fn a_condition_says_which_rows_count_as_removed() {
    let by_watermark = mirror("{ action: delete }");
    by_watermark.edit(S, "  method: snapshot", &format!("{WATERMARK}\n  removed_when: is_deleted"));
    let by_snapshot = mirror("{ action: delete }");
    by_snapshot.edit(S, "  method: snapshot", "  method: snapshot\n  removed_when: is_deleted");
    for folder in [by_watermark, by_snapshot] {
        let project = folder.project();
        let model = &project.syncs[0].sync.model;
        assert_eq!(model.removed_when.as_deref(), Some("is_deleted"));
    }
}

#[test]
fn what_cannot_be_meant_is_refused_at_its_place() {
    let mirrored = |removed: &'static str| -> [(&'static str, &'static str, &'static str); 2] {
        [(S, WATERMARK, "  method: snapshot"), (S, "mode: upsert", removed)]
    };
    let seen = broken(&[
        (
            "removed without a mirror",
            &[(S, "mode: upsert", "mode: upsert\nremoved: { action: delete }")],
            &["E0060 syncs/usage.yml:20:1"],
        ),
        (
            "removed_when without a mirror",
            &[(S, "  lag: 5m", "  lag: 5m\n  removed_when: is_deleted")],
            &["E0060 syncs/usage.yml:14:3"],
        ),
        (
            "a set for a delete",
            &mirrored("mode: mirror\nremoved: { action: delete, set: { plan: Free } }"),
            &["E0061 syncs/usage.yml:18:28"],
        ),
        (
            "an update of nothing",
            &mirrored("mode: mirror\nremoved: { action: update }"),
            &["E0062 syncs/usage.yml:18:20"],
        ),
        (
            "an empty set",
            &mirrored("mode: mirror\nremoved: { action: update, set: {} }"),
            &["E0062 syncs/usage.yml:18:33"],
        ),
        (
            "values a record cannot be set to",
            &mirrored(
                "mode: mirror\nremoved:\n  action: update\n  set:\n    email: x@example.com\n    plan: [Free]\n    firstname: { from: first_name }",
            ),
            &[
                "E0063 syncs/usage.yml:21:5",
                "E0063 syncs/usage.yml:22:5",
                "E0063 syncs/usage.yml:23:5",
            ],
        ),
        (
            "an action nobody knows",
            &mirrored("mode: mirror\nremoved: { action: archive }"),
            &["E0013 syncs/usage.yml:18:20"],
        ),
        (
            "no action",
            &mirrored("mode: mirror\nremoved: { grace: 1d }"),
            &["E0011 syncs/usage.yml:18:1"],
        ),
        (
            "a grace without a unit",
            &mirrored("mode: mirror\nremoved: { action: delete, grace: 24 }"),
            &["E0012 syncs/usage.yml:18:35"],
        ),
        (
            "an empty condition",
            &[
                (S, "  lag: 5m", "  removed_when: \"\""),
                (S, "mode: upsert", "mode: mirror\nremoved: { action: delete }"),
            ],
            &["E0015 syncs/usage.yml:13:17"],
        ),
        (
            "a mode the destination cannot do safely",
            &[(S, "mode: upsert", "mode: create")],
            &["E0114 syncs/usage.yml:19:7"],
        ),
        (
            "an update, which HubSpot cannot do by e-mail",
            &[(S, "mode: upsert", "mode: update")],
            &["E0114 syncs/usage.yml:19:7"],
        ),
        (
            "fields of a delete",
            &[(S, "mode: upsert", "mode: delete")],
            &[
                "E0114 syncs/usage.yml:19:7",
                "E0065 syncs/usage.yml:21:3",
                "E0065 syncs/usage.yml:22:3",
                "E0065 syncs/usage.yml:23:3",
            ],
        ),
        (
            "a field that another sync owns",
            &[
                (S, WATERMARK, "  method: snapshot"),
                (
                    S,
                    "mode: upsert",
                    "mode: mirror\nremoved: { action: update, set: { churned: true } }",
                ),
                (
                    "syncs/b.yml",
                    "",
                    "version: 1\nsync: a\nmodel: { connection: warehouse, table: t, primary_key: id }\nchanges: { method: snapshot }\ndestination: { connection: hubspot, object: contacts, match_on: { email: email } }\nmode: upsert\nmappings: { churned: churned }\n",
                ),
            ],
            &["E0112 syncs/usage.yml:18:35"],
        ),
    ]);
    insta::assert_snapshot!(seen);
}

//! `guards:` of a sync: read as written, refused where they could never speak.

use super::{Folder, broken, places};

const S: &str = "syncs/usage.yml";

#[test]
fn every_guard_is_read_as_it_is_written() {
    let folder = Folder::new();
    folder.edit(
        S,
        "  max_rejected: 0.5%",
        "  max_rejected: 0.5%\n  max_invalid: 0.25%\n  min_rows: 1000\n  max_changed: 30%\n  max_requests: 20000\n  \
         first_run: confirm",
    );
    let project = folder.project();
    let guards = &project.syncs[0].sync.guards;
    let expected = engine::Guards {
        min_rows: Some(1000),
        max_changed: Some(0.3),
        max_rejected: Some(0.005),
        max_invalid: Some(0.0025),
        max_requests: Some(20_000),
        confirm_first_run: true,
        ..engine::Guards::default()
    };
    assert_eq!(*guards, expected);
}

#[test]
fn what_is_private_is_known_to_the_diagnosis() {
    let folder = Folder::new();
    folder.edit(
        S,
        "schedule:\n",
        "privacy: { deny_columns: [salary], mask_in_logs: [phone] }\nschedule:\n",
    );
    assert_eq!(folder.project().syncs[0].sync.private, ["salary", "phone"]);
}

#[test]
fn a_guard_of_another_mode_is_refused_where_the_sync_itself_has_it() {
    let folder = Folder::new();
    folder.edit(S, "mode: upsert", "mode: append");
    folder.edit(S, "max_rejected: 0.5%", "max_changed: 5%");
    let found = places(&folder.report());
    assert!(found.iter().any(|place| place == "E0118 syncs/usage.yml:29:3"), "{found:?}");
    folder.edit(S, "  max_changed: 5%", "  max_rejected: 5%");
    folder.edit(
        "outflow.yml",
        "    on_reject: quarantine",
        "    on_reject: quarantine\n  guards: { max_changed: 5% }",
    );
    let found = places(&folder.report());
    assert!(!found.iter().any(|place| place.starts_with("E0118")), "{found:?}");
}

#[test]
fn a_guard_that_can_never_speak_is_refused_at_its_place() {
    broken(&[
        (
            "more invalid rows than rejects",
            &[(S, "max_rejected: 0.5%", "max_rejected: 0.5%\n  max_invalid: 1%")],
            &["E0119 syncs/usage.yml:30:16"],
        ),
        (
            "no call at all",
            &[(S, "max_rejected: 0.5%", "max_requests: 0")],
            &["E0015 syncs/usage.yml:29:17"],
        ),
    ]);
}

//! What a reconciliation says about every way in which a record can differ from its row, and what its plan puts back.

use std::collections::BTreeMap;
use std::sync::Arc;

use engine::{Drift, PlanFile, ReconcileOptions, Reconciled, Removed};
use flow::Changes;

use crate::world::remove::{delete, set};
use crate::world::{Nobody, World, people};

fn world() -> World {
    let mut world = World::new(people(0..40));
    world.change_model(|model| model.changes = Changes::Snapshot);
    world
}

async fn reconcile(world: &World) -> Reconciled {
    let fix = Some(world.ports.spool_dir.join("fix.outflow"));
    let options = ReconcileOptions { fix, ..ReconcileOptions::default() };
    let found = engine::reconcile(&world.sync, &world.ports, &options).await.unwrap();
    let Reconciled { read, matching, kept, behind, invalid, ref drift, .. } = found;
    let orphans = drift.get(&Drift::Orphan).copied().unwrap_or_default();
    assert_eq!(read, matching + kept + behind + invalid + found.drifted() - orphans, "{found:?}");
    found
}

async fn apply(world: &World) -> Result<engine::RunReport, engine::RunFailure> {
    let plan = PlanFile::open(&world.ports.spool_dir.join("fix.outflow")).unwrap();
    let (sync, ports) = (&world.sync, &world.ports);
    let asked = (Arc::new(plan), Vec::new(), world.options());
    engine::apply((sync, ""), ports, asked, &Nobody).await
}

fn drift(kinds: &[(Drift, u64)]) -> BTreeMap<Drift, u64> {
    kinds.iter().copied().collect()
}

#[tokio::test(start_paused = true)]
async fn what_somebody_deleted_or_edited_is_found_and_put_back_by_the_plan() {
    // D1, D10
    let world = world();
    world.run().await.unwrap();
    let calls = world.calls();
    assert_eq!(reconcile(&world).await.drift, drift(&[]));
    {
        let mut remote = world.destination.remote();
        remote.records.remove("user3@example.com");
        remote.records.insert("user7@example.com".to_owned(), "by hand".to_owned());
        remote.records.insert("user8@example.com".to_owned(), String::new());
    }
    let found = reconcile(&world).await;
    assert_eq!(found.drift, drift(&[(Drift::Missing, 1), (Drift::Edited, 2)]));
    assert_eq!((found.matching, found.planned), (37, 3));
    assert_eq!(found.fields, [("name".to_owned(), 2)]);
    let edited = found.samples.iter().find(|row| row.key.as_str() == "7").unwrap();
    assert_eq!(edited.fields[0].before, Some(Some("by hand".to_owned())));
    assert_eq!(edited.fields[0].after.as_deref(), Some("name 7"));
    assert_eq!(world.run().await.unwrap().run.counts.delivered(), 0, "a run does not know of it");
    assert_eq!(world.calls(), calls, "nothing was sent");
    let report = apply(&world).await.unwrap();
    assert_eq!((report.run.counts.delivered(), report.run.counts.unchanged), (3, 37));
    world.converged();
    assert_eq!(reconcile(&world).await.drift, drift(&[]));
}

#[tokio::test(start_paused = true)]
async fn a_record_whose_match_value_was_edited_is_found_by_its_id_and_not_doubled() {
    let world = world();
    world.run().await.unwrap();
    {
        let mut remote = world.destination.remote();
        let name = remote.records.remove("user5@example.com").unwrap();
        remote.records.insert("moved@example.com".to_owned(), name);
        remote.ids.insert("id of user5@example.com".to_owned(), "moved@example.com".to_owned());
    }
    let found = reconcile(&world).await;
    assert_eq!(found.drift, drift(&[(Drift::Edited, 1)]));
    assert_eq!(found.fields, [("email".to_owned(), 1)]);
    apply(&world).await.unwrap();
    world.converged();
    assert_eq!(reconcile(&world).await.drift, drift(&[]));
}

#[tokio::test(start_paused = true)]
async fn duplicates_and_orphans_are_reported_and_never_touched() {
    // D8: nothing says which copy is the right one, and without `mode: mirror` a record outlives its row.
    let world = world();
    world.run().await.unwrap();
    world.source.rows.lock().unwrap().truncate(38);
    world.destination.remote().copies.push("user2@example.com".to_owned());
    let found = reconcile(&world).await;
    assert_eq!(found.drift, drift(&[(Drift::Duplicate, 1), (Drift::Orphan, 2)]));
    let copied = found.samples.iter().find(|row| row.drift == Drift::Duplicate).unwrap();
    assert_eq!(copied.record_ids, ["id of user2@example.com", "copy of user2@example.com"]);
    assert_eq!(found.planned, 0);
    let calls = world.calls();
    apply(&world).await.unwrap();
    assert_eq!(world.calls(), calls);
}

#[tokio::test(start_paused = true)]
async fn a_record_that_was_removed_on_purpose_is_no_orphan() {
    let removed = Removed { action: set(r#"{"status": "left"}"#), ..delete() };
    let world = World::mirror(people(0..40), removed);
    world.run().await.unwrap();
    world.source.rows.lock().unwrap().truncate(39);
    world.run().await.unwrap();
    assert_eq!(reconcile(&world).await.drift, drift(&[]));
}

#[tokio::test(start_paused = true)]
async fn rows_that_a_run_would_send_are_behind_and_not_drifted() {
    let world = world();
    world.run().await.unwrap();
    {
        let mut rows = world.source.rows.lock().unwrap();
        rows[4].name = "changed".to_owned();
        rows.extend(people(40..42));
    }
    let found = reconcile(&world).await;
    assert_eq!((found.behind, found.matching, found.drifted()), (3, 39, 0));
}

#[tokio::test(start_paused = true)]
async fn edits_that_may_stay_are_no_drift_and_reported_ones_are_not_put_back() {
    for (policy, kept, edited) in
        [("keep_remote_edit", 1, 0), ("report", 0, 1), ("overwrite", 0, 1)]
    {
        let mut world = world();
        let mapping = format!(r#"{{"name": {{"from": "name", "on_drift": "{policy}"}}}}"#);
        world.sync.mappings = serde_json::from_str(&mapping).unwrap();
        world.run().await.unwrap();
        let email = "user7@example.com".to_owned();
        world.destination.remote().records.insert(email, "by hand".to_owned());
        let found = reconcile(&world).await;
        assert_eq!((found.kept, found.drifted()), (kept, edited), "{policy}");
        assert_eq!(found.planned, u64::from(policy == "overwrite"), "{policy}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_plan_that_the_state_has_left_behind_is_refused() {
    let world = world();
    world.run().await.unwrap();
    world.destination.remote().records.remove("user3@example.com");
    reconcile(&world).await;
    world.source.rows.lock().unwrap()[3].name = "newer".to_owned();
    world.run().await.unwrap();
    let calls = world.calls();
    assert_eq!(apply(&world).await.unwrap_err().error.code().id, "G012");
    assert_eq!(world.calls(), calls);
    assert_eq!(world.run().await.unwrap().run.counts.delivered(), 0, "nothing was forgotten");
}

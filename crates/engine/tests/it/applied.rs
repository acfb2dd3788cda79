//! A plan in a file: applied exactly, or refused because something moved on; and what it says is what a run does.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::{Guard, Guards, PlanFile, PlanOptions, Removed, RunFailure, RunReport};
use flow::{Changes, Error, Kind, Model, RunStatus};

use crate::world::remove::{delete, set};
use crate::world::{Behaviour, DOWN, Nobody, Person, World, people};

async fn plan(world: &World) -> (engine::Plan, PathBuf) {
    let out = world.ports.spool_dir.join("plan.outflow");
    let options = PlanOptions { out: Some(out.clone()), ..PlanOptions::default() };
    (engine::plan(&world.sync, &world.ports, &options).await.unwrap(), out)
}

async fn apply(world: &World, plan: &Path, allow: &[Guard]) -> Result<RunReport, RunFailure> {
    let plan = Arc::new(PlanFile::open(plan).unwrap());
    let (sync, ports) = (&world.sync, &world.ports);
    engine::apply((sync, ""), ports, (plan, allow.to_vec(), world.options()), &Nobody).await
}

/// Nothing is sent, nothing moves, and the code says why.
async fn refused(world: &World, plan: &Path, code: &str) {
    let remembered = || {
        let memory = world.store.memory();
        (memory.ledger.clone(), memory.watermark.clone(), memory.commits)
    };
    let before = (world.calls(), remembered());
    let failure = apply(world, plan, &[]).await.unwrap_err();
    assert_eq!(failure.error.code().id, code, "{}", failure.error);
    assert_eq!(failure.error.kind(), Kind::Guard);
    assert_eq!((world.calls(), remembered()), before, "{code}: nothing is sent, nothing moves");
    let report = failure.report.expect("it is on record");
    assert_eq!((report.run.status, report.run.counts.unaccounted()), (RunStatus::Guarded, 0));
}

fn snapshot(world: &mut World) {
    let model = Model { changes: Changes::Snapshot, ..(*world.sync.model).clone() };
    world.sync.model = Arc::new(model);
}

fn change(rows: &mut [Person], name: &str, after_seconds: i64) {
    for row in rows {
        row.name = format!("{name} {}", row.id);
        row.updated_at += after_seconds * 1_000_000;
    }
}

#[tokio::test(start_paused = true)]
async fn a_plan_is_applied_exactly_and_the_watermark_goes_where_the_run_would_have_left_it() {
    for method in ["watermark", "snapshot"] {
        let mut world = World::new(people(0..60));
        if method == "snapshot" {
            snapshot(&mut world);
        }
        world.run().await.unwrap();
        change(&mut world.source.rows.lock().unwrap()[10..35], "planned", 1_000);
        let (planned, file) = plan(&world).await;
        assert_eq!((planned.update, planned.requests, world.calls()), (25, 3, 6));
        // What changes after the plan is not in it.
        change(&mut world.source.rows.lock().unwrap()[50..55], "later", 5_000);
        let report = apply(&world, &file, &[]).await.unwrap();
        assert_eq!((report.run.counts.updated, report.run.counts.parked), (25, 5), "{method}");
        assert_eq!(report.run.counts.unaccounted(), 0);
        let names: Vec<_> = world.destination.remote().records.values().cloned().collect();
        assert_eq!(names.iter().filter(|name| name.starts_with("planned")).count(), 25);
        assert!(!names.iter().any(|name| name.starts_with("later")));
        if method == "watermark" {
            assert_eq!(report.to.unwrap().0, 1_035_000_000, "as far as the plan's newest row");
        }
        refused(&world, &file, "G012").await;
        let next = world.run().await.unwrap();
        assert_eq!(next.run.counts.updated, 5, "{method}: the next run sends what was left");
        world.converged();
    }
}

#[tokio::test(start_paused = true)]
async fn a_plan_whose_rows_changed_left_or_came_to_be_invalid_is_refused() {
    for method in ["watermark", "snapshot"] {
        for what in 0..3 {
            let mut world = World::new(people(0..30));
            if method == "snapshot" {
                snapshot(&mut world);
            }
            let mapping = r#"{"name": {"from": "name", "transform": ["null_if_empty"], "on_null": "reject"}}"#;
            world.sync.mappings = serde_json::from_str(mapping).unwrap();
            let (_, file) = plan(&world).await;
            {
                let mut rows = world.source.rows.lock().unwrap();
                match what {
                    0 => change(&mut rows[7..8], "newer", 100),
                    1 => drop(rows.remove(29)),
                    _ => rows[3].name = String::new(),
                }
            }
            refused(&world, &file, "G010").await;
            world.run().await.unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_plan_of_another_configuration_sync_project_or_state_is_refused() {
    let mut world = World::new(people(0..30));
    let (_, file) = plan(&world).await;
    let mappings = std::mem::replace(
        &mut world.sync.mappings,
        serde_json::from_str(r#"{"name": {"const": "x"}}"#).unwrap(),
    );
    refused(&world, &file, "G011").await;
    world.sync.mappings = mappings;
    world.sync.guards.max_requests = Some(1000);
    refused(&world, &file, "G011").await;
    world.sync.guards.max_requests = None;
    world.sync.name = "others".to_owned();
    refused(&world, &file, "G011").await;
    world.sync.name = "people".to_owned();
    let opened = Arc::new(PlanFile::open(&file).unwrap());
    let elsewhere = (opened, Vec::new(), world.options());
    let failure = engine::apply((&world.sync, "env dev"), &world.ports, elsewhere, &Nobody).await;
    assert_eq!(failure.unwrap_err().error.code().id, "G011");
    world.run().await.unwrap();
    refused(&world, &file, "G012").await;
}

#[tokio::test(start_paused = true)]
async fn a_guard_that_stops_a_plan_stops_its_application_unless_it_is_allowed_once() {
    let mut world = World::new(people(0..100));
    world.run().await.unwrap();
    world.sync.guards =
        Guards { max_changed: Some(0.1), max_requests: Some(2), ..Guards::default() };
    change(&mut world.source.rows.lock().unwrap()[..40], "many", 1_000);
    let (planned, file) = plan(&world).await;
    let stopped: Vec<_> = planned.rulings.iter().filter(|r| r.stopped).map(|r| r.guard).collect();
    assert_eq!(stopped, [Guard::MaxChanged, Guard::MaxRequests]);
    refused(&world, &file, "G004").await;
    let failure = apply(&world, &file, &[Guard::MaxChanged]).await.unwrap_err();
    assert_eq!(failure.error.code().id, "G008", "the other one is not allowed");
    let report = apply(&world, &file, &[Guard::MaxChanged, Guard::MaxRequests]).await.unwrap();
    assert_eq!(report.run.counts.updated, 40);
    assert!(report.rulings.iter().all(|ruling| ruling.allowed && !ruling.stopped));
    world.converged();
    change(&mut world.source.rows.lock().unwrap()[..40], "again", 2_000);
    assert_eq!(world.run().await.unwrap_err().error.code().id, "G004", "it was for once");
}

#[tokio::test(start_paused = true)]
async fn applying_a_plan_confirms_the_first_run() {
    let mut world = World::new(people(0..30));
    world.sync.guards.confirm_first_run = true;
    assert_eq!(world.run().await.unwrap_err().error.code().id, "G009");
    let (planned, file) = plan(&world).await;
    assert!(planned.rulings[0].stopped && planned.create == 30);
    apply(&world, &file, &[]).await.unwrap();
    world.converged();
    world.run().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_application_that_fails_half_way_is_finished_by_the_next_run() {
    // D1, D2
    let world = World::new(people(0..60));
    let (_, file) = plan(&world).await;
    let mut calls = 0;
    world.script(move |_| {
        calls += 1;
        (calls > 2).then(|| Behaviour::AppliesAndFails(Error::new(&DOWN, "cut").ambiguous()))
    });
    let failure = apply(&world, &file, &[]).await.unwrap_err();
    assert_eq!(failure.report.unwrap().run.counts.unaccounted(), 0);
    *world.destination.script.lock().unwrap() = None;
    refused(&world, &file, "G012").await;
    world.run().await.unwrap();
    world.converged();
}

#[tokio::test(start_paused = true)]
async fn an_empty_plan_can_be_applied_and_does_nothing() {
    let world = World::new(people(0..10));
    world.run().await.unwrap();
    let (planned, file) = plan(&world).await;
    assert_eq!(planned.changes(), 0);
    for _ in 0..2 {
        let report = apply(&world, &file, &[]).await.unwrap();
        assert_eq!((report.run.counts.requests, report.run.counts.delivered()), (0, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_plan_says_is_what_the_next_run_does_whatever_happened_before() {
    for seed in 0..60 {
        let mut dice = fastrand::Rng::with_seed(seed);
        let mut world = World::new(people(0..dice.i64(1..80)));
        if dice.bool() {
            snapshot(&mut world);
        }
        let mapping =
            r#"{"name": {"from": "name", "transform": ["null_if_empty"], "on_null": "reject"}}"#;
        world.sync.mappings = serde_json::from_str(mapping).unwrap();
        let mut now = 1_000_000_000;
        for step in 0..6 {
            disturb(&mut world.source.rows.lock().unwrap(), &mut dice, &mut now);
            let (planned, file) = plan(&world).await;
            let report = match dice.bool() {
                true => apply(&world, &file, &[]).await.unwrap(),
                false => world.run().await.unwrap(),
            };
            let counts = report.run.counts;
            let about = format!("seed {seed}, step {step}: {planned:?} and {counts:?}");
            assert_eq!(planned.read, counts.read, "{about}");
            assert_eq!(planned.unchanged, counts.unchanged, "{about}");
            assert_eq!(planned.create + planned.update, counts.delivered(), "{about}");
            assert_eq!(planned.invalid, counts.rejected, "{about}");
            assert!(planned.requests <= counts.requests, "{about}");
        }
    }
}

/// Rows come, change, move to another match value, become invalid, and go.
fn disturb(rows: &mut Vec<Person>, dice: &mut fastrand::Rng, now: &mut i64) {
    for _ in 0..dice.usize(0..12) {
        *now += 1_000_000;
        let at = dice.usize(0..rows.len().max(1));
        match dice.u8(0..6) {
            0 => {
                let id = rows.iter().map(|row| row.id).max().unwrap_or(0) + 1;
                let email = format!("user{}@example.com", dice.i64(0..120));
                rows.push(Person { id, email, name: format!("new {id}"), updated_at: *now });
            }
            1 if rows.len() > 1 => drop(rows.remove(at)),
            kind if !rows.is_empty() => {
                let row = &mut rows[at];
                row.updated_at = *now;
                match kind {
                    2 => row.email = format!("user{}@example.com", dice.i64(0..120)),
                    3 => row.name = String::new(),
                    _ => row.name = format!("name {now}"),
                }
            }
            _ => {}
        }
    }
}

fn removed_of(world: &World) -> Vec<String> {
    world.removals().into_iter().flatten().collect()
}

#[tokio::test(start_paused = true)]
async fn a_plan_removes_exactly_the_records_it_says_or_is_refused() {
    // D8
    for action in [delete().action, set(r#"{"status": "churned"}"#)] {
        let world = World::mirror(people(0..100), Removed { action, ..delete() });
        world.run().await.unwrap();
        let left = world.leave(&[3, 50, 99]);
        change(&mut world.source.rows.lock().unwrap()[..5], "changed", 1);
        let (planned, file) = plan(&world).await;
        assert_eq!((planned.removed, planned.update, planned.unchanged), (3, 5, 92));
        // One of them comes back: its record is not to be removed any more.
        world.enter(vec![left[0].clone()]);
        refused(&world, &file, "G010").await;
        world.leave(&[3]);
        // Another one leaves, and others change: that is for the next run.
        world.leave(&[60]);
        change(&mut world.source.rows.lock().unwrap()[20..23], "later", 1);
        let report = apply(&world, &file, &[]).await.unwrap();
        let counts = report.run.counts;
        assert_eq!((counts.removed, counts.gone_waiting, counts.updated), (3, 1, 5));
        assert_eq!((counts.parked, counts.unaccounted()), (3, 0));
        assert_eq!(removed_of(&world).len(), 3);
        refused(&world, &file, "G012").await;
        let counts = world.run().await.unwrap().run.counts;
        assert_eq!((counts.removed, counts.updated), (1, 3));
        assert_eq!(removed_of(&world).len(), 4);
    }
}

#[tokio::test(start_paused = true)]
async fn a_plan_that_only_removes_is_applied_once() {
    let world = World::mirror(people(0..40), delete());
    world.run().await.unwrap();
    world.leave(&[7, 8]);
    let (planned, file) = plan(&world).await;
    assert_eq!((planned.removed, planned.changes(), planned.requests), (2, 2, 1));
    let report = apply(&world, &file, &[]).await.unwrap();
    assert_eq!((report.run.counts.removed, report.run.counts.unchanged), (2, 38));
    world.converged();
    refused(&world, &file, "G012").await;
}

#[tokio::test(start_paused = true)]
async fn a_plan_without_removals_removes_nothing() {
    let world = World::mirror(people(0..40), delete());
    world.run().await.unwrap();
    change(&mut world.source.rows.lock().unwrap()[..5], "changed", 1);
    let (_, file) = plan(&world).await;
    world.leave(&[30]);
    let report = apply(&world, &file, &[]).await.unwrap();
    assert_eq!((report.run.counts.removed, report.run.counts.updated), (0, 5));
    assert_eq!(removed_of(&world), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn more_removals_than_a_mirror_may_make_need_a_plan_and_a_yes() {
    // D8: also where no guard was asked for.
    let world = World::mirror(people(0..100), delete());
    world.run().await.unwrap();
    world.leave(&(0..40).collect::<Vec<_>>());
    let (planned, file) = plan(&world).await;
    assert_eq!(planned.removed, 40);
    assert!(planned.rulings.iter().any(|said| said.guard == Guard::MaxRemoved && said.stopped));
    refused(&world, &file, "G003").await;
    let report = apply(&world, &file, &[Guard::MaxRemoved]).await.unwrap();
    assert_eq!((report.run.counts.removed, report.run.counts.gone), (40, 40));
    world.converged();
}

#[tokio::test(start_paused = true)]
async fn a_model_without_any_row_is_removed_only_by_a_yes() {
    let world = World::mirror(people(0..5), delete());
    world.run().await.unwrap();
    world.leave(&[0, 1, 2, 3, 4]);
    let (_, file) = plan(&world).await;
    refused(&world, &file, "G003").await;
    let report = apply(&world, &file, &[Guard::MaxRemoved]).await.unwrap();
    assert_eq!(report.run.counts.removed, 5);
}

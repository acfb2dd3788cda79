//! Guards stop a run before its first request, and a plan says beforehand what they will say.

use engine::{Guard, Guards, PlanOptions, Ruling, RunFailure, SpoolLimits};
use flow::{Changes, Model, RunStatus};
use std::sync::Arc;

use crate::world::remove::delete;
use crate::world::{Nobody, Person, World, people};

/// A hundred acknowledged rows; then `change` happens to the warehouse and `guards` are set.
async fn world(method: Method, change: impl Fn(&mut Vec<Person>), guards: Guards) -> World {
    let mut world = World::new(people(0..100));
    if let Method::Snapshot = method {
        let model = Model { changes: Changes::Snapshot, ..(*world.sync.model).clone() };
        world.sync.model = Arc::new(model);
    }
    world.run().await.unwrap();
    change(&mut world.source.rows.lock().unwrap());
    world.sync.guards = guards;
    world
}

#[derive(Debug, Clone, Copy)]
enum Method {
    Watermark,
    Snapshot,
}

fn rename(ids: std::ops::Range<usize>) -> impl Fn(&mut Vec<Person>) {
    move |rows| {
        for row in &mut rows[ids.clone()] {
            row.name = "Lyon".to_owned();
            row.updated_at += 900_000_000;
        }
    }
}

/// The run is stopped by `guard`: nothing is sent, nothing moves, and the record says so.
async fn stopped(world: &World, guard: Guard) -> (RunFailure, Ruling) {
    let calls = world.calls();
    let remembered = || {
        let memory = world.store.memory();
        (memory.ledger.clone(), memory.watermark.clone(), memory.commits)
    };
    let before = remembered();
    let plan = engine::plan(&world.sync, &world.ports, &PlanOptions::default()).await.unwrap();
    let failure = world.run().await.unwrap_err();
    assert_eq!(failure.error.code().id, guard.code().id, "{}", failure.error);
    assert_eq!(failure.error.kind(), flow::Kind::Guard);
    assert_eq!(world.calls(), calls, "nothing is sent");
    assert_eq!(remembered(), before, "nothing is written but the run");
    let report = failure.report.as_ref().expect("the run is on record");
    assert_eq!(report.run.status, RunStatus::Guarded);
    assert_eq!(report.run.counts.unaccounted(), 0);
    assert!(report.run.error.as_ref().is_some_and(|error| error.starts_with(guard.code().id)));
    let ruling = report.rulings.iter().find(|ruling| ruling.stopped).unwrap().clone();
    assert_eq!(ruling.guard, guard);
    if guard != Guard::FirstRun {
        assert_eq!(plan.rulings, report.rulings, "the plan says the same");
    }
    (failure, ruling)
}

#[tokio::test(start_paused = true)]
async fn too_many_changed_rows_stop_a_run_before_its_first_request_whatever_the_method() {
    for method in [Method::Watermark, Method::Snapshot] {
        let guards = Guards { max_changed: Some(0.3), ..Guards::default() };
        let mut world = world(method, rename(0..31), guards).await;
        let (failure, ruling) = stopped(&world, Guard::MaxChanged).await;
        assert_eq!((ruling.count, ruling.of), (31, 100), "{method:?}");
        assert!(
            failure
                .error
                .message()
                .contains("31 of 100 known rows changed; `max_changed` allows 30 %")
        );
        world.sync.guards.max_changed = Some(0.31);
        let report = world.run().await.unwrap();
        assert_eq!(report.run.counts.updated, 31);
        assert!(report.rulings.iter().all(|ruling| !ruling.stopped) && report.rulings.len() == 1);
        world.converged();
    }
}

#[tokio::test(start_paused = true)]
async fn a_model_that_is_too_small_never_runs() {
    for method in [Method::Watermark, Method::Snapshot] {
        let guards = Guards { min_rows: Some(100), ..Guards::default() };
        let mut world = world(method, |rows| drop(rows.pop()), guards).await;
        let (_, ruling) = stopped(&world, Guard::MinRows).await;
        assert_eq!(ruling.count, 99, "{method:?}: the whole model counts, not what is read");
        world.sync.guards.min_rows = Some(99);
        world.run().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn more_calls_than_allowed_are_not_begun() {
    for method in [Method::Watermark, Method::Snapshot] {
        let guards = Guards { max_requests: Some(2), ..Guards::default() };
        let mut world = world(method, rename(40..61), guards).await;
        let (_, ruling) = stopped(&world, Guard::MaxRequests).await;
        assert_eq!(ruling.count, 3, "{method:?}: 21 rows, ten a call");
        world.sync.guards.max_requests = Some(3);
        assert_eq!(world.run().await.unwrap().run.counts.requests, 3);
    }
}

#[tokio::test(start_paused = true)]
async fn rows_the_mapping_refuses_stop_a_run_when_they_are_a_crowd_and_no_other_row_when_they_are_few()
 {
    // D9
    let empty = |rows: &mut Vec<Person>| {
        for row in &mut rows[..11] {
            row.name = String::new();
            row.updated_at += 900_000_000;
        }
        rename(50..52)(rows);
    };
    let mapping =
        r#"{"name": {"from": "name", "transform": ["null_if_empty"], "on_null": "reject"}}"#;
    for (guard, method) in [
        (Guard::MaxInvalid, Method::Watermark),
        (Guard::MaxInvalid, Method::Snapshot),
        (Guard::MaxRejected, Method::Watermark),
        (Guard::MaxRejected, Method::Snapshot),
    ] {
        let limit = |share| match guard {
            Guard::MaxInvalid => Guards { max_invalid: Some(share), ..Guards::default() },
            _ => Guards { max_rejected: Some(share), ..Guards::default() },
        };
        let mut world = world(method, empty, limit(0.1)).await;
        world.sync.mappings = serde_json::from_str(mapping).unwrap();
        let (_, ruling) = stopped(&world, guard).await;
        assert_eq!((ruling.count, ruling.of), (11, 100), "{method:?}");
        let common = &ruling.common[0];
        assert_eq!((common.name.as_str(), common.rows, common.of), ("name", 11, 11));
        world.sync.guards = limit(0.11);
        let report = world.run().await.unwrap();
        assert_eq!((report.run.counts.rejected, report.run.counts.updated), (11, 2));
        // What the guard lets pass is not above the limit at the end either, however few other rows were read.
        assert!(!report.rejects_above_limit, "{method:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_run_waits_until_it_is_confirmed_and_later_runs_do_not() {
    let mut world = World::new(people(0..30));
    world.sync.guards.confirm_first_run = true;
    stopped(&world, Guard::FirstRun).await;
    assert!(world.store.memory().ledger.is_empty());
    world.sync.guards.confirm_first_run = false;
    world.run().await.unwrap();
    world.sync.guards.confirm_first_run = true;
    rename(0..3)(&mut world.source.rows.lock().unwrap());
    assert_eq!(world.run().await.unwrap().run.counts.updated, 3);
    world.converged();
}

#[tokio::test(start_paused = true)]
async fn rows_are_weighed_in_files_and_read_from_the_warehouse_once() {
    // L2: with no memory to wait in, everything is on disk; the source is asked once.
    let mut world = World::new(people(0..500));
    world.ports.spool = SpoolLimits { memory_bytes_max: 0, disk_bytes_max: 64 << 20 };
    world.sync.guards.max_requests = Some(50);
    let report = world.run().await.unwrap();
    assert_eq!((report.run.counts.created, report.run.counts.requests), (500, 50));
    assert_eq!(world.source.reads(), 1);
    world.converged();
    let left: Vec<_> = std::fs::read_dir(&world.ports.spool_dir).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");

    world.ports.spool.disk_bytes_max = 1;
    rename(0..200)(&mut world.source.rows.lock().unwrap());
    let failure = world.run().await.unwrap_err();
    assert_eq!(failure.error.code().id, "E4030", "what does not fit is not half sent");
    assert_eq!(world.calls(), 50);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_told_to_stop_while_it_weighs_ends_as_interrupted() {
    // S3
    let mut world = World::new(people(0..300));
    world.sync.guards.max_requests = Some(50);
    world.stop.drain.cancel();
    let report = world.run().await.unwrap();
    assert_eq!(report.run.status, RunStatus::Interrupted);
    assert_eq!(world.calls(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_stopped_rows_have_in_common_is_said_and_individuals_are_not_named() {
    let group = |rows: &mut Vec<Person>| {
        for (index, row) in rows.iter_mut().enumerate() {
            row.name = ["Lyon", "Oslo", "Rome"][index % 3].to_owned();
        }
    };
    let world = |private: Vec<String>| async move {
        let guards = Guards { max_changed: Some(0.1), ..Guards::default() };
        let mut world = World::new(people(0..99));
        group(&mut world.source.rows.lock().unwrap());
        world.run().await.unwrap();
        // A new office tag for everybody in Lyon; the payload carries it in `name` of two more.
        for row in world.source.rows.lock().unwrap().iter_mut() {
            if row.name == "Lyon" || row.id == 1 {
                row.email = format!("new.{}", row.email);
                row.updated_at += 500_000_000;
            }
        }
        world.sync.model =
            Arc::new(Model { changes: Changes::Snapshot, ..(*world.sync.model).clone() });
        world.sync.guards = guards;
        world.sync.private = private;
        world
    };
    let (failure, ruling) = stopped(&world(Vec::new()).await, Guard::MaxChanged).await;
    let [common] = &ruling.common[..] else { panic!("{:?}", ruling.common) };
    assert_eq!((common.name.as_str(), common.value.as_deref()), ("name", Some("Lyon")));
    assert_eq!((common.rows, common.of), (33, 34));
    assert!(!failure.error.message().contains("Lyon"), "X1: not in what is logged and kept");
    let (_, ruling) = stopped(&world(vec!["name".to_owned()]).await, Guard::MaxChanged).await;
    assert_eq!(ruling.common, []);
}

#[tokio::test(start_paused = true)]
async fn a_backfill_is_asked_for_by_hand_and_no_guard_stops_it() {
    let guards = Guards { max_changed: Some(0.0), max_requests: Some(0), ..Guards::default() };
    let world = world(Method::Watermark, |_| (), guards).await;
    let all = engine::BackfillScope::Where("true".to_owned());
    let report =
        engine::backfill(&world.sync, &world.ports, (all, world.options()), &Nobody).await.unwrap();
    assert_eq!(report.run.counts.delivered(), 100);
}

#[tokio::test(start_paused = true)]
async fn a_mirror_whose_rows_were_exchanged_is_stopped_before_its_first_request() {
    // D8: as many new rows as old ones left, so that no count of rows could tell; nobody asked for a guard.
    let world = World::mirror(people(0..100), delete());
    world.run().await.unwrap();
    world.leave(&(0..60).collect::<Vec<_>>());
    world.enter(people(1000..1060));
    world.source.rows.lock().unwrap()[0].name = "changed".to_owned();
    let calls = world.calls();
    let failure = world.run().await.unwrap_err();
    assert_eq!((failure.error.code().id, failure.error.kind()), ("E4020", flow::Kind::Guard));
    assert_eq!((world.calls(), world.removals().len()), (calls, 0));
    let counts = failure.report.unwrap().run.counts;
    assert_eq!((counts.parked, counts.gone_waiting, counts.unaccounted()), (61, 60, 0));
    // What was held back is as it was: a row that is as it was before costs nothing.
    world.source.rows.lock().unwrap()[0].name = "name 60".to_owned();
    world.source.rows.lock().unwrap().retain(|row| row.id < 100);
    world.enter(people(0..60));
    let counts = world.run().await.unwrap().run.counts;
    assert_eq!((counts.unchanged, counts.requests), (100, 0));
    world.converged();
}

#[tokio::test(start_paused = true)]
async fn more_changes_than_wait_in_memory_are_sent_and_the_removals_refused() {
    // L2, D8
    let world = World::mirror(people(0..400), delete());
    world.run().await.unwrap();
    world.leave(&(0..100).collect::<Vec<_>>());
    for row in world.source.rows.lock().unwrap().iter_mut() {
        row.name = "long ".repeat(16_000);
    }
    let failure = world.run().await.unwrap_err();
    assert_eq!(failure.error.code().id, "E4020");
    assert_eq!(world.removals().len(), 0);
    let counts = failure.report.unwrap().run.counts;
    assert_eq!((counts.updated, counts.parked, counts.gone_waiting), (300, 0, 100));
}

#[tokio::test(start_paused = true)]
async fn rows_that_left_are_told_by_what_they_had_in_common() {
    // Nothing of them is in the model any more; what is remembered is a hash per field, and values that many rows share.
    let mut rows = people(0..100);
    for row in &mut rows {
        row.name = if row.id % 5 == 0 { "Lyon" } else { "Oslo" }.to_owned();
    }
    let mut world = World::mirror(rows, delete());
    world.sync.guards =
        Guards { max_removed: Some(0.02), max_removed_floor: 3, ..Guards::default() };
    world.run().await.unwrap();
    let gone: Vec<i64> = (0..100).filter(|id| id % 5 == 0).chain([1]).collect();
    world.leave(&gone);
    let (_, ruling) = stopped(&world, Guard::MaxRemoved).await;
    let said: Vec<_> =
        ruling.common.iter().map(|c| (c.name.as_str(), c.value.as_deref())).collect();
    assert_eq!(said, [("name", Some("Lyon"))]);
    assert_eq!((ruling.common[0].rows, ruling.common[0].of), (20, 21));
    // What is private is neither said nor remembered.
    world.sync.private = vec!["name".to_owned()];
    world.store.memory().payloads.retain(|key, _| !key.as_str().contains("groups"));
    let (_, ruling) = stopped(&world, Guard::MaxRemoved).await;
    assert_eq!(ruling.common, []);
}

//! The compare of every row that is due now and then: what the watermark did not show is sent, and counted.

use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use crate::world::{StillClock, World, people};

const DAY: i64 = 86_400_000_000;

fn world() -> World {
    let mut world = World::new(people(0..30));
    world.sync.compare_every_micros = Some(DAY);
    world
}

fn change(world: &World, row: usize, name: &str, at: Option<i64>) {
    let mut rows = world.source.rows.lock().unwrap();
    name.clone_into(&mut rows[row].name);
    rows[row].updated_at = at.unwrap_or(rows[row].updated_at);
}

#[tokio::test(start_paused = true)]
async fn a_back_dated_change_is_found_by_the_compare_that_is_due_and_counted() {
    // R1, hazard 15. The naive way, the watermark alone, is what the first run does.
    let mut world = world();
    world.run().await.unwrap();
    change(&world, 3, "back-dated", None);
    change(&world, 29, "noticed", Some(40_000_000));
    let report = world.run().await.unwrap();
    assert_eq!((report.run.counts.delivered(), report.run.counts.found_only_by_compare), (1, 0));
    assert_ne!(world.destination.remote().records["user3@example.com"], "back-dated");

    world.ports.clock =
        Arc::new(StillClock(Arc::new(AtomicI64::new(1_800_000_000_000_000 + 2 * DAY))));
    change(&world, 28, "noticed too", Some(41_000_000));
    let report = world.run().await.unwrap();
    world.converged();
    let counts = report.run.counts;
    assert_eq!((counts.delivered(), counts.found_only_by_compare), (2, 1));
    assert!(report.findings.iter().any(|finding| finding.code.id == "E4055"));

    let read = world.run().await.unwrap().run.counts.read;
    assert!(read < 30, "the next compare is due in a day: {read} rows read");
}

#[tokio::test(start_paused = true)]
async fn a_compare_that_was_interrupted_is_due_again() {
    // R3
    let mut world = world();
    world.run().await.unwrap();
    let before = world.store.memory().mark.clone().unwrap();
    world.ports.clock =
        Arc::new(StillClock(Arc::new(AtomicI64::new(1_800_000_000_000_000 + 2 * DAY))));
    change(&world, 3, "back-dated", None);
    let down = || flow::Error::new(&crate::world::DOWN, "down");
    world.script(move |_| Some(crate::world::Behaviour::Fails(down())));
    world.run().await.unwrap_err();
    assert_eq!(world.store.memory().mark, Some(before));
    *world.destination.script.lock().unwrap() = None;
    assert_eq!(world.run().await.unwrap().run.counts.found_only_by_compare, 1);
    world.converged();
}

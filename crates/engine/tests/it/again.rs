//! Which rejects a run tries again by itself, and which wait for somebody.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use flow::{Error, Outcome};

use crate::world::{Behaviour, Nobody, POISON, REFUSED, World, people};

/// Refuses, or leaves unanswered, one row as long as `on` is set.
fn script(world: &World, outcome: fn() -> Outcome) -> Arc<AtomicBool> {
    let on = Arc::new(AtomicBool::new(true));
    let is_on = Arc::clone(&on);
    world.script(move |_| {
        is_on.load(Ordering::SeqCst).then(|| {
            Behaviour::Rows(Box::new(move |email| (email == "user5@example.com").then(outcome)))
        })
    });
    on
}

fn refused() -> Outcome {
    Outcome::Rejected { code: &REFUSED, message: "no such option".to_owned(), field: None }
}

#[tokio::test(start_paused = true)]
async fn a_row_that_nobody_refused_lands_by_itself_once_it_is_answered() {
    // D1, D9: the watermark has passed the row, which does not change any more.
    let world = World::new(people(0..1000));
    let unanswered = script(&world, || Outcome::Unknown { reason: "not in the answer" });
    let report = world.run().await.unwrap();
    assert_eq!((report.run.counts.rejected, report.open_rejects), (1, 1));
    let report = world.run().await.unwrap();
    assert_eq!((report.run.counts.rejected, report.open_rejects), (1, 1), "it was tried");
    unanswered.store(false, Ordering::SeqCst);
    let report = world.run().await.unwrap();
    assert_eq!((report.run.counts.delivered(), report.open_rejects), (1, 0));
    world.converged();
    let calls = world.calls();
    assert_eq!(world.run().await.unwrap().run.counts.delivered(), 0);
    assert_eq!(world.calls(), calls);
}

#[tokio::test(start_paused = true)]
async fn a_refused_row_is_tried_again_once_when_the_destinations_fields_change() {
    let world = World::new(people(0..1000));
    let refusing = script(&world, refused);
    world.run().await.unwrap();
    let calls = world.calls();
    for _ in 0..2 {
        assert_eq!(world.run().await.unwrap().open_rejects, 1);
        assert_eq!(world.calls(), calls, "the row, the mapping and the fields are as they were");
    }
    world.destination.more_fields.lock().unwrap().push("plan");
    assert_eq!(world.run().await.unwrap().open_rejects, 1);
    assert_eq!(world.calls(), calls + 1, "it is refused with the new fields, too");
    assert_eq!(world.run().await.unwrap().open_rejects, 1);
    assert_eq!(world.calls(), calls + 1);
    refusing.store(false, Ordering::SeqCst);
    world.destination.more_fields.lock().unwrap().push("tier");
    let report = world.run().await.unwrap();
    assert_eq!((report.run.counts.delivered(), report.open_rejects), (1, 0));
    world.converged();
}

#[tokio::test(start_paused = true)]
async fn a_run_of_some_rows_leaves_the_retry_to_the_next_full_one() {
    let world = World::new(people(0..100));
    let refusing = script(&world, refused);
    world.run().await.unwrap();
    refusing.store(false, Ordering::SeqCst);
    world.destination.more_fields.lock().unwrap().push("plan");
    let some = engine::RunOptions { rows_max: Some(1), ..world.options() };
    let report = engine::run(&world.sync, &world.ports, some, &Nobody).await.unwrap();
    assert_eq!(report.open_rejects, 1);
    assert_eq!(world.run().await.unwrap().open_rejects, 0);
    world.converged();
}

#[tokio::test(start_paused = true)]
async fn halving_costs_a_bounded_number_of_calls_which_are_counted() {
    // D9: each poison row among ten of a call costs two calls per halving, and there are four halvings at most.
    for poisoned in [1_usize, 2, 3] {
        let world = World::new(people(0..10));
        world.script(move |emails| {
            let poison = |n: usize| format!("user{}@example.com", n * 3);
            let hit = (0..poisoned).any(|n| emails.contains(&poison(n)));
            hit.then(|| Behaviour::Fails(Error::new(&POISON, "conflict")))
        });
        let report = world.run().await.unwrap();
        let counts = report.run.counts;
        assert_eq!((counts.delivered(), counts.rejected), (10 - poisoned as u64, poisoned as u64));
        assert!(world.calls() <= 1 + 2 * 4 * poisoned, "{} calls", world.calls());
        assert_eq!(counts.retries + 1, world.calls() as u64);
        assert_eq!(counts.requests, world.calls() as u64);
    }
}

//! Records that were written without all of their row: what was acknowledged before is gone, also when the rest is refused
//! (D1, D4), and the record is this row's from then on.

use flow::{Key, Outcome};

use crate::world::{Behaviour, REFUSED, World, people};

const ONE: &str = "user0@example.com";

/// The first calls with this row write its record and meet this with the rest of it.
fn only_in_part(world: &World, calls: usize, rest: Outcome) {
    let mut left = calls;
    world.script(move |emails| {
        if left == 0 || !emails.iter().any(|email| email == ONE) {
            return None;
        }
        left -= 1;
        let rest = rest.clone();
        Some(Behaviour::Rows(Box::new(move |email| {
            let rest = Box::new(rest.clone());
            (email == ONE).then_some(Outcome::InPart { remote_id: None, rest })
        })))
    });
}

fn refused() -> Outcome {
    Outcome::Rejected { code: &REFUSED, message: "no".to_owned(), field: None }
}

fn rename(world: &World, name: &str, at: i64) {
    let mut rows = world.source.rows.lock().unwrap();
    (rows[0].name, rows[0].updated_at) = (name.to_owned(), at);
}

#[tokio::test(start_paused = true)]
async fn a_row_that_goes_back_to_what_it_was_is_sent_though_its_last_payload_was_refused() {
    // The record holds half of "second": to call "name 0" unchanged would leave it there for good.
    let world = World::new(people(0..5));
    world.run().await.unwrap();
    rename(&world, "second", 2_000_000);
    only_in_part(&world, 1, refused());
    let report = world.run().await.unwrap();
    assert_eq!((report.run.counts.rejected, report.run.counts.unaccounted()), (1, 0));
    assert_eq!(world.destination.remote().records[ONE], "second");
    rename(&world, "name 0", 3_000_000);
    let report = world.run().await.unwrap();
    assert_eq!(report.run.counts.updated, 1);
    world.converged();
}

#[tokio::test(start_paused = true)]
async fn a_refused_row_is_held_back_and_has_its_record_all_the_same() {
    let world = World::new(people(0..5));
    only_in_part(&world, 1, refused());
    let report = world.run().await.unwrap();
    assert_eq!((report.run.counts.created, report.run.counts.rejected), (4, 1));
    let entry = world.store.memory().ledger[&Key::from_parts(&["0"])].clone();
    assert_eq!(entry.remote_id.as_deref(), Some("id of user0@example.com"));
    assert!(entry.match_hash.is_some() && entry.acknowledged.is_none());
    let calls = world.calls();
    let again = engine::RunOptions { full_refresh: true, ..world.options() };
    let report =
        engine::run(&world.sync, &world.ports, again, &crate::world::Nobody).await.unwrap();
    assert_eq!((report.run.counts.unchanged, report.run.counts.rejected), (4, 1));
    assert_eq!(world.calls(), calls, "what was refused is not sent again by itself");
}

#[tokio::test(start_paused = true)]
async fn the_rest_is_tried_again_and_counts_once() {
    for rest in
        [Outcome::Retry { after: None, reason: "locked" }, Outcome::Unknown { reason: "lost" }]
    {
        let world = World::new(people(0..5));
        only_in_part(&world, 2, rest);
        let report = world.run().await.unwrap();
        assert_eq!((report.run.counts.delivered(), report.run.counts.unaccounted()), (5, 0));
        assert_eq!(world.calls(), 3);
        world.converged();
    }
}

//! Calls that the destination carries out after their client gave up or died: the rows are confirmed by another write
//! that begins late enough (D4), and nothing else is sent again.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use flow::{Clock, Error, Key, Retry};

use crate::world::{Behaviour, DOWN, Person, World, people};

/// The longest delay of the destination of these tests, in microseconds.
const APPLY_MAX: i64 = 60_000_000;

/// A clock that is put forward by hand.
#[derive(Debug)]
struct HandClock(AtomicI64);

impl Clock for HandClock {
    fn now_micros(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// A world with a clock of its own, whose rows are all delivered.
async fn world() -> (World, Arc<HandClock>) {
    let clock = Arc::new(HandClock(AtomicI64::new(1_800_000_000_000_000)));
    let mut world = World::new(people(0..30));
    world.ports.clock = Arc::<HandClock>::clone(&clock);
    world.run().await.unwrap();
    (world, clock)
}

fn no_answer() -> Error {
    Error::new(&DOWN, "no answer").with_retry(Retry::Backoff).ambiguous()
}

fn rename(world: &World, row: usize, name: &str, at: i64) {
    let mut rows = world.source.rows.lock().unwrap();
    (rows[row].name, rows[row].updated_at) = (name.to_owned(), at);
}

/// The next call is not answered; whatever it carried is applied only when the test says so.
fn lose_the_next_call(world: &World) {
    let mut lost = false;
    world.script(move |_| {
        let first = !std::mem::replace(&mut lost, true);
        first.then(|| Behaviour::Fails(no_answer()))
    });
}

/// The destination carries the lost call out after all.
fn arrives(world: &World, email: &str, name: &str) {
    world.destination.remote().records.insert(email.to_owned(), name.to_owned());
}

#[tokio::test(start_paused = true)]
async fn an_older_version_that_arrives_late_is_put_right_by_one_more_write() {
    // D4, D3: A is lost, A again and then B are acknowledged, and then the first A arrives.
    let (world, clock) = world().await;
    rename(&world, 7, "A", 50_000_000);
    lose_the_next_call(&world);
    world.run().await.unwrap();
    rename(&world, 7, "B", 60_000_000);
    world.run().await.unwrap();
    arrives(&world, "user7@example.com", "A");
    let calls = world.calls();
    // Too early: no run sends anything more.
    let report = world.run().await.unwrap();
    assert_eq!((report.run.counts.requests, report.unconfirmed), (0, 1));
    clock.0.fetch_add(APPLY_MAX, Ordering::SeqCst);
    let report = world.run().await.unwrap();
    assert_eq!((report.run.counts.updated, report.unconfirmed), (1, 0));
    world.converged();
    assert_eq!(world.destination.remote().calls[calls..], [["user7@example.com"]]);
    let report = world.run().await.unwrap();
    assert_eq!(report.run.counts.requests, 0, "it is confirmed once");
}

#[tokio::test(start_paused = true)]
async fn an_ordinary_change_that_is_late_enough_confirms_as_well() {
    let (world, clock) = world().await;
    rename(&world, 7, "A", 50_000_000);
    lose_the_next_call(&world);
    assert_eq!(world.run().await.unwrap().unconfirmed, 1);
    clock.0.fetch_add(APPLY_MAX, Ordering::SeqCst);
    rename(&world, 7, "B", 60_000_000);
    let report = world.run().await.unwrap();
    assert_eq!((report.run.counts.requests, report.unconfirmed), (1, 0));
    world.converged();
}

#[tokio::test(start_paused = true)]
async fn a_confirmation_without_a_clear_answer_confirms_nothing() {
    let (world, clock) = world().await;
    rename(&world, 7, "A", 50_000_000);
    lose_the_next_call(&world);
    world.run().await.unwrap();
    clock.0.fetch_add(APPLY_MAX, Ordering::SeqCst);
    lose_the_next_call(&world);
    let report = world.run().await.unwrap();
    assert_eq!((report.run.counts.requests, report.unconfirmed), (2, 1));
    clock.0.fetch_add(APPLY_MAX - 6_000_000, Ordering::SeqCst);
    assert_eq!(world.run().await.unwrap().run.counts.requests, 0);
    clock.0.fetch_add(6_000_000, Ordering::SeqCst);
    assert_eq!(world.run().await.unwrap().unconfirmed, 0);
}

#[tokio::test(start_paused = true)]
async fn a_run_waits_at_its_end_for_a_time_that_comes_soon_and_for_no_other() {
    let (world, clock) = world().await;
    rename(&world, 7, "A", 50_000_000);
    lose_the_next_call(&world);
    world.run().await.unwrap();
    clock.0.fetch_add(APPLY_MAX - 3_000_000, Ordering::SeqCst);
    let began = tokio::time::Instant::now();
    let report = world.run().await.unwrap();
    let waited = began.elapsed();
    assert!(waited >= Duration::from_secs(3) && waited < Duration::from_secs(5), "{waited:?}");
    // This clock is put forward by hand: the write began when it was due, as far as it can know, and not before.
    assert_eq!(report.run.counts.requests, 1);
}

#[tokio::test(start_paused = true)]
async fn whoever_takes_the_value_of_a_lost_call_is_confirmed_too() {
    // D4: row 7 was x for a call that was lost. Now a new row is x, and the call arrives.
    let (world, clock) = world().await;
    {
        let mut rows = world.source.rows.lock().unwrap();
        (rows[7].email, rows[7].updated_at) = ("x".to_owned(), 50_000_000);
    }
    lose_the_next_call(&world);
    world.run().await.unwrap();
    {
        let mut rows = world.source.rows.lock().unwrap();
        (rows[7].email, rows[7].updated_at) = ("y".to_owned(), 60_000_000);
        let (email, name) = ("x".to_owned(), "new".to_owned());
        rows.push(Person { id: 99, email, name, updated_at: 60_000_000 });
    }
    assert_eq!(world.run().await.unwrap().unconfirmed, 2);
    world.converged();
    arrives(&world, "x", "name 7");
    clock.0.fetch_add(APPLY_MAX, Ordering::SeqCst);
    assert_eq!(world.run().await.unwrap().unconfirmed, 0);
    world.converged();
}

#[tokio::test(start_paused = true)]
async fn what_is_sent_soon_after_a_crash_is_confirmed_and_what_was_settled_is_not() {
    // D4: the process dies with a call in flight; new rows have no entry that could be dirty.
    let (world, clock) = world().await;
    world.source.rows.lock().unwrap().extend(people(30..33));
    rename(&world, 7, "A", 50_000_000);
    let dies = async {
        while world.calls() < 4 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        biased;
        () = dies => {}
        _ = world.run() => panic!("the run is faster than its death"),
    }
    world.crashed();
    rename(&world, 7, "B", 60_000_000);
    let report = world.run().await.unwrap();
    assert_eq!((report.run.counts.delivered(), report.unconfirmed), (4, 4));
    arrives(&world, "user7@example.com", "A");
    arrives(&world, "user30@example.com", "an older name");
    clock.0.fetch_add(APPLY_MAX, Ordering::SeqCst);
    let report = world.run().await.unwrap();
    assert_eq!((report.run.counts.delivered(), report.unconfirmed), (4, 0));
    world.converged();
    rename(&world, 9, "C", 90_000_000);
    assert_eq!(world.run().await.unwrap().unconfirmed, 0, "later calls are as good as any");
}

#[tokio::test(start_paused = true)]
async fn a_row_that_left_is_not_waited_for_and_is_sent_when_it_comes_back() {
    let (world, clock) = world().await;
    rename(&world, 7, "A", 50_000_000);
    lose_the_next_call(&world);
    world.run().await.unwrap();
    let mut row = world.source.rows.lock().unwrap().remove(7);
    clock.0.fetch_add(APPLY_MAX, Ordering::SeqCst);
    let report = world.run().await.unwrap();
    assert_eq!((report.run.counts.requests, report.unconfirmed), (0, 0));
    let memory = world.store.memory().ledger[&Key::from_parts(&["7"])].clone();
    assert_eq!(memory.acknowledged, None);
    row.updated_at = 90_000_000;
    world.source.rows.lock().unwrap().push(row);
    assert_eq!(world.run().await.unwrap().run.counts.updated, 1);
}

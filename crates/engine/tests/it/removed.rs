//! What the engine promises about rows that leave the model (D8), each shown on the engine itself.

use std::sync::atomic::Ordering;

use engine::{BackfillScope, RemovalLimit, Removed, RemovedAction};
use flow::{Error, Key, Outcome, Retry, RunCounts, RunStatus};

use crate::world::remove::{LEFT, delete, set};
use crate::world::{Behaviour, CUT, DOWN, Nobody, POISON, REFUSED, World, people};

const HOUR: i64 = 3_600_000_000;

fn key(id: i64) -> Key {
    Key::from_parts(&[id.to_string()])
}

/// gone, removed, waiting, ignored, failed
fn gone(counts: &RunCounts) -> [u64; 5] {
    [counts.gone, counts.removed, counts.gone_waiting, counts.gone_ignored, counts.gone_failed]
}

fn emails(ids: impl IntoIterator<Item = i64>) -> Vec<String> {
    ids.into_iter().map(|id| format!("user{id}@example.com")).collect()
}

#[tokio::test(start_paused = true)]
async fn the_records_of_rows_that_left_are_deleted_and_the_rows_forgotten() {
    // D8, D1
    let world = World::mirror(people(0..100), delete());
    world.run().await.unwrap();
    let left = world.leave(&[3, 50, 99]);
    let report = world.run().await.unwrap();
    assert_eq!(gone(&report.run.counts), [3, 3, 0, 0, 0]);
    assert_eq!((report.run.counts.read, report.run.counts.unchanged), (97, 97));
    assert_eq!(report.run.counts.requests, 1);
    assert_eq!(report.run.status, RunStatus::Ok);
    assert_eq!(world.store.memory().ledger.len(), 97);
    world.converged();
    let again = world.run().await.unwrap();
    assert_eq!((gone(&again.run.counts), again.run.counts.requests), ([0; 5], 0));
    // A row that comes back is created again.
    world.enter(left);
    let back = world.run().await.unwrap();
    assert_eq!((back.run.counts.created, back.run.counts.gone), (3, 0));
    world.converged();
}

#[tokio::test(start_paused = true)]
async fn an_upsert_never_removes_anything() {
    let mut world = World::mirror(people(0..20), delete());
    world.sync.mode = flow::Mode::Upsert;
    world.sync.removed = None;
    world.run().await.unwrap();
    world.leave(&[1, 2]);
    let report = world.run().await.unwrap();
    assert_eq!(gone(&report.run.counts), [0; 5]);
    assert_eq!(world.destination.remote().records.len(), 20);
}

#[tokio::test(start_paused = true)]
async fn a_record_is_updated_once_as_removed_and_in_full_when_its_row_comes_back() {
    let removed = Removed { action: set(r#"{"status": "churned"}"#), ..delete() };
    let world = World::mirror(people(0..20), removed);
    world.run().await.unwrap();
    let left = world.leave(&[7]);
    for expected in [[1, 1, 0, 0, 0], [0; 5]] {
        let report = world.run().await.unwrap();
        assert_eq!(gone(&report.run.counts), expected);
    }
    assert_eq!(world.removals(), [emails([7])]);
    assert_eq!(world.destination.remote().records["user7@example.com"], "churned");
    world.enter(left);
    let report = world.run().await.unwrap();
    assert_eq!((report.run.counts.updated, report.run.counts.unchanged), (1, 19));
    world.converged();
    // It may leave again.
    world.leave(&[7]);
    assert_eq!(gone(&world.run().await.unwrap().run.counts), [1, 1, 0, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn rows_that_left_are_ignored_where_the_sync_says_so() {
    let world = World::mirror(people(0..20), Removed { action: RemovedAction::Ignore, ..delete() });
    world.run().await.unwrap();
    let left = world.leave(&[1, 2]);
    let report = world.run().await.unwrap();
    assert_eq!(gone(&report.run.counts), [2, 0, 0, 2, 0]);
    assert_eq!(world.destination.remote().records.len(), 20);
    assert_eq!(gone(&world.run().await.unwrap().run.counts), [0; 5]);
    world.enter(left);
    assert_eq!(world.run().await.unwrap().run.counts.updated, 2);
    world.converged();
}

#[tokio::test(start_paused = true)]
async fn a_row_must_be_missing_in_two_complete_reads_that_far_apart() {
    let world = World::mirror(people(0..20), Removed { grace_micros: HOUR, ..delete() });
    world.run().await.unwrap();
    let left = world.leave(&[4]);
    assert_eq!(gone(&world.run().await.unwrap().run.counts), [1, 0, 1, 0, 0]);
    world.later(HOUR / 2);
    assert_eq!(gone(&world.run().await.unwrap().run.counts), [1, 0, 1, 0, 0]);
    // It comes back within its grace, unchanged: the grace begins anew when it leaves again.
    world.enter(left);
    let back = world.run().await.unwrap();
    assert_eq!((back.run.counts.unchanged, back.run.counts.requests), (20, 0));
    world.leave(&[4]);
    world.later(HOUR / 2);
    assert_eq!(gone(&world.run().await.unwrap().run.counts), [1, 0, 1, 0, 0]);
    world.later(HOUR - 1_000_000);
    assert_eq!(gone(&world.run().await.unwrap().run.counts), [1, 0, 1, 0, 0]);
    assert_eq!(world.removals(), [[""; 0]; 0]);
    world.later(1_000_000);
    assert_eq!(gone(&world.run().await.unwrap().run.counts), [1, 1, 0, 0, 0]);
    world.converged();
}

#[tokio::test(start_paused = true)]
async fn a_row_that_flaps_is_never_removed_within_its_grace() {
    let world = World::mirror(people(0..20), Removed { grace_micros: HOUR, ..delete() });
    world.run().await.unwrap();
    for _ in 0..10 {
        let left = world.leave(&[4, 5]);
        world.later(HOUR * 3 / 4);
        world.run().await.unwrap();
        world.enter(left);
        world.later(HOUR * 3 / 4);
        world.run().await.unwrap();
    }
    assert_eq!(world.removals(), [[""; 0]; 0]);
    world.converged();
}

#[tokio::test(start_paused = true)]
async fn a_read_that_was_cut_removes_nothing() {
    // R3: the naive way is to take the rows that came for all there are.
    let world = World::mirror(people(0..50), delete());
    world.run().await.unwrap();
    world.leave(&[1]);
    *world.source.cut_after.lock().unwrap() = Some(2);
    let mut ports = world.ports.clone();
    ports.retry.attempts_max = 1;
    let failure = engine::run(&world.sync, &ports, world.options(), &Nobody).await.unwrap_err();
    assert_eq!(failure.error.code().id, "E1999");
    assert_eq!(gone(&failure.report.unwrap().run.counts), [0; 5]);
    assert_eq!(world.destination.remote().records.len(), 50);
    assert!(world.store.memory().ledger.values().all(|entry| entry.gone.is_none()));
    world.run().await.unwrap();
    world.converged();
}

#[tokio::test(start_paused = true)]
async fn runs_that_do_not_read_everything_remove_nothing() {
    let world = World::mirror(people(0..50), delete());
    world.run().await.unwrap();
    world.leave(&[1, 2]);
    let limited = engine::RunOptions { rows_max: Some(1000), ..world.options() };
    engine::run(&world.sync, &world.ports, limited, &Nobody).await.unwrap();
    for scope in
        [BackfillScope::Where("true".to_owned()), BackfillScope::Keys(vec![key(1), key(9)])]
    {
        let backfill = (scope, world.options());
        engine::backfill(&world.sync, &world.ports, backfill, &Nobody).await.unwrap();
    }
    let keys = (vec![key(1), key(2)], world.options());
    engine::retry(&world.sync, &world.ports, keys, &Nobody).await.unwrap();
    assert_eq!(world.destination.remote().records.len(), 50);
    assert_eq!(world.removals(), [[""; 0]; 0]);
    assert_eq!(world.run().await.unwrap().run.counts.removed, 2);
}

#[tokio::test(start_paused = true)]
async fn too_many_rows_gone_at_once_are_refused_and_allowed_on_purpose() {
    // D8: the brake. The same rows sent by a run without it would be deleted.
    let mut world = World::mirror(people(0..100), delete());
    world.run().await.unwrap();
    world.leave(&(0..11).collect::<Vec<_>>());
    world.source.rows.lock().unwrap()[0].name = "changed".to_owned();
    let calls = world.calls();
    let failure = world.run().await.unwrap_err();
    assert_eq!((failure.error.code().id, world.calls()), ("E4020", calls));
    let report = failure.report.unwrap();
    assert_eq!(report.run.status, RunStatus::Guarded);
    assert_eq!(gone(&report.run.counts), [11, 0, 11, 0, 0]);
    assert_eq!(report.run.counts.unaccounted(), 0);
    assert_eq!((report.run.counts.updated, report.run.counts.parked), (0, 1), "nothing is sent");
    assert_eq!(world.removals(), [[""; 0]; 0]);
    world.sync.removed =
        Some(Removed { limit: RemovalLimit { share: 0.11, floor: 0 }, ..delete() });
    let counts = world.run().await.unwrap().run.counts;
    assert_eq!((counts.removed, counts.updated), (11, 1));
    world.converged();
}

#[tokio::test(start_paused = true)]
async fn a_read_without_any_row_removes_nothing_however_small_the_table() {
    let world = World::mirror(people(0..5), delete());
    world.run().await.unwrap();
    let all = world.leave(&[0, 1, 2, 3, 4]);
    assert_eq!(world.run().await.unwrap_err().error.code().id, "E4020");
    world.enter(all);
    assert_eq!(gone(&world.run().await.unwrap().run.counts), [0; 5]);
    world.converged();
}

#[tokio::test(start_paused = true)]
async fn only_records_this_sync_has_are_touched() {
    let world = World::mirror(people(0..20), delete());
    world.destination.remote().records.insert("other@example.com".into(), "not ours".into());
    world.run().await.unwrap();
    world.leave(&[3]);
    world.run().await.unwrap();
    let remote = world.destination.remote();
    assert_eq!(remote.records["other@example.com"], "not ours");
    assert_eq!(remote.removals, [emails([3])]);
}

#[tokio::test(start_paused = true)]
async fn a_record_that_another_row_holds_by_now_is_kept() {
    // The person was deleted and inserted under a new key with the same e-mail.
    let world = World::mirror(people(0..20), delete());
    world.run().await.unwrap();
    let mut moved = world.leave(&[3]);
    moved[0].id = 103;
    world.enter(moved);
    let report = world.run().await.unwrap();
    assert_eq!(report.run.counts.removed, 0);
    assert_eq!(world.removals(), [[""; 0]; 0]);
    world.converged();
    world.leave(&[103]);
    assert_eq!(world.run().await.unwrap().run.counts.removed, 1);
    world.converged();
}

#[tokio::test(start_paused = true)]
async fn a_record_two_rows_were_led_to_goes_with_the_last_of_them() {
    // The destination found one record by two values, as it does by further e-mail addresses.
    let world = World::mirror(people(0..20), delete());
    world.run().await.unwrap();
    {
        let mut memory = world.store.memory();
        let same = memory.ledger[&key(4)].remote_id.clone();
        memory.ledger.get_mut(&key(5)).unwrap().remote_id = same;
    }
    world.leave(&[5]);
    assert_eq!(gone(&world.run().await.unwrap().run.counts), [1, 0, 0, 1, 0]);
    assert_eq!(world.removals(), [[""; 0]; 0]);
    world.leave(&[4]);
    assert_eq!(gone(&world.run().await.unwrap().run.counts), [1, 1, 0, 0, 0]);
    assert_eq!(world.removals(), [emails([4])]);
}

#[tokio::test(start_paused = true)]
async fn two_rows_of_one_record_that_leave_together_remove_it_once() {
    let world = World::mirror(people(0..20), delete());
    world.run().await.unwrap();
    {
        let mut memory = world.store.memory();
        let same = memory.ledger[&key(4)].remote_id.clone();
        memory.ledger.get_mut(&key(5)).unwrap().remote_id = same;
    }
    world.leave(&[4, 5]);
    assert_eq!(gone(&world.run().await.unwrap().run.counts), [2, 1, 0, 1, 0]);
    assert_eq!(world.removals(), [emails([4])]);
    assert_eq!(world.store.memory().ledger.len(), 18);
}

#[tokio::test(start_paused = true)]
async fn a_row_that_never_landed_is_forgotten_with_its_reject() {
    let world = World::mirror(people(0..20), delete());
    world.script(|_| {
        Some(Behaviour::Rows(Box::new(|email| {
            let message = "no".to_owned();
            (email == "user4@example.com").then_some(Outcome::Rejected {
                code: &REFUSED,
                message,
                field: None,
            })
        })))
    });
    assert_eq!(world.run().await.unwrap().open_rejects, 1);
    world.leave(&[4]);
    let report = world.run().await.unwrap();
    assert_eq!(gone(&report.run.counts), [1, 0, 0, 1, 0]);
    assert_eq!((report.open_rejects, report.run.status), (0, RunStatus::Ok));
    assert_eq!(world.removals(), [[""; 0]; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_record_whose_id_is_not_known_is_a_reject_and_never_a_guess() {
    let world = World::mirror(people(0..20), delete());
    world.run().await.unwrap();
    world.store.memory().ledger.get_mut(&key(4)).unwrap().remote_id = None;
    let left = world.leave(&[4]);
    let report = world.run().await.unwrap();
    assert_eq!(gone(&report.run.counts), [1, 0, 0, 0, 1]);
    assert_eq!(report.run.status, RunStatus::Partial);
    assert_eq!(world.store.memory().rejects.get("4"), Some(&"R404"));
    let again = world.run().await.unwrap();
    assert_eq!((gone(&again.run.counts), again.open_rejects), ([0; 5], 1), "it is said once");
    // Back again, it is sent in full, and the reject is over.
    world.enter(left);
    let report = world.run().await.unwrap();
    assert_eq!((report.run.counts.updated, report.open_rejects), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_refused_removal_is_a_reject_and_not_asked_again_until_somebody_says_so() {
    // D9
    let world = World::mirror(people(0..20), delete());
    world.run().await.unwrap();
    world.leave(&[4, 5]);
    world.script(|_| {
        Some(Behaviour::Rows(Box::new(|email| {
            let message = "locked by a legal hold".to_owned();
            (email == "user4@example.com").then_some(Outcome::Rejected {
                code: &REFUSED,
                message,
                field: None,
            })
        })))
    });
    for expected in [[2, 1, 0, 0, 1], [1, 0, 0, 0, 1]] {
        let report = world.run().await.unwrap();
        assert_eq!(gone(&report.run.counts), expected);
        assert_eq!((report.open_rejects, report.run.status), (1, RunStatus::Partial));
    }
    assert_eq!(world.removals().len(), 1);
    *world.destination.script.lock().unwrap() = None;
    let keys = (vec![key(4)], world.options());
    engine::retry(&world.sync, &world.ports, keys, &Nobody).await.unwrap();
    let report = world.run().await.unwrap();
    assert_eq!((gone(&report.run.counts), report.open_rejects), ([1, 1, 0, 0, 0], 0));
    world.converged();
}

#[tokio::test(start_paused = true)]
async fn a_removal_refused_after_an_unclear_answer_is_tried_again_and_its_reject_ends() {
    // D4, D9: the reject that is opened is held by the ledger too, or nobody would ever close it.
    let removed = Removed { action: set(r#"{"status": "churned"}"#), ..delete() };
    let world = World::mirror(people(0..20), removed);
    world.run().await.unwrap();
    let left = world.leave(&[4]);
    let mut calls = 0;
    world.script(move |_| {
        calls += 1;
        let lost = || Error::new(&DOWN, "reset").with_retry(Retry::Backoff).ambiguous();
        Some(match calls {
            1 => Behaviour::AppliesAndFails(lost()),
            _ => Behaviour::Rows(Box::new(|_| {
                let message = "locked".to_owned();
                Some(Outcome::Rejected { code: &REFUSED, message, field: None })
            })),
        })
    });
    let report = world.run().await.unwrap();
    assert_eq!((gone(&report.run.counts), report.open_rejects), ([1, 0, 0, 0, 1], 1));
    *world.destination.script.lock().unwrap() = None;
    world.later(HOUR);
    world.enter(left);
    let report = world.run().await.unwrap();
    assert_eq!((report.run.counts.updated, report.open_rejects), (1, 0));
    world.converged();
}

#[tokio::test(start_paused = true)]
async fn a_removal_that_poisons_its_call_is_found_by_halving() {
    let world = World::mirror(people(0..100), delete());
    world.run().await.unwrap();
    world.leave(&[0, 1, 2, 3, 4, 5, 6, 7]);
    world.script(|emails| {
        let poisoned = emails.iter().any(|email| email == "user5@example.com");
        poisoned.then(|| Behaviour::Fails(Error::new(&POISON, "conflict")))
    });
    let report = world.run().await.unwrap();
    assert_eq!(gone(&report.run.counts), [8, 7, 0, 0, 1]);
    assert_eq!(world.store.memory().rejects.get("5"), Some(&"R299"));
}

#[tokio::test(start_paused = true)]
async fn a_removal_whose_answer_is_lost_is_repeated_and_ends_the_same() {
    // D4
    let world = World::mirror(people(0..100), delete());
    world.run().await.unwrap();
    world.leave(&[1, 2, 3]);
    let lost = || Error::new(&DOWN, "reset").with_retry(Retry::Backoff).ambiguous();
    let mut calls = 0;
    world.script(move |_| {
        calls += 1;
        (calls < 3).then(|| Behaviour::AppliesAndFails(lost()))
    });
    let report = world.run().await.unwrap();
    assert_eq!(gone(&report.run.counts), [3, 3, 0, 0, 0]);
    assert_eq!((report.run.counts.requests, report.run.counts.retries), (3, 2));
    world.converged();
}

#[tokio::test(start_paused = true)]
async fn a_removal_nobody_heard_of_is_dirty_and_a_row_that_comes_back_is_sent_in_full() {
    // D4: the record may be gone or not; a row that comes back must not be taken for unchanged.
    let world = World::mirror(people(0..20), delete());
    world.run().await.unwrap();
    let left = world.leave(&[4]);
    world.script(|_| Some(Behaviour::AppliesAndFails(Error::new(&DOWN, "reset").ambiguous())));
    let failure = world.run().await.unwrap_err();
    let report = failure.report.unwrap();
    assert_eq!(gone(&report.run.counts), [1, 0, 1, 0, 0]);
    assert_eq!(report.run.counts.unaccounted(), 0);
    assert_eq!(world.store.memory().ledger[&key(4)].acknowledged, None);
    *world.destination.script.lock().unwrap() = None;
    world.enter(left);
    assert_eq!(world.run().await.unwrap().run.counts.delivered(), 1);
    world.converged();
}

#[tokio::test(start_paused = true)]
async fn a_row_that_is_there_again_when_asked_keeps_its_record() {
    // The read was complete, and yet the row is there: it came back after the snapshot was taken.
    let world = World::mirror(people(0..20), delete());
    world.run().await.unwrap();
    let left = world.leave(&[4, 5]);
    *world.source.after_read.lock().unwrap() = Some(left);
    let report = world.run().await.unwrap();
    assert_eq!(gone(&report.run.counts), [2, 0, 2, 0, 0]);
    assert_eq!(world.removals(), [[""; 0]; 0]);
    assert_eq!(gone(&world.run().await.unwrap().run.counts), [0; 5]);
    assert!(world.store.memory().ledger.values().all(|entry| entry.gone.is_none()));
    world.converged();
}

#[tokio::test(start_paused = true)]
async fn rows_that_say_so_are_removed_by_a_watermark_without_a_complete_read() {
    let mut world = World::new(people(0..30));
    world.change_model(|model| model.removed_when = Some("name = 'left'".to_owned()));
    world.sync.mode = flow::Mode::Mirror;
    world.sync.removed = Some(delete());
    world.run().await.unwrap();
    {
        let mut rows = world.source.rows.lock().unwrap();
        for (row, at) in [(3, 60_000_000), (4, 61_000_000)] {
            rows[row].name = LEFT.to_owned();
            rows[row].updated_at = at;
        }
        rows[5].updated_at = 62_000_000;
        // Gone altogether: no watermark shows that.
        rows.remove(9);
    }
    let report = world.run().await.unwrap();
    assert_eq!(gone(&report.run.counts), [2, 2, 0, 0, 0]);
    assert_eq!(world.removals(), [emails([3, 4])]);
    assert_eq!(gone(&world.run().await.unwrap().run.counts), [0; 5], "and only once");
    // A full refresh is a complete read, which finds the other one.
    let report = world.refresh().await.unwrap();
    assert_eq!(gone(&report.run.counts), [1, 1, 0, 0, 0]);
    assert_eq!(world.destination.remote().records.len(), 27);
    // One says it is back.
    {
        let mut rows = world.source.rows.lock().unwrap();
        rows[3].name = "back".to_owned();
        rows[3].updated_at = 70_000_000;
    }
    assert_eq!(world.run().await.unwrap().run.counts.created, 1);
}

#[tokio::test(start_paused = true)]
async fn a_row_that_says_so_before_it_ever_landed_is_nothing() {
    let mut rows = people(0..5);
    rows[2].name = LEFT.to_owned();
    let mut world = World::mirror(rows, delete());
    world.change_model(|model| model.removed_when = Some("name = 'left'".to_owned()));
    let report = world.run().await.unwrap();
    assert_eq!((report.run.counts.read, report.run.counts.created), (4, 4));
    assert_eq!(gone(&report.run.counts), [0; 5]);
}

#[tokio::test(start_paused = true)]
async fn a_watermark_never_passes_a_row_that_says_so_and_was_not_removed() {
    // D2: the run fails at the removal; the next one, which does not read the row again, still removes its record.
    let mut world = World::new(people(0..30));
    world.change_model(|model| model.removed_when = Some("name = 'left'".to_owned()));
    world.sync.mode = flow::Mode::Mirror;
    world.sync.removed = Some(delete());
    world.run().await.unwrap();
    {
        let mut rows = world.source.rows.lock().unwrap();
        rows[3].name = LEFT.to_owned();
        rows[3].updated_at = 60_000_000;
        rows[5].updated_at = 90_000_000;
    }
    world.script(|_| Some(Behaviour::Fails(Error::new(&DOWN, "down"))));
    world.run().await.unwrap_err();
    *world.destination.script.lock().unwrap() = None;
    let report = world.run().await.unwrap();
    assert_eq!(gone(&report.run.counts), [1, 1, 0, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_read_by_watermark_that_went_on_in_a_newer_snapshot_removes_nothing() {
    // A row that is dated back while the read is interrupted is in neither part.
    let mut world = World::new(people(0..30));
    world.change_model(|model| model.removed_when = Some("false".to_owned()));
    world.sync.mode = flow::Mode::Mirror;
    world.sync.removed = Some(delete());
    world.run().await.unwrap();
    world.leave(&[4]);
    *world.source.cut_after.lock().unwrap() = Some(2);
    let report = world.refresh().await.unwrap();
    assert_eq!(gone(&report.run.counts), [0; 5]);
    assert!(report.findings.iter().any(|finding| finding.code.id == "E4022"));
    assert_eq!(world.refresh().await.unwrap().run.counts.removed, 1);
}

#[tokio::test(start_paused = true)]
async fn a_drain_during_removals_finishes_what_is_in_flight_and_goes_on_next_time() {
    // S3
    let world = World::mirror(
        people(0..1000),
        Removed { limit: RemovalLimit { share: 1.0, floor: 0 }, ..delete() },
    );
    world.run().await.unwrap();
    world.leave(&(0..200).collect::<Vec<_>>());
    let (drain, mut calls) = (world.stop.drain.clone(), 0);
    world.script(move |_| {
        calls += 1;
        if calls == 3 {
            drain.cancel();
        }
        None
    });
    let report = world.run().await.unwrap();
    assert_eq!(report.run.status, RunStatus::Interrupted);
    let counts = report.run.counts;
    assert!(counts.removed > 0 && counts.removed < 200, "{counts:?}");
    assert_eq!((counts.gone, counts.unaccounted()), (200, 0));
    let calls = world.removals().len() as u64;
    assert_eq!(counts.removed, calls * 10, "everything that was in flight was waited for");
    *world.destination.script.lock().unwrap() = None;
    let again = engine::RunOptions { stop: engine::Stop::default(), ..world.options() };
    let report = engine::run(&world.sync, &world.ports, again, &Nobody).await.unwrap();
    assert_eq!(report.run.counts.removed, 200 - counts.removed);
    assert_eq!(world.removals().len(), 20, "and nothing was removed twice");
    world.converged();
}

#[tokio::test(start_paused = true)]
async fn a_late_owner_removes_nothing() {
    // S2: the lease is lost while rows are on their way out.
    let world = World::mirror(people(0..20), delete());
    world.run().await.unwrap();
    world.leave(&[4]);
    world.store.memory().stolen = true;
    world.run().await.unwrap_err();
    assert_eq!(world.removals(), [[""; 0]; 0]);
}

#[tokio::test(start_paused = true)]
async fn no_snapshot_is_open_while_records_are_removed() {
    // R6
    let world = World::mirror(people(0..20), delete());
    world.run().await.unwrap();
    world.leave(&[4]);
    let open = std::sync::Arc::clone(&world.source.open_reads);
    world.script(move |_| {
        assert_eq!(open.load(Ordering::SeqCst), 0, "R6");
        None
    });
    assert_eq!(world.run().await.unwrap().run.counts.removed, 1);
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_cannot_remove_is_refused_before_anything_is_sent() {
    let mut world = World::mirror(people(0..20), delete());
    world.sync.removed = Some(Removed { action: set(r#"{"email": null}"#), ..delete() });
    let failure = world.run().await.unwrap_err();
    assert_eq!(failure.error.code().id, "E4003", "the record is found by it");
    world.sync.removed = Some(Removed { action: set(r#"{"nothing": 1}"#), ..delete() });
    assert_eq!(world.run().await.unwrap_err().error.code().id, "E4003");
    assert_eq!(world.calls(), 0);
    let _ = &CUT;
}

#[tokio::test(start_paused = true)]
async fn a_plan_says_what_a_run_would_remove_and_remembers_nothing() {
    let mut world = World::mirror(people(0..100), Removed { grace_micros: HOUR, ..delete() });
    world.run().await.unwrap();
    world.leave(&[3, 4, 5]);
    let planned = async |world: &World| {
        let plan =
            engine::plan(&world.sync, &world.ports, &engine::PlanOptions::default()).await.unwrap();
        (plan.removed, plan.removed_later, plan.removed_ignored)
    };
    assert_eq!(planned(&world).await, (0, 3, 0), "the first read in which they are missing");
    assert!(world.store.memory().ledger.values().all(|entry| entry.gone.is_none()));
    world.run().await.unwrap();
    world.later(HOUR);
    assert_eq!(planned(&world).await, (3, 0, 0));
    // One is back under another key by now: its record goes with it.
    let mut moved = people(5..6);
    moved[0].id = 205;
    moved[0].updated_at = 900_000_000;
    world.enter(moved);
    assert_eq!(planned(&world).await, (2, 0, 1));
    let report = world.run().await.unwrap();
    assert_eq!(gone(&report.run.counts), [3, 2, 0, 1, 0], "{report:?}");
    world.sync.removed = Some(delete());
    world.leave(&(10..30).collect::<Vec<_>>());
    let plan =
        engine::plan(&world.sync, &world.ports, &engine::PlanOptions::default()).await.unwrap();
    assert_eq!((plan.removed, plan.samples.len(), plan.requests), (20, 3, 2));
    let stopped = plan.rulings.iter().find(|ruling| ruling.stopped).expect("the brake");
    assert_eq!((stopped.guard, stopped.count), (engine::Guard::MaxRemoved, 20));
}

#[tokio::test(start_paused = true)]
async fn a_guard_on_removals_stops_the_run_before_anything_is_sent() {
    let mut world = World::mirror(people(0..100), delete());
    world.sync.guards.max_removed = Some(0.02);
    world.sync.guards.max_removed_floor = 5;
    world.run().await.unwrap();
    world.leave(&[1, 2, 3, 4, 5, 6]);
    world.source.rows.lock().unwrap()[0].name = "changed".to_owned();
    let calls = world.calls();
    let failure = world.run().await.unwrap_err();
    assert_eq!(failure.error.kind(), flow::Kind::Guard);
    assert_eq!((world.calls(), world.removals().len()), (calls, 0));
    world.enter(people(1..2));
    let report = world.run().await.unwrap();
    assert_eq!((report.run.counts.updated, gone(&report.run.counts)), (1, [5, 5, 0, 0, 0]));
    world.converged();
}

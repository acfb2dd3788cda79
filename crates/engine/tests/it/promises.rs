//! What the engine promises, each shown on the engine itself.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use engine::{BackfillScope, SpoolLimits};
use flow::{Error, Key, Outcome, Retry, RunStatus, Watermark};

use crate::world::{Behaviour, DOWN, Nobody, POISON, REFUSED, World, people};

#[tokio::test(start_paused = true)]
async fn a_first_load_fills_calls_and_a_second_run_sends_nothing() {
    let world = World::new(people(0..1000));
    let report = world.run().await.unwrap();
    assert_eq!((report.run.counts.read, report.run.counts.created), (1000, 1000));
    assert_eq!((world.calls(), report.run.counts.requests), (100, 100));
    world.converged();
    let again = world.run().await.unwrap();
    assert_eq!(again.run.counts.unchanged, 4, "the lookback reads the last rows again");
    assert_eq!(world.calls(), 100);
    assert_eq!(again.run.counts.unaccounted(), 0);
}

#[tokio::test(start_paused = true)]
async fn only_the_rows_that_failed_are_sent_again() {
    let world = World::new(people(0..10));
    let mut first = true;
    world.script(move |_| {
        std::mem::take(&mut first).then(|| {
            Behaviour::Rows(Box::new(|email| {
                (email == "user3@example.com")
                    .then_some(Outcome::Retry { after: None, reason: "locked" })
            }))
        })
    });
    let report = world.run().await.unwrap();
    assert_eq!(report.run.counts.delivered(), 10);
    assert_eq!(world.destination.remote().calls[1], ["user3@example.com"]);
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_repeated_and_doubles_nothing() {
    // D4
    let world = World::new(people(0..50));
    let mut calls = 0;
    world.script(move |_| {
        calls += 1;
        let lost = || Error::new(&DOWN, "reset").with_retry(Retry::Backoff).ambiguous();
        (calls % 3 == 0).then(|| Behaviour::AppliesAndFails(lost()))
    });
    world.run().await.unwrap();
    world.converged();
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_stays_down_fails_the_run_and_nothing_unacknowledged_is_passed() {
    // D2: whatever the watermark says, every row up to it is acknowledged.
    let world = World::new(people(0..300));
    let mut calls = 0;
    world.script(move |_| {
        calls += 1;
        let down = || Error::new(&DOWN, "down").with_retry(Retry::Backoff);
        (calls > 12).then(|| Behaviour::Fails(down()))
    });
    let failure = world.run().await.unwrap_err();
    assert_eq!(failure.error.code().id, "E4002");
    let report = failure.report.expect("the run began");
    assert_eq!(report.run.status, RunStatus::Failed);
    assert_eq!(report.run.counts.unaccounted(), 0);
    assert!(report.run.counts.parked > 0);
    let passed = world.store.memory().watermark.clone().map_or(0, |w| w.watermark.0);
    {
        let rows = world.source.rows.lock().unwrap();
        let remote = world.destination.remote();
        for row in rows.iter().filter(|row| row.updated_at <= passed) {
            assert!(remote.records.contains_key(&row.email), "passed and not delivered: {row:?}");
        }
    }
    *world.destination.script.lock().unwrap() = None;
    world.run().await.unwrap();
    world.converged();
}

#[tokio::test(start_paused = true)]
async fn a_row_written_before_an_unknown_outcome_is_sent_again_though_its_payload_came_back() {
    // D4: v1 acknowledged; v2 sent, outcome lost; the source goes back to v1, which the ledger must not call equal.
    let world = World::new(people(0..1));
    world.run().await.unwrap();
    let change = |name: &str, at: i64| {
        let mut rows = world.source.rows.lock().unwrap();
        rows[0].name = name.to_owned();
        rows[0].updated_at = at;
    };
    change("second", 2_000_000);
    let lost = || Error::new(&DOWN, "reset").ambiguous();
    world.script(move |_| Some(Behaviour::AppliesAndFails(lost())));
    world.run().await.unwrap_err();
    *world.destination.script.lock().unwrap() = None;
    change("name 0", 3_000_000);
    world.run().await.unwrap();
    world.converged();
}

#[tokio::test(start_paused = true)]
async fn a_poison_row_is_found_by_halving_and_rejected_alone() {
    // D9
    let world = World::new(people(0..40));
    world.script(|emails| {
        let poisoned = emails.iter().any(|email| email == "user17@example.com");
        poisoned.then(|| Behaviour::Fails(Error::new(&POISON, "conflict")))
    });
    let report = world.run().await.unwrap();
    assert_eq!((report.run.counts.delivered(), report.run.counts.rejected), (39, 1));
    assert_eq!(report.run.status, RunStatus::Partial);
    assert_eq!(world.store.memory().rejects.get("17"), Some(&"R299"));
    assert!(world.calls() <= 4 + 8, "{} calls", world.calls());
    let calls = world.calls();
    let again = engine::RunOptions { full_refresh: true, ..world.options() };
    let report = engine::run(&world.sync, &world.ports, again, &Nobody).await.unwrap();
    assert_eq!((report.run.counts.rejected, report.run.counts.unchanged), (1, 39));
    assert_eq!(world.calls(), calls, "the refused payload is not sent again by itself");
}

#[tokio::test(start_paused = true)]
async fn a_row_that_is_never_answered_ends_as_a_reject_and_stays_dirty() {
    // D6, D9
    let world = World::new(people(0..10));
    world.script(|_| {
        Some(Behaviour::Rows(Box::new(|email| {
            (email == "user5@example.com")
                .then_some(Outcome::Unknown { reason: "not in the answer" })
        })))
    });
    let report = world.run().await.unwrap();
    assert_eq!((report.run.counts.delivered(), report.run.counts.rejected), (9, 1));
    let memory = world.store.memory();
    assert_eq!(memory.rejects.get("5"), Some(&"R402"));
    assert_eq!(memory.ledger[&Key::from_parts(&["5"])].acknowledged, None);
}

#[tokio::test(start_paused = true)]
async fn a_definite_refusal_keeps_what_was_acknowledged_before() {
    let world = World::new(people(0..2));
    world.run().await.unwrap();
    {
        let mut rows = world.source.rows.lock().unwrap();
        rows[1].name = "refused".to_owned();
        rows[1].updated_at = 3_000_000;
    }
    world.script(|_| {
        Some(Behaviour::Rows(Box::new(|_| {
            let message = "no".to_owned();
            Some(Outcome::Rejected { code: &REFUSED, message, field: None })
        })))
    });
    world.run().await.unwrap();
    *world.destination.script.lock().unwrap() = None;
    {
        let mut rows = world.source.rows.lock().unwrap();
        rows[1].name = "name 1".to_owned();
        rows[1].updated_at = 4_000_000;
    }
    let report = world.run().await.unwrap();
    assert_eq!((report.run.counts.unchanged, report.run.counts.delivered()), (2, 0));
    assert_eq!(report.open_rejects, 0, "the reject is over");
}

#[tokio::test(start_paused = true)]
async fn a_key_that_comes_twice_is_never_in_two_calls_and_the_newer_version_wins() {
    // D3: the same key twice in one read (a page in a newer snapshot). The destination asserts the rest.
    let mut rows = people(0..20);
    let mut newer = rows[3].clone();
    newer.name = "newer".to_owned();
    newer.updated_at = 50_000_000;
    rows.push(newer);
    let world = World::new(rows);
    let report = world.run().await.unwrap();
    assert_eq!(report.run.counts.delivered(), 21);
    assert_eq!(world.destination.remote().records["user3@example.com"], "newer");
}

#[tokio::test(start_paused = true)]
async fn two_rows_for_one_record_leave_it_to_the_first() {
    let mut rows = people(0..30);
    rows[25].email = rows[2].email.clone();
    let world = World::new(rows);
    let report = world.run().await.unwrap();
    assert_eq!((report.run.counts.delivered(), report.run.counts.rejected), (29, 1));
    assert_eq!(world.store.memory().rejects.get("25"), Some(&"R401"));
    assert_eq!(world.destination.remote().records["user2@example.com"], "name 2");
}

#[tokio::test(start_paused = true)]
async fn two_rows_that_swap_their_match_values_are_both_sent() {
    let world = World::new(people(0..2));
    world.run().await.unwrap();
    {
        let mut rows = world.source.rows.lock().unwrap();
        let (a, b) = (rows[0].email.clone(), rows[1].email.clone());
        rows[0].email = b;
        rows[1].email = a;
        rows[0].updated_at = 3_000_000;
        rows[1].updated_at = 3_000_000;
    }
    let report = world.run().await.unwrap();
    assert_eq!((report.run.counts.delivered(), report.run.counts.rejected), (2, 0));
    world.converged();
}

#[tokio::test(start_paused = true)]
async fn a_record_whose_row_left_the_model_goes_to_the_row_that_has_its_match_value_now() {
    // D1: a user is deleted and signs up again, under another key.
    let world = World::new(people(0..20));
    world.run().await.unwrap();
    {
        let mut rows = world.source.rows.lock().unwrap();
        let mut again = rows.remove(5);
        (again.id, again.name, again.updated_at) = (99, "again".to_owned(), 50_000_000);
        rows.push(again);
    }
    let plan =
        engine::plan(&world.sync, &world.ports, &engine::PlanOptions::default()).await.unwrap();
    assert_eq!((plan.create, plan.invalid), (1, 0));
    let report = world.run().await.unwrap();
    assert_eq!(report.run.counts.rejected, 0);
    world.converged();
    assert!(world.store.memory().rejects.is_empty());
}

#[tokio::test(start_paused = true)]
async fn rows_far_apart_that_swap_their_match_values_converge() {
    // D1: neither is refused because of what the other held before.
    let world = World::new(people(0..40));
    world.run().await.unwrap();
    {
        let mut rows = world.source.rows.lock().unwrap();
        for row in rows.iter_mut() {
            row.updated_at += 100_000_000;
            row.name.push('!');
        }
        let first = rows[0].email.clone();
        rows[0].email = std::mem::replace(&mut rows[39].email, first);
    }
    let report = world.run().await.unwrap();
    assert_eq!(report.run.counts.rejected, 0);
    assert_eq!(report.run.counts.unaccounted(), 0);
    world.converged();
}

#[tokio::test(start_paused = true)]
async fn a_value_taken_while_its_record_is_being_renamed_waits_for_the_rename() {
    // D3: row 0 leaves its value in an early batch, row 39 takes it in a later one of the same run.
    let world = World::new(people(0..40));
    world.run().await.unwrap();
    {
        let mut rows = world.source.rows.lock().unwrap();
        for row in rows.iter_mut() {
            row.updated_at += 100_000_000;
        }
        let left = std::mem::replace(&mut rows[0].email, "new@example.com".to_owned());
        rows[39].email = left;
    }
    let report = world.run().await.unwrap();
    assert_eq!(report.run.counts.rejected, 0);
    world.converged();
}

#[tokio::test(start_paused = true)]
async fn few_calls_of_wide_rows_are_in_flight_at_a_time() {
    // L2: memory does not grow with the width of rows times the calls in flight.
    let narrow = World::new(people(0..40));
    narrow.run().await.unwrap();
    assert_eq!(narrow.destination.remote().most_in_flight, 40);
    let mut rows = people(0..40);
    rows.iter_mut().for_each(|row| row.name = "x".repeat(1 << 20));
    let wide = World::new(rows);
    wide.run().await.unwrap();
    assert_eq!(wide.destination.remote().most_in_flight, 10);
    wide.converged();
}

#[tokio::test(start_paused = true)]
async fn a_changed_model_is_read_from_its_beginning() {
    // R1: rows that a changed WHERE or expression gives are older than the watermark.
    let mut world = World::new(people(0..40));
    world.run().await.unwrap();
    world.source.rows.lock().unwrap().iter_mut().for_each(|row| row.name.push('!'));
    let mut model = (*world.sync.model).clone();
    model.relation = flow::Relation::Sql("select id, email, name || '!' from people".to_owned());
    world.sync.model = Arc::new(model);
    let report = world.run().await.unwrap();
    assert_eq!(report.run.counts.updated, 40);
    world.converged();
}

#[tokio::test(start_paused = true)]
async fn a_cut_read_goes_on_after_the_last_row() {
    // R3, E03: the keyset takes up exactly where the read was cut.
    let world = World::new(people(0..100));
    *world.source.cut_after.lock().unwrap() = Some(3);
    let report = world.run().await.unwrap();
    assert_eq!((report.run.counts.read, report.run.counts.delivered()), (100, 100));
    world.converged();
}

#[tokio::test(start_paused = true)]
async fn no_snapshot_stays_open_while_the_destination_is_slow() {
    // R6, L2: everything is read and spooled to disk long before it is delivered.
    let mut world = World::new(people(0..2000));
    world.ports.spool = SpoolLimits { memory_bytes_max: 10_000, disk_bytes_max: 1 << 30 };
    let open = Arc::clone(&world.source.open_reads);
    let open_late = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&open_late);
    let mut calls = 0;
    world.script(move |_| {
        calls += 1;
        if calls > 100 {
            seen.lock().unwrap().push(open.load(Ordering::SeqCst));
        }
        None
    });
    world.run().await.unwrap();
    world.converged();
    assert!(open_late.lock().unwrap().iter().all(|open| *open == 0));
}

#[tokio::test(start_paused = true)]
async fn a_full_spool_closes_the_snapshot_and_reading_goes_on_later() {
    // L3, R6
    let mut world = World::new(people(0..500));
    world.ports.spool = SpoolLimits { memory_bytes_max: 1, disk_bytes_max: 5_000 };
    let report = world.run().await.unwrap();
    assert_eq!((report.run.counts.read, report.run.counts.delivered()), (500, 500));
    world.converged();
}

#[tokio::test(start_paused = true)]
async fn a_drain_finishes_what_is_in_flight_commits_and_balances() {
    // S3
    let world = World::new(people(0..1000));
    let drain = world.stop.drain.clone();
    let mut calls = 0;
    world.script(move |_| {
        calls += 1;
        if calls == 20 {
            drain.cancel();
        }
        None
    });
    let report = world.run().await.unwrap();
    assert_eq!(report.run.status, RunStatus::Interrupted);
    let counts = report.run.counts;
    assert!(counts.delivered() >= 200 && counts.parked > 0, "{counts:?}");
    assert_eq!(counts.unaccounted(), 0);
    assert_eq!(world.destination.remote().records.len() as u64, counts.delivered());
}

#[tokio::test(start_paused = true)]
async fn an_owner_whose_lease_was_taken_over_stops() {
    // S2
    let world = World::new(people(0..1000));
    world.store.memory().stolen = true;
    let failure = world.run().await.unwrap_err();
    assert_eq!(failure.error.kind(), flow::Kind::Lease);
    assert!(world.calls() <= 4 * 25 + 8, "{} calls after the lease was lost", world.calls());
}

#[tokio::test(start_paused = true)]
async fn a_backfill_that_was_interrupted_goes_on_where_it_stopped() {
    let world = World::new(people(0..200));
    world.run().await.unwrap();
    let before = world.store.memory().watermark.clone();
    let scope = || BackfillScope::Range { from: Watermark(0), to: Watermark(i64::MAX) };
    let first = engine::RunOptions { rows_max: Some(60), ..world.options() };
    let report =
        engine::backfill(&world.sync, &world.ports, (scope(), first), &Nobody).await.unwrap();
    assert_eq!(report.run.counts.delivered(), 60);
    let rest = world.options();
    let report =
        engine::backfill(&world.sync, &world.ports, (scope(), rest), &Nobody).await.unwrap();
    let delivered = report.run.counts.delivered();
    assert!((140..150).contains(&delivered), "{delivered}: at most the cut batch is sent twice");
    assert_eq!(world.store.memory().watermark, before);
    assert!(world.store.memory().backfills.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_retry_sends_the_current_row_and_closes_the_reject_of_a_row_that_is_gone() {
    let world = World::new(people(0..10));
    world.script(|_| {
        Some(Behaviour::Rows(Box::new(|email| {
            let refused = ["user1@example.com", "user2@example.com"].contains(&email);
            let message = "no".to_owned();
            refused.then_some(Outcome::Rejected { code: &REFUSED, message, field: None })
        })))
    });
    world.run().await.unwrap();
    assert_eq!(world.store.memory().rejects.len(), 2);
    *world.destination.script.lock().unwrap() = None;
    world.source.rows.lock().unwrap().remove(2);
    let keys = vec![Key::from_parts(&["1"]), Key::from_parts(&["2"])];
    let report =
        engine::retry(&world.sync, &world.ports, (keys, world.options()), &Nobody).await.unwrap();
    assert_eq!((report.run.counts.delivered(), report.open_rejects), (1, 0));
    world.converged();
}

#[tokio::test(start_paused = true)]
async fn a_changed_mapping_looks_at_every_row_again_and_sends_what_changed() {
    let mut world = World::new(people(0..50));
    world.run().await.unwrap();
    world.sync.mappings = serde_json::from_str(
        r#"{"name": {"from": "name", "values": {"name 7": "Seven"}, "otherwise": "keep"}}"#,
    )
    .unwrap();
    let report = world.run().await.unwrap();
    assert_eq!((report.run.counts.updated, report.run.counts.unchanged), (1, 49));
    assert_eq!(world.destination.remote().records["user7@example.com"], "Seven");
    let again = world.run().await.unwrap();
    assert!(again.run.counts.read < 10, "only the lookback is read again");
}

#[tokio::test(start_paused = true)]
async fn a_row_whose_match_value_changes_renames_its_record() {
    let world = World::new(people(0..20));
    world.run().await.unwrap();
    {
        let mut rows = world.source.rows.lock().unwrap();
        rows[4].email = "new@example.com".to_owned();
        rows[4].updated_at = 30_000_000;
    }
    world.run().await.unwrap();
    world.converged();
}

#[tokio::test(start_paused = true)]
async fn a_record_that_cannot_be_renamed_is_found_by_its_new_match_value() {
    // Its record was deleted at the destination: the row is put back.
    let world = World::new(people(0..3));
    world.run().await.unwrap();
    world.destination.remote().records.remove("user1@example.com");
    {
        let mut rows = world.source.rows.lock().unwrap();
        rows[1].email = "new@example.com".to_owned();
        rows[1].updated_at = 30_000_000;
    }
    let report = world.run().await.unwrap();
    assert_eq!((report.run.counts.delivered(), report.run.counts.rejected), (1, 0));
    world.converged();
}

#[tokio::test(start_paused = true)]
async fn a_run_that_waits_before_its_first_row_stops_when_it_is_told_to() {
    // S3, L4
    let world = World::new(people(0..10));
    world.destination.busy.store(true, Ordering::SeqCst);
    let drain = world.stop.drain.clone();
    let began = tokio::time::Instant::now();
    let (report, ()) = tokio::join!(world.run(), async {
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        drain.cancel();
    });
    assert!(began.elapsed() < std::time::Duration::from_secs(2), "{:?}", began.elapsed());
    assert_eq!(report.unwrap().run.status, RunStatus::Interrupted);
    assert_eq!(world.calls(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_waits_for_the_warehouse_to_say_who_has_a_record_stops_when_it_is_told_to() {
    // S3, L4: a new row takes a value that another row has in the ledger, and the warehouse cannot be asked for long.
    let world = World::new(people(0..10));
    world.run().await.unwrap();
    {
        let mut rows = world.source.rows.lock().unwrap();
        let mut again = rows.remove(5);
        (again.id, again.updated_at) = (99, 50_000_000);
        rows.push(again);
    }
    world.source.busy.store(true, Ordering::SeqCst);
    let drain = world.stop.drain.clone();
    let began = tokio::time::Instant::now();
    let (report, ()) = tokio::join!(world.run(), async {
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        drain.cancel();
    });
    assert!(began.elapsed() < std::time::Duration::from_secs(2), "{:?}", began.elapsed());
    let report = report.unwrap();
    assert_eq!((report.run.status, report.run.counts.unaccounted()), (RunStatus::Interrupted, 0));
    world.source.busy.store(false, Ordering::SeqCst);
    let options = engine::RunOptions { stop: engine::Stop::default(), ..world.options() };
    engine::run(&world.sync, &world.ports, options, &Nobody).await.unwrap();
    world.converged();
}

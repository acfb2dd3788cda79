//! What delivery remembers besides the ledger: rows to confirm (D4), calls nobody wrote down, and jobs (D7).

use std::sync::Arc;

use flow::{Fingerprint, JobRow, Kind, Lease, Mode, OpenJob, RunStatus, StoredJob, Unconfirmed};
use state::State;

use crate::fixture::*;

on_both! {
    unconfirmed_rows_are_due_in_order_and_found_by_key_and_by_match_value,
    a_run_that_did_not_end_left_calls_unheard_until_the_next_owner_came,
    a_job_is_remembered_with_its_rows_until_its_end_is_committed,
    a_late_owner_makes_no_job_and_uploads_none,
    a_reset_forgets_jobs_and_rows_but_not_that_a_request_may_still_come,
}

fn unconfirmed(n: usize, hash: usize, after: i64) -> Unconfirmed {
    Unconfirmed { key: key(n), match_hash: match_hash(hash), confirm_after: AT + after }
}

async fn put(store: &dyn State, lease: &Lease, confirmed: &[usize], rows: &[Unconfirmed]) {
    let mut commit = commit("r1");
    commit.confirmed = confirmed.iter().map(|n| key(*n)).collect();
    commit.unconfirmed = rows.to_vec();
    store.commit(lease, commit).await.unwrap();
}

fn job(name: &str, rows: usize, at: i64) -> StoredJob {
    let row = |n: usize| JobRow {
        key: key(n),
        fingerprint: Fingerprint(n as u128),
        match_hash: match_hash(n),
        changed_at: n.is_multiple_of(2).then_some(AT),
        confirm_after: n.is_multiple_of(3).then_some(AT + 7),
    };
    StoredJob {
        open: OpenJob {
            key: name.to_owned(),
            remote_id: None,
            object: "contacts".into(),
            mode: Mode::Upsert,
            match_on: Arc::new(["email".to_owned(), "region".to_owned()]),
            tokens: (0..rows).map(|n| format!("user{n}@example.com")).collect(),
            intended_at: AT + at,
        },
        by_id: false,
        rows: (0..rows).map(row).collect(),
    }
}

async fn unconfirmed_rows_are_due_in_order_and_found_by_key_and_by_match_value(place: Place) {
    // D4
    let store = place.open().await;
    let lease = begin(&*store, "r1").await;
    let rows = [unconfirmed(1, 1, 30), unconfirmed(2, 2, 10), unconfirmed(1, 3, 20)];
    put(&*store, &lease, &[], &rows).await;
    // The later time wins, in either order.
    put(&*store, &lease, &[], &[unconfirmed(2, 2, 40), unconfirmed(1, 1, 5)]).await;
    drop(store);
    let store = place.open().await;
    assert_eq!(store.to_confirm(SYNC, AT + 25, 10).await.unwrap(), [], "row 1 only after 30");
    let due = store.to_confirm(SYNC, AT + 35, 10).await.unwrap();
    assert_eq!(due, [unconfirmed(1, 3, 20), unconfirmed(1, 1, 30)]);
    assert_eq!(store.to_confirm(SYNC, AT + 99, 1).await.unwrap(), due[..1]);
    assert_eq!(store.unconfirmed_rows(SYNC).await.unwrap(), 2);
    let found = store.unconfirmed(SYNC, &[key(2)], &[match_hash(3)]).await.unwrap();
    assert_eq!(found, [unconfirmed(1, 3, 20), unconfirmed(2, 2, 40)]);
    drop(lease);
    let lease = begin(&*store, "r1").await;
    put(&*store, &lease, &[1], &[unconfirmed(1, 1, 50)]).await;
    let left = store.to_confirm(SYNC, AT + 99, 10).await.unwrap();
    assert_eq!(left, [unconfirmed(2, 2, 40), unconfirmed(1, 1, 50)], "out first, then in");
    assert_eq!(store.to_confirm("other", AT + 99, 10).await.unwrap(), []);
}

async fn a_run_that_did_not_end_left_calls_unheard_until_the_next_owner_came(place: Place) {
    // D4: also when that owner dies before it has said a word.
    let store = place.open().await;
    let lease = begin(&*store, "r1").await;
    store.put_run(&lease, &run("r1", SYNC, RunStatus::Ok)).await.unwrap();
    drop(lease);
    let lease = store.acquire(SYNC, AT + 1).await.unwrap();
    assert_eq!(store.unheard_at(SYNC).await.unwrap(), None, "it ended");
    store.put_run(&lease, &run("r2", SYNC, RunStatus::Running)).await.unwrap();
    drop(lease);
    drop(store.acquire(SYNC, AT + 2).await.unwrap());
    drop(store);
    let store = place.open().await;
    let lease = store.acquire(SYNC, AT + 3).await.unwrap();
    assert_eq!(store.unheard_at(SYNC).await.unwrap(), Some(AT + 2));
    store.put_unheard(&lease, AT + 9).await.unwrap();
    store.put_unheard(&lease, AT + 8).await.unwrap();
    assert_eq!(store.unheard_at(SYNC).await.unwrap(), Some(AT + 9));
}

async fn a_job_is_remembered_with_its_rows_until_its_end_is_committed(place: Place) {
    // D7
    let store = place.open().await;
    let lease = begin(&*store, "r1").await;
    let (second, first) = (job("b", 2, 1), job("a", 300, 0));
    for job in [&second, &first] {
        store.put_job(&lease, job).await.unwrap();
    }
    store.job_created(&lease, "a", "750xx").await.unwrap();
    let unknown = store.job_created(&lease, "c", "751xx").await.unwrap_err();
    assert_eq!(unknown.code().id, "E3030");
    drop((lease, store));
    let store = place.open().await;
    let jobs = store.jobs(SYNC).await.unwrap();
    assert_eq!(jobs.len(), 2);
    assert_eq!((jobs[0].open.key.as_str(), jobs[1].open.key.as_str()), ("a", "b"));
    assert_eq!(jobs[0].open.remote_id.as_deref(), Some("750xx"));
    assert_eq!((&jobs[0].rows, &jobs[0].open.tokens), (&first.rows, &first.open.tokens));
    assert_eq!(jobs[1].open.match_on, second.open.match_on);
    assert_eq!((jobs[1].open.intended_at, jobs[1].open.mode), (AT + 1, Mode::Upsert));
    let lease = begin(&*store, "r1").await;
    let mut ends = commit("r1");
    ends.ended_jobs = vec!["a".to_owned()];
    store.commit(&lease, ends).await.unwrap();
    let left: Vec<_> =
        store.jobs(SYNC).await.unwrap().into_iter().map(|job| job.open.key).collect();
    assert_eq!(left, ["b"]);
}

async fn a_late_owner_makes_no_job_and_uploads_none(place: Place) {
    // S2, D7
    let store = place.open().await;
    let lease = begin(&*store, "r1").await;
    store.put_job(&lease, &job("a", 1, 0)).await.unwrap();
    let late = lease.leave();
    drop(lease);
    let _newest = begin(&*store, "r2").await;
    for refused in [
        store.put_job(&late, &job("b", 1, 0)).await,
        store.job_created(&late, "a", "750xx").await,
        store.put_unheard(&late, AT).await,
    ] {
        assert_eq!(refused.unwrap_err().kind(), Kind::Lease);
    }
    let jobs = store.jobs(SYNC).await.unwrap();
    assert_eq!((jobs.len(), &jobs[0].open.remote_id), (1, &None));
}

async fn a_reset_forgets_jobs_and_rows_but_not_that_a_request_may_still_come(place: Place) {
    let store = place.open().await;
    let lease = begin(&*store, "r1").await;
    store.put_job(&lease, &job("a", 3, 0)).await.unwrap();
    put(&*store, &lease, &[], &[unconfirmed(1, 1, 30)]).await;
    let known = store.syncs().await.unwrap();
    assert_eq!((known[0].unconfirmed_rows, known[0].open_jobs), (1, 1));
    store.reset(&lease).await.unwrap();
    assert!(store.jobs(SYNC).await.unwrap().is_empty());
    assert_eq!(store.unconfirmed_rows(SYNC).await.unwrap(), 0);
    assert_eq!(store.unheard_at(SYNC).await.unwrap(), Some(AT + 30));
}

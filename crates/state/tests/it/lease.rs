//! One owner per sync, also across processes, and no write of a late one (S2).

use std::io::{BufRead, BufReader};

use flow::{Kind, RunStatus, Store};
use tempfile::tempdir;

use crate::fixture::*;

on_both! {
    a_late_owner_cannot_write,
    only_one_process_gets_a_lease_and_its_kill_gives_it_back,
    a_lease_is_refused_while_it_is_held_and_free_when_it_is_dropped,
    looking_at_leases_does_not_take_them_away,
    a_run_left_unfinished_becomes_crashed_and_keeps_its_last_counts,
}

async fn a_lease_is_refused_while_it_is_held_and_free_when_it_is_dropped(place: Place) {
    let store = place.open().await;
    let first = store.acquire(SYNC, AT).await.unwrap();
    let error = store.acquire(SYNC, AT).await.unwrap_err();
    assert_eq!((error.kind(), error.code().id), (Kind::Lease, "E3010"));
    let pid = std::process::id();
    assert!(error.message().contains(&format!("held by process {pid} on ")), "{error}");
    assert!(error.message().ends_with("since 2026-01-05T10:00:00.000000Z."), "{error}");
    let other = store.acquire("other", AT).await.unwrap();
    drop((first, other));
    assert_eq!(store.acquire(SYNC, AT).await.unwrap().epoch, 2);
}

async fn looking_at_leases_does_not_take_them_away(place: Place) {
    let store = place.open().await;
    let looker = place.open().await;
    for n in 0..200 {
        let (lease, shown) = tokio::join!(store.acquire(SYNC, AT + n), looker.syncs());
        lease.unwrap();
        shown.unwrap();
    }
}

async fn a_late_owner_cannot_write(place: Place) {
    let store = place.open().await;
    let late = begin(&*store, "r1").await;
    // Its lock file was deleted, or it stood still for too long: a second process then gets the lease as well.
    place.free_lease().await;
    let second = place.open().await;
    let newest = begin(&*second, "r2").await;
    assert!(newest.epoch > late.epoch);
    let mut stale = commit("r1");
    stale.ledger = changes(0..5, 1);
    stale.watermark = Some(watermark(AT));
    for refused in [
        store.commit(&late, stale).await,
        store.mark_dirty(&late, &[key(1)]).await,
        store.put_run(&late, &run("r1", SYNC, RunStatus::Ok)).await,
        store.end_backfill(&late, "a").await,
        store.reset(&late).await,
    ] {
        let error = refused.unwrap_err();
        assert_eq!((error.kind(), error.code().id), (Kind::Lease, "E3011"));
    }
    assert_eq!(second.watermark(SYNC).await.unwrap(), None);
    assert_eq!(second.run("r1").await.unwrap().unwrap().status, RunStatus::Crashed);
    second.commit(&newest, commit("r2")).await.unwrap();
}

#[tokio::test]
async fn a_sync_name_cannot_leave_the_directory_of_leases() {
    let dir = tempdir().unwrap();
    let store = open(dir.path());
    let long = "a".repeat(101);
    for name in ["", "../x", "a/b", "a.b", "/etc/passwd", "A", "ä", "a\0b", "a b", "..", &long] {
        let error = store.acquire(name, AT).await.unwrap_err();
        assert_eq!((error.kind(), error.code().id), (Kind::Config, "E3012"), "{name:?}");
    }
    assert!(!dir.path().join("x.lock").exists());
    store.acquire("itsm_cases_2_salesforce", AT).await.unwrap();
}

async fn a_run_left_unfinished_becomes_crashed_and_keeps_its_last_counts(place: Place) {
    let store = place.open().await;
    let lease = begin(&*store, "r1").await;
    let mut next = commit("r1");
    next.at = AT + 5;
    next.counts.read = 10;
    next.counts.created = 7;
    next.counts.parked = 3;
    store.commit(&lease, next).await.unwrap();
    drop(lease);
    let _lease = begin(&*store, "r2").await;
    let crashed = store.run("r1").await.unwrap().unwrap();
    assert_eq!((crashed.status, crashed.ended_at), (RunStatus::Crashed, Some(AT + 5)));
    assert_eq!((crashed.counts.read, crashed.counts.unaccounted()), (10, 0));
    assert_eq!(store.run("r2").await.unwrap().unwrap().status, RunStatus::Running);
}

async fn only_one_process_gets_a_lease_and_its_kill_gives_it_back(place: Place) {
    let store = place.open().await;
    let mut holder = spawn("lease::child_holds_a_lease", place.word());
    let mut lines = BufReader::new(holder.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().ends_with("held")));
    let error = store.acquire(SYNC, AT + 1).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Lease);
    assert!(error.message().contains(&format!("process {} ", holder.id())), "{error}");
    assert_eq!(store.syncs().await.unwrap()[0].held_by.as_ref().unwrap().pid, holder.id());
    holder.kill().unwrap();
    holder.wait().unwrap();
    let lease = store.acquire(SYNC, AT + 2).await.unwrap();
    assert_eq!(lease.epoch, 2);
    assert_eq!(store.run("child").await.unwrap().unwrap().status, RunStatus::Crashed);
}

#[tokio::test]
async fn child_holds_a_lease() {
    let Some(store) = child_state().await else { return };
    let _lease = begin(&*store, "child").await;
    println!("held");
    // Until the parent goes away or kills us.
    let _ = std::io::stdin().read_line(&mut String::new());
}

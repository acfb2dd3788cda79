//! What the operator's commands see and change.

use flow::{RunCounts, RunStatus};

use crate::fixture::*;

on_both! {
    runs_are_listed_newest_first_and_found_by_the_beginning_of_their_id,
    a_run_is_written_at_its_start_and_again_at_its_end,
    a_run_of_another_sync_is_not_overwritten,
    a_reset_forgets_all_but_the_run_history,
    every_sync_is_shown_with_what_the_state_knows_of_it,
}

async fn runs_are_listed_newest_first_and_found_by_the_beginning_of_their_id(place: Place) {
    let store = place.open().await;
    let lease = store.acquire(SYNC, AT).await.unwrap();
    for (n, id) in ["0197aa-1", "0197aa-12", "0197bb-3"].into_iter().enumerate() {
        let mut record = run(id, SYNC, RunStatus::Ok);
        record.started_at = AT + n as i64;
        record.ended_at = Some(AT + 10);
        record.error = (n == 2).then(|| "E1003: unreachable".to_owned());
        record.counts = RunCounts { read: 5, unchanged: 5, ..RunCounts::default() };
        store.put_run(&lease, &record).await.unwrap();
    }
    let ids = |runs: Vec<flow::RunRecord>| runs.into_iter().map(|run| run.id).collect::<Vec<_>>();
    assert_eq!(ids(store.runs(None, 2).await.unwrap()), ["0197bb-3", "0197aa-12"]);
    assert_eq!(ids(store.runs(Some(SYNC), 10).await.unwrap()).len(), 3);
    assert!(store.runs(Some("other"), 10).await.unwrap().is_empty());
    let found = store.run("0197b").await.unwrap().unwrap();
    assert_eq!(found.error.as_deref(), Some("E1003: unreachable"));
    assert_eq!(found.counts.read, 5);
    assert_eq!(store.run("0197aa-1").await.unwrap().unwrap().id, "0197aa-1", "an exact id wins");
    assert_eq!(store.run("0197a").await.unwrap_err().code().id, "E3017");
    assert!(store.run("%").await.unwrap().is_none());
}

async fn a_run_is_written_at_its_start_and_again_at_its_end(place: Place) {
    let store = place.open().await;
    let lease = begin(&*store, "r1").await;
    let mut end = run("r1", SYNC, RunStatus::Partial);
    end.ended_at = Some(AT + 9);
    end.counts =
        RunCounts { read: 3, created: 2, rejected: 1, requests: 1, ..RunCounts::default() };
    store.put_run(&lease, &end).await.unwrap();
    let found = store.run("r1").await.unwrap().unwrap();
    assert_eq!(
        (found.status, found.ended_at, found.counts),
        (end.status, end.ended_at, end.counts)
    );
    assert_eq!(store.runs(None, 10).await.unwrap().len(), 1);
}

async fn a_run_of_another_sync_is_not_overwritten(place: Place) {
    let store = place.open().await;
    let _first = begin(&*store, "r1").await;
    let other = store.acquire("other", AT).await.unwrap();
    let stolen = store.put_run(&other, &run("r1", "other", RunStatus::Ok)).await;
    assert_eq!(stolen.unwrap_err().code().id, "E3016");
    assert_eq!(store.run("r1").await.unwrap().unwrap().sync, SYNC);
}

async fn a_reset_forgets_all_but_the_run_history(place: Place) {
    let store = place.open().await;
    let lease = begin(&*store, "r1").await;
    let mut next = commit("r1");
    next.ledger = changes(0..50, 1);
    next.watermark = Some(watermark(AT));
    next.rejects = vec![reject(Some(key(1)), &R201, None)];
    next.backfill = Some(flow::BackfillProgress {
        spec: "a".to_owned(),
        after: flow::Position { watermark: None, key: key(1) },
        rows: 1,
    });
    store.commit(&lease, next).await.unwrap();
    let other = store.acquire("other", AT).await.unwrap();
    store.put_run(&other, &run("r2", "other", RunStatus::Running)).await.unwrap();
    let mut next = commit("r2");
    next.ledger = changes(0..5, 1);
    store.commit(&other, next).await.unwrap();

    let target = flow::Target {
        account: Some("account 1".to_owned()),
        object: "contacts".to_owned(),
        primary_key: vec!["region".to_owned(), "id".to_owned()],
        schema: Some("5f".to_owned()),
    };
    store.put_target(&lease, &target).await.unwrap();
    assert_eq!(store.target(SYNC).await.unwrap(), Some(target));

    store.reset(&lease).await.unwrap();
    assert_eq!(store.target(SYNC).await.unwrap(), None);
    assert_eq!(store.watermark(SYNC).await.unwrap(), None);
    assert_eq!(store.lookup(SYNC, &keys(0..50)).await.unwrap(), vec![None; 50]);
    assert_eq!(store.owners(SYNC, &[match_hash(1)]).await.unwrap(), [None]);
    assert_eq!(store.backfill(SYNC, "a").await.unwrap(), None);
    assert_eq!(store.open_rejects(SYNC).await.unwrap(), (0, None));
    assert!(store.run("r1").await.unwrap().is_some());
    assert_eq!(store.lookup("other", &[key(1)]).await.unwrap(), [Some(entry(1, 1))]);

    let mut first_load = commit("r1");
    first_load.ledger = changes(0..50, 2);
    store.commit(&lease, first_load).await.unwrap();
    drop(lease);
    begin(&*store, "r3").await;
}

async fn every_sync_is_shown_with_what_the_state_knows_of_it(place: Place) {
    let store = place.open().await;
    assert!(store.syncs().await.unwrap().is_empty());
    let lease = begin(&*store, "r1").await;
    let mut next = commit("r1");
    next.ledger = changes(0..50, 1);
    next.watermark = Some(watermark(AT));
    next.rejects = vec![reject(None, &R101, None); 3];
    store.commit(&lease, next).await.unwrap();
    drop(store.acquire("another", AT).await.unwrap());
    let syncs = store.syncs().await.unwrap();
    assert_eq!(syncs.iter().map(|s| s.sync.as_str()).collect::<Vec<_>>(), ["another", SYNC]);
    assert!(syncs[0].last_run.is_none() && syncs[0].held_by.is_none());
    let usage = &syncs[1];
    assert_eq!((usage.ledger_rows, usage.open_rejects), (50, 3));
    assert_eq!((usage.watermark.clone(), usage.oldest_reject_at), (Some(watermark(AT)), Some(AT)));
    assert_eq!(usage.last_run.as_ref().unwrap().id, "r1");
    let holder = usage.held_by.as_ref().unwrap();
    assert_eq!((holder.pid, holder.since), (std::process::id(), AT));
    assert!(store.size_bytes().await.unwrap() > 4096);
}

//! What one commit changes, and that it changes it together.

use flow::{BackfillProgress, Entry, Fingerprint, Key, LedgerChange, Position, Watermark};

use crate::fixture::*;

on_both! {
    payloads_are_remembered_replaced_and_forgotten,
    a_commit_is_remembered_by_the_next_process,
    nothing_is_known_of_a_sync_that_never_ran,
    two_syncs_do_not_see_each_other,
    a_change_replaces_the_whole_entry_and_the_last_one_of_a_commit_wins,
    a_dirty_row_forgets_only_its_acknowledged_fingerprint,
    the_owner_of_a_match_value_is_the_row_last_acknowledged_under_it,
    the_holders_of_record_ids_are_found_without_an_index,
    cursors_survive_bit_exact,
    a_backfill_goes_on_from_its_own_progress_until_it_ends,
    a_commit_that_fails_changes_nothing,
}

async fn a_commit_is_remembered_by_the_next_process(place: Place) {
    {
        let store = place.open().await;
        let lease = begin(&*store, "r1").await;
        let mut commit = commit("r1");
        commit.ledger = changes(0..100, 1);
        commit.watermark = Some(watermark(AT));
        commit.mark = Some(mark("here"));
        commit.counts.found_only_by_compare = 3;
        commit.counts.read = 100;
        commit.counts.created = 100;
        store.commit(&lease, commit).await.unwrap();
    }
    let store = place.open().await;
    assert_eq!(store.watermark(SYNC).await.unwrap(), Some(watermark(AT)));
    let found = store.lookup(SYNC, &[key(99), key(100), key(0)]).await.unwrap();
    assert_eq!(found, [Some(entry(99, 1)), None, Some(entry(0, 1))]);
    let run = store.run("r1").await.unwrap().unwrap();
    assert_eq!((run.counts.created, run.counts.found_only_by_compare), (100, 3));
    assert_eq!(store.mark(SYNC).await.unwrap(), Some(mark("here")));
    assert_eq!(run.counts.unaccounted(), 0);
}

async fn nothing_is_known_of_a_sync_that_never_ran(place: Place) {
    let store = place.open().await;
    assert_eq!(store.watermark("other").await.unwrap(), None);
    assert_eq!(store.mark("other").await.unwrap(), None);
    assert_eq!(store.backfill("other", "spec").await.unwrap(), None);
    assert_eq!(store.lookup("other", &keys(0..3)).await.unwrap(), vec![None; 3]);
    assert_eq!(store.owners("other", &[match_hash(1)]).await.unwrap(), vec![None]);
    assert_eq!(store.open_rejects("other").await.unwrap(), (0, None));
}

async fn two_syncs_do_not_see_each_other(place: Place) {
    let store = place.open().await;
    let lease = begin(&*store, "r1").await;
    let mut first = commit("r1");
    first.ledger = changes(0..2, 1);
    first.watermark = Some(watermark(1));
    store.commit(&lease, first).await.unwrap();
    let other = store.acquire("other", AT).await.unwrap();
    assert_eq!(store.lookup("other", &keys(0..2)).await.unwrap(), vec![None; 2]);
    assert_eq!(store.owners("other", &[match_hash(0)]).await.unwrap(), vec![None]);
    assert_eq!(store.watermark("other").await.unwrap(), None);
    store.mark_dirty(&other, &keys(0..2)).await.unwrap();
    assert_eq!(store.lookup(SYNC, &[key(0)]).await.unwrap(), [Some(entry(0, 1))]);
}

async fn a_change_replaces_the_whole_entry_and_the_last_one_of_a_commit_wins(place: Place) {
    let store = place.open().await;
    let lease = begin(&*store, "r1").await;
    let rejected = Entry { rejected: Some(Fingerprint(0)), ..Entry::default() };
    let mut first = commit("r1");
    first.ledger = vec![change(1, 1), LedgerChange { key: key(1), entry: rejected.clone() }];
    store.commit(&lease, first).await.unwrap();
    assert_eq!(store.lookup(SYNC, &[key(1)]).await.unwrap(), [Some(rejected)]);
    let mut second = commit("r1");
    second.ledger = vec![change(1, 2)];
    store.commit(&lease, second).await.unwrap();
    assert_eq!(store.lookup(SYNC, &[key(1)]).await.unwrap(), [Some(entry(1, 2))]);
    assert_eq!(store.syncs().await.unwrap()[0].ledger_rows, 1);
}

async fn a_dirty_row_forgets_only_its_acknowledged_fingerprint(place: Place) {
    // D4: what the destination holds is not known until a later write is acknowledged.
    let store = place.open().await;
    let lease = begin(&*store, "r1").await;
    let mut first = commit("r1");
    first.ledger = changes(0..3, 1);
    store.commit(&lease, first).await.unwrap();
    store.mark_dirty(&lease, &[key(1), key(77)]).await.unwrap();
    store.mark_dirty(&lease, &[key(1)]).await.unwrap();
    let found = store.lookup(SYNC, &[key(0), key(1), key(77)]).await.unwrap();
    let dirty = Entry { acknowledged: None, ..entry(1, 1) };
    assert_eq!(found, [Some(entry(0, 1)), Some(dirty), None]);
    assert_eq!(store.owners(SYNC, &[match_hash(1)]).await.unwrap(), [Some(key(1))]);
}

async fn the_owner_of_a_match_value_is_the_row_last_acknowledged_under_it(place: Place) {
    let store = place.open().await;
    let lease = begin(&*store, "r1").await;
    let shared = |n: usize| LedgerChange {
        key: key(n),
        entry: Entry { match_hash: Some(match_hash(1)), ..entry(n, 1) },
    };
    for n in [1, 5, 3] {
        let mut next = commit("r1");
        next.ledger = vec![shared(n)];
        store.commit(&lease, next).await.unwrap();
        let owners = store.owners(SYNC, &[match_hash(9), match_hash(1)]).await.unwrap();
        assert_eq!(owners, [None, Some(key(n))]);
    }
    let mut refused = shared(1);
    refused.entry.rejected = Some(Fingerprint(4));
    let mut next = commit("r1");
    next.ledger = vec![refused];
    store.commit(&lease, next).await.unwrap();
    assert_eq!(store.owners(SYNC, &[match_hash(1)]).await.unwrap(), [Some(key(3))]);
}

async fn the_holders_of_record_ids_are_found_without_an_index(place: Place) {
    let store = place.open().await;
    let lease = begin(&*store, "r1").await;
    let mut next = commit("r1");
    next.ledger = changes(0..50, 1);
    let stolen = LedgerChange { key: key(99), entry: Entry { ..entry(7, 2) } };
    next.ledger.push(stolen);
    store.commit(&lease, next).await.unwrap();
    let ids = ["remote-7".to_owned(), "remote-1000".to_owned()];
    let mut holders = store.holders(SYNC, &ids).await.unwrap();
    holders.sort();
    let mut expected = vec![("remote-7".to_owned(), key(7)), ("remote-7".to_owned(), key(99))];
    expected.sort();
    assert_eq!(holders, expected);
    assert!(store.holders("other", &ids).await.unwrap().is_empty());
}

async fn cursors_survive_bit_exact(place: Place) {
    // R4
    let odd = Key::from_parts(&["a\u{1f}b", "", "\u{0}\u{1b} \u{1F980}'\""]);
    for micros in [0, -1, 1_767_607_200_869_801, i64::MAX, i64::MIN, -62_135_596_800_000_001] {
        let store = place.open().await;
        let lease = begin(&*store, "r1").await;
        let progress = BackfillProgress {
            spec: "range".to_owned(),
            after: Position { watermark: Some(Watermark(micros)), key: odd.clone() },
            rows: u64::from(u32::MAX) + 1,
        };
        let mut next = commit("r1");
        next.watermark = Some(watermark(micros));
        next.backfill = Some(progress.clone());
        next.ledger = vec![LedgerChange { key: odd.clone(), entry: entry(1, u128::MAX >> 64) }];
        store.commit(&lease, next).await.unwrap();
        drop((lease, store));
        let store = place.open().await;
        assert_eq!(store.watermark(SYNC).await.unwrap(), Some(watermark(micros)));
        assert_eq!(store.backfill(SYNC, "range").await.unwrap(), Some(progress));
        let found = store.lookup(SYNC, std::slice::from_ref(&odd)).await.unwrap();
        assert_eq!(found, [Some(entry(1, u128::MAX >> 64))]);
    }
}

async fn a_backfill_goes_on_from_its_own_progress_until_it_ends(place: Place) {
    let store = place.open().await;
    let lease = begin(&*store, "r1").await;
    let progress = |rows| BackfillProgress {
        spec: "a".to_owned(),
        after: Position { watermark: None, key: key(rows) },
        rows: rows as u64,
    };
    for rows in [10, 20] {
        let mut next = commit("r1");
        next.backfill = Some(progress(rows));
        store.commit(&lease, next).await.unwrap();
        assert_eq!(store.backfill(SYNC, "a").await.unwrap(), Some(progress(rows)));
    }
    assert_eq!(store.backfill(SYNC, "b").await.unwrap(), None);
    assert_eq!(store.watermark(SYNC).await.unwrap(), None, "a backfill moves no watermark");
    store.end_backfill(&lease, "a").await.unwrap();
    assert_eq!(store.backfill(SYNC, "a").await.unwrap(), None);
}

async fn a_commit_that_fails_changes_nothing(place: Place) {
    // D2: the ledger was written before the run turned out to be unknown; all of it is rolled back.
    let store = place.open().await;
    let lease = begin(&*store, "r1").await;
    let mut wrong = commit("never begun");
    wrong.ledger = changes(0..10, 1);
    wrong.watermark = Some(watermark(1));
    wrong.rejects = vec![reject(Some(key(3)), &R201, None)];
    let error = store.commit(&lease, wrong).await.unwrap_err();
    assert_eq!(error.code().id, "E3016");
    assert_eq!(store.lookup(SYNC, &keys(0..10)).await.unwrap(), vec![None; 10]);
    assert_eq!(store.watermark(SYNC).await.unwrap(), None);
    assert_eq!(store.open_rejects(SYNC).await.unwrap(), (0, None));
    assert_eq!(store.syncs().await.unwrap()[0].ledger_rows, 0);
    let mut right = commit("r1");
    right.ledger = changes(0..10, 1);
    store.commit(&lease, right).await.unwrap();
}

async fn payloads_are_remembered_replaced_and_forgotten(place: Place) {
    let store = place.open().await;
    let lease = begin(&*store, "r1").await;
    let mut first = commit("r1");
    first.payloads = (0..5).map(|n| (key(n), vec![n as u8; n])).collect();
    store.commit(&lease, first).await.unwrap();
    let mut second = commit("r1");
    second.payloads = vec![(key(2), b"\0new".to_vec())];
    second.forgotten = vec![key(3)];
    store.commit(&lease, second).await.unwrap();
    let found = store.payloads(SYNC, &[key(2), key(3), key(4), key(9)]).await.unwrap();
    assert_eq!(found, [Some(b"\0new".to_vec()), None, Some(vec![4; 4]), None]);
    let page = store.payloads_after(SYNC, Some(&key(1)), 2).await.unwrap();
    assert_eq!(page, [(key(2), b"\0new".to_vec()), (key(4), vec![4; 4])]);
    store.reset(&lease).await.unwrap();
    assert!(store.payloads_after(SYNC, None, 9).await.unwrap().is_empty());
}

//! Rows that left the model: listed in key order, remembered across processes, and forgotten when they are done.

use flow::{Entry, Gone, GoneHow, Key, LedgerChange, RunCounts};

use crate::fixture::*;

on_both! {
    a_scan_gives_every_row_once_in_the_order_of_the_keys_bytes,
    only_rows_that_wait_to_be_acted_on_are_listed_as_gone,
    a_row_is_forgotten_whatever_else_the_commit_says_of_it,
}

fn gone(n: usize, how: GoneHow) -> LedgerChange {
    let gone = Some(Gone { since: AT, how });
    LedgerChange { key: key(n), entry: Entry { gone, ..entry(n, 1) } }
}

/// Everything a listing gives, page by page.
async fn pages<F: Future<Output = flow::Result<Vec<(Key, Entry)>>>>(
    rows: usize,
    ask: impl Fn(Option<Key>) -> F,
) -> Vec<(Key, Entry)> {
    let mut all: Vec<(Key, Entry)> = Vec::new();
    loop {
        let page = ask(all.last().map(|(key, _)| key.clone())).await.unwrap();
        let last = page.len() < rows;
        all.extend(page);
        if last {
            return all;
        }
    }
}

async fn a_scan_gives_every_row_once_in_the_order_of_the_keys_bytes(place: Place) {
    let store = place.open().await;
    let lease = begin(&*store, "r1").await;
    let mut commit = commit("r1");
    commit.ledger = changes(0..250, 1);
    let odd: Vec<Key> = ["", "Z", "a", "é", "z", "\u{1f}"].map(Key::from_stored).into();
    commit
        .ledger
        .extend(odd.iter().map(|key| LedgerChange { key: key.clone(), entry: entry(7, 2) }));
    let mut expected: Vec<Key> = commit.ledger.iter().map(|change| change.key.clone()).collect();
    expected.sort();
    store.commit(&lease, commit).await.unwrap();
    for rows in [1, 7, 256, 1000] {
        let found = pages(rows, async |after| store.scan(SYNC, after.as_ref(), rows).await).await;
        let keys: Vec<Key> = found.iter().map(|(key, _)| key.clone()).collect();
        assert_eq!(keys, expected, "in pages of {rows}");
    }
    assert_eq!(store.scan("other", None, 10).await.unwrap(), []);
}

async fn only_rows_that_wait_to_be_acted_on_are_listed_as_gone(place: Place) {
    {
        let store = place.open().await;
        let lease = begin(&*store, "r1").await;
        let mut commit = commit("r1");
        commit.ledger = changes(0..10, 1);
        commit.ledger.extend([
            gone(3, GoneHow::Absent),
            gone(5, GoneHow::Said),
            gone(7, GoneHow::Settled),
            gone(8, GoneHow::Absent),
        ]);
        store.commit(&lease, commit).await.unwrap();
    }
    let store = place.open().await;
    let found = pages(1, async |after| store.gone(SYNC, after.as_ref(), 1).await).await;
    let expected = [gone(3, GoneHow::Absent), gone(5, GoneHow::Said), gone(8, GoneHow::Absent)];
    assert_eq!(found, expected.map(|change| (change.key, change.entry)));

    // D4: a row that is dirty is still gone; one that came back is not.
    let lease = begin(&*store, "r2").await;
    store.mark_dirty(&lease, &[key(3)]).await.unwrap();
    let mut back = commit("r2");
    back.ledger = vec![change(8, 1)];
    back.forgotten = vec![key(5), key(99)];
    back.counts = RunCounts { gone: 3, removed: 1, gone_waiting: 2, ..RunCounts::default() };
    store.commit(&lease, back).await.unwrap();
    let dirty = Entry { acknowledged: None, ..gone(3, GoneHow::Absent).entry };
    assert_eq!(store.gone(SYNC, None, 10).await.unwrap(), [(key(3), dirty)]);
    assert_eq!(store.lookup(SYNC, &[key(5)]).await.unwrap(), [None]);
    assert_eq!(store.owners(SYNC, &[match_hash(5)]).await.unwrap(), [None]);
    assert_eq!(store.syncs().await.unwrap()[0].ledger_rows, 9);
    let counts = store.run("r2").await.unwrap().unwrap().counts;
    assert_eq!((counts.gone, counts.removed, counts.gone_waiting), (3, 1, 2));
    drop(lease);

    begin(&*store, "r3").await;
}

async fn a_row_is_forgotten_whatever_else_the_commit_says_of_it(place: Place) {
    let store = place.open().await;
    let lease = begin(&*store, "r1").await;
    let mut commit = commit("r1");
    commit.ledger = changes(0..3, 1);
    commit.forgotten = vec![key(1)];
    store.commit(&lease, commit).await.unwrap();
    let found = store.lookup(SYNC, &keys(0..3)).await.unwrap();
    assert_eq!(found, [Some(entry(0, 1)), None, Some(entry(2, 1))]);
}

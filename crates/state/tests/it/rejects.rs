//! Open rejects: one per row, counted together where the key is NULL, closed when the row lands.

use flow::{Entry, Fingerprint, LedgerChange};
use state::RejectFilter;

use crate::fixture::*;

on_both! {
    rows_to_try_again_are_found_by_code_or_all_of_them_apart_from_those_of_the_run,
    a_row_rejected_again_keeps_when_it_was_first_refused,
    rows_without_a_key_are_counted_per_cause_within_a_run,
    all_rows_of_a_duplicate_key_are_one_reject_with_their_number,
    a_row_that_lands_closes_its_reject_and_no_other,
    rejects_are_found_by_sync_code_and_key_and_grouped_by_cause,
    a_discarded_reject_is_gone_but_its_payload_is_still_known_as_refused,
    a_page_of_html_as_a_reason_is_cut,
}

async fn a_row_rejected_again_keeps_when_it_was_first_refused(place: Place) {
    let store = place.open().await;
    let lease = begin(&*store, "r1").await;
    let mut first = commit("r1");
    first.rejects = vec![reject(Some(key(1)), &R201, Some("email"))];
    store.commit(&lease, first).await.unwrap();
    drop(lease);
    let lease = begin(&*store, "r2").await;
    let mut second = commit("r2");
    second.at = AT + 5;
    second.rejects = vec![reject(Some(key(1)), &R101, None)];
    store.commit(&lease, second).await.unwrap();
    let all = store.rejects(&RejectFilter::default()).await.unwrap();
    assert_eq!(all.len(), 1);
    let only = &all[0];
    assert_eq!((only.first_at, only.last_at, only.run_id.as_str()), (AT, AT + 5, "r2"));
    assert_eq!((only.code.as_str(), only.stage.as_str()), ("R101", "validate"));
    assert_eq!((only.key.as_deref(), only.rows), (Some("1"), 1));
    assert_eq!(store.open_rejects(SYNC).await.unwrap(), (1, Some(AT)));
}

async fn rows_without_a_key_are_counted_per_cause_within_a_run(place: Place) {
    let store = place.open().await;
    let lease = begin(&*store, "r1").await;
    for _ in 0..2 {
        let mut next = commit("r1");
        next.rejects = vec![
            reject(None, &R101, Some("id")),
            reject(None, &R101, Some("id")),
            reject(None, &R101, None),
        ];
        store.commit(&lease, next).await.unwrap();
    }
    let rows = |all: Vec<flow::RejectRecord>| {
        all.into_iter().map(|reject| (reject.field, reject.rows)).collect::<Vec<_>>()
    };
    let mut all = rows(store.rejects(&RejectFilter::default()).await.unwrap());
    all.sort();
    assert_eq!(all, [(None, 2), (Some("id".to_owned()), 4)]);
    drop(lease);

    // The same rows read once more by the next run are not more rows.
    let lease = begin(&*store, "r2").await;
    let mut again = commit("r2");
    again.rejects = vec![reject(None, &R101, Some("id"))];
    store.commit(&lease, again).await.unwrap();
    let mut all = rows(store.rejects(&RejectFilter::default()).await.unwrap());
    all.sort();
    assert_eq!(all, [(None, 2), (Some("id".to_owned()), 1)]);
    assert_eq!(store.open_rejects(SYNC).await.unwrap(), (3, Some(AT)));
}

async fn all_rows_of_a_duplicate_key_are_one_reject_with_their_number(place: Place) {
    let store = place.open().await;
    let lease = begin(&*store, "r1").await;
    for rows in [2, 3] {
        let mut next = commit("r1");
        next.rejects = vec![reject(Some(key(1)), &R101, None); rows];
        store.commit(&lease, next).await.unwrap();
    }
    assert_eq!(store.open_rejects(SYNC).await.unwrap().0, 5);
    assert_eq!(store.rejects(&RejectFilter::default()).await.unwrap().len(), 1);
}

async fn a_row_that_lands_closes_its_reject_and_no_other(place: Place) {
    let store = place.open().await;
    let lease = begin(&*store, "r1").await;
    let mut first = commit("r1");
    first.rejects = (0..3).map(|n| reject(Some(key(n)), &R201, None)).collect();
    store.commit(&lease, first).await.unwrap();
    let mut second = commit("r1");
    second.resolved = vec![key(1), key(2), key(9)];
    second.rejects = vec![reject(Some(key(2)), &R201, None)];
    store.commit(&lease, second).await.unwrap();
    let open: Vec<_> = store
        .rejects(&RejectFilter::default())
        .await
        .unwrap()
        .into_iter()
        .filter_map(|reject| reject.key)
        .collect();
    assert_eq!(open, ["0", "2"]);
}

async fn rejects_are_found_by_sync_code_and_key_and_grouped_by_cause(place: Place) {
    let store = place.open().await;
    let lease = begin(&*store, "r1").await;
    let mut next = commit("r1");
    next.rejects = vec![
        reject(Some(key(1)), &R201, Some("email")),
        reject(Some(key(2)), &R201, Some("email")),
        reject(Some(key(3)), &R101, None),
    ];
    store.commit(&lease, next).await.unwrap();
    let count = async |sync: Option<&str>, code: Option<&str>, key: Option<&str>| {
        let filter = RejectFilter {
            sync: sync.map(str::to_owned),
            code: code.map(str::to_owned),
            key: key.map(str::to_owned),
        };
        store.rejects(&filter).await.unwrap().len()
    };
    assert_eq!(count(None, None, None).await, 3);
    assert_eq!(count(Some(SYNC), Some("R201"), None).await, 2);
    assert_eq!(count(Some(SYNC), Some("R201"), Some("3")).await, 0);
    assert_eq!(count(Some("other"), None, None).await, 0);
    let groups = store.reject_groups(Some(SYNC)).await.unwrap();
    assert_eq!((groups[0].code.as_str(), groups[0].rows), ("R201", 2));
    assert_eq!(groups[0].field.as_deref(), Some("email"));
    assert_eq!((groups[1].code.as_str(), groups[1].rows), ("R101", 1));
}

async fn a_discarded_reject_is_gone_but_its_payload_is_still_known_as_refused(place: Place) {
    let store = place.open().await;
    let lease = begin(&*store, "r1").await;
    let refused = Entry { rejected: Some(Fingerprint(7)), ..Entry::default() };
    let mut next = commit("r1");
    next.rejects = vec![reject(Some(key(1)), &R201, None), reject(None, &R101, None)];
    next.ledger = vec![LedgerChange { key: key(1), entry: refused.clone() }];
    store.commit(&lease, next).await.unwrap();
    let ids: Vec<i64> =
        store.rejects(&RejectFilter::default()).await.unwrap().iter().map(|r| r.id).collect();
    assert_eq!(store.discard_rejects(&ids).await.unwrap(), 2);
    assert_eq!(store.discard_rejects(&ids).await.unwrap(), 0);
    assert_eq!(store.open_rejects(SYNC).await.unwrap(), (0, None));
    assert_eq!(store.lookup(SYNC, &[key(1)]).await.unwrap(), [Some(refused)]);
}

async fn a_page_of_html_as_a_reason_is_cut(place: Place) {
    let store = place.open().await;
    let lease = begin(&*store, "r1").await;
    let mut next = commit("r1");
    let mut long = reject(Some(key(1)), &R201, None);
    long.reason = "ä".repeat(1_000_000);
    next.rejects = vec![long];
    store.commit(&lease, next).await.unwrap();
    let all = store.rejects(&RejectFilter::default()).await.unwrap();
    assert_eq!(all[0].reason.chars().count(), 2_000);
}

async fn rows_to_try_again_are_found_by_code_or_all_of_them_apart_from_those_of_the_run(
    place: Place,
) {
    let store = place.open().await;
    let lease = begin(&*store, "r1").await;
    let mut first = commit("r1");
    first.rejects = vec![
        reject(Some(key(1)), &R201, None),
        reject(Some(key(2)), &R101, None),
        reject(None, &R101, None),
    ];
    store.commit(&lease, first).await.unwrap();
    drop(lease);
    let lease = begin(&*store, "r2").await;
    let mut second = commit("r2");
    second.rejects = vec![reject(Some(key(3)), &R201, None)];
    store.commit(&lease, second).await.unwrap();
    let find = async |codes: Option<&[&str]>, seen_by, rows_max| {
        store.rejected_keys(SYNC, codes, (seen_by, rows_max)).await.unwrap()
    };
    assert_eq!(find(Some(&["R201"]), "r2", 10).await, [key(1)]);
    assert_eq!(find(Some(&["R201"]), "r3", 10).await, [key(1), key(3)]);
    assert_eq!(find(Some(&[]), "r3", 10).await, []);
    assert_eq!(find(None, "r2", 10).await, [key(1), key(2)]);
    assert_eq!(find(None, "r3", 2).await, [key(1), key(2)]);
}

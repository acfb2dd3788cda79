//! The ledger keeps up with a run, also in an unoptimised build. `make bench` measures; this only notices a
//! mistake of a whole order of magnitude.

use std::time::Duration;

use tokio::time::Instant;

use crate::fixture::*;

on_both! {
    two_hundred_thousand_rows_are_written_found_and_checked_in_seconds,
}

const ROWS: usize = 200_000;

#[expect(clippy::print_stdout, reason = "the figures of a test run")]
async fn two_hundred_thousand_rows_are_written_found_and_checked_in_seconds(place: Place) {
    let store = place.open().await;
    let lease = begin(&*store, "r1").await;
    let mut took = Vec::new();
    let mut lap = Instant::now();
    let mut done = |what: &'static str| {
        took.push((what, lap.elapsed()));
        lap = Instant::now();
    };
    for version in [1, 2] {
        for first in (0..ROWS).step_by(5_000) {
            let mut next = commit("r1");
            next.ledger = changes(first..first + 5_000, version);
            store.commit(&lease, next).await.unwrap();
        }
        done(if version == 1 { "insert" } else { "update" });
    }
    for first in (0..ROWS).step_by(5_000) {
        let found = store.lookup(SYNC, &keys(first..first + 5_000)).await.unwrap();
        assert!(found.iter().all(Option::is_some));
    }
    done("lookup");
    for first in (0..ROWS).step_by(5_000) {
        let matches: Vec<_> = (first..first + 5_000).map(match_hash).collect();
        let found = store.owners(SYNC, &matches).await.unwrap();
        assert!(found.iter().all(Option::is_some));
    }
    done("owners");
    drop((lease, store));
    done("close");
    let store = place.open().await;
    done("open");
    drop(store.acquire(SYNC, AT).await.unwrap());
    done("check");
    let bytes = store.size_bytes().await.unwrap() / ROWS as u64;
    println!("{bytes} bytes a row, {took:?}");
    for (what, time) in took {
        assert!(time < Duration::from_secs(30), "{what} took {time:?}");
    }
}

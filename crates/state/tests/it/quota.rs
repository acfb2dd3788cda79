//! The quota ledger's pages: two changes never overlap, whoever makes them, and a process that is gone is known to be (L1).

use std::sync::Arc;

use flow::{Clock, QuotaMoment, QuotaStore};
use state::QuotaFile;

use crate::fixture::*;

#[derive(Debug)]
struct Fixed;

impl Clock for Fixed {
    fn now_micros(&self) -> i64 {
        AT
    }
}

fn file(dir: &std::path::Path) -> Arc<dyn QuotaStore> {
    Arc::new(QuotaFile::new(dir, Arc::new(Fixed)))
}

/// Adds one to the number on the page, a hundred times.
async fn count(store: &dyn QuotaStore) {
    for _ in 0..100 {
        let add = |page: Option<&str>, moment: &QuotaMoment<'_>| {
            assert!(moment.micros > 0 && !moment.clock.is_empty());
            let number: u32 = page.map_or(0, |page| page.parse().unwrap());
            Some((number + 1).to_string())
        };
        store.change("acme", Box::new(add)).await.unwrap();
    }
}

async fn page(store: &dyn QuotaStore) -> Option<String> {
    let (sender, seen) = std::sync::mpsc::channel();
    let look = move |page: Option<&str>, _: &QuotaMoment<'_>| {
        sender.send(page.map(str::to_owned)).unwrap();
        None
    };
    store.change("acme", Box::new(look)).await.unwrap();
    seen.recv().unwrap()
}

async fn no_change_is_lost(one: &dyn QuotaStore, other: &dyn QuotaStore) {
    assert_eq!(page(one).await, None);
    tokio::join!(count(one), count(other));
    assert_eq!(page(other).await.as_deref(), Some("200"));
    let names = [one.name(), one.name(), other.name()];
    let gone = move |_: Option<&str>, moment: &QuotaMoment<'_>| {
        assert!(names.iter().all(|name| !(moment.is_gone)(name)), "{names:?}");
        None
    };
    one.change("acme", Box::new(gone)).await.unwrap();
}

#[tokio::test]
async fn changes_by_two_who_share_a_folder_never_overlap() {
    let dir = tempfile::tempdir().unwrap();
    let (one, other) = (file(dir.path()), file(dir.path()));
    no_change_is_lost(&*one, &*other).await;
}

#[tokio::test]
async fn changes_by_two_who_share_a_server_never_overlap() {
    let Place::Postgres(database) = Place::postgres() else { unreachable!("it is one") };
    let (one, other) =
        (open_in(&database.url).await.unwrap(), open_in(&database.url).await.unwrap());
    no_change_is_lost(&one, &other).await;
}

#[tokio::test]
async fn a_file_that_is_no_ledger_is_put_aside_and_begun_anew() {
    let dir = tempfile::tempdir().unwrap();
    count(&*file(dir.path())).await;
    let path = dir.path().join("quota.db");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[..40].fill(7);
    std::fs::write(&path, &bytes).unwrap();
    let store = file(dir.path());
    assert_eq!(page(&*store).await, None);
    count(&*store).await;
    assert_eq!(page(&*store).await.as_deref(), Some("100"));
    assert!(dir.path().join("quota.db.damaged").exists());
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_is_an_error_that_says_so() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("state"), "a file").unwrap();
    let store = file(&dir.path().join("state"));
    let error = store.change("acme", Box::new(|_, _| None)).await.unwrap_err();
    assert!(["E3001", "E3070"].contains(&error.code().id), "{error}");
}

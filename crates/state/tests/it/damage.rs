//! A cut file or a flipped bit is refused or noticed; no row is ever silently wrong (S4).

use std::fs;
use std::path::Path;

use flow::{BackfillProgress, Entry, Key, Position, Store, StoredWatermark, Watermark};
use state::Sqlite;
use tempfile::tempdir;

use crate::fixture::*;

const ROWS: usize = 600;

/// All that the next run relies on.
#[derive(Debug, PartialEq)]
struct Known {
    watermark: Option<StoredWatermark>,
    backfill: Option<BackfillProgress>,
    ledger: Vec<Option<Entry>>,
    owners: Vec<Option<Key>>,
}

async fn fill(store: &Sqlite) {
    let lease = begin(store, "r1").await;
    for n in 0..4 {
        let mut next = commit("r1");
        next.ledger = changes(n * ROWS / 4..(n + 1) * ROWS / 4, 1);
        next.watermark = Some(watermark(n as i64));
        next.backfill = Some(BackfillProgress {
            spec: "spec".to_owned(),
            after: Position { watermark: Some(Watermark(3)), key: key(n) },
            rows: n as u64,
        });
        store.commit(&lease, next).await.unwrap();
    }
}

/// Takes the lease as a run does, and reads everything; an error is how damage is noticed.
async fn read_all(dir: &Path) -> flow::Result<Known> {
    let store = Sqlite::open(dir, PROJECT)?;
    let lease = store.acquire(SYNC, AT).await?;
    store.put_run(&lease, &run("r2", SYNC, flow::RunStatus::Running)).await?;
    let matches: Vec<_> = (0..ROWS).map(match_hash).collect();
    Ok(Known {
        watermark: store.watermark(SYNC).await?,
        backfill: store.backfill(SYNC, "spec").await?,
        ledger: store.lookup(SYNC, &keys(0..ROWS)).await?,
        owners: store.owners(SYNC, &matches).await?,
    })
}

#[tokio::test]
async fn a_state_cut_anywhere_is_refused_and_left_as_it_is() {
    let dir = tempdir().unwrap();
    fill(&open(dir.path())).await;
    let whole = fs::read(dir.path().join("state.db")).unwrap();
    let cut = tempdir().unwrap();
    let path = cut.path().join("state.db");
    let step = whole.len() / 60 + 1;
    let offsets = [0, 1, 15, 16, 99, 100, 512, 4_095, 4_096, whole.len() - 4_096, whole.len() - 1];
    for length in offsets.into_iter().chain((0..whole.len()).step_by(step)) {
        let _ = fs::remove_file(cut.path().join("state.db-shm"));
        fs::write(&path, &whole[..length]).unwrap();
        let error = refused(cut.path());
        assert_eq!(error.code().id, "E3003", "cut after {length}: {error}");
        assert!(fs::read(&path).unwrap() == whole[..length], "cut after {length}: changed");
    }
}

#[tokio::test]
async fn a_cut_log_gives_an_older_commit_and_a_cut_file_beside_a_log_is_never_silently_wrong() {
    let dir = tempdir().unwrap();
    let store = open(dir.path());
    fill(&store).await;
    let torn = tempdir().unwrap();
    for name in ["state.db-wal", "state.db"] {
        let length = fs::metadata(dir.path().join(name)).unwrap().len();
        for part in 0..25 {
            copy_state(dir.path(), torn.path());
            let file = fs::OpenOptions::new().write(true).open(torn.path().join(name)).unwrap();
            file.set_len(length * part / 25).unwrap();
            let Ok(known) = read_all(torn.path()).await else {
                assert_eq!(name, "state.db", "a cut log alone never stops us");
                continue;
            };
            check_prefix(&known);
        }
    }
}

/// The four commits of `fill` are there up to some point and not beyond.
#[track_caller]
fn check_prefix(known: &Known) {
    let commits = known.watermark.as_ref().map_or(0, |stored| stored.watermark.0 as usize + 1);
    for (n, entry) in known.ledger.iter().enumerate() {
        let wanted = (n < commits * ROWS / 4).then(|| crate::fixture::entry(n, 1));
        assert_eq!(*entry, wanted, "row {n} after {commits} commits");
    }
}

#[tokio::test]
async fn a_flipped_bit_is_noticed_or_harmless() {
    let dir = tempdir().unwrap();
    fill(&open(dir.path())).await;
    let known = read_all(dir.path()).await.unwrap();
    let whole = fs::read(dir.path().join("state.db")).unwrap();
    let flipped = tempdir().unwrap();
    let path = flipped.path().join("state.db");
    let (mut seed, mut noticed, mut harmless) = (0x2545_F491_4F6C_DD1D_u64, 0, 0);
    for _ in 0..250 {
        // xorshift: the same places in every run.
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        let bit = (seed % (whole.len() as u64 * 8)) as usize;
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        for name in ["state.db-wal", "state.db-shm"] {
            let _ = fs::remove_file(flipped.path().join(name));
        }
        fs::write(&path, &bytes).unwrap();
        match read_all(flipped.path()).await {
            Err(error) => {
                assert!(error.code().id.starts_with('E') && !error.remedy().is_empty());
                noticed += 1;
            }
            Ok(found) => {
                assert!(
                    found == known,
                    "bit {bit} (page {}) is silently wrong",
                    bit / 8 / 4096 + 1
                );
                harmless += 1;
            }
        }
    }
    println!("{noticed} flips noticed, {harmless} harmless");
    assert!(noticed > 50, "the flips must hit something: {noticed} noticed, {harmless} harmless");
}

#[tokio::test]
async fn a_damaged_ledger_stops_the_run_and_can_be_reset() {
    for sql in [
        "UPDATE ledger SET acknowledged = zeroblob(16) WHERE key = '7'",
        "UPDATE ledger SET key = 'x' WHERE key = '7'",
        "DELETE FROM ledger WHERE key = '7'",
        "UPDATE ledger SET remote_id = NULL WHERE key = '7'",
        "UPDATE ledger SET rejected = acknowledged WHERE key = '7'",
        "UPDATE watermarks SET watermark = watermark + 1",
    ] {
        let dir = tempdir().unwrap();
        fill(&open(dir.path())).await;
        rusqlite::Connection::open(dir.path().join("state.db"))
            .unwrap()
            .execute_batch(sql)
            .unwrap();
        let store = open(dir.path());
        let lease = store.acquire(SYNC, AT).await.unwrap();
        let record = run("r2", SYNC, flow::RunStatus::Running);
        for refused in [
            store.put_run(&lease, &record).await,
            store.mark_dirty(&lease, &[key(1)]).await,
            store.commit(&lease, commit("r1")).await,
        ] {
            let error = refused.unwrap_err();
            assert_eq!(error.code().id, "E3007", "{sql}");
            assert!(!error.to_string().contains("'7'"), "keys stay out of errors");
        }
        store.reset(&lease).await.unwrap();
        drop(lease);
        let lease = store.acquire(SYNC, AT).await.unwrap();
        store.put_run(&lease, &record).await.unwrap();
        assert_eq!(store.watermark(SYNC).await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_damaged_row_is_noticed_without_a_lease_too() {
    let dir = tempdir().unwrap();
    let store = open(dir.path());
    fill(&store).await;
    rusqlite::Connection::open(dir.path().join("state.db"))
        .unwrap()
        .execute_batch(
            "UPDATE ledger SET acknowledged = zeroblob(16) WHERE key = '7';
             UPDATE backfills SET after_key = '9'; UPDATE watermarks SET watermark = 0",
        )
        .unwrap();
    assert_eq!(store.lookup(SYNC, &[key(7)]).await.unwrap_err().code().id, "E3007");
    assert_eq!(store.owners(SYNC, &[match_hash(7)]).await.unwrap_err().code().id, "E3007");
    assert_eq!(store.watermark(SYNC).await.unwrap_err().code().id, "E3007");
    assert_eq!(store.backfill(SYNC, "spec").await.unwrap_err().code().id, "E3007");
    store.lookup(SYNC, &[key(8)]).await.unwrap();
}

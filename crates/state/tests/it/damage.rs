//! A cut file or a flipped bit is refused or noticed; no row is ever silently wrong (S4).

use std::fs;
use std::path::{Path, PathBuf};

use flow::{BackfillProgress, Entry, Key, Position, Store, StoredWatermark, Watermark};
use state::{Sqlite, State};
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
        next.mark = Some(mark("here"));
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
        "UPDATE ledger_deltas SET changes = zeroblob(16) WHERE seq = 2",
        "UPDATE ledger_deltas SET seq = 9 WHERE seq = 4",
        "DELETE FROM ledger_deltas WHERE seq = 3",
        "UPDATE ledgers SET newest = 3",
        "UPDATE ledgers SET folded = 2",
        "UPDATE ledgers SET key_order = 'x'",
        "DELETE FROM ledgers",
        "UPDATE watermarks SET watermark = watermark + 1",
        "UPDATE marks SET mark = NULL",
    ] {
        let dir = tempdir().unwrap();
        fill(&open(dir.path())).await;
        check_refused_and_reset(dir.path(), sql, "E3007").await;
    }
}

/// Runs `sql` on a state, whose sync must then be refused with `code` until it is reset.
async fn check_refused_and_reset(dir: &Path, sql: &str, code: &str) {
    rusqlite::Connection::open(dir.join("state.db")).unwrap().execute_batch(sql).unwrap();
    let store = open(dir);
    let lease = store.acquire(SYNC, AT).await.unwrap();
    let record = run("r2", SYNC, flow::RunStatus::Running);
    for refused in [
        store.put_run(&lease, &record).await,
        store.mark_dirty(&lease, &[key(1)]).await,
        store.commit(&lease, commit("r1")).await,
    ] {
        assert_eq!(refused.unwrap_err().code().id, code, "{sql}");
    }
    store.reset(&lease).await.unwrap();
    drop(lease);
    let lease = store.acquire(SYNC, AT).await.unwrap();
    store.put_run(&lease, &record).await.unwrap();
    assert_eq!(store.watermark(SYNC).await.unwrap(), None);
    assert_eq!(store.lookup(SYNC, &[key(1)]).await.unwrap(), [None]);
    assert_eq!(fs::read_dir(dir.join("ledger")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_damaged_row_is_noticed_without_a_lease_too() {
    let dir = tempdir().unwrap();
    fill(&open(dir.path())).await;
    rusqlite::Connection::open(dir.path().join("state.db"))
        .unwrap()
        .execute_batch(
            "UPDATE ledger_deltas SET changes = zeroblob(16) WHERE seq = 2;
             UPDATE backfills SET after_key = '9'; UPDATE watermarks SET watermark = 0",
        )
        .unwrap();
    let store = open(dir.path());
    assert_eq!(store.lookup(SYNC, &[key(7)]).await.unwrap_err().code().id, "E3007");
    assert_eq!(store.owners(SYNC, &[match_hash(7)]).await.unwrap_err().code().id, "E3007");
    assert_eq!(store.watermark(SYNC).await.unwrap_err().code().id, "E3007");
    assert_eq!(store.backfill(SYNC, "spec").await.unwrap_err().code().id, "E3007");
}

/// Enough rows that a run's end makes a file of them.
const FILE_ROWS: usize = 20_000;

/// A state whose ledger is a file and some changes since; gives the file back.
async fn fill_file(dir: &Path) -> PathBuf {
    let store = open(dir);
    let lease = begin(&store, "r1").await;
    let mut next = commit("r1");
    next.ledger = changes(0..FILE_ROWS, 1);
    store.commit(&lease, next).await.unwrap();
    store.put_run(&lease, &run("r1", SYNC, flow::RunStatus::Ok)).await.unwrap();
    store.put_run(&lease, &run("r1", SYNC, flow::RunStatus::Running)).await.unwrap();
    let mut next = commit("r1");
    next.ledger = changes(0..10, 2);
    store.commit(&lease, next).await.unwrap();
    let files: Vec<_> = fs::read_dir(dir.join("ledger")).unwrap().collect();
    assert_eq!(files.len(), 1);
    files.into_iter().next().unwrap().unwrap().path()
}

/// Everything a run can learn from the ledger: by key, by match hash, and as a whole.
async fn read_ledger(dir: &Path) -> flow::Result<(Vec<Option<Entry>>, Vec<Option<Key>>, usize)> {
    let store = Sqlite::open(dir, PROJECT)?;
    let lease = store.acquire(SYNC, AT).await?;
    store.put_run(&lease, &run("r2", SYNC, flow::RunStatus::Running)).await?;
    let some = || (0..FILE_ROWS).step_by(7);
    let keys: Vec<Key> = some().map(key).collect();
    let matches: Vec<_> = some().map(match_hash).collect();
    let found = store.lookup(SYNC, &keys).await?;
    let owners = store.owners(SYNC, &matches).await?;
    Ok((found, owners, store.scan(SYNC, None, 2 * FILE_ROWS).await?.len()))
}

#[tokio::test]
async fn a_ledger_file_that_is_cut_or_has_a_flipped_bit_is_noticed() {
    // S4
    let dir = tempdir().unwrap();
    let path = fill_file(dir.path()).await;
    let expected = read_ledger(dir.path()).await.unwrap();
    assert_eq!(expected.2, FILE_ROWS);
    let whole = fs::read(&path).unwrap();
    let mut noticed = 0;
    for place in (0..whole.len()).step_by(whole.len() / 70) {
        let mut bytes = whole.clone();
        bytes[place] ^= 1 << (place % 8);
        fs::write(&path, &bytes).unwrap();
        match read_ledger(dir.path()).await {
            Err(error) => {
                assert_eq!(error.code().id, "E3021", "byte {place}: {error}");
                noticed += 1;
            }
            // Only an index of hashes nobody asked for may be wrong without being noticed.
            Ok(found) => assert!(found == expected, "byte {place} is silently wrong"),
        }
    }
    assert!(noticed > 60, "{noticed} flips were noticed");
    let end = whole.len();
    for length in [0, 1, 3, 4, 100, end / 2, end - 100, end - 4, end - 1] {
        fs::write(&path, &whole[..length]).unwrap();
        assert_eq!(read_ledger(dir.path()).await.unwrap_err().code().id, "E3021");
    }
    fs::write(&path, &whole).unwrap();
    assert!(read_ledger(dir.path()).await.unwrap() == expected);
}

#[tokio::test]
async fn a_ledger_file_that_is_missing_or_another_is_refused_until_a_reset() {
    // S4
    let other = tempdir().unwrap();
    let other = fs::read(fill_file(other.path()).await).unwrap();
    for (file, code) in [(None, "E3020"), (Some(b"x".as_slice()), "E3021"), (Some(&other), "")] {
        let dir = tempdir().unwrap();
        let path = fill_file(dir.path()).await;
        fs::remove_file(&path).unwrap();
        if let Some(bytes) = file {
            fs::write(&path, bytes).unwrap();
        }
        match code {
            // The same rows make the same file.
            "" => drop(read_ledger(dir.path()).await.unwrap()),
            code => check_refused_and_reset(dir.path(), "", code).await,
        }
    }
    let dir = tempdir().unwrap();
    fill_file(dir.path()).await;
    let sql = "UPDATE ledger_files SET root = root + 1";
    check_refused_and_reset(dir.path(), sql, "E3007").await;
}

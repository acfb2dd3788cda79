//! Which files are opened, which are refused, and that a refused one is not touched.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use flow::Store;
use rusqlite::Connection;
use state::{Sqlite, State};
use tempfile::tempdir;

use crate::fixture::*;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn directory_and_files_are_for_their_owner_only() {
    let parent = tempdir().unwrap();
    let dir = parent.path().join("project/.outflow");
    let store = open(&dir);
    let _lease = begin(&store, "r1").await;
    assert_eq!(mode(&dir), 0o700);
    assert_eq!(mode(&dir.join("leases")), 0o700);
    assert_eq!(mode(&dir.join("ledger")), 0o700);
    for name in ["state.db", "state.db-wal", "state.db-shm", "leases/usage.lock"] {
        assert_eq!(mode(&dir.join(name)), 0o600, "{name}");
    }
    assert_eq!(fs::read_to_string(dir.join(".gitignore")).unwrap(), "*\n");
}

#[test]
fn an_open_directory_is_closed_to_others() {
    let dir = tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    drop(open(dir.path()));
    assert_eq!(mode(dir.path()), 0o700);
    assert!(!dir.path().join(".gitignore").exists(), "a directory of the user's stays as it is");
    fs::set_permissions(dir.path().join("state.db"), fs::Permissions::from_mode(0o644)).unwrap();
    drop(open(dir.path()));
    assert_eq!(mode(&dir.path().join("state.db")), 0o600);
}

#[test]
fn many_may_open_a_new_state_at_once() {
    for _ in 0..10 {
        let dir = tempdir().unwrap();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| open(dir.path()));
            }
        });
        for entry in fs::read_dir(dir.path()).unwrap() {
            let name = entry.unwrap().file_name();
            // Two that close at once may both leave the empty log to the other.
            let known = ["state.db", "state.db-wal", "state.db-shm", "ledger"];
            assert!(known.iter().any(|known| name == *known), "{} is left behind", name.display());
        }
    }
}

/// Asserts that opening fails with `code` and leaves every byte as it was.
#[track_caller]
fn check_refused(dir: &Path, code: &str) {
    let files = |dir: &Path| ["state.db", "state.db-wal"].map(|name| fs::read(dir.join(name)).ok());
    let before = files(dir);
    let error = refused(dir);
    assert_eq!(error.code().id, code, "{error}");
    assert!(!error.remedy().is_empty());
    assert!(files(dir) == before, "a refused file is not changed");
}

fn closed_state() -> tempfile::TempDir {
    let dir = tempdir().unwrap();
    drop(open(dir.path()));
    dir
}

#[test]
fn a_file_that_is_not_sqlite_is_refused() {
    let dir = tempdir().unwrap();
    for text in ["x", "not a database at all", &"z".repeat(10_000)] {
        fs::write(dir.path().join("state.db"), text).unwrap();
        check_refused(dir.path(), "E3002");
    }
}

#[test]
fn another_programs_database_is_refused() {
    let dir = tempdir().unwrap();
    let other = Connection::open(dir.path().join("state.db")).unwrap();
    other.execute_batch("CREATE TABLE t (a); INSERT INTO t VALUES (1)").unwrap();
    drop(other);
    check_refused(dir.path(), "E3002");
}

#[test]
fn an_empty_file_is_not_taken_for_a_new_state() {
    let dir = tempdir().unwrap();
    fs::write(dir.path().join("state.db"), "").unwrap();
    check_refused(dir.path(), "E3003");
}

#[test]
fn a_newer_state_is_refused() {
    let dir = closed_state();
    let path = dir.path().join("state.db");
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    check_refused(dir.path(), "E3005");
    let error = refused(dir.path());
    assert!(error.message().contains("version 99"), "{error}");
    assert_eq!(error.kind(), flow::Kind::Config);
}

#[test]
fn a_newer_state_whose_version_is_still_in_the_log_is_refused() {
    let dir = closed_state();
    let live = Connection::open(dir.path().join("state.db")).unwrap();
    live.pragma_update(None, "user_version", 99).unwrap();
    let copy = tempdir().unwrap();
    copy_state(dir.path(), copy.path());
    assert!(copy.path().join("state.db-wal").exists());
    check_refused(copy.path(), "E3005");
}

#[test]
fn the_state_of_another_project_is_refused() {
    let dir = tempdir().unwrap();
    drop(Sqlite::open(dir.path(), "globex").unwrap());
    check_refused(dir.path(), "E3006");
    assert!(refused(dir.path()).message().contains("`globex`, not to `acme`"));
    drop(Sqlite::open(dir.path(), "globex").unwrap());
}

#[test]
fn a_state_without_one_of_its_tables_is_refused() {
    for sql in [
        "DROP TABLE rejects",
        "DROP INDEX runs_by_start",
        "ALTER TABLE ledgers ADD COLUMN extra TEXT",
        "DELETE FROM meta",
        "PRAGMA user_version = 0",
    ] {
        let dir = closed_state();
        Connection::open(dir.path().join("state.db")).unwrap().execute_batch(sql).unwrap();
        check_refused(dir.path(), "E3004");
    }
}

#[tokio::test]
async fn a_table_of_the_operators_own_does_no_harm() {
    let dir = closed_state();
    let own = Connection::open(dir.path().join("state.db")).unwrap();
    own.execute_batch("CREATE VIEW broken AS SELECT * FROM rejects").unwrap();
    drop(own);
    open(dir.path()).acquire(SYNC, AT).await.unwrap();
}

#[test]
fn a_log_without_its_state_is_refused() {
    let dir = closed_state();
    fs::rename(dir.path().join("state.db"), dir.path().join("state.db-wal")).unwrap();
    check_refused(dir.path(), "E3008");
}

#[test]
fn a_directory_that_cannot_be_made_is_refused() {
    let dir = tempdir().unwrap();
    fs::write(dir.path().join("file"), "").unwrap();
    assert_eq!(refused(&dir.path().join("file/.outflow")).code().id, "E3001");
    fs::create_dir(dir.path().join("state.db")).unwrap();
    assert_eq!(refused(dir.path()).code().id, "E3001");
}

#[tokio::test]
async fn an_edited_sync_row_is_refused() {
    let dir = tempdir().unwrap();
    open(dir.path()).acquire(SYNC, AT).await.unwrap();
    let edit = Connection::open(dir.path().join("state.db")).unwrap();
    edit.execute_batch("UPDATE syncs SET name = 'other'").unwrap();
    drop(edit);
    check_refused(dir.path(), "E3004");
}

#[tokio::test]
async fn a_state_open_elsewhere_can_be_opened_and_waits_its_turn() {
    let dir = tempdir().unwrap();
    let first = open(dir.path());
    let second = open(dir.path());
    let a = begin(&first, "r1").await;
    let b = second.acquire("other", AT).await.unwrap();
    second.put_run(&b, &run("r2", "other", flow::RunStatus::Running)).await.unwrap();
    let write = async |store: &Sqlite, lease: &flow::Lease, run_id: &str| {
        for n in 0..50 {
            let mut next = commit(run_id);
            next.ledger = changes(n * 10..n * 10 + 10, 1);
            store.commit(lease, next).await.unwrap();
        }
    };
    tokio::join!(write(&first, &a, "r1"), write(&second, &b, "r2"));
    for sync in first.syncs().await.unwrap() {
        assert_eq!(sync.ledger_rows, 500);
    }
}

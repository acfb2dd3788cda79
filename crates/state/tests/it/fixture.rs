//! Small values the tests are made of, and child processes that run one test of this binary.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use flow::{
    Code, Commit, Entry, Fingerprint, Key, Kind, Lease, LedgerChange, Mark, MatchHash, Reject,
    RunCounts, RunRecord, RunStatus, Stage, StoredMark, StoredWatermark, Trigger, Watermark,
};
use state::{Postgres, PostgresOptions, Sqlite, State};
use support::{Database, Postgres as Server};
use tempfile::{TempDir, tempdir};

pub(crate) const PROJECT: &str = "acme";
pub(crate) const SYNC: &str = "usage";
/// 2026-01-05T10:00:00Z.
pub(crate) const AT: i64 = 1_767_607_200_000_000;

pub(crate) static R101: Code = Code {
    id: "R101",
    kind: Kind::Row,
    title: "The key is NULL.",
    cause: "A test.",
    remedy: "none",
};

pub(crate) static R201: Code = Code {
    id: "R201",
    kind: Kind::Row,
    title: "The destination refuses the row.",
    cause: "A test.",
    remedy: "none",
};

/// Runs each test twice: on a state in files, and on one in PostgreSQL.
macro_rules! on_both {
    ($($test:ident,)*) => {
        $(mod $test {
            #[tokio::test]
            async fn in_files() {
                super::$test(crate::fixture::Place::files()).await;
            }

            #[tokio::test]
            async fn in_postgres() {
                super::$test(crate::fixture::Place::postgres()).await;
            }
        })*
    };
}
pub(crate) use on_both;

/// Where a state is, that is opened again and again.
pub(crate) enum Place {
    Files(TempDir),
    Postgres(Database),
}

impl Place {
    pub(crate) fn files() -> Self {
        Self::Files(tempdir().unwrap())
    }

    pub(crate) fn postgres() -> Self {
        Self::Postgres(Server::shared().database("state"))
    }

    /// The place in words that a child process is told.
    pub(crate) fn word(&self) -> OsString {
        match self {
            Self::Files(dir) => dir.path().into(),
            Self::Postgres(database) => database.url.clone().into(),
        }
    }

    pub(crate) async fn open(&self) -> Box<dyn State> {
        match self {
            Self::Files(dir) => Box::new(open(dir.path())),
            Self::Postgres(database) => Box::new(open_in(&database.url).await.unwrap()),
        }
    }

    /// Takes the lease of [`SYNC`] away from its owner, as far as the next one is concerned.
    pub(crate) async fn free_lease(&self) {
        match self {
            Self::Files(dir) => {
                std::fs::remove_file(dir.path().join("leases/usage.lock")).unwrap();
            }
            Self::Postgres(database) => {
                let sql = "UPDATE outflow_state.leases SET expires_at = '-infinity'";
                database.execute(sql).await;
            }
        }
    }
}

/// Opens a state in PostgreSQL.
pub(crate) async fn open_in(url: &str) -> flow::Result<Postgres> {
    let url = flow::Secret::new(url);
    let at = link::At { url: &url, tls: None, ca_file: None };
    let options = PostgresOptions { at, schema: "outflow_state", lease: None };
    Postgres::open(&options, PROJECT).await
}

#[track_caller]
pub(crate) fn open(dir: &Path) -> Sqlite {
    Sqlite::open(dir, PROJECT).unwrap()
}

/// The code of an opening that must fail.
#[track_caller]
pub(crate) fn refused(dir: &Path) -> flow::Error {
    match Sqlite::open(dir, PROJECT) {
        Ok(_) => panic!("the state was opened"),
        Err(error) => error,
    }
}

pub(crate) fn key(n: usize) -> Key {
    Key::from_parts(&[n.to_string()])
}

pub(crate) fn keys(range: std::ops::Range<usize>) -> Vec<Key> {
    range.map(key).collect()
}

/// An acknowledged row: a fingerprint, its own match value and a remote id.
pub(crate) fn entry(n: usize, version: u128) -> Entry {
    Entry {
        acknowledged: Some(Fingerprint(version << 64 | n as u128)),
        rejected: None,
        match_hash: Some(match_hash(n)),
        remote_id: Some(format!("remote-{n}")),
        gone: None,
    }
}

pub(crate) fn match_hash(n: usize) -> MatchHash {
    // Spread like a real hash, so that the index is written at random places.
    MatchHash((n as u128 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835))
}

pub(crate) fn change(n: usize, version: u128) -> LedgerChange {
    LedgerChange { key: key(n), entry: entry(n, version) }
}

pub(crate) fn changes(range: std::ops::Range<usize>, version: u128) -> Vec<LedgerChange> {
    range.map(|n| change(n, version)).collect()
}

pub(crate) fn commit(run_id: &str) -> Commit {
    Commit { run_id: run_id.to_owned(), at: AT, ..Commit::default() }
}

pub(crate) fn watermark(micros: i64) -> StoredWatermark {
    StoredWatermark {
        column: "updated_at".to_owned(),
        watermark: Watermark(micros),
        mapping: "m1".to_owned(),
    }
}

pub(crate) fn mark(said: &str) -> StoredMark {
    let mark = Some(Mark(said.to_owned()));
    StoredMark { mark, mapping: "m1".to_owned(), compared_at: AT }
}

pub(crate) fn reject(key: Option<Key>, code: &'static Code, field: Option<&str>) -> Reject {
    Reject {
        key,
        stage: if code.id.starts_with("R1") { Stage::Validate } else { Stage::Destination },
        code,
        field: field.map(str::to_owned),
        reason: "it does not fit".to_owned(),
        fingerprint: Some(Fingerprint(7)),
    }
}

pub(crate) fn run(id: &str, sync: &str, status: RunStatus) -> RunRecord {
    RunRecord {
        id: id.to_owned(),
        sync: sync.to_owned(),
        trigger: Trigger::Manual,
        status,
        started_at: AT,
        ended_at: None,
        counts: RunCounts::default(),
        error: None,
        wake_at: None,
    }
}

/// A lease of [`SYNC`] with a run that has begun.
pub(crate) async fn begin(store: &dyn State, run_id: &str) -> Lease {
    let lease = store.acquire(SYNC, AT).await.unwrap();
    store.put_run(&lease, &run(run_id, SYNC, RunStatus::Running)).await.unwrap();
    lease
}

/// The state a child process works in; none in the test run itself.
pub(crate) async fn child_state() -> Option<Box<dyn State>> {
    let word = std::env::var_os("OUTFLOW_STATE_TEST_DIR")?.into_string().unwrap();
    Some(match word.starts_with("postgres://") {
        true => Box::new(open_in(&word).await.unwrap()),
        false => Box::new(open(Path::new(&word))),
    })
}

/// Where a child process finds its directory; empty in the test run itself.
pub(crate) fn child_dir() -> Option<PathBuf> {
    std::env::var_os("OUTFLOW_STATE_TEST_DIR").map(PathBuf::from)
}

/// A command that runs one test of this binary in `dir`.
pub(crate) fn child_command(test: &str) -> Vec<OsString> {
    let binary = std::env::current_exe().unwrap();
    vec![
        binary.into(),
        "--exact".into(),
        test.into(),
        "--nocapture".into(),
        "--test-threads=1".into(),
    ]
}

/// Starts one test of this binary as a process of its own, working in `place`.
pub(crate) fn spawn(test: &str, place: impl AsRef<OsStr>) -> Child {
    spawn_command(&child_command(test), place)
}

pub(crate) fn spawn_command(command: &[OsString], place: impl AsRef<OsStr>) -> Child {
    Command::new(&command[0])
        .args(&command[1..])
        .env("OUTFLOW_STATE_TEST_DIR", place)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Copies the state's files as a crash would leave them.
pub(crate) fn copy_state(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for name in ["state.db", "state.db-wal"] {
        let _ = std::fs::remove_file(to.join(name));
        if from.join(name).exists() {
            std::fs::copy(from.join(name), to.join(name)).unwrap();
        }
    }
    let _ = std::fs::remove_file(to.join("state.db-shm"));
    let _ = std::fs::remove_dir_all(to.join("ledger"));
    std::fs::create_dir(to.join("ledger")).unwrap();
    for entry in std::fs::read_dir(from.join("ledger")).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join("ledger").join(entry.file_name())).unwrap();
    }
}

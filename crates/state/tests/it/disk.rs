//! A disk that is full or refuses to grow the file: a clear error, and the state opens again with every
//! acknowledged commit (S1, L3).

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Command;

use flow::Store;
use state::Sqlite;
use tempfile::tempdir;

use crate::fixture::*;

const ROWS: usize = 500;

/// Commits until one fails; answers how many were acknowledged and the failure's code.
async fn commit_until_refused(store: &Sqlite) -> (usize, &'static str) {
    let lease = begin(store, "r1").await;
    for n in 0.. {
        let mut next = commit("r1");
        next.ledger = changes(n * ROWS..(n + 1) * ROWS, 1);
        next.watermark = Some(watermark(n as i64));
        if let Err(error) = store.commit(&lease, next).await {
            return (n, error.code().id);
        }
    }
    unreachable!("the disk never filled up")
}

async fn check_acknowledged(dir: &Path, commits: usize) {
    let store = open(dir);
    let found = store.watermark(SYNC).await.unwrap().map(|stored| stored.watermark.0 as usize);
    assert_eq!(found, commits.checked_sub(1));
    let _lease = begin(&store, "r2").await;
    let entries = store.lookup(SYNC, &keys(0..(commits + 1) * ROWS)).await.unwrap();
    assert_eq!(entries.iter().filter(|entry| entry.is_some()).count(), commits * ROWS);
}

#[tokio::test]
async fn a_file_that_may_not_grow_stops_the_run_and_loses_nothing() {
    let dir = tempdir().unwrap();
    // `ulimit -f` counts blocks of 512 or 1,024 bytes, depending on the shell.
    let mut command: Vec<std::ffi::OsString> = vec![
        "sh".into(),
        "-c".into(),
        "trap '' XFSZ; ulimit -f 3000; exec \"$@\"".into(),
        "sh".into(),
    ];
    command.extend(child_command("disk::child_commits_until_refused"));
    let mut child = spawn_command(&command, dir.path());
    let output = BufReader::new(child.stdout.take().unwrap());
    let answer = output
        .lines()
        .map_while(Result::ok)
        .find_map(|line| line.split_once("refused after ").map(|(_, answer)| answer.to_owned()))
        .unwrap();
    child.wait().unwrap();
    let (commits, code) = answer.split_once(' ').unwrap();
    assert_eq!(code, "E3014");
    check_acknowledged(dir.path(), commits.parse().unwrap()).await;
}

#[tokio::test]
async fn child_commits_until_refused() {
    let Some(dir) = child_dir() else { return };
    let store = open(&dir);
    let (commits, code) = commit_until_refused(&store).await;
    println!("refused after {commits} {code}");
}

#[tokio::test]
async fn a_full_disk_stops_the_run_and_loses_nothing() {
    let dir = tempdir().unwrap();
    // A mount namespace of its own: the small disk is gone with the child, whatever happens.
    let script = format!(
        "mount -t tmpfs -o size=8m outflow-test '{}' || exit 40; exec \"$@\"",
        dir.path().display()
    );
    let mut command: Vec<std::ffi::OsString> =
        vec!["unshare".into(), "-m".into(), "sh".into(), "-c".into(), script.into(), "sh".into()];
    command.extend(child_command("disk::child_fills_its_small_disk"));
    let done = Command::new(&command[0])
        .args(&command[1..])
        .env("OUTFLOW_STATE_TEST_DIR", dir.path())
        .output();
    let Ok(done) = done else { return println!("skipped: no `unshare` here") };
    let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    if err.contains("unshare") || done.status.code() == Some(40) {
        return println!("skipped: mounting a small disk is not allowed here: {err}");
    }
    assert!(done.status.success() && out.contains("filled and recovered"), "{out}\n{err}");
}

#[tokio::test]
async fn child_fills_its_small_disk() {
    let Some(dir) = child_dir() else { return };
    // As much as the log, so that it can be folded into the file once this is gone.
    let ballast = dir.join("ballast");
    std::fs::write(&ballast, vec![1; 5 << 20]).unwrap();
    let state = dir.join("state");
    let store = open(&state);
    let (commits, code) = commit_until_refused(&store).await;
    assert_eq!(code, "E3013");
    assert!(commits > 0);
    // What was acknowledged can still be read, and with room again the same process goes on.
    assert_eq!(store.lookup(SYNC, &[key(0)]).await.unwrap(), [Some(entry(0, 1))]);
    std::fs::remove_file(ballast).unwrap();
    let lease = begin(&store, "r3").await;
    store.commit(&lease, commit("r3")).await.unwrap();
    drop((lease, store));
    check_acknowledged(&state, commits).await;
    println!("filled and recovered");
}

//! After SIGKILL at any moment the state opens and equals the state after some prefix of the acknowledged
//! commits (S1), and never runs ahead of them (D2).

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::sync::mpsc;
use std::time::Duration;

use flow::{RunStatus, Store};
use state::{RejectFilter, State};
use tempfile::tempdir;

use crate::fixture::*;

on_both! { every_acknowledged_commit_survives_a_kill_and_no_half_of_one_appears, }

const ROWS: usize = 40;
const KILLS: u64 = 20;

async fn every_acknowledged_commit_survives_a_kill_and_no_half_of_one_appears(place: Place) {
    let mut settled = 0;
    for kill in 0..KILLS {
        let acknowledged = commit_until_killed(&place, Duration::from_millis(17 * kill % 90));
        let store = place.open().await;
        let found = store.watermark(SYNC).await.unwrap().map_or(0, |stored| stored.watermark.0);
        let found = usize::try_from(found).unwrap();
        assert!(
            (acknowledged..=acknowledged + 1).contains(&found),
            "{acknowledged} commits were acknowledged, {found} are there"
        );
        assert!(found >= settled);
        settled = found;
        check_state_after(&*store, settled).await;
    }
    assert!(
        settled > 100,
        "only {settled} commits in all: the kills came too early to mean something"
    );
}

/// Rows of a commit of which some fill the memory of a ledger, so that files are made beside the commits.
const MANY: usize = 12_000;
/// Commits until the same rows are written again.
const SLOTS: usize = 16;

#[tokio::test]
async fn a_kill_while_ledger_files_are_made_loses_nothing_and_leaves_nothing() {
    let dir = tempdir().unwrap();
    let mut before = 0;
    for kill in 0..4 {
        let more = Duration::from_millis(900 + 170 * kill);
        let acknowledged = kill_child("crash::child_fills_a_ledger", dir.path(), more);
        let store = open(dir.path());
        let lease = store.acquire(SYNC, AT).await.unwrap();
        let found = store.watermark(SYNC).await.unwrap().map_or(0, |stored| stored.watermark.0);
        let found = usize::try_from(found).unwrap();
        assert!((acknowledged..=acknowledged + 1).contains(&found) && found >= before);
        before = found;
        for slot in 0..SLOTS.min(found) {
            // The last commit that wrote these rows.
            let version = found - (found + SLOTS - slot) % SLOTS;
            let rows: Vec<usize> = (slot * MANY..(slot + 1) * MANY).step_by(97).collect();
            let keys: Vec<_> = rows.iter().map(|row| key(*row)).collect();
            let entries = store.lookup(SYNC, &keys).await.unwrap();
            for (row, entry_found) in rows.iter().zip(entries) {
                let expected = (version > 0).then(|| entry(*row, version as u128));
                assert_eq!(entry_found, expected, "row {row} after {found} commits");
            }
        }
        let rows = found.min(SLOTS) * MANY;
        assert_eq!(store.syncs().await.unwrap()[0].ledger_rows, rows as u64);
        drop(lease);
        let left = std::fs::read_dir(dir.path().join("ledger")).unwrap().flatten();
        let left: Vec<_> = left.map(|file| file.file_name().into_string().unwrap()).collect();
        assert!(left.iter().all(|name| name.ends_with(".rows")), "{left:?}");
    }
    assert!(before > 2 * SLOTS, "only {before} commits: no file can have been made");
}

#[tokio::test]
async fn child_fills_a_ledger() {
    let Some(dir) = child_dir() else { return };
    let store = open(&dir);
    let run_id = format!("run-{}", std::process::id());
    let lease = begin(&store, &run_id).await;
    let done = store.watermark(SYNC).await.unwrap().map_or(0, |stored| stored.watermark.0);
    let mut out = std::io::stdout().lock();
    for n in usize::try_from(done).unwrap() + 1.. {
        let mut next = commit(&run_id);
        let slot = n % SLOTS;
        next.ledger = changes(slot * MANY..(slot + 1) * MANY, n as u128);
        next.watermark = Some(watermark(n as i64));
        store.commit(&lease, next).await.unwrap();
        writeln!(out, "acknowledged {n}").unwrap();
        out.flush().unwrap();
    }
}

/// Runs the child until it has acknowledged a commit, and `more` beyond that; answers the last one it
/// acknowledged.
fn commit_until_killed(place: &Place, more: Duration) -> usize {
    kill_child("crash::child_commits_in_a_loop", place.word(), more)
}

fn kill_child(test: &str, place: impl AsRef<OsStr>, more: Duration) -> usize {
    let mut child = spawn(test, place);
    let output = BufReader::new(child.stdout.take().unwrap());
    let (send, lines) = mpsc::channel();
    let reading = std::thread::spawn(move || {
        for line in output.lines().map_while(Result::ok) {
            if let Some(n) = line.strip_prefix("acknowledged ") {
                send.send(n.parse::<usize>().unwrap()).unwrap();
            }
        }
    });
    let mut last = lines.recv_timeout(Duration::from_secs(60)).unwrap();
    let deadline = tokio::time::Instant::now() + more;
    loop {
        let left = deadline.saturating_duration_since(tokio::time::Instant::now());
        match lines.recv_timeout(left) {
            Ok(n) => last = n,
            Err(_) => break,
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    reading.join().unwrap();
    lines.try_iter().last().unwrap_or(last)
}

/// The state after `n` commits of the child, and nothing else.
async fn check_state_after(store: &dyn State, n: usize) {
    let rows = n * ROWS;
    let found = store.lookup(SYNC, &keys(0..rows + ROWS)).await.unwrap();
    for (row, entry) in found.iter().enumerate() {
        assert_eq!(entry.is_some(), row < rows, "row {row} after {n} commits");
    }
    let sync = &store.syncs().await.unwrap()[0];
    assert_eq!(sync.ledger_rows, rows as u64);
    let rejects = store.rejects(&RejectFilter::default()).await.unwrap();
    assert_eq!(rejects.len(), 1);
    assert_eq!(rejects[0].last_at, AT + n as i64);
    let latest = sync.last_run.as_ref().unwrap();
    assert_eq!(latest.counts.unaccounted(), 0);
    // Taking the lease reads what the ledger is made of and marks the killed run.
    let lease = store.acquire(SYNC, AT).await.unwrap();
    let crashed = store.run(&latest.id).await.unwrap().unwrap();
    assert_eq!((crashed.status, crashed.counts), (RunStatus::Crashed, latest.counts));
    drop(lease);
}

#[tokio::test]
async fn child_commits_in_a_loop() {
    let Some(store) = child_state().await else { return };
    let run_id = format!("run-{}", std::process::id());
    let lease = store.acquire(SYNC, AT).await.unwrap();
    let done = store.watermark(SYNC).await.unwrap().map_or(0, |stored| stored.watermark.0);
    let mut started = run(&run_id, SYNC, RunStatus::Running);
    started.started_at = AT + done;
    store.put_run(&lease, &started).await.unwrap();
    let mut out = std::io::stdout().lock();
    let first = usize::try_from(done).unwrap();
    for n in first + 1.. {
        let mut next = commit(&run_id);
        next.at = AT + n as i64;
        // Rows of the commit before are written again, so that updates are cut as well.
        next.ledger = changes(n.saturating_sub(2) * ROWS..n * ROWS, n as u128);
        next.watermark = Some(watermark(n as i64));
        next.rejects = vec![reject(Some(key(1)), &R201, None)];
        next.counts.read = ((n - first) * ROWS) as u64;
        next.counts.created = next.counts.read;
        store.commit(&lease, next).await.unwrap();
        writeln!(out, "acknowledged {n}").unwrap();
        out.flush().unwrap();
    }
}

#[test]
fn a_state_whose_making_was_killed_is_made_again() {
    // S1: only a finished state ever has the name.
    for delay in 0..KILLS {
        let dir = tempdir().unwrap();
        let mut child = spawn("crash::child_makes_a_state", dir.path());
        let mut line = String::new();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        while !line.ends_with("making\n") {
            line.clear();
            assert!(output.read_line(&mut line).unwrap() > 0);
        }
        let (_never, wait) = mpsc::channel::<()>();
        let _ = wait.recv_timeout(Duration::from_millis(delay));
        child.kill().unwrap();
        child.wait().unwrap();
        drop(open(dir.path()));
    }
}

#[test]
fn child_makes_a_state() {
    let Some(dir) = child_dir() else { return };
    println!("making");
    drop(open(&dir));
}

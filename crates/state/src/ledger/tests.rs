//! Random histories of one ledger, with files of a few rows, against a map that remembers everything.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use flow::{
    Commit, Entry, Fingerprint, Gone, GoneHow, Key, KeyOrder, Lease, LedgerChange, LedgerRow,
    MatchHash, PartOrder, RunCounts, RunRecord, RunStatus, Store, Trigger,
};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::operator::State;
use crate::sqlite::Sqlite;

const SYNC: &str = "people";

/// What a ledger should remember: per key, when it was last changed and how.
#[derive(Default)]
struct Model {
    rows: BTreeMap<Key, (u64, Entry)>,
    changes: u64,
    order: KeyOrder,
}

impl Model {
    fn owner(&self, wanted: MatchHash) -> Option<Key> {
        self.rows
            .iter()
            .filter(|(_, (_, entry))| entry.match_hash == Some(wanted))
            .max_by_key(|(_, (change, entry))| (entry.rejected.is_none(), *change))
            .map(|(key, _)| key.clone())
    }

    /// All rows in the ledger's order.
    fn in_order(&self) -> Vec<(Key, Entry)> {
        let mut rows: Vec<_> =
            self.rows.iter().map(|(key, (_, entry))| (key.clone(), entry.clone())).collect();
        rows.sort_by_cached_key(|(key, _)| self.bytes(key));
        rows
    }

    fn bytes(&self, key: &Key) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.order.encode(key, &mut bytes);
        bytes
    }
}

#[derive(Debug, Clone)]
enum Step {
    Commit(Vec<(u8, Shape)>, Vec<u8>),
    Dirty(Vec<u8>),
    EndRun,
    /// Another process takes over; what was done beside the run is lost.
    Restart,
    Reset,
    /// Keys are numbers from now on, or texts again.
    Order(bool),
}

#[derive(Debug, Clone)]
struct Shape {
    version: u8,
    shared: Option<u8>,
    rejected: bool,
    gone: Option<u8>,
}

fn key(n: u8) -> Key {
    match n % 7 {
        0 => Key::from_parts(&[format!("{n:040}")]),
        1 => Key::from_parts(&["a\u{1f}b".to_owned(), n.to_string()]),
        _ => Key::from_parts(&[n.to_string()]),
    }
}

fn match_hash(n: u8) -> MatchHash {
    MatchHash::of(u128::from(n).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835))
}

fn entry(n: u8, shape: &Shape) -> Entry {
    let hows = [GoneHow::Absent, GoneHow::Said, GoneHow::Settled];
    Entry {
        acknowledged: Some(Fingerprint(u128::from(shape.version) + 1)),
        rejected: shape.rejected.then_some(Fingerprint(u128::from(shape.version))),
        match_hash: Some(match_hash(shape.shared.unwrap_or(n))),
        remote_id: (!n.is_multiple_of(3))
            .then(|| if n % 3 == 1 { n.to_string() } else { format!("id {n}") }),
        gone: shape.gone.map(|how| Gone { since: 9, how: hows[usize::from(how % 3)] }),
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let shape = (any::<u8>(), prop::option::weighted(0.1, 0_u8..5), prop::bool::weighted(0.1));
    let shape = (shape, prop::option::weighted(0.1, any::<u8>()))
        .prop_map(|((version, shared, rejected), gone)| Shape { version, shared, rejected, gone });
    let rows = prop::collection::vec((any::<u8>(), shape), 0..60);
    let some = || prop::collection::vec(any::<u8>(), 0..5);
    let step = prop_oneof![
        8 => (rows, some()).prop_map(|(rows, forgotten)| Step::Commit(rows, forgotten)),
        2 => prop::collection::vec(any::<u8>(), 0..10).prop_map(Step::Dirty),
        2 => Just(Step::EndRun),
        2 => Just(Step::Restart),
        1 => any::<bool>().prop_map(Step::Order),
        1 => prop::bool::weighted(0.2).prop_map(|reset| if reset { Step::Reset } else { Step::EndRun }),
    ];
    prop::collection::vec(step, 1..25)
}

fn run(status: RunStatus) -> RunRecord {
    RunRecord {
        id: "r".to_owned(),
        sync: SYNC.to_owned(),
        trigger: Trigger::Manual,
        status,
        started_at: 0,
        ended_at: None,
        counts: RunCounts::default(),
        error: None,
        wake_at: None,
    }
}

async fn begin(store: &Sqlite) -> Lease {
    let lease = store.acquire(SYNC, 0).await.unwrap();
    store.put_run(&lease, &run(RunStatus::Running)).await.unwrap();
    lease
}

/// Everything the ledger says is what the model says, also for another process that looks on.
async fn check(store: &Sqlite, dir: &Path, model: &Model) {
    let every: Vec<Key> = (0..=255).map(key).collect();
    let hashes: Vec<MatchHash> = (0..=255).map(match_hash).collect();
    let looker = Sqlite::open(dir, "acme").unwrap();
    for store in [store, &looker] {
        let found = store.lookup(SYNC, &every).await.unwrap();
        let expected: Vec<_> =
            every.iter().map(|key| model.rows.get(key).map(|(_, entry)| entry.clone())).collect();
        assert_eq!(found, expected);
        let owners = store.owners(SYNC, &hashes).await.unwrap();
        let expected: Vec<_> = hashes.iter().map(|hash| model.owner(*hash)).collect();
        assert_eq!(owners, expected);
        let mut scanned: Vec<(Key, Entry)> = Vec::new();
        loop {
            let after = scanned.last().map(|(key, _)| key.clone());
            let page = store.scan(SYNC, after.as_ref(), 50).await.unwrap();
            let last = page.len() < 50;
            scanned.extend(page);
            if last {
                break;
            }
        }
        let rows = || model.in_order().into_iter();
        assert_eq!(scanned, model.in_order());
        let mut stream =
            store.stream(SYNC, &model.order).await.unwrap().expect("it is in this order");
        let mut streamed = Vec::new();
        while let Some(page) = stream.next().await.unwrap() {
            streamed.extend((0..page.len()).map(|row| (page.key(row).to_vec(), page.row(row))));
        }
        let expected = rows().map(|(key, entry)| {
            let acknowledged = entry.acknowledged;
            let (is_rejected, is_gone) = (entry.rejected.is_some(), entry.gone.is_some());
            (model.bytes(&key), LedgerRow { acknowledged, is_rejected, is_gone })
        });
        assert_eq!(streamed, expected.collect::<Vec<_>>());
        assert!(store.stream(SYNC, &KeyOrder::by([PartOrder::Date])).await.unwrap().is_none());
        let waits = |entry: &Entry| entry.gone.is_some_and(|gone| gone.how != GoneHow::Settled);
        let gone: Vec<_> = rows().filter(|(_, entry)| waits(entry)).collect();
        assert_eq!(store.gone(SYNC, None, 1000).await.unwrap(), gone);
        if let Some((middle, _)) = gone.get(gone.len() / 2) {
            let rest = store.gone(SYNC, Some(middle), 3).await.unwrap();
            let expected = gone[gone.len() / 2 + 1..].iter().take(3).cloned().collect::<Vec<_>>();
            assert_eq!(rest, expected);
        }
        let ids = ["4".to_owned(), "id 5".to_owned(), "nobody".to_owned()];
        let holders: BTreeSet<_> = store.holders(SYNC, &ids).await.unwrap().into_iter().collect();
        let expected = rows().filter_map(|(key, entry)| {
            entry.remote_id.filter(|id| ids.contains(id)).map(|id| (id, key))
        });
        assert_eq!(holders, expected.collect());
        let known = store.syncs().await.unwrap();
        assert_eq!(known[0].ledger_rows, model.rows.len() as u64);
    }
}

async fn live_through(steps: Vec<Step>) -> usize {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Sqlite::open(dir.path(), "acme").unwrap();
    let mut lease = begin(&store).await;
    let mut model = Model::default();
    let mut files = 0;
    for step in steps {
        match step {
            Step::Commit(rows, forgotten) => {
                let mut commit = Commit { run_id: "r".to_owned(), ..Commit::default() };
                for (n, shape) in &rows {
                    let change = LedgerChange { key: key(*n), entry: entry(*n, shape) };
                    model.changes += 1;
                    model.rows.insert(change.key.clone(), (model.changes, change.entry.clone()));
                    commit.ledger.push(change);
                }
                commit.forgotten = forgotten.into_iter().map(key).collect();
                commit.forgotten.iter().for_each(|key| drop(model.rows.remove(key)));
                store.commit(&lease, commit).await.unwrap();
            }
            Step::Dirty(keys) => {
                let keys: Vec<Key> = keys.into_iter().map(key).collect();
                store.mark_dirty(&lease, &keys).await.unwrap();
                let mut keys: Vec<Key> = keys;
                keys.sort_by_cached_key(|key| model.bytes(key));
                for key in keys {
                    if let Some((change, entry)) = model.rows.get_mut(&key)
                        && entry.acknowledged.take().is_some()
                    {
                        model.changes += 1;
                        *change = model.changes;
                    }
                }
            }
            Step::EndRun => {
                store.put_run(&lease, &run(RunStatus::Ok)).await.unwrap();
                drop(lease);
                lease = begin(&store).await;
            }
            Step::Restart => {
                drop((lease, store));
                store = Sqlite::open(dir.path(), "acme").unwrap();
                lease = begin(&store).await;
            }
            Step::Order(numbers) => {
                let order =
                    if numbers { KeyOrder::by([PartOrder::Integer]) } else { KeyOrder::default() };
                store.order_keys(&lease, &order).await.unwrap();
                model.order = order;
            }
            Step::Reset => {
                store.reset(&lease).await.unwrap();
                model.rows.clear();
            }
        }
        check(&store, dir.path(), &model).await;
        files = files.max(std::fs::read_dir(dir.path().join("ledger")).unwrap().count());
    }
    files
}

#[test]
fn random_histories_are_remembered_exactly() {
    // D2, S1: through commits, files, merges, kills and resets.
    let runtime = tokio::runtime::Builder::new_multi_thread().build().unwrap();
    let mut runner =
        TestRunner::new(Config { cases: 30, failure_persistence: None, ..Config::default() });
    let most = std::cell::Cell::new(0);
    runner
        .run(&steps(), |steps| {
            most.set(most.get().max(runtime.block_on(live_through(steps))));
            Ok(())
        })
        .unwrap();
    assert!(most.get() >= 4, "several files were in use at once: {}", most.get());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_looks_on_while_files_come_and_go_sees_whole_commits() {
    // S1: a file that is merged away between a look at the state and the file is looked for again.
    const ROWS: u8 = 30;
    let dir = tempfile::tempdir().unwrap();
    let store = Sqlite::open(dir.path(), "acme").unwrap();
    let lease = begin(&store).await;
    let looker = Sqlite::open(dir.path(), "acme").unwrap();
    let keys: Vec<Key> = (0..ROWS).map(key).collect();
    let write = async {
        for version in 0..120_u8 {
            let mut commit = Commit { run_id: "r".to_owned(), ..Commit::default() };
            let shape = Shape { version, shared: None, rejected: false, gone: None };
            let change = |n: u8| LedgerChange { key: key(n), entry: entry(n, &shape) };
            commit.ledger = (0..ROWS).map(change).collect();
            store.commit(&lease, commit).await.unwrap();
            if version % 5 == 4 {
                store.put_run(&lease, &run(RunStatus::Ok)).await.unwrap();
                store.put_run(&lease, &run(RunStatus::Running)).await.unwrap();
            }
        }
    };
    let look = async {
        let mut seen = BTreeSet::new();
        while !seen.contains(&120) {
            let found = looker.lookup(SYNC, &keys).await.unwrap();
            let prints: BTreeSet<_> = found
                .iter()
                .map(|entry| {
                    entry.as_ref().and_then(|entry| entry.acknowledged).map(|print| print.0)
                })
                .collect();
            assert_eq!(prints.len(), 1, "all rows are of one commit");
            let print = prints.first().and_then(|print| *print).unwrap_or(0);
            assert!(seen.last().is_none_or(|last| *last <= print), "nothing goes back");
            seen.insert(print);
            assert!(matches!(looker.syncs().await.unwrap()[0].ledger_rows, 0 | 30));
            tokio::task::yield_now().await;
        }
        seen.len()
    };
    let ((), seen) = tokio::join!(write, look);
    assert!(seen > 5, "{seen} states were seen");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_begins_anew_waits_for_the_file_that_is_being_made() {
    // S1: clearing up would take the file away from under who writes it, and the next commit would fail.
    let dir = tempfile::tempdir().unwrap();
    let store = Sqlite::open(dir.path(), "acme").unwrap();
    let shape = Shape { version: 1, shared: None, rejected: false, gone: None };
    let mut lease = begin(&store).await;
    for round in 0..100 {
        for rows in [0..90, 90..180, 180..255] {
            let mut commit = Commit { run_id: "r".to_owned(), ..Commit::default() };
            let change = |n: u8| LedgerChange { key: key(n), entry: entry(n, &shape) };
            commit.ledger = rows.map(change).collect();
            store.commit(&lease, commit).await.unwrap();
        }
        if round % 2 == 0 {
            store.reset(&lease).await.unwrap();
        } else {
            drop(lease);
            lease = begin(&store).await;
        }
    }
}

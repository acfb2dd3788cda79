//! The simulated state: durable, transactional, fenced by epochs, and now and then out of order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use flow::{
    BackfillProgress, Commit, Entry, Error, GoneHow, Key, KeyOrder, Lease, LedgerStream, MatchHash,
    Result, RunRecord, RunStatus, Store, StoredJob, StoredWatermark, Unconfirmed, Watermark,
};

use super::oracle;
use super::universe::{BROKEN, LOST, Sabotage, State, Universe};
use crate::world::stream::stream;

/// What is durable.
#[derive(Default)]
pub(crate) struct Memory {
    pub(crate) ledger: BTreeMap<Key, (u64, Entry)>,
    payloads: BTreeMap<Key, Vec<u8>>,
    /// Open rejects by key; rows without a key share the `None`. The code is kept.
    pub(crate) rejects: BTreeMap<Option<Key>, &'static str>,
    /// The run that refused each of them last.
    refused_by: BTreeMap<Option<Key>, String>,
    pub(crate) watermark: Option<StoredWatermark>,
    pub(crate) backfills: BTreeMap<String, BackfillProgress>,
    pub(crate) runs: BTreeMap<String, RunRecord>,
    /// By key and the match value of the request nobody heard of: the time after which a write confirms.
    pub(crate) unconfirmed: BTreeMap<(Key, u128), i64>,
    pub(crate) unheard_at: Option<i64>,
    pub(crate) jobs: Vec<StoredJob>,
    pub(crate) epoch: i64,
    held_by: Option<i64>,
    changes: u64,
    pub(crate) commits: u64,
}

impl Memory {
    /// The row that was last acknowledged under a match value, as the real store tells it.
    pub(crate) fn owner(&self, wanted: MatchHash) -> Option<&Key> {
        self.ledger
            .iter()
            .filter(|(_, (_, entry))| entry.match_hash == Some(wanted))
            .max_by_key(|(_, (change, entry))| (entry.rejected.is_none(), *change))
            .map(|(key, _)| key)
    }

    fn page(
        &self,
        after: Option<&Key>,
        rows: usize,
        wanted: impl Fn(&Entry) -> bool,
    ) -> Vec<(Key, Entry)> {
        let found = self.ledger.iter().filter(|(key, _)| after.is_none_or(|after| *key > after));
        let found = found.filter(|(_, (_, entry))| wanted(entry)).take(rows);
        found.map(|(key, (_, entry))| (key.clone(), entry.clone())).collect()
    }

    /// A run that did not end left calls unheard.
    fn close_unfinished(&mut self, now: i64) {
        for run in self.runs.values_mut().filter(|run| run.status == RunStatus::Running) {
            run.status = RunStatus::Crashed;
            self.unheard_at = Some(now);
        }
    }

    fn rows_unconfirmed(&self, wanted: impl Fn(&Unconfirmed) -> bool) -> Vec<Unconfirmed> {
        let rows = self.unconfirmed.iter().map(|((key, hash), at)| Unconfirmed {
            key: key.clone(),
            match_hash: MatchHash(*hash),
            confirm_after: *at,
        });
        let mut rows: Vec<_> = rows.filter(wanted).collect();
        rows.sort_by(|a, b| (a.confirm_after, &a.key).cmp(&(b.confirm_after, &b.key)));
        rows
    }

    pub(crate) fn is_unconfirmed(&self, key: &Key) -> bool {
        self.unconfirmed.keys().any(|(unconfirmed, _)| unconfirmed == key)
    }

    /// Rows with this record id.
    pub(crate) fn holders<'a>(&'a self, id: &'a str) -> impl Iterator<Item = (&'a Key, &'a Entry)> {
        let rows = self.ledger.iter().map(|(key, (_, entry))| (key, entry));
        rows.filter(move |(_, entry)| entry.remote_id.as_deref() == Some(id))
    }

    pub(crate) fn holder<'a>(&'a self, id: &'a str) -> Option<&'a Key> {
        self.holders(id).next().map(|(key, _)| key)
    }

    pub(crate) fn open_keys(&self) -> BTreeSet<Key> {
        self.rejects.keys().flatten().cloned().collect()
    }
}

pub(crate) struct SimStore(pub(crate) Arc<Universe>);

struct Held(Arc<Universe>, i64);

impl Drop for Held {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        if state.memory.held_by == Some(self.1) {
            state.memory.held_by = None;
        }
    }
}

impl SimStore {
    /// Gives the lease to somebody new, whoever holds it.
    pub(crate) fn take_over(&self, sync: &str) -> Lease {
        let mut state = self.0.lock();
        state.memory.epoch += 1;
        let epoch = state.memory.epoch;
        state.memory.held_by = Some(epoch);
        let now = state.now();
        if state.is(Sabotage::ForgetsJobs) {
            state.memory.jobs.clear();
        }
        if !state.is(Sabotage::ForgetsCrashes) {
            state.memory.close_unfinished(now);
        }
        if state.is(Sabotage::Amnesia) {
            state.memory.ledger.values_mut().for_each(|(_, entry)| entry.acknowledged = None);
        }
        drop(state);
        Lease::new(sync.to_owned(), epoch, Held(Arc::clone(&self.0), epoch))
    }

    /// One write: it may fail before anything happened, or after everything did.
    async fn write(
        &self,
        lease: &Lease,
        what: &str,
        change: impl FnOnce(&mut State) + Send,
    ) -> Result<()> {
        self.0.step(what).await;
        {
            let mut state = self.0.lock();
            let newest = state.memory.epoch;
            if newest != lease.epoch {
                if !state.is(Sabotage::NoFence) {
                    return Err(Error::new(&LOST, "another run took over"));
                }
                state.breach(format!("S2: {what} of an owner whose lease was taken over"));
            }
            if state.misfortune(if what == "commit" { 0.04 } else { 0.01 }) {
                state.note(format_args!("store fails at {what}"));
                return Err(Error::new(&BROKEN, "disk full"));
            }
            change(&mut state);
        }
        self.0.step(what).await;
        match self.0.lock().misfortune(0.005) {
            true => Err(Error::new(&BROKEN, "the answer of the state was lost")),
            false => Ok(()),
        }
    }

    async fn look<T>(&self, what: &str, look: impl FnOnce(&Memory) -> T + Send) -> Result<T> {
        self.0.step(what).await;
        let mut state = self.0.lock();
        if state.misfortune(0.005) {
            return Err(Error::new(&BROKEN, "the state cannot be read"));
        }
        Ok(look(&state.memory))
    }
}

#[async_trait]
impl Store for SimStore {
    async fn acquire(&self, sync: &str, _at: i64) -> Result<Lease> {
        self.0.step("acquire").await;
        if self.0.lock().memory.held_by.is_some() {
            return Err(Error::new(&LOST, "another run holds the lease"));
        }
        Ok(self.take_over(sync))
    }

    async fn put_run(&self, lease: &Lease, run: &RunRecord) -> Result<()> {
        let run = run.clone();
        self.write(lease, "put_run", move |state| {
            state.note(format_args!("run is {:?}: {:?} {:?}", run.status, run.counts, run.error));
            state.memory.runs.insert(run.id.clone(), run);
        })
        .await
    }

    async fn watermark(&self, _sync: &str) -> Result<Option<StoredWatermark>> {
        self.look("watermark", |memory| memory.watermark.clone()).await
    }

    async fn backfill(&self, _sync: &str, spec: &str) -> Result<Option<BackfillProgress>> {
        self.look("backfill", |memory| memory.backfills.get(spec).cloned()).await
    }

    async fn lookup(&self, _sync: &str, keys: &[Key]) -> Result<Vec<Option<Entry>>> {
        let entry = |memory: &Memory, key| memory.ledger.get(key).map(|(_, entry)| entry.clone());
        self.look("lookup", |memory| keys.iter().map(|key| entry(memory, key)).collect()).await
    }

    async fn payloads(&self, _sync: &str, keys: &[Key]) -> Result<Vec<Option<Vec<u8>>>> {
        let known = |memory: &Memory, key| memory.payloads.get(key).cloned();
        self.look("payloads", |memory| keys.iter().map(|key| known(memory, key)).collect()).await
    }

    async fn payloads_after(
        &self,
        _sync: &str,
        after: Option<&Key>,
        rows: usize,
    ) -> Result<Vec<(Key, Vec<u8>)>> {
        let later = |memory: &Memory| {
            let later = memory.payloads.iter().filter(|(key, _)| after.is_none_or(|a| *key > a));
            later.take(rows).map(|(key, bytes)| (key.clone(), bytes.clone())).collect()
        };
        self.look("payloads_after", later).await
    }

    async fn known_rows(&self, _sync: &str) -> Result<u64> {
        let known = |(_, entry): &&(u64, Entry)| entry.match_hash.is_some();
        self.look("known_rows", |memory| memory.ledger.values().filter(known).count() as u64).await
    }

    async fn owners(&self, _sync: &str, matches: &[MatchHash]) -> Result<Vec<Option<Key>>> {
        let owner = |memory: &Memory, hash: &MatchHash| memory.owner(*hash).cloned();
        self.look("owners", |memory| matches.iter().map(|hash| owner(memory, hash)).collect()).await
    }

    async fn holders(&self, _sync: &str, record_ids: &[String]) -> Result<Vec<(String, Key)>> {
        let holder = |(key, (_, entry)): (&Key, &(u64, Entry))| {
            let id = entry.remote_id.clone().filter(|id| record_ids.contains(id))?;
            Some((id, key.clone()))
        };
        self.look("holders", |memory| memory.ledger.iter().filter_map(holder).collect()).await
    }

    async fn stream(&self, _sync: &str, order: &KeyOrder) -> Result<Option<Box<dyn LedgerStream>>> {
        let rows = |memory: &Memory| {
            stream(memory.ledger.iter().map(|(key, (_, entry))| (key, entry)), order)
        };
        self.look("stream", |memory| Some(rows(memory))).await
    }

    async fn scan(
        &self,
        _sync: &str,
        after: Option<&Key>,
        rows: usize,
    ) -> Result<Vec<(Key, Entry)>> {
        self.look("scan", |memory| memory.page(after, rows, |_| true)).await
    }

    async fn gone(
        &self,
        _sync: &str,
        after: Option<&Key>,
        rows: usize,
    ) -> Result<Vec<(Key, Entry)>> {
        let open = |entry: &Entry| entry.gone.is_some_and(|gone| gone.how != GoneHow::Settled);
        self.look("gone", |memory| memory.page(after, rows, open)).await
    }

    async fn mark_dirty(&self, lease: &Lease, keys: &[Key]) -> Result<()> {
        self.write(lease, "mark_dirty", |state| {
            if state.is(Sabotage::ForgetsDirty) {
                return;
            }
            for key in keys {
                if let Some((_, entry)) = state.memory.ledger.get_mut(key) {
                    entry.acknowledged = None;
                }
            }
        })
        .await
    }

    async fn commit(&self, lease: &Lease, commit: Commit) -> Result<()> {
        self.write(lease, "commit", |state| settle(state, commit)).await
    }

    async fn end_backfill(&self, lease: &Lease, spec: &str) -> Result<()> {
        self.write(lease, "end_backfill", |state| {
            state.memory.backfills.remove(spec);
        })
        .await
    }

    async fn rejected_keys(
        &self,
        _sync: &str,
        codes: Option<&[&str]>,
        (seen_by, rows_max): (&str, usize),
    ) -> Result<Vec<Key>> {
        self.look("rejected_keys", |memory| {
            let rejects = memory.rejects.iter().filter(|(key, code)| {
                codes.is_none_or(|codes| codes.contains(*code))
                    && memory.refused_by[*key] != seen_by
            });
            rejects.filter_map(|(key, _)| key.clone()).take(rows_max).collect()
        })
        .await
    }

    async fn open_rejects(&self, _sync: &str) -> Result<(u64, Option<i64>)> {
        self.look("open_rejects", |memory| (memory.rejects.len() as u64, None)).await
    }

    async fn unconfirmed(
        &self,
        _sync: &str,
        keys: &[Key],
        matches: &[MatchHash],
    ) -> Result<Vec<Unconfirmed>> {
        let wanted =
            |row: &Unconfirmed| keys.contains(&row.key) || matches.contains(&row.match_hash);
        self.look("unconfirmed", |memory| memory.rows_unconfirmed(wanted)).await
    }

    async fn to_confirm(&self, _sync: &str, at: i64, rows_max: usize) -> Result<Vec<Unconfirmed>> {
        let look = |memory: &Memory| {
            let later = |row: &Unconfirmed| row.confirm_after > at;
            let later = memory.rows_unconfirmed(later);
            memory.rows_unconfirmed(|row| {
                row.confirm_after <= at && later.iter().all(|later| later.key != row.key)
            })
        };
        let mut rows = self.look("to_confirm", look).await?;
        rows.truncate(rows_max);
        Ok(rows)
    }

    async fn unconfirmed_rows(&self, _sync: &str) -> Result<u64> {
        self.look("unconfirmed_rows", |memory| memory.unconfirmed.len() as u64).await
    }

    async fn unheard_at(&self, _sync: &str) -> Result<Option<i64>> {
        self.look("unheard_at", |memory| memory.unheard_at).await
    }

    async fn put_unheard(&self, lease: &Lease, at: i64) -> Result<()> {
        self.write(lease, "put_unheard", |state| state.memory.unheard_at = Some(at)).await
    }

    async fn put_job(&self, lease: &Lease, job: &StoredJob) -> Result<()> {
        self.write(lease, "put_job", |state| state.memory.jobs.push(job.clone())).await
    }

    async fn job_created(&self, lease: &Lease, job: &str, remote_id: &str) -> Result<()> {
        self.write(lease, "job_created", |state| {
            let jobs = state.memory.jobs.iter_mut();
            let known = jobs.map(|job| &mut job.open).find(|open| open.key == job);
            known.expect("the intent comes first").remote_id = Some(remote_id.to_owned());
        })
        .await
    }

    async fn jobs(&self, _sync: &str) -> Result<Vec<StoredJob>> {
        let jobs = self.look("jobs", |memory| memory.jobs.clone()).await?;
        // Rows that an earlier run read, and that this one may settle.
        let rows: usize = jobs.iter().map(|job| job.rows.len()).sum();
        self.0.lock().rows_given += rows as u64;
        Ok(jobs)
    }
}

/// One transaction, in the order of the real store; then the oracles look.
fn settle(state: &mut State, mut commit: Commit) {
    state.note(format_args!(
        "commits {} ledger, rejects {:?}, resolved {:?}, watermark {:?}",
        commit.ledger.len(),
        commit.rejects.iter().map(|r| (&r.key, r.code.id)).collect::<Vec<_>>(),
        commit.resolved,
        commit.watermark.as_ref().map(|stored| stored.watermark)
    ));
    if state.is(Sabotage::Miscounts) && commit.counts.updated > 0 {
        commit.counts.updated -= 1;
    }
    if state.is(Sabotage::ForgetsUnconfirmed) {
        commit.unconfirmed.clear();
    }
    if state.is(Sabotage::LosesRejects) {
        commit.rejects.clear();
    }
    let now = state.now();
    if let Some(stored) = &mut commit.watermark {
        state.memory.commits += 1;
        if state.is(Sabotage::WatermarkEarly) {
            stored.watermark = Watermark(now);
        }
        if state.is(Sabotage::WatermarkBack) && state.memory.commits.is_multiple_of(2) {
            stored.watermark = stored.watermark.minus_micros(60_000_000);
        }
    }
    let before = state.memory.watermark.clone();
    let memory = &mut state.memory;
    for change in commit.ledger {
        memory.changes += 1;
        memory.ledger.insert(change.key, (memory.changes, change.entry));
    }
    memory.payloads.extend(commit.payloads);
    for key in commit.forgotten {
        memory.payloads.remove(&key);
        memory.ledger.remove(&key);
    }
    for key in commit.resolved {
        memory.rejects.remove(&Some(key));
    }
    memory.unconfirmed.retain(|(key, _), _| !commit.confirmed.contains(key));
    for row in commit.unconfirmed {
        let at = memory.unconfirmed.entry((row.key, row.match_hash.0)).or_default();
        *at = row.confirm_after.max(*at);
    }
    memory.jobs.retain(|job| !commit.ended_jobs.contains(&job.open.key));
    for reject in commit.rejects {
        memory.refused_by.insert(reject.key.clone(), commit.run_id.clone());
        memory.rejects.insert(reject.key, reject.code.id);
    }
    if let Some(watermark) = commit.watermark {
        memory.watermark = Some(watermark);
    }
    if let Some(progress) = commit.backfill {
        memory.backfills.insert(progress.spec.clone(), progress);
    }
    oracle::at_commit(state, before.as_ref(), commit.counts);
}

//! The port: every call becomes work for the thread that has the connections.

use std::rc::Rc;
use std::time::Duration;

use async_trait::async_trait;
use flow::{
    BackfillProgress, Claim, Commit, Entry, Key, KeyOrder, Kind, Lease, LedgerStream, MatchHash,
    Result, RunRecord, Store, StoredJob, StoredMark, StoredWatermark, Target, Unconfirmed, Work,
};

use super::lease::{Taken, usable};
use super::pool::Pool;
use super::session::Session;
use super::syncs::SyncRow;
use super::{
    Postgres, jobs, lease, ledger, payloads, progress, rejects, runs, shards, stream, syncs,
    unconfirmed,
};
use crate::progress::Written;

/// The server needs a moment to notice that a session has ended, so a refusal is believed only after some tries.
const LEASE_TRIES: u32 = 40;
const LEASE_PAUSE: Duration = Duration::from_millis(50);

impl Postgres {
    async fn list(
        &self,
        sync: &str,
        (gone, after, rows): (bool, Option<&Key>, usize),
    ) -> Result<Vec<(Key, Entry)>> {
        let after = after.cloned();
        let found = self
            .read(sync, async move |session: &Session, sync: &SyncRow| {
                ledger::page(session, sync, (gone, after.as_ref(), rows)).await
            })
            .await?;
        Ok(found.unwrap_or_default())
    }
}

#[async_trait]
impl Store for Postgres {
    async fn acquire(&self, sync: &str, at: i64) -> Result<Lease> {
        crate::lease::check_name(sync)?;
        for attempt in 1.. {
            let (name, home) = (sync.to_owned(), self.home().weak());
            let taking = async move |pool: &Rc<Pool>| lease::take(pool, home, (&name, at)).await;
            match self.home().run(taking).await? {
                Taken::Ours(lease) => return Ok(lease),
                Taken::Held(holder) if attempt == LEASE_TRIES => {
                    return Err(lease::refused(sync, &holder));
                }
                Taken::Held(_) => tokio::time::sleep(LEASE_PAUSE).await,
            }
        }
        unreachable!("the last attempt returns")
    }

    fn is_certain(&self, lease: &Lease) -> bool {
        lease::is_certain(lease)
    }

    async fn confirm_lease(&self, lease: &Lease) -> Result<()> {
        let held = lease.leave();
        self.home().run(async move |pool: &Rc<Pool>| lease::confirm(pool, &held).await).await
    }

    async fn put_run(&self, lease: &Lease, run: &RunRecord) -> Result<()> {
        usable(lease)?;
        let (run, part) = (run.clone(), lease::part_of(lease));
        self.write(lease, async move |session: &Session, sync: &mut SyncRow| {
            runs::put(session, (sync.id, part), &run).await
        })
        .await
    }

    async fn target(&self, sync: &str) -> Result<Option<Target>> {
        let found = self
            .read(sync, async |session: &Session, sync: &SyncRow| {
                progress::target(session, &sync.name).await
            })
            .await?;
        Ok(found.flatten())
    }

    async fn put_target(&self, lease: &Lease, target: &Target) -> Result<()> {
        usable(lease)?;
        let target = target.clone();
        self.write(lease, async move |session: &Session, sync: &mut SyncRow| {
            progress::put_target(session, &sync.name, &target).await
        })
        .await
    }

    async fn watermark(&self, sync: &str) -> Result<Option<StoredWatermark>> {
        let found = self
            .read(sync, async |session: &Session, sync: &SyncRow| {
                progress::watermark(session, sync.id).await
            })
            .await?;
        Ok(found.flatten())
    }

    async fn mark(&self, sync: &str) -> Result<Option<StoredMark>> {
        let found = self
            .read(sync, async |session: &Session, sync: &SyncRow| {
                progress::mark(session, sync.id).await
            })
            .await?;
        Ok(found.flatten())
    }

    async fn backfill(&self, sync: &str, spec: &str) -> Result<Option<BackfillProgress>> {
        let spec = spec.to_owned();
        let found = self
            .read(sync, async move |session: &Session, sync: &SyncRow| {
                progress::backfill(session, sync.id, &spec).await
            })
            .await?;
        Ok(found.flatten())
    }

    async fn lookup(&self, sync: &str, keys: &[Key]) -> Result<Vec<Option<Entry>>> {
        let (count, keys) = (keys.len(), keys.to_vec());
        let found = self
            .read(sync, async move |session: &Session, sync: &SyncRow| {
                ledger::lookup(session, sync, &keys).await
            })
            .await?;
        Ok(found.unwrap_or_else(|| vec![None; count]))
    }

    async fn payloads(&self, sync: &str, keys: &[Key]) -> Result<Vec<Option<Vec<u8>>>> {
        let (count, keys) = (keys.len(), keys.to_vec());
        let found = self
            .read(sync, async move |session: &Session, sync: &SyncRow| {
                payloads::of(session, sync.id, &keys).await
            })
            .await?;
        Ok(found.unwrap_or_else(|| vec![None; count]))
    }

    async fn payloads_after(
        &self,
        sync: &str,
        after: Option<&Key>,
        rows: usize,
    ) -> Result<Vec<(Key, Vec<u8>)>> {
        let after = after.cloned();
        let found = self
            .read(sync, async move |session: &Session, sync: &SyncRow| {
                payloads::page(session, sync.id, (after.as_ref(), rows)).await
            })
            .await?;
        Ok(found.unwrap_or_default())
    }

    async fn known_rows(&self, sync: &str) -> Result<u64> {
        let known = self
            .read(sync, async |session: &Session, sync: &SyncRow| {
                ledger::count(session, sync).await.map(|(_, known)| known)
            })
            .await?;
        Ok(known.unwrap_or(0))
    }

    async fn owners(&self, sync: &str, matches: &[MatchHash]) -> Result<Vec<Option<Key>>> {
        let (count, matches) = (matches.len(), matches.to_vec());
        let found = self
            .read(sync, async move |session: &Session, sync: &SyncRow| {
                ledger::owners(session, sync, &matches).await
            })
            .await?;
        Ok(found.unwrap_or_else(|| vec![None; count]))
    }

    async fn holders(&self, sync: &str, record_ids: &[String]) -> Result<Vec<(String, Key)>> {
        let ids = record_ids.to_vec();
        let found = self
            .read(sync, async move |session: &Session, sync: &SyncRow| {
                ledger::holders(session, sync, &ids).await
            })
            .await?;
        Ok(found.unwrap_or_default())
    }

    async fn order_keys(&self, lease: &Lease, order: &KeyOrder) -> Result<()> {
        usable(lease)?;
        let (held, order) = (lease.leave(), order.clone());
        let reordering = async move |pool: &Rc<Pool>| {
            pool.write(async |session: &Session| {
                let mut sync = syncs::owned(session, &held).await?;
                if sync.order == order {
                    return Ok(());
                }
                stream::reorder(pool, session, (&mut sync, &order)).await
            })
            .await
        };
        self.home().run(reordering).await
    }

    async fn stream(&self, sync: &str, order: &KeyOrder) -> Result<Option<Box<dyn LedgerStream>>> {
        let (name, order) = (sync.to_owned(), order.clone());
        let beginning = async move |pool: &Rc<Pool>| {
            let known = syncs::find(&*pool.session().await?, &name).await?;
            match known {
                // Of a sync that never ran there is nothing in any order.
                None => Ok(Some(stream::nothing())),
                Some(sync) if sync.order == order => stream::begin(pool, &sync).await.map(Some),
                Some(_) => Ok(None),
            }
        };
        let stream = self.home().run(beginning).await?;
        Ok(stream.map(|stream| Box::new(stream) as Box<dyn LedgerStream>))
    }

    async fn scan(
        &self,
        sync: &str,
        after: Option<&Key>,
        rows: usize,
    ) -> Result<Vec<(Key, Entry)>> {
        self.list(sync, (false, after, rows)).await
    }

    async fn gone(
        &self,
        sync: &str,
        after: Option<&Key>,
        rows: usize,
    ) -> Result<Vec<(Key, Entry)>> {
        self.list(sync, (true, after, rows)).await
    }

    async fn mark_dirty(&self, lease: &Lease, keys: &[Key]) -> Result<()> {
        usable(lease)?;
        let keys = keys.to_vec();
        self.write(lease, async move |session: &Session, sync: &mut SyncRow| {
            ledger::mark_dirty(session, sync, &keys).await
        })
        .await
    }

    async fn commit(&self, lease: &Lease, commit: Commit) -> Result<()> {
        usable(lease)?;
        let part = lease::part_of(lease);
        self.write(lease, async move |session: &Session, sync: &mut SyncRow| {
            settle(session, (sync, part), &commit).await
        })
        .await
    }

    async fn end_backfill(&self, lease: &Lease, spec: &str) -> Result<()> {
        usable(lease)?;
        let spec = spec.to_owned();
        self.write(lease, async move |session: &Session, sync: &mut SyncRow| {
            progress::end_backfill(session, sync.id, &spec).await
        })
        .await
    }

    async fn rejected_keys(
        &self,
        sync: &str,
        codes: Option<&[&str]>,
        (seen_by, rows_max): (&str, usize),
    ) -> Result<Vec<Key>> {
        let owned = |codes: &[&str]| codes.iter().map(|code| (*code).to_owned()).collect();
        let codes: Option<Vec<String>> = codes.map(owned);
        let seen_by = seen_by.to_owned();
        let found = self
            .read(sync, async move |session: &Session, sync: &SyncRow| {
                rejects::keys(session, sync.id, codes.as_deref(), (&seen_by, rows_max)).await
            })
            .await?;
        Ok(found.unwrap_or_default())
    }

    async fn open_rejects(&self, sync: &str) -> Result<(u64, Option<i64>)> {
        let found = self
            .read(sync, async |session: &Session, sync: &SyncRow| {
                rejects::open(session, sync.id).await
            })
            .await?;
        Ok(found.unwrap_or((0, None)))
    }

    async fn unconfirmed(
        &self,
        sync: &str,
        keys: &[Key],
        matches: &[MatchHash],
    ) -> Result<Vec<Unconfirmed>> {
        let (keys, matches) = (keys.to_vec(), matches.to_vec());
        let found = self
            .read(sync, async move |session: &Session, sync: &SyncRow| {
                unconfirmed::of(session, sync.id, (&keys, &matches)).await
            })
            .await?;
        Ok(found.unwrap_or_default())
    }

    async fn to_confirm(&self, sync: &str, at: i64, rows_max: usize) -> Result<Vec<Unconfirmed>> {
        let found = self
            .read(sync, async move |session: &Session, sync: &SyncRow| {
                unconfirmed::due(session, sync.id, (at, rows_max)).await
            })
            .await?;
        Ok(found.unwrap_or_default())
    }

    async fn unconfirmed_rows(&self, sync: &str) -> Result<u64> {
        let found = self
            .read(sync, async |session: &Session, sync: &SyncRow| {
                unconfirmed::count(session, sync.id).await
            })
            .await?;
        Ok(found.unwrap_or_default())
    }

    async fn unheard_at(&self, sync: &str) -> Result<Option<i64>> {
        let found = self
            .read(sync, async |session: &Session, sync: &SyncRow| {
                unconfirmed::unheard(session, sync.id).await
            })
            .await?;
        Ok(found.flatten())
    }

    async fn put_unheard(&self, lease: &Lease, at: i64) -> Result<()> {
        usable(lease)?;
        self.write(lease, async move |session: &Session, sync: &mut SyncRow| {
            unconfirmed::put_unheard(session, sync.id, at).await
        })
        .await
    }

    async fn put_job(&self, lease: &Lease, job: &StoredJob) -> Result<()> {
        usable(lease)?;
        let (job, part) = (job.clone(), lease::part_of(lease));
        self.write(lease, async move |session: &Session, sync: &mut SyncRow| {
            jobs::put(session, (sync.id, part), &job).await
        })
        .await
    }

    async fn job_created(&self, lease: &Lease, job: &str, remote_id: &str) -> Result<()> {
        usable(lease)?;
        let (job, remote_id) = (job.to_owned(), remote_id.to_owned());
        self.write(lease, async move |session: &Session, sync: &mut SyncRow| {
            jobs::created(session, (sync.id, 0), (&job, &remote_id)).await
        })
        .await
    }

    async fn jobs(&self, sync: &str) -> Result<Vec<StoredJob>> {
        let found = self
            .read(sync, async |session: &Session, sync: &SyncRow| {
                jobs::all(session, sync.id, None).await
            })
            .await?;
        Ok(found.unwrap_or_default())
    }

    async fn own_jobs(&self, lease: &Lease) -> Result<Vec<StoredJob>> {
        let part = Some(lease::part_of(lease)).filter(|part| *part > 0);
        let found = self
            .read(&lease.sync, async move |session: &Session, sync: &SyncRow| {
                jobs::all(session, sync.id, part).await
            })
            .await?;
        Ok(found.unwrap_or_default())
    }

    async fn claim(&self, sync: &str, work: &Work, at: i64) -> Result<Claim> {
        crate::lease::check_name(sync)?;
        for attempt in 1.. {
            let (name, work, home) = (sync.to_owned(), work.clone(), self.home().weak());
            let claiming =
                async move |pool: &Rc<Pool>| shards::claim(pool, home, (&name, &work, at)).await;
            match self.home().run(claiming).await {
                Err(error) if error.kind() == Kind::Lease && attempt < LEASE_TRIES => {
                    tokio::time::sleep(LEASE_PAUSE).await;
                }
                claimed => return claimed,
            }
        }
        unreachable!("the last attempt returns")
    }

    async fn end_shard(&self, lease: &Lease, run_id: &str, at: i64) -> Result<bool> {
        let (run_id, part) = (run_id.to_owned(), lease::part_of(lease));
        self.write(lease, async move |session: &Session, sync: &mut SyncRow| {
            shards::finish(session, (sync, part), (&run_id, at)).await
        })
        .await
    }
}

/// Everything one settled range changes (D2).
async fn settle(session: &Session, (sync, part): (&SyncRow, i32), commit: &Commit) -> Result<()> {
    let written = Written { run_id: &commit.run_id, at: commit.at };
    ledger::put(session, sync, (&commit.ledger, &commit.forgotten)).await?;
    payloads::put(session, sync.id, (&commit.payloads, &commit.forgotten)).await?;
    rejects::resolve(session, sync.id, &commit.resolved).await?;
    rejects::put(session, sync.id, &commit.rejects, &written).await?;
    unconfirmed::put(session, sync.id, (&commit.confirmed, &commit.unconfirmed)).await?;
    jobs::forget(session, sync.id, &commit.ended_jobs).await?;
    if let Some(watermark) = &commit.watermark {
        // What a shard has settled says nothing about the others; that a mapping is left, is said of the whole.
        match part > 0 && !watermark.mapping.is_empty() {
            true => shards::put_watermark(session, (sync.id, part), watermark).await?,
            false => progress::put_watermark(session, sync.id, watermark, &written).await?,
        }
    }
    let mark = commit.mark.as_ref().filter(|mark| part == 0 || mark.mapping.is_empty());
    if let Some(mark) = mark {
        progress::put_mark(session, sync.id, mark, &written).await?;
    }
    if let Some(backfill) = &commit.backfill {
        progress::put_backfill(session, sync.id, backfill, commit.at).await?;
    }
    runs::put_counts(session, sync.id, commit).await
}

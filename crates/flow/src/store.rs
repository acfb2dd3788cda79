//! The port to the state: what is remembered between runs, and the one transaction that moves it.

use async_trait::async_trait;
use serde::Serialize;

use crate::{
    Claim, Fingerprint, Key, KeyOrder, Lease, LedgerStream, Mark, MatchHash, Position, Reject,
    Result, RunCounts, RunRecord, StoredJob, Unconfirmed, Watermark, Work,
};

/// The ledger's memory of one row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entry {
    /// Fingerprint of the last acknowledged payload; `None` when nothing was acknowledged yet or a later
    /// write's outcome is not known (dirty).
    pub acknowledged: Option<Fingerprint>,
    /// Fingerprint of the payload of the row's open reject; zero where no payload could be made.
    /// `None` when the row has no open reject.
    pub rejected: Option<Fingerprint>,
    /// What the record is found by at the destination, as last acknowledged.
    pub match_hash: Option<MatchHash>,
    /// The destination's record id, where it gives one.
    pub remote_id: Option<String>,
    /// The row left the model. `None` while it is there, or has not been missed yet.
    pub gone: Option<Gone>,
}

/// A row that left the model, and that its sync still knows a record of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gone {
    /// When a read first found it gone, in microseconds since 1970; coming back ends it.
    pub since: i64,
    /// How that is known, or that it was acted upon.
    pub how: GoneHow,
}

/// How it is known that a row left the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GoneHow {
    /// A complete read did not contain it.
    Absent,
    /// The row is there and says so itself ([`crate::Model::removed_when`]).
    Said,
    /// Its record was updated as a removed one; there is nothing left to do unless it comes back.
    Settled,
}

impl GoneHow {
    /// The word used in state.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Said => "said",
            Self::Settled => "settled",
        }
    }
}

/// A new memory of one row; replaces the old one.
#[derive(Debug, Clone)]
pub struct LedgerChange {
    /// The row.
    pub key: Key,
    /// What to remember.
    pub entry: Entry,
}

/// How far a sync has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredWatermark {
    /// The progress column it belongs to.
    pub column: String,
    /// Every change up to here that was visible is acknowledged or a reject.
    pub watermark: Watermark,
    /// Names the mapping those rows were sent with. Under another one every row is looked at again.
    pub mapping: String,
}

/// The last snapshot whose every change is settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredMark {
    /// What the source said about it; `None` where it has nothing to say.
    pub mark: Option<Mark>,
    /// Names the mapping its rows were sent with.
    pub mapping: String,
    /// When every row was last compared, in microseconds since 1970 UTC.
    pub compared_at: i64,
}

/// What the memory of a sync is about. What was acknowledged by one account says nothing about another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The destination's account, where it says so.
    pub account: Option<String>,
    /// The destination's object.
    pub object: String,
    /// The columns the ledger's keys are made of.
    pub primary_key: Vec<String>,
    /// Names the object's fields as they were when every row refused before was last tried with them.
    pub schema: Option<String>,
}

/// How far a backfill has come; the same backfill started again goes on from here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackfillProgress {
    /// Identifies the sync's mapping and range, so that another backfill does not go on from here.
    pub spec: String,
    /// The last settled row, in the backfill's order.
    pub after: Position,
    /// Rows settled so far, over all attempts.
    pub rows: u64,
}

/// An open reject as kept in the state.
#[derive(Debug, Clone, Serialize)]
pub struct RejectRecord {
    /// Stable number within the state.
    pub id: i64,
    /// The sync.
    pub sync: String,
    /// The row's key as stored ([`Key::as_str`]); `None` where the key is NULL.
    pub key: Option<String>,
    /// `validate` or `destination`.
    pub stage: String,
    /// Error code.
    pub code: String,
    /// Field or column at fault.
    pub field: Option<String>,
    /// Why.
    pub reason: String,
    /// Rows this stands for: more than one for a duplicate or NULL key.
    pub rows: u64,
    /// Microseconds since 1970 UTC.
    pub first_at: i64,
    /// Microseconds since 1970 UTC.
    pub last_at: i64,
    /// The run that saw it last.
    pub run_id: String,
}

/// Everything one settled range changes; written in one transaction, after the receipts (D2).
#[derive(Debug, Clone, Default)]
pub struct Commit {
    /// The run this belongs to.
    pub run_id: String,
    /// Microseconds since 1970 UTC.
    pub at: i64,
    /// New memories of rows.
    pub ledger: Vec<LedgerChange>,
    /// Rows that did not land; an open reject of the same key is replaced.
    pub rejects: Vec<Reject>,
    /// What is remembered of acknowledged rows' payloads, in a form of the caller's; replaces what was.
    pub payloads: Vec<(Key, Vec<u8>)>,
    /// Rows whose open reject is over.
    pub resolved: Vec<Key>,
    /// Rows that are forgotten altogether: their ledger entries are gone after this, whatever `ledger` says.
    pub forgotten: Vec<Key>,
    /// Rows that are not unconfirmed any more; taken out before the next ones are put in.
    pub confirmed: Vec<Key>,
    /// Rows that a request nobody heard of may still change.
    pub unconfirmed: Vec<Unconfirmed>,
    /// Jobs whose rows are settled, or were never applied: they are forgotten.
    pub ended_jobs: Vec<String>,
    /// The new watermark; `None` leaves it.
    pub watermark: Option<StoredWatermark>,
    /// The new mark; `None` leaves it.
    pub mark: Option<StoredMark>,
    /// The new progress of a backfill; `None` leaves it.
    pub backfill: Option<BackfillProgress>,
    /// The run's accounting so far; balances.
    pub counts: RunCounts,
}

/// The state of a project: watermarks, ledger, runs, rejects, leases.
///
/// Every write is one durable transaction. A write with a lease whose epoch is not the newest is refused
/// with a code of kind `Lease`.
#[async_trait]
pub trait Store: Send + Sync {
    /// Takes the lease of `sync` and marks a run its last owner left unfinished as crashed; then calls were left unheard
    /// until `at` ([`Store::unheard_at`]).
    ///
    /// # Errors
    /// Kind `Lease` while another process holds it.
    async fn acquire(&self, sync: &str, at: i64) -> Result<Lease>;

    /// Whether the lease is certain to be its owner's right now. A process may have stood still for longer than its lease
    /// lasts: nothing is sent before [`Store::confirm_lease`] then (S2).
    fn is_certain(&self, _lease: &Lease) -> bool {
        true
    }

    /// Asks whether the lease is still its owner's, and renews it where it is.
    ///
    /// # Errors
    /// Kind `Lease` once another owner may have it; nothing may be sent then.
    async fn confirm_lease(&self, _lease: &Lease) -> Result<()> {
        Ok(())
    }

    /// Writes a run: its start, or its end.
    async fn put_run(&self, lease: &Lease, run: &RunRecord) -> Result<()>;

    /// What the memory of the sync is about; `None` before the first run, after a reset, and in a store that
    /// does not keep it.
    async fn target(&self, _sync: &str) -> Result<Option<Target>> {
        Ok(None)
    }

    /// Remembers what the memory of the sync is about from now on.
    async fn put_target(&self, _lease: &Lease, _target: &Target) -> Result<()> {
        Ok(())
    }

    /// How far the sync has come; `None` before the first commit and after a reset.
    async fn watermark(&self, sync: &str) -> Result<Option<StoredWatermark>>;

    /// The last snapshot whose every change is settled; `None` before the first complete run, after a reset, and in a
    /// store that does not keep it.
    async fn mark(&self, _sync: &str) -> Result<Option<StoredMark>> {
        Ok(None)
    }

    /// How far the backfill `spec` of `sync` has come; `None` when it has not begun or has ended.
    async fn backfill(&self, sync: &str, spec: &str) -> Result<Option<BackfillProgress>>;

    /// The ledger entries of these rows, in this order.
    async fn lookup(&self, sync: &str, keys: &[Key]) -> Result<Vec<Option<Entry>>>;

    /// What is remembered of the payloads of these rows, in this order, as [`Commit::payloads`] gave it.
    async fn payloads(&self, sync: &str, keys: &[Key]) -> Result<Vec<Option<Vec<u8>>>>;

    /// The first `rows` remembered payloads of `sync` after the key `after`, in an order of the store's; fewer only at the
    /// end.
    async fn payloads_after(
        &self,
        sync: &str,
        after: Option<&Key>,
        rows: usize,
    ) -> Result<Vec<(Key, Vec<u8>)>>;

    /// Rows of `sync` that have a record at the destination, as far as was acknowledged.
    async fn known_rows(&self, sync: &str) -> Result<u64>;

    /// Which row of `sync` was last acknowledged under each of these match values, in this order.
    async fn owners(&self, sync: &str, matches: &[MatchHash]) -> Result<Vec<Option<Key>>>;

    /// Rows of `sync` that were acknowledged with one of these record ids: the id and the row's key. May look through the
    /// whole ledger; asked only before a record is renamed whose last write nobody heard of.
    async fn holders(&self, sync: &str, record_ids: &[String]) -> Result<Vec<(String, Key)>>;

    /// Keeps the ledger of the lease's sync in this order of keys from now on. A read in the same order can then be
    /// compared with it in one pass. A store that keeps no order need not do anything.
    async fn order_keys(&self, _lease: &Lease, _order: &KeyOrder) -> Result<()> {
        Ok(())
    }

    /// The ledger of `sync` as a stream in this order, as it is now; what is committed later is not in it. `None` where the
    /// ledger is not in this order ([`Store::order_keys`]).
    async fn stream(
        &self,
        _sync: &str,
        _order: &KeyOrder,
    ) -> Result<Option<Box<dyn LedgerStream>>> {
        Ok(None)
    }

    /// The first `rows` rows of the ledger of `sync` after the key `after`, in the ledger's order of keys (by the bytes of
    /// their text, unless [`Store::order_keys`] said otherwise); fewer only at the end.
    async fn scan(&self, sync: &str, after: Option<&Key>, rows: usize)
    -> Result<Vec<(Key, Entry)>>;

    /// As [`Store::scan`], but only rows that left the model and are not settled: what a run may have to act on. Must not
    /// look through the whole ledger.
    async fn gone(&self, sync: &str, after: Option<&Key>, rows: usize)
    -> Result<Vec<(Key, Entry)>>;

    /// Forgets the acknowledged fingerprints of these rows, before a request that changes them goes out (D4).
    async fn mark_dirty(&self, lease: &Lease, keys: &[Key]) -> Result<()>;

    /// Writes everything a settled range changes.
    async fn commit(&self, lease: &Lease, commit: Commit) -> Result<()>;

    /// Forgets the progress of a backfill that is done.
    async fn end_backfill(&self, lease: &Lease, spec: &str) -> Result<()>;

    /// Keys of rows of `sync` that have an open reject with one of these codes, or with any, which the run `seen_by` has not
    /// seen; at most `rows_max` of them. None in a store that does not keep them by code.
    async fn rejected_keys(
        &self,
        _sync: &str,
        _codes: Option<&[&str]>,
        (_seen_by, _rows_max): (&str, usize),
    ) -> Result<Vec<Key>> {
        Ok(Vec::new())
    }

    /// Open rejects of `sync`: how many rows, and when the oldest was first refused (microseconds since 1970).
    async fn open_rejects(&self, sync: &str) -> Result<(u64, Option<i64>)>;

    /// Which of these rows are unconfirmed, and which rows' unheard requests find their records by these match values.
    async fn unconfirmed(
        &self,
        sync: &str,
        keys: &[Key],
        matches: &[MatchHash],
    ) -> Result<Vec<Unconfirmed>>;

    /// Rows that a write which begins `at` confirms for good: the earliest ones, at most `rows_max`.
    async fn to_confirm(&self, sync: &str, at: i64, rows_max: usize) -> Result<Vec<Unconfirmed>>;

    /// How many rows are unconfirmed, whatever the time.
    async fn unconfirmed_rows(&self, sync: &str) -> Result<u64>;

    /// Until when calls were left whose rows nobody wrote down: their process died, or could not write. `None`: never.
    async fn unheard_at(&self, sync: &str) -> Result<Option<i64>>;

    /// Calls of this run were left unheard until now; written before the run's end is.
    async fn put_unheard(&self, lease: &Lease, at: i64) -> Result<()>;

    /// Writes down the intent of a job, before anything is sent of it (D7).
    async fn put_job(&self, lease: &Lease, job: &StoredJob) -> Result<()>;

    /// Writes down the destination's id of a job, before its rows are uploaded.
    async fn job_created(&self, lease: &Lease, job: &str, remote_id: &str) -> Result<()>;

    /// Jobs of `sync` whose end nobody has seen, in the order in which they were intended.
    async fn jobs(&self, sync: &str) -> Result<Vec<StoredJob>>;

    /// As [`Store::jobs`], but under a shard's lease only those of the shard.
    async fn own_jobs(&self, lease: &Lease) -> Result<Vec<StoredJob>> {
        self.jobs(&lease.sync).await
    }

    /// Takes a shard of work that several processes share; begins the work where nobody has. Under its lease progress is
    /// the shard's own: the sync's watermark moves when the last shard has ended.
    ///
    /// # Errors
    /// Kind `Lease` while the sync is run as a whole.
    async fn claim(&self, _sync: &str, _work: &Work, _at: i64) -> Result<Claim> {
        Ok(Claim::Alone)
    }

    /// Every row of the lease's shard is settled, by this run. Says whether it was the last shard.
    ///
    /// # Errors
    /// Kind `Lease` where another process has the shard by now.
    async fn end_shard(&self, _lease: &Lease, _run_id: &str, _at: i64) -> Result<bool> {
        Ok(true)
    }
}

//! Settling: which rows have an answer, how far the watermark may go, and what the next commit holds.
//!
//! The watermark moves over a range of rows only when all of it, and everything read before it, is settled (D2). Until
//! their commit, rows count as pending, so that no second request for the same key or record goes out (D3).

use std::collections::{HashMap, HashSet, VecDeque};

use flow::{
    BackfillProgress, Commit, Entry, Fingerprint, Key, LedgerChange, Mark, MatchHash, Position,
    Reject, RunCounts, Stage, StoredMark, StoredWatermark, Watermark,
};

use crate::batch::Row;
use crate::codes;
use crate::deliver::{Answer, Delivery};

/// What settled rows move.
#[derive(Debug, Clone)]
pub(crate) enum Advance {
    /// The sync's watermark, from where it was.
    Watermark {
        /// The progress column.
        column: String,
        /// Names the mapping rows are sent with now.
        mapping: String,
        /// The watermark before.
        stored: Option<StoredWatermark>,
        /// The mark before.
        mark: Option<StoredMark>,
    },
    /// The sync's mark alone, when everything is settled.
    Mark {
        /// Names the mapping rows are sent with now.
        mapping: String,
        /// The mark before.
        mark: Option<StoredMark>,
    },
    /// The progress of a backfill; rows settled by earlier attempts.
    Backfill { spec: String, rows_before: u64 },
    /// Nothing: the next run reads the same rows again.
    Nothing,
}

impl Advance {
    fn at(&self, watermark: Watermark) -> Option<StoredWatermark> {
        let Self::Watermark { column, mapping, .. } = self else { return None };
        Some(StoredWatermark { column: column.clone(), watermark, mapping: mapping.clone() })
    }
}

/// A run of rows in the order of the read.
#[derive(Debug)]
struct Range {
    open: u64,
    position: Option<Position>,
    clock: Watermark,
}

/// Rows by stage and code, for the counters.
pub(crate) type RejectedRows = HashMap<(Stage, &'static str), u64>;

/// Everything that waits for the next commit.
#[derive(Debug, Default)]
pub(crate) struct Settled {
    pub(crate) commit: Commit,
    /// Counts since the commit before, for the metrics.
    pub(crate) counts: RunCounts,
    pub(crate) rejected: RejectedRows,
    /// When the acknowledged rows changed in the warehouse.
    pub(crate) changed_at: Vec<i64>,
    keys: Vec<Key>,
    matches: Vec<MatchHash>,
}

impl Settled {
    /// Rows in it, by and large.
    pub(crate) fn len(&self) -> usize {
        self.commit.ledger.len() + self.commit.rejects.len() + self.commit.forgotten.len()
    }
}

/// The books of one run.
pub(crate) struct Settler {
    advance: Advance,
    ranges: VecDeque<Range>,
    first_range: u64,
    next: Settled,
    /// Settled rows so far; balances.
    total: RunCounts,
    pending_keys: HashSet<Key>,
    pending_matches: HashSet<MatchHash>,
    reached: Option<Watermark>,
    /// Nothing after this range moves progress.
    stopped_at: Option<u64>,
    /// The watermark goes no further.
    not_past: Option<Watermark>,
    /// A row was unconfirmed at the end of a call.
    unconfirmed: bool,
}

impl Settler {
    pub(crate) fn new(advance: Advance) -> Self {
        Self {
            advance,
            ranges: VecDeque::new(),
            first_range: 0,
            next: Settled::default(),
            total: RunCounts::default(),
            pending_keys: HashSet::new(),
            pending_matches: HashSet::new(),
            reached: None,
            stopped_at: None,
            not_past: None,
            unconfirmed: false,
        }
    }

    /// Opens the next range, in the order of the read.
    pub(crate) fn begin(&mut self, position: Option<Position>, clock: Watermark) -> u64 {
        self.ranges.push_back(Range { open: 0, position, clock });
        self.first_range + self.ranges.len() as u64 - 1
    }

    /// Whether every row is sent again, and progress is the backfill's own.
    pub(crate) fn is_backfill(&self) -> bool {
        matches!(self.advance, Advance::Backfill { .. })
    }

    /// The stored watermark when the run began.
    pub(crate) fn stored(&self) -> Option<Watermark> {
        match &self.advance {
            Advance::Watermark { stored, .. } => stored.as_ref().map(|stored| stored.watermark),
            _ => None,
        }
    }

    /// The watermark goes no further than this, however far the rows are.
    pub(crate) fn not_past(&mut self, watermark: Watermark) {
        self.not_past = Some(watermark);
    }

    /// From this range on, progress stays: rows of it were left for the next run.
    pub(crate) fn stop_at(&mut self, range: u64) {
        self.stopped_at = Some(self.stopped_at.map_or(range, |known| known.min(range)));
    }

    /// Rows of the range that are going to be sent.
    pub(crate) fn send(&mut self, range: u64, rows: &[Row]) {
        if let Some(range) = self.range(range) {
            range.open += rows.len() as u64;
        }
        for row in rows {
            self.pending_keys.insert(row.key.clone());
            self.pending_matches.insert(row.match_hash);
        }
    }

    /// Whether a row with this key or match value was sent and is not committed yet.
    pub(crate) fn is_pending(&self, key: &Key, match_hash: MatchHash) -> bool {
        self.pending_keys.contains(key) || self.pending_matches.contains(&match_hash)
    }

    /// So many rows changed without the change method noticing.
    pub(crate) fn found_only_by_compare(&mut self, rows: u64) {
        self.count(|counts| counts.found_only_by_compare += rows);
    }

    /// Whether any row was sent and is not committed yet.
    pub(crate) fn has_pending(&self) -> bool {
        !self.pending_keys.is_empty()
    }

    /// Rows whose payload is the acknowledged one.
    pub(crate) fn unchanged(&mut self, rows: u64) {
        self.count(|counts| {
            counts.read += rows;
            counts.unchanged += rows;
        });
    }

    /// An unchanged row whose open reject is over.
    pub(crate) fn resolved(&mut self, key: Key, entry: Entry) {
        self.remember(&key);
        self.next.commit.resolved.push(key.clone());
        self.next
            .commit
            .ledger
            .push(LedgerChange { key, entry: Entry { rejected: None, ..entry } });
    }

    /// A row whose record belongs to another row from now on.
    pub(crate) fn released(&mut self, key: Key, entry: Entry) {
        self.remember(&key);
        self.next.commit.ledger.push(LedgerChange { key, entry });
    }

    /// A row that is forgotten altogether, with its open reject.
    pub(crate) fn forgotten(&mut self, key: Key) {
        self.remember(&key);
        self.next.commit.resolved.push(key.clone());
        self.next.commit.forgotten.push(key);
    }

    /// A row whose record could not be removed, and what is remembered of it.
    pub(crate) fn unremoved(&mut self, reject: Reject, key: Key, entry: Entry) {
        self.next.commit.rejects.push(reject);
        self.released(key, entry);
    }

    /// A row the ledger does not know, whose open reject is over since it left the model.
    pub(crate) fn gone(&mut self, key: Key) {
        self.next.commit.resolved.push(key);
    }

    /// Rows that are held back since the same payload was refused before.
    pub(crate) fn held(&mut self, rows: u64) {
        if rows > 0 {
            self.rejected((Stage::Destination, codes::R403.id), rows);
        }
    }

    /// A row refused before sending; `prior` is the ledger's memory of it.
    pub(crate) fn refused(&mut self, reject: Reject, prior: Option<Entry>) {
        self.rejected((reject.stage, reject.code.id), 1);
        if let Some(key) = reject.key.clone() {
            self.remember(&key);
            let entry = Entry {
                rejected: Some(reject.fingerprint.unwrap_or(Fingerprint(0))),
                ..prior.unwrap_or_default()
            };
            self.next.commit.ledger.push(LedgerChange { key, entry });
        }
        self.next.commit.rejects.push(reject);
    }

    /// A row that is not unconfirmed any more, though it was not sent: whatever its record holds is not known, so that it
    /// is sent as soon as it can be.
    pub(crate) fn forget_acknowledged(&mut self, key: Key, entry: Option<Entry>) {
        self.next.commit.confirmed.push(key.clone());
        if let Some(entry) = entry {
            self.remember(&key);
            let entry = Entry { acknowledged: None, ..entry };
            self.next.commit.ledger.push(LedgerChange { key, entry });
        }
    }

    /// Whether a row was unconfirmed at the end of a call of this run.
    pub(crate) fn has_unconfirmed(&self) -> bool {
        self.unconfirmed
    }

    /// The row has an answer; was it given late enough (D4)?
    pub(crate) fn weigh(&mut self, row: &Row) {
        if row.doubt.confirms() {
            self.next.commit.confirmed.push(row.key.clone());
        }
        if let Some(after) = row.doubt.again_after() {
            self.next.commit.unconfirmed.push(row.unconfirmed(after));
            self.unconfirmed = true;
        }
    }

    /// The answers of a call.
    pub(crate) fn delivered(&mut self, mut delivery: Delivery) {
        self.called(&mut delivery);
        for (row, answer) in delivery.settled {
            self.weigh(&row);
            if let Some(range) = self.range(row.range) {
                range.open -= 1;
            }
            self.next.keys.push(row.key.clone());
            self.next.matches.push(row.match_hash);
            match answer {
                Answer::Delivered { created, remote_id } => {
                    self.acknowledged(row, created, remote_id);
                }
                Answer::Rejected(reject) => self.refused_by_destination(row, reject),
            }
        }
    }

    /// What a call has cost, and which of its rows nobody heard of.
    pub(crate) fn called(&mut self, delivery: &mut Delivery) {
        let (requests, retries) = (delivery.requests, delivery.retries);
        self.count(|counts| {
            counts.requests += requests;
            counts.retries += retries;
        });
        self.unconfirmed |= !delivery.unheard.is_empty();
        self.next.commit.unconfirmed.append(&mut delivery.unheard);
        self.next.commit.ended_jobs.append(&mut delivery.ended_jobs);
    }

    fn acknowledged(&mut self, row: Row, created: bool, remote_id: Option<String>) {
        self.count(|counts| {
            counts.read += 1;
            counts.created += u64::from(created);
            counts.updated += u64::from(!created);
        });
        self.next.changed_at.extend(row.changed_at);
        if row.prior.rejected.is_some() {
            self.next.commit.resolved.push(row.key.clone());
        }
        if let Some(payload) = row.payload {
            self.next.commit.payloads.push((row.key.clone(), payload));
        }
        let entry = Entry {
            acknowledged: Some(row.fingerprint),
            rejected: None,
            match_hash: Some(row.match_hash),
            remote_id: remote_id.or(row.prior.remote_id),
            gone: None,
        };
        self.next.commit.ledger.push(LedgerChange { key: row.key, entry });
    }

    /// A definite refusal leaves the record as it was; after an ambiguous attempt nobody knows (D4).
    fn refused_by_destination(&mut self, row: Row, reject: Reject) {
        self.rejected((reject.stage, reject.code.id), 1);
        let entry = Entry {
            acknowledged: row.prior.acknowledged.filter(|_| row.doubt.is_none()),
            rejected: Some(reject.fingerprint.unwrap_or(Fingerprint(0))),
            ..row.prior
        };
        self.next.commit.ledger.push(LedgerChange { key: row.key, entry });
        self.next.commit.rejects.push(reject);
    }

    fn rejected(&mut self, kind: (Stage, &'static str), rows: u64) {
        *self.next.rejected.entry(kind).or_default() += rows;
        self.count(|counts| {
            counts.read += rows;
            counts.rejected += rows;
        });
    }

    /// What the ledger says of this row is out of date until the next commit.
    fn remember(&mut self, key: &Key) {
        self.pending_keys.insert(key.clone());
        self.next.keys.push(key.clone());
    }

    pub(crate) fn count(&mut self, change: impl Fn(&mut RunCounts)) {
        change(&mut self.total);
        change(&mut self.next.counts);
    }

    fn range(&mut self, range: u64) -> Option<&mut Range> {
        let index = usize::try_from(range.checked_sub(self.first_range)?).ok()?;
        self.ranges.get_mut(index)
    }

    /// Settled rows so far.
    pub(crate) fn total(&self) -> RunCounts {
        self.total
    }

    /// How far the watermark has come in this run.
    pub(crate) fn reached(&self) -> Option<Watermark> {
        self.reached
    }

    /// Rows that wait for the next commit, by and large.
    pub(crate) fn waiting(&self) -> usize {
        self.next.len()
    }

    /// Whether a commit would change anything.
    pub(crate) fn has_news(&self) -> bool {
        self.next.counts != RunCounts::default()
            || self.waiting() > 0
            || !self.next.commit.resolved.is_empty()
            || !self.next.commit.confirmed.is_empty()
            || !self.next.commit.unconfirmed.is_empty()
            || !self.next.commit.ended_jobs.is_empty()
            || self.next.commit.watermark.is_some()
            || self.next.commit.mark.is_some()
            || self.ranges.front().is_some_and(|range| range.open == 0)
    }

    /// Everything settled since the last commit, with the progress it allows.
    pub(crate) fn take(&mut self, run_id: &str, at: i64) -> Settled {
        while self.ranges.front().is_some_and(|range| range.open == 0) {
            let Some(range) = self.ranges.pop_front() else { break };
            let index = self.first_range;
            self.first_range += 1;
            if self.stopped_at.is_none_or(|stop| index < stop) {
                self.advance_over(range);
            }
        }
        let mut settled = std::mem::take(&mut self.next);
        run_id.clone_into(&mut settled.commit.run_id);
        settled.commit.at = at;
        settled.commit.counts = self.total;
        settled
    }

    fn advance_over(&mut self, range: Range) {
        let Some(position) = range.position else { return };
        match &self.advance {
            Advance::Watermark { stored, .. } => {
                // A NULL watermark moves nothing, a future one not past the warehouse's clock, none backwards.
                let Some(watermark) = position.watermark else { return };
                let reached = watermark.min(range.clock).min(self.not_past.unwrap_or(watermark));
                let known = self.reached.or(stored.as_ref().map(|stored| stored.watermark));
                if known.is_none_or(|known| reached > known) {
                    self.reached = Some(reached);
                    self.next.commit.watermark = self.advance.at(reached);
                }
            }
            Advance::Backfill { spec, rows_before } => {
                let rows = rows_before + self.total.read;
                let progress = BackfillProgress { spec: spec.clone(), after: position, rows };
                self.next.commit.backfill = Some(progress);
            }
            Advance::Mark { .. } | Advance::Nothing => {}
        }
    }

    /// The read has ended and every row is settled: also rows up to the old watermark were looked at with this mapping.
    /// `mark` is what the source said about it, and `compared_at` when every row was compared, where it was.
    pub(crate) fn complete(&mut self, mark: Option<Mark>, compared_at: Option<i64>) {
        if let Advance::Watermark { mapping, mark: before, .. }
        | Advance::Mark { mapping, mark: before } = &self.advance
        {
            let before = before.as_ref().map_or(0, |before| before.compared_at);
            let compared_at = compared_at.unwrap_or(before);
            self.next.commit.mark =
                Some(StoredMark { mark, mapping: mapping.clone(), compared_at });
        }
        let Advance::Watermark { mapping, stored: Some(stored), .. } = &self.advance else {
            return;
        };
        if self.reached.is_none() && stored.mapping != *mapping {
            self.next.commit.watermark = self.advance.at(stored.watermark);
        }
    }

    /// The commit is durable: its rows are no longer pending.
    pub(crate) fn committed(&mut self, settled: &Settled) {
        for key in &settled.keys {
            self.pending_keys.remove(key);
        }
        for match_hash in &settled.matches {
            self.pending_matches.remove(match_hash);
        }
    }
}

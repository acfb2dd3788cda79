//! Rows that left the model: noticed, remembered until their grace is over, and their records removed (D8).
//!
//! Nothing here runs unless the read ended cleanly with every row settled, so no write of the same record is on its
//! way (D3). A removal is dirty before it is sent, like any write, and may be sent twice without harm (D4).

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError};

use flow::{
    Changes, Code, Entry, Error, Finding, Fingerprint, Gone, GoneHow, Key, MatchHash, Mode, Model,
    Payload, Reject, Result, Stage,
};
use tokio::task::JoinSet;

use crate::absent::{Absent, Seen};
use crate::batch::{Call, Row};
use crate::conductor::Conductor;
use crate::deliver::{Answer, Caller, Delivery};
use crate::doubt::{Doubt, Doubts};
use crate::gone::{Standing, fingerprint, missed, standing};
use crate::intake::{Chunk, task_lost};
use crate::ownership;
use crate::prepare::{mapping_error, setter};
use crate::request::watermark_column;
use crate::retry::unless_stopped;
use crate::{Removed, RemovedAction, Watch, codes};

/// Rows that are gone, looked at in one go.
const PAGE_ROWS: usize = 10_000;

/// A row that is gone and has a record.
type GoneRow = (Key, Entry, Gone);

impl Conductor<'_> {
    /// Acts on the rows that are gone, after the read ended cleanly and everything of it is settled.
    pub(crate) async fn remove_gone(&mut self, watch: &dyn Watch) -> Result<()> {
        let Some(removed) = self.sync.removed.clone() else { return Ok(()) };
        let noticed = match self.hold.noticed.take() {
            Some(noticed) => noticed,
            None => self.notice_gone().await?,
        };
        let Some(complete) = noticed else { return Ok(()) };
        let remover = self.remover(&removed)?;
        let mut after = None;
        loop {
            let page = self.page_of_gone(after.as_ref()).await?;
            let last = page.len() < PAGE_ROWS;
            after = page.last().map(|(key, _)| key.clone());
            let page = self.planned(eligible(page, complete));
            let due = self.sort_gone(&removed, page);
            self.remove(&removed, (&remover, due)).await?;
            self.commit().await?;
            watch.progress(&self.progress());
            if last || self.is_stopping() {
                return Ok(());
            }
        }
    }

    /// Remembers which rows are gone after a read that ended cleanly, and refuses to go on where these are too many. Gives
    /// whether the read was complete; `None` where it says nothing of rows that it did not contain.
    pub(crate) async fn notice_gone(&mut self) -> Result<Option<bool>> {
        let Some(removed) = self.sync.removed.clone() else { return Ok(None) };
        // Who came back is not gone any more, and who says so is, before anybody is listed.
        self.commit().await?;
        // Rows of other pages are in it too; whoever is in neither was in no read of every row.
        let mut seen = self.seen.take().filter(|_| self.compared);
        if let Some(seen) = &mut seen {
            seen.missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner).take();
        }
        let seen = seen.filter(|seen| self.is_complete(seen));
        match &seen {
            Some(seen) => self.miss_absent(seen).await?,
            None if self.says_who_left() => {}
            None => return Ok(None),
        }
        // The guards spoke about the removals of a plan that is applied, and there are no others.
        if self.removals.is_none() {
            self.brake(&removed, seen.as_ref()).await?;
        }
        Ok(Some(seen.is_some()))
    }

    /// Closes the open rejects of rows that left the model. Should one come back, its payload is tried again.
    pub(crate) async fn forget_gone(&mut self, keys: Vec<Key>) -> Result<()> {
        if keys.is_empty() {
            return Ok(());
        }
        let entries = self.ports.store.lookup(&self.sync.name, &keys).await?;
        for (key, entry) in keys.into_iter().zip(entries) {
            match entry {
                Some(entry) if entry.rejected.is_some() => self.settler.resolved(key, entry),
                Some(_) => {}
                None => self.settler.gone(key),
            }
        }
        Ok(())
    }

    /// Whether a read that is not complete can tell that a row left the model: by the row itself, or by the log.
    pub(crate) fn says_who_left(&self) -> bool {
        let Model { changes, removed_when, .. } = &*self.sync.model;
        removed_when.is_some() || matches!(changes, Changes::Log(_))
    }

    /// Remembers, with the next commit, the rows of a chunk that left the model by what the read said of them.
    pub(crate) async fn miss_said(&mut self, chunk: &Chunk) -> Result<()> {
        if self.sync.removed.is_none() || self.confirming {
            return Ok(());
        }
        self.miss(&chunk.said, GoneHow::Said).await?;
        // Keys without a row are also what a read by keys has; only the log says that they had one.
        match self.sync.model.changes {
            Changes::Log(_) => self.miss(&chunk.gone, GoneHow::Said).await,
            _ => Ok(()),
        }
    }

    /// Whether every row that the read did not contain is gone. Says so where it is not.
    fn is_complete(&mut self, seen: &Seen) -> bool {
        // In the order of the key a row keeps its place whatever happens to it; in the order of the watermark it does not.
        let moved = self.in_pieces && watermark_column(&self.sync.model).is_some();
        let mut say = |code: &'static Code, message: String| {
            let remedy = code.remedy.to_owned();
            self.findings.push(Finding { code, message, remedy });
            false
        };
        match seen.nameless {
            0 if moved => say(
                &codes::E4022,
                "the read went on in a newer snapshot; nothing was removed".into(),
            ),
            0 if !seen.is_known() => say(
                &codes::E4050,
                "the rows did not come in the order of their keys; nothing was removed".into(),
            ),
            0 => true,
            rows => say(&codes::E4021, format!("{rows} rows have no key; nothing was removed")),
        }
    }

    /// Remembers, durably, which rows of the ledger the read did not contain.
    async fn miss_absent(&mut self, seen: &Seen) -> Result<()> {
        let now = self.ports.clock.now_micros();
        let store = Arc::clone(&self.ports.store);
        let mut absent = Absent::new(store.as_ref(), &self.sync.name, seen)?;
        while let Some(rows) = absent.next().await? {
            for (key, entry) in rows.into_iter().filter(|(_, entry)| entry.gone.is_none()) {
                self.settler.released(key, missed(entry, GoneHow::Absent, now));
            }
            self.commit().await?;
        }
        Ok(())
    }

    /// Remembers, with the next commit, that these rows are gone.
    async fn miss(&mut self, keys: &[Key], how: GoneHow) -> Result<()> {
        if keys.is_empty() {
            return Ok(());
        }
        let now = self.ports.clock.now_micros();
        let entries = self.ports.store.lookup(&self.sync.name, keys).await?;
        for (key, entry) in keys.iter().zip(entries) {
            let Some(entry) = entry else { continue };
            if entry.gone.is_none_or(|gone| gone.how == GoneHow::Absent) {
                self.settler.released(key.clone(), missed(entry, how, now));
            }
        }
        Ok(())
    }

    /// These rows are in the model: those that were gone are not any more, durably, before anything of them is sent.
    pub(crate) async fn welcome_back(
        &mut self,
        rows: impl Iterator<Item = (&Key, &mut Entry)>,
    ) -> Result<()> {
        let mut any = false;
        for (key, entry) in rows.filter(|(_, entry)| entry.gone.is_some()) {
            entry.gone = None;
            self.settler.released(key.clone(), entry.clone());
            any = true;
        }
        if any { self.commit().await } else { Ok(()) }
    }

    /// Refuses to act when too many rows are gone at once, or all of them.
    async fn brake(&mut self, removed: &Removed, seen: Option<&Seen>) -> Result<()> {
        let (mut due, mut all) = (0_u64, 0_u64);
        let mut after = None;
        loop {
            let page = self.page_of_gone(after.as_ref()).await?;
            let last = page.len() < PAGE_ROWS;
            after = page.last().map(|(key, _)| key.clone());
            for (_, entry, gone) in eligible(page, seen.is_some()) {
                all += 1;
                due += u64::from(self.standing(removed, &entry, gone) == Standing::Due);
            }
            if last {
                break;
            }
        }
        let nothing_read = seen.is_some_and(Seen::is_empty);
        if due <= removed.limit.floor && !nothing_read {
            return Ok(());
        }
        let known = self.ports.store.known_rows(&self.sync.name).await?;
        let refusal = removed.limit.refusal(due, known, nothing_read);
        if refusal.is_some() {
            self.leave_waiting(all);
        }
        refusal.map_or(Ok(()), Err)
    }

    async fn page_of_gone(&self, after: Option<&Key>) -> Result<Vec<(Key, Entry)>> {
        self.ports.store.gone(&self.sync.name, after, PAGE_ROWS).await
    }

    fn standing(&self, removed: &Removed, entry: &Entry, gone: Gone) -> Standing {
        standing(removed, entry, gone, self.meta.started_at)
    }

    fn is_stopping(&self) -> bool {
        self.options.stop.drain.is_cancelled() || self.options.stop.abort.is_cancelled()
    }

    /// Books every row that needs no request, and gives back the others.
    fn sort_gone(&mut self, removed: &Removed, page: Vec<GoneRow>) -> Vec<GoneRow> {
        let mut due = Vec::new();
        for (key, entry, gone) in page {
            match self.standing(removed, &entry, gone) {
                Standing::Due => due.push((key, entry, gone)),
                Standing::Waits => self.leave_waiting(1),
                Standing::Forget => self.forget(key),
                Standing::Unknown => {
                    // It is said once; there is nothing that a later run could do.
                    let rejected = Some(fingerprint(removed));
                    let gone = Some(Gone { how: GoneHow::Settled, ..gone });
                    let entry = Entry { acknowledged: None, rejected, gone, ..entry };
                    self.settler.unremoved(unknown_record(key.clone()), key, entry);
                    self.count_failed();
                }
                Standing::Refused => self.count_failed(),
            }
        }
        due
    }

    /// A row that is not in the plan that is applied is left for the next run.
    pub(crate) fn leave_out(&mut self) {
        self.parked += 1;
        self.left += 1;
    }

    /// Where a plan is applied, only the rows whose records it removes; the others wait for the next run.
    fn planned(&mut self, page: Vec<GoneRow>) -> Vec<GoneRow> {
        let Some(removals) = self.removals.clone() else { return page };
        let (planned, others): (Vec<_>, Vec<_>) =
            page.into_iter().partition(|(key, _, _)| removals.contains_key(key));
        self.leave_waiting(others.len() as u64);
        planned
    }

    fn leave_waiting(&mut self, rows: u64) {
        self.settler.count(|counts| {
            counts.gone += rows;
            counts.gone_waiting += rows;
        });
    }

    fn forget(&mut self, key: Key) {
        self.settler.forgotten(key);
        self.settler.count(|counts| {
            counts.gone += 1;
            counts.gone_ignored += 1;
        });
    }

    fn count_failed(&mut self) {
        self.settler.count(|counts| {
            counts.gone += 1;
            counts.gone_failed += 1;
        });
    }

    /// Removes the records of these rows: those that nothing speaks against at the last moment.
    async fn remove(
        &mut self,
        removed: &Removed,
        (remover, due): (&Arc<Caller>, Vec<GoneRow>),
    ) -> Result<()> {
        if due.is_empty() {
            return Ok(());
        }
        let due = self.still_gone(due).await?;
        let due = self.without_other_owners(due).await?;
        let due = self.beyond_doubt(removed, due).await?;
        let rows_max = self.batcher.rows_max();
        let mut calls = Vec::new();
        for rows in due.chunks(rows_max) {
            calls.push(self.call(rows.to_vec())?);
        }
        let mut running = JoinSet::new();
        let mut calls = calls.into_iter();
        let mut result = Ok(());
        loop {
            while result.is_ok() && running.len() < self.in_flight_max && !self.is_stopping() {
                let Some(call) = calls.next() else { break };
                let keys: Vec<Key> = call.rows.iter().map(|row| row.key.clone()).collect();
                if let Err(error) = self.ports.store.mark_dirty(self.lease, &keys).await {
                    self.leave_waiting(keys.len() as u64);
                    result = Err(error);
                    break;
                }
                let caller = Arc::clone(remover);
                running.spawn(async move { caller.deliver(call).await });
            }
            let done = tokio::select! {
                biased;
                () = self.options.stop.abort.cancelled() => {
                    return Err(Error::new(&codes::E4004, "the run was aborted by a second signal"));
                }
                done = running.join_next() => done,
            };
            let Some(done) = done else { break };
            let settled = done.map_err(task_lost).and_then(|delivery| self.book(removed, delivery));
            result = result.and(settled);
        }
        self.leave_waiting(calls.map(|call| call.rows.len() as u64).sum());
        result
    }

    /// Asks the warehouse once more for exactly these rows: one that is there again keeps its record, however it went
    /// missing from the read. The next run sees it and clears its memory.
    async fn still_gone(&mut self, due: Vec<GoneRow>) -> Result<Vec<GoneRow>> {
        let keys = due.iter().map(|(key, _, _)| key.clone()).collect();
        let about = (&self.prepared, &self.meta);
        let present = ownership::present(self.sync, self.ports, about, keys);
        let Some(present) = unless_stopped(&self.options.stop.drain, present).await? else {
            self.leave_waiting(due.len() as u64);
            return Ok(Vec::new());
        };
        let (there, gone): (Vec<_>, Vec<_>) =
            due.into_iter().partition(|(key, _, _)| present.contains(key));
        self.leave_waiting(there.len() as u64);
        Ok(gone)
    }

    /// Leaves out rows whose record another row has: it is that row's now. Of several rows that are gone together, the
    /// last one stands for the record.
    async fn without_other_owners(&mut self, due: Vec<GoneRow>) -> Result<Vec<GoneRow>> {
        let ids: Vec<String> =
            due.iter().filter_map(|(_, entry, _)| entry.remote_id.clone()).collect();
        let mut holders: HashMap<String, HashSet<Key>> = HashMap::new();
        for (id, key) in self.ports.store.holders(&self.sync.name, &ids).await? {
            holders.entry(id).or_default().insert(key);
        }
        let mut removable = Vec::with_capacity(due.len());
        for (key, entry, gone) in due {
            let others = entry.remote_id.as_ref().and_then(|id| holders.get_mut(id));
            let shared = others.is_some_and(|keys| {
                keys.remove(&key);
                !keys.is_empty()
            });
            match shared {
                true => self.forget(key),
                false => removable.push((key, entry, gone)),
            }
        }
        Ok(removable)
    }

    /// Leaves rows for later whose record a request nobody heard of may still change: it could bring the record back (D4).
    async fn beyond_doubt(&mut self, removed: &Removed, due: Vec<GoneRow>) -> Result<Vec<Row>> {
        let mut rows: Vec<Row> = due.into_iter().map(|row| row_of(removed, row)).collect();
        let keys: Vec<Key> = rows.iter().map(|row| row.key.clone()).collect();
        let matches: Vec<_> = rows.iter().map(|row| row.match_hash).collect();
        let known = match self.may_be_unconfirmed() {
            true => self.ports.store.unconfirmed(&self.sync.name, &keys, &matches).await?,
            false => Vec::new(),
        };
        let doubts = Doubts::new(known, self.unheard_until);
        let now = self.ports.clock.now_micros();
        for row in &mut rows {
            let settled = row.prior.acknowledged.is_some();
            row.doubt = doubts.of(&row.key, row.match_hash, settled);
        }
        let all = rows.len();
        rows.retain(|row| row.doubt.until().is_none_or(|until| until <= now));
        self.leave_waiting((all - rows.len()) as u64);
        Ok(rows)
    }

    fn call(&self, rows: Vec<Row>) -> Result<Call> {
        let prepared =
            setter(self.sync, &self.prepared).map_err(|errors| mapping_error(&errors))?;
        let payload = match prepared {
            Some(setter) => setter.payload(rows.len(), &self.meta)?,
            None => Payload::without_fields(rows.len()).map_err(|error| {
                Error::new(&codes::E4007, "removals could not be put together").with_source(error)
            })?,
        };
        Ok(Call { rows, payload, job: self.batcher.is_for_jobs() })
    }

    fn remover(&self, removed: &Removed) -> Result<Arc<Caller>> {
        let mode = match removed.action {
            RemovedAction::Update(_) => Mode::Update,
            RemovedAction::Delete | RemovedAction::Ignore => Mode::Delete,
        };
        Ok(Arc::new(Caller { mode, removes: true, ..(*self.caller).clone() }))
    }

    /// Books the answers of a call that removed records.
    fn book(&mut self, removed: &Removed, mut delivery: Delivery) -> Result<()> {
        self.settler.called(&mut delivery);
        self.leave_waiting(delivery.unsettled);
        let mut failed = 0;
        for (row, answer) in delivery.settled {
            self.settler.weigh(&row);
            match answer {
                Answer::Delivered { .. } => self.book_removed(removed, row),
                Answer::Rejected(reject) => {
                    failed += 1;
                    self.book_refused(row, reject);
                }
            }
        }
        match delivery.error.take() {
            Some(error) => Err(error),
            None => self.stop_on_reject(failed),
        }
    }

    fn book_removed(&mut self, removed: &Removed, row: Row) {
        match removed.action {
            RemovedAction::Update(_) => {
                let settled = |gone| Gone { how: GoneHow::Settled, ..gone };
                let gone = row.prior.gone.map(settled);
                let entry = Entry { acknowledged: None, rejected: None, gone, ..row.prior };
                self.settler.gone(row.key.clone());
                self.settler.released(row.key, entry);
            }
            RemovedAction::Delete | RemovedAction::Ignore => self.settler.forgotten(row.key),
        }
        self.settler.count(|counts| {
            counts.gone += 1;
            counts.removed += 1;
        });
    }

    /// A definite refusal is not repeated by itself; after an unclear one nobody knows, and the next run tries again.
    fn book_refused(&mut self, row: Row, reject: Reject) {
        let entry = Entry {
            acknowledged: row.prior.acknowledged.filter(|_| row.doubt.is_none()),
            // After an unclear answer it is tried again by the next run.
            rejected: Some(match row.doubt.is_none() {
                true => row.fingerprint,
                false => Fingerprint(0),
            }),
            ..row.prior
        };
        self.settler.unremoved(reject, row.key, entry);
        self.count_failed();
    }
}

/// Rows that may be acted on now: those that say so themselves, and, after a complete read, those that it did not contain.
fn eligible(page: Vec<(Key, Entry)>, complete: bool) -> Vec<GoneRow> {
    let gone = page.into_iter().filter_map(|(key, entry)| {
        let gone = entry.gone?;
        (complete || gone.how == GoneHow::Said).then_some((key, entry, gone))
    });
    gone.collect()
}

fn row_of(removed: &Removed, (key, prior, _): GoneRow) -> Row {
    Row {
        range: u64::MAX,
        key,
        match_hash: prior.match_hash.unwrap_or(MatchHash(0)),
        fingerprint: fingerprint(removed),
        record_id: prior.remote_id.clone(),
        prior,
        changed_at: None,
        payload: None,
        doubt: Doubt::default(),
    }
}

fn unknown_record(key: Key) -> Reject {
    Reject {
        key: Some(key),
        stage: Stage::Destination,
        code: &codes::R404,
        field: None,
        reason: codes::R404.title.to_owned(),
        fingerprint: None,
    }
}

//! From a mapped chunk to calls: compares it with the ledger, books every row that is not sent, and makes calls of the
//! others.

use std::collections::HashSet;

use flow::arrow::error::ArrowError;
use flow::metrics::Busy;
use flow::{Entry, Error, Fingerprint, Key, MatchHash, Position, Reject, Result, Watermark};
use tokio::time::Instant;
use transform::Mapped;

use crate::apply::Picked;
use crate::batch::{Call, Row};
use crate::codes;
use crate::conductor::Conductor;
use crate::diff::{self, Verdict};
use crate::doubt::{Doubt, Doubts};
use crate::intake::Chunk;
use crate::known::Known;
use crate::ownership::{self, Held};
use crate::retry::unless_stopped;
use crate::{Remember, remembered};

/// Rows between two places where a backfill can go on.
const BACKFILL_RANGE_ROWS: usize = 500;

impl Conductor<'_> {
    /// Compares a chunk with the ledger and makes calls of what must be sent.
    pub(crate) async fn take(&mut self, chunk: Chunk) -> Result<()> {
        self.wait_for_pending(&chunk).await?;
        if let Some(seen) = &mut self.seen {
            seen.note(&chunk);
        }
        let began = Instant::now();
        let compared = match self.compare((&chunk.mapped, chunk.new_rows.as_deref())).await {
            // Nothing of the chunk is in the books yet: the next run reads it again.
            Err(error) if error.code().id == codes::E4004.id => return Ok(()),
            compared => compared?,
        };
        let Compared { verdicts, entries, renamed, priors, doubts, left_alone } = compared;
        if !chunk.gone.is_empty() {
            // Before it is remembered that they are gone, since that is of what the ledger says.
            self.forget_gone(chunk.gone.clone()).await?;
            self.commit().await?;
        }
        self.miss_said(&chunk).await?;
        let Chunk { rows: read, mut mapped, changed_at, position, clock, part, .. } = chunk;
        self.see(&changed_at);
        // From here on every row of the chunk is in the books, and the range stays open until its rows are settled.
        self.read += read;
        if chunk.unchanged > 0 {
            self.settler.unchanged(chunk.unchanged);
        }
        let rejected_before = self.settler.total().rejected;
        for (reject, prior) in std::mem::take(&mut mapped.rejects).into_iter().zip(priors) {
            self.refuse(reject, prior);
        }
        let (mut send, mut rows) = self.sort_out(&mapped, verdicts, entries);
        for (row, index) in rows.iter_mut().zip(&send) {
            row.changed_at = changed_at[*index as usize];
            let prior = &row.prior;
            let settled = prior.acknowledged.is_some() && prior.match_hash == Some(row.match_hash);
            row.doubt = doubts.of(&row.key, row.match_hash, settled);
            if renamed.contains(&(*index as usize)) {
                row.record_id.clone_from(&row.prior.remote_id);
            }
        }
        self.overlooked.see(part, &mapped.keys, &rows);
        let left = self.limit(&mut send, &mut rows);
        let mark = Mark { position, clock, keys: &mapped.keys, changed_at: &changed_at };
        let range = self.open_ranges(&send, &mut rows, mark);
        if left {
            self.settler.stop_at(range);
        }
        mapped.payload.leave_alone(&left_alone);
        let made = self.make_calls(&mapped, &send, rows).await;
        self.ports.metrics.busy(&self.sync.name, Busy::Diff, began.elapsed());
        made?;
        self.stop_on_reject(self.settler.total().rejected - rejected_before)
    }

    /// The verdict and entry of every mapped row, and the entry of every row refused by the mapping.
    async fn compare(&mut self, rows: (&Mapped, Option<&[bool]>)) -> Result<Compared> {
        let (known, taken) = self.ask_owners(rows).await?;
        let (mapped, _) = rows;
        let Known { mut entries, mut verdicts, asked, owners } = known;
        let keys = mapped.keys.iter().zip(&mut entries);
        self.welcome_back(keys.filter_map(|(key, entry)| Some((key, entry.as_mut()?)))).await?;
        let Picked { invalid, left_alone, by_id } = match &mut self.picker {
            Some(picker) => picker.pick((mapped, &self.sync.match_on), &mut verdicts)?,
            None => Picked::default(),
        };
        diff::settle_conflicts(mapped, (&asked, &owners), &mut verdicts);
        for row in invalid {
            if verdicts[row] == Verdict::Send {
                verdicts[row] = Verdict::Left;
            }
        }
        let losers = diff::dispossessed(mapped, (&asked, &owners), &verdicts);
        self.dispossess(mapped, &losers, &mut entries).await?;
        let doubts = self.doubts(mapped, &verdicts).await?;
        let renamed = match self.prepared.limits.renames {
            true => {
                let mut renamed = diff::renamed(mapped, (&asked, &owners), (&entries, &verdicts));
                renamed.retain(|row| !taken.contains(&mapped.matches[*row]));
                renamed.extend(diff::doubted(mapped, (&entries, &verdicts), &doubts));
                renamed.extend(by_id);
                self.keep_own(mapped, (&entries, &doubts), renamed).await?
            }
            false => HashSet::new(),
        };
        let (store, sync) = (&self.ports.store, &self.sync.name);
        let refused: Vec<_> =
            mapped.rejects.iter().filter_map(|reject| reject.key.clone()).collect();
        let mut known = store.lookup(sync, &refused).await?;
        let keys = refused.iter().zip(&mut known);
        self.welcome_back(keys.filter_map(|(key, entry)| Some((key, entry.as_mut()?)))).await?;
        let mut known = known.into_iter();
        let priors = mapped
            .rejects
            .iter()
            .map(|reject| reject.key.as_ref().and_then(|_| known.next().flatten()))
            .collect();
        Ok(Compared { verdicts, entries, renamed, priors, doubts, left_alone })
    }

    /// What the state remembers of requests nobody heard of that are about the rows to be sent.
    async fn doubts(&self, mapped: &Mapped, verdicts: &[Verdict]) -> Result<Doubts> {
        if !self.may_be_unconfirmed() {
            return Ok(Doubts::new(Vec::new(), self.unheard_until));
        }
        let sent = || (0..verdicts.len()).filter(|row| verdicts[*row] == Verdict::Send);
        let keys: Vec<_> = sent().map(|row| mapped.keys[row].clone()).collect();
        let matches: Vec<_> = sent().map(|row| mapped.matches[row]).collect();
        let rows = self.ports.store.unconfirmed(&self.sync.name, &keys, &matches).await?;
        Ok(Doubts::new(rows, self.unheard_until))
    }

    /// Of rows to be renamed, those whose record is still their own. Nobody heard of the last write of some: it may have
    /// renamed the record, and another row may have been acknowledged under the name it had for a while. Such a
    /// record belongs to that row now.
    async fn keep_own(
        &mut self,
        mapped: &Mapped,
        (entries, doubts): (&[Option<Entry>], &Doubts),
        mut renamed: HashSet<usize>,
    ) -> Result<HashSet<usize>> {
        let unheard = |row: &usize| {
            let doubted = doubts.has(&mapped.keys[*row]);
            let entry = entries[*row].as_ref();
            entry.filter(|entry| doubted || entry.acknowledged.is_none())?.remote_id.clone()
        };
        let ids: Vec<String> = renamed.iter().filter_map(unheard).collect();
        if ids.is_empty() {
            return Ok(renamed);
        }
        // Whoever is on its way to such a record must have its answer first.
        self.settle_all().await?;
        let holders = self.ports.store.holders(&self.sync.name, &ids).await?;
        renamed.retain(|row| {
            let another = |(id, key): &(String, Key)| {
                unheard(row).as_ref() == Some(id) && *key != mapped.keys[*row]
            };
            !holders.iter().any(another)
        });
        Ok(renamed)
    }

    /// Asks the ledger, and the warehouse about rows that stand in the way according to the ledger alone: where one
    /// has left the value, its record goes to the row that has the value now. Also gives back the values whose records
    /// others had until now: a row is found by such a value, and nothing is renamed to it.
    async fn ask_owners(
        &mut self,
        rows: (&Mapped, Option<&[bool]>),
    ) -> Result<(Known, HashSet<MatchHash>)> {
        let (mapped, _) = rows;
        let mut waited = false;
        let mut taken = HashSet::new();
        loop {
            let (store, sync) = (self.ports.store.as_ref(), &self.sync.name);
            let known = Known::ask(store, sync, rows, self.resend).await?;
            let contested = diff::contested(mapped, (&known.asked, &known.owners));
            if contested.is_empty() {
                return Ok((known, taken));
            }
            // A row on its way may be about to leave the value: first its answer, then the question (D3).
            let on_its_way = |(owner, hash): &Held| self.settler.is_pending(owner, *hash);
            if !waited && contested.iter().any(on_its_way) {
                waited = true;
                self.settle_all().await?;
                continue;
            }
            let released = self.release(contested).await?;
            if released.is_empty() {
                return Ok((known, taken));
            }
            taken.extend(released);
        }
    }

    /// Forgets, durably, which records these rows had: another row of the batch takes each. Whatever becomes of the
    /// row itself, its payload is at the destination no more, and the record is not its own to rename.
    async fn dispossess(
        &mut self,
        mapped: &Mapped,
        losers: &[usize],
        entries: &mut [Option<Entry>],
    ) -> Result<()> {
        for row in losers {
            let entry = ownership::released(entries[*row].take().unwrap_or_default());
            self.settler.released(mapped.keys[*row].clone(), entry.clone());
            entries[*row] = Some(entry);
        }
        if losers.is_empty() { Ok(()) } else { self.commit().await }
    }

    /// Forgets, durably, which records those of the rows had that no longer hold the value; gives back the values.
    async fn release(&mut self, held: Vec<Held>) -> Result<Vec<MatchHash>> {
        let about = (&self.prepared, &self.meta);
        let left = ownership::left(self.sync, self.ports, about, held);
        let Some(left) = unless_stopped(&self.options.stop.drain, left).await? else {
            return Err(Error::new(&codes::E4004, "the run was told to stop"));
        };
        let (left, values): (Vec<Key>, Vec<MatchHash>) = left.into_iter().unzip();
        let entries = self.ports.store.lookup(&self.sync.name, &left).await?;
        for (key, entry) in left.iter().zip(entries) {
            self.settler.released(key.clone(), ownership::released(entry.unwrap_or_default()));
        }
        self.commit().await?;
        Ok(values)
    }

    /// Books every row that is not sent, and gives back the others: their indices and what is kept of them.
    fn sort_out(
        &mut self,
        mapped: &Mapped,
        verdicts: Vec<Verdict>,
        entries: Vec<Option<Entry>>,
    ) -> (Vec<u32>, Vec<Row>) {
        let (mut send, mut rows) = (Vec::new(), Vec::new());
        let (mut unchanged, mut held) = (0, 0);
        for (index, (verdict, entry)) in verdicts.into_iter().zip(entries).enumerate() {
            let prior = entry.unwrap_or_default();
            let key = &mapped.keys[index];
            match verdict {
                Verdict::Unchanged { resolves } => {
                    unchanged += 1;
                    if resolves {
                        self.settler.resolved(key.clone(), prior);
                    }
                }
                Verdict::Held => held += 1,
                Verdict::Left => self.leave_out(),
                Verdict::Conflict => self.refuse(ownership::conflict(key.clone()), Some(prior)),
                // Fields alone make no record.
                Verdict::Send if self.caller.only.is_some() && prior.match_hash.is_none() => {
                    unchanged += 1;
                }
                Verdict::Send => {
                    let whole = self.is_whole_after(&prior, mapped.fingerprints[index]);
                    send.push(index as u32);
                    if let Some(groups) = &mut self.groups {
                        groups.see(&mapped.payload, index);
                    }
                    rows.push(Row {
                        range: 0,
                        key: key.clone(),
                        match_hash: mapped.matches[index],
                        // Some fields of a row that changed are not the row: it is still to be sent.
                        fingerprint: if whole {
                            mapped.fingerprints[index]
                        } else {
                            Fingerprint(0)
                        },
                        prior,
                        changed_at: None,
                        payload: remembered::of_row(
                            if whole { self.sync.remember() } else { Remember::Nothing },
                            &mapped.payload,
                            (index, mapped.fingerprints[index]),
                        ),
                        doubt: Doubt::default(),
                        record_id: None,
                    });
                }
            }
        }
        self.settler.unchanged(unchanged);
        self.settler.held(held);
        (send, rows)
    }

    /// Whether the record holds the whole row once what is sent of it is acknowledged.
    fn is_whole_after(&self, prior: &Entry, fingerprint: Fingerprint) -> bool {
        self.caller.only.is_none() || prior.acknowledged == Some(fingerprint)
    }

    /// Books a row that is refused before it is sent. One that was to be confirmed cannot be: what its record holds is not
    /// known.
    fn refuse(&mut self, reject: Reject, prior: Option<Entry>) {
        let key = reject.key.clone().filter(|_| self.confirming);
        let prior = prior.map(|entry| Entry {
            acknowledged: entry.acknowledged.filter(|_| key.is_none()),
            ..entry
        });
        self.settler.refused(reject, prior);
        if let Some(key) = key {
            self.settler.forget_acknowledged(key, None);
        }
    }

    /// Makes calls of rows; what of them cannot even wait is parked.
    async fn make_calls(&mut self, mapped: &Mapped, send: &[u32], rows: Vec<Row>) -> Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        if let Err(error) = self.mark_dirty(&rows).await {
            self.parked += rows.len() as u64;
            return Err(error);
        }
        let (renamed, found): (Vec<_>, Vec<_>) = rows
            .into_iter()
            .zip(send.iter().copied())
            .partition(|(row, _)| row.record_id.is_some());
        // Where an earlier rename may have been carried out unheard, the record may have a value that another row of
        // the chunk takes: it leaves that value first, or it would take the other row's record along.
        let unsure =
            |(row, _): &(Row, u32)| row.prior.acknowledged.is_none() || !row.doubt.is_none();
        let unsure = renamed.iter().any(unsure);
        let left = found.len() as u64;
        let mut made = self.make_batch(mapped, renamed, Found::ById);
        if made.is_ok() && unsure {
            made = self.settle_all().await;
        }
        if made.is_err() {
            self.parked += left;
        }
        made?;
        self.make_batch(mapped, found, Found::ByValue)
    }

    fn make_batch(&mut self, mapped: &Mapped, rows: Vec<(Row, u32)>, how: Found) -> Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let (rows, indices): (Vec<Row>, Vec<u32>) = rows.into_iter().unzip();
        let count = rows.len() as u64;
        let batcher = match how {
            Found::ById => &mut self.renames,
            Found::ByValue => &mut self.batcher,
        };
        let calls = mapped
            .payload
            .take(&indices)
            .and_then(|payload| batcher.push(Call { rows, payload, job: false }))
            .map_err(payload_lost);
        match calls {
            Ok(calls) => self.ready.extend(calls),
            Err(error) => {
                self.parked += count;
                return Err(error);
            }
        }
        Ok(())
    }

    /// Remembers the newest change, for the metrics.
    fn see(&mut self, changed_at: &[Option<i64>]) {
        let newest = changed_at.iter().flatten().max().copied().max(self.newest);
        if let (Some(at), true) = (newest, newest != self.newest) {
            self.newest = newest;
            self.ports.metrics.source_watermark(&self.sync.name, Watermark(at));
        }
    }

    /// Lets everything be settled first when a row of the chunk, or its record, is still on its way (D3).
    async fn wait_for_pending(&mut self, chunk: &Chunk) -> Result<()> {
        let mapped = &chunk.mapped;
        let rejected = mapped.rejects.iter().filter_map(|reject| reject.key.as_ref());
        let waits = self.settler.has_pending()
            && (mapped
                .keys
                .iter()
                .zip(&mapped.matches)
                .any(|(k, m)| self.settler.is_pending(k, *m))
                || rejected
                    .chain(&chunk.said)
                    .chain(&chunk.gone)
                    .any(|key| self.settler.is_pending(key, MatchHash(0))));
        if waits { self.settle_all().await } else { Ok(()) }
    }

    /// Sends what waits, and lets everything be answered and committed.
    pub(crate) async fn settle_all(&mut self) -> Result<()> {
        self.flush()?;
        self.let_go().await?;
        loop {
            self.start_calls();
            let done = tokio::select! {
                biased;
                () = self.options.stop.abort.cancelled() => {
                    return Err(Error::new(&codes::E4004, "the run was aborted by a second signal"));
                }
                done = self.calls.join_next() => done,
            };
            match done {
                Some(done) => self.settle(done)?,
                None => return self.commit().await,
            }
        }
    }

    /// Opens the ranges of a chunk's rows, in the order of the read, and gives back the last one. A backfill sends
    /// everything, so that it has more than one: killed, it goes on near where it was.
    fn open_ranges(&mut self, send: &[u32], rows: &mut [Row], mark: Mark<'_>) -> u64 {
        let Mark { position, clock, keys, changed_at } = mark;
        let mut rest = rows;
        if let Some(end) = position.as_ref().filter(|_| self.settler.is_backfill()) {
            for indices in send.chunks(BACKFILL_RANGE_ROWS) {
                let Some(last) = indices.last().map(|last| *last as usize) else { break };
                // A read in the order of the key has no watermark in its positions.
                let watermark = end.watermark.and(changed_at[last].map(Watermark));
                if indices.len() == rest.len() || watermark.is_some() != end.watermark.is_some() {
                    break;
                }
                let (part, after) = rest.split_at_mut(indices.len());
                let reached = Position { watermark, key: keys[last].clone() };
                let range = self.settler.begin(Some(reached), clock);
                part.iter_mut().for_each(|row| row.range = range);
                self.settler.send(range, part);
                rest = after;
            }
        }
        let range = self.settler.begin(position, clock);
        rest.iter_mut().for_each(|row| row.range = range);
        self.settler.send(range, rest);
        range
    }

    /// Leaves rows beyond `rows_max` for the next run, and says whether there were any.
    fn limit(&mut self, send: &mut Vec<u32>, rows: &mut Vec<Row>) -> bool {
        let room = self.options.rows_max.map_or(u64::MAX, |max| max - self.sent.min(max));
        let room = usize::try_from(room).unwrap_or(usize::MAX);
        let left = rows.len().saturating_sub(room);
        if left > 0 {
            self.parked += left as u64;
            send.truncate(room);
            rows.truncate(room);
        }
        self.sent += rows.len() as u64;
        if self.options.rows_max.is_some_and(|max| self.sent >= max) {
            self.close();
        }
        left > 0
    }
}

/// How the record of a row is found.
enum Found {
    ByValue,
    ById,
}

/// How far a chunk goes: its end, and what its rows' own positions are made of.
struct Mark<'a> {
    position: Option<Position>,
    clock: Watermark,
    keys: &'a [Key],
    changed_at: &'a [Option<i64>],
}

/// What the ledger says about a chunk.
struct Compared {
    /// Of every mapped row.
    verdicts: Vec<Verdict>,
    /// Of every mapped row.
    entries: Vec<Option<Entry>>,
    /// Mapped rows whose record is addressed by its id.
    renamed: HashSet<usize>,
    /// Entries of the rows the mapping refused.
    priors: Vec<Option<Entry>>,
    /// What may still change records of rows to be sent.
    doubts: Doubts,
    /// Columns and rows of the payload that are not written.
    left_alone: Vec<(usize, usize)>,
}

pub(crate) fn payload_lost(error: ArrowError) -> Error {
    Error::new(&codes::E4007, "mapped rows could not be put together").with_source(error)
}

/// Of the keys asked for, those without a row remain.
pub(crate) fn forget_found(asked: &mut Option<Vec<Key>>, mapped: &Mapped) {
    if let Some(keys) = asked {
        let rejected = mapped.rejects.iter().filter_map(|reject| reject.key.as_ref());
        let found: HashSet<&Key> = mapped.keys.iter().chain(rejected).collect();
        keys.retain(|key| !found.contains(key));
    }
}

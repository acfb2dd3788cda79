//! A small world for the real engine: a source, a destination and a store in memory, all scripted and all watching
//! for what must never happen.

mod read;
pub(crate) mod remove;
pub(crate) mod stream;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use engine::{
    Delivery, Guards, Ports, Progress, RetryPolicy, RunOptions, SpoolLimits, Stop, Sync, Watch,
};
use flow::arrow::array::{
    ArrayRef, AsArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use flow::arrow::datatypes::{DataType, Field as ArrowField, Schema, SchemaRef, TimeUnit};
use flow::metrics::Metrics;
use flow::{
    Attribution, BackfillProgress, Batch, Changes, Checked, Clock, Code, ColumnInfo, Commit,
    Destination, Entry, Error, Field, FieldKind, GoneHow, Key, KeyOrder, Kind, Lease, LedgerStream,
    Limits, MatchHash, Mode, Model, NullRule, ObjectSchema, Opening, Outcome, Position, REMOVED,
    Read, ReadRequest, Receipt, Relation, Removal, Result, RunRecord, Scope, Source, Store,
    StoredJob, StoredMark, StoredWatermark, Target, Trigger, Unconfirmed, Watermark, WriteBatch,
};

use remove::{schema_with_removed, to_arrow_with_removed};

pub(crate) static POISON: Code = Code {
    id: "R299",
    kind: Kind::Poison,
    title: "the whole call was refused",
    cause: "A test says so.",
    remedy: "none",
};
pub(crate) static DOWN: Code = Code { id: "E2999", kind: Kind::Failed, ..POISON };
pub(crate) static REFUSED: Code = Code { id: "R298", kind: Kind::Row, ..POISON };
pub(crate) static CUT: Code = Code { id: "E1999", kind: Kind::Failed, ..POISON };

/// One row of the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Person {
    pub(crate) id: i64,
    pub(crate) email: String,
    pub(crate) name: String,
    pub(crate) updated_at: i64,
}

pub(crate) fn people(ids: std::ops::Range<i64>) -> Vec<Person> {
    ids.map(|id| Person {
        id,
        email: format!("user{id}@example.com"),
        name: format!("name {id}"),
        updated_at: 1_000_000 * (id + 1),
    })
    .collect()
}

/// What the destination does with its next calls, first to last; then it behaves.
pub(crate) type Script = Box<dyn FnMut(&[String]) -> Option<Behaviour> + Send>;

/// The outcome of the row with this e-mail, where it is not the usual one.
pub(crate) type OutcomeOf = Box<dyn Fn(&str) -> Option<Outcome> + Send>;

pub(crate) enum Behaviour {
    /// The whole call fails; nothing is applied.
    Fails(Error),
    /// Everything is applied, and the answer is lost.
    AppliesAndFails(Error),
    /// Rows for which this says so get this outcome instead.
    Rows(OutcomeOf),
}

#[derive(Default)]
pub(crate) struct Remote {
    /// Records by e-mail: name.
    pub(crate) records: BTreeMap<String, String>,
    /// The e-mail of every record, by its id.
    pub(crate) ids: HashMap<String, String>,
    /// Every call's e-mails, in order of arrival.
    pub(crate) calls: Vec<Vec<String>>,
    /// Every call that removed records, in order of arrival: their e-mails.
    pub(crate) removals: Vec<Vec<String>>,
    in_flight: HashSet<String>,
    /// The most rows that were in flight at a time.
    pub(crate) most_in_flight: usize,
    /// Addresses of records that somebody copied.
    pub(crate) copies: Vec<String>,
}

impl Remote {
    fn upsert(&mut self, email: &str, name: String, record_id: Option<&String>) -> Outcome {
        let old = match record_id {
            Some(id) => self.ids.get(id).filter(|email| self.records.contains_key(*email)).cloned(),
            None => None,
        };
        if record_id.is_some() && old.is_none() {
            let message = "no such record".to_owned();
            return Outcome::Rejected { code: &REFUSED, message, field: None };
        }
        if let Some(old) = old {
            self.records.remove(&old);
        }
        let created = self.records.insert(email.to_owned(), name).is_none();
        let id = record_id.cloned().unwrap_or_else(|| format!("id of {email}"));
        self.ids.insert(id.clone(), email.to_owned());
        Outcome::Delivered { created: Some(created && record_id.is_none()), remote_id: Some(id) }
    }
}

pub(crate) struct FakeDestination {
    pub(crate) remote: Mutex<Remote>,
    pub(crate) script: Mutex<Option<Script>>,
    pub(crate) latency: Duration,
    /// Its rate limit is used up by somebody else.
    pub(crate) busy: AtomicBool,
    /// Fields it has beside those that are always there.
    pub(crate) more_fields: Mutex<Vec<&'static str>>,
}

#[async_trait]
impl Destination for FakeDestination {
    fn limits(&self, _object: &str) -> Result<Limits> {
        Ok(Limits {
            rows_max: 10,
            bytes_max: 64 << 20,
            in_flight_max: 4,
            modes: &[Mode::Upsert],
            attribution: Attribution::EchoedId,
            null_rule: NullRule::EmptyString,
            renames: true,
            removals: &[Removal::Delete, Removal::Update],
            ..Limits::LEAST
        })
    }

    async fn describe(&self, object: &str) -> Result<ObjectSchema> {
        if self.busy.load(Ordering::SeqCst) {
            let wait = flow::Retry::After(Duration::from_secs(200));
            return Err(Error::new(&DOWN, "the window is used up").with_retry(wait));
        }
        let field = |name: &str, unique| Field {
            name: name.to_owned(),
            label: name.to_owned(),
            kind: FieldKind::Text { chars_max: None },
            required: false,
            unique,
            read_only: false,
            folds_case: false,
        };
        let mut fields = vec![field("email", true), field("name", false), field("status", false)];
        let more = self.more_fields.lock().unwrap();
        fields.extend(more.iter().map(|name| field(name, false)));
        Ok(ObjectSchema { object: object.to_owned(), fields, open: false })
    }

    fn reads_back(&self) -> Option<&dyn flow::ReadsBack> {
        Some(self)
    }

    fn objects(&self) -> Vec<String> {
        vec!["contacts".to_owned()]
    }

    async fn write(&self, batch: &WriteBatch) -> Result<Receipt> {
        if batch.payload.fields.column_by_name("email").is_none() {
            return self.remove(batch).await;
        }
        let column = |name: &str| -> Vec<String> {
            let column = batch.payload.fields.column_by_name(name).expect("mapped");
            column.as_string::<i32>().iter().map(|v| v.unwrap_or_default().to_owned()).collect()
        };
        let (emails, names) = (column("email"), column("name"));
        assert!(!emails.is_empty() && emails.len() <= 10, "the limit of the destination is kept");
        {
            let mut remote = self.remote();
            remote.calls.push(emails.clone());
            for email in &emails {
                assert!(
                    remote.in_flight.insert(email.clone()),
                    "D3: two calls in flight for {email}"
                );
            }
            remote.most_in_flight = remote.most_in_flight.max(remote.in_flight.len());
        }
        tokio::time::sleep(self.latency).await;
        let behaviour = self.script.lock().unwrap().as_mut().and_then(|script| script(&emails));
        let mut remote = self.remote();
        for email in &emails {
            remote.in_flight.remove(email);
        }
        let mut outcomes = Vec::new();
        for (email, name) in emails.iter().zip(names) {
            let special = match &behaviour {
                Some(Behaviour::Fails(_)) => continue,
                Some(Behaviour::Rows(outcome_of)) => outcome_of(email),
                _ => None,
            };
            let record_id = batch.record_ids.get(outcomes.len());
            outcomes.push(match special {
                Some(Outcome::InPart { rest, .. }) => {
                    remote.upsert(email, name, record_id);
                    Outcome::InPart { remote_id: Some(format!("id of {email}")), rest }
                }
                Some(special) => special,
                None => remote.upsert(email, name, record_id),
            });
        }
        match behaviour {
            Some(Behaviour::Fails(error) | Behaviour::AppliesAndFails(error)) => Err(error),
            _ => Ok(Receipt { outcomes }),
        }
    }
}

impl FakeDestination {
    pub(crate) fn remote(&self) -> MutexGuard<'_, Remote> {
        self.remote.lock().unwrap()
    }
}

/// Rows in memory, read in batches of 7, optionally cut once after so many batches.
pub(crate) struct FakeSource {
    pub(crate) rows: Mutex<Vec<Person>>,
    pub(crate) cut_after: Mutex<Option<usize>>,
    pub(crate) open_reads: Arc<AtomicUsize>,
    /// Reads that were opened.
    pub(crate) reads: AtomicUsize,
    /// They enter once the next read has taken its snapshot.
    pub(crate) after_read: Mutex<Option<Vec<Person>>>,
    /// It does not answer questions about keys for a long time.
    pub(crate) busy: AtomicBool,
}

impl FakeSource {
    pub(crate) fn reads(&self) -> usize {
        self.reads.load(Ordering::SeqCst)
    }
}

pub(crate) fn schema() -> SchemaRef {
    let at = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    Arc::new(Schema::new(vec![
        ArrowField::new("id", DataType::Int64, true),
        ArrowField::new("email", DataType::Utf8, true),
        ArrowField::new("name", DataType::Utf8, true),
        ArrowField::new("updated_at", at, true),
    ]))
}

#[async_trait]
impl Source for FakeSource {
    async fn check(&self, _model: &Model) -> Result<Checked> {
        let columns = schema()
            .fields()
            .iter()
            .map(|field| ColumnInfo {
                name: field.name().clone(),
                data_type: field.data_type().clone(),
                source_type: "test".to_owned(),
            })
            .collect();
        Ok(Checked { columns, findings: Vec::new() })
    }

    async fn discover(
        &self,
        _relation: Option<&Relation>,
    ) -> Result<Vec<(String, Vec<ColumnInfo>)>> {
        Ok(Vec::new())
    }

    async fn count_rows(&self, _model: &Model) -> Result<Option<u64>> {
        Ok(Some(self.rows.lock().unwrap().len() as u64))
    }

    async fn read(&self, request: ReadRequest) -> Result<Box<dyn Read>> {
        if matches!(request.scope, Scope::Keys(_)) && self.busy.load(Ordering::SeqCst) {
            let wait = flow::Retry::After(Duration::from_secs(200));
            return Err(Error::new(&CUT, "too many connections").with_retry(wait));
        }
        let mut rows = self.rows.lock().unwrap().clone();
        let late = self.after_read.lock().unwrap().take();
        self.rows.lock().unwrap().extend(late.into_iter().flatten());
        rows.sort_by_key(|row| (row.updated_at, row.id.to_string()));
        rows.retain(|row| match &request.scope {
            Scope::All | Scope::Where(_) => true,
            Scope::Since(from) => row.updated_at >= from.0,
            Scope::Changed { from, .. } => from.is_none_or(|from| row.updated_at >= from.0),
            Scope::Range { from, to } => (from.0..to.0).contains(&row.updated_at),
            Scope::Keys(keys) => keys.iter().any(|key| key.as_str() == row.id.to_string()),
        });
        if let Some(Position { watermark: Some(watermark), key }) = &request.after {
            let after = (watermark.0, key.as_str().to_owned());
            rows.retain(|row| (row.updated_at, row.id.to_string()) > after);
        }
        self.open_reads.fetch_add(1, Ordering::SeqCst);
        self.reads.fetch_add(1, Ordering::SeqCst);
        Ok(Box::new(FakeRead {
            opening: Opening {
                schema: match request.model.removed_when {
                    Some(_) => schema_with_removed(),
                    None => schema(),
                },
                clock: Watermark(i64::MAX - 1),
                duplicates: Arc::default(),
            },
            rows,
            cut_after: self.cut_after.lock().unwrap().take(),
            open_reads: Arc::clone(&self.open_reads),
        }))
    }
}

struct FakeRead {
    opening: Opening,
    rows: Vec<Person>,
    cut_after: Option<usize>,
    open_reads: Arc<AtomicUsize>,
}

impl Drop for FakeRead {
    fn drop(&mut self) {
        self.open_reads.fetch_sub(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl Read for FakeRead {
    fn opening(&self) -> &Opening {
        &self.opening
    }

    async fn next(&mut self) -> Result<Option<Batch>> {
        if let Some(left) = &mut self.cut_after {
            if *left == 0 {
                return Err(Error::new(&CUT, "cut").with_retry(flow::Retry::Backoff));
            }
            *left -= 1;
        }
        if self.rows.is_empty() {
            return Ok(None);
        }
        let rest = self.rows.split_off(self.rows.len().min(7));
        let rows = std::mem::replace(&mut self.rows, rest);
        let last = rows.last().map(|row| Position {
            watermark: Some(Watermark(row.updated_at)),
            key: Key::from_parts(&[row.id.to_string()]),
        });
        let rows = match self.opening.schema.column_with_name(REMOVED) {
            Some(_) => to_arrow_with_removed(&rows),
            None => to_arrow(&rows),
        };
        Ok(Some(Batch { rows, faults: Vec::new(), last }))
    }
}

fn to_arrow(rows: &[Person]) -> RecordBatch {
    let at: TimestampMicrosecondArray = rows.iter().map(|row| Some(row.updated_at)).collect();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.id))),
        Arc::new(StringArray::from_iter_values(rows.iter().map(|row| &row.email))),
        Arc::new(StringArray::from_iter_values(rows.iter().map(|row| &row.name))),
        Arc::new(at.with_timezone("UTC")),
    ];
    RecordBatch::try_new(schema(), columns).expect("the columns fit the schema")
}

/// The state in memory. `commits` keeps every commit for the tests to look at.
#[derive(Default)]
pub(crate) struct Memory {
    pub(crate) ledger: HashMap<Key, Entry>,
    pub(crate) rejects: BTreeMap<String, &'static str>,
    /// The run that refused each of them last.
    pub(crate) refused_by: BTreeMap<String, String>,
    pub(crate) target: Option<Target>,
    pub(crate) watermark: Option<StoredWatermark>,
    pub(crate) mark: Option<StoredMark>,
    pub(crate) backfills: HashMap<String, BackfillProgress>,
    pub(crate) runs: Vec<RunRecord>,
    pub(crate) payloads: BTreeMap<Key, Vec<u8>>,
    pub(crate) commits: usize,
    pub(crate) stolen: bool,
    pub(crate) unconfirmed: Vec<Unconfirmed>,
    pub(crate) unheard_at: Option<i64>,
    pub(crate) jobs: Vec<StoredJob>,
    /// Rows that were asked for by key.
    pub(crate) looked_up: usize,
}

#[derive(Default)]
pub(crate) struct FakeStore(pub(crate) Mutex<Memory>);

impl FakeStore {
    pub(crate) fn memory(&self) -> MutexGuard<'_, Memory> {
        self.0.lock().unwrap()
    }
}

fn page(
    ledger: &HashMap<Key, Entry>,
    after: Option<&Key>,
    rows: usize,
    wanted: impl Fn(&Entry) -> bool,
) -> Vec<(Key, Entry)> {
    let found =
        ledger.iter().filter(|(key, entry)| after.is_none_or(|a| *key > a) && wanted(entry));
    let mut found: Vec<_> = found.map(|(key, entry)| (key.clone(), entry.clone())).collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found.truncate(rows);
    found
}

#[async_trait]
impl Store for FakeStore {
    async fn acquire(&self, sync: &str, _at: i64) -> Result<Lease> {
        Ok(Lease::new(sync.to_owned(), 1, ()))
    }

    async fn put_run(&self, _lease: &Lease, run: &RunRecord) -> Result<()> {
        let runs = &mut self.memory().runs;
        runs.retain(|known| known.id != run.id);
        runs.push(run.clone());
        Ok(())
    }

    async fn target(&self, _sync: &str) -> Result<Option<Target>> {
        Ok(self.memory().target.clone())
    }

    async fn put_target(&self, _lease: &Lease, target: &Target) -> Result<()> {
        self.memory().target = Some(target.clone());
        Ok(())
    }

    async fn watermark(&self, _sync: &str) -> Result<Option<StoredWatermark>> {
        Ok(self.memory().watermark.clone())
    }

    async fn mark(&self, _sync: &str) -> Result<Option<StoredMark>> {
        Ok(self.memory().mark.clone())
    }

    async fn backfill(&self, _sync: &str, spec: &str) -> Result<Option<BackfillProgress>> {
        Ok(self.memory().backfills.get(spec).cloned())
    }

    async fn lookup(&self, _sync: &str, keys: &[Key]) -> Result<Vec<Option<Entry>>> {
        let mut memory = self.memory();
        memory.looked_up += keys.len();
        Ok(keys.iter().map(|key| memory.ledger.get(key).cloned()).collect())
    }

    async fn payloads(&self, _sync: &str, keys: &[Key]) -> Result<Vec<Option<Vec<u8>>>> {
        let memory = self.memory();
        Ok(keys.iter().map(|key| memory.payloads.get(key).cloned()).collect())
    }

    async fn payloads_after(
        &self,
        _sync: &str,
        after: Option<&Key>,
        rows: usize,
    ) -> Result<Vec<(Key, Vec<u8>)>> {
        let memory = self.memory();
        let later =
            memory.payloads.iter().filter(|(key, _)| after.is_none_or(|after| *key > after));
        Ok(later.take(rows).map(|(key, bytes)| (key.clone(), bytes.clone())).collect())
    }

    async fn known_rows(&self, _sync: &str) -> Result<u64> {
        let known = |entry: &&Entry| entry.match_hash.is_some();
        Ok(self.memory().ledger.values().filter(known).count() as u64)
    }

    async fn owners(&self, _sync: &str, matches: &[MatchHash]) -> Result<Vec<Option<Key>>> {
        let memory = self.memory();
        let owner = |hash: &MatchHash| {
            memory.ledger.iter().find(|(_, e)| e.match_hash == Some(*hash)).map(|(k, _)| k.clone())
        };
        Ok(matches.iter().map(owner).collect())
    }

    async fn holders(&self, _sync: &str, record_ids: &[String]) -> Result<Vec<(String, Key)>> {
        let memory = self.memory();
        let holder = |(key, entry): (&Key, &Entry)| {
            let id = entry.remote_id.clone().filter(|id| record_ids.contains(id))?;
            Some((id, key.clone()))
        };
        Ok(memory.ledger.iter().filter_map(holder).collect())
    }

    async fn stream(&self, _sync: &str, order: &KeyOrder) -> Result<Option<Box<dyn LedgerStream>>> {
        Ok(Some(stream::stream(self.memory().ledger.iter(), order)))
    }

    async fn scan(
        &self,
        _sync: &str,
        after: Option<&Key>,
        rows: usize,
    ) -> Result<Vec<(Key, Entry)>> {
        Ok(page(&self.memory().ledger, after, rows, |_| true))
    }

    async fn gone(
        &self,
        _sync: &str,
        after: Option<&Key>,
        rows: usize,
    ) -> Result<Vec<(Key, Entry)>> {
        let open = |entry: &Entry| entry.gone.is_some_and(|gone| gone.how != GoneHow::Settled);
        Ok(page(&self.memory().ledger, after, rows, open))
    }

    async fn mark_dirty(&self, _lease: &Lease, keys: &[Key]) -> Result<()> {
        for key in keys {
            if let Some(entry) = self.memory().ledger.get_mut(key) {
                entry.acknowledged = None;
            }
        }
        Ok(())
    }

    async fn commit(&self, _lease: &Lease, commit: Commit) -> Result<()> {
        let mut memory = self.memory();
        if memory.stolen {
            static STOLEN: Code = Code { id: "E3999", kind: Kind::Lease, ..POISON };
            return Err(Error::new(&STOLEN, "another run took over"));
        }
        memory.commits += 1;
        memory.payloads.extend(commit.payloads);
        for key in commit.resolved {
            memory.rejects.remove(key.as_str());
        }
        for change in commit.ledger {
            memory.ledger.insert(change.key, change.entry);
        }
        for key in commit.forgotten {
            memory.ledger.remove(&key);
        }
        memory.unconfirmed.retain(|row| !commit.confirmed.contains(&row.key));
        for row in commit.unconfirmed {
            let same =
                |known: &Unconfirmed| (&known.key, known.match_hash) == (&row.key, row.match_hash);
            let known = memory.unconfirmed.iter().position(same);
            let known = known.map(|index| memory.unconfirmed.remove(index).confirm_after);
            let confirm_after = known.map_or(row.confirm_after, |at| at.max(row.confirm_after));
            memory.unconfirmed.push(Unconfirmed { confirm_after, ..row });
        }
        memory.jobs.retain(|job| !commit.ended_jobs.contains(&job.open.key));
        for reject in commit.rejects {
            let key = reject.key.map_or_else(String::new, |key| key.as_str().to_owned());
            memory.refused_by.insert(key.clone(), commit.run_id.clone());
            memory.rejects.insert(key, reject.code.id);
        }
        if let Some(watermark) = commit.watermark {
            assert!(memory.watermark.as_ref().is_none_or(|w| w.watermark <= watermark.watermark));
            memory.watermark = Some(watermark);
        }
        if let Some(mark) = commit.mark {
            memory.mark = Some(mark);
        }
        if let Some(progress) = commit.backfill {
            memory.backfills.insert(progress.spec.clone(), progress);
        }
        assert_eq!(commit.counts.unaccounted(), 0, "every commit balances");
        Ok(())
    }

    async fn end_backfill(&self, _lease: &Lease, spec: &str) -> Result<()> {
        self.memory().backfills.remove(spec);
        Ok(())
    }

    async fn rejected_keys(
        &self,
        _sync: &str,
        codes: Option<&[&str]>,
        (seen_by, rows_max): (&str, usize),
    ) -> Result<Vec<Key>> {
        let memory = self.memory();
        let wanted = |(key, code): &(&String, &&'static str)| {
            codes.is_none_or(|codes| codes.contains(*code)) && memory.refused_by[*key] != seen_by
        };
        let found = memory.rejects.iter().filter(wanted).take(rows_max);
        Ok(found.map(|(key, _)| Key::from_stored(key.clone())).collect())
    }

    async fn open_rejects(&self, _sync: &str) -> Result<(u64, Option<i64>)> {
        Ok((self.memory().rejects.len() as u64, None))
    }

    async fn unconfirmed(
        &self,
        _sync: &str,
        keys: &[Key],
        matches: &[MatchHash],
    ) -> Result<Vec<Unconfirmed>> {
        let mut rows = self.memory().unconfirmed.clone();
        rows.retain(|row| keys.contains(&row.key) || matches.contains(&row.match_hash));
        Ok(rows)
    }

    async fn to_confirm(&self, _sync: &str, at: i64, rows_max: usize) -> Result<Vec<Unconfirmed>> {
        let mut rows = self.memory().unconfirmed.clone();
        let later = rows.clone();
        rows.retain(|row| {
            later.iter().all(|later| later.key != row.key || later.confirm_after <= at)
        });
        rows.truncate(rows_max);
        Ok(rows)
    }

    async fn unconfirmed_rows(&self, _sync: &str) -> Result<u64> {
        Ok(self.memory().unconfirmed.len() as u64)
    }

    async fn unheard_at(&self, _sync: &str) -> Result<Option<i64>> {
        Ok(self.memory().unheard_at)
    }

    async fn put_unheard(&self, _lease: &Lease, at: i64) -> Result<()> {
        self.memory().unheard_at = Some(at);
        Ok(())
    }

    async fn put_job(&self, _lease: &Lease, job: &StoredJob) -> Result<()> {
        self.memory().jobs.push(job.clone());
        Ok(())
    }

    async fn job_created(&self, lease: &Lease, job: &str, remote_id: &str) -> Result<()> {
        let _ = lease;
        let mut memory = self.memory();
        let known = memory.jobs.iter_mut().map(|job| &mut job.open).find(|open| open.key == job);
        known.expect("the intent comes first").remote_id = Some(remote_id.to_owned());
        Ok(())
    }

    async fn jobs(&self, _sync: &str) -> Result<Vec<StoredJob>> {
        Ok(self.memory().jobs.clone())
    }
}

#[derive(Debug)]
pub(crate) struct StillClock(pub(crate) Arc<AtomicI64>);

impl Clock for StillClock {
    fn now_micros(&self) -> i64 {
        self.0.fetch_add(1, Ordering::SeqCst)
    }
}

pub(crate) struct Nobody;

impl Watch for Nobody {
    fn progress(&self, _progress: &Progress) {}
}

/// The whole world.
pub(crate) struct World {
    pub(crate) source: Arc<FakeSource>,
    pub(crate) destination: Arc<FakeDestination>,
    pub(crate) store: Arc<FakeStore>,
    pub(crate) sync: Sync,
    pub(crate) ports: Ports,
    pub(crate) stop: Stop,
    now: Arc<AtomicI64>,
    _dir: tempfile::TempDir,
}

impl World {
    pub(crate) fn new(rows: Vec<Person>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let source = Arc::new(FakeSource {
            rows: Mutex::new(rows),
            cut_after: Mutex::new(None),
            busy: AtomicBool::new(false),
            open_reads: Arc::default(),
            reads: AtomicUsize::new(0),
            after_read: Mutex::default(),
        });
        let destination = Arc::new(FakeDestination {
            remote: Mutex::default(),
            script: Mutex::default(),
            latency: Duration::from_millis(20),
            busy: AtomicBool::new(false),
            more_fields: Mutex::default(),
        });
        let store = Arc::new(FakeStore::default());
        let now = Arc::new(AtomicI64::new(1_800_000_000_000_000));
        let ports = Ports {
            source: Arc::<FakeSource>::clone(&source),
            destination: Arc::<FakeDestination>::clone(&destination),
            store: Arc::<FakeStore>::clone(&store),
            metrics: Metrics::new("test", "test"),
            clock: Arc::new(StillClock(Arc::clone(&now))),
            spool_dir: dir.path().to_owned(),
            spool: SpoolLimits::default(),
            retry: RetryPolicy::default(),
        };
        let model = Model {
            relation: Relation::Table("people".to_owned()),
            primary_key: vec!["id".to_owned()],
            changes: Changes::Watermark { column: "updated_at".to_owned(), lag_micros: 3_000_000 },
            removed_when: None,
        };
        let mappings = serde_json::from_str(r#"{"name": "name"}"#).expect("a mapping");
        let sync = Sync {
            name: "people".to_owned(),
            model: Arc::new(model),
            source: "warehouse".to_owned(),
            destination: "crm".to_owned(),
            object: "contacts".to_owned(),
            match_on: vec![("email".to_owned(), "email".to_owned())],
            mode: Mode::Upsert,
            mappings,
            removed: None,
            delivery: Delivery::default(),
            compare_every_micros: None,
            guards: Guards::default(),
            private: Vec::new(),
        };
        Self { source, destination, store, sync, ports, stop: Stop::default(), now, _dir: dir }
    }

    /// Time goes by.
    pub(crate) fn later(&self, micros: i64) {
        self.now.fetch_add(micros, Ordering::SeqCst);
    }

    /// The process died; the next owner finds that out when it takes the lease.
    pub(crate) fn crashed(&self) {
        self.destination.remote().in_flight.clear();
        self.store.memory().unheard_at = Some(self.ports.clock.now_micros());
    }

    pub(crate) fn options(&self) -> RunOptions {
        RunOptions {
            trigger: Trigger::Manual,
            full_refresh: false,
            rows_max: None,
            fail_fast: false,
            stop: self.stop.clone(),
        }
    }

    pub(crate) async fn run(&self) -> Result<engine::RunReport, engine::RunFailure> {
        engine::run(&self.sync, &self.ports, self.options(), &Nobody).await
    }

    pub(crate) fn script(
        &self,
        script: impl FnMut(&[String]) -> Option<Behaviour> + Send + 'static,
    ) {
        *self.destination.script.lock().unwrap() = Some(Box::new(script));
    }

    /// D1: the destination holds the source.
    #[track_caller]
    pub(crate) fn converged(&self) {
        let rows = self.source.rows.lock().unwrap();
        let expected: BTreeMap<_, _> =
            rows.iter().map(|row| (row.email.clone(), row.name.clone())).collect();
        assert_eq!(self.destination.remote().records, expected);
    }

    pub(crate) fn calls(&self) -> usize {
        self.destination.remote().calls.len()
    }
}

//! The simulated vendor: records found by e-mail whatever its letter case, or by their id; and watchers for what must
//! never reach it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use flow::arrow::array::AsArray;
use flow::arrow::datatypes::Int64Type;
use flow::{
    Attribution, Destination, Error, Field, FieldKind, KeepsJobs, Key, Limits, Mode, NullRule,
    ObjectSchema, Outcome, Receipt, Removal, Result, WriteBatch,
};
use tokio::time::Instant;

use super::jobs::{self, VendorJob};
use super::mishap::{Answer, Applied, Plan};
use super::oracle::Content;
use super::removals::{self, Removing};
use super::universe::{POISON, REFUSED, Sabotage, State, UNREACHABLE, Universe};
use super::weather::Season;
use super::writers;

#[derive(Default)]
pub(crate) struct Vendor {
    pub(crate) records: BTreeMap<u64, Content>,
    next_id: u64,
    pub(crate) writes: u64,
    /// Keys and match values in calls that have no answer yet, from the client's point of view.
    in_flight: BTreeMap<String, u32>,
    pub(crate) jobs: BTreeMap<u64, VendorJob>,
    /// Until when the vendor asked this run not to send this key.
    not_before: BTreeMap<(String, i64), Instant>,
}

impl Vendor {
    pub(crate) fn find(&self, email: &str) -> Option<u64> {
        let wanted = email.to_lowercase();
        let found = self.records.iter().find(|(_, record)| record.email.to_lowercase() == wanted);
        found.map(|(id, _)| *id)
    }

    /// Creates or updates the record, or renames the one with this id.
    fn upsert(&mut self, content: &Content, record_id: Option<&str>) -> Outcome {
        let refused = |message: &str| Outcome::Rejected {
            code: &REFUSED,
            message: message.to_owned(),
            field: None,
        };
        if content.name == writers::REFUSED {
            return refused("this name is refused");
        }
        let found = self.find(&content.email);
        let id = match record_id.map(|id| id.parse().expect("an id of ours")) {
            Some(id) if !self.records.contains_key(&id) => return refused("no such record"),
            Some(id) if found.is_some_and(|found| found != id) => {
                return refused("another record has this e-mail");
            }
            Some(id) => id,
            None => found.unwrap_or_else(|| {
                self.next_id += 1;
                self.next_id
            }),
        };
        let created = self.records.insert(id, content.clone()).is_none();
        Outcome::Delivered { created: Some(created), remote_id: Some(id.to_string()) }
    }
}

/// One row of a call.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) content: Content,
    pub(crate) record_id: Option<String>,
    /// Its row left the model.
    pub(crate) removing: Option<Removing>,
}

pub(crate) struct SimDestination(pub(crate) Arc<Universe>);

pub(crate) fn object() -> ObjectSchema {
    let field = |name: &str, kind, unique: bool| Field {
        name: name.to_owned(),
        label: name.to_owned(),
        kind,
        required: false,
        unique,
        read_only: false,
        folds_case: unique,
    };
    let text = || FieldKind::Text { chars_max: None };
    let fields = vec![
        field("email", text(), true),
        field("name", text(), false),
        field("row", FieldKind::Number, false),
        field("tag", text(), false),
    ];
    ObjectSchema { object: "contacts".to_owned(), fields, open: false }
}

#[async_trait]
impl Destination for SimDestination {
    fn limits(&self, _object: &str) -> Result<Limits> {
        let state = self.0.lock();
        Ok(Limits {
            rows_max: 6,
            bytes_max: 1 << 20,
            in_flight_max: 4,
            modes: &[Mode::Upsert],
            attribution: Attribution::EchoedId,
            null_rule: NullRule::EmptyString,
            renames: state.weather.renames,
            removals: &[Removal::Delete, Removal::Update],
            apply_max: state.weather.apply_max(),
            jobs: state.weather.jobs.map(|jobs| jobs.limits),
        })
    }

    async fn describe(&self, _object: &str) -> Result<ObjectSchema> {
        self.0.step("describe").await;
        match self.0.lock().misfortune(0.03) {
            true => Err(Error::new(&UNREACHABLE, "no answer")),
            false => Ok(object()),
        }
    }

    fn objects(&self) -> Vec<String> {
        vec!["contacts".to_owned()]
    }

    fn keeps_jobs(&self) -> Option<&dyn KeepsJobs> {
        self.0.lock().weather.jobs.map(|_| self as &dyn KeepsJobs)
    }

    async fn write(&self, batch: &WriteBatch) -> Result<Receipt> {
        if let Some(journal) = &batch.job {
            return jobs::write(&self.0, batch, journal.as_ref()).await;
        }
        self.0.step("write").await;
        let removing = removals::removing(&self.0.lock(), batch);
        let rows = removing.unwrap_or_else(|| sent(batch));
        let run = batch.run_id.to_string();
        let lingers = {
            let state = self.0.lock();
            (state.is(Sabotage::SendsTwice), state.is(Sabotage::Lingers))
        };
        if lingers.1 {
            let (universe, rows, run) = (Arc::clone(&self.0), rows.clone(), run.clone());
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_secs(3)).await;
                let _ = call(&universe, rows, run).await;
            });
        }
        let mut outcomes = if lingers.0 {
            let (first, second) =
                tokio::join!(call(&self.0, rows.clone(), run.clone()), call(&self.0, rows, run));
            first.or(second)?
        } else {
            call(&self.0, rows, run).await?
        };
        let state = self.0.lock();
        if state.is(Sabotage::AnswersShift) {
            outcomes.rotate_left(1);
        }
        for outcome in &mut outcomes {
            match outcome {
                Outcome::Unknown { .. } if state.is(Sabotage::UnknownIsDelivered) => {
                    *outcome = Outcome::Delivered { created: None, remote_id: None };
                }
                Outcome::Retry { after: Some(after), .. } if state.is(Sabotage::HurriesRetry) => {
                    *after /= 2;
                }
                _ => {}
            }
        }
        Ok(Receipt { outcomes })
    }
}

pub(crate) fn sent(batch: &WriteBatch) -> Vec<Sent> {
    let fields = &batch.payload.fields;
    let text = |name: &str, row: usize| {
        fields.column_by_name(name).unwrap().as_string::<i32>().value(row).to_owned()
    };
    let number = fields.column_by_name("row").unwrap().as_primitive::<Int64Type>();
    (0..fields.num_rows())
        .map(|row| Sent {
            content: Content {
                row: number.value(row),
                email: text("email", row),
                name: text("name", row),
                tag: text("tag", row),
            },
            record_id: batch.record_ids.get(row).cloned(),
            removing: None,
        })
        .collect()
}

/// What is in flight ends with the call, however it ends.
struct InFlight<'a>(&'a Universe, BTreeSet<String>);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        landed(&mut self.0.lock(), &self.1);
    }
}

/// These keys and match values are not in flight any more.
pub(crate) fn landed(state: &mut State, tokens: &BTreeSet<String>) {
    for token in tokens {
        let count = state.vendor.in_flight.get_mut(token).unwrap();
        *count -= 1;
    }
}

/// Of each row its usual outcome, or a special one; a refusal stays one.
pub(crate) fn mix(usual: Vec<Outcome>, special: Vec<Option<Outcome>>) -> Vec<Outcome> {
    let mixed = usual.into_iter().zip(special);
    mixed
        .map(|(usual, special)| match usual {
            Outcome::Rejected { .. } => usual,
            usual => special.unwrap_or(usual),
        })
        .collect()
}

/// One request: it may be lost, and it may be carried out although nobody waits for the answer any more.
async fn call(universe: &Arc<Universe>, rows: Vec<Sent>, run: String) -> Result<Vec<Outcome>> {
    let (plan, _in_flight) = {
        let mut state = universe.lock();
        let tokens = watch(&mut state, &rows, &run);
        let plan = Plan::draw(&mut state, &rows);
        let emails: Vec<_> = rows.iter().map(|row| (&row.content, &row.record_id)).collect();
        state.note(format_args!("is called: {emails:?}; {plan:?}"));
        (plan, InFlight(universe, tokens))
    };
    let (tell, told) = tokio::sync::oneshot::channel();
    let (there, work, applied) = (Arc::clone(universe), rows.clone(), plan.applied.clone());
    let arrives = Duration::from_millis(plan.arrives_ms);
    tokio::spawn(async move {
        tokio::time::sleep(arrives).await;
        let _ = tell.send(apply(&mut there.lock(), &work, &applied));
    });
    tokio::time::sleep(Duration::from_millis(plan.answers_ms)).await;
    let asked = plan.answer.asked_to_wait();
    match plan.answer {
        Answer::Fails(mishap) => {
            asks_to_wait(universe, (&rows, &run), &asked);
            Err(mishap.error(universe.lock().is(Sabotage::HurriesRetry)))
        }
        Answer::Rows(special) => {
            let outcomes = told.await.expect("the vendor answers")?;
            asks_to_wait(universe, (&rows, &run), &asked);
            Ok(mix(outcomes, special))
        }
    }
}

/// Remembers until when the run must not send these rows again.
fn asks_to_wait(universe: &Universe, (rows, run): (&[Sent], &str), asked: &[Option<Duration>]) {
    let mut state = universe.lock();
    for (row, wait) in rows.iter().zip(asked) {
        let Some(wait) = wait else { continue };
        let until = Instant::now() + *wait;
        state.vendor.not_before.insert((run.to_owned(), row.content.row), until);
    }
}

/// Looks at a request before it is sent: D3, D5, L1, and the limits.
pub(crate) fn watch(state: &mut State, rows: &[Sent], run: &str) -> BTreeSet<String> {
    state.vendor.writes += 1;
    let rows_max = state.weather.jobs.map_or(0, |jobs| jobs.limits.rows_max);
    if rows.is_empty() || rows.len() > rows_max.max(state.weather.batch_rows) {
        state.breach(format!("limits: a call of {} rows", rows.len()));
    }
    if state.ended_runs.contains(run) {
        state.breach("D5: a call of a run that has ended".to_owned());
    }
    removals::check(state, rows);
    let mut tokens = BTreeSet::new();
    for row in rows {
        let key = row.content.row;
        let mut mine = BTreeSet::from([format!("key {key}"), matched(&row.content)]);
        if let Some(id) = &row.record_id {
            mine.insert(format!("record {id}"));
            mine.extend(left_behind(state, row, id));
        }
        for token in mine {
            if !tokens.insert(token.clone()) {
                state.breach(format!("D3: {token} twice in one call"));
            }
        }
        let wait = state.vendor.not_before.get(&(run.to_owned(), key)).copied();
        if wait.is_some_and(|until| Instant::now() < until) {
            state.breach(format!("L1: key {key} is sent before the time the vendor asked for"));
        }
    }
    for token in &tokens {
        let count = state.vendor.in_flight.entry(token.clone()).or_insert(0);
        *count += 1;
        if *count > 1 {
            match state.weather.season {
                Season::TwoOwners => state.races += 1,
                _ => state.breach(format!("D3: two calls in flight for {token}")),
            }
        }
    }
    tokens
}

/// The value a record had that is renamed, as far as the state can know: after a rename whose answer was lost it may
/// have another one already, and whoever takes that one meanwhile is not told apart.
fn left_behind(state: &State, row: &Sent, id: &str) -> Option<String> {
    let record = state.vendor.records.get(&id.parse().unwrap())?;
    let key = Key::from_parts(&[row.content.row.to_string()]);
    let (_, entry) = state.memory.ledger.get(&key)?;
    let known = state.matches.get(&record.email.to_lowercase()).copied() == entry.match_hash;
    known.then(|| matched(record))
}

fn matched(record: &Content) -> String {
    format!("match {}", record.email.to_lowercase())
}

/// Carries a request out.
pub(crate) fn apply(state: &mut State, rows: &[Sent], applied: &Applied) -> Result<Vec<Outcome>> {
    let doubles = state.is(Sabotage::RenamesDouble);
    let vendor = &mut state.vendor;
    if *applied != Applied::Nothing && rows.iter().any(|row| row.content.name == writers::POISON) {
        return Err(Error::new(&POISON, "one of the rows is poison"));
    }
    let outcomes: Vec<Outcome> = rows
        .iter()
        .enumerate()
        .map(|(index, row)| match applied.takes(index, rows.len()) {
            true => {
                let id = row.record_id.as_deref().filter(|_| !doubles);
                match row.removing {
                    Some(what) => vendor.remove(row, what),
                    None => vendor.upsert(&row.content, id),
                }
            }
            false => Outcome::Unknown { reason: "not in the answer" },
        })
        .collect();
    let took: Vec<_> = outcomes
        .iter()
        .zip(rows)
        .filter(|(outcome, _)| matches!(outcome, Outcome::Delivered { .. }))
        .map(|(_, row)| (row.content.row, &row.content.email, &row.content.name))
        .collect();
    state.note(format_args!("vendor applied {took:?}"));
    Ok(outcomes)
}

//! One write: which records are there, which jobs that makes, and what became of every row.

use std::collections::BTreeSet;

use flow::arrow::array::Array as _;
use flow::{Error, Mode, Outcome, Receipt, Result, Retry, WriteBatch, text_at};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::Value;
use writer::codes::{E2016_CALL, R202_CONFLICT, R203_NOT_FOUND};
use writer::{Method, Outcomes, Reply, Request, text};

use super::Zendesk;
use super::job::Handed;
use super::object::{Object, Verb};
use super::wire::Items;

/// Single calls at once, where there are no jobs.
const SINGLES_MAX: usize = 8;

/// One batch and what is known about its rows.
pub(super) struct Work<'a> {
    pub(super) batch: &'a WriteBatch,
    pub(super) object: Object<'a>,
    pub(super) items: Items<'a>,
    /// The field records are found by.
    pub(super) match_on: &'a str,
    /// What each record is found by: its id, or its value of `match_on`.
    pub(super) tokens: Vec<String>,
}

impl Zendesk {
    /// Writes a batch that keeps to the limits.
    pub(super) async fn send(&self, work: &Work<'_>) -> Result<Receipt> {
        let rows = work.tokens.len();
        let mut outcomes = Outcomes::new(rows);
        let by_id = !work.batch.record_ids.is_empty();
        let ids: Vec<Option<String>> = match work.batch.mode {
            _ if by_id => work.tokens.iter().cloned().map(Some).collect(),
            Mode::Upsert | Mode::Mirror if work.object.upserts() => {
                return self.upsert(work, outcomes).await;
            }
            _ if work.match_on == "id" => work.tokens.iter().cloned().map(Some).collect(),
            _ => self.found(work, &mut outcomes).await?,
        };
        let verb = if work.batch.mode == Mode::Delete { Verb::Delete } else { Verb::Update };
        let mut parts = Vec::new();
        let open: BTreeSet<usize> = outcomes.missing().collect();
        let there: Vec<usize> = open.iter().copied().filter(|row| ids[*row].is_some()).collect();
        let new: Vec<usize> = open.iter().copied().filter(|row| ids[*row].is_none()).collect();
        if !there.is_empty() {
            let tokens = there.iter().filter_map(|row| ids[*row].as_deref()).collect();
            parts.push(Handed { verb, rows: there, tokens, by_id: true });
        }
        match work.batch.mode {
            Mode::Upsert | Mode::Mirror if !new.is_empty() => {
                let tokens = new.iter().map(|row| work.tokens[*row].as_str()).collect();
                parts.push(Handed { verb: Verb::Create, rows: new, tokens, by_id: false });
            }
            Mode::Delete => {
                for row in new {
                    let gone = Outcome::Delivered { created: Some(false), remote_id: None };
                    outcomes.set(Some(row), gone);
                }
            }
            _ => {
                for row in new {
                    outcomes.set(Some(row), missing());
                }
            }
        }
        self.jobs(work, &parts, &mut outcomes).await?;
        self.finish(work, outcomes).await.map_err(Error::ambiguous)
    }

    /// Users and custom objects, whose records Zendesk finds by itself.
    async fn upsert(&self, work: &Work<'_>, mut outcomes: Outcomes) -> Result<Receipt> {
        if work.object == Object::Users && !self.has_bulk_users() {
            return self.singles(work).await;
        }
        let tokens = work.tokens.iter().map(String::as_str).collect();
        let rows = (0..work.tokens.len()).collect();
        let part = Handed { verb: Verb::Upsert, rows, tokens, by_id: false };
        match self.jobs(work, std::slice::from_ref(&part), &mut outcomes).await {
            Err(error) if work.object == Object::Users && self.bulk_users_refused(&error) => {
                self.singles(work).await
            }
            Err(error) => Err(error),
            Ok(()) => self.finish(work, outcomes).await.map_err(Error::ambiguous),
        }
    }

    /// The ids of the records that are there. A value that several records have is a reject.
    async fn found(&self, work: &Work<'_>, outcomes: &mut Outcomes) -> Result<Vec<Option<String>>> {
        let found = self.records(work.object, work.match_on, &work.tokens).await?;
        let mut ids = Vec::with_capacity(found.len());
        for (row, records) in found.iter().enumerate() {
            if records.len() > 1 {
                let message = format!("{} records have this `{}`", records.len(), work.match_on);
                let code = &R202_CONFLICT;
                let field = Some(work.match_on.to_owned());
                outcomes.set(Some(row), Outcome::Rejected { code, message, field });
            }
            ids.push(records.first().and_then(|record| text(record, "id")));
        }
        Ok(ids)
    }

    /// Hands the parts over, each as a job, writes down under which ids, and waits for all of them.
    async fn jobs(
        &self,
        work: &Work<'_>,
        parts: &[Handed<'_>],
        outcomes: &mut Outcomes,
    ) -> Result<()> {
        let mut made: Vec<(String, &Handed<'_>)> = Vec::new();
        for part in parts {
            let id = match self.hand_over(work, part).await {
                Ok(id) => id,
                Err(error) if made.is_empty() => return Err(error),
                // The first part goes on; this one comes again, and fails as a whole then if it must.
                Err(error) => {
                    for row in &part.rows {
                        outcomes.set(Some(*row), later(&error));
                    }
                    continue;
                }
            };
            made.push((id, part));
            if let Some(journal) = &work.batch.job {
                journal.created(&written(&made, work)).await.map_err(Error::ambiguous)?;
            }
        }
        for (id, part) in made {
            let end = self.ended(&id).await?;
            part.book(self.judge(part.rows.len()), &end, outcomes);
            let settled = match part.verb {
                Verb::Create => self.recheck(work, part, outcomes).await,
                Verb::Delete if self.permanently_delete => {
                    self.delete_for_good(work.object, part, outcomes).await
                }
                _ => Ok(()),
            };
            settled.map_err(Error::ambiguous)?;
        }
        Ok(())
    }

    /// Makes the job; its id.
    async fn hand_over(&self, work: &Work<'_>, part: &Handed<'_>) -> Result<String> {
        let mut items = Vec::with_capacity(part.rows.len() * 256);
        for (place, row) in part.rows.iter().enumerate() {
            if !items.is_empty() {
                items.push(b',');
            }
            let id = part.by_id.then(|| part.tokens[place]);
            match (part.verb, id) {
                (Verb::Delete, Some(id)) => work.object.push_id(id, &mut items),
                _ => work.items.push(*row, id, &mut items),
            }
        }
        let request = work.object.job(part.verb, work.match_on, (&part.tokens, items));
        let reply = self.call(request).await?;
        let judge = self.judge(part.rows.len());
        if !reply.is_success() {
            return Err(judge.error(&reply));
        }
        let id = text(&judge.object(&reply)?["job_status"], "id");
        let plain = |id: &String| {
            id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        };
        id.filter(|id| id.len() <= 100 && plain(id)).ok_or_else(|| judge.unreadable(&reply))
    }

    /// A row that could not be made since its name is taken may have been made by an earlier job that was still at work
    /// when the records were looked up: then it comes again, as an update.
    async fn recheck(
        &self,
        work: &Work<'_>,
        part: &Handed<'_>,
        outcomes: &mut Outcomes,
    ) -> Result<()> {
        let taken = outcomes.known().filter(|(row, outcome)| {
            let taken =
                matches!(outcome, Outcome::Rejected { code, .. } if **code == R202_CONFLICT);
            taken && part.rows.contains(row)
        });
        let rows: Vec<usize> = taken.map(|(row, _)| row).collect();
        if rows.is_empty() {
            return Ok(());
        }
        let tokens: Vec<String> = rows.iter().map(|row| work.tokens[*row].clone()).collect();
        let found = self.records(work.object, work.match_on, &tokens).await?;
        for (row, _) in rows.iter().zip(found).filter(|(_, records)| records.len() == 1) {
            outcomes.replace(*row, Outcome::Retry { after: None, reason: "it is there by now" });
        }
        Ok(())
    }

    /// After the bin comes the end, where the options want it.
    async fn delete_for_good(
        &self,
        object: Object<'_>,
        part: &Handed<'_>,
        outcomes: &mut Outcomes,
    ) -> Result<()> {
        let bin = match object {
            Object::Users => "/api/v2/deleted_users",
            Object::Tickets => "/api/v2/deleted_tickets",
            _ => return Ok(()),
        };
        let delivered =
            outcomes.known().filter(|(_, outcome)| matches!(outcome, Outcome::Delivered { .. }));
        let delivered: BTreeSet<usize> = delivered.map(|(row, _)| row).collect();
        for (row, id) in
            part.rows.iter().zip(&part.tokens).filter(|(row, _)| delivered.contains(row))
        {
            let path = format!("{bin}/{id}");
            let request = Request { method: Method::DELETE, path, operation: "delete", body: None };
            let reply = self.call(request).await?;
            if !reply.is_success() && reply.status != 404 {
                let judge = self.judge(1);
                outcomes.replace(*row, judge.single(&reply).unwrap_or_else(|error| later(&error)));
            }
        }
        Ok(())
    }

    /// Users one a call, where the account has no jobs for them.
    async fn singles(&self, work: &Work<'_>) -> Result<Receipt> {
        let rows = work.tokens.len();
        let answers: Vec<Result<Outcome>> =
            stream::iter((0..rows).map(|row| self.single(work, row)))
                .buffered(SINGLES_MAX.min(self.pacer.in_flight_max()))
                .collect()
                .await;
        if answers.iter().all(Result::is_err) {
            return match answers.into_iter().next() {
                Some(Err(error)) => Err(error),
                _ => Ok(Receipt { outcomes: Vec::new() }),
            };
        }
        let mut outcomes = Outcomes::new(rows);
        for (row, answer) in answers.into_iter().enumerate() {
            outcomes.set(Some(row), answer.unwrap_or_else(|error| later(&error)));
        }
        self.finish(work, outcomes).await
    }

    async fn single(&self, work: &Work<'_>, row: usize) -> Result<Outcome> {
        let mut body = br#"{"user":"#.to_vec();
        work.items.push(row, None, &mut body);
        body.push(b'}');
        let path = "/api/v2/users/create_or_update".to_owned();
        let reply = self
            .call(Request { method: Method::POST, path, operation: "upsert", body: Some(body) })
            .await?;
        let judge = self.judge(1);
        if !reply.is_success() {
            return judge.single(&reply);
        }
        let remote_id = text(&judge.object(&reply)?["user"], "id");
        if remote_id.is_none() {
            return Err(judge.unreadable(&reply));
        }
        Ok(Outcome::Delivered { created: Some(reply.status == 201), remote_id })
    }

    /// What a job's results leave open: ids of records found by their external id, and a user's main address.
    async fn finish(&self, work: &Work<'_>, mut outcomes: Outcomes) -> Result<Receipt> {
        if work.match_on == "external_id" && work.batch.record_ids.is_empty() {
            let nameless = outcomes.known().filter(|(_, outcome)| {
                matches!(outcome, Outcome::Delivered { remote_id: None, .. })
            });
            let nameless: Vec<usize> = nameless.map(|(row, _)| row).collect();
            if work.batch.mode != Mode::Delete && !nameless.is_empty() {
                let tokens: Vec<String> =
                    nameless.iter().map(|row| work.tokens[*row].clone()).collect();
                let found = self.records(work.object, "external_id", &tokens).await?;
                for (row, records) in nameless.iter().zip(found) {
                    let remote_id = records.first().and_then(|record| text(record, "id"));
                    outcomes.replace(
                        *row,
                        match remote_id {
                            None => Outcome::Unknown { reason: "the record is not there" },
                            remote_id => Outcome::Delivered { created: None, remote_id },
                        },
                    );
                }
            }
        }
        if work.object == Object::Users && work.batch.mode != Mode::Delete {
            self.settle_addresses(work, &mut outcomes).await?;
        }
        Ok(outcomes.receipt("no result for the row"))
    }

    /// Zendesk adds a new e-mail address to a user and leaves the old one the main one; here it becomes the mapped one.
    async fn settle_addresses(&self, work: &Work<'_>, outcomes: &mut Outcomes) -> Result<()> {
        let fields = &work.batch.payload.fields;
        let found_by_email = work.match_on == "email" && work.batch.record_ids.is_empty();
        let Ok(column) = fields.schema_ref().index_of("email") else { return Ok(()) };
        let held = outcomes.known().filter_map(|(row, outcome)| match outcome {
            Outcome::Delivered { remote_id: Some(id), .. } => Some((row, id.clone())),
            _ => None,
        });
        let mapped: Vec<(usize, String)> = held
            .filter(|(row, _)| {
                !work.batch.payload.is_absent(column, *row) && !fields.column(column).is_null(*row)
            })
            .collect();
        if found_by_email || mapped.is_empty() {
            return Ok(());
        }
        let ids: Vec<String> = mapped.iter().map(|(_, id)| id.clone()).collect();
        let users = self.records(Object::Users, "id", &ids).await?;
        let mut others = Vec::new();
        for ((row, id), found) in mapped.into_iter().zip(users) {
            let address = text_at(fields.column(column), row).trim().to_lowercase();
            let main = found.first().and_then(|user| text(user, "email")).unwrap_or_default();
            if main.to_lowercase() != address {
                others.push((row, id, address));
            }
        }
        let made: Vec<(usize, Option<Outcome>)> = stream::iter(others)
            .map(|(row, id, address)| async move {
                Ok::<_, Error>((row, self.make_main(&id, &address).await?))
            })
            .buffered(SINGLES_MAX)
            .try_collect()
            .await?;
        for (row, outcome) in made {
            if let Some(outcome) = outcome {
                outcomes.replace(row, outcome);
            }
        }
        Ok(())
    }

    /// Makes one of a user's addresses the main one. `None` when that is done.
    async fn make_main(&self, user: &str, address: &str) -> Result<Option<Outcome>> {
        let path = format!("/api/v2/users/{user}/identities");
        let request = |method, path| Request { method, path, operation: "identity", body: None };
        let reply = self.call(request(Method::GET, path.clone())).await?;
        let judge = self.judge(1);
        if !reply.is_success() {
            return Ok(Some(judge.single(&reply).unwrap_or_else(|error| later(&error))));
        }
        let answer = judge.object(&reply)?;
        let is_it = |identity: &&Value| {
            identity["type"] == "email"
                && text(identity, "value").is_some_and(|value| value.to_lowercase() == address)
        };
        let Some(identity) = answer["identities"].as_array().into_iter().flatten().find(is_it)
        else {
            return Ok(Some(Outcome::Unknown { reason: "the address is not there yet" }));
        };
        if identity["primary"] == true {
            return Ok(None);
        }
        let identity = text(identity, "id").unwrap_or_default();
        let reply: Reply =
            self.call(request(Method::PUT, format!("{path}/{identity}/make_primary"))).await?;
        match reply.is_success() {
            true => Ok(None),
            false => Ok(Some(judge.single(&reply).unwrap_or_else(|error| later(&error)))),
        }
    }
}

/// What is written down about the jobs of a batch: each one's id, what it does, and which rows it has.
fn written(made: &[(String, &Handed<'_>)], work: &Work<'_>) -> String {
    let each = made.iter().map(|(id, part)| {
        let named = part.by_id && !work.batch.record_ids.is_empty();
        let mask = part.rows.iter().fold(0_u128, |mask, row| mask | 1 << row);
        format!("{id}:{}:{mask:x}", part.verb.letter(named))
    });
    each.collect::<Vec<_>>().join(",")
}

/// What an error of a part, or of one row's call, is to its rows.
fn later(error: &Error) -> Outcome {
    match (error.is_ambiguous(), error.retry()) {
        (true, _) => Outcome::Unknown { reason: "no clear answer" },
        (false, Retry::After(after)) => {
            Outcome::Retry { after: Some(after), reason: "not taken yet" }
        }
        (false, _) => Outcome::Retry { after: None, reason: "not taken" },
    }
}

fn missing() -> Outcome {
    let message = "no record has this value".to_owned();
    Outcome::Rejected { code: &R203_NOT_FOUND, message, field: None }
}

impl<'a> Work<'a> {
    /// # Errors
    /// [`E2016_CALL`] when a row has nothing its record is found by.
    pub(super) fn of(batch: &'a WriteBatch, object: Object<'a>, items: Items<'a>) -> Result<Self> {
        let tokens = match batch.record_ids.is_empty() {
            true => (0..batch.payload.rows()).map(|row| items.token(row)).collect::<Result<_>>()?,
            false => batch.record_ids.clone(),
        };
        let plain = |id: &String| {
            !id.is_empty()
                && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        };
        if !batch.record_ids.is_empty() && !tokens.iter().all(plain) {
            return Err(Error::new(&E2016_CALL, "a record id is not one of Zendesk's"));
        }
        let match_on = batch.match_on.first().map_or("", String::as_str);
        Ok(Self { batch, object, items, match_on, tokens })
    }
}

//! Jobs: one poll for all that are waited for, and a job's result rows told apart by row (D6).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use flow::{Code, Error, Kind, Outcome, Result};
use serde_json::Value;
use tokio::time::Instant;
use writer::{Method, Outcomes, Request, text};

use super::Zendesk;
use super::classify::{Complaint, Judge};
use super::object::Verb;

/// A job that takes longer than anybody waits.
pub(super) static E2110_JOB_SLOW: Code = Code {
    id: "E2110",
    kind: Kind::Failed,
    title: "A Zendesk job did not end in time",
    cause: "Zendesk took the rows as a job and has not finished it within `job_timeout`: its queue is long, or stuck.",
    remedy: "Run again later: the job is asked about again, and its rows are not sent twice. Raise `job_timeout` of the connection where jobs are always slow.",
};

/// The first poll of a job that has just been made.
const PAUSE_MIN: Duration = Duration::from_millis(50);
/// The part of the account's requests that polls may take.
const POLLS_SHARE: f64 = 0.1;
/// Polls in a row that may fail before the wait is given up.
const POLL_FAULTS_MAX: u32 = 5;
/// Ids of one poll.
const IDS_MAX: usize = 100;

/// How a job ended.
#[derive(Debug, Clone)]
pub(super) enum End {
    /// With result rows; fewer than rows where it did not do all its work.
    Results(Vec<Value>),
    /// Zendesk has forgotten it, or its results.
    Vanished,
}

/// The jobs that are waited for. Whoever comes first polls for all.
#[derive(Debug, Default)]
pub(super) struct Board {
    state: Mutex<State>,
    turn: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    waiting: BTreeMap<String, Option<End>>,
    polls: u32,
    faults: u32,
}

/// Takes a job off the board when nobody waits for it any more.
struct Waiting<'a>(&'a Board, &'a str);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.state().waiting.remove(self.1);
    }
}

impl Board {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter<'a>(&'a self, id: &'a str) -> Waiting<'a> {
        let mut state = self.state();
        if state.waiting.is_empty() {
            state.polls = 0;
        }
        state.waiting.insert(id.to_owned(), None);
        Waiting(self, id)
    }

    fn end(&self, id: &str) -> Option<End> {
        self.state().waiting.get(id).cloned().flatten()
    }

    /// The jobs to ask about next.
    fn open(&self) -> Vec<String> {
        let state = self.state();
        let open = state.waiting.iter().filter(|(_, end)| end.is_none());
        open.map(|(id, _)| id.clone()).take(IDS_MAX).collect()
    }

    fn note(&self, id: &str, end: End) {
        if let Some(slot) = self.state().waiting.get_mut(id) {
            *slot = Some(end);
        }
    }

    /// Polls in a row that failed, this one counted.
    fn faults(&self, failed: bool) -> u32 {
        let mut state = self.state();
        state.faults = if failed { state.faults + 1 } else { 0 };
        state.faults
    }

    /// Polls come fast at first, then as often as their part of the account's requests allows.
    fn pause(&self, requests_per_minute: u32) -> Duration {
        let mut state = self.state();
        let most = Duration::from_secs_f64(60.0 / (f64::from(requests_per_minute) * POLLS_SHARE));
        let pause = PAUSE_MIN.saturating_mul(3_u32.saturating_pow(state.polls.min(8)));
        state.polls = state.polls.saturating_add(1);
        pause.min(most.clamp(PAUSE_MIN, Duration::from_secs(10)))
    }
}

impl Zendesk {
    /// Waits for a job's end.
    ///
    /// # Errors
    /// [`E2110_JOB_SLOW`], and what asking fails with; ambiguous, since the job may go on.
    pub(super) async fn ended(&self, id: &str) -> Result<End> {
        let _waiting = self.board.enter(id);
        let deadline = Instant::now() + self.job_timeout;
        loop {
            let _turn = self.board.turn.lock().await;
            if let Some(end) = self.board.end(id) {
                return Ok(end);
            }
            if Instant::now() >= deadline {
                let waited = writer::in_words(self.job_timeout);
                let message = format!("a job of Zendesk has not ended within {waited}");
                return Err(Error::new(&E2110_JOB_SLOW, message).ambiguous());
            }
            tokio::time::sleep(self.board.pause(self.requests_per_minute)).await;
            let asked = self.poll().await;
            let faults = self.board.faults(asked.is_err());
            match asked {
                Err(error) if faults >= POLL_FAULTS_MAX || error.kind() == Kind::Credentials => {
                    return Err(error.ambiguous());
                }
                _ => {}
            }
        }
    }

    /// Asks once about every job that is waited for.
    async fn poll(&self) -> Result<()> {
        let open = self.board.open();
        let mut alone: BTreeSet<&str> = open.iter().map(String::as_str).collect();
        if open.len() > 1 {
            let path = format!("/api/v2/job_statuses/show_many?ids={}", open.join(","));
            let reply = self.call(poll(path)).await?;
            if !reply.is_success() {
                return Err(self.judge(0).error(&reply));
            }
            let answer = self.judge(0).object(&reply)?;
            for status in answer["job_statuses"].as_array().into_iter().flatten() {
                let id = text(status, "id").unwrap_or_default();
                alone.remove(id.as_str());
                if let Some(end) = end(status) {
                    self.board.note(&id, end);
                }
            }
        }
        // One alone says for certain that it is gone.
        for id in alone {
            let reply = self.call(poll(format!("/api/v2/job_statuses/{id}"))).await?;
            let end = match reply.status {
                404 => Some(End::Vanished),
                _ if reply.is_success() => end(&self.judge(0).object(&reply)?["job_status"]),
                _ => return Err(self.judge(0).error(&reply)),
            };
            if let Some(end) = end {
                self.board.note(id, end);
            }
        }
        Ok(())
    }
}

fn poll(path: String) -> Request {
    Request { method: Method::GET, path, operation: "poll", body: None }
}

/// How a job ended; `None` while it goes on.
pub(super) fn end(status: &Value) -> Option<End> {
    let complete = match status["status"].as_str()? {
        "completed" => true,
        "failed" | "killed" => false,
        _ => return None,
    };
    match &status["results"] {
        Value::Array(rows) => Some(End::Results(rows.clone())),
        // One verdict for all: `{"success": true}`, of deletions.
        verdict @ Value::Object(_) if complete => Some(End::Results(vec![verdict.clone()])),
        _ => Some(End::Vanished),
    }
}

/// The rows of one job, in its order.
#[derive(Debug)]
pub(super) struct Handed<'a> {
    pub(super) verb: Verb,
    /// Which rows of the batch they are.
    pub(super) rows: Vec<usize>,
    /// Per row: the text its record is found by, or its record's id.
    pub(super) tokens: Vec<&'a str>,
    /// Whether tokens are record ids.
    pub(super) by_id: bool,
}

impl Handed<'_> {
    /// Books a job's result rows on the rows they are about.
    pub(super) fn book(&self, judge: Judge<'_>, end: &End, outcomes: &mut Outcomes) {
        let End::Results(results) = end else { return };
        let by_token: HashMap<String, usize> =
            self.tokens.iter().enumerate().map(|(at, token)| (token.to_lowercase(), at)).collect();
        let whole = results.len() == self.rows.len();
        if let [only] = results.as_slice()
            && self.rows.len() > 1
            && only.get("id").is_none()
            && only["success"] == true
        {
            for row in &self.rows {
                outcomes
                    .set(Some(*row), Outcome::Delivered { created: Some(false), remote_id: None });
            }
            return;
        }
        for (position, result) in results.iter().enumerate() {
            let (at, sure) = self.place(result, &by_token, whole.then_some(position));
            let outcome = self.outcome(judge, result, (at, sure));
            outcomes.set(at.and_then(|at| self.rows.get(at).copied()), outcome);
        }
    }

    /// The place of a result's row, and whether the result names it. Zendesk keeps the order, which it says nowhere in
    /// its reference; so what the result names goes first.
    fn place(
        &self,
        result: &Value,
        by_token: &HashMap<String, usize>,
        position: Option<usize>,
    ) -> (Option<usize>, bool) {
        let echoed = ["external_id", "email", "name"].iter().filter_map(|name| text(result, name));
        let id = text(result, "id");
        let named = match self.by_id {
            true => id.as_ref().and_then(|id| by_token.get(id)).copied(),
            false => {
                echoed.map(|echo| echo.to_lowercase()).find_map(|echo| by_token.get(&echo).copied())
            }
        };
        if named.is_some() {
            return (named, true);
        }
        let index = |value: Option<String>| {
            value
                .and_then(|index| index.parse().ok())
                .filter(|index: &usize| *index < self.rows.len())
        };
        // Where an upsert fails, `id` is the row's place: there is no record.
        let makes = matches!(self.verb, Verb::Upsert | Verb::Create);
        let failed_at = if makes && is_failure(result) { index(id) } else { None };
        match index(text(result, "index")).or(failed_at) {
            Some(at) => (Some(at), true),
            None => (position, false),
        }
    }

    /// Whether every row of a result that worked is one of these, by its name.
    pub(super) fn is_named_by(&self, end: &End) -> bool {
        let End::Results(results) = end else { return false };
        let tokens: BTreeSet<String> =
            self.tokens.iter().map(|token| token.to_lowercase()).collect();
        let names: &[&str] = if self.by_id { &["id"] } else { &["external_id", "email", "name"] };
        let named = |result: &Value| {
            let mut texts = names.iter().filter_map(|name| text(result, name));
            texts.any(|name| tokens.contains(&name.to_lowercase()))
        };
        let mut worked = results.iter().filter(|result| !is_failure(result)).peekable();
        results.len() == self.rows.len() && worked.peek().is_some() && worked.all(named)
    }

    fn outcome(
        &self,
        judge: Judge<'_>,
        result: &Value,
        (at, sure): (Option<usize>, bool),
    ) -> Outcome {
        let complaint = Complaint::of(result);
        if is_failure(result) {
            if self.verb == Verb::Delete && complaint.is_missing() {
                return Outcome::Delivered { created: Some(false), remote_id: None };
            }
            return judge.row(&complaint);
        }
        let status = result["status"].as_str().unwrap_or_default();
        let known =
            matches!(status.to_ascii_lowercase().as_str(), "created" | "updated" | "deleted" | "");
        let said = !status.is_empty() || result["success"] == true || result.get("id").is_some();
        if !known || !said {
            return Outcome::Unknown { reason: "a result nobody documents" };
        }
        let created = match (self.verb, status) {
            (Verb::Create, _) | (_, "Created" | "created") => Some(true),
            (Verb::Update | Verb::Delete, _) | (_, "Updated" | "updated") => Some(false),
            _ => None,
        };
        let addressed = at.and_then(|at| self.tokens.get(at)).filter(|_| self.by_id);
        // A removal goes by this id later: a place alone is not enough to take it for this row's.
        let remote_id =
            addressed.map(|id| (*id).to_owned()).or_else(|| text(result, "id").filter(|_| sure));
        Outcome::Delivered { created, remote_id }
    }
}

fn is_failure(result: &Value) -> bool {
    result["success"] == false
        || result["status"].as_str().is_some_and(|status| status.eq_ignore_ascii_case("failed"))
        || result
            .get("error")
            .or_else(|| result.get("errors"))
            .is_some_and(|error| !error.is_null())
}

#[cfg(test)]
mod tests;

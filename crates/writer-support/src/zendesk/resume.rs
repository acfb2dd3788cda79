//! Jobs of an earlier run, found again by what was written down about them, or by what they did (D7).

use async_trait::async_trait;
use chrono::DateTime;
use flow::{KeepsJobs, Mode, OpenJob, Outcome, Result, Resumed};
use serde_json::Value;
use writer::{Method, Outcomes, Reply, Request, text};

use super::Zendesk;
use super::job::{End, Handed, end};
use super::object::{Object, Verb};

/// Zendesk lists so many jobs at most; a full list may have forgotten ours.
const LISTED_MAX: usize = 100;
/// Zendesk forgets jobs after about an hour. Before that, one that is not in its list was never made.
const KEPT_SECONDS: i64 = 45 * 60;
/// So long a request may have been under way when its process died.
const UNDER_WAY_SECONDS: i64 = 120;

#[async_trait]
impl KeepsJobs for Zendesk {
    async fn resume(&self, job: &OpenJob) -> Result<Resumed> {
        let object = Object::parse(&job.object)?;
        let Some(remote_id) = &job.remote_id else { return self.search(object, job).await };
        let mut outcomes = Outcomes::new(job.tokens.len());
        let mut seen = false;
        for (id, part) in handed(remote_id, job) {
            let end = self.ended(&id).await?;
            seen |= matches!(end, End::Results(_));
            part.book(self.judge(part.rows.len()), &end, &mut outcomes);
        }
        if !seen {
            return Ok(Resumed::Lost);
        }
        self.ended_as(object, job, outcomes).await
    }
}

/// The jobs that were written down, with their rows.
fn handed<'a>(remote_id: &str, job: &'a OpenJob) -> Vec<(String, Handed<'a>)> {
    let part = |text: &str| {
        let mut parts = text.split(':');
        let (id, letter, mask) = (parts.next()?, parts.next()?.chars().next()?, parts.next()?);
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        let (verb, by_id) = Verb::of_letter(letter)?;
        let mask = u128::from_str_radix(mask, 16).ok()?;
        let rows: Vec<usize> =
            (0..job.tokens.len().min(128)).filter(|row| mask >> row & 1 == 1).collect();
        let tokens = rows.iter().map(|row| job.tokens[*row].as_str()).collect();
        let known = !id.is_empty() && id.bytes().all(plain);
        known.then(|| (id.to_owned(), Handed { verb, rows, tokens, by_id }))
    };
    remote_id.split(',').filter_map(part).collect()
}

impl Zendesk {
    /// Looks for a job whose id nobody wrote down, among those Zendesk still knows.
    ///
    /// It has no mark of ours. It is taken for ours when it ended after the intent, has as many rows, each row that
    /// worked names one of ours, and no other job fits.
    async fn search(&self, object: Object<'_>, job: &OpenJob) -> Result<Resumed> {
        let path = "/api/v2/job_statuses?page[size]=100".to_owned();
        let request = Request { method: Method::GET, path, operation: "poll", body: None };
        let reply = self.call(request).await?;
        let judge = self.judge(0);
        if !reply.is_success() {
            return Err(judge.error(&reply));
        }
        let age_seconds = (self.clock.now_micros() - job.intended_at).div_euclid(1_000_000);
        let since = seconds_now(&reply).map(|now| now - age_seconds);
        let answer = judge.object(&reply)?;
        let listed = answer["job_statuses"].as_array().map_or(&[][..], Vec::as_slice);
        let alike: Vec<&Value> =
            listed.iter().filter(|status| status["total"] == job.tokens.len()).collect();
        if alike.is_empty() {
            let sure = listed.len() < LISTED_MAX
                && (UNDER_WAY_SECONDS..KEPT_SECONDS).contains(&age_seconds);
            return Ok(if sure { Resumed::NotApplied } else { Resumed::Lost });
        }
        let mut fits = Vec::new();
        for status in alike {
            let goes_on = end(status).is_none();
            let id = text(status, "id").unwrap_or_default();
            let ended = match end(status) {
                Some(end) => end,
                None => self.ended(&id).await?,
            };
            let late =
                goes_on || since.zip(completed(status)).is_some_and(|(since, at)| at > since);
            let part = candidates(object, job).into_iter().find(|part| part.is_named_by(&ended));
            if let Some(part) = part.filter(|_| late) {
                fits.push((part, ended));
            }
        }
        let [(part, end)] = fits.as_slice() else { return Ok(Resumed::Lost) };
        let mut outcomes = Outcomes::new(job.tokens.len());
        part.book(self.judge(part.rows.len()), end, &mut outcomes);
        self.ended_as(object, job, outcomes).await
    }

    /// A user whose e-mail address changed with the job may still have the old one as the main one, which the run that
    /// died would have mended afterwards: such rows come again.
    async fn ended_as(
        &self,
        object: Object<'_>,
        job: &OpenJob,
        mut outcomes: Outcomes,
    ) -> Result<Resumed> {
        let changed = outcomes.known().filter_map(|(row, outcome)| match outcome {
            Outcome::Delivered { created: Some(false), remote_id: Some(id) } => {
                Some((row, id.clone()))
            }
            _ => None,
        });
        let mut changed: Vec<(usize, String)> = changed.collect();
        // What was found by its address has it.
        let by_address = job.tokens.iter().any(|token| token.contains('@'));
        if object != Object::Users || job.mode == Mode::Delete || by_address {
            changed.clear();
        }
        for (row, user) in changed {
            let path = format!("/api/v2/users/{user}/identities");
            let request = Request { method: Method::GET, path, operation: "identity", body: None };
            let reply = self.call(request).await?;
            let answer = match reply.status {
                404 => continue,
                _ if reply.is_success() => self.judge(0).object(&reply)?,
                _ => return Err(self.judge(0).error(&reply)),
            };
            let identities = answer["identities"].as_array().into_iter().flatten();
            if identities.filter(|identity| identity["type"] == "email").count() > 1 {
                outcomes.replace(
                    row,
                    Outcome::Unknown { reason: "its address may not be the main one" },
                );
            }
        }
        Ok(Resumed::Ended(outcomes.receipt("no result for the row")))
    }
}

/// What a job with all of the rows may have been.
fn candidates<'a>(object: Object<'_>, job: &'a OpenJob) -> Vec<Handed<'a>> {
    let by_id = if job.mode == Mode::Delete { Verb::Delete } else { Verb::Update };
    let mut verbs = vec![(by_id, true)];
    if object.upserts() && matches!(job.mode, Mode::Upsert | Mode::Mirror) {
        verbs.insert(0, (Verb::Upsert, false));
    }
    let part = |(verb, by_id)| Handed {
        verb,
        rows: (0..job.tokens.len()).collect(),
        tokens: job.tokens.iter().map(String::as_str).collect(),
        by_id,
    };
    verbs.into_iter().map(part).collect()
}

/// Zendesk's clock, in seconds since 1970.
fn seconds_now(reply: &Reply) -> Option<i64> {
    DateTime::parse_from_rfc2822(reply.header("date")?).ok().map(|now| now.timestamp())
}

/// When a job ended: its message is `Completed at 2018-03-08 10:07:04 +0000`.
fn completed(status: &Value) -> Option<i64> {
    let at = status["message"].as_str()?.strip_prefix("Completed at ")?;
    DateTime::parse_from_str(at.trim(), "%Y-%m-%d %H:%M:%S %z").ok().map(|at| at.timestamp())
}

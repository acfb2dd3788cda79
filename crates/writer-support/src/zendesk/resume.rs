//! Jobs of an earlier run, found again by what was written down about them, or by what they did (D7).

use async_trait::async_trait;
use chrono::DateTime;
use flow::{KeepsJobs, Mode, OpenJob, Result, Resumed};
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
        Ok(match seen {
            true => Resumed::Ended(outcomes.receipt("no result for the row")),
            false => Resumed::Lost,
        })
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

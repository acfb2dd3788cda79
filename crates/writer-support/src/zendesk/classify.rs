//! What Zendesk's refusals mean: the one place that turns a status and a body, or a job's result row, into an error or
//! an outcome.

use std::time::Duration;

use flow::{Code, Error, Outcome, Retry, Secret};
use serde_json::Value;
use writer::codes::{
    E2004_BAD_ANSWER, E2005_SERVER, E2006_THROTTLED, E2009_CREDENTIALS, E2010_PERMISSION,
    E2011_NO_SUCH_OBJECT, E2018_UNEXPECTED, E2019_BUSY, R201_INVALID, R202_CONFLICT,
    R203_NOT_FOUND, R205_REFUSED, R211_CALL_INVALID, R213_CALL_TOO_LARGE,
};
use writer::{Reply, Signals, json, retry_after, scrub, text};

use super::wire;

/// A throttled call that is told no time.
const THROTTLED: Duration = Duration::from_secs(15);
/// A job that found no place among the 30; one of them ends soon.
const JOBS_FULL: Duration = Duration::from_secs(5);
/// A record somebody else is writing to.
const CONFLICT: Duration = Duration::from_secs(2);

/// What an answer is judged by, besides itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Judge<'a> {
    /// Masked in every message.
    pub(super) token: &'a Secret,
    /// Microseconds since 1970, for dates in `Retry-After`.
    pub(super) now_micros: i64,
    /// Rows in the call; 0 where the call is not a write.
    pub(super) rows: usize,
}

/// An error, of a call or of one row of a job: `{error, description, details}` in several forms.
#[derive(Debug, Default)]
pub(super) struct Complaint {
    /// Zendesk's word: `RecordInvalid`.
    pub(super) word: String,
    /// Its reason, as a sentence.
    pub(super) text: String,
    /// The field at fault.
    field: Option<String>,
}

impl Judge<'_> {
    /// The body of a success as an object.
    pub(super) fn object(&self, reply: &Reply) -> Result<Value, Error> {
        json(reply).filter(Value::is_object).ok_or_else(|| self.unreadable(reply))
    }

    /// The error of a whole call that was not a success.
    pub(super) fn error(&self, reply: &Reply) -> Error {
        let complaint = Complaint::read(reply);
        match reply.status {
            401 => self.plain(&E2009_CREDENTIALS, "Zendesk refuses the token", &complaint),
            // A page of a proxy or a firewall says nothing about our rows.
            400 | 403 | 404 | 409 | 422 if complaint.is_empty() => self.unreadable(reply),
            403 => {
                self.plain(&E2010_PERMISSION, "Zendesk does not let the token do this", &complaint)
            }
            404 => {
                self.plain(&E2011_NO_SUCH_OBJECT, "Zendesk does not know this object", &complaint)
            }
            400 | 422 if self.rows > 0 => self.poison(&R211_CALL_INVALID, reply, &complaint),
            413 | 414 if self.rows > 0 => self.poison(&R213_CALL_TOO_LARGE, reply, &complaint),
            409 | 423 => self.later(&E2019_BUSY, "somebody else writes to the record", CONFLICT),
            429 => self.throttled(reply, &complaint),
            408 | 425 | 500.. => self.broken(reply, &complaint),
            status => {
                self.plain(&E2018_UNEXPECTED, &format!("Zendesk answered {status}"), &complaint)
            }
        }
    }

    /// A success whose body is not what was promised.
    pub(super) fn unreadable(&self, reply: &Reply) -> Error {
        let kind = reply.header("content-type").unwrap_or("no content type");
        let reason = reply.fault.unwrap_or("the body is not the documented JSON");
        let message = format!("status {} ({}): {reason}", reply.status, self.scrub(kind));
        Error::new(&E2004_BAD_ANSWER, message).with_retry(Retry::Backoff).ambiguous()
    }

    /// What an answer says about the account's limits, whatever else it says.
    pub(super) fn signals(&self, reply: &Reply) -> Signals {
        let jobs_full = reply.status == 429 && Complaint::read(reply).is_jobs_full();
        let pause = match reply.status {
            // Other calls, those that ask for the jobs' ends among them, go on.
            429 if jobs_full => None,
            429 => Some(self.wait(reply, THROTTLED)),
            503 => retry_after(reply, self.now_micros),
            _ => None,
        };
        let overloaded = matches!(reply.status, 429 | 503 | 504) && !jobs_full;
        Signals { window: wire::window(reply), pause, overloaded, day: None }
    }

    /// What became of the only row of a call that was not a success, where that is about the row.
    pub(super) fn single(&self, reply: &Reply) -> Result<Outcome, Error> {
        let complaint = Complaint::read(reply);
        match reply.status {
            400 | 404 | 422 if !complaint.is_empty() => Ok(self.row(&complaint)),
            _ => Err(self.error(reply)),
        }
    }

    /// What became of a row Zendesk complains about.
    pub(super) fn row(&self, complaint: &Complaint) -> Outcome {
        let word = complaint.word.as_str();
        if ["Conflict", "Timeout", "Unavailable", "TooMany", "Throttl", "Lock"]
            .iter()
            .any(|part| word.contains(part))
        {
            return Outcome::Retry { after: Some(CONFLICT), reason: "busy" };
        }
        if word.contains("Internal") || word.contains("ServerError") {
            return Outcome::Unknown { reason: "server error for the row" };
        }
        let code = match word {
            _ if complaint.is_missing() => &R203_NOT_FOUND,
            _ if complaint.is_taken() => &R202_CONFLICT,
            "" => &R205_REFUSED,
            _ => &R201_INVALID,
        };
        let message = match self.scrub(&complaint.text) {
            text if text.is_empty() => self.scrub(word),
            text => text,
        };
        Outcome::Rejected {
            code,
            message,
            field: complaint.field.as_deref().map(|field| self.scrub(field)),
        }
    }

    /// A refusal of the whole call for rows it does not name. Zendesk's message may repeat their values, so it is kept
    /// only where it becomes the one row's reject.
    fn poison(&self, code: &'static Code, reply: &Reply, complaint: &Complaint) -> Error {
        let (status, rows) = (reply.status, self.rows);
        match self.scrub(&complaint.text) {
            text if rows == 1 && !text.is_empty() => Error::new(code, text),
            _ => {
                let word = self.scrub(&complaint.word);
                let message =
                    format!("Zendesk refused a call of {rows} rows with status {status} ({word})");
                Error::new(code, message)
            }
        }
    }

    fn throttled(&self, reply: &Reply, complaint: &Complaint) -> Error {
        match complaint.is_jobs_full() {
            true => {
                let message =
                    "30 jobs are queued or running in this account, which is all Zendesk takes";
                self.later(&E2006_THROTTLED, message, self.wait(reply, JOBS_FULL))
            }
            false => {
                self.later(&E2006_THROTTLED, "429 for the rate limit", self.wait(reply, THROTTLED))
            }
        }
    }

    fn broken(&self, reply: &Reply, complaint: &Complaint) -> Error {
        let word = self.scrub(&complaint.word);
        let word = if word.is_empty() { word } else { format!(" ({word})") };
        let message = format!("Zendesk answered {}{word}", reply.status);
        let error = Error::new(&E2005_SERVER, message).with_retry(Retry::Backoff).ambiguous();
        match retry_after(reply, self.now_micros) {
            Some(wait) if !wait.is_zero() => writer::wait(error, wait),
            _ => error,
        }
    }

    fn later(&self, code: &'static Code, message: &str, wait: Duration) -> Error {
        writer::wait(Error::new(code, message), wait)
    }

    /// What the answer asks for, at least a second; `otherwise` where it asks for nothing.
    fn wait(&self, reply: &Reply, otherwise: Duration) -> Duration {
        let asked = retry_after(reply, self.now_micros);
        let asked = asked.or_else(|| wire::reset(reply).map(Duration::from_secs));
        asked.unwrap_or(otherwise).max(Duration::from_secs(1))
    }

    /// `message (word: text)`, for answers that repeat no row's values.
    fn plain(&self, code: &'static Code, message: &str, complaint: &Complaint) -> Error {
        let (word, text) = (self.scrub(&complaint.word), self.scrub(&complaint.text));
        let reason = match (word.as_str(), text.as_str()) {
            ("", "") => String::new(),
            ("", text) | (text, "") => format!(" ({text})"),
            (word, text) => format!(" ({word}: {text})"),
        };
        Error::new(code, format!("{message}{reason}"))
    }

    pub(super) fn scrub(&self, text: &str) -> String {
        scrub(text, self.token)
    }
}

impl Complaint {
    /// The error in a body; empty where there is none, as in an HTML page.
    pub(super) fn read(reply: &Reply) -> Self {
        json(reply).map(|body| Self::of(&body)).unwrap_or_default()
    }

    /// The error in `{error, description | message | details}`, where `error` and `details` are text or objects.
    pub(super) fn of(body: &Value) -> Self {
        let error = body.get("errors").and_then(|errors| errors.get(0)).unwrap_or(body);
        let inner = error.get("error").filter(|inner| inner.is_object());
        let word =
            ["code", "title", "error"].iter().find_map(|name| text(inner.unwrap_or(error), name));
        let details = error.get("details").unwrap_or(&Value::Null);
        let (field, reason) = first_detail(details);
        let described = ["description", "detail", "message"];
        let said = described.iter().find_map(|name| text(inner.unwrap_or(error), name));
        let text = details.as_str().map(str::to_owned).or(reason).or(said).unwrap_or_default();
        Self { word: word.unwrap_or_default(), text, field }
    }

    fn is_empty(&self) -> bool {
        self.word.is_empty() && self.text.is_empty()
    }

    fn is_jobs_full(&self) -> bool {
        self.word.contains("TooManyJobs") || self.text.contains("jobs")
    }

    /// Whether the record is not there.
    pub(super) fn is_missing(&self) -> bool {
        let text = self.text.to_ascii_lowercase();
        self.word.contains("NotFound")
            || text.contains("not found")
            || text.contains("could not be found")
    }

    /// Whether another record holds a value that only one may have.
    pub(super) fn is_taken(&self) -> bool {
        let taken =
            ["already being used", "already been taken", "already exists", "DuplicateValue"];
        taken.iter().any(|part| self.text.contains(part) || self.word.contains(part))
    }
}

/// `{"email": [{"description": "Email: x is ...", "error": "DuplicateValue"}]}`: the field, and what is said about it.
fn first_detail(details: &Value) -> (Option<String>, Option<String>) {
    let Some((field, list)) = details.as_object().and_then(|details| details.iter().next()) else {
        return (None, None);
    };
    let first = list.get(0).unwrap_or(list);
    let said = text(first, "description").or_else(|| first.as_str().map(str::to_owned));
    let field = Some(field.clone()).filter(|field| field != "base");
    (field, said)
}

#[cfg(test)]
mod tests;

//! What Intercom's refusals mean: the one place that turns a status and a body into an error or a row's outcome.

use std::time::Duration;

use flow::{Code, Error, Outcome, Retry, Secret};
use serde_json::Value;
use writer::codes::{
    E2004_BAD_ANSWER, E2005_SERVER, E2006_THROTTLED, E2009_CREDENTIALS, E2010_PERMISSION,
    E2011_NO_SUCH_OBJECT, E2012_FIELD, E2018_UNEXPECTED, E2019_BUSY, R201_INVALID, R202_CONFLICT,
    R203_NOT_FOUND, R205_REFUSED, R213_CALL_TOO_LARGE,
};
use writer::{Reply, Reported, Signals, json, retry_after, scrub, text};

/// Intercom spreads the minute's limit over windows of this length.
pub(super) const WINDOW: Duration = Duration::from_secs(10);

/// What an answer is judged by, besides itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Judge<'a> {
    /// Masked in every message.
    pub(super) token: &'a Secret,
    /// Microseconds since 1970, for times at which a window begins anew.
    pub(super) now_micros: i64,
}

/// What an answer complains about: all of `{"type": "error.list", "errors": [{code, message, field}]}`.
#[derive(Debug, Default)]
pub(super) struct Complaint {
    code: String,
    /// All messages.
    pub(super) message: String,
    field: Option<String>,
}

impl Judge<'_> {
    /// The body of a success as an object.
    pub(super) fn object(&self, reply: &Reply) -> Result<Value, Error> {
        json(reply).filter(Value::is_object).ok_or_else(|| self.unreadable(reply))
    }

    /// What became of the row of a call that was not a success, where that is about the row.
    pub(super) fn row(&self, reply: &Reply) -> Result<Outcome, Error> {
        let complaint = Complaint::read(reply);
        let code = match reply.status {
            _ if complaint.code.is_empty() && reply.status != 413 => return Err(self.error(reply)),
            400 | 422 if complaint.is_missing_attribute() => {
                let message = self.scrub(&complaint.message);
                return Err(Error::new(
                    &E2012_FIELD,
                    format!("Intercom refuses a field for every row: {message}"),
                ));
            }
            400 | 409 | 422 if complaint.is_taken() => &R202_CONFLICT,
            400 | 422 => match complaint.code.as_str() {
                "parameter_invalid"
                | "parameter_not_found"
                | "bad_request"
                | "invalid_document" => &R201_INVALID,
                _ => &R205_REFUSED,
            },
            404 => &R203_NOT_FOUND,
            409 => &R202_CONFLICT,
            413 => &R213_CALL_TOO_LARGE,
            _ => return Err(self.error(reply)),
        };
        if *code == R213_CALL_TOO_LARGE {
            return Err(Error::new(code, "Intercom refuses a body of this size"));
        }
        Ok(self.rejected(code, &complaint))
    }

    fn rejected(&self, code: &'static Code, complaint: &Complaint) -> Outcome {
        let message = match self.scrub(&complaint.message) {
            text if text.is_empty() => self.scrub(&complaint.code),
            text => text,
        };
        Outcome::Rejected {
            code,
            message,
            field: complaint.field.as_deref().map(|field| self.scrub(field)),
        }
    }

    /// The error of a call that was not a success.
    pub(super) fn error(&self, reply: &Reply) -> Error {
        let complaint = Complaint::read(reply);
        let plain = |code, message: &str| {
            let (word, text) = (self.scrub(&complaint.code), self.scrub(&complaint.message));
            let reason = match (word.is_empty(), text.is_empty()) {
                (true, true) => String::new(),
                (false, false) => format!(" ({word}: {text})"),
                _ => format!(" ({word}{text})"),
            };
            Error::new(code, format!("{message}{reason}"))
        };
        match reply.status {
            401 => plain(&E2009_CREDENTIALS, "Intercom refuses the token"),
            400 | 403 | 404 | 409 | 422 if complaint.code.is_empty() => self.unreadable(reply),
            403 => plain(&E2010_PERMISSION, "Intercom does not let the token do this"),
            404 => plain(&E2011_NO_SUCH_OBJECT, "Intercom does not know this"),
            423 => self.later(&E2019_BUSY, "the record is locked", Duration::from_secs(2)),
            429 => self.later(&E2006_THROTTLED, "429 for the rate limit", self.wait(reply)),
            408 | 425 | 500.. => {
                let word = self.scrub(&complaint.code);
                let word = if word.is_empty() { word } else { format!(" ({word})") };
                let message = format!("Intercom answered {}{word}", reply.status);
                let error =
                    Error::new(&E2005_SERVER, message).with_retry(Retry::Backoff).ambiguous();
                match retry_after(reply, self.now_micros).filter(|wait| !wait.is_zero()) {
                    Some(wait) => writer::wait(error, wait),
                    None => error,
                }
            }
            status => plain(&E2018_UNEXPECTED, &format!("Intercom answered {status}")),
        }
    }

    /// A success whose body is not what was promised.
    pub(super) fn unreadable(&self, reply: &Reply) -> Error {
        let kind = reply.header("content-type").unwrap_or("no content type");
        let reason = reply.fault.unwrap_or("the body is not the documented JSON");
        let message = format!("status {} ({}): {reason}", reply.status, self.scrub(kind));
        Error::new(&E2004_BAD_ANSWER, message).with_retry(Retry::Backoff).ambiguous()
    }

    /// What an answer says about the app's limit, whatever else it says.
    pub(super) fn signals(&self, reply: &Reply) -> Signals {
        let number = |header: &str| reply.header(header)?.trim().parse::<u32>().ok();
        let max = number("x-ratelimit-limit").filter(|max| (1..=1_000_000).contains(max));
        let window = max.zip(number("x-ratelimit-remaining")).map(|(max, remaining)| Reported {
            max,
            remaining: remaining.min(max),
            length: None,
        });
        let pause = match reply.status {
            429 => Some(self.wait(reply)),
            503 => retry_after(reply, self.now_micros),
            _ => None,
        };
        Signals { window, pause, overloaded: matches!(reply.status, 429 | 503 | 504), day: None }
    }

    /// How long a 429 asks to wait: Intercom promises no Retry-After, but says when the window begins anew.
    fn wait(&self, reply: &Reply) -> Duration {
        let reset =
            reply.header("x-ratelimit-reset").and_then(|text| text.trim().parse::<i64>().ok());
        let reset = reset.map(|reset| {
            // By Intercom's own clock, where it shows it.
            let date = reply
                .header("date")
                .and_then(|date| chrono::DateTime::parse_from_rfc2822(date).ok());
            let now = date.map_or(self.now_micros / 1_000_000, |date| date.timestamp());
            Duration::from_secs(u64::try_from(reset.saturating_sub(now)).unwrap_or(0))
        });
        let asked = retry_after(reply, self.now_micros);
        let reset = reset.filter(|wait| *wait <= Duration::from_secs(3_600));
        asked.or(reset).unwrap_or(WINDOW).max(Duration::from_secs(1))
    }

    fn later(&self, code: &'static Code, message: &str, wait: Duration) -> Error {
        writer::wait(Error::new(code, message), wait)
    }

    pub(super) fn scrub(&self, text: &str) -> String {
        scrub(text, self.token)
    }
}

impl Complaint {
    /// The errors in a body; empty where there are none, as in an HTML page.
    pub(super) fn read(reply: &Reply) -> Self {
        let body = json(reply).unwrap_or_default();
        let errors = body["errors"].as_array().map_or(&[][..], Vec::as_slice);
        let messages: Vec<String> =
            errors.iter().take(10).filter_map(|error| text(error, "message")).collect();
        Self {
            code: errors.first().and_then(|error| text(error, "code")).unwrap_or_default(),
            message: messages.join("; "),
            field: errors.iter().find_map(|error| text(error, "field")),
        }
    }

    /// The contact a 409 names: `A contact matching those details already exists with id=...`.
    pub(super) fn existing(&self) -> Option<&str> {
        let (_, rest) = self.message.split_once("id=")?;
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_');
        let id = &rest[..end.unwrap_or(rest.len())];
        (8..=64).contains(&id.len()).then_some(id)
    }

    /// Whether that contact is archived.
    pub(super) fn is_archived(&self) -> bool {
        self.message.to_ascii_lowercase().contains("archived")
    }

    fn is_taken(&self) -> bool {
        let message = self.message.to_ascii_lowercase();
        message.contains("multiple existing users") || message.contains("already exists")
    }

    fn is_missing_attribute(&self) -> bool {
        self.message.contains("Custom attribute") && self.message.contains("does not exist")
    }
}

#[cfg(test)]
mod tests;

//! What HubSpot's refusals mean: the one place that turns a status and a body into an error or a row's code.

use std::time::Duration;

use flow::{Code, Error, Outcome, Retry, Secret};
use writer::codes::{
    E2004_BAD_ANSWER, E2005_SERVER, E2006_THROTTLED, E2007_DAILY_QUOTA, E2009_CREDENTIALS,
    E2010_PERMISSION, E2011_NO_SUCH_OBJECT, E2012_FIELD, E2017_NOT_OFFERED, E2018_UNEXPECTED,
    E2019_BUSY, R201_INVALID, R202_CONFLICT, R203_NOT_FOUND, R204_LIMIT, R205_REFUSED,
    R211_CALL_INVALID, R212_CALL_CONFLICT, R213_CALL_TOO_LARGE, R214_CALL_LIMIT,
};
use writer::{DayQuota, Reply, Signals, in_words, retry_after, scrub};

use super::answer::Complaint;
use super::fault::{faults, is_daily, is_identity_limit, reason, wrong_for_every_row};
use super::wire;

/// HubSpot's largest error page that is worth reading.
const ERROR_BYTES_MAX: usize = 1024 * 1024;
/// A ten-second window is surely empty after this.
const WINDOW: Duration = Duration::from_secs(10);
/// HubSpot asks to wait at least so long for a locked record.
const LOCKED: Duration = Duration::from_secs(2);
/// An account that is being moved, where HubSpot does not say how long.
const MIGRATING: Duration = Duration::from_secs(60);

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

impl Judge<'_> {
    /// The error of a whole call that was not a success.
    pub(super) fn error(&self, reply: &Reply) -> Error {
        let (complaint, rows) = (Complaint::read(reply), self.rows);
        match reply.status {
            // A page of a proxy or a firewall says nothing about our rows.
            400 | 403 | 409 | 422 if complaint.is_empty() => self.unreadable(reply),
            400 if complaint.message.as_str().contains("infer object type") => {
                self.no_such_object(&complaint)
            }
            400 | 422 if rows > 0 => self.refused(reply, &complaint),
            401 => Error::new(
                &E2009_CREDENTIALS,
                format!("HubSpot refuses the token{}", self.reason(&complaint)),
            ),
            403 => self.forbidden(&complaint),
            404 => self.no_such_object(&complaint),
            409 if rows > 0 => self.poison(&R212_CALL_CONFLICT, reply, &complaint),
            413 if rows > 0 => self.poison(&R213_CALL_TOO_LARGE, reply, &complaint),
            414 if rows > 0 => self.poison(&R214_CALL_LIMIT, reply, &complaint),
            423 => self.later(&E2019_BUSY, "records are locked", self.wait(reply, LOCKED)),
            429 => self.throttled(reply, &complaint),
            477 => {
                let wait = self.wait(reply, MIGRATING);
                self.later(&E2019_BUSY, "HubSpot is moving this account", wait)
            }
            408 | 425 | 500.. => self.broken(reply, &complaint),
            status => Error::new(
                &E2018_UNEXPECTED,
                format!("HubSpot answered {status}{}", self.trail(&complaint)),
            ),
        }
    }

    fn no_such_object(&self, complaint: &Complaint) -> Error {
        let reason = self.reason(complaint);
        Error::new(&E2011_NO_SUCH_OBJECT, format!("HubSpot does not know this object{reason}"))
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
        let mut signals = Signals {
            window: wire::window(reply),
            day: wire::day(reply),
            overloaded: matches!(reply.status, 429 | 503 | 504),
            pause: None,
        };
        if reply.is_success() {
            return signals;
        }
        let asked = retry_after(reply, self.now_micros);
        signals.pause = match reply.status {
            429 if is_daily(&Complaint::read(reply)) => {
                let limit = signals.day.map_or(0, |day| day.limit);
                let wait = asked.filter(|wait| *wait > WINDOW).map(|wait| wait.as_micros());
                let resets_at =
                    wait.and_then(|wait| self.now_micros.checked_add(i64::try_from(wait).ok()?));
                signals.day = Some(DayQuota { limit, remaining: 0, resets_at });
                None
            }
            429 => Some(self.window_wait(reply)),
            477 => Some(self.wait(reply, MIGRATING)),
            500.. => asked,
            _ => None,
        };
        signals
    }

    /// What became of a row HubSpot complains about, in an answer that is about other rows too.
    pub(super) fn row(&self, complaint: &Complaint) -> Outcome {
        let (status, category) = (complaint.status.as_str(), complaint.category.as_str());
        if let Some(outcome) = transient(status, category) {
            return outcome;
        }
        let code = match (category, status) {
            _ if is_identity_limit(complaint) => &R204_LIMIT,
            ("VALIDATION_ERROR", _) => &R201_INVALID,
            ("CONFLICT", _) => &R202_CONFLICT,
            ("OBJECT_NOT_FOUND", _) => &R203_NOT_FOUND,
            ("", "400") => &R201_INVALID,
            ("", "409") => &R202_CONFLICT,
            ("", "404") => &R203_NOT_FOUND,
            _ => &R205_REFUSED,
        };
        let message = match self.scrub(&reason(complaint)) {
            text if text.is_empty() => self.scrub(category),
            text => text,
        };
        Outcome::Rejected { code, message, field: self.field(complaint) }
    }

    /// A 400: the mapping is wrong for every row, or some row is.
    fn refused(&self, reply: &Reply, complaint: &Complaint) -> Error {
        if let Some(field) = wrong_for_every_row(complaint) {
            return self.wrong_field(&field);
        }
        let message = complaint.message.as_str();
        if message.contains("non-unique") && message.contains("property") {
            return Error::new(
                &E2017_NOT_OFFERED,
                "HubSpot cannot find records by the `match_on` property: its values are not unique",
            );
        }
        let code = if is_identity_limit(complaint) { &R214_CALL_LIMIT } else { &R211_CALL_INVALID };
        self.poison(code, reply, complaint)
    }

    /// The mapping names a property no row can be written to.
    pub(super) fn wrong_field(&self, field: &str) -> Error {
        let field = self.scrub(field);
        Error::new(
            &E2012_FIELD,
            format!(
                "HubSpot refuses property `{field}` for every row: it does not exist or is read-only"
            ),
        )
    }

    /// A refusal of the whole call for rows it does not name. HubSpot's message may repeat their values, so it is
    /// kept only where it becomes the one row's reject.
    fn poison(&self, code: &'static Code, reply: &Reply, complaint: &Complaint) -> Error {
        if self.rows > 1 {
            let (status, rows) = (reply.status, self.rows);
            let message = format!("HubSpot refused a call of {rows} rows with status {status}");
            return Error::new(code, format!("{message}{}", self.trail(complaint)));
        }
        let text = match self.scrub(&reason(complaint)) {
            text if text.is_empty() => format!("HubSpot answered {}", reply.status),
            text => text,
        };
        match self.field(complaint) {
            Some(field) if !text.contains(&field) => Error::new(code, format!("`{field}`: {text}")),
            _ => Error::new(code, text),
        }
    }

    /// The property at fault, where HubSpot names one.
    fn field(&self, complaint: &Complaint) -> Option<String> {
        let field = faults(complaint).into_iter().find_map(|fault| fault.field)?;
        Some(self.scrub(&field))
    }

    fn forbidden(&self, complaint: &Complaint) -> Error {
        let details = complaint.errors.0.iter().map(|detail| &detail.context);
        let scopes: Vec<String> = std::iter::once(&complaint.context)
            .chain(details)
            .flat_map(|context| &context.scopes)
            .take(10)
            .map(|scope| self.scrub(scope))
            .collect();
        if scopes.is_empty() {
            let message = "HubSpot does not let the token do this, and names no missing scope";
            return Error::new(&E2010_PERMISSION, format!("{message}{}", self.reason(complaint)));
        }
        let scopes = scopes.join(", ");
        Error::new(&E2010_PERMISSION, format!("the token lacks one of the scopes: {scopes}"))
            .with_remedy(
                "In HubSpot, open Settings > Integrations > Private Apps, add the scope to the app, then run again.",
            )
    }

    fn throttled(&self, reply: &Reply, complaint: &Complaint) -> Error {
        if !is_daily(complaint) {
            let wait = self.window_wait(reply);
            let policy = self.scrub(complaint.policy_name.as_str());
            let policy = if policy.is_empty() { "rate limit".to_owned() } else { policy };
            return self.later(&E2006_THROTTLED, &format!("429 for {policy}"), wait);
        }
        let when = match retry_after(reply, self.now_micros) {
            Some(wait) if wait > WINDOW => format!("in {}", in_words(wait)),
            _ => "at midnight in the account's time zone".to_owned(),
        };
        let message = "the account's daily requests are used up; HubSpot renews them";
        Error::new(&E2007_DAILY_QUOTA, format!("{message} {when}"))
    }

    fn broken(&self, reply: &Reply, complaint: &Complaint) -> Error {
        let message = format!("HubSpot answered {}{}", reply.status, self.trail(complaint));
        let error = Error::new(&E2005_SERVER, message).with_retry(Retry::Backoff).ambiguous();
        match retry_after(reply, self.now_micros) {
            Some(wait) if !wait.is_zero() => writer::wait(error, wait),
            _ => error,
        }
    }

    fn later(&self, code: &'static Code, message: &str, wait: Duration) -> Error {
        writer::wait(Error::new(code, message), wait)
    }

    /// What the answer asks for, and at least two seconds; `otherwise` where it asks for nothing.
    fn wait(&self, reply: &Reply, otherwise: Duration) -> Duration {
        retry_after(reply, self.now_micros).unwrap_or(otherwise).max(LOCKED)
    }

    /// How long a 429 that is not about the day asks to wait.
    fn window_wait(&self, reply: &Reply) -> Duration {
        let window = wire::window(reply).and_then(|window| window.length).unwrap_or(WINDOW);
        let least = Duration::from_secs(1).min(window);
        retry_after(reply, self.now_micros).unwrap_or(window).max(least)
    }

    /// ` (CATEGORY: message)`, for answers that repeat no row's values.
    fn reason(&self, complaint: &Complaint) -> String {
        let category = self.scrub(complaint.category.as_str());
        let message = self.scrub(complaint.message.as_str());
        match (category.as_str(), message.as_str()) {
            ("", "") => String::new(),
            ("", text) | (text, "") => format!(" ({text})"),
            (category, message) => format!(" ({category}: {message})"),
        }
    }

    /// ` (CATEGORY, correlation id X)`: what HubSpot's support asks for, and no value.
    fn trail(&self, complaint: &Complaint) -> String {
        let id = self.scrub(complaint.correlation_id.as_str());
        let category = self.scrub(complaint.category.as_str());
        let id = if id.is_empty() { id } else { format!("correlation id {id}") };
        match (category.is_empty(), id.is_empty()) {
            (true, true) => String::new(),
            (false, false) => format!(" ({category}, {id})"),
            _ => format!(" ({category}{id})"),
        }
    }

    pub(super) fn scrub(&self, text: &str) -> String {
        scrub(text, self.token)
    }
}

/// A row HubSpot could not write this time.
fn transient(status: &str, category: &str) -> Option<Outcome> {
    if status == "429" || category.contains("RATE_LIMIT") {
        return Some(Outcome::Retry { after: Some(WINDOW), reason: "throttled" });
    }
    if status == "423" || category.contains("LOCKED") {
        return Some(Outcome::Retry { after: Some(LOCKED), reason: "locked" });
    }
    let server = matches!(category, "INTERNAL_ERROR" | "SERVICE_UNAVAILABLE" | "TIMEOUT");
    let broken = server || status.parse().is_ok_and(|status: u16| status >= 500);
    broken.then_some(Outcome::Unknown { reason: "server error for the row" })
}

impl Complaint {
    /// The error in a body; empty where there is none, as in an HTML page.
    fn read(reply: &Reply) -> Self {
        if reply.body.len() > ERROR_BYTES_MAX {
            return Self::default();
        }
        serde_json::from_slice(&reply.body).unwrap_or_default()
    }

    fn is_empty(&self) -> bool {
        self.category.as_str().is_empty() && self.message.as_str().is_empty()
    }
}

#[cfg(test)]
mod tests;

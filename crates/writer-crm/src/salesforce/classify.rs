//! What Salesforce's refusals mean: the one place that turns a status and a body into an error or a row's code.

use std::time::Duration;

use flow::{Code, Error, Outcome, Retry, Secret};
use writer::codes::{
    E2004_BAD_ANSWER, E2005_SERVER, E2006_THROTTLED, E2007_DAILY_QUOTA, E2009_CREDENTIALS,
    E2010_PERMISSION, E2011_NO_SUCH_OBJECT, E2012_FIELD, E2018_UNEXPECTED, E2019_BUSY,
    R201_INVALID, R202_CONFLICT, R203_NOT_FOUND, R204_LIMIT, R205_REFUSED, R211_CALL_INVALID,
    R213_CALL_TOO_LARGE,
};
use writer::{DayQuota, Reply, Signals, retry_after, scrub};

use super::answer::Complaint;
use super::codes::{R220_SEVERAL, R221_NO_PARENT};
use super::wire;

/// A limit on calls at once, where Salesforce does not say how long it lasts.
const CONCURRENT: Duration = Duration::from_secs(20);

/// What an answer is judged by, besides itself.
#[derive(Debug, Clone)]
pub(super) struct Judge {
    /// Masked in every message.
    pub(super) secret: Secret,
    /// Microseconds since 1970, for dates in `Retry-After`.
    pub(super) now_micros: i64,
    /// Rows in the call; 0 where the call is not a write.
    pub(super) rows: usize,
}

impl Judge {
    /// The error of a whole call that was not a success.
    pub(super) fn error(&self, reply: &Reply) -> Error {
        let complaints = Complaint::all(reply);
        let Some(first) = complaints.first() else { return self.speechless(reply) };
        match (first.code.as_str(), reply.status) {
            ("REQUEST_LIMIT_EXCEEDED", _) => self.limited(reply, first),
            ("UNABLE_TO_LOCK_ROW", _) => {
                let message = format!("records are locked by another call{}", self.reason(first));
                Error::new(&E2019_BUSY, message).with_retry(Retry::Backoff)
            }
            (_, 408 | 425 | 500..) => self.broken(reply, &self.trail(first)),
            (_, 429) => self.throttled(reply),
            (_, 401) => {
                let message = format!("Salesforce refuses the session{}", self.reason(first));
                Error::new(&E2009_CREDENTIALS, message)
            }
            (_, 403) => {
                let message =
                    format!("Salesforce does not let the user do this{}", self.reason(first));
                Error::new(&E2010_PERMISSION, message).with_remedy(
                    "Give the user the permission `API Enabled` and access to the object and its fields in Salesforce Setup, \
                     then run again.",
                )
            }
            ("NOT_FOUND" | "INVALID_TYPE" | "INVALIDENTITY", _) | (_, 404) => {
                let message = format!("Salesforce does not know this object{}", self.reason(first));
                Error::new(&E2011_NO_SUCH_OBJECT, message)
            }
            ("INVALID_FIELD" | "INVALID_FIELD_FOR_INSERT_UPDATE", 400) if !is_parent(first) => {
                self.wrong_field(first)
            }
            (_, 413 | 414 | 431) if self.rows > 0 => {
                self.poison(&R213_CALL_TOO_LARGE, reply, first)
            }
            (_, 400) if self.rows > 0 => self.poison(&R211_CALL_INVALID, reply, first),
            (_, status) => {
                let message = format!("Salesforce answered {status}{}", self.trail(first));
                Error::new(&E2018_UNEXPECTED, message)
            }
        }
    }

    /// An answer that is no success and holds no error of Salesforce's: a page of a proxy, or nothing.
    fn speechless(&self, reply: &Reply) -> Error {
        match reply.status {
            401 => Error::new(&E2009_CREDENTIALS, "Salesforce refuses the session"),
            404 => {
                Error::new(&E2011_NO_SUCH_OBJECT, "Salesforce does not know this object or path")
            }
            413 | 414 | 431 if self.rows > 0 => {
                self.poison(&R213_CALL_TOO_LARGE, reply, &Complaint::default())
            }
            429 => self.throttled(reply),
            408 | 425 | 500.. => self.broken(reply, ""),
            400..=403 => self.unreadable(reply),
            status => Error::new(&E2018_UNEXPECTED, format!("Salesforce answered {status}")),
        }
    }

    /// A success whose body is not what was promised.
    pub(super) fn unreadable(&self, reply: &Reply) -> Error {
        let kind = self.scrub(reply.header("content-type").unwrap_or("no content type"));
        let reason = reply.fault.unwrap_or("the body is not the documented one");
        let message = format!("status {} ({kind}): {reason}", reply.status);
        Error::new(&E2004_BAD_ANSWER, message).with_retry(Retry::Backoff).ambiguous()
    }

    /// What an answer says about the org's limits, whatever else it says.
    pub(super) fn signals(&self, reply: &Reply) -> Signals {
        let mut signals = Signals { day: wire::day(reply), ..Signals::default() };
        if reply.is_success() {
            return signals;
        }
        let complaints = Complaint::all(reply);
        let limit = complaints.iter().find(|found| found.code == "REQUEST_LIMIT_EXCEEDED");
        signals.overloaded = limit.is_some() || matches!(reply.status, 429 | 503 | 504);
        signals.pause = retry_after(reply, self.now_micros);
        match limit {
            Some(limit) if is_daily(limit) => {
                let limit = signals.day.map_or(0, |day| day.limit);
                signals.day = Some(DayQuota { limit, remaining: 0, resets_at: None });
            }
            Some(_) => signals.pause = signals.pause.or(Some(CONCURRENT)),
            None => {}
        }
        signals
    }

    /// What became of a row Salesforce complains about.
    pub(super) fn row(&self, complaints: &[Complaint]) -> Outcome {
        if let Some(outcome) = complaints.iter().find_map(transient) {
            return outcome;
        }
        let nothing = Complaint::default();
        let first = complaints.first().unwrap_or(&nothing);
        let messages: Vec<&str> = complaints.iter().map(|found| found.message.as_str()).collect();
        let message = match self.scrub(&messages.join("; ")) {
            text if text.is_empty() => self.scrub(&first.code),
            text => text,
        };
        let field = first.fields.first().map(|field| self.scrub(field));
        Outcome::Rejected { code: row_code(first), message, field }
    }

    /// The mapping names a field no row can be written to.
    pub(super) fn wrong_field(&self, complaint: &Complaint) -> Error {
        let message = format!("Salesforce refuses a field for every row{}", self.reason(complaint));
        Error::new(&E2012_FIELD, message)
    }

    fn limited(&self, reply: &Reply, complaint: &Complaint) -> Error {
        if is_daily(complaint) {
            let message =
                format!("the org's API requests of 24 hours are used up{}", self.reason(complaint));
            return Error::new(&E2007_DAILY_QUOTA, message).with_remedy(
                "Salesforce counts the last 24 hours, so that requests come back by and by; run again later. Rows that have \
                 not landed wait and nothing is lost.",
            );
        }
        let wait = retry_after(reply, self.now_micros).unwrap_or(CONCURRENT);
        let message = format!("too many requests at once{}", self.reason(complaint));
        writer::wait(Error::new(&E2006_THROTTLED, message), wait)
    }

    fn throttled(&self, reply: &Reply) -> Error {
        let wait = retry_after(reply, self.now_micros).unwrap_or(CONCURRENT);
        let wait = wait.max(Duration::from_secs(1));
        writer::wait(Error::new(&E2006_THROTTLED, "something before Salesforce answered 429"), wait)
    }

    fn broken(&self, reply: &Reply, trail: &str) -> Error {
        let message = format!("Salesforce answered {}{trail}", reply.status);
        let error = Error::new(&E2005_SERVER, message).with_retry(Retry::Backoff).ambiguous();
        match retry_after(reply, self.now_micros) {
            Some(wait) if !wait.is_zero() => writer::wait(error, wait),
            _ => error,
        }
    }

    /// A refusal of the whole call for rows it does not name. The message may repeat their values, so it is kept only
    /// where it becomes the one row's reject.
    fn poison(&self, code: &'static Code, reply: &Reply, complaint: &Complaint) -> Error {
        if self.rows > 1 {
            let (status, rows) = (reply.status, self.rows);
            let message = format!("Salesforce refused a call of {rows} rows with status {status}");
            return Error::new(code, format!("{message}{}", self.trail(complaint)));
        }
        match self.scrub(&complaint.message) {
            text if text.is_empty() => {
                Error::new(code, format!("Salesforce answered {}", reply.status))
            }
            text => Error::new(code, text),
        }
    }

    /// ` (CODE: message)`, for answers that repeat no row's values.
    pub(super) fn reason(&self, complaint: &Complaint) -> String {
        match (self.scrub(&complaint.code).as_str(), self.scrub(&complaint.message).as_str()) {
            ("", "") => String::new(),
            ("", text) | (text, "") => format!(" ({text})"),
            (code, message) => format!(" ({code}: {message})"),
        }
    }

    /// ` (CODE)`, and no value.
    fn trail(&self, complaint: &Complaint) -> String {
        match self.scrub(&complaint.code) {
            code if code.is_empty() => code,
            code => format!(" ({code})"),
        }
    }

    pub(super) fn scrub(&self, text: &str) -> String {
        scrub(text, &self.secret)
    }
}

/// `TotalRequests Limit exceeded.` is the day's; `ConcurrentPerOrgLongTxn Limit exceeded.` is not.
fn is_daily(complaint: &Complaint) -> bool {
    !complaint.message.to_ascii_lowercase().contains("concurrent")
}

/// A parent that is named by an external id nobody has.
fn is_parent(complaint: &Complaint) -> bool {
    complaint.message.to_ascii_lowercase().contains("foreign key external id")
}

/// Whether the record itself is not there, so that a delete has nothing left to do.
pub(super) fn is_gone(complaints: &[Complaint]) -> bool {
    let gone = |code: &str| {
        matches!(code, "ENTITY_IS_DELETED" | "INVALID_CROSS_REFERENCE_KEY" | "NOT_FOUND")
    };
    !complaints.is_empty() && complaints.iter().all(|found| gone(&found.code))
}

/// Whether a row is refused for a field that no row can be written to.
pub(super) fn is_wrong_for_every_row(complaints: &[Complaint]) -> bool {
    complaints.iter().any(|found| {
        matches!(found.code.as_str(), "INVALID_FIELD" | "INVALID_FIELD_FOR_INSERT_UPDATE")
            && !is_parent(found)
    })
}

/// A row Salesforce could not write this time.
fn transient(complaint: &Complaint) -> Option<Outcome> {
    let message = complaint.message.as_str();
    let later = |reason| Some(Outcome::Retry { after: None, reason });
    match complaint.code.as_str() {
        "UNABLE_TO_LOCK_ROW" => later("locked"),
        // A trigger of the org that met a lock, or did too much because the rows came together.
        "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY"
            if message.contains("UNABLE_TO_LOCK_ROW")
                || message.contains("Too many SOQL queries") =>
        {
            later("locked")
        }
        "ALL_OR_NONE_OPERATION_ROLLED_BACK" => later("rolled back"),
        "REQUEST_LIMIT_EXCEEDED" => later("throttled"),
        "SERVER_UNAVAILABLE"
        | "REQUEST_RUNNING_TOO_LONG"
        | "QUERY_TIMEOUT"
        | "UNKNOWN_EXCEPTION" => Some(Outcome::Unknown { reason: "server error for the row" }),
        _ => None,
    }
}

fn row_code(complaint: &Complaint) -> &'static Code {
    match complaint.code.as_str() {
        _ if is_parent(complaint) => &R221_NO_PARENT,
        "DUPLICATE_EXTERNAL_ID" => &R220_SEVERAL,
        "DUPLICATE_VALUE" | "DUPLICATES_DETECTED" | "DUPLICATE_USERNAME" => &R202_CONFLICT,
        "ENTITY_IS_DELETED" | "NOT_FOUND" => &R203_NOT_FOUND,
        "INVALID_CROSS_REFERENCE_KEY" | "MALFORMED_ID" if !complaint.fields.is_empty() => {
            &R221_NO_PARENT
        }
        "INVALID_CROSS_REFERENCE_KEY" | "MALFORMED_ID" => &R203_NOT_FOUND,
        "STORAGE_LIMIT_EXCEEDED" | "LIMIT_EXCEEDED" => &R204_LIMIT,
        "REQUIRED_FIELD_MISSING"
        | "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST"
        | "INVALID_FIELD_FOR_INSERT_UPDATE"
        | "INVALID_FIELD"
        | "INVALID_TYPE_ON_FIELD_IN_RECORD"
        | "STRING_TOO_LONG"
        | "INVALID_EMAIL_ADDRESS"
        | "FIELD_CUSTOM_VALIDATION_EXCEPTION"
        | "FIELD_INTEGRITY_EXCEPTION"
        | "FIELD_FILTER_VALIDATION_EXCEPTION"
        | "NUMBER_OUTSIDE_VALID_RANGE"
        | "JSON_PARSER_ERROR" => &R201_INVALID,
        _ => &R205_REFUSED,
    }
}

#[cfg(test)]
mod tests;

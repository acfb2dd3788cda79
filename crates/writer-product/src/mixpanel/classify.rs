//! What Mixpanel's answers mean: the one place that turns a status and a body into outcomes or an error.

use flow::{Error, Outcome, Result, Retry, Secret};
use serde::Deserialize;
use writer::codes::{
    E2004_BAD_ANSWER, E2005_SERVER, E2006_THROTTLED, E2009_CREDENTIALS, E2010_PERMISSION,
    E2011_NO_SUCH_OBJECT, E2018_UNEXPECTED, R201_INVALID, R211_CALL_INVALID, R213_CALL_TOO_LARGE,
};
use writer::{Outcomes, Reply, Signals, retry_after, scrub};

/// What an answer is judged by, besides itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Judge<'a> {
    /// Masked in every message.
    pub(super) secrets: [&'a Secret; 2],
    pub(super) now_micros: i64,
    /// Rows in the call.
    pub(super) rows: usize,
}

/// `{"status": 1, "error": null}`, with `verbose=1`.
#[derive(Deserialize)]
struct Verbose {
    status: serde_json::Value,
    #[serde(default)]
    error: Option<String>,
}

/// The answer of `/import?strict=1`.
#[derive(Deserialize)]
struct Imported {
    #[serde(default)]
    error: Option<String>,
    #[serde(default)]
    num_records_imported: Option<usize>,
    #[serde(default)]
    failed_records: Vec<FailedRecord>,
}

#[derive(Deserialize)]
struct FailedRecord {
    index: usize,
    #[serde(default)]
    field: Option<String>,
    #[serde(default)]
    message: Option<String>,
}

impl Judge<'_> {
    /// The verdict of `/engage` and `/groups` on the whole call. `1` says only that one object or more were valid, so
    /// that a row is accepted, never delivered; what Mixpanel would drop was refused before.
    pub(super) fn profiles(&self, reply: &Reply) -> Result<Outcome> {
        if !reply.is_success() {
            return Err(self.error(reply));
        }
        let body = reply.body.trim_ascii();
        let (accepted, error) = match serde_json::from_slice::<Verbose>(body) {
            _ if reply.fault.is_some() => return Err(self.unreadable(reply)),
            Ok(verbose) => (verbose.status == 1, verbose.error),
            Err(_) if body == b"1" => (true, None),
            Err(_) if body == b"0" => (false, None),
            Err(_) => return Err(self.unreadable(reply)),
        };
        let error = error.filter(|error| !error.is_empty());
        match (accepted, error) {
            (true, None) => Ok(Outcome::AcceptedUnverified { remote_id: None }),
            (_, error) => self.refused(
                &error.unwrap_or_else(|| "Mixpanel took no object of the call".to_owned()),
            ),
        }
    }

    /// The answer of `/import?strict=1`: the records it names were refused, the others are in.
    pub(super) fn events(&self, reply: &Reply) -> Result<Vec<Outcome>> {
        if !matches!(reply.status, 200..=299 | 400) {
            return Err(self.error(reply));
        }
        let Ok(answer) = serde_json::from_slice::<Imported>(&reply.body) else {
            return match reply.status {
                400 if reply.fault.is_none() => Err(self.error(reply)),
                _ => Err(self.unreadable(reply)),
            };
        };
        if reply.fault.is_some() {
            return Err(self.unreadable(reply));
        }
        let mut outcomes = Outcomes::new(self.rows);
        for failed in &answer.failed_records {
            let message = self.clean(failed.message.as_deref().unwrap_or("refused"));
            let field = failed
                .field
                .as_deref()
                .map(|field| self.clean(field.trim_start_matches("properties.")));
            let outcome = Outcome::Rejected { code: &R201_INVALID, message, field };
            outcomes.set(Some(failed.index), outcome);
        }
        let missing: Vec<usize> = outcomes.missing().collect();
        match answer.num_records_imported {
            Some(imported) if imported == missing.len() && outcomes.strangers() == 0 => {
                for row in missing {
                    outcomes.set(Some(row), Outcome::Delivered { created: None, remote_id: None });
                }
            }
            // Nothing was taken, and nothing is named: the call as a whole was refused.
            None | Some(0) if reply.status == 400 && answer.failed_records.is_empty() => {
                return self
                    .refused(&answer.error.unwrap_or_default())
                    .map(|outcome| vec![outcome]);
            }
            // The numbers do not add up: whatever is not named may be in or not.
            _ => {}
        }
        Ok(outcomes.receipt("the number of records does not add up").outcomes)
    }

    /// A call that was refused as a whole: its only row, or for the engine to halve.
    fn refused(&self, message: &str) -> Result<Outcome> {
        let message = self.clean(message);
        match self.rows {
            1 => Ok(Outcome::Rejected { code: &R201_INVALID, message, field: None }),
            _ => {
                Err(Error::new(&R211_CALL_INVALID, format!("Mixpanel refused the call: {message}")))
            }
        }
    }

    /// The error of a call that was not a success.
    pub(super) fn error(&self, reply: &Reply) -> Error {
        let status = reply.status;
        let wait = retry_after(reply, self.now_micros).map_or(Retry::Backoff, Retry::After);
        let said = |what: &str| match self.reason(reply) {
            reason if reason.is_empty() => what.to_owned(),
            reason => format!("{what}: {reason}"),
        };
        match status {
            400 if self.rows > 0 => {
                Error::new(&R211_CALL_INVALID, said("Mixpanel refused the call"))
            }
            401 => Error::new(&E2009_CREDENTIALS, said("Mixpanel refuses the credentials")),
            403 => Error::new(&E2010_PERMISSION, said("Mixpanel refuses permission")),
            404 => Error::new(&E2011_NO_SUCH_OBJECT, said("Mixpanel does not know the project")),
            413 if self.rows > 0 => {
                Error::new(&R213_CALL_TOO_LARGE, said("Mixpanel finds the call too large"))
            }
            429 => {
                Error::new(&E2006_THROTTLED, said("Mixpanel asks to slow down")).with_retry(wait)
            }
            408 | 500.. => Error::new(&E2005_SERVER, said(&format!("Mixpanel answered {status}")))
                .with_retry(wait)
                .ambiguous(),
            _ => Error::new(&E2018_UNEXPECTED, said(&format!("Mixpanel answered {status}"))),
        }
    }

    fn unreadable(&self, reply: &Reply) -> Error {
        let reason = reply.fault.unwrap_or("the body is not the documented answer");
        Error::new(&E2004_BAD_ANSWER, format!("Mixpanel answered {}, but {reason}", reply.status))
            .with_retry(Retry::Backoff)
            .ambiguous()
    }

    fn clean(&self, text: &str) -> String {
        let text: String = text.chars().take(2000).collect();
        self.secrets.iter().fold(text, |text, secret| scrub(&text, secret))
    }

    fn reason(&self, reply: &Reply) -> String {
        let json = serde_json::from_slice::<serde_json::Value>(&reply.body).unwrap_or_default();
        let text = json["error"].as_str().or_else(|| json["message"].as_str());
        self.clean(text.unwrap_or_default())
    }
}

/// What an answer says about limits.
pub(super) fn signals(reply: &Reply, now_micros: i64) -> Signals {
    let overloaded = matches!(reply.status, 429 | 502 | 503);
    Signals {
        pause: retry_after(reply, now_micros).filter(|_| overloaded),
        overloaded,
        ..Signals::default()
    }
}

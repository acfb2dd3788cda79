//! What an answer means: the connection's own rules first, then what HTTP says. The one place that turns a status and
//! a body into an error or a row's code.

use flow::{Code, Error, Outcome, Retry, Secret};
use serde_json::Value as Json;
use writer::codes::{
    E2005_SERVER, E2006_THROTTLED, E2009_CREDENTIALS, E2010_PERMISSION, E2011_NO_SUCH_OBJECT,
    E2018_UNEXPECTED, E2019_BUSY, R201_INVALID, R202_CONFLICT, R203_NOT_FOUND, R204_LIMIT,
    R211_CALL_INVALID, R212_CALL_CONFLICT, R213_CALL_TOO_LARGE,
};
use writer::{MESSAGE_CHARS_MAX, Reply, Signals, retry_after, scrub};

use super::options::{AnswerRule, Meaning};

/// Largest body that is searched for a rule's text and for a reason.
const SEARCHED_BYTES_MAX: usize = 1 << 20;

/// What an answer is judged by, besides itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Judge<'a> {
    /// Masked in every message.
    pub(super) secrets: &'a [Secret],
    pub(super) now_micros: i64,
    pub(super) rules: &'a [AnswerRule],
    /// Whether the path names the row: then "not found" is about the row.
    pub(super) path_has_values: bool,
    /// Whether something else is sent where the record exists.
    pub(super) has_if_exists: bool,
}

impl Judge<'_> {
    /// What the whole answer means.
    pub(super) fn meaning(&self, reply: &Reply) -> Meaning {
        let body = &reply.body[..reply.body.len().min(SEARCHED_BYTES_MAX)];
        self.rule(reply.status, &String::from_utf8_lossy(body))
            .unwrap_or_else(|| self.usual(reply.status))
    }

    /// What one result within an answer means, by the status it names.
    pub(super) fn meaning_of_result(&self, status: u16, result: &Json) -> Meaning {
        self.rule(status, &result.to_string()).unwrap_or_else(|| self.usual(status))
    }

    /// What the connection's rules say.
    pub(super) fn rule(&self, status: u16, body: &str) -> Option<Meaning> {
        let fits = |rule: &&AnswerRule| {
            rule.status == status && rule.contains.as_ref().is_none_or(|text| body.contains(text))
        };
        self.rules.iter().find(fits).map(|rule| rule.means)
    }

    /// The rule with a text of its own that the result holds.
    pub(super) fn rule_of_text(&self, status: u16, result: &Json) -> Option<Meaning> {
        let text = result.to_string();
        let fits = |rule: &&AnswerRule| {
            rule.status == status && rule.contains.as_ref().is_some_and(|part| text.contains(part))
        };
        self.rules.iter().find(fits).map(|rule| rule.means)
    }

    fn usual(&self, status: u16) -> Meaning {
        match status {
            207 => Meaning::Failed,
            200..=299 => Meaning::Delivered,
            400 | 422 => Meaning::Invalid,
            401 | 403 => Meaning::Credentials,
            404 | 410 if self.path_has_values => Meaning::Missing,
            409 if self.has_if_exists => Meaning::Exists,
            409 => Meaning::Conflict,
            413 | 414 => Meaning::TooLarge,
            423 | 425 | 429 => Meaning::Retry,
            // The server gave up waiting; whether it did the work first, nobody knows.
            408 | 500.. => Meaning::Unknown,
            _ => Meaning::Failed,
        }
    }

    /// The error of a whole call.
    pub(super) fn error(&self, reply: &Reply, meaning: Meaning) -> Error {
        let status = reply.status;
        let said = |what: &str| format!("{what}{}", self.trail(reply));
        let wait = retry_after(reply, self.now_micros).map_or(Retry::Backoff, Retry::After);
        match meaning {
            Meaning::Invalid | Meaning::Exists | Meaning::Missing | Meaning::Conflict => {
                let code = match meaning {
                    Meaning::Invalid | Meaning::Missing => &R211_CALL_INVALID,
                    _ => &R212_CALL_CONFLICT,
                };
                Error::new(code, said(&format!("the API answered {status}")))
            }
            Meaning::TooLarge => {
                Error::new(&R213_CALL_TOO_LARGE, said(&format!("the API answered {status}")))
            }
            Meaning::Retry if status == 429 => {
                Error::new(&E2006_THROTTLED, said("the API takes no more requests for now")).with_retry(wait)
            }
            Meaning::Retry => {
                Error::new(&E2019_BUSY, said(&format!("the API answered {status}"))).with_retry(wait)
            }
            Meaning::Credentials if status == 403 => {
                Error::new(&E2010_PERMISSION, said("the API refuses permission"))
            }
            Meaning::Credentials => {
                Error::new(&E2009_CREDENTIALS, said("the API refuses the credentials"))
            }
            Meaning::Unknown | Meaning::Delivered => {
                Error::new(&E2005_SERVER, said(&format!("the API answered {status}")))
                    .with_retry(wait)
                    .ambiguous()
            }
            Meaning::Failed if matches!(status, 404 | 405 | 410) => {
                Error::new(&E2011_NO_SUCH_OBJECT, said(&format!("the API answered {status}")))
                    .with_remedy("Correct `path` and `method` of the connection's object.")
            }
            Meaning::Failed if (300..400).contains(&status) => {
                Error::new(&E2018_UNEXPECTED, format!("the API answered {status}, a redirect"))
                    .with_remedy("Write the final address into `base_url` or `path`; redirects are not followed, since \
                                  they would carry credentials and rows to another place.")
            }
            Meaning::Failed => Error::new(&E2018_UNEXPECTED, said(&format!("the API answered {status}"))),
        }
    }

    /// The outcome of a row whose own answer means this.
    pub(super) fn outcome(
        &self,
        meaning: Meaning,
        message: String,
        field: Option<String>,
    ) -> Outcome {
        let code: &'static Code = match meaning {
            Meaning::Delivered => return Outcome::Delivered { created: None, remote_id: None },
            Meaning::Retry => return Outcome::Retry { after: None, reason: "asked to wait" },
            Meaning::Unknown => return Outcome::Unknown { reason: "server error" },
            Meaning::Exists | Meaning::Conflict => &R202_CONFLICT,
            Meaning::Missing => &R203_NOT_FOUND,
            Meaning::TooLarge => &R204_LIMIT,
            Meaning::Invalid | Meaning::Credentials | Meaning::Failed => &R201_INVALID,
        };
        Outcome::Rejected { code, message, field }
    }

    /// Text of the API, fit to show.
    pub(super) fn clean(&self, text: &str) -> String {
        let cut: String = text.chars().take(8 * MESSAGE_CHARS_MAX).collect();
        let masked = self.secrets.iter().fold(cut, |text, secret| {
            let secret = secret.expose().trim();
            if secret.is_empty() { text } else { text.replace(secret, "***") }
        });
        scrub(&masked, &Secret::new(""))
    }

    /// What the answer says for itself.
    pub(super) fn reason(&self, reply: &Reply) -> String {
        let body = &reply.body[..reply.body.len().min(SEARCHED_BYTES_MAX)];
        let Ok(json) = serde_json::from_slice::<Json>(body) else {
            let kind = reply.header("content-type").unwrap_or("");
            let html = kind.contains("html") || body.trim_ascii_start().starts_with(b"<");
            return match html {
                true => "an HTML page".to_owned(),
                false => self.clean(&String::from_utf8_lossy(body)),
            };
        };
        self.clean(&complaint(&json).unwrap_or_default())
    }

    fn trail(&self, reply: &Reply) -> String {
        match self.reason(reply) {
            reason if reason.is_empty() => String::new(),
            reason => format!(": {reason}"),
        }
    }
}

/// Where APIs put their reason, most telling first.
fn complaint(json: &Json) -> Option<String> {
    const PLACES: [&str; 10] = [
        "/error/message",
        "/message",
        "/error_description",
        "/detail",
        "/details/0/message",
        "/errors/0/message",
        "/errors/0/detail",
        "/errors/0",
        "/title",
        "/error",
    ];
    let text = |json: &Json| json.as_str().map(str::to_owned);
    PLACES
        .iter()
        .find_map(|place| text(json.pointer(place)?))
        .or_else(|| text(json.get(0)?))
        .or_else(|| text(json))
}

/// What an answer says about limits.
pub(super) fn signals(reply: &Reply, now_micros: i64) -> Signals {
    let throttled = matches!(reply.status, 429 | 503);
    let pause = retry_after(reply, now_micros).filter(|_| throttled);
    Signals { pause, overloaded: throttled, ..Signals::default() }
}

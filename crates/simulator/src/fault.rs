//! The language of faults: one rule says which calls it is about, when it fires, and what goes wrong.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// What goes wrong.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Answer with this status instead of doing the work.
    Status(u16),
    /// Do the work, then answer with this status.
    ApplyThenStatus(u16),
    /// Refuse the credentials, in the vendor's words.
    Unauthorized,
    /// Cut the connection with a TCP reset instead of doing the work.
    Reset,
    /// Do the work, then cut the connection: the answer is lost.
    ApplyThenReset,
    /// Never answer; the work is not done.
    Hang,
    /// Answer (and do the work) only after this time, also when the client has gone by then.
    LateApply(Duration),
    /// Wait before doing the work; a client that goes away in the meantime undoes the call.
    Delay(Duration),
    /// Do the work, announce the whole body, send half of it and close.
    Truncate,
    /// Do the work, answer with half of the body as if it were all.
    HalfBody,
    /// Do the work and send the body at so many bytes per second.
    SlowBody(u32),
    /// Do the work, then answer with a result list that is empty and has no errors.
    EmptyResult(u16),
    /// Do the work, then leave so many rows out of the answer.
    DropRows(usize),
    /// Do the work, then name so many rows twice in the answer.
    DuplicateRows(usize),
    /// Do the work, then turn the order of the results round.
    Reorder,
    /// Refuse this row, for a reason the vendor names with the row.
    RejectRow(RowMatch),
    /// Refuse the whole call whenever it holds this row.
    PoisonRow(RowMatch, u16),
}

/// Which row a row fault is about: the value of one field; field `id` is the row's own key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowMatch {
    /// Field name.
    pub field: String,
    /// Exact value.
    pub value: String,
}

/// The body of a scripted status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Body {
    /// The vendor's own error shape.
    #[default]
    Vendor,
    /// An HTML page, as a proxy in front of the vendor sends it.
    Html,
    /// No bytes.
    Empty,
    /// Plain text under a JSON content type.
    Text,
    /// An endless-looking page of so many mebibytes.
    Huge(u32),
    /// A small gzip body that unpacks to so many mebibytes and then breaks off.
    Gzip(u32),
}

/// One rule of the fault script. Its text form is documented in the README and read by `parse`.
#[derive(Debug, Clone, PartialEq)]
pub struct FaultRule {
    /// The rule as it was written.
    pub text: String,
    /// The path must contain this text.
    pub path: Option<String>,
    /// The method must be this one.
    pub method: Option<String>,
    /// The vendor's name of the operation must be this one.
    pub operation: Option<String>,
    /// The request body must contain this text.
    pub contains: Option<String>,
    /// The first matching call (or row) that fires, counted from 1.
    pub nth: u64,
    /// Fires at every so-manieth match from `nth` on.
    pub every: u64,
    /// Fires at most so often; none means always.
    pub times: Option<u64>,
    /// Fires with this probability.
    pub probability: Option<f64>,
    /// Seed of the probability.
    pub seed: u64,
    /// What goes wrong.
    pub action: Action,
    /// Body of a scripted status.
    pub body: Body,
    /// Rate-limit policy the vendor's 429 names.
    pub policy: Option<String>,
    /// `Retry-After` header, sent as written.
    pub retry_after: Option<String>,
    /// Error category the vendor's body names.
    pub category: Option<String>,
    /// Error message the vendor's body carries.
    pub message: Option<String>,
}

impl FromStr for FaultRule {
    type Err = String;

    /// Reads `key=value;key=value;...`; `do=` is required.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut draft = Draft::default();
        for part in text.split(';').map(str::trim).filter(|part| !part.is_empty()) {
            let (key, value) =
                part.split_once('=').ok_or_else(|| format!("fault `{part}`: want key=value"))?;
            draft
                .set(key.trim(), value.trim())
                .map_err(|problem| format!("fault `{text}`: {problem}"))?;
        }
        let rule = draft.finish().map_err(|problem| format!("fault `{text}`: {problem}"))?;
        Ok(Self { text: text.to_owned(), ..rule })
    }
}

/// A rule while it is read, so that keys may come in any order.
#[derive(Default)]
struct Draft {
    path: Option<String>,
    method: Option<String>,
    operation: Option<String>,
    contains: Option<String>,
    nth: Option<u64>,
    every: Option<u64>,
    times: Option<Option<u64>>,
    probability: Option<f64>,
    seed: Option<u64>,
    action: Option<Action>,
    code: Option<u16>,
    body: Body,
    policy: Option<String>,
    retry_after: Option<String>,
    category: Option<String>,
    message: Option<String>,
}

impl Draft {
    fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        let text = || Some(value.to_owned());
        match key {
            "match" => self.path = text(),
            "method" => self.method = Some(value.to_ascii_uppercase()),
            "op" => self.operation = text(),
            "contains" => self.contains = text(),
            "nth" => self.nth = Some(positive(key, value)?),
            "every" => self.every = Some(positive(key, value)?),
            "times" if value == "*" => self.times = Some(None),
            "times" => self.times = Some(Some(positive(key, value)?)),
            "p" => self.probability = Some(probability(value)?),
            "seed" => self.seed = Some(number(key, value)?),
            "do" => self.action = Some(action(value)?),
            "code" => self.code = Some(status(value)?),
            "body" => self.body = body(value)?,
            "policy" => self.policy = text(),
            "retry-after" => self.retry_after = text(),
            "category" => self.category = text(),
            "message" => self.message = text(),
            _ => return Err(format!("unknown key `{key}`; known: {KEYS}")),
        }
        Ok(())
    }

    fn finish(self) -> Result<FaultRule, String> {
        let mut action = self.action.ok_or("no action: `do=` is missing")?;
        if let (Action::PoisonRow(_, status), Some(code)) = (&mut action, self.code) {
            *status = code;
        }
        let rows = matches!(action, Action::RejectRow(_) | Action::PoisonRow(..));
        let repeats = rows || self.every.is_some() || self.probability.is_some();
        Ok(FaultRule {
            text: String::new(),
            path: self.path,
            method: self.method,
            operation: self.operation,
            contains: self.contains,
            nth: self.nth.unwrap_or(1),
            every: self.every.unwrap_or(1),
            times: self.times.unwrap_or(if repeats { None } else { Some(1) }),
            probability: self.probability,
            seed: self.seed.unwrap_or(1),
            action,
            body: self.body,
            policy: self.policy,
            retry_after: self.retry_after,
            category: self.category,
            message: self.message,
        })
    }
}

const KEYS: &str = "match, method, op, contains, nth, every, times, p, seed, do, code, body, \
                    policy, retry-after, category, message";

const ACTIONS: &str = "status:CODE, apply-then-status:CODE, unauthorized, reset, \
                       apply-then-reset, hang, late-apply:MS, delay:MS, truncate, half-body, \
                       slow-body[:BYTES_PER_S], empty-result[:200|207], drop-rows:N, \
                       duplicate-rows:N, reorder, reject-row:FIELD=VALUE, poison-row:FIELD=VALUE";

fn number<T: FromStr>(key: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("`{key}` wants a number, not `{value}`"))
}

fn positive(key: &str, value: &str) -> Result<u64, String> {
    match number(key, value)? {
        0 => Err(format!("`{key}` counts from 1")),
        number => Ok(number),
    }
}

fn probability(value: &str) -> Result<f64, String> {
    let share: f64 = number("p", value)?;
    if (0.0..=1.0).contains(&share) { Ok(share) } else { Err("`p` lies between 0 and 1".into()) }
}

fn status(value: &str) -> Result<u16, String> {
    match number("status", value)? {
        code @ 200..=599 => Ok(code),
        code => Err(format!("{code} is no HTTP status of an answer")),
    }
}

fn body(value: &str) -> Result<Body, String> {
    match value.split_once(':').unwrap_or((value, "")) {
        ("vendor", "") => Ok(Body::Vendor),
        ("html", "") => Ok(Body::Html),
        ("empty", "") => Ok(Body::Empty),
        ("text", "") => Ok(Body::Text),
        ("huge", size) => Ok(Body::Huge(mebibytes(size)?)),
        ("gzip", size) => Ok(Body::Gzip(mebibytes(size)?)),
        _ => Err(format!(
            "unknown body `{value}`; known: vendor, html, empty, text, huge:MIB, gzip:MIB"
        )),
    }
}

fn mebibytes(size: &str) -> Result<u32, String> {
    if size.is_empty() { Ok(100) } else { number("body", size) }
}

fn row(value: &str) -> Result<RowMatch, String> {
    let (field, value) = value.split_once('=').unwrap_or(("id", value));
    if value.is_empty() {
        return Err("a row fault names its row: FIELD=VALUE, or the row's id".into());
    }
    Ok(RowMatch { field: field.to_owned(), value: value.to_owned() })
}

fn action(value: &str) -> Result<Action, String> {
    let (name, argument) = value.split_once(':').unwrap_or((value, ""));
    let millis = || Ok::<_, String>(Duration::from_millis(number(name, argument)?));
    Ok(match name {
        "status" => Action::Status(status(argument)?),
        "apply-then-status" => Action::ApplyThenStatus(status(argument)?),
        "unauthorized" => Action::Unauthorized,
        "reset" => Action::Reset,
        "apply-then-reset" => Action::ApplyThenReset,
        "hang" => Action::Hang,
        "late-apply" => Action::LateApply(millis()?),
        "delay" => Action::Delay(millis()?),
        "truncate" => Action::Truncate,
        "half-body" => Action::HalfBody,
        "slow-body" if argument.is_empty() => Action::SlowBody(1),
        "slow-body" => Action::SlowBody(number::<u32>(name, argument)?.max(1)),
        "empty-result" if argument.is_empty() => Action::EmptyResult(200),
        "empty-result" => Action::EmptyResult(status(argument)?),
        "drop-rows" => Action::DropRows(number(name, argument)?),
        "duplicate-rows" => Action::DuplicateRows(number(name, argument)?),
        "reorder" => Action::Reorder,
        "reject-row" => Action::RejectRow(row(argument)?),
        "poison-row" => Action::PoisonRow(row(argument)?, 400),
        _ => return Err(format!("unknown action `{name}`; known: {ACTIONS}")),
    })
}

impl Action {
    /// The action's word in the language, which counts in the statistics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Status(_) => "status",
            Self::ApplyThenStatus(_) => "apply-then-status",
            Self::Unauthorized => "unauthorized",
            Self::Reset => "reset",
            Self::ApplyThenReset => "apply-then-reset",
            Self::Hang => "hang",
            Self::LateApply(_) => "late-apply",
            Self::Delay(_) => "delay",
            Self::Truncate => "truncate",
            Self::HalfBody => "half-body",
            Self::SlowBody(_) => "slow-body",
            Self::EmptyResult(_) => "empty-result",
            Self::DropRows(_) => "drop-rows",
            Self::DuplicateRows(_) => "duplicate-rows",
            Self::Reorder => "reorder",
            Self::RejectRow(_) => "reject-row",
            Self::PoisonRow(..) => "poison-row",
        }
    }
}

impl fmt::Display for RowMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.field, self.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(text: &str, why: &str) {
        let error = text.parse::<FaultRule>().unwrap_err();
        assert!(error.contains(why), "{error}");
    }

    #[test]
    fn a_rule_is_read_whatever_the_order_of_its_keys() {
        let text = "match=/batch/upsert;nth=3;times=2;do=status:429;policy=DAILY;retry-after=soon";
        let rule: FaultRule = text.parse().unwrap();
        assert_eq!(rule.path.as_deref(), Some("/batch/upsert"));
        assert_eq!((rule.nth, rule.times), (3, Some(2)));
        assert_eq!(rule.action, Action::Status(429));
        let turned: FaultRule =
            "retry-after=soon; policy=DAILY ;do=status:429;times=2;nth=3;match=/batch/upsert"
                .parse()
                .unwrap();
        assert_eq!(rule, FaultRule { text: text.to_owned(), ..turned });
    }

    #[test]
    fn a_wire_fault_fires_once_and_a_row_fault_always_unless_told() {
        let times = |text: &str| text.parse::<FaultRule>().unwrap().times;
        assert_eq!(times("do=reset"), Some(1));
        assert_eq!(times("do=reset;times=*"), None);
        assert_eq!(times("do=reset;every=5"), None);
        assert_eq!(times("do=reset;p=0.1"), None);
        assert_eq!(times("do=poison-row:email=a@b.co"), None);
        assert_eq!(times("do=reject-row:a@b.co;times=2"), Some(2));
    }

    #[test]
    fn a_poisoned_row_may_ask_for_a_conflict() {
        let rule: FaultRule = "code=409;do=poison-row:email=a@b.co".parse().unwrap();
        let row = RowMatch { field: "email".into(), value: "a@b.co".into() };
        assert_eq!(rule.action, Action::PoisonRow(row, 409));
    }

    #[test]
    fn what_cannot_be_understood_is_refused_with_the_reason() {
        refused("nth=1", "`do=` is missing");
        refused("do=explode", "unknown action `explode`");
        refused("do=status:99", "no HTTP status");
        refused("do=status:often", "wants a number");
        refused("do=reset;nth=0", "counts from 1");
        refused("do=reset;p=1.5", "between 0 and 1");
        refused("do=reset;when=now", "unknown key `when`");
        refused("do=reject-row:", "names its row");
        refused("reset", "want key=value");
        refused("do=status:500;body=pdf", "unknown body");
    }
}

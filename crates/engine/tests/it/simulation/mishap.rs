//! What goes wrong with a call, drawn from the dice.

use std::time::Duration;

use flow::{Error, Outcome, Retry};

use super::universe::{DOWN, POISON, REFUSED, State, UNREACHABLE};
use super::vendor::Sent;

/// Which rows of a call the vendor carries out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Applied {
    All,
    Nothing,
    FirstHalf,
    These(Vec<bool>),
}

impl Applied {
    pub(crate) fn takes(&self, row: usize, rows: usize) -> bool {
        match self {
            Self::All => true,
            Self::Nothing => false,
            Self::FirstHalf => row < rows / 2,
            Self::These(rows) => rows[row],
        }
    }
}

/// Why a call fails as a whole.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Mishap {
    /// A timeout or a reset: nobody knows.
    NoAnswer,
    /// 429.
    Throttled(Duration),
    Unreachable,
    /// The whole call is refused for one row or another.
    Poison,
    /// Trying again does not help.
    Never,
}

impl Mishap {
    pub(crate) fn error(self, hurries: bool) -> Error {
        match self {
            Self::NoAnswer => Error::new(&DOWN, "no answer").with_retry(Retry::Backoff).ambiguous(),
            Self::Throttled(wait) => {
                let wait = if hurries { wait / 2 } else { wait };
                Error::new(&DOWN, "slow down").with_retry(Retry::After(wait))
            }
            Self::Unreachable => Error::new(&UNREACHABLE, "gone").with_retry(Retry::Backoff),
            Self::Poison => Error::new(&POISON, "a row is poison"),
            Self::Never => Error::new(&DOWN, "no"),
        }
    }
}

/// What the client hears.
#[derive(Debug)]
pub(crate) enum Answer {
    Fails(Mishap),
    /// Of each row its usual outcome, or this one. Fewer than the rows: an answer that is too short.
    Rows(Vec<Option<Outcome>>),
}

impl Answer {
    /// What each row was asked to wait.
    pub(crate) fn asked_to_wait(&self) -> Vec<Option<Duration>> {
        match self {
            Self::Fails(Mishap::Throttled(wait)) => vec![Some(*wait); 64],
            Self::Fails(_) => Vec::new(),
            Self::Rows(rows) => rows
                .iter()
                .map(|row| match row {
                    Some(Outcome::Retry { after, .. }) => *after,
                    _ => None,
                })
                .collect(),
        }
    }
}

/// One call.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) applied: Applied,
    /// When the vendor carries it out.
    pub(crate) arrives_ms: u64,
    /// When the client has its answer, or gives up.
    pub(crate) answers_ms: u64,
    pub(crate) answer: Answer,
}

impl Plan {
    pub(crate) fn draw(state: &mut State, rows: &[Sent]) -> Self {
        let usual = || vec![None; rows.len()];
        // Whoever crashes and starts again is slower than a request on the wire.
        let arrives_ms = state.dice.u64(0..150);
        let answers_ms = arrives_ms + state.dice.u64(0..80);
        let plan = |applied, answer| Self { applied, arrives_ms, answers_ms, answer };
        if !state.misfortune(0.3) {
            return plan(Applied::All, Answer::Rows(usual()));
        }
        let no_answer = || Answer::Fails(Mishap::NoAnswer);
        match state.dice.u8(0..15) {
            0 => Self { answers_ms: answers_ms + 2_000, ..plan(Applied::Nothing, no_answer()) },
            1 => plan(Applied::All, no_answer()),
            2 => {
                let late = state.dice.u64(0..state.weather.late_ms);
                Self { arrives_ms: answers_ms + late, ..plan(Applied::All, no_answer()) }
            }
            3 => {
                let wait = Duration::from_millis(state.dice.u64(100..20_000));
                plan(Applied::Nothing, Answer::Fails(Mishap::Throttled(wait)))
            }
            4 => plan(Applied::FirstHalf, no_answer()),
            5..9 => mixed(state, rows, plan(Applied::All, Answer::Rows(usual()))),
            9 => {
                let silent = Outcome::Unknown { reason: "empty answer" };
                let all = if state.chance(0.5) { Applied::All } else { Applied::Nothing };
                plan(all, Answer::Rows(vec![Some(silent); rows.len()]))
            }
            10 => match state.chance(0.2) {
                true => plan(Applied::All, Answer::Rows(vec![None; rows.len() - 1])),
                false => plan(Applied::Nothing, Answer::Fails(Mishap::Unreachable)),
            },
            11 => Self {
                answers_ms: answers_ms + state.dice.u64(0..20_000),
                ..plan(Applied::All, Answer::Rows(usual()))
            },
            12 => plan(Applied::Nothing, Answer::Fails(Mishap::Poison)),
            // It is a long way there, and the client waits, or dies.
            13 => {
                let late = state.dice.u64(0..state.weather.late_ms);
                Self {
                    arrives_ms: arrives_ms + late,
                    answers_ms: answers_ms + late,
                    ..plan(Applied::All, Answer::Rows(usual()))
                }
            }
            _ => plan(Applied::Nothing, Answer::Fails(Mishap::Never)),
        }
    }
}

/// Every row has a fate of its own.
fn mixed(state: &mut State, rows: &[Sent], plan: Plan) -> Plan {
    let (applied, outcomes) = mixed_rows(state, rows.len());
    Plan { applied, answer: Answer::Rows(outcomes), ..plan }
}

/// Which of the rows are carried out, and what is said of them.
pub(crate) fn mixed_rows(state: &mut State, rows: usize) -> (Applied, Vec<Option<Outcome>>) {
    let (mut applied, mut outcomes) = (Vec::new(), Vec::new());
    for _ in 0..rows {
        let (taken, outcome) = match state.dice.u8(0..10) {
            0 => {
                let wait = Duration::from_millis(state.dice.u64(100..9_000));
                (false, Some(Outcome::Retry { after: Some(wait), reason: "busy" }))
            }
            1 => (false, Some(Outcome::Retry { after: None, reason: "locked" })),
            2 => {
                let message = "refused".to_owned();
                (false, Some(Outcome::Rejected { code: &REFUSED, message, field: None }))
            }
            3 => (false, Some(Outcome::Unknown { reason: "no answer for the row" })),
            4 => (true, Some(Outcome::Unknown { reason: "no answer for the row" })),
            5 => (true, Some(Outcome::Delivered { created: None, remote_id: None })),
            _ => (true, None),
        };
        applied.push(taken);
        outcomes.push(outcome);
    }
    (Applied::These(applied), outcomes)
}

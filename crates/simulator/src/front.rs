//! The way of every vendor call through the simulator: journal, credentials, limits, faults, work.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::Response;

use crate::connection::Line;
use crate::damage::{bend, scripted};
use crate::journal::{Asked, Journal, OpenEntry};
use crate::manners::{Manners, Operation, Records, Refusal};
use crate::script::{Chosen, Facts, Script};
use crate::settings::Common;
use crate::window::{Verdict, Windows};
use crate::{Action, Call, Clock, Level, Moment};

/// Everything one simulator shares between its calls.
pub(crate) struct Desk {
    pub(crate) clock: Clock,
    pub(crate) common: Common,
    pub(crate) journal: Arc<Journal>,
    pub(crate) script: Script,
    pub(crate) windows: Mutex<Windows>,
    pub(crate) manners: Arc<dyn Manners>,
    pub(crate) records: Arc<dyn Records>,
}

impl Desk {
    fn arrive(&self, operation: Operation, now: Moment) -> Verdict {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        windows.arrive(operation.name, now)
    }

    fn refuse(&self, status: u16) -> Response {
        self.manners.refuse(&Refusal { status, ..Refusal::default() })
    }
}

/// The middleware around the vendor's routes.
pub(crate) async fn front(State(desk): State<Arc<Desk>>, request: Request, next: Next) -> Response {
    let now = desk.clock.now();
    let (parts, body) = request.into_parts();
    let operation = desk.manners.operation(&parts.method, parts.uri.path());
    let mut entry = desk.journal.open(
        now,
        Asked {
            method: parts.method.as_str(),
            path: parts.uri.path(),
            operation: operation.name,
            write: operation.write,
        },
    );
    let line = parts.extensions.get::<Line>().cloned();
    let answer = match desk.manners.admit(&parts, operation) {
        Ok(()) => {
            let verdict = desk.arrive(operation, now);
            let levels = verdict.levels;
            let mut answer = match verdict.refused_by {
                Some(level) => throttled(&desk, &level),
                None => {
                    desk.journal.admit(now);
                    let arrival = Arrival { desk: &desk, now, operation, entry: &mut entry };
                    admitted(arrival, parts, body, next).await
                }
            };
            if let Some(answer) = &mut answer.answer {
                desk.manners.stamp(operation, &levels, answer.headers_mut());
            }
            answer
        }
        Err(refused) => Outcome::of(refused),
    };
    let Some(answer) = answer.answer else {
        if let Some(line) = line {
            line.cut();
        }
        return Response::new(Body::empty());
    };
    entry.answered(answer.status().as_u16(), desk.clock.now());
    answer
}

/// An answer, or a connection that is to be cut.
struct Outcome {
    answer: Option<Response>,
}

impl Outcome {
    fn of(answer: Response) -> Self {
        Self { answer: Some(answer) }
    }

    const CUT: Self = Self { answer: None };
}

fn throttled(desk: &Desk, level: &Level) -> Outcome {
    let policy = Some(level.policy.to_owned());
    let wait_ms = Some(level.wait_ms);
    Outcome::of(desk.manners.refuse(&Refusal {
        status: 429,
        policy,
        wait_ms,
        ..Refusal::default()
    }))
}

struct Arrival<'a> {
    desk: &'a Arc<Desk>,
    now: Moment,
    operation: Operation,
    entry: &'a mut OpenEntry,
}

/// Reads the body, lets the script have its say before and after the work, and does the work.
async fn admitted(arrival: Arrival<'_>, parts: Parts, body: Body, next: Next) -> Outcome {
    let Arrival { desk, now, operation, entry } = arrival;
    let Ok(bytes) = to_bytes(body, desk.common.body_max).await else {
        return Outcome::of(desk.refuse(413));
    };
    entry.body(bytes.len());
    let chosen = desk.script.choose(&Facts {
        path: parts.uri.path(),
        method: parts.method.as_str(),
        operation: operation.name,
        body: &bytes,
    });
    for armed in &chosen.wire {
        entry.fault(armed.rule.action.name());
    }
    let call = Call::new(entry.number(), now, desk.common.seed, &chosen);
    wait(desk, &call).await;
    if let Some(instead) = before(desk, &chosen).await {
        return instead;
    }
    let answer = work(&chosen, request(parts, bytes, call.clone()), next).await;
    entry.rows(call.rows());
    match answer {
        Some(answer) => after(desk, &chosen, answer).await,
        None => Outcome::of(desk.refuse(500)),
    }
}

fn request(parts: Parts, bytes: Bytes, call: Call) -> Request {
    let mut request = Request::from_parts(parts, Body::from(bytes));
    request.extensions_mut().insert(call);
    request
}

async fn wait(desk: &Desk, call: &Call) {
    let (low, high) = desk.common.latency_ms;
    if high > 0 {
        let ms = call.dice().u64(low..=high);
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }
}

/// Faults that come instead of the work.
async fn before(desk: &Desk, chosen: &Chosen) -> Option<Outcome> {
    for armed in &chosen.wire {
        match &armed.rule.action {
            Action::Delay(time) => tokio::time::sleep(*time).await,
            Action::Hang => std::future::pending().await,
            Action::Reset => return Some(Outcome::CUT),
            Action::Unauthorized => return Some(Outcome::of(desk.refuse(401))),
            Action::Status(status) => {
                let answer = scripted(&armed.rule, *status, desk.manners.as_ref());
                return Some(Outcome::of(answer));
            }
            _ => {}
        }
    }
    None
}

/// Runs the vendor's handler; a late one is not undone when the client goes away.
async fn work(chosen: &Chosen, request: Request, next: Next) -> Option<Response> {
    let late = chosen.wire.iter().find_map(|armed| match armed.rule.action {
        Action::LateApply(time) => Some(time),
        _ => None,
    });
    let Some(time) = late else { return Some(next.run(request).await) };
    let task = tokio::spawn(async move {
        tokio::time::sleep(time).await;
        next.run(request).await
    });
    task.await.ok()
}

/// Faults that come after the work.
async fn after(desk: &Desk, chosen: &Chosen, mut answer: Response) -> Outcome {
    for armed in &chosen.wire {
        answer = match &armed.rule.action {
            Action::ApplyThenReset => return Outcome::CUT,
            Action::ApplyThenStatus(status) => {
                scripted(&armed.rule, *status, desk.manners.as_ref())
            }
            action @ (Action::Truncate | Action::HalfBody | Action::SlowBody(_)) => {
                bend(answer, action).await
            }
            _ => answer,
        };
    }
    Outcome::of(answer)
}

//! The one place that decides when a request may go out: the account's windows, its daily quota, pauses it asked
//! for, and how many requests it bears at once (L1). All who use the account through one quota ledger decide together.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use flow::metrics::Metrics;
use flow::{Clock, Error, KeepsQuota, Lane, Quota, QuotaStore, QuotaWindow, Result, Retry};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::codes::E2008_WAIT_TOO_LONG;
use crate::keeper::{Core, Seat};
use crate::options::Share;
use crate::quota::{Alone, Cap};
use crate::retry_after::{WAIT_MAX, in_words};
use crate::rules::{Next, State};
use crate::slots::{Reported, Slots};

/// The name of the limit of requests at once.
pub(crate) const CONCURRENCY: &str = "concurrency";

/// What a pacer is made of.
#[derive(Debug)]
pub struct PacerOptions {
    /// The connection's name; the `destination` label of metrics.
    pub connection: String,
    /// Whose limits these are: the same text for everything that uses one account ([`account`]).
    pub account: String,
    /// The account's windows. What the destination reports is about the first one.
    pub windows: Vec<WindowOptions>,
    /// The part of the windows this connection may use.
    pub share: Share,
    /// Most requests at once, of all that use the account.
    pub in_flight_max: usize,
    /// Where waiting is counted.
    pub metrics: Arc<Metrics>,
    /// For the moment a window is empty again, and a day is over.
    pub clock: Arc<dyn Clock>,
}

/// One window of an account.
#[derive(Debug, Clone, Copy)]
pub struct WindowOptions {
    /// Its name in metrics, for example `10s`.
    pub name: &'static str,
    /// Its length, until the destination reports another.
    pub length: Duration,
    /// Requests per window, until the destination reports another number.
    pub max: u32,
    /// Whether `max` is the user's own limit, which reports can only lower.
    pub fixed: bool,
}

/// Names an account in the quota ledger: by what it is, where it is, and whose it is. Of what may be secret only a short
/// hash is kept, which many others share.
pub fn account(kind: &str, host: &str, credentials: &[&str]) -> String {
    let mut hash: u32 = 0x811c_9dc5;
    for byte in credentials.iter().flat_map(|part| part.bytes().chain([0])) {
        hash = (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    }
    format!("{kind} {host} {hash:08x}")
}

/// Keeps requests within an account's limits. Shared by everything in a process that sends, and, by its ledger, with
/// other processes.
///
/// The first request goes out alone: its answer shows what other programs have used of the window.
#[derive(Debug)]
pub struct Pacer {
    core: Arc<Core>,
    /// Whoever holds it is next; the others queue behind in order.
    turn: tokio::sync::Mutex<()>,
}

/// The daily quota as an answer reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DayQuota {
    /// Requests a day; 0 where the answer does not say.
    pub limit: u64,
    /// Requests left.
    pub remaining: u64,
    /// When the quota is renewed, in microseconds since 1970 UTC, where that is known.
    pub resets_at: Option<i64>,
}

/// What an answer says about the account's limits.
#[derive(Debug, Clone, Copy, Default)]
pub struct Signals {
    /// The window.
    pub window: Option<Reported>,
    /// The daily quota.
    pub day: Option<DayQuota>,
    /// Everyone waits for so long.
    pub pause: Option<Duration>,
    /// The destination is overloaded: fewer requests at once.
    pub overloaded: bool,
}

/// The right to send one request. Dropping it without an answer counts as an answer now.
#[derive(Debug)]
pub struct Permit<'a> {
    pacer: &'a Pacer,
    sent: Instant,
    /// As many requests are out as may be.
    full: bool,
    signals: Signals,
}

impl Permit<'_> {
    /// The answer came; `signals` is what it says about limits.
    pub fn answered(mut self, signals: Signals) {
        self.signals = signals;
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.pacer.core.settle((self.sent, self.full), self.signals);
    }
}

/// Counts those who wait, however their waiting ends.
struct Waiting<'a>(&'a Core);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.state().waiting -= 1;
    }
}

impl Pacer {
    /// A pacer that has sent nothing yet, and shares the account with nobody until it is told to.
    pub fn new(options: PacerOptions) -> Self {
        let ratio = options.share.ratio();
        let slots = options.windows.iter().map(|window| {
            let cap = Cap { ratio, fixed: window.fixed.then_some(window.max.max(1)) };
            Slots::new(window.name, window.length, window.max, cap)
        });
        let at_once = u32::try_from(options.in_flight_max).unwrap_or(u32::MAX).max(1);
        let whole = Cap { ratio: 1.0, fixed: None };
        let concurrency = Slots::new(CONCURRENCY, Duration::ZERO, at_once, whole);
        let slots = slots.chain([concurrency]).collect();
        let core = Core {
            connection: options.connection,
            account: options.account,
            metrics: options.metrics,
            state: Mutex::new(State::new(slots, ratio, options.in_flight_max)),
            changed: Notify::new(),
            hungry: Arc::new(Notify::new()),
            talking: tokio::sync::Mutex::new(()),
            seat: Mutex::new(Seat::new(
                Arc::new(Alone::new(Arc::clone(&options.clock))),
                Lane::Live,
            )),
            clock: options.clock,
            keeper: Mutex::new(None),
        };
        Self { core: Arc::new(core), turn: tokio::sync::Mutex::new(()) }
    }

    /// Waits until one more request fits, then takes its slot. First come, first served.
    ///
    /// # Errors
    /// `E2007` and `E2008`, rather than sleeping for hours; `E2020` when the ledger cannot be used.
    pub async fn acquire(&self) -> Result<Permit<'_>> {
        self.core.state().waiting += 1;
        let _waiting = Waiting(&self.core);
        let _turn = self.turn.lock().await;
        loop {
            let now = Instant::now();
            let next = self.core.state().next(now, self.core.clock.now_micros())?;
            let (until, origin) = match next {
                Next::Go { full } => {
                    let signals = Signals::default();
                    return Ok(Permit { pacer: self, sent: now, full, signals });
                }
                Next::Wait { until, origin, hungry } => {
                    self.core.keep(hungry);
                    (until, origin)
                }
            };
            let changed = self.core.changed.notified();
            match until {
                Some(until) => tokio::select! {
                    () = tokio::time::sleep_until(until) => {}
                    () = changed => {}
                },
                None => changed.await,
            }
            if let Some(origin) = origin {
                self.core.metrics.throttled(&self.core.connection, origin, now.elapsed());
            }
        }
    }

    /// Requests that make sense at once.
    pub fn in_flight_max(&self) -> usize {
        self.core.state().concurrency.max()
    }

    /// Requests that make sense at once now.
    pub fn in_flight_limit(&self) -> usize {
        self.core.state().concurrency.limit()
    }

    /// The first window: requests of this connection, and its length.
    pub fn rate(&self) -> (u32, Duration) {
        let state = self.core.state();
        state
            .slots
            .first()
            .map_or((u32::MAX, Duration::ZERO), |slots| (slots.ours(), slots.length()))
    }
}

#[async_trait]
impl KeepsQuota for Pacer {
    fn share(&self, ledger: Arc<dyn QuotaStore>, lane: Lane) {
        *self.core.seat() = Seat::new(ledger, lane);
    }

    async fn quota(&self) -> Result<Quota> {
        let answer = self.core.look().await?;
        let state = self.core.state();
        let mut windows: Vec<QuotaWindow> = state
            .slots
            .iter()
            .zip(&answer.windows)
            .map(|(slots, window)| {
                let held = window.left.saturating_add(slots.unused(Instant::now()));
                QuotaWindow {
                    name: slots.name(),
                    length: Some(slots.length()),
                    limit: window.max.into(),
                    ours: slots.cap().of(window.max).into(),
                    left: Some(held.into()),
                    resets_at: None,
                }
            })
            .collect();
        if let Some(day) = answer.day.filter(|day| day.limit > 0) {
            let theirs = (day.limit as f64 * (1.0 - state.ratio)) as u64;
            windows.push(QuotaWindow {
                name: "day",
                length: None,
                limit: day.limit,
                ours: day.limit - theirs,
                left: Some(day.remaining.saturating_sub(theirs)),
                resets_at: day.resets_wall,
            });
        }
        let long = Duration::from_micros(answer.pause.unsigned_abs());
        let paused = (long > WAIT_MAX).then(|| {
            let until = self.core.clock.now_micros().saturating_add(answer.pause);
            (until, "it asked to wait".to_owned())
        });
        let (parked_until, parked_why) = answer.parked.or(paused).unzip();
        Ok(Quota { windows, parked_until, parked_why })
    }

    async fn leave(&self) {
        self.core.leave().await;
    }
}

/// The rest of a pause, as the error of a run that does not sit it out.
pub(crate) fn too_long(left: Duration) -> Error {
    let message = format!("the destination asked to wait; {} are left", in_words(left));
    Error::new(&E2008_WAIT_TOO_LONG, message).with_wait(left)
}

/// An error for a wait the destination asks for: one the engine sits out, or, when it is too long, the end of
/// the run.
pub fn wait(error: Error, wait: Duration) -> Error {
    if wait <= WAIT_MAX {
        return error.with_retry(Retry::After(wait));
    }
    let message = format!("{}; it asks to wait {}", error.message(), in_words(wait));
    let ended = Error::new(&E2008_WAIT_TOO_LONG, message).with_wait(wait);
    if error.is_ambiguous() { ended.ambiguous() } else { ended }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing in here can be left half done by a panic.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod together;

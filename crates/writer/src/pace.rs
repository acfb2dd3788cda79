//! The one place that decides when a request may go out: the account's windows, its daily quota, pauses it asked
//! for, and how many requests it bears at once (L1).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use flow::metrics::Metrics;
use flow::{Clock, Error, Result, Retry};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::codes::{E2007_DAILY_QUOTA, E2008_WAIT_TOO_LONG};
use crate::options::Share;
use crate::retry_after::{WAIT_MAX, in_words};
use crate::window::{Reported, Room, Window};

/// After so long without news, one request may ask whether the daily quota is back.
const DAY_NEWS_MAX: Duration = Duration::from_secs(300);

/// A pause is never taken for longer than this, however absurd the destination's number.
const PAUSE_MAX: Duration = Duration::from_secs(31 * 86_400);

/// What a pacer is made of.
#[derive(Debug)]
pub struct PacerOptions {
    /// The connection's name; the `destination` label of metrics.
    pub connection: String,
    /// The window's name in metrics, for example `10s`.
    pub window: &'static str,
    /// Length of the window, until the destination reports another.
    pub length: Duration,
    /// Requests per window, until the destination reports another number.
    pub max: u32,
    /// Whether `max` is the user's own limit, which reports can only lower.
    pub fixed: bool,
    /// The part of the windows this process may use.
    pub share: Share,
    /// Most requests at once.
    pub in_flight_max: usize,
    /// Where waiting is counted.
    pub metrics: Arc<Metrics>,
    /// For the moment a window is empty again, in metrics.
    pub clock: Arc<dyn Clock>,
}

/// Keeps the requests of one process within an account's limits. Shared by everything that sends.
///
/// The first request goes out alone: its answer shows what other programs have used of the window.
#[derive(Debug)]
pub struct Pacer {
    connection: String,
    window: &'static str,
    metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    /// Whoever holds it is next; the others queue behind in order.
    turn: tokio::sync::Mutex<()>,
    changed: Notify,
}

#[derive(Debug)]
struct State {
    window: Window,
    share: Share,
    day: Option<Day>,
    paused_until: Option<Instant>,
    concurrency: Concurrency,
    first_answered: bool,
}

/// The daily quota as last reported.
#[derive(Debug, Clone, Copy)]
struct Day {
    limit: u64,
    remaining: u64,
    seen: Instant,
}

/// What an answer says about the account's limits.
#[derive(Debug, Clone, Copy, Default)]
pub struct Signals {
    /// The window.
    pub window: Option<Reported>,
    /// The daily quota: limit and what remains.
    pub day: Option<(u64, u64)>,
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
        self.pacer.settle(self.sent, self.signals);
    }
}

enum Next {
    Go,
    Wait { until: Option<Instant>, origin: Option<&'static str> },
}

impl Pacer {
    /// A pacer that has sent nothing yet.
    pub fn new(options: PacerOptions) -> Self {
        let window = Window::new(options.length, options.max, options.fixed, options.share);
        Self {
            connection: options.connection,
            window: options.window,
            metrics: options.metrics,
            clock: options.clock,
            state: Mutex::new(State {
                window,
                share: options.share,
                day: None,
                paused_until: None,
                concurrency: Concurrency::new(options.in_flight_max),
                first_answered: false,
            }),
            turn: tokio::sync::Mutex::new(()),
            changed: Notify::new(),
        }
    }

    /// Waits until one more request fits, then takes its slot. First come, first served.
    ///
    /// # Errors
    /// [`E2007_DAILY_QUOTA`] and [`E2008_WAIT_TOO_LONG`], rather than sleeping for hours.
    pub async fn acquire(&self) -> Result<Permit<'_>> {
        let _turn = self.turn.lock().await;
        loop {
            let now = Instant::now();
            let next = self.state().next(now)?;
            let Next::Wait { until, origin } = next else {
                return Ok(Permit { pacer: self, sent: now, signals: Signals::default() });
            };
            let changed = self.changed.notified();
            match until {
                Some(until) => tokio::select! {
                    () = tokio::time::sleep_until(until) => {}
                    () = changed => {}
                },
                None => changed.await,
            }
            if let Some(origin) = origin {
                self.metrics.throttled(&self.connection, origin, now.elapsed());
            }
        }
    }

    /// Requests that make sense at once now.
    pub fn in_flight_max(&self) -> usize {
        self.state().concurrency.limit()
    }

    fn settle(&self, sent: Instant, signals: Signals) {
        let now = Instant::now();
        {
            let mut state = self.state();
            if let Some(reported) = signals.window {
                state.window.report(sent, now, reported);
            }
            state.window.answer(now);
            state.first_answered = true;
            if let Some((limit, remaining)) = signals.day {
                state.day = Some(Day { limit, remaining, seen: now });
            }
            if let Some(pause) = signals.pause {
                let until = now + pause.min(PAUSE_MAX);
                state.paused_until = state.paused_until.max(Some(until));
            }
            state.concurrency.learn(sent, now, signals.overloaded);
            self.publish(&state, signals);
        }
        self.changed.notify_one();
    }

    fn publish(&self, state: &State, signals: Signals) {
        if let Some(window) = signals.window {
            let (remaining, max) = (f64::from(window.remaining), f64::from(window.max));
            self.metrics.quota(&self.connection, self.window, remaining, max);
            let length = i64::try_from(state.window.length().as_micros()).unwrap_or(i64::MAX);
            let reset = self.clock.now_micros().saturating_add(length);
            self.metrics.quota_reset(&self.connection, self.window, reset);
        }
        if let Some((limit, remaining)) = signals.day {
            self.metrics.quota(&self.connection, "day", remaining as f64, limit as f64);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in here can be left half done by a panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Takes a slot where one is free.
    fn next(&mut self, now: Instant) -> Result<Next> {
        if let Some(until) = self.paused_until.filter(|until| *until > now) {
            let left = until - now;
            if left > WAIT_MAX {
                return Err(too_long(left));
            }
            return Ok(Next::Wait { until: Some(until), origin: Some("server") });
        }
        let in_flight = self.window.in_flight();
        let alone = !self.first_answered && in_flight > 0;
        if alone || in_flight as usize >= self.concurrency.limit() {
            return Ok(Next::Wait { until: None, origin: None });
        }
        match self.window.room(now) {
            Room::Now => {}
            Room::At(at) => return Ok(Next::Wait { until: Some(at), origin: Some("client") }),
            Room::AfterAnswer => return Ok(Next::Wait { until: None, origin: Some("client") }),
        }
        self.check_day(now)?;
        self.window.send();
        Ok(Next::Go)
    }

    /// Leaves the others their part of the day: the last `1 - share` of the quota is not touched.
    fn check_day(&mut self, now: Instant) -> Result<()> {
        let Some(day) = &mut self.day else { return Ok(()) };
        let theirs = day.limit as f64 * (1.0 - self.share.ratio());
        let left = day.remaining.saturating_sub(u64::from(self.window.in_flight()));
        if left as f64 > theirs {
            return Ok(());
        }
        if now - day.seen > DAY_NEWS_MAX {
            day.seen = now;
            return Ok(());
        }
        let left = match day.limit {
            0 => "the account's daily requests are used up".to_owned(),
            limit => format!(
                "{} of the account's {limit} daily requests are left, and none for this connection",
                day.remaining
            ),
        };
        Err(Error::new(&E2007_DAILY_QUOTA, left))
    }
}

fn too_long(left: Duration) -> Error {
    Error::new(
        &E2008_WAIT_TOO_LONG,
        format!("the destination asked to wait; {} are left", in_words(left)),
    )
}

/// An error for a wait the destination asks for: one the engine sits out, or, when it is too long, the end of
/// the run.
pub fn wait(error: Error, wait: Duration) -> Error {
    if wait <= WAIT_MAX {
        return error.with_retry(Retry::After(wait));
    }
    let message = format!("{}; it asks to wait {}", error.message(), in_words(wait));
    let ended = Error::new(&E2008_WAIT_TOO_LONG, message);
    if error.is_ambiguous() { ended.ambiguous() } else { ended }
}

/// How many requests the destination bears at once: one more per round that goes well, half after an overload.
#[derive(Debug)]
struct Concurrency {
    limit: f64,
    max: usize,
    cut: Option<Instant>,
}

impl Concurrency {
    fn new(max: usize) -> Self {
        let max = max.max(1);
        Self { limit: max as f64, max, cut: None }
    }

    fn limit(&self) -> usize {
        (self.limit as usize).clamp(1, self.max)
    }

    fn learn(&mut self, sent: Instant, now: Instant, overloaded: bool) {
        if !overloaded {
            self.limit = (self.limit + 1.0 / self.limit).min(self.max as f64);
        } else if self.cut.is_none_or(|cut| sent > cut) {
            // Requests that went out together report one overload together.
            self.limit = (self.limit / 2.0).max(1.0);
            self.cut = Some(now);
        }
    }
}

#[cfg(test)]
mod tests;

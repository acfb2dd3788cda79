//! What of a pacer speaks with the quota ledger: a task of its own, a few times a second while something is sent, so that
//! no request waits for a disk.

use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;

use flow::metrics::Metrics;
use flow::{Clock, Lane, QuotaStore, Result};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::pace::{Signals, lock};
use crate::quota::{Answer, Book, LEASE, Statement, WindowStatement};
use crate::rules::State;

/// Time between two conversations; news of a pause or of a busier process is as old as this at most.
const TICK: Duration = Duration::from_millis(200);
/// The lease ends for its holder this much sooner than for the others.
const MARGIN: i64 = 500_000;

/// What all parts of a pacer share.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) connection: String,
    pub(crate) account: String,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) state: Mutex<State>,
    /// Something happened that may let a request go.
    pub(crate) changed: Notify,
    /// The ledger should be asked now.
    pub(crate) hungry: Arc<Notify>,
    /// One conversation at a time.
    pub(crate) talking: tokio::sync::Mutex<()>,
    pub(crate) seat: Mutex<Seat>,
    pub(crate) keeper: Mutex<Option<JoinHandle<()>>>,
}

/// Who we are on which ledger.
#[derive(Debug, Clone)]
pub(crate) struct Seat {
    ledger: Arc<dyn QuotaStore>,
    pub(crate) name: String,
    lane: Lane,
    /// What the shared clock said, how far it had been shifted then, and when that was.
    heard: Option<(i64, i64, Instant)>,
}

impl Seat {
    pub(crate) fn new(ledger: Arc<dyn QuotaStore>, lane: Lane) -> Self {
        let name = ledger.name();
        Self { ledger, name, lane, heard: None }
    }
}

impl Core {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    pub(crate) fn seat(&self) -> MutexGuard<'_, Seat> {
        lock(&self.seat)
    }

    /// The answer to a request came.
    pub(crate) fn settle(self: &Arc<Self>, about: (Instant, bool), signals: Signals) {
        let now = Instant::now();
        let has_news = {
            let mut state = self.state();
            state.learn(about, (now, self.clock.now_micros()), signals);
            self.publish(&state, signals);
            state.has_news(now)
        };
        if has_news {
            self.keep(true);
        }
        self.changed.notify_one();
    }

    fn publish(&self, state: &State, signals: Signals) {
        let (name, at_once) = (&self.connection, state.in_flight() as usize);
        self.metrics.in_flight(name, at_once, state.concurrency.limit());
        if let (Some(window), Some(slots)) = (signals.window, state.slots.first()) {
            let (remaining, max) = (f64::from(window.remaining), f64::from(window.max));
            self.metrics.quota(name, slots.name(), remaining, max);
            let length = i64::try_from(slots.length().as_micros()).unwrap_or(i64::MAX);
            let reset = self.clock.now_micros().saturating_add(length);
            self.metrics.quota_reset(name, slots.name(), reset);
        }
        if let Some(day) = signals.day {
            self.metrics.quota(name, "day", day.remaining as f64, day.limit as f64);
            if let Some(resets_at) = day.resets_at {
                self.metrics.quota_reset(name, "day", resets_at);
            }
        }
    }

    /// Sees to it that somebody speaks with the ledger; at once where it is `urgent`.
    pub(crate) fn keep(self: &Arc<Self>, urgent: bool) {
        let mut keeper = lock(&self.keeper);
        // It ends when there is nothing to say, and with its runtime.
        if keeper.as_ref().is_none_or(JoinHandle::is_finished) {
            *keeper = Some(tokio::spawn(keep(Arc::downgrade(self), Arc::clone(&self.hungry))));
        } else if urgent {
            self.hungry.notify_one();
        }
    }

    /// Ends the keeper where there is nothing to say. Whoever wants something from now on starts another.
    fn rest(&self) -> bool {
        let mut keeper = lock(&self.keeper);
        let idle = self.state().is_idle(Instant::now());
        if idle {
            *keeper = None;
        }
        idle
    }

    /// Speaks with the ledger once; whether there is more to say later, and whether it answered.
    pub(crate) async fn talk(&self) -> (bool, bool) {
        let _talking = self.talking.lock().await;
        let before = Instant::now();
        let (statement, idle) = {
            let mut state = self.state();
            (state.statement(before), state.is_idle(before))
        };
        let answer = self.exchange(statement, before).await;
        let answered = answer.is_ok();
        {
            let mut state = self.state();
            match &answer {
                Ok(answer) => {
                    let lease = Duration::from_micros((LEASE - MARGIN).unsigned_abs());
                    state.take(answer, Instant::now(), before + lease);
                }
                Err(error) => state.fail(error.to_string()),
            }
        }
        self.changed.notify_one();
        (!idle, answered)
    }

    async fn exchange(&self, statement: Statement, before: Instant) -> Result<Answer> {
        let seat = self.seat().clone();
        let expected = seat.heard.map(|(at, shifted, when)| {
            let passed = i64::try_from((before - when).as_micros()).unwrap_or(i64::MAX);
            (at.saturating_add(passed), shifted)
        });
        let statement = Statement {
            holder: seat.name.clone(),
            connection: self.connection.clone(),
            lane: seat.lane,
            expected,
            ..statement
        };
        let heard: Arc<Mutex<Option<Answer>>> = Arc::default();
        let hears = Arc::clone(&heard);
        let change = Box::new(move |page: Option<&str>, moment: &flow::QuotaMoment<'_>| {
            let mut book = Book::read(page);
            let answer = book.exchange(&statement, moment);
            *lock(&hears) = Some(answer);
            (!statement.looks).then(|| book.page())
        });
        seat.ledger.change(&self.account, change).await?;
        let answer = lock(&heard).take().unwrap_or_default();
        let mut now = self.seat();
        if now.name == seat.name {
            now.heard = Some((answer.at, answer.shifted, before));
        }
        Ok(answer)
    }

    /// What the ledger knows; nothing is changed in it.
    pub(crate) async fn look(&self) -> Result<Answer> {
        let windows: Vec<WindowStatement> =
            self.state().slots.iter().map(crate::slots::Slots::question).collect();
        let statement = Statement { windows, looks: true, ..Statement::default() };
        self.exchange(statement, Instant::now()).await
    }

    /// Gives everything back that is not in use.
    pub(crate) async fn leave(&self) {
        if self.state().lease.is_some() {
            self.state().leaving = true;
            self.talk().await;
        }
    }
}

/// Speaks with the ledger while something is sent.
async fn keep(core: Weak<Core>, hungry: Arc<Notify>) {
    loop {
        let Some(kept) = core.upgrade() else { return };
        let (more, answered) = kept.talk().await;
        if !more && kept.rest() {
            return;
        }
        drop(kept);
        let pause = tokio::time::sleep(TICK);
        match answered {
            true => tokio::select! {
                () = pause => {}
                () = hungry.notified() => {}
            },
            false => pause.await,
        }
    }
}

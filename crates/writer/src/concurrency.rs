//! How many requests a destination bears at once: more after every round that goes well, half after an overload, less
//! when answers take longer because of it.

use std::time::Duration;

use tokio::time::Instant;

/// Requests at once after the first answer.
const FIRST: f64 = 4.0;
/// Answers that take this many times as long as they did are looked into...
const SLOWER: f64 = 2.0;
/// ...when it is by more than this as well.
const SLOWER_BY: f64 = 0.010;
/// What is tried then, and by how much answers must be faster for it to be kept.
const TRIAL: f64 = 0.7;
const FASTER: f64 = 0.85;
/// How long the fastest round is remembered.
const MEMORY: Duration = Duration::from_secs(60);

/// The limit of requests at once.
#[derive(Debug)]
pub(crate) struct Concurrency {
    limit: f64,
    max: usize,
    /// Doubling from round to round, until the first sign of too much.
    opening: bool,
    cut: Option<Instant>,
    round: Round,
    /// The fastest rounds of the present and of the last stretch of time, in seconds.
    fastest: [f64; 2],
    since: Option<Instant>,
    trial: Option<Trial>,
}

/// Answers to as many requests as may be out at once.
#[derive(Debug, Default)]
struct Round {
    size: usize,
    answers: usize,
    seconds: f64,
}

/// Fewer at once, to see whether that makes answers faster.
#[derive(Debug)]
struct Trial {
    limit: f64,
    seconds: f64,
}

impl Concurrency {
    /// At most `max` at once.
    pub(crate) fn new(max: usize) -> Self {
        let max = max.max(1);
        Self {
            limit: FIRST.min(max as f64),
            max,
            opening: true,
            cut: None,
            round: Round::default(),
            fastest: [f64::INFINITY; 2],
            since: None,
            trial: None,
        }
    }

    /// So many at once now.
    pub(crate) fn limit(&self) -> usize {
        (self.limit as usize).clamp(1, self.max)
    }

    /// So many at once at most.
    pub(crate) fn max(&self) -> usize {
        self.max
    }

    /// An answer came at `now` to a request sent at `sent`; `full`: as many were out as may be.
    pub(crate) fn learn(&mut self, sent: Instant, now: Instant, (overloaded, full): (bool, bool)) {
        if overloaded {
            // Requests that went out together report one overload together.
            if self.cut.is_none_or(|cut| sent >= cut) {
                (self.limit, self.trial) = ((self.limit / 2.0).max(1.0), None);
                self.restart(now);
            }
            return;
        }
        let at_once = self.limit();
        if self.trial.is_none() {
            let more = if self.opening { 1.0 } else { 1.0 / self.limit };
            self.limit = (self.limit + more).min(self.max as f64);
            self.opening &= self.limit < self.max as f64;
        }
        // Answers to requests from before a change say nothing about it.
        if self.cut.is_some_and(|cut| sent < cut) || !full {
            return;
        }
        if self.round.answers == 0 {
            self.round.size = at_once;
        }
        self.round.answers += 1;
        self.round.seconds += (now - sent).as_secs_f64();
        if self.round.answers >= self.round.size {
            let Round { size, answers, seconds } = std::mem::take(&mut self.round);
            self.judge((size, seconds / answers as f64), now);
        }
    }

    /// A round of so many at once took so long per answer.
    fn judge(&mut self, (size, seconds): (usize, f64), now: Instant) {
        if let Some(Trial { limit, seconds: before }) = self.trial.take() {
            if seconds >= before * FASTER {
                // It is not the number of requests that makes them slow.
                self.limit = limit;
                self.fastest = [before; 2];
            }
            self.restart(now);
            return;
        }
        let since = *self.since.get_or_insert(now);
        if now - since > MEMORY {
            self.fastest = [f64::INFINITY, self.fastest[0]];
            self.since = Some(now);
        }
        self.fastest[0] = self.fastest[0].min(seconds);
        let fastest = self.fastest[0].min(self.fastest[1]);
        if seconds > (fastest * SLOWER).max(fastest + SLOWER_BY) && self.limit() > 1 {
            // It may have been raised since the round began.
            let limit = self.limit.min(size as f64);
            self.trial = Some(Trial { limit, seconds });
            self.limit = (limit * TRIAL).max(1.0);
            self.restart(now);
        }
    }

    fn restart(&mut self, now: Instant) {
        self.opening = false;
        self.cut = Some(now);
        self.round = Round::default();
    }
}

#[cfg(test)]
mod tests;

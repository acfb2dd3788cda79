//! One rolling window of a destination's rate limit, kept so that the destination's own count can never pass it.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use crate::options::Share;

/// What an answer says about a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reported {
    /// Requests allowed in the window.
    pub max: u32,
    /// Requests left in it, this one counted.
    pub remaining: u32,
    /// Length of the window, where the answer says.
    pub length: Option<Duration>,
}

/// Whether a request may go out now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Room {
    /// Now.
    Now,
    /// Not before this moment.
    At(Instant),
    /// When the next answer comes.
    AfterAnswer,
}

/// A rolling window.
///
/// The destination counts a request at some moment between our sending it and its answer. A slot is taken
/// when we send and given back one window after the answer. So every request the destination still counts
/// holds a slot here, and slots never exceed the limit: neither does its count.
#[derive(Debug)]
pub(crate) struct Window {
    length: Duration,
    /// What the account may send, all programs together.
    max: u32,
    /// The user's own limit for this process, which a report cannot raise.
    max_given: Option<u32>,
    share: Share,
    in_flight: u32,
    /// When requests were answered, oldest first; kept for two windows.
    answered: VecDeque<Instant>,
    /// Requests of other programs on the same account, and when we noticed them.
    others: VecDeque<(Instant, u32)>,
}

impl Window {
    /// A window of `max` requests per `length`. When `fixed`, reports can only lower `max`.
    pub(crate) fn new(length: Duration, max: u32, fixed: bool, share: Share) -> Self {
        Self {
            length,
            max: max.max(1),
            max_given: fixed.then_some(max.max(1)),
            share,
            in_flight: 0,
            answered: VecDeque::new(),
            others: VecDeque::new(),
        }
    }

    pub(crate) fn length(&self) -> Duration {
        self.length
    }

    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight
    }

    /// Whether one more request fits.
    pub(crate) fn room(&mut self, now: Instant) -> Room {
        self.forget(now);
        let held = self.answered.len() - self.expired(now);
        let ours = self.in_flight.saturating_add(held as u32);
        let others = self.others(now);
        if ours < self.max_ours() && ours.saturating_add(others) < self.max {
            return Room::Now;
        }
        let ours_free = self.answered.get(self.expired(now)).map(|at| *at + self.length);
        let others_free =
            self.others.iter().map(|(at, _)| *at + self.length).find(|free| *free > now);
        match [ours_free, others_free].into_iter().flatten().min() {
            Some(free) => Room::At(free),
            None => Room::AfterAnswer,
        }
    }

    pub(crate) fn send(&mut self) {
        self.in_flight += 1;
    }

    pub(crate) fn answer(&mut self, now: Instant) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.answered.push_back(now);
    }

    /// Takes over what the answer to a request sent at `sent` reports, before that request is answered here.
    ///
    /// Requests the destination counts and we did not make were made by others on the same account; they
    /// take slots for one window too. Ours are counted as generously as they may have been at any moment
    /// since `sent`, so that our own requests are never taken for someone else's.
    pub(crate) fn report(&mut self, sent: Instant, now: Instant, reported: Reported) {
        if let Some(length) = reported.length {
            self.length = length;
        }
        self.max = reported.max.max(1);
        let used = reported.max.saturating_sub(reported.remaining);
        let held = self.answered.len() - self.expired(sent);
        let ours = self.in_flight.saturating_add(held as u32);
        let surplus = used.saturating_sub(ours).saturating_sub(self.others(sent));
        if surplus > 0 {
            self.others.push_back((now, surplus));
        }
    }

    /// What this process may send.
    fn max_ours(&self) -> u32 {
        self.share.of(self.max_given.map_or(self.max, |given| given.min(self.max)))
    }

    /// How many of `answered` had left the window at `now`.
    fn expired(&self, now: Instant) -> usize {
        self.answered.partition_point(|at| *at + self.length <= now)
    }

    fn others(&self, now: Instant) -> u32 {
        let held = self.others.iter().filter(|(at, _)| *at + self.length > now);
        held.fold(0, |sum, (_, requests)| sum.saturating_add(*requests))
    }

    /// Drops what no report can ask about any more.
    fn forget(&mut self, now: Instant) {
        let keep = |at: &Instant| *at + self.length * 2 > now;
        while self.answered.front().is_some_and(|at| !keep(at)) {
            self.answered.pop_front();
        }
        while self.others.front().is_some_and(|(at, _)| !keep(at)) {
            self.others.pop_front();
        }
    }
}

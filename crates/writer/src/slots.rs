//! One limit of an account as this process sees it: the slots it holds, kept so that the destination's own count can
//! never pass the limit.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use crate::quota::{Cap, Seen, WindowAnswer, WindowStatement};

/// What is asked for at first, by somebody who has nothing.
const FIRST_WANTS: u32 = 8;
/// The shared clock ticks this coarsely (in microseconds).
const TICK: i64 = 15_000;

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
    /// When the next answer comes, or others give some of theirs.
    Later,
}

/// The slots of one window.
///
/// The destination counts a request at some moment between our sending it and its answer. A slot is taken when we send and
/// is free again one window after the answer. So every request the destination still counts holds a slot here, and slots
/// never exceed the limit: neither does its count.
#[derive(Debug)]
pub(crate) struct Slots {
    name: &'static str,
    length: Duration,
    /// What the account may send, all programs together.
    max: u32,
    cap: Cap,
    held: u32,
    /// What others leave us.
    fair: u32,
    /// What others on the ledger may have used when we last heard of them.
    others: u32,
    in_flight: u32,
    /// When requests were answered, oldest first; kept for two windows.
    answered: VecDeque<Instant>,
    /// Slots that were others' before and are not free yet, and when they will be.
    coming: VecDeque<(Instant, u32)>,
    /// Said by the destination and not yet by us to the ledger.
    seen: Option<Seen>,
    /// How often the limit looked as if it were less than we hold; the ledger must be asked before more is sent.
    doubts: u32,
    /// Doubts the ledger was told of, and those it has answered.
    told: u32,
    cleared: u32,
    /// Slots asked for in the last statement.
    asked: u32,
    /// A request waits for a slot.
    starved: bool,
}

impl Slots {
    /// A window of `max` requests per `length`, of which nothing is held yet.
    pub(crate) fn new(name: &'static str, length: Duration, max: u32, cap: Cap) -> Self {
        Self {
            name,
            length,
            max: max.max(1),
            cap,
            held: 0,
            fair: 0,
            others: 0,
            in_flight: 0,
            answered: VecDeque::new(),
            coming: VecDeque::new(),
            seen: None,
            doubts: 0,
            told: 0,
            cleared: 0,
            asked: 0,
            starved: false,
        }
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    pub(crate) fn length(&self) -> Duration {
        self.length
    }

    pub(crate) fn cap(&self) -> Cap {
        self.cap
    }

    /// Requests in a window that this connection may make.
    pub(crate) fn ours(&self) -> u32 {
        self.cap.of(self.max)
    }

    /// Slots held and not in use.
    pub(crate) fn unused(&self, now: Instant) -> u32 {
        self.held.saturating_sub(self.busy(now))
    }

    /// Asks the ledger about the window without wanting anything of it.
    pub(crate) fn question(&self) -> WindowStatement {
        let (name, cap, max) = (self.name, self.cap, self.max);
        WindowStatement {
            name,
            cap,
            max,
            length: micros(self.length),
            ..WindowStatement::default()
        }
    }

    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight
    }

    /// Whether one more request fits.
    pub(crate) fn room(&mut self, now: Instant) -> Room {
        self.forget(now);
        let busy = self.busy(now);
        self.starved = busy >= self.held.min(self.fair);
        if self.is_doubtful() {
            return Room::Later;
        }
        if !self.starved {
            return Room::Now;
        }
        let answered = self.answered.iter().map(|at| *at + self.length).find(|free| *free > now);
        let coming = self.coming.iter().map(|(free, _)| *free).find(|free| *free > now);
        match [answered, coming].into_iter().flatten().min() {
            Some(free) => Room::At(free),
            None => Room::Later,
        }
    }

    /// Whether the ledger should be asked at once.
    pub(crate) fn is_hungry(&self, now: Instant) -> bool {
        self.is_doubtful() || (self.starved && self.wants(now) > self.asked)
    }

    pub(crate) fn send(&mut self) {
        self.in_flight += 1;
        self.starved = false;
    }

    pub(crate) fn answer(&mut self, now: Instant) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.answered.push_back(now);
    }

    /// Takes over what the answer to a request sent at `sent` reports, before that request is answered here.
    ///
    /// Requests the destination counts and nobody on the ledger made were made by other programs on the same account.
    /// Ours are counted as generously as they may have been at any moment since `sent`, so that our own requests are
    /// never taken for someone else's.
    pub(crate) fn report(&mut self, sent: Instant, reported: Reported) {
        let Reported { max, remaining, length } = reported;
        let counted = max.saturating_sub(remaining);
        let (ours, others) = (self.busy(sent), self.others);
        let less = max < self.max || length.is_some_and(|length| length > self.length);
        let doubtful = less || counted > ours.saturating_add(others);
        self.doubts = self.doubts.wrapping_add(u32::from(doubtful));
        self.length = length.unwrap_or(self.length);
        self.max = max.max(1);
        let length = length.map(micros);
        let surplus =
            |seen: &Seen| seen.counted.saturating_sub(seen.ours).saturating_sub(seen.others);
        let seen = Seen { max, length, counted, ours, others };
        // Of several answers, the one that shows most of others.
        let most = self.seen.filter(|known| surplus(known) > surplus(&seen));
        self.seen = Some(most.map_or(seen, |known| Seen { max, length, ..known }));
    }

    fn is_doubtful(&self) -> bool {
        self.doubts != self.cleared
    }

    /// Slots in use: by requests without an answer, and by answered ones within the window.
    fn busy(&self, now: Instant) -> u32 {
        let answered =
            self.answered.len() - self.answered.partition_point(|at| *at + self.length <= now);
        let coming = self.coming.iter().filter(|(free, _)| *free > now);
        let coming = coming.fold(0_u32, |sum, (_, slots)| sum.saturating_add(*slots));
        self.in_flight.saturating_add(answered as u32).saturating_add(coming)
    }

    fn wants(&self, now: Instant) -> u32 {
        let busy = self.busy(now);
        match self.starved || self.held == 0 {
            true => busy.saturating_mul(2).max(FIRST_WANTS),
            false => busy.saturating_add(busy / 4).saturating_add(2),
        }
    }

    /// What is said to the ledger. `idle`: everything is given back. What is given back is not held any more.
    pub(crate) fn statement(&mut self, now: Instant, idle: bool) -> WindowStatement {
        self.forget(now);
        let wants = if idle { 0 } else { self.wants(now) };
        self.asked = wants;
        self.told = self.doubts;
        WindowStatement {
            name: self.name,
            length: micros(self.length),
            max: self.max,
            cap: self.cap,
            reported: self.seen.take(),
            wants,
            returns: self.give_back(wants.min(self.fair), now),
        }
    }

    /// Lets go of slots beyond `keep`: unused ones first, then those that are free again soonest.
    fn give_back(&mut self, keep: u32, now: Instant) -> Vec<(i64, u32)> {
        let mut surplus = self.held.saturating_sub(keep.max(self.in_flight));
        let mut returns = Vec::new();
        let unused = self.held.saturating_sub(self.busy(now)).min(surplus);
        if unused > 0 {
            returns.push((0, unused));
            (self.held, surplus) = (self.held - unused, surplus - unused);
        }
        while surplus > 0 {
            let first = self.answered.partition_point(|at| *at + self.length <= now);
            let answered = self.answered.get(first).map(|at| *at + self.length);
            let coming = self.coming.iter().position(|(free, _)| *free > now);
            let free = match (answered, coming.map(|at| self.coming[at].0)) {
                (Some(one), Some(other)) if other < one => other,
                (Some(one), _) | (None, Some(one)) => one,
                (None, None) => break,
            };
            let slots = match coming.filter(|at| self.coming[*at].0 == free) {
                Some(at) => {
                    let slots = self.coming[at].1.min(surplus);
                    self.coming[at].1 -= slots;
                    slots
                }
                None => {
                    self.answered.remove(first);
                    1
                }
            };
            returns.push((micros(free - now).saturating_add(TICK), slots));
            (self.held, surplus) = (self.held - slots, surplus - slots);
            self.coming.retain(|(_, slots)| *slots > 0);
        }
        returns
    }

    /// Takes what the ledger says; it was asked before `now`.
    pub(crate) fn take(&mut self, answer: &WindowAnswer, now: Instant) {
        let length = Duration::from_micros(u64::try_from(answer.length).unwrap_or(0));
        let granted: u32 = answer.granted.iter().map(|(_, slots)| slots).sum();
        let kept = answer.held.saturating_sub(granted);
        if kept != self.held {
            // We were silent for too long, or a statement was lost: whatever we may have used may be used until now.
            self.coming.clear();
            let sent = self.busy(now);
            self.coming.push_back((now + length, kept.saturating_sub(sent)));
        }
        // A report that is newer than the statement says more about the limit than the ledger does.
        if self.seen.is_none() {
            (self.max, self.length) = (answer.max.max(1), length);
        }
        (self.held, self.fair, self.others) = (answer.held, answer.fair, answer.others);
        self.cleared = self.told;
        for (wait, slots) in &answer.granted {
            if let Ok(wait @ 1..) = u64::try_from(*wait) {
                let free = now + Duration::from_micros(wait) + Duration::from_micros(TICK as u64);
                self.coming.push_back((free, *slots));
            }
        }
        self.coming.make_contiguous().sort_unstable();
    }

    /// Nothing is held any more: we were silent for too long.
    pub(crate) fn lapse(&mut self) {
        (self.held, self.asked) = (0, 0);
        self.coming.clear();
    }

    /// Drops what no report can ask about any more.
    fn forget(&mut self, now: Instant) {
        while self.answered.front().is_some_and(|at| *at + self.length * 2 <= now) {
            self.answered.pop_front();
        }
        while self.coming.front().is_some_and(|(free, _)| *free + self.length <= now) {
            self.coming.pop_front();
        }
    }
}

fn micros(length: Duration) -> i64 {
    i64::try_from(length.as_micros()).unwrap_or(i64::MAX)
}

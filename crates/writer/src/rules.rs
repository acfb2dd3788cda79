//! What a pacer knows, and whether one more request may go out by it.

use std::time::Duration;

use flow::{Error, Result};
use tokio::time::Instant;

use crate::codes::{E2007_DAILY_QUOTA, E2020_QUOTA_LEDGER};
use crate::concurrency::Concurrency;
use crate::pace::{DayQuota, Signals, too_long};
use crate::quota::{Answer, DayReport, Statement};
use crate::retry_after::{WAIT_MAX, in_words};
use crate::slots::{Room, Slots};

/// A pause is never taken for longer than this, however absurd the destination's number.
const PAUSE_MAX: Duration = Duration::from_secs(31 * 86_400);
/// Where nobody says when a daily quota is renewed, it is asked for again after so long (in microseconds).
const ASK_AGAIN: i64 = 3_600_000_000;
/// Everything is given back when nothing was wanted for so long.
const IDLE: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) slots: Vec<Slots>,
    pub(crate) concurrency: Concurrency,
    /// The part of the day's quota that is ours.
    pub(crate) ratio: f64,
    pub(crate) waiting: usize,
    /// What the ledger gave is ours until then.
    pub(crate) lease: Option<Instant>,
    pub(crate) leaving: bool,
    day: Option<DayQuota>,
    paused_until: Option<Instant>,
    /// Until when (wall), and why.
    parked: Option<(i64, String)>,
    first_answered: bool,
    wanted_at: Option<Instant>,
    /// Said by the destination and not yet by us to the ledger.
    news: News,
    /// Why the ledger did not answer.
    failure: Option<String>,
}

#[derive(Debug, Default)]
struct News {
    day: Option<DayReport>,
    pause_until: Option<Instant>,
    park: bool,
}

pub(crate) enum Next {
    Go { full: bool },
    Wait { until: Option<Instant>, origin: Option<&'static str>, hungry: bool },
}

impl State {
    pub(crate) fn new(slots: Vec<Slots>, ratio: f64, in_flight_max: usize) -> Self {
        Self {
            slots,
            concurrency: Concurrency::new(in_flight_max),
            ratio,
            waiting: 0,
            lease: None,
            leaving: false,
            day: None,
            paused_until: None,
            parked: None,
            first_answered: false,
            wanted_at: None,
            news: News::default(),
            failure: None,
        }
    }

    pub(crate) fn in_flight(&self) -> u32 {
        self.slots.first().map_or(0, Slots::in_flight)
    }

    /// Takes a slot of every window where each has one free.
    pub(crate) fn next(&mut self, now: Instant, wall: i64) -> Result<Next> {
        self.wanted_at = Some(now);
        self.leaving = false;
        if self.lease.is_none_or(|lease| lease <= now) {
            if let Some(failure) = self.failure.take() {
                return Err(Error::new(&E2020_QUOTA_LEDGER, failure));
            }
            self.lease = None;
            self.slots.iter_mut().for_each(Slots::lapse);
            return Ok(Next::Wait { until: None, origin: None, hungry: true });
        }
        if let Some(until) = self.paused_until.filter(|until| *until > now) {
            let left = until - now;
            if left > WAIT_MAX {
                return Err(too_long(left));
            }
            return Ok(Next::Wait { until: Some(until), origin: Some("server"), hungry: false });
        }
        self.check_parked(wall)?;
        let (in_flight, limit) = (self.in_flight() as usize, self.concurrency.limit());
        let alone = !self.first_answered && in_flight > 0;
        if alone || in_flight >= limit || self.is_last_of_day(wall) {
            return Ok(Next::Wait { until: None, origin: None, hungry: false });
        }
        if let Some(wait) = self.no_room(now) {
            return Ok(wait);
        }
        self.slots.iter_mut().for_each(Slots::send);
        Ok(Next::Go { full: in_flight + 1 >= limit })
    }

    fn no_room(&mut self, now: Instant) -> Option<Next> {
        let rooms: Vec<Room> = self.slots.iter_mut().map(|slots| slots.room(now)).collect();
        if rooms.iter().all(|room| *room == Room::Now) {
            return None;
        }
        let hungry = self.slots.iter().any(|slots| slots.is_hungry(now));
        // The windows come before the requests at once, which are no rate limit.
        let rate = &rooms[..rooms.len() - 1];
        let origin = rate.iter().any(|room| *room != Room::Now).then_some("client");
        let at = |room: &Room| match room {
            Room::At(at) => Some(*at),
            Room::Now | Room::Later => None,
        };
        let until = match rooms.contains(&Room::Later) {
            true => None,
            false => rooms.iter().filter_map(at).max(),
        };
        Some(Next::Wait { until, origin, hungry })
    }

    fn check_parked(&mut self, wall: i64) -> Result<()> {
        match self.parked.take().filter(|(until, _)| *until > wall) {
            Some((until, why)) => {
                let error = parked(&why, until.saturating_sub(wall));
                self.parked = Some((until, why));
                Err(error)
            }
            None => Ok(()),
        }
    }

    /// Whether requests in flight may use up what is ours of the day.
    fn is_last_of_day(&mut self, wall: i64) -> bool {
        self.day = self.day.filter(|day| day.resets_at.is_none_or(|resets| resets > wall));
        self.day.is_some_and(|day| {
            let left = day.remaining.saturating_sub(u64::from(self.in_flight()));
            self.in_flight() > 0 && left <= self.theirs(day)
        })
    }

    /// Leaves the others their part of the day: the last `1 - share` of the quota is not touched.
    fn theirs(&self, day: DayQuota) -> u64 {
        (day.limit as f64 * (1.0 - self.ratio)) as u64
    }

    /// Parks everybody where nothing of the day is left for us.
    fn park_by_day(&mut self, wall: i64) {
        let Some(day) = self.day.filter(|day| day.remaining <= self.theirs(*day)) else { return };
        let why = match day.limit {
            0 => "the account's daily requests are used up".to_owned(),
            limit => format!(
                "{} of the account's {limit} daily requests are left, and none for this connection",
                day.remaining
            ),
        };
        let until = day.resets_at.unwrap_or(wall.saturating_add(ASK_AGAIN));
        (self.parked, self.news.park) = (Some((until, why)), true);
    }

    /// Learns from the answer to a request.
    pub(crate) fn learn(
        &mut self,
        (sent, full): (Instant, bool),
        (now, wall): (Instant, i64),
        signals: Signals,
    ) {
        if let (Some(reported), Some(slots)) = (signals.window, self.slots.first_mut()) {
            slots.report(sent, reported);
        }
        self.slots.iter_mut().for_each(|slots| slots.answer(now));
        self.first_answered = true;
        if let Some(day) = signals.day {
            let resets_at = day.resets_at.or(self.day.and_then(|day| day.resets_at));
            self.day = Some(DayQuota { resets_at, ..day });
            let DayQuota { limit, remaining, .. } = day;
            self.news.day = Some(DayReport { limit, remaining, resets_wall: resets_at });
            self.park_by_day(wall);
        }
        if let Some(pause) = signals.pause {
            let until = Some(now + pause.min(PAUSE_MAX));
            self.paused_until = self.paused_until.max(until);
            self.news.pause_until = self.paused_until;
        }
        self.concurrency.learn(sent, now, (signals.overloaded, full));
    }

    /// Whether the ledger should hear at once what an answer said.
    pub(crate) fn has_news(&self, now: Instant) -> bool {
        self.news.pause_until.is_some()
            || self.news.park
            || self.slots.iter().any(|slots| slots.is_hungry(now))
    }

    /// Whether nothing was wanted for a while.
    pub(crate) fn is_idle(&self, now: Instant) -> bool {
        let quiet = self.wanted_at.is_none_or(|at| now - at > IDLE) || self.leaving;
        quiet && self.waiting == 0 && self.in_flight() == 0
    }

    /// What is said to the ledger; who says it is filled in by the caller.
    pub(crate) fn statement(&mut self, now: Instant) -> Statement {
        let idle = self.is_idle(now);
        let news = std::mem::take(&mut self.news);
        Statement {
            windows: self.slots.iter_mut().map(|slots| slots.statement(now, idle)).collect(),
            pause: news.pause_until.map(|until| until.saturating_duration_since(now)),
            park: self.parked.clone().filter(|_| news.park),
            day: news.day,
            ..Statement::default()
        }
    }

    /// Takes the ledger's answer, which came at `now`.
    pub(crate) fn take(&mut self, answer: &Answer, now: Instant, lease: Instant) {
        (self.lease, self.failure) = (Some(lease), None);
        for (slots, window) in self.slots.iter_mut().zip(&answer.windows) {
            slots.take(window, now);
        }
        if answer.pause > 0 {
            let until = now + Duration::from_micros(answer.pause.unsigned_abs()).min(PAUSE_MAX);
            self.paused_until = self.paused_until.max(Some(until));
        }
        if !self.news.park {
            self.parked.clone_from(&answer.parked);
        }
        if self.news.day.is_none() {
            self.day = answer.day.map(|day| DayQuota {
                limit: day.limit,
                remaining: day.remaining,
                resets_at: day.resets_wall,
            });
        }
    }

    /// The ledger did not answer.
    pub(crate) fn fail(&mut self, why: String) {
        self.failure = Some(why);
    }
}

fn parked(why: &str, micros: i64) -> Error {
    let wait = Duration::from_micros(u64::try_from(micros).unwrap_or(0));
    let message = format!("{why}; the next try is in {}", in_words(wait));
    Error::new(&E2007_DAILY_QUOTA, message).with_wait(wait)
}

//! Rate limits as vendors keep them: calls per rolling window or per day, counted at arrival.

use std::collections::VecDeque;
use std::time::Duration;

use crate::Moment;

/// How long a quota lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    /// Any stretch of this length.
    Rolling(Duration),
    /// A UTC day.
    Day,
}

/// One rate limit of the account.
#[derive(Debug, Clone)]
pub struct Quota {
    /// The vendor's name for it, which a refused call is told.
    pub policy: &'static str,
    /// Calls allowed.
    pub calls_max: u64,
    /// Per what.
    pub span: Span,
    /// The operations it counts; none means all.
    pub operations: Option<&'static [&'static str]>,
    /// The operations it does not count.
    pub exempt: &'static [&'static str],
}

impl Quota {
    fn counts(&self, operation: &str) -> bool {
        self.operations.is_none_or(|only| only.contains(&operation))
            && !self.exempt.contains(&operation)
    }
}

/// Where a quota stands after a call.
#[derive(Debug, Clone)]
pub struct Level {
    /// The vendor's name for the quota.
    pub policy: &'static str,
    /// Calls allowed.
    pub calls_max: u64,
    /// Calls left.
    pub remaining: u64,
    /// Per what.
    pub span: Span,
    /// Milliseconds until the next call of this quota is allowed; 0 when one is left.
    pub wait_ms: u64,
}

/// The state of all quotas.
#[derive(Debug, Default)]
pub(crate) struct Windows {
    meters: Vec<(Quota, Meter)>,
}

#[derive(Debug, Default)]
struct Meter {
    /// Arrivals inside the rolling window, in microseconds since the start.
    arrivals: VecDeque<u64>,
    day: i64,
    today: u64,
}

/// The verdict on one arrival.
#[derive(Debug)]
pub(crate) struct Verdict {
    /// The quota that is used up, if one is.
    pub(crate) refused_by: Option<Level>,
    /// All quotas that count this operation.
    pub(crate) levels: Vec<Level>,
}

impl Windows {
    pub(crate) fn new(quotas: Vec<Quota>) -> Self {
        Self { meters: quotas.into_iter().map(|quota| (quota, Meter::default())).collect() }
    }

    pub(crate) fn reset(&mut self) {
        for (_, meter) in &mut self.meters {
            *meter = Meter::default();
        }
    }

    /// Counts an arrival in all its quotas, or in none when one is used up.
    pub(crate) fn arrive(&mut self, operation: &str, now: Moment) -> Verdict {
        let mut refused_by = None;
        for (quota, meter) in self.meters.iter_mut().filter(|(quota, _)| quota.counts(operation)) {
            meter.forget(quota.span, now);
            if meter.used(quota.span) >= quota.calls_max && refused_by.is_none() {
                refused_by = Some(meter.level(quota, now));
            }
        }
        let mut levels = Vec::new();
        for (quota, meter) in self.meters.iter_mut().filter(|(quota, _)| quota.counts(operation)) {
            if refused_by.is_none() {
                meter.count(quota.span, now);
            }
            levels.push(meter.level(quota, now));
        }
        Verdict { refused_by, levels }
    }
}

impl Meter {
    fn forget(&mut self, span: Span, now: Moment) {
        match span {
            Span::Rolling(length) => {
                let length = u64::try_from(length.as_micros()).unwrap_or(u64::MAX);
                while self.arrivals.front().is_some_and(|at| now.since_start_us - at >= length) {
                    self.arrivals.pop_front();
                }
            }
            Span::Day if self.day != now.day() => (self.day, self.today) = (now.day(), 0),
            Span::Day => {}
        }
    }

    fn used(&self, span: Span) -> u64 {
        match span {
            Span::Rolling(_) => self.arrivals.len() as u64,
            Span::Day => self.today,
        }
    }

    fn count(&mut self, span: Span, now: Moment) {
        match span {
            Span::Rolling(_) => self.arrivals.push_back(now.since_start_us),
            Span::Day => self.today += 1,
        }
    }

    fn level(&self, quota: &Quota, now: Moment) -> Level {
        let remaining = quota.calls_max.saturating_sub(self.used(quota.span));
        let wait_ms = match (remaining, quota.span, self.arrivals.front()) {
            (0, Span::Day, _) => u64::try_from(now.until_midnight_ms()).unwrap_or(0),
            (0, Span::Rolling(length), Some(first)) => {
                let length = u64::try_from(length.as_micros()).unwrap_or(u64::MAX);
                (first + length).saturating_sub(now.since_start_us).div_ceil(1_000)
            }
            _ => 0,
        };
        Level {
            policy: quota.policy,
            calls_max: quota.calls_max,
            remaining,
            span: quota.span,
            wait_ms,
        }
    }
}

/// The most arrivals seen in any stretch of one length; exact, and bounded by the arrivals in one.
#[derive(Debug)]
pub(crate) struct Peak {
    length_us: u64,
    recent: VecDeque<u64>,
    most: u64,
}

impl Peak {
    pub(crate) fn over(length: Duration) -> Self {
        let length_us = u64::try_from(length.as_micros()).unwrap_or(u64::MAX);
        Self { length_us, recent: VecDeque::new(), most: 0 }
    }

    pub(crate) fn arrive(&mut self, at_us: u64) {
        while self.recent.front().is_some_and(|old| at_us.saturating_sub(*old) >= self.length_us) {
            self.recent.pop_front();
        }
        self.recent.push_back(at_us);
        self.most = self.most.max(self.recent.len() as u64);
    }

    pub(crate) fn most(&self) -> u64 {
        self.most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROLLING: Span = Span::Rolling(Duration::from_secs(10));

    fn at(ms: u64) -> Moment {
        Moment { since_start_us: ms * 1_000, unix_ms: i64::try_from(ms).unwrap() }
    }

    fn quota(policy: &'static str, calls_max: u64, span: Span) -> Quota {
        Quota { policy, calls_max, span, operations: None, exempt: &["search"] }
    }

    #[test]
    fn a_rolling_window_opens_again_when_its_oldest_call_is_ten_seconds_old() {
        let mut windows = Windows::new(vec![quota("ROLLING", 3, ROLLING)]);
        for ms in [0, 4_000, 9_000] {
            assert!(windows.arrive("write", at(ms)).refused_by.is_none());
        }
        let refused = windows.arrive("write", at(9_999)).refused_by.unwrap();
        assert_eq!((refused.policy, refused.remaining, refused.wait_ms), ("ROLLING", 0, 1));
        assert!(windows.arrive("write", at(10_000)).refused_by.is_none());
        assert!(windows.arrive("write", at(10_001)).refused_by.is_some());
    }

    #[test]
    fn a_refused_call_uses_up_no_quota() {
        let quotas = vec![quota("ROLLING", 1, ROLLING), quota("DAILY", 100, Span::Day)];
        let mut windows = Windows::new(quotas);
        windows.arrive("write", at(0));
        let verdict = windows.arrive("write", at(1));
        assert_eq!(verdict.refused_by.unwrap().policy, "ROLLING");
        assert_eq!(verdict.levels[1].remaining, 99);
    }

    #[test]
    fn a_day_ends_at_midnight_and_not_after_24_hours() {
        let mut windows = Windows::new(vec![quota("DAILY", 1, Span::Day)]);
        let evening = 86_400_000 - 1_000;
        assert!(windows.arrive("write", at(evening)).refused_by.is_none());
        assert_eq!(windows.arrive("write", at(evening)).refused_by.unwrap().wait_ms, 1_000);
        assert!(windows.arrive("write", at(86_400_000)).refused_by.is_none());
    }

    #[test]
    fn an_exempt_operation_is_neither_counted_nor_refused() {
        let mut windows = Windows::new(vec![quota("ROLLING", 1, ROLLING)]);
        windows.arrive("write", at(0));
        let verdict = windows.arrive("search", at(1));
        assert!(verdict.refused_by.is_none() && verdict.levels.is_empty());
    }

    #[test]
    fn the_peak_is_the_most_crowded_stretch_of_all() {
        let mut peak = Peak::over(Duration::from_secs(10));
        for second in [0, 8, 9, 11, 17, 30] {
            peak.arrive(second * 1_000_000);
        }
        assert_eq!(peak.most(), 4);
    }
}

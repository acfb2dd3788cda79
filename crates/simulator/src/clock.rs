//! The simulator's clock: real time plus what a test has skipped, so that a day passes in no time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// One moment, both as a distance from the start and as a time of day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    /// Microseconds since the simulator started; never goes back.
    pub since_start_us: u64,
    /// Milliseconds since 1970-01-01 UTC.
    pub unix_ms: i64,
}

impl Moment {
    /// The UTC day, counted from 1970-01-01; daily quotas start anew when it changes.
    pub fn day(self) -> i64 {
        self.unix_ms.div_euclid(86_400_000)
    }

    /// Whole milliseconds until the next UTC midnight.
    pub fn until_midnight_ms(self) -> i64 {
        86_400_000 - self.unix_ms.rem_euclid(86_400_000)
    }
}

/// Monotonic time with a start on the wall clock; can be moved forward, never back.
#[derive(Debug)]
pub struct Clock {
    started: Instant,
    ticks: bool,
    started_unix_us: i64,
    skipped_us: AtomicU64,
}

impl Clock {
    /// A clock that starts now; one that does not tick moves by [`Clock::advance`] only.
    pub fn start(ticks: bool) -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "a vendor has its own clock; this one knows nothing of ours"
        )]
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Self {
            started: Instant::now(),
            ticks,
            started_unix_us: i64::try_from(wall.as_micros()).unwrap_or(i64::MAX),
            skipped_us: AtomicU64::new(0),
        }
    }

    /// The current moment.
    pub fn now(&self) -> Moment {
        let passed = if self.ticks { self.started.elapsed() } else { Duration::ZERO };
        let real = u64::try_from(passed.as_micros()).unwrap_or(u64::MAX);
        let since_start_us = real.saturating_add(self.skipped_us.load(Ordering::Relaxed));
        let passed = i64::try_from(since_start_us).unwrap_or(i64::MAX);
        Moment {
            since_start_us,
            unix_ms: self.started_unix_us.saturating_add(passed).div_euclid(1_000),
        }
    }

    /// Skips time, so that windows pass and search indexes catch up without waiting.
    pub fn advance(&self, by: Duration) {
        let by = u64::try_from(by.as_micros()).unwrap_or(u64::MAX);
        self.skipped_us.fetch_add(by, Ordering::Relaxed);
    }
}

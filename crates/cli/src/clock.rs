//! The real time; every other crate is handed it.

use flow::Clock;

/// The system's clock.
#[derive(Debug)]
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock that is passed in elsewhere")]
    fn now_micros(&self) -> i64 {
        chrono::Utc::now().timestamp_micros()
    }
}

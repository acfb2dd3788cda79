//! The only place that decides to try again: exponential backoff with jitter, bounded by attempts and by time.

use std::time::Duration;

use backoff::ExponentialBackoff;
use backoff::backoff::Backoff;
use flow::{Error, Result, Retry};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How failed calls are repeated.
#[derive(Debug, Clone, Copy)]
pub struct RetryPolicy {
    /// First pause.
    pub pause_first: Duration,
    /// Longest pause of our own; a destination may ask for more.
    pub pause_max: Duration,
    /// Attempts of one call, the first included. Waiting for a rate limit is not an attempt.
    pub attempts_max: u32,
    /// No pause ends later than so long after the first attempt.
    pub deadline: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            pause_first: Duration::from_millis(500),
            pause_max: Duration::from_secs(30),
            attempts_max: 8,
            deadline: Duration::from_secs(900),
        }
    }
}

/// The attempts of one call.
pub(crate) struct Attempts {
    policy: RetryPolicy,
    pauses: ExponentialBackoff,
    made: u32,
    began: Instant,
}

impl Attempts {
    /// Before the first attempt.
    pub(crate) fn new(policy: RetryPolicy) -> Self {
        let pauses = ExponentialBackoff {
            current_interval: policy.pause_first,
            initial_interval: policy.pause_first,
            // The jitter is our own, from a generator that a simulation can seed.
            randomization_factor: 0.0,
            multiplier: 2.0,
            max_interval: policy.pause_max,
            max_elapsed_time: None,
            ..ExponentialBackoff::default()
        };
        Self { policy, pauses, made: 0, began: Instant::now() }
    }

    /// How long to wait before the next attempt; `None` when there is none. What the other side asked to wait is
    /// never undercut, and there is no pause after the last attempt.
    pub(crate) fn next_pause(&mut self, retry: Retry) -> Option<Duration> {
        let pause = match retry {
            Retry::Never => return None,
            Retry::Backoff => {
                self.made += 1;
                self.pauses.next_backoff()?.mul_f64(0.5 + fastrand::f64())
            }
            Retry::After(wait) => wait,
        };
        let in_time = self.began.elapsed() + pause <= self.policy.deadline;
        (self.made < self.policy.attempts_max && in_time).then_some(pause)
    }
}

/// Asks until there is an answer, or until asking again cannot help by what `retry_of` makes of the error.
pub(crate) async fn repeat<T>(
    policy: RetryPolicy,
    retry_of: impl Fn(&Error) -> Retry,
    mut ask: impl AsyncFnMut() -> Result<T>,
) -> Result<T> {
    let mut attempts = Attempts::new(policy);
    loop {
        let error = match ask().await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        match attempts.next_pause(retry_of(&error)) {
            Some(pause) => tokio::time::sleep(pause).await,
            None => return Err(error),
        }
    }
}

/// Asks a question whose answer a run that is told to stop does not wait for; `None` then.
pub(crate) async fn unless_stopped<T>(
    drain: &CancellationToken,
    ask: impl Future<Output = Result<T>>,
) -> Result<Option<T>> {
    tokio::select! {
        biased;
        answer = ask => answer.map(Some),
        () = drain.cancelled() => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pauses(policy: RetryPolicy, retry: Retry) -> Vec<Duration> {
        let mut attempts = Attempts::new(policy);
        std::iter::from_fn(|| attempts.next_pause(retry)).take(100).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_with_jitter_and_end_with_the_attempts() {
        let pauses = pauses(RetryPolicy::default(), Retry::Backoff);
        assert_eq!(pauses.len(), 7);
        for (n, pause) in pauses.iter().enumerate() {
            let middle = Duration::from_millis(500 << n).min(Duration::from_secs(30));
            assert!(*pause >= middle / 2 && *pause <= middle * 3 / 2, "{n}: {pause:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_destination_asks_is_never_undercut_and_the_deadline_holds() {
        // L1: Retry-After is a floor. A wait beyond the deadline is not begun.
        let policy = RetryPolicy::default();
        let mut attempts = Attempts::new(policy);
        let wait = Duration::from_secs(10);
        assert_eq!(attempts.next_pause(Retry::After(wait)), Some(wait));
        assert_eq!(attempts.next_pause(Retry::After(Duration::from_secs(901))), None);
        assert_eq!(attempts.next_pause(Retry::Never), None);
    }
}

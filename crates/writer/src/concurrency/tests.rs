//! The limit of requests at once against destinations whose answers take longer when more is sent than they bear.

use super::*;

const MILLIS: Duration = Duration::from_millis(1);

/// Rounds of as many requests as may be out, each answered after what `latency` makes of their number.
async fn rounds(limit: &mut Concurrency, count: usize, latency: impl Fn(usize) -> Duration) {
    for _ in 0..count {
        let (sent, at_once) = (Instant::now(), limit.limit());
        tokio::time::sleep(latency(at_once)).await;
        for _ in 0..at_once {
            limit.learn(sent, Instant::now(), (false, true));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_bears_everything_gets_everything_within_a_few_rounds() {
    let mut limit = Concurrency::new(32);
    rounds(&mut limit, 4, |_| MILLIS * 50).await;
    assert_eq!(limit.limit(), 32);
    rounds(&mut limit, 500, |_| MILLIS * 50).await;
    assert_eq!(limit.limit(), 32);
}

#[tokio::test(start_paused = true)]
async fn answers_that_take_longer_because_of_us_are_asked_for_fewer_at_once() {
    // Six at once are worked on; the others queue.
    let queued = |at_once: usize| (MILLIS * 50).mul_f64((at_once as f64 / 6.0).max(1.0));
    let mut limit = Concurrency::new(64);
    rounds(&mut limit, 60, queued).await;
    assert!((6..=18).contains(&limit.limit()), "{}", limit.limit());
}

#[tokio::test(start_paused = true)]
async fn answers_that_take_longer_for_another_reason_cost_a_trial_and_no_more() {
    let mut limit = Concurrency::new(32);
    rounds(&mut limit, 20, |_| MILLIS * 50).await;
    for slow in [500, 60, 5_000] {
        rounds(&mut limit, 6, |_| MILLIS * slow).await;
        assert_eq!(limit.limit(), 32, "{slow} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn overload_after_overload_ends_at_one_request() {
    let mut limit = Concurrency::new(32);
    rounds(&mut limit, 20, |_| MILLIS * 50).await;
    for _ in 0..6 {
        let sent = Instant::now();
        tokio::time::sleep(MILLIS * 50).await;
        limit.learn(sent, Instant::now(), (true, true));
    }
    assert_eq!(limit.limit(), 1);
    rounds(&mut limit, 40, |_| MILLIS * 50).await;
    assert_eq!(limit.limit(), 32);
}

//! The pacer against a vendor that counts requests at moments of its own, in paused time (L1).

use std::sync::atomic::{AtomicBool, Ordering};

use proptest::prelude::*;
use tokio::time::sleep;

use super::*;

pub(super) const TEN_SECONDS: Duration = Duration::from_secs(10);

/// The time of day in paused time.
#[derive(Debug)]
pub(super) struct Wall(Instant);

impl Wall {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self(Instant::now()))
    }
}

impl Clock for Wall {
    fn now_micros(&self) -> i64 {
        1_700_000_000_000_000 + i64::try_from(self.0.elapsed().as_micros()).expect("an age")
    }
}

pub(super) fn options(max: u32) -> PacerOptions {
    PacerOptions {
        connection: "crm".to_owned(),
        account: "acme".to_owned(),
        windows: vec![WindowOptions { name: "10s", length: TEN_SECONDS, max, fixed: false }],
        share: Share::ALL,
        in_flight_max: 16,
        metrics: Metrics::new("0", "0"),
        clock: Wall::new(),
    }
}

fn fixed(max: u32) -> PacerOptions {
    let windows = vec![WindowOptions { name: "10s", length: TEN_SECONDS, max, fixed: true }];
    PacerOptions { windows, ..options(max) }
}

fn share(text: &str) -> Share {
    serde_json::from_value(serde_json::Value::from(text)).expect("a share")
}

/// A vendor's rolling window: refuses what is over the limit, and remembers what it counted.
#[derive(Default)]
pub(super) struct Vendor {
    max: u32,
    counted: Mutex<Vec<Instant>>,
    refused: AtomicBool,
}

impl Vendor {
    pub(super) fn with(max: u32) -> Arc<Self> {
        Arc::new(Self { max, ..Self::default() })
    }

    /// Counts one request now; reports the window as the vendor's headers do.
    pub(super) fn count(&self) -> Reported {
        let now = Instant::now();
        let mut counted = self.counted.lock().expect("no panic");
        counted.push(now);
        let used = counted.iter().filter(|at| now - **at < TEN_SECONDS).count() as u32;
        if used > self.max {
            self.refused.store(true, Ordering::Relaxed);
        }
        Reported { max: self.max, remaining: self.max.saturating_sub(used), length: None }
    }

    pub(super) fn refused(&self) -> bool {
        self.refused.load(Ordering::Relaxed)
    }

    pub(super) fn counted(&self) -> usize {
        self.counted.lock().expect("no panic").len()
    }

    pub(super) fn most_in_a_window(&self) -> usize {
        let mut counted = self.counted.lock().expect("no panic").clone();
        counted.sort();
        (0..counted.len())
            .map(|first| counted[first..].partition_point(|at| *at - counted[first] < TEN_SECONDS))
            .max()
            .unwrap_or(0)
    }
}

fn daily(limit: u64, remaining: u64) -> Option<DayQuota> {
    Some(DayQuota { limit, remaining, resets_at: None })
}

/// One request that reaches the vendor after `there` and is answered after `back`.
async fn call(pacer: &Pacer, vendor: &Vendor, there: Duration, back: Duration) -> Result<()> {
    let permit = pacer.acquire().await?;
    sleep(there).await;
    let window = vendor.count();
    sleep(back).await;
    permit.answered(Signals { window: Some(window), ..Signals::default() });
    Ok(())
}

async fn calls(pacer: &Arc<Pacer>, vendor: &Arc<Vendor>, latencies: Vec<(u64, u64)>) {
    let tasks: Vec<_> = latencies
        .into_iter()
        .map(|(there, back)| {
            let (pacer, vendor) = (Arc::clone(pacer), Arc::clone(vendor));
            tokio::spawn(async move {
                let millis = Duration::from_millis;
                call(&pacer, &vendor, millis(there), millis(back)).await
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("no panic").expect("no wait too long");
    }
}

fn in_paused_time<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime")
        .block_on(future)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    // L1, whatever the latencies, also when the limit we begin with is wrong in either direction.
    #[test]
    fn the_vendors_window_is_never_exceeded(
        latencies in proptest::collection::vec((0_u64..3_000, 0_u64..3_000), 1..200),
        max in 1_u32..40,
        guessed in 1_u32..40,
    ) {
        in_paused_time(async {
            let pacer = Arc::new(Pacer::new(options(guessed)));
            let vendor = Vendor::with(max);
            calls(&pacer, &vendor, latencies).await;
            assert!(vendor.most_in_a_window() <= max as usize);
        });
    }

    // L1 with another program on the same account, which uses up to half of the window before we begin.
    #[test]
    fn what_others_used_is_not_used_again(
        latencies in proptest::collection::vec((0_u64..500, 0_u64..500), 1..100),
        max in 4_u32..40,
        used in 0_u32..20,
    ) {
        in_paused_time(async {
            let vendor = Vendor::with(max);
            for _ in 0..used.min(max / 2) {
                vendor.count();
            }
            let pacer = Arc::new(Pacer::new(options(max)));
            calls(&pacer, &vendor, latencies).await;
            assert!(vendor.most_in_a_window() <= max as usize);
        });
    }
}

#[tokio::test(start_paused = true)]
async fn at_least_98_percent_of_the_quota_is_used() {
    let pacer = Arc::new(Pacer::new(options(100)));
    let vendor = Vendor::with(100);
    let began = Instant::now();
    let latencies = (0..2_000).map(|n| (n % 60, 90 - n % 60)).collect();
    calls(&pacer, &vendor, latencies).await;
    // 2,000 requests at 100 in 10 s: the first 100 at once, then 19 windows.
    let ideal = Duration::from_secs(190);
    assert!(!vendor.refused.load(Ordering::Relaxed));
    assert!(began.elapsed() < ideal.mul_f64(1.0 / 0.98), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_share_of_the_quota_leaves_the_rest_to_others() {
    let pacer = Arc::new(Pacer::new(PacerOptions { share: share("40%"), ..options(100) }));
    let vendor = Vendor::with(100);
    calls(&pacer, &vendor, vec![(10, 10); 200]).await;
    assert_eq!(vendor.most_in_a_window(), 40);
}

#[tokio::test(start_paused = true)]
async fn a_limit_the_user_sets_is_not_raised_by_the_vendor() {
    let pacer = Arc::new(Pacer::new(fixed(20)));
    let vendor = Vendor::with(100);
    calls(&pacer, &vendor, vec![(10, 10); 100]).await;
    assert_eq!(vendor.most_in_a_window(), 20);
}

#[tokio::test(start_paused = true)]
async fn the_vendors_limit_replaces_a_guess() {
    let pacer = Arc::new(Pacer::new(options(10)));
    let vendor = Vendor::with(190);
    let began = Instant::now();
    calls(&pacer, &vendor, vec![(10, 10); 190]).await;
    assert!(began.elapsed() < TEN_SECONDS, "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn the_first_request_goes_out_alone() {
    let pacer = Pacer::new(options(100));
    let first = pacer.acquire().await.expect("room");
    let second = tokio::time::timeout(Duration::from_secs(60), pacer.acquire()).await;
    assert!(second.is_err(), "the second waits for the first answer");
    first.answered(Signals::default());
    pacer.acquire().await.expect("room");
}

#[tokio::test(start_paused = true)]
async fn a_pause_holds_everyone_for_its_whole_length() {
    let pacer = Pacer::new(options(100));
    let began = Instant::now();
    let pause = Some(Duration::from_secs(7));
    pacer.acquire().await.expect("room").answered(Signals { pause, ..Signals::default() });
    let (first, second) = tokio::join!(pacer.acquire(), pacer.acquire());
    first.expect("room").answered(Signals::default());
    second.expect("room").answered(Signals::default());
    assert!(began.elapsed() >= Duration::from_secs(7), "{:?}", began.elapsed());
    let throttled =
        "outflow_destination_throttled_seconds_total{destination=\"crm\",origin=\"server\"} 7";
    assert!(pacer.core.metrics.expose().contains(throttled), "{}", pacer.core.metrics.expose());
}

// F12: 10^9 seconds is an error at once, not a sleep, and not an overflow.
#[tokio::test(start_paused = true)]
async fn an_absurd_pause_ends_in_an_error_at_once() {
    for seconds in [301, 1_000_000_000, u64::MAX] {
        let pacer = Pacer::new(options(100));
        let pause = Some(Duration::from_secs(seconds));
        pacer.acquire().await.expect("room").answered(Signals { pause, ..Signals::default() });
        let began = Instant::now();
        let error = pacer.acquire().await.expect_err("too long");
        assert_eq!(error.code().id, "E2008");
        assert_eq!(error.retry(), Retry::Never);
        assert_eq!(began.elapsed(), Duration::ZERO);
    }
}

#[tokio::test(start_paused = true)]
async fn the_daily_quota_is_an_error_and_is_asked_for_again_later() {
    let pacer = Pacer::new(options(100));
    let day = daily(250_000, 0);
    pacer.acquire().await.expect("room").answered(Signals { day, ..Signals::default() });
    let error = pacer.acquire().await.expect_err("no quota");
    assert_eq!(error.code().id, "E2007");
    sleep(Duration::from_secs(3_601)).await;
    let day = daily(250_000, 250_000);
    pacer.acquire().await.expect("may ask").answered(Signals { day, ..Signals::default() });
    pacer.acquire().await.expect("the quota is back");
}

#[tokio::test(start_paused = true)]
async fn the_others_share_of_the_day_is_not_touched() {
    let pacer = Pacer::new(PacerOptions { share: share("40%"), ..options(100) });
    for (remaining, allowed) in [(601, true), (600, false)] {
        let day = daily(1_000, remaining);
        match pacer.acquire().await {
            Ok(permit) => permit.answered(Signals { day, ..Signals::default() }),
            Err(error) => panic!("{error}"),
        }
        assert_eq!(pacer.acquire().await.is_ok(), allowed, "{remaining} of 1,000 left");
    }
}

#[tokio::test(start_paused = true)]
async fn overload_halves_the_requests_at_once_and_success_brings_them_back() {
    let pacer = Pacer::new(options(1_000));
    for _ in 0..20 {
        pacer.acquire().await.expect("room").answered(Signals::default());
    }
    assert_eq!(pacer.in_flight_limit(), 16);
    let overloaded = Signals { overloaded: true, ..Signals::default() };
    let (first, second) =
        (pacer.acquire().await.expect("room"), pacer.acquire().await.expect("room"));
    sleep(Duration::from_millis(1)).await;
    first.answered(overloaded);
    second.answered(overloaded);
    assert_eq!(pacer.in_flight_limit(), 8, "requests sent together are one overload");
    for _ in 0..300 {
        pacer.acquire().await.expect("room").answered(Signals::default());
    }
    assert_eq!((pacer.in_flight_limit(), pacer.in_flight_max()), (16, 16));
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_wait_or_request_gives_its_place_back() {
    let pacer = Pacer::new(options(2));
    drop(pacer.acquire().await.expect("room"));
    drop(pacer.acquire().await.expect("room"));
    let waited = tokio::time::timeout(Duration::from_secs(1), pacer.acquire()).await;
    assert!(waited.is_err(), "the window is full");
    let began = Instant::now();
    pacer.acquire().await.expect("room after the window");
    assert!(began.elapsed() <= TEN_SECONDS);
}

#[test]
fn a_wait_the_run_can_sit_out_is_a_retry_and_a_longer_one_ends_it() {
    let error = || Error::new(&crate::codes::E2006_THROTTLED, "slow down");
    let short = wait(error(), Duration::from_secs(10));
    assert_eq!(short.retry(), Retry::After(Duration::from_secs(10)));
    let long = wait(error().ambiguous(), Duration::from_secs(7_200));
    assert_eq!((long.code().id, long.retry()), ("E2008", Retry::Never));
    assert!(long.is_ambiguous());
    assert!(long.message().contains("120 min"), "{long}");
}

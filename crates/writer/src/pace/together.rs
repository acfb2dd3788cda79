//! Several processes on one account, in virtual time: what they make of the limit together (L1), who goes first, and what
//! a pause, a kill and a moved clock do to them.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use flow::{QuotaChange, QuotaMoment};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::tests::{TEN_SECONDS, Vendor, Wall, options};
use super::*;
use crate::quota::Alone;

const MINUTE: Duration = Duration::from_secs(60);

/// The ledger all processes of a test share; its clock can be moved, and processes can be said to be gone.
#[derive(Debug)]
struct Shared {
    alone: Alone,
    moved: AtomicI64,
    dead: Mutex<Vec<String>>,
}

impl Shared {
    fn new() -> Arc<Self> {
        let alone = Alone::new(Wall::new());
        Arc::new(Self { alone, moved: AtomicI64::new(0), dead: Mutex::default() })
    }
}

#[async_trait]
impl QuotaStore for Shared {
    fn name(&self) -> String {
        self.alone.name()
    }

    async fn change(&self, account: &str, change: QuotaChange) -> Result<()> {
        let (moved, dead) = (self.moved.load(Ordering::Relaxed), lock(&self.dead).clone());
        let moved = move |page: Option<&str>, moment: &QuotaMoment<'_>| {
            let is_gone = |name: &str| dead.iter().any(|dead| dead == name);
            let moment = QuotaMoment {
                clock: moment.clock,
                micros: moment.micros + moved,
                wall_micros: moment.wall_micros + moved,
                is_gone: &is_gone,
            };
            change(page, &moment)
        };
        self.alone.change(account, Box::new(moved)).await
    }
}

fn process(ledger: &Arc<Shared>, lane: Lane) -> Arc<Pacer> {
    let pacer = Pacer::new(options(100));
    pacer.share(Arc::clone(ledger) as Arc<dyn QuotaStore>, lane);
    Arc::new(pacer)
}

/// Sends as much as it may, with several at once, until it is dropped. How often, so far.
fn busy(tasks: &mut JoinSet<()>, pacer: &Arc<Pacer>, vendor: &Arc<Vendor>) -> Arc<AtomicU64> {
    let sent = Arc::new(AtomicU64::new(0));
    for worker in 0..8 {
        let (pacer, vendor, sent) = (Arc::clone(pacer), Arc::clone(vendor), Arc::clone(&sent));
        let mut dice = fastrand_of(worker);
        tasks.spawn(async move {
            loop {
                let permit = pacer.acquire().await.expect("no wait too long");
                sleep(Duration::from_millis(dice() % 60)).await;
                let window = vendor.count();
                sleep(Duration::from_millis(dice() % 60)).await;
                sent.fetch_add(1, Ordering::Relaxed);
                permit.answered(Signals { window: Some(window), ..Signals::default() });
            }
        });
    }
    sent
}

/// Numbers that look random and are the same in every run.
fn fastrand_of(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state >> 33
    }
}

/// The limiter everybody writes first: a share of the limit per process, counted anew every ten seconds.
#[derive(Default)]
struct Naive {
    window: Mutex<(u64, u32)>,
}

impl Naive {
    async fn acquire(&self, began: Instant) {
        loop {
            let number = began.elapsed().as_secs() / 10;
            {
                let mut window = lock(&self.window);
                if window.0 != number {
                    *window = (number, 0);
                }
                if window.1 < 50 {
                    window.1 += 1;
                    return;
                }
            }
            tokio::time::sleep_until(began + TEN_SECONDS * (number as u32 + 1)).await;
        }
    }
}

async fn naively(vendor: &Arc<Vendor>) {
    let began = Instant::now();
    let mut tasks = JoinSet::new();
    for process in 0..2 {
        let naive = Arc::new(Naive::default());
        for worker in 0..8 {
            let (naive, vendor) = (Arc::clone(&naive), Arc::clone(vendor));
            let mut dice = fastrand_of(process * 8 + worker);
            tasks.spawn(async move {
                while began.elapsed() < MINUTE {
                    naive.acquire(began).await;
                    sleep(Duration::from_millis(dice() % 60)).await;
                    vendor.count();
                }
            });
        }
    }
    while tasks.join_next().await.is_some() {}
}

// L1: never above 100 in any ten seconds, at least 95 % of it used, nothing refused; and the naive way does it wrong.
#[tokio::test(start_paused = true)]
async fn two_processes_use_ten_minutes_of_a_limit_and_never_pass_it() {
    let (ledger, vendor) = (Shared::new(), Vendor::with(100));
    let mut tasks = JoinSet::new();
    let one = busy(&mut tasks, &process(&ledger, Lane::Live), &vendor);
    let other = busy(&mut tasks, &process(&ledger, Lane::Live), &vendor);
    sleep(MINUTE * 10).await;
    tasks.shutdown().await;
    let [one, other] = [one, other].map(|sent| sent.load(Ordering::Relaxed));
    let used = (one + other) as f64 / 6_000.0;
    println!("used {:.1} % of 6,000 requests: {one} and {other}", used * 100.0);
    assert_eq!(vendor.most_in_a_window(), 100);
    assert!(!vendor.refused());
    assert!(used >= 0.95, "{used}");
    assert!(one.abs_diff(other) < 600, "{one} and {other}");

    let vendor = Vendor::with(100);
    naively(&vendor).await;
    assert!(vendor.refused() && vendor.most_in_a_window() > 100, "the test is dead");
}

#[tokio::test(start_paused = true)]
async fn three_processes_that_come_and_go_never_pass_the_limit() {
    let (ledger, vendor) = (Shared::new(), Vendor::with(100));
    let mut all = 0;
    for round in 0..30_u64 {
        let (first, second) = (process(&ledger, Lane::Live), process(&ledger, Lane::Live));
        let mut tasks = JoinSet::new();
        let one = busy(&mut tasks, &first, &vendor);
        sleep(Duration::from_millis(700 * (round % 5))).await;
        let two = busy(&mut tasks, &second, &vendor);
        sleep(Duration::from_secs(6 + round % 3)).await;
        tasks.shutdown().await;
        all += one.load(Ordering::Relaxed) + two.load(Ordering::Relaxed);
        first.leave().await;
        // The other one is killed; only sometimes it is known at once.
        if round % 2 == 0 {
            lock(&ledger.dead).push(first.core.seat().name.clone());
            lock(&ledger.dead).push(second.core.seat().name.clone());
        }
    }
    assert!(vendor.most_in_a_window() <= 100, "{}", vendor.most_in_a_window());
    assert!(!vendor.refused());
    assert!(all > 1_200, "{all}");
}

#[tokio::test(start_paused = true)]
async fn a_killed_process_leaks_no_budget() {
    for certain in [true, false] {
        let (ledger, vendor) = (Shared::new(), Vendor::with(100));
        let killed = process(&ledger, Lane::Live);
        let mut tasks = JoinSet::new();
        let sent = busy(&mut tasks, &killed, &vendor);
        while sent.load(Ordering::Relaxed) < 40 {
            sleep(Duration::from_millis(10)).await;
        }
        tasks.shutdown().await;
        if certain {
            lock(&ledger.dead).push(killed.core.seat().name.clone());
        }
        drop(killed);
        let next = process(&ledger, Lane::Live);
        let mut tasks = JoinSet::new();
        let sent = busy(&mut tasks, &next, &vendor);
        if certain {
            // What it did not use is there at once: the destination's own count shows it.
            sleep(Duration::from_secs(3)).await;
            assert!(sent.load(Ordering::Relaxed) >= 45, "{}", sent.load(Ordering::Relaxed));
        }
        sleep(MINUTE).await;
        let before = sent.load(Ordering::Relaxed);
        sleep(MINUTE).await;
        let used = sent.load(Ordering::Relaxed) - before;
        assert!(used >= 570, "{used} of 600");
        assert!(!vendor.refused());
    }
}

#[tokio::test(start_paused = true)]
async fn a_backfill_uses_what_is_left_and_gives_way_to_a_live_run() {
    let (ledger, vendor) = (Shared::new(), Vendor::with(100));
    let mut tasks = JoinSet::new();
    let slow = busy(&mut tasks, &process(&ledger, Lane::Backfill), &vendor);
    sleep(MINUTE).await;
    assert!(slow.load(Ordering::Relaxed) >= 570, "{}", slow.load(Ordering::Relaxed));
    let mut live_tasks = JoinSet::new();
    let live_process = process(&ledger, Lane::Live);
    let live = busy(&mut live_tasks, &live_process, &vendor);
    // Whatever the backfill used is free again after one window.
    sleep(TEN_SECONDS + Duration::from_secs(2)).await;
    let (live_before, slow_before) = (live.load(Ordering::Relaxed), slow.load(Ordering::Relaxed));
    sleep(MINUTE).await;
    let live_used = live.load(Ordering::Relaxed) - live_before;
    let slow_used = slow.load(Ordering::Relaxed) - slow_before;
    println!("a minute: live {live_used}, backfill {slow_used}");
    assert!(live_used >= 550, "{live_used}");
    assert!((1..=30).contains(&slow_used), "{slow_used}");
    live_tasks.shutdown().await;
    live_process.leave().await;
    sleep(TEN_SECONDS * 2).await;
    let slow_before = slow.load(Ordering::Relaxed);
    sleep(MINUTE).await;
    let again = slow.load(Ordering::Relaxed) - slow_before;
    assert!(again >= 540, "{again}");
    assert!(!vendor.refused());
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_moves_no_request() {
    let (ledger, vendor) = (Shared::new(), Vendor::with(100));
    let mut tasks = JoinSet::new();
    let one = busy(&mut tasks, &process(&ledger, Lane::Live), &vendor);
    let other = busy(&mut tasks, &process(&ledger, Lane::Live), &vendor);
    for hours in [1, -1, 24, -48, 0] {
        sleep(Duration::from_secs(23)).await;
        ledger.moved.store(hours * 3_600_000_000, Ordering::Relaxed);
    }
    sleep(MINUTE * 2).await;
    assert!(!vendor.refused() && vendor.most_in_a_window() <= 100);
    let used = one.load(Ordering::Relaxed) + other.load(Ordering::Relaxed);
    assert!(used >= 95 * 23, "{used} of 2,350");
}

#[tokio::test(start_paused = true)]
async fn a_pause_holds_the_other_process_too() {
    let (ledger, vendor) = (Shared::new(), Vendor::with(1_000));
    let mut tasks = JoinSet::new();
    let told = process(&ledger, Lane::Live);
    busy(&mut tasks, &process(&ledger, Lane::Live), &vendor);
    sleep(Duration::from_secs(5)).await;
    let pause = Some(Duration::from_secs(7));
    told.acquire().await.expect("room").answered(Signals { pause, ..Signals::default() });
    let until = Instant::now() + Duration::from_secs(7);
    // It hears of it when it next speaks with the ledger; what it had sent by then is answered.
    sleep(Duration::from_millis(400)).await;
    let before = vendor.counted();
    tokio::time::sleep_until(until).await;
    assert_eq!(vendor.counted(), before);
    sleep(Duration::from_secs(1)).await;
    assert!(vendor.counted() > before);
}

#[tokio::test(start_paused = true)]
async fn a_used_up_day_parks_everybody_until_it_is_renewed() {
    let ledger = Shared::new();
    let one = process(&ledger, Lane::Live);
    let resets_at = Wall::new().now_micros() + 7_200_000_000;
    let day = Some(DayQuota { limit: 1_000, remaining: 0, resets_at: Some(resets_at) });
    one.acquire().await.expect("room").answered(Signals { day, ..Signals::default() });
    one.leave().await;
    drop(one);
    let next = process(&ledger, Lane::Live);
    let quota = next.quota().await.expect("known");
    assert_eq!(quota.parked_until, Some(resets_at));
    let error = next.acquire().await.expect_err("parked");
    assert_eq!((error.code().id, error.kind()), ("E2007", flow::Kind::Parked));
    assert!(error.wait().is_some_and(|wait| wait <= Duration::from_secs(7_200)), "{error}");
    sleep(Duration::from_secs(7_201)).await;
    next.acquire().await.expect("a new day");
}

/// Requests of one window, as the sum of what the processes hold can never be more.
#[tokio::test(start_paused = true)]
async fn windows_beside_each_other_are_all_kept() {
    let second = WindowOptions { name: "1s", length: Duration::from_secs(1), max: 20, fixed: true };
    let ten = WindowOptions { name: "10s", length: TEN_SECONDS, max: 100, fixed: true };
    let pacer = Arc::new(Pacer::new(PacerOptions { windows: vec![ten, second], ..options(100) }));
    let mut sent = VecDeque::new();
    for _ in 0..300 {
        let permit = pacer.acquire().await.expect("room");
        sent.push_back(Instant::now());
        permit.answered(Signals::default());
    }
    let most = |length: Duration| {
        let within = |first: &Instant| {
            sent.iter().filter(|at| **at >= *first && **at - *first < length).count()
        };
        sent.iter().map(within).max().unwrap_or(0)
    };
    assert_eq!((most(Duration::from_secs(1)), most(TEN_SECONDS)), (20, 100));
}

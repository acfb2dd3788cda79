//! Many seeds, and what is measured over them.

#![expect(clippy::print_stdout, reason = "a survey says what it found")]

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::life::{Verdict, live};
use super::universe::Sabotage;
use super::weather::Season;

/// Seeds in an ordinary test run.
const SEEDS: u64 = 200;

/// A survey stops when so many histories have failed.
const FAILED_MAX: usize = 500;

/// A number from the environment, so that many seeds, or one, can be asked for without another build.
#[expect(clippy::disallowed_methods, reason = "the only way to ask a test for something")]
fn asked(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Lives these seeds through on all cores and gives back the verdicts that are not clean, and the sums.
fn survey(
    seeds: std::ops::Range<u64>,
    season: Season,
    sabotage: Option<Sabotage>,
) -> (Vec<(u64, Verdict)>, Sums) {
    let (next, end) = (AtomicU64::new(seeds.start), seeds.end);
    let (failed, sums) = (Mutex::new(Vec::new()), Mutex::new(Sums::default()));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end || failed.lock().unwrap().len() >= FAILED_MAX {
                        return;
                    }
                    let verdict = live(seed, season, sabotage);
                    sums.lock().unwrap().add(&verdict);
                    if !verdict.breaches.is_empty() {
                        failed.lock().unwrap().push((seed, verdict));
                    }
                }
            });
        }
    });
    let mut failed = failed.into_inner().unwrap();
    failed.sort_by_key(|(seed, _)| *seed);
    (failed, sums.into_inner().unwrap())
}

#[derive(Debug, Default)]
struct Sums {
    histories: u64,
    runs: usize,
    writes: u64,
    races: u64,
    orphans: usize,
}

impl Sums {
    fn add(&mut self, verdict: &Verdict) {
        self.histories += 1;
        self.runs += verdict.runs;
        self.writes += verdict.writes;
        self.races += verdict.races;
        self.orphans += verdict.orphans;
    }
}

/// Nothing the engine promises is broken in any of the histories.
fn holds(test: &str, season: Season) {
    if let Some(seed) = asked("SEED") {
        let verdict = live(seed, season, None);
        println!("{}", verdict.journal.join("\n"));
        assert!(verdict.breaches.is_empty(), "seed {seed}: {:#?}", verdict.breaches);
        return;
    }
    let first = asked("FIRST").unwrap_or(0);
    let (failed, sums) = survey(first..first + asked("SEEDS").unwrap_or(SEEDS), season, None);
    println!("{season:?}: {sums:?}");
    let shown: Vec<String> = failed
        .iter()
        .map(|(seed, verdict)| format!("seed {seed}: {}", verdict.breaches[0]))
        .collect();
    assert!(
        shown.is_empty(),
        "{} of {} histories break a promise:\n{}\nreplay: SEED={} cargo test -p engine --test it {test} -- --nocapture",
        shown.len(),
        sums.histories,
        shown.join("\n"),
        failed[0].0
    );
}

#[test]
fn every_mixed_history_keeps_the_promises() {
    // D1, D2, D3, D5, D6, D7, D9, R1, R3, L1, S2
    holds("every_mixed_history", Season::Mixed);
}

#[test]
fn every_history_with_late_applies_keeps_the_promises() {
    // D4: also where the vendor carries a call out up to a minute after its client gave up or died.
    holds("every_history_with_late", Season::LateApplies);
}

#[test]
fn every_history_of_a_mirror_keeps_the_promises() {
    // D8, and everything else.
    holds("every_history_of_a_mirror", Season::Mirror);
}

#[test]
fn without_faults_no_record_is_doubled() {
    // D1
    holds("without_faults", Season::Gentle);
}

/// What is not promised yet, in numbers: `SEEDS=2000 cargo test -p engine --test it simulation::seeds::measured`.
fn measure(season: Season) {
    let seeds = asked("SEEDS").unwrap_or(10);
    let (failed, sums) = survey(0..seeds, season, None);
    println!("{season:?}: {} of {} histories end wrong; {sums:?}", failed.len(), sums.histories);
    for (seed, verdict) in failed.iter().take(5) {
        println!("seed {seed}: {}", verdict.breaches[0]);
    }
}

#[test]
fn measured_when_a_new_owner_runs_beside_one_whose_lease_was_taken_over() {
    // S2 without a fence at the destination.
    measure(Season::TwoOwners);
}

#[test]
fn measured_what_confirmations_cost() {
    // D4: the same histories with a store that forgets what is to be confirmed.
    let seeds = asked("SEEDS").unwrap_or(10);
    for sabotage in [None, Some(Sabotage::ForgetsUnconfirmed)] {
        let (failed, sums) = survey(0..seeds, Season::LateApplies, sabotage);
        println!("{sabotage:?}: {} histories end wrong; {sums:?}", failed.len());
    }
}

#[test]
fn the_same_seed_is_the_same_history() {
    // S5
    for seed in 0..20 {
        let (first, second) = (live(seed, Season::Mixed, None), live(seed, Season::Mixed, None));
        assert_eq!(first.journal, second.journal, "seed {seed}");
    }
}

//! The conditions of one history, drawn from its seed: how bad the faults are and how tight the limits.

use std::time::Duration;

use engine::{RetryPolicy, SpoolLimits};

use super::jobs::JobWeather;
use super::removals::MirrorWeather;

/// What the histories of a test have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Season {
    /// Everything the engine promises to stand today.
    Mixed,
    /// No faults at all; renames, but never to a value that somebody had.
    Gentle,
    /// As `Mixed`, and a call the client gave up may be applied up to a minute later.
    LateApplies,
    /// As `Mixed`, and a new owner runs beside one whose lease was taken over.
    TwoOwners,
    /// As `Mixed`, by a mirror that reads everything in every run.
    Mirror,
}

/// The conditions of one history.
#[derive(Debug, Clone)]
pub(crate) struct Weather {
    pub(crate) season: Season,
    /// 0 is no faults, 1 a bad day.
    pub(crate) storm: f64,
    pub(crate) lag_micros: i64,
    /// Changes made by the writers, and the longest pause between two.
    pub(crate) changes: u32,
    pub(crate) change_pause_ms: u64,
    /// Rows per batch of a read.
    pub(crate) page_rows: usize,
    /// Rows per write call and calls at once.
    pub(crate) batch_rows: usize,
    pub(crate) concurrency: usize,
    pub(crate) renames: bool,
    /// Whether the model has no progress column.
    pub(crate) snapshot: bool,
    pub(crate) spool: SpoolLimits,
    pub(crate) retry: RetryPolicy,
    /// Runs in the stormy part.
    pub(crate) runs: u32,
    pub(crate) keys: i64,
    /// How long after the client gave up a call may still be applied.
    pub(crate) late_ms: u64,
    /// How the vendor takes jobs, where it does.
    pub(crate) jobs: Option<JobWeather>,
    /// What becomes of rows that leave.
    pub(crate) mirror: Option<MirrorWeather>,
}

impl Weather {
    /// What the vendor says about late calls: counted from when a call is given up, of which its client may have died.
    pub(crate) fn apply_max(&self) -> Duration {
        Duration::from_millis(self.late_ms + 300)
    }

    pub(crate) fn of(seed: u64, season: Season) -> Self {
        let mut dice = fastrand::Rng::with_seed(seed);
        let storms = [0.0, 0.15, 0.5, 1.0, 2.0];
        let tiny = dice.u8(0..3) == 0;
        let spool = match tiny {
            true => SpoolLimits {
                memory_bytes_max: dice.u64(1..4_000),
                disk_bytes_max: dice.u64(1..8_000),
            },
            false => SpoolLimits::default(),
        };
        let gentle = season == Season::Gentle;
        let weather = Self {
            season,
            storm: if gentle { 0.0 } else { storms[dice.usize(0..storms.len())] },
            lag_micros: dice.i64(1..=5) * 1_000_000,
            changes: dice.u32(10..70),
            change_pause_ms: [20, 200, 2_000][dice.usize(0..3)],
            page_rows: dice.usize(1..8),
            batch_rows: dice.usize(1..=6),
            concurrency: dice.usize(1..=4),
            renames: gentle || dice.u8(0..4) > 0,
            snapshot: !gentle && dice.u8(0..10) == 0,
            spool,
            retry: RetryPolicy {
                pause_first: Duration::from_millis(dice.u64(400..1_000)),
                pause_max: Duration::from_secs(dice.u64(1..20)),
                attempts_max: dice.u32(1..6),
                deadline: Duration::from_secs(dice.u64(5..120)),
            },
            runs: dice.u32(2..9),
            keys: dice.i64(4..30),
            late_ms: if season == Season::LateApplies { 60_000 } else { 150 },
            jobs: JobWeather::draw(
                &mut dice,
                if season == Season::LateApplies { 60_000 } else { 150 },
            ),
            mirror: None,
        };
        if season != Season::Mirror {
            return weather;
        }
        // Few keys, so that the order of their numbers is that of their texts.
        let keys = 4 + weather.keys % 6;
        let mirror = Some(MirrorWeather::draw(seed));
        Self { snapshot: true, keys, jobs: None, mirror, ..weather }
    }
}

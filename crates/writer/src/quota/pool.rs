//! One limit of an account as all who send see it: which slots are held by whom, and which are free when.

use serde::{Deserialize, Serialize};

/// A window's moments are kept this much coarser than the window, so that a page stays small.
const GRAINS: i64 = 512;

/// Slots that are not held by anybody and were used by somebody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Used {
    /// From when they are free.
    pub(super) until: i64,
    pub(super) slots: u32,
    /// The connection that used them; empty: another program.
    pub(super) by: String,
    /// A process is gone that may have used them, or not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) unsure: bool,
}

/// One limit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pool {
    /// How long a request counts, in microseconds; 0: until its answer.
    pub(super) length: i64,
    /// Requests of the whole account.
    pub(super) max: u32,
    /// The destination said so itself.
    #[serde(default)]
    pub(super) reported: bool,
    #[serde(default)]
    pub(super) used: Vec<Used>,
}

impl Pool {
    pub(super) fn used(&self) -> u32 {
        self.used.iter().fold(0, |sum, used| sum.saturating_add(used.slots))
    }

    pub(super) fn used_by(&self, connection: &str) -> u32 {
        let ours = self.used.iter().filter(|used| used.by == connection);
        ours.fold(0, |sum, used| sum.saturating_add(used.slots))
    }

    /// Slots that were used, and are free from `until` on.
    pub(super) fn put(&mut self, used: Used) {
        if used.slots == 0 {
            return;
        }
        let grain = (self.length / GRAINS).max(1);
        let until = used.until.div_euclid(grain).saturating_add(1).saturating_mul(grain);
        let same = |known: &&mut Used| {
            known.until == until && known.by == used.by && known.unsure == used.unsure
        };
        match self.used.iter_mut().find(same) {
            Some(known) => known.slots = known.slots.saturating_add(used.slots),
            None => {
                let at = self.used.partition_point(|known| known.until <= until);
                self.used.insert(at, Used { until, ..used });
            }
        }
    }

    /// Forgets what is free by now.
    pub(super) fn pass(&mut self, now: i64) {
        self.used.retain(|used| used.until > now);
    }

    /// The destination counts so many requests now: processes that are gone have not used more.
    pub(super) fn at_most(&mut self, counted: u32) {
        let mut left = counted;
        for used in self.used.iter_mut().rev().filter(|used| used.unsure) {
            used.slots = used.slots.min(left);
            left -= used.slots;
        }
        self.used.retain(|used| used.slots > 0);
    }

    /// Takes up to `wanted` slots out of those that are not `held`: the moments from which they are free, `now` at the
    /// earliest. `headroom`: of slots that `connection` has not used itself, so many at most.
    pub(super) fn take(
        &mut self,
        (wanted, held): (u32, u32),
        (connection, headroom): (&str, u32),
        now: i64,
    ) -> Vec<(i64, u32)> {
        let occupied = held.saturating_add(self.used());
        let mut taken = Vec::new();
        let (mut left, mut headroom) = (wanted, headroom);
        let free = self.max.saturating_sub(occupied).min(left).min(headroom);
        if free > 0 {
            taken.push((now, free));
            left -= free;
            headroom -= free;
        }
        // More slots than there are: the first ones that come free are nobody's.
        let mut missing = occupied.saturating_sub(self.max);
        for used in &mut self.used {
            let skipped = used.slots.min(missing);
            missing -= skipped;
            let own = used.by == connection;
            let most = if own { left } else { left.min(headroom) };
            let slots = (used.slots - skipped).min(most);
            if slots > 0 {
                taken.push((used.until, slots));
                used.slots -= slots;
                left -= slots;
                headroom -= if own { 0 } else { slots };
            }
        }
        self.used.retain(|used| used.slots > 0);
        taken
    }
}

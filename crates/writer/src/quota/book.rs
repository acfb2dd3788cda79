//! An account's page in the quota ledger, and the one conversation there is about it: a process says what it used and
//! wants, and hears what it has.

use std::collections::BTreeMap;
use std::time::Duration;

use flow::{Lane, QuotaMoment};
use serde::{Deserialize, Serialize};

use super::fair::{Claim, deal};
use super::pool::{Pool, Used};

/// Who does not speak for so long has nothing any more (in microseconds). Processes on one machine are known to be gone
/// before.
pub(crate) const LEASE: i64 = 5_000_000;
/// A request may reach the destination this much later than its sender could last decide to send it.
const GRACE: i64 = 1_000_000;
/// The shared clock was moved when it is off by more than this from what a process measured itself.
const STEP: i64 = 1_000_000;
/// A calendar day's quota is never waited for longer than this.
const PARKED_MAX: i64 = 32 * 86_400_000_000;
const VERSION: u32 = 1;

/// What is kept of an account. Moments are in microseconds of the shared clock, unless they say `wall`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Book {
    version: u32,
    clock: String,
    at: i64,
    at_wall: i64,
    /// How far the moments on this page were moved because the clock was.
    shifted: i64,
    #[serde(default)]
    pools: BTreeMap<String, Pool>,
    #[serde(default)]
    holders: BTreeMap<String, Holder>,
    #[serde(default)]
    paused_until: i64,
    #[serde(default)]
    parked: Option<Parked>,
    #[serde(default)]
    day: Option<Day>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Holder {
    connection: String,
    backfill: bool,
    /// When it last spoke.
    spoke: i64,
    windows: BTreeMap<String, Held>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Held {
    slots: u32,
    wants: u32,
    cap: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Parked {
    until_wall: i64,
    why: String,
}

/// The daily quota as last reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Day {
    pub(crate) limit: u64,
    pub(crate) remaining: u64,
    /// When it is renewed (wall), where that is known.
    pub(crate) resets_wall: Option<i64>,
    /// When it was reported (wall).
    pub(crate) seen_wall: i64,
}

/// What a process says.
#[derive(Debug, Clone, Default)]
pub(crate) struct Statement {
    pub(crate) holder: String,
    pub(crate) connection: String,
    pub(crate) lane: Lane,
    /// What the shared clock should say, and how far it had been shifted when that was measured.
    pub(crate) expected: Option<(i64, i64)>,
    pub(crate) windows: Vec<WindowStatement>,
    /// Everybody waits for so long.
    pub(crate) pause: Option<Duration>,
    /// Everybody waits until then (wall), and why.
    pub(crate) park: Option<(i64, String)>,
    pub(crate) day: Option<DayReport>,
    /// It only looks.
    pub(crate) looks: bool,
}

/// What it says about one window.
#[derive(Debug, Clone, Default)]
pub(crate) struct WindowStatement {
    pub(crate) name: &'static str,
    pub(crate) length: i64,
    /// Requests of the whole account, unless the destination said another number.
    pub(crate) max: u32,
    /// Of the account's requests, what this connection may use.
    pub(crate) cap: Cap,
    pub(crate) reported: Option<Seen>,
    pub(crate) wants: u32,
    /// Slots given back: free in so many microseconds from now, and how many.
    pub(crate) returns: Vec<(i64, u32)>,
}

/// What a connection may use of an account's requests.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cap {
    /// Above 0, at most 1.
    pub(crate) ratio: f64,
    /// The user's own limit, which a report cannot raise.
    pub(crate) fixed: Option<u32>,
}

impl Cap {
    pub(crate) fn of(self, max: u32) -> u32 {
        let most = self.fixed.map_or(max, |fixed| fixed.min(max));
        ((f64::from(most) * self.ratio).floor() as u32).max(1)
    }
}

/// What the destination said about a window.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen {
    pub(crate) max: u32,
    /// In microseconds.
    pub(crate) length: Option<i64>,
    /// Requests it counted.
    pub(crate) counted: u32,
    /// Of them, what this process and, as far as it knew when it sent, the others on this ledger may have made.
    pub(crate) ours: u32,
    pub(crate) others: u32,
}

/// What the destination said about the day.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DayReport {
    pub(crate) limit: u64,
    pub(crate) remaining: u64,
    pub(crate) resets_wall: Option<i64>,
}

/// What the process hears.
#[derive(Debug, Clone, Default)]
pub(crate) struct Answer {
    pub(crate) at: i64,
    pub(crate) shifted: i64,
    pub(crate) windows: Vec<WindowAnswer>,
    /// Nobody sends for so long, in microseconds.
    pub(crate) pause: i64,
    /// Nobody sends before (wall), and why.
    pub(crate) parked: Option<(i64, String)>,
    pub(crate) day: Option<Day>,
}

/// What it hears about one window.
#[derive(Debug, Clone, Default)]
pub(crate) struct WindowAnswer {
    pub(crate) max: u32,
    pub(crate) length: i64,
    /// Slots held from now on.
    pub(crate) held: u32,
    /// Of them, those that are new: free in so many microseconds, and how many.
    pub(crate) granted: Vec<(i64, u32)>,
    /// What it may use now; less than `held` where others want some.
    pub(crate) fair: u32,
    /// What others hold, or used within the window.
    pub(crate) others: u32,
    /// Slots of this connection's share that nobody uses.
    pub(crate) left: u32,
}

impl Book {
    /// Reads a page. One that cannot be read says nothing: what it knew is learned again from the destination.
    pub(crate) fn read(page: Option<&str>) -> Self {
        let book = page.and_then(|page| serde_json::from_str::<Self>(page).ok());
        book.filter(|book| book.version == VERSION).unwrap_or_default()
    }

    pub(crate) fn page(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Takes a statement, and answers it.
    pub(crate) fn exchange(&mut self, said: &Statement, moment: &QuotaMoment<'_>) -> Answer {
        self.turn_to(moment, said.expected);
        self.bury(said, moment);
        let (now, wall) = (moment.micros, moment.wall_micros);
        if let Some(pause) = said.pause {
            let pause = i64::try_from(pause.as_micros()).unwrap_or(i64::MAX);
            self.paused_until = self.paused_until.max(now.saturating_add(pause));
        }
        self.learn_day(said, wall);
        self.register(said, now);
        let answer = Answer {
            at: now,
            shifted: self.shifted,
            windows: said.windows.iter().map(|window| self.window(said, window, now)).collect(),
            pause: self.paused_until.saturating_sub(now).max(0),
            parked: self.parked.as_ref().map(|parked| (parked.until_wall, parked.why.clone())),
            day: self.day,
        };
        if said.windows.iter().all(|window| window.wants == 0)
            && answer.windows.iter().all(|window| window.held == 0)
        {
            self.holders.remove(&said.holder);
        }
        answer
    }

    /// Moves the page's moments where its clock is another one now, or was moved.
    fn turn_to(&mut self, moment: &QuotaMoment<'_>, expected: Option<(i64, i64)>) {
        let now = moment.micros;
        let off = if self.clock != moment.clock {
            let passed = moment.wall_micros.saturating_sub(self.at_wall).max(0);
            now.saturating_sub(self.at.saturating_add(passed))
        } else if let Some((expected, shifted)) = expected {
            let off = now.saturating_sub(expected.saturating_add(self.shifted - shifted));
            if off.abs() > STEP { off } else { 0 }
        } else {
            now.saturating_sub(self.at).min(0)
        };
        if off != 0 && !self.clock.is_empty() {
            self.shift(off);
        }
        moment.clock.clone_into(&mut self.clock);
        (self.version, self.at, self.at_wall) = (VERSION, now, moment.wall_micros);
    }

    fn shift(&mut self, off: i64) {
        self.shifted = self.shifted.wrapping_add(off);
        self.paused_until = self.paused_until.saturating_add(off);
        for used in self.pools.values_mut().flat_map(|pool| &mut pool.used) {
            used.until = used.until.saturating_add(off);
        }
        for holder in self.holders.values_mut() {
            holder.spoke = holder.spoke.saturating_add(off);
        }
    }

    /// Takes the slots of those who are gone: they may have used each until a moment ago.
    fn bury(&mut self, said: &Statement, moment: &QuotaMoment<'_>) {
        let now = moment.micros;
        let lapsed = |holder: &Holder| now.saturating_sub(holder.spoke) > LEASE;
        let gone = |name: &str, holder: &Holder| {
            (lapsed(holder), name != said.holder && (moment.is_gone)(name))
        };
        let mut buried = Vec::new();
        self.holders.retain(|name, holder| match gone(name, holder) {
            (false, false) => true,
            // Who is known to be gone sends nothing any more; of the others nobody knows when they stopped.
            (_, certain) => {
                let grace = if certain { 0 } else { GRACE };
                buried.push((std::mem::take(holder), grace));
                false
            }
        });
        for (holder, grace) in buried {
            for (name, held) in holder.windows {
                if let Some(pool) = self.pools.get_mut(&name) {
                    let until = now.saturating_add(pool.length).saturating_add(grace);
                    let by = holder.connection.clone();
                    pool.put(Used { until, slots: held.slots, by, unsure: true });
                }
            }
        }
        self.pools.values_mut().for_each(|pool| pool.pass(now));
    }

    fn learn_day(&mut self, said: &Statement, wall: i64) {
        let over = |until: i64| until <= wall || until.saturating_sub(wall) > PARKED_MAX;
        if self.parked.as_ref().is_some_and(|parked| over(parked.until_wall)) {
            (self.parked, self.day) = (None, None);
        }
        if self.day.is_some_and(|day| day.resets_wall.is_some_and(|resets| resets <= wall)) {
            self.day = None;
        }
        if let Some(DayReport { limit, remaining, resets_wall }) = said.day {
            let known = self.day;
            let limit = if limit == 0 { known.map_or(0, |day| day.limit) } else { limit };
            let resets_wall = resets_wall.or(known.and_then(|day| day.resets_wall));
            self.day = Some(Day { limit, remaining, resets_wall, seen_wall: wall });
        }
        if let Some((until_wall, why)) = &said.park
            && !over(*until_wall)
        {
            self.parked = Some(Parked { until_wall: *until_wall, why: why.clone() });
        }
    }

    /// Puts down who speaks, with what it wants.
    fn register(&mut self, said: &Statement, now: i64) {
        if said.looks {
            return;
        }
        let holder = self.holders.entry(said.holder.clone()).or_default();
        holder.connection.clone_from(&said.connection);
        (holder.backfill, holder.spoke) = (said.lane == Lane::Backfill, now);
    }

    fn window(&mut self, said: &Statement, window: &WindowStatement, now: i64) -> WindowAnswer {
        self.learn(said, window, now);
        let Some(pool) = self.pools.get(window.name) else { return WindowAnswer::default() };
        let (max, length) = (pool.max, pool.length);
        let cap = window.cap.of(max);
        if !said.looks {
            self.give_back(said, window, (cap, now));
        }
        let fair = self.fair(window.name, &said.holder);
        let granted = if said.looks { Vec::new() } else { self.grant(said, window, (fair, now)) };
        let held = self.held(&said.holder, window.name).slots;
        let (all, ours) = self.occupied(window.name, &said.connection);
        let left = cap.saturating_sub(ours).min(max.saturating_sub(all));
        let others = all.saturating_sub(held);
        WindowAnswer { max, length, held, granted, fair, others, left }
    }

    /// Learns from what the destination said, if it did.
    fn learn(&mut self, said: &Statement, window: &WindowStatement, now: i64) {
        let held = self.holding(window.name, |name, _| name != said.holder);
        let fresh = Pool { length: window.length, max: window.max, ..Pool::default() };
        let pool = self.pools.entry(window.name.to_owned()).or_insert(fresh);
        if !pool.reported {
            (pool.length, pool.max) = (window.length, window.max);
        }
        let Some(Seen { max, length, counted, ours, others }) = window.reported else { return };
        pool.at_most(counted);
        (pool.max, pool.reported) = (max.max(1), true);
        pool.length = length.unwrap_or(pool.length);
        // Ours are counted as generously as they may have been at any moment since the request went out.
        let others = others.max(held.saturating_add(pool.used()));
        let surplus = counted.saturating_sub(ours).saturating_sub(others);
        let until = now.saturating_add(pool.length);
        pool.put(Used { until, slots: surplus, by: String::new(), unsure: false });
    }

    fn give_back(&mut self, said: &Statement, window: &WindowStatement, (cap, now): (u32, i64)) {
        let (Some(holder), Some(pool)) =
            (self.holders.get_mut(&said.holder), self.pools.get_mut(window.name))
        else {
            return;
        };
        let held = holder.windows.entry(window.name.to_owned()).or_default();
        (held.wants, held.cap) = (window.wants, cap);
        for (free_in, slots) in &window.returns {
            // Slots that are not its own any more were taken from it when it was silent.
            let slots = (*slots).min(held.slots);
            held.slots -= slots;
            let (until, by) = (now.saturating_add(*free_in), said.connection.clone());
            if *free_in > 0 {
                pool.put(Used { until, slots, by, unsure: false });
            }
        }
    }

    fn grant(
        &mut self,
        said: &Statement,
        window: &WindowStatement,
        (fair, now): (u32, i64),
    ) -> Vec<(i64, u32)> {
        let held = self.held(&said.holder, window.name);
        let wanted = fair.min(window.wants).saturating_sub(held.slots);
        if wanted == 0 {
            return Vec::new();
        }
        let (_, ours) = self.occupied(window.name, &said.connection);
        let all_held = self.holding(window.name, |_, _| true);
        let Some(pool) = self.pools.get_mut(window.name) else { return Vec::new() };
        let headroom = held.cap.saturating_sub(ours);
        let taken = pool.take((wanted, all_held), (&said.connection, headroom), now);
        let slots: u32 = taken.iter().map(|(_, slots)| slots).sum();
        if let Some(holder) = self.holders.get_mut(&said.holder) {
            holder.windows.entry(window.name.to_owned()).or_default().slots += slots;
        }
        taken.into_iter().map(|(until, slots)| (until.saturating_sub(now), slots)).collect()
    }

    /// What `who` may hold of a window.
    fn fair(&self, window: &str, who: &str) -> u32 {
        let Some(pool) = self.pools.get(window) else { return 0 };
        let claims: Vec<Claim<'_>> = self
            .holders
            .iter()
            .filter_map(|(who, holder)| {
                let Held { wants, cap, .. } = *holder.windows.get(window)?;
                let lane = if holder.backfill { Lane::Backfill } else { Lane::Live };
                Some(Claim { who, lane, wants, connection: &holder.connection, cap })
            })
            .collect();
        let foreign = pool.used_by("");
        deal(pool.max.saturating_sub(foreign), &claims).get(who).copied().unwrap_or(0)
    }

    fn held(&self, who: &str, window: &str) -> Held {
        let holder = self.holders.get(who);
        holder.and_then(|holder| holder.windows.get(window)).copied().unwrap_or_default()
    }

    fn holding(&self, window: &str, whose: impl Fn(&str, &Holder) -> bool) -> u32 {
        let holders = self.holders.iter().filter(|(name, holder)| whose(name, holder));
        let slots = holders.filter_map(|(_, holder)| holder.windows.get(window));
        slots.fold(0, |sum, held| sum.saturating_add(held.slots))
    }

    /// Slots of the window that are held or used: by anybody, and by this connection.
    fn occupied(&self, window: &str, connection: &str) -> (u32, u32) {
        let Some(pool) = self.pools.get(window) else { return (0, 0) };
        let all = self.holding(window, |_, _| true).saturating_add(pool.used());
        let held = self.holding(window, |_, holder| holder.connection == connection);
        (all, held.saturating_add(pool.used_by(connection)))
    }
}

#[cfg(test)]
mod tests;

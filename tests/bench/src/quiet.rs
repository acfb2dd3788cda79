//! Rounds of a comparison in which little else ran on the machine: the others say nothing.

use std::collections::HashMap;
use std::path::Path;

use support::Postgres;
use tokio::time::Instant;

/// What other programs may use of one processor during a round.
const OTHERS_MAX: f64 = 0.05;
/// So many times the rounds wanted are tried.
const TRIES: usize = 3;
/// Clock ticks per second in /proc; 100 on every Linux that matters.
const TICKS: f64 = 100.0;

/// Rounds and whether each was quiet.
pub(crate) struct Rounds<T> {
    kept: Vec<T>,
    noisy: bool,
}

impl<T> Rounds<T> {
    /// Makes so many quiet rounds, or gives up; with `any`, noise is no reason to throw one away.
    pub(crate) fn of(count: usize, any: bool, mut round: impl FnMut(usize) -> T) -> Self {
        let (mut kept, mut thrown) = (Vec::new(), 0);
        while kept.len() < count && kept.len() + thrown < count * TRIES {
            let before = Load::now();
            let result = round(kept.len() + thrown);
            let others = Load::now().others_since(&before);
            if others <= OTHERS_MAX || any {
                kept.push(result);
            } else {
                thrown += 1;
                eprintln!(
                    "  a round is thrown away: others used {:.0} % of a processor",
                    others * 100.0
                );
            }
        }
        let noisy = kept.len() < count;
        Self { kept, noisy }
    }

    /// The middle value; not a number where it was never quiet.
    pub(crate) fn median(&self, of: impl Fn(&T) -> f64) -> f64 {
        self.of_sorted(of, |count| count / 2)
    }

    /// The smallest value.
    pub(crate) fn least(&self, of: impl Fn(&T) -> f64) -> f64 {
        self.of_sorted(of, |_| 0)
    }

    /// The largest value.
    pub(crate) fn most(&self, of: impl Fn(&T) -> f64) -> f64 {
        self.of_sorted(of, |count| count - 1)
    }

    fn of_sorted(&self, of: impl Fn(&T) -> f64, at: impl Fn(usize) -> usize) -> f64 {
        if self.noisy || self.kept.is_empty() {
            return f64::NAN;
        }
        let mut values: Vec<f64> = self.kept.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values[at(values.len())]
    }
}

/// Processor time used so far, in seconds.
struct Load {
    at: Instant,
    everybody: f64,
    ours: f64,
}

impl Load {
    fn now() -> Self {
        Self { at: Instant::now(), everybody: everybody(), ours: ours() }
    }

    /// Processors that others kept busy, on average.
    fn others_since(&self, before: &Self) -> f64 {
        let others = (self.everybody - before.everybody) - (self.ours - before.ours);
        others / self.at.duration_since(before.at).as_secs_f64().max(0.001)
    }
}

fn everybody() -> f64 {
    let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let cpu = stat.lines().next().unwrap_or_default();
    // user nice system idle iowait irq softirq steal; interrupts belong to whoever they interrupt.
    let ticks: Vec<f64> = cpu.split_whitespace().skip(1).flat_map(str::parse).collect();
    [0, 1, 2].iter().filter_map(|at| ticks.get(*at)).sum::<f64>() / TICKS
}

/// This program, the private PostgreSQL, and what came from them.
fn ours() -> f64 {
    let server = Postgres::shared().socket_folder().join("data/postmaster.pid");
    let server = std::fs::read_to_string(server).unwrap_or_default();
    let mut wanted: Vec<u32> =
        server.lines().next().and_then(|pid| pid.parse().ok()).into_iter().collect();
    wanted.push(std::process::id());
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    let mut seconds = HashMap::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let pid = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok());
        if let Some(pid) = pid
            && let Some((parent, used)) = stat(&entry.path())
        {
            children.entry(parent).or_default().push(pid);
            seconds.insert(pid, used);
        }
    }
    let mut sum = 0.0;
    while let Some(pid) = wanted.pop() {
        sum += seconds.get(&pid).copied().unwrap_or_default();
        wanted.extend(children.remove(&pid).unwrap_or_default());
    }
    sum
}

/// A process's parent, and what it and its children that have ended used.
fn stat(process: &Path) -> Option<(u32, f64)> {
    let stat = std::fs::read_to_string(process.join("stat")).ok()?;
    let (_, rest) = stat.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split(' ').collect();
    let ticks: f64 = fields.get(11..15)?.iter().flat_map(|field| field.parse::<f64>()).sum();
    Some((fields.get(1)?.parse().ok()?, ticks / TICKS))
}

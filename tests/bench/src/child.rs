//! Runs a program and measures it from outside: wall time, processor time, peak memory.

use std::process::{Command, Stdio};
use std::time::Duration;

/// What a finished program cost.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cost {
    pub(crate) wall_s: f64,
    pub(crate) cpu_s: f64,
    pub(crate) peak_rss_mb: f64,
}

/// Clock ticks per second in /proc/PID/stat; 100 on every Linux that matters.
const TICKS: f64 = 100.0;

/// Runs to the end. Stdout goes to /dev/null.
pub(crate) fn measure(command: &mut Command) -> Cost {
    let began = tokio::time::Instant::now();
    let mut child = command.stdout(Stdio::null()).spawn().expect("the program starts");
    let pid = child.id();
    let mut cost = Cost::default();
    loop {
        if let Some(mb) = peak_rss_mb(pid) {
            cost.peak_rss_mb = mb;
        }
        // A program that has ended keeps its times until it is waited for.
        let (state, cpu_s) = state_and_cpu(pid).unwrap_or(('Z', cost.cpu_s));
        cost.cpu_s = cpu_s;
        if state == 'Z' {
            break;
        }
        std::thread::park_timeout(Duration::from_millis(2));
    }
    let status = child.wait().expect("the program ends");
    cost.wall_s = began.elapsed().as_secs_f64();
    assert!(status.success(), "{command:?}: {status}");
    cost
}

/// What a program that is still at work has cost; the wall time is not known.
pub(crate) fn cost_so_far(pid: u32) -> Cost {
    let cpu_s = state_and_cpu(pid).map_or(0.0, |(_, cpu_s)| cpu_s);
    Cost { wall_s: 0.0, cpu_s, peak_rss_mb: peak_rss_mb(pid).unwrap_or_default() }
}

fn peak_rss_mb(pid: u32) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kb: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kb / 1024.0)
}

fn state_and_cpu(pid: u32) -> Option<(char, f64)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split(' ').collect();
    let ticks: f64 = fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?;
    Some((fields.first()?.chars().next()?, ticks / TICKS))
}

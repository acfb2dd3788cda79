//! Who a process is on its machine, whether another one is still there, and a clock that all of them read the same and
//! nobody sets: by what Linux says in /proc. Where there is no such thing, nothing is claimed.

use std::fs;
use std::sync::OnceLock;

/// The boot of the machine and the process namespace: process ids mean something within both only.
fn place() -> Option<&'static str> {
    static PLACE: OnceLock<Option<String>> = OnceLock::new();
    let read = || {
        let namespace = fs::read_link("/proc/self/ns/pid").ok()?;
        let number: String = namespace.to_str()?.chars().filter(char::is_ascii_digit).collect();
        Some(format!("{}/{number}", boot()?))
    };
    PLACE.get_or_init(read).as_deref()
}

fn boot() -> Option<&'static str> {
    static BOOT: OnceLock<Option<String>> = OnceLock::new();
    let read = || {
        let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        Some(id.trim().to_owned()).filter(|id| !id.is_empty())
    };
    BOOT.get_or_init(read).as_deref()
}

/// When a process began, in ticks since the boot: a process id alone is used again.
fn began(pid: &str) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may contain anything; the fields after it are numbers.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace();
    // A zombie sends nothing any more.
    fields.next().filter(|state| !matches!(*state, "Z" | "X"))?;
    fields.nth(18).map(str::to_owned)
}

/// Names this process: nobody else has the name, now or later.
pub(crate) fn name() -> String {
    let pid = std::process::id();
    let began = began("self").unwrap_or_default();
    format!("{pid} {began} {}", place().unwrap_or("-"))
}

/// Whether the process of that name is certainly gone.
pub(crate) fn is_gone(name: &str) -> bool {
    let mut words = name.split(' ');
    let (Some(pid), Some(then), Some(there)) = (words.next(), words.next(), words.next()) else {
        return false;
    };
    if then.is_empty() || place() != Some(there) || !pid.bytes().all(|byte| byte.is_ascii_digit()) {
        return false;
    }
    began(pid).is_none_or(|now| now != then)
}

/// The shared clock: its name, and microseconds since the boot; `None` where there is no such clock.
pub(crate) fn shared_now() -> Option<(&'static str, i64)> {
    let name = boot()?;
    let text = fs::read_to_string("/proc/uptime").ok()?;
    let seconds: f64 = text.split_ascii_whitespace().next()?.parse().ok()?;
    Some((name, (seconds * 1e6) as i64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_there_and_an_ended_one_is_gone() {
        let name = name();
        assert!(!is_gone(&name), "{name}");
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = child.id();
        let of_child = format!("{pid} {} {}", began(&pid.to_string()).unwrap(), place().unwrap());
        assert!(!is_gone(&of_child), "{of_child}");
        child.kill().unwrap();
        // Also before its parent has asked how it ended.
        let deadline = std::time::Duration::from_secs(10);
        let ended = tokio::time::Instant::now();
        while !is_gone(&of_child) {
            assert!(ended.elapsed() < deadline, "{of_child}");
            std::thread::yield_now();
        }
        child.wait().unwrap();
        assert!(is_gone(&of_child));
    }

    #[test]
    fn nothing_is_claimed_of_processes_elsewhere() {
        let name = name();
        let elsewhere = name.replace(place().unwrap(), "another-boot/4026531836");
        for name in [elsewhere.as_str(), "", "1", "1 2", "self 2 here", "1  -"] {
            assert!(!is_gone(name), "{name}");
        }
    }

    #[test]
    fn the_shared_clock_goes_on() {
        let (name, before) = shared_now().unwrap();
        let (same, after) = shared_now().unwrap();
        assert!(name == same && after >= before);
    }
}

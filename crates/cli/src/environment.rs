//! The process's environment: the only place of the command line that reads it.

/// A variable, where it is set and is text.
#[expect(clippy::disallowed_methods, reason = "only cli reads the environment, and only here")]
pub(crate) fn var(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Resident memory of this process in bytes; `None` where the system does not say.
pub(crate) fn resident_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    resident_in(&status)
}

fn resident_in(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_memory_is_read_in_bytes() {
        assert_eq!(resident_in("VmPeak:\t  10 kB\nVmRSS:\t    2048 kB\n"), Some(2_097_152));
        assert_eq!(resident_in("VmPeak:\t  10 kB\n"), None);
    }
}

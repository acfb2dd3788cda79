//! The exit codes: public, documented, and the same for every command, so that a scheduler can act on them.

use flow::Kind;

/// Done, also when some rows were rejected and no limit was passed.
pub const DONE: u8 = 0;
/// Failed; it is safe to run again.
pub const FAILED: u8 = 1;
/// `plan --detailed-exitcode`: there are changes to send.
pub const CHANGES: u8 = 2;
/// The run is done and more rows were rejected than the sync allows.
pub const REJECTS: u8 = 3;
/// A guard stopped the run before anything was sent.
pub const GUARD: u8 = 4;
/// Another run holds the lease of the sync.
pub const LEASE: u8 = 5;
/// The command line is wrong (`EX_USAGE`).
pub const USAGE: u8 = 64;
/// The warehouse or the destination cannot be reached (`EX_UNAVAILABLE`).
pub const UNREACHABLE: u8 = 69;
/// The destination's quota is used up: the sync is parked and has not failed (`EX_TEMPFAIL`).
pub const PARKED: u8 = 75;
/// Credentials or permissions are refused (`EX_NOPERM`).
pub const CREDENTIALS: u8 = 77;
/// The project files are wrong (`EX_CONFIG`).
pub const CONFIG: u8 = 78;
/// Stopped by SIGINT after a clean drain.
pub const INTERRUPTED: u8 = 130;
/// Stopped by SIGTERM or SIGHUP after a clean drain.
pub const TERMINATED: u8 = 143;

/// Every code with its meaning and what a caller does about it, for `outflow help exit-codes`.
pub const TABLE: &[(u8, &str, &str)] = &[
    (DONE, "done", "nothing"),
    (FAILED, "failed", "run again; it goes on where it stopped"),
    (CHANGES, "`plan --detailed-exitcode`: there are changes to send", "review the plan, then run"),
    (REJECTS, "done, with more rejects than the sync allows", "outflow rejects ls"),
    (GUARD, "a guard stopped the run before anything was sent", "read why, then decide"),
    (LEASE, "another run holds the lease of the sync", "wait for it, then run again"),
    (USAGE, "the command line is wrong", "outflow help COMMAND"),
    (
        UNREACHABLE,
        "the warehouse or the destination cannot be reached",
        "outflow doctor, run again",
    ),
    (
        PARKED,
        "parked: the destination's quota is used up",
        "run again after the wake-up time; before it, a run ends at once",
    ),
    (CREDENTIALS, "credentials or permissions are refused", "outflow doctor, then mend them"),
    (CONFIG, "the project files are wrong", "outflow validate"),
    (
        INTERRUPTED,
        "stopped by Ctrl-C after a clean drain",
        "run again; it goes on where it stopped",
    ),
    (TERMINATED, "stopped by SIGTERM or SIGHUP after a clean drain", "run again"),
];

/// From the least bad to the worst; a code that is not listed (`--skip-code`) is less bad than all of them.
const SEVERITY: &[u8] = &[
    DONE,
    CHANGES,
    PARKED,
    LEASE,
    REJECTS,
    GUARD,
    UNREACHABLE,
    FAILED,
    CREDENTIALS,
    CONFIG,
    USAGE,
    TERMINATED,
    INTERRUPTED,
];

/// The exit code of an error.
pub fn of(kind: Kind) -> u8 {
    match kind {
        Kind::Config => CONFIG,
        Kind::Unreachable => UNREACHABLE,
        Kind::Credentials => CREDENTIALS,
        Kind::Lease => LEASE,
        Kind::Guard => GUARD,
        Kind::Parked => PARKED,
        Kind::Failed | Kind::Poison | Kind::Row => FAILED,
    }
}

/// The worse of two exit codes: what several syncs in one call exit with.
pub fn worse(one: u8, other: u8) -> u8 {
    let rank = |code: u8| SEVERITY.iter().position(|known| *known == code);
    if rank(other) > rank(one) { other } else { one }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_documented_once_and_has_a_severity() {
        let mut codes: Vec<u8> = TABLE.iter().map(|(code, ..)| *code).collect();
        assert_eq!(codes.len(), SEVERITY.len());
        assert!(codes.iter().all(|code| SEVERITY.contains(code)));
        codes.dedup();
        assert_eq!(codes.len(), TABLE.len());
    }

    #[test]
    fn the_worst_of_several_syncs_wins_whatever_their_order() {
        for (one, other, worst) in [
            (DONE, REJECTS, REJECTS),
            (FAILED, REJECTS, FAILED),
            (UNREACHABLE, CREDENTIALS, CREDENTIALS),
            (INTERRUPTED, CONFIG, INTERRUPTED),
            (DONE, DONE, DONE),
        ] {
            assert_eq!(worse(one, other), worst);
            assert_eq!(worse(other, one), worst);
        }
    }

    #[test]
    fn every_kind_of_error_has_its_exit_code() {
        let codes = [
            (Kind::Config, 78),
            (Kind::Unreachable, 69),
            (Kind::Credentials, 77),
            (Kind::Failed, 1),
            (Kind::Lease, 5),
            (Kind::Guard, 4),
            (Kind::Parked, 75),
        ];
        for (kind, code) in codes {
            assert_eq!(of(kind), code);
        }
    }
}

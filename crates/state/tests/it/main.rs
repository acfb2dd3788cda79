//! The state on real files, with real kills, cuts and full disks.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails where it stands")]

mod commit;
mod crash;
mod damage;
mod delivery;
mod disk;
#[macro_use]
mod fixture;
mod gone;
mod lease;
mod opening;
mod operator;
mod quota;
mod rejects;
mod server;
mod speed;

//! The state on real files, with real kills, cuts and full disks.

mod commit;
mod crash;
mod damage;
mod disk;
mod fixture;
mod lease;
mod opening;
mod operator;
mod rejects;
mod speed;

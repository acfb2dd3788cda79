//! A deterministic simulation: the real engine, in one thread and virtual time, in a world whose every turn comes from
//! a seed.
//!
//! A failing seed is printed with the command that shows its history. More seeds, or one of them:
//! `SEEDS=100000 cargo test -p engine --test it simulation::seeds -- --nocapture`, `SEED=42 ...`.

mod jobs;
mod life;
mod mishap;
mod oracle;
mod oracles_notice;
mod removals;
mod seeds;
mod source;
mod store;
mod table;
mod universe;
mod vendor;
mod weather;
mod writers;

//! The real engine in a small world of scripted ports, under paused time.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

mod again;
mod applied;
mod before;
mod compare;
mod doubt;
mod found;
mod guards;
mod in_part;
mod jobs;
mod merged;
mod promises;
mod reconcile;
mod removed;
mod simulation;
mod world;

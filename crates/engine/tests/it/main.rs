//! The real engine in a small world of scripted ports, under paused time.

mod promises;
mod world;

//! Whole-system tests: the real binary between a real PostgreSQL and the simulators.

mod acme;
mod documents;
mod faults;
mod main_job;
mod project;
mod tidy;

//! Whole-system tests: the real binary between a real PostgreSQL and the simulators.

mod acme;
mod associations;
mod commands;
mod dashboards;
mod demo;
mod documents;
mod examples;
mod faults;
mod guards;
mod judged;
mod killed_jobs;
mod log;
mod lookups;
mod main_job;
mod mirror;
mod places;
mod plans;
mod project;
mod reconcile;
mod shared_state;
mod snapshot;
mod stress;
mod tidy;
mod vendor;
mod webhook;
mod words;

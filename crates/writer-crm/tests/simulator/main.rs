//! The HubSpot double over HTTP: every rule it keeps, every fault it plays, and HubSpot's own client
//! as the judge.

#![expect(clippy::unwrap_used, reason = "a test may fail at any line")]

mod account;
mod associations;
mod client;
mod faults;
mod judge;
mod limits;
mod properties;
mod python;
mod reading;
mod values;
mod writing;

//! The HubSpot double over HTTP: every rule it keeps, every fault it plays, and HubSpot's own client
//! as the judge.

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

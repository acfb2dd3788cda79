#![doc = include_str!("../README.md")]

pub mod hubspot;
pub mod salesforce;

/// Every CRM outflow writes to. A new one is a folder, a `pub mod` line above, and a row here.
pub const DESTINATIONS: &[writer::DestinationKind] = &[hubspot::KIND, salesforce::KIND];

#![doc = include_str!("../README.md")]

pub mod intercom;
pub mod zendesk;

/// Every destination of this crate. A new one is a folder, a `pub mod` line above, and a row here.
pub const DESTINATIONS: &[writer::DestinationKind] = &[intercom::KIND, zendesk::KIND];

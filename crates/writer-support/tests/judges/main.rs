//! Vendors' own and common clients, unmodified, over the doubles; and over what our writers wrote.

#![expect(clippy::unwrap_used, reason = "a test may fail at any line")]

mod clients;
mod intercom;
mod requests;
mod spec;
mod zendesk;

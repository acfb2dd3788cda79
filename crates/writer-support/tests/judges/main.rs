//! Vendors' own and common clients, unmodified, over the doubles; and over what our writers wrote.

#![expect(clippy::unwrap_used, reason = "a test may fail at any line")]

mod intercom;
mod requests;
mod spec;
mod zendesk;

/// Where the clients are kept between runs.
const KEPT: &str = env!("CARGO_TARGET_TMPDIR");

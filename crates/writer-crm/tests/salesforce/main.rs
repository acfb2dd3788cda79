//! The Salesforce double in front of clients we did not write, and our requests beside theirs.

#![expect(clippy::unwrap_used, reason = "tests")]

mod judges;
mod recorder;
mod requests;

//! HubSpot's own Python client, as a judge over the double and as a second pair of eyes on what our
//! writer wrote.
//!
//! Another test binary takes this file in with
//! `#[path = ".../crates/writer-crm/tests/simulator/python.rs"] mod python;` and calls [`read_back`].
//! It needs `support` and `serde_json`.

use std::process::Output;

use serde_json::Value;
use support::judge::{Client, printed};

const CLIENT: Client = Client::Python("hubspot-api-client==12.0.0");
const SCRIPT: &str = include_str!("judge.py");

/// Runs `judge.py` with these arguments; none when the client is not to be had.
pub(crate) async fn run(arguments: &[&str]) -> Option<Output> {
    CLIENT.run(env!("CARGO_TARGET_TMPDIR"), SCRIPT, arguments, &[]).await
}

/// Of every record of an object type what it is associated with, read by HubSpot's own client:
/// `{"id", "to": [[id, [type ids]]]}`.
#[allow(dead_code, reason = "for test binaries that take this file in")]
pub(crate) async fn links(url: &str, from: &str, to: &str) -> Option<Vec<Value>> {
    let output = run(&["links", url, from, to]).await?;
    Some(printed(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

/// Every record of an object type, read by HubSpot's own client: `{"id", "properties"}`, by id.
#[allow(dead_code, reason = "for test binaries that take this file in")]
pub(crate) async fn read_back(url: &str, object: &str, properties: &[&str]) -> Option<Vec<Value>> {
    let output = run(&["read-back", url, object, &properties.join(",")]).await?;
    Some(printed(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

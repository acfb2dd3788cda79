//! Clients, unmodified, against the double; and what our writer wrote, read back through them.

use std::process::Output;

use serde_json::{Value, json};
use support::judge::{Client, printed};

use crate::recorder::Recorder;
use crate::requests::{Ours, contacts};

const JSFORCE: Client = Client::Node("@jsforce/jsforce-node@3.10.16");
const SIMPLE_SALESFORCE: Client = Client::Python("simple-salesforce==1.12.10");

/// Runs a client's script in one of its modes; none when the client is not to be had.
async fn run(client: Client, double: &Recorder, mode: &str) -> Option<Output> {
    let script = match client {
        Client::Node(_) => include_str!("jsforce.cjs"),
        Client::Python(_) => include_str!("simple_salesforce.py"),
    };
    let trusted = double.certificate.iter().flat_map(|path| {
        let path = path.display().to_string();
        [("REQUESTS_CA_BUNDLE", path.clone()), ("NODE_EXTRA_CA_CERTS", path)]
    });
    let trusted: Vec<_> = trusted.collect();
    client.run(env!("CARGO_TARGET_TMPDIR"), script, &[&double.url(), mode], &trusted).await
}

#[track_caller]
fn content(output: &Output) {
    assert!(printed(output).contains("the client is content"));
}

#[tokio::test]
async fn jsforce_is_content_with_the_double() {
    let double = Recorder::start(false).await;
    let Some(output) = run(JSFORCE, &double, "judge").await else { return };
    content(&output);
}

#[tokio::test]
async fn simple_salesforce_is_content_with_the_double_over_tls() {
    let double = Recorder::start(true).await;
    let Some(output) = run(SIMPLE_SALESFORCE, &double, "judge").await else { return };
    content(&output);
}

#[tokio::test]
async fn what_our_writer_wrote_is_read_back_by_both() {
    let double = Recorder::start(true).await;
    let ours = Ours::open(&double);
    let texts = ["Zoë", "日本語 👩‍👩‍👧", "a,\"b\"\nc", "=1+1", "#N/A"];
    ours.write(&contacts(&texts, "call"), false).await;
    ours.write(&contacts(&texts, "job"), true).await;
    let expected: Vec<Value> = ["call", "job"]
        .iter()
        .flat_map(|how| texts.iter().enumerate().map(move |(n, text)| {
            json!({ "External_Id__c": format!("{how}-{n}"), "LastName": how, "FirstName": null, "Description": text })
        }))
        .collect();
    for judge in [SIMPLE_SALESFORCE, JSFORCE] {
        let Some(output) = run(judge, &double, "read-back").await else { continue };
        let text = String::from_utf8_lossy(&output.stdout);
        let found: Vec<Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(found, expected, "{judge:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// The recordings are what the clients send.
#[tokio::test]
async fn the_recordings_are_the_clients_own() {
    for (judge, secure, recorded) in [
        (JSFORCE, false, include_str!("recorded/jsforce.jsonl")),
        (SIMPLE_SALESFORCE, true, include_str!("recorded/simple_salesforce.jsonl")),
    ] {
        let double = Recorder::start(secure).await;
        let Some(output) = run(judge, &double, "record").await else { continue };
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let lines = double.lines().join("\n") + "\n";
        assert_eq!(lines, recorded, "{judge:?} sends this now:\n{lines}");
    }
}

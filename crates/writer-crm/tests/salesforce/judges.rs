//! Clients, unmodified, against the double; and what our writer wrote, read back through them.

use std::process::Output;

use serde_json::{Value, json};

use crate::recorder::Recorder;
use crate::requests::{Ours, contacts};
use crate::software::Judge;

#[track_caller]
fn content(output: &Output) {
    let out = String::from_utf8_lossy(&output.stdout);
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && out.contains("the client is content"), "{out}\n{err}");
}

#[tokio::test]
async fn jsforce_is_content_with_the_double() {
    let double = Recorder::start(false).await;
    let Some(output) = Judge::Jsforce.run(&[&double.url(), "judge"], None).await else { return };
    content(&output);
}

#[tokio::test]
async fn simple_salesforce_is_content_with_the_double_over_tls() {
    let double = Recorder::start(true).await;
    let arguments = [&*double.url(), "judge"];
    let certificate = double.certificate.as_deref();
    let Some(output) = Judge::SimpleSalesforce.run(&arguments, certificate).await else { return };
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
    let certificate = double.certificate.as_deref();
    for judge in [Judge::SimpleSalesforce, Judge::Jsforce] {
        let Some(output) = judge.run(&[&double.url(), "read-back"], certificate).await else {
            continue;
        };
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
        (Judge::Jsforce, false, include_str!("recorded/jsforce.jsonl")),
        (Judge::SimpleSalesforce, true, include_str!("recorded/simple_salesforce.jsonl")),
    ] {
        let double = Recorder::start(secure).await;
        let certificate = double.certificate.as_deref();
        let Some(output) = judge.run(&[&double.url(), "record"], certificate).await else {
            continue;
        };
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let lines = double.lines().join("\n") + "\n";
        assert_eq!(lines, recorded, "{judge:?} sends this now:\n{lines}");
    }
}

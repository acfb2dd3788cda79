//! Mixpanel's own Python client, unmodified but for the address, in front of the double.

use std::collections::BTreeMap;
use std::sync::Arc;

use flow::arrow::array::{ArrayRef, StringArray};
use flow::{Mode, Outcome};
use serde_json::{Value, json};
use simulator::Settings;

use crate::{SECRET, TOKEN, batch, client, connect, removed};

async fn sim() -> simulator::Running {
    let options = [("token", TOKEN), ("secret", SECRET)];
    let options = options.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let settings = Settings { options: BTreeMap::from(options), ..Settings::default() };
    simulator::start(writer_product::mixpanel::simulator::build, settings).await.expect("it starts")
}

async fn records(sim: &simulator::Running, object: &str) -> Vec<Value> {
    let url = format!("{}/_sim/records/{object}", sim.url());
    reqwest_get(&url).await.as_array().expect("a list").clone()
}

async fn reqwest_get(url: &str) -> Value {
    let body = writer::Client::new(writer::ClientOptions {
        connection: "admin".to_owned(),
        base_url: writer::BaseUrl::new("admin", Some(url), "").expect("loopback"),
        ca_file: None,
        request_timeout: std::time::Duration::from_secs(30),
        headers: writer::header::HeaderMap::new(),
        metrics: flow::metrics::Metrics::new("0", "0"),
    })
    .expect("a client");
    let request = writer::Request {
        method: writer::Method::GET,
        path: String::new(),
        operation: "admin",
        body: None,
    };
    serde_json::from_slice(&body.send(request).await.expect("an answer").body).expect("JSON")
}

#[tokio::test]
async fn mixpanels_own_client_is_content_with_the_double() {
    let sim = sim().await;
    let Some(out) = client("judge", &sim.url()).await else { return };
    assert!(out.contains("the client is content"), "{out}");
    let profiles = records(&sim, "profiles").await;
    assert_eq!(profiles.len(), 119, "120 made, one deleted");
    let plan = |id: &str| {
        let profile = profiles.iter().find(|profile| profile["distinct_id"] == id);
        profile.map(|profile| profile["properties"]["plan"].clone())
    };
    assert_eq!(
        (plan("py0"), plan("py1"), plan("py2")),
        (Some(json!("pro")), Some(Value::Null), None)
    );
    assert_eq!(records(&sim, "groups.company").await[0]["properties"]["$name"], "Py");
    let events = records(&sim, "events").await;
    assert_eq!((events.len(), &events[0]["event"]), (1, &json!("Order")));
}

#[tokio::test]
async fn a_bad_row_among_good_ones_is_refused_here_since_mixpanel_would_drop_it_silently() {
    let sim = sim().await;
    let destination = connect(&sim.url());
    let ids: ArrayRef = Arc::new(StringArray::from(vec!["ann", "null", "", "bob", "Anonymous"]));
    let names: ArrayRef = Arc::new(StringArray::from(vec!["Ann", "X", "Y", "Bob", "Z"]));
    let rows = batch(
        "profiles",
        Mode::Upsert,
        "distinct_id",
        vec![("distinct_id", ids), ("$name", names)],
    );
    let receipt = destination.write(&rows).await.expect("an answer");
    let words: Vec<&str> = receipt
        .outcomes
        .iter()
        .map(|outcome| match outcome {
            Outcome::AcceptedUnverified { .. } => "accepted",
            Outcome::Rejected { code, .. } => code.id,
            _ => "other",
        })
        .collect();
    assert_eq!(words, ["accepted", "R260", "R260", "accepted", "R260"]);
    assert_eq!(records(&sim, "profiles").await.len(), 2);
    let stats = reqwest_get(&format!("{}/_sim/stats", sim.url())).await;
    assert!(!stats.to_string().contains("\"dropped\":1"), "{stats}");
    // What was written can be deleted by what it is addressed by, twice.
    let addresses: Vec<String> = receipt
        .outcomes
        .iter()
        .filter_map(|outcome| match outcome {
            Outcome::AcceptedUnverified { remote_id } => remote_id.clone(),
            _ => None,
        })
        .collect();
    assert_eq!(addresses, ["ann", "bob"]);
    for _ in 0..2 {
        let gone = removed("profiles", "distinct_id", addresses.clone());
        let receipt = destination.write(&gone).await.expect("an answer");
        assert!(
            receipt
                .outcomes
                .iter()
                .all(|outcome| matches!(outcome, Outcome::AcceptedUnverified { .. }))
        );
        assert!(records(&sim, "profiles").await.is_empty());
    }
}

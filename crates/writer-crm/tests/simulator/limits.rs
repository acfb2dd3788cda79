//! Rate limits: rolling ten seconds, the day, search by the second, and what the headers say.

use serde_json::json;
use simulator::{LimitSwitch, Settings};

use crate::client::{Reply, Sim, UPSERT, many};

const LIST: &str = "/crm/v3/objects/contacts";

fn numbers(reply: &Reply) -> Vec<Option<u64>> {
    ["max", "remaining", "interval-milliseconds", "secondly", "daily", "daily-remaining"]
        .iter()
        .map(|name| reply.header(&format!("x-hubspot-ratelimit-{name}")))
        .map(|value| value.map(|text| text.parse().unwrap()))
        .collect()
}

#[tokio::test]
async fn the_tier_decides_the_limits_and_the_headers_tell_them() {
    for (tier, in_10s, daily) in
        [("free", 100, 250_000), ("professional", 190, 625_000), ("enterprise", 190, 1_000_000)]
    {
        let sim = Sim::start(&[("tier", tier)]).await;
        let expected = [in_10s, in_10s - 1, 10_000, in_10s / 10, daily, daily - 1].map(Some);
        assert_eq!(numbers(&sim.get(LIST).await), expected, "{tier}");
    }
}

#[tokio::test]
async fn a_call_too_many_gets_429_with_the_policy_until_the_window_has_moved() {
    let sim =
        Sim::start(&[("limit_10s", "3"), ("retry_after", "true"), ("clock", "stopped")]).await;
    for left in [2, 1, 0] {
        let reply = sim.post(UPSERT, many(1)).await;
        assert_eq!((reply.status, numbers(&reply)[1]), (200, Some(left)));
    }
    let reply = sim.post(UPSERT, many(2)).await;
    let message = reply.refused(429, "RATE_LIMITS");
    assert_eq!(message, "You have reached your ten_secondly_rolling limit.");
    let body = reply.json();
    assert_eq!(body["policyName"], "TEN_SECONDLY_ROLLING");
    assert_eq!(body["errorType"], "RATE_LIMIT");
    assert_eq!(numbers(&reply)[1], Some(0));
    assert_eq!(reply.header("retry-after"), Some("10"));
    assert_eq!(sim.records("contacts").await.len(), 1, "a refused call does nothing");
    sim.advance(9.999).await;
    assert_eq!(sim.post(UPSERT, many(2)).await.header("retry-after"), Some("1"));
    sim.advance(0.001).await;
    sim.post(UPSERT, many(2)).await.ok(200);
}

#[tokio::test]
async fn a_used_up_day_ends_at_midnight() {
    let sim = Sim::start(&[("limit_daily", "2"), ("clock", "stopped")]).await;
    sim.get(LIST).await.ok(200);
    sim.get(LIST).await.ok(200);
    let reply = sim.get(LIST).await;
    assert_eq!(reply.refused(429, "RATE_LIMITS"), "You have reached your daily limit.");
    assert_eq!(reply.json()["policyName"], "DAILY");
    assert_eq!(
        reply.header("retry-after"),
        None,
        "HubSpot sends it sometimes; the double, by option"
    );
    sim.advance(86_400.0).await;
    sim.get(LIST).await.ok(200);
}

#[tokio::test]
async fn search_has_a_limit_of_its_own_and_no_headers() {
    let sim = Sim::start(&[("limit_10s", "2"), ("limit_search", "3"), ("clock", "stopped")]).await;
    let search = "/crm/v3/objects/contacts/search";
    for _ in 0..3 {
        let reply = sim.post(search, json!({})).await;
        assert_eq!((reply.status, numbers(&reply)), (200, vec![None; 6]));
    }
    let reply = sim.post(search, json!({})).await;
    reply.refused(429, "RATE_LIMITS");
    assert_eq!(reply.json()["policyName"], "SECONDLY");
    sim.advance(1.0).await;
    sim.post(search, json!({})).await.ok(200);
    assert_eq!(numbers(&sim.get(LIST).await)[1], Some(1), "searches leave the ten seconds alone");
}

#[tokio::test]
async fn without_limits_nothing_is_counted_or_told() {
    let options = [("limit_10s".to_owned(), "1".to_owned())].into();
    let off = Settings { limits: LimitSwitch::Off, options, ..Settings::default() };
    let sim = Sim::with(off).await;
    for _ in 0..5 {
        assert_eq!(numbers(&sim.get(LIST).await), vec![None; 6]);
    }
}

/// L1: a test can hold a writer to its quota.
#[tokio::test]
async fn the_statistics_know_the_most_crowded_ten_seconds() {
    let sim = Sim::start(&[("limit_10s", "4"), ("clock", "stopped")]).await;
    for _ in 0..6 {
        sim.post(UPSERT, many(3)).await;
    }
    sim.advance(10.0).await;
    sim.get(LIST).await.ok(200);
    let stats = sim.stats().await;
    assert_eq!((&stats["max_in_10s"], &stats["max_admitted_in_10s"]), (&json!(6), &json!(4)));
    assert_eq!((&stats["requests"], &stats["throttled"]), (&json!(7), &json!(2)));
    assert_eq!((&stats["writes"], &stats["rows_written"]), (&json!(6), &json!(12)));
    let upserts = &stats["by_operation"]["batch_upsert"];
    assert_eq!(upserts["by_status"], json!({ "200": 4, "429": 2 }));
    let contacts = &stats["vendor"]["objects"]["contacts"];
    assert_eq!((&contacts["records"], &contacts["created"]), (&json!(3), &json!(3)));
    assert_eq!((&contacts["updated"], &contacts["updates_max"]), (&json!(9), &json!(3)));
}

#[tokio::test]
async fn the_journal_tells_every_call_but_the_simulators_own() {
    let sim = Sim::start(&[("journal", "2")]).await;
    sim.get(LIST).await.ok(200);
    sim.post(UPSERT, many(3)).await.ok(200);
    sim.get("/crm/v3/nothing?secret=1").await.refused(404, "OBJECT_NOT_FOUND");
    let journal = sim.get("/_sim/journal").await.ok(200);
    let lines = journal.as_array().unwrap();
    assert_eq!(lines.len(), 2, "the ring holds the last two");
    assert_eq!((&lines[0]["number"], &lines[0]["method"]), (&json!(2), &json!("POST")));
    assert_eq!((&lines[0]["path"], &lines[0]["status"]), (&json!(UPSERT), &json!(200)));
    assert_eq!((&lines[0]["rows"], &lines[0]["operation"]), (&json!(3), &json!("batch_upsert")));
    assert!(lines[0]["bytes_in"].as_u64().unwrap() > 100);
    assert!(lines[0]["ms"].as_f64().unwrap() <= lines[1]["ms"].as_f64().unwrap());
    assert_eq!((&lines[1]["path"], &lines[1]["status"]), (&json!("/crm/v3/nothing"), &json!(404)));
    let after = sim.get("/_sim/journal?after=2").await.ok(200);
    assert_eq!(after.as_array().unwrap().len(), 1);
    assert_eq!(sim.stats().await["requests"], 3);
}

#[tokio::test]
async fn a_reset_forgets_what_it_is_told_to() {
    let sim = Sim::start(&[
        ("limit_10s", "2"),
        ("clock", "stopped"),
        ("property", "contacts:plan:string"),
    ])
    .await;
    sim.fault("do=status:500").await;
    sim.post(UPSERT, many(1)).await.refused(500, "INTERNAL_ERROR");
    sim.post(UPSERT, many(1)).await.ok(200);
    let reset = |only: &str| format!("/_sim/reset?only={only}");
    sim.post(&reset("journal,limits"), json!({})).await.ok(200);
    assert_eq!(sim.stats().await["requests"], 0);
    assert_eq!(sim.records("contacts").await.len(), 1);
    sim.post(UPSERT, many(1)).await.ok(200);
    sim.post("/_sim/reset", json!({})).await.ok(200);
    assert!(sim.records("contacts").await.is_empty());
    assert_eq!(sim.get("/_sim/faults").await.ok(200), json!([]));
    sim.get("/crm/v3/properties/contacts/plan").await.ok(200);
    let unknown = sim.post(&reset("everything"), json!({})).await.ok(400);
    assert!(unknown["error"].as_str().unwrap().contains("no part `everything`"));
    sim.get("/_sim/nothing").await.ok(404);
    sim.get("/_sim/health").await.ok(200);
}

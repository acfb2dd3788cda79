//! Every fault of the script, played on real sockets and real records (F9, F12-F17).

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::client::{Reply, Sim, UPSERT, error, many, traces, upsert_body};

/// Sends an upsert that is to fail on the wire; the io error underneath.
async fn broken(sim: &Sim) -> std::io::ErrorKind {
    let request = sim.request(Method::POST, UPSERT).json(&many(2));
    let error = sim.try_send(request).await.expect_err("the connection is cut");
    let mut source: Option<&dyn std::error::Error> = Some(&error);
    while let Some(inner) = source {
        if let Some(io) = inner.downcast_ref::<std::io::Error>() {
            return io.kind();
        }
        source = inner.source();
    }
    panic!("no io error: {error:?}");
}

async fn count(sim: &Sim) -> usize {
    sim.records("contacts").await.len()
}

#[tokio::test]
async fn a_reset_is_a_tcp_reset_and_nothing_is_done() {
    let sim = Sim::start(&[]).await;
    sim.fault("match=/batch/upsert;do=reset").await;
    assert_eq!(broken(&sim).await, std::io::ErrorKind::ConnectionReset);
    assert_eq!(count(&sim).await, 0);
    sim.post(UPSERT, many(2)).await.ok(200);
    let stats = sim.stats().await;
    assert_eq!((&stats["unanswered"], &stats["faults"]), (&json!(1), &json!({ "reset": 1 })));
    let journal = sim.get("/_sim/journal").await.ok(200);
    assert_eq!((&journal[0]["status"], &journal[0]["faults"]), (&json!(0), &json!(["reset"])));
}

#[tokio::test]
async fn an_answer_can_be_lost_after_the_work_is_done() {
    let sim = Sim::start(&[]).await;
    sim.fault("do=apply-then-reset").await;
    assert_eq!(broken(&sim).await, std::io::ErrorKind::ConnectionReset);
    assert_eq!(count(&sim).await, 2);
    sim.fault("do=apply-then-status:503;body=html").await;
    let reply = sim.post(UPSERT, many(3)).await;
    assert_eq!(
        (reply.status, reply.header("content-type").unwrap()),
        (503, "text/html; charset=utf-8")
    );
    assert!(reply.text.starts_with("<!DOCTYPE html>"));
    assert_eq!(count(&sim).await, 3);
}

#[tokio::test]
async fn a_scripted_429_names_its_policy_and_wait() {
    let sim = Sim::start(&[]).await;
    sim.fault("match=/batch/upsert;nth=2;times=2;do=status:429;policy=DAILY;retry-after=30").await;
    sim.post(UPSERT, many(1)).await.ok(200);
    for _ in 0..2 {
        let reply = sim.post(UPSERT, many(2)).await;
        assert_eq!(reply.refused(429, "RATE_LIMITS"), "You have reached your daily limit.");
        assert_eq!(reply.json()["policyName"], "DAILY");
        assert_eq!(reply.header("retry-after"), Some("30"));
    }
    assert_eq!(count(&sim).await, 1);
    sim.post(UPSERT, many(2)).await.ok(200);
}

#[tokio::test]
async fn scripted_bodies_may_be_anything() {
    let sim = Sim::start(&[]).await;
    for (rule, status, check) in [
        ("do=status:502;body=html", 502, "<!DOCTYPE html>"),
        ("do=status:500;body=text", 500, "upstream error"),
        ("do=status:504;body=empty", 504, ""),
        ("do=status:200;body=text", 200, "upstream error"),
        (
            "do=status:423;message=Row is locked;category=LOCK",
            423,
            "{\"status\":\"error\",\"message\":\"Row is locked\"",
        ),
    ] {
        sim.fault(rule).await;
        let reply = sim.post(UPSERT, many(1)).await;
        assert_eq!(reply.status, status, "{rule}");
        assert!(reply.text.starts_with(check), "{rule}: {}", reply.text);
    }
    sim.fault("do=status:500;body=huge:3").await;
    assert_eq!(sim.post(UPSERT, many(1)).await.text.len(), 3 * 1024 * 1024);
    sim.fault("do=status:477;retry-after=Fri, 31 Dec 1999 23:59:59 GMT").await;
    let reply = sim.post(UPSERT, many(1)).await;
    assert_eq!(
        reply.refused(477, "MIGRATION_IN_PROGRESS"),
        "The account is being moved; try again later"
    );
    assert_eq!(reply.header("retry-after"), Some("Fri, 31 Dec 1999 23:59:59 GMT"));
    assert_eq!(count(&sim).await, 0);
}

#[tokio::test]
async fn a_body_may_end_in_the_middle() {
    let sim = Sim::start(&[]).await;
    sim.fault("do=truncate").await;
    let request = sim.request(Method::POST, UPSERT).json(&many(2));
    let error = sim.try_send(request).await.expect_err("the body is cut short");
    assert!(error.is_body() || error.is_decode(), "{error:?}");
    assert_eq!(count(&sim).await, 2, "the work is done");
    sim.fault("do=half-body").await;
    let reply = sim.post(UPSERT, many(2)).await;
    assert_eq!(reply.status, 200);
    assert!(serde_json::from_str::<Value>(&reply.text).is_err(), "{}", reply.text);
}

/// F9: a peer that sends byte by byte.
#[tokio::test]
async fn a_body_may_dribble() {
    let sim = Sim::start(&[]).await;
    sim.fault("do=slow-body:1000").await;
    let started = Instant::now();
    let reply = sim.post(UPSERT, many(2)).await;
    assert_eq!(traces(&reply.ok(200)).len(), 2);
    let expected = Duration::from_millis(reply.text.len() as u64 * 9 / 10);
    assert!(started.elapsed() >= expected, "{:?} < {expected:?}", started.elapsed());
}

#[tokio::test]
async fn an_answer_may_be_late_or_never_come() {
    let sim = Sim::start(&[]).await;
    let brief = || {
        let request = sim.request(Method::POST, UPSERT).json(&many(2));
        request.timeout(Duration::from_millis(100))
    };
    for rule in ["do=hang", "do=delay:60000"] {
        sim.fault(rule).await;
        assert!(sim.try_send(brief()).await.expect_err(rule).is_timeout());
    }
    assert_eq!(count(&sim).await, 0, "a client that goes away before the work undoes it");
    sim.fault("do=delay:50").await;
    let started = Instant::now();
    sim.post(UPSERT, many(2)).await.ok(200);
    assert!(started.elapsed() >= Duration::from_millis(50));
}

/// F15: the work is done after the client has given up.
#[tokio::test]
async fn work_may_be_done_after_the_client_has_gone() {
    let sim = Sim::start(&[]).await;
    sim.fault("do=late-apply:2000").await;
    let request = sim.request(Method::POST, UPSERT).json(&many(2));
    let request = request.timeout(Duration::from_millis(100));
    assert!(sim.try_send(request).await.expect_err("too late").is_timeout());
    assert_eq!(count(&sim).await, 0);
    let deadline = Instant::now() + Duration::from_secs(10);
    while count(&sim).await < 2 {
        assert!(Instant::now() < deadline, "the late work is never done");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn results_may_be_missing_doubled_or_empty() {
    let sim = Sim::start(&[("shuffle", "false")]).await;
    let upsert = async |rule: &str| -> Reply {
        sim.fault(rule).await;
        sim.post(UPSERT, many(4)).await
    };
    let body = upsert("do=empty-result").await.ok(200);
    assert_eq!((&body["results"], body.get("errors")), (&json!([]), None));
    let body = upsert("do=empty-result:207").await.ok(207);
    assert_eq!((&body["results"], &body["errors"]), (&json!([]), &json!([])));
    let body = upsert("do=drop-rows:1").await.ok(207);
    assert_eq!(traces(&body), ["row-0", "row-1", "row-2"]);
    assert_eq!((&body["numErrors"], &body["errors"]), (&json!(0), &json!([])));
    let body = upsert("do=duplicate-rows:2").await.ok(200);
    assert_eq!(traces(&body), ["row-0", "row-1", "row-2", "row-3", "row-0", "row-1"]);
    let body = upsert("do=reorder").await.ok(200);
    assert_eq!(traces(&body), ["row-3", "row-2", "row-1", "row-0"]);
    assert_eq!(count(&sim).await, 4, "the work is done each time");
    assert_eq!(sim.stats().await["vendor"]["objects"]["contacts"]["updates_max"], 4);
}

#[tokio::test]
async fn a_chosen_row_may_be_refused_alone() {
    let sim = Sim::start(&[]).await;
    sim.fault("do=reject-row:email=eve@x.io;times=1;category=OWNER_GONE;message=No owner").await;
    sim.fault("do=reject-row:city=Rom").await;
    let rows = [
        ("ada@x.io", json!({ "city": "Rom" })),
        ("eve@x.io", json!({ "email": "eve@x.io" })),
        ("bob@x.io", json!({ "city": "Bonn" })),
    ];
    let body = sim.upsert(&rows).await.ok(207);
    assert_eq!(traces(&body), ["row-2"]);
    assert_eq!(error(&body, "row-1")["category"], "OWNER_GONE");
    assert_eq!(error(&body, "row-1")["message"], "No owner");
    assert_eq!(error(&body, "row-0")["category"], "VALIDATION_ERROR");
    let body = sim.upsert(&rows).await.ok(207);
    assert_eq!((traces(&body).len(), &body["numErrors"]), (2, &json!(1)), "once is over");
    assert_eq!(count(&sim).await, 2);
}

/// One bad row makes HubSpot refuse the whole batch: a writer has to halve it.
#[tokio::test]
async fn a_poisoned_row_refuses_every_batch_that_holds_it() {
    let sim = Sim::start(&[]).await;
    sim.fault("do=poison-row:user-7@x.io;code=409\ndo=poison-row:email=bad@x.io").await;
    for _ in 0..2 {
        sim.post(UPSERT, many(8)).await.refused(409, "CONFLICT");
    }
    sim.post(UPSERT, many(7)).await.ok(200);
    let poisoned = upsert_body(&[("ada@x.io", json!({ "email": "bad@x.io" }))]);
    sim.post(UPSERT, poisoned).await.refused(400, "VALIDATION_ERROR");
    assert_eq!(count(&sim).await, 7);
    let faults = sim.get("/_sim/faults").await.ok(200);
    assert_eq!((&faults[0]["action"], &faults[0]["fired"]), (&json!("poison-row"), &json!(2)));
}

/// F17: a token that expires in the middle of a run.
#[tokio::test]
async fn credentials_may_be_refused_from_some_call_on() {
    let sim = Sim::start(&[]).await;
    sim.fault("nth=2;times=*;do=unauthorized").await;
    sim.post(UPSERT, many(1)).await.ok(200);
    for _ in 0..2 {
        sim.post(UPSERT, many(2)).await.refused(401, "INVALID_AUTHENTICATION");
    }
    let cleared = sim.send(sim.request(Method::DELETE, "/_sim/faults")).await;
    cleared.ok(200);
    sim.post(UPSERT, many(2)).await.ok(200);
}

#[tokio::test]
async fn a_rule_may_look_for_text_in_the_body_or_fire_by_chance() {
    let sim = Sim::start(&[]).await;
    sim.fault("contains=user-3@;do=status:500;times=*").await;
    sim.post(UPSERT, many(3)).await.ok(200);
    sim.post(UPSERT, many(4)).await.refused(500, "INTERNAL_ERROR");
    sim.send(sim.request(Method::DELETE, "/_sim/faults")).await.ok(200);
    sim.fault("p=0.5;seed=3;do=status:503").await;
    let mut failed = 0;
    for _ in 0..60 {
        failed += usize::from(sim.get("/crm/v3/objects/contacts").await.status == 503);
    }
    assert!((15..=45).contains(&failed), "{failed} of 60 at p=0.5");
}

#[tokio::test]
async fn a_rule_that_cannot_be_read_is_refused_and_changes_nothing() {
    let sim = Sim::start(&[]).await;
    let request = sim.request(Method::POST, "/_sim/faults").body("do=reset\ndo=explode");
    let reply = sim.send(request).await;
    assert_eq!(reply.status, 400);
    assert!(reply.text.contains("unknown action `explode`"), "{}", reply.text);
    assert_eq!(sim.get("/_sim/faults").await.ok(200), json!([]));
    let list = sim.request(Method::POST, "/_sim/faults").json(&json!(["do=reset", "do=hang"]));
    assert_eq!(sim.send(list).await.ok(200)["added"], 2);
}

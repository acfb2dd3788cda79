//! Credentials, scopes, paths and bodies: what is refused before a row is looked at.

use reqwest::Method;
use serde_json::json;

use crate::client::{Sim, UPSERT, many};

#[tokio::test]
async fn a_call_without_a_token_is_refused_and_uses_up_no_quota() {
    let sim = Sim::start(&[]).await;
    let url = format!("{}{UPSERT}", sim.url());
    let reply = sim.send(crate::client::http().post(url).json(&many(1))).await;
    let message = reply.refused(401, "INVALID_AUTHENTICATION");
    assert!(message.starts_with("Authentication credentials not found."), "{message}");
    assert_eq!(reply.header("x-hubspot-ratelimit-remaining"), None);
    assert!(sim.records("contacts").await.is_empty());
    let next = sim.get("/crm/v3/objects/contacts").await;
    assert_eq!(next.header("x-hubspot-ratelimit-remaining"), Some("189"));
}

#[tokio::test]
async fn only_the_configured_token_is_accepted() {
    let sim = Sim::start(&[("token", "pat-na1-right")]).await;
    sim.get("/crm/v3/objects/contacts").await.refused(401, "INVALID_AUTHENTICATION");
    let url = format!("{}/crm/v3/objects/contacts", sim.url());
    let request = crate::client::http().get(url).bearer_auth("pat-na1-right");
    sim.send(request).await.ok(200);
}

#[tokio::test]
async fn a_token_without_the_scope_is_refused_by_name() {
    let scopes = "crm.objects.contacts.read,crm.schemas.contacts.read";
    let sim = Sim::start(&[("scopes", scopes)]).await;
    sim.get("/crm/v3/objects/contacts").await.ok(200);
    sim.get("/crm/v3/properties/contacts").await.ok(200);
    let reply = sim.post(UPSERT, many(1)).await;
    reply.refused(403, "MISSING_SCOPES");
    let body = reply.json();
    let wanted = json!(["crm.objects.contacts.write"]);
    assert_eq!(body["errors"][0]["context"]["requiredGranularScopes"], wanted);
    sim.get("/crm/v3/objects/0-2").await.refused(403, "MISSING_SCOPES");
}

#[tokio::test]
async fn unknown_paths_methods_and_objects_are_refused_in_json() {
    let sim = Sim::start(&[]).await;
    sim.get("/crm/v3/nothing").await.refused(404, "OBJECT_NOT_FOUND");
    sim.get("/").await.refused(404, "OBJECT_NOT_FOUND");
    sim.get(UPSERT).await.refused(405, "METHOD_NOT_ALLOWED");
    let reply = sim.get("/crm/v3/objects/leads").await;
    let message = reply.refused(400, "VALIDATION_ERROR");
    assert_eq!(message, "Unable to infer object type from: leads");
}

#[tokio::test]
async fn a_body_that_is_not_labelled_or_not_json_is_refused() {
    let sim = Sim::start(&[("body_max", "2000")]).await;
    let post = || sim.request(Method::POST, UPSERT);
    let reply = sim.send(post().body("{}")).await;
    reply.refused(415, "UNSUPPORTED_MEDIA_TYPE");
    let json = |body: &'static str| post().header("content-type", "application/json").body(body);
    let message = sim.send(json("{\"inputs\":[")).await.refused(400, "VALIDATION_ERROR");
    assert!(message.starts_with("Invalid input JSON on line 1, column 11"), "{message}");
    sim.send(json("{}")).await.refused(400, "VALIDATION_ERROR");
    sim.post(UPSERT, many(40)).await.refused(413, "REQUEST_TOO_LARGE");
}

#[tokio::test]
async fn an_option_that_cannot_be_used_stops_the_start() {
    for (name, value, why) in [
        ("teir", "free", "unknown option `teir`"),
        ("tier", "gold", "`gold` is not free"),
        ("limit_10s", "many", "cannot read `many`"),
        ("property", "contacts:plan:picklist", "unknown type"),
        ("property", "leads:plan:string", "no object `leads`"),
        ("property.2", "contacts:email:string", "already exists"),
    ] {
        let options = [(name.to_owned(), value.to_owned())].into();
        let settings = simulator::Settings { options, ..Default::default() };
        let error = writer_crm::hubspot::simulator::build(&settings).unwrap_err();
        assert!(error.contains(why), "{error}");
    }
}

#[tokio::test]
async fn dated_paths_and_aliases_reach_the_same_records() {
    let sim = Sim::start(&[]).await;
    sim.post("/crm/objects/2026-03/0-1/batch/upsert", many(1)).await.ok(200);
    sim.post("/crm/v3/objects/contact/batch/upsert", many(1)).await.ok(200);
    let list = sim.get("/crm/objects/2026-09/contacts").await.ok(200);
    assert_eq!(list["results"].as_array().unwrap().len(), 1);
    assert_eq!(sim.get("/account-info/v3/details").await.ok(200)["timeZone"], "UTC");
}

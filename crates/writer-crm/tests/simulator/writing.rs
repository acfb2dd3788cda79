//! Batch writes: attribution, duplicates, conflicts, partial failure, and what is remembered.

use reqwest::Method;
use serde_json::{Value, json};

use crate::client::{Sim, UPSERT, error, many, result, traces, upsert_body};

#[tokio::test]
async fn an_upsert_creates_then_updates_and_says_which() {
    let sim = Sim::start(&[]).await;
    let rows = [("Ada@X.io", json!({ "firstname": "Ada" })), ("eve@x.io", json!({}))];
    let body = sim.upsert(&rows).await.ok(200);
    assert_eq!(body["status"], "COMPLETE");
    assert_eq!(body.get("numErrors"), None);
    let ada = result(&body, "row-0");
    assert_eq!(ada["new"], true);
    assert_eq!(ada["properties"]["email"], "ada@x.io", "addresses are kept in lower case");
    assert_eq!(ada["properties"]["hs_object_id"], ada["id"]);
    let body = sim.upsert(&[("ADA@x.IO", json!({ "lastname": "Byron" }))]).await.ok(200);
    let again = result(&body, "row-0");
    assert_eq!((&again["new"], &again["id"]), (&json!(false), &ada["id"]));
    let records = sim.records("contacts").await;
    assert_eq!(records.len(), 2);
    assert_eq!(records[0]["properties"]["firstname"], "Ada");
    assert_eq!(records[0]["properties"]["lastname"], "Byron");
    assert_eq!((&records[0]["writes"], &records[0]["version"]), (&json!(2), &json!(3)));
    assert_eq!((&records[1]["writes"], &records[1]["version"]), (&json!(1), &json!(2)));
}

/// D6: an answer's position says nothing about its row.
#[tokio::test]
async fn results_come_in_an_order_of_their_own_that_the_seed_decides() {
    let orders = |seed: &'static str| async move {
        let sim = Sim::start(&[("seed", seed)]).await;
        traces(&sim.post(UPSERT, many(100)).await.ok(200))
    };
    let first = orders("7").await;
    assert_eq!(first.len(), 100);
    assert_eq!(first, orders("7").await);
    assert_ne!(first, orders("8").await);
    let sent: Vec<String> = (0..100).map(|number| format!("row-{number}")).collect();
    assert_ne!(first, sent);
    let sim = Sim::start(&[("shuffle", "false")]).await;
    assert_eq!(traces(&sim.post(UPSERT, many(100)).await.ok(200)), sent);
}

#[tokio::test]
async fn a_batch_holds_one_to_a_hundred_rows() {
    let sim = Sim::start(&[]).await;
    let message = sim.post(UPSERT, many(101)).await.refused(400, "VALIDATION_ERROR");
    assert!(message.contains("cannot exceed 100"), "{message}");
    sim.post(UPSERT, json!({ "inputs": [] })).await.refused(400, "VALIDATION_ERROR");
    assert!(sim.records("contacts").await.is_empty());
}

#[tokio::test]
async fn the_same_id_twice_refuses_the_whole_batch() {
    let sim = Sim::start(&[]).await;
    let rows = [("ada@x.io", json!({})), ("eve@x.io", json!({})), ("ADA@X.IO", json!({}))];
    let reply = sim.upsert(&rows).await;
    let message = reply.refused(400, "VALIDATION_ERROR");
    assert_eq!(message, "Duplicate IDs found in batch input: [ada@x.io]. IDs must be unique");
    assert_eq!(reply.json()["context"]["ids"], json!(["ada@x.io"]));
    assert!(sim.records("contacts").await.is_empty());
}

#[tokio::test]
async fn a_bad_row_is_refused_alone_when_every_row_has_a_trace_id() {
    let sim = Sim::with_custom_properties().await;
    let rows = [
        ("ada@x.io", json!({ "plan": "Pro" })),
        ("eve@x.io", json!({ "plan": "Gold" })),
        ("not-an-address", json!({ "plan": "Pro" })),
    ];
    let body = sim.upsert(&rows).await.ok(207);
    assert_eq!((&body["numErrors"], traces(&body)), (&json!(2), vec!["row-0".to_owned()]));
    let plan = error(&body, "row-1");
    assert_eq!((&plan["status"], &plan["category"]), (&json!("error"), &json!("VALIDATION_ERROR")));
    let message = plan["message"].as_str().unwrap();
    assert!(message.contains("Gold was not one of the allowed options: [Free, Pro]"), "{message}");
    assert!(message.contains("INVALID_OPTION"), "{message}");
    let email = error(&body, "row-2")["message"].as_str().unwrap();
    assert!(email.contains("INVALID_EMAIL"), "{email}");
    assert_eq!(sim.records("contacts").await.len(), 1);
}

#[tokio::test]
async fn a_bad_row_refuses_the_whole_batch_when_it_could_not_be_named() {
    let sim = Sim::with_custom_properties().await;
    let mut body = upsert_body(&[("a@x.io", json!({ "plan": "Gold" })), ("b@x.io", json!({}))]);
    body["inputs"][1]["objectWriteTraceId"] = json!("row-0");
    let message = sim.post(UPSERT, body.clone()).await.refused(400, "VALIDATION_ERROR");
    assert!(message.contains("INVALID_OPTION"), "{message}");
    body["inputs"][1].as_object_mut().unwrap().remove("objectWriteTraceId");
    sim.post(UPSERT, body).await.refused(400, "VALIDATION_ERROR");
    assert!(sim.records("contacts").await.is_empty());
}

#[tokio::test]
async fn unknown_and_read_only_properties_refuse_the_whole_batch() {
    let sim = Sim::start(&[]).await;
    for (name, code) in [
        ("favourite", "PROPERTY_DOESNT_EXIST"),
        ("createdate", "READ_ONLY_VALUE"),
        ("hs_object_id", "READ_ONLY_VALUE"),
    ] {
        let rows = [("ada@x.io", json!({})), ("eve@x.io", json!({ name: "1" }))];
        let message = sim.upsert(&rows).await.refused(400, "VALIDATION_ERROR");
        let list = message.strip_prefix("Property values were not valid: ").unwrap();
        let list: Value = serde_json::from_str(list).unwrap();
        assert_eq!((&list[0]["error"], &list[0]["name"]), (&json!(code), &json!(name)));
    }
    assert!(sim.records("contacts").await.is_empty());
}

#[tokio::test]
async fn only_a_unique_property_finds_records() {
    let sim = Sim::with_custom_properties().await;
    let by = |property: &str, id: &str| {
        let input = json!({ "idProperty": property, "id": id, "properties": {} });
        json!({ "inputs": [input] })
    };
    let message = sim.post(UPSERT, by("firstname", "Ada")).await.refused(400, "VALIDATION_ERROR");
    assert!(message.contains("non-unique 0-1 property"), "{message}");
    sim.post(UPSERT, by("nothing", "Ada")).await.refused(400, "VALIDATION_ERROR");
    sim.post(UPSERT, by("external_id", "")).await.refused(400, "VALIDATION_ERROR");
    let body = sim.post(UPSERT, by("external_id", "u-1")).await.ok(200);
    assert_eq!(body["results"][0]["properties"]["external_id"], "u-1");
    // An update refuses the address although an upsert takes it.
    let update = "/crm/v3/objects/contacts/batch/update";
    sim.post(update, by("email", "ada@x.io")).await.refused(400, "VALIDATION_ERROR");
    sim.post(update, by("external_id", "u-1")).await.ok(200);
}

#[tokio::test]
async fn an_upsert_without_id_property_goes_by_record_id() {
    let sim = Sim::start(&[]).await;
    let made = sim.upsert(&[("ada@x.io", json!({}))]).await.ok(200);
    let id = &made["results"][0]["id"];
    let input = |id: &Value| json!({ "inputs": [{ "id": id, "properties": { "city": "Rom" } }] });
    assert_eq!(sim.post(UPSERT, input(id)).await.ok(200)["results"][0]["new"], false);
    let body = sim.post(UPSERT, input(&json!("1"))).await.ok(207);
    assert_eq!(body["errors"][0]["category"], "OBJECT_NOT_FOUND");
    assert_eq!(body["errors"][0]["context"]["ids"], json!(["1"]));
}

#[tokio::test]
async fn a_unique_value_of_another_record_refuses_the_whole_batch() {
    let sim = Sim::with_custom_properties().await;
    let made = sim.upsert(&[("ada@x.io", json!({ "external_id": "u-1" }))]).await.ok(200);
    let id = made["results"][0]["id"].as_str().unwrap();
    let rows = [("eve@x.io", json!({ "external_id": "u-1" })), ("bob@x.io", json!({}))];
    let message = sim.upsert(&rows).await.refused(409, "CONFLICT");
    assert_eq!(message, format!("Contact already exists. Existing ID: {id}"));
    let rows = [
        ("eve@x.io", json!({ "external_id": "u-2" })),
        ("bob@x.io", json!({ "external_id": "u-2" })),
    ];
    sim.upsert(&rows).await.refused(409, "CONFLICT");
    assert_eq!(sim.records("contacts").await.len(), 1, "nothing of a refused batch is kept");
    sim.upsert(&[("ada@x.io", json!({ "external_id": "u-3" }))]).await.ok(200);
    sim.upsert(&[("eve@x.io", json!({ "external_id": "u-1" }))]).await.ok(200);
}

#[tokio::test]
async fn a_further_address_finds_the_same_contact_and_stays_a_further_one() {
    let sim = Sim::start(&[]).await;
    let further = json!({ "hs_additional_emails": "A2@x.io;a3@x.io" });
    let made = sim.upsert(&[("ada@x.io", further)]).await.ok(200);
    let body = sim.upsert(&[("a2@X.io", json!({ "city": "Rom" }))]).await.ok(200);
    assert_eq!(body["results"][0]["id"], made["results"][0]["id"]);
    assert_eq!(body["results"][0]["new"], false);
    let records = sim.records("contacts").await;
    assert_eq!(records.len(), 1);
    assert_eq!(records[0]["properties"]["email"], "ada@x.io");
    assert_eq!(records[0]["properties"]["hs_additional_emails"], "a2@x.io;a3@x.io");
    // Another contact cannot have it.
    let taken = [("eve@x.io", json!({ "hs_additional_emails": "a3@x.io" }))];
    sim.upsert(&taken).await.refused(409, "CONFLICT");
}

#[tokio::test]
async fn create_refuses_what_exists_and_answers_201() {
    let sim = Sim::start(&[]).await;
    let create = "/crm/v3/objects/contacts/batch/create";
    let row = |email: &str, trace: &str| {
        let properties = json!({ "email": email });
        json!({ "properties": properties, "objectWriteTraceId": trace })
    };
    let both = json!({ "inputs": [row("ada@x.io", "1"), row("eve@x.io", "2")] });
    let body = sim.post(create, both.clone()).await.ok(201);
    assert_eq!(body["results"].as_array().unwrap().len(), 2);
    assert_eq!(body["results"][0].get("new"), None);
    let message = sim.post(create, both).await.refused(409, "CONFLICT");
    assert!(message.starts_with("Contact already exists. Existing ID: "), "{message}");
    let mixed = json!({ "inputs": [row("bob@x.io", "1"), row("bad", "2")] });
    assert_eq!(sim.post(create, mixed).await.ok(207)["numErrors"], 1);
    // Without any key a contact can be made again and again: creating is not idempotent.
    let nameless = json!({ "inputs": [{ "properties": { "firstname": "Ada" } }] });
    sim.post(create, nameless.clone()).await.ok(201);
    sim.post(create, nameless).await.ok(201);
    assert_eq!(sim.records("contacts").await.len(), 5);
}

#[tokio::test]
async fn an_update_names_the_rows_it_did_not_find() {
    let sim = Sim::start(&[]).await;
    let made = sim.upsert(&[("ada@x.io", json!({}))]).await.ok(200);
    let id = made["results"][0]["id"].as_str().unwrap();
    let input = |id: &str, trace: &str| {
        let properties = json!({ "city": "Rom" });
        json!({ "id": id, "properties": properties, "objectWriteTraceId": trace })
    };
    let rows = json!({ "inputs": [input(id, "a"), input("151999999999", "b")] });
    let body = sim.post("/crm/v3/objects/contacts/batch/update", rows).await.ok(207);
    assert_eq!(result(&body, "a")["properties"]["city"], "Rom");
    assert_eq!(error(&body, "b")["category"], "OBJECT_NOT_FOUND");
    assert_eq!(sim.records("contacts").await.len(), 1, "an update never creates");
}

#[tokio::test]
async fn an_archived_record_is_gone_and_its_key_makes_a_new_one() {
    let sim = Sim::start(&[]).await;
    let made = sim.upsert(&[("ada@x.io", json!({ "city": "Rom" }))]).await.ok(200);
    let id = made["results"][0]["id"].as_str().unwrap();
    let archive = json!({ "inputs": [{ "id": id }, { "id": "7" }] });
    let reply = sim.post("/crm/v3/objects/contacts/batch/archive", archive).await;
    assert_eq!((reply.status, reply.text.as_str()), (204, ""));
    sim.get(&format!("/crm/v3/objects/contacts/{id}")).await.refused(404, "OBJECT_NOT_FOUND");
    let path = format!("/crm/v3/objects/contacts/{id}?archived=true");
    let gone = sim.get(&path).await.ok(200);
    assert_eq!((&gone["archived"], gone["archivedAt"].is_string()), (&json!(true), true));
    let again = sim.upsert(&[("ada@x.io", json!({}))]).await.ok(200);
    assert_eq!(again["results"][0]["new"], true);
    assert_ne!(again["results"][0]["id"], id);
    assert_eq!(sim.records("contacts").await.len(), 1);
    let all = sim.get("/_sim/records/contacts?archived=true").await.ok(200);
    assert_eq!(all.as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn companies_and_deals_have_keys_of_their_own() {
    let sim = Sim::with_custom_properties().await;
    let rows = json!({ "inputs": [
        { "idProperty": "account", "id": "acme", "properties": { "name": "Acme" } },
    ] });
    let body = sim.post("/crm/v3/objects/companies/batch/upsert", rows).await.ok(200);
    assert_eq!(body["results"][0]["properties"]["account"], "acme");
    assert!(body["results"][0]["properties"]["hs_lastmodifieddate"].is_string());
    // Nothing makes an address a key outside contacts.
    let rows = json!({ "inputs": [{ "idProperty": "email", "id": "a@x.io", "properties": {} }] });
    let deals = "/crm/v3/objects/0-3/batch/upsert";
    sim.post(deals, rows).await.refused(400, "VALIDATION_ERROR");
    let create = json!({ "properties": { "dealname": "Big", "dealstage": "closedwon" } });
    let deal = sim.post("/crm/v3/objects/deals", create).await.ok(201);
    assert_eq!(deal["properties"]["dealname"], "Big");
}

#[tokio::test]
async fn single_records_are_made_read_changed_and_archived() {
    let sim = Sim::start(&[]).await;
    let contacts = "/crm/v3/objects/contacts";
    let made = sim.post(contacts, json!({ "properties": { "email": "ada@x.io" } })).await.ok(201);
    let one = format!("{contacts}/{}", made["id"].as_str().unwrap());
    let twice = sim.post(contacts, json!({ "properties": { "email": "ADA@x.io" } })).await;
    twice.refused(409, "CONFLICT");
    let bad = sim.post(contacts, json!({ "properties": { "email": "nope" } })).await;
    bad.refused(400, "VALIDATION_ERROR");
    let patch = sim.request(Method::PATCH, &one).json(&json!({ "properties": { "city": "Rom" } }));
    assert_eq!(sim.send(patch).await.ok(200)["properties"]["city"], "Rom");
    let by_email = format!("{contacts}/Ada@x.io?idProperty=email&properties=city,firstname");
    let shown = sim.get(&by_email).await.ok(200);
    assert_eq!(shown["properties"]["city"], "Rom");
    assert_eq!(shown["properties"]["firstname"], Value::Null);
    let deleted = sim.send(sim.request(Method::DELETE, &one)).await;
    assert_eq!(deleted.status, 204);
    let late = sim.request(Method::PATCH, &one).json(&json!({ "properties": {} }));
    sim.send(late).await.refused(404, "OBJECT_NOT_FOUND");
}

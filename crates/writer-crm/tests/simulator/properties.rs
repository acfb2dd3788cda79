//! Describing properties, and adding one.

use serde_json::{Value, json};

use crate::client::Sim;

async fn described(sim: &Sim, name: &str) -> Value {
    sim.get(&format!("/crm/v3/properties/contacts/{name}")).await.ok(200)
}

#[tokio::test]
async fn every_type_is_described_as_hubspot_does() {
    let sim = Sim::with_custom_properties().await;
    for (name, wire_type, field_type) in [
        ("email", "string", "text"),
        ("message", "string", "textarea"),
        ("phone", "phone_number", "phonenumber"),
        ("score", "number", "number"),
        ("born", "date", "date"),
        ("seen", "datetime", "date"),
        ("active", "bool", "booleancheckbox"),
        ("lifecyclestage", "enumeration", "select"),
        ("tags", "enumeration", "checkbox"),
        ("hubspot_owner_id", "enumeration", "select"),
    ] {
        let shown = described(&sim, name).await;
        let types = (shown["type"].as_str(), shown["fieldType"].as_str());
        assert_eq!(types, (Some(wire_type), Some(field_type)), "{name}");
        assert_eq!(shown["calculated"], false, "{name}");
        assert!(shown["groupName"].is_string() && shown["label"].is_string(), "{name}");
    }
    let stage = described(&sim, "lifecyclestage").await;
    assert_eq!(stage["options"][1]["value"], "lead");
    assert_eq!(described(&sim, "external_id").await["hasUniqueValue"], true);
    assert_eq!(described(&sim, "email").await["hasUniqueValue"], false, "as in HubSpot itself");
    let id = described(&sim, "hs_object_id").await;
    assert_eq!(id["modificationMetadata"]["readOnlyValue"], true);
    let all = sim.get("/crm/v3/properties/contacts").await.ok(200);
    assert!(all["results"].as_array().unwrap().len() > 35);
    let missing = sim.get("/crm/v3/properties/contacts/nothing").await;
    missing.refused(404, "OBJECT_NOT_FOUND");
}

#[tokio::test]
async fn a_property_can_be_added_through_the_api_and_then_written() {
    let sim = Sim::start(&[]).await;
    let path = "/crm/v3/properties/contacts";
    let plan = json!({
        "name": "plan_tier", "label": "Plan", "type": "enumeration", "fieldType": "select",
        "groupName": "contactinformation",
        "options": [{ "label": "Free plan", "value": "Free", "hidden": false, "displayOrder": 0 }],
    });
    let made = sim.post(path, plan.clone()).await.ok(201);
    assert_eq!((&made["name"], &made["hubspotDefined"]), (&json!("plan_tier"), &json!(false)));
    sim.upsert(&[("ada@x.io", json!({ "plan_tier": "Free" }))]).await.ok(200);
    sim.post(path, plan.clone()).await.refused(409, "OBJECT_ALREADY_EXISTS");
    for (key, value) in [
        ("type", json!("picture")),
        ("fieldType", json!("number")),
        ("name", json!("Plan Tier")),
        ("options", json!([])),
        ("label", Value::Null),
    ] {
        let mut bad = plan.clone();
        bad["name"] = json!("other");
        bad[key] = value;
        sim.post(path, bad).await.refused(400, "VALIDATION_ERROR");
    }
}

#[tokio::test]
async fn a_property_can_be_added_by_the_test_itself() {
    let sim = Sim::start(&[]).await;
    let add =
        |lines: &'static str| sim.request(reqwest::Method::POST, "/_sim/properties").body(lines);
    let lines = "contacts:plan_tier:enumeration:Free|Past due\ncontacts:uid:string:unique\n";
    assert_eq!(sim.send(add(lines)).await.ok(200)["added"], 2);
    sim.upsert(&[("ada@x.io", json!({ "plan_tier": "Past due", "uid": "1" }))]).await.ok(200);
    assert_eq!(sim.send(add("contacts:uid:string")).await.status, 400);
    assert_eq!(sim.send(add("uid:string")).await.status, 400);
}

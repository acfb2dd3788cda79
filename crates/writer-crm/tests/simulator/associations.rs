//! Associations v4: made, read, relabelled and archived, seen from both ends.

use reqwest::Method;
use serde_json::{Value, json};

use crate::client::Sim;

struct Scene {
    sim: Sim,
    contact: String,
    company: String,
}

async fn scene() -> Scene {
    let sim = Sim::start(&[]).await;
    let id = |made: &Value| made["id"].as_str().unwrap().to_owned();
    let contact = json!({ "properties": { "email": "ada@x.io" } });
    let contact = id(&sim.post("/crm/v3/objects/contacts", contact).await.ok(201));
    let company = json!({ "properties": { "name": "Acme" } });
    let company = id(&sim.post("/crm/v3/objects/companies", company).await.ok(201));
    Scene { sim, contact, company }
}

fn typed(from: &str, to: &str, type_id: u32) -> Value {
    let spec = json!({ "associationCategory": "HUBSPOT_DEFINED", "associationTypeId": type_id });
    json!({ "inputs": [{ "from": { "id": from }, "to": { "id": to }, "types": [spec] }] })
}

const BETWEEN: &str = "/crm/v4/associations/contacts/companies";

#[tokio::test]
async fn a_typed_association_is_seen_from_both_ends() {
    let Scene { sim, contact, company } = scene().await;
    let create = format!("{BETWEEN}/batch/create");
    let made = sim.post(&create, typed(&contact, &company, 1)).await.ok(201);
    assert_eq!(made["results"][0]["labels"], json!(["Primary"]));
    assert_eq!(made["results"][0]["fromObjectTypeId"], "0-1");
    let read = json!({ "inputs": [{ "id": company }] });
    let path = "/crm/v4/associations/companies/contacts/batch/read";
    let body = sim.post(path, read).await.ok(200);
    let to = &body["results"][0]["to"][0];
    assert_eq!(
        (&to["toObjectId"], &to["associationTypes"][1]["typeId"]),
        (&json!(contact), &json!(2))
    );
    let list = format!("/crm/v4/objects/contacts/{contact}/associations/companies");
    assert_eq!(sim.get(&list).await.ok(200)["results"][0]["toObjectId"], json!(company));
    // A type of the other direction, or of nothing, is refused as a whole.
    for type_id in [2, 280, 99_999] {
        let refused = sim.post(&create, typed(&contact, &company, type_id)).await;
        refused.refused(400, "VALIDATION_ERROR");
    }
    let lost = sim.post(&create, typed(&contact, "5", 279)).await.ok(207);
    assert_eq!(lost["errors"][0]["category"], "OBJECT_NOT_FOUND");
}

#[tokio::test]
async fn default_associations_and_labels_come_and_go() {
    let Scene { sim, contact, company } = scene().await;
    let labels = sim.get(&format!("{BETWEEN}/labels")).await.ok(200);
    assert_eq!(labels["results"][0]["typeId"], 279);
    let pair = json!({ "inputs": [{ "from": { "id": contact }, "to": { "id": company } }] });
    let made = sim.post(&format!("{BETWEEN}/batch/associate/default"), pair).await.ok(200);
    assert_eq!(made["results"][0]["associationSpec"]["associationTypeId"], 279);
    sim.post(&format!("{BETWEEN}/batch/create"), typed(&contact, &company, 1)).await.ok(201);
    let unlabel = format!("{BETWEEN}/batch/labels/archive");
    assert_eq!(sim.post(&unlabel, typed(&contact, &company, 1)).await.status, 204);
    let read = format!("{BETWEEN}/batch/read");
    let input = json!({ "inputs": [{ "id": contact }] });
    let body = sim.post(&read, input.clone()).await.ok(200);
    assert_eq!(body["results"][0]["to"][0]["associationTypes"].as_array().unwrap().len(), 1);
    let fan = json!({ "inputs": [{ "from": { "id": contact }, "to": [{ "id": company }] }] });
    assert_eq!(sim.post(&format!("{BETWEEN}/batch/archive"), fan).await.status, 204);
    assert_eq!(sim.post(&read, input).await.ok(207)["numErrors"], 1);
    assert_eq!(sim.stats().await["vendor"]["associations"], 0);
}

#[tokio::test]
async fn one_association_is_put_and_deleted() {
    let Scene { sim, contact, company } = scene().await;
    let path = format!("/crm/v4/objects/contacts/{contact}/associations/companies/{company}");
    let spec = json!([{ "associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 279 }]);
    sim.send(sim.request(Method::PUT, &path).json(&spec)).await.ok(201);
    assert_eq!(sim.send(sim.request(Method::DELETE, &path)).await.status, 204);
    let path =
        format!("/crm/v4/objects/contacts/{contact}/associations/default/companies/{company}");
    sim.send(sim.request(Method::PUT, &path)).await.ok(200);
    assert_eq!(sim.stats().await["vendor"]["associations"], 1);
    let archive = format!("/crm/v3/objects/contacts/{contact}");
    assert_eq!(sim.send(sim.request(Method::DELETE, &archive)).await.status, 204);
    assert_eq!(sim.stats().await["vendor"]["associations"], 0, "they go with the record");
}

#[tokio::test]
async fn a_record_can_be_made_with_its_associations_and_an_upsert_cannot() {
    let Scene { sim, company, .. } = scene().await;
    let spec = json!({ "associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 279 });
    let link = |id: &str| json!([{ "to": { "id": id }, "types": [spec.clone()] }]);
    let row = |id: &str| json!({ "properties": { "email": "eve@x.io" }, "associations": link(id) });
    let lost = sim.post("/crm/v3/objects/contacts", row("5")).await;
    lost.refused(404, "OBJECT_NOT_FOUND");
    sim.post("/crm/v3/objects/contacts", row(&company)).await.ok(201);
    assert_eq!(sim.stats().await["vendor"]["associations"], 1);
    let rows = json!({ "inputs": [
        {
            "idProperty": "email", "id": "bob@x.io", "properties": {},
            "associations": link(&company),
        },
    ] });
    sim.post(crate::client::UPSERT, rows).await.refused(400, "VALIDATION_ERROR");
}

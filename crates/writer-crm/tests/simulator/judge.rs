//! The double in front of HubSpot's own client, unmodified but for the address.

use serde_json::json;
use support::judge::printed;

use crate::client::Sim;
use crate::python;

#[tokio::test]
async fn hubspots_own_client_is_content_with_the_double() {
    let own = [("object", "license:key"), ("property", "p_license:key:string:unique")];
    let sim = Sim::start(&own).await;
    let Some(output) = python::run(&["judge", &sim.url()]).await else { return };
    let out = printed(&output);
    assert!(out.contains("the client is content"), "{out}");
    let stats = sim.stats().await;
    for operation in [
        "batch_upsert",
        "batch_create",
        "batch_update",
        "batch_read",
        "batch_archive",
        "search",
        "list",
        "create",
        "get",
        "update",
        "archive",
        "properties",
        "property_create",
        "association_create",
        "associations",
        "label_create",
        "schemas",
    ] {
        assert!(stats["by_operation"][operation]["total"].is_u64(), "{operation} was not tried");
    }
    assert_eq!(stats["by_operation"].get("unknown"), None, "{stats}");
}

#[tokio::test]
async fn hubspots_own_client_reads_back_every_record() {
    let sim = Sim::start(&[]).await;
    sim.post(crate::client::UPSERT, crate::client::many(100)).await.ok(200);
    sim.upsert(&[("grace@x.io", json!({ "firstname": "Grâce\n\"😀\"" }))]).await.ok(200);
    let names = ["email", "firstname", "lastname"];
    let Some(records) = python::read_back(&sim.url(), "contacts", &names).await else { return };
    assert_eq!(records.len(), 101);
    let last = &records[100]["properties"];
    assert_eq!(
        (&last["email"], &last["firstname"]),
        (&json!("grace@x.io"), &json!("Grâce\n\"😀\""))
    );
    assert!(last["lastname"].is_null());
}

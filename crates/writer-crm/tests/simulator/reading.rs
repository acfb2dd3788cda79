//! Reading back: by id or key, page by page, and through a search index that lags.

use serde_json::{Value, json};

use crate::client::{Sim, UPSERT, many};

fn ids(body: &Value) -> Vec<String> {
    let results = body["results"].as_array().unwrap();
    results.iter().map(|result| result["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_batch_read_finds_by_key_and_names_what_is_missing() {
    let sim = Sim::with_custom_properties().await;
    let rows = [("ada@x.io", json!({ "external_id": "u-1", "city": "Rom" }))];
    let made = sim.upsert(&rows).await.ok(200);
    let read = "/crm/v3/objects/contacts/batch/read";
    let by = |property: Option<&str>, ids: &[&str]| {
        let inputs: Vec<Value> = ids.iter().map(|id| json!({ "id": id })).collect();
        let properties = ["city", "lastname", "unheard_of"];
        let mut body =
            json!({ "properties": properties, "propertiesWithHistory": [], "inputs": inputs });
        if let Some(property) = property {
            body["idProperty"] = json!(property);
        }
        body
    };
    for (property, id) in [(Some("email"), "Ada@x.io"), (Some("external_id"), "u-1")] {
        let body = sim.post(read, by(property, &[id])).await.ok(200);
        assert_eq!(ids(&body), ids(&made));
        let shown = &body["results"][0]["properties"];
        assert_eq!((&shown["city"], &shown["lastname"]), (&json!("Rom"), &Value::Null));
        assert_eq!(shown.get("unheard_of"), None);
        assert!(shown["hs_object_id"].is_string());
    }
    let body = sim.post(read, by(Some("email"), &["ada@x.io", "eve@x.io"])).await.ok(207);
    assert_eq!(body["numErrors"], 1);
    assert_eq!(body["errors"][0]["category"], "OBJECT_NOT_FOUND");
    assert_eq!(body["errors"][0]["context"]["ids"], json!(["eve@x.io"]));
    sim.post(read, by(Some("city"), &["Rom"])).await.refused(400, "VALIDATION_ERROR");
    sim.post(read, by(None, &["x"; 101])).await.refused(400, "VALIDATION_ERROR");
}

#[tokio::test]
async fn the_list_is_read_page_by_page() {
    let sim = Sim::start(&[]).await;
    sim.post(UPSERT, many(25)).await.ok(200);
    let mut seen = Vec::new();
    let mut after = String::new();
    loop {
        let path = format!("/crm/v3/objects/contacts?limit=10&properties=email{after}");
        let body = sim.get(&path).await.ok(200);
        seen.extend(ids(&body));
        match body["paging"]["next"]["after"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    let sorted: Vec<String> =
        seen.iter().cloned().collect::<std::collections::BTreeSet<_>>().into_iter().collect();
    assert_eq!((seen.len(), &sorted), (25, &seen), "each once, in the order of the ids");
    let first = sim.get("/crm/v3/objects/contacts").await.ok(200);
    assert_eq!(first["results"].as_array().unwrap().len(), 10, "ten unless told");
    for query in ["limit=101", "limit=0", "after=soon"] {
        let path = format!("/crm/v3/objects/contacts?{query}");
        sim.get(&path).await.refused(400, "VALIDATION_ERROR");
    }
}

#[tokio::test]
async fn search_sees_a_write_only_after_a_while() {
    let sim = Sim::start(&[("search_lag", "60000"), ("clock", "stopped")]).await;
    let search = "/crm/v3/objects/contacts/search";
    let by_city = |city: &str| {
        let filter = json!({ "propertyName": "city", "operator": "EQ", "value": city });
        json!({ "filterGroups": [{ "filters": [filter] }], "properties": ["city"] })
    };
    sim.upsert(&[("ada@x.io", json!({ "city": "Rom" }))]).await.ok(200);
    assert_eq!(sim.post(search, by_city("Rom")).await.ok(200)["total"], 0);
    sim.advance(61.0).await;
    assert_eq!(sim.post(search, by_city("rom")).await.ok(200)["total"], 1);
    sim.upsert(&[("ada@x.io", json!({ "city": "Bonn" }))]).await.ok(200);
    let stale = sim.post(search, by_city("Rom")).await.ok(200);
    assert_eq!(stale["total"], 1, "the index still has the old value");
    sim.advance(61.0).await;
    assert_eq!(sim.post(search, by_city("Rom")).await.ok(200)["total"], 0);
    assert_eq!(sim.post(search, by_city("Bonn")).await.ok(200)["total"], 1);
}

#[tokio::test]
async fn search_filters_sorts_and_pages() {
    let options =
        [("search_lag", "0"), ("limit_search", "100"), ("property", "contacts:score:number")];
    let sim = Sim::start(&options).await;
    let rows: Vec<(String, Value)> = (0..12)
        .map(|n| {
            (
                format!("u{n}@x.io"),
                json!({ "score": n.to_string(), "city": if n < 6 { "Rom" } else { "" } }),
            )
        })
        .collect();
    let rows: Vec<(&str, Value)> =
        rows.iter().map(|(email, row)| (email.as_str(), row.clone())).collect();
    sim.upsert(&rows).await.ok(200);
    let search = async |body: Value| sim.post("/crm/v3/objects/contacts/search", body).await;
    let total = async |filters: Value| {
        search(json!({ "filterGroups": [{ "filters": filters }] })).await.ok(200)["total"].clone()
    };
    let filter = |name: &str, operator: &str, value: &str| {
        let mut filter = json!({ "propertyName": name, "operator": operator });
        filter["value"] = json!(value);
        filter
    };
    assert_eq!(total(json!([filter("score", "GTE", "10")])).await, 2, "numbers compare by size");
    assert_eq!(total(json!([filter("score", "LT", "3"), filter("city", "EQ", "Rom")])).await, 3);
    assert_eq!(total(json!([{ "propertyName": "city", "operator": "NOT_HAS_PROPERTY" }])).await, 6);
    assert_eq!(total(json!([filter("email", "CONTAINS_TOKEN", "*@x.io")])).await, 12);
    let within =
        json!({ "propertyName": "score", "operator": "BETWEEN", "value": "3", "highValue": "5" });
    assert_eq!(total(json!([within])).await, 3);
    let one_of = json!({ "propertyName": "score", "operator": "IN", "values": ["1", "11", "x"] });
    assert_eq!(total(json!([one_of])).await, 2);
    let page = |after: usize| {
        let mut page = json!({ "sorts": ["-score"], "limit": 5, "properties": ["score"] });
        page["after"] = json!(after.to_string());
        page
    };
    let body = search(page(10)).await.ok(200);
    let scores: Vec<&Value> =
        body["results"].as_array().unwrap().iter().map(|r| &r["properties"]["score"]).collect();
    assert_eq!((scores, body.get("paging")), (vec![&json!("1"), &json!("0")], None));
    assert_eq!(search(page(0)).await.ok(200)["paging"]["next"]["after"], "5");
    for bad in [
        json!({ "limit": 201 }),
        json!({ "limit": 100, "after": "9950" }),
        json!({ "filterGroups": [{ "filters": [filter("nothing", "EQ", "1")] }] }),
        json!({ "filterGroups": [{ "filters": [filter("city", "LIKE", "1")] }] }),
        json!({ "filterGroups": vec![json!({ "filters": [] }); 6] }),
    ] {
        search(bad).await.refused(400, "VALIDATION_ERROR");
    }
}

#[tokio::test]
async fn the_oracle_lists_more_records_than_a_page_holds() {
    let sim = Sim::start(&[("limit_10s", "1000")]).await;
    for start in 0..25 {
        let inputs: Vec<Value> = (0..100)
            .map(|n| format!("u{start}-{n}@x.io"))
            .map(|id| json!({ "idProperty": "email", "id": id, "properties": {} }))
            .collect();
        sim.post(UPSERT, json!({ "inputs": inputs })).await.ok(200);
    }
    assert_eq!(sim.records("contacts").await.len(), 2_500);
    sim.get("/_sim/records/leads").await.ok(404);
    assert_eq!(sim.records("deals").await.len(), 0);
}

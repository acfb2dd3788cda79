//! Property values: types, clearing, JSON that is not text, and how they are kept.

use serde_json::{Value, json};

use crate::client::{Sim, UPSERT, error, result};

/// Sends one value beside a good row; the error's code, or the value that is kept.
async fn send(sim: &Sim, name: &str, value: &str) -> Result<Value, String> {
    let rows = [("good@x.io", json!({})), ("ada@x.io", json!({ name: value }))];
    let reply = sim.upsert(&rows).await;
    let body = reply.json();
    if reply.status == 200 {
        return Ok(result(&body, "row-1")["properties"][name].clone());
    }
    assert_eq!(reply.status, 207, "{body}");
    let message = error(&body, "row-1")["message"].as_str().unwrap();
    let list = message.strip_prefix("Property values were not valid: ").unwrap();
    let list: Value = serde_json::from_str(list).unwrap();
    assert_eq!(list[0]["name"], name);
    Err(list[0]["error"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn values_are_checked_by_type_and_kept_in_one_form() {
    let sim = Sim::with_custom_properties().await;
    for (name, value, kept) in [
        ("score", "17.50", "17.50"),
        ("born", "1572393600000", "2019-10-30"),
        ("born", "2019-10-30", "2019-10-30"),
        ("seen", "1572406217883", "2019-10-30T03:30:17.883Z"),
        ("seen", "2019-10-30T05:30:17.883+02:00", "2019-10-30T03:30:17.883Z"),
        ("active", "true", "true"),
        ("plan", "Pro", "Pro"),
        ("tags", "a;c", "a;c"),
        ("tags", ";b", "a;c;b"),
        ("firstname", "  Ünï \"😀\"\n ", "  Ünï \"😀\"\n "),
        ("hubspot_owner_id", "41", "41"),
    ] {
        assert_eq!(send(&sim, name, value).await, Ok(json!(kept)), "{name}={value}");
    }
    for (name, value, code) in [
        ("score", "many", "INVALID_NUMBER"),
        ("score", "NaN", "INVALID_NUMBER"),
        ("born", "1572406217883", "INVALID_DATE"),
        ("born", "30.10.2019", "INVALID_DATE"),
        ("seen", "2019-10-30T05:30:17", "INVALID_DATE"),
        ("active", "yes", "INVALID_BOOLEAN"),
        ("plan", "pro", "INVALID_OPTION"),
        ("tags", "a;x", "INVALID_OPTION"),
        ("hubspot_owner_id", "ada", "INVALID_INTEGER"),
        ("hs_additional_emails", "a@x.io;b", "INVALID_EMAIL"),
    ] {
        assert_eq!(send(&sim, name, value).await, Err(code.to_owned()), "{name}={value}");
    }
}

#[tokio::test]
async fn an_empty_text_clears_a_property() {
    let sim = Sim::with_custom_properties().await;
    for name in ["score", "born", "seen", "active", "plan", "tags", "firstname"] {
        assert_eq!(send(&sim, name, "").await, Ok(Value::Null), "{name}");
    }
    send(&sim, "score", "5").await.unwrap();
    send(&sim, "score", "").await.unwrap();
    let ada = &sim.records("contacts").await[1];
    assert_eq!(ada["properties"], json!({ "email": "ada@x.io" }));
}

#[tokio::test]
async fn spaces_around_a_value_that_is_not_text_refuse_the_whole_batch() {
    let sim = Sim::with_custom_properties().await;
    let rows = [("eve@x.io", json!({})), ("ada@x.io", json!({ "score": "5 " }))];
    let message = sim.upsert(&rows).await.refused(400, "VALIDATION_ERROR");
    assert!(message.contains("whitespace"), "{message}");
    assert!(sim.records("contacts").await.is_empty());
}

#[tokio::test]
async fn a_value_has_at_most_65536_characters() {
    let sim = Sim::start(&[]).await;
    let longest = "é".repeat(65_536);
    assert_eq!(send(&sim, "message", &longest).await, Ok(json!(longest)));
    let longer = "é".repeat(65_537);
    assert_eq!(send(&sim, "message", &longer).await, Err("PROPERTY_VALUE_TOO_LONG".to_owned()));
}

#[tokio::test]
async fn numbers_and_booleans_are_taken_as_text_and_null_is_not() {
    let sim = Sim::with_custom_properties().await;
    let body = |value: Value| {
        let input = json!({ "idProperty": "email", "id": "ada@x.io", "properties": value });
        json!({ "inputs": [input] })
    };
    let good = body(json!({ "score": 17, "active": true }));
    let reply = sim.post(UPSERT, good).await.ok(200);
    assert_eq!(reply["results"][0]["properties"]["score"], "17");
    assert_eq!(reply["results"][0]["properties"]["active"], "true");
    for bad in [json!({ "score": null }), json!({ "tags": ["a"] }), json!({ "score": {} })] {
        let message = sim.post(UPSERT, body(bad)).await.refused(400, "VALIDATION_ERROR");
        assert!(message.starts_with("Invalid input JSON on line 1, column "), "{message}");
    }
    let unknown = json!({ "inputs": [
        { "id": "1", "properties": {}, "associations": [] },
    ] });
    let message = sim.post(UPSERT, unknown).await.refused(400, "VALIDATION_ERROR");
    assert!(message.contains("unknown field `associations`"), "{message}");
}

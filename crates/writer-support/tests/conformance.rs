//! Every row of the table passes the suite every destination passes; a new row is covered by being there.

use writer_support::DESTINATIONS;

#[tokio::test]
async fn every_destination_keeps_to_the_port() {
    assert!(!DESTINATIONS.is_empty());
    for kind in DESTINATIONS {
        writer::conformance::run(kind).await;
    }
}

#[test]
fn every_row_of_the_table_is_complete() {
    let mut names = std::collections::BTreeSet::new();
    for kind in DESTINATIONS {
        assert!(names.insert(kind.name), "{} is there twice", kind.name);
        assert_eq!(kind.category, "support");
        assert!(kind.summary.ends_with('.'), "{}: the summary is a sentence", kind.name);
        assert!(kind.simulate.is_some(), "{} has no simulator", kind.name);
        let schema = serde_json::to_value((kind.options_schema)()).expect("JSON");
        let properties = schema["properties"].as_object().expect("properties");
        assert!(properties.contains_key("base_url"), "{} cannot be pointed elsewhere", kind.name);
        for (option, property) in properties {
            assert!(
                property["description"].is_string(),
                "{}: {option} is not explained",
                kind.name
            );
        }
    }
}

//! Every row of the table passes the suite every destination passes; a new row is covered by being there.

use writer_product::DESTINATIONS;

#[test]
fn every_row_of_the_table_is_complete() {
    for kind in DESTINATIONS {
        assert_eq!(kind.category, "product");
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

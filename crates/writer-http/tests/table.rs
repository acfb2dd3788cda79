//! Every row of the table is complete: what the schema, the documents and `explain` are made of is there.

use writer_http::DESTINATIONS;

#[test]
fn every_row_of_the_table_is_complete() {
    for kind in DESTINATIONS {
        assert_eq!(kind.category, "http");
        assert!(kind.summary.ends_with('.'), "{}: the summary is a sentence", kind.name);
        let schema = serde_json::to_value((kind.options_schema)()).expect("JSON");
        let properties = schema["properties"].as_object().expect("properties");
        assert!(properties.contains_key("base_url"), "{} cannot be pointed elsewhere", kind.name);
        for (option, property) in properties {
            assert!(
                property["description"].is_string()
                    || property["$ref"].is_string()
                    || property["anyOf"].is_array(),
                "{}: {option} is not explained",
                kind.name
            );
        }
    }
}

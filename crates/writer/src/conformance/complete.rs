//! What a row of a table says of itself, checked without opening the destination: schema and documents are made of it.

use std::collections::BTreeSet;

use crate::DestinationKind;

/// Checks that every row of a table has what schema, documents and `explain` are made of.
///
/// # Panics
/// When a row is there twice, or lacks something.
pub fn complete(table: &[DestinationKind], category: &str) {
    let mut names = BTreeSet::new();
    for kind in table {
        assert!(names.insert(kind.name), "{} is there twice", kind.name);
        assert_eq!(kind.category, category);
        assert!(kind.summary.ends_with('.'), "{}: the summary is a sentence", kind.name);
        let schema = serde_json::to_value((kind.options_schema)()).expect("JSON");
        let properties = schema["properties"].as_object().expect("properties");
        assert!(properties.contains_key("base_url"), "{} cannot be pointed elsewhere", kind.name);
        for (option, property) in properties {
            let explained = property["description"].is_string();
            assert!(explained, "{}: {option} is not explained", kind.name);
        }
    }
}

//! What lookups find becomes values and rejects, row by row.

use std::collections::HashSet;
use std::sync::Arc;

use flow::Batch;
use flow::arrow::array::{ArrayRef, StringArray};
use transform::{LookedUp, MapContext, lookups};

use crate::fixture::{Setup, described, mappings, rows, run};

/// One word per row for what the five results become.
fn outcomes(mapping: &str) -> Vec<String> {
    let json = format!("{{\"text\": {mapping}}}");
    let column: ArrayRef = Arc::new(StringArray::from(vec!["a"; 5]));
    let batch = rows(5, vec![("boss", column)]);
    let mapper = Setup::default().compile(&mappings(&json), batch.schema()).expect("valid");
    let found = vec![
        LookedUp::Found("003A".into()),
        LookedUp::Nothing,
        LookedUp::Missing,
        LookedUp::Ambiguous,
        LookedUp::Found("003B".into()),
    ];
    let context = MapContext { run: &run(), duplicates: &HashSet::new(), lookups: &[found] };
    let batch = Batch { rows: batch, faults: Vec::new(), last: None };
    described(&mapper.map(&batch, &context).expect("it maps"), "text", 5)
}

const OBJECT: &str = r#""object": "Contact", "match_on": {"Email": "boss"}"#;

#[test]
fn a_missing_record_is_what_the_mapping_says_and_two_are_a_reject() {
    let with = |more: &str| outcomes(&format!("{{\"lookup\": {{{OBJECT}{more}}}}}"));
    assert_eq!(with(""), ["003A", "null", "R119", "R120", "003B"]);
    assert_eq!(with(", \"if_missing\": \"set_null\""), ["003A", "null", "null", "R120", "003B"]);
    assert_eq!(with(", \"if_missing\": \"skip\""), ["003A", "null", "absent", "R120", "003B"]);
    let in_sync = r#"{"lookup": {"sync": "people", "key": ["boss"]}, "on_null": "skip"}"#;
    assert_eq!(outcomes(in_sync), ["003A", "absent", "R119", "R120", "003B"]);
}

#[test]
fn lookups_are_listed_with_the_columns_they_read_and_a_result_must_be_there() {
    let json = format!("{{\"text\": {{\"lookup\": {{{OBJECT}}}}}, \"short\": \"id\"}}");
    let written = mappings(&json);
    let listed = lookups(&written);
    assert_eq!(listed.len(), 1);
    assert_eq!((listed[0].0, listed[0].1.place.columns()), ("text", vec!["boss"]));
    assert!(transform::columns(&written, &[]).contains(&"boss".to_owned()));
    let batch = rows(1, vec![("boss", Arc::new(StringArray::from(vec!["a"])) as ArrayRef)]);
    let mapper = Setup::default().compile(&written, batch.schema()).expect("valid");
    let without = rows(1, Vec::new()).schema();
    let errors = Setup::default().compile(&written, without).expect_err("the column is missing");
    assert_eq!(errors[0].code.id, "E0201");
    let context = MapContext { run: &run(), duplicates: &HashSet::new(), lookups: &[] };
    let batch = Batch { rows: batch, faults: Vec::new(), last: None };
    assert_eq!(mapper.map(&batch, &context).expect_err("no result").code().id, "E0213");
}

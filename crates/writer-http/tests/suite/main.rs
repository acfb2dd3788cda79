//! Every row of the table passes the suite every destination passes, at a double of its own.

mod table;

use serde_json::{Map, json};
use writer::conformance::{self, Bad, Subject};
use writer_http::DESTINATIONS;

/// What the suite cannot show at a destination, and why.
const EXEMPT: &[(&str, &str, &str)] = &[
    ("webhook", "renames", "what a record is found by is all that addresses it"),
    ("webhook", "read-back", "the destination cannot be asked for records"),
    ("webhook", "jobs", "the destination has no jobs"),
];

/// How the suite drives a destination; a new row of the table has to be placed here.
fn subject(kind: &'static writer::DestinationKind) -> Subject<'static> {
    match kind.name {
        "webhook" => Subject {
            kind,
            double: Some(table::build),
            options: webhook(),
            fields: Some(("name", "note")),
            bad: Some(Bad::Value {
                field: "tier".to_owned(),
                good: "gold".to_owned(),
                bad: "tin".to_owned(),
            }),
        },
        other => panic!("{other} is not in the suite"),
    }
}

/// A connection to the table: lists of rows, answered with a list of results by name.
fn webhook() -> Map<String, serde_json::Value> {
    let items = json!({
        "rows_per_call": 50,
        "bytes_per_call": 4 << 20,
        "upsert": { "path": "/items", "body": { "items": "{{ rows }}" } },
        "update": { "method": "PATCH", "path": "/items", "body": { "items": "{{ rows }}" },
                    "row": { "name": "{{ id }}", "note": "{{ note }}" } },
        "delete": { "path": "/items", "body": { "names": "{{ rows }}" }, "row": "{{ id }}" },
        "reply": { "rows": "/results", "key": "/name", "error": "/error", "field": "/field",
                   "created": "/created" },
    });
    let options = json!({
        "auth": { "bearer": "conformance-secret" }, "probe": "/me", "objects": { "items": items },
    });
    options.as_object().expect("an object").clone()
}

#[tokio::test]
async fn every_destination_keeps_to_the_port() {
    assert!(!DESTINATIONS.is_empty());
    let mut exempt = Vec::new();
    for kind in DESTINATIONS {
        let told = conformance::run(&subject(kind)).await;
        exempt.extend(told.into_iter().map(|(case, why)| (kind.name, case, why)));
    }
    assert_eq!(exempt, EXEMPT);
}

#[test]
fn every_row_of_the_table_is_complete() {
    conformance::complete(DESTINATIONS, "http");
}

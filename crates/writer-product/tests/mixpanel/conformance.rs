//! Every row of the table passes the suite every destination passes.

use writer::conformance::{self, Bad, Subject};
use writer_product::DESTINATIONS;

/// What the suite cannot show at a destination, and why.
const EXEMPT: &[(&str, &str, &str)] = &[
    ("mixpanel", "renames", "what a record is found by is all that addresses it"),
    ("mixpanel", "bent answers", "an answer names no row"),
    ("mixpanel", "reject-row, poison-row", "an answer names no row"),
    ("mixpanel", "read-back", "the destination cannot be asked for records"),
    ("mixpanel", "jobs", "the destination has no jobs"),
];

/// How the suite drives a destination; a new row of the table has to be placed here.
fn subject(kind: &'static writer::DestinationKind) -> Subject<'static> {
    match kind.name {
        // Mixpanel takes any value of any property; what it drops are people with a placeholder for a name.
        "mixpanel" => Subject { bad: Some(Bad::Key("null")), ..Subject::of(kind) },
        other => panic!("{other} is not in the suite"),
    }
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
    conformance::complete(DESTINATIONS, "product");
    for kind in DESTINATIONS {
        assert!(kind.simulate.is_some(), "{} has no simulator", kind.name);
    }
}

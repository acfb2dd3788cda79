//! Every row of the table passes the suite every destination passes; a new row is covered by being there.

use writer::conformance::{self, Subject};
use writer_support::DESTINATIONS;

/// What the suite cannot show at a destination, and why.
const EXEMPT: &[(&str, &str, &str)] = &[
    ("intercom", "bent answers", "a call has one row"),
    ("intercom", "jobs", "the destination has no jobs"),
    ("zendesk", "bent answers", "a job's answer is no call's; its own tests bend its results"),
];

#[tokio::test]
async fn every_destination_keeps_to_the_port() {
    assert!(!DESTINATIONS.is_empty());
    let mut exempt = Vec::new();
    for kind in DESTINATIONS {
        let told = conformance::run(&Subject::of(kind)).await;
        exempt.extend(told.into_iter().map(|(case, why)| (kind.name, case, why)));
    }
    assert_eq!(exempt, EXEMPT);
}

/// An account without jobs for users.
#[tokio::test]
async fn zendesk_keeps_to_the_port_with_one_user_a_call() {
    let kind = &writer_support::zendesk::KIND;
    let options = serde_json::Map::from_iter([("user_import".to_owned(), "single".into())]);
    let told = conformance::run(&Subject { options, ..Subject::of(kind) }).await;
    let none = [("bent answers", "a call has one row"), ("jobs", "the destination has no jobs")];
    assert_eq!(told, none);
}

#[test]
fn every_row_of_the_table_is_complete() {
    conformance::complete(DESTINATIONS, "support");
    for kind in DESTINATIONS {
        assert!(kind.simulate.is_some(), "{} has no simulator", kind.name);
    }
}

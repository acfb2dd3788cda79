//! Every row of the table passes the suite every destination passes; a new row is covered by being there.

use writer::conformance::{self, Subject};
use writer_crm::DESTINATIONS;

/// What the suite cannot show at a destination, and why.
const EXEMPT: &[(&str, &str, &str)] = &[("hubspot", "jobs", "the destination has no jobs")];

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

/// Bulk API 2.0 for everything, where the table's row takes it for many rows only.
#[tokio::test]
async fn salesforce_keeps_to_the_port_with_nothing_but_jobs() {
    let kind = &writer_crm::salesforce::KIND;
    let options = serde_json::Map::from_iter([("api".to_owned(), "bulk".into())]);
    let told = conformance::run(&Subject { options, ..Subject::of(kind) }).await;
    assert_eq!(
        told,
        [("bent answers", "a job's answer is no call's; its own tests bend its results")]
    );
}

#[test]
fn every_row_of_the_table_is_complete() {
    conformance::complete(DESTINATIONS, "crm");
    for kind in DESTINATIONS {
        assert!(kind.simulate.is_some(), "{} has no simulator", kind.name);
    }
}

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
    writer::conformance::complete(DESTINATIONS, "support");
    for kind in DESTINATIONS {
        assert!(kind.simulate.is_some(), "{} has no simulator", kind.name);
    }
}

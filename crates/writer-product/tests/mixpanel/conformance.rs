//! Every row of the table is complete; a new row is covered by being there.

use writer_product::DESTINATIONS;

#[test]
fn every_row_of_the_table_is_complete() {
    writer::conformance::complete(DESTINATIONS, "product");
    for kind in DESTINATIONS {
        assert!(kind.simulate.is_some(), "{} has no simulator", kind.name);
    }
}

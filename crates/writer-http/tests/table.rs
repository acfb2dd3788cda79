//! Every row of the table is complete: what the schema, the documents and `explain` are made of is there.

#[test]
fn every_row_of_the_table_is_complete() {
    writer::conformance::complete(writer_http::DESTINATIONS, "http");
}

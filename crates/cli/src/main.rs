//! outflow
fn main() {}

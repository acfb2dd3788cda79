//! The tests of the mapping as a whole, in one binary.

mod compile_errors;
mod fixture;
mod kinds;
mod lookups;
mod properties;
mod rows;
mod speed;
mod templates;
mod transforms;
mod written;

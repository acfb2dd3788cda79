#![doc = include_str!("../README.md")]

mod cell;
mod check;
pub mod codes;
mod compile;
mod convert;
mod email;
mod error;
mod fingerprint;
mod fit;
mod html;
mod lint;
mod lookup;
mod mapper;
mod mappings;
mod moment;
mod number;
mod phone;
mod plan;
mod refusals;
mod scalar;
mod schema;
mod set;
mod shape;
mod steps;
mod suggest;
mod template;
mod unify;
mod values;
mod words;
mod written;

pub use check::{check, columns, lookups};
pub use compile::MapperSpec;
pub use error::MappingError;
pub use mapper::{MapContext, Mapped, Mapper, RunMeta};
pub use mappings::{
    Convert, FieldMapping, IfMissing, LookedUp, Lookup, LookupPlace, Mappings, OnDrift, OnNull,
    Origin, Otherwise, RunValue, Transform,
};
pub use scalar::Scalar;
pub use set::{Setter, SetterSpec, read_set};

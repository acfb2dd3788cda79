//! Reading records back from a destination: for `reconcile`, `plan --live`, lookups, and samples of what was accepted.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;

use crate::Result;

/// Records to read, at most [`crate::Limits::rows_max`] of them.
#[derive(Debug, Clone)]
pub struct ReadBack {
    /// Destination object.
    pub object: Arc<str>,
    /// Which records.
    pub records: Records,
    /// The fields wanted, with the types of the payload they are compared with.
    pub fields: SchemaRef,
}

/// How the records to read are named.
#[derive(Debug, Clone)]
pub enum Records {
    /// By the destination's record ids.
    Ids(Vec<String>),
    /// By values of fields: one row per record, one column per field records are found by.
    Matching(RecordBatch),
}

impl Records {
    /// How many are asked for.
    pub fn count(&self) -> usize {
        match self {
            Self::Ids(ids) => ids.len(),
            Self::Matching(values) => values.num_rows(),
        }
    }
}

/// What the destination holds, one entry per record asked for, in that order.
#[derive(Debug, Clone)]
pub struct Found {
    /// Ids of the records found; more than one is a duplicate, none is missing.
    pub record_ids: Vec<Vec<String>>,
    /// Their values under [`ReadBack::fields`], of the first record where there are more; NULL where there is none or
    /// it has no value. Values are in the form a mapped payload would have, so that equal means equal.
    pub fields: RecordBatch,
}

/// A destination whose records can be read.
#[async_trait]
pub trait ReadsBack: Send + Sync {
    /// Reads the records asked for. Nothing of it ever changes what is sent (D10).
    ///
    /// # Errors
    /// As `Destination::describe`; a record that is not there is no error.
    async fn read(&self, asked: &ReadBack) -> Result<Found>;
}

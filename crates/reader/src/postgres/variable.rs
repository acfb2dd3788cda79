//! Text and binary columns under construction: one buffer of bytes, checked as a whole at the end.

use std::sync::Arc;

use flow::arrow::array::{ArrayRef, BinaryArray, StringArray};
use flow::arrow::buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use flow::arrow::error::ArrowError;

/// Values of different lengths, one after the other.
#[derive(Debug)]
pub(super) struct Variable {
    pub(super) bytes: Vec<u8>,
    offsets: Vec<i32>,
    valid: Vec<bool>,
    nulls: usize,
}

impl Variable {
    pub(super) fn new() -> Self {
        Self { bytes: Vec::new(), offsets: vec![0], valid: Vec::new(), nulls: 0 }
    }

    pub(super) fn push(&mut self, value: &[u8]) {
        self.bytes.extend_from_slice(value);
        self.end_value();
    }

    /// What was appended to `bytes` since the last value is the next value.
    pub(super) fn end_value(&mut self) {
        // A batch holds a few megabytes, and one value at most a gigabyte.
        self.offsets.push(i32::try_from(self.bytes.len()).expect("a batch is below 2 GiB"));
        self.valid.push(true);
    }

    pub(super) fn push_null(&mut self) {
        self.end_value();
        if let Some(valid) = self.valid.last_mut() {
            *valid = false;
        }
        self.nulls += 1;
    }

    /// # Errors
    /// When a value is not UTF-8.
    pub(super) fn finish_text(&mut self) -> Result<ArrayRef, ArrowError> {
        let (offsets, bytes, nulls) = self.take();
        Ok(Arc::new(StringArray::try_new(offsets, bytes, nulls)?))
    }

    pub(super) fn finish_binary(&mut self) -> Result<ArrayRef, ArrowError> {
        let (offsets, bytes, nulls) = self.take();
        Ok(Arc::new(BinaryArray::try_new(offsets, bytes, nulls)?))
    }

    /// The parts of the array; the next batch starts with room for as much again.
    fn take(&mut self) -> (OffsetBuffer<i32>, Buffer, Option<NullBuffer>) {
        let room = (self.bytes.len(), self.offsets.len());
        let bytes = std::mem::replace(&mut self.bytes, Vec::with_capacity(room.0));
        let mut next = Vec::with_capacity(room.1);
        next.push(0);
        let offsets = std::mem::replace(&mut self.offsets, next);
        let nulls = (self.nulls > 0).then(|| NullBuffer::from(self.valid.as_slice()));
        self.valid.clear();
        self.nulls = 0;
        (OffsetBuffer::new(ScalarBuffer::from(offsets)), Buffer::from_vec(bytes), nulls)
    }
}

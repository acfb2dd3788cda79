//! Rows that changed without the change method noticing: a compare of every row found them, and what the method finds
//! right after it does not hold them either.

use std::collections::HashSet;

use flow::{Finding, Key};

use crate::batch::Row;
use crate::codes;
use crate::request::Part;

/// Keys remembered; above it they are only counted.
const KEYS_MAX: usize = 100_000;

/// The rows of one run.
#[derive(Debug, Default)]
pub(crate) struct Overlooked {
    keys: HashSet<Key>,
    /// Rows beyond those remembered.
    more: u64,
}

impl Overlooked {
    /// Rows of a page: all with these `keys`, of which `sent` changed.
    pub(crate) fn see(&mut self, part: Part, keys: &[Key], sent: &[Row]) {
        match part {
            Part::Rows => {}
            Part::Compare => {
                for row in sent {
                    if self.keys.len() < KEYS_MAX {
                        self.keys.insert(row.key.clone());
                    } else {
                        self.more += 1;
                    }
                }
            }
            Part::Since => {
                for key in keys {
                    self.keys.remove(key);
                }
            }
        }
    }

    /// How many there are.
    pub(crate) fn rows(&self) -> u64 {
        self.keys.len() as u64 + self.more
    }
}

/// What the operator is told.
pub(crate) fn overlooked(rows: u64) -> Finding {
    let rows_were = if rows == 1 { "1 row was".to_owned() } else { format!("{rows} rows were") };
    let message = format!("{rows_were} found only by the compare of every row");
    Finding { code: &codes::E4055, message, remedy: codes::E4055.remedy.to_owned() }
}

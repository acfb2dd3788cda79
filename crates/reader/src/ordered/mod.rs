//! Reads of sources that promise no order: rows sorted by (watermark, key) or by key with bounded memory, keys that
//! occur twice found first, and only the rows that were asked for.

mod look;
mod number;
mod place;
mod read;
mod sorter;
mod typed;

use std::collections::HashSet;
use std::path::PathBuf;

use flow::arrow::array::RecordBatch;
use flow::{Key, Result, Watermark};

pub(crate) use place::watermark_at;
pub(crate) use read::{Request, needs_sql, pump};
pub(crate) use typed::unscaled;

use crate::layout::Layout;

/// Rows as they come, batch by batch, in columns of any Arrow type.
pub(crate) trait Rows {
    /// The next rows, in the columns that were asked for, in that order; `None` at the end.
    ///
    /// # Errors
    /// When they cannot be read to the end.
    fn next(&mut self) -> Result<Option<Arrived>>;
}

/// Rows in our types, and the cells that could not be carried.
#[derive(Debug, Clone)]
pub(crate) struct Arrived {
    /// In the columns of the layout that was asked for.
    pub(crate) rows: RecordBatch,
    /// Row, column and reason of null cells.
    pub(crate) faults: Vec<flow::Fault>,
}

/// What a read needs to know of the rows it may leave out early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Window {
    /// Every row.
    All,
    /// Rows of which the watermark is in `[from, to)`, and those that have none where `unplaced`. More may come.
    Between {
        /// First watermark.
        from: Watermark,
        /// First watermark after it; the end is open where `None`.
        to: Option<Watermark>,
        /// Whether rows without a watermark are wanted, too.
        unplaced: bool,
    },
}

/// One generation of a relation that can be read several times.
pub(crate) trait Relation {
    /// Reads these columns.
    ///
    /// # Errors
    /// When the relation cannot be read.
    fn rows<'a>(&'a mut self, layout: &'a Layout, window: Window) -> Result<Box<dyn Rows + 'a>>;

    /// Keys that occur more than once anywhere in the relation, where the source finds them faster than a read of all
    /// keys would; `None` where it does not.
    ///
    /// # Errors
    /// When it cannot be asked.
    fn twins(&mut self, _layout: &Layout) -> Result<Option<HashSet<Key>>> {
        Ok(None)
    }

    /// Whether the relation is still what it was when it was opened (R2).
    ///
    /// # Errors
    /// When it changed meanwhile.
    fn unchanged(&mut self) -> Result<()>;
}

/// Room for sorting.
#[derive(Debug, Clone)]
pub(crate) struct Room {
    /// Folder for what does not fit in memory.
    pub(crate) dir: PathBuf,
    /// Bytes of rows that are sorted in memory.
    pub(crate) memory_bytes: usize,
    /// Most rows of one batch.
    pub(crate) batch_rows: usize,
}

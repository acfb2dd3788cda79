//! A model's files as one relation that can be read several times.

use flow::Result;

use super::csv::CsvRows;
use super::generation::{Entry, Generation};
use super::jsonl::JsonRows;
use super::options::{Format, Options};
use super::parquet::ParquetRows;
use super::schema::Merged;
use super::{csv, jsonl, parquet};
use crate::layout::{Column, Layout};
use crate::ordered::{Arrived, Relation, Rows, Window};

/// The columns of all files.
///
/// # Errors
/// `E1105` where they disagree; see each format for the others.
pub(super) fn describe(generation: &Generation, options: &Options) -> Result<Vec<Column>> {
    let mut merged = Merged::default();
    for entry in &generation.entries {
        match generation.format {
            Format::Parquet => parquet::describe(entry, &mut merged)?,
            Format::Csv => csv::describe(entry, options, &mut merged)?,
            Format::Jsonl => jsonl::describe(entry, options, &mut merged)?,
        }
    }
    Ok(merged.columns())
}

/// The files of one generation.
pub(super) struct Opened {
    pub(super) generation: Generation,
    pub(super) options: Options,
}

impl Relation for Opened {
    fn rows<'a>(&'a mut self, layout: &'a Layout, window: Window) -> Result<Box<dyn Rows + 'a>> {
        let Self { generation, options } = self;
        Ok(Box::new(OneAfterTheOther {
            layout,
            window,
            format: generation.format,
            options,
            entries: generation.entries.iter(),
            current: None,
        }))
    }

    fn unchanged(&mut self) -> Result<()> {
        self.generation.unchanged()
    }
}

struct OneAfterTheOther<'a> {
    layout: &'a Layout,
    window: Window,
    format: Format,
    options: &'a Options,
    entries: std::slice::Iter<'a, Entry>,
    current: Option<Box<dyn Rows + 'a>>,
}

impl Rows for OneAfterTheOther<'_> {
    fn next(&mut self) -> Result<Option<Arrived>> {
        loop {
            if let Some(current) = &mut self.current
                && let Some(rows) = current.next()?
            {
                return Ok(Some(rows));
            }
            let Some(entry) = self.entries.next() else { return Ok(None) };
            let (layout, options) = (self.layout, self.options);
            self.current = Some(match self.format {
                Format::Parquet => {
                    Box::new(ParquetRows::open(entry, layout, self.window, options.batch_rows)?)
                }
                Format::Csv => Box::new(CsvRows::open(entry, layout, options)?),
                Format::Jsonl => Box::new(JsonRows::open(entry, layout, options)?),
            });
        }
    }
}

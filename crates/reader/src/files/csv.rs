//! CSV files: names from the header or the options, types from the options, text where they say nothing.

use std::collections::HashSet;
use std::io::Read;

use flate2::read::MultiGzDecoder;
use flow::arrow::array::{ArrayRef, RecordBatch, new_null_array};
use flow::{Error, Fault, Result};

use super::cells;
use super::csv_text::{Broken, Record, Splitter};
use super::generation::Entry;
use super::input::{Input, broken, broken_by, unreadable};
use super::options::{ColumnType, Options};
use super::schema::Merged;
use crate::arrival::Refused;
use crate::codes;
use crate::layout::{Column, Layout};
use crate::ordered::{Arrived, Rows};

/// Bytes of text of one batch.
const BATCH_BYTES: usize = 4 << 20;

/// The text of a file, unpacked where its name says that it is packed.
pub(super) fn text(entry: &Entry) -> Result<Box<dyn Read>> {
    let input = Input::open(entry)?.from(0);
    Ok(match entry.name.to_ascii_lowercase().ends_with(".gz") {
        true => Box::new(MultiGzDecoder::new(std::io::BufReader::with_capacity(1 << 16, input))),
        false => Box::new(input),
    })
}

type Records = Splitter<Box<dyn Read>>;

fn splitter(entry: &Entry, options: &Options) -> Result<Records> {
    let lower = entry.name.to_ascii_lowercase();
    let tabs = lower.strip_suffix(".gz").unwrap_or(&lower).ends_with(".tsv");
    let delimiter = options.delimiter().ok().flatten();
    Ok(Splitter::new(text(entry)?, delimiter.unwrap_or(if tabs { b'\t' } else { b',' })))
}

fn at(entry: &Entry, error: Broken) -> Error {
    match error {
        Broken::Read(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            unreadable(&entry.name, error)
        }
        Broken::Read(error) => broken_by(&entry.name, error),
        Broken::Text(line, what) => broken(&entry.name, format_args!("line {line}: {what}")),
    }
}

/// The names of the columns, and what comes after them.
fn names(entry: &Entry, options: &Options) -> Result<(Vec<String>, Records)> {
    let mut splitter = splitter(entry, options)?;
    if !options.header {
        return Ok((options.columns.0.iter().map(|(name, _)| name.clone()).collect(), splitter));
    }
    let mut record = Record::default();
    if !splitter.next(&mut record).map_err(|error| at(entry, error))? {
        return Err(broken(&entry.name, "there is no header line"));
    }
    let mut names = Vec::with_capacity(record.len());
    let mut seen = HashSet::new();
    for index in 0..record.len() {
        let name = std::str::from_utf8(record.field(index).0)
            .map_err(|_| broken(&entry.name, "the header is not UTF-8"))?;
        if name.is_empty() || !seen.insert(name.to_owned()) {
            let message =
                format!("{}: column {} has no name of its own: `{name}`", entry.name, index + 1);
            return Err(Error::new(&codes::E1016_COLUMN_TWICE, message)
                .with_remedy("Give every column in the header line a name of its own."));
        }
        names.push(name.to_owned());
    }
    Ok((names, splitter))
}

/// The columns of a file.
///
/// # Errors
/// `E1107` for a file without a header, `E1016` for columns of one name.
pub(super) fn describe(entry: &Entry, options: &Options, merged: &mut Merged) -> Result<()> {
    for name in names(entry, options)?.0 {
        let arrival = options.columns.get(&name).unwrap_or(ColumnType::Text).arrival();
        merged.add(&entry.name, Column { name, arrival }, false)?;
    }
    Ok(())
}

/// The rows of one file.
pub(super) struct CsvRows<'a> {
    layout: &'a Layout,
    entry: Entry,
    options: &'a Options,
    splitter: Records,
    /// Fields of every record.
    fields: usize,
    /// For each column of the layout, its field and type.
    sources: Vec<Option<(usize, ColumnType)>>,
    record: Record,
}

impl<'a> CsvRows<'a> {
    /// Opens a file.
    ///
    /// # Errors
    /// As [`describe`], and `E1106` when it changed.
    pub(super) fn open(entry: &Entry, layout: &'a Layout, options: &'a Options) -> Result<Self> {
        let (names, splitter) = names(entry, options)?;
        let source = |column: &Column| {
            let at = names.iter().position(|name| name == &column.name)?;
            Some((at, options.columns.get(&column.name).unwrap_or(ColumnType::Text)))
        };
        Ok(Self {
            layout,
            entry: entry.clone(),
            options,
            splitter,
            fields: names.len(),
            sources: layout.columns.iter().map(source).collect(),
            record: Record::default(),
        })
    }

    /// Reads the next record's wanted fields into `texts`; `None` at the end, else bytes.
    fn record(&mut self, texts: &mut [Texts]) -> Result<Option<usize>> {
        let line = self.splitter.line();
        if !self.splitter.next(&mut self.record).map_err(|error| at(&self.entry, error))? {
            return Ok(None);
        }
        if self.record.len() != self.fields {
            let (found, expected) = (self.record.len(), self.fields);
            let what =
                format_args!("line {line} has {found} fields, and there are {expected} columns");
            return Err(broken(&self.entry.name, what));
        }
        let mut bytes = 0;
        for (source, texts) in self.sources.iter().zip(texts) {
            let Some((at, _)) = source else { continue };
            let (field, quoted) = self.record.field(*at);
            if !quoted && field == self.options.null.as_bytes() {
                texts.push(None);
                continue;
            }
            let text = std::str::from_utf8(field)
                .map_err(|_| broken(&self.entry.name, format_args!("line {line} is not UTF-8")))?;
            bytes += text.len();
            texts.push(Some(text));
        }
        Ok(Some(bytes))
    }
}

impl Rows for CsvRows<'_> {
    fn next(&mut self) -> Result<Option<Arrived>> {
        let mut texts: Vec<Texts> = self.sources.iter().map(|_| Texts::default()).collect();
        let (mut rows, mut bytes) = (0, 0);
        while rows < self.options.batch_rows && bytes < BATCH_BYTES {
            let Some(read) = self.record(&mut texts)? else { break };
            rows += 1;
            bytes += read;
        }
        if rows == 0 {
            return Ok(None);
        }
        let kinds: Vec<_> =
            self.sources.iter().map(|source| source.map(|(_, kind)| kind)).collect();
        assemble(self.layout, &kinds, &texts, rows, &self.entry.name).map(Some)
    }
}

/// The texts of one column, one after the other.
#[derive(Debug, Default)]
pub(super) struct Texts {
    text: String,
    ends: Vec<(usize, bool)>,
}

impl Texts {
    pub(super) fn push(&mut self, text: Option<&str>) {
        self.text.push_str(text.unwrap_or_default());
        self.ends.push((self.text.len(), text.is_some()));
    }

    fn all(&self) -> Vec<Option<&str>> {
        let mut start = 0;
        let one = |(end, present): &(usize, bool)| {
            let text = &self.text[start..*end];
            start = *end;
            present.then_some(text)
        };
        self.ends.iter().map(one).collect()
    }
}

/// Texts as values of their columns; a column without a type is one the file does not have.
pub(super) fn assemble(
    layout: &Layout,
    kinds: &[Option<ColumnType>],
    texts: &[Texts],
    rows: usize,
    file: &str,
) -> Result<Arrived> {
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(kinds.len());
    let mut faults = Vec::new();
    for ((column, kind), texts) in layout.columns.iter().zip(kinds).zip(texts) {
        let Some(kind) = kind else {
            columns.push(new_null_array(&column.arrival.data_type, rows));
            continue;
        };
        let mut refused = Refused::new();
        let array = cells::column(&texts.all(), *kind, &mut refused);
        let array = column.arrival.convert(&array, &mut refused);
        columns.push(array.map_err(|error| broken_by(file, error))?);
        let fault = |(row, reason)| Fault { row, column: column.name.clone(), reason };
        faults.extend(refused.into_iter().map(fault));
    }
    let rows =
        RecordBatch::try_new(layout.schema(), columns).map_err(|error| broken_by(file, error))?;
    Ok(Arrived { rows, faults })
}

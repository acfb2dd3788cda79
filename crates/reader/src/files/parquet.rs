//! Parquet files: the schema from the footer, only the wanted columns, and only row groups that can hold wanted rows.

use std::sync::Arc;

use ::parquet::arrow::ProjectionMask;
use ::parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use ::parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader,
    ParquetRecordBatchReaderBuilder,
};
use ::parquet::basic::Type as Physical;
use flow::arrow::array::{Array, ArrayRef, RecordBatch, new_null_array};
use flow::arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use flow::{Error, Fault, Result, Watermark};

use super::generation::Entry;
use super::input::{Input, broken_by};
use super::schema::Merged;
use crate::arrival::{Arrival, Refused, widened};
use crate::codes;
use crate::layout::{Column, Layout};
use crate::ordered::{Arrived, Rows, Window, watermark_at};

/// Bytes of decoded rows at a time.
const BATCH_BYTES: usize = 8 << 20;

/// The columns of a file.
///
/// # Errors
/// `E1107` for a file that is no Parquet, `E1015` for a column that cannot be carried, `E1105` for one that other files
/// have with another type.
pub(super) fn describe(entry: &Entry, merged: &mut Merged) -> Result<()> {
    let metadata = open(entry, &Input::open(entry)?)?;
    for field in metadata.schema().fields() {
        let name = field.name();
        let Some(arrival) = Arrival::of(field) else {
            let message = format!(
                "{}: column `{name}` has type {}, which has no values of one type",
                entry.name,
                field.data_type()
            );
            return Err(Error::new(&codes::E1015_TYPE, message));
        };
        let untyped = field.data_type() == &DataType::Null;
        merged.add(&entry.name, Column { name: name.clone(), arrival }, untyped)?;
    }
    Ok(())
}

fn open(entry: &Entry, input: &Input) -> Result<ArrowReaderMetadata> {
    let broken = |error| broken_by(&entry.name, error);
    let metadata = ArrowReaderMetadata::load(input, ArrowReaderOptions::new()).map_err(broken)?;
    // The old 96-bit timestamps would be counted in nanoseconds, which end in the year 2262.
    let old: Vec<usize> = metadata
        .parquet_schema()
        .columns()
        .iter()
        .enumerate()
        .filter(|(_, column)| {
            column.physical_type() == Physical::INT96 && column.path().parts().len() == 1
        })
        .map(|(leaf, _)| metadata.parquet_schema().get_column_root_idx(leaf))
        .collect();
    if old.is_empty() {
        return Ok(metadata);
    }
    let fields = metadata.schema().fields().iter().enumerate().map(|(index, field)| {
        let micros = DataType::Timestamp(TimeUnit::Microsecond, None);
        match old.contains(&index) {
            true => Arc::new(Field::new(field.name(), micros, field.is_nullable())),
            false => Arc::clone(field),
        }
    });
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let options = ArrowReaderOptions::new().with_schema(schema);
    ArrowReaderMetadata::try_new(Arc::clone(metadata.metadata()), options).map_err(broken)
}

/// The rows of one file.
pub(super) struct ParquetRows<'a> {
    layout: &'a Layout,
    name: String,
    reader: ParquetRecordBatchReader,
    /// For each column of the layout, its place in what is read, and how it arrives.
    sources: Vec<Option<(usize, Arrival)>>,
}

impl<'a> ParquetRows<'a> {
    /// Opens a file.
    ///
    /// # Errors
    /// As [`describe`], and `E1106` when it changed.
    pub(super) fn open(
        entry: &Entry,
        layout: &'a Layout,
        window: Window,
        batch_rows: usize,
    ) -> Result<Self> {
        let input = Input::open(entry)?;
        let metadata = open(entry, &input)?;
        let schema = Arc::clone(metadata.schema());
        let roots: Vec<usize> = schema
            .fields()
            .iter()
            .enumerate()
            .filter(|(_, field)| layout.names().contains(&field.name().as_str()))
            .map(|(index, _)| index)
            .collect();
        let sources = layout
            .columns
            .iter()
            .map(|column| {
                let at =
                    roots.iter().position(|root| schema.field(*root).name() == &column.name)?;
                Some((at, Arrival::of(schema.field(roots[at]))?))
            })
            .collect();
        let groups = wanted_groups(&metadata, layout, window);
        let rows = batch_size(&metadata, &groups, &roots, batch_rows);
        let mask = ProjectionMask::roots(metadata.parquet_schema(), roots);
        let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(input, metadata)
            .with_projection(mask)
            .with_row_groups(groups)
            .with_batch_size(rows)
            .build()
            .map_err(|error| broken_by(&entry.name, error))?;
        Ok(Self { layout, name: entry.name.clone(), reader, sources })
    }
}

impl Rows for ParquetRows<'_> {
    fn next(&mut self) -> Result<Option<Arrived>> {
        let batch = self.reader.next().transpose();
        let Some(batch) = batch.map_err(|error| broken_by(&self.name, error))? else {
            return Ok(None);
        };
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.sources.len());
        let mut faults = Vec::new();
        for (column, source) in self.layout.columns.iter().zip(&self.sources) {
            let Some((at, arrival)) = source else {
                columns.push(new_null_array(&column.arrival.data_type, batch.num_rows()));
                continue;
            };
            let mut refused = Refused::new();
            let array = arrival
                .convert(batch.column(*at), &mut refused)
                .and_then(|array| widened(array, &column.arrival))
                .map_err(|error| broken_by(&self.name, error))?;
            columns.push(array);
            let name = &column.name;
            let fault = |(row, reason)| Fault { row, column: name.clone(), reason };
            faults.extend(refused.into_iter().map(fault));
        }
        let rows = RecordBatch::try_new(self.layout.schema(), columns)
            .map_err(|error| broken_by(&self.name, error))?;
        Ok(Some(Arrived { rows, faults }))
    }
}

/// Row groups that may hold a row of the window: by the smallest and largest watermark in their statistics, where they
/// have them.
fn wanted_groups(metadata: &ArrowReaderMetadata, layout: &Layout, window: Window) -> Vec<usize> {
    let all: Vec<usize> = (0..metadata.metadata().num_row_groups()).collect();
    let (Window::Between { from, to, unplaced }, Some(column)) =
        (window, layout.watermark_column())
    else {
        return all;
    };
    let known = bounds(metadata, &column.name);
    let can_hold = |group: &usize| {
        let Some(Some(Bounds { least, most, nulls })) = known.as_ref().map(|known| known[*group])
        else {
            return true;
        };
        let placed = most >= from && to.is_none_or(|to| least < to);
        placed || (unplaced && (nulls != Some(0) || least == Watermark::NEG_INFINITY))
    };
    all.into_iter().filter(can_hold).collect()
}

#[derive(Clone, Copy)]
struct Bounds {
    least: Watermark,
    most: Watermark,
    nulls: Option<u64>,
}

/// Smallest and largest watermark of each row group.
fn bounds(metadata: &ArrowReaderMetadata, name: &str) -> Option<Vec<Option<Bounds>>> {
    let groups = metadata.metadata().row_groups();
    let statistics =
        StatisticsConverter::try_new(name, metadata.schema(), metadata.parquet_schema()).ok()?;
    let least = statistics.row_group_mins(groups.iter()).ok()?;
    let most = statistics.row_group_maxes(groups.iter()).ok()?;
    let nulls = statistics.row_group_null_counts(groups.iter()).ok()?;
    let arrival = Arrival::of_type(least.data_type())?;
    // A bound with parts of a microsecond is refused here, and its group is read.
    let least = arrival.convert(&least, &mut Refused::new()).ok()?;
    let most = arrival.convert(&most, &mut Refused::new()).ok()?;
    let of = |column: &ArrayRef, row: usize| match column.is_null(row) {
        true => None,
        false => Some(watermark_at(column, row).unwrap_or(Watermark::NEG_INFINITY)),
    };
    let bounds = (0..groups.len()).map(|group| {
        let nulls = nulls.is_valid(group).then(|| nulls.value(group));
        Some(Bounds { least: of(&least, group)?, most: of(&most, group)?, nulls })
    });
    Some(bounds.collect())
}

/// Rows of a batch that stays small enough, by the uncompressed size of the columns.
fn batch_size(
    metadata: &ArrowReaderMetadata,
    groups: &[usize],
    roots: &[usize],
    most: usize,
) -> usize {
    let schema = metadata.parquet_schema();
    let row_bytes = groups.iter().filter_map(|group| {
        let group = metadata.metadata().row_group(*group);
        let columns = group.columns().iter().enumerate();
        let wanted = columns.filter(|(leaf, _)| roots.contains(&schema.get_column_root_idx(*leaf)));
        let bytes: i64 = wanted.map(|(_, column)| column.uncompressed_size()).sum();
        usize::try_from(bytes / group.num_rows().max(1)).ok()
    });
    let row_bytes = row_bytes.max().unwrap_or(1).max(1);
    (BATCH_BYTES / row_bytes).clamp(1, most)
}

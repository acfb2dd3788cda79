//! Sorting more rows than memory holds: sorted runs in files without a name, merged in the end.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{BufReader, BufWriter, Seek, Write};
use std::sync::Arc;

use flow::arrow::array::{AsArray, BinaryArray, RecordBatch};
use flow::arrow::compute::interleave_record_batch;
use flow::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use flow::arrow::error::ArrowError;
use flow::arrow::ipc::reader::StreamReader;
use flow::arrow::ipc::writer::StreamWriter;
use flow::arrow::row::Rows;
use flow::{Error, Result, Retry};

use super::Room;
use crate::codes;

/// Files merged at a time; each holds a batch in memory.
const RUNS_MAX: usize = 32;
/// Bytes of a batch in a file; a few rows may be more.
const BATCH_BYTES: usize = 1 << 20;

/// Takes rows in any order.
pub(super) struct Sorter {
    room: Room,
    held: Vec<(RecordBatch, Rows)>,
    bytes: usize,
    runs: Vec<File>,
}

impl Sorter {
    pub(super) fn new(room: &Room) -> Self {
        Self { room: room.clone(), held: Vec::new(), bytes: 0, runs: Vec::new() }
    }

    /// Takes a batch and the places of its rows.
    ///
    /// # Errors
    /// `E1110` when a file cannot be written.
    pub(super) fn push(&mut self, rows: RecordBatch, places: Rows) -> Result<()> {
        if rows.num_rows() == 0 {
            return Ok(());
        }
        self.bytes += rows.get_array_memory_size() + places.size();
        self.held.push((rows, places));
        if self.bytes >= self.room.memory_bytes {
            self.spill()?;
        }
        Ok(())
    }

    fn spill(&mut self) -> Result<()> {
        let held = std::mem::take(&mut self.held);
        self.bytes = 0;
        let run = Run::sorted(held, self.room.batch_rows);
        let file = write(&self.room, Sorted::of(vec![run], self.room.batch_rows)?)?;
        self.runs.extend(file);
        if self.runs.len() >= RUNS_MAX {
            let runs = self.runs.drain(..).map(Run::file).collect::<Result<Vec<_>>>()?;
            let merged = write(&self.room, Sorted::of(runs, self.room.batch_rows)?)?;
            self.runs.extend(merged);
        }
        Ok(())
    }

    /// The rows in order.
    ///
    /// # Errors
    /// `E1110` when a file cannot be read.
    pub(super) fn finish(mut self) -> Result<Sorted> {
        let mut runs = self.runs.drain(..).map(Run::file).collect::<Result<Vec<_>>>()?;
        if !self.held.is_empty() {
            runs.push(Run::sorted(std::mem::take(&mut self.held), self.room.batch_rows));
        }
        Sorted::of(runs, self.room.batch_rows)
    }

    /// Files written so far.
    #[cfg(test)]
    pub(super) fn files(&self) -> usize {
        self.runs.len()
    }
}

/// One sorted run: batches with the places of their rows as the last column.
enum Run {
    Memory { held: Vec<(RecordBatch, Rows)>, order: Vec<(usize, usize)>, at: usize, rows: usize },
    File(Box<StreamReader<BufReader<File>>>),
}

impl Run {
    fn sorted(held: Vec<(RecordBatch, Rows)>, rows: usize) -> Self {
        let mut order: Vec<(usize, usize)> = held
            .iter()
            .enumerate()
            .flat_map(|(batch, (rows, _))| (0..rows.num_rows()).map(move |row| (batch, row)))
            .collect();
        order.sort_unstable_by(|a, b| held[a.0].1.row(a.1).cmp(&held[b.0].1.row(b.1)));
        let bytes: usize = held.iter().map(|(batch, _)| batch.get_array_memory_size()).sum();
        let row_bytes = bytes / order.len().max(1);
        let rows = (BATCH_BYTES / row_bytes.max(1)).clamp(1, rows);
        Self::Memory { held, order, at: 0, rows }
    }

    fn file(mut file: File) -> Result<Self> {
        file.rewind().map_err(spool)?;
        let reader = StreamReader::try_new(BufReader::new(file), None).map_err(spool)?;
        Ok(Self::File(Box::new(reader)))
    }

    fn next(&mut self) -> Result<Option<RecordBatch>> {
        match self {
            Self::File(reader) => reader.next().transpose().map_err(spool),
            Self::Memory { held, order, at, rows } => {
                let part = &order[*at..order.len().min(*at + *rows)];
                if part.is_empty() {
                    return Ok(None);
                }
                *at += part.len();
                let batches: Vec<&RecordBatch> = held.iter().map(|(batch, _)| batch).collect();
                let sorted = interleave_record_batch(&batches, part).map_err(spool)?;
                let places: BinaryArray =
                    part.iter().map(|(batch, row)| Some(held[*batch].1.row(*row))).collect();
                with_places(&sorted, places).map(Some).map_err(spool)
            }
        }
    }
}

fn with_places(rows: &RecordBatch, places: BinaryArray) -> Result<RecordBatch, ArrowError> {
    let schema = rows.schema();
    let mut fields: Vec<_> = schema.fields().iter().cloned().collect();
    fields.push(Arc::new(Field::new("place", DataType::Binary, false)));
    let mut columns = rows.columns().to_vec();
    columns.push(Arc::new(places));
    let schema: SchemaRef = Arc::new(Schema::new(fields));
    RecordBatch::try_new(schema, columns)
}

/// Writes sorted rows to a file; none when there are no rows.
fn write(room: &Room, mut sorted: Sorted) -> Result<Option<File>> {
    let mut writer: Option<StreamWriter<BufWriter<File>>> = None;
    while let Some(batch) = sorted.next()? {
        let writer = match &mut writer {
            Some(writer) => writer,
            None => {
                std::fs::create_dir_all(&room.dir).map_err(spool)?;
                let file = tempfile::tempfile_in(&room.dir).map_err(spool)?;
                let new = StreamWriter::try_new(BufWriter::new(file), &batch.schema());
                writer.insert(new.map_err(spool)?)
            }
        };
        writer.write(&batch).map_err(spool)?;
    }
    let Some(mut writer) = writer else { return Ok(None) };
    writer.finish().map_err(spool)?;
    let mut buffer = writer.into_inner().map_err(spool)?;
    buffer.flush().map_err(spool)?;
    buffer.into_inner().map(Some).map_err(|error| spool(error.into_error()))
}

/// Sorted rows, batch by batch, with the places of the rows as the last column.
pub(super) struct Sorted {
    runs: Vec<Run>,
    /// The batch of each run that is being merged, and the next row in it.
    current: Vec<Option<(usize, usize)>>,
    /// Batches that rows of the next result lie in.
    held: Vec<RecordBatch>,
    heap: BinaryHeap<Reverse<(Vec<u8>, usize)>>,
    batch_rows: usize,
}

impl Sorted {
    fn of(runs: Vec<Run>, batch_rows: usize) -> Result<Self> {
        let current = vec![None; runs.len()];
        let mut sorted =
            Self { runs, current, held: Vec::new(), heap: BinaryHeap::new(), batch_rows };
        if sorted.runs.len() > 1 {
            for run in 0..sorted.runs.len() {
                sorted.advance(run)?;
            }
        }
        Ok(sorted)
    }

    /// Puts the next row of a run among those to choose from.
    fn advance(&mut self, run: usize) -> Result<()> {
        let next = match self.current[run] {
            Some((batch, row)) if row + 1 < self.held[batch].num_rows() => Some((batch, row + 1)),
            _ => match self.runs[run].next()? {
                Some(batch) => {
                    self.held.push(batch);
                    Some((self.held.len() - 1, 0))
                }
                None => None,
            },
        };
        self.current[run] = next;
        if let Some((batch, row)) = next {
            let place = place(&self.held[batch], row).to_vec();
            self.heap.push(Reverse((place, run)));
        }
        Ok(())
    }

    /// The next rows.
    ///
    /// # Errors
    /// `E1110` when a file cannot be read.
    pub(super) fn next(&mut self) -> Result<Option<RecordBatch>> {
        if self.runs.len() <= 1 {
            return self.runs.first_mut().map_or(Ok(None), Run::next);
        }
        let mut picked = Vec::new();
        let held_at_first = self.held.len();
        while picked.len() < self.batch_rows && self.held.len() < held_at_first + self.runs.len() {
            let Some(Reverse((_, run))) = self.heap.pop() else { break };
            picked.extend(self.current[run]);
            self.advance(run)?;
        }
        if picked.is_empty() {
            return Ok(None);
        }
        let batches: Vec<&RecordBatch> = self.held.iter().collect();
        let merged = interleave_record_batch(&batches, &picked).map_err(spool)?;
        self.forget();
        Ok(Some(merged))
    }

    /// Lets go of batches that no run is in any more.
    fn forget(&mut self) {
        let mut kept = Vec::new();
        for (batch, _) in self.current.iter_mut().flatten() {
            kept.push(self.held[*batch].clone());
            *batch = kept.len() - 1;
        }
        self.held = kept;
    }
}

/// The place of a row of a sorted batch.
pub(super) fn place(rows: &RecordBatch, row: usize) -> &[u8] {
    rows.column(rows.num_columns() - 1).as_binary::<i32>().value(row)
}

fn spool(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    let message =
        format!("sorting the rows needs room on disk, and the spool folder fails: {error}");
    Error::new(&codes::E1110_SPOOL, message).with_retry(Retry::Backoff)
}

#[cfg(test)]
mod tests {
    use flow::arrow::array::{ArrayRef, Int64Array, StringArray};
    use flow::arrow::datatypes::Int64Type;
    use flow::arrow::row::{RowConverter, SortField};

    use super::*;

    /// L2: the rows are many times the memory, and come back sorted, each once.
    #[test]
    fn rows_beyond_memory_come_back_sorted_from_files() {
        let dir = tempfile::tempdir().unwrap();
        let room = Room { dir: dir.path().join("spool"), memory_bytes: 200_000, batch_rows: 1_000 };
        let mut sorter = Sorter::new(&room);
        let converter = RowConverter::new(vec![SortField::new(DataType::Int64)]).unwrap();
        let mut state = 1_u64;
        let mut sum = 0_i128;
        for _ in 0..300 {
            let numbers: Vec<i64> = (0..500)
                .map(|_| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    (state >> 20) as i64 - (1 << 42)
                })
                .collect();
            sum += numbers.iter().map(|n| i128::from(*n)).sum::<i128>();
            let texts: Vec<String> = numbers.iter().map(i64::to_string).collect();
            let numbers: ArrayRef = Arc::new(Int64Array::from(numbers));
            let places = converter.convert_columns(&[Arc::clone(&numbers)]).unwrap();
            let texts: ArrayRef = Arc::new(StringArray::from(texts));
            let rows = RecordBatch::try_from_iter([("n", numbers), ("t", texts)]).unwrap();
            sorter.push(rows, places).unwrap();
        }
        assert!(sorter.files() > 1 && sorter.files() < RUNS_MAX, "{}", sorter.files());
        let mut sorted = sorter.finish().unwrap();
        let (mut last, mut rows, mut left) = (i64::MIN, 0, sum);
        while let Some(batch) = sorted.next().unwrap() {
            assert!(batch.num_rows() <= 1_000);
            for (row, number) in
                batch.column(0).as_primitive::<Int64Type>().values().iter().enumerate()
            {
                assert!(*number >= last);
                assert_eq!(batch.column(1).as_string::<i32>().value(row), number.to_string());
                last = *number;
                left -= i128::from(*number);
                rows += 1;
            }
        }
        assert_eq!((rows, left), (150_000, 0));
        assert_eq!(
            std::fs::read_dir(dir.path().join("spool")).unwrap().count(),
            0,
            "no name is left"
        );
    }
}

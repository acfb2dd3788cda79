//! A plan in a file: one line that seals it, then Parquet, one row per row that a run would send or refuse.
//!
//! ```text
//! outflow plan 1 <SHA-256 of everything after this line, in hexadecimal>\n
//! <Parquet; its key-value metadata has the plan's header as JSON under `outflow.plan`>
//! ```
//!
//! The seal finds accidents: a file that was cut, edited or mixed up. Who may change the file can also change the seal; the
//! SHA-256 of the whole file, which `outflow plan` prints, is what to pass on beside it.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use flow::arrow::array::{
    Array, ArrayRef, AsArray, FixedSizeBinaryArray, RecordBatch, StringArray,
};
use flow::arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};
use flow::arrow::error::ArrowError;
use flow::{Error, Fingerprint, Key, Result, Target};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{ChunkReader, Length};
use ring::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use crate::codes;
use crate::guard::Counts;
use crate::request::Remembered;

/// The format this version writes and reads.
const VERSION: u32 = 1;
const MAGIC: &str = "outflow plan ";
/// Magic, version, a space, 64 digits and the line's end.
const SEAL_BYTES: usize = MAGIC.len() + 2 + 64 + 1;
/// The header's key in the metadata.
const HEADER: &str = "outflow.plan";
/// Rows of a batch, in writing and in reading.
const BATCH_ROWS: usize = 1024;
/// Rows of a row group: with rows of a few hundred bytes, some megabytes.
const GROUP_ROWS: usize = 16 * 1024;
const HASH_BYTES: i32 = 16;

/// What a plan was made of; apply refuses when any of it has become something else.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// The sync.
    pub sync: String,
    /// Project and environment, as the caller names them.
    pub origin: String,
    /// When it was made, in microseconds since 1970 UTC.
    pub made_at: i64,
    /// Names the sync's configuration.
    pub(crate) config: String,
    /// Account, object and primary key.
    pub(crate) target: (Option<String>, String, Vec<String>),
    /// The stored watermark, in microseconds, its column and the mapping it was reached with.
    pub(crate) watermark: Option<(i64, String, String)>,
    /// The stored mark.
    pub(crate) mark: Option<String>,
    /// Every row of the model was read.
    pub(crate) whole: bool,
    /// How far a run would move the watermark, in microseconds.
    pub(crate) reached: Option<i64>,
    /// What the guards judge.
    pub(crate) counts: Counts,
    /// It puts records back that drifted: its rows are those that were acknowledged.
    #[serde(default)]
    pub(crate) drift: bool,
}

impl Header {
    pub(crate) fn watermark_of(remembered: &Remembered) -> Option<(i64, String, String)> {
        let stored = remembered.watermark.as_ref()?;
        Some((stored.watermark.0, stored.column.clone(), stored.mapping.clone()))
    }

    pub(crate) fn mark_of(remembered: &Remembered) -> Option<String> {
        remembered.mark.as_ref().and_then(|stored| stored.mark.as_ref()).map(|mark| mark.0.clone())
    }

    pub(crate) fn of_target(target: &Target) -> (Option<String>, String, Vec<String>) {
        (target.account.clone(), target.object.clone(), target.primary_key.clone())
    }
}

/// One row of a plan.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PlannedRow {
    /// `None` where the row's key is NULL.
    pub(crate) key: Option<Key>,
    /// `create`, `update`, `invalid`, or `remove`: after all others, a record whose row left the model.
    pub(crate) op: String,
    pub(crate) reason: Option<String>,
    /// Of the payload.
    pub(crate) fingerprint: Option<Fingerprint>,
    /// Of the payload last acknowledged.
    pub(crate) prior: Option<Fingerprint>,
    /// Why an invalid row is.
    pub(crate) code: Option<String>,
    /// Field at fault.
    pub(crate) field: Option<String>,
    /// What would be written.
    pub(crate) values: Vec<Change>,
}

/// One field of a planned row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The destination's field.
    pub field: String,
    /// Its value at the destination; `None` where nobody knows.
    pub before: Option<Value>,
    /// Whether it has a value there; `None` where nobody knows.
    pub filled: Option<bool>,
    /// Whether the value changes; `None` where nobody knows, and of what differs with every run.
    pub changed: Option<bool>,
    /// Its value afterwards.
    pub after: Value,
}

/// A value as text; `None` is empty.
pub type Value = Option<String>;

fn values_field() -> Field {
    let text = |name: &str, nullable| Field::new(name, DataType::Utf8, nullable);
    let fields = Fields::from(vec![
        text("field", false),
        Field::new("changed", DataType::Boolean, true),
        Field::new("before_known", DataType::Boolean, false),
        text("before", true),
        text("after", true),
    ]);
    Field::new("item", DataType::Struct(fields), false)
}

fn schema() -> SchemaRef {
    let text = |name: &str, nullable| Field::new(name, DataType::Utf8, nullable);
    let hash = |name: &str| Field::new(name, DataType::FixedSizeBinary(HASH_BYTES), true);
    Arc::new(Schema::new(vec![
        text("key", true),
        text("op", false),
        text("reason", true),
        hash("fingerprint"),
        hash("prior"),
        text("code", true),
        text("field", true),
        Field::new("values", DataType::List(Arc::new(values_field())), false),
    ]))
}

/// Writes a plan, row by row. Until it is finished there is no file of that name.
pub(crate) struct PlanWriter {
    path: PathBuf,
    made: NamedTempFile,
    writer: ArrowWriter<File>,
    rows: Vec<PlannedRow>,
}

impl PlanWriter {
    /// Begins. The file will be the owner's alone to read: it holds row values.
    pub(crate) fn new(path: &Path) -> Result<Self> {
        let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty());
        let mut made = NamedTempFile::new_in(dir.unwrap_or(Path::new("."))).map_err(not_written)?;
        made.write_all(&[b' '; SEAL_BYTES]).map_err(not_written)?;
        let file = made.as_file().try_clone().map_err(not_written)?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_max_row_group_row_count(Some(GROUP_ROWS))
            .build();
        // The Parquet part counts from its own beginning: the writer knows nothing of the seal.
        let writer = ArrowWriter::try_new(file, schema(), Some(properties)).map_err(not_written)?;
        Ok(Self { path: path.to_owned(), made, writer, rows: Vec::new() })
    }

    pub(crate) fn push(&mut self, row: PlannedRow) -> Result<()> {
        self.rows.push(row);
        if self.rows.len() < BATCH_ROWS { Ok(()) } else { self.flush() }
    }

    fn flush(&mut self) -> Result<()> {
        let batch = to_batch(&std::mem::take(&mut self.rows)).map_err(not_written)?;
        self.writer.write(&batch).map_err(not_written)
    }

    /// Ends and seals it; gives the SHA-256 of the whole file.
    pub(crate) fn finish(mut self, header: &Header) -> Result<String> {
        self.flush()?;
        let header = serde_json::to_string(header).map_err(not_written)?;
        self.writer.append_key_value_metadata(KeyValue::new(HEADER.to_owned(), header));
        self.writer.close().map_err(not_written)?;
        let file = self.made.as_file_mut();
        let content = digest_from(file, SEAL_BYTES as u64).map_err(not_written)?;
        file.seek(SeekFrom::Start(0)).map_err(not_written)?;
        let seal = format!("{MAGIC}{VERSION} {content}\n");
        file.write_all(seal.as_bytes()).map_err(not_written)?;
        file.sync_all().map_err(not_written)?;
        let digest = digest_from(file, 0).map_err(not_written)?;
        self.made.persist(&self.path).map_err(|error| not_written(error.error))?;
        Ok(digest)
    }
}

/// SHA-256 of the file from `start` on, in hexadecimal.
fn digest_from(file: &mut File, start: u64) -> std::io::Result<String> {
    let mut context = Context::new(&SHA256);
    let mut buffer = vec![0; 64 << 10];
    file.seek(SeekFrom::Start(start))?;
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            read => context.update(&buffer[..read]),
        }
    }
    Ok(context.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect())
}

fn to_batch(rows: &[PlannedRow]) -> Result<RecordBatch, ArrowError> {
    use flow::arrow::array::{BooleanBuilder, ListBuilder, StringBuilder, StructBuilder};
    let text = |value: fn(&PlannedRow) -> Option<&str>| -> ArrayRef {
        Arc::new(rows.iter().map(value).collect::<StringArray>())
    };
    let hash = |value: fn(&PlannedRow) -> Option<Fingerprint>| -> Result<ArrayRef, ArrowError> {
        let bytes = rows.iter().map(|row| value(row).map(|hash| hash.0.to_be_bytes()));
        let array = FixedSizeBinaryArray::try_from_sparse_iter_with_size(bytes, HASH_BYTES)
            .map(Arc::new)?;
        Ok(array)
    };
    let item = values_field();
    let DataType::Struct(fields) = item.data_type() else {
        return Err(ArrowError::SchemaError("values are structs".to_owned()));
    };
    let values = StructBuilder::from_fields(fields.clone(), rows.len());
    let mut list = ListBuilder::new(values).with_field(item.clone());
    for row in rows {
        for Change { field, before, changed, after, .. } in &row.values {
            let one = list.values();
            let mut put = |index: usize, text: Option<&str>| {
                if let Some(builder) = one.field_builder::<StringBuilder>(index) {
                    builder.append_option(text);
                }
            };
            put(0, Some(field));
            put(3, before.as_ref().and_then(Option::as_deref));
            put(4, after.as_deref());
            let mut say = |index: usize, truth: Option<bool>| {
                if let Some(builder) = one.field_builder::<BooleanBuilder>(index) {
                    builder.append_option(truth);
                }
            };
            say(1, *changed);
            say(2, Some(before.is_some()));
            one.append(true);
        }
        list.append(true);
    }
    RecordBatch::try_new(
        schema(),
        vec![
            text(|row| row.key.as_ref().map(Key::as_str)),
            text(|row| Some(&row.op)),
            text(|row| row.reason.as_deref()),
            hash(|row| row.fingerprint)?,
            hash(|row| row.prior)?,
            text(|row| row.code.as_deref()),
            text(|row| row.field.as_deref()),
            Arc::new(list.finish()),
        ],
    )
}

/// A plan file whose seal is intact.
#[derive(Debug)]
pub struct PlanFile {
    /// What the plan was made of.
    pub header: Header,
    /// SHA-256 of the whole file.
    pub sha256: String,
    part: Arc<ParquetPart>,
}

/// The Parquet part of a plan file.
#[derive(Debug)]
struct ParquetPart {
    file: File,
    bytes: u64,
}

struct Shared(Arc<ParquetPart>);

impl Length for Shared {
    fn len(&self) -> u64 {
        self.0.bytes
    }
}

impl ChunkReader for Shared {
    type T = BufReader<File>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        self.0.file.get_read(start + SEAL_BYTES as u64)
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        self.0.file.get_bytes(start + SEAL_BYTES as u64, length)
    }
}

impl PlanFile {
    /// Opens a plan.
    ///
    /// # Errors
    /// `E4031` when it is no plan, `E4032` when it is damaged, `E4033` when a newer version made it.
    pub fn open(path: &Path) -> Result<Self> {
        let mut file = File::open(path)
            .map_err(|error| Error::new(&codes::E4034, error.to_string()).with_source(error))?;
        let mut seal = Vec::new();
        (&file)
            .take(SEAL_BYTES as u64)
            .read_to_end(&mut seal)
            .map_err(|error| Error::new(&codes::E4034, error.to_string()).with_source(error))?;
        let written = sealed(&seal)?;
        let content = digest_from(&mut file, SEAL_BYTES as u64).map_err(not_read)?;
        if content != written {
            return Err(Error::new(&codes::E4032, "its content is not what was sealed"));
        }
        let sha256 = digest_from(&mut file, 0).map_err(not_read)?;
        let length = file.metadata().map_err(not_read)?.len();
        let part = ParquetPart { file, bytes: length.saturating_sub(SEAL_BYTES as u64) };
        let part = Arc::new(part);
        let builder = ParquetRecordBatchReaderBuilder::try_new(Shared(Arc::clone(&part)))
            .map_err(not_read)?;
        let metadata = builder.metadata().file_metadata().key_value_metadata();
        let header = metadata
            .and_then(|pairs| pairs.iter().find(|pair| pair.key == HEADER))
            .and_then(|pair| pair.value.as_deref())
            .ok_or_else(|| Error::new(&codes::E4032, "it has no header"))?;
        let header = serde_json::from_str(header).map_err(not_read)?;
        if builder.schema().fields() != schema().fields() {
            return Err(Error::new(&codes::E4032, "its columns are not those of a plan"));
        }
        Ok(Self { header, sha256, part })
    }

    /// Its rows, in the order of the read it was made from.
    pub(crate) fn rows(&self) -> Result<PlanRows> {
        let builder = ParquetRecordBatchReaderBuilder::try_new(Shared(Arc::clone(&self.part)))
            .map_err(not_read)?;
        let reader = builder.with_batch_size(BATCH_ROWS).build().map_err(not_read)?;
        Ok(PlanRows { reader, batch: Vec::new().into_iter(), named: false })
    }

    /// As [`PlanFile::rows`], with the names of the fields that each row writes, and whether they change.
    pub(crate) fn named_rows(&self) -> Result<PlanRows> {
        Ok(PlanRows { named: true, ..self.rows()? })
    }
}

/// The digest in the first line.
fn sealed(seal: &[u8]) -> Result<String> {
    let no_plan = || Error::new(&codes::E4031, "its first line is not that of a plan");
    let text = std::str::from_utf8(seal).map_err(|_| no_plan())?;
    let rest = text.strip_prefix(MAGIC).ok_or_else(no_plan)?;
    let (version, digest) = rest.split_once(' ').ok_or_else(no_plan)?;
    let version: u32 = version.parse().map_err(|_| no_plan())?;
    if version != VERSION {
        let message = format!("the plan has format {version}, and this version reads {VERSION}");
        return Err(Error::new(&codes::E4033, message));
    }
    let digest = digest.strip_suffix('\n').unwrap_or(digest);
    match digest.len() == 64 {
        true => Ok(digest.to_owned()),
        false => Err(Error::new(&codes::E4032, "it was cut off")),
    }
}

/// The rows of a plan, some at a time.
pub(crate) struct PlanRows {
    reader: ParquetRecordBatchReader,
    batch: std::vec::IntoIter<PlannedRow>,
    /// With the names of the fields.
    named: bool,
}

impl PlanRows {
    /// The next row, without its fields' values.
    pub(crate) fn next(&mut self) -> Result<Option<PlannedRow>> {
        loop {
            if let Some(row) = self.batch.next() {
                return Ok(Some(row));
            }
            let Some(batch) = self.reader.next() else { return Ok(None) };
            let batch = batch.map_err(not_read)?;
            let mut rows = from_batch(&batch);
            if self.named {
                for (index, row) in rows.iter_mut().enumerate() {
                    row.values = fields_of(&batch, index);
                }
            }
            self.batch = rows.into_iter();
        }
    }
}

fn from_batch(batch: &RecordBatch) -> Vec<PlannedRow> {
    let text = |column: usize, row: usize| {
        let column = batch.column(column).as_string::<i32>();
        column.is_valid(row).then(|| column.value(row).to_owned())
    };
    let hash = |column: usize, row: usize| {
        let column = batch.column(column).as_fixed_size_binary();
        let bytes = column.is_valid(row).then(|| column.value(row))?;
        bytes.try_into().ok().map(|bytes| Fingerprint(u128::from_be_bytes(bytes)))
    };
    (0..batch.num_rows())
        .map(|row| PlannedRow {
            key: text(0, row).map(Key::from_stored),
            op: text(1, row).unwrap_or_default(),
            reason: text(2, row),
            fingerprint: hash(3, row),
            prior: hash(4, row),
            code: text(5, row),
            field: text(6, row),
            values: Vec::new(),
        })
        .collect()
}

/// The fields of a row, without values.
fn fields_of(batch: &RecordBatch, row: usize) -> Vec<Change> {
    let values = batch.column(7).as_list::<i32>().value(row);
    let names = values.as_struct().column(0).as_string::<i32>();
    let changed = values.as_struct().column(1).as_boolean();
    let known = names.iter().zip(changed.iter());
    known
        .filter_map(|(field, changed)| {
            let field = field?.to_owned();
            Some(Change { field, before: None, filled: None, changed, after: None })
        })
        .collect()
}

fn not_written(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(&codes::E4034, format!("the plan could not be written: {error}")).with_source(error)
}

fn not_read(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(&codes::E4032, format!("it cannot be read: {error}")).with_source(error)
}

#[cfg(test)]
mod tests;

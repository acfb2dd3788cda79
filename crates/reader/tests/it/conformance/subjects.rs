//! The sources under test, each with its way to put rows where it finds them.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::sync::Arc;

use async_trait::async_trait;
use flate2::Compression;
use flate2::write::GzEncoder;
use flow::Source;
use flow::arrow::array::{ArrayRef, RecordBatch, StringArray};
use flow::arrow::compute::cast;
use flow::arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use reader::OpenArgs;
use reader::files::Files;
use serde_json::{Map, Value, json};
use support::Database;

use super::{Kind, Subject, Table};
use crate::object_store::Bucket;

/// PostgreSQL.
pub(crate) struct Warehouse {
    database: Database,
}

pub(crate) async fn postgres() -> Warehouse {
    Warehouse { database: crate::warehouse::database("").await }
}

/// Makes a table in PostgreSQL.
pub(crate) async fn make_in_postgres(database: &Database, name: &str, table: &Table) {
    let type_of = |kind| match kind {
        Kind::Bigint => "bigint",
        Kind::Text => "text",
        Kind::Cents => "numeric(12,2)",
        Kind::Double => "double precision",
        Kind::Boolean => "boolean",
        Kind::Date => "date",
        Kind::Timestamp => "timestamp",
        Kind::Timestamptz => "timestamptz",
    };
    database.execute(&statements(name, table, type_of).join("; ")).await;
}

/// Statements that make a table in most databases.
pub(crate) fn statements(
    name: &str,
    table: &Table,
    type_of: fn(Kind) -> &'static str,
) -> Vec<String> {
    let columns: Vec<String> = table
        .columns
        .iter()
        .map(|(column, kind)| format!("\"{column}\" {}", type_of(*kind)))
        .collect();
    let mut all = vec![
        format!("DROP TABLE IF EXISTS {name}"),
        format!("CREATE TABLE {name} ({})", columns.join(", ")),
    ];
    for rows in table.rows.chunks(1_000) {
        let rows: Vec<String> = rows
            .iter()
            .map(|row| {
                let cells: Vec<String> = row
                    .iter()
                    .map(|cell| match cell {
                        Some(text) => format!("'{}'", text.replace('\'', "''")),
                        None => "NULL".to_owned(),
                    })
                    .collect();
                format!("({})", cells.join(", "))
            })
            .collect();
        all.push(format!("INSERT INTO {name} VALUES {}", rows.join(", ")));
    }
    all
}

#[async_trait]
impl Subject for Warehouse {
    fn name(&self) -> &'static str {
        "postgres"
    }

    fn has(&self, _: Kind) -> bool {
        true
    }

    async fn make(&self, name: &str, table: &Table) -> (String, Arc<dyn Source>) {
        make_in_postgres(&self.database, name, table).await;
        (name.to_owned(), Arc::new(crate::warehouse::open(&self.database.url)))
    }
}

/// Files of one kind.
pub(crate) struct FileSubject {
    dir: tempfile::TempDir,
    ending: &'static str,
    files: usize,
    bucket: Option<Bucket>,
}

/// Files of one kind in an object store.
pub(crate) fn in_bucket(ending: &'static str, bucket: Bucket) -> FileSubject {
    FileSubject { bucket: Some(bucket), ..FileSubject::new(ending, 2) }
}

impl FileSubject {
    /// A folder whose tables are so many files each.
    pub(crate) fn new(ending: &'static str, files: usize) -> Self {
        Self { dir: tempfile::tempdir().unwrap(), ending, files, bucket: None }
    }
}

fn options(table: &Table) -> Map<String, Value> {
    let columns: Map<String, Value> = table
        .columns
        .iter()
        .map(|(name, kind)| {
            let kind = match kind {
                Kind::Bigint => "bigint",
                Kind::Text => "text",
                Kind::Cents => "numeric(12,2)",
                Kind::Double => "double precision",
                Kind::Boolean => "boolean",
                Kind::Date => "date",
                Kind::Timestamp => "timestamp",
                Kind::Timestamptz => "timestamptz",
            };
            ((*name).to_owned(), json!(kind))
        })
        .collect();
    let options = json!({ "path": "data", "columns": columns, "batch_rows": 7 });
    options.as_object().cloned().unwrap()
}

/// Opens the files below `data` of a folder.
pub(crate) fn open_files(dir: &std::path::Path, options: Map<String, Value>) -> Files {
    let args = OpenArgs::new("files", options);
    Files::open(OpenArgs { project_dir: dir.to_owned(), spool_dir: dir.join("spool"), ..args })
        .unwrap()
}

#[async_trait]
impl Subject for FileSubject {
    fn name(&self) -> &'static str {
        self.ending
    }

    fn has(&self, _: Kind) -> bool {
        true
    }

    async fn make(&self, name: &str, table: &Table) -> (String, Arc<dyn Source>) {
        let folder = self.dir.path().join("data").join(name);
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        let each = table.rows.len().div_ceil(self.files).max(1);
        for (number, rows) in table.rows.chunks(each).chain(std::iter::once(&[][..])).enumerate() {
            if number > 0 && rows.is_empty() && self.ending == "jsonl" {
                continue;
            }
            let part = Table { columns: table.columns.clone(), rows: rows.to_vec() };
            let path = folder.join(format!("part-{number}.{}", self.ending));
            match self.ending {
                "parquet" => write_parquet(&path, &part, 5),
                "jsonl" => std::fs::write(&path, json_lines(&part)).unwrap(),
                "csv.gz" => {
                    let file = File::create(&path).unwrap();
                    let mut packed = GzEncoder::new(file, Compression::fast());
                    packed.write_all(csv(&part).as_bytes()).unwrap();
                    packed.finish().unwrap();
                }
                _ => std::fs::write(&path, csv(&part)).unwrap(),
            }
        }
        let mut options = options(table);
        if table.rows.len() > 10_000 {
            options.insert("batch_rows".to_owned(), json!(1_000));
            options.insert("sort_memory_mib".to_owned(), json!(1));
        }
        if let Some(bucket) = &self.bucket {
            bucket.upload(&folder, name).await;
            options = bucket.options(options);
        }
        (name.to_owned(), Arc::new(open_files(self.dir.path(), options)))
    }
}

fn csv(table: &Table) -> String {
    let mut text: String =
        table.columns.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(",");
    for row in &table.rows {
        let cells: Vec<String> = row
            .iter()
            .map(|cell| match cell {
                Some(cell) => format!("\"{}\"", cell.replace('"', "\"\"")),
                None => String::new(),
            })
            .collect();
        let _ = write!(text, "\r\n{}", cells.join(","));
    }
    text
}

fn json_lines(table: &Table) -> String {
    let mut text = String::new();
    for row in &table.rows {
        let members: Vec<String> = table
            .columns
            .iter()
            .zip(row)
            .map(|((name, kind), cell)| {
                let value = match (cell, kind) {
                    (None, _) => "null".to_owned(),
                    (Some(cell), Kind::Bigint | Kind::Double | Kind::Cents | Kind::Boolean) => {
                        cell.clone()
                    }
                    (Some(cell), _) => Value::from(cell.as_str()).to_string(),
                };
                format!("{}:{value}", Value::from(*name))
            })
            .collect();
        let _ = writeln!(text, "{{{}}}", members.join(","));
    }
    text
}

/// The rows as Arrow, by Arrow's own casts.
pub(crate) fn batch(table: &Table) -> RecordBatch {
    let mut fields = Vec::new();
    let mut columns: Vec<ArrayRef> = Vec::new();
    for (index, (name, kind)) in table.columns.iter().enumerate() {
        let texts: StringArray = table.rows.iter().map(|row| row[index].as_deref()).collect();
        let data_type = match kind {
            Kind::Bigint => DataType::Int64,
            Kind::Text => DataType::Utf8,
            Kind::Cents => DataType::Decimal128(12, 2),
            Kind::Double => DataType::Float64,
            Kind::Boolean => DataType::Boolean,
            Kind::Date => DataType::Date32,
            Kind::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
            Kind::Timestamptz => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        };
        // Arrow reads no zone but an offset without its largest feature.
        let micros = DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into()));
        let parsed = if *kind == Kind::Timestamptz { &micros } else { &data_type };
        columns.push(cast(&cast(&texts, parsed).unwrap(), &data_type).unwrap());
        fields.push(Field::new(*name, data_type, true));
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

pub(crate) fn write_parquet(path: &std::path::Path, table: &Table, group_rows: usize) {
    let batch = batch(table);
    let rows = if table.rows.len() > 10_000 { 4_096 } else { group_rows };
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(rows)).build();
    let file = File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

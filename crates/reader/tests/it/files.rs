//! Files: which ones are read, one generation of them, what they disagree about, what is damaged, and what is pruned.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use flow::arrow::array::{
    ArrayRef, Int32Array, RecordBatch, StringArray, TimestampNanosecondArray,
};
use flow::{Changes, Error, Key, Model, ReadRequest, Relation, Result, Scope, Source, Watermark};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::conformance::{Kind, Table, column, moment, open_files, write_parquet};

/// A folder with these files below `data`.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("data")).unwrap();
    for (name, content) in files {
        put(dir.path(), name, content.as_bytes());
    }
    dir
}

fn put(dir: &Path, name: &str, content: &[u8]) {
    let path = dir.join("data").join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

fn model(name: &str) -> Model {
    Model {
        relation: Relation::Table(name.to_owned()),
        primary_key: vec!["id".to_owned()],
        changes: Changes::Snapshot,
        removed_when: None,
    }
}

fn source(dir: &TempDir, mut options: Value) -> impl Source {
    options["path"] = json!("data");
    open_files(dir.path(), options.as_object().cloned().unwrap())
}

fn request(model: Model) -> ReadRequest {
    let model = Arc::new(model);
    ReadRequest { model, columns: Vec::new(), scope: Scope::All, after: None, rows_max: None }
}

async fn ids(source: &impl Source, name: &str) -> Result<Vec<String>> {
    let mut read = source.read(request(model(name))).await?;
    let mut batches = Vec::new();
    while let Some(batch) = read.next().await? {
        batches.push(batch);
    }
    Ok(column(&batches, "id").into_iter().flatten().collect())
}

async fn refused(source: &impl Source, name: &str) -> Error {
    let error = ids(source, name).await.unwrap_err();
    assert!(!error.remedy().is_empty());
    error
}

#[tokio::test]
async fn a_name_is_a_file_a_folder_or_a_glob_below_the_folder() {
    let row = |id: &str| format!("id,x\n{id},\n");
    let dir = folder(&[]);
    for (name, id) in [
        ("one.csv", "1"),
        ("users/a.csv", "2"),
        ("users/deep/b.csv", "3"),
        ("users/_SUCCESS", "9"),
        ("users/.hidden.csv", "9"),
        ("users/_old/c.csv", "9"),
        ("users/notes.txt", "9"),
        ("export-2026-01.csv", "4"),
        ("export-2026-02.csv", "5"),
    ] {
        put(dir.path(), name, row(id).as_bytes());
    }
    let source = source(&dir, json!({}));
    for (name, expected) in [
        ("one.csv", &["1"][..]),
        ("./one.csv", &["1"]),
        ("users", &["2", "3"]),
        ("users/", &["2", "3"]),
        ("users/*.csv", &["2"]),
        ("users/**/*.csv", &["2", "3"]),
        ("export-2026-*.csv", &["4", "5"]),
        ("{one,export-2026-01}.csv", &["1", "4"]),
    ] {
        assert_eq!(ids(&source, name).await.unwrap(), expected, "{name}");
    }
    for (name, code) in [
        ("nope.csv", "E1101"),
        ("x*.csv", "E1101"),
        ("../one.csv", "E1101"),
        ("/etc/passwd", "E1101"),
        ("", "E1101"),
        ("[", "E1101"),
        ("users/notes.txt", "E1104"),
    ] {
        assert_eq!(refused(&source, name).await.code().id, code, "{name}");
    }
    let found = source.discover(None).await.unwrap();
    let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["export-2026-01.csv", "export-2026-02.csv", "one.csv", "users"]);
}

#[tokio::test]
async fn what_needs_sql_is_refused_with_a_way_out() {
    let dir = folder(&[("a.csv", "id\n1\n")]);
    let source = source(&dir, json!({}));
    let sql = Model { relation: Relation::Sql("select 1".to_owned()), ..model("a.csv") };
    let error = source.check(&sql).await.unwrap_err();
    assert!(error.code().id == "E1103" && error.remedy().contains("DuckDB"), "{error}");
    let gone = Model { removed_when: Some("id = 1".to_owned()), ..model("a.csv") };
    assert_eq!(source.check(&gone).await.unwrap_err().code().id, "E1103");
    let mut condition = request(model("a.csv"));
    condition.scope = Scope::Where("id = 1".to_owned());
    assert_eq!(source.read(condition).await.err().unwrap().code().id, "E1103");
}

/// R2, R3: one generation, or an error and no end.
#[tokio::test]
async fn a_file_that_changes_or_vanishes_during_the_read_fails_it() {
    let rows: String = (0..30_000).map(|id| format!("{id},x\n")).collect();
    let content = format!("id,x\n{rows}");
    type Change = fn(&Path);
    let changes: [Change; 4] = [
        |path| fs::remove_file(path).unwrap(),
        |path| fs::write(path, "id,x\n1,y\n").unwrap(),
        |path| {
            // The same bytes under the same name are another file all the same.
            fs::copy(path, path.with_extension("new")).unwrap();
            fs::rename(path.with_extension("new"), path).unwrap();
        },
        |path| {
            use std::io::Write;
            let mut file = fs::OpenOptions::new().append(true).open(path).unwrap();
            file.write_all(b"30000,z\n").unwrap();
        },
    ];
    for change in changes {
        let dir = folder(&[("a/1.csv", &content), ("a/2.csv", "id,x\n99999,x\n")]);
        let source = source(&dir, json!({ "columns": { "id": "bigint" }, "batch_rows": 100 }));
        let mut read = source.read(request(model("a"))).await.unwrap();
        read.next().await.unwrap().unwrap();
        change(&dir.path().join("data/a/2.csv"));
        let error = loop {
            match read.next().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("a read of two generations has no end"),
                Err(error) => break error,
            }
        };
        assert!(["E1106", "E1102"].contains(&error.code().id), "{error}");
        assert!(error.message().contains("a/2.csv"), "{error}");
    }
    // A new file is of the next run.
    let dir = folder(&[("a/1.csv", &content)]);
    let source = source(&dir, json!({ "batch_rows": 100 }));
    let mut read = source.read(request(model("a"))).await.unwrap();
    put(dir.path(), "a/2.csv", b"id,x\n99999,x\n");
    let mut rows = 0;
    while let Some(batch) = read.next().await.unwrap() {
        rows += batch.rows.num_rows();
    }
    assert_eq!(rows, 30_000);
}

#[tokio::test]
async fn files_that_disagree_are_named_and_those_that_can_agree_do() {
    let dir = folder(&[
        ("mixed/1.jsonl", "{\"id\": 1, \"v\": 2}\n"),
        ("mixed/2.jsonl", "{\"id\": 2, \"v\": 2.50}\n{\"id\": 12345678901234567890}\n"),
        ("bad/1.jsonl", "{\"id\": 1, \"v\": 2}\n"),
        ("bad/2.jsonl", "{\"id\": 2, \"v\": \"x\"}\n"),
        ("within.jsonl", "{\"id\": 1, \"v\": true}\n{\"id\": 2, \"v\": \"x\"}\n"),
        ("kinds/1.csv", "id\n1\n"),
        ("kinds/2.jsonl", "{\"id\": 1}\n"),
        ("more/1.csv", "id,a\n1,x\n"),
        ("more/2.csv", "b,id\ny,2\n"),
    ]);
    let source = source(&dir, json!({}));
    assert_eq!(ids(&source, "mixed").await.unwrap(), ["1", "2", "12345678901234567890"]);
    let error = refused(&source, "bad").await;
    assert_eq!(error.code().id, "E1105");
    assert!(
        error.message().contains("bad/1.jsonl") && error.message().contains("bad/2.jsonl"),
        "{error}"
    );
    let error = refused(&source, "within.jsonl").await;
    assert!(error.code().id == "E1105" && error.message().contains("line 2"), "{error}");
    assert_eq!(refused(&source, "kinds").await.code().id, "E1104");
    let mut read = source.read(request(model("more"))).await.unwrap();
    let fields: Vec<String> =
        read.opening().schema.fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!(fields, ["id", "a", "b"]);
    let batch = read.next().await.unwrap().unwrap();
    assert_eq!(column(&[batch], "a"), [Some("x".to_owned())]);
}

/// R3: what is cut off is no end, and X1: the error holds no value.
#[tokio::test]
async fn a_damaged_file_is_an_error_that_names_it() {
    let table = Table {
        columns: vec![("id", Kind::Bigint), ("v", Kind::Text)],
        rows: (0..1_000).map(|id| vec![Some(id.to_string()), Some("secret".to_owned())]).collect(),
    };
    let dir = folder(&[]);
    let path = dir.path().join("data/whole.parquet");
    write_parquet(&path, &table, 100);
    let whole = fs::read(&path).unwrap();
    put(dir.path(), "cut.parquet", &whole[..whole.len() / 2]);
    put(dir.path(), "empty.parquet", b"");
    put(dir.path(), "text.parquet", b"id,v\n1,secret\n");
    let mut bent = whole.clone();
    let footer = whole.len() - 300;
    bent[footer..footer + 100].fill(0xff);
    put(dir.path(), "bent.parquet", &bent);
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut packed, b"id,v\n1,secret\n2,secret\n").unwrap();
    let packed = packed.finish().unwrap();
    put(dir.path(), "cut.csv.gz", &packed[..packed.len() - 9]);
    for (name, content) in [
        ("short.csv", "id,v\n1,secret\n2\n"),
        ("quote.csv", "id,v\n1,\"secret\n2,secret\n"),
        ("none.csv", ""),
        ("bytes.csv", "id,v\n1,\u{e9}\n"),
        ("half.jsonl", "{\"id\": 1, \"v\": \"secret\"}\n{\"id\": 2, \"v\": \"sec"),
        ("twice.jsonl", "{\"id\": 1, \"v\": \"secret\", \"id\": 2}\n"),
        ("list.jsonl", "{\"id\": 1}\n[\"secret\"]\n"),
        ("array.json", "[{\"id\": 1}]\n"),
    ] {
        let content: Vec<u8> = match name {
            "bytes.csv" => content.chars().map(|c| c as u8).collect(),
            _ => content.as_bytes().to_vec(),
        };
        put(dir.path(), name, &content);
    }
    let source = source(&dir, json!({}));
    assert_eq!(ids(&source, "whole.parquet").await.unwrap().len(), 1_000);
    for name in fs::read_dir(dir.path().join("data")).unwrap() {
        let name = name.unwrap().file_name().into_string().unwrap();
        if name == "whole.parquet" {
            continue;
        }
        let error = refused(&source, &name).await;
        let code = if name == "array.json" { "E1104" } else { "E1107" };
        assert_eq!(error.code().id, code, "{name}: {error}");
        assert!(error.message().contains(&name) && !error.message().contains("secret"), "{error}");
    }
}

#[tokio::test]
async fn a_cell_that_is_no_value_of_its_type_is_a_fault_and_stops_no_row() {
    let dir =
        folder(&[("a.csv", "id,n,t\n1,x,2026-01-01T00:00:00Z\n2,5,yesterday\n,,\n007,\"\",\n")]);
    let columns = json!({ "columns": { "id": "bigint", "n": "bigint", "t": "timestamptz" } });
    let source = source(&dir, columns);
    let mut read = source.read(request(model("a.csv"))).await.unwrap();
    let batch = read.next().await.unwrap().unwrap();
    let faults: Vec<(usize, &str)> =
        batch.faults.iter().map(|fault| (fault.row, fault.column.as_str())).collect();
    assert_eq!(faults, [(0, "n"), (1, "t"), (2, "n")]);
    assert_eq!(batch.faults[0].reason, "it is no bigint");
    let ids = [Some("1"), Some("2"), Some("7"), None].map(|id| id.map(str::to_owned));
    assert_eq!(column(&[batch], "id"), ids);
}

#[tokio::test]
async fn csv_is_read_as_its_options_say() {
    let dir = folder(&[
        ("a.csv", "1;\"x;y\";\\N\r\n2;;z\r\n"),
        ("b.tsv", "id\tv\n1\ta,b\n"),
        ("c.csv", "id,v\n1,\"\"\n2,\n"),
    ]);
    let plain = source(&dir, json!({}));
    let read = async |source: &dyn Source, name: &str, wanted: &str| {
        let mut read = source.read(request(model(name))).await.unwrap();
        column(&[read.next().await.unwrap().unwrap()], wanted)
    };
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(read(&plain, "b.tsv", "v").await, [some("a,b")]);
    assert_eq!(
        read(&plain, "c.csv", "v").await,
        [some(""), None],
        "quoted is text, nothing is NULL"
    );
    let columns = json!({ "id": "bigint", "b": "text", "c": "text" });
    let options = json!({ "header": false, "delimiter": ";", "null": "\\N", "columns": columns });
    let headless = source(&dir, options);
    assert_eq!(read(&headless, "a.csv", "b").await, [some("x;y"), some("")]);
    assert_eq!(read(&headless, "a.csv", "c").await, [None, some("z")]);
}

/// Row groups that cannot hold a changed row are not decoded: one is damaged, and nobody notices.
#[tokio::test]
async fn row_groups_without_a_row_of_the_window_are_not_read() {
    let table = Table {
        columns: vec![("id", Kind::Bigint), ("at", Kind::Timestamptz), ("v", Kind::Text)],
        rows: (0..1_000)
            .map(|id| {
                vec![
                    Some(id.to_string()),
                    Some(moment(id).to_string()),
                    Some(format!("value-{id}")),
                ]
            })
            .collect(),
    };
    let dir = folder(&[]);
    let path = dir.path().join("data/a.parquet");
    write_parquet(&path, &table, 100);
    let file = fs::File::open(&path).unwrap();
    let builder =
        parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
    let pages = builder.metadata().row_group(0).column(2).byte_range();
    let mut bytes = fs::read(&path).unwrap();
    bytes[pages.0 as usize..(pages.0 + pages.1) as usize].fill(0xff);
    fs::write(&path, bytes).unwrap();
    let source = source(&dir, json!({}));
    let changes = Changes::Watermark { column: "at".to_owned(), lag_micros: 1 };
    let mut since = request(Model { changes, ..model("a.parquet") });
    since.scope = Scope::Since(moment(900));
    let read_ids = async |request: ReadRequest| -> Result<usize> {
        let mut read = source.read(request).await?;
        let mut rows = 0;
        while let Some(batch) = read.next().await? {
            rows += batch.rows.num_rows();
        }
        Ok(rows)
    };
    assert_eq!(read_ids(since.clone()).await.unwrap(), 100);
    since.scope = Scope::Range { from: moment(150), to: moment(250) };
    assert_eq!(read_ids(since.clone()).await.unwrap(), 100);
    since.scope = Scope::All;
    assert_eq!(read_ids(since).await.unwrap_err().code().id, "E1107");
}

#[tokio::test]
async fn parts_of_a_microsecond_are_a_fault_and_such_a_watermark_is_read_in_every_run() {
    let dir = folder(&[]);
    let at: ArrayRef =
        Arc::new(TimestampNanosecondArray::from(vec![1_000, 1_500, 2_000]).with_timezone("UTC"));
    let id: ArrayRef = Arc::new(Int32Array::from(vec![3, 2, 1]));
    let name: ArrayRef = Arc::new(StringArray::from(vec!["a", "b", "c"]));
    let rows = RecordBatch::try_from_iter([("id", id), ("at", at), ("name", name)]).unwrap();
    let file = fs::File::create(dir.path().join("data/a.parquet")).unwrap();
    let properties = WriterProperties::builder()
        .set_compression(parquet::basic::Compression::ZSTD(parquet::basic::ZstdLevel::default()));
    let mut writer = ArrowWriter::try_new(file, rows.schema(), Some(properties.build())).unwrap();
    writer.write(&rows).unwrap();
    writer.close().unwrap();
    let source = source(&dir, json!({}));
    let changes = Changes::Watermark { column: "at".to_owned(), lag_micros: 1 };
    let mut since = request(Model { changes, ..model("a.parquet") });
    since.scope = Scope::Since(Watermark(2));
    let mut read = source.read(since).await.unwrap();
    let batch = read.next().await.unwrap().unwrap();
    assert_eq!((batch.faults[0].row, batch.faults[0].column.as_str()), (1, "at"));
    assert_eq!(column(&[batch], "name"), [Some("c".to_owned()), Some("b".to_owned())]);
}

/// L2: rows many times the memory are sorted through files, and twins far apart are found.
#[tokio::test]
async fn a_large_unordered_file_is_sorted_within_its_memory() {
    let dir = folder(&[]);
    let mut text = String::from("{\"id\": 5, \"v\": \"first\"}\n");
    for row in 0..60_000_u64 {
        text.push_str(&format!("{{\"id\": {}, \"v\": \"{row:030}\"}}\n", (row * 48_271) % 60_000));
    }
    put(dir.path(), "a.jsonl", text.as_bytes());
    let source = source(&dir, json!({ "sort_memory_mib": 1 }));
    let mut read = source.read(request(model("a.jsonl"))).await.unwrap();
    assert_eq!(read.opening().duplicates.as_ref(), &[Key::from_parts(&["5"])].into());
    let mut batches = Vec::new();
    while let Some(batch) = read.next().await.unwrap() {
        batches.push(batch);
    }
    let ids: Vec<u64> =
        column(&batches, "id").into_iter().map(|id| id.unwrap().parse().unwrap()).collect();
    assert_eq!(ids.len(), 60_001);
    assert!(ids.is_sorted());
    assert_eq!(fs::read_dir(dir.path().join("spool")).unwrap().count(), 0);
}

#[test]
fn options_that_cannot_be_right_are_refused() {
    for (options, word) in [
        (json!({}), "path"),
        (json!({ "path": "a", "url": "s3://b" }), "path"),
        (json!({ "path": "a", "delimiter": ";;" }), "delimiter"),
        (json!({ "path": "a", "header": false }), "columns"),
        (json!({ "path": "a", "columns": { "id": "int128" } }), "int128"),
        (json!({ "path": "a", "batch_rows": 0 }), "batch_rows"),
        (json!({ "path": "a", "storage": { "region": "x" } }), "storage"),
        (json!({ "path": "a", "formt": "csv" }), "formt"),
    ] {
        let args = reader::OpenArgs::new("w", options.as_object().cloned().unwrap());
        let error = reader::files::Files::open(args).unwrap_err();
        assert!(error.code().id == "E1001" && error.message().contains(word), "{options}: {error}");
    }
}

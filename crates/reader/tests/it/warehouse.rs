//! What the tests share: opening a source, reading everything, showing rows as text.

use std::sync::Arc;
use std::time::Duration;

use flow::{
    Batch, Changes, Error, Key, Model, Position, ReadRequest, Relation, Result, Scope, Source,
    text_at,
};
use reader::OpenArgs;
use reader::postgres::Postgres;
use serde_json::{Value, json};
use support::Database;

/// A source with these options besides the URL.
pub(crate) fn try_open(url: &str, options: Value) -> Result<Postgres> {
    let Value::Object(mut options) = options else { panic!("options are an object") };
    options.insert("url".to_owned(), json!(url));
    let args = OpenArgs::new("warehouse", options);
    Postgres::open(OpenArgs { application: "outflow test".to_owned(), ..args })
}

pub(crate) fn open(url: &str) -> Postgres {
    try_open(url, json!({})).unwrap()
}

/// A fresh database holding what these statements make.
pub(crate) async fn database(sql: &str) -> Database {
    let database = support::Postgres::shared().database("reader");
    database.execute(sql).await;
    database
}

pub(crate) fn table(name: &str, key: &[&str]) -> Model {
    Model {
        relation: Relation::Table(name.to_owned()),
        primary_key: key.iter().map(|name| (*name).to_owned()).collect(),
        changes: Changes::Snapshot,
        removed_when: None,
    }
}

pub(crate) fn sql(text: &str, key: &[&str]) -> Model {
    Model { relation: Relation::Sql(text.to_owned()), ..table("", key) }
}

pub(crate) fn by(mut model: Model, watermark: &str) -> Model {
    model.changes = Changes::Watermark { column: watermark.to_owned(), lag_micros: 300_000_000 };
    model
}

pub(crate) fn request(model: &Model) -> ReadRequest {
    ReadRequest {
        model: Arc::new(model.clone()),
        columns: Vec::new(),
        scope: Scope::All,
        after: None,
        rows_max: None,
    }
}

/// Everything a read gives; an error anywhere is the result.
pub(crate) async fn read(source: &Postgres, request: ReadRequest) -> Result<Vec<Batch>> {
    let mut read = source.read(request).await?;
    let mut batches = Vec::new();
    while let Some(batch) = read.next().await? {
        batches.push(batch);
    }
    assert!(read.next().await?.is_none(), "the end stays the end");
    Ok(batches)
}

pub(crate) async fn read_all(source: &Postgres, model: &Model) -> Vec<Batch> {
    read(source, request(model)).await.unwrap()
}

/// As [`read_all`], by COPY and by the rows of a query, which must be the same.
pub(crate) async fn read_both_ways(url: &str, model: &Model) -> Vec<Batch> {
    let by_copy = read_all(&open(url), model).await;
    let by_query = try_open(url, json!({ "read_by": "query" })).unwrap();
    let by_query = read_all(&by_query, model).await;
    assert_eq!(by_copy.len(), by_query.len());
    for (copied, queried) in by_copy.iter().zip(&by_query) {
        assert_eq!(copied.rows, queried.rows);
        assert_eq!(format!("{:?}", copied.faults), format!("{:?}", queried.faults));
        assert_eq!(copied.last, queried.last);
    }
    by_copy
}

/// One column of all batches, as text; `None` for null.
pub(crate) fn column(batches: &[Batch], name: &str) -> Vec<Option<String>> {
    let cells = batches.iter().flat_map(|batch| {
        let column = batch.rows.column_by_name(name).unwrap();
        (0..batch.rows.num_rows())
            .map(|row| (!column.is_null(row)).then(|| text_at(column, row).into_owned()))
    });
    cells.collect()
}

/// As [`column`], for columns without nulls.
pub(crate) fn texts(batches: &[Batch], name: &str) -> Vec<String> {
    column(batches, name).into_iter().map(Option::unwrap).collect()
}

pub(crate) fn last(batches: &[Batch]) -> Option<Position> {
    batches.last().and_then(|batch| batch.last.clone())
}

pub(crate) fn key(parts: &[&str]) -> Key {
    Key::from_parts(parts)
}

#[track_caller]
pub(crate) fn code(error: &Error) -> &'static str {
    assert!(!error.remedy().is_empty());
    error.code().id
}

/// Polls until the condition holds.
pub(crate) async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wait)
        .await
        .unwrap_or_else(|_| panic!("never: {what}"));
}

//! What every source holds, whatever it reads from: types, ties, NULLs, keys, ranges, pages, names, giving up.

mod check;
mod random;
mod subjects;

pub(crate) use subjects::{in_bucket, make_in_postgres, open_files, statements, write_parquet};

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use flow::{
    Batch, Changes, Key, Model, Opening, Position, ReadRequest, Relation, Result, Scope, Source,
    Watermark, text_at,
};

/// The type of a column, as every subject has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Bigint,
    Text,
    /// numeric(12,2)
    Cents,
    Double,
    Boolean,
    Date,
    Timestamp,
    Timestamptz,
}

/// A relation to make: columns, and rows of canonical texts.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    pub(crate) columns: Vec<(&'static str, Kind)>,
    pub(crate) rows: Vec<Vec<Option<String>>>,
}

impl Table {
    pub(crate) fn new(columns: &[(&'static str, Kind)], rows: &[&[Option<&str>]]) -> Self {
        let row = |row: &&[Option<&str>]| row.iter().map(|cell| cell.map(str::to_owned)).collect();
        Self { columns: columns.to_vec(), rows: rows.iter().map(row).collect() }
    }
}

/// A source, and the way to put rows where it finds them.
#[async_trait]
pub(crate) trait Subject: Send + Sync {
    /// What it is, for failures.
    fn name(&self) -> &'static str;

    /// Whether its columns can have this type.
    fn has(&self, kind: Kind) -> bool;

    /// Makes a relation, in place of one of that name; gives what a model calls it and the source that reads it.
    async fn make(&self, name: &str, table: &Table) -> (String, Arc<dyn Source>);
}

/// A relation and the source that reads it.
pub(crate) struct Made {
    pub(crate) source: Arc<dyn Source>,
    pub(crate) model: Model,
}

impl Made {
    pub(crate) async fn new(
        subject: &dyn Subject,
        table: &Table,
        (key, watermark): (&[&str], Option<&str>),
    ) -> Self {
        let (relation, source) = subject.make("conformance", table).await;
        let changes = match watermark {
            Some(column) => {
                Changes::Watermark { column: column.to_owned(), lag_micros: 300_000_000 }
            }
            None => Changes::Snapshot,
        };
        let primary_key = key.iter().map(|name| (*name).to_owned()).collect();
        let relation = Relation::Table(relation);
        Self { source, model: Model { relation, primary_key, changes, removed_when: None } }
    }

    pub(crate) fn request(&self, scope: Scope) -> ReadRequest {
        ReadRequest {
            model: Arc::new(self.model.clone()),
            columns: Vec::new(),
            scope,
            after: None,
            rows_max: None,
        }
    }

    pub(crate) async fn read(&self, request: ReadRequest) -> Result<(Opening, Vec<Batch>)> {
        let mut read = self.source.read(request).await?;
        let mut batches = Vec::new();
        while let Some(batch) = read.next().await? {
            assert_eq!(batch.rows.schema(), read.opening().schema);
            batches.push(batch);
        }
        assert!(read.next().await?.is_none(), "the end stays the end");
        Ok((read.opening().clone(), batches))
    }

    /// One column of what a read of `scope` gives.
    pub(crate) async fn column(&self, scope: Scope, name: &str) -> Vec<Option<String>> {
        let (_, batches) = self.read(self.request(scope)).await.unwrap();
        column(&batches, name)
    }

    pub(crate) async fn twins(&self, scope: Scope) -> HashSet<Key> {
        let read = self.source.read(self.request(scope)).await.unwrap();
        read.opening().duplicates.as_ref().clone()
    }
}

/// One column as text; `None` for null.
pub(crate) fn column(batches: &[Batch], name: &str) -> Vec<Option<String>> {
    let cells = batches.iter().flat_map(|batch| {
        let column = batch.rows.column_by_name(name).unwrap();
        (0..batch.rows.num_rows())
            .map(|row| (!column.is_null(row)).then(|| text_at(column, row).into_owned()))
    });
    cells.collect()
}

pub(crate) fn last(batches: &[Batch]) -> Option<Position> {
    batches.last().and_then(|batch| batch.last.clone())
}

pub(crate) fn key(parts: &[&str]) -> Key {
    Key::from_parts(parts)
}

/// 2026-01-01T00:00:00Z and so many microseconds.
pub(crate) fn moment(micros: i64) -> Watermark {
    Watermark(1_767_225_600_000_000 + micros)
}

/// The text of [`moment`].
pub(crate) fn at(micros: i64) -> String {
    moment(micros).to_string()
}

/// What a slow subject can be asked in bearable time: everything but large relations.
pub(crate) async fn holds_in_short(subject: &dyn Subject) {
    check::types(subject).await;
    check::since_and_ranges(subject).await;
    check::keys(subject).await;
    check::missing_keys(subject).await;
    check::names(subject).await;
    check::nothing(subject).await;
}

pub(crate) async fn holds(subject: &dyn Subject) {
    holds_of_small_relations(subject).await;
    check::giving_up(subject).await;
}

pub(crate) async fn holds_of_small_relations(subject: &dyn Subject) {
    check::types(subject).await;
    check::order(subject).await;
    check::ties_and_pages(subject).await;
    check::since_and_ranges(subject).await;
    check::keys(subject).await;
    check::keys_of_one_number(subject).await;
    check::missing_keys(subject).await;
    check::names(subject).await;
    check::nothing(subject).await;
    random::reads(subject).await;
}

#[tokio::test]
async fn postgresql_holds_what_every_source_holds() {
    holds(&subjects::postgres().await).await;
}

#[tokio::test]
async fn parquet_files_hold_what_every_source_holds() {
    holds(&subjects::FileSubject::new("parquet", 1)).await;
    holds(&subjects::FileSubject::new("parquet", 3)).await;
}

#[tokio::test]
async fn csv_files_hold_what_every_source_holds() {
    holds(&subjects::FileSubject::new("csv", 2)).await;
    holds(&subjects::FileSubject::new("csv.gz", 1)).await;
}

#[tokio::test]
async fn json_lines_hold_what_every_source_holds() {
    holds(&subjects::FileSubject::new("jsonl", 2)).await;
}

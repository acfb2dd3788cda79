//! Reading records: by their ids with sObject Collections, by values of fields with a query.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use flow::arrow::array::{Array as _, ArrayRef, RecordBatch, RecordBatchOptions};
use flow::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use flow::{Error, Found, ReadBack, ReadsBack, Records, Result, text_at};
use serde_json::{Map, Value, json};
use writer::codes::{E2004_BAD_ANSWER, E2012_FIELD, E2016_CALL};
use writer::{Method, Reply, decode, percent};

use super::Salesforce;
use super::answer::{record_id, same_id};
use super::wire::{ID, SPELLING, bare, is_name, object_path};

/// Longest query in a path; Salesforce takes 16,384 bytes for the path and the headers together.
const QUERY_BYTES_MAX: usize = 10_000;
/// Ids in one call.
const IDS_MAX: usize = 2_000;
/// Pages of one query that are followed.
const PAGES_MAX: usize = 1_000;

type Members = Map<String, Value>;

#[async_trait]
impl ReadsBack for Salesforce {
    async fn read(&self, asked: &ReadBack) -> Result<Found> {
        let object = object_path(&asked.object)?;
        let names: Vec<&str> =
            asked.fields.fields().iter().map(|field| field.name().as_str()).collect();
        let records: Vec<Vec<Members>> = match &asked.records {
            Records::Ids(ids) => self.by_ids(object, ids, &names).await?,
            Records::Matching(values) => self.by_values(object, values, &names).await?,
        };
        let ids = |found: &Vec<Members>| found.iter().filter_map(id_of).collect();
        Ok(Found {
            record_ids: records.iter().map(ids).collect(),
            fields: batch(&records, &asked.fields)?,
        })
    }
}

impl Salesforce {
    async fn by_ids(
        &self,
        object: &str,
        ids: &[String],
        names: &[&str],
    ) -> Result<Vec<Vec<Members>>> {
        let path = format!("{}/composite/sobjects/{object}", self.base);
        let fields = with_id(names)?;
        let mut found = Vec::with_capacity(ids.len());
        for ids in ids.chunks(IDS_MAX) {
            let body = json!({ "ids": ids, "fields": fields });
            let reply = self.json(Method::POST, path.clone(), ("read", &body)).await?;
            let records: Vec<Option<Members>> = self.parsed(&reply)?;
            // In the order of the ids, null for those that are not there; checked, since ids are in the answer.
            let by_id: Vec<&Members> = records.iter().flatten().collect();
            found.extend(ids.iter().enumerate().map(|(place, id)| {
                let is_it = |held: &&Members| id_of(held).is_some_and(|held| same_id(&held, id));
                let here = records.get(place).and_then(Option::as_ref).filter(is_it);
                here.or_else(|| by_id.iter().copied().find(is_it)).cloned().into_iter().collect()
            }));
        }
        Ok(found)
    }

    /// The ids of the records that hold each value of one field.
    ///
    /// # Errors
    /// As [`ReadsBack::read`].
    pub(super) async fn ids_of(
        &self,
        object: &str,
        values: &RecordBatch,
    ) -> Result<Vec<Vec<String>>> {
        let found = self.by_values(object_path(object)?, values, &[]).await?;
        Ok(found.iter().map(|records| records.iter().filter_map(id_of).collect()).collect())
    }

    async fn by_values(
        &self,
        object: &str,
        values: &RecordBatch,
        names: &[&str],
    ) -> Result<Vec<Vec<Members>>> {
        let schema = values.schema();
        let keys: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        if keys.is_empty() {
            return Err(Error::new(&E2016_CALL, "no field to find records by"));
        }
        let fields = with_id(&[names, &keys].concat())?;
        let select = format!("SELECT {} FROM {object} WHERE ", fields.join(","));
        let shape = self.shape(object).await?;
        let numbers: Vec<bool> = keys.iter().map(|key| shape.numbers.contains(*key)).collect();
        let conditions: Vec<String> =
            (0..values.num_rows()).map(|row| condition(values, &numbers, row)).collect();
        let mut found: HashMap<Vec<String>, Vec<Members>> = HashMap::new();
        for query in queries(&select, &conditions) {
            for record in self.query(&query).await? {
                let key = keys.iter().map(|key| folded(&text_of(at(&record, key)))).collect();
                found.entry(key).or_default().push(record);
            }
        }
        let texts = |row: usize| -> Vec<String> {
            let columns = values.columns().iter();
            columns.map(|column| canonical(text_at(column, row).into_owned())).collect()
        };
        let of = |row: usize| {
            let texts = texts(row);
            let key: Vec<String> = texts.iter().map(|text| folded(text)).collect();
            let near = found.get(&key).map_or(&[][..], Vec::as_slice);
            // A field that minds letter case may hold both spellings.
            let is_it = |record: &&Members| {
                keys.iter().zip(&texts).all(|(key, text)| text_of(at(record, key)) == *text)
            };
            let exact: Vec<Members> = near.iter().filter(is_it).cloned().collect();
            if exact.is_empty() { near.to_vec() } else { exact }
        };
        Ok((0..values.num_rows()).map(of).collect())
    }

    async fn query(&self, query: &str) -> Result<Vec<Members>> {
        let mut path = format!("{}/query?q={}", self.base, percent(query));
        let mut records = Vec::new();
        for _ in 0..PAGES_MAX {
            let reply = self.ask(bare(Method::GET, path, "query")).await?;
            let mut page: Members = self.parsed(&reply)?;
            let Some(Value::Array(found)) = page.remove("records") else {
                return Err(self.judge(0).unreadable(&reply));
            };
            records.extend(found.into_iter().filter_map(|record| match record {
                Value::Object(members) => Some(members),
                _ => None,
            }));
            let next = page.get("nextRecordsUrl").and_then(Value::as_str);
            match next.filter(|next| next.starts_with("/services/data/")) {
                Some(next) => path = next.to_owned(),
                None => break,
            }
        }
        Ok(records)
    }

    fn parsed<T: serde::de::DeserializeOwned>(&self, reply: &Reply) -> Result<T> {
        let judge = self.judge(0);
        match reply.is_success() && reply.fault.is_none() {
            true => serde_json::from_slice(&reply.body).map_err(|_| judge.unreadable(reply)),
            false if reply.is_success() => Err(judge.unreadable(reply)),
            false => Err(judge.error(reply)),
        }
    }
}

/// The fields to ask for: each once, and the record's id.
fn with_id<'a>(names: &[&'a str]) -> Result<Vec<&'a str>> {
    let mut fields = vec![ID];
    for name in names {
        if !name.split('.').all(is_name) || name.split('.').count() > 2 {
            return Err(Error::new(&E2012_FIELD, "a field to read is not a Salesforce API name"));
        }
        if !fields.contains(name) {
            fields.push(name);
        }
    }
    Ok(fields)
}

/// `(A = 'x' AND B = 1)` for one row. Values are literals of SOQL and cannot end it (X4).
fn condition(values: &RecordBatch, numbers: &[bool], row: usize) -> String {
    let schema = values.schema();
    let parts: Vec<String> = schema
        .fields()
        .iter()
        .zip(values.columns())
        .zip(numbers)
        .map(|((field, column), number)| {
            format!("{} = {}", field.name(), literal(column, row, *number))
        })
        .collect();
    match &*parts {
        [only] => only.clone(),
        _ => format!("({})", parts.join(" AND ")),
    }
}

/// A cell as a SOQL literal: text in quotes with everything escaped that could end them, the rest bare.
fn literal(column: &ArrayRef, row: usize, number: bool) -> String {
    if column.is_null(row) {
        return "null".to_owned();
    }
    let text = text_at(column, row);
    let bare = match column.data_type() {
        DataType::Utf8 | DataType::LargeUtf8 => number && is_number(&text),
        kind => {
            kind.is_numeric()
                || matches!(kind, DataType::Boolean | DataType::Date32 | DataType::Timestamp(..))
        }
    };
    if bare {
        return text.into_owned();
    }
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('\'');
    for c in text.chars() {
        match c {
            '\'' => quoted.push_str("\\'"),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            c => quoted.push(c),
        }
    }
    quoted.push('\'');
    quoted
}

fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
}

/// As few queries as fit: conditions joined by OR.
fn queries(select: &str, conditions: &[String]) -> Vec<String> {
    let mut queries: Vec<String> = Vec::new();
    let mut length = usize::MAX;
    for condition in conditions {
        // An encoded byte is three.
        let more = condition.len() * 2 + 8;
        match queries.last_mut() {
            Some(query) if length + more <= QUERY_BYTES_MAX => {
                query.push_str(" OR ");
                query.push_str(condition);
                length += more;
            }
            _ => {
                queries.push(format!("{select}{condition}"));
                length = select.len() + more;
            }
        }
    }
    queries
}

fn id_of(record: &Members) -> Option<String> {
    at(record, ID).as_str().and_then(record_id)
}

/// A member, or a parent's: `Account.Ext__c`. Names are compared without letter case, as Salesforce does.
fn at<'a>(record: &'a Members, name: &str) -> &'a Value {
    let member = |members: &'a Members, name: &str| {
        let found = members.get(name);
        found.or_else(|| {
            members
                .iter()
                .find(|(known, _)| known.eq_ignore_ascii_case(name))
                .map(|(_, value)| value)
        })
    };
    let found = match name.split_once('.') {
        Some((parent, name)) => member(record, parent)
            .and_then(Value::as_object)
            .and_then(|parent| member(parent, name)),
        None => member(record, name),
    };
    found.unwrap_or(&Value::Null)
}

/// A value as the canonical text of a payload; empty for null.
fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => canonical(number.to_string()),
        Value::Bool(flag) => flag.to_string(),
        _ => String::new(),
    }
}

/// `1.0` and `1.50` as `1` and `1.5`; whatever is no plain decimal stays.
fn canonical(text: String) -> String {
    if !is_number(&text) || text.matches('.').count() != 1 {
        return text;
    }
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The order and letter case Salesforce compares text in.
fn folded(text: &str) -> String {
    text.trim().to_lowercase()
}

/// The values of the first record found for each row, in the types asked for.
fn batch(records: &[Vec<Members>], fields: &SchemaRef) -> Result<RecordBatch> {
    let nullable = fields.fields().iter().map(|field| field.as_ref().clone().with_nullable(true));
    let nullable: Vec<Field> = nullable.collect();
    let columns = nullable.iter().map(|field| {
        let values: Vec<Option<Value>> =
            records.iter().map(|found| Some(plain(at(found.first()?, field.name())))).collect();
        let values: Vec<Option<&Value>> = values.iter().map(Option::as_ref).collect();
        decode::column(field, &values, SPELLING.list_separator)
    });
    let columns: Vec<ArrayRef> = columns.collect();
    let options = RecordBatchOptions::new().with_row_count(Some(records.len()));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(nullable)), columns, &options).map_err(
        |error| {
            let message = "records that were read do not have the fields' types";
            Error::new(&E2004_BAD_ANSWER, message).with_source(error)
        },
    )
}

/// A number without the decimals that say nothing: Salesforce's `1.0` is a payload's `1`.
fn plain(value: &Value) -> Value {
    match value {
        Value::Number(number) => {
            serde_json::from_str(&canonical(number.to_string())).unwrap_or_else(|_| value.clone())
        }
        value => value.clone(),
    }
}

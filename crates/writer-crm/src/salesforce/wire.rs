//! What both of Salesforce's write APIs share: names in paths, columns of a batch, the order of rows, the quota header.

use std::cmp::Ordering;

use flow::{Error, Result, WriteBatch, text_at};
use writer::codes::{E2011_NO_SUCH_OBJECT, E2012_FIELD, E2016_CALL};
use writer::encode::{SecondDecimals, Spelling};
use writer::header::{HeaderMap, HeaderValue};
use writer::{DayQuota, Method, Reply, Request};

/// Milliseconds in dates with time; several options joined by `;`.
pub(super) const SPELLING: Spelling =
    Spelling { second_decimals: SecondDecimals::Three, list_separator: ";" };

/// The field that holds a record's own id.
pub(super) const ID: &str = "Id";

/// Whether the text is an API name, and so safe in a path, a query and a CSV header.
pub(super) fn is_name(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (1..=80).contains(&text.len()) && text.bytes().all(fits)
}

/// The object's name as part of a path.
///
/// # Errors
/// When it cannot be an object's name.
pub(super) fn object_path(object: &str) -> Result<&str> {
    if is_name(object) {
        return Ok(object);
    }
    let message =
        "the sync's `object` is not a Salesforce API name, as in `Contact` or `Invoice__c`";
    Err(Error::new(&E2011_NO_SUCH_OBJECT, message))
}

/// A request without a body.
pub(super) fn bare(method: Method, path: String, operation: &'static str) -> Request {
    Request { method, path, operation, body: None }
}

/// A field of the record itself, or of its parent: `Account.Ext__c` is field `Ext__c` of the relationship `Account`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column<'a> {
    pub(super) index: usize,
    pub(super) parent: Option<&'a str>,
    pub(super) name: &'a str,
}

/// The columns of a batch that are sent: all but the one that only addresses the record.
///
/// # Errors
/// [`E2012_FIELD`] for a name Salesforce cannot have, or two columns for one relationship.
pub(super) fn columns<'a>(
    batch: &'a WriteBatch,
    besides: Option<usize>,
) -> Result<Vec<Column<'a>>> {
    let fields = batch.payload.fields.schema_ref().fields();
    let mut columns: Vec<Column<'a>> = Vec::with_capacity(fields.len());
    for (index, field) in fields.iter().enumerate().filter(|(index, _)| Some(*index) != besides) {
        let (parent, name) = match field.name().split_once('.') {
            Some((parent, name)) => (Some(parent), name),
            None => (None, field.name().as_str()),
        };
        if !is_name(name) || !parent.is_none_or(is_name) {
            let message = "a mapped field is not a Salesforce API name, as in `Name`, `Ext__c` or `Account.Ext__c`";
            return Err(Error::new(&E2012_FIELD, message));
        }
        if parent.is_some() && columns.iter().any(|known| known.parent == parent) {
            let message =
                format!("two mapped fields point at one parent, `{}`", parent.unwrap_or_default());
            return Err(Error::new(&E2012_FIELD, message));
        }
        columns.push(Column { index, parent, name });
    }
    Ok(columns)
}

/// The field that holds the parent's id under a relationship's name: `Account` is kept in `AccountId`, `Plan__r` in
/// `Plan__c`.
pub(super) fn reference_field(relationship: &str) -> String {
    match relationship.strip_suffix("__r") {
        Some(stem) => format!("{stem}__c"),
        None => format!("{relationship}Id"),
    }
}

/// The rows in the order they are sent: sorted by their parents, so that calls side by side meet at few of them and do
/// not wait for each other's locks.
pub(super) fn order(batch: &WriteBatch) -> Vec<usize> {
    let fields = batch.payload.fields.schema_ref().fields().iter();
    let names = fields.map(|field| field.name().as_str()).enumerate();
    let is_parent = |name: &str| name.contains('.') || (name.ends_with("Id") && name != ID);
    let parents: Vec<usize> = names.filter(|(_, name)| is_parent(name)).map(|(at, _)| at).collect();
    let mut rows: Vec<usize> = (0..batch.payload.rows()).collect();
    let fields = &batch.payload.fields;
    rows.sort_by(|a, b| {
        parents.iter().fold(Ordering::Equal, |order, column| {
            let column = fields.column(*column);
            order.then_with(|| text_at(column, *a).cmp(&text_at(column, *b)))
        })
    });
    rows
}

/// The column records are found by.
///
/// # Errors
/// [`E2016_CALL`] when it is not in the payload.
pub(super) fn match_column(batch: &WriteBatch, match_on: &str) -> Result<usize> {
    let schema = batch.payload.fields.schema_ref();
    schema.index_of(match_on).map_err(|_| {
        Error::new(&E2016_CALL, "the field records are found by is not in the payload")
    })
}

/// The text each record is found by, in the rows' order.
///
/// # Errors
/// [`E2016_CALL`] when a row has none.
pub(super) fn found_by(batch: &WriteBatch, column: usize) -> Result<Vec<String>> {
    let payload = &batch.payload;
    let cells = payload.fields.column(column);
    (0..payload.rows())
        .map(|row| match text_at(cells, row) {
            text if text.is_empty() || payload.is_absent(column, row) => {
                let message = format!("row {row} of a call has no value to find its record by");
                Err(Error::new(&E2016_CALL, message))
            }
            text => Ok(text.into_owned()),
        })
        .collect()
}

/// The requests of the last 24 hours, as `Sforce-Limit-Info: api-usage=7/15000` reports them: limit and what remains.
/// Nonsense is no report.
pub(super) fn day(reply: &Reply) -> Option<DayQuota> {
    let info = reply.header("sforce-limit-info")?;
    let usage = info.split([';', ',']).find_map(|part| part.trim().strip_prefix("api-usage="))?;
    let (used, limit) = usage.split_once('/')?;
    let (used, limit): (u64, u64) = (used.trim().parse().ok()?, limit.trim().parse().ok()?);
    let remaining = limit.saturating_sub(used);
    (limit > 0).then_some(DayQuota { limit, remaining, resets_at: None })
}

/// Headers of every request: no assignment rules run, and nobody's "recently viewed" list changes.
pub(super) fn headers() -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("sforce-auto-assign", HeaderValue::from_static("FALSE"));
    headers.insert("sforce-mru", HeaderValue::from_static("updateMru=false"));
    headers
}

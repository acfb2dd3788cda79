//! HubSpot's wire: paths, the body of a batch upsert, and the rate-limit headers.

use std::io::Write as _;
use std::time::Duration;

use flow::{Error, Mode, Result, WriteBatch};
use writer::codes::{E2011_NO_SUCH_OBJECT, E2016_CALL};
use writer::encode::{Cells, SecondDecimals, Spelling, push_string};
use writer::{DayQuota, Reply, Reported};

use super::association;

/// HubSpot takes every value as text: milliseconds in dates with time, several options joined by `;`.
pub(super) const SPELLING: Spelling =
    Spelling { second_decimals: SecondDecimals::Three, list_separator: ";" };

/// A body that is likely to fit without growing, per row.
const ROW_BYTES_GUESS: usize = 256;

/// The object's name as part of a path.
///
/// # Errors
/// When it cannot be an object's name: letters, digits, `_` and `-`, as in `contacts`, `2-123` or `p_name`.
pub(super) fn object_path(object: &str) -> Result<&str> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if object.is_empty() || object.len() > 100 || !object.bytes().all(fits) {
        let message = "the sync's `object` is not a HubSpot object name";
        return Err(Error::new(&E2011_NO_SUCH_OBJECT, message));
    }
    Ok(object)
}

/// The trace ids of one call: unique in the process, and without any value of a row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Trace {
    pub(super) call: u64,
    pub(super) rows: usize,
}

impl Trace {
    /// The row a trace id of this call stands for.
    pub(super) fn row(&self, id: &str) -> Option<usize> {
        let (call, row) = id.split_once('-')?;
        let row: usize = row.parse().ok()?;
        // Only the exact spelling counts: parsing alone would take `+1` and `01` for 1.
        let exact = id == format!("{}-{row}", self.call) && call == self.call.to_string();
        (exact && row < self.rows).then_some(row)
    }
}

/// The path and the word for metrics of the call that writes `batch`: an upsert, or an update where records are
/// addressed by their ids, so that a record that is gone is not made anew; or an archive, which is how HubSpot deletes.
pub(super) fn route(batch: &WriteBatch) -> Result<(String, &'static str)> {
    let verb = match batch.mode {
        Mode::Delete => "archive",
        _ if batch.record_ids.is_empty() => "upsert",
        _ => "update",
    };
    Ok((format!("/crm/v3/objects/{}/batch/{verb}", object_path(&batch.object)?), verb))
}

/// The body of [`route`]'s call.
///
/// Null clears a property and is an empty string; an absent cell leaves the property alone and is left out. The
/// property a record is found by is both `id` and a property, so that a record found by a secondary e-mail
/// address gets the mapped one.
///
/// # Errors
/// [`E2016_CALL`] when a row has no value to find its record by.
pub(super) fn body(batch: &WriteBatch, match_on: Option<usize>, trace: Trace) -> Result<Vec<u8>> {
    if batch.mode == Mode::Delete {
        return Ok(ids(batch));
    }
    let inputs = Inputs::of(batch, match_on, trace);
    let rows = batch.payload.rows();
    let mut body = Vec::with_capacity(rows * ROW_BYTES_GUESS);
    body.extend_from_slice(b"{\"inputs\":[");
    for row in 0..rows {
        if row > 0 {
            body.push(b',');
        }
        inputs.push(row, &mut body)?;
    }
    body.extend_from_slice(b"]}");
    Ok(body)
}

/// The body of an archive: the records' ids.
fn ids(batch: &WriteBatch) -> Vec<u8> {
    let mut body = b"{\"inputs\":[".to_vec();
    for (row, id) in batch.record_ids.iter().enumerate() {
        body.extend_from_slice(if row > 0 { b",{\"id\":" } else { b"{\"id\":" });
        push_string(id, &mut body);
        body.push(b'}');
    }
    body.extend_from_slice(b"]}");
    body
}

/// A batch, ready to be written row by row.
struct Inputs<'a> {
    batch: &'a WriteBatch,
    match_on: Option<usize>,
    columns: Vec<Cells<'a>>,
    /// `"name":` of each column that is a property; none of an association.
    names: Vec<Option<Vec<u8>>>,
    /// What every row begins with, up to its number in the trace id.
    head: Vec<u8>,
}

impl<'a> Inputs<'a> {
    fn of(batch: &'a WriteBatch, match_on: Option<usize>, trace: Trace) -> Self {
        let fields = &batch.payload.fields;
        let schema = fields.schema_ref();
        let name = |name: &String| {
            let mut text = Vec::new();
            push_string(name, &mut text);
            text.push(b':');
            (!name.starts_with(association::PREFIX)).then_some(text)
        };
        let mut head = b"{".to_vec();
        if let (true, Some(match_on)) = (batch.record_ids.is_empty(), match_on) {
            head.extend_from_slice(b"\"idProperty\":");
            push_string(schema.field(match_on).name(), &mut head);
            head.push(b',');
        }
        // Writing to a Vec cannot fail.
        let _ = write!(head, "\"objectWriteTraceId\":\"{}-", trace.call);
        Self {
            batch,
            match_on,
            columns: fields.columns().iter().map(|cells| Cells::new(cells, SPELLING)).collect(),
            names: schema.fields().iter().map(|field| name(field.name())).collect(),
            head,
        }
    }

    fn push(&self, row: usize, body: &mut Vec<u8>) -> Result<()> {
        let payload = &self.batch.payload;
        let unfound = self.match_on.is_some_and(|column| {
            payload.is_absent(column, row) || self.columns[column].is_null(row)
        });
        if unfound || (self.match_on.is_none() && self.batch.record_ids.is_empty()) {
            let message = format!("row {row} of a call has no value to find its record by");
            return Err(Error::new(&E2016_CALL, message));
        }
        body.extend_from_slice(&self.head);
        // Writing to a Vec cannot fail.
        let _ = write!(body, "{row}\",\"id\":");
        match (self.batch.record_ids.get(row), self.match_on) {
            (Some(id), _) => push_string(id, body),
            (None, Some(column)) => self.columns[column].push_string(row, body),
            (None, None) => push_string("", body),
        }
        body.extend_from_slice(b",\"properties\":{");
        let mut first = true;
        for (column, (cells, name)) in self.columns.iter().zip(&self.names).enumerate() {
            let Some(name) = name.as_ref().filter(|_| !payload.is_absent(column, row)) else {
                continue;
            };
            if !first {
                body.push(b',');
            }
            first = false;
            body.extend_from_slice(name);
            cells.push_string(row, body);
        }
        body.extend_from_slice(b"}}");
        Ok(())
    }
}

/// The `id` a row was sent with.
pub(super) fn sent_id(batch: &WriteBatch, match_on: Option<usize>, row: usize) -> String {
    if let Some(id) = batch.record_ids.get(row) {
        return id.clone();
    }
    let Some(match_on) = match_on else { return String::new() };
    text_of(&Cells::new(batch.payload.fields.column(match_on), SPELLING), row)
}

/// A value as the text it is sent as.
pub(super) fn text_of(cells: &Cells<'_>, row: usize) -> String {
    let mut text = Vec::new();
    cells.push_string(row, &mut text);
    serde_json::from_slice(&text).unwrap_or_default()
}

/// The ten-second window, as the headers report it. Nonsense is no report.
pub(super) fn window(reply: &Reply) -> Option<Reported> {
    let max =
        number(reply, "x-hubspot-ratelimit-max").filter(|max| (1..=1_000_000).contains(max))?;
    let remaining = number(reply, "x-hubspot-ratelimit-remaining")?.min(max);
    let length = number(reply, "x-hubspot-ratelimit-interval-milliseconds")
        .filter(|millis| (1..=3_600_000).contains(millis))
        .map(Duration::from_millis);
    // Both are at most a million.
    Some(Reported { max: max as u32, remaining: remaining as u32, length })
}

/// The day's quota, as the headers report it: limit and what remains.
pub(super) fn day(reply: &Reply) -> Option<DayQuota> {
    let limit = number(reply, "x-hubspot-ratelimit-daily").filter(|limit| *limit > 0)?;
    let remaining = number(reply, "x-hubspot-ratelimit-daily-remaining")?.min(limit);
    Some(DayQuota { limit, remaining, resets_at: None })
}

fn number(reply: &Reply, header: &str) -> Option<u64> {
    reply.header(header)?.trim().parse().ok()
}

//! HubSpot's wire: paths, the body of a batch upsert, and the rate-limit headers.

use std::io::Write as _;
use std::time::Duration;

use flow::{Error, Result, WriteBatch};
use writer::codes::{E2011_NO_SUCH_OBJECT, E2016_CALL};
use writer::encode::{Cells, SecondDecimals, Spelling, push_string};
use writer::{Reply, Reported};

/// HubSpot takes every value as text: milliseconds in dates with time, several options joined by `;`.
const SPELLING: Spelling = Spelling { second_decimals: SecondDecimals::Three, list_separator: ";" };

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

/// The body of `POST /crm/v3/objects/{object}/batch/upsert`.
///
/// Null clears a property and is an empty string; an absent cell leaves the property alone and is left out. The
/// property a record is found by is both `id` and a property, so that a record found by a secondary e-mail
/// address gets the mapped one.
///
/// # Errors
/// [`E2016_CALL`] when a row has no value to find its record by.
pub(super) fn upsert_body(batch: &WriteBatch, match_on: usize, trace: Trace) -> Result<Vec<u8>> {
    let payload = &batch.payload;
    let columns: Vec<Cells<'_>> =
        payload.fields.columns().iter().map(|column| Cells::new(column, SPELLING)).collect();
    let names: Vec<Vec<u8>> = payload
        .fields
        .schema_ref()
        .fields()
        .iter()
        .map(|field| {
            let mut name = Vec::new();
            push_string(field.name(), &mut name);
            name.push(b':');
            name
        })
        .collect();
    let mut head = b"{\"idProperty\":".to_vec();
    push_string(payload.fields.schema_ref().field(match_on).name(), &mut head);
    // Writing to a Vec cannot fail.
    let _ = write!(head, ",\"objectWriteTraceId\":\"{}-", trace.call);

    let mut body = Vec::with_capacity(payload.rows() * ROW_BYTES_GUESS);
    body.extend_from_slice(b"{\"inputs\":[");
    for row in 0..payload.rows() {
        if payload.is_absent(match_on, row) || columns[match_on].is_null(row) {
            let message = format!("row {row} of a call has no value to find its record by");
            return Err(Error::new(&E2016_CALL, message));
        }
        if row > 0 {
            body.push(b',');
        }
        body.extend_from_slice(&head);
        let _ = write!(body, "{row}\",\"id\":");
        columns[match_on].push_string(row, &mut body);
        body.extend_from_slice(b",\"properties\":{");
        let mut first = true;
        for (column, (cells, name)) in columns.iter().zip(&names).enumerate() {
            if payload.is_absent(column, row) {
                continue;
            }
            if !first {
                body.push(b',');
            }
            first = false;
            body.extend_from_slice(name);
            cells.push_string(row, &mut body);
        }
        body.extend_from_slice(b"}}");
    }
    body.extend_from_slice(b"]}");
    Ok(body)
}

/// The text a row's record is found by, as sent.
pub(super) fn match_text(batch: &WriteBatch, match_on: usize, row: usize) -> String {
    let mut text = Vec::new();
    Cells::new(batch.payload.fields.column(match_on), SPELLING).push_string(row, &mut text);
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
pub(super) fn day(reply: &Reply) -> Option<(u64, u64)> {
    let limit = number(reply, "x-hubspot-ratelimit-daily").filter(|limit| *limit > 0)?;
    Some((limit, number(reply, "x-hubspot-ratelimit-daily-remaining")?.min(limit)))
}

fn number(reply: &Reply, header: &str) -> Option<u64> {
    reply.header(header)?.trim().parse().ok()
}

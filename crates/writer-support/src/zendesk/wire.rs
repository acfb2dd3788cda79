//! Zendesk's wire: rows as nested JSON objects, query values, and the rate-limit headers.

use flow::{Error, FieldKind, ObjectSchema, Result, WriteBatch};
use writer::codes::E2016_CALL;
use writer::encode::{Cells, SecondDecimals, Spelling, push_string};
use writer::{Reply, Reported};

use super::object::Object;

const SPELLING: Spelling = Spelling { second_decimals: SecondDecimals::Six, list_separator: ";" };

/// System fields that are lists of words.
pub(super) const LISTS: [&str; 5] =
    ["tags", "domain_names", "collaborator_ids", "follower_ids", "email_cc_ids"];

/// A batch, ready to be written row by row.
pub(super) struct Items<'a> {
    batch: &'a WriteBatch,
    object: Object<'a>,
    /// Columns by the member they are nested in, those of one member together.
    columns: Vec<Column<'a>>,
    /// The column records are found by.
    match_on: Option<usize>,
    skip_verify_email: bool,
}

struct Column<'a> {
    index: usize,
    parent: Option<&'a str>,
    name: &'a str,
    cells: Cells<'a>,
    list: bool,
}

impl<'a> Items<'a> {
    pub(super) fn of(batch: &'a WriteBatch, object: Object<'a>, schema: &ObjectSchema) -> Self {
        let fields = batch.payload.fields.schema_ref().fields();
        let columns = batch.payload.fields.columns().iter().zip(fields).enumerate();
        let mut columns: Vec<Column<'a>> = columns
            .map(|(index, (column, field))| {
                let (parent, name) = match field.name().split_once('.') {
                    Some((parent, name)) => (Some(parent), name),
                    None => (None, field.name().as_str()),
                };
                let kind = schema.field(field.name()).map(|field| &field.kind);
                let list =
                    LISTS.contains(&name) || matches!(kind, Some(FieldKind::MultiEnum { .. }));
                Column { index, parent, name, cells: Cells::of(field, column, SPELLING), list }
            })
            .collect();
        columns.sort_by_key(|column| (column.parent, column.index));
        let match_on = batch.match_on.first();
        Self {
            batch,
            object,
            columns,
            match_on: match_on
                .and_then(|name| batch.payload.fields.schema_ref().index_of(name).ok()),
            skip_verify_email: false,
        }
    }

    /// Users that are made get no e-mail.
    pub(super) fn without_verification(mut self) -> Self {
        let mapped = self.columns.iter().any(|column| column.name == "skip_verify_email");
        self.skip_verify_email = self.object == Object::Users && !mapped;
        self
    }

    /// The value a row's record is found by, as text.
    ///
    /// # Errors
    /// [`E2016_CALL`] when it has none.
    pub(super) fn token(&self, row: usize) -> Result<String> {
        let value = self.match_on.filter(|column| !self.batch.payload.is_absent(*column, row));
        let cells =
            value.and_then(|index| self.columns.iter().find(|column| column.index == index));
        let cells = cells.filter(|column| !column.cells.is_null(row)).ok_or_else(|| {
            Error::new(
                &E2016_CALL,
                format!("row {row} of a call has no value to find its record by"),
            )
        })?;
        let mut text = Vec::new();
        cells.cells.push_string(row, &mut text);
        Ok(serde_json::from_slice(&text).unwrap_or_default())
    }

    /// Appends a row as a JSON object; with `id`, its record is addressed by that.
    ///
    /// A null cell is JSON null, which empties the field (an empty list where the field is one); an absent cell is left
    /// out.
    pub(super) fn push(&self, row: usize, id: Option<&str>, out: &mut Vec<u8>) {
        out.push(b'{');
        if let Some(id) = id {
            out.extend_from_slice(b"\"id\":");
            self.object.push_id(id, out);
        }
        if self.skip_verify_email && id.is_none() {
            comma(out);
            out.extend_from_slice(b"\"skip_verify_email\":true");
        }
        let mut open: Option<&str> = None;
        for column in self.columns.iter().filter(|column| {
            let own_id = id.is_some() && column.parent.is_none() && column.name == "id";
            !own_id && !self.batch.payload.is_absent(column.index, row)
        }) {
            if open != column.parent {
                self.close(open, out);
                comma(out);
                open = column.parent;
                if let Some(parent) = open {
                    push_string(parent, out);
                    out.extend_from_slice(if self.by_number(parent) { b":[" } else { b":{" });
                }
            }
            comma(out);
            if open.is_some_and(|parent| self.by_number(parent)) {
                out.extend_from_slice(b"{\"id\":");
                push_number(column.name, out);
                out.extend_from_slice(b",\"value\":");
                column.push(row, out);
                out.push(b'}');
            } else {
                push_string(column.name, out);
                out.push(b':');
                column.push(row, out);
            }
        }
        self.close(open, out);
        out.push(b'}');
    }

    /// A ticket's own fields are a list of numbers and values.
    fn by_number(&self, parent: &str) -> bool {
        self.object == Object::Tickets && parent == self.object.own_fields()
    }

    fn close(&self, open: Option<&str>, out: &mut Vec<u8>) {
        if let Some(parent) = open {
            out.push(if self.by_number(parent) { b']' } else { b'}' });
        }
    }
}

impl Column<'_> {
    fn push(&self, row: usize, out: &mut Vec<u8>) {
        if !self.list {
            return self.cells.push_json(row, out);
        }
        // A list comes as one, or as text with `;` between its items.
        let mut text = Vec::new();
        self.cells.push_string(row, &mut text);
        let text: String = serde_json::from_slice(&text).unwrap_or_default();
        out.push(b'[');
        for item in text.split(';').map(str::trim).filter(|item| !item.is_empty()) {
            comma(out);
            match self.name.ends_with("_ids") {
                true => push_number(item, out),
                false => push_string(item, out),
            }
        }
        out.push(b']');
    }
}

fn comma(out: &mut Vec<u8>) {
    if !matches!(out.last(), None | Some(b'{' | b'[' | b',' | b':')) {
        out.push(b',');
    }
}

/// A number that comes as text; any other text as it is.
pub(super) fn push_number(id: &str, out: &mut Vec<u8>) {
    match id.parse::<u64>() {
        Ok(_) if !id.starts_with('+') => out.extend_from_slice(id.as_bytes()),
        _ => push_string(id, out),
    }
}

/// The minute's window, as the headers report it. Nonsense is no report.
pub(super) fn window(reply: &Reply) -> Option<Reported> {
    let max = number(reply, &["ratelimit-limit", "x-rate-limit"])?;
    let max = Some(max).filter(|max| (1..=1_000_000).contains(max))?;
    let remaining = number(reply, &["ratelimit-remaining", "x-rate-limit-remaining"])?.min(max);
    // Both are at most a million.
    Some(Reported { max: max as u32, remaining: remaining as u32, length: None })
}

/// Seconds until the limit that refused a call is renewed: the account's, or the endpoint's own, as in
/// `zendesk-ratelimit-tickets-index: total=100; remaining=0; resets=41`.
pub(super) fn reset(reply: &Reply) -> Option<u64> {
    let own =
        reply.headers.iter().filter(|(name, _)| name.as_str().starts_with("zendesk-ratelimit-"));
    let used_up = own.filter_map(|(_, value)| {
        let parts = || {
            value.to_str().unwrap_or_default().split(';').filter_map(|part| part.split_once('='))
        };
        let part = |name: &str| {
            parts().find(|(known, _)| known.trim() == name).map(|(_, text)| text.trim())
        };
        part("resets").filter(|_| part("remaining") == Some("0"))?.parse::<u64>().ok()
    });
    used_up
        .max()
        .or_else(|| number(reply, &["ratelimit-reset"]))
        .filter(|seconds| *seconds <= 86_400)
}

fn number(reply: &Reply, headers: &[&str]) -> Option<u64> {
    headers.iter().find_map(|header| reply.header(header)?.trim().parse().ok())
}

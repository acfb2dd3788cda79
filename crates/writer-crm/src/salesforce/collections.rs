//! sObject Collections: up to 200 rows in one call, answered in the order of the request.

use flow::{Mode, Outcome, Receipt, Result, WriteBatch};
use writer::encode::{Cells, push_string};
use writer::{Method, Outcomes, Reply, Request};

use super::answer::{Complaint, SaveResult, same_id};
use super::classify::{Judge, is_gone, is_wrong_for_every_row};
use super::wire::{Column, SPELLING, bare, columns, object_path, reference_field};

/// Rows per call; Salesforce refuses more.
pub(super) const ROWS_MAX: usize = 200;
/// A body that is likely to fit without growing, per row.
const ROW_BYTES_GUESS: usize = 256;

/// One call: what is done with which rows, and how each record is addressed.
pub(super) struct Call<'a> {
    pub(super) batch: &'a WriteBatch,
    /// The column of the external id, unless records are addressed by their own ids.
    pub(super) external: Option<usize>,
    /// The column that holds record ids, and is no field to write.
    pub(super) id_column: Option<usize>,
    /// The records' own ids, one per row; none where they are found by external id or made.
    pub(super) ids: &'a [String],
    /// The rows in the order they are sent.
    pub(super) order: &'a [usize],
}

impl Call<'_> {
    /// The request, and the word for metrics.
    ///
    /// # Errors
    /// When the batch cannot be spelled.
    pub(super) fn request(&self, base: &str) -> Result<Request> {
        let object = object_path(&self.batch.object)?;
        let root = format!("{base}/composite/sobjects");
        let schema = self.batch.payload.fields.schema_ref();
        let (method, path, operation) = match (self.batch.mode, self.external) {
            (Mode::Delete, _) => {
                let ids: Vec<&str> = self.order.iter().map(|row| self.ids[*row].as_str()).collect();
                let path = format!("{root}?ids={}&allOrNone=false", ids.join(","));
                return Ok(bare(Method::DELETE, path, "delete"));
            }
            (Mode::Create, _) => (Method::POST, root, "create"),
            (_, Some(column)) => {
                let external = schema.field(column).name();
                (Method::PATCH, format!("{root}/{object}/{external}"), "upsert")
            }
            (_, None) => (Method::PATCH, root, "update"),
        };
        let body = Some(self.body(object)?);
        Ok(Request { method, path, operation, body })
    }

    /// `{"allOrNone":false,"records":[..]}`. Null empties a field, an absent cell leaves it alone and is left out.
    fn body(&self, object: &str) -> Result<Vec<u8>> {
        let fields = &self.batch.payload.fields;
        let cells: Vec<Cells<'_>> = fields
            .schema_ref()
            .fields()
            .iter()
            .zip(fields.columns())
            .map(|(field, column)| Cells::of(field, column, SPELLING))
            .collect();
        let columns = columns(self.batch, self.id_column)?;
        let mut head = b"{\"attributes\":{\"type\":".to_vec();
        push_string(object, &mut head);
        head.push(b'}');
        let mut body = Vec::with_capacity(self.order.len() * ROW_BYTES_GUESS);
        body.extend_from_slice(b"{\"allOrNone\":false,\"records\":[");
        for (place, row) in self.order.iter().enumerate() {
            if place > 0 {
                body.push(b',');
            }
            body.extend_from_slice(&head);
            if let Some(id) = self.ids.get(*row) {
                body.extend_from_slice(b",\"id\":");
                push_string(id, &mut body);
            }
            for column in &columns {
                if !self.batch.payload.is_absent(column.index, *row) {
                    push_member(column, &cells[column.index], *row, &mut body);
                }
            }
            body.push(b'}');
        }
        body.extend_from_slice(b"]}");
        Ok(body)
    }

    /// Reads the answer: one outcome per row, by its place.
    ///
    /// # Errors
    /// When it cannot be read, and when every row is refused for a field that no row can be written to.
    pub(super) fn receipt(&self, reply: &Reply, judge: &Judge) -> Result<Receipt> {
        let results = SaveResult::all(reply).filter(|_| reply.fault.is_none());
        let results = results.ok_or_else(|| judge.unreadable(reply))?;
        let mut outcomes = Outcomes::new(self.order.len());
        if results.len() != self.order.len() {
            // A list of another length says nothing about any one row (D6).
            return Ok(outcomes.receipt("an answer for another number of rows"));
        }
        if let Some(complaint) = refused_field(&results) {
            return Err(judge.wrong_field(complaint));
        }
        for (result, row) in results.iter().zip(self.order) {
            outcomes.set(Some(*row), self.outcome(result, *row, judge));
        }
        Ok(outcomes.receipt("no answer for the row"))
    }

    fn outcome(&self, result: &SaveResult, row: usize, judge: &Judge) -> Outcome {
        let sent = self.ids.get(row);
        let other = sent.zip(result.id.as_ref()).is_some_and(|(sent, held)| !same_id(sent, held));
        let remote_id = result.id.clone().or_else(|| sent.cloned());
        match result.success {
            _ if other => Outcome::Unknown { reason: "an answer for another record" },
            Some(true) => {
                // An update cannot make a record, and does not say so; a create can do nothing else.
                let created = match self.batch.mode {
                    Mode::Create => Some(true),
                    Mode::Delete => None,
                    _ if self.external.is_none() => Some(false),
                    _ => result.created,
                };
                Outcome::Delivered { created, remote_id }
            }
            Some(false) if self.batch.mode == Mode::Delete && is_gone(&result.errors) => {
                Outcome::Delivered { created: None, remote_id }
            }
            Some(false) if !result.errors.is_empty() => judge.row(&result.errors),
            _ => Outcome::Unknown { reason: "neither success nor error" },
        }
    }
}

/// `,"Name":"x"`; a parent is an object with its external id, and no parent is an empty reference.
fn push_member(column: &Column<'_>, cells: &Cells<'_>, row: usize, body: &mut Vec<u8>) {
    body.push(b',');
    match column.parent {
        Some(parent) if cells.is_null(row) => {
            push_string(&reference_field(parent), body);
            body.extend_from_slice(b":null");
        }
        Some(parent) => {
            push_string(parent, body);
            body.extend_from_slice(b":{");
            push_string(column.name, body);
            body.push(b':');
            cells.push_json(row, body);
            body.push(b'}');
        }
        None => {
            push_string(column.name, body);
            body.push(b':');
            cells.push_json(row, body);
        }
    }
}

/// What is wrong with the mapping, when nothing was written and every row is refused for a field.
fn refused_field(results: &[SaveResult]) -> Option<&Complaint> {
    let all = !results.is_empty() && results.iter().all(|row| is_wrong_for_every_row(&row.errors));
    all.then(|| results[0].errors.first()).flatten()
}

//! Bodies for Mixpanel: profile updates for `/engage` and `/groups`, events for `/import`.

use flow::arrow::array::Array as _;
use flow::{Error, Mode, Outcome, Result, WriteBatch};
use writer::codes::E2016_CALL;
use writer::encode::{Cells, SecondDecimals, Spelling, push_integer, push_string};

use super::check;
use super::codes::E2140_MATCH;
use super::object::Object;

/// Dates of Mixpanel have no fractions of a second and are UTC.
const SPELLING: Spelling = Spelling { second_decimals: SecondDecimals::Bare, list_separator: "," };

/// A body, the rows in it, and rows that are refused before anything is sent.
#[derive(Debug)]
pub(super) struct Body {
    pub(super) bytes: Vec<u8>,
    /// Rows of the batch, in the order of the body.
    pub(super) sent: Vec<usize>,
    pub(super) refused: Vec<(usize, Outcome)>,
    /// Objects in the body; a profile that loses properties takes two.
    pub(super) objects: usize,
}

/// What records are found by: the column, or the ids the batch brings.
enum Ids<'a> {
    Column(usize),
    Given(&'a [String]),
}

/// Everything a row is written with.
struct Rows<'a> {
    batch: &'a WriteBatch,
    object: &'a Object,
    ids: Ids<'a>,
    columns: Vec<(&'a str, Cells<'a>)>,
}

/// The path of an object, query included.
pub(super) fn path(object: &Object, project_id: &str) -> String {
    match object {
        // `ip=0`: the address of this machine says nothing about the person.
        Object::Profiles => "/engage?strict=1&verbose=1&ip=0".to_owned(),
        Object::Groups(_) => "/groups?strict=1&verbose=1&ip=0".to_owned(),
        Object::Events => format!("/import?strict=1&project_id={}", writer::percent(project_id)),
    }
}

/// The body of a write.
///
/// # Errors
/// When the batch is found by something Mixpanel does not find records by.
pub(super) fn body(batch: &WriteBatch, object: &Object, token: &str) -> Result<Body> {
    let rows = Rows::new(batch, object)?;
    let count = batch.payload.rows().max(batch.record_ids.len());
    let mut body = Body { bytes: vec![b'['], sent: Vec::new(), refused: Vec::new(), objects: 0 };
    for row in 0..count {
        if let Err(outcome) = rows.check(row) {
            body.refused.push((row, outcome));
            continue;
        }
        match object {
            Object::Events => rows.push_event(row, &mut body),
            Object::Profiles | Object::Groups(_) => rows.push_profile(row, token, &mut body),
        }
        body.sent.push(row);
    }
    body.bytes.push(b']');
    Ok(body)
}

impl<'a> Rows<'a> {
    fn new(batch: &'a WriteBatch, object: &'a Object) -> Result<Self> {
        let fields = &batch.payload.fields;
        let schema = fields.schema_ref();
        let columns = schema.fields().iter().zip(fields.columns());
        let columns: Vec<_> = columns
            .map(|(field, column)| (field.name().as_str(), Cells::of(field, column, SPELLING)))
            .collect();
        let ids = match &*batch.match_on {
            _ if !batch.record_ids.is_empty() => Ids::Given(&batch.record_ids),
            [name] if name == object.id_field() => match schema.index_of(name) {
                Ok(at) => Ids::Column(at),
                Err(_) => {
                    return Err(Error::new(&E2016_CALL, "the id is not in the payload"));
                }
            },
            other => {
                let message = format!(
                    "records are found by `{}`, not by `{}`",
                    object.id_field(),
                    other.join("`, `")
                );
                return Err(Error::new(&E2140_MATCH, message));
            }
        };
        Ok(Self { batch, object, ids, columns })
    }

    fn id(&self, row: usize) -> String {
        match self.ids {
            Ids::Given(ids) => ids[row].clone(),
            Ids::Column(at) => {
                flow::text_at(self.batch.payload.fields.column(at), row).into_owned()
            }
        }
    }

    /// The text of a field, where the row has one.
    fn text(&self, name: &str, row: usize) -> Option<String> {
        let column = self.batch.payload.fields.column_by_name(name)?;
        column.is_valid(row).then(|| flow::text_at(column, row).into_owned())
    }

    /// What Mixpanel would drop or cut without a word.
    fn check(&self, row: usize) -> Result<(), Outcome> {
        let id = self.id(row);
        if *self.object != Object::Events {
            return check::id(self.object.id_field(), &id);
        }
        check::insert_id(&id)?;
        let person = self.text("distinct_id", row).unwrap_or_default();
        check::placeholder("distinct_id", &person)?;
        match self.text("event", row) {
            Some(event) if !event.is_empty() => {}
            _ => {
                return Err(check::refused(
                    &super::codes::R261_VALUE,
                    "an event needs a name",
                    "event",
                ));
            }
        }
        if self.text("time", row).is_none() {
            return Err(check::refused(
                &super::codes::R261_VALUE,
                "an event needs its time",
                "time",
            ));
        }
        self.columns.iter().filter(|(_, cells)| cells.is_text()).try_for_each(|(name, _)| {
            check::length(name, &self.text(name, row).unwrap_or_default())
        })
    }

    fn is_property(&self, at: usize, row: usize) -> bool {
        !matches!(self.ids, Ids::Column(id) if id == at) && !self.batch.payload.is_absent(at, row)
    }

    /// `{"$token": .., "$distinct_id": .., "$set": {..}}`, and another one for the properties that are emptied.
    fn push_profile(&self, row: usize, token: &str, body: &mut Body) {
        let id = self.id(row);
        if self.batch.mode == Mode::Delete {
            return self.push_object(&id, token, b"\"$delete\":\"\",\"$ignore_alias\":true", body);
        }
        let mut set = b"\"$set\":{".to_vec();
        let mut unset = b"\"$unset\":[".to_vec();
        let (sets, unsets) = (set.len(), unset.len());
        for (at, (name, cells)) in self.columns.iter().enumerate() {
            if !self.is_property(at, row) {
                continue;
            }
            let part = if cells.is_null(row) { &mut unset } else { &mut set };
            if !matches!(part.last(), Some(b'{' | b'[')) {
                part.push(b',');
            }
            push_string(name, part);
            if !cells.is_null(row) {
                part.push(b':');
                cells.push_json(row, part);
            }
        }
        // A profile without any property is made, too.
        if set.len() > sets || unset.len() == unsets {
            set.push(b'}');
            self.push_object(&id, token, &set, body);
        }
        if unset.len() > unsets {
            unset.push(b']');
            self.push_object(&id, token, &unset, body);
        }
    }

    fn push_object(&self, id: &str, token: &str, operation: &[u8], body: &mut Body) {
        let out = &mut body.bytes;
        if body.objects > 0 {
            out.push(b',');
        }
        out.extend_from_slice(b"{\"$token\":");
        push_string(token, out);
        match self.object {
            Object::Groups(key) => {
                out.extend_from_slice(b",\"$group_key\":");
                push_string(key, out);
                out.extend_from_slice(b",\"$group_id\":");
            }
            Object::Profiles | Object::Events => out.extend_from_slice(b",\"$distinct_id\":"),
        }
        push_string(id, out);
        out.push(b',');
        out.extend_from_slice(operation);
        out.push(b'}');
        body.objects += 1;
    }

    /// `{"event": .., "properties": {"time": MS, "distinct_id": .., "$insert_id": .., ..}}`.
    fn push_event(&self, row: usize, body: &mut Body) {
        let out = &mut body.bytes;
        if body.objects > 0 {
            out.push(b',');
        }
        body.objects += 1;
        out.extend_from_slice(b"{\"event\":");
        push_string(&self.text("event", row).unwrap_or_default(), out);
        out.extend_from_slice(b",\"properties\":{\"$insert_id\":");
        push_string(&self.id(row), out);
        let mut person = false;
        for (at, (name, cells)) in self.columns.iter().enumerate() {
            if !self.is_property(at, row) || *name == "event" || cells.is_null(row) {
                continue;
            }
            person |= *name == "distinct_id";
            out.push(b',');
            push_string(name, out);
            out.push(b':');
            match cells.micros(row).filter(|_| *name == "time") {
                Some(micros) => push_integer(micros.div_euclid(1000), out),
                None => cells.push_json(row, out),
            }
        }
        if !person {
            out.extend_from_slice(b",\"distinct_id\":\"\"");
        }
        out.extend_from_slice(b"}}");
    }
}

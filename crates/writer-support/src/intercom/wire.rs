//! Intercom's wire: one row as JSON, moments as seconds since 1970.

use flow::arrow::array::{Array as _, AsArray as _};
use flow::arrow::datatypes::{DataType, Date32Type, Int64Type, TimeUnit, TimestampMicrosecondType};
use flow::{Error, FieldKind, ObjectSchema, Result, WriteBatch};
use writer::codes::E2016_CALL;
use writer::encode::{Cells, SecondDecimals, Spelling, push_integer, push_string};

const SPELLING: Spelling = Spelling { second_decimals: SecondDecimals::Six, list_separator: ";" };

/// The member of a workspace's own attributes.
pub(super) const OWN: &str = "custom_attributes";
/// What is linked after the record is written.
const LINKS: &str = "associations.";

/// The only row of a batch.
#[derive(Clone, Copy)]
pub(super) struct Row<'a> {
    pub(super) batch: &'a WriteBatch,
    pub(super) schema: &'a ObjectSchema,
}

impl Row<'_> {
    /// The value the record is found by.
    ///
    /// # Errors
    /// [`E2016_CALL`] when there is none.
    pub(super) fn token(&self) -> Result<(&str, String)> {
        let payload = &self.batch.payload;
        let found = self.batch.match_on.first().and_then(|name| {
            let index = payload.fields.schema_ref().index_of(name).ok()?;
            let there = !payload.is_absent(index, 0) && payload.fields.column(index).is_valid(0);
            there.then(|| (name.as_str(), self.text(index)))
        });
        let message = "row 0 of a call has no value to find its record by";
        found.filter(|(_, text)| !text.is_empty()).ok_or_else(|| Error::new(&E2016_CALL, message))
    }

    /// The row as a JSON object, but for links, with `more` members (`"name":value`) before its own.
    pub(super) fn body(&self, more: &[&str]) -> Vec<u8> {
        let fields = self.batch.payload.fields.schema_ref().fields();
        let (mut members, mut own): (Vec<Vec<u8>>, Vec<Vec<u8>>) = (Vec::new(), Vec::new());
        for (index, field) in fields.iter().enumerate() {
            let name = field.name();
            if self.batch.payload.is_absent(index, 0) || name.starts_with(LINKS) {
                continue;
            }
            let (list, name) = match name.strip_prefix("custom_attributes.") {
                Some(name) => (&mut own, name),
                None => (&mut members, name.as_str()),
            };
            let mut member = Vec::new();
            push_string(name, &mut member);
            member.push(b':');
            self.push_cell(index, &mut member);
            list.push(member);
        }
        if !own.is_empty() {
            let inner = own.join(&b","[..]);
            members.push([b"\"custom_attributes\":{", inner.as_slice(), b"}"].concat());
        }
        let more = more.iter().map(|member| member.as_bytes().to_vec());
        let members: Vec<Vec<u8>> = more.chain(members).collect();
        [b"{", members.join(&b","[..]).as_slice(), b"}"].concat()
    }

    fn push_cell(&self, index: usize, out: &mut Vec<u8>) {
        let fields = &self.batch.payload.fields;
        let (field, column) = (&fields.schema_ref().fields()[index], fields.column(index));
        let moment = self
            .schema
            .field(field.name())
            .is_some_and(|known| matches!(known.kind, FieldKind::DateTime | FieldKind::Date));
        if column.is_valid(0) {
            let seconds = match column.data_type() {
                DataType::Timestamp(TimeUnit::Microsecond, _) => {
                    let cells = column.as_primitive::<TimestampMicrosecondType>();
                    Some(cells.value(0).div_euclid(1_000_000))
                }
                DataType::Date32 => {
                    Some(i64::from(column.as_primitive::<Date32Type>().value(0)) * 86_400)
                }
                // Whole numbers in a field of moments are milliseconds.
                DataType::Int64 if moment => {
                    Some(column.as_primitive::<Int64Type>().value(0).div_euclid(1_000))
                }
                _ => None,
            };
            if let Some(seconds) = seconds {
                return push_integer(seconds, out);
            }
        }
        Cells::of(field, column, SPELLING).push_json(0, out);
    }

    /// Ids of records of `object` that the row is linked with.
    pub(super) fn links(&self, object: &str) -> Vec<String> {
        let payload = &self.batch.payload;
        let Ok(index) = payload.fields.schema_ref().index_of(&format!("{LINKS}{object}")) else {
            return Vec::new();
        };
        if payload.is_absent(index, 0) || payload.fields.column(index).is_null(0) {
            return Vec::new();
        }
        let text = self.text(index);
        let ids = text.split(';').map(str::trim).filter(|id| !id.is_empty());
        ids.map(str::to_owned).collect()
    }

    fn text(&self, index: usize) -> String {
        let mut text = Vec::new();
        Cells::new(self.batch.payload.fields.column(index), SPELLING).push_string(0, &mut text);
        serde_json::from_slice(&text).unwrap_or_default()
    }
}

//! What the rows of one call are to be associated with, taken out of their payload.

use std::collections::BTreeMap;

use flow::{Error, Outcome, Payload, Result, WriteBatch};
use writer::codes::E2012_FIELD;
use writer::encode::Cells;

use super::super::codes::R223_RECORD_ID;
use super::super::options::Pair;
use super::super::wire::{SPELLING, text_of};
use super::ways::{PREFIX, Way};

/// Records of one object that one row may be associated with in one call.
const RECORDS_MAX: usize = 500;
/// HubSpot's record ids are numbers of 64 bits.
const DIGITS_MAX: usize = 20;

/// What the rows of one call are to be associated with.
#[derive(Debug)]
pub(in super::super) struct Wishes {
    /// Per other object.
    pub(in super::super) targets: Vec<Target>,
    /// Rows whose values cannot be record ids: nothing of them is sent.
    pub(in super::super) refused: BTreeMap<usize, Outcome>,
}

/// Associations with one other object.
#[derive(Debug)]
pub(in super::super) struct Target {
    /// The other object, as in a path.
    pub(in super::super) to: String,
    /// Rows decide in full which of its records theirs are associated with.
    pub(in super::super) replace: bool,
    /// The mapped ways.
    pub(in super::super) ways: Vec<Way>,
    /// Per row; none where the row leaves all of them alone.
    pub(in super::super) rows: Vec<Option<Wish>>,
}

/// The associations of one row with one other object.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Wish {
    /// Record ids, and which of the target's ways each is wanted in.
    pub(in super::super) wanted: BTreeMap<String, Vec<usize>>,
    /// The ways the row says something about, also that there is nobody.
    pub(in super::super) said: Vec<usize>,
}

impl Target {
    /// Whether what is associated already must be known: rows decide about a label, or about all.
    pub(in super::super) fn decides(&self) -> bool {
        self.replace || self.ways.iter().any(|way| way.label.is_some())
    }
}

/// Whether a payload says anything about associations.
pub(in super::super) fn any(payload: &Payload) -> bool {
    payload.fields.schema_ref().fields().iter().any(|field| field.name().starts_with(PREFIX))
}

impl Wishes {
    /// Reads them; `known` are the ways HubSpot has for this object.
    ///
    /// # Errors
    /// [`E2012_FIELD`] for a field that is none of them.
    pub(in super::super) fn read(
        batch: &WriteBatch,
        known: &[Way],
        replaced: &[Pair],
    ) -> Result<Self> {
        let mut wishes = Self { targets: Vec::new(), refused: BTreeMap::new() };
        let schema = batch.payload.fields.schema();
        for (column, field) in schema.fields().iter().enumerate() {
            if !field.name().starts_with(PREFIX) {
                continue;
            }
            let Some(way) = known.iter().find(|way| way.field == *field.name()) else {
                let message =
                    format!("HubSpot has no association `{}` for this object", field.name());
                return Err(Error::new(&E2012_FIELD, message));
            };
            let at = wishes.target(batch, way, replaced);
            wishes.column(batch, column, at);
        }
        Ok(wishes)
    }

    fn target(&mut self, batch: &WriteBatch, way: &Way, replaced: &[Pair]) -> usize {
        if let Some(at) = self.targets.iter().position(|target| target.to == way.to) {
            self.targets[at].ways.push(way.clone());
            return at;
        }
        let name = way.field[PREFIX.len()..].split('.').next().unwrap_or_default();
        let replace = replaced.iter().any(|pair| pair.is(&batch.object, &[name, &way.to]));
        let rows = (0..batch.payload.rows()).map(|_| None).collect();
        self.targets.push(Target { to: way.to.clone(), replace, ways: vec![way.clone()], rows });
        self.targets.len() - 1
    }

    fn column(&mut self, batch: &WriteBatch, column: usize, at: usize) {
        let cells = Cells::new(batch.payload.fields.column(column), SPELLING);
        let target = &mut self.targets[at];
        let way = target.ways.len() - 1;
        for row in 0..batch.payload.rows() {
            if batch.payload.is_absent(column, row) {
                continue;
            }
            let wish = target.rows[row].get_or_insert_default();
            wish.said.push(way);
            if cells.is_null(row) {
                continue;
            }
            let text = text_of(&cells, row);
            for id in text.split(';').map(str::trim).filter(|id| !id.is_empty()) {
                let fits = id.len() <= DIGITS_MAX && id.bytes().all(|byte| byte.is_ascii_digit());
                if !fits || wish.wanted.len() >= RECORDS_MAX {
                    let field = &target.ways[way].field;
                    self.refused.entry(row).or_insert_with(|| no_id(field, fits));
                    break;
                }
                let ways = wish.wanted.entry(id.to_owned()).or_default();
                if !ways.contains(&way) {
                    ways.push(way);
                }
            }
        }
    }
}

fn no_id(field: &str, fits: bool) -> Outcome {
    let message = match fits {
        true => format!("more than {RECORDS_MAX} records to associate with"),
        false => "the value is not a HubSpot record id".to_owned(),
    };
    Outcome::Rejected { code: &R223_RECORD_ID, message, field: Some(field.to_owned()) }
}

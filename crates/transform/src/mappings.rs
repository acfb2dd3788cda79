//! The written `mappings:` of a sync, before anything is checked against a model or a destination.

use std::sync::Arc;

use crate::Scalar;

/// The mappings of a sync: destination fields, in the order written, and where their values come from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Mappings {
    pub(crate) fields: Vec<(String, FieldMapping)>,
}

impl Mappings {
    /// The fields and their mappings, in the order written.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &FieldMapping)> {
        self.fields.iter().map(|(name, mapping)| (name.as_str(), mapping))
    }

    /// The mapping of one destination field.
    pub fn get(&self, field: &str) -> Option<&FieldMapping> {
        self.iter().find(|(name, _)| *name == field).map(|(_, mapping)| mapping)
    }

    /// How many fields are mapped; at least one.
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Whether nothing is mapped; never so for mappings that were read.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }
}

/// Where one field's value comes from and what is done to it on the way.
///
/// The order of work is fixed: origin, `values`, `transform`, `as`, `default`, `on_null`, and last the
/// destination field's own type.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FieldMapping {
    /// Where the value comes from.
    pub origin: Origin,
    /// Value map: what each listed source value becomes. Keys are compared with the cell's canonical text.
    pub values: Option<Vec<(String, Scalar)>>,
    /// What happens to a value that is not listed in `values`; reject where not written.
    pub otherwise: Option<Otherwise>,
    /// Transforms, applied in this order.
    pub transform: Vec<Transform>,
    /// Type to convert to (`as`).
    pub convert: Option<Convert>,
    /// What NULL becomes; never null itself.
    pub default: Option<Scalar>,
    /// What happens to a NULL that is left; send where not written.
    pub on_null: Option<OnNull>,
    /// What a reconciliation does about a field that somebody edited at the destination.
    pub on_drift: OnDrift,
    /// Write only where the destination's field is empty. Not in this version.
    pub only_if_empty: bool,
    /// Write only when the record is created. Not in this version.
    pub only_on_create: bool,
}

impl FieldMapping {
    /// A mapping of nothing but an origin.
    pub fn new(origin: Origin) -> Self {
        Self {
            origin,
            values: None,
            otherwise: None,
            transform: Vec::new(),
            convert: None,
            default: None,
            on_null: None,
            on_drift: OnDrift::Overwrite,
            only_if_empty: false,
            only_on_create: false,
        }
    }
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Origin {
    /// A model column.
    Column(String),
    /// The same value in every row.
    Const(Scalar),
    /// A minijinja template over the model's columns.
    Template(String),
    /// Something about the run.
    Run(RunValue),
    /// The id of another record.
    Lookup(Lookup),
}

/// What can be said about the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RunValue {
    /// The run's id, a UUID.
    Id,
    /// When the run started, as a timestamp in UTC.
    StartedAt,
    /// The sync's name.
    Sync,
}

/// Finds another record and gives its id.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Lookup {
    /// Where the record is looked for.
    pub place: LookupPlace,
    /// What happens when there is no such record.
    pub if_missing: IfMissing,
}

/// Where a record is looked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum LookupPlace {
    /// At the destination, which is asked.
    Object {
        /// The object the record is in.
        object: String,
        /// The other object's field, and the model column that has its value.
        match_on: Vec<(String, String)>,
    },
    /// Among the records another sync wrote, whose ids the ledger knows.
    Sync {
        /// The other sync.
        sync: String,
        /// Model columns with the other row's primary key, in the order of its parts.
        key: Vec<String>,
    },
}

impl LookupPlace {
    /// The model columns it reads.
    pub fn columns(&self) -> Vec<&str> {
        match self {
            Self::Object { match_on, .. } => {
                match_on.iter().map(|(_, name)| name.as_str()).collect()
            }
            Self::Sync { key, .. } => key.iter().map(String::as_str).collect(),
        }
    }
}

/// What a lookup found for one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LookedUp {
    /// A value it is looked up by is NULL: there is nothing to look for.
    Nothing,
    /// The record's id.
    Found(Arc<str>),
    /// There is no such record.
    Missing,
    /// More than one record fits.
    Ambiguous,
}

/// What happens when a lookup finds nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IfMissing {
    /// The row is rejected.
    Reject,
    /// The value is NULL.
    SetNull,
    /// The field is left alone.
    Skip,
    /// The record is created.
    Create,
}

/// What happens to a value that `values` does not list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Otherwise {
    /// The row is rejected.
    Reject,
    /// The value becomes NULL.
    SetNull,
    /// The value stays as it is.
    Keep,
}

/// What a reconciliation does about a field that somebody edited at the destination. A run writes what changed, as ever.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum OnDrift {
    /// Put the model's value back.
    #[default]
    Overwrite,
    /// Say so, and put nothing back.
    Report,
    /// Leave the edit alone; it is no drift.
    KeepRemoteEdit,
}

/// What happens to a NULL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OnNull {
    /// The destination's field is emptied.
    Send,
    /// The destination's field is emptied; says so in plain words.
    Clear,
    /// The destination's field is left alone.
    Skip,
    /// The row is rejected.
    Reject,
}

/// The type a value is converted to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Convert {
    /// Canonical text.
    String,
    /// An exact number.
    Number,
    /// True or false.
    Boolean,
    /// A calendar day; a timestamp's day in UTC.
    Date,
    /// A moment; a date's midnight in UTC.
    Datetime,
    /// Milliseconds since 1970 in UTC, rounded down.
    EpochMs,
    /// Milliseconds since 1970 of the value's midnight in UTC.
    EpochMsMidnightUtc,
    /// JSON.
    Json,
}

/// One step of a chain of transforms; all but `date_format` work on the value's text and leave NULL alone.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Transform {
    /// Removes white space at both ends (Unicode).
    Trim,
    /// Lower case (Unicode).
    Lower,
    /// Upper case (Unicode).
    Upper,
    /// Removes tags, comments, scripts and styles and decodes entities.
    StripHtml,
    /// Turns empty text into NULL.
    NullIfEmpty,
    /// SHA-256 of the UTF-8 text, in lower-case hex.
    Sha256,
    /// A telephone number in E.164 form, `+` and 8 to 15 digits.
    E164 {
        /// Country code for numbers written without one, digits only.
        country_code: Option<String>,
    },
    /// At most so many characters.
    Truncate(usize),
    /// A date or moment in this strftime format, in UTC.
    DateFormat(String),
}

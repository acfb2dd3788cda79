//! A destination object with every kind of field, and short ways to map a batch onto it.

use std::collections::HashSet;
use std::sync::Arc;

use flow::arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use flow::arrow::datatypes::SchemaRef;
use flow::{Batch, Fault, Field, FieldKind, Key, Mode, NullRule, ObjectSchema, text_at};
use transform::{MapContext, Mapped, Mapper, MapperSpec, MappingError, Mappings, RunMeta};

pub(crate) fn field(name: &str, kind: FieldKind) -> Field {
    Field {
        name: name.to_owned(),
        label: name.to_owned(),
        kind,
        required: false,
        unique: false,
        read_only: false,
        folds_case: false,
    }
}

pub(crate) fn options(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// One field of every kind; `email` finds the record.
pub(crate) fn object() -> ObjectSchema {
    let plans = options(&["Free", "Professional", "Enterprise"]);
    let email = Field { unique: true, folds_case: true, ..field("email", FieldKind::Email) };
    ObjectSchema {
        object: "contacts".to_owned(),
        open: false,
        fields: vec![
            email,
            Field { unique: true, ..field("external_id", FieldKind::Text { chars_max: Some(40) }) },
            Field { unique: true, ..field("number_id", FieldKind::Number) },
            field("text", FieldKind::Text { chars_max: None }),
            field("short", FieldKind::Text { chars_max: Some(5) }),
            field("firstname", FieldKind::Text { chars_max: None }),
            field("lastname", FieldKind::Text { chars_max: None }),
            field("weekly_active_days", FieldKind::Number),
            field("last_seen_at", FieldKind::Date),
            field("outflow_synced_at", FieldKind::DateTime),
            field("plan_tier", FieldKind::Enum { options: plans.clone() }),
            field("plans", FieldKind::MultiEnum { options: plans }),
            field("active", FieldKind::Boolean),
            field("number", FieldKind::Number),
            field("date", FieldKind::Date),
            field("datetime", FieldKind::DateTime),
            field("phone", FieldKind::Phone),
            field("second_email", FieldKind::Email),
            field("any", FieldKind::Any),
            Field { read_only: true, ..field("createdate", FieldKind::DateTime) },
        ],
    }
}

/// Columns `id` (1, 2, …) and `email` for so many rows, and the given ones.
pub(crate) fn rows(count: usize, columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(1..=count as i64));
    let emails: ArrayRef =
        Arc::new(StringArray::from_iter_values((1..=count).map(|n| format!("user{n}@x.io"))));
    let mut all = vec![("id", ids), ("email", emails)];
    for (name, column) in columns {
        all.retain(|(seen, _)| *seen != name);
        all.push((name, column));
    }
    RecordBatch::try_from_iter_with_nullable(all.into_iter().map(|(n, c)| (n, c, true)))
        .expect("columns of one length")
}

pub(crate) fn mappings(json: &str) -> Mappings {
    serde_json::from_str(json).expect("valid mappings")
}

pub(crate) fn run() -> RunMeta {
    RunMeta { id: "run-1".to_owned(), sync: "usage".to_owned(), started_at: 1_767_607_202_869_800 }
}

/// Everything a test may change about a mapper.
pub(crate) struct Setup {
    pub(crate) object: ObjectSchema,
    pub(crate) match_on: Vec<(String, String)>,
    pub(crate) primary_key: Vec<String>,
    pub(crate) mode: Mode,
    pub(crate) null_rule: NullRule,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            object: object(),
            match_on: vec![("email".to_owned(), "email".to_owned())],
            primary_key: vec!["id".to_owned()],
            mode: Mode::Upsert,
            null_rule: NullRule::EmptyString,
        }
    }
}

impl Setup {
    pub(crate) fn compile(
        &self,
        written: &Mappings,
        columns: SchemaRef,
    ) -> Result<Mapper, Vec<MappingError>> {
        Mapper::compile(&MapperSpec {
            mappings: written,
            match_on: &self.match_on,
            primary_key: &self.primary_key,
            columns,
            object: &self.object,
            mode: self.mode,
            null_rule: self.null_rule,
        })
    }

    #[track_caller]
    pub(crate) fn map(&self, json: &str, batch: &RecordBatch) -> Mapped {
        let mapper = match self.compile(&mappings(json), batch.schema()) {
            Ok(mapper) => mapper,
            Err(errors) => panic!("{errors:?}"),
        };
        map_with(&mapper, batch, Vec::new(), &HashSet::new())
    }

    pub(crate) fn errors(&self, json: &str, batch: &RecordBatch) -> Vec<MappingError> {
        match self.compile(&mappings(json), batch.schema()) {
            Ok(_) => Vec::new(),
            Err(errors) => errors,
        }
    }
}

#[track_caller]
pub(crate) fn map_with(
    mapper: &Mapper,
    batch: &RecordBatch,
    faults: Vec<Fault>,
    duplicates: &HashSet<Key>,
) -> Mapped {
    let batch = Batch { rows: batch.clone(), faults, last: None };
    let run = run();
    let mapped = mapper
        .map(&batch, &MapContext { run: &run, duplicates, lookups: &[] })
        .expect("the batch maps");
    let sent = mapped.payload.rows();
    assert_eq!(sent + mapped.rejects.len(), batch.rows.num_rows(), "every row is accounted for");
    let lengths = [
        mapped.source_rows.len(),
        mapped.keys.len(),
        mapped.matches.len(),
        mapped.fingerprints.len(),
    ];
    assert_eq!(lengths, [sent; 4], "parallel lists have one entry per row");
    mapped
}

/// What becomes of one column in one field: a cell's text, `null`, `absent`, or the code of the reject.
#[track_caller]
pub(crate) fn outcomes(mapping: &str, field: &str, column: ArrayRef) -> Vec<String> {
    let count = column.len();
    let json = format!("{{\"{field}\": {mapping}}}");
    let batch = rows(count, vec![("c", column)]);
    described(&Setup::default().map(&json, &batch), field, count)
}

/// One word per row of the batch for `field`.
pub(crate) fn described(mapped: &Mapped, field: &str, count: usize) -> Vec<String> {
    let at = mapped.payload.fields.schema().index_of(field).expect("the field is mapped");
    let column = mapped.payload.fields.column(at);
    let mut rejects = mapped.rejects.iter();
    (0..count)
        .map(|row| match mapped.source_rows.iter().position(|sent| *sent as usize == row) {
            None => rejects.next().map(|reject| reject.code.id.to_owned()).unwrap_or_default(),
            Some(place) if mapped.payload.is_absent(at, place) => "absent".to_owned(),
            Some(place) if column.is_null(place) => "null".to_owned(),
            Some(place) => text_at(column, place).into_owned(),
        })
        .collect()
}

pub(crate) fn text(cells: &[Option<&str>]) -> ArrayRef {
    Arc::new(StringArray::from(cells.to_vec()))
}

/// Text without NULLs.
pub(crate) fn words(cells: &[&str]) -> ArrayRef {
    Arc::new(StringArray::from(cells.to_vec()))
}

//! Maps batches: model columns in, destination fields, keys, hashes and rejects out.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, RecordBatch, StringArray, TimestampMicrosecondArray, UInt32Array,
};
use arrow::buffer::BooleanBuffer;
use arrow::compute::take;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use flow::{Batch, Error, Fingerprint, Key, MatchHash, Payload, Reject, Stage};
use xxhash_rust::xxh3::xxh3_64;

use crate::codes;
use crate::compile::{self, MapperSpec};
use crate::error::MappingError;
use crate::fingerprint::{HashColumn, MatchColumn, fingerprints, matches};
use crate::lookup;
use crate::mappings::{LookedUp, RunValue};
use crate::plan::{FieldPlan, Filled, Input, repeated};
use crate::refusals::{Refusal, Refusals};
use crate::shape::{EXTENSION, EXTENSION_JSON, Meaning, Shape, moment_type};
use crate::template::{Templates, Variable};

/// What a mapping may know about the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunMeta {
    /// The run's id.
    pub id: String,
    /// The sync's name.
    pub sync: String,
    /// When the run started, in microseconds since 1970 in UTC.
    pub started_at: i64,
}

/// What a batch is mapped with.
#[derive(Debug, Clone, Copy)]
pub struct MapContext<'a> {
    /// The run.
    pub run: &'a RunMeta,
    /// Keys that more than one row of the model has; their rows become rejects.
    pub duplicates: &'a HashSet<Key>,
    /// What each of [`crate::lookups`] found, per row of the batch.
    pub lookups: &'a [Vec<LookedUp>],
}

/// A mapped batch. The first five are parallel: one entry per row that can be sent, in the order of the batch.
/// `payload.rows() + rejects.len()` is the number of rows of the batch.
#[derive(Debug, Clone)]
pub struct Mapped {
    /// Which row of the batch each is.
    pub source_rows: Vec<u32>,
    /// Primary keys.
    pub keys: Vec<Key>,
    /// Hashes of the values the records are found by.
    pub matches: Vec<MatchHash>,
    /// Fingerprints of the payload, without fields that come from the run.
    pub fingerprints: Vec<Fingerprint>,
    /// What is sent.
    pub payload: Payload,
    /// Rows that cannot be sent, in the order of the batch, each with its first reason.
    pub rejects: Vec<Reject>,
}

/// The mappings of a sync, checked and ready.
#[derive(Debug)]
pub struct Mapper {
    fields: Vec<String>,
    plans: Vec<FieldPlan>,
    templates: Templates,
    primary_key: Vec<String>,
    /// Columns read, with the type they were checked with.
    columns: Vec<(String, DataType, Meaning)>,
    schema: SchemaRef,
    /// Places of the fields in the fingerprint, by name.
    hashed: Vec<usize>,
    /// Places of the match fields, by name, and whether case is ignored.
    matched: Vec<(usize, bool)>,
}

impl Mapper {
    /// Checks the mappings against a model and a destination object.
    ///
    /// # Errors
    /// Every mistake at once, at most one per field and setting.
    pub fn compile(spec: &MapperSpec<'_>) -> Result<Self, Vec<MappingError>> {
        Ok(Self::compiled(compile::compile(spec)?, spec))
    }

    /// Mappings that are checked.
    pub(crate) fn compiled(compiled: compile::Compiled, spec: &MapperSpec<'_>) -> Self {
        let plans = compiled.plans;
        let mut by_name: Vec<usize> = (0..plans.len()).collect();
        by_name.sort_by(|a, b| plans[*a].name.cmp(&plans[*b].name));
        let folds = |at: usize| spec.object.field(&plans[at].name).is_some_and(|f| f.folds_case);
        let matched = by_name.iter().filter(|at| plans[**at].matched);
        let matched = matched.map(|at| (*at, folds(*at))).collect();
        let hashed = by_name.iter().copied();
        let hashed = hashed.filter(|at| !matches!(plans[*at].input, Input::Run(_))).collect();
        let fields: Vec<Field> = plans.iter().map(payload_field).collect();
        Self {
            fields: plans.iter().map(|plan| plan.name.to_string()).collect(),
            columns: columns_read(&plans, spec),
            primary_key: spec.primary_key.to_vec(),
            templates: compiled.templates,
            schema: Arc::new(Schema::new(fields)),
            hashed,
            matched,
            plans,
        }
    }

    /// The payload of so many rows, for mappings that read no column.
    pub(crate) fn repeated(&self, rows: usize, run: &RunMeta) -> flow::Result<Payload> {
        let mut refusals = Refusals::new(rows);
        let (none, duplicates) = (HashMap::new(), HashSet::new());
        let context = MapContext { run, duplicates: &duplicates, lookups: &[] };
        let filled = self.plans.iter().map(|plan| self.fill(plan, &none, &context, &mut refusals));
        let filled = filled.collect::<flow::Result<_>>()?;
        if let Some(refusal) = refusals.get(0) {
            let field = refusal.field.as_deref().unwrap_or_default();
            let message = format!("`{field}` cannot be set: {}", refusal.reason);
            return Err(Error::new(&codes::E0206_VALUE_NEVER_FITS, message));
        }
        let sent: Vec<u32> = (0u32..).take(rows).collect();
        self.payload(filled, &sent, false)
    }

    /// The destination fields of the payload, in the order of its columns: match fields that are not mapped,
    /// then the mapped ones as written.
    pub fn fields(&self) -> &[String] {
        &self.fields
    }

    /// The schema of every payload.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Maps one batch.
    ///
    /// # Errors
    /// `E0213` when the batch has other columns than the mapping was checked against.
    pub fn map(&self, batch: &Batch, context: &MapContext<'_>) -> flow::Result<Mapped> {
        let columns = self.resolve(&batch.rows)?;
        let rows = batch.rows.num_rows();
        let mut refusals = Refusals::new(rows);
        self.refuse_faults(batch, &mut refusals);
        let keys = self.keys(&columns, rows, &mut refusals);
        self.refuse_duplicates(&keys, context.duplicates, &mut refusals);
        let mut filled = Vec::with_capacity(self.plans.len());
        for plan in &self.plans {
            filled.push(self.fill(plan, &columns, context, &mut refusals)?);
        }
        let sent: Vec<u32> =
            (0u32..).take(rows).filter(|row| !refusals.contains(*row as usize)).collect();
        let payload = self.payload(filled, &sent, refusals.refused() > 0)?;
        let (keys, rejects) = settle(keys, &refusals);
        Ok(Mapped {
            fingerprints: self.fingerprints(&payload),
            matches: self.match_hashes(&payload, &keys),
            source_rows: sent,
            keys,
            payload,
            rejects,
        })
    }

    /// The columns that are read, by name.
    fn resolve<'b>(&self, batch: &'b RecordBatch) -> flow::Result<HashMap<&str, &'b ArrayRef>> {
        let mut found = HashMap::with_capacity(self.columns.len());
        for (name, data_type, _) in &self.columns {
            let column = batch.column_by_name(name);
            match column.filter(|column| column.data_type() == data_type) {
                Some(column) => found.insert(name.as_str(), column),
                None => {
                    let what = if column.is_some() { "changed its type" } else { "is missing" };
                    let message = format!("the model's column `{name}` {what} during the run");
                    return Err(Error::new(&codes::E0213_COLUMNS_CHANGED, message));
                }
            };
        }
        Ok(found)
    }

    fn refuse_faults(&self, batch: &Batch, refusals: &mut Refusals) {
        for fault in &batch.faults {
            if !self.columns.iter().any(|(name, _, _)| *name == fault.column) {
                continue;
            }
            refusals.refuse(fault.row, || Refusal {
                code: &codes::R104_NOT_CARRIED,
                field: Some(fault.column.as_str().into()),
                reason: fault.reason.clone().into(),
            });
        }
    }

    fn keys(
        &self,
        columns: &HashMap<&str, &ArrayRef>,
        rows: usize,
        refusals: &mut Refusals,
    ) -> Vec<Option<Key>> {
        let parts: Vec<&ArrayRef> =
            self.primary_key.iter().map(|name| columns[name.as_str()]).collect();
        let missing = |row: usize| {
            let at = parts.iter().position(|part| part.is_null(row)).unwrap_or(0);
            Refusal {
                code: &codes::R101_KEY_NULL,
                field: Some(self.primary_key[at].as_str().into()),
                reason: "the primary key is NULL".into(),
            }
        };
        (0..rows)
            .map(|row| {
                let key = Key::at(&parts, row);
                if key.is_none() {
                    refusals.refuse(row, || missing(row));
                }
                key
            })
            .collect()
    }

    /// Refuses every row whose key another row has, in the model or in this batch: none of them wins.
    fn refuse_duplicates(
        &self,
        keys: &[Option<Key>],
        known: &HashSet<Key>,
        refusals: &mut Refusals,
    ) {
        let mut refuse = |row: usize| {
            refusals.refuse(row, || Refusal {
                code: &codes::R102_KEY_DUPLICATE,
                field: Some(self.primary_key.join(", ").into()),
                reason: "another row of the model has the same primary key".into(),
            });
        };
        let present =
            || keys.iter().enumerate().filter_map(|(row, key)| Some((row, key.as_ref()?)));
        if !known.is_empty() {
            present().filter(|(_, key)| known.contains(key)).for_each(|(row, _)| refuse(row));
        }
        let mut hashes: Vec<(u64, usize)> =
            present().map(|(row, key)| (xxh3_64(key.as_str().as_bytes()), row)).collect();
        hashes.sort_unstable();
        for group in hashes.chunk_by(|a, b| a.0 == b.0).filter(|group| group.len() > 1) {
            let mut rows: Vec<usize> = group.iter().map(|(_, row)| *row).collect();
            rows.sort_by(|a, b| keys[*a].cmp(&keys[*b]));
            let same = rows.chunk_by(|a, b| keys[*a] == keys[*b]).filter(|same| same.len() > 1);
            same.flatten().for_each(|row| refuse(*row));
        }
    }

    fn fill(
        &self,
        plan: &FieldPlan,
        columns: &HashMap<&str, &ArrayRef>,
        context: &MapContext<'_>,
        refusals: &mut Refusals,
    ) -> flow::Result<Filled> {
        let rows = refusals.len();
        Ok(match &plan.input {
            Input::Lookup(at, if_missing) => match context.lookups.get(*at) {
                Some(found) if found.len() == rows => {
                    lookup::fill(plan, found, *if_missing, refusals)
                }
                _ => {
                    let message = "a lookup has no result for the rows of the batch";
                    return Err(Error::new(&codes::E0213_COLUMNS_CHANGED, message));
                }
            },
            Input::Column(name) => plan.fill(columns[name.as_str()], refusals),
            Input::Const(one) => plan.settle_nulls(repeated(one, rows), refusals),
            Input::Run(value) => {
                plan.fill(&repeated(&run_column(*value, context.run), rows), refusals)
            }
            Input::Template(template) => {
                let variable = |name: &String| {
                    let (_, _, meaning) = self
                        .columns
                        .iter()
                        .find(|(column, _, _)| column == name)
                        .expect("a template's columns are columns that are read");
                    let column = Arc::clone(columns[name.as_str()]);
                    Variable { name: name.clone(), column, meaning: *meaning }
                };
                let variables = template.columns.iter().map(variable).collect();
                let text = {
                    let mut rows = refusals.of(&plan.name);
                    self.templates.render(template, variables, &mut rows)
                };
                plan.fill(&(Arc::new(text) as ArrayRef), refusals)
            }
        })
    }

    fn payload(
        &self,
        filled: Vec<Filled>,
        sent: &[u32],
        any_refused: bool,
    ) -> flow::Result<Payload> {
        let internal = |error| {
            Error::new(&codes::E0213_COLUMNS_CHANGED, "the batch could not be mapped")
                .with_source(error)
        };
        let indices = UInt32Array::from(sent.to_vec());
        let mut columns = Vec::with_capacity(filled.len());
        let mut absent = Vec::with_capacity(filled.len());
        for field in filled {
            let (column, mask) = match any_refused {
                false => (field.column, field.absent),
                true => {
                    let column = take(&field.column, &indices, None).map_err(internal)?;
                    let pick = |mask: BooleanBuffer| -> BooleanBuffer {
                        sent.iter().map(|row| mask.value(*row as usize)).collect()
                    };
                    (column, field.absent.map(pick))
                }
            };
            columns.push(column);
            absent.push(mask.filter(|mask| mask.count_set_bits() > 0));
        }
        let fields = RecordBatch::try_new(Arc::clone(&self.schema), columns).map_err(internal)?;
        Ok(Payload { fields, absent })
    }

    fn fingerprints(&self, payload: &Payload) -> Vec<Fingerprint> {
        let columns: Vec<HashColumn<'_>> = self
            .hashed
            .iter()
            .map(|at| {
                let json = self.plans[*at].after.meaning == Meaning::Json;
                let absent = payload.absent[*at].as_ref();
                HashColumn::new(&self.fields[*at], payload.fields.column(*at), json, absent)
            })
            .collect();
        fingerprints(&columns, payload.rows())
    }

    /// Without match fields (create, append) a row's own key stands in.
    fn match_hashes(&self, payload: &Payload, keys: &[Key]) -> Vec<MatchHash> {
        if self.matched.is_empty() {
            let texts: StringArray = keys.iter().map(|key| Some(key.as_str())).collect();
            let column: ArrayRef = Arc::new(texts);
            let key = MatchColumn { name: "", column: &column, folds_case: false };
            return matches(&[key], keys.len());
        }
        let columns: Vec<MatchColumn<'_>> = self
            .matched
            .iter()
            .map(|(at, folds_case)| MatchColumn {
                name: &self.fields[*at],
                column: payload.fields.column(*at),
                folds_case: *folds_case,
            })
            .collect();
        matches(&columns, payload.rows())
    }
}

fn payload_field(plan: &FieldPlan) -> Field {
    let field = Field::new(plan.name.as_ref(), plan.after.data_type.clone(), true);
    match plan.after.meaning {
        Meaning::Json | Meaning::Number => {
            field.with_metadata(HashMap::from([(EXTENSION.to_owned(), EXTENSION_JSON.to_owned())]))
        }
        Meaning::Plain | Meaning::EpochMs => field,
    }
}

fn columns_read(plans: &[FieldPlan], spec: &MapperSpec<'_>) -> Vec<(String, DataType, Meaning)> {
    let inputs = plans.iter().flat_map(|plan| match &plan.input {
        Input::Column(name) => vec![name.clone()],
        Input::Template(template) => template.columns.clone(),
        // What it is looked up by is read before the mapping.
        Input::Run(_) | Input::Const(_) | Input::Lookup(..) => Vec::new(),
    });
    let matched = spec.match_on.iter().map(|(_, column)| column.clone());
    let mut read: Vec<(String, DataType, Meaning)> = Vec::new();
    for name in spec.primary_key.iter().cloned().chain(matched).chain(inputs) {
        let Some((_, field)) = spec.columns.column_with_name(&name) else { continue };
        if !read.iter().any(|(seen, _, _)| *seen == name) {
            read.push((name, field.data_type().clone(), Shape::of_column(field).meaning));
        }
    }
    read
}

/// Keys of the rows that are sent, and a reject for each of the others.
fn settle(keys: Vec<Option<Key>>, refusals: &Refusals) -> (Vec<Key>, Vec<Reject>) {
    let mut sent = Vec::with_capacity(keys.len() - refusals.refused());
    let mut rejects = Vec::with_capacity(refusals.refused());
    for (row, key) in keys.into_iter().enumerate() {
        match (refusals.get(row), key) {
            (None, Some(key)) => sent.push(key),
            (None, None) => {}
            (Some(refusal), key) => rejects.push(Reject {
                key,
                stage: Stage::Validate,
                code: refusal.code,
                field: refusal.field.as_deref().map(str::to_owned),
                reason: refusal.reason.to_string(),
                fingerprint: None,
            }),
        }
    }
    (sent, rejects)
}

/// What the run says, as one row.
pub(crate) fn run_column(value: RunValue, run: &RunMeta) -> ArrayRef {
    match value {
        RunValue::Id => Arc::new(StringArray::from(vec![run.id.as_str()])),
        RunValue::Sync => Arc::new(StringArray::from(vec![run.sync.as_str()])),
        RunValue::StartedAt => Arc::new(
            TimestampMicrosecondArray::from(vec![run.started_at]).with_data_type(moment_type(true)),
        ),
    }
}

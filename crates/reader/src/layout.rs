//! Which columns of a model a read gives, and which of them are key and watermark, for sources that are Arrow already.

use std::collections::HashMap;
use std::sync::Arc;

use flow::arrow::datatypes::{DataType, Schema, SchemaRef};
use flow::{Changes, Checked, ColumnInfo, Error, Finding, Model, REMOVED, Result};

use crate::arrival::Arrival;
use crate::codes;

/// A clock that goes back moves an hour; five minutes more for the transactions of that hour.
const ZONELESS_LAG_MICROS: i64 = 65 * 60 * 1_000_000;

/// One column of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) arrival: Arrival,
}

impl Column {
    pub(crate) fn info(&self) -> ColumnInfo {
        self.arrival.info(&self.name)
    }
}

/// The columns a read gives.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    /// In order: key, watermark, then the others.
    pub(crate) columns: Vec<Column>,
    /// Indices of the primary key, in the model's order.
    pub(crate) keys: Vec<usize>,
    /// Index of the watermark.
    pub(crate) watermark: Option<usize>,
}

impl Layout {
    /// Picks `wanted` (all when empty) with key and watermark from the model's columns.
    ///
    /// # Errors
    /// `E1011` for a column that is not there, `E1017` and `E1018` for types that do not serve.
    pub(crate) fn new(all: &[Column], model: &Model, wanted: &[String]) -> Result<Self> {
        let watermark = match &model.changes {
            Changes::Watermark { column, .. } => Some(column),
            Changes::Snapshot | Changes::Log(_) => None,
        };
        let mut names: Vec<&String> = model.primary_key.iter().chain(watermark).collect();
        match wanted.is_empty() {
            true => names.extend(all.iter().map(|column| &column.name)),
            false => names.extend(wanted),
        }
        let removed = REMOVED.to_owned();
        if model.removed_when.is_some() {
            names.push(&removed);
        }
        let mut index_of = HashMap::new();
        let mut columns = Vec::new();
        for name in names {
            if index_of.contains_key(name.as_str()) {
                continue;
            }
            let known = all.iter().find(|column| &column.name == name);
            index_of.insert(name.as_str(), columns.len());
            columns.push(known.ok_or_else(|| no_column(name, all))?.clone());
        }
        let layout = Self {
            keys: model.primary_key.iter().map(|name| index_of[name.as_str()]).collect(),
            watermark: watermark.map(|name| index_of[name.as_str()]),
            columns,
        };
        layout.check_types()?;
        Ok(layout)
    }

    fn check_types(&self) -> Result<()> {
        if let Some(key) = self.key_columns().find(|key| !key.arrival.serves_as_key()) {
            let message =
                format!("primary key column `{}` has type {}", key.name, key.arrival.source_type);
            return Err(Error::new(&codes::E1018_KEY_TYPE, message));
        }
        let usable = |column: &Column| {
            matches!(column.arrival.data_type, DataType::Timestamp(..) | DataType::Date32)
        };
        match self.watermark_column().filter(|column| !usable(column)) {
            None => Ok(()),
            Some(Column { name, arrival }) => {
                let message = format!("watermark column `{name}` has type {}", arrival.source_type);
                Err(Error::new(&codes::E1017_WATERMARK_TYPE, message))
            }
        }
    }

    /// The columns of the key.
    pub(crate) fn key_columns(&self) -> impl Iterator<Item = &Column> {
        self.keys.iter().map(|index| &self.columns[*index])
    }

    /// The progress column.
    pub(crate) fn watermark_column(&self) -> Option<&Column> {
        self.watermark.map(|index| &self.columns[index])
    }

    /// Key and watermark alone.
    pub(crate) fn places(&self) -> Self {
        let mut indices = self.keys.clone();
        indices.extend(self.watermark);
        indices.sort_unstable();
        indices.dedup();
        let at = |index: &usize| indices.iter().position(|known| known == index).unwrap_or(0);
        Self {
            columns: indices.iter().map(|index| self.columns[*index].clone()).collect(),
            keys: self.keys.iter().map(at).collect(),
            watermark: self.watermark.as_ref().map(at),
        }
    }

    /// The key alone, in the model's order.
    pub(crate) fn of_keys(&self) -> Self {
        let columns: Vec<Column> = self.key_columns().cloned().collect();
        Self { keys: (0..columns.len()).collect(), columns, watermark: None }
    }

    /// Names of the columns.
    pub(crate) fn names(&self) -> Vec<&str> {
        self.columns.iter().map(|column| column.name.as_str()).collect()
    }

    /// The Arrow schema; each field's metadata names the type as `source_type`.
    pub(crate) fn schema(&self) -> SchemaRef {
        let fields = self.columns.iter().map(|column| column.info().field());
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }

    /// What the types of key and watermark let expect.
    fn findings(&self, model: &Model) -> Vec<Finding> {
        let mut found = Vec::new();
        let mut find = |code: &'static flow::Code, message: String| {
            found.push(Finding { code, message, remedy: code.remedy.to_owned() });
        };
        if let (Some(column), Changes::Watermark { lag_micros, .. }) =
            (self.watermark_column(), &model.changes)
        {
            let name = &column.name;
            let zoneless = matches!(column.arrival.data_type, DataType::Timestamp(_, None));
            if zoneless && *lag_micros < ZONELESS_LAG_MICROS {
                find(
                    &codes::E1051_WATERMARK_ZONE,
                    format!(
                        "watermark column `{name}` is a timestamp without time zone, taken as UTC"
                    ),
                );
            }
            if column.arrival.data_type == DataType::Date32 {
                find(&codes::E1052_WATERMARK_DAY, format!("watermark column `{name}` is a date"));
            }
            if *lag_micros <= 0 {
                find(&codes::E1057_NO_LAG, format!("watermark `{name}` has no lag"));
            }
        }
        for key in self.key_columns() {
            let Column { name, arrival } = key;
            if matches!(arrival.data_type, DataType::Float32 | DataType::Float64) {
                find(
                    &codes::E1058_FLOAT_KEY,
                    format!("primary key column `{name}` has type {}", arrival.source_type),
                );
            }
        }
        found
    }
}

/// What is known of a model with these columns before it is read.
pub(crate) fn check(columns: &[Column], model: &Model) -> Result<Checked> {
    let layout = Layout::new(columns, model, &[])?;
    let columns = columns.iter().map(Column::info).collect();
    Ok(Checked { columns, findings: layout.findings(model) })
}

fn no_column(name: &str, all: &[Column]) -> Error {
    let error = Error::new(&codes::E1011_NO_COLUMN, format!("the model has no column `{name}`"));
    match all.iter().find(|column| column.name.eq_ignore_ascii_case(name)) {
        Some(column) => error.with_remedy(format!("Did you mean `{}`?", column.name)),
        None => {
            let names: Vec<&str> = all.iter().take(20).map(|column| column.name.as_str()).collect();
            error.with_remedy(format!("The model has: {}.", names.join(", ")))
        }
    }
}

//! The columns of a model as the server describes them, and the order and identity of its rows.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use flow::arrow::datatypes::{Schema, SchemaRef};
use flow::{Changes, ColumnInfo, Error, Model, REMOVED, Result};
use tokio_postgres::Statement;

use super::dialect::Dialect;
use super::literal;
use super::names;
use super::session::Session;
use super::types::Carry;
use crate::codes;

/// Name that generated SQL gives the model.
pub(super) const ALIAS: &str = "m";

/// One column of a model.
#[derive(Debug, Clone)]
pub(super) struct Column {
    /// As the server gives it.
    pub name: String,
    pub carry: Carry,
    /// The server's name of its type.
    pub source_type: String,
    /// The checked condition that it is worked out by, where the model has no such column.
    pub computed: Option<String>,
    /// How the server that has it is asked.
    pub dialect: &'static Dialect,
}

impl Column {
    /// The column in generated SQL.
    pub(super) fn expression(&self) -> String {
        if let Some(condition) = &self.computed {
            // On lines of its own, so that a trailing comment ends.
            return format!("((\n{condition}\n) IS TRUE)");
        }
        format!("{ALIAS}.{}", literal::identifier(&self.name))
    }

    pub(super) fn projection(&self) -> String {
        self.carry.projection(&self.expression(), self.dialect.text)
    }

    /// What rows are ordered and compared by where this column is in the key. Text is compared byte by byte,
    /// as keys are, whatever collation the column has.
    pub(super) fn key_expression(&self) -> String {
        let (name, dialect) = (self.expression(), self.dialect);
        match self.carry {
            Carry::Text => dialect.by_bytes(&name),
            // A cast drops the padding in PostgreSQL, not everywhere.
            Carry::PaddedText if !dialect.is_postgres => {
                dialect.by_bytes(&format!("rtrim({name})"))
            }
            Carry::PaddedText | Carry::ServerText => {
                dialect.by_bytes(&format!("{name}::{}", dialect.text))
            }
            _ => name,
        }
    }

    /// The type that key literals are cast to.
    pub(super) fn key_type(&self) -> &'static str {
        match self.carry {
            Carry::Bool => "bool",
            Carry::Int2 | Carry::Int4 | Carry::Int8 => "int8",
            Carry::Oid => "oid",
            Carry::Float4 => "float4",
            Carry::Float8 => "float8",
            Carry::Decimal { .. } | Carry::NumericText | Carry::WrittenNumber(_) => "numeric",
            Carry::Uuid => "uuid",
            Carry::Date => "date",
            Carry::Time => "time",
            Carry::Timestamp => "timestamp",
            Carry::TimestampTz => "timestamptz",
            Carry::Bytea => "bytea",
            _ => self.dialect.text,
        }
    }

    pub(super) fn info(&self) -> ColumnInfo {
        ColumnInfo {
            name: self.name.clone(),
            data_type: self.carry.data_type(),
            source_type: self.source_type.clone(),
        }
    }
}

/// The columns of a described statement.
///
/// # Errors
/// `E1016` for a name that occurs twice, `E1015` for a type that cannot be carried, `E1013` for no column.
pub(super) async fn describe(session: &mut Session, statement: &Statement) -> Result<Vec<Column>> {
    let described = statement.columns();
    if described.is_empty() {
        return Err(Error::new(&codes::E1013_SQL, "the model has no columns"));
    }
    let dialect = session.dialect();
    let types = match dialect.is_postgres {
        true => type_names(session, statement).await?,
        false => described.iter().map(names::type_name).collect(),
    };
    let mut seen = HashSet::new();
    let mut columns = Vec::with_capacity(described.len());
    for (column, source_type) in described.iter().zip(types) {
        let name = column.name();
        if name.is_empty() || !seen.insert(name) {
            return Err(Error::new(
                &codes::E1016_COLUMN_TWICE,
                format!("the model has more than one column named `{name}`"),
            ));
        }
        let carry = Carry::of(column.type_(), column.type_modifier());
        let Some(carry) = carry.map(|carry| carry.sent_by(dialect)) else {
            let message = format!("column `{name}` has type {source_type}, which has no values");
            let name = literal::readable(name);
            return Err(Error::new(&codes::E1015_TYPE, message)
                .with_remedy(format!("Cast it in the model: {name}::text AS {name}.")));
        };
        columns.push(Column { name: name.to_owned(), carry, source_type, computed: None, dialect });
    }
    Ok(columns)
}

async fn type_names(session: &mut Session, statement: &Statement) -> Result<Vec<String>> {
    const SQL: &str = "SELECT pg_catalog.format_type(u.kind, u.modifier) \
        FROM unnest($1::oid[], $2::int4[]) WITH ORDINALITY AS u(kind, modifier, at) \
        ORDER BY u.at";
    let oids: Vec<u32> = statement.columns().iter().map(|column| column.type_().oid()).collect();
    let modifiers: Vec<i32> =
        statement.columns().iter().map(tokio_postgres::Column::type_modifier).collect();
    let rows = session.query(SQL, &[&oids, &modifiers], "naming the columns' types").await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// The columns a read gives, and which of them are key and watermark.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    /// Projected columns, in order.
    pub columns: Vec<Column>,
    /// Indices of the primary key, in the model's order.
    pub keys: Vec<usize>,
    /// Index of the watermark.
    pub watermark: Option<usize>,
}

impl Layout {
    /// Picks `wanted` (all when empty) with key and watermark from the model's columns.
    ///
    /// # Errors
    /// `E1011` for a column that is not there, `E1017` and `E1018` for types that do not serve.
    pub(super) fn new(all: Vec<Column>, model: &Model, wanted: &[String]) -> Result<Self> {
        let watermark = match &model.changes {
            Changes::Watermark { column, .. } => Some(column),
            Changes::Snapshot | Changes::Log(_) => None,
        };
        let mut known: HashMap<String, Column> =
            all.iter().map(|column| (column.name.clone(), column.clone())).collect();
        let mut names: Vec<&String> = model.primary_key.iter().chain(watermark).collect();
        match wanted.is_empty() {
            true => names.extend(all.iter().map(|column| &column.name)),
            false => names.extend(wanted),
        }
        let mut index_of = HashMap::new();
        let mut columns = Vec::new();
        for name in names {
            if index_of.contains_key(name.as_str()) {
                continue;
            }
            let column = known.remove(name).ok_or_else(|| no_column(name, &all))?;
            index_of.insert(name.as_str(), columns.len());
            columns.push(column);
        }
        let dialect = columns.first().map_or_else(Dialect::postgres, |column| column.dialect);
        if let Some(condition) = &model.removed_when {
            columns.push(Column {
                name: REMOVED.to_owned(),
                carry: Carry::Bool,
                source_type: "boolean".to_owned(),
                computed: Some(condition.clone()),
                dialect,
            });
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
        for key in self.key_columns() {
            let base = key.source_type.split(['(', '[']).next().unwrap_or_default();
            let unusable = matches!(key.carry, Carry::List(_) | Carry::Jsonb)
                || matches!(
                    base,
                    "json"
                        | "xml"
                        | "point"
                        | "line"
                        | "lseg"
                        | "box"
                        | "path"
                        | "polygon"
                        | "circle"
                );
            if unusable {
                let message =
                    format!("primary key column `{}` has type {}", key.name, key.source_type);
                return Err(Error::new(&codes::E1018_KEY_TYPE, message));
            }
        }
        if let Some(watermark) = self.watermark_column()
            && !matches!(watermark.carry, Carry::TimestampTz | Carry::Timestamp | Carry::Date)
        {
            let Column { name, source_type, .. } = watermark;
            let message = format!("watermark column `{name}` has type {source_type}");
            return Err(Error::new(&codes::E1017_WATERMARK_TYPE, message)
                .with_remedy(suggestion(name, source_type)));
        }
        Ok(())
    }

    /// The columns of the key.
    pub(super) fn key_columns(&self) -> impl Iterator<Item = &Column> {
        self.keys.iter().map(|index| &self.columns[*index])
    }

    /// The progress column.
    pub(super) fn watermark_column(&self) -> Option<&Column> {
        self.watermark.map(|index| &self.columns[index])
    }

    /// The select list.
    pub(super) fn projection(&self) -> String {
        self.columns.iter().map(Column::projection).collect::<Vec<_>>().join(", ")
    }

    /// The Arrow schema; each field's metadata names the warehouse's type as `source_type`.
    pub(super) fn schema(&self) -> SchemaRef {
        let fields = self.columns.iter().map(|column| column.info().field());
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }
}

fn suggestion(name: &str, source_type: &str) -> String {
    let instead = if source_type.starts_with("text") || source_type.starts_with("character") {
        format!("cast it in the model's SQL, {name}::timestamptz")
    } else if matches!(source_type, "bigint" | "integer" | "double precision" | "numeric") {
        format!("if it holds seconds, use to_timestamp({name}) in the model's SQL")
    } else {
        "choose a timestamptz column".to_owned()
    };
    format!(
        "A watermark is timestamptz, timestamp or date: {instead}, or use `changes: {{ method: snapshot }}`."
    )
}

fn no_column(name: &str, all: &[Column]) -> Error {
    let error = Error::new(&codes::E1011_NO_COLUMN, format!("the model has no column `{name}`"));
    let close = all.iter().find(|column| column.name.eq_ignore_ascii_case(name));
    match close {
        Some(column) => error.with_remedy(format!("Did you mean `{}`?", column.name)),
        None => {
            let names: Vec<&str> = all.iter().take(20).map(|column| column.name.as_str()).collect();
            error.with_remedy(format!("The model has: {}.", names.join(", ")))
        }
    }
}

//! One model in one transaction of a driver: statements out, Arrow in.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use adbc_core::sync::{CancelHandle, Connection as _, Statement as _};
use adbc_driver_manager::{ManagedConnection, ManagedStatement};
use flow::arrow::array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchReader};
use flow::arrow::datatypes::{Int64Type, Schema};
use flow::arrow::error::ArrowError;
use flow::{Code, Error, Fault, Key, Result, Watermark};

use super::dialect::Dialect;
use super::errors::{described, unspoken};
use crate::arrival::{Arrival, Refused, widened};
use crate::codes;
use crate::layout::{Column, Layout};
use crate::ordered::{Arrived, Relation, Rows, Window};

type Reader = Box<dyn RecordBatchReader + Send>;

/// The statement in progress, so that somebody else can cancel it.
pub(super) type InProgress = Arc<Mutex<Option<Box<dyn CancelHandle>>>>;

/// A connection in a transaction that only reads.
pub(super) struct Session {
    connection: ManagedConnection,
    dialect: Dialect,
    in_progress: InProgress,
}

impl Session {
    /// Begins the transaction.
    ///
    /// # Errors
    /// When the database refuses.
    pub(super) fn begin(
        connection: ManagedConnection,
        dialect: Dialect,
        in_progress: InProgress,
    ) -> Result<Self> {
        let mut session = Self { connection, dialect, in_progress };
        for statement in dialect.begin() {
            let (_statement, reader) =
                session.execute(statement, &codes::E1121_DRIVER, "beginning to read")?;
            drop(reader);
        }
        Ok(session)
    }

    /// Runs a statement that sees no row: what the driver says about it can be shown.
    fn execute(
        &mut self,
        sql: &str,
        code: &'static Code,
        doing: &str,
    ) -> Result<(ManagedStatement, Reader)> {
        self.start(sql).map_err(|error| described(&error, code, doing))
    }

    /// Runs a statement that sees rows: what the driver says may quote them (X1).
    fn look(&mut self, sql: &str, doing: &str) -> Result<(ManagedStatement, Reader)> {
        self.start(sql).map_err(|error| unspoken(&error, doing))
    }

    fn start(&mut self, sql: &str) -> Result<(ManagedStatement, Reader), adbc_core::error::Error> {
        let mut statement = self.connection.new_statement()?;
        self.watch(Some(statement.get_cancel_handle()));
        statement.set_sql_query(sql)?;
        let reader = statement.execute()?;
        Ok((statement, reader))
    }

    fn watch(&self, handle: Option<Box<dyn CancelHandle>>) {
        *self.in_progress.lock().unwrap_or_else(PoisonError::into_inner) = handle;
    }

    /// The warehouse's clock; `None` where the dialect has none.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub(super) fn clock(&mut self) -> Result<Option<Watermark>> {
        let Some(sql) = self.dialect.clock() else { return Ok(None) };
        let (_statement, mut reader) =
            self.execute(sql, &codes::E1121_DRIVER, "asking for the time")?;
        let batch = reader.next().transpose().map_err(broken)?;
        let micros = batch.and_then(|batch| {
            let column = batch.columns().first()?;
            let column = column.as_primitive_opt::<Int64Type>()?;
            (!column.is_empty() && column.is_valid(0)).then(|| column.value(0))
        });
        micros.map(|micros| Some(Watermark(micros))).ok_or_else(|| {
            Error::new(&codes::E1121_DRIVER, "the warehouse did not say what time it is")
        })
    }

    /// The columns of a relation.
    ///
    /// # Errors
    /// `E1013` when the database refuses it, `E1015` and `E1016` for columns that cannot be carried.
    pub(super) fn describe(&mut self, from: &str, label: &str) -> Result<Vec<Column>> {
        let filter = if self.dialect.describes_nothing() { " WHERE 1 = 0" } else { "" };
        let sql = format!("SELECT m.* FROM {from}{filter}");
        let doing = format!("describing {label}");
        let (_statement, reader) = self.execute(&sql, &codes::E1013_SQL, &doing)?;
        let mut seen = HashSet::new();
        let schema = reader.schema();
        let columns = schema.fields().iter().map(|field| {
            let name = field.name();
            if name.is_empty() || !seen.insert(name) {
                let message = format!("the model has more than one column named `{name}`");
                return Err(Error::new(&codes::E1016_COLUMN_TWICE, message));
            }
            let Some(arrival) = Arrival::of(field) else {
                let message = format!(
                    "column `{name}` has type {}, which cannot be carried",
                    field.data_type()
                );
                return Err(Error::new(&codes::E1015_TYPE, message));
            };
            Ok(Column { name: name.clone(), arrival })
        });
        columns.collect()
    }

    /// Names of tables and views.
    ///
    /// # Errors
    /// When the database refuses.
    pub(super) fn tables(&mut self) -> Result<Vec<String>> {
        let sql = self.dialect.tables();
        let (_statement, reader) = self.execute(sql, &codes::E1121_DRIVER, "listing tables")?;
        let mut names = Vec::new();
        for batch in reader {
            let batch = batch.map_err(broken)?;
            let Some(column) = batch.columns().first() else { continue };
            let texts = Arrival::of(batch.schema().field(0));
            let column = match texts {
                Some(arrival) => arrival.convert(column, &mut Refused::new()).map_err(broken)?,
                None => continue,
            };
            names.extend((0..column.len()).map(|row| flow::text_at(&column, row).into_owned()));
        }
        Ok(names)
    }
}

/// A model that is being read.
pub(super) struct Opened {
    pub(super) session: Session,
    pub(super) from: String,
    /// The only keys that are asked for, where there are such.
    pub(super) keys: Option<Arc<[Key]>>,
}

impl Relation for Opened {
    fn rows<'a>(&'a mut self, layout: &'a Layout, window: Window) -> Result<Box<dyn Rows + 'a>> {
        let dialect = self.session.dialect;
        let sql = dialect.select(&self.from, layout, (window, self.keys.as_deref()));
        let (statement, reader) = self.session.look(&sql, "reading the model")?;
        let sources = sources(&reader.schema(), layout)?;
        Ok(Box::new(DriverRows { layout, reader, sources, _statement: statement }))
    }

    fn twins(&mut self, layout: &Layout) -> Result<Option<HashSet<Key>>> {
        // Among a few keys they are counted as they come.
        if self.keys.is_some() {
            return Ok(None);
        }
        let keys = layout.of_keys();
        let sql = self.session.dialect.twins(&self.from, layout);
        let (statement, reader) = self.session.look(&sql, "looking for duplicate keys")?;
        let sources = sources(&reader.schema(), &keys)?;
        let mut rows = DriverRows { layout: &keys, reader, sources, _statement: statement };
        let mut twins = HashSet::new();
        while let Some(Arrived { rows, .. }) = rows.next()? {
            let columns: Vec<&ArrayRef> = keys.keys.iter().map(|key| rows.column(*key)).collect();
            twins.extend((0..rows.num_rows()).filter_map(|row| Key::at(&columns, row)));
            if twins.len() > 100_000 {
                break;
            }
        }
        Ok(Some(twins))
    }

    fn unchanged(&mut self) -> Result<()> {
        // Nothing is in progress any more that could be cancelled. The transaction ends with the connection.
        self.session.watch(None);
        Ok(())
    }
}

/// How each column of a result arrives.
fn sources(schema: &Schema, layout: &Layout) -> Result<Vec<Arrival>> {
    let known = schema.fields().iter().map(|field| Arrival::of(field));
    let known: Option<Vec<Arrival>> = known.collect();
    known.filter(|known| known.len() == layout.columns.len()).ok_or_else(|| {
        Error::new(
            &codes::E1121_DRIVER,
            "the driver gave other columns than those it was asked for",
        )
    })
}

struct DriverRows<'a> {
    layout: &'a Layout,
    reader: Reader,
    sources: Vec<Arrival>,
    /// Must live as long as its reader.
    _statement: ManagedStatement,
}

impl Rows for DriverRows<'_> {
    fn next(&mut self) -> Result<Option<Arrived>> {
        let Some(batch) = self.reader.next().transpose().map_err(broken)? else { return Ok(None) };
        let mut columns = Vec::with_capacity(self.sources.len());
        let mut faults = Vec::new();
        for ((column, arrival), values) in
            self.layout.columns.iter().zip(&self.sources).zip(batch.columns())
        {
            let mut refused = Refused::new();
            let array = arrival
                .convert(values, &mut refused)
                .and_then(|array| widened(array, &column.arrival))
                .map_err(broken)?;
            columns.push(array);
            let fault = |(row, reason)| Fault { row, column: column.name.clone(), reason };
            faults.extend(refused.into_iter().map(fault));
        }
        let rows = RecordBatch::try_new(self.layout.schema(), columns).map_err(broken)?;
        Ok(Some(Arrived { rows, faults }))
    }
}

/// A result that breaks off. Arrow's words may hold a value.
fn broken(error: ArrowError) -> Error {
    let ArrowError::ExternalError(inner) = &error else {
        return Error::new(&codes::E1121_DRIVER, "the driver's rows cannot be read")
            .with_source(error);
    };
    match inner.downcast_ref::<adbc_core::error::Error>() {
        Some(inner) => unspoken(inner, "reading rows"),
        None => Error::new(&codes::E1121_DRIVER, "the driver's rows break off"),
    }
}

//! The port's source over an ADBC driver.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use adbc_core::options::{AdbcVersion, OptionConnection, OptionDatabase, OptionValue};
use adbc_core::sync::{Database as _, Driver as _};
use adbc_driver_manager::{ManagedDatabase, ManagedDriver};
use async_trait::async_trait;
use flow::metrics::Metrics;
use flow::{
    Checked, Clock, ColumnInfo, Error, Model, ReadRequest, Relation, Result, Scope, Source,
    Watermark,
};
use tokio::time::Instant;

use super::errors::described;
use super::options::Options;
use super::relation::{InProgress, Opened, Session};
use crate::OpenArgs;
use crate::codes;
use crate::handover::{self, CancelOnDrop};
use crate::layout::{self, Column, Layout};
use crate::ordered::{Request, Room, pump};

/// A database behind a driver. Opening it loads nothing and touches no network.
#[derive(Clone)]
pub struct Adbc {
    connection: String,
    options: Options,
    driver: PathBuf,
    spool_dir: PathBuf,
    metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
    /// One for all reads: a database in a file is opened once by a process.
    database: Arc<Mutex<Option<ManagedDatabase>>>,
}

impl std::fmt::Debug for Adbc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Adbc({} by {})", self.connection, self.driver.display())
    }
}

impl Adbc {
    /// Checks the options.
    ///
    /// # Errors
    /// `E1001` for options that cannot be right; the text holds no secret.
    pub fn open(args: OpenArgs) -> Result<Self> {
        let options = Options::parse(&args.connection, args.options)?;
        Ok(Self {
            driver: args.project_dir.join(&options.driver),
            connection: args.connection,
            options,
            spool_dir: args.spool_dir,
            metrics: args.metrics,
            clock: args.clock,
            database: Arc::default(),
        })
    }

    /// A new session. The driver is loaded, and its database opened, at the first.
    fn session(&self, in_progress: InProgress) -> Result<Session> {
        let doing = format!("connecting by {}", self.driver.display());
        let mut known = self.database.lock().unwrap_or_else(PoisonError::into_inner);
        let database = match &mut *known {
            Some(database) => database,
            none => none.insert(self.load(&doing)?),
        };
        let settings = self.options.connection.iter().map(|(name, value)| {
            let name = OptionConnection::from(name.as_str());
            (name, OptionValue::from(value.expose()))
        });
        let connection = database.new_connection_with_opts(settings);
        let connection =
            connection.map_err(|error| described(&error, &codes::E1123_UNREACHABLE, &doing))?;
        drop(known);
        Session::begin(connection, self.options.dialect, in_progress)
    }

    fn load(&self, doing: &str) -> Result<ManagedDatabase> {
        let entrypoint = self.options.entrypoint.as_ref().map(String::as_bytes);
        let version = AdbcVersion::V110;
        let driver = ManagedDriver::load_dynamic_from_filename(&self.driver, entrypoint, version);
        let mut driver = driver
            .map_err(|error| described(&error, &codes::E1120_NO_DRIVER, "loading the driver"))?;
        let settings = self.options.database.iter().map(|(name, value)| {
            (OptionDatabase::from(name.as_str()), OptionValue::from(value.expose()))
        });
        driver
            .new_database_with_opts(settings)
            .map_err(|error| described(&error, &codes::E1123_UNREACHABLE, doing))
    }

    fn from(&self, model: &Model, scope: &Scope) -> Result<String> {
        self.options.dialect.from(model, scope).ok_or_else(|| match &model.relation {
            Relation::Table(name) => {
                let message = format!("`{name}` is no name of a table");
                Error::new(&codes::E1010_NO_RELATION, message)
            }
            _ => Error::new(&codes::E1013_SQL, "the model's SQL is more than one statement"),
        })
    }

    fn room(&self) -> Room {
        Room {
            dir: self.spool_dir.clone(),
            memory_bytes: self.options.sort_memory_mib << 20,
            batch_rows: self.options.batch_rows,
        }
    }

    fn count(&self, kind: &'static str, since: Instant) {
        self.metrics.warehouse_query(&self.connection, kind, since.elapsed());
    }

    fn read_all(
        &self,
        request: ReadRequest,
        handover: &mut handover::Handover,
        watched: InProgress,
    ) -> Result<()> {
        let mut session = self.session(watched)?;
        let clock = match session.clock()? {
            Some(clock) => clock,
            None => Watermark(self.clock.now_micros()),
        };
        let from = self.from(&request.model, &request.scope)?;
        let columns = session.describe(&from, label(&request.model.relation))?;
        let layout = Layout::new(&columns, &request.model, &request.columns)?;
        let keys = match &request.scope {
            Scope::Keys(keys) => Some(Arc::clone(keys)),
            _ => None,
        };
        let request = Request::new(request, layout, clock, self.room())?;
        pump(&mut Opened { session, from, keys }, &request, handover)
    }
}

fn label(relation: &Relation) -> &str {
    match relation {
        Relation::Table(name) => name,
        Relation::Sql(_) => "the model's SQL",
    }
}

#[async_trait]
impl Source for Adbc {
    async fn check(&self, model: &Model) -> Result<Checked> {
        let since = Instant::now();
        let (this, model) = (self.clone(), model.clone());
        let checked = handover::call(move || {
            let mut session = this.session(InProgress::default())?;
            let from = this.from(&model, &Scope::All)?;
            let columns = session.describe(&from, label(&model.relation))?;
            layout::check(&columns, &model)
        });
        let checked = checked.await?;
        self.count("check", since);
        Ok(checked)
    }

    async fn discover(&self, of: Option<&Relation>) -> Result<Vec<(String, Vec<ColumnInfo>)>> {
        let since = Instant::now();
        let (this, of) = (self.clone(), of.cloned());
        let found = handover::call(move || {
            let mut session = this.session(InProgress::default())?;
            let Some(relation) = of else {
                let tables = session.tables()?;
                return Ok(tables.into_iter().map(|name| (name, Vec::new())).collect());
            };
            let model = Model {
                relation: relation.clone(),
                primary_key: Vec::new(),
                changes: flow::Changes::Snapshot,
                removed_when: None,
            };
            let from = this.from(&model, &Scope::All)?;
            let columns = session.describe(&from, label(&relation))?;
            let columns = columns.iter().map(Column::info).collect();
            Ok(vec![(label(&relation).to_owned(), columns)])
        });
        let found = found.await?;
        self.count("discover", since);
        Ok(found)
    }

    async fn read(&self, request: ReadRequest) -> Result<Box<dyn flow::Read>> {
        let since = Instant::now();
        let (this, in_progress) = (self.clone(), InProgress::default());
        let watched = Arc::clone(&in_progress);
        let cancel = CancelOnDrop(Box::new(move || {
            let handle = in_progress.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(handle) = handle {
                // It may wait for the network. A driver that cannot cancel is left when it gives its next rows.
                drop(std::thread::Builder::new().spawn(move || drop(handle.try_cancel())));
            }
        }));
        let read = handover::read(Some(cancel), move |handover| {
            this.read_all(request, handover, watched)?;
            this.count("read", since);
            Ok(())
        });
        Ok(Box::new(read.await?))
    }
}

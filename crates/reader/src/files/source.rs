//! The port's source over files: check a model, list what there is, open a read.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use flow::metrics::Metrics;
use flow::{
    Checked, Clock, ColumnInfo, Error, Model, ReadRequest, Relation, Result, Scope, Source,
    Watermark,
};
use tokio::runtime::Handle;
use tokio::time::Instant;

use super::generation::Generation;
use super::listing::{self, Wanted};
use super::options::Options;
use super::relation::{Opened, describe};
use super::store::Folder;
use crate::OpenArgs;
use crate::codes;
use crate::handover;
use crate::layout::{self, Column, Layout};
use crate::ordered::{Request, Room, needs_sql, pump};

/// Files, and the columns they have together.
type Described = (Generation, Vec<Column>);

/// Where the files are.
#[derive(Debug, Clone)]
enum Root {
    /// On this machine.
    Local(PathBuf),
    /// In an object store.
    Stored(Folder),
}

/// Files of one folder. Opening it touches nothing.
#[derive(Clone)]
pub struct Files {
    connection: String,
    options: Options,
    root: Root,
    spool_dir: PathBuf,
    metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
    /// The columns of the files looked at last, since JSON lines must be read to the end for them.
    known: Arc<Mutex<Option<Described>>>,
}

impl std::fmt::Debug for Files {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Files({})", self.connection)
    }
}

impl Files {
    /// Checks the options.
    ///
    /// # Errors
    /// `E1001` for options that cannot be right; the text holds no secret.
    pub fn open(args: OpenArgs) -> Result<Self> {
        let options = Options::parse(&args.connection, args.options)?;
        let root = match &options.url {
            None => Root::Local(args.project_dir.join(options.path.clone().unwrap_or_default())),
            Some(url) => Root::Stored(Folder::open(url, &options.storage).map_err(|why| {
                Error::new(
                    &codes::E1001_OPTIONS,
                    format!("connection `{}`: {why}", args.connection),
                )
            })?),
        };
        Ok(Self {
            connection: args.connection,
            options,
            root,
            spool_dir: args.spool_dir,
            metrics: args.metrics,
            clock: args.clock,
            known: Arc::default(),
        })
    }

    /// The files of a model and its columns.
    fn model(&self, model: &Model, handle: &Handle) -> Result<Described> {
        match model.removed_when {
            Some(_) => Err(needs_sql("`removed_when` is SQL, and files understand none")),
            None => self.described(&model.relation, handle),
        }
    }

    /// The files that a relation means now.
    fn list(&self, relation: &Relation, handle: &Handle) -> Result<Generation> {
        let name = match relation {
            Relation::Table(name) => name,
            Relation::Sql(_) => {
                return Err(needs_sql("the model is SQL, and files understand none"));
            }
        };
        let wanted = Wanted::parse(name)?;
        let entries = match &self.root {
            Root::Local(root) => listing::local(root, &wanted)?,
            Root::Stored(folder) => folder.list(&wanted, handle)?,
        };
        listing::settle(&wanted, self.options.format, entries)
    }

    fn columns(&self, generation: &Generation) -> Result<Vec<Column>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, columns)) = known.as_ref()
            && of == generation
        {
            return Ok(columns.clone());
        }
        let columns = describe(generation, &self.options)?;
        *known = Some((generation.clone(), columns.clone()));
        Ok(columns)
    }

    fn described(&self, relation: &Relation, handle: &Handle) -> Result<Described> {
        let generation = self.list(relation, handle)?;
        let columns = self.columns(&generation)?;
        generation.unchanged()?;
        Ok((generation, columns))
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
}

#[async_trait]
impl Source for Files {
    async fn check(&self, model: &Model) -> Result<Checked> {
        let since = Instant::now();
        let (this, model, handle) = (self.clone(), model.clone(), Handle::current());
        let checked = handover::call(move || {
            let (_, columns) = this.model(&model, &handle)?;
            layout::check(&columns, &model)
        });
        let checked = checked.await?;
        self.count("check", since);
        Ok(checked)
    }

    async fn discover(&self, of: Option<&Relation>) -> Result<Vec<(String, Vec<ColumnInfo>)>> {
        let since = Instant::now();
        let (this, of, handle) = (self.clone(), of.cloned(), Handle::current());
        let found = handover::call(move || match of {
            None => {
                let names = match &this.root {
                    Root::Local(root) => listing::names(root)?,
                    Root::Stored(folder) => folder.names(&handle)?,
                };
                Ok(listing::models(names.into_iter())
                    .into_iter()
                    .map(|name| (name, Vec::new()))
                    .collect())
            }
            Some(relation) => {
                let (_, columns) = this.described(&relation, &handle)?;
                let name = match relation {
                    Relation::Table(name) | Relation::Sql(name) => name,
                };
                Ok(vec![(name, columns.iter().map(Column::info).collect())])
            }
        });
        let found = found.await?;
        self.count("discover", since);
        Ok(found)
    }

    async fn read(&self, request: ReadRequest) -> Result<Box<dyn flow::Read>> {
        let since = Instant::now();
        let (this, handle) = (self.clone(), Handle::current());
        let read = handover::read(None, move |handover| {
            let clock = Watermark(this.clock.now_micros());
            if let Scope::Where(_) = request.scope {
                return Err(needs_sql("an SQL condition cannot be asked of files"));
            }
            let (generation, columns) = this.model(&request.model, &handle)?;
            let layout = Layout::new(&columns, &request.model, &request.columns)?;
            let request = Request::new(request, layout, clock, this.room())?;
            let mut opened = Opened { generation, options: this.options.clone() };
            pump(&mut opened, &request, handover)?;
            this.count("read", since);
            Ok(())
        });
        Ok(Box::new(read.await?))
    }
}

//! The state in a schema of PostgreSQL, shared by the processes of several machines.

mod fault;
mod home;
mod jobs;
mod keeper;
mod lease;
mod ledger;
mod migrate;
mod operator;
mod payloads;
mod pool;
mod progress;
mod quota;
mod rejects;
mod runs;
mod session;
mod shards;
mod store;
mod stream;
mod syncs;
mod unconfirmed;

use std::rc::Rc;
use std::time::Duration;

use flow::{Error, Lease, Result};
use link::{At, Server};

use self::home::{Home, Keyholder};
use self::pool::Pool;
use self::session::{LOOK, Session};
use self::syncs::SyncRow;
use crate::codes;

/// PostgreSQL cuts longer names.
const SCHEMA_BYTES_MAX: usize = 63;
/// How long a lease lasts that is not renewed, unless the options say otherwise.
const LEASE: Duration = Duration::from_secs(30);
/// The shortest lease: a renewal must find its way to the server within it.
const LEASE_MIN: Duration = Duration::from_secs(2);

/// Where a state in PostgreSQL is.
#[derive(Debug, Clone)]
pub struct PostgresOptions<'a> {
    /// The server, the database and the role.
    pub at: At<'a>,
    /// The schema, which is made where it is missing. It holds nothing else.
    pub schema: &'a str,
    /// How long a lease lasts whose owner stands still; half a minute unless said otherwise.
    pub lease: Option<Duration>,
}

impl PostgresOptions<'_> {
    /// Checks the options without going to the server.
    ///
    /// # Errors
    /// `E3050`.
    pub fn check(&self) -> Result<()> {
        self.server("outflow").map(drop)
    }

    fn server(&self, application: &str) -> Result<Server> {
        let wrong = |why: String| Error::new(&codes::E3050_OPTIONS, format!("state: {why}."));
        let schema = self.schema;
        if schema.is_empty() || schema.len() > SCHEMA_BYTES_MAX || schema.contains('\0') {
            return Err(wrong(format!("`{}` cannot name a schema", schema.escape_debug())));
        }
        if self.lease.is_some_and(|lease| lease < LEASE_MIN) {
            return Err(wrong(format!("a lease lasts {LEASE_MIN:?} or longer")));
        }
        Server::new(self.at, application).map_err(wrong)
    }
}

/// The state of one project in a schema of PostgreSQL. Several processes on several machines may have it open at once.
pub struct Postgres {
    pub(crate) place: String,
    keyholder: Keyholder,
}

impl Postgres {
    /// Opens the state of `project`, making schema and tables where they are missing.
    ///
    /// # Errors
    /// `E3040`-`E3049` for a server that cannot be used, `E3044`-`E3045` and `E3006` for a schema that is not this
    /// project's; nothing in it is changed then.
    pub async fn open(options: &PostgresOptions<'_>, project: &str) -> Result<Self> {
        let server = options.server(&format!("outflow state of {project}"))?;
        let (schema, lease) = (options.schema, options.lease.unwrap_or(LEASE));
        let place = format!("{} schema {schema}", server.place());
        let schema = schema.to_owned();
        let keyholder = Keyholder::start(move || Pool::new(server, schema, lease))?;
        let opened = Self { place, keyholder };
        let project = project.to_owned();
        opened
            .home()
            .run(async move |pool: &Rc<Pool>| migrate::prepare(pool, &project).await)
            .await?;
        Ok(opened)
    }

    fn home(&self) -> &Home {
        self.keyholder.home()
    }

    /// Runs `job` in one durable transaction, if `lease` is still the newest of its sync.
    async fn write<T: Send + 'static>(
        &self,
        lease: &Lease,
        job: impl AsyncFnOnce(&Session, &mut SyncRow) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let held = lease.leave();
        self.home()
            .run(async move |pool: &Rc<Pool>| {
                pool.write(async |session: &Session| {
                    let mut sync = syncs::owned(session, &held).await?;
                    job(session, &mut sync).await
                })
                .await
            })
            .await
    }

    /// Runs `job` on one snapshot, if the sync ever ran.
    async fn read<T: Send + 'static>(
        &self,
        sync: &str,
        job: impl AsyncFnOnce(&Session, &SyncRow) -> Result<T> + Send + 'static,
    ) -> Result<Option<T>> {
        let name = sync.to_owned();
        self.look(async move |session: &Session| match syncs::find(session, &name).await? {
            Some(sync) => job(session, &sync).await.map(Some),
            None => Ok(None),
        })
        .await
    }

    /// Runs `job` on one snapshot.
    async fn look<T: Send + 'static>(
        &self,
        job: impl AsyncFnOnce(&Session) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.home().run(async move |pool: &Rc<Pool>| pool.transaction(LOOK, job).await).await
    }
}

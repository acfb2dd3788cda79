//! Connections to the server of the state: a few, opened when they are needed, and replaced when they break.

use std::cell::RefCell;
use std::ops::Deref;
use std::time::Duration;

use flow::{Error, Result};
use link::Server;
use tokio::sync::{Semaphore, SemaphorePermit, mpsc};

use super::fault::of_connecting;
use super::keeper::Kept;
use super::session::{Session, WRITE};
use crate::codes;

/// Connections that work at once; leases and streams have further ones.
const SESSIONS_MAX: usize = 3;
/// Longest time to connect: name lookup, TCP, TLS and login together.
const CONNECT_MAX: Duration = Duration::from_secs(15);

/// All connections of this process to one state.
pub(super) struct Pool {
    server: Server,
    /// Statements every session begins with.
    settings: String,
    pub(super) schema: String,
    /// How long a lease lasts that is not renewed.
    pub(super) lease: Duration,
    free: RefCell<Vec<Session>>,
    permits: Semaphore,
    pub(super) kept: Kept,
    /// Every driven connection has a clone, so that their end can be waited for.
    alive: RefCell<Option<mpsc::Sender<()>>>,
    ended: RefCell<Option<mpsc::Receiver<()>>>,
}

/// A session of the pool; goes back when it is dropped.
pub(super) struct Borrowed<'a> {
    session: Option<Session>,
    pool: &'a Pool,
    _permit: SemaphorePermit<'a>,
}

impl Deref for Borrowed<'_> {
    type Target = Session;

    fn deref(&self) -> &Session {
        self.session.as_ref().expect("it is there until it is dropped")
    }
}

impl Drop for Borrowed<'_> {
    fn drop(&mut self) {
        let usable = |session: &Session| !session.client.is_closed() && !session.is_open.get();
        if let Some(session) = self.session.take().filter(usable) {
            self.pool.free.borrow_mut().push(session);
        }
    }
}

impl Pool {
    pub(super) fn new(server: Server, schema: String, lease: Duration) -> Self {
        let (alive, ended) = mpsc::channel(1);
        let settings = format!(
            "SET search_path = {schema}, pg_temp; SET lock_timeout = '20s'; \
             SET statement_timeout = '600s'; SET idle_in_transaction_session_timeout = {idle}; \
             SET client_min_messages = 'warning'; SET bytea_output = 'hex'; \
             SELECT set_config('synchronous_commit', 'on', false) \
             WHERE current_setting('synchronous_commit') = 'off'",
            schema = quoted(&schema),
            idle = lease.as_millis(),
        );
        Self {
            server,
            settings,
            schema,
            lease,
            free: RefCell::default(),
            permits: Semaphore::new(SESSIONS_MAX),
            kept: Kept::default(),
            alive: RefCell::new(Some(alive)),
            ended: RefCell::new(Some(ended)),
        }
    }

    /// A new session of its own.
    pub(super) async fn connect(&self) -> Result<Session> {
        let place = self.server.place();
        let (client, driving) = match tokio::time::timeout(CONNECT_MAX, self.server.connect()).await
        {
            Ok(connected) => connected.map_err(|error| of_connecting(place, &error))?,
            Err(_) => {
                let text = format!("{place}: no connection within {CONNECT_MAX:?}.");
                return Err(Error::new(&codes::E3040_UNREACHABLE, text));
            }
        };
        let alive = self.alive.borrow().clone();
        tokio::task::spawn_local(async move {
            // The end, good or bad, reaches every call through the client too.
            if let Err(error) = driving.await {
                tracing::debug!(%error, "a connection of the state ended with an error");
            }
            drop(alive);
        });
        let session = Session::new(client);
        session.batch("setting up a connection of the state", &self.settings).await?;
        Ok(session)
    }

    /// A session to use for a while.
    pub(super) async fn session(&self) -> Result<Borrowed<'_>> {
        let permit = self.permits.acquire().await.expect("the pool is not closed");
        let free = loop {
            let free = self.free.borrow_mut().pop();
            match free {
                Some(session) if session.client.is_closed() => {}
                free => break free,
            }
        };
        let session = match free {
            Some(session) => session,
            None => self.connect().await?,
        };
        Ok(Borrowed { session: Some(session), pool: self, _permit: permit })
    }

    /// Runs `job` in one durable transaction.
    pub(super) async fn write<T>(&self, job: impl AsyncFnOnce(&Session) -> Result<T>) -> Result<T> {
        self.transaction(WRITE, job).await
    }

    /// Runs `job` in a transaction. A connection that was cut while nobody used it is replaced first: nothing had been
    /// asked of it.
    pub(super) async fn transaction<T>(
        &self,
        begin: &str,
        job: impl AsyncFnOnce(&Session) -> Result<T>,
    ) -> Result<T> {
        let session = self.session().await?;
        match session.begin(begin).await {
            Ok(()) => session.conclude(job).await,
            Err(error) if error.code() == &codes::E3047_LOST => {
                drop(session);
                self.free.borrow_mut().clear();
                self.session().await?.transaction(begin, job).await
            }
            Err(error) => Err(error),
        }
    }

    /// Closes every connection, and waits for their end for a while.
    pub(super) async fn close(&self, longest: Duration) {
        self.free.borrow_mut().clear();
        self.kept.forget();
        self.alive.borrow_mut().take();
        let ended = self.ended.borrow_mut().take();
        if let Some(mut ended) = ended {
            let _ = tokio::time::timeout(longest, ended.recv()).await;
        }
    }
}

/// A name as SQL takes it.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

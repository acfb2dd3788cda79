//! One connection with its prepared statements, and transactions on it.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use flow::Result;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row, Statement};

use super::fault::During;

/// Begins a transaction that writes.
pub(super) const WRITE: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE";
/// Begins a look at one snapshot.
pub(super) const LOOK: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/// Parameters of a statement.
pub(super) type Params<'a> = &'a [&'a (dyn ToSql + Sync)];

/// A connection. Whoever has it has it alone.
pub(super) struct Session {
    pub(super) client: Client,
    statements: RefCell<HashMap<String, Statement>>,
    /// In a transaction whose end nobody has seen; such a session is used by nobody again.
    pub(super) is_open: Cell<bool>,
}

impl Session {
    pub(super) fn new(client: Client) -> Self {
        Self { client, statements: RefCell::default(), is_open: Cell::new(false) }
    }

    async fn statement(&self, sql: &str) -> Result<Statement, tokio_postgres::Error> {
        let known = self.statements.borrow().get(sql).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let made = self.client.prepare(sql).await?;
        self.statements.borrow_mut().insert(sql.to_owned(), made.clone());
        Ok(made)
    }

    /// The rows of a query. `doing` completes "while ...".
    pub(super) async fn rows(
        &self,
        doing: &str,
        sql: &str,
        params: Params<'_>,
    ) -> Result<Vec<Row>> {
        let asked = async { self.client.query(&self.statement(sql).await?, params).await };
        asked.await.during(doing)
    }

    /// The row of a query that gives at most one.
    pub(super) async fn row(
        &self,
        doing: &str,
        sql: &str,
        params: Params<'_>,
    ) -> Result<Option<Row>> {
        Ok(self.rows(doing, sql, params).await?.pop())
    }

    /// Runs a statement and says how many rows it changed.
    pub(super) async fn execute(&self, doing: &str, sql: &str, params: Params<'_>) -> Result<u64> {
        let asked = async { self.client.execute(&self.statement(sql).await?, params).await };
        asked.await.during(doing)
    }

    /// Runs statements without parameters.
    pub(super) async fn batch(&self, doing: &str, sql: &str) -> Result<()> {
        self.client.batch_execute(sql).await.during(doing)
    }

    /// Runs `job` in a transaction: all of it is done, or nothing.
    pub(super) async fn transaction<T>(
        &self,
        begin: &str,
        job: impl AsyncFnOnce(&Self) -> Result<T>,
    ) -> Result<T> {
        self.begin(begin).await?;
        self.conclude(job).await
    }

    /// Begins a transaction; to be concluded.
    pub(super) async fn begin(&self, begin: &str) -> Result<()> {
        self.is_open.set(true);
        self.batch("beginning a transaction in the state", begin).await
    }

    /// Runs `job` in the transaction that was begun, and ends it.
    pub(super) async fn conclude<T>(&self, job: impl AsyncFnOnce(&Self) -> Result<T>) -> Result<T> {
        match job(self).await {
            Ok(done) => {
                self.batch("committing to the state", "COMMIT").await?;
                self.is_open.set(false);
                Ok(done)
            }
            Err(error) => {
                // A connection on which this fails is broken, and the server gives up by itself.
                let rolled_back = self.client.batch_execute("ROLLBACK").await;
                self.is_open.set(rolled_back.is_err());
                Err(error)
            }
        }
    }
}

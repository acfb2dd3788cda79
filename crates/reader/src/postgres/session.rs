//! One read-only transaction on one connection: nothing else is ever run on a warehouse (R5), and every
//! wait has an end.

use std::task::Context;
use std::time::Duration;

use flow::{Error, Result, Retry};
use tokio_postgres::types::{FromSql, ToSql, Type};
use tokio_postgres::{Client, CopyOutStream, Row, Statement};
use tokio_util::task::TaskTracker;

use super::connect::{Connection, Connector};
use super::errors::{classify, classify_sql};
use super::literal;
use super::options::Options;
use crate::codes;

/// How the server treats our transaction.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    statement_timeout: Duration,
    lock_timeout: Duration,
    idle_timeout: Duration,
    progress_timeout: Duration,
}

impl Settings {
    pub(super) fn of(options: &Options) -> Self {
        Self {
            statement_timeout: options.statement_timeout.0,
            lock_timeout: options.lock_timeout.0,
            idle_timeout: options.idle_timeout.0,
            progress_timeout: options.progress_timeout.0,
        }
    }

    /// Opens a transaction. None of these statements takes the snapshot yet, so locks can come first.
    fn begin(&self, isolation: &str) -> String {
        let settings = [
            ("statement_timeout", format!("{}ms", self.statement_timeout.as_millis())),
            ("lock_timeout", format!("{}ms", self.lock_timeout.as_millis())),
            ("idle_in_transaction_session_timeout", format!("{}ms", self.idle_timeout.as_millis())),
            ("client_min_messages", "warning".to_owned()),
            ("standard_conforming_strings", "on".to_owned()),
            ("TimeZone", "UTC".to_owned()),
            ("DateStyle", "ISO, YMD".to_owned()),
            ("IntervalStyle", "iso_8601".to_owned()),
            ("extra_float_digits", "1".to_owned()),
            ("bytea_output", "hex".to_owned()),
            ("xmlbinary", "base64".to_owned()),
        ];
        let mut sql = format!("BEGIN ISOLATION LEVEL {isolation} READ ONLY");
        for (name, value) in settings {
            sql.push_str(&format!("; SET LOCAL {name} = {}", literal::string(&value)));
        }
        sql
    }
}

/// A connection inside a read-only transaction. Dropping it before [`Session::end`] cancels what it runs.
pub(super) struct Session {
    connection: Option<Connection>,
    settings: Settings,
    background: TaskTracker,
}

impl Session {
    /// Connects; no transaction is open yet. What is left to do after a drop is tracked by `background`.
    pub(super) async fn connect(
        connector: &Connector,
        settings: &Settings,
        background: TaskTracker,
    ) -> Result<Self> {
        let connection = connector.connect().await?;
        Ok(Self { connection: Some(connection), settings: settings.clone(), background })
    }

    /// Begins a transaction whose every statement sees the latest committed rows: for looking ahead.
    pub(super) async fn begin_looking(&mut self) -> Result<()> {
        self.run(&self.settings.begin("READ COMMITTED"), "opening a transaction").await
    }

    /// Begins a transaction with one snapshot, which the first query takes; locks the tables before that,
    /// so that a rebuild is waited for instead of being read half (R2).
    pub(super) async fn begin_reading(&mut self, lock: &[String]) -> Result<()> {
        self.run(&self.settings.begin("REPEATABLE READ"), "opening a transaction").await?;
        if !lock.is_empty() {
            let sql = format!("LOCK TABLE {} IN ACCESS SHARE MODE", lock.join(", "));
            self.run(&sql, "locking the model's tables against a rebuild").await?;
        }
        Ok(())
    }

    /// Ends the transaction; the connection can begin another.
    pub(super) async fn commit(&mut self) -> Result<()> {
        self.run("COMMIT", "closing the snapshot").await
    }

    /// Closes the connection in order, after a commit.
    pub(super) async fn end(mut self) {
        if let Some(connection) = self.connection.take() {
            connection.close().await;
        }
    }

    /// Runs our own statements by the simple protocol. Text of users never comes here: that protocol would
    /// take `; COMMIT; DELETE ...` too.
    async fn run(&mut self, sql: &str, doing: &str) -> Result<()> {
        let ran = self.call(doing, async |client| client.batch_execute(sql).await).await?;
        ran.map_err(|error| classify(&error, doing))
    }

    /// Runs one query by the extended protocol, which takes a single statement.
    pub(super) async fn query(
        &mut self,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
        doing: &str,
    ) -> Result<Vec<Row>> {
        let rows = self.call(doing, async |client| client.query(sql, parameters).await).await?;
        rows.map_err(|error| classify(&error, doing))
    }

    /// Describes one statement without running it.
    pub(super) async fn prepare(&mut self, sql: &str, doing: &str) -> Result<Statement> {
        let prepared = self.call(doing, async |client| client.prepare(sql).await).await?;
        prepared.map_err(|error| classify(&error, doing))
    }

    /// As [`Session::prepare`], for the user's own text: errors name line and column in it.
    pub(super) async fn prepare_model(&mut self, sql: &str) -> Result<Statement> {
        let doing = "checking the model's SQL";
        let prepared = self.call(doing, async |client| client.prepare(sql).await).await?;
        prepared.map_err(|error| classify_sql(&error, doing, sql))
    }

    /// Starts a COPY. Its stream moves only while the session is [advanced](Session::advance).
    pub(super) async fn copy_out(&mut self, sql: &str, doing: &str) -> Result<CopyOutStream> {
        let copy = self.call(doing, async |client| client.copy_out(sql).await).await?;
        copy.map_err(|error| classify(&error, doing))
    }

    /// Moves what can be moved now between socket and streams.
    pub(super) fn advance(&mut self, context: &mut Context<'_>) {
        if let Some(connection) = &mut self.connection {
            connection.driver.advance(context);
        }
    }

    /// Longest silence that is not an error.
    pub(super) fn progress_timeout(&self) -> Duration {
        self.settings.progress_timeout
    }

    /// Makes one call and drives the connection until it is answered or the silence is too long.
    async fn call<T>(&mut self, doing: &str, call: impl AsyncFnOnce(&Client) -> T) -> Result<T> {
        let limit = self.settings.progress_timeout;
        let Some(Connection { client, driver, .. }) = &mut self.connection else {
            return Err(Error::new(&codes::E1005_CUT, "the session has ended"));
        };
        tokio::time::timeout(limit, driver.answer(call(client)))
            .await
            .map_err(|_| no_progress(limit, doing))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else { return };
        // Without a runtime the socket just closes; the server notices at its next write.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            self.background.spawn_on(connection.cancel_and_close(), &runtime);
        }
    }
}

pub(super) fn no_progress(limit: Duration, doing: &str) -> Error {
    Error::new(
        &codes::E1006_NO_PROGRESS,
        format!("nothing arrived from the warehouse for {limit:?} while {doing}"),
    )
    .with_retry(Retry::Backoff)
}

/// A column of any type whose binary form is text, such as json.
pub(super) struct AnyText(pub(super) String);

impl<'a> FromSql<'a> for AnyText {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(std::str::from_utf8(raw)?.to_owned()))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

//! One read-only transaction on one connection: nothing else is ever run on a warehouse (R5), and every
//! wait has an end.

use std::task::Context;
use std::time::Duration;

use flow::{Error, Result, Retry};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{FromSql, ToSql, Type};
use tokio_postgres::{Client, CopyOutStream, Row, RowStream, SimpleQueryMessage, Statement};
use tokio_util::task::TaskTracker;

use super::connect::{Connection, Connector};
use super::dialect::{Dialect, Timeouts};
use super::errors::{classify, classify_sql};
use super::options::{Options, ReadBy};
use crate::codes;

/// How the server treats our transaction.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    timeouts: Timeouts,
    progress_timeout: Duration,
    read_by: Option<ReadBy>,
}

impl Settings {
    pub(super) fn of(options: &Options) -> Self {
        Self {
            timeouts: Timeouts {
                statement: options.statement_timeout.0,
                lock: options.lock_timeout.0,
                idle: options.idle_timeout.0,
            },
            progress_timeout: options.progress_timeout.0,
            read_by: options.read_by,
        }
    }
}

/// A connection inside a read-only transaction. Dropping it before [`Session::end`] cancels what it runs.
pub(super) struct Session {
    connection: Option<Connection>,
    settings: Settings,
    dialect: &'static Dialect,
    background: TaskTracker,
}

impl Session {
    /// Connects, and asks which kind of server this is; no transaction is open yet. What is left to do after a drop is
    /// tracked by `background`.
    ///
    /// # Errors
    /// `E1081` where rows are to be read by something that the server does not have.
    pub(super) async fn connect(
        connector: &Connector,
        settings: &Settings,
        background: TaskTracker,
    ) -> Result<Self> {
        let connection = connector.connect().await?;
        let settings = settings.clone();
        let dialect = Dialect::postgres();
        let mut session = Self { connection: Some(connection), settings, dialect, background };
        session.dialect = Dialect::of(&session.version().await?);
        match session.settings.read_by {
            Some(ReadBy::Copy) if !session.dialect.copies => {
                let message = format!("{} has no COPY to the client", session.dialect.name);
                Err(Error::new(&codes::E1081_NO_COPY, message))
            }
            _ => Ok(session),
        }
    }

    /// What the server says it is.
    async fn version(&mut self) -> Result<String> {
        const SQL: &str = "BEGIN READ ONLY; SELECT pg_catalog.version(); COMMIT";
        let doing = "asking what the warehouse is";
        let said = self.call(doing, async |client| client.simple_query(SQL).await).await?;
        let said = said.map_err(|error| classify(&error, doing))?;
        let version = said.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        });
        Ok(version.unwrap_or_default())
    }

    /// How this server is asked.
    pub(super) fn dialect(&self) -> &'static Dialect {
        self.dialect
    }

    /// What rows are read by.
    pub(super) fn read_by(&self) -> ReadBy {
        self.settings.read_by.unwrap_or(self.dialect.read_by)
    }

    /// Begins a transaction whose every statement sees the latest committed rows: for looking ahead.
    pub(super) async fn begin_looking(&mut self) -> Result<()> {
        self.run(&self.dialect.begin_looking(self.settings.timeouts), "opening a transaction").await
    }

    /// Begins a transaction with one snapshot, which the first query takes; locks the tables before that,
    /// so that a rebuild is waited for instead of being read half (R2).
    pub(super) async fn begin_reading(&mut self, lock: &[String]) -> Result<()> {
        let begin = self.dialect.begin_reading(self.settings.timeouts);
        self.run(&begin, "opening a transaction").await?;
        if !lock.is_empty() {
            let sql = format!("LOCK TABLE {} IN ACCESS SHARE MODE", lock.join(", "));
            self.run(&sql, "locking the model's tables against a rebuild").await?;
        }
        Ok(())
    }

    /// Begins a transaction that sees what the one sees that exported this snapshot and is still open. Locks that are not
    /// given at once are an error: whoever waits for one waits for us.
    pub(super) async fn begin_reading_with(
        &mut self,
        snapshot: &str,
        lock: &[String],
    ) -> Result<()> {
        let doing = "joining a snapshot";
        self.run(&self.dialect.begin_reading(self.settings.timeouts), doing).await?;
        let snapshot = self.dialect.string(snapshot);
        self.run(&format!("SET TRANSACTION SNAPSHOT {snapshot}"), doing).await?;
        if !lock.is_empty() {
            let sql = format!("LOCK TABLE {} IN ACCESS SHARE MODE NOWAIT", lock.join(", "));
            self.run(&sql, doing).await?;
        }
        Ok(())
    }

    /// A name by which other connections can join this transaction's snapshot while it is open.
    pub(super) async fn export_snapshot(&mut self) -> Result<String> {
        const SQL: &str = "SELECT pg_catalog.pg_export_snapshot()";
        let rows = self.query(SQL, &[], "sharing the snapshot").await?;
        rows.first().map(|row| row.get(0)).ok_or_else(|| {
            Error::new(&codes::E1024_PROTOCOL, "the warehouse did not name its snapshot")
        })
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
        prepared.map_err(|error| self.unknown_type(&error).unwrap_or(classify(&error, doing)))
    }

    /// As [`Session::prepare`], for the user's own text: errors name line and column in it.
    pub(super) async fn prepare_model(&mut self, sql: &str) -> Result<Statement> {
        let doing = "checking the model's SQL";
        let prepared = self.call(doing, async |client| client.prepare(sql).await).await?;
        let classified = |error| classify_sql(&error, doing, sql);
        prepared.map_err(|error| self.unknown_type(&error).unwrap_or_else(|| classified(error)))
    }

    /// What it means when describing a statement ends a transaction that was well before: the driver asked for a type
    /// that it does not know, in a catalog that is not PostgreSQL's.
    fn unknown_type(&self, error: &tokio_postgres::Error) -> Option<Error> {
        let name = self.dialect.name;
        let is_it = error.code() == Some(&SqlState::IN_FAILED_SQL_TRANSACTION);
        (is_it && !self.dialect.is_postgres).then(|| {
            let message = format!("the model has a column of a type that only {name} has");
            Error::new(&codes::E1015_TYPE, message).with_remedy(format!(
                "Cast it in the model's SQL to {}; SUPER by json_serialize().",
                self.dialect.text
            ))
        })
    }

    /// Starts a COPY. Its stream moves only while the session is [advanced](Session::advance).
    pub(super) async fn copy_out(&mut self, sql: &str, doing: &str) -> Result<CopyOutStream> {
        let copy = self.call(doing, async |client| client.copy_out(sql).await).await?;
        copy.map_err(|error| classify(&error, doing))
    }

    /// Starts a query, by the extended protocol. As [`Session::copy_out`].
    pub(super) async fn query_raw(&mut self, sql: &str, doing: &str) -> Result<RowStream> {
        let none: [&(dyn ToSql + Sync); 0] = [];
        let rows = self.call(doing, async |client| client.query_raw(sql, none).await).await?;
        rows.map_err(|error| classify(&error, doing))
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

#[cfg(test)]
impl Session {
    /// A session of a private PostgreSQL, in no transaction yet.
    pub(super) async fn of(url: &str) -> Self {
        let options = serde_json::json!({ "url": url }).as_object().cloned().unwrap_or_default();
        let args = crate::OpenArgs::new("warehouse", options.clone());
        let options = Options::parse("warehouse", options).expect("options are right");
        let connector = Connector::new(&args, &options).expect("options are right");
        let settings = Settings::of(&options);
        Self::connect(&connector, &settings, TaskTracker::new()).await.expect("it answers")
    }
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

//! Opening and ending connections, each with a deadline.

use std::time::Duration;

use flow::{Error, Result, Retry};
use tokio::task::JoinHandle;
use tokio_postgres::{CancelToken, Client, Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::address::Address;
use super::errors::{classify_connect, options_error};
use super::options::{Options, Tls};
use crate::OpenArgs;
use crate::codes;

/// Longest time the background cancel of a dropped read may take.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(10);
/// PostgreSQL cuts longer names.
const APPLICATION_BYTES_MAX: usize = 63;

/// Everything needed to connect; checked once, when the source is opened.
#[derive(Clone)]
pub(super) struct Connector {
    config: Config,
    tls: Option<MakeRustlsConnect>,
    place: String,
    timeout: Duration,
}

/// A live connection and what it takes to end it.
pub(super) struct Connection {
    pub(super) client: Client,
    cancel: CancelToken,
    tls: Option<MakeRustlsConnect>,
    task: JoinHandle<()>,
}

impl Connector {
    /// # Errors
    /// `E1001` for options that cannot be right.
    pub(super) fn new(args: &OpenArgs, options: &Options) -> Result<Self> {
        let wrong = |why: String| options_error(&args.connection, &why);
        let Address { mut config, tls, ca_file, place } = Address::parse(options).map_err(wrong)?;
        let tls = match tls {
            Tls::Off => None,
            mode => Some(super::tls::connector(mode, ca_file.as_deref()).map_err(wrong)?),
        };
        let application = if options.query_tag { args.application.as_str() } else { "outflow" };
        config.application_name(prefix(application, APPLICATION_BYTES_MAX));
        // A peer that vanished is noticed in two minutes even while a query runs without output.
        config.keepalives_idle(Duration::from_secs(60));
        config.keepalives_interval(Duration::from_secs(15));
        config.keepalives_retries(4);
        Ok(Self { config, tls, place, timeout: options.connect_timeout.0 })
    }

    /// Host and port, for messages.
    pub(super) fn place(&self) -> &str {
        &self.place
    }

    /// # Errors
    /// `E1002` unreachable, `E1003` login refused, `E1004` TLS.
    pub(super) async fn connect(&self) -> Result<Connection> {
        match tokio::time::timeout(self.timeout, Box::pin(self.attempt())).await {
            Ok(connected) => connected.map_err(|error| classify_connect(&error, &self.place)),
            Err(_) => Err(Error::new(
                &codes::E1002_UNREACHABLE,
                format!("{}: no connection within {:?}", self.place, self.timeout),
            )
            .with_retry(Retry::Backoff)),
        }
    }

    async fn attempt(&self) -> Result<Connection, tokio_postgres::Error> {
        let (client, task) = match &self.tls {
            Some(tls) => {
                let (client, connection) = self.config.connect(tls.clone()).await?;
                (client, tokio::spawn(run(connection)))
            }
            None => {
                let (client, connection) = self.config.connect(NoTls).await?;
                (client, tokio::spawn(run(connection)))
            }
        };
        Ok(Connection { cancel: client.cancel_token(), client, tls: self.tls.clone(), task })
    }
}

/// Drives a connection. Its end, good or bad, reaches every call through the client.
async fn run(connection: impl Future<Output = Result<(), tokio_postgres::Error>>) {
    if let Err(error) = connection.await {
        tracing::debug!(%error, "a warehouse connection ended with an error");
    }
}

impl Connection {
    /// Closes in order: what was sent is finished, then the server is told.
    pub(super) fn close(self) {
        // The task ends by itself once the client is gone.
        drop(self.client);
    }

    /// Closes at once.
    pub(super) fn abort(self) {
        self.task.abort();
    }

    /// Asks the server to stop what this connection runs, then closes it. Never waits longer than a few seconds.
    pub(super) async fn cancel_and_close(self) {
        let cancel = async {
            match self.tls.clone() {
                Some(tls) => self.cancel.cancel_query(tls).await,
                None => self.cancel.cancel_query(NoTls).await,
            }
        };
        match tokio::time::timeout(CANCEL_TIMEOUT, cancel).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "a warehouse query could not be cancelled"),
            Err(_) => tracing::debug!("cancelling a warehouse query took too long"),
        }
        // Left alone, the task would read a cancelled COPY to its end.
        self.task.abort();
    }
}

/// The first bytes of a text, cut at a character.
fn prefix(text: &str, bytes_max: usize) -> &str {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

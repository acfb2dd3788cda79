//! Opening and ending connections, each with a deadline.

use std::pin::Pin;
use std::task::Context;
use std::time::Duration;

use flow::{Error, Result, Retry};
use tokio_postgres::{CancelToken, Client, Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::address::Address;
use super::errors::{classify_connect, options_error};
use super::options::{Options, Tls};
use crate::OpenArgs;
use crate::codes;

/// Longest time the background cancel of a dropped read may take.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest time to say goodbye.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
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
///
/// The connection has no task of its own: whoever waits for an answer drives it. That saves a switch between
/// threads for every few rows, and leaves nothing behind that could read on.
pub(super) struct Connection {
    pub(super) client: Client,
    pub(super) driver: Driver,
    cancel: CancelToken,
    tls: Option<MakeRustlsConnect>,
}

/// Moves bytes between socket and client whenever it is polled.
pub(super) struct Driver(Option<Pin<Box<dyn Future<Output = ()> + Send>>>);

impl Driver {
    fn new(
        connection: impl Future<Output = Result<(), tokio_postgres::Error>> + Send + 'static,
    ) -> Self {
        Self(Some(Box::pin(async move {
            // The end, good or bad, reaches every call through the client too.
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a warehouse connection ended with an error");
            }
        })))
    }

    /// Does what can be done now; wakes the task when there is more.
    pub(super) fn advance(&mut self, context: &mut Context<'_>) {
        if let Some(connection) = &mut self.0
            && connection.as_mut().poll(context).is_ready()
        {
            self.0 = None;
        }
    }

    /// The answer to a call, driving the connection meanwhile.
    pub(super) async fn answer<T>(&mut self, call: impl Future<Output = T>) -> T {
        let mut call = std::pin::pin!(call);
        std::future::poll_fn(|context| {
            // What the call has sent goes out, and what has arrived may be its answer.
            let early = call.as_mut().poll(context);
            if early.is_ready() {
                return early;
            }
            self.advance(context);
            call.as_mut().poll(context)
        })
        .await
    }
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
        let (client, driver) = match &self.tls {
            Some(tls) => {
                let (client, connection) = self.config.connect(tls.clone()).await?;
                (client, Driver::new(connection))
            }
            None => {
                let (client, connection) = self.config.connect(NoTls).await?;
                (client, Driver::new(connection))
            }
        };
        Ok(Connection { cancel: client.cancel_token(), client, driver, tls: self.tls.clone() })
    }
}

impl Connection {
    /// Closes in order: what was sent is finished, then the server is told.
    pub(super) async fn close(self) {
        drop(self.client);
        if let Some(connection) = self.driver.0 {
            // Where the server is gone, the socket just closes.
            let _ = tokio::time::timeout(CLOSE_TIMEOUT, connection).await;
        }
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
        // Dropping the driver closes the socket.
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

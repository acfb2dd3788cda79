//! Opening and ending connections, each with a deadline.

use std::pin::Pin;
use std::task::Context;
use std::time::Duration;

use flow::{Error, Result, Retry};
use link::{At, Driving, Server};
use tokio_postgres::{CancelToken, Client};

use super::errors::{classify_connect, options_error};
use super::options::Options;
use crate::OpenArgs;
use crate::codes;

/// Longest time the background cancel of a dropped read may take.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest time to say goodbye.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Everything needed to connect; checked once, when the source is opened.
#[derive(Clone)]
pub(super) struct Connector {
    server: Server,
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
    server: Server,
}

/// Moves bytes between socket and client whenever it is polled.
pub(super) struct Driver(Option<Pin<Box<dyn Future<Output = ()> + Send>>>);

impl Driver {
    fn new(connection: Driving) -> Self {
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
        let application = if options.query_tag { args.application.as_str() } else { "outflow" };
        let at = At { url: &options.url, tls: options.tls, ca_file: options.ca_file.as_deref() };
        let server =
            Server::new(at, application).map_err(|why| options_error(&args.connection, &why))?;
        Ok(Self { server, timeout: options.connect_timeout.0 })
    }

    /// Host and port, for messages.
    pub(super) fn place(&self) -> &str {
        self.server.place()
    }

    /// # Errors
    /// `E1002` unreachable, `E1003` login refused, `E1004` TLS.
    pub(super) async fn connect(&self) -> Result<Connection> {
        match tokio::time::timeout(self.timeout, Box::pin(self.attempt())).await {
            Ok(connected) => connected.map_err(|error| classify_connect(&error, self.place())),
            Err(_) => Err(Error::new(
                &codes::E1002_UNREACHABLE,
                format!("{}: no connection within {:?}", self.place(), self.timeout),
            )
            .with_retry(Retry::Backoff)),
        }
    }

    async fn attempt(&self) -> Result<Connection, tokio_postgres::Error> {
        let (client, driving) = self.server.connect().await?;
        let (cancel, server) = (client.cancel_token(), self.server.clone());
        Ok(Connection { client, driver: Driver::new(driving), cancel, server })
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
        match tokio::time::timeout(CANCEL_TIMEOUT, self.server.cancel(&self.cancel)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "a warehouse query could not be cancelled"),
            Err(_) => tracing::debug!("cancelling a warehouse query took too long"),
        }
        // Dropping the driver closes the socket.
    }
}

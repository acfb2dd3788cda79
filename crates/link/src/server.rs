//! A server to connect to: checked once, connected to as often as needed.

use std::pin::Pin;
use std::time::Duration;

use tokio_postgres::{CancelToken, Client, Config, Error, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::address::{Address, At, Tls};
use crate::tls;

/// PostgreSQL cuts longer names.
const APPLICATION_BYTES_MAX: usize = 63;

/// Moves bytes between socket and client whenever it is polled; ends with the connection.
pub type Driving = Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>;

/// Everything needed to connect.
#[derive(Clone)]
pub struct Server {
    config: Config,
    tls: Option<MakeRustlsConnect>,
    place: String,
}

impl Server {
    /// Checks where to connect and how. `application` is the session's `application_name`.
    ///
    /// # Errors
    /// A sentence without any part of the URL that could be a secret.
    pub fn new(at: At<'_>, application: &str) -> Result<Self, String> {
        let Address { mut config, tls, ca_file, place } = Address::parse(at)?;
        let tls = match tls {
            Tls::Off => None,
            mode => Some(tls::connector(mode, ca_file.as_deref())?),
        };
        config.application_name(prefix(application, APPLICATION_BYTES_MAX));
        // A peer that vanished is noticed in two minutes even while a query runs without output.
        config.keepalives_idle(Duration::from_secs(60));
        config.keepalives_interval(Duration::from_secs(15));
        config.keepalives_retries(4);
        Ok(Self { config, tls, place })
    }

    /// Hosts and ports, for messages.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// A new connection. It lives as long as somebody drives it.
    ///
    /// # Errors
    /// What the driver says.
    pub async fn connect(&self) -> Result<(Client, Driving), Error> {
        match &self.tls {
            Some(tls) => {
                let (client, connection) = self.config.connect(tls.clone()).await?;
                Ok((client, Box::pin(connection)))
            }
            None => {
                let (client, connection) = self.config.connect(NoTls).await?;
                Ok((client, Box::pin(connection)))
            }
        }
    }

    /// Asks the server to stop what a connection runs.
    ///
    /// # Errors
    /// What the driver says.
    pub async fn cancel(&self, token: &CancelToken) -> Result<(), Error> {
        match self.tls.clone() {
            Some(tls) => token.cancel_query(tls).await,
            None => token.cancel_query(NoTls).await,
        }
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

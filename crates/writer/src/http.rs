//! The one HTTP client of all destinations: bounded in time and size, never redirected, every request measured.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use flow::metrics::Metrics;
use flow::{Error, Result, Retry};
use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use tokio::time::Instant;

use crate::base_url::AddressRefused;
use crate::codes::{E2001_UNREACHABLE, E2002_TLS, E2003_NO_ANSWER, E2013_OPTIONS, E2014_BASE_URL};
use crate::{BaseUrl, tls};

/// Longest time to a connection, TLS included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an unused connection is kept; servers close theirs after about a minute.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// Largest answer, after decompression; the rest is not read (F13).
pub const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Connections kept for the next request.
const IDLE_CONNECTIONS_MAX: usize = 32;

/// What a client is made of.
#[derive(Debug)]
pub struct ClientOptions {
    /// The connection's name; the `destination` label of metrics.
    pub connection: String,
    /// Root of all URLs.
    pub base_url: BaseUrl,
    /// The only certificate authorities to trust, instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// Longest time from the start of a request to the end of its answer.
    pub request_timeout: Duration,
    /// Headers of every request, for example the authorization.
    pub headers: HeaderMap,
    /// Where requests are counted.
    pub metrics: Arc<Metrics>,
}

/// An HTTP client for one connection. It sends each request once and never retries, redirects, or uses a
/// proxy from the environment.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    base_url: BaseUrl,
    connection: Arc<str>,
    metrics: Arc<Metrics>,
    answer_bytes_max: usize,
}

/// One request.
pub struct Request {
    /// Method.
    pub method: Method,
    /// Path and query, percent-encoded, beginning with a slash.
    pub path: String,
    /// What it does, for metrics: a word out of a small closed set, for example `upsert`.
    pub operation: &'static str,
    /// Body; JSON, unless a header of the request names another type.
    pub body: Option<Vec<u8>>,
}

/// Takes the body of an answer that is too large to keep, piece by piece.
pub type Sink<'a> = &'a mut (dyn FnMut(&[u8]) + Send);

/// An answer. Whatever the server sent, this is all that is kept of it.
#[derive(Clone)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Headers.
    pub headers: HeaderMap,
    /// The body as far as it was read.
    pub body: Bytes,
    /// Why the body is not complete: it was cut, took too long, or is too large.
    pub fault: Option<&'static str>,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The body holds row values.
        write!(f, "Request({} {}, {})", self.method, self.path, self.operation)
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The body may repeat row values.
        write!(f, "Reply({}, {} bytes, {:?})", self.status, self.body.len(), self.fault)
    }
}

impl Reply {
    /// A header's value, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Whether the status says success.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

impl Client {
    /// Builds the client. Pure: nothing is looked up or connected.
    ///
    /// # Errors
    /// [`crate::codes::E2015_TRUST`] when certificates cannot be checked.
    pub fn new(options: ClientOptions) -> Result<Self> {
        let tls = tls::config(options.base_url.is_secure(), options.ca_file.as_deref())?;
        let http = reqwest::Client::builder()
            .user_agent(concat!("outflow/", env!("CARGO_PKG_VERSION")))
            .default_headers(options.headers)
            .tls_backend_preconfigured(tls)
            .dns_resolver(Arc::new(options.base_url.resolver()))
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .http1_only()
            .gzip(true)
            .tcp_nodelay(true)
            .connect_timeout(CONNECT_TIMEOUT.min(options.request_timeout))
            .read_timeout(options.request_timeout)
            .timeout(options.request_timeout)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
            .build()
            .map_err(|error| {
                Error::new(&E2013_OPTIONS, "the HTTP client cannot be built").with_source(error)
            })?;
        Ok(Self {
            http,
            base_url: options.base_url,
            connection: options.connection.into(),
            metrics: options.metrics,
            answer_bytes_max: ANSWER_BYTES_MAX,
        })
    }

    /// The connection's name.
    pub fn connection(&self) -> &str {
        &self.connection
    }

    /// The host requests go to.
    pub fn host(&self) -> &str {
        self.base_url.host()
    }

    /// Sends one request and reads its answer, whatever its status.
    ///
    /// # Errors
    /// Only where no status came: [`E2001_UNREACHABLE`], [`E2002_TLS`] and [`E2014_BASE_URL`] when nothing was
    /// sent, [`E2003_NO_ANSWER`] (ambiguous) when something was.
    pub async fn send(&self, request: Request) -> Result<Reply> {
        self.send_with(request, HeaderMap::new()).await
    }

    /// As [`Client::send`], with headers of this request alone. They win over the client's own, and over the content
    /// type, which is JSON unless they say otherwise.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn send_with(&self, request: Request, headers: HeaderMap) -> Result<Reply> {
        self.send_into(request, headers, None).await
    }

    /// As [`Client::send_with`]. The body of a success goes to `sink` piece by piece, where there is one, and is then not
    /// in the reply: it may be as large as the sink bears.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn send_into(
        &self,
        request: Request,
        headers: HeaderMap,
        sink: Option<Sink<'_>>,
    ) -> Result<Reply> {
        let began = Instant::now();
        let body_bytes = request.body.as_ref().map_or(0, Vec::len) as u64;
        let mut http = self.http.request(request.method, self.base_url.join(&request.path));
        if let Some(body) = request.body {
            http = http.header(reqwest::header::CONTENT_TYPE, "application/json").body(body);
        }
        // This replaces headers of the same name.
        http = http.headers(headers);
        let answer = match http.send().await {
            Ok(response) => Ok(self.read(response, sink).await),
            Err(error) => Err(error),
        };
        let class = match &answer {
            Ok(reply) if reply.fault == Some(TIME_UP) => "timeout",
            Ok(reply) => status_class(reply.status),
            Err(error) if error.is_timeout() && !error.is_connect() => "timeout",
            Err(_) => "connect",
        };
        let unsent = matches!(&answer, Err(error) if error.is_connect() || error.is_builder());
        let measured = (began.elapsed(), if unsent { 0 } else { body_bytes });
        self.metrics.request(&self.connection, request.operation, class, measured);
        let millis = u64::try_from(measured.0.as_millis()).unwrap_or(u64::MAX);
        let (connection, operation) = (&self.connection, request.operation);
        tracing::debug!(%connection, operation, class, millis, body_bytes, "a call was answered");
        if let Ok(reply) = &answer {
            match reply.status {
                401 | 403 => self.metrics.auth(&self.connection, false),
                200..=299 => self.metrics.auth(&self.connection, true),
                _ => {}
            }
        }
        answer.map_err(|error| self.transport(error))
    }

    /// Reads the body up to the limit. What is over it is not read at all, so neither a huge error page nor a
    /// compressed bomb costs memory.
    async fn read(&self, mut response: reqwest::Response, sink: Option<Sink<'_>>) -> Reply {
        let status = response.status().as_u16();
        let headers = std::mem::take(response.headers_mut());
        let mut sink = sink.filter(|_| (200..300).contains(&status));
        let mut body = BytesMut::new();
        let fault = loop {
            match (response.chunk().await, &mut sink) {
                (Ok(Some(chunk)), Some(sink)) => sink(&chunk),
                (answer, _) => match answer {
                    Ok(Some(chunk)) if body.len() + chunk.len() > self.answer_bytes_max => {
                        break Some(TOO_LARGE);
                    }
                    Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                    Ok(None) => break None,
                    Err(error) if error.is_timeout() => break Some(TIME_UP),
                    Err(_) => break Some(CUT),
                },
            }
        };
        Reply { status, headers, body: body.freeze(), fault }
    }

    fn transport(&self, error: reqwest::Error) -> Error {
        let host = self.host();
        let unsent = error.is_connect() || error.is_builder();
        let timeout = error.is_timeout();
        // The URL would repeat the path in every message; the host is enough.
        let error = error.without_url();
        let cause = Cause::of(&error);
        match cause {
            Cause::Address => Error::new(
                &E2014_BASE_URL,
                format!("{host} has an address in a range that is not allowed"),
            ),
            Cause::Tls(reason) => {
                Error::new(&E2002_TLS, format!("{host}: {reason}")).with_retry(Retry::Backoff)
            }
            Cause::Other(reason) if unsent => {
                let reason = if timeout { "no connection in time".to_owned() } else { reason };
                Error::new(&E2001_UNREACHABLE, format!("cannot connect to {host}: {reason}"))
                    .with_retry(Retry::Backoff)
            }
            Cause::Other(reason) => {
                let reason = if timeout { "no answer in time".to_owned() } else { reason };
                Error::new(&E2003_NO_ANSWER, format!("{host}: {reason}"))
                    .with_retry(Retry::Backoff)
                    .ambiguous()
            }
        }
        .with_source(error)
    }
}

const TIME_UP: &str = "the time for an answer was up";
const TOO_LARGE: &str = "the answer is larger than 16 MiB";
const CUT: &str = "the answer was cut";

/// The deepest reason for a transport error.
enum Cause {
    Address,
    Tls(String),
    Other(String),
}

impl Cause {
    fn of(error: &reqwest::Error) -> Self {
        let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
        let mut last = "the connection failed".to_owned();
        while let Some(cause) = next {
            if cause.is::<AddressRefused>() {
                return Self::Address;
            }
            if let Some(tls) = cause.downcast_ref::<rustls::Error>() {
                return Self::Tls(tls.to_string());
            }
            last = cause.to_string();
            // An io::Error hides what it wraps from `source`.
            let wrapped = cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
            next = wrapped.map(|inner| inner as _).or_else(|| cause.source());
        }
        Self::Other(last)
    }
}

/// The closed set of words metrics use for a status.
fn status_class(status: u16) -> &'static str {
    match status {
        207 => "207",
        200..=299 => "2xx",
        400 => "400",
        401 => "401",
        403 => "403",
        404 => "404",
        409 => "409",
        413 => "413",
        422 => "422",
        429 => "429",
        500..=599 => "5xx",
        _ => "other",
    }
}

/// An `authorization: Bearer` header that shows itself nowhere.
///
/// # Errors
/// [`E2013_OPTIONS`] when the token is empty or holds characters a header cannot.
pub fn bearer(connection: &str, token: &flow::Secret) -> Result<HeaderMap> {
    let token = token.expose().trim_end();
    let wrong = |reason: &str| {
        Error::new(&E2013_OPTIONS, format!("connection `{connection}`: `token` {reason}"))
    };
    if token.is_empty() {
        return Err(wrong("is empty"));
    }
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(wrong("holds a space, a line break or a character that is not ASCII"));
    }
    let mut value = HeaderValue::try_from(format!("Bearer {token}"))
        .map_err(|_| wrong("cannot be a header"))?;
    value.set_sensitive(true);
    Ok(HeaderMap::from_iter([(HeaderName::from_static("authorization"), value)]))
}

#[cfg(test)]
mod tests;

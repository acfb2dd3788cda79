//! The one error of the ports: what happened, whether trying again helps, and what to do next.

use std::fmt;
use std::time::Duration;

use crate::Code;

/// The result of a port.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What a caller does about an error. A new kind exists only where someone acts differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The project files are wrong (exit 78).
    Config,
    /// The other side cannot be reached (exit 69).
    Unreachable,
    /// The other side refuses our credentials or permissions (exit 77).
    Credentials,
    /// The run failed; it is safe to run again (exit 1).
    Failed,
    /// Another run holds the lease, or took it over (exit 5).
    Lease,
    /// A whole write call was refused because of rows we cannot name: bisect it.
    Poison,
    /// One row is at fault; used by the `R` codes of rejects.
    Row,
    /// A guard stopped the run before anything was sent (exit 4).
    Guard,
    /// The destination's quota is used up for long: the sync waits for it and has not failed (exit 75).
    Parked,
}

/// Whether the same call may be made again. Only `engine/retry.rs` acts on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// Trying again cannot help.
    Never,
    /// Try again with backoff.
    Backoff,
    /// Try again, not before this time has passed.
    After(Duration),
}

/// An error with a code, a message without row values or secrets, and a remedy.
pub struct Error {
    inner: Box<Inner>,
}

struct Inner {
    code: &'static Code,
    message: String,
    remedy: Option<String>,
    retry: Retry,
    ambiguous: bool,
    wait: Option<Duration>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error that trying again does not mend. `message` says what and where, in one sentence.
    pub fn new(code: &'static Code, message: impl Into<String>) -> Self {
        Self {
            inner: Box::new(Inner {
                code,
                message: message.into(),
                remedy: None,
                retry: Retry::Never,
                ambiguous: false,
                wait: None,
                source: None,
            }),
        }
    }

    /// Replaces the code's general remedy by one for this very case.
    #[must_use]
    pub fn with_remedy(mut self, remedy: impl Into<String>) -> Self {
        self.inner.remedy = Some(remedy.into());
        self
    }

    /// Says whether trying again may help.
    #[must_use]
    pub fn with_retry(mut self, retry: Retry) -> Self {
        self.inner.retry = retry;
        self
    }

    /// Marks a call that may have been applied although no clean answer came (a timeout, a reset, a 5xx).
    #[must_use]
    pub fn ambiguous(mut self) -> Self {
        self.inner.ambiguous = true;
        self
    }

    /// Says after how long the same can be tried with success, for an error of kind [`Kind::Parked`].
    #[must_use]
    pub fn with_wait(mut self, wait: Duration) -> Self {
        self.inner.wait = Some(wait);
        self
    }

    /// Keeps the cause.
    #[must_use]
    pub fn with_source(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.inner.source = Some(source.into());
        self
    }

    /// The documented code.
    pub fn code(&self) -> &'static Code {
        self.inner.code
    }

    /// What a caller does about it.
    pub fn kind(&self) -> Kind {
        self.inner.code.kind
    }

    /// One sentence: what and where.
    pub fn message(&self) -> &str {
        &self.inner.message
    }

    /// What to do next.
    pub fn remedy(&self) -> &str {
        self.inner.remedy.as_deref().unwrap_or(self.inner.code.remedy)
    }

    /// Whether trying again may help.
    pub fn retry(&self) -> Retry {
        self.inner.retry
    }

    /// After how long the same can be tried with success, where that is known.
    pub fn wait(&self) -> Option<Duration> {
        self.inner.wait
    }

    /// Whether the call may have been applied although no clean answer came.
    pub fn is_ambiguous(&self) -> bool {
        self.inner.ambiguous
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.inner.code.id, self.inner.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self} ({:?}, {:?})", self.kind(), self.retry())?;
        match &self.inner.source {
            Some(source) => write!(f, ": {source}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.inner.source.as_deref().map(|source| source as _)
    }
}

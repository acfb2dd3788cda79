//! Time is passed in, so that a test can say what time it is.

/// Where the current time comes from.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// Microseconds since 1970-01-01T00:00:00Z.
    fn now_micros(&self) -> i64;
}

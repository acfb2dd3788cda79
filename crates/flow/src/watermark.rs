//! The progress column's value, exact to the microsecond.

use std::fmt;

use chrono::DateTime;

/// A point on the progress column: microseconds since 1970-01-01T00:00:00Z.
///
/// PostgreSQL's `timestamptz` and `timestamp` have exactly this resolution, so nothing is rounded
/// on the way to the state and back. A `date` is its midnight in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Watermark(pub i64);

impl Watermark {
    /// The value of PostgreSQL's `infinity`.
    pub const INFINITY: Self = Self(i64::MAX);
    /// The value of PostgreSQL's `-infinity`.
    pub const NEG_INFINITY: Self = Self(i64::MIN);

    /// The point `micros` microseconds earlier; infinities stay.
    #[must_use]
    pub fn minus_micros(self, micros: i64) -> Self {
        if self == Self::INFINITY || self == Self::NEG_INFINITY {
            return self;
        }
        Self(self.0.saturating_sub(micros).max(i64::MIN + 1))
    }
}

impl fmt::Display for Watermark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (*self, DateTime::from_timestamp_micros(self.0)) {
            (Self::INFINITY, _) => f.write_str("infinity"),
            (Self::NEG_INFINITY, _) => f.write_str("-infinity"),
            (_, Some(at)) => write!(f, "{}", at.format("%Y-%m-%dT%H:%M:%S%.6fZ")),
            (_, None) => write!(f, "{} us", self.0),
        }
    }
}

//! Durations and shares as people write them: `5m`, `0.5%`.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

/// A length of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Duration {
    /// Microseconds, not negative.
    pub(crate) micros: i64,
}

/// Seven digits of weeks still fit into microseconds.
const DURATION: &str = "^[0-9]{1,7}(ms|s|m|h|d|w)$";

impl Duration {
    /// Reads `500ms`, `30s`, `5m`, `2h`, `1d` or `2w`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let digits = text.find(|c: char| !c.is_ascii_digit())?;
        let (number, unit) = text.split_at(digits);
        if number.len() > 7 {
            return None;
        }
        let millis = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "w" => 7 * 86_400_000,
            _ => return None,
        };
        let number: i64 = number.parse().ok()?;
        Some(Self { micros: number * millis * 1_000 })
    }

    /// Seconds.
    pub(crate) fn seconds(self) -> f64 {
        self.micros as f64 / 1e6
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| de::Error::custom("not a duration"))
    }
}

impl JsonSchema for Duration {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": DURATION,
            "description": "A duration: a whole number and ms, s, m, h, d or w, for example 500ms, 30s, 5m, 2h, 1d.",
        })
    }
}

/// A share of a whole, 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Share(pub(crate) f64);

const SHARE: &str = r"^(100(\.0{1,6})?|[0-9]{1,2}(\.[0-9]{1,6})?)%$";

impl Share {
    /// Reads `0.5%`; at most `100%`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let number = text.strip_suffix('%')?;
        let plain = |c: char| c.is_ascii_digit() || c == '.';
        let percent: f64 = number.chars().all(plain).then(|| number.parse().ok()).flatten()?;
        (0.0..=100.0).contains(&percent).then_some(Self(percent / 100.0))
    }
}

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| de::Error::custom("not a share"))
    }
}

impl JsonSchema for Share {
    fn schema_name() -> Cow<'static, str> {
        "Share".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": SHARE,
            "description": "A share of at most 100%, for example 2% or 0.5%.",
        })
    }
}

#[cfg(test)]
mod tests {
    use regex::Regex;

    use super::*;

    #[test]
    fn what_the_schema_accepts_is_what_is_read() {
        let pattern = Regex::new(DURATION).expect("valid");
        for text in ["5m", "500ms", "9999999w", "0s", "10000000s", "5", "m", "5 m", "5M", "-5m", ""]
        {
            assert_eq!(pattern.is_match(text), Duration::parse(text).is_some(), "{text}");
        }
        let pattern = Regex::new(SHARE).expect("valid");
        for text in
            ["0%", "100%", "100.0%", "100.1%", "0.5%", "101%", "5", "%", "-1%", "1e1%", "5 %"]
        {
            assert_eq!(pattern.is_match(text), Share::parse(text).is_some(), "{text}");
        }
        assert_eq!(Duration::parse("5m"), Some(Duration { micros: 300_000_000 }));
        assert_eq!(Share::parse("0.5%"), Some(Share(0.005)));
    }
}

//! Reading a connection's options: strict, and without ever repeating a secret in an error.

use std::time::Duration;

use flow::{Error, Result};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::OpenArgs;
use crate::codes::E2013_OPTIONS;

/// Reads the options of a connection into the destination's own struct.
///
/// # Errors
/// [`E2013_OPTIONS`] naming the connection and what is wrong, without any of the option values.
pub fn parse<T: DeserializeOwned>(args: &OpenArgs) -> Result<T> {
    serde_json::from_value(Value::Object(args.options.clone())).map_err(|error| {
        let reason = masked(error.to_string(), &args.options);
        Error::new(&E2013_OPTIONS, format!("connection `{}`: {reason}", args.connection))
    })
}

/// An error message must not show a value: any of them may be a secret in the wrong place.
fn masked(mut message: String, options: &Map<String, Value>) -> String {
    for value in options.values() {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            _ => continue,
        };
        for shown in [format!("{text:?}"), format!("`{text}`")] {
            message = message.replace(&shown, "the value given");
        }
    }
    message
}

/// A length of time as people write it: `500ms`, `30s`, `10m`, `2h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema)]
#[schemars(with = "String", extend("pattern" = "^[0-9]+(ms|s|m|h)$", "examples" = ["30s"]))]
pub struct Span(pub Duration);

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        span(&text).map(Self).ok_or_else(|| {
            serde::de::Error::custom("a length of time is a whole number with ms, s, m or h: `30s`")
        })
    }
}

fn span(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let number: u64 = text[..digits].parse().ok()?;
    let millis = match &text[digits..] {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    number.checked_mul(millis).filter(|millis| *millis > 0).map(Duration::from_millis)
}

/// A part of a whole as people write it: `40%`.
#[derive(Debug, Clone, Copy, PartialEq, JsonSchema)]
#[schemars(
    with = "String",
    extend("pattern" = r"^[0-9]{1,3}(\.[0-9]+)?%$", "examples" = ["40%"])
)]
pub struct Share(f64);

impl Share {
    /// All of it.
    pub const ALL: Self = Self(1.0);

    /// The share as a number: above 0, at most 1.
    pub fn ratio(self) -> f64 {
        self.0
    }

    /// The part of `whole` this is, at least 1.
    pub fn of(self, whole: u32) -> u32 {
        // A u32 fits an f64 exactly, and the ratio is at most 1.
        ((f64::from(whole) * self.0).floor() as u32).max(1)
    }
}

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let percent = text.strip_suffix('%').and_then(|number| number.trim().parse::<f64>().ok());
        percent
            .filter(|percent| *percent > 0.0 && *percent <= 100.0)
            .map(|percent| Self(percent / 100.0))
            .ok_or_else(|| {
                serde::de::Error::custom("a share is above 0% and at most 100%, written `40%`")
            })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Example {
        #[expect(dead_code, reason = "only its parsing is of interest")]
        token: flow::Secret,
        share: Option<Share>,
        wait: Option<Span>,
    }

    #[derive(Debug)]
    struct Zero;
    impl flow::Clock for Zero {
        fn now_micros(&self) -> i64 {
            0
        }
    }

    fn read(options: Value) -> Result<Example> {
        parse(&OpenArgs {
            connection: "crm".to_owned(),
            options: options.as_object().expect("an object").clone(),
            metrics: flow::metrics::Metrics::new("0", "0"),
            clock: Arc::new(Zero),
        })
    }

    #[test]
    fn spans_and_shares_are_read_as_people_write_them() {
        let options = serde_json::json!({"token": "t", "share": "40%", "wait": "10m"});
        let example = read(options).expect("valid");
        assert_eq!(example.share.expect("given").of(190), 76);
        assert_eq!(example.wait.expect("given").0, Duration::from_secs(600));
        assert_eq!(Share(0.001).of(100), 1);
    }

    #[test]
    fn nonsense_is_refused() {
        for wait in ["", "10", "ms", "0s", "-1s", "1.5s", "10 m", "99999999999999999999h", "é"] {
            assert!(span(wait).is_none(), "{wait}");
        }
        for share in ["0%", "101%", "40", "NaN%", "-1%", "%"] {
            let options = serde_json::json!({"token": "t", "share": share});
            assert!(read(options).is_err(), "{share}");
        }
    }

    #[test]
    fn errors_name_the_connection_and_never_show_a_value() {
        for options in [
            serde_json::json!({"token": 123_456_789}),
            serde_json::json!({"token": "t", "wait": 987_654_321}),
            serde_json::json!({"token": "t", "share": "123456789"}),
            serde_json::json!({"token": "t", "tokn": "123456789"}),
        ] {
            let error = read(options).expect_err("invalid");
            assert!(error.message().contains("`crm`"), "{error}");
            assert!(!error.message().contains("123456789"), "{error}");
            assert!(!error.message().contains("987654321"), "{error}");
        }
        let error = read(serde_json::json!({"token": "t", "tokn": "x"})).expect_err("unknown");
        assert!(error.message().contains("tokn"), "{error}");
    }
}

//! What an unquoted YAML scalar means: the core schema of YAML 1.2, without guesses.

use serde_json::{Number, Value};

/// Why a scalar's meaning is not clear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unclear {
    /// `007`: a number to YAML, text to most people.
    LeadingZero,
    /// More digits than a number carries exactly.
    TooLong,
    /// `.nan` or `.inf`, which JSON cannot say.
    NotFinite,
}

/// The value of an unquoted scalar.
pub(crate) fn resolve(text: &str) -> Result<Value, Unclear> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Ok(Value::Null),
        "true" | "True" | "TRUE" => return Ok(Value::Bool(true)),
        "false" | "False" | "FALSE" => return Ok(Value::Bool(false)),
        _ => {}
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return Err(Unclear::NotFinite);
    }
    for (prefix, radix) in [("0x", 16), ("0o", 8)] {
        if let Some(digits) = text.strip_prefix(prefix)
            && !digits.is_empty()
            && digits.chars().all(|digit| digit.is_digit(radix))
        {
            return u64::from_str_radix(digits, radix)
                .map(Value::from)
                .map_err(|_| Unclear::TooLong);
        }
    }
    if is_integer(unsigned) {
        return integer(text, unsigned);
    }
    if is_float(unsigned) { float(text, unsigned) } else { Ok(Value::String(text.to_owned())) }
}

fn is_integer(unsigned: &str) -> bool {
    !unsigned.is_empty() && unsigned.bytes().all(|byte| byte.is_ascii_digit())
}

fn integer(text: &str, unsigned: &str) -> Result<Value, Unclear> {
    if unsigned.len() > 1 && unsigned.starts_with('0') {
        return Err(Unclear::LeadingZero);
    }
    let text = text.strip_prefix('+').unwrap_or(text);
    let signed = text.parse::<i64>().map(Value::from);
    signed.or_else(|_| text.parse::<u64>().map(Value::from)).map_err(|_| Unclear::TooLong)
}

/// `[0-9]+(\.[0-9]*)?` or `\.[0-9]+`, then an exponent or none.
fn is_float(unsigned: &str) -> bool {
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let some_digit = !whole.is_empty() || fraction.is_some_and(|fraction| !fraction.is_empty());
    let exponent_ok = exponent
        .is_none_or(|exponent| is_integer(exponent.strip_prefix(['-', '+']).unwrap_or(exponent)));
    some_digit && digits(whole) && fraction.is_none_or(digits) && exponent_ok
}

fn float(text: &str, unsigned: &str) -> Result<Value, Unclear> {
    let digits = unsigned
        .split(['e', 'E'])
        .next()
        .unwrap_or_default()
        .chars()
        .filter(char::is_ascii_digit)
        .collect::<String>();
    if digits.trim_start_matches('0').trim_end_matches('0').len() > 15 {
        return Err(Unclear::TooLong);
    }
    let value = text.parse::<f64>().ok().and_then(Number::from_f64);
    value.map(Value::Number).ok_or(Unclear::NotFinite)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Value) {
        assert_eq!(resolve(text), Ok(expected), "{text}");
    }

    #[test]
    fn scalars_mean_what_yaml_1_2_says() {
        check("yes", json!("yes"));
        check("on", json!("on"));
        check("true", json!(true));
        check("~", json!(null));
        check("12", json!(12));
        check("+12", json!(12));
        check("-3", json!(-3));
        check("0", json!(0));
        check("0x1F", json!(31));
        check("0o17", json!(15));
        check("1.5", json!(1.5));
        check("1.", json!(1.0));
        check(".5", json!(0.5));
        check("1e3", json!(1000.0));
        check("18446744073709551615", json!(u64::MAX));
        check("1_000", json!("1_000"));
        check("10:30", json!("10:30"));
        check("2026-01-05T10:00:00Z", json!("2026-01-05T10:00:00Z"));
        check(".", json!("."));
        check("e3", json!("e3"));
        check("-", json!("-"));
        check("1e", json!("1e"));
    }

    #[test]
    fn a_number_that_would_change_on_the_way_is_not_guessed() {
        assert_eq!(resolve("007"), Err(Unclear::LeadingZero));
        assert_eq!(resolve("-01"), Err(Unclear::LeadingZero));
        assert_eq!(resolve("99999999999999999999"), Err(Unclear::TooLong));
        assert_eq!(resolve("0.12345678901234567"), Err(Unclear::TooLong));
        assert_eq!(resolve(".nan"), Err(Unclear::NotFinite));
        assert_eq!(resolve("-.inf"), Err(Unclear::NotFinite));
        assert_eq!(resolve("1e999"), Err(Unclear::NotFinite));
    }
}

//! Numbers as exact decimal text: what is a number, and its one spelling.

use std::borrow::Cow;

/// Digits a number with an exponent may grow to; a double's exponent reaches 308.
const DIGITS_MAX: usize = 400;

/// The one exact spelling of the number in `text`: no spaces, no plus sign, no needless zeros, no exponent.
/// `None` where the text is not a number.
pub(crate) fn exact(text: &str) -> Option<Cow<'_, str>> {
    let trimmed = text.trim();
    if is_exact(trimmed.as_bytes()) {
        return Some(Cow::Borrowed(trimmed));
    }
    let (negative, rest) = match trimmed.as_bytes().first()? {
        b'-' => (true, &trimmed[1..]),
        b'+' => (false, &trimmed[1..]),
        _ => (false, trimmed),
    };
    let (mantissa, exponent) = match rest.find(['e', 'E']) {
        Some(at) => (&rest[..at], Some(&rest[at + 1..])),
        None => (rest, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || whole.len() + fraction.len() == 0 {
        return None;
    }
    let (whole, fraction) = match exponent {
        None => (Cow::Borrowed(whole), Cow::Borrowed(fraction)),
        Some(exponent) => shifted(whole, fraction, exponent)?,
    };
    let whole = whole.trim_start_matches('0');
    let fraction = fraction.trim_end_matches('0');
    if whole.is_empty() && fraction.is_empty() {
        return Some(Cow::Borrowed("0"));
    }
    let mut out = String::with_capacity(whole.len() + fraction.len() + 3);
    if negative {
        out.push('-');
    }
    out.push_str(if whole.is_empty() { "0" } else { whole });
    if !fraction.is_empty() {
        out.push('.');
        out.push_str(fraction);
    }
    Some(Cow::Owned(out))
}

/// Moves the decimal point; `None` where the exponent is not a number or the result would be absurdly long.
fn shifted<'a>(
    whole: &'a str,
    fraction: &'a str,
    exponent: &str,
) -> Option<(Cow<'a, str>, Cow<'a, str>)> {
    let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let exponent: i32 = exponent.parse().ok()?;
    let by = usize::try_from(exponent.unsigned_abs()).ok()?;
    if by + whole.len() + fraction.len() > DIGITS_MAX {
        return None;
    }
    if exponent >= 0 {
        let mut moved = format!("{whole}{fraction:0<by$}");
        let rest = moved.split_off(whole.len() + by);
        Some((moved.into(), rest.into()))
    } else {
        let mut moved = format!("{whole:0>by$}");
        let tail = moved.split_off(moved.len() - by);
        Some((moved.into(), format!("{tail}{fraction}").into()))
    }
}

/// Whether the text already is the one spelling; most cells are.
fn is_exact(text: &[u8]) -> bool {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let negative = digits.len() < text.len();
    let point = digits.iter().position(|b| *b == b'.');
    let (whole, fraction) = match point {
        Some(at) => (&digits[..at], Some(&digits[at + 1..])),
        None => (digits, None),
    };
    let whole_ok = match whole {
        [] => false,
        [b'0'] => fraction.is_some() || !negative,
        [first, rest @ ..] => (b'1'..=b'9').contains(first) && rest.iter().all(u8::is_ascii_digit),
    };
    whole_ok
        && fraction.is_none_or(|digits| {
            digits.iter().all(u8::is_ascii_digit) && digits.last().is_some_and(|b| *b != b'0')
        })
}

/// The number as a whole number of units of `10^-scale`; `None` where that is not exact or too large.
pub(crate) fn scaled(exact: &str, scale: i8) -> Option<i128> {
    let (whole, fraction) = exact.split_once('.').unwrap_or((exact, ""));
    let zeros = usize::try_from(scale).ok()?.checked_sub(fraction.len())?;
    format!("{whole}{fraction}{}", "0".repeat(zeros)).parse().ok()
}

/// The double whose shortest text is exactly this number.
pub(crate) fn double(exact: &str) -> Option<f64> {
    let value: f64 = exact.parse().ok()?;
    (value.is_finite() && value.to_string() == exact).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<&str>) {
        assert_eq!(exact(text).as_deref(), expected, "{text:?}");
    }

    #[test]
    fn a_number_has_one_spelling() {
        for (text, expected) in [
            ("1", "1"),
            ("+1", "1"),
            (" 5 ", "5"),
            ("1.50", "1.5"),
            ("1.0", "1"),
            ("1.", "1"),
            (".5", "0.5"),
            ("-.50", "-0.5"),
            ("007", "7"),
            ("-0", "0"),
            ("-0.0", "0"),
            ("0", "0"),
            ("1e3", "1000"),
            ("1.5E+1", "15"),
            ("12.34e-3", "0.01234"),
            ("1234.5e-2", "12.345"),
            ("0.10000000000000000000000000000001", "0.10000000000000000000000000000001"),
            ("-12.34", "-12.34"),
        ] {
            check(text, Some(expected));
        }
    }

    #[test]
    fn what_is_not_a_number_is_refused() {
        for text in [
            "",
            " ",
            "-",
            "+",
            ".",
            "e5",
            "1e",
            "1e+",
            "1,000",
            "1_000",
            "1 000",
            "0x10",
            "NaN",
            "Infinity",
            "inf",
            "1.2.3",
            "--1",
            "٣",
            "5 %",
            "1e999999999999",
            "1e100000",
        ] {
            check(text, None);
        }
    }

    #[test]
    fn numbers_scale_exactly_or_not_at_all() {
        assert_eq!(scaled("1.5", 2), Some(150));
        assert_eq!(scaled("-0.05", 2), Some(-5));
        assert_eq!(scaled("1.555", 2), None);
        assert_eq!(double("0.1"), Some(0.1));
        assert_eq!(double("0.10000000000000000001"), None);
    }
}

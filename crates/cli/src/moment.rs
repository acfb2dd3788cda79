//! Points in time and keys as a person writes them on the command line or into a file.

use chrono::{DateTime, NaiveDate, NaiveDateTime};
use flow::{Key, Watermark};
use serde_json::Value;

use crate::failure::{Failure, Result};

/// What a moment may look like, for messages.
pub(crate) const MOMENTS: &str = "a date (2026-01-05, midnight UTC), a time (2026-01-05T10:00:00Z; without a zone it is \
                           UTC), `now`, or how long ago (90m, 12h, 7d)";

/// Reads a moment; `now` is microseconds since 1970.
///
/// # Errors
/// A usage error that says what a moment may look like.
pub(crate) fn parse(option: &str, text: &str, now: i64) -> Result<Watermark> {
    let text = text.trim();
    let micros = match text {
        "now" => Some(now),
        "infinity" | "-infinity" => None,
        _ => date(text).or_else(|| time(text)).or_else(|| now.checked_sub(duration(text)?)),
    };
    micros.map(Watermark).ok_or_else(|| {
        Failure::usage(format!("{option} `{text}` is no moment"), format!("write it as {MOMENTS}"))
    })
}

fn date(text: &str) -> Option<i64> {
    let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
    Some(day.and_hms_opt(0, 0, 0)?.and_utc().timestamp_micros())
}

fn time(text: &str) -> Option<i64> {
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Some(at.timestamp_micros());
    }
    // PostgreSQL writes +00 where RFC 3339 wants +00:00.
    for zoned in ["%Y-%m-%d %H:%M:%S%.f%#z", "%Y-%m-%dT%H:%M:%S%.f%#z"] {
        if let Ok(at) = DateTime::parse_from_str(text, zoned) {
            return Some(at.timestamp_micros());
        }
    }
    let bare = text.strip_suffix(['Z', 'z']).unwrap_or(text).replace('T', " ");
    ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M"]
        .iter()
        .find_map(|format| NaiveDateTime::parse_from_str(&bare, format).ok())
        .map(|at| at.and_utc().timestamp_micros())
}

fn duration(text: &str) -> Option<i64> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let seconds: i64 = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        "w" => 604_800,
        _ => return None,
    };
    if !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    digits.parse::<i64>().ok()?.checked_mul(seconds)?.checked_mul(1_000_000)
}

/// Reads a key: its parts separated by tabs, or a JSON array of them. `columns` is the model's primary key.
///
/// # Errors
/// A sentence when there are too many or too few parts, or a part of the array is not a scalar.
pub(crate) fn key(text: &str, columns: &[String]) -> Result<Key, String> {
    let parts = match serde_json::from_str(text) {
        Ok(Value::Array(parts)) => parts.iter().map(part).collect::<Result<Vec<_>, _>>()?,
        _ if columns.len() == 1 => vec![text.to_owned()],
        _ => text.split('\t').map(str::to_owned).collect(),
    };
    if parts.len() != columns.len() {
        return Err(format!(
            "a key of this model has {} ({}), this one has {}",
            crate::text::counted(columns.len() as u64, "part"),
            columns.join(", "),
            parts.len()
        ));
    }
    Ok(Key::from_parts(&parts))
}

fn part(value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(_) | Value::Bool(_) => Ok(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => {
            Err("a part of a key is text, a number or a boolean".to_owned())
        }
    }
}

/// Reads one key a line; empty lines are left out.
///
/// # Errors
/// A usage error that names the line, and one when there is no key at all.
pub(crate) fn keys(text: &str, columns: &[String]) -> Result<Vec<Key>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut keys = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.strip_suffix('\r').unwrap_or(line);
        if line.is_empty() {
            continue;
        }
        keys.push(key(line, columns).map_err(|problem| {
            Failure::usage(
                format!("--keys, line {}: {problem}", index + 1),
                "one key a line: its parts separated by tabs, or a JSON array",
            )
        })?);
    }
    if keys.is_empty() {
        return Err(Failure::usage("--keys names no key", "write one key a line"));
    }
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_767_607_202_000_000;

    #[track_caller]
    fn check(text: &str, expected: Option<&str>) {
        let read = parse("--from", text, NOW).ok().map(|watermark| watermark.to_string());
        assert_eq!(read.as_deref(), expected, "{text}");
    }

    #[test]
    fn moments_are_dates_times_or_how_long_ago() {
        check("2026-01-05", Some("2026-01-05T00:00:00.000000Z"));
        check("2026-01-05T10:00:02.8698Z", Some("2026-01-05T10:00:02.869800Z"));
        check("2026-01-05T10:00:02+01:00", Some("2026-01-05T09:00:02.000000Z"));
        check("2026-01-05 10:00:02.000001+00", Some("2026-01-05T10:00:02.000001Z"));
        check("2026-01-05 10:00", Some("2026-01-05T10:00:00.000000Z"));
        check("now", Some("2026-01-05T10:00:02.000000Z"));
        check("90m", Some("2026-01-05T08:30:02.000000Z"));
        check("7d", Some("2025-12-29T10:00:02.000000Z"));
        for wrong in [
            "",
            "m",
            "yesterday",
            "2026-13-01",
            "2026-02-30",
            "-3d",
            "9999999999999999d",
            "infinity",
            "7é",
        ] {
            check(wrong, None);
        }
    }

    #[test]
    fn a_file_of_keys_has_one_a_line() {
        let one = ["id".to_owned()];
        let read = keys("\u{feff}1\r\n\n a b \n[\"[x]\"]\n[7]\n", &one).expect("keys");
        let texts: Vec<_> = read.iter().map(Key::as_str).collect();
        assert_eq!(texts, ["1", " a b ", "[x]", "7"]);
        let two = ["region".to_owned(), "id".to_owned()];
        let read = keys("eu\t1\n[\"us\", 2]\n", &two).expect("keys");
        assert_eq!(read[1].parts(), ["us", "2"]);
    }

    #[test]
    fn a_wrong_key_is_named_by_its_line() {
        let two = ["region".to_owned(), "id".to_owned()];
        let failure = keys("eu\t1\neu\n", &two).expect_err("too few parts");
        assert!(failure.message().starts_with("--keys, line 2: a key of this model has 2 parts"));
        assert!(keys("[null, 1]\n", &two).is_err());
        assert!(keys("\n\n", &two).is_err());
    }
}

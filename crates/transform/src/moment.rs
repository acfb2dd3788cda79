//! Dates and moments: ISO 8601 text in, days and microseconds since 1970 in UTC out.

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};

/// Microseconds of a day.
pub(crate) const DAY_MICROS: i64 = 86_400_000_000;
/// Milliseconds of a day.
pub(crate) const DAY_MS: i64 = 86_400_000;
/// Days since 1970 of 0001-01-01 and 9999-12-31: ISO 8601 has four digits for a year.
pub(crate) const DAYS: std::ops::RangeInclusive<i64> = -719_162..=2_932_896;

/// Whether the moment is in a year from 0001 to 9999.
pub(crate) fn in_range(micros: i64) -> bool {
    DAYS.contains(&micros.div_euclid(DAY_MICROS))
}

/// Whether so many units of so many microseconds since 1970 have a date as text: not infinite, and in chrono's
/// calendar, which ends some 262,000 years from now.
pub(crate) fn has_text(units: i64, unit_micros: i64) -> bool {
    units.checked_mul(unit_micros).is_some_and(|micros| in_range(micros) || utc(micros).is_some())
}

/// Microseconds since 1970 in UTC of ISO 8601 text.
///
/// `YYYY-MM-DD`, alone or followed by `T` or a space and `HH:MM[:SS[.fraction]]` and `Z` or an offset; without
/// an offset it is UTC. `None` for anything else, also for a fraction finer than a microsecond, for 24:00
/// and for leap seconds.
pub(crate) fn parse(text: &str) -> Option<i64> {
    let text = text.trim();
    let bytes = text.as_bytes();
    if bytes.len() < 10 || !text.is_ascii() || bytes[4] != b'-' || bytes[7] != b'-' {
        return None;
    }
    let date = NaiveDate::from_ymd_opt(
        i32::try_from(digits(&bytes[..4])?).ok()?,
        digits(&bytes[5..7])?,
        digits(&bytes[8..10])?,
    )?;
    let (micros, offset_minutes) = match bytes.get(10) {
        None => (0, 0),
        Some(b'T' | b't' | b' ') => time(&text[11..])?,
        Some(_) => return None,
    };
    let midnight = date.and_time(NaiveTime::MIN).and_utc().timestamp_micros();
    let at = midnight + micros - offset_minutes * 60_000_000;
    in_range(at).then_some(at)
}

/// `HH:MM[:SS[.fraction]][offset]` as microseconds and minutes of offset.
fn time(text: &str) -> Option<(i64, i64)> {
    let offset_at = text.find(['Z', 'z', '+', '-', ' ']).unwrap_or(text.len());
    let (clock, offset) = text.split_at(offset_at);
    let offset = offset.trim_start();
    let mut parts = clock.splitn(3, ':');
    let hour = two(parts.next()?, 23)?;
    let minute = two(parts.next()?, 59)?;
    let (second, fraction) = match parts.next() {
        None => (0, 0),
        Some(seconds) => {
            let (whole, fraction) = seconds.split_once('.').unwrap_or((seconds, "0"));
            (two(whole, 59)?, fraction_micros(fraction)?)
        }
    };
    let micros = ((hour * 60 + minute) * 60 + second) * 1_000_000 + fraction;
    Some((micros, offset_minutes(offset)?))
}

fn fraction_micros(fraction: &str) -> Option<i64> {
    if fraction.is_empty() || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let (micros, finer) = fraction.split_at(fraction.len().min(6));
    if finer.bytes().any(|b| b != b'0') {
        return None;
    }
    format!("{micros:0<6}").parse().ok()
}

fn offset_minutes(offset: &str) -> Option<i64> {
    let (sign, rest) = match offset.as_bytes() {
        [] | [b'Z' | b'z'] => return Some(0),
        [b'+', ..] => (1, &offset[1..]),
        [b'-', ..] => (-1, &offset[1..]),
        _ => return None,
    };
    let (hours, minutes) = match rest.len() {
        2 => (rest, "00"),
        4 => rest.split_at(2),
        5 => rest.split_once(':')?,
        _ => return None,
    };
    Some(sign * (two(hours, 23)? * 60 + two(minutes, 59)?))
}

fn two(text: &str, max: i64) -> Option<i64> {
    (text.len() == 2)
        .then(|| digits(text.as_bytes()))
        .flatten()
        .map(i64::from)
        .filter(|n| *n <= max)
}

fn digits(bytes: &[u8]) -> Option<u32> {
    bytes.iter().try_fold(0, |sum: u32, byte| {
        byte.is_ascii_digit().then(|| sum * 10 + u32::from(byte - b'0'))
    })
}

/// The moment as chrono's type; `None` beyond its calendar.
pub(crate) fn utc(micros: i64) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp_micros(micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<&str>) {
        let parsed = parse(text).and_then(utc);
        let parsed = parsed.map(|at| at.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string());
        assert_eq!(parsed.as_deref(), expected, "{text:?}");
    }

    #[test]
    fn iso_text_is_read_to_the_microsecond() {
        for (text, expected) in [
            ("2026-01-05", "2026-01-05T00:00:00.000000Z"),
            (" 2026-01-05T10:00:02.8698Z ", "2026-01-05T10:00:02.869800Z"),
            ("2026-01-05 10:00:02+02", "2026-01-05T08:00:02.000000Z"),
            ("2026-01-05T10:00", "2026-01-05T10:00:00.000000Z"),
            ("2026-01-05T00:30:00-05:30", "2026-01-05T06:00:00.000000Z"),
            ("2026-01-05 10:00:02.123456000+0000", "2026-01-05T10:00:02.123456Z"),
            ("0001-01-01", "0001-01-01T00:00:00.000000Z"),
            ("2024-02-29", "2024-02-29T00:00:00.000000Z"),
        ] {
            check(text, Some(expected));
        }
    }

    #[test]
    fn what_is_not_iso_or_not_exact_is_refused() {
        for text in [
            "",
            "infinity",
            "05/01/2026",
            "2026-1-5",
            "2026-02-30",
            "2025-02-29",
            "20260105",
            "2026-01-05T24:00:00",
            "2026-01-05T10:00:60",
            "2026-01-05T10:00:00.1234567",
            "2026-01-05T10",
            "2026-01-05T",
            "2026-01-05X10:00",
            "2026-01-05T10:00+1",
            "10:00",
            "2026-01-05T10:00Zx",
            "2026-01-05T10:00:00.",
            "２０２６-01-05",
            "0001-01-01T00:00+10:00",
            "0000-01-01",
        ] {
            check(text, None);
        }
    }
}

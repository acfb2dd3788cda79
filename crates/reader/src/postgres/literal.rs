//! Values as SQL literals, exact to the microsecond, for COPY, which takes no parameters.

use flow::Watermark;
use postgres_protocol::escape::{escape_identifier, escape_literal};

use super::types::Carry;

const DAY_MICROS: i64 = 86_400_000_000;
/// 4714-11-24 BC, the first day PostgreSQL knows.
const FIRST_MICROS: i64 = -210_866_803_200_000_000;

/// A quoted identifier.
pub(super) fn identifier(name: &str) -> String {
    escape_identifier(name)
}

/// An identifier for people to copy: quoted only where it must be.
pub(super) fn readable(name: &str) -> String {
    let plain = name.bytes().enumerate().all(|(index, byte)| {
        matches!(byte, b'a'..=b'z' | b'_') || (index > 0 && byte.is_ascii_digit())
    });
    if plain { name.to_owned() } else { identifier(name) }
}

/// A quoted string; the server sees exactly these characters.
pub(super) fn string(text: &str) -> String {
    escape_literal(text)
}

/// The watermark as a literal of its column's type. A date is the first day at or after it.
pub(super) fn watermark(at: Watermark, carry: &Carry) -> String {
    match carry {
        Carry::Date => format!("{}::date", string(&date(at))),
        Carry::Timestamp => format!("{}::timestamp", string(&timestamp(at, ""))),
        _ => format!("{}::timestamptz", string(&timestamp(at, "+00"))),
    }
}

fn date(at: Watermark) -> String {
    match at {
        Watermark::INFINITY => "infinity".to_owned(),
        Watermark(micros) if micros < FIRST_MICROS => "-infinity".to_owned(),
        Watermark(micros) => {
            let days = micros.div_euclid(DAY_MICROS);
            let (text, era) = day(days + i64::from(micros.rem_euclid(DAY_MICROS) != 0));
            format!("{text}{era}")
        }
    }
}

fn timestamp(at: Watermark, zone: &str) -> String {
    match at {
        Watermark::INFINITY => "infinity".to_owned(),
        Watermark(micros) if micros < FIRST_MICROS => "-infinity".to_owned(),
        Watermark(micros) => {
            let (text, era) = day(micros.div_euclid(DAY_MICROS));
            let rest = micros.rem_euclid(DAY_MICROS);
            let (seconds, fraction) = (rest / 1_000_000, rest % 1_000_000);
            let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
            format!("{text} {hour:02}:{minute:02}:{second:02}.{fraction:06}{zone}{era}")
        }
    }
}

/// The Gregorian day this many days after 1970-01-01, and ` BC` where it is. Any year, unlike chrono.
fn day(days: i64) -> (String, &'static str) {
    // Years begin in March here, so that a leap day is a year's last day; eras have 400 years.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    match year {
        ..=0 => (format!("{:04}-{month:02}-{day:02}", 1 - year), " BC"),
        _ => (format!("{year:04}-{month:02}-{day:02}"), ""),
    }
}

/// One part of a key, canonical text, as PostgreSQL reads a value of its type.
/// `None` where no value of the type has this text.
pub(super) fn key_text(part: &str, carry: &Carry) -> Option<String> {
    let text = match carry {
        Carry::Int2 | Carry::Int4 | Carry::Int8 => part.parse::<i64>().ok()?.to_string(),
        Carry::Oid => part.parse::<u32>().ok()?.to_string(),
        Carry::Bool => part.parse::<bool>().ok()?.to_string(),
        Carry::Uuid => is_uuid(part).then(|| part.to_owned())?,
        Carry::Bytea => format!("\\x{part}"),
        Carry::Date => match part.strip_suffix(" d") {
            Some(days) => date(Watermark(days.parse::<i64>().ok()?.checked_mul(DAY_MICROS)?)),
            None => year_first(part),
        },
        Carry::Timestamp | Carry::TimestampTz => match part.strip_suffix(" us") {
            Some(micros) => timestamp(Watermark(micros.parse().ok()?), ""),
            None => year_first(part),
        },
        _ => part.to_owned(),
    };
    // The server has no NUL character in text.
    (!text.contains('\0')).then_some(text)
}

/// ISO 8601 years beyond four digits or before 1 AD, as PostgreSQL writes them.
fn year_first(text: &str) -> String {
    if let Some(late) = text.strip_prefix('+') {
        return late.to_owned();
    }
    let (negative, rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    match rest.split_once('-').and_then(|(year, rest)| Some((year.parse::<i64>().ok()?, rest))) {
        Some((year, rest)) if negative || year == 0 => format!("{:04}-{rest} BC", year + 1),
        _ => text.to_owned(),
    }
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(index, byte)| match index {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// An array literal of these texts.
pub(super) fn array<'a>(items: impl Iterator<Item = &'a str>) -> String {
    let mut text = String::from("{");
    for (index, item) in items.enumerate() {
        if index > 0 {
            text.push(',');
        }
        text.push('"');
        for c in item.chars() {
            if matches!(c, '"' | '\\') {
                text.push('\\');
            }
            text.push(c);
        }
        text.push('"');
    }
    text.push('}');
    string(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn watermarks_are_exact_in_any_year() {
        let text = |micros| timestamp(Watermark(micros), "+00");
        assert_eq!(text(0), "1970-01-01 00:00:00.000000+00");
        assert_eq!(text(1_767_607_202_869_801), "2026-01-05 10:00:02.869801+00");
        assert_eq!(text(-1), "1969-12-31 23:59:59.999999+00");
        assert_eq!(text(i64::MAX - 1), "294247-01-10 04:00:54.775806+00");
        assert_eq!(text(i64::MAX), "infinity");
        assert_eq!(text(i64::MIN), "-infinity");
        assert_eq!(text(i64::MIN + 1), "-infinity");
        assert_eq!(text(FIRST_MICROS), "4714-11-24 00:00:00.000000+00 BC");
        assert_eq!(text(951_782_400_000_000), "2000-02-29 00:00:00.000000+00");
    }

    #[test]
    fn a_date_watermark_is_the_first_day_not_before_it() {
        assert_eq!(date(Watermark(0)), "1970-01-01");
        assert_eq!(date(Watermark(1)), "1970-01-02");
        assert_eq!(date(Watermark(-1)), "1970-01-01");
        assert_eq!(date(Watermark(-DAY_MICROS)), "1969-12-31");
    }

    #[test]
    fn key_texts_become_values_of_their_type() {
        let check = |part: &str, carry: Carry, expected: Option<&str>| {
            assert_eq!(key_text(part, &carry).as_deref(), expected, "{part}");
        };
        check("7", Carry::Int8, Some("7"));
        check("x", Carry::Int8, None);
        check("-0043-03-15", Carry::Date, Some("0044-03-15 BC"));
        check("0000-03-15", Carry::Date, Some("0001-03-15 BC"));
        check("+12345-01-01", Carry::Date, Some("12345-01-01"));
        check("-0043-03-15T01:00:00Z", Carry::TimestampTz, Some("0044-03-15T01:00:00Z BC"));
        check("infinity", Carry::TimestampTz, Some("infinity"));
        check("-infinity", Carry::TimestampTz, Some("-infinity"));
        check("00ff", Carry::Bytea, Some("\\x00ff"));
        check("nonsense", Carry::Uuid, None);
        check("a\0b", Carry::Text, None);
    }

    #[test]
    fn nothing_escapes_from_an_array() {
        assert_eq!(array(["a", "b\"c", "d'e"].into_iter()), r#" E'{"a","b\\"c","d''e"}'"#);
    }
}

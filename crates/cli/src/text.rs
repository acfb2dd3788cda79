//! Numbers, times and tables as people read them.

use chrono::{DateTime, SecondsFormat, Utc};

/// Digits in groups of three: `48 210`.
pub(crate) fn number(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// `1 row`, `2 rows`.
pub(crate) fn counted(value: u64, noun: &str) -> String {
    let plural = if value == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", number(value))
}

/// A share of a whole, to a hundredth of a percent: `4 %`, `0.33 %`.
pub(crate) fn percent(share: f64) -> String {
    let text = format!("{:.2}", share * 100.0);
    format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
}

/// A moment to the second: `2026-01-05 10:00:02Z`.
pub(crate) fn moment(micros: i64) -> String {
    match DateTime::<Utc>::from_timestamp_micros(micros) {
        Some(at) => at.format("%Y-%m-%d %H:%M:%SZ").to_string(),
        None => format!("{micros} us"),
    }
}

/// A moment for programs: RFC 3339 in UTC with every microsecond.
pub(crate) fn rfc3339(micros: i64) -> String {
    match DateTime::<Utc>::from_timestamp_micros(micros) {
        Some(at) => at.to_rfc3339_opts(SecondsFormat::Micros, true),
        None => format!("{micros} us"),
    }
}

/// A length of time in its two largest units: `4.2 s`, `3 min 10 s`, `2 d 4 h`.
pub(crate) fn span(micros: i64) -> String {
    let seconds = micros.max(0) / 1_000_000;
    match seconds {
        0..60 => format!("{:.1} s", micros.max(0) as f64 / 1e6),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds / 3600 % 24),
    }
}

/// A configured length of time in its largest whole unit, as it is written in a project: `5m`, `90s`.
pub(crate) fn duration(micros: i64) -> String {
    for (unit, size) in [("d", 86_400_000_000), ("h", 3_600_000_000), ("m", 60_000_000)] {
        if micros != 0 && micros % size == 0 {
            return format!("{}{unit}", micros / size);
        }
    }
    match micros % 1_000_000 {
        0 => format!("{}s", micros / 1_000_000),
        _ => format!("{}ms", micros / 1_000),
    }
}

/// How long ago a moment was: `3 min ago`.
pub(crate) fn ago(now: i64, at: i64) -> String {
    let seconds = (now - at) / 1_000_000;
    match seconds {
        ..0 => "in the future".to_owned(),
        0..60 => format!("{seconds} s ago"),
        60..3600 => format!("{} min ago", seconds / 60),
        3600..86_400 => format!("{} h ago", seconds / 3600),
        _ => format!("{} d ago", seconds / 86_400),
    }
}

/// Bytes in the unit people use: `12.4 MB`.
pub(crate) fn bytes(value: u64) -> String {
    match value {
        0..1_000 => format!("{value} B"),
        1_000..1_000_000 => format!("{:.1} kB", value as f64 / 1e3),
        _ => format!("{:.1} MB", value as f64 / 1e6),
    }
}

/// Columns of text, padded to the widest cell of each and two spaces apart; the first row is the heading.
/// Lines carry no trailing spaces.
pub(crate) fn table(rows: &[Vec<String>]) -> Vec<String> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max()
    };
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    rows.iter()
        .map(|row| {
            let cells: Vec<String> =
                row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
            cells.join("  ").trim_end().to_owned()
        })
        .collect()
}

/// Longest value shown in a line, in characters.
const VALUE_CHARS_MAX: usize = 40;

/// A value, cut where it is too long for a line among others.
pub(crate) fn shortened(value: &str) -> String {
    match value.char_indices().nth(VALUE_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &value[..end]),
        None => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_value_is_cut_between_characters() {
        assert_eq!(shortened("short"), "short");
        assert_eq!(shortened(&"é".repeat(60)).chars().count(), VALUE_CHARS_MAX + 1);
    }

    #[test]
    fn numbers_are_grouped_by_three() {
        assert_eq!(number(0), "0");
        assert_eq!(number(999), "999");
        assert_eq!(number(1_000), "1 000");
        assert_eq!(number(48_210), "48 210");
        assert_eq!(number(1_000_000), "1 000 000");
        assert_eq!(counted(1, "row"), "1 row");
        assert_eq!(counted(1_200, "request"), "1 200 requests");
    }

    #[test]
    fn times_are_short_and_in_utc() {
        let at = 1_767_607_202_869_800;
        assert_eq!(moment(at), "2026-01-05 10:00:02Z");
        assert_eq!(rfc3339(at), "2026-01-05T10:00:02.869800Z");
        assert_eq!(span(4_210_000), "4.2 s");
        assert_eq!(span(190_000_000), "3 min 10 s");
        assert_eq!(span(187_200_000_000), "2 d 4 h");
        assert_eq!(duration(300_000_000), "5m");
        assert_eq!(duration(90_000_000), "90s");
        assert_eq!(duration(0), "0s");
        assert_eq!(duration(1_500_000), "1500ms");
        assert_eq!(ago(at, at - 180_000_000), "3 min ago");
        assert_eq!(ago(at, at + 2_000_000), "in the future");
        assert_eq!(moment(i64::MAX), "9223372036854775807 us");
    }

    #[test]
    fn tables_line_up_without_trailing_spaces() {
        let rows = [vec!["sync", "rows"], vec!["a", "1"], vec!["longer", ""]]
            .map(|row| row.into_iter().map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(table(&rows), ["sync    rows", "a       1", "longer"]);
    }
}

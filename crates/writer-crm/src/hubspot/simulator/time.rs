//! Dates and times as HubSpot reads and writes them.

use chrono::{DateTime, NaiveDate};

const DAY_MS: i64 = 86_400_000;

/// Milliseconds since 1970 as `2019-10-30T03:30:17.883Z`; years 0 to 9999.
pub(super) fn iso(unix_ms: i64) -> String {
    let (year, month, day) = civil(unix_ms.div_euclid(DAY_MS));
    let ms = unix_ms.rem_euclid(DAY_MS);
    let (hour, minute) = (ms / 3_600_000, ms / 60_000 % 60);
    let (second, milli) = (ms / 1_000 % 60, ms % 1_000);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
}

/// The calendar day of a count of days since 1970-01-01 (proleptic Gregorian).
fn civil(days: i64) -> (i64, i64, i64) {
    // Counted from 0000-03-01, so that the leap day is the last of its year.
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

/// A date property: midnight UTC in epoch milliseconds, or `YYYY-MM-DD`; kept as the latter.
///
/// # Errors
/// The sentence HubSpot puts into its error.
pub(super) fn date(text: &str) -> Result<String, String> {
    if let Some(unix_ms) = epoch(text) {
        let ms = unix_ms.rem_euclid(DAY_MS);
        if ms == 0 {
            return Ok(iso(unix_ms)[..10].to_owned());
        }
        let (hour, minute) = (ms / 3_600_000, ms / 60_000 % 60);
        let (second, milli) = (ms / 1_000 % 60, ms % 1_000);
        return Err(format!("{text} is at {hour}:{minute}:{second}.{milli} UTC, not midnight!"));
    }
    let well_formed = text.len() == 10 && text.is_ascii();
    match NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        Ok(_) if well_formed => Ok(text.to_owned()),
        _ => Err(format!("{text} was not a valid date.")),
    }
}

/// A datetime property: epoch milliseconds, or ISO 8601 with a zone; kept in UTC to the millisecond.
///
/// # Errors
/// The sentence HubSpot puts into its error.
pub(super) fn datetime(text: &str) -> Result<String, String> {
    if let Some(unix_ms) = epoch(text) {
        return Ok(iso(unix_ms));
    }
    match DateTime::parse_from_rfc3339(text) {
        Ok(moment) if in_range(moment.timestamp_millis()) => Ok(iso(moment.timestamp_millis())),
        _ => Err(format!("{text} was not a valid datetime.")),
    }
}

fn epoch(text: &str) -> Option<i64> {
    text.parse().ok().filter(|unix_ms| in_range(*unix_ms))
}

/// Years 0 to 9999.
fn in_range(unix_ms: i64) -> bool {
    (-62_167_219_200_000..=253_402_300_799_999).contains(&unix_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_as_hubspot_does() {
        assert_eq!(iso(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(iso(1_572_406_217_883), "2019-10-30T03:30:17.883Z");
        assert_eq!(iso(-1), "1969-12-31T23:59:59.999Z");
        assert_eq!(iso(951_782_400_000), "2000-02-29T00:00:00.000Z");
        assert_eq!(iso(253_402_300_799_999), "9999-12-31T23:59:59.999Z");
    }

    #[test]
    fn our_calendar_agrees_with_chrono_on_every_day_of_four_centuries() {
        for day in -146_097..146_097 {
            let chrono = DateTime::from_timestamp_millis(day * DAY_MS).unwrap();
            assert_eq!(iso(day * DAY_MS)[..10], chrono.format("%Y-%m-%d").to_string());
        }
    }

    #[test]
    fn a_date_is_a_day_and_nothing_else() {
        assert_eq!(date("2024-02-29").as_deref(), Ok("2024-02-29"));
        assert_eq!(date("1572393600000").as_deref(), Ok("2019-10-30"));
        assert_eq!(
            date("1579179660000").unwrap_err(),
            "1579179660000 is at 13:1:0.0 UTC, not midnight!"
        );
        for text in ["2023-02-29", "2024-2-9", "29.02.2024", "2024-02-29T00:00:00Z", "soon", ""] {
            assert!(date(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_datetime_needs_a_zone() {
        assert_eq!(datetime("1572406217883").as_deref(), Ok("2019-10-30T03:30:17.883Z"));
        assert_eq!(
            datetime("2019-10-30T05:30:17.883999+02:00").as_deref(),
            Ok("2019-10-30T03:30:17.883Z")
        );
        for text in ["2019-10-30T03:30:17", "2019-10-30", "1.5e12", "99999999999999999999"] {
            assert!(datetime(text).is_err(), "{text}");
        }
    }
}

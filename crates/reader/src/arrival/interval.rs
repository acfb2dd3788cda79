//! Intervals and durations as ISO 8601 text, spelt as PostgreSQL spells them.

use std::fmt::Write as _;
use std::sync::Arc;

use flow::arrow::array::{Array, ArrayRef, AsArray, StringArray};
use flow::arrow::datatypes::{
    DataType, DurationMicrosecondType, DurationMillisecondType, DurationNanosecondType,
    DurationSecondType, IntervalDayTimeType, IntervalMonthDayNanoType, IntervalUnit,
    IntervalYearMonthType, TimeUnit,
};
use flow::arrow::error::ArrowError;

/// The text of every interval.
pub(super) fn texts(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let texts = (0..column.len())
        .map(|row| match column.is_null(row) {
            true => Ok(None),
            false => {
                parts(column, row).map(|(months, days, nanos)| Some(text(months, days, nanos)))
            }
        })
        .collect::<Result<StringArray, ArrowError>>()?;
    Ok(Arc::new(texts))
}

/// Months, days and nanoseconds.
fn parts(column: &ArrayRef, row: usize) -> Result<(i32, i32, i128), ArrowError> {
    let seconds = |count: i64, nanos: i128| (0, 0, i128::from(count) * nanos);
    Ok(match column.data_type() {
        DataType::Interval(IntervalUnit::YearMonth) => {
            (column.as_primitive::<IntervalYearMonthType>().value(row), 0, 0)
        }
        DataType::Interval(IntervalUnit::DayTime) => {
            let value = column.as_primitive::<IntervalDayTimeType>().value(row);
            (0, value.days, i128::from(value.milliseconds) * 1_000_000)
        }
        DataType::Interval(IntervalUnit::MonthDayNano) => {
            let value = column.as_primitive::<IntervalMonthDayNanoType>().value(row);
            (value.months, value.days, i128::from(value.nanoseconds))
        }
        DataType::Duration(TimeUnit::Second) => {
            seconds(column.as_primitive::<DurationSecondType>().value(row), 1_000_000_000)
        }
        DataType::Duration(TimeUnit::Millisecond) => {
            seconds(column.as_primitive::<DurationMillisecondType>().value(row), 1_000_000)
        }
        DataType::Duration(TimeUnit::Microsecond) => {
            seconds(column.as_primitive::<DurationMicrosecondType>().value(row), 1_000)
        }
        DataType::Duration(TimeUnit::Nanosecond) => {
            seconds(column.as_primitive::<DurationNanosecondType>().value(row), 1)
        }
        other => return Err(ArrowError::CastError(format!("{other} is no interval"))),
    })
}

fn text(months: i32, days: i32, nanos: i128) -> String {
    if (months, days, nanos) == (0, 0, 0) {
        return "PT0S".to_owned();
    }
    let mut text = String::from("P");
    let mut part = |value: i128, unit: char| {
        if value != 0 {
            let _ = write!(text, "{value}{unit}");
        }
    };
    part(i128::from(months / 12), 'Y');
    part(i128::from(months % 12), 'M');
    part(i128::from(days), 'D');
    if nanos != 0 {
        text.push('T');
        let seconds = nanos / 1_000_000_000;
        let fraction = (nanos % 1_000_000_000).unsigned_abs();
        for (value, unit) in [(seconds / 3600, 'H'), (seconds / 60 % 60, 'M')] {
            if value != 0 {
                let _ = write!(text, "{value}{unit}");
            }
        }
        let rest = seconds % 60;
        if rest != 0 || fraction != 0 {
            let sign = if nanos < 0 { "-" } else { "" };
            let digits = format!("{fraction:09}");
            let digits = digits.trim_end_matches('0');
            let point = if digits.is_empty() { "" } else { "." };
            let _ = write!(text, "{sign}{}{point}{digits}S", rest.unsigned_abs());
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::text;

    #[test]
    fn intervals_are_spelt_as_postgresql_spells_them() {
        // SELECT ... with IntervalStyle iso_8601.
        let micros = |micros: i128| micros * 1_000;
        for (interval, expected) in [
            ((0, 0, 0), "PT0S"),
            ((14, -3, micros(14_706_789_012)), "P1Y2M-3DT4H5M6.789012S"),
            ((1, -1, 0), "P1M-1D"),
            ((-14, 0, 0), "P-1Y-2M"),
            ((0, 0, micros(-500_000)), "PT-0.5S"),
            ((0, 0, micros(-3_600_500_000)), "PT-1H-0.5S"),
            ((0, 2, micros(60_000_000)), "P2DT1M"),
        ] {
            assert_eq!(text(interval.0, interval.1, interval.2), expected);
        }
    }
}

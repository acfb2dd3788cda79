//! Arrow cells written straight into a JSON body: no JSON tree, and for common types no allocation per cell.

use std::io::Write as _;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, PrimitiveArray, StringArray};
use arrow::datatypes::{
    DataType, Date32Type, Field, Float64Type, Int16Type, Int32Type, Int64Type, TimeUnit,
    TimestampMicrosecondType,
};

/// Decimals of a second in a date with time; what is beyond is cut off, never rounded up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecondDecimals {
    /// Milliseconds.
    Three,
    /// Microseconds.
    Six,
    /// None, and no `Z` either: for a destination that reads `YYYY-MM-DDTHH:MM:SS` as UTC.
    Bare,
}

/// How a destination spells values as text. Numbers are always exact decimals, dates `YYYY-MM-DD`, dates with
/// time ISO 8601 in UTC with `Z`.
#[derive(Debug, Clone, Copy)]
pub struct Spelling {
    /// Decimals of a second.
    pub second_decimals: SecondDecimals,
    /// Between the items of a list.
    pub list_separator: &'static str,
}

/// One column, ready to be written cell by cell.
#[derive(Debug)]
pub struct Cells<'a> {
    column: &'a ArrayRef,
    kind: CellKind<'a>,
    spelling: Spelling,
}

#[derive(Debug)]
enum CellKind<'a> {
    Text(&'a StringArray),
    /// Text that is one JSON value, exact numbers included.
    Json(&'a StringArray),
    Float(&'a PrimitiveArray<Float64Type>),
    Boolean(&'a BooleanArray),
    Int16(&'a PrimitiveArray<Int16Type>),
    Int32(&'a PrimitiveArray<Int32Type>),
    Int64(&'a PrimitiveArray<Int64Type>),
    Date(&'a PrimitiveArray<Date32Type>),
    Moment(&'a PrimitiveArray<TimestampMicrosecondType>),
    List,
    /// Everything else, by its canonical text.
    Other,
}

impl<'a> Cells<'a> {
    /// Looks at the column's type once, so that the cells need not.
    pub fn new(column: &'a ArrayRef, spelling: Spelling) -> Self {
        let kind = match column.data_type() {
            DataType::Utf8 => CellKind::Text(column.as_string()),
            DataType::Boolean => CellKind::Boolean(column.as_boolean()),
            DataType::Int16 => CellKind::Int16(column.as_primitive()),
            DataType::Int32 => CellKind::Int32(column.as_primitive()),
            DataType::Int64 => CellKind::Int64(column.as_primitive()),
            DataType::Date32 => CellKind::Date(column.as_primitive()),
            DataType::Timestamp(TimeUnit::Microsecond, _) => {
                CellKind::Moment(column.as_primitive())
            }
            DataType::Float64 => CellKind::Float(column.as_primitive()),
            DataType::List(_) => CellKind::List,
            _ => CellKind::Other,
        };
        Self { column, kind, spelling }
    }

    /// As [`Cells::new`], for a column whose field says what its text means: text that is JSON by Arrow's canonical
    /// extension `arrow.json` (<https://arrow.apache.org/docs/format/CanonicalExtensions.html>) is JSON in the body, too.
    pub fn of(field: &Field, column: &'a ArrayRef, spelling: Spelling) -> Self {
        let mut cells = Self::new(column, spelling);
        let extension = field.metadata().get("ARROW:extension:name");
        if let (CellKind::Text(texts), Some("arrow.json")) =
            (&cells.kind, extension.map(String::as_str))
        {
            cells.kind = CellKind::Json(texts);
        }
        cells
    }

    /// Whether the cell is null.
    pub fn is_null(&self, row: usize) -> bool {
        self.column.is_null(row)
    }

    /// Whether the column is free text.
    pub fn is_text(&self) -> bool {
        matches!(self.kind, CellKind::Text(_))
    }

    /// The cell's moment in microseconds since 1970, where the column holds moments.
    pub fn micros(&self, row: usize) -> Option<i64> {
        match &self.kind {
            CellKind::Moment(cells) if cells.is_valid(row) => Some(cells.value(row)),
            _ => None,
        }
    }

    /// Appends the cell's text as a JSON string, quotes included; `""` for null.
    pub fn push_string(&self, row: usize, out: &mut Vec<u8>) {
        out.push(b'"');
        if !self.is_null(row) {
            self.push_text(row, out);
        }
        out.push(b'"');
    }

    /// Appends the cell as the JSON value it is: a number, `true`, a list, an object, else a string; `null` for null.
    pub fn push_json(&self, row: usize, out: &mut Vec<u8>) {
        if self.is_null(row) {
            out.extend_from_slice(b"null");
            return;
        }
        match &self.kind {
            CellKind::Json(cells) => out.extend_from_slice(cells.value(row).as_bytes()),
            CellKind::Boolean(_) | CellKind::Int16(_) | CellKind::Int32(_) | CellKind::Int64(_) => {
                self.push_text(row, out);
            }
            CellKind::Float(cells) if cells.value(row).is_finite() => self.push_text(row, out),
            CellKind::Other if self.column.data_type().is_numeric() => {
                out.extend_from_slice(flow::text_at(self.column, row).as_bytes());
            }
            CellKind::List => {
                let items = self.column.as_list::<i32>().value(row);
                let cells = Cells::new(&items, self.spelling);
                out.push(b'[');
                for item in 0..items.len() {
                    if item > 0 {
                        out.push(b',');
                    }
                    cells.push_json(item, out);
                }
                out.push(b']');
            }
            _ => self.push_string(row, out),
        }
    }

    fn push_text(&self, row: usize, out: &mut Vec<u8>) {
        match &self.kind {
            CellKind::Text(cells) | CellKind::Json(cells) => push_escaped(cells.value(row), out),
            CellKind::Boolean(cells) => {
                out.extend_from_slice(if cells.value(row) { b"true" } else { b"false" });
            }
            CellKind::Int16(cells) => push_integer(i64::from(cells.value(row)), out),
            CellKind::Int32(cells) => push_integer(i64::from(cells.value(row)), out),
            CellKind::Int64(cells) => push_integer(cells.value(row), out),
            CellKind::Date(cells) => match civil(i64::from(cells.value(row))) {
                Some(date) => push_date(date, out),
                None => self.push_canonical(row, out),
            },
            CellKind::Moment(cells) => {
                let micros = cells.value(row);
                match civil(micros.div_euclid(DAY_MICROS)) {
                    Some(date) => self.push_moment(date, micros.rem_euclid(DAY_MICROS), out),
                    None => self.push_canonical(row, out),
                }
            }
            CellKind::List => self.push_list(row, out),
            CellKind::Float(_) | CellKind::Other => self.push_canonical(row, out),
        }
    }

    /// The cell, where the column is text; for null, whatever lies there.
    pub(crate) fn as_text(&self, row: usize) -> Option<&str> {
        match &self.kind {
            CellKind::Text(cells) | CellKind::Json(cells) => Some(cells.value(row)),
            _ => None,
        }
    }

    /// Whether cells are spelled with digits, letters and `-:.` alone, so that no format has to escape them.
    pub(crate) fn is_plain(&self) -> bool {
        let text = matches!(self.kind, CellKind::Text(_) | CellKind::Json(_) | CellKind::List);
        !text && !matches!(self.kind, CellKind::Other)
    }

    /// Appends the text of a cell that [`Cells::is_plain`].
    pub(crate) fn push_plain(&self, row: usize, out: &mut Vec<u8>) {
        self.push_text(row, out);
    }

    /// The text of any cell that is not null.
    pub(crate) fn text(&self, row: usize) -> std::borrow::Cow<'_, str> {
        if !matches!(self.kind, CellKind::List) {
            return flow::text_at(self.column, row);
        }
        let items = self.column.as_list::<i32>().value(row);
        let items: Vec<String> = (0..items.len())
            .filter(|item| !items.is_null(*item))
            .map(|item| flow::text_at(&items, item).into_owned())
            .collect();
        items.join(self.spelling.list_separator).into()
    }

    fn push_canonical(&self, row: usize, out: &mut Vec<u8>) {
        push_escaped(&flow::text_at(self.column, row), out);
    }

    fn push_moment(&self, date: (u32, u32, u32), micros: i64, out: &mut Vec<u8>) {
        push_date(date, out);
        let seconds = micros / 1_000_000;
        let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        let fraction = micros % 1_000_000;
        // Writing to a Vec cannot fail.
        let _ = match self.spelling.second_decimals {
            SecondDecimals::Three => {
                write!(out, "T{hour:02}:{minute:02}:{second:02}.{:03}Z", fraction / 1000)
            }
            SecondDecimals::Six => {
                write!(out, "T{hour:02}:{minute:02}:{second:02}.{fraction:06}Z")
            }
            SecondDecimals::Bare => write!(out, "T{hour:02}:{minute:02}:{second:02}"),
        };
    }

    fn push_list(&self, row: usize, out: &mut Vec<u8>) {
        let items = self.column.as_list::<i32>().value(row);
        let cells = Cells::new(&items, self.spelling);
        let mut first = true;
        for item in (0..items.len()).filter(|item| !items.is_null(*item)) {
            if !first {
                push_escaped(self.spelling.list_separator, out);
            }
            first = false;
            cells.push_text(item, out);
        }
    }
}

/// Appends `text` as a JSON string, quotes included.
pub fn push_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    push_escaped(text, out);
    out.push(b'"');
}

/// Appends `value` in decimal.
pub fn push_integer(value: i64, out: &mut Vec<u8>) {
    let mut digits = [0_u8; 20];
    let mut at = digits.len();
    let mut rest = value.unsigned_abs();
    loop {
        at -= 1;
        // A remainder of ten is one digit.
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if value < 0 {
        out.push(b'-');
    }
    out.extend_from_slice(&digits[at..]);
}

/// Escapes what JSON must have escaped: quotes, backslashes and control characters. Runs without any are
/// copied at once.
fn push_escaped(text: &str, out: &mut Vec<u8>) {
    let bytes = text.as_bytes();
    let mut copied = 0;
    for (index, byte) in bytes.iter().enumerate() {
        if *byte >= 0x20 && *byte != b'"' && *byte != b'\\' {
            continue;
        }
        out.extend_from_slice(&bytes[copied..index]);
        copied = index + 1;
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            control => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                out.extend_from_slice(b"\\u00");
                out.push(HEX[usize::from(control >> 4)]);
                out.push(HEX[usize::from(control & 15)]);
            }
        }
    }
    out.extend_from_slice(&bytes[copied..]);
}

const DAY_MICROS: i64 = 86_400_000_000;

/// Year, month and day of a day number since 1970; `None` outside the years 1 to 9999, which have no
/// four-digit spelling.
///
/// The arithmetic counts years from March, so that the leap day is the last day of a year.
fn civil(days: i64) -> Option<(u32, u32, u32)> {
    /// From 0000-03-01 to 1970-01-01.
    const EPOCH: i64 = 719_468;
    const ERA_DAYS: i64 = 146_097;
    if !(-719_162..=2_932_896).contains(&days) {
        return None;
    }
    let shifted = days + EPOCH;
    let era = shifted.div_euclid(ERA_DAYS);
    let day = shifted.rem_euclid(ERA_DAYS);
    let year_of_era = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    Some((year as u32, month as u32, day_of_month as u32))
}

fn push_date((year, month, day): (u32, u32, u32), out: &mut Vec<u8>) {
    // Writing to a Vec cannot fail.
    let _ = write!(out, "{year:04}-{month:02}-{day:02}");
}

#[cfg(test)]
mod tests;

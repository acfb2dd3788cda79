//! Keys as bytes that compare the way a read by primary key orders its rows, so that a ledger kept in that order can be
//! merged with the read (hazards: collations, and 1, 1.0 and 1.00 as one key).

use arrow::datatypes::{DataType, Field, TimeUnit};

use crate::column::{date, timestamp};
use crate::{Key, SOURCE_TYPE};

/// Begins a whole key that does not have the order's number of parts; after every other key.
const OTHER_KEY: u8 = 0xFF;
/// Begins a part that is no value of the part's type; after every other value. No UTF-8 text begins like that.
const OTHER_PART: u8 = 0xFE;
/// Ends a text that more follows: less than any byte of a longer text.
const END: [u8; 2] = [0, 0];
/// Stands for a NUL byte within a text.
const NUL: [u8; 2] = [0, 0xFF];
/// An integer's first byte is this plus the number of bytes of its magnitude, or minus it for a negative one.
const INTEGER_ZERO: u8 = 0x80;
const INTEGER_BYTES_MAX: u8 = 16;
/// First bytes of numbers, in their order; PostgreSQL has NaN after all others.
const NEG_INFINITY: u8 = 0x10;
const NEGATIVE: u8 = 0x20;
const ZERO: u8 = 0x30;
const POSITIVE: u8 = 0x40;
const INFINITY: u8 = 0x50;
const NAN: u8 = 0x60;
/// Begins a date or a moment.
const TIME: u8 = 0x01;

/// How one part of a key is ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartOrder {
    /// By the bytes of its text: text in any collation, UUIDs, booleans, times of day, binary.
    Text,
    /// Whole numbers, by value.
    Integer,
    /// Exact and floating-point numbers, by value; NaN is the largest.
    Number,
    /// Days, from `-infinity` to `infinity`.
    Date,
    /// Microseconds, from `-infinity` to `infinity`, without a time zone.
    Moment,
    /// As [`PartOrder::Moment`], with a time zone.
    ZonedMoment,
}

/// The order of a model's rows by primary key. The default, without parts, is the order of the keys' own text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyOrder(Vec<PartOrder>);

impl KeyOrder {
    /// The order of keys made of these columns, as a source reads them.
    pub fn of<'a>(columns: impl IntoIterator<Item = &'a Field>) -> Self {
        Self(columns.into_iter().map(part_order).collect())
    }

    /// An order by these parts.
    pub fn by(parts: impl Into<Vec<PartOrder>>) -> Self {
        Self(parts.into())
    }

    /// The parts, in the order of the model's `primary_key`.
    pub fn parts(&self) -> &[PartOrder] {
        &self.0
    }

    /// A short name to remember the order by; [`KeyOrder::named`] reads it.
    pub fn name(&self) -> String {
        self.0.iter().map(|part| letter(*part)).collect()
    }

    /// The order of that name; `None` for a name of another version.
    pub fn named(name: &str) -> Option<Self> {
        let part = |wanted| PARTS.into_iter().find(|part| letter(*part) == wanted);
        name.chars().map(part).collect::<Option<Vec<_>>>().map(Self)
    }

    /// Appends the key as bytes. Two keys compare as their bytes do, and [`KeyOrder::decode`] gives the key back.
    pub fn encode(&self, key: &Key, out: &mut Vec<u8>) {
        if self.0.is_empty() {
            out.extend_from_slice(key.as_str().as_bytes());
            return;
        }
        if let ([part], Some(text)) = (self.0.as_slice(), key.single()) {
            encode_part(*part, text, true, out);
            return;
        }
        let parts = key.parts();
        if parts.len() != self.0.len() {
            out.push(OTHER_KEY);
            out.extend_from_slice(key.as_str().as_bytes());
            return;
        }
        for (index, (part, text)) in self.0.iter().zip(&parts).enumerate() {
            encode_part(*part, text, index + 1 == parts.len(), out);
        }
    }

    /// The key of these bytes; `None` for bytes that are none of ours.
    pub fn decode(&self, bytes: &[u8]) -> Option<Key> {
        if self.0.is_empty() {
            return Some(Key::from_stored(std::str::from_utf8(bytes).ok()?));
        }
        if let Some(text) = bytes.strip_prefix(&[OTHER_KEY]) {
            return Some(Key::from_stored(std::str::from_utf8(text).ok()?));
        }
        let mut rest = bytes;
        let mut parts = Vec::with_capacity(self.0.len());
        for (index, part) in self.0.iter().enumerate() {
            parts.push(decode_part(*part, index + 1 == self.0.len(), &mut rest)?);
        }
        rest.is_empty().then(|| Key::from_parts(&parts))
    }
}

const PARTS: [PartOrder; 6] = [
    PartOrder::Text,
    PartOrder::Integer,
    PartOrder::Number,
    PartOrder::Date,
    PartOrder::Moment,
    PartOrder::ZonedMoment,
];

fn letter(part: PartOrder) -> char {
    match part {
        PartOrder::Text => 't',
        PartOrder::Integer => 'i',
        PartOrder::Number => 'n',
        PartOrder::Date => 'd',
        PartOrder::Moment => 'm',
        PartOrder::ZonedMoment => 'z',
    }
}

fn part_order(field: &Field) -> PartOrder {
    match field.data_type() {
        DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::UInt8
        | DataType::UInt16
        | DataType::UInt32
        | DataType::UInt64 => PartOrder::Integer,
        DataType::Float32 | DataType::Float64 | DataType::Decimal128(..) => PartOrder::Number,
        DataType::Date32 => PartOrder::Date,
        DataType::Timestamp(TimeUnit::Microsecond, None) => PartOrder::Moment,
        DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => PartOrder::ZonedMoment,
        // A numeric too wide for Arrow travels as text and is ordered as a number.
        DataType::Utf8 => match field.metadata().get(SOURCE_TYPE) {
            Some(name) if name.starts_with("numeric") => PartOrder::Number,
            _ => PartOrder::Text,
        },
        _ => PartOrder::Text,
    }
}

fn encode_part(part: PartOrder, text: &str, last: bool, out: &mut Vec<u8>) {
    let known = match part {
        PartOrder::Text => {
            encode_text(text, last, out);
            true
        }
        PartOrder::Integer => encode_integer(text, out),
        PartOrder::Number => encode_number(text, out),
        PartOrder::Date | PartOrder::Moment | PartOrder::ZonedMoment => {
            encode_time(part, text, out)
        }
    };
    if !known {
        out.push(OTHER_PART);
        encode_text(text, last, out);
    }
}

fn decode_part(part: PartOrder, last: bool, rest: &mut &[u8]) -> Option<String> {
    if part == PartOrder::Text {
        return decode_text(last, rest);
    }
    let (first, after) = rest.split_first()?;
    *rest = after;
    match (*first, part) {
        (OTHER_PART, _) => decode_text(last, rest),
        (first, PartOrder::Integer) => decode_integer(first, rest),
        (first, PartOrder::Number) => decode_number(first, rest),
        (TIME, part) => {
            let (value, after) = rest.split_first_chunk::<8>()?;
            *rest = after;
            moment_text(part, (u64::from_be_bytes(*value) ^ 1 << 63).cast_signed())
        }
        _ => None,
    }
}

fn encode_text(text: &str, last: bool, out: &mut Vec<u8>) {
    if last {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    for byte in text.bytes() {
        match byte {
            0 => out.extend_from_slice(&NUL),
            byte => out.push(byte),
        }
    }
    out.extend_from_slice(&END);
}

fn decode_text(last: bool, rest: &mut &[u8]) -> Option<String> {
    if last {
        return String::from_utf8(std::mem::take(rest).to_vec()).ok();
    }
    let mut text = Vec::new();
    loop {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        match byte {
            0 => {
                let (mark, after) = rest.split_first()?;
                *rest = after;
                match mark {
                    0 => return String::from_utf8(text).ok(),
                    _ => text.push(0),
                }
            }
            byte => text.push(*byte),
        }
    }
}

/// Whether the text is a whole number as we write it.
fn encode_integer(text: &str, out: &mut Vec<u8>) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let negative = digits.len() < text.len();
    let canonical = match digits.as_bytes() {
        [b'0'] => !negative,
        [b'1'..=b'9', rest @ ..] => rest.len() < 38 && rest.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    if !canonical {
        return false;
    }
    let magnitude = digits.bytes().fold(0_u128, |sum, digit| sum * 10 + u128::from(digit - b'0'));
    push_integer(negative, magnitude, out);
    true
}

fn push_integer(negative: bool, magnitude: u128, out: &mut Vec<u8>) {
    let bytes = magnitude.to_be_bytes();
    let skip = (magnitude.leading_zeros() / 8) as usize;
    let length = (bytes.len() - skip) as u8;
    if negative {
        out.push(INTEGER_ZERO - length);
        out.extend(bytes[skip..].iter().map(|byte| !byte));
    } else {
        out.push(INTEGER_ZERO + length);
        out.extend_from_slice(&bytes[skip..]);
    }
}

fn decode_integer(first: u8, rest: &mut &[u8]) -> Option<String> {
    let length = first.abs_diff(INTEGER_ZERO);
    if length > INTEGER_BYTES_MAX {
        return None;
    }
    let (bytes, after) = rest.split_at_checked(usize::from(length))?;
    *rest = after;
    let negative = first < INTEGER_ZERO;
    let flip = if negative { 0xFF } else { 0 };
    let magnitude = bytes.iter().fold(0_u128, |sum, byte| sum << 8 | u128::from(byte ^ flip));
    Some(if negative { format!("-{magnitude}") } else { magnitude.to_string() })
}

/// A number is its sign, its power of ten and its digits in pairs; a negative one has all bits after the sign flipped.
fn encode_number(text: &str, out: &mut Vec<u8>) -> bool {
    let special = match text {
        "NaN" => Some(NAN),
        "Infinity" => Some(INFINITY),
        "-Infinity" => Some(NEG_INFINITY),
        "0" => Some(ZERO),
        _ => None,
    };
    if let Some(first) = special {
        out.push(first);
        return true;
    }
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let canonical = digits(whole)
        && digits(fraction)
        && (whole == "0" || whole.starts_with(|first: char| first != '0'))
        && !fraction.ends_with('0')
        && unsigned.contains('.') != fraction.is_empty()
        && unsigned != "0";
    if !canonical {
        return false;
    }
    let whole = if whole == "0" { "" } else { whole };
    let zeros = fraction.len() - fraction.trim_start_matches('0').len();
    // The value is 0.DIGITS times ten to the power.
    let (power, fraction) = match whole.is_empty() {
        true => (-(zeros as i64), &fraction[zeros..]),
        false => (whole.len() as i64, fraction),
    };
    let significant = if fraction.is_empty() { whole.trim_end_matches('0') } else { whole };
    let negative = unsigned.len() < text.len();
    out.push(if negative { NEGATIVE } else { POSITIVE });
    let begin = out.len();
    out.extend_from_slice(&((power + (1 << 31)) as u32).to_be_bytes());
    let mut pending: Option<u8> = None;
    for digit in significant.bytes().chain(fraction.bytes()).map(|byte| byte - b'0') {
        match pending.take() {
            None => pending = Some(digit),
            Some(tens) => out.push(1 + tens * 10 + digit),
        }
    }
    out.extend(pending.map(|tens| 1 + tens * 10));
    out.push(0);
    if negative {
        out[begin..].iter_mut().for_each(|byte| *byte = !*byte);
    }
    true
}

fn decode_number(first: u8, rest: &mut &[u8]) -> Option<String> {
    let special = match first {
        NAN => Some("NaN"),
        INFINITY => Some("Infinity"),
        NEG_INFINITY => Some("-Infinity"),
        ZERO => Some("0"),
        NEGATIVE | POSITIVE => None,
        _ => return None,
    };
    if let Some(text) = special {
        return Some(text.to_owned());
    }
    let flip = if first == NEGATIVE { 0xFF } else { 0 };
    let (power, after) = rest.split_first_chunk::<4>()?;
    let power = i64::from(u32::from_be_bytes(power.map(|byte| byte ^ flip))) - (1 << 31);
    let end = after.iter().position(|byte| *byte == flip)?;
    let mut digits = String::with_capacity(end * 2);
    for byte in &after[..end] {
        let pair = (byte ^ flip).checked_sub(1).filter(|pair| *pair < 100)?;
        digits.push(char::from(b'0' + pair / 10));
        digits.push(char::from(b'0' + pair % 10));
    }
    *rest = &after[end + 1..];
    let digits = digits.trim_end_matches('0');
    let sign = if first == NEGATIVE { "-" } else { "" };
    let size = usize::try_from(power.unsigned_abs()).ok()?;
    // No number of any warehouse is longer; damaged bytes must not ask for gigabytes.
    if digits.is_empty() || size > 1 << 20 {
        return None;
    }
    Some(if power <= 0 {
        format!("{sign}0.{}{digits}", "0".repeat(size))
    } else if digits.len() <= size {
        format!("{sign}{digits}{}", "0".repeat(size - digits.len()))
    } else {
        format!("{sign}{}.{}", &digits[..size], &digits[size..])
    })
}

fn encode_time(part: PartOrder, text: &str, out: &mut Vec<u8>) -> bool {
    // What is not written back to the same text is kept as text: nothing is ever another key than it was.
    let Some(value) = moment_value(part, text) else { return false };
    if moment_text(part, value).as_deref() != Some(text) {
        return false;
    }
    out.push(TIME);
    out.extend_from_slice(&(value.cast_unsigned() ^ 1 << 63).to_be_bytes());
    true
}

fn moment_text(part: PartOrder, value: i64) -> Option<String> {
    match part {
        PartOrder::Date => Some(date(i32::try_from(value).ok()?)),
        PartOrder::Moment => Some(timestamp(value, false)),
        PartOrder::ZonedMoment => Some(timestamp(value, true)),
        PartOrder::Text | PartOrder::Integer | PartOrder::Number => None,
    }
}

/// Days or microseconds since 1970 of a text that [`moment_text`] may have written.
fn moment_value(part: PartOrder, text: &str) -> Option<i64> {
    let is_date = part == PartOrder::Date;
    match text {
        "infinity" => return Some(if is_date { i64::from(i32::MAX) } else { i64::MAX }),
        "-infinity" => return Some(if is_date { i64::from(i32::MIN) } else { i64::MIN }),
        _ => {}
    }
    if let Some(value) = text.strip_suffix(" d").or_else(|| text.strip_suffix(" us")) {
        return value.parse().ok();
    }
    let (day, time) = match text.split_once('T') {
        Some((day, time)) => (day, Some(time.trim_end_matches('Z'))),
        None => (text, None),
    };
    let days = day_number(day)?;
    let Some(time) = time else { return Some(days) };
    let (clock, fraction) = time.split_once('.').unwrap_or((time, ""));
    let mut seconds = 0;
    for unit in clock.split(':') {
        seconds = seconds * 60 + unit.parse::<i64>().ok()?;
    }
    let micros: i64 = format!("{fraction:0<6}").parse().ok()?;
    days.checked_mul(86_400_000_000)?.checked_add(seconds * 1_000_000 + micros)
}

/// Days since 1970 of `YYYY-MM-DD`, in any year, in the Gregorian calendar.
fn day_number(text: &str) -> Option<i64> {
    let sign = if text.starts_with('-') { -1 } else { 1 };
    let mut units = text.trim_start_matches(['+', '-']).splitn(3, '-');
    let mut unit = || units.next()?.parse::<i64>().ok();
    let (year, month, day) = (sign * unit()?, unit()?, unit()?);
    if year.abs() > 10_000_000 {
        return None;
    }
    // Years begin in March here, so that a leap day is a year's last day; eras have 400 years.
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some(era * 146_097 + day_of_era - 719_468)
}

#[cfg(test)]
#[path = "key_order/tests.rs"]
mod tests;

//! Binary values straight into Arrow columns: one enum per column, no allocation per row.

use std::sync::Arc;

use flow::arrow::array::{
    ArrayRef, BooleanBuilder, Decimal128Builder, ListArray, PrimitiveBuilder,
};
use flow::arrow::buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use flow::arrow::datatypes::{
    ArrowPrimitiveType, DataType, Date32Type, Field, Float32Type, Float64Type, Int16Type,
    Int32Type, Int64Type, Time64MicrosecondType, TimestampMicrosecondType, UInt32Type,
};
use flow::arrow::error::ArrowError;

use super::numeric::Numeric;
use super::types::Carry;
use super::variable::Variable;
use crate::arrival::number;

/// A larger value is a fault: no destination takes it as a field, and every copy of it costs memory (F23, L2).
const VALUE_BYTES_MAX: usize = 64 << 20;

/// Days and microseconds from 1970-01-01 to PostgreSQL's epoch 2000-01-01.
const EPOCH_DAYS: i32 = 10_957;
const EPOCH_MICROS: i64 = 946_684_800_000_000;

/// Why a value was not appended.
#[derive(Debug)]
pub(super) enum Refused {
    /// The Arrow type cannot hold it; the reason names no value.
    Fault(String),
    /// The bytes are not what the type's binary form is.
    Corrupt,
}

/// One Arrow column under construction.
pub(super) enum Column {
    Bool(BooleanBuilder),
    Int2(PrimitiveBuilder<Int16Type>),
    Int4(PrimitiveBuilder<Int32Type>),
    Int8(PrimitiveBuilder<Int64Type>),
    Oid(PrimitiveBuilder<UInt32Type>),
    Float4(PrimitiveBuilder<Float32Type>),
    Float8(PrimitiveBuilder<Float64Type>),
    Decimal { values: Decimal128Builder, precision: u8, scale: i8 },
    NumericText(Variable),
    WrittenDecimal { values: Decimal128Builder, precision: u8, scale: i8 },
    WrittenNumber(Variable),
    Text(Variable),
    PaddedText(Variable),
    Jsonb(Variable),
    Uuid(Variable),
    Date(PrimitiveBuilder<Date32Type>),
    Time(PrimitiveBuilder<Time64MicrosecondType>),
    Timestamp(PrimitiveBuilder<TimestampMicrosecondType>),
    Bytea(Variable),
    List(Box<List>),
}

/// A list column under construction.
pub(super) struct List {
    items: Column,
    items_len: usize,
    offsets: Vec<i32>,
    valid: Vec<bool>,
    item: DataType,
}

impl Column {
    /// An empty column.
    pub(super) fn new(carry: &Carry) -> Self {
        match carry {
            Carry::Bool => Self::Bool(BooleanBuilder::new()),
            Carry::Int2 => Self::Int2(PrimitiveBuilder::new()),
            Carry::Int4 => Self::Int4(PrimitiveBuilder::new()),
            Carry::Int8 => Self::Int8(PrimitiveBuilder::new()),
            Carry::Oid => Self::Oid(PrimitiveBuilder::new()),
            Carry::Float4 => Self::Float4(PrimitiveBuilder::new()),
            Carry::Float8 => Self::Float8(PrimitiveBuilder::new()),
            Carry::Decimal { precision, scale } => Self::Decimal {
                values: Decimal128Builder::new().with_data_type(carry.data_type()),
                precision: *precision,
                scale: *scale,
            },
            Carry::NumericText => Self::NumericText(Variable::new()),
            Carry::WrittenNumber(Some((precision, scale))) => Self::WrittenDecimal {
                values: Decimal128Builder::new().with_data_type(carry.data_type()),
                precision: *precision,
                scale: *scale,
            },
            Carry::WrittenNumber(None) => Self::WrittenNumber(Variable::new()),
            Carry::Text | Carry::ServerText => Self::Text(Variable::new()),
            Carry::PaddedText => Self::PaddedText(Variable::new()),
            Carry::Jsonb => Self::Jsonb(Variable::new()),
            Carry::Uuid => Self::Uuid(Variable::new()),
            Carry::Date => Self::Date(PrimitiveBuilder::new()),
            Carry::Time => Self::Time(PrimitiveBuilder::new()),
            Carry::Timestamp | Carry::TimestampTz => {
                Self::Timestamp(PrimitiveBuilder::new().with_data_type(carry.data_type()))
            }
            Carry::Bytea => Self::Bytea(Variable::new()),
            Carry::List(element) => Self::List(Box::new(List {
                items: Self::new(element),
                items_len: 0,
                offsets: vec![0],
                valid: Vec::new(),
                item: element.data_type(),
            })),
        }
    }

    /// Appends a value, or null where it is refused as a fault.
    pub(super) fn append(&mut self, value: Option<&[u8]>) -> Result<(), Refused> {
        let Some(value) = value else {
            self.append_null();
            return Ok(());
        };
        if value.len() > VALUE_BYTES_MAX {
            self.append_null();
            return Err(Refused::Fault(format!("a value of more than {VALUE_BYTES_MAX} bytes")));
        }
        match self {
            Self::Bool(values) => values.append_value(bytes::<1>(value)? != [0]),
            Self::Int2(values) => values.append_value(i16::from_be_bytes(bytes(value)?)),
            Self::Int4(values) => values.append_value(i32::from_be_bytes(bytes(value)?)),
            Self::Int8(values) => values.append_value(i64::from_be_bytes(bytes(value)?)),
            Self::Oid(values) => values.append_value(u32::from_be_bytes(bytes(value)?)),
            Self::Float4(values) => values.append_value(f32::from_be_bytes(bytes(value)?)),
            Self::Float8(values) => values.append_value(f64::from_be_bytes(bytes(value)?)),
            Self::Decimal { values, precision, scale } => {
                let number = decimal(value, *precision, *scale);
                values.append_option(number.as_ref().ok().copied());
                number?;
            }
            Self::NumericText(values) => {
                match Numeric::parse(value).ok_or(Refused::Corrupt)? {
                    Numeric::Finite(number) => number.push_text(&mut values.bytes),
                    Numeric::Special(text) => values.bytes.extend_from_slice(text.as_bytes()),
                }
                values.end_value();
            }
            Self::WrittenDecimal { values, precision, scale } => {
                let number = written(value, *precision, *scale);
                values.append_option(number.as_ref().ok().copied());
                number?;
            }
            Self::WrittenNumber(values) => values.push(canonical(value)?.as_bytes()),
            Self::Text(values) | Self::Bytea(values) => values.push(value),
            Self::PaddedText(values) => values.push(without_padding(value)),
            Self::Jsonb(values) => match value.split_first() {
                Some((1, json)) => values.push(json),
                _ => return Err(Refused::Corrupt),
            },
            Self::Uuid(values) => {
                push_uuid(&mut values.bytes, bytes(value)?);
                values.end_value();
            }
            Self::Date(values) => values.append_value(date(i32::from_be_bytes(bytes(value)?))?),
            Self::Time(values) => values.append_value(i64::from_be_bytes(bytes(value)?)),
            Self::Timestamp(values) => {
                let micros = timestamp(i64::from_be_bytes(bytes(value)?));
                values.append_option(micros.as_ref().ok().copied());
                micros?;
            }
            Self::List(list) => list.append(value)?,
        }
        Ok(())
    }

    fn append_null(&mut self) {
        fn null<T: ArrowPrimitiveType>(values: &mut PrimitiveBuilder<T>) {
            values.append_null();
        }
        match self {
            Self::Bool(values) => values.append_null(),
            Self::Int2(values) => null(values),
            Self::Int4(values) => null(values),
            Self::Int8(values) => null(values),
            Self::Oid(values) => null(values),
            Self::Float4(values) => null(values),
            Self::Float8(values) => null(values),
            Self::Decimal { values, .. } | Self::WrittenDecimal { values, .. } => {
                values.append_null();
            }
            Self::NumericText(values)
            | Self::WrittenNumber(values)
            | Self::Text(values)
            | Self::PaddedText(values)
            | Self::Jsonb(values)
            | Self::Uuid(values)
            | Self::Bytea(values) => values.push_null(),
            Self::Date(values) => null(values),
            Self::Time(values) => null(values),
            Self::Timestamp(values) => null(values),
            Self::List(list) => list.end(false),
        }
    }

    /// The finished array; the column is empty again.
    ///
    /// # Errors
    /// When text is not UTF-8.
    pub(super) fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        Ok(match self {
            Self::Bool(values) => Arc::new(values.finish()),
            Self::Int2(values) => Arc::new(values.finish()),
            Self::Int4(values) => Arc::new(values.finish()),
            Self::Int8(values) => Arc::new(values.finish()),
            Self::Oid(values) => Arc::new(values.finish()),
            Self::Float4(values) => Arc::new(values.finish()),
            Self::Float8(values) => Arc::new(values.finish()),
            Self::Decimal { values, .. } | Self::WrittenDecimal { values, .. } => {
                Arc::new(values.finish())
            }
            Self::NumericText(values)
            | Self::WrittenNumber(values)
            | Self::Text(values)
            | Self::PaddedText(values)
            | Self::Jsonb(values)
            | Self::Uuid(values) => values.finish_text()?,
            Self::Bytea(values) => values.finish_binary()?,
            Self::Date(values) => Arc::new(values.finish()),
            Self::Time(values) => Arc::new(values.finish()),
            Self::Timestamp(values) => Arc::new(values.finish()),
            Self::List(list) => list.finish()?,
        })
    }
}

impl List {
    /// A PostgreSQL array: dimensions, then elements with their lengths.
    fn append(&mut self, value: &[u8]) -> Result<(), Refused> {
        let (mut rest, dimensions) = (value, int(value, 0)?);
        let count = match dimensions {
            0 => 0,
            1 => {
                if int(value, 16)? != 1 {
                    self.end(false);
                    return Err(Refused::Fault("an array that does not start at 1".to_owned()));
                }
                rest = value.get(20..).ok_or(Refused::Corrupt)?;
                int(value, 12)?
            }
            _ => {
                self.end(false);
                return Err(Refused::Fault(format!("an array of {dimensions} dimensions")));
            }
        };
        let mut fault = None;
        for _ in 0..count {
            let length = int(rest, 0)?;
            rest = &rest[4..];
            let element = match usize::try_from(length) {
                Ok(length) => {
                    let (element, after) = rest.split_at_checked(length).ok_or(Refused::Corrupt)?;
                    rest = after;
                    Some(element)
                }
                Err(_) => None,
            };
            match self.items.append(element) {
                Err(Refused::Fault(reason)) => fault = Some(reason),
                result => result?,
            }
            self.items_len += 1;
        }
        self.end(fault.is_none());
        fault.map_or(Ok(()), |reason| Err(Refused::Fault(reason)))
    }

    fn end(&mut self, valid: bool) {
        self.offsets.push(i32::try_from(self.items_len).expect("a batch is below 2 GiB"));
        self.valid.push(valid);
    }

    fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        let offsets = std::mem::replace(&mut self.offsets, vec![0]);
        let valid = std::mem::take(&mut self.valid);
        self.items_len = 0;
        let list = ListArray::try_new(
            Arc::new(Field::new_list_field(self.item.clone(), true)),
            OffsetBuffer::new(ScalarBuffer::from(offsets)),
            self.items.finish()?,
            Some(NullBuffer::from(valid)),
        )?;
        Ok(Arc::new(list))
    }
}

fn bytes<const N: usize>(value: &[u8]) -> Result<[u8; N], Refused> {
    value.try_into().map_err(|_| Refused::Corrupt)
}

fn int(value: &[u8], at: usize) -> Result<i32, Refused> {
    value.get(at..at + 4).map_or(Err(Refused::Corrupt), bytes).map(i32::from_be_bytes)
}

fn misfit(what: &str, (precision, scale): (u8, i8)) -> Refused {
    Refused::Fault(format!("{what} does not fit numeric({precision},{scale})"))
}

/// The one text of a number that the server wrote.
fn canonical(value: &[u8]) -> Result<String, Refused> {
    let text = std::str::from_utf8(value).map_err(|_| Refused::Corrupt)?;
    number::canonical(text).map_err(|_| Refused::Corrupt)
}

/// A number that the server wrote, times 10^scale.
fn written(value: &[u8], precision: u8, scale: i8) -> Result<i128, Refused> {
    let text = canonical(value)?;
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let zeros = usize::try_from(scale).ok().and_then(|scale| scale.checked_sub(fraction.len()));
    let digits = zeros.map(|zeros| format!("{whole}{fraction}{}", "0".repeat(zeros)));
    digits
        .and_then(|digits| digits.parse::<i128>().ok())
        .filter(|number| number.unsigned_abs() < 10_u128.pow(u32::from(precision)))
        .ok_or_else(|| misfit("a value", (precision, scale)))
}

fn decimal(value: &[u8], precision: u8, scale: i8) -> Result<i128, Refused> {
    let fault = |what: &str| misfit(what, (precision, scale));
    match Numeric::parse(value).ok_or(Refused::Corrupt)? {
        Numeric::Special(text) => Err(fault(text)),
        Numeric::Finite(number) => number
            .scaled(scale)
            .filter(|number| number.unsigned_abs() < 10_u128.pow(u32::from(precision)))
            .ok_or_else(|| fault("a value")),
    }
}

/// Days since 1970; the infinities are the ends of the range there as here.
fn date(days: i32) -> Result<i32, Refused> {
    if matches!(days, i32::MAX | i32::MIN) {
        return Ok(days);
    }
    days.checked_add(EPOCH_DAYS).filter(|days| *days < i32::MAX).ok_or(Refused::Corrupt)
}

/// The moment of a timestamp's binary form, in microseconds since 1970.
pub(super) fn timestamp_of(value: &[u8]) -> Option<i64> {
    timestamp(i64::from_be_bytes(value.try_into().ok()?)).ok()
}

/// Microseconds since 1970; the infinities are the ends of the range there as here.
fn timestamp(micros: i64) -> Result<i64, Refused> {
    if matches!(micros, i64::MAX | i64::MIN) {
        return Ok(micros);
    }
    micros
        .checked_add(EPOCH_MICROS)
        .filter(|micros| *micros < i64::MAX)
        .ok_or_else(|| Refused::Fault("a timestamp after the year 294246".to_owned()))
}

/// Trailing blanks of `char(n)` are padding, as in PostgreSQL's own cast to text.
fn without_padding(value: &[u8]) -> &[u8] {
    let end = value.iter().rposition(|byte| *byte != b' ').map_or(0, |last| last + 1);
    &value[..end]
}

fn push_uuid(text: &mut Vec<u8>, uuid: [u8; 16]) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut out = [b'-'; 36];
    let mut at = 0;
    for (index, byte) in uuid.into_iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            at += 1;
        }
        out[at] = HEX[usize::from(byte >> 4)];
        out[at + 1] = HEX[usize::from(byte & 15)];
        at += 2;
    }
    text.extend_from_slice(&out);
}

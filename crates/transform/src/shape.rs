//! What a column holds on its way through a mapping: few Arrow types, each with one meaning.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Float64Array, Int64Array, StringArray, TimestampMicrosecondArray,
};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Date64Type, Field, Float16Type, Float32Type, Int64Type, TimeUnit,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType,
};
use flow::{SOURCE_TYPE, text_at};

use crate::refusals::FieldRows;
use crate::{codes, moment};

/// What the values of a column mean beyond their Arrow type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// What the Arrow type says.
    Plain,
    /// Text that is JSON.
    Json,
    /// Text that is an exact number.
    Number,
    /// Milliseconds since 1970 in UTC.
    EpochMs,
}

/// The type of a column as known before the first row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) data_type: DataType,
    pub(crate) meaning: Meaning,
}

/// Arrow's own name for the metadata key that says what a column means.
pub(crate) const EXTENSION: &str = "ARROW:extension:name";
/// Text that is one JSON value.
pub(crate) const EXTENSION_JSON: &str = "arrow.json";

impl Shape {
    pub(crate) fn plain(data_type: DataType) -> Self {
        Self { data_type, meaning: Meaning::Plain }
    }

    pub(crate) fn text() -> Self {
        Self::plain(DataType::Utf8)
    }

    pub(crate) fn epoch_ms() -> Self {
        Self { data_type: DataType::Int64, meaning: Meaning::EpochMs }
    }

    pub(crate) fn json() -> Self {
        Self { data_type: DataType::Utf8, meaning: Meaning::Json }
    }

    pub(crate) fn number_text() -> Self {
        Self { data_type: DataType::Utf8, meaning: Meaning::Number }
    }

    /// The shape a model's column has once [`normal`] has seen it.
    pub(crate) fn of_column(field: &Field) -> Self {
        match field.data_type() {
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
                Self { data_type: DataType::Utf8, meaning: meaning_of_text(field) }
            }
            DataType::Dictionary(_, value) => {
                Self::of_column(&Field::new("", value.as_ref().clone(), true))
            }
            DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => {
                Self::plain(DataType::Int64)
            }
            DataType::UInt8 | DataType::UInt16 | DataType::UInt32 => Self::plain(DataType::Int64),
            DataType::UInt64 => Self::plain(DataType::Decimal128(20, 0)),
            DataType::Float16 | DataType::Float32 | DataType::Float64 => {
                Self::plain(DataType::Float64)
            }
            DataType::Decimal32(precision, scale) | DataType::Decimal64(precision, scale) => {
                Self::plain(DataType::Decimal128(*precision, *scale))
            }
            DataType::Decimal256(..) => Self::number_text(),
            DataType::Date64 => Self::plain(DataType::Timestamp(TimeUnit::Microsecond, None)),
            DataType::Timestamp(_, zone) => Self::plain(moment_type(zone.is_some())),
            other => Self::plain(other.clone()),
        }
    }

    pub(crate) fn is_text(&self) -> bool {
        self.data_type == DataType::Utf8
    }

    /// Text that may say anything: not known to be a number.
    pub(crate) fn is_free_text(&self) -> bool {
        self.is_text() && self.meaning != Meaning::Number
    }

    /// A number of whatever type, exact text included.
    pub(crate) fn is_number(&self) -> bool {
        match self.data_type {
            DataType::Int64 | DataType::Float64 | DataType::Decimal128(..) => {
                self.meaning == Meaning::Plain
            }
            _ => self.meaning == Meaning::Number,
        }
    }

    /// What a person calls it.
    pub(crate) fn describe(&self) -> String {
        match (&self.data_type, self.meaning) {
            (_, Meaning::Json) => "JSON".to_owned(),
            (_, Meaning::Number) => "a number".to_owned(),
            (_, Meaning::EpochMs) => "epoch milliseconds".to_owned(),
            (DataType::Utf8, _) => "text".to_owned(),
            (DataType::Int64, _) => "a whole number".to_owned(),
            (DataType::Float64 | DataType::Decimal128(..), _) => "a number".to_owned(),
            (DataType::Boolean, _) => "a boolean".to_owned(),
            (DataType::Date32, _) => "a date".to_owned(),
            (DataType::Timestamp(..), _) => "a timestamp".to_owned(),
            (DataType::Time64(_) | DataType::Time32(_), _) => "a time of day".to_owned(),
            (DataType::List(_), _) => "a list".to_owned(),
            (DataType::Binary | DataType::LargeBinary, _) => "binary".to_owned(),
            (DataType::Null, _) => "always NULL".to_owned(),
            (other, _) => format!("of type {other}"),
        }
    }
}

/// What the text of a column is known to hold: JSON or exact numbers, where its metadata says so.
fn meaning_of_text(field: &Field) -> Meaning {
    let says = |key: &str| field.metadata().get(key).map_or("", String::as_str);
    match says(SOURCE_TYPE) {
        "json" | "jsonb" => Meaning::Json,
        "numeric" => Meaning::Number,
        name if name.starts_with("numeric(") && !name.ends_with("[]") => Meaning::Number,
        _ if says(EXTENSION) == EXTENSION_JSON => Meaning::Json,
        _ => Meaning::Plain,
    }
}

/// A moment in microseconds; `zoned` where the source has a time zone, which is then UTC.
pub(crate) fn moment_type(zoned: bool) -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, zoned.then(|| "UTC".into()))
}

/// The column in one of the few types the rest of the crate knows; values do not change.
pub(crate) fn normal(column: &ArrayRef, rows: &mut FieldRows<'_>) -> ArrayRef {
    match column.data_type() {
        DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::UInt8
        | DataType::UInt16
        | DataType::UInt32 => cast_or(column, &DataType::Int64, rows),
        DataType::UInt64 => cast_or(column, &DataType::Decimal128(20, 0), rows),
        DataType::Decimal32(precision, scale) | DataType::Decimal64(precision, scale) => {
            cast_or(column, &DataType::Decimal128(*precision, *scale), rows)
        }
        DataType::LargeUtf8 | DataType::Utf8View => cast_or(column, &DataType::Utf8, rows),
        DataType::Dictionary(_, value) => match cast(column, value) {
            Ok(flat) => normal(&flat, rows),
            Err(_) => cast_or(column, &DataType::Utf8, rows),
        },
        DataType::Decimal256(..) => {
            let texts: StringArray = (0..column.len())
                .map(|row| column.is_valid(row).then(|| text_at(column, row)))
                .collect();
            Arc::new(texts)
        }
        DataType::Float16 => {
            Arc::new(column.as_primitive::<Float16Type>().unary::<_, _>(f64::from) as Float64Array)
        }
        DataType::Float32 => {
            // Through the shortest text: 0.1 stays 0.1 and does not become 0.10000000149.
            let wide: Float64Array = column
                .as_primitive::<Float32Type>()
                .unary(|value| value.to_string().parse().unwrap_or_else(|_| f64::from(value)));
            Arc::new(wide)
        }
        DataType::Date64 | DataType::Timestamp(..) => micros(column, rows),
        _ => Arc::clone(column),
    }
}

/// Casts; a value that the cast cannot carry refuses its row.
fn cast_or(column: &ArrayRef, to: &DataType, rows: &mut FieldRows<'_>) -> ArrayRef {
    let Ok(cast) = cast(column, to) else {
        (0..column.len()).filter(|row| column.is_valid(*row)).for_each(|row| {
            rows.refuse(row, &codes::R111_OUT_OF_RANGE, "the value cannot be carried");
        });
        return arrow::array::new_null_array(to, column.len());
    };
    if cast.null_count() > column.null_count() {
        for row in (0..column.len()).filter(|row| cast.is_null(*row) && column.is_valid(*row)) {
            rows.refuse(row, &codes::R111_OUT_OF_RANGE, "the value is out of range");
        }
    }
    cast
}

/// Any timestamp in microseconds; what does not fit exactly refuses its row.
fn micros(column: &ArrayRef, rows: &mut FieldRows<'_>) -> ArrayRef {
    let zoned = matches!(column.data_type(), DataType::Timestamp(_, Some(_)));
    let exact = |row: usize, value: Option<i64>, rows: &mut FieldRows<'_>| {
        if value.is_none() {
            rows.refuse(
                row,
                &codes::R111_OUT_OF_RANGE,
                "the moment cannot be carried exactly in microseconds",
            );
        }
        value
    };
    let each = |row: usize| -> Option<i64> {
        match column.data_type() {
            DataType::Timestamp(TimeUnit::Second, _) => {
                column.as_primitive::<TimestampSecondType>().value(row).checked_mul(1_000_000)
            }
            DataType::Timestamp(TimeUnit::Millisecond, _) => {
                column.as_primitive::<TimestampMillisecondType>().value(row).checked_mul(1_000)
            }
            DataType::Timestamp(TimeUnit::Nanosecond, _) => {
                let nanos = column.as_primitive::<TimestampNanosecondType>().value(row);
                (nanos % 1_000 == 0).then_some(nanos / 1_000)
            }
            _ => column.as_primitive::<Date64Type>().value(row).checked_mul(1_000),
        }
    };
    if let DataType::Timestamp(TimeUnit::Microsecond, zone) = column.data_type() {
        if zone.as_deref().is_none_or(|zone| zone == "UTC") {
            return Arc::clone(column);
        }
        let array = column.as_primitive::<TimestampMicrosecondType>().clone();
        return Arc::new(array.with_timezone("UTC"));
    }
    let array: TimestampMicrosecondArray = (0..column.len())
        .map(|row| if column.is_null(row) { None } else { exact(row, each(row), rows) })
        .collect();
    Arc::new(if zoned { array.with_timezone("UTC") } else { array })
}

/// The column as exact text. Infinite dates and moments and numbers that are not finite refuse their row.
pub(crate) fn text(column: &ArrayRef, rows: &mut FieldRows<'_>) -> StringArray {
    if let Some(text) = column.as_any().downcast_ref::<StringArray>() {
        return text.clone();
    }
    refuse_infinite(column, rows);
    if let Some(numbers) = column.as_any().downcast_ref::<Int64Array>() {
        return integers(numbers);
    }
    (0..column.len())
        .map(|row| (column.is_valid(row) && !rows.is_refused(row)).then(|| text_at(column, row)))
        .collect()
}

fn integers(numbers: &Int64Array) -> StringArray {
    use std::fmt::Write as _;
    let mut builder = arrow::array::StringBuilder::with_capacity(numbers.len(), numbers.len() * 8);
    for number in numbers {
        match number {
            Some(number) => {
                // Writing to a builder cannot fail.
                let _ = write!(builder, "{number}");
                builder.append_value("");
            }
            None => builder.append_null(),
        }
    }
    builder.finish()
}

/// Why a value that is infinite or not a number is refused.
pub(crate) const INFINITE: &str = "the value is infinite, not a number or beyond the calendar";

/// Refuses rows whose value is infinite or not a number: no destination has a form for them.
pub(crate) fn refuse_infinite(column: &ArrayRef, rows: &mut FieldRows<'_>) {
    let mut refuse = |row: usize| rows.refuse(row, &codes::R111_OUT_OF_RANGE, INFINITE);
    let valid = |row: &usize| column.is_valid(*row);
    match column.data_type() {
        DataType::Float64 => {
            let values = column.as_primitive::<arrow::datatypes::Float64Type>().values();
            if values.iter().all(|value| value.is_finite()) {
                return;
            }
            (0..column.len())
                .filter(valid)
                .filter(|row| !values[*row].is_finite())
                .for_each(&mut refuse);
        }
        DataType::Date32 => {
            let values = column.as_primitive::<arrow::datatypes::Date32Type>().values();
            (0..column.len())
                .filter(valid)
                .filter(|row| !moment::has_text(i64::from(values[*row]), moment::DAY_MICROS))
                .for_each(&mut refuse);
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            let values = column.as_primitive::<TimestampMicrosecondType>().values();
            (0..column.len())
                .filter(valid)
                .filter(|row| !moment::has_text(values[*row], 1))
                .for_each(&mut refuse);
        }
        _ => {}
    }
}

/// The values of a whole-number column.
pub(crate) fn integer_column(column: &ArrayRef) -> &Int64Array {
    column.as_primitive::<Int64Type>()
}

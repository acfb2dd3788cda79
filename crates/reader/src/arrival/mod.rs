//! How an Arrow column of any origin arrives in the few types our columns have: exactly, or as a fault of its cell.
//! The same conversions for every source that is Arrow already; TYPES.md beside this file is the table.

mod interval;
mod json;
mod moments;
pub(crate) mod number;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use flow::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Decimal256Array, ListArray, StringArray,
};
use flow::arrow::buffer::NullBuffer;
use flow::arrow::compute::{cast, nullif};
use flow::arrow::datatypes::{
    DataType, Decimal128Type, Decimal256Type, Field, IntervalUnit, TimeUnit, UInt64Type,
};
use flow::arrow::error::ArrowError;
use flow::{ColumnInfo, text_at};

/// Bytes of the largest value that is carried, as in the other readers.
const VALUE_BYTES_MAX: usize = 64 << 20;
/// Digits of the largest decimal our columns have.
const DECIMAL_DIGITS_MAX: u8 = 38;

/// What becomes of a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Arrival {
    /// The type its values have here.
    pub(crate) data_type: DataType,
    /// The name people know the type by; a mapping tells JSON and exact numbers from other text by it.
    pub(crate) source_type: String,
    way: Way,
}

/// How values come to that type.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Way {
    /// By a cast that loses nothing.
    Cast,
    /// Exact numbers as text.
    Numeric,
    /// Text of exact numbers in their one form.
    NumberText,
    /// To microseconds, whole ones only.
    Micros,
    /// To days, whole ones only.
    Days,
    Uuid,
    Interval,
    Json,
    /// A list whose elements go their own way.
    List(Box<Arrival>),
}

/// Cells that were refused: the row, and why.
pub(crate) type Refused = Vec<(usize, String)>;

impl Arrival {
    /// What becomes of a field; `None` for a type without values of its own.
    pub(crate) fn of(field: &Field) -> Option<Self> {
        let extension = field.extension_type_name().unwrap_or_default();
        match (field.data_type(), extension) {
            (DataType::FixedSizeBinary(16), "arrow.uuid") => {
                Some(Self::new(DataType::Utf8, "uuid", Way::Uuid))
            }
            (DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View, "arrow.json") => {
                Some(Self::new(DataType::Utf8, "json", Way::Cast))
            }
            (data_type, _) => Self::of_type(data_type).map(|arrival| arrival.named_by(field)),
        }
    }

    /// PostgreSQL's driver gives some types as text, and says which they are.
    fn named_by(self, field: &Field) -> Self {
        let name = field.metadata().get("ADBC:postgresql:typname").map_or("", String::as_str);
        match (&self.data_type, name) {
            (DataType::Utf8, "numeric") => Self::new(DataType::Utf8, "numeric", Way::NumberText),
            (DataType::Utf8, "json" | "jsonb" | "uuid") => Self::plain(DataType::Utf8, name),
            _ => self,
        }
    }

    /// A column that has our type already.
    pub(crate) fn plain(data_type: DataType, source_type: &str) -> Self {
        Self::new(data_type, source_type, Way::Cast)
    }

    fn new(data_type: DataType, source_type: &str, way: Way) -> Self {
        Self { data_type, source_type: source_type.to_owned(), way }
    }

    /// What becomes of a column of this type.
    pub(crate) fn of_type(from: &DataType) -> Option<Self> {
        let plain = |to: DataType, name: &str| Some(Self::new(to, name, Way::Cast));
        match from {
            DataType::Boolean => plain(DataType::Boolean, "boolean"),
            DataType::Int8 | DataType::UInt8 | DataType::Int16 => {
                plain(DataType::Int16, "smallint")
            }
            DataType::UInt16 | DataType::Int32 => plain(DataType::Int32, "integer"),
            DataType::UInt32 | DataType::Int64 => plain(DataType::Int64, "bigint"),
            DataType::UInt64 => Some(Self::new(DataType::Utf8, "numeric(20,0)", Way::Numeric)),
            DataType::Float16 | DataType::Float32 => plain(DataType::Float32, "real"),
            DataType::Float64 => plain(DataType::Float64, "double precision"),
            DataType::Decimal32(precision, scale)
            | DataType::Decimal64(precision, scale)
            | DataType::Decimal128(precision, scale)
            | DataType::Decimal256(precision, scale) => Some(Self::decimal(*precision, *scale)),
            DataType::Null | DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
                plain(DataType::Utf8, "text")
            }
            DataType::Binary
            | DataType::LargeBinary
            | DataType::BinaryView
            | DataType::FixedSizeBinary(_) => plain(DataType::Binary, "bytea"),
            DataType::Date32 => plain(DataType::Date32, "date"),
            DataType::Date64 => Some(Self::new(DataType::Date32, "date", Way::Days)),
            DataType::Time32(_) | DataType::Time64(_) => {
                let micros = DataType::Time64(TimeUnit::Microsecond);
                Some(Self::new(micros, "time", Way::Micros))
            }
            DataType::Timestamp(_, zone) => {
                let name = if zone.is_some() { "timestamptz" } else { "timestamp" };
                let zone = zone.as_ref().map(|_| "UTC".into());
                Some(Self::new(DataType::Timestamp(TimeUnit::Microsecond, zone), name, Way::Micros))
            }
            DataType::Duration(_)
            | DataType::Interval(
                IntervalUnit::YearMonth | IntervalUnit::DayTime | IntervalUnit::MonthDayNano,
            ) => Some(Self::new(DataType::Utf8, "interval", Way::Interval)),
            DataType::Dictionary(_, value) => Self::of_type(value),
            DataType::RunEndEncoded(_, values) => Self::of(values),
            DataType::List(element)
            | DataType::LargeList(element)
            | DataType::ListView(element)
            | DataType::LargeListView(element)
            | DataType::FixedSizeList(element, _) => Some(Self::list(Self::of(element)?)),
            DataType::Struct(fields) => {
                fields.iter().all(|field| Self::of(field).is_some()).then(Self::json)
            }
            DataType::Map(entries, _) => Self::of(entries).map(|_| Self::json()),
            DataType::Union(..) => None,
        }
    }

    fn json() -> Self {
        Self::new(DataType::Utf8, "json", Way::Json)
    }

    fn decimal(precision: u8, scale: i8) -> Self {
        let name = format!("numeric({precision},{scale})");
        let fits = precision <= DECIMAL_DIGITS_MAX
            && u8::try_from(scale).is_ok_and(|scale| scale <= precision);
        match fits {
            true => Self::new(DataType::Decimal128(precision, scale), &name, Way::Cast),
            false => Self::new(DataType::Utf8, &name, Way::Numeric),
        }
    }

    /// A list of scalars stays one; a list of anything with parts is JSON.
    fn list(element: Self) -> Self {
        if element.way == Way::Json || matches!(element.way, Way::List(_)) {
            return Self::json();
        }
        let item = DataType::List(Arc::new(Field::new_list_field(element.data_type.clone(), true)));
        let name = format!("{}[]", element.source_type);
        Self::new(item, &name, Way::List(Box::new(element)))
    }

    /// Whether values can identify a row.
    pub(crate) fn serves_as_key(&self) -> bool {
        !matches!(self.way, Way::Json | Way::List(_) | Way::Interval) && self.source_type != "json"
    }

    /// Whether the text of this column is an exact number, which sorts as one.
    pub(crate) fn is_numeric_text(&self) -> bool {
        self.data_type == DataType::Utf8 && self.source_type.starts_with("numeric")
    }

    /// The column for people and mappings.
    pub(crate) fn info(&self, name: &str) -> ColumnInfo {
        ColumnInfo {
            name: name.to_owned(),
            data_type: self.data_type.clone(),
            source_type: self.source_type.clone(),
        }
    }

    /// The values in our type; those that cannot be carried exactly are null and named in `refused`.
    ///
    /// # Errors
    /// Where the column is not of the type this was made for.
    pub(crate) fn convert(
        &self,
        column: &ArrayRef,
        refused: &mut Refused,
    ) -> Result<ArrayRef, ArrowError> {
        let column = match column.data_type() {
            DataType::Dictionary(_, value) => &cast(column, value)?,
            DataType::RunEndEncoded(_, values) => &cast(column, values.data_type())?,
            _ => column,
        };
        if matches!(column.data_type(), DataType::Dictionary(..) | DataType::RunEndEncoded(..)) {
            return self.convert(column, refused);
        }
        let converted = match &self.way {
            Way::Cast if column.data_type() == &self.data_type => Arc::clone(column),
            Way::Cast => cast(column, &self.data_type)?,
            Way::Numeric => numeric(column)?,
            Way::NumberText => number_texts(column, refused)?,
            Way::Micros => moments::micros(column, &self.data_type, refused)?,
            Way::Days => moments::days(column, refused)?,
            Way::Uuid => uuid(column)?,
            Way::Interval => interval::texts(column)?,
            Way::Json => json::texts(column, refused)?,
            Way::List(element) => list(column, element, refused)?,
        };
        without_huge(converted, refused)
    }
}

/// Exact numbers as text, in the one form that keys and mappings know.
fn numeric(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let text: Box<dyn Fn(usize) -> String> = match column.data_type() {
        DataType::UInt64 => {
            let values = column.as_primitive::<UInt64Type>();
            Box::new(|row| values.value(row).to_string())
        }
        DataType::Decimal256(_, scale) => {
            let values: &Decimal256Array = column.as_primitive::<Decimal256Type>();
            Box::new(|row| scaled(&values.value(row).to_string(), *scale))
        }
        DataType::Decimal32(precision, scale) | DataType::Decimal64(precision, scale) => {
            return numeric(&cast(column, &DataType::Decimal128(*precision, *scale))?);
        }
        DataType::Decimal128(_, scale) => {
            let values = column.as_primitive::<Decimal128Type>();
            Box::new(|row| scaled(&values.value(row).to_string(), *scale))
        }
        other => return Err(ArrowError::CastError(format!("{other} is no exact number"))),
    };
    let texts = (0..column.len()).map(|row| column.is_valid(row).then(|| text(row)));
    Ok(Arc::new(texts.collect::<StringArray>()))
}

/// An unscaled number with its point put in, without zeros at the end of its fraction.
pub(crate) fn scaled(digits: &str, scale: i8) -> String {
    let (sign, digits) = match digits.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", digits),
    };
    if digits.bytes().all(|byte| byte == b'0') {
        return "0".to_owned();
    }
    let Ok(scale) = usize::try_from(scale) else {
        return format!("{sign}{digits}{}", "0".repeat(usize::from(scale.unsigned_abs())));
    };
    let digits = format!("{digits:0>width$}", width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    match fraction.trim_end_matches('0') {
        "" => format!("{sign}{whole}"),
        fraction => format!("{sign}{whole}.{fraction}"),
    }
}

/// Numbers that are text already, in the one form.
fn number_texts(column: &ArrayRef, refused: &mut Refused) -> Result<ArrayRef, ArrowError> {
    let texts = cast(column, &DataType::Utf8)?;
    let texts = texts.as_string::<i32>().iter().enumerate().map(|(row, text)| {
        let exact = number::canonical(text?);
        exact.map_err(|reason| refused.push((row, reason))).ok()
    });
    Ok(Arc::new(texts.collect::<StringArray>()))
}

fn uuid(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let values = column
        .as_fixed_size_binary_opt()
        .ok_or_else(|| ArrowError::CastError("no 16 bytes of a uuid".to_owned()))?;
    let hex = |value: &[u8]| {
        let mut text = String::with_capacity(36);
        for (at, byte) in value.iter().enumerate() {
            if matches!(at, 4 | 6 | 8 | 10) {
                text.push('-');
            }
            text.push_str(&format!("{byte:02x}"));
        }
        text
    };
    Ok(Arc::new(values.iter().map(|value| value.map(hex)).collect::<StringArray>()))
}

/// A list whose elements are converted; an element that cannot be carried refuses the whole list.
fn list(
    column: &ArrayRef,
    element: &Arrival,
    refused: &mut Refused,
) -> Result<ArrayRef, ArrowError> {
    let DataType::List(field) = as_list_type(column.data_type()) else {
        return Err(ArrowError::CastError(format!("{} is no list", column.data_type())));
    };
    let plain = match column.data_type() {
        DataType::List(_) => Arc::clone(column),
        _ => cast(column, &DataType::List(Arc::clone(&field)))?,
    };
    let lists = plain.as_list::<i32>();
    let mut inside = Refused::new();
    let values = element.convert(lists.values(), &mut inside)?;
    let item = Arc::new(Field::new_list_field(values.data_type().clone(), true));
    let nulls: Option<NullBuffer> = lists.nulls().cloned();
    let whole = ListArray::try_new(item, lists.offsets().clone(), values, nulls)?;
    let whole: ArrayRef = Arc::new(whole);
    if inside.is_empty() {
        return Ok(whole);
    }
    let offsets = lists.offsets();
    let mut rows = Refused::new();
    for (at, reason) in inside {
        // The list that holds this element.
        let row = offsets.partition_point(|start| usize::try_from(*start).is_ok_and(|s| s <= at));
        let row = row.saturating_sub(1);
        if row < lists.len() && lists.is_valid(row) {
            rows.push((row, format!("an element: {reason}")));
        }
    }
    rows.dedup_by_key(|(row, _)| *row);
    let masked = without(&whole, rows.iter().map(|(row, _)| *row))?;
    refused.extend(rows);
    Ok(masked)
}

/// Values of one part of a column in the type that all its parts share.
pub(crate) fn widened(array: ArrayRef, to: &Arrival) -> Result<ArrayRef, ArrowError> {
    if array.data_type() == &to.data_type {
        return Ok(array);
    }
    if to.is_numeric_text() {
        let texts = (0..array.len()).map(|row| array.is_valid(row).then(|| text_at(&array, row)));
        return Ok(Arc::new(texts.collect::<StringArray>()));
    }
    cast(&array, &to.data_type)
}

fn as_list_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::List(field)
        | DataType::LargeList(field)
        | DataType::ListView(field)
        | DataType::LargeListView(field)
        | DataType::FixedSizeList(field, _) => DataType::List(Arc::clone(field)),
        other => other.clone(),
    }
}

/// The column with these rows null.
pub(crate) fn without(
    column: &ArrayRef,
    rows: impl Iterator<Item = usize>,
) -> Result<ArrayRef, ArrowError> {
    let mut mask = vec![false; column.len()];
    for row in rows {
        if let Some(cell) = mask.get_mut(row) {
            *cell = true;
        }
    }
    nullif(column, &BooleanArray::from(mask))
}

/// The column without values that are too large.
fn without_huge(column: ArrayRef, refused: &mut Refused) -> Result<ArrayRef, ArrowError> {
    let lengths = match column.data_type() {
        DataType::Utf8 => column.as_string::<i32>().offsets(),
        DataType::Binary => column.as_binary::<i32>().offsets(),
        _ => return Ok(column),
    };
    let (first, last) = (lengths.first(), lengths.last());
    if usize::try_from(last - first).unwrap_or(0) <= VALUE_BYTES_MAX {
        return Ok(column);
    }
    let huge: Vec<usize> = lengths
        .windows(2)
        .enumerate()
        .filter(|(_, ends)| usize::try_from(ends[1] - ends[0]).unwrap_or(0) > VALUE_BYTES_MAX)
        .map(|(row, _)| row)
        .collect();
    for row in &huge {
        refused.push((*row, "a value of more than 64 MiB".to_owned()));
    }
    without(&column, huge.into_iter())
}

/// The text of one cell of a leaf column, for JSON.
fn leaf_text(column: &ArrayRef, row: usize) -> String {
    text_at(column, row).into_owned()
}

//! The last step: a column becomes the destination field's type, and what does not fit is refused.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Date32Array, StringArray};
use arrow::datatypes::DataType;
use flow::{FieldKind, text_at};

use crate::error::Misfit;
use crate::refusals::FieldRows;
use crate::shape::{self, Meaning, Shape};
use crate::steps::map;
use crate::{codes, convert, email, moment};

/// The check and conversion for one destination field.
#[derive(Debug, Clone)]
pub(crate) struct Fit {
    kind: FieldKind,
    options: HashSet<String>,
}

impl Fit {
    pub(crate) fn new(kind: &FieldKind) -> Self {
        let options = match kind {
            FieldKind::Enum { options } | FieldKind::MultiEnum { options } => {
                options.iter().cloned().collect()
            }
            _ => HashSet::new(),
        };
        Self { kind: kind.clone(), options }
    }

    pub(crate) fn kind(&self) -> &FieldKind {
        &self.kind
    }

    /// What a column of shape `from` becomes; an error where no value could ever fit.
    pub(crate) fn shape(&self, from: &Shape) -> Result<Shape, Misfit> {
        let numeric = from.is_number();
        let dated = matches!(from.data_type, DataType::Date32 | DataType::Timestamp(..));
        let text = from.is_free_text();
        let null = from.data_type == DataType::Null;
        let epoch = from.meaning == Meaning::EpochMs;
        let (works, to) = match &self.kind {
            FieldKind::Text { .. } => (true, Shape::text()),
            FieldKind::Email => (text, Shape::text()),
            FieldKind::Phone => (text || numeric, Shape::text()),
            FieldKind::Enum { .. } => {
                (text || numeric || from.data_type == DataType::Boolean, Shape::text())
            }
            FieldKind::MultiEnum { .. } => {
                let list = matches!(from.data_type, DataType::List(_));
                (text || numeric || list || from.data_type == DataType::Boolean, Shape::text())
            }
            FieldKind::Number if from.is_text() || null => (true, Shape::number_text()),
            FieldKind::Number => (numeric || epoch, Shape::plain(from.data_type.clone())),
            FieldKind::Boolean => {
                (text || from.data_type == DataType::Boolean, Shape::plain(DataType::Boolean))
            }
            FieldKind::Date | FieldKind::DateTime if epoch => (true, Shape::epoch_ms()),
            FieldKind::Date => (text || dated, Shape::plain(DataType::Date32)),
            FieldKind::DateTime => (text || dated, Shape::plain(shape::moment_type(true))),
            FieldKind::Any => (true, any(from)),
        };
        if works || null { Ok(to) } else { Err(self.misfit(from)) }
    }

    fn misfit(&self, from: &Shape) -> Misfit {
        let (name, help) = match &self.kind {
            FieldKind::Number if from.data_type == DataType::Boolean => {
                ("a number", "translate it, for example `values: {true: 1, false: 0}`")
            }
            FieldKind::Number => ("a number", "`as: epoch_ms` makes a number of a moment"),
            FieldKind::Boolean => ("a boolean", "`as: boolean` takes 0 and 1; else use `values:`"),
            FieldKind::Date | FieldKind::DateTime => (
                if self.kind == FieldKind::Date { "a date" } else { "a date and time" },
                "a whole number of milliseconds since 1970 needs `as: epoch_ms`; else cast it in SQL",
            ),
            FieldKind::Email => ("an e-mail address", "map a text column"),
            FieldKind::Phone => ("a telephone number", "map a text column"),
            FieldKind::Enum { .. } | FieldKind::MultiEnum { .. } => {
                ("a list of options", "make text of it with a `template` or `date_format`")
            }
            FieldKind::Text { .. } | FieldKind::Any => ("text", ""),
        };
        Misfit::new(
            &codes::E0205_TYPE_NEVER_FITS,
            format!("the value is {}, the field is {name}", from.describe()),
            help,
        )
    }

    /// Converts a column of shape `from`; NULL stays NULL and what does not fit refuses its row.
    pub(crate) fn apply(
        &self,
        column: &ArrayRef,
        from: &Shape,
        rows: &mut FieldRows<'_>,
    ) -> ArrayRef {
        if from.data_type == DataType::Null {
            let to = self.shape(from).map_or(DataType::Null, |shape| shape.data_type);
            return arrow::array::new_null_array(&to, column.len());
        }
        if from.meaning == Meaning::Number {
            refuse_special(column.as_string(), rows);
        }
        match &self.kind {
            FieldKind::Text { chars_max } => {
                let text = shape::text(column, rows);
                if let Some(chars_max) = chars_max {
                    check_length(&text, *chars_max, rows);
                }
                Arc::new(text)
            }
            FieldKind::Phone => Arc::new(shape::text(column, rows)),
            FieldKind::Email => {
                let text = shape::text(column, rows);
                each(&text, |row, cell| {
                    if !email::plausible(cell) {
                        rows.refuse(row, &codes::R113_NOT_AN_EMAIL, email_reason(cell));
                    }
                });
                Arc::new(text)
            }
            FieldKind::Enum { .. } => {
                let text = shape::text(column, rows);
                each(&text, |row, cell| self.check_option(row, cell, rows));
                Arc::new(text)
            }
            FieldKind::MultiEnum { .. } => Arc::new(self.many(column, rows)),
            FieldKind::Number if from.is_text() => {
                Arc::new(convert::numbers(column.as_string(), rows))
            }
            FieldKind::Number => {
                shape::refuse_infinite(column, rows);
                Arc::clone(column)
            }
            FieldKind::Boolean => convert::booleans(column, rows),
            FieldKind::Date if from.meaning == Meaning::EpochMs => {
                check_midnight_ms(column, rows);
                Arc::clone(column)
            }
            FieldKind::DateTime if from.meaning == Meaning::EpochMs => Arc::clone(column),
            FieldKind::Date => Arc::new(days(column, rows)),
            FieldKind::DateTime => Arc::new(convert::moments(column, rows)),
            FieldKind::Any => as_it_comes(column, from, rows),
        }
    }

    /// A field without listed options takes any; its options are not known here.
    fn check_option(&self, row: usize, cell: &str, rows: &mut FieldRows<'_>) {
        if self.options.is_empty() || self.options.contains(cell) {
            return;
        }
        let reason = match cell {
            "" => "the text is empty, which is not one of the field's options".to_owned(),
            _ => format!("the value is not one of the field's {} options", self.options.len()),
        };
        rows.refuse(row, &codes::R107_NOT_AN_OPTION, reason);
    }

    /// Several options in one text, separated by semicolons.
    fn many(&self, column: &ArrayRef, rows: &mut FieldRows<'_>) -> StringArray {
        if !matches!(column.data_type(), DataType::List(_)) {
            let text = shape::text(column, rows);
            return map(&text, |row, cell| {
                let parts: Vec<&str> = cell.split(';').map(str::trim).collect();
                parts.iter().for_each(|part| self.check_part(row, part, rows));
                Some(parts.join(";").into())
            });
        }
        let lists = column.as_list::<i32>();
        (0..lists.len())
            .map(|row| {
                let items = lists.is_valid(row).then(|| lists.value(row))?;
                let parts: Vec<_> = (0..items.len()).map(|at| text_at(&items, at)).collect();
                parts.iter().for_each(|part| self.check_part(row, part, rows));
                // An empty list has no option: the field is emptied.
                (!parts.is_empty()).then(|| parts.join(";"))
            })
            .collect()
    }

    fn check_part(&self, row: usize, part: &str, rows: &mut FieldRows<'_>) {
        if part.is_empty() || part.contains(';') {
            rows.refuse(
                row,
                &codes::R107_NOT_AN_OPTION,
                "one of the values is empty or has a semicolon, which no option has",
            );
        }
        self.check_option(row, part, rows);
    }
}

/// Exact numeric text may still say that it is no number, as PostgreSQL spells it.
fn refuse_special(text: &StringArray, rows: &mut FieldRows<'_>) {
    each(text, |row, cell| {
        if matches!(cell, "NaN" | "Infinity" | "-Infinity") {
            rows.refuse(row, &codes::R111_OUT_OF_RANGE, shape::INFINITE);
        }
    });
}

/// Every cell that is not NULL.
fn each(text: &StringArray, mut check: impl FnMut(usize, &str)) {
    for row in 0..text.len() {
        if text.is_valid(row) {
            check(row, text.value(row));
        }
    }
}

fn email_reason(cell: &str) -> &'static str {
    if cell.is_empty() {
        "the text is empty"
    } else if cell.trim().len() != cell.len() {
        "the address has spaces around it"
    } else {
        "the text is not a valid e-mail address"
    }
}

fn check_length(text: &StringArray, chars_max: usize, rows: &mut FieldRows<'_>) {
    each(text, |row, cell| {
        // A text has at most as many characters as bytes; most need no counting.
        if cell.len() <= chars_max {
            return;
        }
        let chars = cell.chars().count();
        if chars > chars_max {
            rows.refuse(
                row,
                &codes::R108_TOO_LONG,
                format!("the text has {chars} characters; the field takes at most {chars_max}"),
            );
        }
    });
}

const TIME_OF_DAY: &str = "the value has a time of day, which a date field cannot hold";

/// Days; a moment that is not midnight in UTC refuses its row.
fn days(column: &ArrayRef, rows: &mut FieldRows<'_>) -> Date32Array {
    let micros = convert::moments_with(column, rows, Some);
    micros
        .into_iter()
        .enumerate()
        .map(|(row, micros)| {
            let micros = micros?;
            if micros.rem_euclid(moment::DAY_MICROS) != 0 {
                rows.refuse(row, &codes::R110_NOT_A_DATE, TIME_OF_DAY);
                return None;
            }
            i32::try_from(micros.div_euclid(moment::DAY_MICROS)).ok()
        })
        .collect()
}

fn check_midnight_ms(column: &ArrayRef, rows: &mut FieldRows<'_>) {
    let numbers = shape::integer_column(column);
    for row in (0..numbers.len()).filter(|row| numbers.is_valid(*row)) {
        if numbers.value(row).rem_euclid(moment::DAY_MS) != 0 {
            rows.refuse(row, &codes::R110_NOT_A_DATE, TIME_OF_DAY);
        }
    }
}

/// The shape of a column in a field that takes anything.
fn any(from: &Shape) -> Shape {
    match (&from.data_type, from.meaning) {
        (_, Meaning::Json | Meaning::Number) => Shape::json(),
        (DataType::Timestamp(..), _) => Shape::plain(from.data_type.clone()),
        (
            DataType::Utf8
            | DataType::Int64
            | DataType::Float64
            | DataType::Decimal128(..)
            | DataType::Boolean
            | DataType::Date32,
            _,
        ) => Shape::plain(from.data_type.clone()),
        (DataType::List(_), _) => Shape::json(),
        _ => Shape::text(),
    }
}

fn as_it_comes(column: &ArrayRef, from: &Shape, rows: &mut FieldRows<'_>) -> ArrayRef {
    let to = any(from);
    if to.data_type == *column.data_type() {
        shape::refuse_infinite(column, rows);
        return Arc::clone(column);
    }
    Arc::new(shape::text(column, rows))
}

//! Value maps: each listed source value becomes a written one, by one lookup per cell.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, StringArray, UInt32Array,
};
use arrow::compute::{concat, take};
use arrow::datatypes::DataType;
use flow::text_at;

use crate::error::Misfit;
use crate::mappings::Otherwise;
use crate::refusals::FieldRows;
use crate::shape::{self, Meaning, Shape};
use crate::{Scalar, codes, number, suggest};

/// A value map, ready for columns of one shape.
#[derive(Debug, Clone)]
pub(crate) struct ValueMap {
    /// From canonical source text to the place in `results`.
    places: HashMap<String, u32>,
    results: ArrayRef,
    otherwise: Otherwise,
    to: Shape,
}

impl ValueMap {
    /// Compiles the written entries for a column of shape `from`.
    pub(crate) fn new(
        entries: &[(String, Scalar)],
        otherwise: Otherwise,
        from: &Shape,
    ) -> Result<Self, Misfit> {
        let mut places = HashMap::with_capacity(entries.len());
        for (place, (key, _)) in (0u32..).zip(entries) {
            if places.insert(canonical(key, from)?, place).is_some() {
                return Err(Misfit::new(
                    &codes::E0214_DEAD_VALUE,
                    format!("`values` lists `{key}` twice in two spellings"),
                    "remove one of the two",
                ));
            }
        }
        let scalars: Vec<&Scalar> = entries.iter().map(|(_, value)| value).collect();
        let (results, to) = column_of(&scalars);
        let mut map = Self { places, results, otherwise, to };
        if otherwise == Otherwise::Keep && map.to != *from {
            map.results = Arc::new(texts(&scalars));
            map.to = Shape::text();
        }
        Ok(map)
    }

    /// What comes out.
    pub(crate) fn shape(&self) -> &Shape {
        &self.to
    }

    /// The written results, one row each.
    pub(crate) fn results(&self) -> &ArrayRef {
        &self.results
    }

    /// Translates a column; NULL stays NULL.
    pub(crate) fn apply(&self, column: &ArrayRef, rows: &mut FieldRows<'_>) -> ArrayRef {
        let text = column.as_string_opt::<i32>();
        let found: Vec<Option<u32>> = (0..column.len())
            .map(|row| {
                if column.is_null(row) {
                    return None;
                }
                match text {
                    Some(text) => self.places.get(text.value(row)).copied(),
                    None => self.places.get(text_at(column, row).as_ref()).copied(),
                }
            })
            .collect();
        let missed = |row: usize| found[row].is_none() && column.is_valid(row);
        match self.otherwise {
            Otherwise::Keep => return self.keeping(column, &found, rows),
            Otherwise::SetNull => {}
            Otherwise::Reject => (0..column.len()).filter(|row| missed(*row)).for_each(|row| {
                let reason =
                    format!("the value is not one of the {} listed in `values`", self.places.len());
                rows.refuse(row, &codes::R115_VALUE_UNLISTED, reason);
            }),
        }
        take(&self.results, &UInt32Array::from(found), None).expect("places are rows of results")
    }

    /// Unlisted values stay: results and the column's own values, joined and taken from.
    fn keeping(
        &self,
        column: &ArrayRef,
        found: &[Option<u32>],
        rows: &mut FieldRows<'_>,
    ) -> ArrayRef {
        let own: ArrayRef = if column.data_type() == &self.to.data_type {
            Arc::clone(column)
        } else {
            Arc::new(shape::text(column, rows))
        };
        let both = concat(&[self.results.as_ref(), own.as_ref()]).expect("both have one type");
        let offset = self.places.len();
        let indices: UInt32Array = found
            .iter()
            .enumerate()
            .map(|(row, place)| place.or_else(|| u32::try_from(offset + row).ok()))
            .collect();
        take(&both, &indices, None).expect("indices are rows of both")
    }
}

/// The key as the column's canonical text; an error where no cell can ever equal it.
fn canonical(key: &str, from: &Shape) -> Result<String, Misfit> {
    let (text, what) = match from.data_type {
        _ if from.meaning == Meaning::Number => (number::exact(key), "a number"),
        DataType::Int64 => (number::exact(key).filter(|n| !n.contains('.')), "a whole number"),
        DataType::Float64 | DataType::Decimal128(..) => (number::exact(key), "a number"),
        DataType::Boolean => {
            let lower = key.to_ascii_lowercase();
            (matches!(lower.as_str(), "true" | "false").then(|| lower.into()), "true or false")
        }
        _ => return Ok(key.to_owned()),
    };
    text.map(std::borrow::Cow::into_owned).ok_or_else(|| {
        Misfit::new(
            &codes::E0214_DEAD_VALUE,
            format!("`values` lists `{key}`, but the column is {}", from.describe()),
            format!("use {what} as the key, or cast the column to text in the model's SQL"),
        )
    })
}

/// Written values as a column, with numbers and booleans typed where all are of one kind.
pub(crate) fn column_of(scalars: &[&Scalar]) -> (ArrayRef, Shape) {
    let present = || scalars.iter().filter(|scalar| !matches!(scalar, Scalar::Null));
    let count = present().count();
    let booleans: Vec<Option<bool>> = scalars
        .iter()
        .map(|scalar| if let Scalar::Boolean(value) = scalar { Some(*value) } else { None })
        .collect();
    if count > 0 && booleans.iter().flatten().count() == count {
        let array = BooleanArray::from(booleans);
        return (Arc::new(array), Shape::plain(DataType::Boolean));
    }
    let all_numbers = count > 0 && present().all(|scalar| matches!(scalar, Scalar::Number(_)));
    if all_numbers {
        let typed = |scalar: &&Scalar| scalar.as_text().parse::<i64>().ok();
        let whole: Vec<Option<i64>> = scalars.iter().map(typed).collect();
        if whole.iter().flatten().count() == count {
            return (Arc::new(Int64Array::from(whole)), Shape::plain(DataType::Int64));
        }
        let doubles: Vec<Option<f64>> =
            scalars.iter().map(|scalar| number::double(scalar.as_text())).collect();
        if doubles.iter().flatten().count() == count {
            return (Arc::new(Float64Array::from(doubles)), Shape::plain(DataType::Float64));
        }
        return (Arc::new(texts(scalars)), Shape::number_text());
    }
    (Arc::new(texts(scalars)), Shape::text())
}

fn texts(scalars: &[&Scalar]) -> StringArray {
    scalars
        .iter()
        .map(|scalar| (!matches!(scalar, Scalar::Null)).then(|| scalar.as_text()))
        .collect()
}

/// `values` keys for a help text.
pub(crate) fn options_help(value: &str, options: &[String]) -> String {
    match suggest::closest(value, options.iter().map(String::as_str)) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => {
            let mut names = suggest::listed(options.iter().take(12).map(String::as_str));
            if options.len() > 12 {
                names.push_str(", …");
            }
            format!("the options are {names}")
        }
    }
}

//! Cuts one statement of a read into parts that together read the same rows in the same order.

use flow::{Key, Position};

use crate::postgres::columns::Column;
use crate::postgres::literal;
use crate::postgres::query::{Part, Query, all_of};

impl Query<'_> {
    /// The parts that `part` falls into when it is cut after each of these places, which are in its order.
    pub(super) fn cut(&self, part: &Part, places: &[Position]) -> Vec<Part> {
        let mut parts = Vec::new();
        let mut after: Option<&Position> = None;
        for upto in places.iter().map(Some).chain([None]) {
            let bounds =
                [after.map(|at| self.beyond(part, at, upto)), upto.map(|at| self.upto(part, at))];
            let [lower, upper] = bounds;
            let filter = all_of([Some(part.filter.clone()), lower, upper]);
            parts.push(Part { filter, ..part.clone() });
            after = upto;
        }
        if let (Some(key), false, false) =
            (self.single_nullable(), part.on_watermark, places.is_empty())
        {
            let filter =
                all_of([Some(part.filter.clone()), Some(format!("{} IS NULL", key.expression()))]);
            parts.push(Part { filter, ..part.clone() });
        }
        parts
    }

    /// What is left of a part after this row of it.
    pub(super) fn rest(&self, part: &Part, after: &Position) -> Part {
        let filter = all_of([Some(part.filter.clone()), Some(self.behind(part, after))]);
        Part { filter, ..part.clone() }
    }

    /// The only column of a key that may be NULL. Rows where it is are a part of their own, so that an index serves the
    /// others.
    fn single_nullable(&self) -> Option<&Column> {
        let mut keys = self.layout.key_columns();
        keys.next().filter(|_| self.keys_nullable && keys.next().is_none())
    }

    fn beyond(&self, part: &Part, at: &Position, upto: Option<&Position>) -> String {
        let leading = match (part.on_watermark, self.single_nullable()) {
            (false, Some(key)) => {
                let values = self.key_values(&at.key);
                return format!("{} > {}", key.key_expression(), values.join(", "));
            }
            (_, _) if !self.keys_nullable => None,
            // A plain comparison of the first column, which an index answers; where that column may be NULL, such a row
            // is in the last part.
            (true, _) => Some(self.leading(part, at, ">=")),
            (false, _) => upto.map(|_| self.leading(part, at, ">=")),
        };
        all_of([leading, Some(self.behind(part, at))])
    }

    /// Rows behind this place.
    fn behind(&self, part: &Part, at: &Position) -> String {
        match self.layout.watermark_column().filter(|_| part.on_watermark) {
            Some(column) => self.after(column, at),
            None => self.key_after(&at.key),
        }
    }

    /// Rows up to this place and at it.
    fn upto(&self, part: &Part, at: &Position) -> String {
        let watermark = self.layout.watermark_column().filter(|_| part.on_watermark);
        let (mut names, mut values) = (Vec::new(), Vec::new());
        if let (Some(column), Some(watermark)) = (watermark, at.watermark) {
            names.push(column.expression());
            values.push(literal::watermark(watermark, &column.carry));
        }
        names.extend(self.layout.key_columns().map(Column::key_expression));
        values.extend(self.key_values(&at.key));
        if !self.keys_nullable || names.len() == 1 {
            return format!("({}) <= ({})", names.join(", "), values.join(", "));
        }
        // NULL comes last, as in ORDER BY: a comparison with it is not true, so such a row is behind.
        let pairs = || names.iter().zip(&values).rev();
        let upto = pairs().fold(String::new(), |rest, (name, value)| match rest.is_empty() {
            true => format!("{name} <= {value}"),
            false => format!("({name} < {value} OR ({name} = {value} AND {rest}))"),
        });
        all_of([Some(self.leading(part, at, "<=")), Some(upto)])
    }

    /// A comparison of the first column of the order alone.
    fn leading(&self, part: &Part, at: &Position, operator: &str) -> String {
        match (self.layout.watermark_column().filter(|_| part.on_watermark), at.watermark) {
            (Some(column), Some(watermark)) => {
                let value = literal::watermark(watermark, &column.carry);
                format!("{} {operator} {value}", column.expression())
            }
            _ => self.leading_key(&at.key, operator),
        }
    }

    fn leading_key(&self, key: &Key, operator: &str) -> String {
        let column = self.layout.key_columns().next().map(Column::key_expression);
        let value = self.key_values(key).into_iter().next();
        let (column, value) = (column.unwrap_or_default(), value.unwrap_or_default());
        format!("{column} {operator} {value}")
    }
}

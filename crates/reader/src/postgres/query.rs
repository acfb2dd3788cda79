//! The SELECTs of a read: which rows, in which order, going on after which row.

use flow::{Error, Key, Position, Result, Scope, Watermark};

use super::columns::{Column, Layout};
use super::dialect::Dialect;
use super::literal;
use super::types::Carry;
use crate::codes;

/// One statement of a read. A read by watermark has two: rows with a place on the progress column, then those
/// without one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    /// Condition, without WHERE.
    pub filter: String,
    /// Order, without ORDER BY.
    pub order: String,
    /// Whether positions in this part have a watermark.
    pub on_watermark: bool,
}

/// What a read asks for.
pub(super) struct Query<'a> {
    pub from: &'a str,
    pub layout: &'a Layout,
    /// Whether a key column may be NULL; then rows without a key sort last and must not be skipped.
    pub keys_nullable: bool,
    /// How the server is asked.
    pub dialect: &'static Dialect,
    /// Rows for which this holds come in a read since a watermark too, wherever they are on the progress column.
    pub late: Option<String>,
}

impl Query<'_> {
    /// The statements that read `scope` after `after`.
    ///
    /// # Errors
    /// `E1017` where the scope needs a watermark and the model has none.
    pub(super) fn parts(&self, scope: &Scope, after: Option<&Position>) -> Result<Vec<Part>> {
        match (scope, self.layout.watermark_column()) {
            (Scope::All, Some(column)) => Ok(self.by_watermark(column, None, after)),
            (Scope::Since(from), Some(column)) => Ok(self.by_watermark(column, Some(*from), after)),
            (Scope::Changed { from, .. }, Some(column)) => {
                Ok(self.by_watermark(column, *from, after))
            }
            (Scope::Range { .. }, Some(column)) => {
                let filter = self.window(scope).unwrap_or_default();
                Ok(vec![self.placed(column, filter, after)])
            }
            // A source that gives marks says which of the other scopes this is.
            (Scope::Changed { .. } | Scope::Since(_) | Scope::Range { .. }, None) => {
                Err(Error::new(&codes::E1017_WATERMARK_TYPE, "the model has no watermark"))
            }
            (Scope::All | Scope::Where(_) | Scope::Keys(_), _) => {
                let filter = self.window(scope);
                let after = after.map(|position| self.key_after(&position.key));
                Ok(vec![Part {
                    filter: all_of([filter, after]),
                    order: self.key_order(),
                    on_watermark: false,
                }])
            }
        }
    }

    /// The condition that limits a read to `scope`; `None` for every row.
    pub(super) fn window(&self, scope: &Scope) -> Option<String> {
        let column = self.layout.watermark_column();
        let value = |column: &Column, at: &Watermark| literal::watermark(*at, &column.carry);
        match (scope, column) {
            (Scope::Since(from), Some(column)) => {
                let name = column.expression();
                let at = value(column, from);
                Some(format!("({name} >= {at} OR {})", self.unplaced(column, Some(*from))))
            }
            (Scope::Range { from, to }, Some(column)) => {
                let name = column.expression();
                let (from, to) = (value(column, from), value(column, to));
                Some(format!("{name} >= {from} AND {name} < {to}"))
            }
            // On lines of its own, so that a trailing comment ends.
            (Scope::Where(condition), _) => Some(format!("(\n{condition}\n)")),
            (Scope::Keys(keys), _) => Some(self.key_among(keys)),
            (Scope::All | Scope::Since(_) | Scope::Changed { .. } | Scope::Range { .. }, _) => None,
        }
    }

    fn by_watermark(
        &self,
        column: &Column,
        from: Option<Watermark>,
        after: Option<&Position>,
    ) -> Vec<Part> {
        let name = column.expression();
        let since =
            from.map(|from| format!("{name} >= {}", literal::watermark(from, &column.carry)));
        let finite = match self.dialect.has_infinity {
            true => format!("{name} > '-infinity'"),
            false => format!("{name} IS NOT NULL"),
        };
        let after_key = after.map(|position| self.key_after(&position.key));
        let unplaced = |after: Option<String>| Part {
            filter: all_of([Some(format!("({})", self.unplaced(column, from))), after]),
            order: self.key_order(),
            on_watermark: false,
        };
        match after {
            Some(Position { watermark: None, .. }) => vec![unplaced(after_key)],
            _ => {
                let placed = self.placed(column, all_of([Some(finite), since]), after);
                vec![placed, unplaced(None)]
            }
        }
    }

    /// The condition for rows that come after those with a place on the progress column from `from` on: they have none,
    /// or they changed late.
    fn unplaced(&self, column: &Column, from: Option<Watermark>) -> String {
        let name = column.expression();
        let late = self.late.as_ref().zip(from).map_or(String::new(), |(late, from)| {
            format!(" OR ({name} < {} AND {late})", literal::watermark(from, &column.carry))
        });
        match self.dialect.has_infinity {
            true => format!("{name} IS NULL OR {name} = '-infinity'{late}"),
            false => format!("{name} IS NULL{late}"),
        }
    }

    /// Rows in the order of the watermark, equal ones by key.
    fn placed(&self, column: &Column, filter: String, after: Option<&Position>) -> Part {
        let after = after.map(|position| self.after(column, position));
        Part {
            filter: all_of([Some(filter), after]),
            order: format!("{}, {}", column.expression(), self.key_order()),
            on_watermark: true,
        }
    }

    pub(super) fn after(&self, column: &Column, position: &Position) -> String {
        let at = position.watermark.unwrap_or(Watermark::NEG_INFINITY);
        let (name, at) = (column.expression(), literal::watermark(at, &column.carry));
        if self.keys_nullable || !self.dialect.rows {
            let keys = self.key_after(&position.key);
            return format!("({name} > {at} OR ({name} = {at} AND {keys}))");
        }
        let keys: Vec<String> = self.layout.key_columns().map(Column::key_expression).collect();
        let values = self.key_values(&position.key);
        // A row comparison, which an index on (watermark, key) answers.
        format!("({name}, {}) > ({at}, {})", keys.join(", "), values.join(", "))
    }

    /// Rows whose key comes after this one; NULL comes last, as in ORDER BY.
    pub(super) fn key_after(&self, key: &Key) -> String {
        let values = self.key_values(key);
        let columns: Vec<&Column> = self.layout.key_columns().collect();
        if !self.keys_nullable && self.dialect.rows {
            let keys: Vec<String> = columns.iter().map(|key| key.key_expression()).collect();
            return format!("({}) > ({})", keys.join(", "), values.join(", "));
        }
        columns.iter().zip(values).rev().fold(String::new(), |rest, (column, value)| {
            let (key, name) = (column.key_expression(), column.expression());
            match rest.is_empty() {
                true => format!("({key} > {value} OR {name} IS NULL)"),
                false => {
                    format!("({key} > {value} OR {name} IS NULL OR ({key} = {value} AND {rest}))")
                }
            }
        })
    }

    pub(super) fn key_values(&self, key: &Key) -> Vec<String> {
        let parts = key.parts();
        let value = |(index, column): (usize, &Column)| {
            let part = parts.get(index).map_or("", String::as_str);
            let text = literal::key_text(part, &column.carry).unwrap_or_default();
            format!("{}::{}", self.dialect.string(&text), column.key_type())
        };
        self.layout.key_columns().enumerate().map(value).collect()
    }

    fn key_order(&self) -> String {
        // Not every server takes NULL for larger than everything else.
        let order = |key: &Column| match self.dialect.is_postgres {
            true => key.key_expression(),
            false => format!("{} IS NULL, {}", key.expression(), key.key_expression()),
        };
        self.layout.key_columns().map(order).collect::<Vec<_>>().join(", ")
    }

    /// Rows whose key is one of these. A text that is no value of the column's type is no row's key.
    fn key_among(&self, keys: &[Key]) -> String {
        if !self.dialect.rows {
            return self.key_is_one_of(keys);
        }
        let columns: Vec<&Column> = self.layout.key_columns().collect();
        let mut texts: Vec<Vec<String>> = vec![Vec::new(); columns.len()];
        for key in keys {
            let parts = key.parts();
            if parts.len() != columns.len() {
                continue;
            }
            let row: Option<Vec<String>> = parts
                .iter()
                .zip(&columns)
                .map(|(part, column)| literal::key_text(part, &column.carry))
                .collect();
            for (column, text) in texts.iter_mut().zip(row.into_iter().flatten()) {
                column.push(text);
            }
        }
        let arrays: Vec<String> = texts
            .iter()
            .zip(&columns)
            .map(|(texts, column)| {
                let array = literal::array(texts.iter().map(String::as_str));
                format!("{array}::{}[]", column.key_type())
            })
            .collect();
        let names = (0..columns.len()).map(|index| format!("k{index}")).collect::<Vec<_>>();
        let (names, arrays) = (names.join(", "), arrays.join(", "));
        let set = format!("(SELECT {names} FROM unnest({arrays}) AS wanted({names}))");
        let list = |expression: fn(&Column) -> String| {
            columns.iter().map(|column| expression(column)).collect::<Vec<_>>().join(", ")
        };
        // The plain columns let an index serve; the exact comparison sorts out what a collation takes as equal.
        let plain = list(|column| match column.key_type() {
            "text" => format!("{}::text", column.expression()),
            _ => column.expression(),
        });
        format!("({plain}) IN {set} AND ({}) IN {set}", list(Column::key_expression))
    }

    /// As [`Query::key_among`], without arrays and row constructors.
    fn key_is_one_of(&self, keys: &[Key]) -> String {
        let columns: Vec<&Column> = self.layout.key_columns().collect();
        let value = |(column, part): (&&Column, &String)| {
            let text = literal::key_text(part, &column.carry)?;
            Some((column.key_expression(), self.dialect.string(&text), column.key_type()))
        };
        let whole = |key: &Key| -> Option<Vec<(String, String, &str)>> {
            let parts = key.parts();
            (parts.len() == columns.len())
                .then(|| columns.iter().zip(&parts).map(value).collect())
                .flatten()
        };
        let wanted: Vec<Vec<(String, String, &str)>> = keys.iter().filter_map(whole).collect();
        if wanted.is_empty() {
            return "false".to_owned();
        }
        if let [column] = columns[..] {
            let values = wanted.iter().flatten().map(|(_, text, kind)| format!("{text}::{kind}"));
            let values = values.collect::<Vec<_>>().join(", ");
            return format!("{} IN ({values})", column.key_expression());
        }
        let one = |key: &Vec<(String, String, &str)>| {
            let parts = key.iter().map(|(name, text, kind)| format!("{name} = {text}::{kind}"));
            format!("({})", parts.collect::<Vec<_>>().join(" AND "))
        };
        format!("({})", wanted.iter().map(one).collect::<Vec<_>>().join(" OR "))
    }

    /// The whole statement of a part; a LIMIT may follow.
    pub(super) fn select(&self, part: &Part) -> String {
        let filter = match part.filter.is_empty() {
            true => String::new(),
            false => format!(" WHERE {}", part.filter),
        };
        let (projection, from, order) = (self.layout.projection(), self.from, &part.order);
        format!("SELECT {projection} FROM {from}{filter} ORDER BY {order}")
    }

    /// One look at the whole model: every key with a row in `scope` that more than one row has (`twin`; the twin may lie
    /// outside the scope), and every key with a row that has no place on the progress column. Asked once, since a model
    /// that is a query is worked out anew by every statement.
    pub(super) fn inspection(&self, scope: &Scope) -> String {
        let keys: Vec<String> = self.layout.key_columns().map(Column::key_expression).collect();
        let keys = keys.join(", ");
        let selected = self.layout.key_columns().map(|key| match key.carry {
            Carry::WrittenNumber(_) => {
                key.carry.projection(&key.key_expression(), self.dialect.text)
            }
            _ => key.key_expression(),
        });
        let selected = selected.collect::<Vec<_>>().join(", ");
        let present =
            self.layout.key_columns().map(|key| format!("{} IS NOT NULL", key.key_expression()));
        let present = present.collect::<Vec<_>>().join(" AND ");
        let from = self.from;
        // A key is in the scope with all its rows, so nothing else needs a look.
        let (filter, window) = match (scope, self.window(scope)) {
            (Scope::Keys(_), Some(window)) => (format!(" WHERE {window}"), "true".to_owned()),
            (_, window) => (String::new(), window.unwrap_or_else(|| "true".to_owned())),
        };
        let twin = format!("(count(*) > 1 AND {present} AND bool_or({window}))");
        let unplaced = match (scope, self.layout.watermark_column()) {
            (Scope::All, Some(column)) => format!(" OR bool_or({})", self.unplaced(column, None)),
            (Scope::Since(from), Some(column)) => {
                format!(" OR bool_or({})", self.unplaced(column, Some(*from)))
            }
            _ => String::new(),
        };
        format!(
            "SELECT {selected}, {twin} AS twin FROM {from}{filter} GROUP BY {keys} \
             HAVING {twin}{unplaced}"
        )
    }
}

/// Conditions joined by AND; empty where there is none.
pub(super) fn all_of<const N: usize>(conditions: [Option<String>; N]) -> String {
    let conditions: Vec<String> =
        conditions.into_iter().flatten().filter(|condition| !condition.is_empty()).collect();
    conditions.join(" AND ")
}

#[cfg(test)]
mod tests;

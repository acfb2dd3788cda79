//! What differs in the SQL of the warehouses: names, moments, clocks, read-only snapshots. No row constructors anywhere.

use flow::arrow::datatypes::DataType;
use flow::{Key, Model, Relation, Scope, Watermark};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::layout::{Column, Layout};
use crate::ordered::Window;
use crate::postgres::sql::{has_semicolon, statement};

/// Keys that are asked for by name; with more of them everything is read.
const KEYS_MAX: usize = 1_000;

/// The years 1 to 9999, which every database can write.
const FIRST_MICROS: i64 = -62_135_596_800_000_000;
const LAST_MICROS: i64 = 253_402_300_799_999_999;

/// The SQL that a database understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Dialect {
    /// DuckDB.
    Duckdb,
    /// SQLite; it has no timestamps, so that models are read by snapshot.
    Sqlite,
    /// PostgreSQL. `type: postgres` is the faster way where it can be had.
    Postgres,
    /// Snowflake.
    Snowflake,
    /// BigQuery.
    Bigquery,
    /// Standard SQL, for any other.
    Ansi,
}

impl Dialect {
    /// A quoted name.
    pub(super) fn identifier(self, name: &str) -> String {
        match self {
            Self::Bigquery => format!("`{}`", name.replace('\\', "\\\\").replace('`', "\\`")),
            _ => format!("\"{}\"", name.replace('"', "\"\"")),
        }
    }

    fn text(self, text: &str) -> String {
        match self {
            Self::Bigquery | Self::Snowflake => {
                format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
            }
            _ => format!("'{}'", text.replace('\'', "''")),
        }
    }

    /// A SELECT of the warehouse's clock in microseconds; `None` where there is none of that exactness.
    pub(super) fn clock(self) -> Option<&'static str> {
        match self {
            Self::Duckdb => Some("SELECT epoch_us(now())"),
            Self::Postgres => {
                Some("SELECT (date_part('epoch', transaction_timestamp()) * 1000000)::int8")
            }
            Self::Snowflake => {
                Some("SELECT DATE_PART(EPOCH_MICROSECOND, CURRENT_TIMESTAMP())::BIGINT")
            }
            Self::Bigquery => Some("SELECT UNIX_MICROS(CURRENT_TIMESTAMP())"),
            Self::Sqlite | Self::Ansi => None,
        }
    }

    /// Statements that begin a transaction which only reads, in one snapshot, as far as the database has such.
    pub(super) fn begin(self) -> &'static [&'static str] {
        match self {
            Self::Postgres => &["BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"],
            Self::Duckdb => &["BEGIN TRANSACTION"],
            Self::Sqlite => &["PRAGMA query_only = ON", "BEGIN"],
            // No snapshot over several statements: one statement gives all rows.
            Self::Snowflake | Self::Bigquery | Self::Ansi => &[],
        }
    }

    /// Whether a SELECT of nothing says what types the columns have.
    pub(super) fn describes_nothing(self) -> bool {
        self != Self::Sqlite
    }

    fn moment(self, at: Watermark, column: &Column) -> String {
        let micros = at.0;
        let date = column.arrival.data_type == DataType::Date32;
        let zoned = matches!(column.arrival.data_type, DataType::Timestamp(_, Some(_)));
        let within = micros.clamp(FIRST_MICROS, LAST_MICROS);
        let text = chrono::DateTime::from_timestamp_micros(within)
            .map_or_else(String::new, |at| at.format("%Y-%m-%d %H:%M:%S%.6f").to_string());
        match (self, date, zoned) {
            // Rows of the day, and what is no later is left out afterwards.
            (_, true, _) => format!("DATE '{}'", text.get(..10).unwrap_or_default()),
            (Self::Duckdb | Self::Postgres, _, true) => format!("TIMESTAMPTZ '{text}+00'"),
            (Self::Snowflake, _, true) => format!("'{text} +00:00'::TIMESTAMP_TZ"),
            (Self::Snowflake, _, false) => format!("'{text}'::TIMESTAMP_NTZ"),
            (Self::Bigquery, _, true) => format!("TIMESTAMP_MICROS({within})"),
            (Self::Bigquery, _, false) => format!("DATETIME '{text}'"),
            (_, _, true) => format!("TIMESTAMP '{text}+00:00'"),
            (_, _, false) => format!("TIMESTAMP '{text}'"),
        }
    }

    /// What a model reads from: a table by its name, or its SQL. `None` for a name that is none, and for SQL of several
    /// statements: not every driver refuses those.
    pub(super) fn from(self, model: &Model, scope: &Scope) -> Option<String> {
        let conditions = match scope {
            Scope::Where(condition) => [model.removed_when.as_ref(), Some(condition)],
            _ => [model.removed_when.as_ref(), None],
        };
        if conditions.into_iter().flatten().any(|condition| has_semicolon(condition)) {
            return None;
        }
        let relation = match &model.relation {
            Relation::Table(name) => self.table(name)?,
            // On lines of its own, so that a trailing comment ends.
            Relation::Sql(sql) => {
                let statement = statement(sql);
                if has_semicolon(&statement) {
                    return None;
                }
                format!("(\n{statement}\n)")
            }
        };
        let removed = model.removed_when.as_ref().map(|condition| {
            let name = self.identifier(flow::REMOVED);
            format!(", CASE WHEN (\n{condition}\n) THEN TRUE ELSE FALSE END AS {name}")
        });
        let filter = match scope {
            Scope::Where(condition) => Some(format!(" WHERE (\n{condition}\n)")),
            _ => None,
        };
        if removed.is_none() && filter.is_none() {
            return Some(format!("{relation} AS m"));
        }
        let (removed, filter) = (removed.unwrap_or_default(), filter.unwrap_or_default());
        Some(format!("(SELECT m.*{removed} FROM {relation} AS m{filter}) AS m"))
    }

    /// A table's name: up to three parts, each plain or quoted.
    fn table(self, name: &str) -> Option<String> {
        let quote = if self == Self::Bigquery { '`' } else { '"' };
        let mut rest = name;
        for _ in 0..3 {
            rest = match rest.strip_prefix(quote) {
                Some(quoted) => {
                    let end = quoted.find(quote).filter(|end| *end > 0)?;
                    &quoted[end + 1..]
                }
                None => {
                    let end = rest.find('.').unwrap_or(rest.len());
                    let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$' | '-');
                    if end == 0
                        || !rest[..end].chars().all(plain)
                        || rest.starts_with('-')
                        || rest.contains("--")
                    {
                        return None;
                    }
                    &rest[end..]
                }
            };
            match rest.strip_prefix('.') {
                Some(next) => rest = next,
                None => return rest.is_empty().then(|| name.to_owned()),
            }
        }
        None
    }

    /// The statement that reads these columns, without rows that are not wanted where that is easily said.
    pub(super) fn select(
        self,
        from: &str,
        layout: &Layout,
        (window, keys): (Window, Option<&[Key]>),
    ) -> String {
        let columns: Vec<String> =
            layout.columns.iter().map(|column| self.column(&column.name)).collect();
        let conditions: Vec<String> =
            [self.within(layout, window), keys.and_then(|keys| self.among(layout, keys))]
                .into_iter()
                .flatten()
                .collect();
        let filter = match conditions.is_empty() {
            true => String::new(),
            false => format!(" WHERE {}", conditions.join(" AND ")),
        };
        format!("SELECT {} FROM {from}{filter}", columns.join(", "))
    }

    fn column(self, name: &str) -> String {
        format!("m.{}", self.identifier(name))
    }

    fn within(self, layout: &Layout, window: Window) -> Option<String> {
        let Window::Between { from, to, unplaced } = window else { return None };
        let column = layout.watermark_column()?;
        let name = self.column(&column.name);
        // What no literal can say is left out afterwards.
        let mut placed = match from.0 < FIRST_MICROS {
            true => format!("{name} IS NOT NULL"),
            false => format!("{name} >= {}", self.moment(from, column)),
        };
        if let Some(to) = to.filter(|to| to.0 <= LAST_MICROS) {
            // A date is compared by its day, and the last one may be wanted in part.
            let before = if column.arrival.data_type == DataType::Date32 { "<=" } else { "<" };
            placed.push_str(&format!(" AND {name} {before} {}", self.moment(to, column)));
        }
        if !unplaced {
            return Some(placed);
        }
        let endless = match self {
            Self::Duckdb | Self::Postgres => format!(" OR {name} = '-infinity'"),
            _ => String::new(),
        };
        Some(format!("({placed} OR {name} IS NULL{endless})"))
    }

    /// Rows with these keys; `None` where they are too many or of a type whose values have several texts.
    fn among(self, layout: &Layout, keys: &[Key]) -> Option<String> {
        if keys.len() > KEYS_MAX {
            return None;
        }
        let mut any = Vec::new();
        'keys: for key in keys {
            let parts = key.parts();
            if parts.len() != layout.keys.len() {
                continue;
            }
            let mut all = Vec::new();
            for (part, column) in parts.iter().zip(layout.key_columns()) {
                let value = match column.arrival.data_type {
                    DataType::Int16 | DataType::Int32 | DataType::Int64 => {
                        match part.parse::<i64>() {
                            Ok(number) => number.to_string(),
                            Err(_) => continue 'keys,
                        }
                    }
                    DataType::Utf8 if column.arrival.source_type == "text" => self.text(part),
                    _ => return None,
                };
                all.push(format!("{} = {value}", self.column(&column.name)));
            }
            any.push(format!("({})", all.join(" AND ")));
        }
        Some(match any.is_empty() {
            true => "1 = 0".to_owned(),
            false => format!("({})", any.join(" OR ")),
        })
    }

    /// The statement that finds keys which several rows have. Text is compared by its bytes.
    pub(super) fn twins(self, from: &str, layout: &Layout) -> String {
        let columns: Vec<String> = layout
            .key_columns()
            .map(|key| {
                let name = self.column(&key.name);
                match (self, key.arrival.source_type.as_str()) {
                    (Self::Sqlite, "text") => format!("{name} COLLATE BINARY"),
                    (Self::Postgres, "text") => format!("{name} COLLATE \"C\""),
                    (Self::Snowflake | Self::Bigquery, "text") => format!("COLLATE({name}, '')"),
                    _ => name,
                }
            })
            .collect();
        let columns = columns.join(", ");
        format!("SELECT {columns} FROM {from} GROUP BY {columns} HAVING COUNT(*) > 1")
    }

    /// A SELECT that lists tables and views as `schema.name`.
    pub(super) fn tables(self) -> &'static str {
        match self {
            Self::Sqlite => {
                "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') \
                 AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY 1"
            }
            Self::Bigquery => {
                "SELECT CONCAT(table_schema, '.', table_name) FROM INFORMATION_SCHEMA.TABLES \
                 ORDER BY 1"
            }
            _ => {
                "SELECT table_schema || '.' || table_name FROM information_schema.tables \
                 WHERE LOWER(table_schema) NOT IN ('information_schema', 'pg_catalog') ORDER BY 1"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use flow::Changes;
    use flow::arrow::datatypes::TimeUnit;

    use super::*;
    use crate::arrival::Arrival;

    fn model(relation: Relation) -> Model {
        Model {
            relation,
            primary_key: vec!["id".to_owned(), "k\"`".to_owned()],
            changes: Changes::Watermark { column: "at".to_owned(), lag_micros: 1 },
            removed_when: None,
        }
    }

    fn layout(zone: Option<&str>) -> Layout {
        let at = DataType::Timestamp(TimeUnit::Microsecond, zone.map(Into::into));
        let column = |name: &str, data_type, of: &str| Column {
            name: name.to_owned(),
            arrival: Arrival::plain(data_type, of),
        };
        let all = [
            column("id", DataType::Int64, "bigint"),
            column("k\"`", DataType::Utf8, "text"),
            column("at", at, "timestamptz"),
        ];
        Layout::new(&all, &model(Relation::Table("t".to_owned())), &[]).unwrap()
    }

    /// X4: what the generated SQL of every dialect looks like, without row constructors.
    #[test]
    fn generated_sql_of_every_dialect_is_as_it_was_reviewed() {
        let mut text = String::new();
        for dialect in [
            Dialect::Duckdb,
            Dialect::Sqlite,
            Dialect::Postgres,
            Dialect::Snowflake,
            Dialect::Bigquery,
            Dialect::Ansi,
        ] {
            let from =
                dialect.from(&model(Relation::Table("s.t".to_owned())), &Scope::All).unwrap();
            let mut show = |sql: String| text.push_str(&format!("{dialect:?}: {sql}\n"));
            for zone in [Some("UTC"), None] {
                let window = Window::Between {
                    from: Watermark(1_767_607_202_869_801),
                    to: zone.is_none().then_some(Watermark(1_767_607_202_869_802)),
                    unplaced: zone.is_some(),
                };
                show(dialect.select(&from, &layout(zone), (window, None)));
            }
            let keys = [Key::from_parts(&["1", "it's \\"]), Key::from_parts(&["x", "y"])];
            show(dialect.select(&from, &layout(None), (Window::All, Some(&keys))));
            show(dialect.twins(&from, &layout(None)));
        }
        assert!(!text.contains("), ("), "no row constructors");
        insta::assert_snapshot!("dialects", text);
    }

    #[test]
    fn a_name_is_a_name_and_nothing_else() {
        let from = |name: &str| {
            Dialect::Duckdb.from(&model(Relation::Table(name.to_owned())), &Scope::All)
        };
        for name in ["t", "s.t", "db.s.t", "\"odd name\".\"t;--\"", "naïve"] {
            assert_eq!(from(name), Some(format!("{name} AS m")));
        }
        for name in [
            "",
            "t; DROP TABLE x",
            "a.b.c.d",
            "(SELECT 1)",
            "\"t",
            "t --",
            "a b",
            ".t",
            "t.",
            "\"\"",
            "a--b",
        ] {
            assert_eq!(from(name), None, "{name}");
        }
    }
}

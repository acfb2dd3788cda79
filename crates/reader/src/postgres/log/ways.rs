//! How a change of a table leads to rows of the model: by the table's own columns, by SQL of the user, or not at all.

use std::collections::HashMap;

use flow::{Error, Log, Model, Result};
use tokio_postgres::Row;

use super::super::literal;
use super::super::relation::{self, Under};
use super::super::session::Session;
use super::super::source::View;
use super::slot::Missing;
use crate::codes;

/// How a change of a table leads to keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Way {
    /// The model's key is these columns of the table, in the key's order.
    Columns(Vec<String>),
    /// This SELECT of keys, from a relation `changed` with the columns of the replica identity.
    Sql(String),
    /// Only a read of every row finds them, for this reason.
    All(&'static str),
}

/// A table that is followed, or a partition of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Followed {
    /// `schema.name`, quoted where it must be.
    pub label: String,
    pub way: Way,
    /// The replica identity's columns with their types' names.
    pub identity: Vec<(String, String)>,
}

/// The tables of a model's log.
#[derive(Debug, Default)]
pub(super) struct Ways {
    pub tables: Vec<Followed>,
    /// By the oid in the log: the table's own, or a partition's.
    pub by_oid: HashMap<u32, usize>,
    /// The tables and the publication's own rows of them: others than before are another history.
    pub published: Vec<(u32, u32)>,
    /// Tables the model reads and nobody follows.
    pub unfollowed: Vec<String>,
    pub missing: Vec<Missing>,
    /// There is no publication at all.
    pub unpublished: bool,
}

/// Each listed table, or each leaf of one that has partitions.
const TABLES: &str = "SELECT u.at::int4, t.oid, c.oid, pg_catalog.format('%I.%I', t.schema, t.name), \
        c.schema, c.name, c.identity, \
        EXISTS (SELECT FROM pg_catalog.pg_publication_tables AS p WHERE p.pubname = $2 \
            AND ((p.schemaname = c.schema AND p.tablename = c.name) \
                OR (p.schemaname = t.schema AND p.tablename = t.name))), \
        coalesce((SELECT max(r.oid) FROM pg_catalog.pg_publication_rel AS r \
            JOIN pg_catalog.pg_publication AS p ON p.oid = r.prpubid \
            WHERE p.pubname = $2 AND r.prrelid IN (c.oid, t.oid)), 0::oid), \
        EXISTS (SELECT FROM pg_catalog.pg_publication_rel AS r \
            JOIN pg_catalog.pg_publication AS p ON p.oid = r.prpubid \
            WHERE p.pubname = $2 AND r.prrelid IN (c.oid, t.oid) \
                AND pg_catalog.to_jsonb(r) ->> 'prqual' IS NOT NULL), \
        (SELECT pg_catalog.array_agg(a.attname::text ORDER BY a.attnum) FROM identity AS a WHERE a.attrelid = c.oid), \
        (SELECT pg_catalog.array_agg(a.kind ORDER BY a.attnum) FROM identity AS a WHERE a.attrelid = c.oid) \
    FROM u JOIN t ON t.at = u.at JOIN l ON l.at = u.at JOIN c ON c.oid = l.relid ORDER BY u.at, c.oid";
const NAMED: &str = "WITH u AS (SELECT name, at FROM unnest($1::text[]) WITH ORDINALITY AS u(name, at)), \
    all_tables AS (SELECT c.oid, n.nspname AS schema, c.relname AS name, c.relkind AS kind, c.relreplident::text AS identity \
        FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p')), \
    t AS (SELECT u.at, a.* FROM u JOIN all_tables AS a ON a.oid = pg_catalog.to_regclass(u.name)), \
    l AS (SELECT t.at, t.oid AS relid FROM t WHERE t.kind = 'r' UNION ALL \
        SELECT t.at, p.relid FROM t, pg_catalog.pg_partition_tree(t.oid) AS p WHERE t.kind = 'p' AND p.isleaf), \
    c AS (SELECT a.* FROM all_tables AS a), \
    identity AS (SELECT a.attrelid, a.attname, a.attnum, pg_catalog.format_type(a.atttypid, a.atttypmod) AS kind \
        FROM pg_catalog.pg_attribute AS a JOIN c ON c.oid = a.attrelid JOIN l ON l.relid = c.oid \
        WHERE a.attnum > 0 AND NOT a.attisdropped AND (c.identity = 'f' OR EXISTS ( \
            SELECT FROM pg_catalog.pg_index AS i WHERE i.indrelid = c.oid AND a.attnum = ANY (i.indkey) \
            AND ((c.identity = 'd' AND i.indisprimary) OR (c.identity = 'i' AND i.indisreplident))))) ";

/// Finds out how the log leads to rows of the model. What is not as it must be is in [`Ways::missing`].
///
/// # Errors
/// When the server cannot be asked.
pub(super) async fn look(
    session: &mut Session,
    (model, log): (&Model, &Log),
    view: &View,
) -> Result<Ways> {
    let under = relation::under(session, &view.whole()).await?;
    let quoted = |(schema, name): &(String, String)| {
        format!("{}.{}", literal::identifier(schema), literal::identifier(name))
    };
    let listed: Vec<String> = match log.tables.is_empty() {
        true => under.tables.iter().map(quoted).collect(),
        false => log.tables.iter().map(|table| table.name.clone()).collect(),
    };
    let mut ways = Ways::default();
    ways.publication(session, log, &listed).await?;
    let origin = Origin::of(session, model, view).await?;
    let sql = format!("{NAMED}{TABLES}");
    let rows = session.query(&sql, &[&listed, &log.publication], "looking at the tables").await?;
    for (at, name) in listed.iter().enumerate() {
        let found: Vec<&Row> =
            rows.iter().filter(|row| row.get::<_, i32>(0) == at as i32 + 1).collect();
        if found.is_empty() {
            let how = "Correct `changes.tables`.".to_owned();
            ways.miss(&codes::E1032_LOG_TABLE, format!("there is no table {name} to follow"), how);
        }
        let keys = log.tables.get(at).and_then(|table| table.keys.clone());
        for row in found {
            ways.add(log, row, (keys.clone(), &origin, &under));
        }
    }
    ways.unfollowed(session, &under).await?;
    ways.check_sql(session, model).await?;
    Ok(ways)
}

impl Ways {
    fn miss(&mut self, code: &'static flow::Code, what: String, how: String) {
        self.missing.push(Missing { code, what, how });
    }

    async fn publication(
        &mut self,
        session: &mut Session,
        log: &Log,
        listed: &[String],
    ) -> Result<()> {
        const SQL: &str = "SELECT pubinsert AND pubupdate AND pubdelete AND pubtruncate \
            FROM pg_catalog.pg_publication WHERE pubname = $1";
        let rows = session.query(SQL, &[&log.publication], "looking at the publication").await?;
        let name = literal::readable(&log.publication);
        match rows.first().map(|row| row.get::<_, bool>(0)) {
            Some(true) => {}
            Some(false) => {
                let how = format!(
                    "ALTER PUBLICATION {name} SET (publish = 'insert, update, delete, truncate');"
                );
                let what = format!("the publication {name} leaves out some kinds of changes");
                self.miss(&codes::E1034_PUBLISHED_IN_PART, what, how);
            }
            None => {
                let how = format!("CREATE PUBLICATION {name} FOR TABLE {};", listed.join(", "));
                self.unpublished = true;
                self.miss(
                    &codes::E1033_NOT_PUBLISHED,
                    format!("there is no publication {name}"),
                    how,
                );
            }
        }
        Ok(())
    }

    fn add(
        &mut self,
        log: &Log,
        row: &Row,
        (keys, origin, under): (Option<String>, &Origin, &Under),
    ) {
        let (oid, part, label): (u32, u32, String) = (row.get(1), row.get(2), row.get(3));
        let place: (String, String) = (row.get(4), row.get(5));
        let publication = literal::readable(&log.publication);
        if !self.unpublished && !row.get::<_, bool>(7) {
            let what = format!(
                "{label} is not in the publication {publication}: its changes are not in the log"
            );
            let how = format!("ALTER PUBLICATION {publication} ADD TABLE {label};");
            self.miss(&codes::E1033_NOT_PUBLISHED, what, how);
        }
        if row.get(9) {
            let what = format!("the publication {publication} has a row filter on {label}");
            let how = format!("ALTER PUBLICATION {publication} SET TABLE {label};");
            self.miss(&codes::E1034_PUBLISHED_IN_PART, what, how);
        }
        let names: Vec<String> = row.get::<_, Option<_>>(10).unwrap_or_default();
        let kinds: Vec<String> = row.get::<_, Option<_>>(11).unwrap_or_default();
        if names.is_empty() {
            let what = format!(
                "{label} has no replica identity: the log does not say which row was changed or deleted"
            );
            let how =
                format!("ALTER TABLE {label} REPLICA IDENTITY FULL; or give it a primary key.");
            self.miss(&codes::E1035_NO_IDENTITY, what, how);
        }
        let way = match keys {
            Some(sql) => Way::Sql(sql),
            None if origin.table != Some(oid) => {
                Way::All("the model's primary key is no columns of this table")
            }
            None if under.twice.contains(&place) => {
                Way::All("the model reads the table more than once")
            }
            None if under.mixes => {
                Way::All("a row of the model depends on other rows of the table")
            }
            None => Way::Columns(origin.columns.clone()),
        };
        let identity = names.into_iter().zip(kinds).collect();
        self.published.push((part, row.get(8)));
        for oid in [oid, part] {
            self.by_oid.insert(oid, self.tables.len());
        }
        self.tables.push(Followed { label, way, identity });
    }

    async fn unfollowed(&mut self, session: &mut Session, under: &Under) -> Result<()> {
        let read = relation::generation(session, &under.tables).await?;
        self.unfollowed = read
            .iter()
            .filter(|table| !self.by_oid.contains_key(&table.oid))
            .map(|table| format!("{}.{}", table.schema, table.name))
            .collect();
        Ok(())
    }

    /// The user's SELECTs of keys must be one expression each, and give as many columns as the key has.
    async fn check_sql(&mut self, session: &mut Session, model: &Model) -> Result<()> {
        for table in &self.tables {
            let Way::Sql(text) = &table.way else { continue };
            let doing = format!("checking the `keys` of {}", table.label);
            let empty = changed(&table.identity, None);
            for (open, close) in [("SELECT ARRAY[EXISTS (", ")]"), ("SELECT * FROM (", ") AS k")] {
                let sql = format!("{empty} {open}\n{text}\n{close}");
                let statement = session.prepare(&sql, &doing).await?;
                let columns = statement.columns().len();
                if open.ends_with("FROM (") && columns != model.primary_key.len() {
                    let message = format!(
                        "the `keys` of {} give {columns} columns, and the primary key has {}",
                        table.label,
                        model.primary_key.len()
                    );
                    return Err(Error::new(&codes::E1037_KEYS_SQL, message));
                }
            }
        }
        Ok(())
    }
}

/// The relation `changed`: the replica identities of changed rows, as text; without any, only its columns.
pub(super) fn changed(identity: &[(String, String)], rows: Option<&[Vec<String>]>) -> String {
    let names: Vec<String> = identity.iter().map(|(name, _)| literal::identifier(name)).collect();
    let arrays = (0..identity.len()).map(|index| {
        let texts = rows.unwrap_or_default().iter().map(|row| row[index].as_str());
        format!("{}::text[]", literal::array(texts))
    });
    let arrays: Vec<String> = arrays.collect();
    let casts = identity.iter().enumerate().map(|(index, (_, kind))| format!("c{index}::{kind}"));
    let casts: Vec<String> = casts.collect();
    let plain: Vec<String> = (0..identity.len()).map(|index| format!("c{index}")).collect();
    format!(
        "WITH changed({}) AS (SELECT {} FROM unnest({}) AS u({}))",
        names.join(", "),
        casts.join(", "),
        arrays.join(", "),
        plain.join(", ")
    )
}

/// Where the model's primary key comes from, when all of it is columns of one table.
#[derive(Debug, Default)]
struct Origin {
    table: Option<u32>,
    columns: Vec<String>,
}

impl Origin {
    async fn of(session: &mut Session, model: &Model, view: &View) -> Result<Self> {
        const SQL: &str = "SELECT a.attname::text FROM unnest($2::int2[]) WITH ORDINALITY AS u(number, at) \
            JOIN pg_catalog.pg_attribute AS a ON a.attrelid = $1 AND a.attnum = u.number ORDER BY u.at";
        let statement = session.prepare(&view.all(), "asking where the key comes from").await?;
        let mut table = None;
        let mut numbers = Vec::new();
        for key in &model.primary_key {
            let column = statement.columns().iter().find(|column| column.name() == key);
            match column.and_then(|column| column.table_oid().zip(column.column_id())) {
                Some((oid, number)) if table.is_none_or(|known| known == oid) => {
                    table = Some(oid);
                    numbers.push(number);
                }
                _ => return Ok(Self::default()),
            }
        }
        let rows = session.query(SQL, &[&table.unwrap_or(0), &numbers], "naming the key").await?;
        Ok(Self { table, columns: rows.iter().map(|row| row.get(0)).collect() })
    }
}

//! What a model reads from: the relation itself, and the tables under it with their generation.

use flow::{Error, Relation, Result, Retry};
use tokio_postgres::Row;

use super::columns::ALIAS;
use super::literal;
use super::names::{self, Name};
use super::session::{AnyText, Session};
use super::sql;
use crate::codes;

/// A model's relation, found and ready to be selected from.
#[derive(Debug, Clone)]
pub(super) struct Target {
    /// What stands after FROM, with its alias.
    pub from: String,
    /// Set where the relation is a table or view.
    pub table: Option<Table>,
    /// For messages: the table's name, quoted where it must be, or "the model's SQL".
    pub label: String,
    /// The table's name, where it is known by nothing else.
    pub name: Option<Name>,
}

/// A table or view as the catalog has it.
#[derive(Debug, Clone)]
pub(super) struct Table {
    pub oid: u32,
    /// `r` table, `p` partitioned, `v` view, `m` materialised view, `f` foreign table.
    pub kind: String,
}

/// A stored table under a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stored {
    pub schema: String,
    pub name: String,
    pub oid: u32,
    /// The file that holds its rows now; changes with every rewrite.
    pub filenode: Option<u32>,
}

impl Stored {
    pub(super) fn quoted(&self) -> String {
        quoted(&self.schema, &self.name)
    }
}

fn quoted(schema: &str, name: &str) -> String {
    format!("{}.{}", literal::identifier(schema), literal::identifier(name))
}

/// Finds a relation.
///
/// # Errors
/// `E1010` for a table that is not there, `E1012` for one that may not be read, `E1013` for SQL that is no
/// single SELECT.
pub(super) async fn resolve(session: &mut Session, relation: &Relation) -> Result<Target> {
    match relation {
        Relation::Table(name) if !session.dialect().is_postgres => names::resolve(name),
        Relation::Table(name) => resolve_table(session, name).await,
        Relation::Sql(text) => resolve_sql(session, text).await,
    }
}

async fn resolve_table(session: &mut Session, written: &str) -> Result<Target> {
    const SQL: &str = "SELECT c.oid, pg_catalog.format('%I.%I', n.nspname, c.relname), \
        c.relkind::text, pg_catalog.has_table_privilege(c.oid, 'SELECT') \
            OR pg_catalog.has_any_column_privilege(c.oid, 'SELECT') \
        FROM pg_catalog.pg_class AS c \
        JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace \
        WHERE c.oid = pg_catalog.to_regclass($1::text)";
    let doing = format!("looking up {written}");
    let rows = session.query(SQL, &[&written], &doing).await?;
    let Some(row) = rows.first() else { return Err(no_relation(session, written).await) };
    let (label, kind): (String, String) = (row.get(1), row.get(2));
    if !matches!(kind.as_str(), "r" | "p" | "v" | "m" | "f") {
        let message = format!("{label} is no table or view");
        return Err(Error::new(&codes::E1010_NO_RELATION, message));
    }
    if !row.get::<_, bool>(3) {
        return Err(Error::new(&codes::E1012_PERMISSION, format!("may not read {label}"))
            .with_remedy(format!("GRANT SELECT ON {label} TO the connection's role.")));
    }
    Ok(Target {
        from: format!("{label} AS {ALIAS}"),
        table: Some(Table { oid: row.get(0), kind }),
        label,
        name: None,
    })
}

/// An error that names what the user may have meant.
async fn no_relation(session: &mut Session, written: &str) -> Error {
    const SQL: &str = "SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) \
        FROM pg_catalog.pg_class AS c \
        JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace \
        WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') \
            AND pg_catalog.lower(c.relname) = pg_catalog.lower($1) \
            AND pg_catalog.has_schema_privilege(n.oid, 'USAGE') \
        ORDER BY 1 LIMIT 3";
    let error =
        Error::new(&codes::E1010_NO_RELATION, format!("there is no table or view {written}"));
    let bare = written.rsplit('.').next().unwrap_or(written).trim_matches('"').to_owned();
    match session.query(SQL, &[&bare], "looking for a similar name").await {
        Ok(rows) if !rows.is_empty() => {
            let names: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
            error.with_remedy(format!("Did you mean {}?", names.join(" or ")))
        }
        _ => error,
    }
}

/// The text is described alone first: what the server accepts as one whole statement cannot break out of the
/// parentheses it is put into.
async fn resolve_sql(session: &mut Session, text: &str) -> Result<Target> {
    let text = sql::statement(text);
    if sql::is_blank(&text) {
        return Err(Error::new(&codes::E1013_SQL, "the model's SQL is empty"));
    }
    let statement = session.prepare_model(&text).await?;
    if !statement.params().is_empty() {
        return Err(Error::new(&codes::E1013_SQL, "the model's SQL has a parameter such as $1"));
    }
    if statement.columns().is_empty() {
        return Err(Error::new(&codes::E1013_SQL, "the model's SQL is not a SELECT"));
    }
    Ok(Target {
        from: format!("(\n{text}\n) AS {ALIAS}"),
        table: None,
        label: "the model's SQL".to_owned(),
        name: None,
    })
}

/// Checks a condition of a backfill's `where`, or of `removed_when`: one boolean expression that cannot leave its parentheses.
pub(super) async fn check_condition(
    session: &mut Session,
    target: &Target,
    text: &str,
) -> Result<()> {
    if sql::is_blank(text) {
        return Err(Error::new(&codes::E1013_SQL, "the condition is empty"));
    }
    let doing = "checking the condition";
    // Two kinds of brackets around the same text: unbalanced text fits into one of them at most.
    let brackets = match session.dialect().rows {
        true => ("(ARRAY[", "])[1]"),
        false => ("CASE WHEN", "THEN true END"),
    };
    for (open, close) in [brackets, ("(", ")")] {
        let sql = format!("SELECT 1 FROM {} WHERE {open}\n{text}\n{close}", target.from);
        let statement = session.prepare(&sql, doing).await?;
        if !statement.params().is_empty() {
            return Err(Error::new(&codes::E1013_SQL, "the condition has a parameter such as $1"));
        }
    }
    Ok(())
}

/// What stands under a model, by the server's own plan.
#[derive(Debug, Default)]
pub(super) struct Under {
    /// Schema and name of every table.
    pub tables: Vec<(String, String)>,
    /// Those that are read in more than one place.
    pub twice: Vec<(String, String)>,
    /// A row of the model may depend on any row of its tables: window functions, LIMIT, recursion.
    pub mixes: bool,
}

/// What stands under `select`.
pub(super) async fn under(session: &mut Session, select: &str) -> Result<Under> {
    let sql = format!("EXPLAIN (VERBOSE, COSTS OFF, FORMAT JSON) {select}");
    let rows = session.query(&sql, &[], "planning the read").await?;
    let mut under = Under::default();
    for row in rows {
        let AnyText(text) = row.get(0);
        under.mixes |= ["WindowAgg", "Limit", "Recursive Union"]
            .iter()
            .any(|node| text.contains(&format!("\"Node Type\": \"{node}\"")));
        if let Ok(plan) = serde_json::from_str(&text) {
            collect_tables(&plan, &mut under.tables);
        }
    }
    under.tables.sort();
    let twice = under.tables.windows(2).filter(|pair| pair[0] == pair[1]);
    under.twice = twice.map(|pair| pair[0].clone()).collect();
    under.tables.dedup();
    Ok(under)
}

/// The tables that `select` reads, by the server's own plan. Also finds out whether they may be read.
pub(super) async fn tables_under(
    session: &mut Session,
    select: &str,
) -> Result<Vec<(String, String)>> {
    if !session.dialect().is_postgres {
        return Ok(Vec::new());
    }
    let sql = format!("EXPLAIN (VERBOSE, COSTS OFF, FORMAT JSON) {select}");
    let rows = session.query(&sql, &[], "planning the read").await?;
    let mut found = Vec::new();
    for row in rows {
        let AnyText(text) = row.get(0);
        if let Ok(plan) = serde_json::from_str(&text) {
            collect_tables(&plan, &mut found);
        }
    }
    found.sort();
    found.dedup();
    Ok(found)
}

fn collect_tables(plan: &serde_json::Value, found: &mut Vec<(String, String)>) {
    match plan {
        serde_json::Value::Object(node) => {
            let text = |key: &str| node.get(key).and_then(|value| value.as_str());
            if let (Some(schema), Some(name)) = (text("Schema"), text("Relation Name"))
                && !matches!(schema, "pg_catalog" | "information_schema" | "pg_toast")
            {
                found.push((schema.to_owned(), name.to_owned()));
            }
            node.values().for_each(|value| collect_tables(value, found));
        }
        serde_json::Value::Array(items) => {
            items.iter().for_each(|item| collect_tables(item, found));
        }
        _ => {}
    }
}

/// What of a read can be locked against a rebuild: the relation and the tables under it that may be locked.
pub(super) async fn lockable(
    session: &mut Session,
    target: &Target,
    tables: &[(String, String)],
) -> Result<Vec<String>> {
    const SQL: &str = "SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) \
        FROM pg_catalog.pg_class AS c \
        JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace \
        LEFT JOIN unnest($1::text[], $2::text[]) AS u(s, r) \
            ON u.s = n.nspname AND u.r = c.relname \
        WHERE (u.r IS NOT NULL OR c.oid = $3) AND c.relkind IN ('r', 'p', 'v') \
            AND pg_catalog.has_table_privilege(c.oid, 'SELECT') \
        ORDER BY c.oid";
    if !session.dialect().is_postgres {
        return Ok(Vec::new());
    }
    let (schemas, names) = split(tables);
    let oid = target.table.as_ref().map_or(0, |table| table.oid);
    let rows = session.query(SQL, &[&schemas, &names, &oid], "finding what to lock").await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

fn split(tables: &[(String, String)]) -> (Vec<&str>, Vec<&str>) {
    tables.iter().map(|(schema, name)| (schema.as_str(), name.as_str())).unzip()
}

/// The generation of these tables, inside a reading transaction: what the snapshot knows of them and what
/// their names mean now must agree, else a rebuild came between the two (R2).
///
/// # Errors
/// `E1020` where they differ.
pub(super) async fn generation(
    session: &mut Session,
    tables: &[(String, String)],
) -> Result<Vec<Stored>> {
    // pg_class is read as of the snapshot; the functions look at the catalog as it is now.
    const SQL: &str = "SELECT u.s, u.r, c.oid, pg_catalog.pg_relation_filenode(c.oid), \
        coalesce(c.oid = pg_catalog.to_regclass(pg_catalog.format('%I.%I', u.s, u.r)) AND \
            (c.relfilenode = 0 OR c.relfilenode = pg_catalog.pg_relation_filenode(c.oid)), false) \
        FROM unnest($1::text[], $2::text[]) AS u(s, r) \
        LEFT JOIN (pg_catalog.pg_class AS c \
            JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace) \
            ON n.nspname = u.s AND c.relname = u.r \
        ORDER BY u.s, u.r";
    if tables.is_empty() {
        return Ok(Vec::new());
    }
    let (schemas, names) = split(tables);
    let rows = session.query(SQL, &[&schemas, &names], "checking the tables' generation").await?;
    rows.iter().map(stored).collect()
}

fn stored(row: &Row) -> Result<Stored> {
    let (schema, name): (String, String) = (row.get(0), row.get(1));
    match (row.get::<_, Option<u32>>(2), row.get::<_, bool>(4)) {
        (Some(oid), true) => Ok(Stored { schema, name, oid, filenode: row.get(3) }),
        _ => Err(replaced(&format!("{schema}.{name}"))),
    }
}

/// The error for a table that changed under a read.
pub(super) fn replaced(name: &str) -> Error {
    Error::new(&codes::E1020_REPLACED, format!("{name} was replaced or rewritten during the read"))
        .with_retry(Retry::Backoff)
}

#[cfg(test)]
mod tests {
    use support::{Database, Postgres, connect};

    use super::*;

    /// A reading transaction whose snapshot is taken and that, unlike a real read, locked nothing.
    async fn unlocked(database: &Database) -> Session {
        let mut session = Session::of(&database.url).await;
        session.begin_reading(&[]).await.unwrap();
        session.query("SELECT 1", &[], "taking the snapshot").await.unwrap();
        session
    }

    /// R2: what a lock cannot prevent is noticed.
    #[tokio::test]
    async fn a_table_replaced_between_snapshot_and_read_is_noticed() {
        let swap = "CREATE TABLE t_new AS SELECT * FROM t; ALTER TABLE t RENAME TO t_old; \
            ALTER TABLE t_new RENAME TO t; DROP TABLE t_old";
        let tables = [("public".to_owned(), "t".to_owned())];
        for change in
            [swap, "TRUNCATE t", "VACUUM FULL t", "DROP TABLE t", "ALTER TABLE t RENAME TO u"]
        {
            let database = Postgres::shared().database("generation");
            database.execute("CREATE TABLE t AS SELECT 1 AS id").await;
            let mut session = unlocked(&database).await;
            let before = generation(&mut session, &tables).await;
            // The query above locks only the catalogs.
            connect(&database.url).await.batch_execute(change).await.unwrap();
            let error = generation(&mut session, &tables).await.unwrap_err();
            assert_eq!(before.unwrap()[0].quoted(), "\"public\".\"t\"");
            assert_eq!((error.code().id, error.retry()), ("E1020", Retry::Backoff), "{change}");
        }
    }

    #[tokio::test]
    async fn changed_rows_are_no_new_generation() {
        let database = Postgres::shared().database("generation");
        database.execute("CREATE TABLE t AS SELECT 1 AS id").await;
        let tables = [("public".to_owned(), "t".to_owned())];
        let mut session = unlocked(&database).await;
        let before = generation(&mut session, &tables).await.unwrap();
        database.execute("INSERT INTO t VALUES (2); DELETE FROM t WHERE id = 1; ANALYZE t").await;
        assert_eq!(generation(&mut session, &tables).await.unwrap(), before);
    }
}

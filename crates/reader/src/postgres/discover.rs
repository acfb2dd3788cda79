//! What a login can read: tables and views, or the columns of one.

use flow::{ColumnInfo, Relation, Result};

use super::columns::{ALIAS, Column, describe};
use super::names;
use super::relation;
use super::session::Session;

/// Tables and views outside the system schemas that may be selected from, by name, without their columns.
pub(super) async fn relations(session: &mut Session) -> Result<Vec<(String, Vec<ColumnInfo>)>> {
    const SQL: &str = "SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) \
        FROM pg_catalog.pg_class AS c \
        JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace \
        WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition \
            AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_' \
            AND pg_catalog.has_schema_privilege(n.oid, 'USAGE') \
            AND (pg_catalog.has_table_privilege(c.oid, 'SELECT') \
                OR pg_catalog.has_any_column_privilege(c.oid, 'SELECT')) \
        ORDER BY n.nspname, c.relname";
    if !session.dialect().is_postgres {
        return names::relations(session).await;
    }
    let rows = session.query(SQL, &[], "listing tables and views").await?;
    Ok(rows.iter().map(|row| (row.get(0), Vec::new())).collect())
}

/// One relation with its columns.
pub(super) async fn columns(
    session: &mut Session,
    of: &Relation,
) -> Result<(String, Vec<ColumnInfo>)> {
    let target = relation::resolve(session, of).await?;
    let sql = format!("SELECT {ALIAS}.* FROM {}", target.from);
    let statement = session.prepare(&sql, &format!("describing {}", target.label)).await?;
    let columns = describe(session, &statement).await?;
    Ok((target.label, columns.iter().map(Column::info).collect()))
}

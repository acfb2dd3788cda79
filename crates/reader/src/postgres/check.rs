//! What works but deserves attention: findings about watermark, key, tables and login.

use std::collections::HashSet;

use flow::{Code, Finding, Model, Result};

use super::columns::{Column, Layout};
use super::duplicates;
use super::literal;
use super::session::Session;
use super::source::{View, lag_micros};
use super::types::Carry;
use crate::codes;

/// A clock that goes back moves an hour; five minutes more for the transactions of that hour.
const ZONELESS_LAG_MICROS: i64 = 65 * 60 * 1_000_000;

fn finding(code: &'static Code, message: String) -> Finding {
    Finding { code, message, remedy: code.remedy.to_owned() }
}

/// All findings of a model.
pub(super) async fn findings(
    session: &mut Session,
    model: &Model,
    view: &View,
    tables: &[(String, String)],
) -> Result<Vec<Finding>> {
    let not_null = duplicates::not_null(session, &view.target).await?;
    // Of a view or a query nobody knows which columns can be NULL.
    let table = view.target.table.as_ref();
    let is_table = table.is_some_and(|table| matches!(table.kind.as_str(), "r" | "p"));
    let mut found = watermark(model, &view.layout, is_table.then_some(&not_null));
    found.extend(index(session, view).await?);
    found.extend(key(session, view, &not_null).await?);
    match session.dialect() {
        dialect if dialect.is_postgres => {
            found.extend(unlogged(session, tables).await?);
            found.extend(login(session, tables).await?);
        }
        dialect => {
            let message = format!("the warehouse is {}", dialect.name);
            found.push(finding(&codes::E1082_NOT_POSTGRES, message));
        }
    }
    Ok(found)
}

fn watermark(model: &Model, layout: &Layout, not_null: Option<&HashSet<String>>) -> Vec<Finding> {
    let (Some(column), Some(lag)) = (layout.watermark_column(), lag_micros(model)) else {
        return Vec::new();
    };
    let name = &column.name;
    let mut found = Vec::new();
    if not_null.is_some_and(|not_null| !not_null.contains(name)) {
        found.push(finding(
            &codes::E1050_WATERMARK_NULLABLE,
            format!("watermark column `{name}` may be NULL; such rows are read in every run"),
        ));
    }
    if column.carry == Carry::Timestamp && lag < ZONELESS_LAG_MICROS {
        found.push(finding(
            &codes::E1051_WATERMARK_ZONE,
            format!("watermark column `{name}` is a timestamp without time zone, taken as UTC"),
        ));
    }
    if column.carry == Carry::Date {
        let message = format!("watermark column `{name}` is a date");
        found.push(finding(&codes::E1052_WATERMARK_DAY, message));
    }
    if lag <= 0 {
        let message = format!("watermark `{name}` has no lag");
        found.push(finding(&codes::E1057_NO_LAG, message));
    }
    found
}

async fn index(session: &mut Session, view: &View) -> Result<Option<Finding>> {
    // Small tables are scanned faster than an index is read.
    const SQL: &str = "SELECT NOT EXISTS ( \
            SELECT FROM pg_catalog.pg_index AS i \
            JOIN pg_catalog.pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0] \
            WHERE i.indrelid = c.oid AND i.indisvalid AND i.indpred IS NULL AND a.attname = $2) \
        FROM pg_catalog.pg_class AS c WHERE c.oid = $1 AND c.relkind IN ('r', 'p', 'm') \
            AND (c.reltuples >= 100000 OR pg_catalog.pg_relation_size(c.oid) >= 16777216)";
    let (Some(table), Some(column)) = (&view.target.table, view.layout.watermark_column()) else {
        return Ok(None);
    };
    let rows = session.query(SQL, &[&table.oid, &column.name], "looking for an index").await?;
    let missing = rows.first().is_some_and(|row| row.get(0));
    Ok(missing.then(|| {
        let key: Vec<_> =
            view.layout.key_columns().map(|key| literal::readable(&key.name)).collect();
        let (label, name) = (&view.target.label, literal::readable(&column.name));
        Finding {
            code: &codes::E1053_NO_INDEX,
            message: format!("no index of {label} starts with {name}; every run scans the table"),
            remedy: format!("CREATE INDEX CONCURRENTLY ON {label} ({name}, {});", key.join(", ")),
        }
    }))
}

async fn key(
    session: &mut Session,
    view: &View,
    not_null: &HashSet<String>,
) -> Result<Vec<Finding>> {
    let mut found = Vec::new();
    for key in view.layout.key_columns() {
        let Column { name, source_type, .. } = key;
        if matches!(key.carry, Carry::Float4 | Carry::Float8) {
            let message = format!("primary key column `{name}` has type {source_type}");
            found.push(finding(&codes::E1058_FLOAT_KEY, message));
        }
        // Of SQL and views nothing is known.
        if !not_null.is_empty() && !not_null.contains(name) {
            let message = format!("primary key column `{name}` may be NULL");
            found.push(finding(&codes::E1060_KEY_NULLABLE, message));
        }
    }
    let is_table = view.target.table.as_ref().is_some_and(|table| table.kind == "r");
    if is_table && !duplicates::is_guarded(session, &view.target, &view.layout).await? {
        let message = format!("no unique index of {} guards the primary key", view.target.label);
        found.push(finding(&codes::E1059_KEY_NOT_ENFORCED, message));
    }
    Ok(found)
}

async fn unlogged(session: &mut Session, tables: &[(String, String)]) -> Result<Vec<Finding>> {
    const SQL: &str = "SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) \
        FROM unnest($1::text[], $2::text[]) AS u(s, r) \
        JOIN pg_catalog.pg_namespace AS n ON n.nspname = u.s \
        JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid AND c.relname = u.r \
        WHERE c.relpersistence = 'u' ORDER BY 1";
    let (schemas, names): (Vec<&str>, Vec<&str>) =
        tables.iter().map(|(schema, name)| (schema.as_str(), name.as_str())).unzip();
    let rows = session.query(SQL, &[&schemas, &names], "checking the tables").await?;
    let name = |row: &tokio_postgres::Row| row.get::<_, String>(0);
    let message = |name: String| format!("{name} is UNLOGGED: a crash of the server empties it");
    Ok(rows.iter().map(|row| finding(&codes::E1054_UNLOGGED, message(name(row)))).collect())
}

async fn login(session: &mut Session, tables: &[(String, String)]) -> Result<Option<Finding>> {
    const SQL: &str = "SELECT r.rolsuper, ( \
            SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) \
            FROM unnest($1::text[], $2::text[]) AS u(s, r) \
            JOIN pg_catalog.pg_namespace AS n ON n.nspname = u.s \
            JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid AND c.relname = u.r \
            WHERE pg_catalog.has_table_privilege(c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE') \
            ORDER BY 1 LIMIT 1) \
        FROM pg_catalog.pg_roles AS r WHERE r.rolname = current_user";
    let (schemas, names): (Vec<&str>, Vec<&str>) =
        tables.iter().map(|(schema, name)| (schema.as_str(), name.as_str())).unzip();
    let rows = session.query(SQL, &[&schemas, &names], "checking the login's rights").await?;
    let Some(row) = rows.first() else { return Ok(None) };
    if row.get(0) {
        let message = "the warehouse login is a superuser".to_owned();
        return Ok(Some(finding(&codes::E1055_SUPERUSER, message)));
    }
    let writable: Option<String> = row.get(1);
    Ok(writable.map(|name| {
        finding(&codes::E1056_WRITE_GRANT, format!("the warehouse login may write to {name}"))
    }))
}

//! Keys that more than one row has, found in the snapshot of the read itself (F21).

use std::collections::HashSet;

use flow::arrow::array::{ArrayRef, AsArray};
use flow::{Error, Key, Result, Scope};

use super::columns::{Column, Layout};
use super::query::Query;
use super::relation::Target;
use super::session::Session;
use super::stream::Stream;
use super::types::Carry;
use crate::codes;

/// More than this is not bad rows but a wrong `primary_key`.
const DUPLICATES_MAX: usize = 100_000;

/// What one look at the whole model finds.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The keys in the scope that occur more than once.
    pub twins: HashSet<Key>,
    /// Whether a row has no place on the progress column.
    pub unplaced: bool,
}

/// Looks at the whole model.
///
/// # Errors
/// `E1019` for more than 100,000 keys that occur more than once.
pub(super) async fn find(session: &mut Session, query: &Query<'_>, scope: &Scope) -> Result<Found> {
    // Grouped text comes back as text, whatever the column's own form.
    let mut columns: Vec<Column> = query
        .layout
        .key_columns()
        .map(|key| match key.carry {
            Carry::PaddedText | Carry::ServerText => Column { carry: Carry::Text, ..key.clone() },
            _ => key.clone(),
        })
        .collect();
    let keys = (0..columns.len()).collect();
    let twin = columns.len();
    columns.push(Column {
        name: "twin".to_owned(),
        carry: Carry::Bool,
        source_type: "boolean".to_owned(),
        computed: None,
        dialect: query.dialect,
    });
    let layout = Layout { columns, keys, watermark: None };
    let mut stream = Stream::new(&layout, 8192);
    stream.start(session, &query.inspection(scope), "looking for duplicate keys").await?;
    let mut found = Found::default();
    while let Some(batch) = stream.next(session).await? {
        let keys: Vec<&ArrayRef> = batch.rows.columns()[..twin].iter().collect();
        let twins = batch.rows.column(twin).as_boolean();
        for row in 0..batch.rows.num_rows() {
            match twins.value(row) {
                true => found.twins.extend(Key::at(&keys, row)),
                false => found.unplaced = true,
            }
        }
        if found.twins.len() > DUPLICATES_MAX {
            return Err(Error::new(
                &codes::E1019_DUPLICATES,
                format!("more than {DUPLICATES_MAX} primary keys occur more than once"),
            ));
        }
    }
    // A key may be both; then it is only known as a twin.
    found.unplaced |= !found.twins.is_empty();
    Ok(found)
}

/// Whether an index makes duplicates impossible: unique, valid, whole, and on nothing but key columns.
pub(super) async fn is_guarded(
    session: &mut Session,
    target: &Target,
    layout: &Layout,
) -> Result<bool> {
    const SQL: &str = "SELECT true FROM pg_catalog.pg_index AS i \
        JOIN pg_catalog.pg_class AS c ON c.oid = i.indrelid \
        WHERE i.indrelid = $1 AND i.indisunique AND i.indisvalid \
            AND i.indpred IS NULL AND i.indexprs IS NULL \
            AND (c.relkind = 'p' OR NOT c.relhassubclass) \
            AND NOT EXISTS ( \
                SELECT FROM pg_catalog.unnest(i.indkey) WITH ORDINALITY AS k(number, at) \
                WHERE k.at <= i.indnkeyatts AND k.number NOT IN ( \
                    SELECT a.attnum FROM pg_catalog.pg_attribute AS a \
                    WHERE a.attrelid = $1 AND a.attname = ANY ($2::text[]) AND a.attnum > 0)) \
        LIMIT 1";
    let Some(table) =
        target.table.as_ref().filter(|table| matches!(table.kind.as_str(), "r" | "p"))
    else {
        return Ok(false);
    };
    let names: Vec<&str> = layout.key_columns().map(|key| key.name.as_str()).collect();
    let rows = session.query(SQL, &[&table.oid, &names], "looking for a unique index").await?;
    Ok(!rows.is_empty())
}

/// Names of the table's columns that cannot be NULL; none for views and SQL.
pub(super) async fn not_null(session: &mut Session, target: &Target) -> Result<HashSet<String>> {
    const SQL: &str = "SELECT a.attname::text FROM pg_catalog.pg_attribute AS a \
        WHERE a.attrelid = $1 AND a.attnotnull AND a.attnum > 0 AND NOT a.attisdropped";
    let Some(table) =
        target.table.as_ref().filter(|table| matches!(table.kind.as_str(), "r" | "p"))
    else {
        return Ok(HashSet::new());
    };
    let rows = session.query(SQL, &[&table.oid], "reading the table's columns").await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

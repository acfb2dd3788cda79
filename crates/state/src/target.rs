//! What the memory of a sync is about: the account, the object with its fields, and the key columns. Facts in `meta`,
//! gone after a reset.

use flow::{Result, Target};
use rusqlite::{Connection, OptionalExtension, Transaction};

use crate::fault::While;

/// Separates the parts of a stored target; it is in no name.
const SEPARATOR: char = '\u{1f}';

fn name(sync: &str) -> String {
    format!("target of {sync}")
}

fn schema_name(sync: &str) -> String {
    format!("schema of {sync}")
}

/// What the memory of the sync is about.
pub(crate) fn get(connection: &Connection, sync: &str) -> Result<Option<Target>> {
    let schema = fact(connection, &schema_name(sync))?;
    Ok(fact(connection, &name(sync))?.map(|stored| {
        let mut parts = stored.split(SEPARATOR).map(str::to_owned);
        let account = parts.next().filter(|account| !account.is_empty());
        let object = parts.next().unwrap_or_default();
        Target { account, object, primary_key: parts.collect(), schema }
    }))
}

fn fact(connection: &Connection, name: &str) -> Result<Option<String>> {
    connection
        .query_row("SELECT value FROM meta WHERE name = ?1", [name], |row| row.get(0))
        .optional()
        .during("reading what the state is about")
}

/// Remembers it.
pub(crate) fn put(transaction: &Transaction<'_>, sync: &str, target: &Target) -> Result<()> {
    let account = target.account.as_deref().unwrap_or_default();
    let mut parts = vec![account, &target.object];
    parts.extend(target.primary_key.iter().map(String::as_str));
    let stored = parts.join(&SEPARATOR.to_string());
    let schema = target.schema.as_ref().map(|schema| (schema_name(sync), schema.clone()));
    for (name, value) in [(name(sync), stored)].into_iter().chain(schema) {
        transaction
            .execute("INSERT OR REPLACE INTO meta (name, value) VALUES (?1, ?2)", [name, value])
            .during("writing what the state is about")?;
    }
    Ok(())
}

/// Forgets it.
pub(crate) fn forget(transaction: &Transaction<'_>, sync: &str) -> Result<()> {
    transaction
        .execute("DELETE FROM meta WHERE name IN (?1, ?2)", [name(sync), schema_name(sync)])
        .map(|_| ())
        .during("forgetting what the state is about")
}

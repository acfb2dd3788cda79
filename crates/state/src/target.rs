//! What the memory of a sync is about: the account, the object with its fields, and the key columns. Facts in `meta`,
//! gone after a reset.

use flow::{Result, Target};
use rusqlite::{Connection, OptionalExtension, Transaction};

use crate::fault::While;

/// Separates the parts of a stored target; it is in no name.
const SEPARATOR: char = '\u{1f}';

/// The names of the two facts.
pub(crate) fn names(sync: &str) -> [String; 2] {
    [format!("target of {sync}"), format!("schema of {sync}")]
}

/// The target of the stored facts, in the order of their names.
pub(crate) fn parse([stored, schema]: [Option<String>; 2]) -> Option<Target> {
    stored.map(|stored| {
        let mut parts = stored.split(SEPARATOR).map(str::to_owned);
        let account = parts.next().filter(|account| !account.is_empty());
        let object = parts.next().unwrap_or_default();
        Target { account, object, primary_key: parts.collect(), schema }
    })
}

/// The facts that are stored for a target, in the order of their names.
pub(crate) fn facts(target: &Target) -> [Option<String>; 2] {
    let account = target.account.as_deref().unwrap_or_default();
    let mut parts = vec![account, &target.object];
    parts.extend(target.primary_key.iter().map(String::as_str));
    [Some(parts.join(&SEPARATOR.to_string())), target.schema.clone()]
}

/// What the memory of the sync is about.
pub(crate) fn get(connection: &Connection, sync: &str) -> Result<Option<Target>> {
    let [target, schema] = names(sync).map(|name| fact(connection, &name));
    Ok(parse([target?, schema?]))
}

fn fact(connection: &Connection, name: &str) -> Result<Option<String>> {
    connection
        .query_row("SELECT value FROM meta WHERE name = ?1", [name], |row| row.get(0))
        .optional()
        .during("reading what the state is about")
}

/// Remembers it.
pub(crate) fn put(transaction: &Transaction<'_>, sync: &str, target: &Target) -> Result<()> {
    for (name, value) in names(sync).into_iter().zip(facts(target)) {
        let Some(value) = value else { continue };
        transaction
            .execute("INSERT OR REPLACE INTO meta (name, value) VALUES (?1, ?2)", [name, value])
            .during("writing what the state is about")?;
    }
    Ok(())
}

/// Forgets it.
pub(crate) fn forget(transaction: &Transaction<'_>, sync: &str) -> Result<()> {
    transaction
        .execute("DELETE FROM meta WHERE name IN (?1, ?2)", names(sync))
        .map(|_| ())
        .during("forgetting what the state is about")
}

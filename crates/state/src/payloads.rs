//! What was last sent of a row, field by field, for syncs that ask for it: plans show it, and a guard counts by it.

use flow::{Key, Result};
use rusqlite::{Connection, OptionalExtension, Transaction, params};

use crate::checksum::{Checksum, verify};
use crate::fault::While;

const PAYLOADS: u8 = 9;
const READING: &str = "reading what was sent";
const WRITING: &str = "writing what was sent";

/// The checksum of what is remembered of a row.
pub(crate) fn sum(sync: i64, key: &str, fields: &[u8]) -> i64 {
    Checksum::default().begin(PAYLOADS).int(sync).bytes(key.as_bytes()).bytes(fields).sum()
}

/// What is remembered of these rows, in this order.
pub(crate) fn of(connection: &Connection, sync: i64, keys: &[Key]) -> Result<Vec<Option<Vec<u8>>>> {
    let mut statement = connection
        .prepare_cached("SELECT fields, sum FROM payloads WHERE sync = ?1 AND key = ?2")
        .during(READING)?;
    keys.iter()
        .map(|key| {
            let found: Option<(Vec<u8>, i64)> = statement
                .query_row(params![sync, key.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()
                .during(READING)?;
            let Some((fields, stored)) = found else { return Ok(None) };
            verify("payloads", stored, sum(sync, key.as_str(), &fields))?;
            Ok(Some(fields))
        })
        .collect()
}

/// The first rows after the key `after`, in the order of the text of their keys.
pub(crate) fn page(
    connection: &Connection,
    sync: i64,
    (after, rows_max): (Option<&Key>, usize),
) -> Result<Vec<(Key, Vec<u8>)>> {
    let mut statement = connection
        .prepare_cached(
            "SELECT key, fields, sum FROM payloads WHERE sync = ?1 AND key > ?2 ORDER BY key LIMIT ?3",
        )
        .during(READING)?;
    let after = after.map_or("", Key::as_str);
    let rows_max = i64::try_from(rows_max).unwrap_or(i64::MAX);
    let rows: Vec<(String, Vec<u8>, i64)> = statement
        .query_map(params![sync, after, rows_max], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .and_then(Iterator::collect)
        .during(READING)?;
    rows.into_iter()
        .map(|(key, fields, stored)| {
            verify("payloads", stored, sum(sync, &key, &fields))?;
            Ok((Key::from_stored(key), fields))
        })
        .collect()
}

/// Remembers these rows, and forgets those.
pub(crate) fn put(
    transaction: &Transaction<'_>,
    sync: i64,
    (payloads, forgotten): (&[(Key, Vec<u8>)], &[Key]),
) -> Result<()> {
    if payloads.is_empty() && forgotten.is_empty() {
        return Ok(());
    }
    let mut insert = transaction
        .prepare_cached(
            "INSERT INTO payloads (sync, key, fields, sum) VALUES (?1, ?2, ?3, ?4) \
             ON CONFLICT (sync, key) DO UPDATE SET fields = excluded.fields, sum = excluded.sum",
        )
        .during(WRITING)?;
    for (key, fields) in payloads {
        let sum = sum(sync, key.as_str(), fields);
        insert.execute(params![sync, key.as_str(), fields, sum]).during(WRITING)?;
    }
    let mut delete = transaction
        .prepare_cached("DELETE FROM payloads WHERE sync = ?1 AND key = ?2")
        .during(WRITING)?;
    for key in forgotten {
        delete.execute(params![sync, key.as_str()]).during(WRITING)?;
    }
    Ok(())
}

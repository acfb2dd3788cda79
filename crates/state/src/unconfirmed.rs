//! Rows that a request nobody heard of may still change, and until when calls were left unheard (D4).

use std::collections::BTreeMap;

use flow::{Key, MatchHash, Result, Unconfirmed};
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

use crate::checksum::{Checksum, verify};
use crate::fault::While;

const UNCONFIRMED: u8 = 5;
const UNHEARD: u8 = 6;
const READING: &str = "reading the unconfirmed rows";
const WRITING: &str = "writing the unconfirmed rows";
const COLUMNS: &str = "key, match_hash, confirm_after, sum";

/// The checksum of an unconfirmed row.
pub(crate) fn sum(sync: i64, row: &Unconfirmed) -> i64 {
    Checksum::default()
        .begin(UNCONFIRMED)
        .int(sync)
        .bytes(row.key.as_str().as_bytes())
        .bytes(&row.match_hash.0.to_be_bytes())
        .int(row.confirm_after)
        .sum()
}

fn read(row: &Row<'_>) -> rusqlite::Result<(Unconfirmed, i64)> {
    let (key, hash): (String, [u8; 16]) = (row.get(0)?, row.get(1)?);
    let match_hash = MatchHash(u128::from_be_bytes(hash));
    let unconfirmed =
        Unconfirmed { key: Key::from_stored(key), match_hash, confirm_after: row.get(2)? };
    Ok((unconfirmed, row.get(3)?))
}

fn verified(sync: i64, (row, stored): (Unconfirmed, i64)) -> Result<Unconfirmed> {
    verify("unconfirmed", stored, sum(sync, &row))?;
    Ok(row)
}

/// Rows with these keys, and rows whose unheard requests use these match values; each once.
pub(crate) fn of(
    connection: &Connection,
    sync: i64,
    (keys, matches): (&[Key], &[MatchHash]),
) -> Result<Vec<Unconfirmed>> {
    let mut found = BTreeMap::new();
    let by = |column: &str| {
        let sql = format!("SELECT {COLUMNS} FROM unconfirmed WHERE sync = ?1 AND {column} = ?2");
        connection.prepare_cached(&sql).during(READING)
    };
    let mut add = |rows: rusqlite::Result<Vec<(Unconfirmed, i64)>>| -> Result<()> {
        for row in rows.during(READING)? {
            let row = verified(sync, row)?;
            found.insert((row.key.clone(), row.match_hash.0), row);
        }
        Ok(())
    };
    let mut by_key = by("key")?;
    for key in keys {
        add(by_key.query_map(params![sync, key.as_str()], read).and_then(Iterator::collect))?;
    }
    let mut by_match = by("match_hash")?;
    for hash in matches {
        let hash = hash.0.to_be_bytes();
        add(by_match.query_map(params![sync, hash], read).and_then(Iterator::collect))?;
    }
    Ok(found.into_values().collect())
}

/// The earliest rows that a write which begins `at` confirms: nothing else may change them later.
pub(crate) fn due(
    connection: &Connection,
    sync: i64,
    (at, rows_max): (i64, usize),
) -> Result<Vec<Unconfirmed>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM unconfirmed WHERE sync = ?1 AND confirm_after <= ?2 AND NOT EXISTS \
         (SELECT 1 FROM unconfirmed later WHERE later.sync = ?1 AND later.key = unconfirmed.key \
         AND later.confirm_after > ?2) \
         ORDER BY confirm_after, key LIMIT ?3"
    );
    let rows_max = i64::try_from(rows_max).unwrap_or(i64::MAX);
    let mut statement = connection.prepare_cached(&sql).during(READING)?;
    let rows: Vec<_> = statement
        .query_map(params![sync, at, rows_max], read)
        .and_then(Iterator::collect)
        .during(READING)?;
    rows.into_iter().map(|row| verified(sync, row)).collect()
}

/// How many rows wait.
pub(crate) fn count(connection: &Connection, sync: i64) -> Result<u64> {
    let rows: i64 = connection
        .prepare_cached("SELECT count(DISTINCT key) FROM unconfirmed WHERE sync = ?1")
        .and_then(|mut statement| statement.query_row([sync], |row| row.get(0)))
        .during(READING)?;
    Ok(rows.cast_unsigned())
}

/// Takes rows out, then puts rows in; a later time wins over an earlier one.
pub(crate) fn put(
    transaction: &Transaction<'_>,
    sync: i64,
    (confirmed, unconfirmed): (&[Key], &[Unconfirmed]),
) -> Result<()> {
    let mut delete = transaction
        .prepare_cached("DELETE FROM unconfirmed WHERE sync = ?1 AND key = ?2")
        .during(WRITING)?;
    for key in confirmed {
        delete.execute(params![sync, key.as_str()]).during(WRITING)?;
    }
    let mut insert = transaction
        .prepare_cached(
            "INSERT INTO unconfirmed (sync, key, match_hash, confirm_after, sum) \
             VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (sync, key, match_hash) DO UPDATE \
             SET confirm_after = excluded.confirm_after, sum = excluded.sum \
             WHERE excluded.confirm_after > confirm_after",
        )
        .during(WRITING)?;
    for row in unconfirmed {
        let hash = row.match_hash.0.to_be_bytes();
        insert
            .execute(params![sync, row.key.as_str(), hash, row.confirm_after, sum(sync, row)])
            .during(WRITING)?;
    }
    Ok(())
}

/// Until when calls of the sync were left unheard.
pub(crate) fn unheard(connection: &Connection, sync: i64) -> Result<Option<i64>> {
    let found: Option<(i64, i64)> = connection
        .prepare_cached("SELECT at, sum FROM unheard WHERE sync = ?1")
        .and_then(|mut statement| {
            statement.query_row([sync], |row| Ok((row.get(0)?, row.get(1)?))).optional()
        })
        .during(READING)?;
    let Some((at, stored)) = found else { return Ok(None) };
    verify("unheard", stored, unheard_sum(sync, at))?;
    Ok(Some(at))
}

/// Calls were left unheard until `at`.
pub(crate) fn put_unheard(transaction: &Transaction<'_>, sync: i64, at: i64) -> Result<()> {
    let at = unheard(transaction, sync)?.map_or(at, |known| known.max(at));
    transaction
        .prepare_cached("INSERT OR REPLACE INTO unheard (sync, at, sum) VALUES (?1, ?2, ?3)")
        .and_then(|mut statement| statement.execute((sync, at, unheard_sum(sync, at))))
        .map(|_| ())
        .during(WRITING)
}

/// The checksum of until when calls were left unheard.
pub(crate) fn unheard_sum(sync: i64, at: i64) -> i64 {
    Checksum::default().begin(UNHEARD).int(sync).int(at).sum()
}

/// Forgets which rows they are. What comes next is sent as if its calls had been left unheard until the last of them.
pub(crate) fn forget(transaction: &Transaction<'_>, sync: i64) -> Result<()> {
    let last: Option<i64> = transaction
        .query_row("SELECT max(confirm_after) FROM unconfirmed WHERE sync = ?1", [sync], |row| {
            row.get(0)
        })
        .during(READING)?;
    if let Some(at) = last {
        put_unheard(transaction, sync, at)?;
    }
    transaction
        .execute("DELETE FROM unconfirmed WHERE sync = ?1", [sync])
        .map(|_| ())
        .during(WRITING)
}

//! What SQLite knows of a ledger: which files it is made of, and the changes since, in the transactions of the commits
//! (D2, S1).

use flow::{KeyOrder, Result};
use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::writer::Named;
use crate::checksum::{Checksum, mismatch, verify};
use crate::fault::While;
use crate::syncs::SyncRow;

const LEDGERS: u8 = 20;
const FILES: u8 = 21;
const DELTAS: u8 = 22;

/// What a ledger is made of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Made {
    /// Grows with every change of the ledger.
    pub(super) version: i64,
    pub(super) order: KeyOrder,
    /// Deltas up to this one are in the files.
    pub(super) folded: i64,
    /// The newest delta.
    pub(super) newest: i64,
    /// The newest first.
    pub(super) files: Vec<Named>,
}

/// What the ledger of a sync is made of. The sync's own row says of which version it must be, so that a row that was
/// lost is noticed too.
pub(super) fn get(connection: &Connection, sync: &SyncRow) -> Result<Made> {
    let made = read(connection, sync.id)?;
    if made.version == sync.changes { Ok(made) } else { Err(mismatch("ledgers")) }
}

fn read(connection: &Connection, sync: i64) -> Result<Made> {
    let doing = "reading what the ledger is made of";
    let found: Option<(i64, String, i64, i64, i64, i64)> = connection
        .prepare_cached(
            "SELECT version, key_order, folded, newest, files, sum FROM ledgers WHERE sync = ?1",
        )
        .and_then(|mut statement| {
            statement
                .query_row([sync], |row| {
                    let (files, sum) = (row.get(4)?, row.get(5)?);
                    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, files, sum))
                })
                .optional()
        })
        .during(doing)?;
    let Some((version, order, folded, newest, count, sum)) = found else {
        return Ok(Made::default());
    };
    let files = files(connection, sync)?;
    let order = KeyOrder::named(&order).ok_or_else(|| mismatch("ledgers"))?;
    let made = Made { version, order, folded, newest, files };
    verify("ledgers", sum, ledger_sum(sync, &made))?;
    if made.files.len() as i64 == count { Ok(made) } else { Err(mismatch("ledger_files")) }
}

fn ledger_sum(sync: i64, made: &Made) -> i64 {
    let mut checksum = Checksum::default();
    checksum
        .begin(LEDGERS)
        .int(sync)
        .int(made.version)
        .bytes(made.order.name().as_bytes())
        .int(made.folded)
        .int(made.newest)
        .int(made.files.len() as i64);
    for file in &made.files {
        checksum.bytes(file.name.as_bytes()).int(file.root.cast_signed());
    }
    checksum.sum()
}

fn files(connection: &Connection, sync: i64) -> Result<Vec<Named>> {
    let doing = "reading the ledger's files";
    let mut statement = connection
        .prepare_cached(
            "SELECT name, row_count, bytes, root, sum, age FROM ledger_files WHERE sync = ?1 ORDER BY age",
        )
        .during(doing)?;
    let mut rows = statement.query([sync]).during(doing)?;
    let mut files = Vec::new();
    while let Some(row) = rows.next().during(doing)? {
        let read = || -> rusqlite::Result<_> {
            let number = |value: i64| value.cast_unsigned();
            let (name, rows, bytes): (_, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let (root, sum, age): (i64, i64, i64) = (row.get(3)?, row.get(4)?, row.get(5)?);
            let named =
                Named { name, rows: number(rows), bytes: number(bytes), root: number(root) };
            Ok((named, sum, age))
        };
        let (file, sum, age) = read().during(doing)?;
        verify("ledger_files", sum, file_sum(sync, age, &file))?;
        files.push(file);
    }
    Ok(files)
}

fn file_sum(sync: i64, age: i64, file: &Named) -> i64 {
    Checksum::default()
        .begin(FILES)
        .int(sync)
        .int(age)
        .bytes(file.name.as_bytes())
        .int(file.rows.cast_signed())
        .int(file.bytes.cast_signed())
        .int(file.root.cast_signed())
        .sum()
}

/// Writes what the ledger is made of from now on; deltas that are in its files go.
pub(super) fn put(transaction: &Transaction<'_>, sync: i64, made: &Made) -> Result<()> {
    let doing = "naming the ledger's files";
    transaction.execute("DELETE FROM ledger_files WHERE sync = ?1", [sync]).during(doing)?;
    for (age, file) in (0_i64..).zip(&made.files) {
        transaction
            .execute(
                "INSERT INTO ledger_files (sync, age, name, row_count, bytes, root, sum) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                params![
                    sync,
                    age,
                    file.name,
                    file.rows.cast_signed(),
                    file.bytes.cast_signed(),
                    file.root.cast_signed(),
                    file_sum(sync, age, file)
                ],
            )
            .during(doing)?;
    }
    transaction
        .execute("DELETE FROM ledger_deltas WHERE sync = ?1 AND seq <= ?2", [sync, made.folded])
        .during(doing)?;
    put_row(transaction, sync, made)
}

fn put_row(transaction: &Transaction<'_>, sync: i64, made: &Made) -> Result<()> {
    transaction
        .prepare_cached(
            "INSERT OR REPLACE INTO ledgers (sync, version, key_order, folded, newest, files, sum) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )
        .and_then(|mut statement| {
            statement.execute(params![
                sync,
                made.version,
                made.order.name(),
                made.folded,
                made.newest,
                made.files.len() as i64,
                ledger_sum(sync, made)
            ])
        })
        .map(|_| ())
        .during("writing what the ledger is made of")
}

/// Adds changed rows, as a blob, to the ledger.
pub(super) fn add(
    transaction: &Transaction<'_>,
    sync: i64,
    made: &mut Made,
    blob: &[u8],
) -> Result<()> {
    made.newest += 1;
    transaction
        .prepare_cached(
            "INSERT INTO ledger_deltas (sync, seq, changes, sum) VALUES (?1, ?2, ?3, ?4)",
        )
        .and_then(|mut statement| {
            statement.execute(params![sync, made.newest, blob, delta_sum(sync, made.newest, blob)])
        })
        .during("writing the ledger")?;
    put_row(transaction, sync, made)
}

fn delta_sum(sync: i64, seq: i64, blob: &[u8]) -> i64 {
    Checksum::default().begin(DELTAS).int(sync).int(seq).bytes(blob).sum()
}

/// The blob of one delta.
pub(super) fn delta(connection: &Connection, sync: i64, seq: i64) -> Result<Vec<u8>> {
    let (blob, sum): (Vec<u8>, i64) = connection
        .prepare_cached("SELECT changes, sum FROM ledger_deltas WHERE sync = ?1 AND seq = ?2")
        .and_then(|mut statement| {
            statement.query_row([sync, seq], |row| Ok((row.get(0)?, row.get(1)?))).optional()
        })
        .during("reading the ledger")?
        .ok_or_else(|| mismatch("ledger_deltas"))?;
    verify("ledger_deltas", sum, delta_sum(sync, seq, &blob))?;
    Ok(blob)
}

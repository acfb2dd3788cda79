//! The state's own row of a sync: its number, and the epoch that fences off late owners (S2).

use flow::{Error, Result};
use rusqlite::{Connection, OptionalExtension, Row, Transaction};

use crate::checksum::{Checksum, verify};
use crate::codes;
use crate::fault::While;

const TABLE: u8 = 1;
const COLUMNS: &str = "id, name, epoch, ledger_rows, changes, sum";

/// One sync as the state knows it.
#[derive(Debug, Clone)]
pub(crate) struct SyncRow {
    pub(crate) id: i64,
    pub(crate) name: String,
    pub(crate) epoch: i64,
    /// Rows of the sync in the ledger.
    pub(crate) ledger_rows: i64,
    /// Ledger changes ever written.
    pub(crate) changes: i64,
}

impl SyncRow {
    fn sum(&self) -> i64 {
        Checksum::default()
            .begin(TABLE)
            .int(self.id)
            .bytes(self.name.as_bytes())
            .int(self.epoch)
            .int(self.ledger_rows)
            .int(self.changes)
            .sum()
    }

    fn read(row: &Row<'_>) -> rusqlite::Result<(Self, i64)> {
        let sync = Self {
            id: row.get(0)?,
            name: row.get(1)?,
            epoch: row.get(2)?,
            ledger_rows: row.get(3)?,
            changes: row.get(4)?,
        };
        Ok((sync, row.get(5)?))
    }

    /// Writes the row back as it now is.
    pub(crate) fn save(&self, transaction: &Transaction<'_>) -> Result<()> {
        transaction
            .prepare_cached(
                "UPDATE syncs SET epoch = ?2, ledger_rows = ?3, changes = ?4, sum = ?5 WHERE id = ?1",
            )
            .and_then(|mut statement| {
                statement.execute((self.id, self.epoch, self.ledger_rows, self.changes, self.sum()))
            })
            .map(|_| ())
            .during("writing the sync's own row")
    }
}

/// The sync of that name, if it ever ran.
pub(crate) fn find(connection: &Connection, name: &str) -> Result<Option<SyncRow>> {
    let found = connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM syncs WHERE name = ?1"))
        .and_then(|mut statement| statement.query_row([name], SyncRow::read).optional())
        .during("reading the sync's own row")?;
    found.map(verified).transpose()
}

/// All syncs, by name.
pub(crate) fn all(connection: &Connection) -> Result<Vec<SyncRow>> {
    let doing = "reading the syncs' own rows";
    let mut statement =
        connection.prepare(&format!("SELECT {COLUMNS} FROM syncs ORDER BY name")).during(doing)?;
    let rows: Vec<_> = statement
        .query_map([], SyncRow::read)
        .during(doing)?
        .collect::<rusqlite::Result<_>>()
        .during(doing)?;
    rows.into_iter().map(verified).collect()
}

/// Reads every sync's row, only to see that it is intact.
pub(crate) fn check_all(connection: &Connection) -> Result<()> {
    all(connection).map(|_| ())
}

fn verified((sync, sum): (SyncRow, i64)) -> Result<SyncRow> {
    verify("syncs", sum, sync.sum())?;
    Ok(sync)
}

/// Makes the caller the newest owner of the sync, which it may be the first to name.
pub(crate) fn own(transaction: &Transaction<'_>, name: &str) -> Result<SyncRow> {
    let mut sync = match find(transaction, name)? {
        Some(sync) => sync,
        None => {
            transaction
                .execute(
                    "INSERT INTO syncs (name, epoch, ledger_rows, changes, sum) VALUES (?1, 0, 0, 0, 0)",
                    [name],
                )
                .during("adding the sync")?;
            SyncRow {
                id: transaction.last_insert_rowid(),
                name: name.to_owned(),
                epoch: 0,
                ledger_rows: 0,
                changes: 0,
            }
        }
    };
    sync.epoch += 1;
    sync.save(transaction)?;
    Ok(sync)
}

/// The sync's row, if `epoch` is still its newest owner.
pub(crate) fn owned(transaction: &Transaction<'_>, name: &str, epoch: i64) -> Result<SyncRow> {
    match find(transaction, name)? {
        Some(sync) if sync.epoch == epoch => Ok(sync),
        _ => Err(Error::new(
            &codes::E3011_LEASE_LOST,
            format!("The lease of sync `{name}` with epoch {epoch} is not the newest one."),
        )),
    }
}

//! The ledger: per row of a model, what the destination last acknowledged or refused.

use std::collections::HashSet;

use flow::{Entry, Fingerprint, Gone, GoneHow, Key, LedgerChange, MatchHash, Result};
use rusqlite::types::ValueRef;
use rusqlite::{CachedStatement, Connection, Row, Transaction, params};
use xxhash_rust::xxh3::xxh3_64;

use crate::checksum::{Checksum, mismatch, verify};
use crate::fault::While;
use crate::syncs::SyncRow;

const TABLE: u8 = 2;
const READING: &str = "reading the ledger";
const WRITING: &str = "writing the ledger";

/// The columns behind an [`Entry`], in the order of [`Stored::read`].
const COLUMNS: &str =
    "acknowledged, rejected, match_hash, remote_id, seq, sum, gone_since, gone_how";
/// Where the key stands behind [`COLUMNS`].
const KEY: usize = 8;

const HOW: [GoneHow; 3] = [GoneHow::Absent, GoneHow::Said, GoneHow::Settled];

/// A row's 16-byte values as they lie in the file.
type Hash = Option<[u8; 16]>;

/// One stored row of the ledger, not yet verified.
struct Stored {
    acknowledged: Hash,
    rejected: Hash,
    match_hash: Hash,
    remote_id: Option<String>,
    seq: i64,
    sum: i64,
    gone_since: Option<i64>,
    gone_how: Option<String>,
}

impl Stored {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            acknowledged: row.get(0)?,
            rejected: row.get(1)?,
            match_hash: row.get(2)?,
            remote_id: row.get(3)?,
            seq: row.get(4)?,
            sum: row.get(5)?,
            gone_since: row.get(6)?,
            gone_how: row.get(7)?,
        })
    }

    fn of(entry: &Entry, seq: i64) -> Self {
        Self {
            acknowledged: entry.acknowledged.map(|hash| hash.0.to_be_bytes()),
            rejected: entry.rejected.map(|hash| hash.0.to_be_bytes()),
            match_hash: entry.match_hash.map(|hash| hash.0.to_be_bytes()),
            remote_id: entry.remote_id.clone(),
            seq,
            sum: 0,
            gone_since: entry.gone.map(|gone| gone.since),
            gone_how: entry.gone.map(|gone| gone.how.as_str().to_owned()),
        }
    }

    fn sum(&self, checksum: &mut Checksum, sync: i64, key: &str) -> i64 {
        let checksum = checksum
            .begin(TABLE)
            .int(sync)
            .bytes(key.as_bytes())
            .maybe_bytes(self.acknowledged.as_ref().map(<[u8; 16]>::as_slice))
            .maybe_bytes(self.rejected.as_ref().map(<[u8; 16]>::as_slice))
            .maybe_bytes(self.match_hash.as_ref().map(<[u8; 16]>::as_slice))
            .maybe_bytes(self.remote_id.as_deref().map(str::as_bytes))
            .int(self.seq);
        // Rows written before there was such a thing as being gone have their sums without it.
        if self.gone_since.is_some() || self.gone_how.is_some() {
            checksum
                .maybe_int(self.gone_since)
                .maybe_bytes(self.gone_how.as_deref().map(str::as_bytes));
        }
        checksum.sum()
    }

    fn verify(&self, checksum: &mut Checksum, sync: i64, key: &str) -> Result<()> {
        verify("ledger", self.sum, self.sum(checksum, sync, key))
    }

    fn into_entry(self) -> Entry {
        let number = u128::from_be_bytes;
        Entry {
            acknowledged: self.acknowledged.map(|hash| Fingerprint(number(hash))),
            rejected: self.rejected.map(|hash| Fingerprint(number(hash))),
            match_hash: self.match_hash.map(|hash| MatchHash(number(hash))),
            remote_id: self.remote_id,
            gone: self.gone_since.zip(self.gone_how).and_then(|(since, word)| {
                let how = HOW.into_iter().find(|how| how.as_str() == word)?;
                Some(Gone { since, how })
            }),
        }
    }
}

/// The entries of these rows, in this order.
pub(crate) fn lookup(
    connection: &Connection,
    sync: i64,
    keys: &[Key],
) -> Result<Vec<Option<Entry>>> {
    let mut statement = select_one(connection)?;
    let mut checksum = Checksum::default();
    keys.iter()
        .map(|key| {
            let stored = select(&mut statement, sync, key)?;
            stored
                .map(|stored| {
                    stored.verify(&mut checksum, sync, key.as_str())?;
                    Ok(stored.into_entry())
                })
                .transpose()
        })
        .collect()
}

/// Which row was last acknowledged under each match value, in this order.
pub(crate) fn owners(
    connection: &Connection,
    sync: i64,
    matches: &[MatchHash],
) -> Result<Vec<Option<Key>>> {
    // A row whose newest write was refused no longer owns the record another row was written to.
    let sql = format!(
        "SELECT {COLUMNS}, key FROM ledger INDEXED BY ledger_by_match WHERE sync = ?1 AND match_hash = ?2 \
         ORDER BY rejected IS NULL DESC, seq DESC LIMIT 1"
    );
    let mut statement = connection.prepare_cached(&sql).during(READING)?;
    let mut checksum = Checksum::default();
    // Neighbours in the index are asked for together, so that each of its pages is fetched once.
    let mut sorted: Vec<usize> = (0..matches.len()).collect();
    sorted.sort_unstable_by_key(|index| matches[*index].0);
    let mut owners = vec![None; matches.len()];
    for index in sorted {
        let wanted = matches[index].0.to_be_bytes();
        let mut rows = statement.query(params![sync, wanted]).during(READING)?;
        let Some(row) = rows.next().during(READING)? else { continue };
        let stored = Stored::read(row).during(READING)?;
        let key: String = row.get(KEY).during(READING)?;
        stored.verify(&mut checksum, sync, &key)?;
        owners[index] = Some(Key::from_stored(key));
    }
    Ok(owners)
}

/// Rows with one of these record ids, in one pass over the sync's ledger.
pub(crate) fn holders(
    connection: &Connection,
    sync: i64,
    record_ids: &[String],
) -> Result<Vec<(String, Key)>> {
    let wanted: HashSet<&str> = record_ids.iter().map(String::as_str).collect();
    let sql =
        format!("SELECT {COLUMNS}, key FROM ledger WHERE sync = ?1 AND remote_id IS NOT NULL");
    let mut statement = connection.prepare_cached(&sql).during(READING)?;
    let mut rows = statement.query([sync]).during(READING)?;
    let mut checksum = Checksum::default();
    let mut holders = Vec::new();
    while let Some(row) = rows.next().during(READING)? {
        let stored = Stored::read(row).during(READING)?;
        if !stored.remote_id.as_deref().is_some_and(|id| wanted.contains(id)) {
            continue;
        }
        let key: String = row.get(KEY).during(READING)?;
        stored.verify(&mut checksum, sync, &key)?;
        holders.extend(stored.into_entry().remote_id.map(|id| (id, Key::from_stored(key))));
    }
    Ok(holders)
}

/// Which rows of the ledger are listed.
#[derive(Clone, Copy)]
pub(crate) enum Listed {
    All,
    /// Those that left the model and are not settled.
    Gone,
}

/// The first `rows` rows after the key `after`, in the order of the key's bytes.
pub(crate) fn list(
    connection: &Connection,
    sync: i64,
    (listed, after, rows): (Listed, Option<&Key>, usize),
) -> Result<Vec<(Key, Entry)>> {
    let only = match listed {
        Listed::All => "",
        Listed::Gone => {
            "INDEXED BY ledger_by_gone WHERE gone_since IS NOT NULL AND gone_how <> 'settled' AND"
        }
    };
    let only = if only.is_empty() { "WHERE" } else { only };
    let sql = format!(
        "SELECT {COLUMNS}, key FROM ledger {only} sync = ?1 AND (?2 IS NULL OR key > ?2) \
         ORDER BY key LIMIT ?3"
    );
    let mut statement = connection.prepare_cached(&sql).during(READING)?;
    let limit = i64::try_from(rows).unwrap_or(i64::MAX);
    let mut found =
        statement.query(params![sync, after.map(Key::as_str), limit]).during(READING)?;
    let mut checksum = Checksum::default();
    let mut list = Vec::new();
    while let Some(row) = found.next().during(READING)? {
        let stored = Stored::read(row).during(READING)?;
        let key: String = row.get(KEY).during(READING)?;
        stored.verify(&mut checksum, sync, &key)?;
        list.push((Key::from_stored(key), stored.into_entry()));
    }
    Ok(list)
}

/// Forgets these rows altogether.
pub(crate) fn forget(
    transaction: &Transaction<'_>,
    sync: &mut SyncRow,
    keys: &[Key],
) -> Result<()> {
    let mut delete = transaction
        .prepare_cached("DELETE FROM ledger WHERE sync = ?1 AND key = ?2")
        .during(WRITING)?;
    for key in keys {
        let rows = delete.execute((sync.id, key.as_str())).during(WRITING)?;
        sync.ledger_rows -= i64::try_from(rows).expect("one row at most");
    }
    Ok(())
}

/// Replaces the memories of these rows; a later change of one row wins over an earlier one.
pub(crate) fn put(
    transaction: &Transaction<'_>,
    sync: &mut SyncRow,
    changes: &[LedgerChange],
) -> Result<()> {
    let mut numbered: Vec<_> = (sync.changes + 1..).zip(changes).collect();
    sync.changes += i64::try_from(changes.len()).expect("a commit is small");
    // Neighbours in the tree are written together.
    numbered.sort_by(|(_, a), (_, b)| a.key.cmp(&b.key));
    let mut insert = transaction
        .prepare_cached(
            "INSERT INTO ledger (sync, key, acknowledged, rejected, match_hash, remote_id, seq, sum, \
             gone_since, gone_how) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) ON CONFLICT (sync, key) DO NOTHING",
        )
        .during(WRITING)?;
    let mut update = update_matched(transaction)?;
    let mut replace = transaction
        .prepare_cached(
            "UPDATE ledger SET acknowledged = ?3, rejected = ?4, match_hash = ?5, remote_id = ?6, \
             seq = ?7, sum = ?8, gone_since = ?9, gone_how = ?10 WHERE sync = ?1 AND key = ?2",
        )
        .during(WRITING)?;
    let mut checksum = Checksum::default();
    for (seq, change) in numbered {
        let key = change.key.as_str();
        let mut row = Stored::of(&change.entry, seq);
        row.sum = row.sum(&mut checksum, sync.id, key);
        let added = write(&mut insert, sync.id, key, &row)?;
        if added == 0 && write(&mut update, sync.id, key, &row)? == 0 {
            write(&mut replace, sync.id, key, &row)?;
        }
        sync.ledger_rows += i64::try_from(added).expect("one row at most");
    }
    Ok(())
}

/// Forgets the acknowledged fingerprints of these rows; what else is known of them stays (D4).
pub(crate) fn mark_dirty(transaction: &Transaction<'_>, sync: i64, keys: &[Key]) -> Result<()> {
    let mut statement = select_one(transaction)?;
    let mut update = update_matched(transaction)?;
    let mut checksum = Checksum::default();
    for key in keys {
        let Some(mut row) = select(&mut statement, sync, key)? else { continue };
        row.verify(&mut checksum, sync, key.as_str())?;
        if row.acknowledged.take().is_some() {
            row.sum = row.sum(&mut checksum, sync, key.as_str());
            write(&mut update, sync, key.as_str(), &row)?;
        }
    }
    Ok(())
}

fn select_one(connection: &Connection) -> Result<CachedStatement<'_>> {
    connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM ledger WHERE sync = ?1 AND key = ?2"))
        .during(READING)
}

fn select(statement: &mut CachedStatement<'_>, sync: i64, key: &Key) -> Result<Option<Stored>> {
    let mut rows = statement.query((sync, key.as_str())).during(READING)?;
    rows.next().during(READING)?.map(Stored::read).transpose().during(READING)
}

/// Changes a row whose match value stays; that spares the index, which is most of the work.
fn update_matched<'a>(transaction: &'a Transaction<'_>) -> Result<CachedStatement<'a>> {
    transaction
        .prepare_cached(
            "UPDATE ledger SET acknowledged = ?3, rejected = ?4, remote_id = ?6, seq = ?7, sum = ?8, \
             gone_since = ?9, gone_how = ?10 WHERE sync = ?1 AND key = ?2 AND match_hash IS ?5",
        )
        .during(WRITING)
}

fn write(statement: &mut CachedStatement<'_>, sync: i64, key: &str, row: &Stored) -> Result<usize> {
    statement
        .execute(params![
            sync,
            key,
            row.acknowledged,
            row.rejected,
            row.match_hash,
            row.remote_id,
            row.seq,
            row.sum,
            row.gone_since,
            row.gone_how
        ])
        .during(WRITING)
}

/// Reads the sync's whole ledger and its index, and compares them with each other, with every checksum and with
/// the number of rows there should be: a row that was lost or renamed by damage is noticed too.
pub(crate) fn check(connection: &Connection, sync: &SyncRow) -> Result<()> {
    let mut checksum = Checksum::default();
    let (mut rows, mut matched) = (0_i64, 0_u64);
    let mut statement = connection
        .prepare_cached(&format!("SELECT {COLUMNS}, key FROM ledger WHERE sync = ?1"))
        .during(READING)?;
    let mut found = statement.query([sync.id]).during(READING)?;
    while let Some(row) = found.next().during(READING)? {
        let stored = Stored::read(row).during(READING)?;
        let key = row.get_ref(KEY).and_then(|key| Ok(key.as_str()?)).during(READING)?;
        stored.verify(&mut checksum, sync.id, key)?;
        rows += 1;
        matched ^= stored.match_hash.map_or(0, |hash| link(&hash, key));
    }
    let mut statement = connection
        .prepare_cached(
            "SELECT match_hash, key FROM ledger INDEXED BY ledger_by_match \
             WHERE sync = ?1 AND match_hash IS NOT NULL",
        )
        .during(READING)?;
    let mut found = statement.query([sync.id]).during(READING)?;
    while let Some(row) = found.next().during(READING)? {
        if let (ValueRef::Blob(hash), ValueRef::Text(key)) =
            (row.get_ref(0).during(READING)?, row.get_ref(1).during(READING)?)
        {
            matched ^= link(hash, std::str::from_utf8(key).map_err(|_| mismatch("ledger"))?);
        }
    }
    if rows == sync.ledger_rows && matched == 0 { Ok(()) } else { Err(mismatch("ledger")) }
}

/// Stands for one entry of the index in the comparison of index and table.
fn link(match_hash: &[u8], key: &str) -> u64 {
    xxh3_64(match_hash) ^ xxh3_64(key.as_bytes()).rotate_left(1)
}

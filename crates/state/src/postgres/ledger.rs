//! The ledger as a table: per row of a model, what the destination last acknowledged or refused.

use std::collections::HashMap;

use flow::{
    Entry, Fingerprint, Gone, GoneHow, Key, KeyOrder, LedgerChange, LedgerRow, MatchHash, Result,
};
use tokio_postgres::Row;

use super::session::{Params, Session};
use super::syncs::SyncRow;
use crate::checksum::{Checksum, mismatch, verify};

const LEDGER: u8 = 10;
const READING: &str = "reading the ledger";
const WRITING: &str = "writing the ledger";
/// Columns of an entry, in the order in which [`read`] takes them.
pub(super) const COLUMNS: &str =
    "key, acknowledged, rejected, match_hash, remote_id, gone_since, gone_how, changed, sum";
const HOW: [GoneHow; 3] = [GoneHow::Absent, GoneHow::Said, GoneHow::Settled];
/// Changes of one commit that can be told apart by their order.
const CHANGES_BITS: u32 = 20;

/// One row as it is stored.
pub(super) struct Stored {
    pub(super) key: Vec<u8>,
    pub(super) entry: Entry,
    changed: i64,
}

impl Stored {
    pub(super) fn read(sync: i64, row: &Row) -> Result<Self> {
        let wrong = || mismatch("ledger");
        let print = |column: usize| -> Result<Option<u128>> {
            let bytes: Option<&[u8]> = row.get(column);
            let number = bytes.map(|bytes| bytes.try_into().map(u128::from_be_bytes));
            number.transpose().map_err(|_| wrong())
        };
        let remote_id = row.get::<_, Option<Vec<u8>>>(4).map(String::from_utf8);
        let how = row
            .get::<_, Option<&str>>(6)
            .map(|word| HOW.into_iter().find(|how| how.as_str() == word).ok_or_else(wrong));
        let since = row.get::<_, Option<i64>>(5);
        let entry = Entry {
            acknowledged: print(1)?.map(Fingerprint),
            rejected: print(2)?.map(Fingerprint),
            match_hash: print(3)?.map(MatchHash),
            remote_id: remote_id.transpose().map_err(|_| wrong())?,
            gone: how.transpose()?.zip(since).map(|(how, since)| Gone { since, how }),
        };
        let stored = Self { key: row.get(0), entry, changed: row.get(7) };
        verify("ledger", row.get(8), stored.sum(sync, &mut Checksum::default()))?;
        Ok(stored)
    }

    fn sum(&self, sync: i64, checksum: &mut Checksum) -> i64 {
        let Entry { acknowledged, rejected, match_hash, remote_id, gone } = &self.entry;
        let bytes = |number: Option<u128>| number.map(u128::to_be_bytes);
        checksum
            .begin(LEDGER)
            .int(sync)
            .bytes(&self.key)
            .maybe_bytes(
                bytes(acknowledged.map(|print| print.0)).as_ref().map(<[u8; 16]>::as_slice),
            )
            .maybe_bytes(bytes(rejected.map(|print| print.0)).as_ref().map(<[u8; 16]>::as_slice))
            .maybe_bytes(bytes(match_hash.map(|hash| hash.0)).as_ref().map(<[u8; 16]>::as_slice))
            .maybe_bytes(remote_id.as_deref().map(str::as_bytes))
            .maybe_int(gone.map(|gone| gone.since))
            .bytes(gone.map_or("", |gone| gone.how.as_str()).as_bytes())
            .int(self.changed)
            .sum()
    }

    pub(super) fn row(&self) -> LedgerRow {
        LedgerRow {
            acknowledged: self.entry.acknowledged,
            is_rejected: self.entry.rejected.is_some(),
            is_gone: self.entry.gone.is_some(),
        }
    }

    fn decoded(self, order: &KeyOrder) -> Result<(Key, Entry)> {
        Ok((order.decode(&self.key).ok_or_else(|| mismatch("ledger"))?, self.entry))
    }
}

fn encoded(order: &KeyOrder, key: &Key) -> Vec<u8> {
    let mut bytes = Vec::new();
    order.encode(key, &mut bytes);
    bytes
}

/// Replaces the memories of these rows, a later change of one row winning over an earlier one; then forgets others.
pub(super) async fn put(
    session: &Session,
    sync: &SyncRow,
    (changes, forgotten): (&[LedgerChange], &[Key]),
) -> Result<()> {
    let mut last: HashMap<&Key, usize> = HashMap::new();
    last.extend(changes.iter().enumerate().map(|(index, change)| (&change.key, index)));
    for key in forgotten {
        last.remove(key);
    }
    let mut kept: Vec<usize> = last.into_values().collect();
    kept.sort_unstable();
    if !kept.is_empty() {
        let first = next_change(session).await?;
        let stored: Vec<Stored> = (first..)
            .zip(kept)
            .map(|(changed, index)| Stored {
                key: encoded(&sync.order, &changes[index].key),
                entry: changes[index].entry.clone(),
                changed,
            })
            .collect();
        write(session, sync.id, sync.generation, &stored).await?;
    }
    if forgotten.is_empty() {
        return Ok(());
    }
    let keys: Vec<_> = forgotten.iter().map(|key| encoded(&sync.order, key)).collect();
    let sql = "DELETE FROM ledger WHERE sync = $1 AND generation = $2 AND key = ANY ($3::bytea[])";
    session.execute(WRITING, sql, &[&sync.id, &sync.generation, &keys]).await.map(drop)
}

/// The number of a commit's first change; those of its others follow.
async fn next_change(session: &Session) -> Result<i64> {
    let row = session.row(WRITING, "SELECT nextval('commits')", &[]).await?;
    Ok(row.map_or(0, |row| row.get::<_, i64>(0)) << CHANGES_BITS)
}

/// Writes rows, each of which has a key of its own.
pub(super) async fn write(
    session: &Session,
    sync: i64,
    generation: i64,
    rows: &[Stored],
) -> Result<()> {
    let bytes = |number: Option<u128>| number.map(|number| number.to_be_bytes().to_vec());
    let entries = || rows.iter().map(|row| &row.entry);
    let keys: Vec<&[u8]> = rows.iter().map(|row| row.key.as_slice()).collect();
    let acknowledged: Vec<_> =
        entries().map(|entry| bytes(entry.acknowledged.map(|print| print.0))).collect();
    let rejected: Vec<_> =
        entries().map(|entry| bytes(entry.rejected.map(|print| print.0))).collect();
    let matches: Vec<_> =
        entries().map(|entry| bytes(entry.match_hash.map(|hash| hash.0))).collect();
    let ids: Vec<_> =
        entries().map(|entry| entry.remote_id.as_deref().map(str::as_bytes)).collect();
    let since: Vec<_> = entries().map(|entry| entry.gone.map(|gone| gone.since)).collect();
    let how: Vec<_> = entries().map(|entry| entry.gone.map(|gone| gone.how.as_str())).collect();
    let changed: Vec<i64> = rows.iter().map(|row| row.changed).collect();
    let mut checksum = Checksum::default();
    let sums: Vec<i64> = rows.iter().map(|row| row.sum(sync, &mut checksum)).collect();
    let sql = format!(
        "INSERT INTO ledger (sync, generation, {COLUMNS}) SELECT $1::bigint, $2::bigint, new.* FROM \
         unnest($3::bytea[], $4::bytea[], $5::bytea[], $6::bytea[], $7::bytea[], $8::bigint[], \
         $9::text[], $10::bigint[], $11::bigint[]) AS new ON CONFLICT (sync, generation, key) \
         DO UPDATE SET acknowledged = excluded.acknowledged, rejected = excluded.rejected, \
         match_hash = excluded.match_hash, remote_id = excluded.remote_id, \
         gone_since = excluded.gone_since, gone_how = excluded.gone_how, \
         changed = excluded.changed, sum = excluded.sum"
    );
    let values: Params<'_> = &[
        &sync,
        &generation,
        &keys,
        &acknowledged,
        &rejected,
        &matches,
        &ids,
        &since,
        &how,
        &changed,
        &sums,
    ];
    session.execute(WRITING, &sql, values).await.map(drop)
}

async fn find(session: &Session, sync: &SyncRow, keys: &[Vec<u8>]) -> Result<Vec<Stored>> {
    // One probe of the index per key, whatever the planner thinks of a table that has just been filled.
    let sql = format!(
        "SELECT found.* FROM unnest($3::bytea[]) AS wanted (key), LATERAL (SELECT {COLUMNS} FROM ledger \
         WHERE sync = $1 AND generation = $2 AND ledger.key = wanted.key LIMIT 1) AS found"
    );
    let rows = session.rows(READING, &sql, &[&sync.id, &sync.generation, &keys]).await?;
    rows.iter().map(|row| Stored::read(sync.id, row)).collect()
}

/// The entries of these rows, in this order.
pub(super) async fn lookup(
    session: &Session,
    sync: &SyncRow,
    keys: &[Key],
) -> Result<Vec<Option<Entry>>> {
    let keys: Vec<_> = keys.iter().map(|key| encoded(&sync.order, key)).collect();
    let found = find(session, sync, &keys).await?;
    let found: HashMap<_, _> = found.into_iter().map(|row| (row.key, row.entry)).collect();
    Ok(keys.iter().map(|key| found.get(key).cloned()).collect())
}

/// Forgets the acknowledged fingerprints of these rows; what else is known of them stays (D4).
pub(super) async fn mark_dirty(session: &Session, sync: &SyncRow, keys: &[Key]) -> Result<()> {
    let mut keys: Vec<_> = keys.iter().map(|key| encoded(&sync.order, key)).collect();
    keys.sort_unstable();
    keys.dedup();
    let mut known = find(session, sync, &keys).await?;
    known.retain(|row| row.entry.acknowledged.is_some());
    if known.is_empty() {
        return Ok(());
    }
    let first = next_change(session).await?;
    for (changed, row) in (first..).zip(&mut known) {
        (row.entry.acknowledged, row.changed) = (None, changed);
    }
    write(session, sync.id, sync.generation, &known).await
}

/// Which row was last acknowledged under each match value, in this order. A row whose newest write was refused no longer
/// owns the record another row was written to: of those that were not, the one changed last; else of all.
pub(super) async fn owners(
    session: &Session,
    sync: &SyncRow,
    matches: &[MatchHash],
) -> Result<Vec<Option<Key>>> {
    let hashes: Vec<Vec<u8>> = matches.iter().map(|hash| hash.0.to_be_bytes().to_vec()).collect();
    let sql = format!(
        "SELECT found.* FROM unnest($3::bytea[]) AS wanted (hash), LATERAL (SELECT {COLUMNS} FROM ledger \
         WHERE sync = $1 AND generation = $2 AND match_hash = wanted.hash \
         ORDER BY rejected IS NOT NULL, changed DESC LIMIT 1) AS found"
    );
    let rows = session.rows(READING, &sql, &[&sync.id, &sync.generation, &hashes]).await?;
    let mut owners = HashMap::new();
    for row in &rows {
        let stored = Stored::read(sync.id, row)?;
        let hash = stored.entry.match_hash.ok_or_else(|| mismatch("ledger"))?;
        owners.insert(hash.0, stored.decoded(&sync.order)?.0);
    }
    Ok(matches.iter().map(|hash| owners.get(&hash.0).cloned()).collect())
}

/// Rows with one of these record ids, in one pass over the sync's ledger.
pub(super) async fn holders(
    session: &Session,
    sync: &SyncRow,
    record_ids: &[String],
) -> Result<Vec<(String, Key)>> {
    let ids: Vec<&[u8]> = record_ids.iter().map(String::as_bytes).collect();
    let sql = format!(
        "SELECT {COLUMNS} FROM ledger \
         WHERE sync = $1 AND generation = $2 AND remote_id = ANY ($3::bytea[])"
    );
    let rows = session.rows(READING, &sql, &[&sync.id, &sync.generation, &ids]).await?;
    let mut holders = Vec::new();
    for row in &rows {
        let (key, entry) = Stored::read(sync.id, row)?.decoded(&sync.order)?;
        holders.extend(entry.remote_id.map(|id| (id, key)));
    }
    Ok(holders)
}

/// How many rows there are, and how many of them have a record.
pub(super) async fn count(session: &Session, sync: &SyncRow) -> Result<(u64, u64)> {
    let sql = "SELECT count(*), count(match_hash) FROM ledger WHERE sync = $1 AND generation = $2";
    let row = session.row("counting the ledger", sql, &[&sync.id, &sync.generation]).await?;
    let number = |row: &Row, column| row.get::<_, i64>(column).cast_unsigned();
    Ok(row.map_or((0, 0), |row| (number(&row, 0), number(&row, 1))))
}

/// The first rows after a key, in the ledger's order; with `gone`, only those that left the model and are not settled.
pub(super) async fn page(
    session: &Session,
    sync: &SyncRow,
    (gone, after, rows_max): (bool, Option<&Key>, usize),
) -> Result<Vec<(Key, Entry)>> {
    let only = if gone { "AND gone_how IN ('absent', 'said')" } else { "" };
    let sql = format!(
        "SELECT {COLUMNS} FROM ledger WHERE sync = $1 AND generation = $2 AND key > $3 {only} \
         ORDER BY key LIMIT $4"
    );
    let from = format!(
        "SELECT {COLUMNS} FROM ledger WHERE sync = $1 AND generation = $2 {only} ORDER BY key LIMIT $3"
    );
    let rows_max = i64::try_from(rows_max).unwrap_or(i64::MAX);
    let rows = match after {
        Some(after) => {
            let after = encoded(&sync.order, after);
            let values: Params<'_> = &[&sync.id, &sync.generation, &after, &rows_max];
            session.rows(READING, &sql, values).await?
        }
        None => session.rows(READING, &from, &[&sync.id, &sync.generation, &rows_max]).await?,
    };
    rows.iter().map(|row| Stored::read(sync.id, row)?.decoded(&sync.order)).collect()
}

/// Forgets the whole ledger; also one that cannot be read.
pub(super) async fn forget(session: &Session, sync: i64) -> Result<()> {
    let sql = "DELETE FROM ledger WHERE sync = $1";
    session.execute("forgetting the ledger", sql, &[&sync]).await.map(drop)
}

/// The row with its key in another order.
pub(super) fn reordered(row: Stored, (from, to): (&KeyOrder, &KeyOrder)) -> Result<Stored> {
    let changed = row.changed;
    let (key, entry) = row.decoded(from)?;
    Ok(Stored { key: encoded(to, &key), entry, changed })
}

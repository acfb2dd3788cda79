//! Reads the ledger of a state of version 1, a table with a checksum on every row, into a file of this version.

use std::path::Path;

use flow::{Entry, Fingerprint, KeyOrder, MatchHash, Result};
use rusqlite::{Connection, Row, Transaction};

use super::row;
use super::table::{self, Made};
use super::writer::{Named, Writer};
use super::{FOLDER, file_name};
use crate::checksum::{Checksum, verify};
use crate::directory;
use crate::fault::While;
use crate::syncs::{self, SyncRow};

const TABLE: u8 = 2;
const READING: &str = "reading the ledger of the older state";

/// A row's 16-byte values as they lay in the file.
type Hash = Option<[u8; 16]>;

/// One row of the old table.
struct Stored {
    key: String,
    acknowledged: Hash,
    rejected: Hash,
    match_hash: Hash,
    remote_id: Option<String>,
    seq: i64,
    sum: i64,
}

impl Stored {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            key: row.get(0)?,
            acknowledged: row.get(1)?,
            rejected: row.get(2)?,
            match_hash: row.get(3)?,
            remote_id: row.get(4)?,
            seq: row.get(5)?,
            sum: row.get(6)?,
        })
    }

    fn sum(&self, checksum: &mut Checksum, sync: i64) -> i64 {
        checksum
            .begin(TABLE)
            .int(sync)
            .bytes(self.key.as_bytes())
            .maybe_bytes(self.acknowledged.as_ref().map(<[u8; 16]>::as_slice))
            .maybe_bytes(self.rejected.as_ref().map(<[u8; 16]>::as_slice))
            .maybe_bytes(self.match_hash.as_ref().map(<[u8; 16]>::as_slice))
            .maybe_bytes(self.remote_id.as_deref().map(str::as_bytes))
            .int(self.seq)
            .sum()
    }

    /// The entry as it is kept now: of hashes, only the bits that are kept.
    fn entry(self) -> Entry {
        let number = u128::from_be_bytes;
        let print = |hash| match number(hash) {
            0 => Fingerprint(0),
            hash => Fingerprint::of(hash),
        };
        Entry {
            acknowledged: self.acknowledged.map(print),
            rejected: self.rejected.map(print),
            match_hash: self.match_hash.map(|hash| MatchHash::of(number(hash))),
            remote_id: self.remote_id,
            gone: None,
        }
    }
}

/// Ledgers on their way from the old table to the new ones.
pub(crate) struct Moved(Vec<(i64, Made)>);

/// Writes a file for every sync that has rows in the old table.
pub(crate) fn read(transaction: &Transaction<'_>, state: &Path) -> Result<Moved> {
    let mut moved = Vec::new();
    for sync in syncs::all(transaction)? {
        let dir = state.join(FOLDER);
        directory::prepare_inner(&dir)?;
        let files = file(transaction, &sync, &dir)?.into_iter().collect();
        moved.push((sync.id, Made { version: sync.changes, files, ..Made::default() }));
    }
    Ok(Moved(moved))
}

fn file(connection: &Connection, sync: &SyncRow, dir: &Path) -> Result<Option<Named>> {
    let mut statement = connection
        .prepare(
            "SELECT key, acknowledged, rejected, match_hash, remote_id, seq, sum FROM ledger \
             WHERE sync = ?1 ORDER BY key",
        )
        .during(READING)?;
    let mut rows = statement.query([sync.id]).during(READING)?;
    let mut writer = Writer::create(dir, &file_name(sync), &KeyOrder::default())?;
    let (mut checksum, mut count, mut bytes) = (Checksum::default(), 0, Vec::new());
    while let Some(row) = rows.next().during(READING)? {
        let stored = Stored::read(row).during(READING)?;
        verify("ledger", stored.sum, stored.sum(&mut checksum, sync.id))?;
        let (key, recency) = (stored.key.clone(), stored.seq.clamp(0, u32::MAX.into()) as u32);
        bytes.clear();
        row::encode(&stored.entry(), &mut bytes);
        writer.push(key.as_bytes(), &bytes, recency)?;
        count += 1;
    }
    if count == 0 { Ok(None) } else { writer.finish().map(Some) }
}

/// Names the files in the new tables.
pub(crate) fn write(transaction: &Transaction<'_>, Moved(moved): &Moved) -> Result<()> {
    moved.iter().try_for_each(|(sync, made)| table::put(transaction, *sync, made))
}

#[cfg(test)]
mod tests {
    use flow::{Key, Store};
    use rusqlite::params;

    use super::*;
    use crate::migrate::MIGRATIONS;
    use crate::open::open;
    use crate::operator::State;
    use crate::sqlite::Sqlite;

    const ROWS: i64 = 300;

    fn hash(n: i64) -> Hash {
        Some(xxhash_rust::xxh3::xxh3_128(&n.to_le_bytes()).to_be_bytes())
    }

    /// A state of version 1 with a ledger as that version wrote it.
    fn old_state(dir: &Path) -> Vec<(Key, Entry)> {
        let opened = open(&dir.join("state.db"), "acme", &MIGRATIONS[..1]).unwrap();
        let mut writer = opened.writer;
        let transaction = writer.transaction().unwrap();
        let mut sync = syncs::own(&transaction, "people").unwrap();
        (sync.ledger_rows, sync.changes) = (ROWS, ROWS);
        sync.save(&transaction).unwrap();
        let mut expected = Vec::new();
        for n in 0..ROWS {
            let mut row = Stored {
                key: n.to_string(),
                acknowledged: hash(n),
                rejected: (n % 50 == 0).then_some([0; 16]),
                match_hash: hash(n / 2),
                remote_id: (n % 3 > 0).then(|| format!("{n}")),
                seq: n + 1,
                sum: 0,
            };
            row.sum = row.sum(&mut Checksum::default(), sync.id);
            transaction
                .execute(
                    "INSERT INTO ledger (sync, key, acknowledged, rejected, match_hash, remote_id, seq, sum) \
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                    params![
                        sync.id,
                        row.key,
                        row.acknowledged,
                        row.rejected,
                        row.match_hash,
                        row.remote_id,
                        row.seq,
                        row.sum
                    ],
                )
                .unwrap();
            expected.push((Key::from_stored(n.to_string()), row.entry()));
        }
        transaction.commit().unwrap();
        expected
    }

    #[tokio::test]
    async fn the_ledger_of_a_state_of_version_1_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let mut expected = old_state(dir.path());
        let store = Sqlite::open(dir.path(), "acme").unwrap();
        let lease = store.acquire("people", 0).await.unwrap();
        expected.sort_by(|a, b| a.0.cmp(&b.0));
        assert_eq!(store.scan("people", None, 1000).await.unwrap(), expected);
        assert_eq!(store.syncs().await.unwrap()[0].ledger_rows, ROWS as u64);
        // Two rows have each match hash; of those, the one changed last.
        let hashes: Vec<_> =
            (0..ROWS / 2).map(|n| MatchHash::of(u128::from_be_bytes(hash(n).unwrap()))).collect();
        let owners = store.owners("people", &hashes).await.unwrap();
        let owner = |n: i64| Some(Key::from_stored((2 * n + 1).to_string()));
        assert_eq!(owners, (0..ROWS / 2).map(owner).collect::<Vec<_>>());
        assert!(dir.path().join("state-v1.db.bak").exists());
        drop(lease);
        drop(store);
        Sqlite::open(dir.path(), "acme").unwrap().acquire("people", 1).await.unwrap();
    }

    #[test]
    fn a_damaged_ledger_of_version_1_is_not_moved() {
        // S4
        let dir = tempfile::tempdir().unwrap();
        old_state(dir.path());
        let old = Connection::open(dir.path().join("state.db")).unwrap();
        old.execute("UPDATE ledger SET remote_id = '8' WHERE key = '7'", []).unwrap();
        drop(old);
        let refused = Sqlite::open(dir.path(), "acme").err().unwrap();
        assert_eq!(refused.code().id, "E3009", "{refused}");
        assert!(refused.to_string().contains("checksum"), "{refused}");
        drop(open(&dir.path().join("state.db"), "acme", &MIGRATIONS[..1]).unwrap());
    }
}

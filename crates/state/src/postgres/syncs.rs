//! The state's own row of a sync: its number, its epoch, and which ledger is its own.

use flow::{KeyOrder, Lease, Result};
use tokio_postgres::Row;

use super::lease;
use super::session::Session;
use crate::checksum::{Checksum, mismatch, verify};

const TABLE: u8 = 1;
const READING: &str = "reading the sync's own row";
const WRITING: &str = "writing the sync's own row";

/// One sync as the state knows it.
#[derive(Debug, Clone)]
pub(super) struct SyncRow {
    pub(super) id: i64,
    pub(super) name: String,
    pub(super) epoch: i64,
    /// Which rows of the ledger are its own.
    pub(super) generation: i64,
    /// How their keys are ordered.
    pub(super) order: KeyOrder,
}

impl SyncRow {
    fn sum(&self) -> i64 {
        Checksum::default()
            .begin(TABLE)
            .int(self.id)
            .bytes(self.name.as_bytes())
            .int(self.epoch)
            .int(self.generation)
            .bytes(self.order.name().as_bytes())
            .sum()
    }

    fn read(row: &Row) -> Result<Self> {
        let order = KeyOrder::named(row.get(4)).ok_or_else(|| mismatch("syncs"))?;
        let sync = Self {
            id: row.get(0),
            name: row.get(1),
            epoch: row.get(2),
            generation: row.get(3),
            order,
        };
        verify("syncs", row.get(5), sync.sum())?;
        Ok(sync)
    }

    /// Writes the row back as it now is.
    pub(super) async fn save(&self, session: &Session) -> Result<()> {
        let sql =
            "UPDATE syncs SET epoch = $2, generation = $3, key_order = $4, sum = $5 WHERE id = $1";
        let order = self.order.name();
        session
            .execute(WRITING, sql, &[&self.id, &self.epoch, &self.generation, &order, &self.sum()])
            .await
            .map(drop)
    }
}

/// The sync of that name, if it ever ran.
pub(super) async fn find(session: &Session, name: &str) -> Result<Option<SyncRow>> {
    let sql = "SELECT id, name, epoch, generation, key_order, sum FROM syncs WHERE name = $1";
    let found = session.row(READING, sql, &[&name]).await?;
    found.map(|row| SyncRow::read(&row)).transpose()
}

/// All syncs, by name.
pub(super) async fn all(session: &Session) -> Result<Vec<SyncRow>> {
    let sql =
        "SELECT id, name, epoch, generation, key_order, sum FROM syncs ORDER BY name COLLATE \"C\"";
    let rows = session.rows(READING, sql, &[]).await?;
    rows.iter().map(SyncRow::read).collect()
}

/// The sync of that name, which may be new; whoever else asks for it waits.
pub(super) async fn named(session: &Session, name: &str) -> Result<SyncRow> {
    let sql = "INSERT INTO syncs (name, epoch, generation, key_order, sum) VALUES ($1, 0, 0, '', 0) \
               ON CONFLICT (name) DO NOTHING RETURNING id";
    if let Some(row) = session.row(WRITING, sql, &[&name]).await? {
        let sync = SyncRow {
            id: row.get(0),
            name: name.to_owned(),
            epoch: 0,
            generation: 0,
            order: KeyOrder::default(),
        };
        sync.save(session).await?;
        return Ok(sync);
    }
    let sql = "SELECT id, name, epoch, generation, key_order, sum FROM syncs WHERE name = $1 \
               FOR NO KEY UPDATE";
    let row = session.row(READING, sql, &[&name]).await?;
    SyncRow::read(&row.ok_or_else(|| mismatch("syncs"))?)
}

/// Fences off every owner so far.
pub(super) async fn next_epoch(session: &Session, sync: &mut SyncRow) -> Result<()> {
    sync.epoch += 1;
    sync.save(session).await
}

/// The sync of the lease, if that is still the newest; nobody else gets it before the transaction ends (S2). The lock lets
/// renewals pass, and makes whoever would take the lease over wait.
pub(super) async fn owned(session: &Session, held: &Lease) -> Result<SyncRow> {
    let sql = "SELECT syncs.id, name, syncs.epoch, generation, key_order, sum, leases.epoch \
               FROM syncs JOIN leases ON leases.sync = syncs.id AND leases.part = $2 \
               WHERE name = $1 FOR KEY SHARE OF leases";
    let row = session.row(READING, sql, &[&held.sync, &lease::part_of(held)]).await?;
    match row {
        Some(row) if row.get::<_, i64>(6) == held.epoch => SyncRow::read(&row),
        _ => Err(lease::lost(&held.sync, held.epoch)),
    }
}

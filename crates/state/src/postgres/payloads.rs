//! What was last sent of a row, field by field, for syncs that ask for it.

use std::collections::HashMap;

use flow::{Key, Result};
use tokio_postgres::Row;

use super::progress::key;
use super::session::{Params, Session};
use crate::checksum::verify;
use crate::payloads::sum;

const READING: &str = "reading what was sent";
const WRITING: &str = "writing what was sent";

fn read(sync: i64, row: &Row) -> Result<(Key, Vec<u8>)> {
    let (key, fields): (Key, Vec<u8>) = (key(row.get(0), "payloads")?, row.get(1));
    verify("payloads", row.get(2), sum(sync, key.as_str(), &fields))?;
    Ok((key, fields))
}

/// What is remembered of these rows, in this order.
pub(super) async fn of(session: &Session, sync: i64, keys: &[Key]) -> Result<Vec<Option<Vec<u8>>>> {
    let wanted: Vec<&[u8]> = keys.iter().map(|key| key.as_str().as_bytes()).collect();
    let sql = "SELECT found.* FROM unnest($2::bytea[]) AS wanted (key), LATERAL (SELECT key, fields, sum \
               FROM payloads WHERE sync = $1 AND payloads.key = wanted.key LIMIT 1) AS found";
    let rows = session.rows(READING, sql, &[&sync, &wanted]).await?;
    let found = rows.iter().map(|row| read(sync, row)).collect::<Result<HashMap<_, _>>>()?;
    Ok(keys.iter().map(|key| found.get(key).cloned()).collect())
}

/// The first rows after the key `after`, in the order of the text of their keys.
pub(super) async fn page(
    session: &Session,
    sync: i64,
    (after, rows_max): (Option<&Key>, usize),
) -> Result<Vec<(Key, Vec<u8>)>> {
    let sql =
        "SELECT key, fields, sum FROM payloads WHERE sync = $1 AND key > $2 ORDER BY key LIMIT $3";
    let after = after.map_or("", Key::as_str).as_bytes();
    let rows_max = i64::try_from(rows_max).unwrap_or(i64::MAX);
    let rows = session.rows(READING, sql, &[&sync, &after, &rows_max]).await?;
    rows.iter().map(|row| read(sync, row)).collect()
}

/// Remembers these rows, and forgets those.
pub(super) async fn put(
    session: &Session,
    sync: i64,
    (payloads, forgotten): (&[(Key, Vec<u8>)], &[Key]),
) -> Result<()> {
    if !payloads.is_empty() {
        let last: HashMap<&Key, &Vec<u8>> =
            payloads.iter().map(|(key, fields)| (key, fields)).collect();
        let rows: Vec<(&Key, &Vec<u8>)> = last.into_iter().collect();
        let keys: Vec<&[u8]> = rows.iter().map(|(key, _)| key.as_str().as_bytes()).collect();
        let fields: Vec<&[u8]> = rows.iter().map(|(_, fields)| fields.as_slice()).collect();
        let sums: Vec<i64> =
            rows.iter().map(|(key, fields)| sum(sync, key.as_str(), fields)).collect();
        let sql = "INSERT INTO payloads (sync, key, fields, sum) \
                   SELECT $1::bigint, new.* FROM unnest($2::bytea[], $3::bytea[], $4::bigint[]) AS new \
                   ON CONFLICT (sync, key) DO UPDATE SET fields = excluded.fields, sum = excluded.sum";
        let values: Params<'_> = &[&sync, &keys, &fields, &sums];
        session.execute(WRITING, sql, values).await?;
    }
    if forgotten.is_empty() {
        return Ok(());
    }
    let keys: Vec<&[u8]> = forgotten.iter().map(|key| key.as_str().as_bytes()).collect();
    let sql = "DELETE FROM payloads WHERE sync = $1 AND key = ANY ($2::bytea[])";
    session.execute(WRITING, sql, &[&sync, &keys]).await.map(drop)
}

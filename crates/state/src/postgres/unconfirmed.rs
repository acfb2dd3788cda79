//! Rows that a request nobody heard of may still change, and until when calls were left unheard (D4).

use std::collections::{BTreeMap, HashMap};

use flow::{Key, MatchHash, Result, Unconfirmed};
use tokio_postgres::Row;

use super::progress::key;
use super::session::{Params, Session};
use crate::checksum::{mismatch, verify};
use crate::unconfirmed::{sum, unheard_sum};

const READING: &str = "reading the unconfirmed rows";
const WRITING: &str = "writing the unconfirmed rows";

fn read(sync: i64, row: &Row) -> Result<Unconfirmed> {
    let hash = row.get::<_, &[u8]>(1).try_into().map_err(|_| mismatch("unconfirmed"))?;
    let unconfirmed = Unconfirmed {
        key: key(row.get(0), "unconfirmed")?,
        match_hash: MatchHash(u128::from_be_bytes(hash)),
        confirm_after: row.get(2),
    };
    verify("unconfirmed", row.get(3), sum(sync, &unconfirmed))?;
    Ok(unconfirmed)
}

/// Rows with these keys, and rows whose unheard requests use these match values; each once.
pub(super) async fn of(
    session: &Session,
    sync: i64,
    (keys, matches): (&[Key], &[MatchHash]),
) -> Result<Vec<Unconfirmed>> {
    let keys: Vec<&[u8]> = keys.iter().map(|key| key.as_str().as_bytes()).collect();
    let hashes: Vec<Vec<u8>> = matches.iter().map(|hash| hash.0.to_be_bytes().to_vec()).collect();
    let mut found = BTreeMap::new();
    for (column, wanted) in
        [("key", &keys), ("match_hash", &hashes.iter().map(Vec::as_slice).collect())]
    {
        if wanted.is_empty() {
            continue;
        }
        let sql = format!(
            "SELECT key, match_hash, confirm_after, sum FROM unconfirmed \
             WHERE sync = $1 AND {column} = ANY ($2::bytea[])"
        );
        for row in &session.rows(READING, &sql, &[&sync, wanted]).await? {
            let row = read(sync, row)?;
            found.insert((row.key.clone(), row.match_hash.0), row);
        }
    }
    Ok(found.into_values().collect())
}

/// The earliest rows that a write which begins `at` confirms: nothing else may change them later.
pub(super) async fn due(
    session: &Session,
    sync: i64,
    (at, rows_max): (i64, usize),
) -> Result<Vec<Unconfirmed>> {
    let sql = "SELECT key, match_hash, confirm_after, sum FROM unconfirmed \
               WHERE sync = $1 AND confirm_after <= $2 AND NOT EXISTS (SELECT 1 FROM unconfirmed later \
               WHERE later.sync = $1 AND later.key = unconfirmed.key AND later.confirm_after > $2) \
               ORDER BY confirm_after, key LIMIT $3";
    let rows_max = i64::try_from(rows_max).unwrap_or(i64::MAX);
    let rows = session.rows(READING, sql, &[&sync, &at, &rows_max]).await?;
    rows.iter().map(|row| read(sync, row)).collect()
}

/// How many rows wait.
pub(super) async fn count(session: &Session, sync: i64) -> Result<u64> {
    let sql = "SELECT count(DISTINCT key) FROM unconfirmed WHERE sync = $1";
    let row = session.row(READING, sql, &[&sync]).await?;
    Ok(row.map_or(0, |row| row.get::<_, i64>(0).cast_unsigned()))
}

/// Takes rows out, then puts rows in; a later time wins over an earlier one.
pub(super) async fn put(
    session: &Session,
    sync: i64,
    (confirmed, unconfirmed): (&[Key], &[Unconfirmed]),
) -> Result<()> {
    if !confirmed.is_empty() {
        let keys: Vec<&[u8]> = confirmed.iter().map(|key| key.as_str().as_bytes()).collect();
        let sql = "DELETE FROM unconfirmed WHERE sync = $1 AND key = ANY ($2::bytea[])";
        session.execute(WRITING, sql, &[&sync, &keys]).await?;
    }
    if unconfirmed.is_empty() {
        return Ok(());
    }
    let mut latest: HashMap<(&Key, u128), &Unconfirmed> = HashMap::new();
    for row in unconfirmed {
        let known = latest.entry((&row.key, row.match_hash.0)).or_insert(row);
        if known.confirm_after < row.confirm_after {
            *known = row;
        }
    }
    let rows: Vec<&Unconfirmed> = latest.into_values().collect();
    let keys: Vec<&[u8]> = rows.iter().map(|row| row.key.as_str().as_bytes()).collect();
    let hashes: Vec<_> = rows.iter().map(|row| row.match_hash.0.to_be_bytes().to_vec()).collect();
    let after: Vec<i64> = rows.iter().map(|row| row.confirm_after).collect();
    let sums: Vec<i64> = rows.iter().map(|row| sum(sync, row)).collect();
    let sql = "INSERT INTO unconfirmed (sync, key, match_hash, confirm_after, sum) \
               SELECT $1::bigint, new.* FROM unnest($2::bytea[], $3::bytea[], $4::bigint[], $5::bigint[]) AS new \
               ON CONFLICT (sync, key, match_hash) DO UPDATE \
               SET confirm_after = excluded.confirm_after, sum = excluded.sum \
               WHERE excluded.confirm_after > unconfirmed.confirm_after";
    let values: Params<'_> = &[&sync, &keys, &hashes, &after, &sums];
    session.execute(WRITING, sql, values).await.map(drop)
}

/// Until when calls of the sync were left unheard.
pub(super) async fn unheard(session: &Session, sync: i64) -> Result<Option<i64>> {
    let sql = "SELECT at, sum FROM unheard WHERE sync = $1";
    let Some(row) = session.row(READING, sql, &[&sync]).await? else { return Ok(None) };
    verify("unheard", row.get(1), unheard_sum(sync, row.get(0)))?;
    Ok(Some(row.get(0)))
}

/// Calls were left unheard until `at`.
pub(super) async fn put_unheard(session: &Session, sync: i64, at: i64) -> Result<()> {
    // Shards of one sync may say so at once; the later time stays.
    let sql = "INSERT INTO unheard (sync, at, sum) VALUES ($1, $2, $3) ON CONFLICT (sync) \
               DO UPDATE SET at = excluded.at, sum = excluded.sum WHERE excluded.at > unheard.at";
    session.execute(WRITING, sql, &[&sync, &at, &unheard_sum(sync, at)]).await.map(drop)
}

/// Forgets which rows they are. What comes next is sent as if its calls had been left unheard until the last of them.
pub(super) async fn forget(session: &Session, sync: i64) -> Result<()> {
    let sql = "SELECT max(confirm_after) FROM unconfirmed WHERE sync = $1";
    let row = session.row(READING, sql, &[&sync]).await?;
    if let Some(at) = row.and_then(|row| row.get::<_, Option<i64>>(0)) {
        put_unheard(session, sync, at).await?;
    }
    let sql = "DELETE FROM unconfirmed WHERE sync = $1";
    session.execute(WRITING, sql, &[&sync]).await.map(drop)
}

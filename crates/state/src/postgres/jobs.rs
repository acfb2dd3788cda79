//! Jobs whose end nobody has seen: their intent before anything is sent, their id before any row is (D7).

use flow::{Error, Fingerprint, JobRow, MatchHash, Result, StoredJob};
use tokio_postgres::Row;

use super::progress::key;
use super::session::{Params, Session};
use crate::checksum::{Checksum, mismatch, verify};
use crate::codes;
use crate::jobs::{Head, row_sum};

const READING: &str = "reading the open jobs";
const WRITING: &str = "writing down a job";

/// Writes down a job and its rows.
pub(super) async fn put(
    session: &Session,
    (sync, part): (i64, i32),
    job: &StoredJob,
) -> Result<()> {
    put_head(session, (sync, part), &Head::of(job)).await?;
    let name = job.open.key.as_str();
    let numbers: Vec<i64> = (0..).take(job.rows.len()).collect();
    let rows = || job.rows.iter();
    let keys: Vec<&[u8]> = rows().map(|row| row.key.as_str().as_bytes()).collect();
    let prints: Vec<_> = rows().map(|row| row.fingerprint.0.to_be_bytes().to_vec()).collect();
    let hashes: Vec<_> = rows().map(|row| row.match_hash.0.to_be_bytes().to_vec()).collect();
    let tokens: Vec<&[u8]> = job.open.tokens.iter().map(String::as_bytes).collect();
    let changed: Vec<_> = rows().map(|row| row.changed_at).collect();
    let after: Vec<_> = rows().map(|row| row.confirm_after).collect();
    let mut checksum = Checksum::default();
    let sums: Vec<i64> = numbers
        .iter()
        .zip(rows().zip(&job.open.tokens))
        .map(|(number, (row, token))| row_sum(&mut checksum, (sync, name), (*number, row, token)))
        .collect();
    let sql = "INSERT INTO job_rows (sync, job, number, key, fingerprint, match_hash, token, changed_at, \
               confirm_after, sum) SELECT $1::bigint, $2::text, new.* FROM unnest($3::bigint[], $4::bytea[], $5::bytea[], \
               $6::bytea[], $7::bytea[], $8::bigint[], $9::bigint[], $10::bigint[]) AS new";
    let values: Params<'_> =
        &[&sync, &name, &numbers, &keys, &prints, &hashes, &tokens, &changed, &after, &sums];
    session.execute(WRITING, sql, values).await.map(drop)
}

async fn put_head(session: &Session, (sync, part): (i64, i32), head: &Head) -> Result<()> {
    let sql = "INSERT INTO jobs (sync, key, part, remote_id, object, mode, match_on, by_id, row_count, \
               intended_at, sum) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) \
               ON CONFLICT (sync, key) DO UPDATE SET remote_id = excluded.remote_id, sum = excluded.sum";
    let remote_id = head.remote_id.as_deref().map(str::as_bytes);
    let sum = head.sum(sync);
    let values: Params<'_> = &[
        &sync,
        &head.key,
        &part,
        &remote_id,
        &head.object,
        &head.mode,
        &head.match_on,
        &head.by_id,
        &head.rows,
        &head.intended_at,
        &sum,
    ];
    session.execute(WRITING, sql, values).await.map(drop)
}

fn read(sync: i64, row: &Row) -> Result<Head> {
    let remote_id = row.get::<_, Option<Vec<u8>>>(1).map(String::from_utf8).transpose();
    let head = Head {
        key: row.get(0),
        remote_id: remote_id.map_err(|_| mismatch("jobs"))?,
        object: row.get(2),
        mode: row.get(3),
        match_on: row.get(4),
        by_id: row.get(5),
        rows: row.get(6),
        intended_at: row.get(7),
        sum: row.get(8),
    };
    verify("jobs", head.sum, head.sum(sync))?;
    Ok(head)
}

async fn heads(session: &Session, sync: i64) -> Result<Vec<(Head, i32)>> {
    let sql = "SELECT key, remote_id, object, mode, match_on, by_id, row_count, intended_at, sum, part \
               FROM jobs WHERE sync = $1 ORDER BY intended_at, key";
    let rows = session.rows(READING, sql, &[&sync]).await?;
    rows.iter().map(|row| Ok((read(sync, row)?, row.get(9)))).collect()
}

/// Writes down under which id the destination has the job.
pub(super) async fn created(
    session: &Session,
    (sync, part): (i64, i32),
    (job, remote_id): (&str, &str),
) -> Result<()> {
    let head = heads(session, sync).await?.into_iter().find(|(head, _)| head.key == job);
    let Some((mut head, _)) = head else {
        let text = format!("Job {job} was not written down in this state.");
        return Err(Error::new(&codes::E3030_NO_SUCH_JOB, text));
    };
    head.remote_id = Some(remote_id.to_owned());
    put_head(session, (sync, part), &head).await
}

/// The open jobs of the sync, or of one shard, with their rows, in the order of their intents.
pub(super) async fn all(session: &Session, sync: i64, only: Option<i32>) -> Result<Vec<StoredJob>> {
    let mut jobs = Vec::new();
    for (head, part) in heads(session, sync).await? {
        if only.is_some_and(|only| only != part) {
            continue;
        }
        jobs.push(with_rows(session, sync, head).await?);
    }
    Ok(jobs)
}

/// How many there are.
pub(super) async fn count(session: &Session, sync: i64) -> Result<u64> {
    Ok(heads(session, sync).await?.len() as u64)
}

async fn with_rows(session: &Session, sync: i64, head: Head) -> Result<StoredJob> {
    let wrong = || mismatch("job_rows");
    let number = |bytes: &[u8]| bytes.try_into().map(u128::from_be_bytes).map_err(|_| wrong());
    let sql = "SELECT key, fingerprint, match_hash, token, changed_at, confirm_after, sum FROM job_rows \
               WHERE sync = $1 AND job = $2 ORDER BY number";
    let found = session.rows(READING, sql, &[&sync, &head.key]).await?;
    if i64::try_from(found.len()) != Ok(head.rows) {
        return Err(wrong());
    }
    let mut checksum = Checksum::default();
    let (mut rows, mut tokens) = (Vec::new(), Vec::new());
    for (at, row) in (0_i64..).zip(&found) {
        let stored = JobRow {
            key: key(row.get(0), "job_rows")?,
            fingerprint: Fingerprint(number(row.get(1))?),
            match_hash: MatchHash(number(row.get(2))?),
            changed_at: row.get(4),
            confirm_after: row.get(5),
        };
        let token = String::from_utf8(row.get(3)).map_err(|_| wrong())?;
        let sum = row_sum(&mut checksum, (sync, &head.key), (at, &stored, &token));
        verify("job_rows", row.get(6), sum)?;
        rows.push(stored);
        tokens.push(token);
    }
    head.job(rows, tokens)
}

/// Forgets these jobs; they have ended.
pub(super) async fn forget(session: &Session, sync: i64, jobs: &[String]) -> Result<()> {
    if jobs.is_empty() {
        return Ok(());
    }
    for sql in [
        "DELETE FROM job_rows WHERE sync = $1 AND job = ANY ($2)",
        "DELETE FROM jobs WHERE sync = $1 AND key = ANY ($2)",
    ] {
        session.execute(WRITING, sql, &[&sync, &jobs]).await?;
    }
    Ok(())
}

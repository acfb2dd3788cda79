//! Jobs whose end nobody has seen: their intent before anything is sent, their id before any row is (D7).

use std::sync::Arc;

use flow::{Error, Fingerprint, JobRow, Key, MatchHash, Mode, OpenJob, Result, StoredJob};
use rusqlite::{Connection, Row, Transaction, params};

use crate::checksum::{Checksum, mismatch, verify};
use crate::codes;
use crate::fault::While;

const JOBS: u8 = 7;
const ROWS: u8 = 8;
const READING: &str = "reading the open jobs";
const WRITING: &str = "writing down a job";
/// Separates the fields of a stored `match_on`; it is in no name.
const SEPARATOR: char = '\u{1f}';
const MODES: [Mode; 6] =
    [Mode::Upsert, Mode::Update, Mode::Create, Mode::Mirror, Mode::Append, Mode::Delete];

/// One stored job without its rows.
pub(crate) struct Head {
    pub(crate) key: String,
    pub(crate) remote_id: Option<String>,
    pub(crate) object: String,
    pub(crate) mode: String,
    pub(crate) match_on: String,
    pub(crate) by_id: bool,
    pub(crate) rows: i64,
    pub(crate) intended_at: i64,
    pub(crate) sum: i64,
}

impl Head {
    pub(crate) fn of(job: &StoredJob) -> Self {
        let StoredJob { open, by_id, rows } = job;
        Self {
            key: open.key.clone(),
            remote_id: open.remote_id.clone(),
            object: open.object.to_string(),
            mode: open.mode.as_str().to_owned(),
            match_on: open.match_on.join(&SEPARATOR.to_string()),
            by_id: *by_id,
            rows: i64::try_from(rows.len()).expect("a job has few rows"),
            intended_at: open.intended_at,
            sum: 0,
        }
    }

    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            key: row.get(0)?,
            remote_id: row.get(1)?,
            object: row.get(2)?,
            mode: row.get(3)?,
            match_on: row.get(4)?,
            by_id: row.get(5)?,
            rows: row.get(6)?,
            intended_at: row.get(7)?,
            sum: row.get(8)?,
        })
    }

    pub(crate) fn sum(&self, sync: i64) -> i64 {
        Checksum::default()
            .begin(JOBS)
            .int(sync)
            .bytes(self.key.as_bytes())
            .maybe_bytes(self.remote_id.as_deref().map(str::as_bytes))
            .bytes(self.object.as_bytes())
            .bytes(self.mode.as_bytes())
            .bytes(self.match_on.as_bytes())
            .int(i64::from(self.by_id))
            .int(self.rows)
            .int(self.intended_at)
            .sum()
    }

    /// The job with these rows.
    pub(crate) fn job(self, rows: Vec<JobRow>, tokens: Vec<String>) -> Result<StoredJob> {
        let mode = MODES.into_iter().find(|mode| mode.as_str() == self.mode);
        let open = OpenJob {
            mode: mode.ok_or_else(|| mismatch("jobs"))?,
            key: self.key,
            remote_id: self.remote_id,
            object: self.object.into(),
            match_on: self.match_on.split(SEPARATOR).map(str::to_owned).collect::<Arc<[String]>>(),
            tokens,
            intended_at: self.intended_at,
        };
        Ok(StoredJob { open, by_id: self.by_id, rows })
    }
}

/// The checksum of a job's row.
pub(crate) fn row_sum(
    checksum: &mut Checksum,
    (sync, job): (i64, &str),
    at: (i64, &JobRow, &str),
) -> i64 {
    let (number, row, token) = at;
    checksum
        .begin(ROWS)
        .int(sync)
        .bytes(job.as_bytes())
        .int(number)
        .bytes(row.key.as_str().as_bytes())
        .bytes(&row.fingerprint.0.to_be_bytes())
        .bytes(&row.match_hash.0.to_be_bytes())
        .bytes(token.as_bytes())
        .maybe_int(row.changed_at)
        .maybe_int(row.confirm_after)
        .sum()
}

/// Writes down a job and its rows.
pub(crate) fn put(transaction: &Transaction<'_>, sync: i64, job: &StoredJob) -> Result<()> {
    put_head(transaction, sync, &Head::of(job))?;
    let mut insert = transaction
        .prepare_cached(
            "INSERT INTO job_rows \
             (sync, job, number, key, fingerprint, match_hash, token, changed_at, confirm_after, sum) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )
        .during(WRITING)?;
    let mut checksum = Checksum::default();
    let name = job.open.key.as_str();
    for (number, (row, token)) in (0_i64..).zip(job.rows.iter().zip(&job.open.tokens)) {
        insert
            .execute(params![
                sync,
                name,
                number,
                row.key.as_str(),
                row.fingerprint.0.to_be_bytes(),
                row.match_hash.0.to_be_bytes(),
                token,
                row.changed_at,
                row.confirm_after,
                row_sum(&mut checksum, (sync, name), (number, row, token))
            ])
            .during(WRITING)?;
    }
    Ok(())
}

fn put_head(transaction: &Transaction<'_>, sync: i64, head: &Head) -> Result<()> {
    transaction
        .prepare_cached(
            "INSERT OR REPLACE INTO jobs \
             (sync, key, remote_id, object, mode, match_on, by_id, row_count, intended_at, sum) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )
        .and_then(|mut statement| {
            statement.execute(params![
                sync,
                head.key,
                head.remote_id,
                head.object,
                head.mode,
                head.match_on,
                head.by_id,
                head.rows,
                head.intended_at,
                head.sum(sync)
            ])
        })
        .map(|_| ())
        .during(WRITING)
}

fn heads(connection: &Connection, sync: i64) -> Result<Vec<Head>> {
    let mut statement = connection
        .prepare_cached(
            "SELECT key, remote_id, object, mode, match_on, by_id, row_count, intended_at, sum \
             FROM jobs WHERE sync = ?1 ORDER BY intended_at, key",
        )
        .during(READING)?;
    let heads: Vec<Head> =
        statement.query_map([sync], Head::read).and_then(Iterator::collect).during(READING)?;
    for head in &heads {
        verify("jobs", head.sum, head.sum(sync))?;
    }
    Ok(heads)
}

/// Writes down under which id the destination has the job.
pub(crate) fn created(
    transaction: &Transaction<'_>,
    sync: i64,
    (job, remote_id): (&str, &str),
) -> Result<()> {
    let head = heads(transaction, sync)?.into_iter().find(|head| head.key == job);
    let Some(head) = head else {
        return Err(Error::new(&codes::E3030_NO_SUCH_JOB, format!("There is no open job {job}.")));
    };
    put_head(transaction, sync, &Head { remote_id: Some(remote_id.to_owned()), ..head })
}

/// All open jobs of the sync with their rows, in the order of their intents.
pub(crate) fn all(connection: &Connection, sync: i64) -> Result<Vec<StoredJob>> {
    heads(connection, sync)?.into_iter().map(|head| with_rows(connection, sync, head)).collect()
}

/// How many there are.
pub(crate) fn count(connection: &Connection, sync: i64) -> Result<u64> {
    Ok(heads(connection, sync)?.len() as u64)
}

fn with_rows(connection: &Connection, sync: i64, head: Head) -> Result<StoredJob> {
    let mut statement = connection
        .prepare_cached(
            "SELECT key, fingerprint, match_hash, changed_at, token, sum, confirm_after FROM job_rows \
             WHERE sync = ?1 AND job = ?2 ORDER BY number",
        )
        .during(READING)?;
    let read = |row: &Row<'_>| {
        let (fingerprint, match_hash): ([u8; 16], [u8; 16]) = (row.get(1)?, row.get(2)?);
        let stored = JobRow {
            key: Key::from_stored(row.get::<_, String>(0)?),
            fingerprint: Fingerprint(u128::from_be_bytes(fingerprint)),
            match_hash: MatchHash(u128::from_be_bytes(match_hash)),
            changed_at: row.get(3)?,
            confirm_after: row.get(6)?,
        };
        Ok((stored, row.get::<_, String>(4)?, row.get::<_, i64>(5)?))
    };
    let found: Vec<_> = statement
        .query_map(params![sync, head.key], read)
        .and_then(Iterator::collect)
        .during(READING)?;
    if i64::try_from(found.len()) != Ok(head.rows) {
        return Err(mismatch("job_rows"));
    }
    let mut checksum = Checksum::default();
    let (mut rows, mut tokens) = (Vec::new(), Vec::new());
    for (number, (row, token, sum)) in (0_i64..).zip(found) {
        let expected = row_sum(&mut checksum, (sync, &head.key), (number, &row, &token));
        verify("job_rows", sum, expected)?;
        rows.push(row);
        tokens.push(token);
    }
    head.job(rows, tokens)
}

/// Forgets these jobs; they have ended.
pub(crate) fn forget(transaction: &Transaction<'_>, sync: i64, jobs: &[String]) -> Result<()> {
    for job in jobs {
        for sql in [
            "DELETE FROM job_rows WHERE sync = ?1 AND job = ?2",
            "DELETE FROM jobs WHERE sync = ?1 AND key = ?2",
        ] {
            transaction
                .prepare_cached(sql)
                .and_then(|mut statement| statement.execute(params![sync, job]))
                .during(WRITING)?;
        }
    }
    Ok(())
}

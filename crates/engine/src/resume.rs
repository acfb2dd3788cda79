//! Resuming: a run begins with the jobs that an earlier one left open, so that no later version of a row overtakes them
//! (D3, D7).

use flow::{Error, Kind, Result, StoredJob};

use crate::Watch;
use crate::batch::Row;
use crate::conductor::Conductor;
use crate::doubt::Doubts;

/// A range that no read has: rows of earlier runs move no progress.
const NO_RANGE: u64 = u64::MAX;

impl Conductor<'_> {
    /// Asks for the open jobs, one after the other, and books what became of their rows. A job whose end nobody can tell
    /// now ends the run.
    pub(crate) async fn resume_jobs(&mut self, watch: &dyn Watch) -> Result<()> {
        let jobs = self.ports.store.own_jobs(self.lease).await?;
        for job in jobs {
            if !self.may_go_on() {
                break;
            }
            if let Err(error) = self.resume_job(job).await {
                if error.kind() == Kind::Lease {
                    return Err(error);
                }
                self.fail(error);
            }
            watch.progress(&self.progress());
        }
        Ok(())
    }

    async fn resume_job(&mut self, job: StoredJob) -> Result<()> {
        let rows = self.rows_of(&job).await?;
        let asked = self.caller.resume_open(job, rows);
        let mut delivery = tokio::select! {
            biased;
            () = self.options.stop.abort.cancelled() => return Err(aborted()),
            delivery = asked => delivery,
        };
        let error = delivery.error.take();
        let before = self.settler.total().rejected;
        // Rows without a final outcome are counted when they are read again.
        self.read += delivery.settled.len() as u64;
        self.settler.delivered(delivery);
        self.commit().await?;
        match error {
            Some(error) => Err(error),
            None => self.stop_on_reject(self.settler.total().rejected - before),
        }
    }

    /// The job's rows as they were when it was sent, with what the ledger and the state say of them.
    async fn rows_of(&self, job: &StoredJob) -> Result<Vec<Row>> {
        let (store, sync) = (&self.ports.store, &self.sync.name);
        let keys: Vec<_> = job.rows.iter().map(|row| row.key.clone()).collect();
        let entries = store.lookup(sync, &keys).await?;
        let doubts = Doubts::new(store.unconfirmed(sync, &keys, &[]).await?, None);
        let row = |(row, entry): (&flow::JobRow, _)| {
            let mut doubt = doubts.of(&row.key, row.match_hash, true);
            doubt.begin(job.open.intended_at);
            if let Some(until) = row.confirm_after {
                doubt.may_be_found(until);
            }
            Row {
                range: NO_RANGE,
                key: row.key.clone(),
                match_hash: row.match_hash,
                fingerprint: row.fingerprint,
                prior: Option::unwrap_or_default(entry),
                changed_at: row.changed_at,
                doubt,
                payload: None,
                record_id: None,
            }
        };
        Ok(job.rows.iter().zip(entries).map(row).collect())
    }
}

fn aborted() -> Error {
    Error::new(&crate::codes::E4004, "the run was aborted by a second signal")
}

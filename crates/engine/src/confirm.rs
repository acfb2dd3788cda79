//! Confirming: rows whose record a request nobody heard of may have changed are read by key as they are now and sent once
//! more, after the time in which that request could still be carried out (D4).

use std::collections::HashSet;
use std::time::Duration;

use flow::{Key, Kind, Result, Unconfirmed};

use crate::Watch;
use crate::conductor::Conductor;
use crate::diff::Resend;
use crate::request::pages_of_keys;
use crate::run::Rows;

/// Rows that are confirmed at a time.
const ROWS_PER_PAGE: usize = 1000;

impl Conductor<'_> {
    /// Asks the state what earlier runs left in doubt.
    pub(crate) async fn remember_doubts(&mut self) -> Result<()> {
        let (store, sync) = (&self.ports.store, &self.sync.name);
        let apply_max = self.prepared.limits.apply_max;
        let apply_max = i64::try_from(apply_max.as_micros()).unwrap_or(i64::MAX);
        let unheard_until = store.unheard_at(sync).await?.map(|at| at.saturating_add(apply_max));
        let now = self.ports.clock.now_micros();
        self.unheard_until = unheard_until.filter(|until| *until > now);
        self.had_unconfirmed = store.unconfirmed_rows(sync).await? > 0;
        Ok(())
    }

    /// Whether it is worth asking the state for unconfirmed rows.
    pub(crate) fn may_be_unconfirmed(&self) -> bool {
        self.had_unconfirmed || self.settler.has_unconfirmed()
    }

    /// Sends unconfirmed rows whose time comes within `patience`.
    pub(crate) async fn confirm(&mut self, patience: Duration, watch: &dyn Watch) -> Result<()> {
        let mut confirmed = HashSet::new();
        while self.may_be_unconfirmed() && self.may_go_on() {
            let due = match self.commit().await {
                Ok(()) => self.due(patience).await,
                Err(error) => Err(error),
            };
            let mut rows = match due {
                Ok(rows) => rows,
                Err(error) if error.kind() == Kind::Lease => return Err(error),
                Err(error) => {
                    self.fail(error);
                    break;
                }
            };
            // What could not be confirmed for good is left to the next run.
            rows.retain(|row| confirmed.insert((row.key.clone(), row.match_hash)));
            let keys = rows.iter().map(|row| row.key.clone()).collect();
            if rows.is_empty()
                || !self.wait_for(&rows).await
                || !self.send_again(keys, watch).await?
            {
                break;
            }
        }
        Ok(())
    }

    /// The earliest unconfirmed rows whose time comes within `patience`.
    async fn due(&self, patience: Duration) -> Result<Vec<Unconfirmed>> {
        let patience = i64::try_from(patience.as_micros()).unwrap_or(i64::MAX);
        let at = self.ports.clock.now_micros().saturating_add(patience);
        self.ports.store.to_confirm(&self.sync.name, at, ROWS_PER_PAGE).await
    }

    /// Waits until all of them can be confirmed; `false` when the run is told to stop.
    async fn wait_for(&self, rows: &[Unconfirmed]) -> bool {
        let last = rows.iter().map(|row| row.confirm_after).max().unwrap_or_default();
        let wait = u64::try_from(last - self.ports.clock.now_micros()).unwrap_or(0);
        tokio::select! {
            biased;
            () = self.options.stop.drain.cancelled() => false,
            () = tokio::time::sleep(Duration::from_micros(wait)) => true,
        }
    }

    /// Sends the rows with these keys as they are now, and says whether the run goes on.
    async fn send_again(&mut self, keys: Vec<Key>, watch: &dyn Watch) -> Result<bool> {
        let resend = std::mem::replace(&mut self.resend, Resend::Everything);
        let mut left = Some(keys.clone());
        self.confirming = true;
        let pages = pages_of_keys(self.sync, keys, None);
        let led = self.lead(Rows::Read(pages), &mut left, watch).await;
        self.confirming = false;
        self.resend = resend;
        let complete = led?;
        if complete && let Err(error) = self.give_up(left.unwrap_or_default()).await {
            self.fail(error);
            return Ok(false);
        }
        Ok(complete)
    }

    /// Rows that are not in the model now: there is nothing to confirm them with, and nothing of them counts as
    /// acknowledged, should they come back.
    async fn give_up(&mut self, keys: Vec<Key>) -> Result<()> {
        let entries = self.ports.store.lookup(&self.sync.name, &keys).await?;
        for (key, entry) in keys.into_iter().zip(entries) {
            self.settler.forget_acknowledged(key, entry);
        }
        self.commit().await
    }
}

//! Rejects that a run tries again by itself. A refused row waits until it, its mapping or the destination's fields change;
//! but where the cause was neither the row nor the mapping, only trying shows that it is gone.

use flow::{Key, Kind, Result, Target};
use transform::codes::{R119_NOT_FOUND, R120_AMBIGUOUS};

use crate::conductor::Conductor;
use crate::diff::Resend;
use crate::request::pages_of_keys;
use crate::run::Rows;
use crate::target::schema_name;
use crate::{Watch, codes};

/// Rows that are tried again in one run.
const ROWS_MAX: usize = 100_000;

impl Conductor<'_> {
    /// Reads rows again that earlier runs refused and this one has not seen: those that something else than the row kept
    /// from landing, and, where the destination's fields have changed since, all of them.
    pub(crate) async fn try_again(&mut self, watch: &dyn Watch) -> Result<()> {
        match self.tried_again(watch).await {
            Err(error) if error.kind() != Kind::Lease => self.fail(error),
            tried => return tried,
        }
        Ok(())
    }

    async fn tried_again(&mut self, watch: &dyn Watch) -> Result<()> {
        if !self.prepared.tries_again || !self.may_go_on() {
            return Ok(());
        }
        // What this run has refused is known to the state then, and is not refused twice.
        self.commit().await?;
        let keys = self.to_try_again().await?;
        let all = keys.len() < ROWS_MAX;
        if !keys.is_empty() {
            let mut left = Some(keys.clone());
            let pages = pages_of_keys(self.sync, keys, None);
            if !self.lead(Rows::Read(pages), &mut left, watch).await? {
                return Ok(());
            }
            self.forget_gone(left.unwrap_or_default()).await?;
        }
        match all && self.resend == Resend::Refused && self.may_go_on() {
            true => self.remember_fields().await,
            false => Ok(()),
        }
    }

    async fn to_try_again(&self) -> Result<Vec<Key>> {
        let (store, sync) = (&self.ports.store, &self.sync.name);
        let passing = [codes::R402.id, R119_NOT_FOUND.id, R120_AMBIGUOUS.id];
        let wanted = (self.resend == Resend::Nothing).then_some(passing.as_slice());
        store.rejected_keys(sync, wanted, (&self.meta.id, ROWS_MAX)).await
    }

    /// Every row that was refused has been tried with the fields as they are now.
    async fn remember_fields(&mut self) -> Result<()> {
        self.commit().await?;
        let (store, sync) = (&self.ports.store, &self.sync.name);
        let Some(target) = store.target(sync).await? else { return Ok(()) };
        let schema = Some(schema_name(&self.prepared.object));
        store.put_target(self.lease, &Target { schema, ..target }).await
    }
}

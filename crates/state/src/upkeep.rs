//! Keeps a ledger in good shape beside the run: changes that fill their memory become a file, and files become one.

use flow::{KeyOrder, Lease, Result};

use crate::ledger::Ledgers;
use crate::sqlite::Sqlite;

impl Sqlite {
    /// Names what was finished, and begins a new file when changes fill their memory. Waits for the disk only when the
    /// file before is not finished by then.
    pub(crate) async fn keep_ledger_small(&self, lease: &Lease) -> Result<()> {
        self.name_finished(lease, false).await?;
        let ledgers = self.ledgers.clone();
        let full = self
            .read(&lease.sync, move |connection, sync| ledgers.is_full(connection, sync))
            .await?;
        if full != Some(true) {
            return Ok(());
        }
        self.name_finished(lease, true).await?;
        let ledgers = self.ledgers.clone();
        let fold =
            self.read(&lease.sync, move |connection, sync| ledgers.fold(connection, sync)).await?;
        if let Some(fold) = fold {
            self.ledgers.begin(&lease.sync, fold);
        }
        Ok(())
    }

    /// Names the file that was made beside the run, when it is finished; with `wait`, once it is.
    async fn name_finished(&self, lease: &Lease, wait: bool) -> Result<()> {
        let Some(folded) = self.ledgers.finished(&lease.sync, wait).await? else { return Ok(()) };
        let made = folded.clone();
        let named = self
            .write(lease, move |transaction, sync| Ledgers::name(transaction, sync, &made))
            .await?;
        if named {
            self.ledgers.remove_own(&folded, lease.epoch);
        }
        Ok(())
    }

    /// Brings the ledger into another order, once; an empty one is simply told.
    pub(crate) async fn reorder_ledger(&self, lease: &Lease, order: &KeyOrder) -> Result<()> {
        self.name_finished(lease, true).await?;
        let (ledgers, wanted) = (self.ledgers.clone(), order.clone());
        let ordered = self
            .write(lease, move |transaction, sync| ledgers.order(transaction, sync, &wanted))
            .await?;
        if ordered {
            return Ok(());
        }
        let (ledgers, wanted) = (self.ledgers.clone(), order.clone());
        let fold = self
            .read(&lease.sync, move |connection, sync| ledgers.reorder(connection, sync, &wanted))
            .await?;
        if let Some(fold) = fold {
            self.ledgers.begin(&lease.sync, fold);
        }
        self.name_finished(lease, true).await
    }

    /// Leaves the ledger of a run that has ended in the shape that is best for the next one. Whatever goes wrong here, the
    /// ledger is as complete as before.
    pub(crate) async fn tidy_ledger(&self, lease: &Lease) {
        if let Err(error) = self.try_tidy_ledger(lease).await {
            tracing::warn!(code = error.code().id, "the ledger stays in pieces: {error}");
        }
    }

    async fn try_tidy_ledger(&self, lease: &Lease) -> Result<()> {
        self.name_finished(lease, true).await?;
        let ledgers = self.ledgers.clone();
        let fold = self
            .read(&lease.sync, move |connection, sync| ledgers.fold_at_end(connection, sync))
            .await?;
        let Some(fold) = fold.flatten() else { return Ok(()) };
        self.ledgers.begin(&lease.sync, fold);
        self.name_finished(lease, true).await
    }
}

//! Holding a mirror's calls back until its read has ended: only then is it known how many rows left the model, and a run
//! that would remove too many is stopped before its first request (D8).

use flow::{Key, Result, Scope};

use crate::batch::{Call, Row};
use crate::conductor::Conductor;
use crate::request::Page;

/// Calls that wait have so many bytes at most: where more changes, they are sent while the read goes on, and removals
/// alone are refused after it.
const HELD_BYTES_MAX: u64 = 16 << 20;

/// Calls that wait for the end of the read.
#[derive(Debug, Default)]
pub(crate) struct Hold {
    /// Nothing is sent.
    pub(crate) on: bool,
    /// Rows in the calls, to be dirty before the first of them goes out.
    keys: Vec<Key>,
    /// What was noticed of rows that left the model, see [`Conductor::notice_gone`].
    pub(crate) noticed: Option<Option<bool>>,
}

impl Conductor<'_> {
    /// Begins, where records are known and the read may say that some of their rows left.
    pub(crate) async fn hold(&mut self, pages: &[Page]) -> Result<()> {
        let Some(removed) = &self.sync.removed else { return Ok(()) };
        let everything = pages.iter().any(|page| matches!(page.request.scope, Scope::All));
        let may_remove = removed.action.needs().is_some() && removed.limit.share < 1.0;
        if may_remove && (everything || self.says_who_left()) {
            self.hold.on = self.ports.store.known_rows(&self.sync.name).await? > 0;
        }
        Ok(())
    }

    /// Marks rows that are going to be sent as dirty, durably; those that are held back when they go.
    pub(crate) async fn mark_dirty(&mut self, rows: &[Row]) -> Result<()> {
        let acknowledged = rows.iter().filter(|row| row.prior.acknowledged.is_some());
        let keys: Vec<Key> = acknowledged.map(|row| row.key.clone()).collect();
        if self.hold.on {
            self.hold.keys.extend(keys);
            return Ok(());
        }
        self.forget_acknowledged(&keys).await
    }

    async fn forget_acknowledged(&self, keys: &[Key]) -> Result<()> {
        if keys.is_empty() { Ok(()) } else { self.ports.store.mark_dirty(self.lease, keys).await }
    }

    /// Lets calls go where more of them wait than may.
    pub(crate) async fn let_go_when_full(&mut self) -> Result<()> {
        let held = || self.ready.iter().map(Call::bytes).sum::<u64>();
        if self.hold.on && held() > HELD_BYTES_MAX { self.let_go().await } else { Ok(()) }
    }

    /// Lets all calls go.
    pub(crate) async fn let_go(&mut self) -> Result<()> {
        if !std::mem::take(&mut self.hold.on) {
            return Ok(());
        }
        let keys = std::mem::take(&mut self.hold.keys);
        self.forget_acknowledged(&keys).await
    }

    /// The last rows make calls; who left is counted, and where these are not too many, all calls go.
    pub(crate) async fn end_of_read(&mut self) -> Result<()> {
        self.flush()?;
        if self.hold.on {
            self.read_ended();
            self.hold.noticed = Some(self.notice_gone().await?);
        }
        self.let_go().await
    }
}

//! Waits until what the log tells is what a snapshot shows.
//!
//! A transaction is in the log as soon as its commit record is flushed, and becomes visible a little later; where
//! commits wait for a synchronous standby, much later. A row that is read in between is the old one, and after the slot
//! has moved on nobody would read it again.

use std::collections::HashSet;
use std::time::Duration;

use flow::{Error, Result, Retry};
use tokio::time::Instant;

use super::super::session::Session;
use crate::codes;

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(10);
/// Transactions kept before those that are visible by now are forgotten.
const KEPT_MAX: usize = 10_000;

/// Transactions whose changes were read from the log.
#[derive(Debug, Default)]
pub(super) struct Seen {
    xids: HashSet<u32>,
}

impl Seen {
    pub(super) fn add(&mut self, xid: u32) {
        self.xids.insert(xid);
    }

    pub(super) fn are_many(&self) -> bool {
        self.xids.len() > KEPT_MAX
    }

    /// Returns when every transaction is visible to the next statement of `session`, which has no snapshot of its own.
    ///
    /// # Errors
    /// `E1036` when one stays invisible.
    pub(super) async fn are_visible(
        &mut self,
        session: &mut Session,
        limit: Duration,
    ) -> Result<()> {
        let until = Instant::now() + limit;
        loop {
            if self.xids.is_empty() {
                return Ok(());
            }
            let snapshot = Snapshot::of(session).await?;
            self.xids.retain(|xid| !snapshot.shows(*xid));
            if self.xids.is_empty() {
                return Ok(());
            }
            if Instant::now() >= until {
                return Err(Error::new(
                    &codes::E1036_NOT_VISIBLE,
                    format!("{} transactions of the log are not visible yet", self.xids.len()),
                )
                .with_retry(Retry::Backoff));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// A snapshot as the server writes it: `xmin:xmax:xid,xid`.
struct Snapshot {
    xmin: u64,
    xmax: u64,
    under_way: HashSet<u64>,
}

impl Snapshot {
    async fn of(session: &mut Session) -> Result<Self> {
        const SQL: &str = "SELECT pg_catalog.pg_current_snapshot()::text";
        let rows = session.query(SQL, &[], "asking what is visible").await?;
        let text: Option<String> = rows.first().map(|row| row.get(0));
        text.as_deref().and_then(Self::parse).ok_or_else(|| {
            Error::new(&codes::E1024_PROTOCOL, "the warehouse did not say what is visible")
        })
    }

    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(':');
        let (xmin, xmax) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        let under_way = parts.next()?.split(',').filter(|xid| !xid.is_empty());
        Some(Self {
            xmin,
            xmax,
            under_way: under_way.map(str::parse).collect::<Result<_, _>>().ok()?,
        })
    }

    /// The log has 32 bits of a number, which is not far from the newest.
    fn shows(&self, xid: u32) -> bool {
        let epoch = self.xmax & !0xffff_ffff;
        let near = [epoch.checked_sub(1 << 32), Some(epoch), Some(epoch + (1 << 32))];
        let full = near
            .into_iter()
            .flatten()
            .map(|epoch| epoch | u64::from(xid))
            .min_by_key(|full| full.abs_diff(self.xmax))
            .unwrap_or(u64::from(xid));
        full < self.xmin || (full < self.xmax && !self.under_way.contains(&full))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_is_visible_when_the_snapshot_shows_it_in_any_epoch() {
        let snapshot = Snapshot::parse("4294967290:4294967301:4294967290,4294967298").unwrap();
        for (xid, shown) in [
            (u32::MAX - 6, true),
            (u32::MAX - 5, false),
            (u32::MAX, true),
            (1, true),
            (2, false),
            (5, false),
            (6, false),
        ] {
            assert_eq!(snapshot.shows(xid), shown, "{xid}");
        }
        assert!(Snapshot::parse("5:5:").unwrap().shows(4));
        assert!(!Snapshot::parse("5:5:").unwrap().shows(5));
    }
}

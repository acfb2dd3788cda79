//! The quota ledger in the schema of the state, for processes of several machines: a page per account, and the server's
//! clock for all.

use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use flow::{QuotaChange, QuotaMoment, QuotaStore, Result};

use super::Postgres;
use super::pool::Pool;
use super::session::Session;
use crate::process;

const CHANGING: &str = "changing the quota ledger";

/// Tells apart those who take part in one process.
static NAMES: AtomicU64 = AtomicU64::new(0);

impl std::fmt::Debug for Postgres {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Postgres({})", self.place)
    }
}

#[async_trait]
impl QuotaStore for Postgres {
    fn name(&self) -> String {
        format!("{} {}", process::name(), NAMES.fetch_add(1, Ordering::Relaxed))
    }

    async fn change(&self, account: &str, change: QuotaChange) -> Result<()> {
        let account = account.to_owned();
        let job = async move |session: &Session| apply(session, &account, change).await;
        self.home().run(async move |pool: &Rc<Pool>| pool.write(job).await).await
    }
}

async fn apply(session: &Session, account: &str, change: QuotaChange) -> Result<()> {
    // A page survives a kill of the process; a crash of the server takes longer than a window.
    session.batch(CHANGING, "SET LOCAL synchronous_commit = off").await?;
    let sql = "INSERT INTO quotas (account, page) VALUES ($1, '') ON CONFLICT (account) DO NOTHING";
    session.execute(CHANGING, sql, &[&account]).await?;
    let sql = "SELECT page FROM quotas WHERE account = $1 FOR UPDATE";
    let page: Option<String> = session.row(CHANGING, sql, &[&account]).await?.map(|row| row.get(0));
    // Only now, as others may have been waited for.
    let sql = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint";
    let now: i64 = session.row(CHANGING, sql, &[]).await?.map_or(0, |row| row.get(0));
    let moment =
        QuotaMoment { clock: "server", micros: now, wall_micros: now, is_gone: &process::is_gone };
    let Some(page) = change(page.as_deref().filter(|page| !page.is_empty()), &moment) else {
        return Ok(());
    };
    let sql = "UPDATE quotas SET page = $2 WHERE account = $1";
    session.execute(CHANGING, sql, &[&account, &page]).await.map(drop)
}

//! What the operator's commands ask of a state in PostgreSQL.

use async_trait::async_trait;
use flow::{Lease, RejectRecord, Result, RunRecord};

use super::lease::{IS_FREE, holder};
use super::session::Session;
use super::syncs::{self, SyncRow};
use super::{Postgres, jobs, ledger, progress, rejects, runs, unconfirmed};
use crate::lease::Holder;
use crate::operator::{State, SyncState};
use crate::rejects::{RejectFilter, RejectGroup};
use crate::target;

#[async_trait]
impl State for Postgres {
    fn place(&self) -> String {
        self.place.clone()
    }

    async fn runs(&self, sync: Option<&str>, limit: u64) -> Result<Vec<RunRecord>> {
        let sync = sync.map(str::to_owned);
        self.look(async move |session: &Session| runs::list(session, sync.as_deref(), limit).await)
            .await
    }

    async fn run(&self, id_or_prefix: &str) -> Result<Option<RunRecord>> {
        let prefix = id_or_prefix.to_owned();
        self.look(async move |session: &Session| runs::find(session, &prefix).await).await
    }

    async fn rejects(&self, filter: &RejectFilter) -> Result<Vec<RejectRecord>> {
        let filter = filter.clone();
        self.look(async move |session: &Session| rejects::list(session, &filter).await).await
    }

    async fn reject_groups(&self, sync: Option<&str>) -> Result<Vec<RejectGroup>> {
        let sync = sync.map(str::to_owned);
        self.look(async move |session: &Session| rejects::groups(session, sync.as_deref()).await)
            .await
    }

    async fn discard_rejects(&self, ids: &[i64]) -> Result<u64> {
        let ids = ids.to_vec();
        self.home()
            .run(async move |pool: &std::rc::Rc<super::Pool>| {
                pool.write(async |session: &Session| rejects::discard(session, &ids).await).await
            })
            .await
    }

    async fn reset(&self, lease: &Lease) -> Result<()> {
        self.write(lease, async move |session: &Session, sync: &mut SyncRow| {
            ledger::forget(session, sync.id).await?;
            unconfirmed::forget(session, sync.id).await?;
            for table in
                ["watermarks", "marks", "backfills", "rejects", "jobs", "job_rows", "payloads"]
            {
                let sql = format!("DELETE FROM {table} WHERE sync = $1");
                session.execute("forgetting the sync's state", &sql, &[&sync.id]).await?;
            }
            let (sql, facts) =
                ("DELETE FROM meta WHERE name = ANY ($1)", target::names(&sync.name).to_vec());
            session.execute("forgetting the sync's state", sql, &[&facts]).await?;
            sync.save(session).await
        })
        .await
    }

    async fn syncs(&self) -> Result<Vec<SyncState>> {
        self.look(async |session: &Session| {
            let mut known = Vec::new();
            for sync in syncs::all(session).await? {
                known.push(state_of(session, &sync).await?);
            }
            Ok(known)
        })
        .await
    }

    async fn size_bytes(&self) -> Result<u64> {
        let sql = "SELECT coalesce(sum(pg_total_relation_size(pg_class.oid)), 0)::bigint FROM pg_class \
                   WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r'";
        self.look(async |session: &Session| {
            let row = session.row("measuring the state", sql, &[]).await?;
            Ok(row.map_or(0, |row| row.get::<_, i64>(0).cast_unsigned()))
        })
        .await
    }
}

async fn state_of(session: &Session, sync: &SyncRow) -> Result<SyncState> {
    let (open_rejects, oldest_reject_at) = rejects::open(session, sync.id).await?;
    Ok(SyncState {
        sync: sync.name.clone(),
        watermark: progress::watermark(session, sync.id).await?,
        ledger_rows: ledger::count(session, sync).await?.0,
        open_rejects,
        oldest_reject_at,
        open_backfills: progress::open_backfills(session, sync.id).await?,
        unconfirmed_rows: unconfirmed::count(session, sync.id).await?,
        open_jobs: jobs::count(session, sync.id).await?,
        last_run: runs::list(session, Some(&sync.name), 1).await?.pop(),
        held_by: held_by(session, sync).await?,
    })
}

async fn held_by(session: &Session, sync: &SyncRow) -> Result<Option<Holder>> {
    let sql = format!(
        "SELECT process, host, taken_at FROM leases \
         WHERE sync = $1 AND part = 0 AND NOT {IS_FREE}"
    );
    let row = session.row("reading the leases", &sql, &[&sync.id]).await?;
    Ok(row.map(|row| holder(&row)))
}

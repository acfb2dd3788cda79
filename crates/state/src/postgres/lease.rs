//! The right to run a sync, or one shard of its work: taken, given back, and checked by every write (S2).

use std::rc::Rc;
use std::sync::Arc;

use flow::{Code, Error, Lease, Result, Watermark};
use tokio::time::Instant;

use super::home::Neighbour;
use super::keeper::{Life, Place};
use super::pool::Pool;
use super::session::Session;
use super::syncs::{self, SyncRow};
use super::{progress, runs, shards, unconfirmed};
use crate::codes;
use crate::lease::Holder;

const TAKING: &str = "taking the lease";

/// Whether a lease may be taken: not renewed in time, or its owner's session has ended. A session of another role hides
/// when it began, and counts as living.
pub(super) const IS_FREE: &str = "(leases.expires_at <= clock_timestamp() OR NOT EXISTS (\
     SELECT 1 FROM pg_stat_activity AS session WHERE session.pid = leases.session AND (\
     session.backend_start IS NULL OR \
     (extract(epoch FROM session.backend_start) * 1000000)::bigint = leases.session_began)))";

/// What everybody who has leave to write under a lease knows of it.
pub(super) struct Shared {
    /// The shard of the sync's work; 0: the sync itself.
    pub(super) part: i32,
    life: Arc<Life>,
}

/// What the owner of this state shares of a lease.
fn shared(lease: &Lease) -> Option<&Shared> {
    lease.shared.downcast_ref()
}

/// The shard of the sync's work a lease is for; 0: the sync itself.
pub(super) fn part_of(lease: &Lease) -> i32 {
    shared(lease).map_or(0, |shared| shared.part)
}

/// Whether nobody else can have the lease now.
pub(super) fn is_certain(lease: &Lease) -> bool {
    shared(lease).is_some_and(|shared| shared.life.is_certain())
}

/// What is wrong with a sync: the code and a sentence.
pub(super) type Damage = (&'static Code, String);

/// A lease of this process; dropping it gives it back.
pub(super) struct Held {
    place: Place,
    epoch: i64,
    home: Neighbour,
    /// Why this lease may do nothing but reset the sync.
    pub(super) damage: Option<Damage>,
}

impl Drop for Held {
    fn drop(&mut self) {
        let (place, epoch) = (self.place, self.epoch);
        if let Some(home) = self.home.home() {
            home.leave(async move |pool: &Rc<Pool>| give_back(pool, place, epoch).await);
        }
    }
}

async fn give_back(pool: &Rc<Pool>, (sync, part): Place, epoch: i64) {
    pool.kept.remove((sync, part), epoch);
    let given = async {
        let sql = "DELETE FROM leases WHERE sync = $1 AND part = $2 AND epoch = $3";
        let session = pool.session().await?;
        session.execute("giving a lease back", sql, &[&sync, &part, &epoch]).await
    };
    if let Err(error) = given.await {
        // It ends with this process at the latest.
        tracing::debug!(code = error.code().id, "a lease was not given back: {error}");
    }
}

/// What taking a lease came to.
pub(super) enum Taken {
    /// It is ours.
    Ours(Lease),
    /// Somebody has it.
    Held(Holder),
}

/// Takes the lease of a sync; a run its last owner left unfinished has crashed.
pub(super) async fn take(
    pool: &Rc<Pool>,
    home: Neighbour,
    (name, at): (&str, i64),
) -> Result<Taken> {
    let own = pool.own().await?;
    let asked = Instant::now();
    let taken = pool
        .write(async |session: &Session| {
            let mut sync = syncs::named(session, name).await?;
            if let Some(holder) = living(session, (sync.id, 0)).await? {
                return Ok(Err(holder));
            }
            if let Some(holder) = shards::worker(session, sync.id).await? {
                return Ok(Err(holder));
            }
            // Work that nobody has part of now: its rows are in the ledger, and this run does the rest.
            shards::abandon(session, sync.id, at).await?;
            syncs::next_epoch(session, &mut sync).await?;
            put(session, (&sync, 0), (pool, &own, at)).await?;
            if runs::close_unfinished(session, (sync.id, 0)).await? {
                unconfirmed::put_unheard(session, sync.id, at).await?;
            }
            Ok(Ok(sync))
        })
        .await?;
    let sync = match taken {
        Ok(sync) => sync,
        Err(holder) => return Ok(Taken::Held(holder)),
    };
    let damage = check(pool, &sync).await?;
    Ok(Taken::Ours(held(pool, home, (&sync, 0), (asked, damage))))
}

/// The lease that was asked for at `asked` and is ours; kept from now on.
pub(super) fn held(
    pool: &Rc<Pool>,
    home: Neighbour,
    (sync, part): (&SyncRow, i32),
    (asked, damage): (Instant, Option<Damage>),
) -> Lease {
    let (place, epoch) = ((sync.id, part), sync.epoch);
    let life = pool.kept.add(place, (epoch, asked), pool.lease);
    let held = Box::new(Held { place, epoch, home, damage });
    Lease { sync: sync.name.clone(), epoch, held, shared: Arc::new(Shared { part, life }) }
}

/// Writes down who has the lease from now on.
pub(super) async fn put(
    session: &Session,
    (sync, part): (&SyncRow, i32),
    (pool, own, at): (&Pool, &super::keeper::Own, i64),
) -> Result<()> {
    let (process, host) = (i64::from(std::process::id()), crate::lease::host());
    let lasts = pool.lease.as_secs_f64();
    let sql = "INSERT INTO leases (sync, part, epoch, process, host, taken_at, session, session_began, expires_at) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, clock_timestamp() + make_interval(secs => $9)) \
               ON CONFLICT (sync, part) DO UPDATE SET epoch = excluded.epoch, \
               process = excluded.process, host = excluded.host, taken_at = excluded.taken_at, \
               session = excluded.session, session_began = excluded.session_began, \
               expires_at = excluded.expires_at";
    let (id, epoch) = (sync.id, sync.epoch);
    let values: super::session::Params<'_> =
        &[&id, &part, &epoch, &process, &host, &at, &own.process, &own.began, &lasts];
    session.execute(TAKING, sql, values).await.map(drop)
}

/// Who has the lease now, waiting for a write of a former owner to end.
async fn living(session: &Session, (sync, part): Place) -> Result<Option<Holder>> {
    let sql = format!(
        "SELECT process, host, taken_at, {IS_FREE} FROM leases \
         WHERE sync = $1 AND part = $2 FOR UPDATE"
    );
    let row = session.row(TAKING, &sql, &[&sync, &part]).await?;
    Ok(row.filter(|row| !row.get::<_, bool>(3)).map(|row| holder(&row)))
}

/// Who holds the lease of a sync.
pub(super) fn holder(row: &tokio_postgres::Row) -> Holder {
    let process: i64 = row.get(0);
    Holder { pid: u32::try_from(process).unwrap_or_default(), host: row.get(1), since: row.get(2) }
}

/// Reads what the sync's next run relies on from its first moment. Damage is an answer, not an error: the owner of a
/// damaged sync can still reset it.
async fn check(pool: &Pool, sync: &SyncRow) -> Result<Option<Damage>> {
    let session = pool.session().await?;
    let checked = async {
        progress::watermark(&session, sync.id).await?;
        progress::mark(&session, sync.id).await
    };
    match checked.await {
        Err(error) if error.code() == &codes::E3007_CHECKSUM => {
            Ok(Some((error.code(), error.message().to_owned())))
        }
        Err(error) => Err(error),
        Ok(_) => Ok(None),
    }
}

/// Renews what is ours, and asks whether this lease is.
pub(super) async fn confirm(pool: &Rc<Pool>, held: &Lease) -> Result<()> {
    if shared(held).is_some_and(|shared| shared.life.is_lost()) {
        return Err(lost(&held.sync, held.epoch));
    }
    pool.renew().await?;
    pool.write(async |session: &Session| syncs::owned(session, held).await.map(drop)).await
}

/// Refuses a lease whose sync was found damaged when it was taken.
pub(super) fn usable(lease: &Lease) -> Result<()> {
    match lease.held.downcast_ref::<Held>().and_then(|held| held.damage.as_ref()) {
        None => Ok(()),
        Some((code, damage)) => Err(Error::new(code, format!("Sync `{}`: {damage}", lease.sync))),
    }
}

/// The refusal of a lease that is not the newest one.
pub(super) fn lost(sync: &str, epoch: i64) -> Error {
    let text = format!("The lease of sync `{sync}` with epoch {epoch} is not the newest one.");
    Error::new(&codes::E3011_LEASE_LOST, text)
}

/// The refusal that names the holder.
pub(super) fn refused(sync: &str, Holder { pid, host, since }: &Holder) -> Error {
    let text =
        format!("Sync `{sync}` is held by process {pid} on {host} since {}.", Watermark(*since));
    Error::new(&codes::E3010_LEASE_HELD, text)
}

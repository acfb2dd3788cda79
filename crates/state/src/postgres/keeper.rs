//! Keeps the leases of this process: renews them in time, on a session of their own, and notices when one is lost.
//!
//! A lease is over when its owner's session ends (a kill, a cut connection) or when it was not renewed in time (a process
//! that stands still); time is the server's. Who lost one notices by its own clock, which runs while a process stands
//! still: what is not known to have been renewed in time is asked for before it is relied on.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use flow::Result;
use tokio::time::Instant;

use super::pool::Pool;
use super::session::Session;
use crate::codes;

/// How often a lease is renewed within the time it lasts.
const RENEWALS: u32 = 4;
/// How often the session is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Part of a lease's time, before its end, in which it is not relied on without asking.
const MARGIN: u32 = 5;

/// The life of one lease, seen from its owner's threads.
#[derive(Debug)]
pub(super) struct Life(Mutex<Until>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Until {
    /// Nobody else can have it before then.
    Valid(Instant),
    /// Somebody else has it.
    Lost,
}

impl Life {
    fn set(&self, until: Until) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = until;
    }

    fn until(&self) -> Until {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nobody else can have it now.
    pub(super) fn is_certain(&self) -> bool {
        matches!(self.until(), Until::Valid(until) if Instant::now() < until)
    }

    /// Whether somebody else has it.
    pub(super) fn is_lost(&self) -> bool {
        self.until() == Until::Lost
    }
}

/// A sync and the part of its work.
pub(super) type Place = (i64, i32);

/// The leases of this process.
#[derive(Default)]
pub(super) struct Kept {
    session: RefCell<Option<Rc<Own>>>,
    leases: RefCell<HashMap<Place, (i64, Arc<Life>)>>,
}

/// The session that leases are bound to, and how the server knows it.
pub(super) struct Own {
    pub(super) session: Session,
    pub(super) process: i32,
    pub(super) began: i64,
}

impl Kept {
    /// A lease is kept from now on that was asked for at `asked`.
    pub(super) fn add(
        &self,
        place: Place,
        (epoch, asked): (i64, Instant),
        lease: Duration,
    ) -> Arc<Life> {
        let life = Arc::new(Life(Mutex::new(Until::Valid(asked + lease - lease / MARGIN))));
        self.leases.borrow_mut().insert(place, (epoch, Arc::clone(&life)));
        life
    }

    /// It is not kept any more.
    pub(super) fn remove(&self, place: Place, epoch: i64) {
        let mut leases = self.leases.borrow_mut();
        if leases.get(&place).is_some_and(|(known, _)| *known == epoch) {
            leases.remove(&place);
        }
    }

    pub(super) fn forget(&self) {
        self.leases.borrow_mut().clear();
        self.session.borrow_mut().take();
    }
}

impl Pool {
    /// The session that leases are bound to; a new one where the old one was cut.
    pub(super) async fn own(&self) -> Result<Rc<Own>> {
        let known = self.kept.session.borrow().clone();
        if let Some(own) = known.filter(|own| !own.session.client.is_closed()) {
            return Ok(own);
        }
        let session = self.connect().await?;
        let sql = "SELECT pid, (extract(epoch FROM backend_start) * 1000000)::bigint \
                   FROM pg_stat_activity WHERE pid = pg_backend_pid()";
        let row = session.row("naming the session", sql, &[]).await?;
        let (process, began) = row.map_or((0, 0), |row| (row.get(0), row.get(1)));
        let own = Rc::new(Own { session, process, began });
        // Two may have connected at once; the session that leases are bound to is the newest.
        *self.kept.session.borrow_mut() = Some(Rc::clone(&own));
        Ok(own)
    }

    /// Renews every lease of this process, and notes those that somebody else has. A session that was cut is replaced.
    pub(super) async fn renew(&self) -> Result<()> {
        match self.try_renew().await {
            Err(error) if error.code() == &codes::E3047_LOST => {
                self.kept.session.borrow_mut().take();
                self.try_renew().await
            }
            renewed => renewed,
        }
    }

    async fn try_renew(&self) -> Result<()> {
        let held: Vec<_> =
            self.kept.leases.borrow().iter().map(|(place, (epoch, _))| (*place, *epoch)).collect();
        if held.is_empty() {
            return Ok(());
        }
        let own = self.own().await?;
        let asked = Instant::now();
        let syncs: Vec<i64> = held.iter().map(|((sync, _), _)| *sync).collect();
        let parts: Vec<i32> = held.iter().map(|((_, part), _)| *part).collect();
        let epochs: Vec<i64> = held.iter().map(|(_, epoch)| *epoch).collect();
        let sql = "UPDATE leases SET session = $1, session_began = $2, \
                   expires_at = clock_timestamp() + make_interval(secs => $3) \
                   FROM unnest($4::bigint[], $5::integer[], $6::bigint[]) AS mine (sync, part, epoch) \
                   WHERE leases.sync = mine.sync AND leases.part = mine.part \
                   AND leases.epoch = mine.epoch RETURNING leases.sync, leases.part";
        let lasts = self.lease.as_secs_f64();
        let rows = own
            .session
            .rows(
                "renewing the leases",
                sql,
                &[&own.process, &own.began, &lasts, &syncs, &parts, &epochs],
            )
            .await?;
        let renewed: Vec<Place> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        let mut leases = self.kept.leases.borrow_mut();
        for (place, epoch) in held {
            let Some((known, life)) = leases.get(&place) else { continue };
            if *known != epoch {
                continue;
            }
            if renewed.contains(&place) {
                life.set(Until::Valid(asked + self.lease - self.lease / MARGIN));
            } else {
                life.set(Until::Lost);
                leases.remove(&place);
            }
        }
        Ok(())
    }
}

/// Renews the leases of this process for ever.
pub(super) async fn keep(pool: Rc<Pool>) {
    let every = pool.lease / RENEWALS;
    let mut last = Instant::now();
    loop {
        tokio::time::sleep(LOOK_EVERY.min(every)).await;
        let is_cut = {
            let session = pool.kept.session.borrow();
            session.as_ref().is_some_and(|own| own.session.client.is_closed())
        };
        if !is_cut && last.elapsed() < every {
            continue;
        }
        // A server that does not answer in time is asked again on another connection.
        match tokio::time::timeout(pool.lease / 2, pool.renew()).await {
            Ok(Ok(())) => last = Instant::now(),
            Ok(Err(error)) => {
                tracing::warn!(code = error.code().id, "leases could not be renewed: {error}");
            }
            Err(_) => {
                pool.kept.session.borrow_mut().take();
                tracing::warn!("leases could not be renewed in time");
            }
        }
    }
}

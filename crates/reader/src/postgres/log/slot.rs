//! The replication slot: what it must be, how much log it keeps back, and the one statement that moves it on.

use flow::{Error, Finding, Log, Result, Retry};

use super::super::literal;
use super::super::mark::finding;
use super::super::session::Session;
use crate::codes;

/// A place in the log, as `pg_lsn` writes it: comparable as a number.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
pub(super) struct Lsn(pub u64);

impl Lsn {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (high, low) = text.split_once('/')?;
        let part = |text| u64::from_str_radix(text, 16).ok();
        Some(Self((part(high)? << 32) | part(low)?))
    }
}

impl std::fmt::Display for Lsn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 & 0xffff_ffff)
    }
}

/// What the server says of itself and of the slot.
#[derive(Debug, Clone)]
pub(super) struct Slot {
    /// Everything before is acknowledged.
    pub confirmed: Lsn,
    /// The end of the durable log.
    pub flushed: Lsn,
    /// Bytes of log that the slot keeps back.
    pub retained_bytes: u64,
    /// The server has no limit of its own for that.
    pub unlimited: bool,
    /// The slot is over the server's limit, which gives it up at the next checkpoint.
    pub at_risk: bool,
}

impl Slot {
    /// What deserves attention: that nothing limits the slot, or that it is over a limit.
    pub(super) fn findings(&self, log: &Log) -> Vec<Finding> {
        let slot = &log.slot;
        let unlimited = (self.unlimited && log.retained_bytes_max.is_none()).then(|| {
            let message =
                format!("nothing limits the log that the server keeps back for the slot `{slot}`");
            finding(&codes::E1038_UNLIMITED, message)
        });
        let at_risk = self.at_risk.then(|| {
            let message = format!("the server is about to give up the log of the slot `{slot}`");
            finding(&codes::E1039_SLOT_AT_RISK, message)
        });
        unlimited.into_iter().chain(at_risk).chain(self.too_much(log)).collect()
    }

    /// That the slot keeps back more than it may. The run goes on: it is what lets the log go.
    pub(super) fn too_much(&self, log: &Log) -> Option<Finding> {
        let max = log.retained_bytes_max.filter(|max| self.retained_bytes > *max)?;
        let (slot, bytes) = (&log.slot, self.retained_bytes);
        let message = format!(
            "the slot `{slot}` keeps back {bytes} bytes of log, more than the {max} it may"
        );
        Some(finding(&codes::E1068_RETAINED, message))
    }
}

/// Something that is not as it must be, and the statement that mends it.
#[derive(Debug)]
pub(super) struct Missing {
    pub code: &'static flow::Code,
    pub what: String,
    pub how: String,
}

const SQL: &str = "SELECT pg_catalog.pg_is_in_recovery(), pg_catalog.current_setting('wal_level'), \
    r.rolsuper OR r.rolreplication OR EXISTS (SELECT FROM pg_catalog.pg_roles AS g \
        WHERE g.rolname = 'rds_replication' AND pg_catalog.pg_has_role(r.oid, g.oid, 'MEMBER')), s.slot_name IS NOT NULL, \
    coalesce(s.slot_type = 'logical' AND s.plugin = 'pgoutput' AND NOT s.temporary \
        AND s.database = pg_catalog.current_database() \
        AND NOT coalesce((to_jsonb(s) ->> 'two_phase')::bool, false), false), \
    coalesce(s.wal_status, ''), s.active_pid, s.confirmed_flush_lsn::text, \
    CASE WHEN pg_catalog.pg_is_in_recovery() THEN '0/0' \
        ELSE pg_catalog.pg_current_wal_flush_lsn()::text END, \
    CASE WHEN pg_catalog.pg_is_in_recovery() THEN 0 ELSE coalesce(pg_catalog.pg_wal_lsn_diff( \
        pg_catalog.pg_current_wal_lsn(), s.restart_lsn), 0)::int8 END, \
    r.rolname::text, coalesce(to_jsonb(s) ->> 'invalidation_reason', ''), \
    (SELECT g.setting::int8 < 0 FROM pg_catalog.pg_settings AS g WHERE g.name = 'max_slot_wal_keep_size') \
    FROM pg_catalog.pg_roles AS r LEFT JOIN pg_catalog.pg_replication_slots AS s ON s.slot_name = $1 \
    WHERE r.rolname = current_user";

/// Looks at server, login and slot, and names everything that is missing.
///
/// # Errors
/// When the server cannot be asked.
pub(super) async fn look(session: &mut Session, log: &Log) -> Result<Result<Slot, Vec<Missing>>> {
    let rows = session.query(SQL, &[&log.slot], "looking at the replication slot").await?;
    let Some(row) = rows.first() else { return Err(unreadable()) };
    let name = literal::string(&log.slot);
    let create = format!("SELECT pg_create_logical_replication_slot({}, 'pgoutput');", name.trim());
    let slot = &log.slot;
    let mut missing = Vec::new();
    let mut miss = |code, what: String, how: String| missing.push(Missing { code, what, how });
    if row.get(0) {
        let how = "Connect to the primary server for `method: log`.".to_owned();
        miss(
            &codes::E1026_LOG_STANDBY,
            "the warehouse is a standby, which has no log to follow".to_owned(),
            how,
        );
    }
    let level: String = row.get(1);
    if level != "logical" {
        let how = "ALTER SYSTEM SET wal_level = 'logical'; then restart the server.".to_owned();
        miss(&codes::E1027_NO_SLOT, format!("wal_level is {level}"), how);
    }
    if !row.get::<_, bool>(2) {
        let role: String = row.get(10);
        let how = format!("ALTER ROLE {} WITH REPLICATION;", literal::readable(&role));
        miss(
            &codes::E1030_NO_REPLICATION,
            "the login may not use replication slots".to_owned(),
            how,
        );
    }
    let (exists, fits, status): (bool, bool, String) = (row.get(3), row.get(4), row.get(5));
    if !exists {
        miss(&codes::E1027_NO_SLOT, format!("there is no replication slot `{slot}`"), create);
    } else if !fits {
        let what = format!(
            "the slot `{slot}` is no lasting pgoutput slot of this database without two_phase"
        );
        miss(&codes::E1028_WRONG_SLOT, what, format!("Use another name, and: {create}"));
    } else if status == "lost" {
        let reason: String = row.get(11);
        let why = if reason.is_empty() { reason } else { format!(" ({reason})") };
        let how = format!("SELECT pg_drop_replication_slot({}); {create}", name.trim());
        miss(
            &codes::E1029_SLOT_LOST,
            format!("the server gave up the log of the slot `{slot}`{why}"),
            how,
        );
    }
    if !missing.is_empty() {
        return Ok(Err(missing));
    }
    if let Some(pid) = row.get::<_, Option<i32>>(6) {
        let message = format!("the slot `{slot}` is in use by the server process {pid}");
        return Err(Error::new(&codes::E1031_SLOT_IN_USE, message).with_retry(Retry::Backoff));
    }
    let lsn = |index| Lsn::parse(&row.get::<_, Option<String>>(index).unwrap_or_default());
    let (confirmed, flushed) = lsn(7).zip(lsn(8)).ok_or_else(unreadable)?;
    let retained_bytes = u64::try_from(row.get::<_, i64>(9)).unwrap_or_default();
    let unlimited = row.get::<_, Option<bool>>(12) == Some(true);
    let at_risk = status == "unreserved";
    Ok(Ok(Slot { confirmed, flushed, retained_bytes, unlimited, at_risk }))
}

fn unreadable() -> Error {
    Error::new(&codes::E1024_PROTOCOL, "the warehouse did not say what its slots are")
}

/// Moves the slot on to `to`: the server need not keep what is before. It is the only statement of this crate that
/// changes anything; it changes no row, and the transaction is read-only like every other.
///
/// # Errors
/// When the server refuses; nothing is lost by it.
pub(super) async fn advance(session: &mut Session, slot: &str, to: Lsn) -> Result<()> {
    const SQL: &str =
        "SELECT pg_catalog.pg_replication_slot_advance($1::text::name, $2::text::pg_lsn)::text";
    session.query(SQL, &[&slot, &to.to_string()], "moving the replication slot on").await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_in_the_log_read_back() {
        for text in ["0/0", "16/B374D848", "FFFFFFFF/FFFFFFFF"] {
            assert_eq!(Lsn::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(Lsn::parse("x"), None);
        assert!(Lsn::parse("1/0").unwrap() > Lsn::parse("0/FFFFFFFF").unwrap());
    }
}

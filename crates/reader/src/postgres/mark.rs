//! What a read remembers of its snapshot, and what a later read makes of it: which rows changed without a newer
//! watermark, and when nothing but reading every row will do.

use flow::{Code, Error, Finding, Result, Retry, Watermark};
use serde::{Deserialize, Serialize};

use super::relation::{Stored, Target};
use super::session::Session;
use crate::codes;

/// Transaction numbers that lie further apart than this cannot be told apart by the 32 bits a row keeps of them.
const XIDS_APART_MAX: u64 = (1 << 31) - 100_000_000;
/// A table of so many bytes may be looked through in every run; a larger one as much more rarely, so that looking
/// takes about a hundredth of the time.
const LOOK_BYTES_A_MINUTE: u64 = 256 << 20;
const MINUTE_MICROS: u64 = 60_000_000;

/// One snapshot, as the next read needs to know it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    server: Server,
    /// The tables under the model: schema, name, oid, file node.
    tables: Vec<(String, String, u32, Option<u32>)>,
    /// The last look at every row's transaction, where rows have one.
    look: Option<Look>,
}

/// A look at the transaction of every row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Look {
    /// Every transaction before this one was over, and seen.
    xmin: u64,
    /// The server's clock, in microseconds since 1970.
    at: i64,
}

/// The server of a snapshot, and where in its history the snapshot is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Server {
    pub system: String,
    pub timeline: i32,
    /// The oldest transaction that was under way.
    xmin: u64,
    /// The first transaction that had not begun.
    xmax: u64,
}

impl Server {
    /// Whether the server has what a mark is made of, and lets this login see it. Not every server that speaks the
    /// protocol has.
    pub(super) async fn has_marks(session: &mut Session) -> Result<bool> {
        const SQL: &str = "SELECT coalesce(bool_and(pg_catalog.has_function_privilege(p.oid, 'EXECUTE')), false) \
                AND count(*) = 5 \
            FROM unnest(ARRAY['pg_control_system()', 'pg_control_checkpoint()', 'pg_current_snapshot()', \
                'pg_walfile_name(pg_lsn)', 'pg_current_wal_insert_lsn()']) AS u(name) \
            JOIN pg_catalog.pg_proc AS p ON p.oid = pg_catalog.to_regprocedure('pg_catalog.' || u.name)";
        if !session.dialect().is_postgres {
            return Ok(false);
        }
        let rows = session.query(SQL, &[], "asking what the server knows of its snapshots").await?;
        Ok(rows.first().is_some_and(|row| row.get(0)))
    }

    /// As of the snapshot of the reading transaction.
    pub(super) async fn of(session: &mut Session) -> Result<Self> {
        // The timeline of a standby is the one of its last restart point.
        const SQL: &str = "SELECT (SELECT system_identifier::text FROM pg_catalog.pg_control_system()), \
            CASE WHEN pg_catalog.pg_is_in_recovery() \
                THEN (SELECT timeline_id FROM pg_catalog.pg_control_checkpoint()) \
                ELSE ('x' || pg_catalog.substr(pg_catalog.pg_walfile_name( \
                    pg_catalog.pg_current_wal_insert_lsn()), 1, 8))::bit(32)::int4 END, \
            pg_catalog.pg_snapshot_xmin(s)::text, pg_catalog.pg_snapshot_xmax(s)::text \
            FROM pg_catalog.pg_current_snapshot() AS s";
        let rows = session.query(SQL, &[], "asking which server this is").await?;
        let row = rows.first().ok_or_else(unreadable)?;
        let number = |index| row.get::<_, String>(index).parse().map_err(|_| unreadable());
        let (xmin, xmax) = (number(2)?, number(3)?);
        Ok(Self { system: row.get(0), timeline: row.get(1), xmin, xmax })
    }

    /// The oldest transaction that was under way when the snapshot was taken.
    fn look(&self, at: Watermark) -> Look {
        Look { xmin: self.xmin, at: at.0 }
    }
}

fn unreadable() -> Error {
    Error::new(&codes::E1024_PROTOCOL, "the warehouse did not say which snapshot this is")
        .with_retry(Retry::Backoff)
}

/// What a read that was asked for changes has to do.
#[derive(Debug)]
pub(super) enum Todo {
    /// Read every row; what changed cannot be told otherwise.
    All(Finding),
    /// Read by the watermark, and rows for which this condition holds, where it is given.
    Since {
        /// On the row's transaction.
        late: Option<String>,
    },
}

/// A reading transaction, as far as marks go.
pub(super) struct Here<'a> {
    pub server: &'a Server,
    pub clock: Watermark,
    pub tables: &'a [Stored],
    /// Bytes of the model's table where its rows have a transaction that can be asked for.
    pub rows_bytes: Option<u64>,
}

impl Mark {
    /// As it was stored. One of another version of this program says nothing.
    pub(super) fn parse(mark: &flow::Mark) -> Option<Self> {
        serde_json::from_str(&mark.0).ok()
    }

    pub(super) fn store(&self) -> flow::Mark {
        flow::Mark(serde_json::to_string(self).unwrap_or_default())
    }

    /// The mark of a read that looked at every row.
    pub(super) fn of_all(here: &Here<'_>) -> Self {
        let look = here.rows_bytes.map(|_| here.server.look(here.clock));
        Self { server: here.server.clone(), tables: names(here.tables), look }
    }

    /// The mark of a read that looked at some rows only, and knows nothing of the others.
    pub(super) fn unlooked(here: &Here<'_>) -> Self {
        Self { look: None, ..Self::of_all(here) }
    }

    /// The mark of a read of what changed since this one.
    fn next(&self, here: &Here<'_>, looked: bool) -> Self {
        match looked {
            true => Self::of_all(here),
            false => Self { look: self.look, ..Self::of_all(here) },
        }
    }

    /// What there is to do since this mark, and the mark after it.
    ///
    /// # Errors
    /// `E1025` where the server shows an older state than was read before.
    pub(super) fn since(&self, here: &Here<'_>) -> Result<(Todo, Self)> {
        if let Some(why) = self.says_nothing(here)? {
            return Ok((Todo::All(why), Self::of_all(here)));
        }
        let due = |look: &Look| {
            let pause = here.rows_bytes.unwrap_or_default().saturating_sub(LOOK_BYTES_A_MINUTE);
            let pause =
                u128::from(pause) * u128::from(MINUTE_MICROS) / u128::from(LOOK_BYTES_A_MINUTE);
            u128::try_from(here.clock.0 - look.at).is_ok_and(|passed| passed >= pause)
        };
        let late = match (here.rows_bytes, self.look) {
            (Some(_), Some(look)) if due(&look) => Some(committed_since(look.xmin)),
            _ => None,
        };
        let next = self.next(here, late.is_some());
        Ok((Todo::Since { late }, next))
    }

    /// Why every row must be read; `None` where this mark is of the same tables of the same server, further back.
    fn says_nothing(&self, here: &Here<'_>) -> Result<Option<Finding>> {
        let (then, now) = (&self.server, here.server);
        if then.system != now.system || then.timeline != now.timeline {
            let message =
                "the warehouse is another server, or a standby was promoted, since the last run";
            return Ok(Some(finding(&codes::E1061_OTHER_SERVER, message.to_owned())));
        }
        if now.xmax < then.xmax {
            return Err(Error::new(
                &codes::E1025_BEHIND,
                "the warehouse shows an older state than the last run has read",
            )
            .with_retry(Retry::Backoff));
        }
        if let Some(table) = rebuilt(&self.tables, here.tables) {
            let message = format!("{table} was rebuilt since the last run");
            return Ok(Some(finding(&codes::E1062_REBUILT, message)));
        }
        // A table whose rows can be asked for their transaction since now, and before could not.
        let unlooked = here.rows_bytes.is_some() && self.look.is_none();
        let apart = self.look.map_or(0, |look| now.xmax.saturating_sub(look.xmin));
        if unlooked || apart > XIDS_APART_MAX {
            let message =
                "too many transactions passed since the last look at every row".to_owned();
            return Ok(Some(finding(&codes::E1063_XIDS_PASSED, message)));
        }
        Ok(None)
    }
}

/// The condition for rows that a transaction wrote that was not over at `xmin`: late commits, sub-transactions (their
/// numbers are higher than the one they belong to), prepared transactions, back-dated rows. A row keeps 32 bits of the
/// number, which `age` compares; rows of long ago that look new are only read once more.
fn committed_since(xmin: u64) -> String {
    let alias = super::columns::ALIAS;
    let xid = xmin & 0xffff_ffff;
    format!("pg_catalog.age({alias}.xmin) <= pg_catalog.age('{xid}'::xid)")
}

pub(super) fn finding(code: &'static Code, message: String) -> Finding {
    Finding { code, message, remedy: code.remedy.to_owned() }
}

fn names(tables: &[Stored]) -> Vec<(String, String, u32, Option<u32>)> {
    let fact =
        |table: &Stored| (table.schema.clone(), table.name.clone(), table.oid, table.filenode);
    tables.iter().map(fact).collect()
}

/// A table that is another one than it was, that came or that went.
fn rebuilt(then: &[(String, String, u32, Option<u32>)], now: &[Stored]) -> Option<String> {
    let now = names(now);
    let other = now.iter().find(|table| !then.contains(table));
    let gone = || then.iter().find(|table| !now.contains(table));
    other.or_else(gone).map(|(schema, name, ..)| format!("{schema}.{name}"))
}

/// Bytes of the model's table, where its rows have a transaction that can be asked for: it is a heap table, or all its
/// partitions are. `None` for views, SQL, and tables kept by something else.
pub(super) async fn rows_bytes(session: &mut Session, target: &Target) -> Result<Option<u64>> {
    const SQL: &str = "WITH RECURSIVE parts AS ( \
            SELECT c.oid, c.relkind, c.relam FROM pg_catalog.pg_class AS c WHERE c.oid = $1 \
            UNION SELECT c.oid, c.relkind, c.relam FROM parts AS p \
            JOIN pg_catalog.pg_inherits AS i ON i.inhparent = p.oid \
            JOIN pg_catalog.pg_class AS c ON c.oid = i.inhrelid) \
        SELECT bool_and(p.relkind = 'p' OR (p.relkind = 'r' AND a.amname = 'heap')), \
            sum(CASE p.relkind WHEN 'r' THEN pg_catalog.pg_relation_size(p.oid) ELSE 0 END)::int8 \
        FROM parts AS p LEFT JOIN pg_catalog.pg_am AS a ON a.oid = p.relam";
    let Some(table) =
        target.table.as_ref().filter(|table| matches!(table.kind.as_str(), "r" | "p"))
    else {
        return Ok(None);
    };
    let rows = session.query(SQL, &[&table.oid], "asking how large the table is").await?;
    let Some(row) = rows.first().filter(|row| row.get::<_, Option<bool>>(0) == Some(true)) else {
        return Ok(None);
    };
    Ok(row.get::<_, Option<i64>>(1).and_then(|bytes| u64::try_from(bytes).ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server() -> Server {
        Server { system: "7".to_owned(), timeline: 1, xmin: (3 << 32) + 90, xmax: (3 << 32) + 100 }
    }

    fn table(oid: u32, filenode: u32) -> Stored {
        let (schema, name) = ("public".to_owned(), "t".to_owned());
        Stored { schema, name, oid, filenode: Some(filenode) }
    }

    /// What a read finds that comes `minutes` later, after this happened.
    fn since(
        bytes: Option<u64>,
        minutes: i64,
        change: impl Fn(&mut Server, &mut Stored),
    ) -> String {
        let (mut later, mut now) = (server(), table(1, 2));
        let (first, tables) = (server(), [table(1, 2)]);
        let clock = Watermark(0);
        let mark =
            Mark::of_all(&Here { server: &first, clock, tables: &tables, rows_bytes: bytes });
        let mark = Mark::parse(&mark.store()).unwrap();
        change(&mut later, &mut now);
        let (tables, clock) = ([now], Watermark(minutes * 60_000_000));
        match mark.since(&Here { server: &later, clock, tables: &tables, rows_bytes: bytes }) {
            Err(error) => error.code().id.to_owned(),
            Ok((Todo::All(why), _)) => why.code.id.to_owned(),
            Ok((Todo::Since { late: None }, next)) => {
                assert_eq!(next.look, mark.look, "what was not looked at is looked at later");
                "watermark".to_owned()
            }
            Ok((Todo::Since { late: Some(late) }, next)) => {
                assert_eq!(next.look.unwrap().xmin, later.xmin);
                late
            }
        }
    }

    #[test]
    fn a_mark_says_when_nothing_but_reading_everything_will_do() {
        let nothing = |_: &mut Server, _: &mut Stored| {};
        let late = "pg_catalog.age(m.xmin) <= pg_catalog.age('90'::xid)";
        assert_eq!(since(Some(1000), 0, nothing), late, "the epoch is not in a row's xmin");
        assert_eq!(since(None, 0, nothing), "watermark");
        // R1, hazards 21 to 23 and F5.
        assert_eq!(since(Some(1), 1, |_, table| table.filenode = Some(3)), "E1062");
        assert_eq!(since(None, 1, |_, table| table.oid = 3), "E1062");
        assert_eq!(since(None, 1, |server, _| server.timeline = 2), "E1061");
        assert_eq!(since(None, 1, |server, _| server.system = "8".to_owned()), "E1061");
        assert_eq!(since(None, 1, |server, _| server.xmax -= 1), "E1025");
        assert_eq!(since(Some(1), 1, |server, _| server.xmax += 1 << 31), "E1063");
        assert_eq!(Mark::parse(&flow::Mark("{}".to_owned())), None);
    }

    #[test]
    fn a_large_table_is_looked_through_as_much_more_rarely() {
        let nothing = |_: &mut Server, _: &mut Stored| {};
        let bytes = Some(10 << 30);
        assert_eq!(since(bytes, 38, nothing), "watermark");
        assert_ne!(since(bytes, 39, nothing), "watermark");
    }
}

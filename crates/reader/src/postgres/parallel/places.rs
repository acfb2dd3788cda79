//! Where to cut a read into parts of about the same size, and whether that is worth its while. What is found here decides
//! about speed only: wherever a read is cut, its parts have the same rows.

use flow::{Position, Result};

use super::PART_BYTES;
use crate::postgres::columns::{ALIAS, Column, Layout};
use crate::postgres::query::{Part, Query};
use crate::postgres::read::position_at;
use crate::postgres::relation::Target;
use crate::postgres::session::{AnyText, Session};
use crate::postgres::stream::Stream;

/// More parts than this are not made.
const PARTS_MAX: u64 = 10_000;
/// One page in so many is looked at for places to cut at.
const SAMPLE_SHARE: u64 = 128;
/// But so many at least, and at most.
const SAMPLE_PAGES: std::ops::RangeInclusive<u64> = 64..=30_000;
const PAGE_BYTES: u64 = 8192;
/// A read of a smaller share of a table is not cut: looking for places would take too much of it.
const TABLE_SHARE: u64 = 20;
/// All parts together may cost the server so many times what the whole read costs it.
const COST_MAX: f64 = if cfg!(test) { f64::MAX } else { 2.0 };

/// What the server expects of a statement.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expected {
    cost: f64,
    pub(super) bytes: u64,
}

impl Expected {
    pub(super) async fn of(session: &mut Session, select: &str) -> Result<Self> {
        let sql = format!("EXPLAIN (FORMAT JSON) {select}");
        let rows = session.query(&sql, &[], "planning the read").await?;
        let plan = rows.first().and_then(|row| {
            let AnyText(text) = row.get(0);
            serde_json::from_str::<serde_json::Value>(&text).ok()
        });
        let number = |name: &str| {
            let plan = plan.as_ref().map(|plan| &plan[0]["Plan"][name]);
            plan.and_then(serde_json::Value::as_f64).unwrap_or_default()
        };
        let bytes = (number("Plan Rows") * number("Plan Width")) as u64;
        Ok(Self { cost: number("Total Cost"), bytes })
    }
}

/// Whether to cut a part.
pub(super) enum Found {
    Parts(Vec<Part>),
    /// There is too little to read.
    Small,
    /// No table tells where to cut, or every part would cost the server as much as the whole.
    NoWay,
}

/// Cuts `part`, where that is worth its while.
pub(super) async fn parts(
    session: &mut Session,
    (query, part): (&Query<'_>, &Part),
    (target, tables): (&Target, &[(String, String)]),
    connections: usize,
) -> Result<Found> {
    let whole = Expected::of(session, &query.select(part)).await?;
    let count = (whole.bytes / PART_BYTES).min(PARTS_MAX);
    if count < 2 {
        return Ok(Found::Small);
    }
    let Some(sampled) = Sampled::find(session, query.layout, (target, tables)).await? else {
        return Ok(Found::NoWay);
    };
    if whole.bytes < sampled.bytes / TABLE_SHARE {
        return Ok(Found::Small);
    }
    // Where no index gives the order, the server goes through the table for every part: as few as there are connections.
    for count in [count, connections as u64] {
        let places = sampled.places(session, (query, part), count).await?;
        let parts = query.cut(part, &places);
        if parts.len() > 1 && is_cheap(session, query, (&parts, whole)).await? {
            return Ok(Found::Parts(parts));
        }
    }
    Ok(Found::NoWay)
}

/// Whether the parts do not cost the server much more than the whole.
async fn is_cheap(
    session: &mut Session,
    query: &Query<'_>,
    (parts, whole): (&[Part], Expected),
) -> Result<bool> {
    let mut cost = 0.0;
    let last = parts.len() - 1;
    let middle = parts.len() / 2;
    for (at, times) in [(0, 1), (middle, parts.len().saturating_sub(2)), (last, 1)] {
        cost += Expected::of(session, &query.select(&parts[at])).await?.cost * times as f64;
    }
    Ok(cost <= whole.cost * COST_MAX)
}

/// A table whose pages tell where to cut.
struct Sampled {
    /// Quoted.
    name: String,
    bytes: u64,
}

impl Sampled {
    /// The model's table; or, of the tables under it, the largest that has the columns of its order.
    async fn find(
        session: &mut Session,
        layout: &Layout,
        (target, tables): (&Target, &[(String, String)]),
    ) -> Result<Option<Self>> {
        const SQL: &str = "WITH under AS ( \
                SELECT c.oid, c.relkind, pg_catalog.format('%I.%I', n.nspname, c.relname) AS name, \
                    pg_catalog.pg_relation_size(c.oid) AS bytes, c.oid = $3 AS is_model \
                FROM pg_catalog.pg_class AS c \
                JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace \
                LEFT JOIN unnest($1::text[], $2::text[]) AS u(s, r) \
                    ON u.s = n.nspname AND u.r = c.relname \
                WHERE u.r IS NOT NULL OR c.oid = $3) \
            SELECT u.name, (CASE u.relkind WHEN 'p' THEN (SELECT sum(bytes) FROM under) \
                ELSE u.bytes END)::int8 \
            FROM under AS u WHERE u.relkind IN ('r', 'p', 'm') \
                AND (SELECT count(*) FROM pg_catalog.pg_attribute AS a \
                    JOIN unnest($4::text[], $5::text[]) AS w(name, type) ON a.attname = w.name \
                        AND pg_catalog.format_type(a.atttypid, a.atttypmod) = w.type \
                    WHERE a.attrelid = u.oid AND a.attnum > 0 AND NOT a.attisdropped \
                        AND pg_catalog.has_column_privilege(u.oid, a.attnum, 'SELECT')) = $6 \
            ORDER BY u.is_model DESC, u.bytes DESC LIMIT 1";
        let (schemas, tables): (Vec<&str>, Vec<&str>) =
            tables.iter().map(|(schema, name)| (schema.as_str(), name.as_str())).unzip();
        let oid = target.table.as_ref().map_or(0, |table| table.oid);
        let columns = order_columns(layout);
        let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
        let types: Vec<&str> = columns.iter().map(|column| column.source_type.as_str()).collect();
        let count = columns.len() as i64;
        let rows = session
            .query(
                SQL,
                &[&schemas, &tables, &oid, &names, &types, &count],
                "looking for a table to sample",
            )
            .await?;
        let sampled = rows.first().and_then(|row| {
            let bytes = u64::try_from(row.get::<_, Option<i64>>(1)?).ok()?;
            Some(Self { name: row.get(0), bytes })
        });
        Ok(sampled)
    }

    /// Places that cut what `part` reads into so many parts of about the same size, in order.
    async fn places(
        &self,
        session: &mut Session,
        (query, part): (&Query<'_>, &Part),
        count: u64,
    ) -> Result<Vec<Position>> {
        let columns: Vec<Column> = order_columns(query.layout).into_iter().cloned().collect();
        let names = (0..columns.len()).map(|n| format!("c{n}")).collect::<Vec<_>>().join(", ");
        let projected: Vec<_> = columns
            .iter()
            .enumerate()
            .map(|(n, c)| format!("{} AS c{n}", c.projection()))
            .collect();
        let pages = (self.bytes / PAGE_BYTES).max(1);
        let wanted = (pages / SAMPLE_SHARE).clamp(*SAMPLE_PAGES.start(), *SAMPLE_PAGES.end());
        let percent = 100.0 * (wanted as f64 / pages as f64).min(1.0);
        let filter = if part.filter.is_empty() { "true" } else { &part.filter };
        let (projected, order, from) = (projected.join(", "), &part.order, &self.name);
        let select = format!(
            "SELECT {names} FROM (SELECT {projected}, row_number() OVER (ORDER BY {order}) AS n, \
                count(*) OVER () AS of FROM {from} AS {ALIAS} TABLESAMPLE SYSTEM ({percent}) \
                REPEATABLE (1) WHERE {filter}) AS s \
             WHERE s.n % greatest(s.of / {count}, 1) = 0 AND s.n < s.of ORDER BY s.n"
        );
        let keys = query.layout.keys.len();
        let watermark = (columns.len() > keys).then_some(keys);
        let layout = Layout { columns, keys: (0..keys).collect(), watermark };
        let mut stream = Stream::new(&layout, 8192);
        stream.start(session, &select, "looking for places to cut the read at").await?;
        let mut places: Vec<Position> = Vec::new();
        while let Some(decoded) = stream.next(session).await? {
            let rows = 0..decoded.rows.num_rows();
            let found = rows.filter_map(|row| position_at(&layout, part, (&decoded.rows, row)));
            places.extend(found.filter(|at| !part.on_watermark || at.watermark.is_some()));
        }
        places.dedup();
        Ok(places)
    }
}

/// The columns a read is ordered by; the key's come first.
fn order_columns(layout: &Layout) -> Vec<&Column> {
    let is_key = |index: &usize| layout.keys.contains(index);
    let watermark = layout.watermark.filter(|index| !is_key(index));
    layout.key_columns().chain(watermark.map(|index| &layout.columns[index])).collect()
}

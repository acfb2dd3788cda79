//! The SQL of reads, for every dialect.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use flow::{Key, Position, Scope, Watermark};

use super::*;
use crate::postgres::types::Carry;

const AT: Watermark = Watermark(1_767_607_202_869_801);

/// A table with this key, a watermark, a text and two numbers.
fn layout(dialect: &'static Dialect, keys: &[(&str, Carry)]) -> Layout {
    let column = |name: &str, carry: Carry| Column {
        name: name.to_owned(),
        carry: carry.sent_by(dialect),
        source_type: String::new(),
        computed: None,
        dialect,
    };
    let mut columns: Vec<Column> =
        keys.iter().map(|(name, carry)| column(name, carry.clone())).collect();
    columns.push(column("updated_at", Carry::TimestampTz));
    columns.push(column("Name", Carry::Text));
    columns.push(column("total", Carry::Decimal { precision: 12, scale: 2 }));
    columns.push(column("span", Carry::ServerText));
    let mut removed = column(flow::REMOVED, Carry::Bool);
    removed.computed = Some("m.deleted_at IS NOT NULL".to_owned());
    columns.push(removed);
    Layout { columns, keys: (0..keys.len()).collect(), watermark: Some(keys.len()) }
}

fn sql_of(version: &str) -> String {
    let dialect = Dialect::of(version);
    let mut sql = format!("{}\n", dialect.name);
    let composite = layout(dialect, &[("tenant", Carry::Int8), ("code", Carry::PaddedText)]);
    let single = layout(dialect, &[("e\"mail", Carry::Text)]);
    for (layout, parts) in [(&composite, &["7", "a\\'b"][..]), (&single, &["x"])] {
        let query = Query {
            from: "\"public\".\"t\" AS m",
            layout,
            dialect,
            keys_nullable: false,
            late: None,
        };
        let key = Key::from_parts(parts);
        let since = Position { watermark: Some(AT), key: key.clone() };
        let unplaced = Position { watermark: None, key: key.clone() };
        let keys: BTreeSet<Key> = [key, Key::from_parts(&["8"; 2][..parts.len()])].into();
        for (what, scope, after) in [
            ("everything", Scope::All, None),
            ("since, going on", Scope::Since(AT), Some(&since)),
            ("since, going on among those without a place", Scope::Since(AT), Some(&unplaced)),
            ("a range", Scope::Range { from: Watermark(0), to: AT }, None),
            ("a condition", Scope::Where("true -- all".to_owned()), None),
            ("keys", Scope::Keys(keys.into_iter().collect()), None),
        ] {
            let _ = writeln!(sql, "\n{what}");
            for part in query.parts(&scope, after).unwrap() {
                let _ = writeln!(sql, "  {}", query.select(&part).replace('\n', "\n  "));
            }
            let _ = writeln!(sql, "  {}", query.inspection(&scope).replace('\n', "\n  "));
        }
    }
    sql
}

#[test]
fn every_dialect_has_sql_of_its_own() {
    insta::assert_snapshot!("redshift", sql_of("PostgreSQL 8.0.2 on i686, Redshift 1.0.77467"));
    insta::assert_snapshot!("cockroachdb", sql_of("CockroachDB CCL v24.1.0"));
    insta::assert_snapshot!("careful", sql_of("Somebody's Own 1.0"));
    insta::assert_snapshot!("postgresql", sql_of("PostgreSQL 15.18"));
}

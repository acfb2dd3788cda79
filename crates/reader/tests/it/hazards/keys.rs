//! Hazards of what a key is, and of what its absence means.

use std::collections::BTreeSet;

use flow::{Scope, Source};
use support::Postgres;

use super::{ask, read};
use crate::warehouse::{code, database, key, open, request, table};

/// Hazard 29: a crash empties an UNLOGGED table, and nothing says so afterwards.
#[tokio::test]
async fn an_unlogged_table_is_empty_after_a_crash_and_is_pointed_out_before() {
    let postgres = Postgres::start();
    let database = postgres.database("unlogged");
    database
        .execute("CREATE UNLOGGED TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 9)")
        .await;
    // On its own: within the same batch it would come before the commit, which a crash may lose.
    database.execute("CHECKPOINT").await;
    let source = open(&database.url);
    let found = source.check(&table("t", &["id"])).await.unwrap().findings;
    // A mirror is refused on the word of this finding (E4056).
    assert!(found.iter().any(|finding| finding.code.id == "E1054"));
    assert_eq!(read(&source, &table("t", &["id"]), Scope::All).await.ids.len(), 9);
    postgres.restart(true);
    let client = database.client().await;
    assert_eq!(
        ask(&client, "SELECT count(*)::text FROM t").await,
        ["0"],
        "the naive mirror removes nine"
    );
}

/// Hazard 30: a number that is missing was perhaps never used.
#[tokio::test]
async fn gaps_in_a_sequence_are_no_removals() {
    let database = database("CREATE TABLE t (id bigserial PRIMARY KEY, name text)").await;
    let client = database.client().await;
    for name in ["a", "b", "c"] {
        let end = if name == "b" { "ROLLBACK" } else { "COMMIT" };
        let sql = format!("BEGIN; INSERT INTO t (name) VALUES ('{name}'); {end}");
        client.batch_execute(&sql).await.unwrap();
    }
    let naive = "SELECT i::text FROM generate_series(1, (SELECT max(id) FROM t)) AS i WHERE i NOT IN (SELECT id FROM t)";
    assert_eq!(ask(&client, naive).await, ["2"], "the naive way removes a row that never was");
    // What is gone is told by two complete reads, and 2 is in neither.
    let (source, model) = (open(&database.url), table("t", &["id"]));
    let before = read(&source, &model, Scope::All).await.ids;
    let after = read(&source, &model, Scope::All).await.ids;
    assert_eq!((&before, before.len()), (&after, 2));
}

/// Hazard 31: rows that are merged by key must come in the order that the merge has.
#[tokio::test]
async fn a_collation_is_no_order_to_merge_in() {
    let database = database(
        "CREATE TABLE t (id text COLLATE \"en-x-icu\" PRIMARY KEY); INSERT INTO t VALUES ('a'), ('B'), ('c'), ('D'), ('é'), ('f')",
    )
    .await;
    let client = database.client().await;
    let naive = ask(&client, "SELECT id FROM t ORDER BY id").await;
    assert!(!naive.is_sorted(), "the naive order goes back: {naive:?}");
    let ids = read(&open(&database.url), &table("t", &["id"]), Scope::All).await.ids;
    assert!(ids.is_sorted() && ids.len() == 6, "{ids:?}");
}

/// Hazard 32: one number has many texts, and padding is none.
#[tokio::test]
async fn one_key_has_one_text() {
    let database = database(
        "CREATE TABLE t (id numeric, c char(4)); INSERT INTO t VALUES (1, 'x'), (1.0, 'x '), (1.00, 'x  '), ('NaN', 'y')",
    )
    .await;
    let client = database.client().await;
    let naive: BTreeSet<String> =
        ask(&client, "SELECT id::text FROM t").await.into_iter().collect();
    assert_eq!(naive.len(), 4, "the naive way has three keys of one number");
    let source = open(&database.url);
    let opened = source.read(request(&table("t", &["id", "c"]))).await.unwrap();
    assert_eq!(opened.opening().duplicates.iter().collect::<Vec<_>>(), [&key(&["1", "x"])]);
    drop(opened);
    let ids = read(&source, &table("t", &["id"]), Scope::Keys([key(&["NaN"])].into())).await.ids;
    assert_eq!(ids, ["NaN"]);
    database.execute("CREATE TABLE j (id json)").await;
    assert_eq!(code(&source.check(&table("j", &["id"])).await.unwrap_err()), "E1018");
}

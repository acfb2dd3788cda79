//! Servers that speak PostgreSQL's protocol and are something else, and reading without COPY.

mod double;

use std::sync::Arc;

use async_trait::async_trait;
use flow::{Changes, Log, Retry, Scope, Source};
use serde_json::{Value, json};
use support::{Database, Postgres};

use self::double::{Double, Other};
use crate::conformance::{Kind, Subject, Table, holds, holds_of_small_relations, make_in_postgres};
use crate::warehouse::{
    by, code, database, key, read, read_all, request, sql, table, texts, try_open,
};

/// A server of another kind.
struct Foreign {
    database: Database,
    double: Double,
    name: &'static str,
}

impl Foreign {
    async fn new(other: Other, name: &'static str) -> Self {
        let target = ([127, 0, 0, 1], Postgres::shared().port()).into();
        Self { database: database("").await, double: Double::start(other, target).await, name }
    }

    fn open(&self, options: Value) -> reader::postgres::Postgres {
        try_open(&self.double.url(&self.database.url), options).unwrap()
    }

    #[track_caller]
    fn was_understood(&self) {
        let (all, refused) = self.double.seen();
        assert!(!all.is_empty());
        assert!(refused.is_empty(), "{}: {refused:#?}", self.name);
    }
}

#[async_trait]
impl Subject for Foreign {
    fn name(&self) -> &'static str {
        self.name
    }

    fn has(&self, _: Kind) -> bool {
        true
    }

    async fn make(&self, name: &str, table: &Table) -> (String, Arc<dyn Source>) {
        make_in_postgres(&self.database, name, table).await;
        (name.to_owned(), Arc::new(self.open(json!({}))))
    }
}

const OTHERS: [(Other, &str); 3] = [
    (Other::Redshift, "redshift"),
    (Other::Cockroach, "cockroachdb"),
    (Other::Stranger, "a stranger"),
];

/// PostgreSQL read by the rows of queries.
struct ByQuery(Database);

#[async_trait]
impl Subject for ByQuery {
    fn name(&self) -> &'static str {
        "postgres, read by query"
    }

    fn has(&self, _: Kind) -> bool {
        true
    }

    async fn make(&self, name: &str, table: &Table) -> (String, Arc<dyn Source>) {
        make_in_postgres(&self.0, name, table).await;
        let source = try_open(&self.0.url, json!({ "read_by": "query", "batch_rows": 100 }));
        (name.to_owned(), Arc::new(source.unwrap()))
    }
}

#[tokio::test]
async fn postgresql_without_copy_holds_what_every_source_holds() {
    holds(&ByQuery(database("").await)).await;
}

#[tokio::test]
async fn other_dialects_hold_what_every_source_holds() {
    for (other, name) in OTHERS {
        let foreign = Foreign::new(other, name).await;
        holds_of_small_relations(&foreign).await;
        foreign.was_understood();
    }
}

/// Every number, exactly, though the server's binary form of them is not trusted.
#[tokio::test]
async fn numbers_that_are_written_are_the_numbers_that_are_sent() {
    let foreign = Foreign::new(Other::Redshift, "redshift").await;
    foreign
        .database
        .execute(
            "CREATE TABLE t (id numeric(20,2) PRIMARY KEY, n numeric, m numeric(38,12), s numeric(5,-2)); \
             INSERT INTO t VALUES (1.50, 1e30, -0.000000000001, 12300), (2, -0.00, 12345678901234567890123456.123456789012, NULL), \
             (10, 1.500, 0, -0), (-3, NULL, NULL, 99900), (4, 'NaN', 1, 0)",
        )
        .await;
    let model = table("t", &["id"]);
    let written = read_all(&foreign.open(json!({})), &model).await;
    let sent = read_all(&crate::warehouse::open(&foreign.database.url), &model).await;
    assert_eq!(written[0].rows.columns(), sent[0].rows.columns());
    assert_eq!(texts(&written, "id"), ["-3", "1.5", "2", "4", "10"]);
    let faulty = "INSERT INTO t VALUES (5, 1, 'NaN', 0)";
    foreign.database.execute(faulty).await;
    let written = read_all(&foreign.open(json!({})), &model).await;
    let fault = &written[0].faults[0];
    assert_eq!((fault.row, fault.column.as_str()), (4, "m"), "{fault:?}");
    foreign.was_understood();
}

#[tokio::test]
async fn keys_and_conditions_are_exact_whatever_characters_they_have() {
    for (other, name) in OTHERS {
        let foreign = Foreign::new(other, name).await;
        foreign
            .database
            .execute(
                r"CREATE TABLE t (id text, part char(4), gone bool); INSERT INTO t VALUES
                ('a\b', 'x', true), ('a''b', 'x y', NULL), ('a\''b', '', false), ('\', 'x', true)",
            )
            .await;
        let source = foreign.open(json!({}));
        let mut model = table("t", &["id", "part"]);
        model.removed_when = Some("gone -- all of them".to_owned());
        let mut page = request(&model);
        let wanted =
            [key(&[r"a\b", "x"]), key(&[r"a\'b", ""]), key(&["\\", "x"]), key(&["a", "x"])];
        page.scope = Scope::Keys(wanted.into());
        let batches = read(&source, page.clone()).await.unwrap();
        assert_eq!(texts(&batches, "id"), ["\\", r"a\'b", r"a\b"], "{name}");
        assert_eq!(texts(&batches, flow::REMOVED), ["true", "false", "true"], "{name}");
        page.scope = Scope::All;
        page.after = Some(flow::Position { watermark: None, key: key(&[r"a\'b", ""]) });
        assert_eq!(texts(&read(&source, page.clone()).await.unwrap(), "id"), [r"a\b"], "{name}");
        foreign.was_understood();
        page.after = None;
        for text in
            ["gone) OR (true", "true THEN true END OR CASE WHEN true", "", "gone; DELETE FROM t"]
        {
            page.scope = Scope::Where(text.to_owned());
            let error = read(&source, page.clone()).await.unwrap_err();
            assert_eq!(code(&error), "E1013", "{name}: {text}");
        }
    }
}

/// What is not there is refused, and what is not guarded is said.
#[tokio::test]
async fn what_a_dialect_does_not_have_is_refused() {
    let (slot, publication) = ("s".to_owned(), "p".to_owned());
    let log = Log { slot, publication, tables: Vec::new(), retained_bytes_max: None };
    for (other, name) in OTHERS {
        let foreign = Foreign::new(other, name).await;
        foreign.database.execute("CREATE TABLE t (id int PRIMARY KEY, at timestamptz)").await;
        let source = foreign.open(json!({}));
        let mut model = by(table("t", &["id"]), "at");
        let found = source.check(&model).await.unwrap().findings;
        let found: Vec<_> = found.iter().map(|finding| finding.code.id).collect();
        assert_eq!(found, ["E1082"], "{name}");
        let mut opened = source.read(request(&model)).await.unwrap();
        while opened.next().await.unwrap().is_some() {}
        assert_eq!(opened.mark(), None, "{name}: nothing tells what committed since");
        model.changes = Changes::Log(log.clone());
        let error = source.check(&model).await.unwrap_err();
        assert_eq!((code(&error), error.retry()), ("E1080", Retry::Never), "{name}");
        assert_eq!(code(&source.read(request(&model)).await.err().unwrap()), "E1080", "{name}");
        foreign.was_understood();
        if other != Other::Stranger {
            let source = foreign.open(json!({ "read_by": "copy" }));
            let error = source.check(&table("t", &["id"])).await.unwrap_err();
            assert_eq!(code(&error), "E1081", "{name}");
        }
    }
}

#[tokio::test]
async fn a_type_that_only_the_other_server_has_is_refused_with_what_to_do() {
    let foreign = Foreign::new(Other::Redshift, "redshift").await;
    foreign
        .database
        .execute("CREATE TYPE super AS ENUM ('a'); CREATE TABLE t (id int PRIMARY KEY, v super)")
        .await;
    let source = foreign.open(json!({}));
    let error = source.check(&table("t", &["id"])).await.unwrap_err();
    assert_eq!(code(&error), "E1015", "{error}");
    assert!(error.remedy().contains("varchar"), "{}", error.remedy());
    let cast = sql("SELECT id, v::varchar(9) AS v FROM t", &["id"]);
    assert_eq!(source.check(&cast).await.unwrap().columns.len(), 2);
}

/// R1 on servers that say nothing of transactions: what commits late is found by the lag, and by nothing else.
#[tokio::test]
async fn late_commits_are_found_by_the_lag_where_nothing_else_tells_them() {
    for (other, name) in OTHERS {
        let foreign = Foreign::new(other, name).await;
        let database = &foreign.database;
        database.execute("CREATE TABLE t (id int PRIMARY KEY, at timestamptz)").await;
        let source = foreign.open(json!({}));
        let model = by(table("t", &["id"]), "at");
        let late = database.client().await;
        late.batch_execute("BEGIN; INSERT INTO t VALUES (1, now())").await.unwrap();
        let clock = source.read(request(&model)).await.unwrap().opening().clock;
        let behind = if other == Other::Cockroach { 5_000_000 } else { 0 };
        late.batch_execute("COMMIT").await.unwrap();
        let since = async |from: i64| {
            let mut page = request(&model);
            page.scope = Scope::Since(flow::Watermark(from));
            texts(&read(&source, page).await.unwrap(), "id")
        };
        let (naive, lagged) = (since(clock.0 + behind).await, since(clock.0 - 300_000_000).await);
        assert!(naive.is_empty(), "{name}: the naive way loses it");
        assert_eq!(lagged, ["1"], "{name}");
    }
}

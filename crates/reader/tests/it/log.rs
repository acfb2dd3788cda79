//! The log method against a real slot: nothing that committed is lost, whatever it is, and memory stays small.

use std::collections::BTreeSet;

use flow::{Changes, Log, LogTable, Mark, Model, Scope, Source};
use reader::postgres::Postgres;
use std::sync::OnceLock;

use support::{Database, Setup};

use crate::warehouse::{code, open, request, sql, table};

/// A fresh database of a server whose commits are in the log when they are answered. A slot waits for transactions of the
/// whole server, so the other tests have another one.
async fn database(sql: &str) -> Database {
    static SERVER: OnceLock<support::Postgres> = OnceLock::new();
    let settings = "synchronous_commit = on\nstatement_timeout = '60s'\nmax_replication_slots = 50";
    let setup = Setup { settings: settings.to_owned(), ..Setup::default() };
    let database = SERVER.get_or_init(|| support::Postgres::start_with(&setup)).database("log");
    database.execute(sql).await;
    database
}

/// A sync's look at the warehouse: what it read, and what it keeps.
struct Follower {
    source: Postgres,
    model: Model,
    mark: Option<Mark>,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    keys: BTreeSet<String>,
    needs_all: bool,
    findings: Vec<&'static str>,
}

fn log(slot: &str) -> Log {
    let (slot, publication) = (slot.to_owned(), "p".to_owned());
    Log { slot, publication, tables: Vec::new(), retained_bytes_max: None }
}

impl Follower {
    /// Makes slot and publication, and reads every row as a first run does.
    async fn new(database: &Database, mut model: Model, tables: &str) -> Self {
        let slot = database.url.rsplit('/').next().unwrap().to_owned();
        let sql = format!(
            "CREATE PUBLICATION p FOR TABLE {tables}; SELECT pg_create_logical_replication_slot('{slot}', 'pgoutput')"
        );
        // A slot cannot be made in a transaction that has written.
        for statement in sql.split("; ") {
            database.execute(statement).await;
        }
        model.changes = Changes::Log(log(&slot));
        let mut follower = Self { source: open(&database.url), model, mark: None };
        follower.read_all().await;
        follower
    }

    async fn read_all(&mut self) {
        let mut read = self.source.read(request(&self.model)).await.unwrap();
        while read.next().await.unwrap().is_some() {}
        self.mark = read.mark();
    }

    /// What the log says since the mark; `keep` takes it as settled.
    async fn look(&mut self, keep: bool) -> flow::Result<Seen> {
        let mut page = request(&self.model);
        page.scope = Scope::Changed { from: None, mark: self.mark.clone().unwrap() };
        let mut read = self.source.read(page).await?;
        let mut seen = Seen::default();
        while let Some(batch) = read.next().await? {
            assert_eq!(batch.rows.num_rows(), 0, "the log gives keys, not rows");
            seen.keys.extend(read.changed().iter().map(|key| key.parts().join("|")));
        }
        seen.needs_all = read.needs_all();
        seen.findings = read.findings().iter().map(|finding| finding.code.id).collect();
        if keep {
            let mark = read.mark().unwrap();
            self.source.settled(&self.model, &mark).await?;
            self.mark = Some(mark);
        }
        Ok(seen)
    }

    /// The keys of the next settled read.
    async fn keys(&mut self) -> Vec<String> {
        let seen = self.look(true).await.unwrap();
        assert!(!seen.needs_all && seen.findings.is_empty(), "{seen:?}");
        seen.keys.into_iter().collect()
    }
}

async fn people() -> (Database, Follower) {
    let database = database(
        "CREATE TABLE t (id int PRIMARY KEY, name text); INSERT INTO t VALUES (1, 'a'), (2, 'b')",
    )
    .await;
    let follower = Follower::new(&database, table("t", &["id"]), "t").await;
    (database, follower)
}

#[tokio::test]
async fn what_is_not_settled_is_told_again_and_what_is_settled_is_not() {
    let (database, mut follower) = people().await;
    follower.look(true).await.unwrap();
    database.execute("UPDATE t SET name = 'x' WHERE id = 1; INSERT INTO t VALUES (3, 'c')").await;
    for _ in 0..2 {
        let seen = follower.look(false).await.unwrap();
        assert_eq!(seen.keys.into_iter().collect::<Vec<_>>(), ["1", "3"]);
    }
    assert_eq!(follower.keys().await, ["1", "3"]);
    assert!(follower.keys().await.is_empty());
    database.execute("DELETE FROM t WHERE id = 2; UPDATE t SET id = 4 WHERE id = 3").await;
    assert_eq!(follower.keys().await, ["2", "3", "4"], "deletes and both keys of a changed key");
}

#[tokio::test]
async fn late_commits_savepoints_and_prepared_transactions_come_when_they_commit_and_rollbacks_never()
 {
    let (database, mut follower) = people().await;
    let (late, rolled_back) = (database.client().await, database.client().await);
    late.batch_execute("BEGIN; SAVEPOINT a; INSERT INTO t VALUES (7); RELEASE a").await.unwrap();
    rolled_back.batch_execute("BEGIN; INSERT INTO t VALUES (8)").await.unwrap();
    database.execute("BEGIN; INSERT INTO t VALUES (9); PREPARE TRANSACTION 'log'").await;
    database.execute("INSERT INTO t VALUES (5)").await;
    assert_eq!(follower.keys().await, ["5"]);
    late.batch_execute("COMMIT").await.unwrap();
    rolled_back.batch_execute("ROLLBACK").await.unwrap();
    database.execute("COMMIT PREPARED 'log'").await;
    assert_eq!(follower.keys().await, ["7", "9"]);
}

#[tokio::test]
async fn a_large_transaction_comes_in_pieces() {
    // L2
    let (database, mut follower) = people().await;
    follower.look(true).await.unwrap();
    database
        .execute("INSERT INTO t SELECT i, repeat('x', 50) FROM generate_series(10, 50009) AS i")
        .await;
    let seen = follower.look(true).await.unwrap();
    assert_eq!((seen.keys.len(), seen.needs_all), (50_000, false));
}

#[tokio::test]
async fn keys_of_any_type_are_the_keys_of_the_rows() {
    let database = database(
        "CREATE TABLE t (a text, b numeric(10, 2), c timestamptz, d bytea, PRIMARY KEY (a, b, c, d)); \
         CREATE TABLE big (id uuid PRIMARY KEY, large text); ALTER TABLE big ALTER large SET STORAGE EXTERNAL",
    )
    .await;
    let model = table("t", &["a", "b", "c", "d"]);
    let mut follower = Follower::new(&database, model, "t").await;
    database
        .execute("INSERT INTO t VALUES (E'a\\'\\\\\"{,} \\u00e4', 1.50, '2026-01-01 01:00+02', '\\xff00'), ('', 0, 'infinity', '')")
        .await;
    let seen = follower.keys().await;
    let mut all = request(&follower.model);
    all.rows_max = Some(10);
    let batches = crate::warehouse::read(&follower.source, all).await.unwrap();
    let keys: Vec<_> = (0..2)
        .map(|row| {
            let columns: Vec<_> = batches[0].rows.columns()[..4].iter().collect();
            flow::Key::at(&columns, row).unwrap().parts().join("|")
        })
        .collect();
    assert_eq!(seen.iter().collect::<BTreeSet<_>>(), keys.iter().collect());
}

#[tokio::test]
async fn truncate_a_swap_and_a_lost_slot_ask_for_every_row() {
    let (database, mut follower) = people().await;
    follower.look(true).await.unwrap();
    database.execute("TRUNCATE t").await;
    let seen = follower.look(true).await.unwrap();
    assert_eq!((seen.needs_all, seen.findings), (true, vec!["E1067"]));

    // The swap takes the table out of the publication: hazards 21 to 23, and changes would stop silently.
    database
        .execute("CREATE TABLE n (LIKE t INCLUDING ALL); DROP TABLE t; ALTER TABLE n RENAME TO t")
        .await;
    let error = follower.look(true).await.unwrap_err();
    assert_eq!(code(&error), "E1033");
    assert!(
        error.remedy().contains("ALTER PUBLICATION p ADD TABLE public.t;"),
        "{}",
        error.remedy()
    );
    database.execute("INSERT INTO t VALUES (1)").await;
    let naive = "SELECT count(*) FROM pg_logical_slot_peek_binary_changes($1::text::name, NULL, NULL, \
        'proto_version', '1', 'publication_names', 'p') WHERE get_byte(data, 0) = 73";
    let slot = database.url.rsplit('/').next().unwrap().to_owned();
    let told: i64 = database.client().await.query_one(naive, &[&slot]).await.unwrap().get(0);
    assert_eq!(told, 0, "the naive way sees no change and no error");
    database.execute("ALTER PUBLICATION p ADD TABLE t").await;
    let seen = follower.look(true).await.unwrap();
    assert_eq!((seen.needs_all, seen.findings), (true, vec!["E1062"]));
    database.execute("INSERT INTO t VALUES (2)").await;
    assert_eq!(follower.keys().await, ["2"]);

    // Taken out and put back between two runs.
    database.execute("ALTER PUBLICATION p DROP TABLE t; INSERT INTO t VALUES (3); ALTER PUBLICATION p ADD TABLE t").await;
    assert!(follower.look(true).await.unwrap().needs_all);

    // A slot made anew.
    database.execute(&format!("SELECT pg_drop_replication_slot('{slot}')")).await;
    let error = follower.look(true).await.unwrap_err();
    assert_eq!(code(&error), "E1027");
    database.execute("INSERT INTO t VALUES (4)").await;
    database
        .execute(&format!("SELECT pg_create_logical_replication_slot('{slot}', 'pgoutput')"))
        .await;
    let seen = follower.look(true).await.unwrap();
    assert_eq!((seen.needs_all, seen.findings), (true, vec!["E1064"]));
}

const JOINED: &str = "SELECT c.number, u.email FROM incident c JOIN person u ON u.id = c.caller";

async fn incidents(tables: Vec<LogTable>) -> (Database, Follower) {
    let database = database(
        "CREATE TABLE person (id int PRIMARY KEY, email text); \
         CREATE TABLE incident (number text PRIMARY KEY, caller int); \
         INSERT INTO person VALUES (1, 'a'), (2, 'b'); INSERT INTO incident VALUES ('i1', 1), ('i2', 1), ('i3', 2)",
    )
    .await;
    let mut follower = Follower::new(&database, sql(JOINED, &["number"]), "person, incident").await;
    let Changes::Log(log) = &mut follower.model.changes else { panic!("a log") };
    log.tables = tables;
    follower.look(true).await.unwrap();
    (database, follower)
}

fn followed(name: &str, keys: Option<&str>) -> LogTable {
    LogTable { name: name.to_owned(), keys: keys.map(str::to_owned) }
}

#[tokio::test]
async fn a_change_of_a_joined_table_reaches_the_rows_of_the_model() {
    // Without `keys`: every row is read, which is said.
    let (database, mut follower) =
        incidents(vec![followed("incident", None), followed("person", None)]).await;
    let findings = follower.source.check(&follower.model).await.unwrap().findings;
    assert!(findings.iter().any(|finding| finding.code.id == "E1067"), "{findings:?}");
    database.execute("UPDATE incident SET caller = 2 WHERE number = 'i1'").await;
    assert_eq!(follower.keys().await, ["i1"], "the key's own table leads to its rows");
    database.execute("UPDATE person SET email = 'x' WHERE id = 1").await;
    let seen = follower.look(true).await.unwrap();
    assert_eq!((seen.needs_all, seen.findings), (true, vec!["E1067"]));

    // With `keys`: the rows themselves.
    let keys = "SELECT c.number FROM incident c JOIN changed ON changed.id = c.caller -- whose";
    let (database, mut follower) =
        incidents(vec![followed("incident", None), followed("person", Some(keys))]).await;
    database.execute("UPDATE person SET email = 'x' WHERE id = 1").await;
    assert_eq!(follower.keys().await, ["i1", "i2"]);
    database.execute("DELETE FROM person WHERE id = 2").await;
    assert_eq!(follower.keys().await, ["i3"], "it is gone from an inner join");
    assert!(
        follower
            .source
            .check(&follower.model)
            .await
            .unwrap()
            .findings
            .iter()
            .all(|f| f.code.id != "E1067")
    );

    for (keys, expected) in [
        ("SELECT c.number, 1 FROM incident c, changed", "E1037"),
        ("SELECT number FROM nowhere, changed", "E1010"),
        ("DELETE FROM incident", "E1013"),
        ("SELECT 1) AS k, (SELECT 2", "E1013"),
    ] {
        let Changes::Log(log) = &mut follower.model.changes else { panic!("a log") };
        log.tables[1].keys = Some(keys.to_owned());
        let error = follower.look(false).await.unwrap_err();
        assert_eq!(code(&error), expected, "{keys}: {error:?}");
    }
}

#[tokio::test]
async fn a_model_whose_rows_depend_on_other_rows_is_never_led_by_one_key() {
    for text in [
        "SELECT number, row_number() OVER (ORDER BY number) AS n FROM incident",
        "SELECT a.number, b.caller FROM incident a LEFT JOIN incident b ON b.number = 'i1'",
        "SELECT number, caller FROM incident ORDER BY number LIMIT 2",
    ] {
        let (database, mut follower) = incidents(Vec::new()).await;
        follower.model.relation = flow::Relation::Sql(text.to_owned());
        follower.read_all().await;
        follower.look(true).await.unwrap();
        database.execute("UPDATE incident SET caller = 2 WHERE number = 'i1'").await;
        assert!(follower.look(true).await.unwrap().needs_all, "{text}");
    }
}

#[tokio::test]
async fn everything_that_is_missing_is_named_at_once_with_the_statement_that_mends_it() {
    let database = database(
        "CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE u (id int); CREATE ROLE log_reader LOGIN PASSWORD 'x'; \
         GRANT SELECT ON t, u TO log_reader",
    )
    .await;
    let mut model = table("t", &["id"]);
    let slot = database.url.rsplit('/').next().unwrap().to_owned();
    let mut of = log(&slot);
    of.tables = vec![followed("t", None), followed("u", None), followed("v", None)];
    model.changes = Changes::Log(of.clone());
    let source = open(&database.url_as("log_reader", "x"));
    let error = source.check(&model).await.unwrap_err();
    for part in [
        "WITH REPLICATION",
        "pg_create_logical_replication_slot(",
        "ALTER ROLE log_reader WITH REPLICATION;",
        "CREATE PUBLICATION p FOR TABLE t, u, v;",
        "ALTER TABLE public.u REPLICA IDENTITY FULL;",
        "changes.tables",
    ] {
        assert!(error.remedy().contains(part), "{part}: {}", error.remedy());
    }
    database
        .execute("CREATE PUBLICATION p FOR TABLE t; ALTER ROLE log_reader WITH REPLICATION")
        .await;
    database
        .execute(&format!("SELECT pg_create_logical_replication_slot('{slot}', 'test_decoding')"))
        .await;
    let error = source.check(&model).await.unwrap_err();
    assert!(
        error.remedy().contains("ALTER PUBLICATION p ADD TABLE public.u;"),
        "{}",
        error.remedy()
    );
    of.tables = vec![followed("t", None)];
    model.changes = Changes::Log(of.clone());
    assert_eq!(code(&source.check(&model).await.unwrap_err()), "E1028");
    database.execute(&format!("SELECT pg_drop_replication_slot('{slot}')")).await;
    database
        .execute(&format!("SELECT pg_create_logical_replication_slot('{slot}', 'pgoutput')"))
        .await;
    let findings = async |retained_bytes_max| {
        let mut model = table("t", &["id"]);
        model.changes = Changes::Log(Log { retained_bytes_max, ..of.clone() });
        let found = source.check(&model).await.unwrap().findings;
        found.iter().map(|finding| finding.code.id).filter(|id| *id != "E1056").collect::<Vec<_>>()
    };
    assert_eq!(findings(None).await, ["E1038"], "the server has no limit, and the sync none");
    assert!(findings(Some(1 << 40)).await.is_empty());
    assert_eq!(findings(Some(1)).await, ["E1068"]);
    database.execute("ALTER PUBLICATION p SET TABLE t WHERE (id > 3)").await;
    assert_eq!(code(&source.check(&model).await.unwrap_err()), "E1034");
    database
        .execute("ALTER PUBLICATION p SET TABLE t; ALTER PUBLICATION p SET (publish = 'insert')")
        .await;
    assert_eq!(code(&source.check(&model).await.unwrap_err()), "E1034");
    database.execute(&format!("SELECT pg_drop_replication_slot('{slot}'); DROP OWNED BY log_reader; DROP ROLE log_reader")).await;
}

#[tokio::test]
async fn a_commit_that_is_in_the_log_and_not_visible_yet_is_waited_for() {
    // R1: with a synchronous standby that is slow, a row read again right away is still the old one.
    let setup = Setup { settings: "synchronous_commit = on".to_owned(), ..Setup::default() };
    let server = support::Postgres::start_with(&setup);
    let database = server.database("log");
    database
        .execute("CREATE TABLE t (id int PRIMARY KEY, name text); INSERT INTO t VALUES (1, 'old')")
        .await;
    let mut follower = Follower::new(&database, table("t", &["id"]), "t").await;
    follower.look(true).await.unwrap();
    let client = database.client().await;
    let standbys = async |value: &str| {
        client
            .batch_execute(&format!("ALTER SYSTEM SET synchronous_standby_names = '{value}'"))
            .await
            .unwrap();
        client.batch_execute("SELECT pg_reload_conf()").await.unwrap();
        let sql = "SELECT current_setting('synchronous_standby_names')";
        crate::warehouse::until("the setting is there", async || {
            client.query_one(sql, &[]).await.unwrap().get::<_, String>(0) == value
        })
        .await;
    };
    standbys("nobody").await;
    let writer = database.client().await;
    let writing =
        tokio::spawn(async move { writer.batch_execute("UPDATE t SET name = 'new'").await });
    let slot = database.url.rsplit('/').next().unwrap().to_owned();
    let told = "SELECT count(*) FROM pg_logical_slot_peek_binary_changes($1::text::name, NULL, NULL, \
        'proto_version', '1', 'publication_names', 'p') WHERE get_byte(data, 0) = 85";
    crate::warehouse::until("the change is in the log", async || {
        client.query_one(told, &[&slot]).await.unwrap().get::<_, i64>(0) == 1
    })
    .await;
    let name =
        async || -> String { client.query_one("SELECT name FROM t", &[]).await.unwrap().get(0) };
    assert_eq!(name().await, "old", "the naive way reads the old row, and the slot moves on");

    let looking = tokio::spawn(async move { follower.look(true).await.unwrap() });
    let waits =
        "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_current_snapshot()::text'";
    crate::warehouse::until("it asks what is visible", async || {
        client.query_one(waits, &[]).await.unwrap().get::<_, i64>(0) > 0
    })
    .await;
    assert!(!looking.is_finished());
    standbys("").await;
    assert_eq!(looking.await.unwrap().keys.into_iter().collect::<Vec<_>>(), ["1"]);
    assert_eq!(name().await, "new");
    writing.await.unwrap().unwrap();
}

//! Models: what cannot be read is refused by name, and nothing a model says can change the warehouse (R5, X4).

use flow::{Error, Scope, Source};
use serde_json::json;

use crate::warehouse::{
    by, code, column, database, open, read, read_all, request, sql, table, texts, try_open,
};

#[tokio::test]
async fn missing_things_are_named() {
    let database = database("CREATE TABLE \"Orders\" (\"Id\" int PRIMARY KEY, total int); CREATE INDEX i ON \"Orders\" (total)").await;
    let source = open(&database.url);
    let fails = async |model| -> Error {
        let error = source.check(&model).await.unwrap_err();
        let again = read(&source, request(&model)).await.unwrap_err();
        assert_eq!(error.code(), again.code());
        error
    };
    let error = fails(table("nowhere", &["id"])).await;
    assert_eq!(code(&error), "E1010");
    assert!(error.message().contains("nowhere"));
    let error = fails(table("no_schema.t", &["id"])).await;
    assert_eq!(code(&error), "E1010");
    let error = fails(table("Orders", &["Id"])).await;
    assert_eq!(code(&error), "E1010");
    assert!(error.remedy().contains("public.\"Orders\""), "{}", error.remedy());
    assert_eq!(code(&fails(table("i", &["total"])).await), "E1010");
    let error = fails(table("\"Orders\"", &["id"])).await;
    assert_eq!(code(&error), "E1011");
    assert!(error.remedy().contains("`Id`"), "{}", error.remedy());
    let error = fails(sql("SELECT a,\n  nothing FROM \"Orders\"", &["a"])).await;
    assert_eq!(code(&error), "E1011");
    assert!(error.message().contains("line 1, column 8"), "{error}");
    let error = fails(sql("SELECT 1 AS id FROM nowhere", &["id"])).await;
    assert_eq!(code(&error), "E1010");

    let mut page = request(&table("public.\"Orders\"", &["Id"]));
    page.columns = vec!["gone".to_owned()];
    let error = read(&source, page).await.unwrap_err();
    assert_eq!(code(&error), "E1011");
    assert!(error.message().contains("`gone`"));
}

#[tokio::test]
async fn an_empty_model_is_a_clean_end_with_a_schema() {
    let database = database("CREATE TABLE t (id int PRIMARY KEY, at timestamptz NOT NULL)").await;
    let source = open(&database.url);
    let mut read = source.read(request(&by(table("t", &["id"]), "at"))).await.unwrap();
    assert_eq!(read.opening().schema.fields().len(), 2);
    assert!(read.next().await.unwrap().is_none());
}

#[tokio::test]
async fn only_the_asked_columns_come_with_key_and_watermark() {
    let database = database(
        "CREATE TABLE t (secret text, id int PRIMARY KEY, at timestamptz NOT NULL, a int); \
         INSERT INTO t VALUES ('s', 1, now(), 7)",
    )
    .await;
    let source = open(&database.url);
    let model = by(table("t", &["id"]), "at");
    let mut page = request(&model);
    page.columns = vec!["a".to_owned(), "id".to_owned()];
    let batches = read(&source, page).await.unwrap();
    let mut names: Vec<_> =
        batches[0].rows.schema().fields().iter().map(|field| field.name().clone()).collect();
    names.sort();
    assert_eq!(names, ["a", "at", "id"]);
    let checked = source.check(&model).await.unwrap();
    let names: Vec<_> = checked.columns.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(names, ["secret", "id", "at", "a"]);
    assert_eq!(checked.columns[2].source_type, "timestamp with time zone");
}

#[tokio::test]
async fn a_role_reads_what_it_was_granted_and_hears_what_it_was_not() {
    let database = database(
        "CREATE SCHEMA hidden; CREATE TABLE hidden.t (id int PRIMARY KEY); \
         CREATE TABLE open (id int PRIMARY KEY); CREATE TABLE shut (id int PRIMARY KEY); \
         CREATE TABLE columns (id int PRIMARY KEY, a int, secret text); \
         CREATE VIEW pane AS SELECT id FROM shut; INSERT INTO shut VALUES (1); INSERT INTO columns VALUES (1, 2, 's'); \
         DROP ROLE IF EXISTS limited; CREATE ROLE limited LOGIN PASSWORD 'pw'; \
         GRANT SELECT ON open, pane TO limited; GRANT SELECT (id, a) ON columns TO limited; \
         GRANT INSERT ON open TO limited",
    )
    .await
    .url_as("limited", "pw");
    let source = open(&database);
    for name in ["shut", "hidden.t"] {
        let error = source.check(&table(name, &["id"])).await.unwrap_err();
        assert_eq!(code(&error), "E1012", "{name}");
        assert!(error.message().contains(name.rsplit('.').next_back().unwrap()), "{error}");
    }
    let error = source.check(&sql("SELECT id FROM shut", &["id"])).await.unwrap_err();
    assert_eq!(code(&error), "E1012");
    assert!(error.message().contains("shut"));

    // A view's owner reads the table below for us; that table we may not lock.
    assert_eq!(texts(&read_all(&source, &table("pane", &["id"])).await, "id"), ["1"]);
    let mut page = request(&table("columns", &["id"]));
    page.columns = vec!["a".to_owned()];
    assert_eq!(texts(&read(&source, page.clone()).await.unwrap(), "a"), ["2"]);
    page.columns = vec!["secret".to_owned()];
    assert_eq!(code(&read(&source, page).await.unwrap_err()), "E1012");

    let found = source.discover(None).await.unwrap();
    let names: Vec<_> = found.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["public.columns", "public.open", "public.pane"]);
    let findings = source.check(&table("open", &["id"])).await.unwrap().findings;
    let ids: Vec<_> = findings.iter().map(|finding| finding.code.id).collect();
    assert_eq!(ids, ["E1056"]);
    assert!(findings[0].message.contains("public.open"));
}

#[tokio::test]
async fn discover_lists_relations_and_describes_one() {
    let database = database(
        "CREATE TABLE t (id int PRIMARY KEY, \"Odd Name\" numeric(12,2)[]); CREATE VIEW v AS SELECT 1 AS one; \
         CREATE MATERIALIZED VIEW mv AS SELECT 2 AS two; CREATE SEQUENCE s",
    )
    .await;
    let source = open(&database.url);
    let names: Vec<_> =
        source.discover(None).await.unwrap().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["public.mv", "public.t", "public.v"]);
    let found = source.discover(Some(&table("t", &[]).relation)).await.unwrap();
    assert_eq!(found[0].0, "public.t");
    let columns: Vec<_> = found[0]
        .1
        .iter()
        .map(|column| (column.name.as_str(), column.source_type.as_str()))
        .collect();
    assert_eq!(columns, [("id", "integer"), ("Odd Name", "numeric(12,2)[]")]);
    assert_eq!(texts(&read_all(&source, &table("mv", &["two"])).await, "two"), ["2"]);
}

#[tokio::test]
async fn one_select_may_be_written_in_any_way() {
    let database =
        database("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1), (2)").await;
    let source = open(&database.url);
    for text in [
        "SELECT id FROM t",
        "SELECT id FROM t;",
        "SELECT id FROM t; -- every row; really",
        "-- first\nSELECT id FROM t -- last",
        "SELECT id FROM t /* a; /* b */ ; */ ;\n",
        "WITH x AS (SELECT id FROM t) SELECT id FROM x",
        "VALUES (1), (2)",
        "TABLE t",
        "(SELECT id FROM t)",
        "SELECT id FROM t ORDER BY id DESC LIMIT 2",
        "SELECT id FROM t WHERE ';' <> $$;--$$",
    ] {
        let id = if text.starts_with("VALUES") { "column1" } else { "id" };
        let batches = read_all(&source, &sql(text, &[id])).await;
        assert_eq!(texts(&batches, id), ["1", "2"], "{text}");
    }
}

#[tokio::test]
async fn nothing_but_one_select_is_run() {
    let database = database(
        "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1); CREATE SEQUENCE s; \
         CREATE FUNCTION sneaky() RETURNS int LANGUAGE plpgsql AS $$ BEGIN DELETE FROM t; RETURN 1; END $$; \
         CREATE FUNCTION opener() RETURNS int LANGUAGE plpgsql AS \
         $$ BEGIN SET TRANSACTION READ WRITE; DELETE FROM t; RETURN 1; END $$; \
         CREATE FUNCTION setter() RETURNS int LANGUAGE plpgsql AS \
         $$ BEGIN PERFORM set_config('transaction_read_only', 'off', true); DELETE FROM t; RETURN 1; END $$; \
         CREATE FUNCTION committer() RETURNS int LANGUAGE plpgsql AS \
         $$ BEGIN COMMIT; DELETE FROM t; RETURN 1; END $$",
    )
    .await;
    let source = open(&database.url);
    for (text, expected) in [
        ("", "E1013"),
        (" -- nothing\n;", "E1013"),
        ("SELECT 1 AS id; DELETE FROM t", "E1013"),
        ("SELECT 1 AS id; COMMIT; DELETE FROM t", "E1013"),
        ("COMMIT", "E1013"),
        ("DELETE FROM t", "E1013"),
        ("DELETE FROM t RETURNING id", "E1013"),
        ("INSERT INTO t VALUES (2) RETURNING id", "E1013"),
        ("SET TRANSACTION READ WRITE", "E1013"),
        ("DROP TABLE t", "E1013"),
        ("COPY t TO PROGRAM 'touch /tmp/outflow-was-here'", "E1013"),
        ("EXPLAIN ANALYZE DELETE FROM t", "E1013"),
        ("SELECT id FROM t WHERE id = $1", "E1013"),
        ("WITH x AS (DELETE FROM t RETURNING id) SELECT id FROM x", "E1014"),
        ("SELECT id FROM t FOR UPDATE", "E1014"),
        ("SELECT id INTO t2 FROM t", "E1013"),
        ("SELECT nextval('s') AS id", "E1014"),
        ("SELECT sneaky() AS id", "E1014"),
        ("SELECT opener() AS id", "E1014"),
        ("SELECT setter() AS id", "E1014"),
        ("SELECT 1 AS id) AS m; DELETE FROM t; SELECT * FROM (SELECT 1 AS id", "E1013"),
        ("SELECT 1 AS id) AS m) TO PROGRAM 'touch /tmp/outflow-was-here' --", "E1013"),
        ("SELECT 1 AS id) AS m /*", "E1013"),
        ("SELECT 1 AS id FROM t WHERE 'a", "E1013"),
        ("SELECT id FROM", "E1013"),
    ] {
        let error = read(&source, request(&sql(text, &["id"]))).await.expect_err(text);
        assert_eq!(code(&error), expected, "{text}: {error}");
    }
    assert!(read(&source, request(&sql("SELECT committer() AS id", &["id"]))).await.is_err());
    let left = database.client().await.query("SELECT id FROM t", &[]).await.unwrap();
    assert_eq!(left.len(), 1, "the row is still there");
    assert!(!std::path::Path::new("/tmp/outflow-was-here").exists());
}

#[tokio::test]
async fn a_condition_stays_inside_its_parentheses() {
    let database = database(
        "CREATE TABLE t (id int PRIMARY KEY, s text); INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, NULL)",
    )
    .await;
    let source = open(&database.url);
    let with = async |condition: &str| {
        let mut page = request(&table("t", &["id"]));
        page.scope = Scope::Where(condition.to_owned());
        page.after = Some(flow::Position { watermark: None, key: crate::warehouse::key(&["1"]) });
        read(&source, page).await
    };
    for (condition, expected) in [
        ("s IN ('a', 'b') -- both", &["2"][..]),
        ("true OR false", &["2", "3"][..]),
        ("m.s IS NULL", &["3"][..]),
    ] {
        assert_eq!(texts(&with(condition).await.unwrap(), "id"), expected, "{condition}");
    }
    for condition in [
        "",
        "-- all",
        "true) OR (true",
        "true; DELETE FROM t",
        "true) UNION SELECT 1, 'x' FROM t WHERE (true",
        "id",
        "true, true",
        "nothing = 1",
        "id = $1",
    ] {
        let error = with(condition).await.expect_err(condition);
        assert!(matches!(code(&error), "E1013" | "E1011"), "{condition}: {error}");
    }
}

#[tokio::test]
async fn errors_never_show_a_value_of_the_warehouse() {
    let database = database(
        "CREATE TABLE t (id int PRIMARY KEY, s text); INSERT INTO t VALUES (1, 'ada@x.io')",
    )
    .await;
    let source = open(&database.url);
    for (text, expected) in [
        ("SELECT s::int AS id FROM t", "E1022"),
        ("SELECT 1 / (id - 1) AS id FROM t", "E1022"),
        ("SELECT s::date AS id FROM t", "E1022"),
    ] {
        let error = read(&source, request(&sql(text, &["id"]))).await.unwrap_err();
        assert_eq!(code(&error), expected);
        assert!(!format!("{error} {error:?} {}", error.remedy()).contains("ada"), "{error:?}");
    }
}

#[tokio::test]
async fn bytes_that_are_no_text_fail_the_read_loudly() {
    let postgres = support::Postgres::shared();
    let admin = postgres.database("ascii");
    admin.execute("CREATE DATABASE sql_ascii ENCODING 'SQL_ASCII' TEMPLATE template0").await;
    let url = postgres.url("sql_ascii");
    support::connect(&url)
        .await
        .batch_execute("CREATE TABLE t (id int PRIMARY KEY, s text); INSERT INTO t VALUES (1, 'ok'), (2, E'bad \\xff')")
        .await
        .unwrap();
    let error = read(&open(&url), request(&table("t", &["id"]))).await.unwrap_err();
    assert_eq!(code(&error), "E1022");
}

#[tokio::test]
async fn a_query_carries_the_application_name_unless_told_otherwise() {
    let database = database("").await;
    let model = sql("SELECT 1 AS id, current_setting('application_name') AS app", &["id"]);
    let tagged = read_all(&open(&database.url), &model).await;
    assert_eq!(column(&tagged, "app"), [Some("outflow test".to_owned())]);
    let plain = try_open(&database.url, json!({ "query_tag": false })).unwrap();
    assert_eq!(texts(&read_all(&plain, &model).await, "app"), ["outflow"]);
}

#[tokio::test]
async fn wrong_options_are_refused_without_showing_secrets() {
    let url = "postgres://u:hunter2@db.example/x";
    for options in [
        json!({ "nonsense": 1 }),
        json!({ "tls": "maybe" }),
        json!({ "statement_timeout": "soon" }),
        json!({ "statement_timeout": "0s" }),
        json!({ "lock_timeout": 5 }),
        json!({ "batch_rows": 0 }),
        json!({ "ca_file": "/nowhere/ca.pem" }),
    ] {
        let error = try_open(url, options.clone()).unwrap_err();
        assert_eq!(code(&error), "E1001", "{options}");
        assert!(!format!("{error:?}").contains("hunter2"));
    }
    let source = try_open(url, json!({ "tls": "off" })).unwrap();
    assert!(!format!("{source:?}").contains("hunter2"));
}

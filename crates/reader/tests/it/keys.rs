//! Primary keys: duplicates, NULLs, canonical equality, and reading by key.

use std::collections::{BTreeSet, HashSet};

use flow::{Key, Model, Position, Scope, Source, Watermark};

use crate::warehouse::{
    by, code, column, database, key, last, open, read, read_all, request, sql, table, texts,
};

async fn duplicates(url: &str, model: &Model, scope: Scope) -> HashSet<Key> {
    let mut page = request(model);
    page.scope = scope;
    let read = open(url).read(page).await.unwrap();
    read.opening().duplicates.as_ref().clone()
}

#[tokio::test]
async fn duplicate_keys_are_found_in_the_snapshot_of_the_read() {
    let database = database(
        "CREATE TABLE t (a numeric, b text, at timestamptz); \
         INSERT INTO t VALUES (1, 'x', '2026-01-02'), (1.00, 'x', '2020-01-01'), (1, 'y', '2026-01-02'), \
         (2, 'x', '2020-01-01'), (2.0, 'x', '2020-01-01'), (NULL, 'x', '2026-01-02'), (NULL, 'x', '2026-01-02')",
    )
    .await;
    let model = by(table("t", &["a", "b"]), "at");
    let (one, two) = (key(&["1", "x"]), key(&["2", "x"]));
    let all = duplicates(&database.url, &model, Scope::All).await;
    assert_eq!(all, HashSet::from([one.clone(), two.clone()]));
    // The twin of (1, x) did not change, but it is a twin.
    let since = Scope::Since(Watermark(1_767_225_600_000_000));
    assert_eq!(duplicates(&database.url, &model, since).await, HashSet::from([one.clone()]));
    let named = Scope::Keys([two.clone()].into());
    assert_eq!(duplicates(&database.url, &model, named).await, HashSet::from([two]));
    let condition = Scope::Where("b = 'x' AND a < 2 -- the first".to_owned());
    assert_eq!(duplicates(&database.url, &model, condition).await, HashSet::from([one]));
}

#[tokio::test]
async fn a_unique_index_on_key_columns_is_trusted_and_anything_less_is_not() {
    let database = database(
        "CREATE TABLE guarded (a int NOT NULL, b int NOT NULL, PRIMARY KEY (a)); \
         CREATE TABLE partial (a int NOT NULL); CREATE UNIQUE INDEX ON partial (a) WHERE a > 1; \
         CREATE TABLE wider (a int NOT NULL, b int NOT NULL, UNIQUE (a, b)); \
         CREATE TABLE parent (a int PRIMARY KEY); CREATE TABLE child () INHERITS (parent); \
         INSERT INTO partial VALUES (1), (1); INSERT INTO wider VALUES (1, 1), (1, 2); \
         INSERT INTO parent VALUES (1); INSERT INTO child VALUES (1)",
    )
    .await;
    for (name, keys, expected) in [
        ("guarded", &["a", "b"][..], 0),
        ("partial", &["a"][..], 1),
        ("wider", &["a"][..], 1),
        ("parent", &["a"][..], 1),
    ] {
        let found = duplicates(&database.url, &table(name, keys), Scope::All).await;
        assert_eq!(found.len(), expected, "{name}");
    }
    let source = open(&database.url);
    let ids = async |name, keys| {
        let checked = source.check(&table(name, keys)).await.unwrap();
        checked.findings.iter().map(|finding| finding.code.id).collect::<Vec<_>>()
    };
    assert!(!ids("guarded", &["a", "b"]).await.contains(&"E1059"));
    assert!(ids("partial", &["a"]).await.contains(&"E1059"));
}

#[tokio::test]
async fn duplicates_and_rows_agree_on_what_a_key_is_for_every_type() {
    let database = database(
        "CREATE EXTENSION IF NOT EXISTS citext; CREATE TYPE mood AS ENUM ('b', 'a'); \
         CREATE COLLATION nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false)",
    )
    .await;
    for (kind, pair) in [
        ("numeric", ["1", "1.00"]),
        ("numeric(10,3)", ["1", "1.000"]),
        ("char(5)", ["a", "a  "]),
        ("float8", ["0", "-0"]),
        ("uuid", ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"]),
        ("timestamptz", ["2026-01-01 00:00+00", "2026-01-01 01:00+01"]),
        ("timestamptz", ["-infinity", "-infinity"]),
        ("date", ["0044-03-15 BC", "0044-03-15 BC"]),
        ("time", ["24:00", "24:00"]),
        ("text", ["naïve", "naïve"]),
        ("citext", ["x", "x"]),
        ("mood", ["b", "b"]),
        ("inet", ["10.0.0.1", "10.0.0.1"]),
        ("bytea", ["\\x00ff", "\\x00ff"]),
        ("bool", ["t", "true"]),
        ("oid", ["4000000000", "4000000000"]),
        ("text COLLATE nocase", ["x", "x"]),
    ] {
        database
            .execute(&format!(
                "DROP TABLE IF EXISTS t; CREATE TABLE t (k {kind}); INSERT INTO t VALUES ('{}'), ('{}')",
                pair[0], pair[1]
            ))
            .await;
        let model = table("t", &["k"]);
        let source = open(&database.url);
        let found = duplicates(&database.url, &model, Scope::All).await;
        let batches = read_all(&source, &model).await;
        let keys: HashSet<Key> =
            (0..2).map(|row| Key::at(&[batches[0].rows.column(0)], row).unwrap()).collect();
        assert_eq!(found, keys, "{kind}");
        // Reading by key, and going on after it, speak of the same rows.
        let mut page = request(&model);
        page.scope = Scope::Keys(keys.into_iter().collect());
        assert_eq!(column(&read(&source, page).await.unwrap(), "k").len(), 2, "{kind}");
        let mut page = request(&model);
        page.after = last(&batches);
        assert!(read(&source, page).await.unwrap().is_empty(), "{kind}");
    }
    // Equal for the collation, two rows for us.
    database.execute("DELETE FROM t; INSERT INTO t VALUES ('x'), ('X')").await;
    let model = table("t", &["k"]);
    assert!(duplicates(&database.url, &model, Scope::All).await.is_empty());
    let mut page = request(&model);
    page.scope = Scope::Keys([key(&["X"])].into());
    assert_eq!(texts(&read(&open(&database.url), page).await.unwrap(), "k"), ["X"]);
}

#[tokio::test]
async fn rows_without_a_key_come_last_and_are_not_skipped_by_going_on() {
    let database = database(
        "CREATE TABLE t (a int, b text, at timestamptz NOT NULL); \
         INSERT INTO t VALUES (1, 'x', '2026-01-01'), (1, NULL, '2026-01-01'), (NULL, 'x', '2026-01-01'), \
         (2, 'a', '2026-01-01'), (2, 'b', '2026-01-02'), (NULL, NULL, '2026-01-02')",
    )
    .await;
    let source = open(&database.url);
    for model in [by(table("t", &["a", "b"]), "at"), table("t", &["a", "b"])] {
        let whole = read_all(&source, &model).await;
        assert_eq!(column(&whole, "a").len(), 6);
        assert_eq!(last(&whole), None, "the last row has no key");
        // Going on after each row with a key gives exactly the rest.
        let rows = |batches: &[flow::Batch]| -> Vec<_> {
            column(batches, "a").into_iter().zip(column(batches, "b")).collect()
        };
        let all = rows(&whole);
        let at = column(&whole, "at");
        for (number, row) in all.iter().enumerate() {
            let (Some(a), Some(b)) = row else { continue };
            let micros = |text: &str| {
                if text.contains("-02") { 1_767_312_000_000_000 } else { 1_767_225_600_000_000 }
            };
            let watermark = match model.changes {
                flow::Changes::Snapshot | flow::Changes::Log(_) => None,
                flow::Changes::Watermark { .. } => {
                    at[number].as_deref().map(|text| Watermark(micros(text)))
                }
            };
            let mut page = request(&model);
            page.after = Some(Position { watermark, key: key(&[a, b]) });
            assert_eq!(rows(&read(&source, page).await.unwrap()), all[number + 1..]);
        }
    }
    let findings = source.check(&table("t", &["a"])).await.unwrap().findings;
    assert!(findings.iter().any(|finding| finding.code.id == "E1059"));
}

#[tokio::test]
async fn text_keys_are_ordered_by_bytes_in_any_collation() {
    let database = database(
        "CREATE TABLE t (id text COLLATE \"en-x-icu\" PRIMARY KEY); \
         INSERT INTO t VALUES ('a'), ('B'), ('b'), ('A'), ('ä'), (''), ('Z'), ('_')",
    )
    .await;
    let source = open(&database.url);
    let model = table("t", &["id"]);
    let mut ids = Vec::new();
    let mut page = request(&model);
    page.rows_max = Some(1);
    loop {
        let batches = read(&source, page.clone()).await.unwrap();
        let Some(position) = last(&batches) else { break };
        ids.extend(texts(&batches, "id"));
        page.after = Some(position);
    }
    assert_eq!(ids, ["", "A", "B", "Z", "_", "a", "b", "ä"]);
}

#[tokio::test]
async fn reading_by_key_gives_the_rows_that_exist() {
    let database = database(
        "CREATE TABLE t (a int, b text, PRIMARY KEY (a, b)); \
         INSERT INTO t SELECT i, 'it''s \"' || i || '\\' FROM generate_series(1, 5000) AS i",
    )
    .await;
    let source = open(&database.url);
    let model = table("t", &["a", "b"]);
    let keys: Vec<Key> =
        (4000..9000).map(|i| key(&[&i.to_string(), &format!("it's \"{i}\\")])).collect();
    let mut page = request(&model);
    page.scope = Scope::Keys(keys.into());
    let found: BTreeSet<String> =
        texts(&read(&source, page.clone()).await.unwrap(), "a").into_iter().collect();
    assert_eq!(found.len(), 1001);
    // No row of that type can have these keys.
    page.scope = Scope::Keys([key(&["x", "y"]), key(&["1"]), key(&["99999999999", "z"])].into());
    assert!(read(&source, page.clone()).await.unwrap().is_empty());
    page.scope = Scope::Keys([].into());
    assert!(read(&source, page).await.unwrap().is_empty());
}

#[tokio::test]
async fn keys_without_equality_are_refused() {
    let database =
        database("CREATE TABLE t (j json, b jsonb, a int[], x xml, p point, f float8)").await;
    let source = open(&database.url);
    for column in ["j", "b", "a", "x", "p"] {
        let error = source.check(&table("t", &[column])).await.unwrap_err();
        assert_eq!(code(&error), "E1018", "{column}");
        assert!(error.message().contains(column));
    }
    let findings = source.check(&table("t", &["f"])).await.unwrap().findings;
    assert!(findings.iter().any(|finding| finding.code.id == "E1058"));
}

#[tokio::test]
async fn a_key_that_is_none_is_refused_before_the_first_row() {
    let database = database("").await;
    let model = sql("SELECT i / 2 AS id FROM generate_series(0, 200003) AS i", &["id"]);
    let error = open(&database.url).read(request(&model)).await.err().unwrap();
    assert_eq!(code(&error), "E1019");
}

#[tokio::test]
async fn rows_come_in_the_order_of_their_keys_whatever_the_type_and_collation() {
    // R1; hazards 31 and 32: a ledger is merged with the read in this order, so a text key in the column's own collation,
    // or 1, 1.0 and 1.00 as three keys, would go wrong.
    let database = database(
        "CREATE EXTENSION IF NOT EXISTS citext; CREATE TYPE mood AS ENUM ('sad', 'ok', 'glad'); \
         CREATE DOMAIN cents AS numeric(12,2)",
    )
    .await;
    let words = "(ARRAY['a','B','b','A','ä','z','Z','_','-',' ','1','10','9','é','ß','~'])";
    let text = format!("{words}[1 + i % 16] || coalesce({words}[1 + i / 16 % 20], '') || i % 7");
    let moment = "timestamptz '2026-01-01' + (i % 3 - 1) * (i ^ 3)::int8 * interval '1 second' \
                  + (i % 5) * interval '100 ms'";
    let number = "((i % 2) * 2 - 1) * ((i * 7919) % 100003) / 10.0 ^ (i % 6)";
    let sorts: [(&str, &str, String); 19] = [
        ("int8", "", "(i % 2 * 2 - 1) * (i ^ 5)::int8".to_owned()),
        ("int4", "", "(i % 2 * 2 - 1) * i * 7919".to_owned()),
        ("oid", "", "(i::int8 * 7919 * 541)::oid".to_owned()),
        ("numeric", "", number.to_owned()),
        ("numeric(20,6)", "", number.to_owned()),
        ("cents", "", "(i - 300) / 8.0".to_owned()),
        ("float8", "", format!("({number})::float8 * 10 ^ (i % 40 - 20)")),
        ("float4", "", format!("({number})::float4")),
        ("text", "COLLATE \"en-x-icu\"", text.clone()),
        ("varchar(30)", "", text.clone()),
        ("char(9)", "", text.clone()),
        ("citext", "", format!("{text} || i")),
        ("mood", "", "(enum_range(NULL::mood))[1 + i % 3]".to_owned()),
        ("uuid", "", "md5(i::text)::uuid".to_owned()),
        ("bytea", "", "decode(left(md5(i::text), 2 * (i % 9)), 'hex')".to_owned()),
        ("timestamptz", "", moment.to_owned()),
        ("timestamp", "", moment.to_owned()),
        ("date", "", "date '2026-01-01' + (i % 3 - 1) * i * 997".to_owned()),
        ("time", "", "time '12:00' + (i % 7 - 3) * i * interval '1.5 second'".to_owned()),
    ];
    let extremes = [
        ("numeric", "'NaN', '1.00', '-0.000001'"),
        ("float8", "'NaN', 'Infinity', '-Infinity', '-0', '5e-324', '1.7e308'"),
        ("timestamptz", "'infinity', '-infinity', '4713-01-01 BC', '294276-12-31 23:59:59+00'"),
        ("date", "'infinity', '-infinity', '4713-01-01 BC', '5874897-12-31'"),
        ("time", "'24:00', '00:00'"),
    ];
    let source = open(&database.url);
    for (kind, collation, value) in &sorts {
        let more = extremes.iter().filter(|(other, _)| other == kind);
        let more: String = more
            .map(|(kind, values)| {
                let values = values.split(", ").map(|value| format!("({value}::{kind})"));
                format!(" UNION VALUES {}", values.collect::<Vec<_>>().join(", "))
            })
            .collect();
        database
            .execute(&format!(
                "DROP TABLE IF EXISTS t; CREATE TABLE t (k {kind} {collation}, n int); \
                 INSERT INTO t SELECT k, n FROM (SELECT DISTINCT ({value})::{kind} AS k \
                 FROM generate_series(1, 600) AS i {more}) AS keys, generate_series(9, 11) AS n"
            ))
            .await;
        for keys in [&["k"][..], &["k", "n"], &["n", "k"]] {
            let model = match keys {
                ["k"] => sql("SELECT * FROM t WHERE n = 9", keys),
                _ => table("t", keys),
            };
            check_order(&read_all(&source, &model).await, keys, kind);
        }
    }
}

/// Keys are ascending in the order that their columns' types tell, and none is taken for another type's.
#[track_caller]
fn check_order(batches: &[flow::Batch], keys: &[&str], kind: &str) {
    let schema = batches[0].rows.schema();
    let order = flow::KeyOrder::of(keys.iter().map(|name| schema.field_with_name(name).unwrap()));
    let (mut last, mut rows) = (None, 0);
    for batch in batches {
        let columns: Vec<_> =
            keys.iter().map(|name| batch.rows.column_by_name(name).unwrap()).collect();
        for row in 0..batch.rows.num_rows() {
            let Some(key) = Key::at(&columns, row) else { continue };
            let mut bytes = Vec::new();
            order.encode(&key, &mut bytes);
            assert!(
                last.is_none_or(|last| last < bytes),
                "{kind} by {keys:?}: {key} is not after the key before it"
            );
            assert_eq!(order.decode(&bytes), Some(key), "{kind}");
            last = Some(bytes);
            rows += 1;
        }
    }
    assert!(rows >= 3, "{kind}: {rows} rows");
}

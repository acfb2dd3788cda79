//! Every built-in type, its extremes included, against the server's own text of it.

use flow::Source;
use flow::arrow::array::{Array, AsArray};
use flow::arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int64Type,
    Time64MicrosecondType, TimeUnit, TimestampMicrosecondType,
};

use crate::warehouse::{
    code, column, database, open, read, read_all, read_both_ways, request, sql, texts,
};

/// Values of one type whose canonical text must be what `text` (SQL over `v`) makes of them.
fn same(kind: &'static str, text: &'static str, values: &'static [&'static str]) -> Case {
    Case { kind, text, values }
}

struct Case {
    kind: &'static str,
    text: &'static str,
    values: &'static [&'static str],
}

const SETUP: &str = "
CREATE EXTENSION IF NOT EXISTS citext;
CREATE EXTENSION IF NOT EXISTS hstore;
CREATE TYPE mood AS ENUM ('sad', 'o''k', 'très \"happy\"');
CREATE TYPE pair AS (a int, b text);
CREATE DOMAIN email AS text CHECK (VALUE LIKE '%@%');
CREATE DOMAIN cents AS numeric(12, 2);
CREATE DOMAIN moods AS mood[];
";

fn cases() -> Vec<Case> {
    [numbers_and_texts(), times_nets_and_shapes(), oddities(), made_types()]
        .into_iter()
        .flatten()
        .collect()
}

fn numbers_and_texts() -> Vec<Case> {
    vec![
        same("bool", "v::text", &["true", "false"]),
        same("int2", "v::text", &["-32768", "32767", "0"]),
        same("int4", "v::text", &["-2147483648", "2147483647"]),
        same("int8", "v::text", &["-9223372036854775808", "9223372036854775807"]),
        same("oid", "v::text", &["0", "4294967295"]),
        same("text", "v::text", &["", "plain", "naïve 🦀 \u{1}\u{1f}", "a\nb", "  padded  "]),
        same("varchar(12)", "v::text", &["", "exactly 12 c"]),
        same("char(6)", "v::text", &["", "ab", "abcdef", " a"]),
        same("name", "v::text", &["pg_class", ""]),
        same("json", "v::text", &[r#"{"b":1,  "a":[1.10,null],"a":2}"#, "\"\\u0041\"", "null"]),
        same("jsonb", "v::text", &[r#"{"b":1, "a":[1.10,null,"ü"]}"#, "1e3", "null"]),
        same(
            "uuid",
            "v::text",
            &["00000000-0000-0000-0000-000000000000", "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"],
        ),
        same(
            "numeric",
            "trim_scale(v)::text",
            &[
                "0",
                "-0.00",
                "1.00",
                "0.000100",
                "-12345678901234567890.123456789",
                "1e100",
                "1e-100",
                "NaN",
                "Infinity",
                "-Infinity",
                "9999",
                "10000",
                "100000000",
                "0.0001",
                "0.00001",
            ],
        ),
        same(
            "numeric(38,10)",
            "trim_scale(v)::text",
            &["0", "-9999999999999999999999999999.9999999999", "1.0000000001", "1e27"],
        ),
        same("numeric(39,1)", "trim_scale(v)::text", &["99999999999999999999999999999999999999.9"]),
        same("numeric(5,-3)", "trim_scale(v)::text", &["12345000", "-1499"]),
        same("numeric(2,5)", "trim_scale(v)::text", &["0.00099"]),
        same("cents", "trim_scale(v)::text", &["-0.05", "1234567890.12"]),
    ]
}

fn times_nets_and_shapes() -> Vec<Case> {
    vec![
        same("bytea", "encode(v, 'hex')", &["\\x", "\\x00ff10", "abc"]),
        same(
            "interval",
            "v::text",
            &["1 year 2 mons -3 days 04:05:06.789012", "-178000000 years", "0", "1 month -1 day"],
        ),
        same("timetz", "v::text", &["00:00:00+15:59", "24:00:00-15:59", "12:34:56.789012+02"]),
        same("money", "v::text", &["-92233720368547758.08", "0", "1234.5"]),
        same("bit(5)", "v::text", &["10101"]),
        same("varbit", "v::text", &["", "1", "101010101"]),
        same("inet", "v::text", &["192.168.0.1/24", "::1", "10.0.0.1"]),
        same("cidr", "v::text", &["10.0.0.0/8", "2001:db8::/32"]),
        same("macaddr", "v::text", &["08:00:2b:01:02:03"]),
        same("macaddr8", "v::text", &["08:00:2b:01:02:03:04:05"]),
        same("point", "v::text", &["(1.5,-0)"]),
        same("line", "v::text", &["{1,-1,0}"]),
        same("lseg", "v::text", &["[(0,0),(1,1)]"]),
        same("box", "v::text", &["(1,1),(0,0)"]),
        same("path", "v::text", &["((0,0),(1,1))", "[(0,0),(1,1)]"]),
        same("polygon", "v::text", &["((0,0),(1,1),(1,0))"]),
        same("circle", "v::text", &["<(0,0),2.5>"]),
    ]
}

fn oddities() -> Vec<Case> {
    vec![
        same("xml", "v::text", &["<a b=\"c\">ü</a>"]),
        same("tsvector", "v::text", &["'a':1A 'fat':2B,4C 'cat':5"]),
        same("tsquery", "v::text", &["fat & (rat | cat)"]),
        same("jsonpath", "v::text", &["$.a[*] ? (@ > 1)"]),
        same("pg_lsn", "v::text", &["16/B374D848"]),
        same("xid", "v::text", &["4294967295"]),
        same("xid8", "v::text", &["18446744073709551615"]),
        same("cid", "v::text", &["7"]),
        same("tid", "v::text", &["(42,7)"]),
        same("\"char\"", "v::text", &["x", ""]),
        same("regclass", "v::text", &["pg_class"]),
        same("regtype", "v::text", &["integer"]),
        same("int2vector", "v::text", &["1 2 3", ""]),
        same("oidvector", "v::text", &["1 2"]),
        same("pg_snapshot", "v::text", &["10:20:10,14,15"]),
    ]
}

fn made_types() -> Vec<Case> {
    vec![
        same("int4range", "v::text", &["[1,10)", "empty", "(,5]"]),
        same("tstzrange", "v::text", &["[2026-01-01 00:00+00,)"]),
        same("int4multirange", "v::text", &["{[1,3),[5,7)}", "{}"]),
        same("mood", "v::text", &["sad", "o'k", "très \"happy\""]),
        same("pair", "v::text", &["(1,\"a,b\")", "(,)"]),
        same("email", "v::text", &["ada@x.io"]),
        same("citext", "v::text", &["MiXed"]),
        same("hstore", "v::text", &["\"a\"=>\"1\", \"b\"=>NULL"]),
    ]
}

#[tokio::test]
async fn every_type_arrives_as_the_server_would_write_it() {
    let database = database(SETUP).await;
    let client = database.client().await;
    // A session of ours must not take these over.
    client
        .batch_execute(
            "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET timezone = ''America/New_York''', current_database()); \
             EXECUTE format('ALTER DATABASE %I SET datestyle = ''SQL, DMY''', current_database()); \
             EXECUTE format('ALTER DATABASE %I SET extra_float_digits = 0', current_database()); END $$",
        )
        .await
        .unwrap();
    for (number, case) in cases().iter().enumerate() {
        let name = format!("t{number}");
        client
            .batch_execute(&format!(
                "SET intervalstyle = 'iso_8601'; SET timezone = 'UTC'; SET datestyle = 'ISO, YMD'; \
                 CREATE TABLE {name} (id int PRIMARY KEY, v {})",
                case.kind
            ))
            .await
            .unwrap();
        for (id, value) in case.values.iter().enumerate() {
            let literal = value.replace('\'', "''");
            client
                .batch_execute(&format!("INSERT INTO {name} VALUES ({id}, '{literal}')"))
                .await
                .unwrap_or_else(|error| panic!("{} {value}: {error:?}", case.kind));
        }
        let expected = client
            .query(&format!("SELECT {} FROM {name} ORDER BY id", case.text), &[])
            .await
            .unwrap();
        let mut expected: Vec<Option<String>> =
            expected.iter().map(|row| Some(row.get(0))).collect();
        client.batch_execute(&format!("INSERT INTO {name} VALUES (99, NULL)")).await.unwrap();
        expected.push(None);
        let batches = read_both_ways(&database.url, &crate::warehouse::table(&name, &["id"])).await;
        assert_eq!(column(&batches, "v"), expected, "{}", case.kind);
        assert!(batches.iter().all(|batch| batch.faults.is_empty()), "{}", case.kind);
    }
}

#[tokio::test]
async fn numbers_and_times_are_exact_arrow_values() {
    let database = database("").await;
    let model = sql(
        "SELECT 1 AS id, '24:00'::time AS midnight, 'infinity'::date AS d1, '-infinity'::date AS d2, \
         '0044-03-15 BC'::date AS d3, 'infinity'::timestamptz AS t1, '-infinity'::timestamp AS t2, \
         '2026-01-05 10:00:02.869801+02'::timestamptz AS t3, '1969-12-31 23:59:59.999999'::timestamp AS t4, \
         '-0'::float8 AS f1, 'NaN'::float8 AS f2, '-Infinity'::float4 AS f3, 5e-324::float8 AS f4, \
         1234.50::numeric(12,2) AS n1, '4714-11-24 BC'::timestamp AS t5",
        &["id"],
    );
    let batches = read_both_ways(&database.url, &model).await;
    let rows = &batches[0].rows;
    let cell = |name: &str| rows.column_by_name(name).unwrap();
    let days = |name| cell(name).as_primitive::<Date32Type>().value(0);
    let micros = |name| cell(name).as_primitive::<TimestampMicrosecondType>().value(0);
    let float = |name| cell(name).as_primitive::<Float64Type>().value(0);
    assert_eq!(cell("midnight").as_primitive::<Time64MicrosecondType>().value(0), 86_400_000_000);
    assert_eq!((days("d1"), days("d2"), days("d3")), (i32::MAX, i32::MIN, -735_160));
    assert_eq!((micros("t1"), micros("t2")), (i64::MAX, i64::MIN));
    assert_eq!((micros("t3"), micros("t4")), (1_767_600_002_869_801, -1));
    assert_eq!(micros("t5"), -210_866_803_200_000_000);
    assert!(float("f1").is_sign_negative() && float("f1") == 0.0 && float("f2").is_nan());
    assert_eq!(cell("f3").as_primitive::<Float32Type>().value(0), f32::NEG_INFINITY);
    assert_eq!(float("f4"), 5e-324);
    assert_eq!(cell("n1").as_primitive::<Decimal128Type>().value(0), 123_450);
    assert_eq!(cell("n1").data_type(), &DataType::Decimal128(12, 2));
    let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    assert_eq!(cell("t3").data_type(), &utc);
    let field = rows.schema_ref().field_with_name("n1").unwrap().clone();
    assert_eq!(field.metadata()["source_type"], "numeric(12,2)");
}

#[tokio::test]
async fn what_arrow_cannot_hold_is_a_fault_of_its_cell() {
    let database = database(
        "CREATE TABLE t (id int PRIMARY KEY, n numeric(12,2), t timestamptz, a int[], d numeric(4,1)[]); \
         INSERT INTO t VALUES (1, 'NaN', now(), '{1}', '{1.5}'), (2, 1, '294276-12-31', '{1}', '{NaN}'), \
         (3, 2, now(), '{{1,2},{3,4}}', '{}'), (4, 3, now(), '[0:1]={1,2}', NULL), (5, 4, now(), '{}', '{1}')",
    )
    .await;
    let batches = read_both_ways(&database.url, &crate::warehouse::table("t", &["id"])).await;
    let faults: Vec<(usize, &str)> =
        batches[0].faults.iter().map(|fault| (fault.row, fault.column.as_str())).collect();
    assert_eq!(faults, [(0, "n"), (1, "t"), (1, "d"), (2, "a"), (3, "a")]);
    for fault in &batches[0].faults {
        assert!(batches[0].rows.column_by_name(&fault.column).unwrap().is_null(fault.row));
    }
    assert_eq!(batches[0].faults[0].reason, "NaN does not fit numeric(12,2)");
    assert_eq!(
        column(&batches, "a"),
        [Some("[1]"), Some("[1]"), None, None, Some("[]")].map(|v| v.map(str::to_owned))
    );
    assert_eq!(column(&batches, "n")[1..], ["1", "2", "3", "4"].map(|v| Some(v.to_owned())));
    assert_eq!(batches[0].rows.num_rows(), 5);
}

#[tokio::test]
async fn a_huge_value_is_a_fault_of_its_cell_and_the_rows_around_it_arrive() {
    // F23
    let database = database("").await;
    let model = sql(
        "SELECT id, repeat('x', CASE id WHEN 2 THEN 70000000 ELSE 3 END) AS s FROM generate_series(1, 3) AS id",
        &["id"],
    );
    let batches = read_both_ways(&database.url, &model).await;
    let rows: usize = batches.iter().map(|batch| batch.rows.num_rows()).sum();
    let faults: Vec<_> = batches.iter().flat_map(|batch| &batch.faults).collect();
    assert_eq!((rows, faults.len()), (3, 1));
    assert!(faults[0].column == "s" && !faults[0].reason.contains("xxx"), "{faults:?}");
}

#[tokio::test]
async fn arrays_are_lists_of_their_elements() {
    let database = database(SETUP).await;
    let model = sql(
        "SELECT 1 AS id, '{1,NULL,3}'::int8[] AS i, '{a,\"b,c\",NULL,\"\"}'::text[] AS t, \
         '{true,false}'::bool[] AS b, '{1.50,2}'::numeric(6,2)[] AS n, '{sad,o''k}'::mood[] AS m, \
         '{10.0.0.1,::1}'::inet[] AS net, '{2026-01-01}'::date[] AS d, '{\"{\\\"a\\\": 1}\"}'::jsonb[] AS j, \
         '{a@b}'::email[] AS e, '{sad}'::moods AS ms, NULL::int[] AS none, ARRAY[ROW(1,'x')::pair] AS p, \
         '{1 day}'::interval[] AS iv",
        &["id"],
    );
    let batches = read_both_ways(&database.url, &model).await;
    for (name, expected) in [
        ("i", "[1,null,3]"),
        ("t", r#"["a","b,c",null,""]"#),
        ("b", "[true,false]"),
        ("n", "[1.5,2]"),
        ("m", r#"["sad","o'k"]"#),
        ("net", r#"["10.0.0.1/32","::1/128"]"#),
        ("d", r#"["2026-01-01"]"#),
        ("j", r#"["{\"a\": 1}"]"#),
        ("e", r#"["a@b"]"#),
        ("ms", r#"["sad"]"#),
        ("p", r#"["(1,x)"]"#),
        ("iv", r#"["P1D"]"#),
    ] {
        assert_eq!(texts(&batches, name), [expected], "{name}");
    }
    assert_eq!(column(&batches, "none"), [None]);
    let list = batches[0].rows.column_by_name("i").unwrap().as_list::<i32>().value(0);
    assert_eq!(list.as_primitive::<Int64Type>().value(2), 3);
    assert!(list.is_null(1));
}

#[tokio::test]
async fn a_pseudo_type_is_refused_by_name_with_the_cast_to_write() {
    let database = database("").await;
    let source = open(&database.url);
    let model = sql("SELECT 1 AS id, most_common_vals AS common FROM pg_stats", &["id"]);
    let error = source.check(&model).await.unwrap_err();
    assert_eq!(code(&error), "E1015");
    assert!(
        error.message().contains("`common`") && error.message().contains("anyarray"),
        "{error}"
    );
    assert!(error.remedy().contains("common::text"));
}

#[tokio::test]
async fn many_columns_arrive_and_doubled_names_are_refused() {
    let database = database("").await;
    let source = open(&database.url);
    let wide: Vec<String> = (0..1600).map(|number| format!("{number} AS c{number}")).collect();
    let model = sql(&format!("SELECT {}", wide.join(", ")), &["c0"]);
    let batches = read_all(&source, &model).await;
    assert_eq!(batches[0].rows.num_columns(), 1600);
    assert_eq!(texts(&batches, "c1599"), ["1599"]);

    for text in ["SELECT 1 AS id, 2 AS id", "SELECT 1 AS id, 2, 3"] {
        let error = source.check(&sql(text, &["id"])).await.unwrap_err();
        assert_eq!(code(&error), "E1016", "{text}");
    }
    let error = read(&source, request(&sql("SELECT 1 AS id, 2 AS id", &["id"]))).await.unwrap_err();
    assert!(error.message().contains("`id`"));
}

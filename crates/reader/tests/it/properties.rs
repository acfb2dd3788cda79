//! Random tables of random types and values arrive as the server would write them, by COPY and by query, and as another
//! driver reads them.

use flow::Source;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::adbc::{ByDriver, postgres_driver};
use crate::warehouse::{column, database, read, request, table, try_open};

/// `char(n)` comes with its padding by the other driver; to PostgreSQL's own cast to text it is none.
const OURS_ALONE: [&str; 1] = ["char(20)"];

/// A type, how its canonical text is had in SQL, and literals of it.
fn kind() -> impl Strategy<Value = (&'static str, &'static str, Vec<Option<String>>)> {
    fn values(
        kind: &'static str,
        text: &'static str,
        value: BoxedStrategy<String>,
    ) -> BoxedStrategy<(&'static str, &'static str, Vec<Option<String>>)> {
        prop::collection::vec(prop::option::weighted(0.9, value), 12)
            .prop_map(move |v| (kind, text, v))
            .boxed()
    }
    let shown = |strategy: BoxedStrategy<i64>| strategy.prop_map(|v| v.to_string()).boxed();
    // Microseconds of the years 4713 BC to 9999 AD.
    let moments = (-210_866_803_200_000_000_i64..253_402_300_800_000_000)
        .prop_map(|micros| format!("{micros}"))
        .boxed();
    prop_oneof![
        values("int2", "v::text", shown((-32768_i64..32768).boxed())),
        values("int4", "v::text", shown((i64::from(i32::MIN)..=i64::from(i32::MAX)).boxed())),
        values("int8", "v::text", shown(any::<i64>().boxed())),
        values("bool", "v::text", any::<bool>().prop_map(|v| v.to_string()).boxed()),
        values("text", "v", "[^\u{0}]{0,40}".boxed()),
        values("varchar(20)", "v::text", "[^\u{0}]{0,20}".boxed()),
        values("char(20)", "v::text", "[^\u{0}]{0,20}".boxed()),
        values("numeric", "trim_scale(v)::text", "-?[0-9]{1,60}(\\.[0-9]{1,60})?".boxed()),
        values("numeric(38,12)", "trim_scale(v)::text", "-?[0-9]{1,26}(\\.[0-9]{1,12})?".boxed()),
        values("numeric(10,0)", "trim_scale(v)::text", "-?[0-9]{1,10}".boxed()),
        values("numeric(4,4)", "trim_scale(v)::text", "-?0\\.[0-9]{1,4}".boxed()),
        values(
            "float8",
            "trim_scale(v::text::numeric)::text",
            any::<f64>()
                .prop_filter("finite", |v| v.is_finite() && v.abs() < 1e14 && v.abs() > 1e-4)
                .prop_map(|v| v.to_string())
                .boxed()
        ),
        values(
            "uuid",
            "v::text",
            "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}".boxed()
        ),
        values("bytea", "encode(v, 'hex')", "\\\\x([0-9a-f]{2}){0,30}".boxed()),
        values("micros", "v::text", moments),
        values("date", "v::text", day().boxed()),
        values("time", "v::text", time().boxed()),
        values(
            "timestamp",
            "to_char(v, 'YYYY-MM-DD\"T\"HH24:MI:SS.US')",
            (day(), time()).prop_map(|(day, time)| format!("{day} {time}")).boxed()
        ),
        values(
            "timestamptz",
            "to_char(v, 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')",
            (day(), time()).prop_map(|(day, time)| format!("{day} {time}+00")).boxed()
        ),
        values(
            "jsonb",
            "v::text",
            "\\{\"[a-z]{1,3}\": (null|true|[1-9][0-9]{0,8}|\"[a-zé]{0,5}\"|\\[1, 2[.]50\\])\\}"
                .boxed()
        ),
        values(
            "int4[]",
            "array_to_json(v)::text",
            "\\{(-?[0-9]{1,9}|NULL)(,(-?[0-9]{1,9}|NULL)){0,5}\\}".boxed()
        ),
        values(
            "interval",
            "v::text",
            "[0-9]{1,4} mons -?[0-9]{1,5} days -?[0-9]{1,2}:[0-5][0-9]:[0-5][0-9]\\.[0-9]{6}"
                .boxed()
        ),
    ]
}

/// A day of four digits of years.
fn day() -> impl Strategy<Value = String> {
    "(0[1-9]|[1-9][0-9])[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])"
}

/// A time whose last microsecond is not 0.
fn time() -> impl Strategy<Value = String> {
    "([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\\.[0-9]{5}[1-9]"
}

#[test]
fn random_tables_arrive_as_the_server_would_write_them() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let database = runtime.block_on(database("CREATE DOMAIN micros AS bigint"));
    let client = runtime.block_on(database.client());
    let settings = "SET intervalstyle = 'iso_8601'; SET timezone = 'UTC'";
    runtime.block_on(client.batch_execute(settings)).unwrap();
    let driver = postgres_driver();
    let theirs = driver.map(|driver| ByDriver { driver, database: database.clone() }.open());
    let mut runner = TestRunner::new(Config { cases: 60, ..Config::default() });
    let columns = prop::collection::vec(kind(), 1..6);
    runner
        .run(&(columns, 1usize..20), |(columns, batch_rows)| {
            runtime.block_on(async {
                let defined: Vec<String> = columns
                    .iter()
                    .enumerate()
                    .map(|(n, (kind, ..))| format!("c{n} {kind}"))
                    .collect();
                client
                    .batch_execute(&format!(
                        "DROP TABLE IF EXISTS t; CREATE TABLE t (id int PRIMARY KEY, {})",
                        defined.join(", ")
                    ))
                    .await
                    .unwrap();
                for row in 0..12 {
                    let cells: Vec<String> = columns
                        .iter()
                        .map(|(_, _, values)| match &values[row] {
                            Some(value) => postgres_protocol::escape::escape_literal(value),
                            None => "NULL".to_owned(),
                        })
                        .collect();
                    let sql = format!("INSERT INTO t VALUES ({row}, {})", cells.join(", "));
                    client
                        .batch_execute(&sql)
                        .await
                        .unwrap_or_else(|error| panic!("{sql}: {error:?}"));
                }
                let by = |way| {
                    let options = serde_json::json!({ "batch_rows": batch_rows, "read_by": way });
                    try_open(&database.url, options).unwrap()
                };
                let batches = read(&by("copy"), request(&table("t", &["id"]))).await.unwrap();
                let again = read(&by("query"), request(&table("t", &["id"]))).await.unwrap();
                assert_eq!(batches.len(), again.len());
                for (copied, queried) in batches.iter().zip(&again) {
                    assert_eq!(copied.rows, queried.rows);
                }
                let driven = match &theirs {
                    Some(theirs) => Some(driven(theirs).await),
                    None => None,
                };
                for (number, (kind, text, _)) in columns.iter().enumerate() {
                    let text = text.replace("(v", &format!("(c{number}"));
                    let text = text.replace("v::", &format!("c{number}::"));
                    let text = if text == "v" { format!("c{number}") } else { text };
                    let rows =
                        client.query(&format!("SELECT {text} FROM t ORDER BY id"), &[]).await;
                    let rows = rows.unwrap_or_else(|error| panic!("{text}: {error:?}"));
                    let expected: Vec<Option<String>> = rows.iter().map(|row| row.get(0)).collect();
                    let read = column(&batches, &format!("c{number}"));
                    // Where two shortest texts are equally near, each side writes another one of the same number.
                    let same = |(a, b): (&Option<String>, &Option<String>)| match (a, b) {
                        (Some(a), Some(b)) if *kind == "float8" => {
                            a == b || a.parse::<f64>().ok() == b.parse::<f64>().ok()
                        }
                        _ => a == b,
                    };
                    assert!(read.iter().zip(&expected).all(same), "{kind}: {read:?} {expected:?}");
                    assert_eq!(read.len(), expected.len());
                    if let Some(driven) = driven.as_ref().filter(|_| !OURS_ALONE.contains(kind)) {
                        let theirs = column(driven, &format!("c{number}"));
                        assert_eq!(read, theirs, "{kind}, by the other driver");
                    }
                }
            });
            Ok(())
        })
        .unwrap();
}

/// The table by the other driver.
async fn driven(source: &reader::adbc::Adbc) -> Vec<flow::Batch> {
    let mut read = source.read(request(&table("t", &["id"]))).await.unwrap();
    let mut batches = Vec::new();
    while let Some(batch) = read.next().await.unwrap() {
        batches.push(batch);
    }
    batches
}

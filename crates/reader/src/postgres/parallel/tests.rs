//! Reads by several connections against a real server, in very small parts: the same rows in the same order as one
//! connection reads, one snapshot whatever is written meanwhile, and no end that is not one.

use std::sync::Arc;
use std::time::Duration;

use flow::{Batch, Changes, Model, Position, ReadRequest, Relation, Scope, Source, text_at};
use serde_json::json;
use support::{Database, Postgres as Server};

use super::*;
use crate::OpenArgs;
use crate::postgres::source::Work;

fn source(database: &Database, connections: usize) -> Postgres {
    let options = json!({
        "url": database.url, "tls": "off", "read_connections": connections, "batch_rows": 50,
    });
    let options = options.as_object().cloned().unwrap();
    let args = OpenArgs { application: "outflow parts".to_owned(), ..OpenArgs::new("w", options) };
    Postgres::open(args).unwrap()
}

fn model(relation: Relation, key: &[&str], watermark: Option<&str>) -> Arc<Model> {
    let changes = watermark.map_or(Changes::Snapshot, |column| Changes::Watermark {
        column: column.to_owned(),
        lag_micros: 0,
    });
    let primary_key = key.iter().map(|name| (*name).to_owned()).collect();
    Arc::new(Model { relation, primary_key, changes, removed_when: None })
}

fn table(name: &str, key: &[&str], watermark: Option<&str>) -> Arc<Model> {
    model(Relation::Table(name.to_owned()), key, watermark)
}

fn request(model: &Arc<Model>, scope: Scope, after: Option<Position>) -> ReadRequest {
    let model = Arc::clone(model);
    ReadRequest { model, columns: Vec::new(), scope, after, rows_max: None }
}

async fn all(source: &Postgres, request: ReadRequest) -> Result<Vec<Batch>> {
    let mut read = source.read(request).await?;
    let mut batches = Vec::new();
    while let Some(batch) = read.next().await? {
        batches.push(batch);
    }
    Ok(batches)
}

/// Every row's cells, and the place of every batch's end.
fn shown(batches: &[Batch], names: &[&str]) -> Vec<String> {
    let rows = batches.iter().flat_map(|batch| {
        (0..batch.rows.num_rows()).map(|row| {
            let cell = |name: &&str| {
                let column = batch.rows.column_by_name(name).unwrap();
                if column.is_null(row) {
                    "∅".to_owned()
                } else {
                    text_at(column, row).into_owned()
                }
            };
            names.iter().map(cell).collect::<Vec<_>>().join(" | ")
        })
    });
    rows.collect()
}

async fn database(sql: &str) -> Database {
    let database = Server::shared().database("parts");
    database.execute(sql).await;
    database
}

/// The statement of a table of these columns with so many rows, in no order.
fn filled(name: &str, columns: &str, rows: u32) -> String {
    format!(
        "CREATE TABLE {name} AS SELECT {columns}, repeat('x', 60) AS pad \
           FROM generate_series(1, {rows}) AS i ORDER BY md5(i::text); ANALYZE {name};"
    )
}

/// How many parts a read has.
async fn parts(source: &Postgres, request: &ReadRequest) -> usize {
    let background = TaskTracker::new();
    let (_, work) = source.open_read(request, background.clone()).await.unwrap();
    let Work::Rows(plan) = work else { panic!("rows are read") };
    assert!(plan.connections == plan.about.parts.len().min(4), "as many connections as asked");
    plan.about.parts.len()
}

#[tokio::test]
async fn several_connections_read_what_one_reads_in_the_same_order() {
    // Keys of many types, doubled, NULL, composite; watermarks that are equal, NULL and infinite.
    let columns = "i AS id, (i % 7) || '·' || i AS name, CASE WHEN i % 11 > 0 THEN i END AS maybe, \
        i % 40 AS few, CASE WHEN i % 13 > 0 THEN (i % 90)::numeric / 7 END AS number, \
        md5(i::text)::uuid AS u, CASE i % 17 WHEN 0 THEN NULL WHEN 1 THEN '-infinity' \
            WHEN 2 THEN 'infinity' ELSE '2026-01-01'::timestamptz + i % 300 * interval '1 s' END AS at, \
        CASE WHEN i % 19 = 0 THEN 'NaN'::float8 ELSE i::float8 / 3 END AS real";
    let keyed = "ALTER TABLE k ADD PRIMARY KEY (id, u); CREATE INDEX ON k (at, id)";
    let database =
        database(&format!("{}{}{keyed}", filled("t", columns, 1500), filled("k", columns, 1500)))
            .await;
    let (one, several) = (source(&database, 1), source(&database, 4));
    let sql =
        model(Relation::Sql("SELECT * FROM t WHERE few <> 3 -- so".to_owned()), &["id"], None);
    let keys: [&[&str]; 8] = [
        &["id"],
        &["name"],
        &["maybe"],
        &["few", "maybe"],
        &["maybe", "number", "u"],
        &["number", "id"],
        &["real", "id"],
        &["u"],
    ];
    let by_key = keys.map(|key| (table("t", key, None), key));
    let by_watermark = keys.map(|key| (table("t", key, Some("at")), key));
    let others: [(Arc<Model>, &[&str]); 3] = [
        (sql, &["id"]),
        (table("k", &["id", "u"], None), &["id", "u"]),
        (table("k", &["id", "u"], Some("at")), &["id", "u"]),
    ];
    for (model, key) in by_key.into_iter().chain(by_watermark).chain(others) {
        let whole = request(&model, Scope::All, None);
        assert!(parts(&several, &whole).await > 10, "{key:?}");
        let expected = all(&one, whole.clone()).await.unwrap();
        let found = all(&several, whole).await.unwrap();
        assert_same(&found, &expected, key);
        assert!(found.len() > expected.len(), "it was read in parts");
        // And from any place of it on.
        for after in expected.iter().step_by(13).filter_map(|batch| batch.last.clone()) {
            let rest = request(&model, Scope::All, Some(after));
            let expected = all(&one, rest.clone()).await.unwrap();
            assert_same(&all(&several, rest).await.unwrap(), &expected, key);
        }
    }
    let model = table("k", &["id", "u"], Some("at"));
    let since = Scope::Since(flow::Watermark(1_767_225_600_000_000 + 60_000_000));
    let since = request(&model, since, None);
    assert!(parts(&several, &since).await > 10);
    let expected = all(&one, since.clone()).await.unwrap();
    assert_same(&all(&several, since).await.unwrap(), &expected, &["id", "u"]);
}

/// The same rows in the same order; the order of rows with the same key is nobody's.
#[track_caller]
fn assert_same(found: &[Batch], expected: &[Batch], key: &[&str]) {
    assert_eq!(shown(found, key), shown(expected, key), "{key:?}");
    let rows = |batches| {
        let mut rows = shown(batches, &["id", "maybe", "number", "at", "pad"]);
        rows.sort_unstable();
        rows
    };
    assert_eq!(rows(found), rows(expected), "{key:?}");
}

/// Moves rows from one end of both orders to the other, and money between rows, in one transaction each.
async fn write(database: Database, stop: Arc<std::sync::atomic::AtomicBool>, salt: u32) {
    let client = database.client().await;
    let mut n = salt;
    while !stop.load(std::sync::atomic::Ordering::Relaxed) {
        n = n.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let (from, to) = (1 + n % 1000, 1 + (n >> 10) % 1000);
        let sql = format!(
            "BEGIN; UPDATE t SET id = -id, at = '2026-01-01'::timestamptz - (at - '2026-01-01'), \
               money = money - 1 WHERE abs(id) = {from}; \
             UPDATE t SET id = -id, at = '2026-01-01'::timestamptz - (at - '2026-01-01'), \
               money = money + 1 WHERE abs(id) = {to}; COMMIT"
        );
        if client.batch_execute(&sql).await.is_err() {
            let _ = client.batch_execute("ROLLBACK").await;
        }
    }
}

/// Hazard 26, R1, R2: rows that change their place while they are read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_move_between_parts_are_neither_lost_nor_doubled_and_without_one_snapshot_they_are()
 {
    let columns = "CASE WHEN i % 2 = 0 THEN i ELSE -i END AS id, 100 AS money, '2026-01-01'::timestamptz + \
           CASE WHEN i % 2 = 0 THEN i ELSE -i END * interval '1 s' AS at";
    let database = database(&format!(
        "{} ALTER TABLE t ADD PRIMARY KEY (id); ALTER TABLE t ALTER at SET NOT NULL; \
           CREATE INDEX ON t (at, id); CREATE INDEX ON t (abs(id))",
        filled("t", columns, 1000)
    ))
    .await;
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let writers: Vec<_> =
        (1..4).map(|salt| tokio::spawn(write(database.clone(), Arc::clone(&stop), salt))).collect();

    let several = source(&database, 4);
    for round in 0..10 {
        let model = table("t", &["id"], (round % 2 == 0).then_some("at"));
        assert!(parts(&several, &request(&model, Scope::All, None)).await > 10);
        let batches = all(&several, request(&model, Scope::All, None)).await.unwrap();
        let numbers = |name: &str| -> Vec<i64> {
            shown(&batches, &[name]).iter().map(|text| text.parse().unwrap()).collect()
        };
        let mut ids: Vec<i64> = numbers("id").into_iter().map(i64::abs).collect();
        ids.sort_unstable();
        assert_eq!(ids, (1..=1000).collect::<Vec<_>>(), "every row once");
        assert_eq!(numbers("money").iter().sum::<i64>(), 100_000, "as of one moment");
    }

    // The naive way: the same two halves, each connection with a snapshot of its own.
    let naive = tokio::time::timeout(Duration::from_secs(60), async {
        let (mut lost, mut doubled) = (false, false);
        while !(lost && doubled) {
            let mut ids = Vec::new();
            for half in ["id < 0", "id > 0"] {
                let client = database.client().await;
                let sql = format!("SELECT abs(id) FROM t WHERE {half}");
                let rows = client.query(&sql, &[]).await.unwrap();
                ids.extend(rows.iter().map(|row| row.get::<_, i32>(0)));
            }
            ids.sort_unstable();
            doubled |= ids.windows(2).any(|pair| pair[0] == pair[1]);
            ids.dedup();
            lost |= ids.len() < 1000;
        }
    });
    naive.await.expect("the naive way loses and doubles rows");
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    for writer in writers {
        writer.await.unwrap();
    }
}

async fn sessions(database: &Database) -> Vec<i32> {
    let sql = "SELECT pid FROM pg_stat_activity WHERE application_name = 'outflow parts' \
        AND datname = current_database() ORDER BY backend_start";
    let rows = database.client().await.query(sql, &[]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

/// Polls until there are so many sessions.
async fn sessions_are(database: &Database, count: usize) -> Vec<i32> {
    let wait = async {
        loop {
            let found = sessions(database).await;
            if found.len() == count {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wait).await.expect("so many sessions")
}

async fn terminate(database: &Database, pid: i32) {
    let client = database.client().await;
    client.execute("SELECT pg_terminate_backend($1, 10000)", &[&pid]).await.unwrap();
}

/// R2, R3: a cut part goes on in the same snapshot, whichever connection it was, and the read is still one of everything.
#[tokio::test]
async fn a_cut_connection_goes_on_in_the_same_snapshot() {
    let keyed = "ALTER TABLE t ADD PRIMARY KEY (id)";
    let database = database(&format!("{}{keyed}", filled("t", "i AS id", 20_000))).await;
    let several = source(&database, 3);
    let model = table("t", &["id"], None);
    for victim in 0..3 {
        let mut read = several.read(request(&model, Scope::All, None)).await.unwrap();
        let mut batches = vec![read.next().await.unwrap().unwrap()];
        let pids = sessions_are(&database, 3).await;
        // What is committed after the snapshot is not in it.
        database.execute("DELETE FROM t WHERE id % 2 = 0; INSERT INTO t VALUES (-1, '')").await;
        terminate(&database, pids[victim]).await;
        while let Some(batch) = read.next().await.unwrap() {
            batches.push(batch);
        }
        let ids: Vec<String> = (1..=20_000).map(|id| id.to_string()).collect();
        assert_eq!(shown(&batches, &["id"]), ids, "victim {victim}");
        let restored = "DELETE FROM t WHERE id < 0; INSERT INTO t SELECT i, repeat('x', 60) \
            FROM generate_series(2, 20000, 2) AS i";
        database.execute(restored).await;
    }
    // When all of them are gone, so is the snapshot.
    let mut read = several.read(request(&model, Scope::All, None)).await.unwrap();
    read.next().await.unwrap();
    for pid in sessions_are(&database, 3).await {
        terminate(&database, pid).await;
    }
    let error = loop {
        match read.next().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("a clean end"),
            Err(error) => break error,
        }
    };
    assert_eq!((error.code().id, error.retry()), ("E1005", Retry::Backoff));
    assert!(read.next().await.is_err(), "an error is not followed by an end");
    sessions_are(&database, 0).await;
}

/// L4: nothing is left of a read that nobody wants any more.
#[tokio::test]
async fn dropping_a_read_ends_all_its_connections() {
    let keyed = "ALTER TABLE t ADD PRIMARY KEY (id)";
    let database = database(&format!("{}{keyed}", filled("t", "i AS id", 20_000))).await;
    let mut read = source(&database, 4)
        .read(request(&table("t", &["id"], None), Scope::All, None))
        .await
        .unwrap();
    read.next().await.unwrap();
    sessions_are(&database, 4).await;
    drop(read);
    sessions_are(&database, 0).await;
}

const SWAP: &str = "CREATE TABLE n AS SELECT * FROM t WHERE id < 10; ALTER TABLE t RENAME TO o; \
    ALTER TABLE n RENAME TO t";

/// R2: whoever rebuilds waits for the read; a connection that comes after him is not waited for.
#[tokio::test]
async fn a_swap_during_the_read_waits_and_holds_nobody_up() {
    let keyed = "ALTER TABLE t ADD PRIMARY KEY (id)";
    let database = database(&format!("{}{keyed}", filled("t", "i AS id", 20_000))).await;
    let several = source(&database, 2);
    let whole = request(&table("t", &["id"], None), Scope::All, None);
    let background = TaskTracker::new();
    let (_, work) = several.open_read(&whole, background.clone()).await.unwrap();
    let Work::Rows(plan) = work else { panic!("rows are read") };
    // The first connection has its locks; the swap comes before the second asks for them.
    let swapping = database.client().await;
    let swap = tokio::spawn(async move {
        swapping.batch_execute(&format!("BEGIN; {SWAP}; COMMIT")).await.unwrap();
    });
    let client = database.client().await;
    let waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 't'::regclass";
    while client.query_one(waits, &[]).await.unwrap().get::<_, i64>(0) == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let (rows, findings) = pumped(several, *plan).await.unwrap();
    assert_eq!((rows, findings), (20_000, vec!["E1070"]));
    swap.await.unwrap();
}

/// R2, hazard 21: where nothing can be locked, a swap is noticed. Without the look at the generation the read has an end.
#[tokio::test]
async fn a_swap_that_no_lock_prevents_is_refused() {
    let keyed = "ALTER TABLE t ADD PRIMARY KEY (id)";
    let database = database(&format!("{}{keyed}", filled("t", "i AS id", 20_000))).await;
    for look in [true, false] {
        let several = source(&database, 2);
        let whole = request(&table("t", &["id"], None), Scope::All, None);
        let (_, work) = several.open_read(&whole, TaskTracker::new()).await.unwrap();
        let Work::Rows(mut plan) = work else { panic!("rows are read") };
        // The same snapshot without its locks.
        let name = plan.session.export_snapshot().await.unwrap();
        let mut session = several.connect(TaskTracker::new()).await.unwrap();
        session.begin_reading_with(&name, &[]).await.unwrap();
        std::mem::replace(&mut plan.session, session).commit().await.unwrap();
        plan.about.lock.clear();
        if !look {
            plan.about.tables.clear();
            plan.about.generation.clear();
        }
        database.execute(SWAP).await;
        match (look, pumped(several, *plan).await) {
            (true, Err(error)) => {
                assert_eq!((error.code().id, error.retry()), ("E1020", Retry::Backoff));
            }
            (false, Ok((rows, _))) => assert_eq!(rows, 0, "the naive way reads nothing, cleanly"),
            (_, other) => panic!("{look}: {other:?}"),
        }
        database.execute("DROP TABLE t; ALTER TABLE o RENAME TO t").await;
    }
}

/// Rows and findings of a plan that is read to its end.
async fn pumped(source: Postgres, plan: Plan) -> Result<(usize, Vec<&'static str>)> {
    let (sender, mut events) = mpsc::channel::<Result<Event>>(2);
    let several = Several { source, background: TaskTracker::new() };
    let count = async {
        let (mut rows, mut findings) = (0, Vec::new());
        while let Some(event) = events.recv().await {
            match event.unwrap() {
                Event::Batch(batch) => rows += batch.rows.num_rows(),
                Event::Finding(finding) => findings.push(finding.code.id),
                _ => panic!("nothing else"),
            }
        }
        (rows, findings)
    };
    let (read, counted) = tokio::join!(
        async {
            let read = several.read(plan, &sender).await;
            drop(sender);
            read
        },
        count
    );
    read.map(|()| counted)
}

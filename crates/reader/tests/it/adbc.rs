//! Real ADBC drivers: DuckDB from npm, SQLite and PostgreSQL from PyPI; each holds what every source holds.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use adbc_core::options::{AdbcVersion, OptionDatabase, OptionValue};
use adbc_core::sync::{Connection as _, Database as _, Driver as _, Statement as _};
use adbc_driver_manager::ManagedDriver;
use async_trait::async_trait;
use flow::{Changes, Model, ReadRequest, Relation, Result, Scope, Source, text_at};
use reader::OpenArgs;
use reader::adbc::Adbc;
use serde_json::{Value, json};
use support::{Database, borrowed};
use tokio::time::Instant;

use crate::conformance::{Kind, Subject, Table, column, holds, make_in_postgres, statements};

/// Where the drivers are kept between runs.
const KEPT: &str = env!("CARGO_TARGET_TMPDIR");

/// A driver's library, as packed by PyPI.
fn wheel(package: &'static str, make: fn(&Path) -> Result<(), String>) -> Option<PathBuf> {
    let dir = borrowed::once(Path::new(KEPT), package, make)?;
    find(&dir, "lib").into_iter().find(|path| path.to_string_lossy().contains("adbc_driver"))
}

fn find(dir: &Path, prefix: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if path.is_dir() {
            found.extend(find(&path, prefix));
        } else if name.starts_with(prefix) && name.contains(".so") {
            found.push(path);
        }
    }
    found
}

fn unpacked(dir: &Path, package: &str) -> Result<(), String> {
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"];
    let patience = ["--retries", "1", "--timeout", "15", "--break-system-packages", "--target"];
    borrowed::command(Command::new("python3").args(pip).args(patience).arg(dir).arg(package))
}

fn sqlite_driver() -> Option<PathBuf> {
    wheel("adbc-driver-sqlite", |dir| unpacked(dir, "adbc-driver-sqlite==1.*"))
}

pub(crate) fn postgres_driver() -> Option<PathBuf> {
    wheel("adbc-driver-postgresql", |dir| unpacked(dir, "adbc-driver-postgresql==1.*"))
}

fn duckdb_driver() -> Option<PathBuf> {
    let dir = borrowed::once(Path::new(KEPT), "duckdb-node-bindings", |dir| {
        let npm = ["pack", "--silent", "@duckdb/node-bindings-linux-x64"];
        borrowed::command(Command::new("npm").args(npm).current_dir(dir))?;
        let packed = std::fs::read_dir(dir).into_iter().flatten().flatten();
        let packed = packed.map(|entry| entry.path()).find(|path| path.extension().is_some());
        let packed = packed.ok_or_else(|| "npm packed nothing".to_owned())?;
        borrowed::command(Command::new("tar").arg("-xzf").arg(packed).current_dir(dir))
    })?;
    find(&dir, "libduckdb").pop()
}

fn open(options: Value) -> Adbc {
    Adbc::open(OpenArgs::new("warehouse", options.as_object().cloned().unwrap())).unwrap()
}

/// Runs statements in a database file, and closes it.
fn execute(driver: &Path, entrypoint: Option<&str>, (key, file): (&str, &Path), sql: &[String]) {
    let entrypoint = entrypoint.map(str::as_bytes);
    let mut driver =
        ManagedDriver::load_dynamic_from_filename(driver, entrypoint, AdbcVersion::V110).unwrap();
    let value = OptionValue::from(file.to_str().unwrap());
    let database = driver.new_database_with_opts([(OptionDatabase::from(key), value)]).unwrap();
    let mut connection = database.new_connection().unwrap();
    for sql in sql {
        let mut statement = connection.new_statement().unwrap();
        statement.set_sql_query(sql).unwrap();
        statement.execute_update().unwrap_or_else(|error| panic!("{error}: {sql:.200}"));
    }
}

/// A database in a file.
struct InFile {
    name: &'static str,
    driver: PathBuf,
    dir: tempfile::TempDir,
}

impl InFile {
    fn new(name: &'static str, driver: PathBuf) -> Self {
        Self { name, driver, dir: tempfile::tempdir().unwrap() }
    }

    fn file(&self) -> (&'static str, PathBuf) {
        let key = if self.name == "duckdb" { "path" } else { "uri" };
        (key, self.dir.path().join("warehouse.db"))
    }

    fn entrypoint(&self) -> Option<&'static str> {
        (self.name == "duckdb").then_some("duckdb_adbc_init")
    }

    fn run(&self, sql: &[String]) {
        let (key, file) = self.file();
        execute(&self.driver, self.entrypoint(), (key, &file), sql);
    }

    fn open(&self) -> Adbc {
        let (key, file) = self.file();
        open(json!({
            "driver": self.driver, "entrypoint": self.entrypoint(), "dialect": self.name,
            "database": { key: file }, "batch_rows": 1_000, "sort_memory_mib": 1,
        }))
    }
}

#[async_trait]
impl Subject for InFile {
    fn name(&self) -> &'static str {
        self.name
    }

    fn has(&self, kind: Kind) -> bool {
        self.name == "duckdb" || matches!(kind, Kind::Bigint | Kind::Text | Kind::Double)
    }

    async fn make(&self, name: &str, table: &Table) -> (String, Arc<dyn Source>) {
        let type_of = |kind| match kind {
            Kind::Bigint => "bigint",
            Kind::Text => "text",
            Kind::Cents => "decimal(12,2)",
            Kind::Double => "double",
            Kind::Boolean => "boolean",
            Kind::Date => "date",
            Kind::Timestamp => "timestamp",
            Kind::Timestamptz => "timestamptz",
        };
        self.run(&statements(name, table, type_of));
        (name.to_owned(), Arc::new(self.open()))
    }
}

/// PostgreSQL by ADBC.
pub(crate) struct ByDriver {
    pub(crate) driver: PathBuf,
    pub(crate) database: Database,
}

impl ByDriver {
    pub(crate) fn open(&self) -> Adbc {
        open(json!({
            "driver": self.driver, "dialect": "postgres", "database": { "uri": self.database.url },
        }))
    }
}

#[async_trait]
impl Subject for ByDriver {
    fn name(&self) -> &'static str {
        "adbc postgres"
    }

    fn has(&self, kind: Kind) -> bool {
        // The driver gives numeric(12,2) as text, which is a number, and says no scale.
        kind != Kind::Cents
    }

    async fn make(&self, name: &str, table: &Table) -> (String, Arc<dyn Source>) {
        make_in_postgres(&self.database, name, table).await;
        (name.to_owned(), Arc::new(self.open()))
    }
}

#[tokio::test]
async fn duckdb_holds_what_every_source_holds() {
    let Some(driver) = duckdb_driver() else { return };
    holds(&InFile::new("duckdb", driver)).await;
}

#[tokio::test]
async fn sqlite_holds_what_every_source_holds() {
    let Some(driver) = sqlite_driver() else { return };
    holds(&InFile::new("sqlite", driver)).await;
}

#[tokio::test]
async fn postgresql_by_adbc_holds_what_every_source_holds() {
    let Some(driver) = postgres_driver() else { return };
    let database = crate::warehouse::database("").await;
    holds(&ByDriver { driver, database }).await;
}

fn model(relation: Relation) -> Model {
    Model {
        relation,
        primary_key: vec!["id".to_owned()],
        changes: Changes::Snapshot,
        removed_when: None,
    }
}

fn request(model: Model, scope: Scope) -> ReadRequest {
    ReadRequest { model: Arc::new(model), columns: Vec::new(), scope, after: None, rows_max: None }
}

async fn read(source: &dyn Source, request: ReadRequest) -> Result<Vec<flow::Batch>> {
    let mut read = source.read(request).await?;
    let mut batches = Vec::new();
    while let Some(batch) = read.next().await? {
        batches.push(batch);
    }
    Ok(batches)
}

#[tokio::test]
async fn a_model_may_be_sql_with_a_condition_and_say_what_is_removed() {
    let Some(driver) = duckdb_driver() else { return };
    let subject = InFile::new("duckdb", driver);
    subject.run(&["CREATE TABLE t AS SELECT i AS id, i % 3 AS v FROM range(6) r(i)".to_owned()]);
    let source = subject.open();
    let sql = Relation::Sql("SELECT id, v FROM t WHERE id > 0; -- all\n".trim().to_owned());
    let batches = read(&source, request(model(sql), Scope::Where("v < 2 -- few".to_owned()))).await;
    let ids = column(&batches.unwrap(), "id");
    assert_eq!(ids, ["1", "3", "4"].map(|id| Some(id.to_owned())));
    let gone =
        Model { removed_when: Some("v = 2".to_owned()), ..model(Relation::Table("t".to_owned())) };
    let mut wanted = request(gone, Scope::All);
    wanted.columns = vec!["v".to_owned()];
    let removed = column(&read(&source, wanted).await.unwrap(), flow::REMOVED);
    let expected = ["false", "false", "true", "false", "false", "true"];
    assert_eq!(removed, expected.map(|text| Some(text.to_owned())));
}

/// R5, X1, X4.
#[tokio::test]
async fn errors_name_what_is_wrong_and_nothing_is_written() {
    let Some(driver) = duckdb_driver() else { return };
    let subject = InFile::new("duckdb", driver.clone());
    subject.run(&["CREATE TABLE t AS SELECT 1 AS id, 'secret' AS v".to_owned()]);
    let source = subject.open();
    for (relation, code) in [
        (Relation::Table("t; DROP TABLE t".to_owned()), "E1010"),
        (Relation::Table("nope".to_owned()), "E1013"),
        (Relation::Sql("SELECT 1 AS id) AS m; DROP TABLE t; --".to_owned()), "E1013"),
        (Relation::Sql("DROP TABLE t".to_owned()), "E1013"),
    ] {
        let error = source.check(&model(relation)).await.unwrap_err();
        assert_eq!(error.code().id, code, "{error}");
    }
    let cast = model(Relation::Sql("SELECT id, v::int AS n FROM t".to_owned()));
    let error = read(&source, request(cast, Scope::All)).await.unwrap_err();
    assert!(!error.to_string().contains("secret"), "{error}");
    assert_eq!(
        read(&source, request(model(Relation::Table("t".to_owned())), Scope::All))
            .await
            .unwrap()
            .len(),
        1
    );
    let missing = open(json!({ "driver": "/nowhere/libnope.so", "dialect": "duckdb" }));
    let error = missing.check(&model(Relation::Table("t".to_owned()))).await.unwrap_err();
    assert_eq!(error.code().id, "E1120", "{error}");
    let odd = open(json!({ "driver": driver, "dialect": "duckdb" }));
    let error = odd.check(&model(Relation::Table("t".to_owned()))).await.unwrap_err();
    assert_eq!(error.code().id, "E1120", "the entrypoint is missing: {error}");
}

/// L4: a read that is given up while the database works ends soon, and so does its query.
#[tokio::test]
async fn a_query_that_takes_for_ever_ends_when_its_read_is_given_up() {
    let Some(driver) = postgres_driver() else { return };
    let database = crate::warehouse::database("").await;
    let subject = ByDriver { driver, database };
    let source = subject.open();
    let slow = "SELECT id, pg_sleep(1000)::text AS s FROM generate_series(1, 3) AS id";
    let began = Instant::now();
    let reading = source.read(request(model(Relation::Sql(slow.to_owned())), Scope::All));
    let given_up = tokio::time::timeout(Duration::from_secs(3), reading).await;
    assert!(given_up.is_err() && began.elapsed() < Duration::from_secs(30));
    let client = subject.database.client().await;
    crate::warehouse::until("the query ends", async || {
        let running = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(1000)%' \
            AND state = 'active' AND pid <> pg_backend_pid() AND datname = current_database()";
        client.query_one(running, &[]).await.unwrap().get::<_, i64>(0) == 0
    })
    .await;
}

/// One truth: what both ways to PostgreSQL have a type for, they read alike.
#[tokio::test]
async fn both_ways_to_postgresql_read_the_same_values() {
    let Some(driver) = postgres_driver() else { return };
    let database = crate::warehouse::database(
        "CREATE TABLE t AS SELECT id, (id % 2 = 0) AS b, id::int2 AS i2, id::int4 * -7 AS i4, \
         id::int8 * 9007199254740993 AS i8, (id / 3.0)::float4 AS f4, id / 7.0::float8 AS f8, \
         (id * 1.10)::numeric AS n, (id::numeric / 7) AS n2, 'naïve ' || id AS s, \
         date '1969-12-30' + id AS d, timestamp '2026-01-05 10:00:02.869801' + id * interval '1 us' AS ts, \
         timestamptz '1969-12-31 23:59:59.999999+00' + id * interval '1 h' AS tz, \
         decode(lpad(to_hex(id), 8, '0'), 'hex') AS y, array[id, NULL, -id]::int8[] AS a, \
         id * interval '1 month 2 days 3.5 s' AS iv, \
         CASE WHEN id % 5 = 0 THEN NULL ELSE json_build_object('k', id)::jsonb END AS j \
         FROM generate_series(0, 50) AS id",
    )
    .await;
    let ours = crate::warehouse::open(&database.url);
    let subject = ByDriver { driver, database };
    let theirs = subject.open();
    let table = || request(model(Relation::Table("t".to_owned())), Scope::All);
    let (ours, theirs) =
        (read(&ours, table()).await.unwrap(), read(&theirs, table()).await.unwrap());
    for field in ours[0].rows.schema().fields() {
        let name = field.name();
        assert_eq!(column(&theirs, name), column(&ours, name), "{name}");
    }
    assert_eq!(text_at(ours[0].rows.column(0), 0), "0");
}

//! The schema of the state, its tables, and whose it is: plain SQL files, applied in one transaction.

use flow::{Error, Result};

use super::pool::{Pool, quoted};
use super::session::Session;
use crate::codes;

/// The migrations in order; a state's version is how many of them it has seen.
const MIGRATIONS: &[&str] = &[include_str!("../../../../sql/state/postgres/0001_state.sql")];
/// Names the lock under which tables are made and changed: two that begin at once do it one after the other.
const LOCK: i64 = 0x6f75_7466_6c6f_7731;
const MAKING: &str = "making the tables of the state";
const LOOKING: &str = "looking at the schema of the state";

/// Makes the schema and the tables where they are missing, brings older ones to this version, and refuses those of another
/// project, of a newer version, and of another program.
pub(super) async fn prepare(pool: &Pool, project: &str) -> Result<()> {
    let newest = i64::try_from(MIGRATIONS.len()).expect("there are few migrations");
    let session = pool.session().await?;
    if version(&session, pool).await? == Some(newest) {
        return check_project(&session, project).await;
    }
    pool_write(&session, pool, project, newest).await
}

async fn pool_write(session: &Session, pool: &Pool, project: &str, newest: i64) -> Result<()> {
    let schema = &pool.schema;
    session
        .transaction(super::session::WRITE, async |session: &Session| {
            session.execute(MAKING, "SELECT pg_advisory_xact_lock($1)", &[&LOCK]).await?;
            let known = version(session, pool).await?;
            let from = match known {
                Some(version) if version > newest => return Err(newer(schema, version, newest)),
                Some(version) => {
                    check_project(session, project).await?;
                    version
                }
                None => make_schema(session, schema).await.map(|()| 0)?,
            };
            for sql in MIGRATIONS.iter().skip(usize::try_from(from).unwrap_or_default()) {
                session.batch(MAKING, sql).await?;
            }
            let sql = "INSERT INTO meta (name, value) VALUES ('project', $1), ('version', $2) \
                       ON CONFLICT (name) DO UPDATE SET value = excluded.value";
            session.execute(MAKING, sql, &[&project, &newest.to_string()]).await.map(drop)
        })
        .await
}

async fn make_schema(session: &Session, schema: &str) -> Result<()> {
    let sql = "SELECT 1 FROM pg_namespace WHERE nspname = $1";
    if session.row(LOOKING, sql, &[&schema]).await?.is_some() {
        return Ok(());
    }
    session.batch(MAKING, &format!("CREATE SCHEMA {}", quoted(schema))).await
}

/// The version of the state in the schema; `None` where there is nothing yet.
async fn version(session: &Session, pool: &Pool) -> Result<Option<i64>> {
    let schema = &pool.schema;
    let sql = "SELECT relname::text FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace \
               WHERE nspname = $1 AND relkind IN ('r', 'p', 'v', 'm', 'f')";
    let rows = session.rows(LOOKING, sql, &[schema]).await?;
    let tables: Vec<&str> = rows.iter().map(|row| row.get(0)).collect();
    if tables.is_empty() {
        return Ok(None);
    }
    let foreign = || {
        let text = format!("The schema `{schema}` holds tables that are not a state of outflow.");
        Error::new(&codes::E3044_NOT_STATE, text)
    };
    if !["meta", "syncs", "ledger"].iter().all(|name| tables.contains(name)) {
        return Err(foreign());
    }
    let found = session.row(LOOKING, "SELECT value FROM meta WHERE name = 'version'", &[]).await?;
    let version = found.and_then(|row| row.get::<_, String>(0).parse().ok());
    let version = version.ok_or_else(foreign)?;
    let newest = i64::try_from(MIGRATIONS.len()).expect("there are few migrations");
    if version > newest { Err(newer(schema, version, newest)) } else { Ok(Some(version)) }
}

fn newer(schema: &str, version: i64, known: i64) -> Error {
    Error::new(
        &codes::E3045_NEWER,
        format!(
            "The state in schema `{schema}` has version {version}; this outflow knows versions up to {known}."
        ),
    )
}

async fn check_project(session: &Session, project: &str) -> Result<()> {
    let found = session.row(LOOKING, "SELECT value FROM meta WHERE name = 'project'", &[]).await?;
    match found.map(|row| row.get::<_, String>(0)) {
        Some(owner) if owner == project => Ok(()),
        Some(owner) => Err(Error::new(
            &codes::E3006_OTHER_PROJECT,
            format!("The state belongs to project `{owner}`, not to `{project}`."),
        )),
        None => Err(Error::new(
            &codes::E3044_NOT_STATE,
            "The state's schema does not say which project it belongs to.",
        )),
    }
}

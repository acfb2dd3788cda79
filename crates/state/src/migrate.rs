//! The tables of the state and how an older state becomes a newer one: plain SQL files, applied in one
//! transaction, after a backup.

use std::path::{Path, PathBuf};

use flow::{Error, Result};
use rusqlite::{Connection, TransactionBehavior};

use crate::codes;
use crate::directory;
use crate::fault::While;
use crate::ledger::old;

/// The migrations in order; a state's version is how many of them it has seen.
pub(crate) const MIGRATIONS: &[&str] = &[
    include_str!("../../../sql/state/0001_state.sql"),
    include_str!("../../../sql/state/0002_delivery.sql"),
];

/// The migration before which the ledgers' rows go to files.
const LEDGER_FILES: usize = 1;

/// How many migrations there are, as the state's version.
pub(crate) fn newest(migrations: &[&str]) -> i32 {
    i32::try_from(migrations.len()).expect("there are few migrations")
}

/// The version of the state behind `connection`.
pub(crate) fn version(connection: &Connection) -> Result<i32> {
    connection
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .during("reading the version of the state")
}

/// Applies what is missing, in one transaction of its own. Files go to the directory of the state.
pub(crate) fn apply(connection: &mut Connection, dir: &Path, migrations: &[&str]) -> Result<()> {
    let doing = "bringing the state's tables to this version";
    let transaction =
        connection.transaction_with_behavior(TransactionBehavior::Immediate).during(doing)?;
    // Another process may have been faster; only what is still missing is applied.
    let from = usize::try_from(version(&transaction)?).unwrap_or_default();
    for (version, sql) in migrations.iter().enumerate().skip(from) {
        let ledgers =
            if version == LEDGER_FILES { Some(old::read(&transaction, dir)?) } else { None };
        transaction.execute_batch(sql).during(doing)?;
        ledgers.map_or(Ok(()), |ledgers| old::write(&transaction, &ledgers))?;
    }
    transaction.pragma_update(None, "user_version", newest(migrations)).during(doing)?;
    transaction.commit().during(doing)
}

/// Brings an older state to this version, after writing a copy of it beside it.
pub(crate) fn upgrade(connection: &mut Connection, path: &Path, migrations: &[&str]) -> Result<()> {
    let from = version(connection)?;
    let backup = free_name(path, from);
    let failed = |error: Error| {
        Error::new(
            &codes::E3009_MIGRATION,
            format!("The state at {} stays as it was: {error}", path.display()),
        )
        .with_source(error)
    };
    tracing::info!(from, to = newest(migrations), "The state is brought to this version.");
    connection
        .execute("VACUUM INTO ?1", [backup.to_string_lossy()])
        .during("copying the state before changing it")
        .and_then(|_| directory::protect_file(&backup))
        .map_err(failed)?;
    let dir = path.parent().unwrap_or(Path::new("."));
    apply(connection, dir, migrations).map_err(failed)?;
    // Gives the room of tables that are gone back; where there is none to do that in, it is used again later.
    if let Err(error) = connection.execute_batch("VACUUM") {
        tracing::info!("the state keeps the room of its old tables: {error}");
    }
    Ok(())
}

/// `state-v1.db.bak` beside the state, or the next name that is free.
fn free_name(path: &Path, version: i32) -> PathBuf {
    (0..)
        .map(|n| match n {
            0 => format!("state-v{version}.db.bak"),
            _ => format!("state-v{version}.{n}.db.bak"),
        })
        .map(|name| path.with_file_name(name))
        .find(|candidate| !candidate.exists())
        .expect("some name is free")
}

/// One table or index: its kind, name and definition.
type Definition = (String, String, String);

/// Whether the tables are exactly those of the version the state says it has. Others may stand beside them.
pub(crate) fn has_its_tables(connection: &Connection, migrations: &[&str]) -> Result<bool> {
    let seen = usize::try_from(version(connection)?).unwrap_or_default();
    let mut model = Connection::open_in_memory().during("opening a state in memory")?;
    apply(&mut model, Path::new(""), &migrations[..seen.min(migrations.len())])?;
    let found = definitions(connection)?;
    Ok(definitions(&model)?.iter().all(|wanted| found.contains(wanted)))
}

fn definitions(connection: &Connection) -> Result<Vec<Definition>> {
    let doing = "reading the state's tables";
    connection
        .prepare("SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL")
        .during(doing)?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .during(doing)?
        .collect::<rusqlite::Result<_>>()
        .during(doing)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::open::open;

    const SECOND: &str = "ALTER TABLE rejects ADD COLUMN note TEXT;";
    const BROKEN: &str = "CREATE TABLE halfway (a); INSERT INTO nowhere VALUES (1);";

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .filter(|name| name.ends_with(".bak"))
            .collect();
        names.sort();
        names
    }

    #[test]
    fn an_older_state_is_copied_and_then_changed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.db");
        drop(open(&path, "acme", MIGRATIONS).unwrap());
        drop(open(&path, "acme", MIGRATIONS).unwrap());
        assert_eq!(names(dir.path()), [""; 0], "a state of this version is not copied");

        let longer: Vec<_> = MIGRATIONS.iter().copied().chain([SECOND]).collect();
        let opened = open(&path, "acme", &longer).unwrap();
        assert_eq!(version(&opened.reader).unwrap(), newest(&longer));
        opened.writer.execute_batch("SELECT note FROM rejects").unwrap();
        drop(opened);
        let copy = format!("state-v{}.db.bak", newest(MIGRATIONS));
        assert_eq!(names(dir.path()), [copy.as_str()]);

        // The newer state is refused by the older program, which can go back to the copy.
        let refused = open(&path, "acme", MIGRATIONS).err().unwrap();
        assert_eq!(refused.code().id, "E3005");
        fs::rename(dir.path().join(&copy), &path).unwrap();
        drop(open(&path, "acme", MIGRATIONS).unwrap());
    }

    #[test]
    fn a_migration_that_fails_leaves_the_state_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.db");
        drop(open(&path, "acme", MIGRATIONS).unwrap());
        let broken: Vec<_> = MIGRATIONS.iter().copied().chain([SECOND, BROKEN]).collect();
        for copies in 1..=2 {
            let refused = open(&path, "acme", &broken).err().unwrap();
            assert_eq!(refused.code().id, "E3009");
            assert_eq!(names(dir.path()).len(), copies, "a copy is never written over");
            let opened = open(&path, "acme", MIGRATIONS).unwrap();
            assert!(has_its_tables(&opened.reader, MIGRATIONS).unwrap());
            assert!(opened.reader.prepare("SELECT note FROM rejects").is_err());
            assert!(opened.reader.prepare("SELECT * FROM halfway").is_err());
        }
    }
}

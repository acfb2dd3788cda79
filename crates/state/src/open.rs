//! Opening the state: a file that is not whole, not ours, newer, or of another project is refused, and
//! nothing in it is changed; a missing one is made.

use std::fs;
use std::path::Path;
use std::time::Duration;

use flow::{Error, Result};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension};

use crate::fault::While;
use crate::{codes, directory, header, migrate, syncs};

/// How long a statement waits for another process's write transaction.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);
/// Pages in the log before SQLite folds them into the file: 16 MiB, several commits of a first load.
const CHECKPOINT_PAGES: u32 = 4096;
/// Bytes of log kept on disk after a fold.
const LOG_BYTES_MAX: u32 = 16 << 20;
/// Page cache of one connection, in KiB.
const CACHE_KIB: i32 = 16 << 10;

/// A connection that writes and one that reads beside it.
pub(crate) struct Opened {
    pub(crate) writer: Connection,
    pub(crate) reader: Connection,
}

/// Opens the state of `project` at `path`, making or upgrading it where needed.
pub(crate) fn open(path: &Path, project: &str, migrations: &[&str]) -> Result<Opened> {
    let log = path.with_file_name("state.db-wal");
    let logged = fs::metadata(&log).is_ok_and(|log| log.len() > 0);
    if !path.exists() {
        if logged {
            return Err(Error::new(
                &codes::E3008_LOG_ALONE,
                format!("{} is missing, but {} is there.", path.display(), log.display()),
            ));
        }
        create(path, project, migrations)?;
    }
    header::check(path, &log, migrate::newest(migrations))?;
    let mut writer = connect(path)?;
    // Until every check has passed, closing the connection must not fold the log into the file.
    keep_log(&writer, logged)?;
    check(&writer, path, project, migrations)?;
    if migrate::version(&writer)? < migrate::newest(migrations) {
        migrate::upgrade(&mut writer, path, migrations)?;
    }
    directory::protect_file(path)?;
    keep_log(&writer, false)?;
    let doing = "setting the state up";
    writer.pragma_update(None, "journal_mode", "WAL").during(doing)?;
    writer.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES).during(doing)?;
    writer.pragma_update(None, "journal_size_limit", LOG_BYTES_MAX).during(doing)?;
    let reader = connect(path)?;
    reader.pragma_update(None, "query_only", true).during(doing)?;
    Ok(Opened { writer, reader })
}

/// Makes a complete state under another name, then gives it its own: a kill leaves none or a whole one.
fn create(path: &Path, project: &str, migrations: &[&str]) -> Result<()> {
    let doing = "making the state";
    let draft = directory::draft(path)?;
    let mut connection = connect(&draft)?;
    connection.pragma_update(None, "application_id", header::APPLICATION_ID).during(doing)?;
    connection.pragma_update(None, "journal_mode", "WAL").during(doing)?;
    let dir = path.parent().unwrap_or(Path::new("."));
    migrate::apply(&mut connection, dir, migrations)?;
    connection
        .execute(
            "INSERT INTO meta (name, value) VALUES ('project', ?1), ('made_by', ?2)",
            [project, concat!("outflow ", env!("CARGO_PKG_VERSION"))],
        )
        .during(doing)?;
    connection.close().map_err(|(_, error)| error).during(doing)?;
    directory::publish(&draft, path)
}

fn connect(path: &Path) -> Result<Connection> {
    let doing = "opening the state";
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).during(doing)?;
    connection.busy_timeout(BUSY_TIMEOUT).during(doing)?;
    connection.set_prepared_statement_cache_capacity(64);
    for (name, value) in
        [("foreign_keys", "ON"), ("cell_size_check", "ON"), ("trusted_schema", "OFF")]
    {
        connection.pragma_update(None, name, value).during(doing)?;
    }
    connection.pragma_update(None, "synchronous", "FULL").during(doing)?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB).during(doing)?;
    Ok(connection)
}

fn keep_log(connection: &Connection, keep: bool) -> Result<()> {
    connection
        .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, keep)
        .map(|_| ())
        .during("setting the state up")
}

/// Everything that can be wrong with the file, from its structure to whose it is.
fn check(connection: &Connection, path: &Path, project: &str, migrations: &[&str]) -> Result<()> {
    let damaged = |what: String| {
        Error::new(&codes::E3004_DAMAGED, format!("{} is damaged: {what}.", path.display()))
    };
    let verdict: String = connection
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .during("checking the structure of the state")?;
    if verdict != "ok" {
        return Err(damaged(verdict.replace('\n', " ")));
    }
    let version = migrate::version(connection)?;
    if version > migrate::newest(migrations) {
        return Err(header::newer(path, version.into(), migrate::newest(migrations)));
    }
    if version < 1 || !migrate::has_its_tables(connection, migrations)? {
        return Err(damaged(format!("its tables are not those of state version {version}")));
    }
    let owner: Option<String> = connection
        .query_row("SELECT value FROM meta WHERE name = 'project'", [], |row| row.get(0))
        .optional()
        .during("reading the state's project")?;
    match owner {
        Some(owner) if owner == project => {}
        Some(owner) => {
            return Err(Error::new(
                &codes::E3006_OTHER_PROJECT,
                format!("{} belongs to the project `{owner}`, not to `{project}`.", path.display()),
            ));
        }
        None => return Err(damaged("it names no project".to_owned())),
    }
    syncs::check_all(connection).map_err(|error| {
        damaged("a sync's own row does not match its checksum".to_owned()).with_source(error)
    })
}

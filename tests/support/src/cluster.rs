//! A private PostgreSQL: found, initialised in a temporary folder, started, restarted, and gone with its owner.

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};

use crate::Database;

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Settings of every private cluster: fast to start, not durable, ready for every test.
const SETTINGS: &str = "
listen_addresses = '127.0.0.1'
fsync = off
full_page_writes = off
synchronous_commit = off
wal_level = logical
max_connections = 100
max_prepared_transactions = 20
max_wal_size = '2GB'
timezone = 'UTC'
log_timezone = 'UTC'
";

/// What a cluster of one's own differs in.
#[derive(Debug, Clone, Default)]
pub struct Setup {
    /// Lines appended to `postgresql.conf`. `{files}` becomes the folder of `files`.
    pub settings: String,
    /// Files with name and content, readable by the server alone.
    pub files: Vec<(String, Vec<u8>)>,
    /// Replaces `pg_hba.conf`.
    pub hba: Option<String>,
}

/// A running private PostgreSQL. It dies with this value, and with this process however that ends.
pub struct Postgres {
    folder: PathBuf,
    bin: PathBuf,
    port: u16,
    password: String,
    databases: AtomicU32,
    supervisor: Mutex<Supervisor>,
}

struct Supervisor {
    process: Child,
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Postgres {
    /// The cluster of this process, started on first use.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Postgres> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// A cluster of one's own.
    pub fn start() -> Self {
        Self::start_with(&Setup::default())
    }

    /// A cluster of one's own with other settings.
    ///
    /// # Panics
    /// When no PostgreSQL is installed or it does not start; the message holds its log.
    pub fn start_with(setup: &Setup) -> Self {
        Self::try_start(setup).unwrap_or_else(|error| panic!("private PostgreSQL: {error}"))
    }

    /// As [`Postgres::start_with`].
    ///
    /// # Errors
    /// When no PostgreSQL is installed or it does not start; the message holds its log.
    pub fn try_start(setup: &Setup) -> io::Result<Self> {
        Self::launch(setup, random_hex()?, "init")
    }

    /// A hot standby of this server, with these settings besides. It follows as fast as it can.
    ///
    /// # Panics
    /// When it does not start; the message holds its log.
    pub fn standby(&self, settings: &str) -> Self {
        let setup = Setup { settings: settings.to_owned(), ..Setup::default() };
        let launched = Self::launch(&setup, self.password.clone(), &format!("copy {}", self.port));
        launched.unwrap_or_else(|error| panic!("private standby: {error}"))
    }

    /// This server's copy of a database of the server that it follows.
    ///
    /// # Panics
    /// When the URL is none of ours.
    pub fn copy_of(&self, database: &Database) -> Database {
        let (_, name) = database.url.rsplit_once('/').expect("our own URLs name a database");
        Database { url: self.url(name) }
    }

    /// Makes the server's files by this command of the supervisor, and starts it.
    fn launch(setup: &Setup, password: String, make: &str) -> io::Result<Self> {
        let bin = binaries()?;
        let folder = new_folder()?;
        write_setup(&folder, setup, &password)?;
        let mut supervisor = Supervisor::spawn(&folder, &bin)?;
        supervisor.command(make, &folder)?;
        let mut tries = 5;
        let port = loop {
            let port = free_port()?;
            match supervisor.command(&format!("start {port}"), &folder) {
                Ok(()) => break port,
                // Someone else may have taken the port in between.
                Err(_) if tries > 1 => tries -= 1,
                Err(error) => return Err(error),
            }
        };
        Ok(Self {
            folder,
            bin,
            port,
            password,
            databases: AtomicU32::new(0),
            supervisor: Mutex::new(supervisor),
        })
    }

    /// A new, empty database with its own URL. A name only makes it easier to recognise.
    ///
    /// # Panics
    /// When the server does not answer.
    pub fn database<'a>(&self, name: impl Into<Option<&'a str>>) -> Database {
        let number = self.databases.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}_{number}", name.into().unwrap_or("test"));
        Database::run(&self.admin_url(), &format!("CREATE DATABASE \"{name}\""));
        Database { url: self.url(&name) }
    }

    /// The URL of a database of this cluster, for its superuser, over TCP on loopback.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres:{}@127.0.0.1:{}/{database}", self.password, self.port)
    }

    /// The URL of the database `postgres`.
    pub fn admin_url(&self) -> String {
        self.url("postgres")
    }

    /// TCP port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The folder of the Unix socket.
    pub fn socket_folder(&self) -> &Path {
        &self.folder
    }

    /// Path of a program of this PostgreSQL: `psql`, `pg_dump`, ...
    pub fn program(&self, name: &str) -> PathBuf {
        self.bin.join(name)
    }

    /// Stops and starts again; `immediate` is like a power cut, else sessions are closed first.
    ///
    /// # Panics
    /// When the server does not obey.
    pub fn restart(&self, immediate: bool) {
        self.command(&format!("stop {}", if immediate { "immediate" } else { "fast" }));
        self.start_again();
    }

    /// Stops the server; its folder and port stay.
    ///
    /// # Panics
    /// When the server does not obey.
    pub fn stop(&self) {
        self.command("stop fast");
    }

    /// Starts a stopped server on the same port.
    ///
    /// # Panics
    /// When the server does not obey.
    pub fn start_again(&self) {
        self.command(&format!("start {}", self.port));
    }

    fn command(&self, command: &str) {
        let mut supervisor = self.supervisor.lock().expect("no test panics while holding this");
        if let Err(error) = supervisor.command(command, &self.folder) {
            panic!("private PostgreSQL: {error}");
        }
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.commands.take();
        let _ = self.process.wait();
    }
}

impl Supervisor {
    fn spawn(folder: &Path, bin: &Path) -> io::Result<Self> {
        let mut process = Command::new("sh")
            .arg("-c")
            .arg(include_str!("supervise.sh"))
            .arg("private-postgres")
            .args([folder, bin])
            .arg(unprivileged_user(folder)?)
            .env_clear()
            .env("PATH", PATH)
            .env("LC_ALL", "C")
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let commands = process.stdin.take();
        let answers = process.stdout.take().map(BufReader::new).ok_or_else(|| failed("no pipe"))?;
        Ok(Self { process, commands, answers })
    }

    fn command(&mut self, command: &str, folder: &Path) -> io::Result<()> {
        let commands = self.commands.as_mut().ok_or_else(|| failed("the supervisor is closed"))?;
        writeln!(commands, "{command}")?;
        commands.flush()?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer)?;
        if answer.trim() == "ok" {
            return Ok(());
        }
        let log = |name| fs::read_to_string(folder.join(name)).unwrap_or_default();
        let (own, server) = (log("supervise.log"), log("server.log"));
        Err(failed(format!("`{command}` failed\n{}\n{}", tail(&own), tail(&server))))
    }
}

fn failed(message: impl Into<String>) -> io::Error {
    io::Error::other(message.into())
}

fn tail(log: &str) -> &str {
    let start = log.len().saturating_sub(2000);
    log.get(start..).unwrap_or(log)
}

/// The folder of `initdb`: of the one in PATH, else the newest of Debian's.
fn binaries() -> io::Result<PathBuf> {
    let found = Command::new("sh").args(["-c", "command -v initdb"]).output()?;
    let found = String::from_utf8_lossy(&found.stdout);
    if let Ok(path) = fs::canonicalize(found.trim())
        && let Some(bin) = path.parent()
        && bin.join("postgres").exists()
    {
        return Ok(bin.to_owned());
    }
    let newest = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let version: f64 = entry.file_name().to_str()?.parse().ok()?;
            let bin = entry.path().join("bin");
            bin.join("initdb").exists().then_some((version, bin))
        })
        .max_by(|(a, _), (b, _)| a.total_cmp(b));
    newest.map(|(_, bin)| bin).ok_or_else(|| {
        failed("no `initdb` in PATH or /usr/lib/postgresql; on Debian: apt-get install postgresql")
    })
}

/// Empty for an ordinary user; for root the user PostgreSQL runs as, since it refuses to run as root.
fn unprivileged_user(folder: &Path) -> io::Result<String> {
    use std::os::unix::fs::MetadataExt;
    if fs::metadata(folder)?.uid() != 0 {
        return Ok(String::new());
    }
    let passwd = fs::read_to_string("/etc/passwd")?;
    let known = |user: &&str| passwd.lines().any(|line| line.split(':').next() == Some(user));
    let user = ["postgres", "nobody"].into_iter().find(known);
    user.map(str::to_owned).ok_or_else(|| failed("root needs a user `postgres` or `nobody`"))
}

/// An empty folder with a short path (a Unix socket's path has at most 107 bytes).
fn new_folder() -> io::Result<PathBuf> {
    let base = std::env::temp_dir();
    let base = if base.as_os_str().len() > 60 { PathBuf::from("/tmp") } else { base };
    let folder = tempfile::Builder::new().prefix("outflow-pg-").tempdir_in(base)?.keep();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o700))?;
    Ok(folder)
}

fn write_setup(folder: &Path, setup: &Setup, password: &str) -> io::Result<()> {
    let files = folder.join("files");
    fs::create_dir(&files)?;
    for (name, content) in &setup.files {
        let path = files.join(name);
        fs::write(&path, content)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
    }
    fs::write(folder.join("password"), password)?;
    let own = setup.settings.replace("{files}", &files.display().to_string());
    let socket = format!("unix_socket_directories = '{}'\n", folder.display());
    fs::write(folder.join("settings"), [SETTINGS, &socket, &own, "\n"].concat())?;
    match &setup.hba {
        Some(hba) => fs::write(folder.join("hba"), hba),
        None => Ok(()),
    }
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

fn random_hex() -> io::Result<String> {
    let mut bytes = [0u8; 16];
    io::Read::read_exact(&mut fs::File::open("/dev/urandom")?, &mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

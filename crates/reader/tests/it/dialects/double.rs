//! A server of another dialect: PostgreSQL behind a door that says it is something else, and lets no SQL pass that the
//! other server would not understand.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What the other server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Other {
    Redshift,
    Cockroach,
    /// Nobody knows it.
    Stranger,
}

const REDSHIFT: &str = "PostgreSQL 8.0.2 on i686-pc-linux-gnu, compiled by GCC gcc (GCC) 3.4.2 20041017 (Red Hat 3.4.2-6.fc3), Redshift 1.0.77467";
const COCKROACH: &str =
    "CockroachDB CCL v24.1.0 (x86_64-pc-linux-gnu, built 2024/05/15 21:28:29, go1.22.2)";
const STRANGER: &str = "Somebody's Own 1.0";

/// What none of them has, in lower case. A cast to text means 256 bytes in Redshift.
const NOWHERE: &[&str] = &[
    "copy (",
    "to stdout",
    "lock table",
    "xmin",
    "xmax",
    "ctid",
    "pg_current_snapshot",
    "pg_snapshot",
    "pg_export_snapshot",
    "pg_control",
    "pg_wal",
    "pg_logical",
    "pg_relation_",
    "to_regclass",
    "format(",
    "has_any_column_privilege",
    "explain (",
    "unnest",
    "array[",
    "ordinality",
    ") > (",
    ") in (select",
];
const NOT_IN_REDSHIFT: &[&str] =
    &["collate", "::text", " e'", "infinity", "[]", "::jsonb", "::uuid", "::bytea", "lock_timeout"];
const NOT_IN_COCKROACH: &[&str] = &["collate", "standard_conforming_strings", "xmlbinary"];

/// Settings that may be set.
const OF_REDSHIFT: &[&str] = &["statement_timeout", "timezone", "datestyle", "extra_float_digits"];
const OF_COCKROACH: &[&str] = &[
    "statement_timeout",
    "lock_timeout",
    "idle_in_transaction_session_timeout",
    "timezone",
    "datestyle",
    "intervalstyle",
    "extra_float_digits",
    "bytea_output",
];

impl Other {
    fn version(self) -> &'static str {
        match self {
            Self::Redshift => REDSHIFT,
            Self::Cockroach => COCKROACH,
            Self::Stranger => STRANGER,
        }
    }

    /// Why the other server would not take this; `None` where it would.
    fn refuses(self, sql: &str) -> Option<String> {
        let sql = sql.to_lowercase();
        let (own, settings) = match self {
            Self::Redshift => (NOT_IN_REDSHIFT, OF_REDSHIFT),
            Self::Cockroach => (NOT_IN_COCKROACH, OF_COCKROACH),
            Self::Stranger => (&[][..], OF_REDSHIFT),
        };
        if let Some(word) = NOWHERE.iter().chain(own).find(|word| sql.contains(**word)) {
            return Some((*word).to_owned());
        }
        let set = sql.split("set local ").skip(1).filter_map(|rest| rest.split(' ').next());
        set.into_iter().find(|name| !settings.contains(name)).map(str::to_owned)
    }

    /// What PostgreSQL is asked instead.
    fn translated(self, sql: &str) -> String {
        let version = format!("'{}'::text", self.version().replace('\'', "''"));
        let sql = sql.replace("pg_catalog.version()", &version);
        match self {
            // It has no such table.
            Self::Redshift => sql.replace("pg_catalog.pg_range", "pg_catalog.no_range"),
            Self::Cockroach => sql.replace(", AS OF SYSTEM TIME '-5s'", ""),
            _ => sql,
        }
    }
}

/// A running double; gone when dropped.
pub(crate) struct Double {
    addr: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    task: JoinHandle<()>,
}

/// The SQL that came.
#[derive(Debug, Default)]
struct Seen {
    all: Vec<String>,
    refused: Vec<String>,
}

impl Double {
    /// In front of the PostgreSQL at `target`.
    pub(crate) async fn start(other: Other, target: SocketAddr) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let task = tokio::spawn(accept(listener, (other, target), seen.clone()));
        Self { addr, seen, task }
    }

    /// `url` with the double's host and port.
    pub(crate) fn url(&self, url: &str) -> String {
        let (head, rest) = url.split_once('@').unwrap();
        let path = rest.find('/').map_or("", |at| &rest[at..]);
        format!("{head}@{}{path}", self.addr)
    }

    /// The SQL that came, and what of it was not understood.
    pub(crate) fn seen(&self) -> (Vec<String>, Vec<String>) {
        let seen = self.seen.lock().unwrap();
        (seen.all.clone(), seen.refused.clone())
    }
}

impl Drop for Double {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, to: (Other, SocketAddr), seen: Arc<Mutex<Seen>>) {
    while let Ok((client, _)) = listener.accept().await {
        let seen = seen.clone();
        tokio::spawn(async move {
            let Ok(server) = TcpStream::connect(to.1).await else { return };
            // Small messages, one after the other: nothing waits for more of them.
            client.set_nodelay(true).unwrap();
            server.set_nodelay(true).unwrap();
            let ((from_client, mut to_client), (mut from_server, to_server)) =
                (client.into_split(), server.into_split());
            // Whichever side ends first ends both.
            tokio::select! {
                _ = requests(from_client, to_server, (to.0, seen)) => {}
                _ = tokio::io::copy(&mut from_server, &mut to_client) => {}
            }
        });
    }
}

/// Passes messages on, SQL looked at.
async fn requests(
    mut client: OwnedReadHalf,
    mut server: OwnedWriteHalf,
    (other, seen): (Other, Arc<Mutex<Seen>>),
) -> std::io::Result<()> {
    // The first message has no type.
    let length = client.read_u32().await?;
    let mut body = vec![0; length as usize - 4];
    client.read_exact(&mut body).await?;
    server.write_u32(length).await?;
    server.write_all(&body).await?;
    loop {
        let kind = client.read_u8().await?;
        let length = client.read_u32().await?;
        let mut body = vec![0; length as usize - 4];
        client.read_exact(&mut body).await?;
        let at = match kind {
            b'Q' => Some(0),
            b'P' => body.iter().position(|byte| *byte == 0).map(|end| end + 1),
            _ => None,
        };
        if let Some(at) = at {
            let end = at + body[at..].iter().position(|byte| *byte == 0).unwrap();
            let sql = String::from_utf8_lossy(&body[at..end]).into_owned();
            let mut passed = other.translated(&sql);
            let mut seen = seen.lock().unwrap();
            if let Some(why) = other.refuses(&sql) {
                seen.refused.push(format!("{why}: {sql}"));
                // No SQL for PostgreSQL either, so that the session fails as it would there.
                passed = format!("not understood: {why}");
            }
            seen.all.push(sql);
            body.splice(at..end, passed.into_bytes());
        }
        let length = (body.len() as u32 + 4).to_be_bytes();
        server.write_all(&[&[kind], &length[..], &body].concat()).await?;
    }
}

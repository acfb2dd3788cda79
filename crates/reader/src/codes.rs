//! The documented codes of the reader: errors `E1001` to `E1037` and from `E1100` on, findings from `E1038` to `E1099`.

use flow::{Code, Kind};

mod changes;
mod dialects;
mod parallel;

pub use crate::adbc::codes::*;
pub use crate::files::codes::*;
pub use changes::*;
pub use dialects::*;
pub use parallel::*;

/// Every code of this crate.
pub const CODES: &[&Code] = &[
    &E1001_OPTIONS,
    &E1002_UNREACHABLE,
    &E1003_CREDENTIALS,
    &E1004_TLS,
    &E1005_CUT,
    &E1006_NO_PROGRESS,
    &E1007_STATEMENT_TIMEOUT,
    &E1008_LOCK_TIMEOUT,
    &E1009_BUSY,
    &E1010_NO_RELATION,
    &E1011_NO_COLUMN,
    &E1012_PERMISSION,
    &E1013_SQL,
    &E1014_WRITES,
    &E1015_TYPE,
    &E1016_COLUMN_TWICE,
    &E1017_WATERMARK_TYPE,
    &E1018_KEY_TYPE,
    &E1019_DUPLICATES,
    &E1020_REPLACED,
    &E1021_CONFLICT,
    &E1022_VALUE,
    &E1023_SERVER,
    &E1024_PROTOCOL,
    &E1025_BEHIND,
    &E1026_LOG_STANDBY,
    &E1027_NO_SLOT,
    &E1028_WRONG_SLOT,
    &E1029_SLOT_LOST,
    &E1030_NO_REPLICATION,
    &E1031_SLOT_IN_USE,
    &E1032_LOG_TABLE,
    &E1033_NOT_PUBLISHED,
    &E1034_PUBLISHED_IN_PART,
    &E1035_NO_IDENTITY,
    &E1036_NOT_VISIBLE,
    &E1037_KEYS_SQL,
    &E1038_UNLIMITED,
    &E1039_SLOT_AT_RISK,
    &E1050_WATERMARK_NULLABLE,
    &E1051_WATERMARK_ZONE,
    &E1052_WATERMARK_DAY,
    &E1053_NO_INDEX,
    &E1054_UNLOGGED,
    &E1055_SUPERUSER,
    &E1056_WRITE_GRANT,
    &E1057_NO_LAG,
    &E1058_FLOAT_KEY,
    &E1059_KEY_NOT_ENFORCED,
    &E1060_KEY_NULLABLE,
    &E1061_OTHER_SERVER,
    &E1062_REBUILT,
    &E1063_XIDS_PASSED,
    &E1064_LOG_GAP,
    &E1066_NOT_FOLLOWED,
    &E1067_EVERY_ROW,
    &E1068_RETAINED,
    &E1069_ONE_CONNECTION,
    &E1070_FEWER_CONNECTIONS,
    &E1080_NO_LOG,
    &E1081_NO_COPY,
    &E1082_NOT_POSTGRES,
    &E1101_NO_FILES,
    &E1102_UNREADABLE,
    &E1103_NEEDS_SQL,
    &E1104_FORMAT,
    &E1105_DISAGREE,
    &E1106_CHANGED,
    &E1107_BROKEN_FILE,
    &E1108_STORE,
    &E1109_STORE_REFUSES,
    &E1110_SPOOL,
    &E1120_NO_DRIVER,
    &E1121_DRIVER,
    &E1122_REFUSED,
    &E1123_UNREACHABLE,
];

/// Connection options that cannot be right.
pub static E1001_OPTIONS: Code = Code {
    id: "E1001",
    kind: Kind::Config,
    title: "The options of a warehouse connection are wrong.",
    cause: "An option is unknown or malformed, the URL cannot be parsed, or `tls` and the URL's `sslmode` contradict each other.",
    remedy: "Correct the connection in outflow.yml; `outflow schema` shows every option.",
};

/// No connection.
pub static E1002_UNREACHABLE: Code = Code {
    id: "E1002",
    kind: Kind::Unreachable,
    title: "The warehouse cannot be reached.",
    cause: "The host does not resolve, refuses the connection, or does not answer within `connect_timeout`.",
    remedy: "Check host, port, firewall and that the server runs; then run again.",
};

/// Login refused.
pub static E1003_CREDENTIALS: Code = Code {
    id: "E1003",
    kind: Kind::Credentials,
    title: "The warehouse refuses the login.",
    cause: "The user, password or database name is wrong, or pg_hba.conf does not allow this client.",
    remedy: "Check user, password and database in the connection's url, and the server's pg_hba.conf.",
};

/// No trusted TLS session.
pub static E1004_TLS: Code = Code {
    id: "E1004",
    kind: Kind::Unreachable,
    title: "No trusted TLS session with the warehouse.",
    cause: "The server has no TLS, or its certificate is expired, for another host, or signed by a CA that is not trusted here.",
    remedy: "Give the CA's certificate with `ca_file`, and connect by the host name the certificate is for. Weaker modes must be named: `tls: verify-ca`, `require-unverified` or `off`.",
};

/// A connection that broke.
pub static E1005_CUT: Code = Code {
    id: "E1005",
    kind: Kind::Failed,
    title: "The connection to the warehouse was lost.",
    cause: "The server restarted, an administrator ended the session, or the network cut it. Nothing of the unfinished read counts.",
    remedy: "Run again; if it repeats, look at the server's log and at idle timeouts of proxies in between.",
};

/// Silence.
pub static E1006_NO_PROGRESS: Code = Code {
    id: "E1006",
    kind: Kind::Failed,
    title: "The warehouse sent nothing for too long.",
    cause: "No byte arrived within `progress_timeout`: the network path is dead, or the query needs longer for its first row.",
    remedy: "Run again; if the query is just slow, raise `progress_timeout` or make the model cheaper.",
};

/// Too slow a statement.
pub static E1007_STATEMENT_TIMEOUT: Code = Code {
    id: "E1007",
    kind: Kind::Failed,
    title: "The warehouse cancelled the query.",
    cause: "It ran longer than `statement_timeout`, or an administrator cancelled it.",
    remedy: "Raise the connection's `statement_timeout`, add an index, or make the model cheaper.",
};

/// A lock somebody else holds.
pub static E1008_LOCK_TIMEOUT: Code = Code {
    id: "E1008",
    kind: Kind::Failed,
    title: "A table stayed locked for longer than `lock_timeout`.",
    cause: "Another session rebuilds, truncates or alters the table.",
    remedy: "Run again when it has finished, or raise `lock_timeout`.",
};

/// Starting, stopping, full.
pub static E1009_BUSY: Code = Code {
    id: "E1009",
    kind: Kind::Unreachable,
    title: "The warehouse takes no connections or is out of resources.",
    cause: "It is starting up, shutting down, or has no connection, memory or disk left.",
    remedy: "Run again later; look at the server's log and its max_connections.",
};

/// A table that is not there.
pub static E1010_NO_RELATION: Code = Code {
    id: "E1010",
    kind: Kind::Config,
    title: "The table or view does not exist.",
    cause: "The name is misspelt, in another schema, or needs double quotes because it has capital letters.",
    remedy: "Write it as schema.name; `outflow discover CONNECTION` lists what this login can read.",
};

/// A column that is not there.
pub static E1011_NO_COLUMN: Code = Code {
    id: "E1011",
    kind: Kind::Config,
    title: "The model has no such column.",
    cause: "The sync names a column that the model's table or SQL does not give, or gave until lately.",
    remedy: "Correct the name; `outflow discover CONNECTION TABLE` lists the columns.",
};

/// No right to read.
pub static E1012_PERMISSION: Code = Code {
    id: "E1012",
    kind: Kind::Credentials,
    title: "The login may not read this.",
    cause: "The role lacks SELECT on a table or column, or USAGE on its schema.",
    remedy: "Grant it: GRANT USAGE ON SCHEMA s TO role; GRANT SELECT ON s.t TO role.",
};

/// SQL the server refuses.
pub static E1013_SQL: Code = Code {
    id: "E1013",
    kind: Kind::Config,
    title: "The model's SQL cannot be run.",
    cause: "It is not one SELECT statement: a syntax error, several statements, a parameter, a wrong type or function.",
    remedy: "Write one SELECT (WITH is fine) without parameters, and try it in psql.",
};

/// SQL that would change the warehouse.
pub static E1014_WRITES: Code = Code {
    id: "E1014",
    kind: Kind::Config,
    title: "The model tries to change the warehouse.",
    cause: "Its SQL, or a function it calls, writes. Every read runs in a read-only transaction.",
    remedy: "Take the writing part out of the model.",
};

/// A type without a mapping.
pub static E1015_TYPE: Code = Code {
    id: "E1015",
    kind: Kind::Config,
    title: "A column has a type that cannot be carried.",
    cause: "Pseudo-types such as anyarray or void have no values of their own.",
    remedy: "Cast the column in the model, for example col::text.",
};

/// An ambiguous model.
pub static E1016_COLUMN_TWICE: Code = Code {
    id: "E1016",
    kind: Kind::Config,
    title: "Two columns of the model have the same name, or one has none.",
    cause: "A join selects the same name from both sides, or an expression has no name.",
    remedy: "Name the columns: SELECT a.id, b.id AS b_id.",
};

/// A progress column of the wrong type.
pub static E1017_WATERMARK_TYPE: Code = Code {
    id: "E1017",
    kind: Kind::Config,
    title: "The watermark column has a type that does not show when a row changed.",
    cause: "A watermark is a timestamptz, timestamp or date column. Numbers from sequences are given out before commit, so rows would be lost.",
    remedy: "Use a timestamptz column that every change sets, or `changes: { method: snapshot }`.",
};

/// A key of the wrong type.
pub static E1018_KEY_TYPE: Code = Code {
    id: "E1018",
    kind: Kind::Config,
    title: "A primary key column has a type that cannot identify a row.",
    cause: "json, xml, arrays and geometric types have no usable equality.",
    remedy: "Use a number, text or uuid column, or derive one in the model's SQL.",
};

/// A key that is none.
pub static E1019_DUPLICATES: Code = Code {
    id: "E1019",
    kind: Kind::Failed,
    title: "More than 100,000 primary keys occur more than once.",
    cause: "The columns in `primary_key` do not identify a row of this model.",
    remedy: "Add the missing columns to `primary_key`, or make the rows unique in the model's SQL.",
};

/// A swapped table.
pub static E1020_REPLACED: Code = Code {
    id: "E1020",
    kind: Kind::Failed,
    title: "A table was replaced while it was being read.",
    cause: "A rebuild, TRUNCATE or partition exchange came between the snapshot and the read, so the rows could be of two generations.",
    remedy: "Run again; start the sync after the rebuild where you can.",
};

/// A conflict that goes away.
pub static E1021_CONFLICT: Code = Code {
    id: "E1021",
    kind: Kind::Failed,
    title: "The read conflicted with other work in the warehouse.",
    cause: "A standby replayed a change that removes rows the read still needs, or a deadlock was broken.",
    remedy: "Run again; on a standby raise max_standby_streaming_delay or set hot_standby_feedback.",
};

/// A value the query fails on.
pub static E1022_VALUE: Code = Code {
    id: "E1022",
    kind: Kind::Failed,
    title: "A value in the warehouse makes the query fail.",
    cause: "A cast, division or function in the model fails for some row, or stored text is not valid in its encoding.",
    remedy: "Find the row in psql with the same SQL, and guard the expression.",
};

/// Anything else the server says.
pub static E1023_SERVER: Code = Code {
    id: "E1023",
    kind: Kind::Failed,
    title: "The warehouse reported an error.",
    cause: "See the message and its SQLSTATE.",
    remedy: "Look at the server's log for the same moment.",
};

/// Bytes that make no sense.
pub static E1024_PROTOCOL: Code = Code {
    id: "E1024",
    kind: Kind::Failed,
    title: "The warehouse sent something that is not what it announced.",
    cause: "A proxy or a server that is not quite PostgreSQL changed the binary COPY stream.",
    remedy: "Connect to PostgreSQL directly; if that does not help, report it with the server's version.",
};

/// A progress column that may be NULL.
pub static E1050_WATERMARK_NULLABLE: Code = Code {
    id: "E1050",
    kind: Kind::Config,
    title: "The watermark column may be NULL.",
    cause: "Rows whose watermark is NULL are read in every run, since nothing tells whether they changed.",
    remedy: "Make it NOT NULL, or coalesce it to created_at in the model.",
};

/// A progress column without a zone.
pub static E1051_WATERMARK_ZONE: Code = Code {
    id: "E1051",
    kind: Kind::Config,
    title: "The watermark column has no time zone.",
    cause: "When clocks go back an hour, a later change gets an earlier timestamp and would be missed.",
    remedy: "Use timestamptz, or a `lag` of at least 65m.",
};

/// A progress column of days.
pub static E1052_WATERMARK_DAY: Code = Code {
    id: "E1052",
    kind: Kind::Config,
    title: "The watermark column is a date.",
    cause: "Every run reads the whole last day again; unchanged rows are not sent.",
    remedy: "Use a timestamptz column where there is one.",
};

/// A slow read ahead.
pub static E1053_NO_INDEX: Code = Code {
    id: "E1053",
    kind: Kind::Config,
    title: "No index starts with the watermark column.",
    cause: "Every run scans and sorts the whole table to find what changed.",
    remedy: "CREATE INDEX CONCURRENTLY on (watermark, primary key).",
};

/// A table that a crash empties.
pub static E1054_UNLOGGED: Code = Code {
    id: "E1054",
    kind: Kind::Config,
    title: "The table is UNLOGGED.",
    cause: "PostgreSQL empties it after a crash, which looks as if every row had been deleted.",
    remedy: "ALTER TABLE ... SET LOGGED.",
};

/// A login that can do too much.
pub static E1055_SUPERUSER: Code = Code {
    id: "E1055",
    kind: Kind::Config,
    title: "The login is a superuser.",
    cause: "A read-only transaction stops a superuser from changing rows, but not from everything.",
    remedy: "Use a role with SELECT only; see sql/warehouse.",
};

/// A login that may write.
pub static E1056_WRITE_GRANT: Code = Code {
    id: "E1056",
    kind: Kind::Config,
    title: "The login may write to the warehouse.",
    cause: "It has INSERT, UPDATE, DELETE or TRUNCATE on tables it only needs to read.",
    remedy: "Use a role with SELECT only; see sql/warehouse.",
};

/// No lookback.
pub static E1057_NO_LAG: Code = Code {
    id: "E1057",
    kind: Kind::Config,
    title: "The watermark has no `lag`.",
    cause: "A transaction that commits late carries an older timestamp; without a lookback its rows are missed.",
    remedy: "Set `lag` above the longest write transaction, for example 5m. Rows read twice cost no request.",
};

/// An inexact key.
pub static E1058_FLOAT_KEY: Code = Code {
    id: "E1058",
    kind: Kind::Config,
    title: "A primary key column is a floating point number.",
    cause: "Two values that look the same may differ in the last bit.",
    remedy: "Cast it to numeric in the model, or use another key.",
};

/// A key nothing guards.
pub static E1059_KEY_NOT_ENFORCED: Code = Code {
    id: "E1059",
    kind: Kind::Config,
    title: "No unique index guards the primary key.",
    cause: "Every run looks for keys that occur twice, which costs a query; such rows become rejects.",
    remedy: "Create a unique index on the key where the model is a table.",
};

/// A key that may be NULL.
pub static E1060_KEY_NULLABLE: Code = Code {
    id: "E1060",
    kind: Kind::Config,
    title: "A primary key column may be NULL.",
    cause: "Rows without a key cannot be told apart and become rejects.",
    remedy: "Make the column NOT NULL, or leave such rows out in the model.",
};

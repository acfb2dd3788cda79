//! The codes of finding changes: what a mark says, what the log method needs, and what a run found about both.

use flow::{Code, Kind};

/// The log of a standby cannot be followed.
pub static E1026_LOG_STANDBY: Code = Code {
    id: "E1026",
    kind: Kind::Config,
    title: "The log of a standby cannot be followed.",
    cause: "A standby has no logical decoding before PostgreSQL 16, and this version follows primaries only.",
    remedy: "Connect to the primary server, or use `method: watermark` or `snapshot`.",
};

/// The replication slot is not there.
pub static E1027_NO_SLOT: Code = Code {
    id: "E1027",
    kind: Kind::Config,
    title: "The replication slot is not there.",
    cause: "`method: log` needs wal_level = logical and a slot that keeps the log until outflow has settled it. outflow never makes one.",
    remedy: "Run sql/warehouse/log.sql as an administrator; `outflow doctor` prints the statements.",
};

/// The replication slot is of another kind.
pub static E1028_WRONG_SLOT: Code = Code {
    id: "E1028",
    kind: Kind::Config,
    title: "The replication slot is of another kind.",
    cause: "It must be a logical slot of this database with the plugin pgoutput, neither temporary nor made with two_phase.",
    remedy: "Make one with pg_create_logical_replication_slot('name', 'pgoutput').",
};

/// The server gave up the slot's log.
pub static E1029_SLOT_LOST: Code = Code {
    id: "E1029",
    kind: Kind::Failed,
    title: "The server gave up the slot's log.",
    cause: "The slot kept back more than max_slot_wal_keep_size, so what changed since is not in the log any more.",
    remedy: "Drop the slot and make it again; the next run notices and reads every row.",
};

/// The login may not use replication slots.
pub static E1030_NO_REPLICATION: Code = Code {
    id: "E1030",
    kind: Kind::Credentials,
    title: "The login may not use replication slots.",
    cause: "PostgreSQL lets only roles with the attribute REPLICATION read a slot.",
    remedy: "ALTER ROLE ... WITH REPLICATION; see sql/warehouse/log.sql.",
};

/// Somebody else uses the replication slot.
pub static E1031_SLOT_IN_USE: Code = Code {
    id: "E1031",
    kind: Kind::Failed,
    title: "Somebody else uses the replication slot.",
    cause: "Each slot has one reader: another sync, another program, or a session of ours that the server has not noticed is gone.",
    remedy: "Give each sync a slot of its own, or wait until the other session ends.",
};

/// A table of `changes.tables` is not there.
pub static E1032_LOG_TABLE: Code = Code {
    id: "E1032",
    kind: Kind::Config,
    title: "A table of `changes.tables` is not there.",
    cause: "The name is misspelt, in another schema, or is a view.",
    remedy: "Write it as schema.name; name the tables a view reads from.",
};

/// A followed table is not in the publication.
pub static E1033_NOT_PUBLISHED: Code = Code {
    id: "E1033",
    kind: Kind::Config,
    title: "A followed table is not in the publication.",
    cause: "Its changes are not in the log. A table that is dropped and made anew, as dbt does, leaves the publication without a word.",
    remedy: "ALTER PUBLICATION ... ADD TABLE ...; the next run notices and reads every row. A publication FOR TABLES IN SCHEMA keeps such tables.",
};

/// The publication leaves out changes.
pub static E1034_PUBLISHED_IN_PART: Code = Code {
    id: "E1034",
    kind: Kind::Config,
    title: "The publication leaves out changes.",
    cause: "It has a row filter, or does not publish inserts, updates, deletes and truncates.",
    remedy: "Publish every row and every kind of change.",
};

/// A followed table has no replica identity.
pub static E1035_NO_IDENTITY: Code = Code {
    id: "E1035",
    kind: Kind::Config,
    title: "A followed table has no replica identity.",
    cause: "Without a primary key or a replica identity the log does not say which row was changed or deleted.",
    remedy: "Give it a primary key, or ALTER TABLE ... REPLICA IDENTITY FULL.",
};

/// A transaction of the log stays invisible.
pub static E1036_NOT_VISIBLE: Code = Code {
    id: "E1036",
    kind: Kind::Failed,
    title: "A transaction of the log stays invisible.",
    cause: "Its commit is in the log and waits for something, such as a synchronous standby that is not there. Its rows would be read as they were before.",
    remedy: "See to the standbys in synchronous_standby_names; then run again.",
};

/// The `keys` of a followed table do not fit.
pub static E1037_KEYS_SQL: Code = Code {
    id: "E1037",
    kind: Kind::Config,
    title: "The `keys` of a followed table do not fit.",
    cause: "The SELECT must give as many columns as the model's primary key has, in its order.",
    remedy: "Select the primary key's columns FROM changed JOIN ... .",
};

/// Every row was read, since the log does not go on where the last run ended.
pub static E1064_LOG_GAP: Code = Code {
    id: "E1064",
    kind: Kind::Config,
    title: "Every row was read, since the log does not go on where the last run ended.",
    cause: "The slot was dropped and made again, or somebody else moved it on: changes in between are not in the log.",
    remedy: "Nothing; let no other program use the slot.",
};

/// The model reads a table whose changes are not followed.
pub static E1066_NOT_FOLLOWED: Code = Code {
    id: "E1066",
    kind: Kind::Config,
    title: "The model reads a table whose changes are not followed.",
    cause: "`changes.tables` leaves it out, so a change of it is found only when another table's row changes too, or by `reconcile`.",
    remedy: "Add the table to `changes.tables` and to the publication.",
};

/// A change of a followed table makes a run read every row.
pub static E1067_EVERY_ROW: Code = Code {
    id: "E1067",
    kind: Kind::Config,
    title: "A change of a followed table makes a run read every row.",
    cause: "The model's primary key is no columns of the table, or a row of the model depends on several of its rows, so the log does not say which rows of the model changed.",
    remedy: "Give the table `keys`: { name: s.t, keys: \"SELECT o.id FROM o JOIN changed ON o.t_id = changed.id\" }.",
};

/// Nothing limits what a slot keeps back.
pub static E1038_UNLIMITED: Code = Code {
    id: "E1038",
    kind: Kind::Config,
    title: "Nothing limits the log that the server keeps back for the slot.",
    cause: "A sync that nobody runs fills the server's disk: max_slot_wal_keep_size is not set, and the sync has no `retained_max_mib`.",
    remedy: "ALTER SYSTEM SET max_slot_wal_keep_size = '20GB'; SELECT pg_reload_conf(); or at least be warned by `changes.retained_max_mib`.",
};

/// The server is about to give a slot up.
pub static E1039_SLOT_AT_RISK: Code = Code {
    id: "E1039",
    kind: Kind::Config,
    title: "The server is about to give up the slot's log.",
    cause: "The slot keeps back more than max_slot_wal_keep_size. The next checkpoint removes that log, and then every row has to be read.",
    remedy: "Run the sync now, and raise max_slot_wal_keep_size.",
};

/// The replication slot keeps back much log.
pub static E1068_RETAINED: Code = Code {
    id: "E1068",
    kind: Kind::Config,
    title: "The replication slot keeps back much log.",
    cause: "The sync did not run, or could not settle, for long; the server's disk fills meanwhile. The run goes on, since settling is what lets the log go.",
    remedy: "Run the sync more often, and set max_slot_wal_keep_size on the server as the last resort.",
};

/// A server that is further back than what was read.
pub static E1025_BEHIND: Code = Code {
    id: "E1025",
    kind: Kind::Failed,
    title: "The warehouse shows an older state than an earlier run has read.",
    cause: "A standby that is further behind answers, as behind a load balancer. Its rows would overwrite newer ones.",
    remedy: "Run again when it has caught up, or connect to one server; `--full-refresh` takes what it has.",
};

/// A server that is not the one of the last run.
pub static E1061_OTHER_SERVER: Code = Code {
    id: "E1061",
    kind: Kind::Config,
    title: "Every row was read, since the warehouse is another server than before.",
    cause: "Its system identifier or timeline changed: a standby was promoted, a backup was restored, or the connection leads elsewhere. What was committed there may be less than was read before, so that no watermark says what changed.",
    remedy: "Nothing; rows that did not change cost no request.",
};

/// A table that was made anew.
pub static E1062_REBUILT: Code = Code {
    id: "E1062",
    kind: Kind::Config,
    title: "Every row was read, since a table was rebuilt.",
    cause: "A rebuild, TRUNCATE, VACUUM FULL or a changed set of partitions can change rows without touching their watermark.",
    remedy: "Nothing; rows that did not change cost no request. Where the table is rebuilt before every run, `changes: { method: snapshot }` says so.",
};

/// A look too long ago.
pub static E1063_XIDS_PASSED: Code = Code {
    id: "E1063",
    kind: Kind::Config,
    title: "Every row was read, since rows could not be told apart by their transaction.",
    cause: "A row keeps 32 bits of the number of the transaction that wrote it. After two thousand million transactions, or before the first look, they do not say which rows are newer.",
    remedy: "Nothing; run the sync more often than that.",
};

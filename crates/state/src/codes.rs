//! Every error of the state, with its cause and what the operator does next.

use flow::{Code, Kind};

/// The directory or the file cannot be made, opened or protected.
pub static E3001_DIRECTORY: Code = Code {
    id: "E3001",
    kind: Kind::Failed,
    title: "The state directory cannot be used.",
    cause: "The directory of the state (.outflow) or a file in it cannot be created, opened or written: a missing \
            permission, a read-only file system, or something else of that name.",
    remedy: "make the directory writable for the user that runs outflow, or name another directory",
};

/// Not an outflow state at all.
pub static E3002_NOT_STATE: Code = Code {
    id: "E3002",
    kind: Kind::Config,
    title: "The state file is not an outflow state.",
    cause: "state.db is not a SQLite file, or it was made by another program. Nothing in it was changed.",
    remedy: "move the file away, or name another state directory; without a state the next run is a first load",
};

/// The file ends too early.
pub static E3003_TRUNCATED: Code = Code {
    id: "E3003",
    kind: Kind::Failed,
    title: "The state file is cut off.",
    cause: "state.db is shorter than it says itself: a copy that was interrupted, a full disk under a copy, or a \
            damaged file system. Nothing in it was changed.",
    remedy: "put a backup of the whole .outflow directory back, or move state.db, state.db-wal and state.db-shm away: \
             the next run is then a first load that upserts every row and deletes nothing",
};

/// The file is damaged.
pub static E3004_DAMAGED: Code = Code {
    id: "E3004",
    kind: Kind::Failed,
    title: "The state file is damaged.",
    cause: "The structure of state.db is broken: something else wrote into it, or the disk returned wrong bytes. \
            Nothing in it was changed.",
    remedy: "put a backup of the whole .outflow directory back, or move state.db, state.db-wal and state.db-shm away: \
             the next run is then a first load that upserts every row and deletes nothing",
};

/// A newer outflow wrote the file.
pub static E3005_NEWER: Code = Code {
    id: "E3005",
    kind: Kind::Config,
    title: "The state was written by a newer version of outflow.",
    cause: "A newer outflow changed the tables of state.db; this version does not know them. Nothing was changed.",
    remedy: "run the newer outflow, or put back the backup it made next to state.db before it changed the tables",
};

/// The file belongs to another project.
pub static E3006_OTHER_PROJECT: Code = Code {
    id: "E3006",
    kind: Kind::Config,
    title: "The state belongs to another project.",
    cause: "The project name in state.db is not the `project` of outflow.yml: the directory was copied, or the project \
            was renamed. Nothing was changed.",
    remedy: "use one state directory per project, or give the project its old name back",
};

/// One row's checksum is wrong.
pub static E3007_CHECKSUM: Code = Code {
    id: "E3007",
    kind: Kind::Failed,
    title: "A row of the state does not match its checksum.",
    cause: "A bit of the ledger's newest changes, a watermark or a sync's own row changed outside outflow: a failing disk or memory, or \
            an edit by hand. The run stopped before it used the row.",
    remedy: "put a backup of the whole .outflow directory back, or run `outflow state reset` for the sync: its next run \
             is then a first load that upserts every row and deletes nothing",
};

/// The log is there but the file is not.
pub static E3008_LOG_ALONE: Code = Code {
    id: "E3008",
    kind: Kind::Failed,
    title: "The state file is gone but its log is still there.",
    cause: "state.db is missing next to state.db-wal, which holds its newest changes. A new state beside an old log \
            would mix the two. Nothing was changed.",
    remedy: "put state.db back, or move state.db-wal and state.db-shm away as well to begin with a first load",
};

/// A migration did not go through.
pub static E3009_MIGRATION: Code = Code {
    id: "E3009",
    kind: Kind::Failed,
    title: "The state's tables could not be brought to this version.",
    cause: "The backup before the change, or the change itself, failed; it was rolled back, so the state is as before.",
    remedy: "make room for a second copy of state.db on the disk and run again",
};

/// Another process runs the sync.
pub static E3010_LEASE_HELD: Code = Code {
    id: "E3010",
    kind: Kind::Lease,
    title: "Another run holds the sync.",
    cause: "A sync runs once at a time. The other process still lives; the lease of a process that died is free at once.",
    remedy: "wait for the other run, or stop its process; then run again",
};

/// A newer owner has taken over.
pub static E3011_LEASE_LOST: Code = Code {
    id: "E3011",
    kind: Kind::Lease,
    title: "Another run has taken the sync over.",
    cause: "The lease of this run is older than the newest one, for example because the lock file was deleted while it \
            ran. Its late write was refused, so the newer run's state is intact.",
    remedy: "let the newer run finish; what this run delivered is sent once more where it differs",
};

/// The sync's name cannot be a file name.
pub static E3012_SYNC_NAME: Code = Code {
    id: "E3012",
    kind: Kind::Config,
    title: "The sync's name cannot be used.",
    cause: "A sync's name is also the name of its lock file: 1 to 100 of the characters a-z, 0-9 and _.",
    remedy: "rename the sync",
};

/// No room.
pub static E3013_DISK_FULL: Code = Code {
    id: "E3013",
    kind: Kind::Failed,
    title: "The disk of the state is full.",
    cause: "The last change could not be written. Everything acknowledged before it is kept.",
    remedy: "free disk space and run again; rows whose acknowledgement was not kept are sent once more",
};

/// The disk failed.
pub static E3014_DISK: Code = Code {
    id: "E3014",
    kind: Kind::Failed,
    title: "The state cannot be read or written.",
    cause: "The operating system refused to read or write state.db: an input/output error, a file size limit, a lost \
            permission, or a file system that became read-only.",
    remedy: "look at the system log and the disk, then run again; everything acknowledged before is kept",
};

/// Somebody else writes for too long.
pub static E3015_BUSY: Code = Code {
    id: "E3015",
    kind: Kind::Failed,
    title: "The state is locked by another process.",
    cause: "Another process kept a write transaction on state.db open for more than half a minute, for example an open \
            `sqlite3` session or a reset of a very large sync.",
    remedy: "close the other process and run again",
};

/// The run is not there.
pub static E3016_NO_RUN: Code = Code {
    id: "E3016",
    kind: Kind::Failed,
    title: "The run is not in the state.",
    cause: "Progress was to be written for a run that was never begun, or whose sync is another one.",
    remedy: "this is a bug: keep the .outflow directory and report it",
};

/// The beginning of a run id fits more than one.
pub static E3017_AMBIGUOUS_RUN: Code = Code {
    id: "E3017",
    kind: Kind::Config,
    title: "More than one run begins like that.",
    cause: "A run may be named by the beginning of its id as long as only one run begins so.",
    remedy: "give more characters of the id; `outflow runs ls` lists them",
};

/// A ledger file is not there.
pub static E3020_LEDGER_MISSING: Code = Code {
    id: "E3020",
    kind: Kind::Failed,
    title: "A file of the ledger is missing.",
    cause: "state.db names a file in .outflow/ledger that is not there: it was deleted, or state.db was copied without \
            that folder. Nothing was sent on the strength of it.",
    remedy: "put a backup of the whole .outflow directory back, or run `outflow state reset` for the sync: its next run \
             is then a first load that upserts every row and deletes nothing",
};

/// A ledger file is damaged.
pub static E3021_LEDGER_DAMAGED: Code = Code {
    id: "E3021",
    kind: Kind::Failed,
    title: "A file of the ledger is damaged.",
    cause: "A file in .outflow/ledger does not match its checksums: it is cut off, something else wrote into it, or the \
            disk returned wrong bytes. The run stopped before it used what was read.",
    remedy: "put a backup of the whole .outflow directory back, or run `outflow state reset` for the sync: its next run \
             is then a first load that upserts every row and deletes nothing",
};

/// A job that was not written down.
pub static E3030_NO_SUCH_JOB: Code = Code {
    id: "E3030",
    kind: Kind::Failed,
    title: "The job was not written down in this state.",
    cause: "A run made a job at the destination whose intent the state does not have; nothing is uploaded then. This is a \
            bug in outflow.",
    remedy: "run again, and report it",
};

/// The quota ledger cannot be used.
pub static E3070_QUOTA_FILE: Code = Code {
    id: "E3070",
    kind: Kind::Failed,
    title: "The quota ledger cannot be used.",
    cause: "quota.db beside the state cannot be opened, read or written: a missing permission, a full disk, or a process \
            that was stopped while it held the file. Without it nothing is sent, as processes could pass the account's \
            limits together.",
    remedy: "mend the cause and run again; nothing is lost",
};

/// The quota ledger is damaged.
pub static E3071_QUOTA_DAMAGED: Code = Code {
    id: "E3071",
    kind: Kind::Failed,
    title: "The quota ledger is damaged.",
    cause: "quota.db beside the state is not what outflow wrote: something else wrote into it, or the disk returned wrong \
            bytes. It holds nothing that is not learned again within a window.",
    remedy: "run again: the file is put aside and begun anew",
};

/// The server of the state does not answer.
pub static E3040_UNREACHABLE: Code = Code {
    id: "E3040",
    kind: Kind::Unreachable,
    title: "The server of the state cannot be reached.",
    cause: "The PostgreSQL server named under `state` does not take connections there: host or port are wrong, it is down or \
            starting, a firewall is in between, or it has no connection left.",
    remedy: "check host, port and the server; then run again",
};

/// It does not let us in.
pub static E3041_LOGIN: Code = Code {
    id: "E3041",
    kind: Kind::Credentials,
    title: "The server of the state refuses the login.",
    cause: "User, password or database in the URL under `state` are wrong, or pg_hba.conf has no line for them.",
    remedy: "check the URL of the state; `psql` with the same URL says more",
};

/// TLS does not come about.
pub static E3042_TLS: Code = Code {
    id: "E3042",
    kind: Kind::Unreachable,
    title: "The TLS connection to the state fails.",
    cause: "The server's certificate is not trusted or is for another host, or the server offers no TLS.",
    remedy: "name the CA with `ca_file` of the connection, or `sslrootcert` in the URL; `sslmode` names a weaker mode where \
             that is wanted",
};

/// Missing rights.
pub static E3043_PERMISSION: Code = Code {
    id: "E3043",
    kind: Kind::Credentials,
    title: "The role may not write the state.",
    cause: "The role of the state needs to create and use the schema named under `state`, or the server is a standby, \
            which nobody can write to.",
    remedy: "as an owner of the database: CREATE SCHEMA outflow_state AUTHORIZATION the_role; and connect to the primary",
};

/// The schema holds something else.
pub static E3044_NOT_STATE: Code = Code {
    id: "E3044",
    kind: Kind::Config,
    title: "The schema is not a state of outflow.",
    cause: "The schema named under `state` holds tables of something else, or tables of the state are missing. Nothing was \
            changed.",
    remedy: "name another schema under `state`, or put a backup of the schema back; an empty one begins with a first load \
             that upserts every row and deletes nothing",
};

/// A newer outflow made it.
pub static E3045_NEWER: Code = Code {
    id: "E3045",
    kind: Kind::Config,
    title: "The state in PostgreSQL was written by a newer version of outflow.",
    cause: "A newer outflow changed the tables of the schema; this version does not know them. Nothing was changed.",
    remedy: "run the newer outflow on every machine that shares the state",
};

/// Somebody else has it locked.
pub static E3046_BUSY: Code = Code {
    id: "E3046",
    kind: Kind::Failed,
    title: "The state in PostgreSQL is locked.",
    cause: "Another session kept a table or a row of the state locked for too long: an open transaction of somebody, or a \
            process that stands still in the middle of a commit.",
    remedy: "look at pg_stat_activity for the schema's sessions, end the one that waits, and run again",
};

/// The connection is gone.
pub static E3047_LOST: Code = Code {
    id: "E3047",
    kind: Kind::Failed,
    title: "The connection to the state was lost.",
    cause: "The server restarted, or the network between was cut. Everything acknowledged before is kept.",
    remedy: "run again; rows whose acknowledgement was not kept are sent once more",
};

/// Anything the server says that should not happen.
pub static E3048_UNEXPECTED: Code = Code {
    id: "E3048",
    kind: Kind::Failed,
    title: "The state in PostgreSQL gave an answer that was not expected.",
    cause: "The server refused a statement of ours for a reason that has no code of its own.",
    remedy: "run again; if it comes back, report it with the message",
};

/// No room.
pub static E3049_FULL: Code = Code {
    id: "E3049",
    kind: Kind::Failed,
    title: "The server of the state has no room.",
    cause: "Its disk or its memory is full, so that the last change could not be written. Everything acknowledged before it \
            is kept.",
    remedy: "make room on the server and run again; rows whose acknowledgement was not kept are sent once more",
};

/// What `state` says cannot be right.
pub static E3050_OPTIONS: Code = Code {
    id: "E3050",
    kind: Kind::Config,
    title: "The state's options cannot be used.",
    cause: "The URL, the TLS mode, the schema or the lease under `state` contradict each other or cannot be parsed.",
    remedy: "correct `state` in outflow.yml; write postgres://user:password@host:port/database with special characters \
             percent-encoded",
};

/// Other processes share another work.
pub static E3052_OTHER_WORK: Code = Code {
    id: "E3052",
    kind: Kind::Lease,
    title: "Other processes share another work of the sync.",
    cause: "Processes share a work only when mapping, options and the number of shards are the same for all of them.",
    remedy: "start every process with the same project and the same options, or wait until the others have ended",
};

/// Anything SQLite says that should not happen.
pub static E3099_UNEXPECTED: Code = Code {
    id: "E3099",
    kind: Kind::Failed,
    title: "The state gave an answer that was not expected.",
    cause: "SQLite refused a statement of ours for a reason that has no code of its own.",
    remedy: "run again; if it comes back, keep the .outflow directory and report it",
};

/// All codes of this crate.
pub const CODES: &[&Code] = &[
    &E3001_DIRECTORY,
    &E3002_NOT_STATE,
    &E3003_TRUNCATED,
    &E3004_DAMAGED,
    &E3005_NEWER,
    &E3006_OTHER_PROJECT,
    &E3007_CHECKSUM,
    &E3008_LOG_ALONE,
    &E3009_MIGRATION,
    &E3010_LEASE_HELD,
    &E3011_LEASE_LOST,
    &E3012_SYNC_NAME,
    &E3013_DISK_FULL,
    &E3014_DISK,
    &E3015_BUSY,
    &E3016_NO_RUN,
    &E3017_AMBIGUOUS_RUN,
    &E3020_LEDGER_MISSING,
    &E3021_LEDGER_DAMAGED,
    &E3030_NO_SUCH_JOB,
    &E3040_UNREACHABLE,
    &E3041_LOGIN,
    &E3042_TLS,
    &E3043_PERMISSION,
    &E3044_NOT_STATE,
    &E3045_NEWER,
    &E3046_BUSY,
    &E3047_LOST,
    &E3048_UNEXPECTED,
    &E3049_FULL,
    &E3050_OPTIONS,
    &E3052_OTHER_WORK,
    &E3070_QUOTA_FILE,
    &E3071_QUOTA_DAMAGED,
    &E3099_UNEXPECTED,
];

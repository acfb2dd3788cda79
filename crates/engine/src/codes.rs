//! The engine's error codes.

use flow::{Code, Kind};

/// The row accounting of a run does not balance.
pub static E4001: Code = Code {
    id: "E4001",
    kind: Kind::Failed,
    title: "the row accounting does not balance",
    cause: "Every row read must end as unchanged, delivered, rejected or parked. This run has rows in none of \
            these counts, which is a bug in outflow.",
    remedy: "keep the run's output and the .outflow folder, and report it; the next run repairs the rows",
};

/// A write call kept failing.
pub static E4002: Code = Code {
    id: "E4002",
    kind: Kind::Failed,
    title: "the destination keeps failing",
    cause: "A write call was repeated with growing pauses until its attempts or its time were used up. Rows that \
            were acknowledged are committed; the others are read and sent again by the next run.",
    remedy: "check the destination's status page, then run again",
};

/// The mapping does not fit the model or the destination.
pub static E4003: Code = Code {
    id: "E4003",
    kind: Kind::Config,
    title: "the mapping does not fit the model or the destination",
    cause: "The mapping is checked against the live columns and fields before anything is sent.",
    remedy: "run `outflow validate --online`, which shows every place",
};

/// The run was told to stop.
pub static E4004: Code = Code {
    id: "E4004",
    kind: Kind::Failed,
    title: "the run was aborted",
    cause: "A second signal arrived before the drain was over. Calls in flight have an unknown outcome and are sent \
            again by the next run.",
    remedy: "run again",
};

/// A reject stopped the run.
pub static E4005: Code = Code {
    id: "E4005",
    kind: Kind::Failed,
    title: "a rejected row stopped the run",
    cause: "`delivery.on_reject: stop` or `--fail-fast` ends a run at the first reject.",
    remedy: "run `outflow rejects ls`, mend the row or the mapping, and run again",
};

/// The spool cannot be written or read.
pub static E4006: Code = Code {
    id: "E4006",
    kind: Kind::Failed,
    title: "the spool cannot be used",
    cause: "Rows that wait for a slow destination are kept in files under .outflow/spool, and one of them could not be \
            written or read back. Nothing unsent is counted as sent.",
    remedy: "free disk space or mend the permissions of .outflow/spool, then run again",
};

/// A part of the engine ended unexpectedly.
pub static E4007: Code = Code {
    id: "E4007",
    kind: Kind::Failed,
    title: "a part of the run ended unexpectedly",
    cause: "A task of the engine stopped without an answer, which is a bug in outflow.",
    remedy: "run again, and report it with the log",
};

/// The destination cannot do what the sync asks.
pub static E4008: Code = Code {
    id: "E4008",
    kind: Kind::Config,
    title: "the destination cannot do this mode safely",
    cause: "A mode is refused where the destination's API cannot carry it out without losing or doubling rows.",
    remedy: "choose one of the modes the destination's page lists",
};

/// Too many rows left the model at once.
pub static E4020: Code = Code {
    id: "E4020",
    kind: Kind::Guard,
    title: "too many rows left the model at once",
    cause: "A read without any row, or with far fewer rows than were known, mostly means that the model is broken or \
            being rebuilt, and not that so many records are to be removed. Nothing was sent, unless more changed than \
            waits in memory for the end of the read; no record was removed.",
    remedy: "look at `outflow plan`; if the rows are really gone, plan to a file and `outflow apply FILE --allow \
             max_removed` once, or set the guards `max_removed` and `max_removed_floor`",
};

/// Rows without a key hold removals back.
pub static E4021: Code = Code {
    id: "E4021",
    kind: Kind::Failed,
    title: "rows without a key hold removals back",
    cause: "A row whose key is NULL may be any row that seems to have left the model, so nothing is removed while there \
            is one.",
    remedy: "give every row of the model a key, or leave rows without one out of its SQL",
};

/// The read was not in one piece.
pub static E4022: Code = Code {
    id: "E4022",
    kind: Kind::Failed,
    title: "the read was not in one piece, so nothing is removed",
    cause: "A read by watermark that was interrupted goes on in a newer snapshot. A row that moved meanwhile may be in \
            neither part, although it never left the model.",
    remedy: "run again; a larger spool or a quieter connection lets a read go through at once",
};

/// The read was not in the order it should have.
pub static E4050: Code = Code {
    id: "E4050",
    kind: Kind::Failed,
    title: "the rows do not come in the order of their keys, so nothing is removed",
    cause: "A complete read is compared with the ledger in the order of the primary key. The warehouse sorts the key's \
            values in another way than their type says, as a database in a legacy character set may. Every row is then looked \
            up, which finds all changes; which rows left the model is not known.",
    remedy: "cast the key in the model's SQL to a number, uuid or UTF-8 text, and report it",
};

/// The destination cannot remove records as asked.
pub static E4023: Code = Code {
    id: "E4023",
    kind: Kind::Config,
    title: "the destination cannot remove records this way",
    cause: "Records of rows that left the model are addressed by their ids, and not every object can be deleted, or \
            updated, by it.",
    remedy: "choose another `removed.action`; `ignore` is always possible",
};

/// The change method does not notice every change.
pub static E4055: Code = Code {
    id: "E4055",
    kind: Kind::Config,
    title: "rows changed without the change method noticing",
    cause: "The compare of every row that `changes.reconcile` asks for found rows that had changed and that neither the \
            watermark nor the log had shown: back-dated updates, triggers switched off, a slow clock of an application.",
    remedy: "let every change set the progress column, raise `lag`, or use `method: snapshot`; until then keep `reconcile`",
};

/// A mirror of a table that a crash empties.
pub static E4056: Code = Code {
    id: "E4056",
    kind: Kind::Config,
    title: "an UNLOGGED table cannot be mirrored",
    cause: "PostgreSQL empties an UNLOGGED table after a crash. A mirror would take that for the removal of every row.",
    remedy: "ALTER TABLE ... SET LOGGED, or use `mode: upsert`",
};

/// The file is no plan.
pub static E4031: Code = Code {
    id: "E4031",
    kind: Kind::Guard,
    title: "the file is not a plan",
    cause: "A plan begins with a line that says so and seals the rest. Nothing was sent.",
    remedy: "name the file that `outflow plan --out FILE` wrote",
};

/// The plan is damaged.
pub static E4032: Code = Code {
    id: "E4032",
    kind: Kind::Guard,
    title: "the plan is damaged",
    cause: "The file was cut off or changed since it was written: its content is not what its first line seals. Nothing \
            was sent.",
    remedy: "make a new plan",
};

/// The plan is of another version.
pub static E4033: Code = Code {
    id: "E4033",
    kind: Kind::Guard,
    title: "the plan was made by another version",
    cause: "The format of plans has a version, and this program applies only its own. Nothing was sent.",
    remedy: "apply it with the version that made it, or make a new plan",
};

/// The plan's file cannot be used.
pub static E4034: Code = Code {
    id: "E4034",
    kind: Kind::Failed,
    title: "the plan's file cannot be written or read",
    cause: "The file system refused it. Nothing was sent.",
    remedy: "see the message; mend the path, its permissions or the disk's room",
};

/// A job is still in progress.
pub static E4035: Code = Code {
    id: "E4035",
    kind: Kind::Failed,
    title: "a job at the destination is still in progress",
    cause: "The destination works on a job by itself, and it had not ended when the run had waited long enough. Its rows are \
            parked; nothing of them is sent again while the job is open.",
    remedy: "run again later: the run begins with asking for the job. If it never ends, abort it at the destination",
};

/// A job was lost.
pub static E4036: Code = Code {
    id: "E4036",
    kind: Kind::Failed,
    title: "the destination loses jobs",
    cause: "A job was made, and when it was asked for the destination did not know it any more, or had not taken its rows; so \
            it went several times. The rows are read and sent again by the next run.",
    remedy: "check the destination's status page and its list of jobs, then run again",
};

/// The state is about another place.
pub static G001: Code = Code {
    id: "G001",
    kind: Kind::Guard,
    title: "the sync's state is about another place",
    cause: "The ledger says what one account has acknowledged, by object and primary key. Another account has none of \
            it: a run would find rows unchanged that were never sent there. Nothing was sent.",
    remedy: "`outflow state reset` lets the next run send every row to the new place; for two accounts side by side \
             declare `environments:`, each keeps a state of its own (`--env`)",
};

/// The rows to weigh do not fit.
pub static E4030: Code = Code {
    id: "E4030",
    kind: Kind::Failed,
    title: "the rows to be weighed do not fit into the spool",
    cause: "A sync with guards that need totals reads everything first and keeps it under .outflow/spool until its \
            guards have spoken; the spool has a limit, so that it cannot fill the disk. Nothing was sent.",
    remedy: "take the sync's guards out for this one load, or let the model have fewer rows to begin with",
};

/// The model is too small.
pub static G002: Code = Code {
    id: "G002",
    kind: Kind::Guard,
    title: "the model has fewer rows than `min_rows`",
    cause: "An empty or tiny model is nearly always a broken one: a table that is being rebuilt, a join that \
            lost its other side. Nothing was sent.",
    remedy: "see what became of the model; where it is right, lower `guards.min_rows`, or plan to a file and \
            `outflow apply FILE --allow min_rows`",
};

/// Too many rows left.
pub static G003: Code = Code {
    id: "G003",
    kind: Kind::Guard,
    title: "more rows left the model than `max_removed` allows",
    cause: "Rows that leave the model in a crowd are nearly always a broken filter or a half-loaded table, and \
            what happens to their records cannot be taken back. Nothing was sent.",
    remedy: "see which rows are gone (`outflow plan`); where that is right, plan to a file and `outflow apply \
            FILE --allow max_removed`",
};

/// Too many rows changed.
pub static G004: Code = Code {
    id: "G004",
    kind: Kind::Guard,
    title: "more rows changed than `max_changed` allows",
    cause: "The limit is a share of the rows known so far. A changed mapping or a rebuilt column changes many \
            rows at once. Nothing was sent.",
    remedy: "see what would change (`outflow plan`); where that is right, plan to a file and `outflow apply FILE \
            --allow max_changed`",
};

/// `max_null_out` does not see every row.
pub static E4040: Code = Code {
    id: "E4040",
    kind: Kind::Failed,
    title: "`max_null_out` does not see what some rows had before",
    cause: "The guard counts values that are filled at the destination by what is remembered of the last acknowledged \
            payload, and where nothing is, by reading the record. These records cannot be read, or what became of \
            their last request is not known.",
    remedy: "none is needed: what is sent is remembered from now on, so that the next run sees it",
};

/// Too many values would be emptied.
pub static G005: Code = Code {
    id: "G005",
    kind: Kind::Guard,
    title: "more values would be emptied than `max_null_out` allows",
    cause: "The limit is a share of the values that are filled at the destination as last acknowledged. A column \
            that lost its values upstream empties them all downstream. Nothing was sent.",
    remedy: "see which fields would be emptied (`outflow plan`); where that is right, plan to a file and `outflow \
            apply FILE --allow max_null_out`",
};

/// Too many rows would be rejected.
pub static G006: Code = Code {
    id: "G006",
    kind: Kind::Guard,
    title: "more rows would be rejected than `max_rejected` allows",
    cause: "These rows are rejects before anything is sent: the mapping refuses them, another row has their \
            record, or the same payload was refused before. The limit is a share of the rows read, or of those \
            known where that is more. Nothing was sent.",
    remedy: "`outflow plan` shows the reasons; mend the rows or the mapping, or plan to a file and `outflow apply \
            FILE --allow max_rejected`",
};

/// Too many rows are invalid.
pub static G007: Code = Code {
    id: "G007",
    kind: Kind::Guard,
    title: "more rows are invalid than `max_invalid` allows",
    cause: "The mapping refuses these rows, so that they would not be sent. The limit is a share of the rows \
            read, or of those known where that is more. Nothing was sent.",
    remedy: "`outflow plan` shows the reasons; mend the rows or the mapping, or plan to a file and `outflow apply \
            FILE --allow max_invalid`",
};

/// Too many calls.
pub static G008: Code = Code {
    id: "G008",
    kind: Kind::Guard,
    title: "the run would make more calls than `max_requests` allows",
    cause: "The calls are what the rows to be sent take at the destination's rows per call, repeats aside. \
            Nothing was sent.",
    remedy: "raise `guards.max_requests`, send in parts with `--limit`, or plan to a file and `outflow apply FILE \
            --allow max_requests`",
};

/// The first run is to be confirmed.
pub static G009: Code = Code {
    id: "G009",
    kind: Kind::Guard,
    title: "the first run of this sync waits for an approved plan",
    cause: "`first_run: confirm` lets nothing be sent while the destination has acknowledged nothing of this \
            sync. Nothing was sent.",
    remedy: "`outflow plan -s SYNC --out FILE`, read it, then `outflow apply FILE`",
};

/// The source moved on since the plan.
pub static G010: Code = Code {
    id: "G010",
    kind: Kind::Guard,
    title: "the rows of the plan are not what the warehouse has now",
    cause: "A plan is applied exactly or not at all. Rows in it have changed, left the model, or become invalid since it \
            was made. Nothing was sent.",
    remedy: "make a new plan",
};

/// The configuration moved on since the plan.
pub static G011: Code = Code {
    id: "G011",
    kind: Kind::Guard,
    title: "the configuration is not the one the plan was made with",
    cause: "Another project or environment, a changed sync file or another account would send something else than what \
            was planned. Nothing was sent.",
    remedy: "make a new plan, or apply it where it was made",
};

/// The state moved on since the plan.
pub static G012: Code = Code {
    id: "G012",
    kind: Kind::Guard,
    title: "the state moved on since the plan was made",
    cause: "A run, a retry, a reset or this very plan has changed what is known of its rows. Nothing was sent.",
    remedy: "make a new plan; it is empty where everything has been sent",
};

/// Two rows are found by the same match value.
pub static R401: Code = Code {
    id: "R401",
    kind: Kind::Row,
    title: "another row of the model already holds this match value",
    cause: "Two rows with different primary keys would be written to the same record, and the later one would \
            silently overwrite the earlier one. The row that held the value first keeps it.",
    remedy: "make match_on unique in the model, or let one of the rows leave it; then `outflow rejects retry`",
};

/// The destination never said what became of the row.
pub static R402: Code = Code {
    id: "R402",
    kind: Kind::Row,
    title: "the destination answered without saying what became of the row",
    cause: "The call succeeded, but the answer did not mention the row, however often it was sent. Whether it was \
            applied is unknown. Every run tries it again.",
    remedy: "wait for the next run; if it stays, look the record up at the destination",
};

/// The same payload was refused before.
pub static R403: Code = Code {
    id: "R403",
    kind: Kind::Row,
    title: "held back: the same payload was refused before",
    cause: "A refused row is sent again only when its payload changes or a retry is asked for.",
    remedy: "see `outflow rejects show` for the first refusal; mend it and `outflow rejects retry`",
};

/// The record of a row that left the model is not known.
pub static R404: Code = Code {
    id: "R404",
    kind: Kind::Row,
    title: "the row left the model, and the id of its record is not known",
    cause: "The destination acknowledged the row without telling the record's id, so it cannot be removed without \
            guessing which record it is. Nothing was removed.",
    remedy: "remove the record at the destination by hand, then `outflow rejects discard`",
};

/// A lookup at a destination that cannot be asked.
pub static E4060: Code = Code {
    id: "E4060",
    kind: Kind::Config,
    title: "the destination cannot be asked for the records of a lookup",
    cause: "A mapping looks a record up by `object` and `match_on`, and this destination offers no way to read records.",
    remedy: "write those records by a sync of their own and look them up in it: `lookup: { sync: NAME, key: COLUMN }`",
};

/// The account takes nothing now.
pub static E4070: Code = Code {
    id: "E4070",
    kind: Kind::Parked,
    title: "the destination's quota is used up, and the sync waits for it",
    cause: "An earlier answer of the destination said that nothing is taken for a while: the account's daily quota, or \
            its part that is ours (`quota_share`), is used up, or it asked to wait for more than five minutes. The quota \
            ledger remembers that for all syncs and processes, so that the run ended without a single call. Rows wait in \
            the warehouse, and nothing is lost.",
    remedy: "run again after the wake-up time, which `outflow status` shows",
};

/// A backfill of fields that cannot be.
pub static E4071: Code = Code {
    id: "E4071",
    kind: Kind::Config,
    title: "these fields cannot be sent alone",
    cause: "A backfill with `--columns` sends some of the fields that the sync maps, to records that are there. It named a \
            field that the sync does not map, or the sync's mode makes a new record of every row.",
    remedy: "name destination fields of the sync's mappings; `outflow explain SYNC` lists them",
};

/// A destination that cannot be read back.
pub static E4080: Code = Code {
    id: "E4080",
    kind: Kind::Config,
    title: "the destination's records cannot be read back",
    cause: "Reconciling compares every record with what was acknowledged, and this destination offers no way to read \
            records.",
    remedy: "none for this destination; `outflow run --full-refresh` sends what changed, not what drifted",
};

/// A sync whose run cannot be cut.
pub static E4090: Code = Code {
    id: "E4090",
    kind: Kind::Config,
    title: "the sync's run cannot be shared by several processes",
    cause: "A sync with `method: log` follows one log in one order, so that there is nothing to cut into shards.",
    remedy: "run it without `--worker`",
};

/// A sync whose guards look at all of a run.
pub static E4091: Code = Code {
    id: "E4091",
    kind: Kind::Config,
    title: "the sync's guards cannot judge a shard",
    cause: "Guards compare a whole run with what was before; a shard is only a part of it. Nothing was sent.",
    remedy: "let one process run the sync, or leave the guards out for a first load",
};

/// Every code of this crate.
pub const CODES: &[&Code] = &[
    &E4001, &E4002, &E4003, &E4004, &E4005, &E4006, &E4007, &E4008, &E4020, &E4021, &E4022, &E4023,
    &E4030, &E4031, &E4032, &E4033, &E4034, &E4035, &E4036, &E4040, &E4050, &E4055, &E4056, &E4060,
    &E4070, &E4071, &E4080, &E4090, &E4091, &G001, &G002, &G003, &G004, &G005, &G006, &G007, &G008,
    &G009, &G010, &G011, &G012, &R401, &R402, &R403, &R404,
];

-- What delivery remembers between runs, and what is known of rows that left the model. `sum` as in 0001_state.sql.

-- What is remembered of each row is in sorted files in .outflow/ledger, and in the changes since they were made. The rows
-- of a state of version 1 go to such files before this. `syncs.ledger_rows` is not kept any more; `syncs.changes` counts the
-- changes of `ledgers`.
DROP TABLE ledger;

-- What the ledger of a sync is made of.
CREATE TABLE ledgers (
  sync      INTEGER PRIMARY KEY REFERENCES syncs (id),
  version   INTEGER NOT NULL,  -- grows with every change of the ledger
  key_order TEXT    NOT NULL,  -- how keys are ordered: a letter per part; empty: by their text
  folded    INTEGER NOT NULL,  -- deltas up to this one are in the files
  newest    INTEGER NOT NULL,  -- the newest delta
  files     INTEGER NOT NULL,  -- rows of the sync in `ledger_files`
  sum       INTEGER NOT NULL
) STRICT;

-- Its files; they never change.
CREATE TABLE ledger_files (
  sync      INTEGER NOT NULL REFERENCES syncs (id),
  age       INTEGER NOT NULL,  -- how many files are newer; of a row that is in several, the newest counts
  name      TEXT    NOT NULL,
  row_count INTEGER NOT NULL,
  bytes     INTEGER NOT NULL,
  root      INTEGER NOT NULL,  -- checksum of the file's checksums
  sum       INTEGER NOT NULL,
  PRIMARY KEY (sync, age)
) STRICT, WITHOUT ROWID;

-- The changes since, one row per commit.
CREATE TABLE ledger_deltas (
  sync    INTEGER NOT NULL REFERENCES syncs (id),
  seq     INTEGER NOT NULL,
  changes BLOB    NOT NULL,  -- per row: its key, fingerprints, match hash, record id
  sum     INTEGER NOT NULL,
  PRIMARY KEY (sync, seq)
) STRICT;

-- gone = removed + gone_waiting + gone_ignored + gone_failed.
ALTER TABLE runs ADD COLUMN gone         INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN removed      INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN gone_waiting INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN gone_ignored INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN gone_failed  INTEGER NOT NULL DEFAULT 0;

-- Rows whose record a request may still change that nobody heard of (a timeout, a reset, a 5xx): a later write that is
-- acknowledged, and began after `confirm_after`, confirms them. `match_hash` is what that request finds its record by.
CREATE TABLE unconfirmed (
  sync          INTEGER NOT NULL REFERENCES syncs (id),
  key           TEXT    NOT NULL,
  match_hash    BLOB    NOT NULL,
  confirm_after INTEGER NOT NULL,
  sum           INTEGER NOT NULL,
  PRIMARY KEY (sync, key, match_hash)
) STRICT, WITHOUT ROWID;

CREATE INDEX unconfirmed_by_time ON unconfirmed (sync, confirm_after);
CREATE INDEX unconfirmed_by_match ON unconfirmed (sync, match_hash);

-- Until when calls of a sync were left whose rows nobody could write down: their process died.
CREATE TABLE unheard (
  sync INTEGER PRIMARY KEY REFERENCES syncs (id),
  at   INTEGER NOT NULL,
  sum  INTEGER NOT NULL
) STRICT;

-- Jobs whose end nobody has seen yet: written down before anything is sent, asked for by the next run.
CREATE TABLE jobs (
  sync        INTEGER NOT NULL REFERENCES syncs (id),
  key         TEXT    NOT NULL,  -- a UUID; sent along where the destination keeps such a mark
  remote_id   TEXT,              -- the destination's id; NULL: not written down yet, so no row was uploaded
  object      TEXT    NOT NULL,
  mode        TEXT    NOT NULL,
  match_on    TEXT    NOT NULL,  -- fields, separated by char(31)
  by_id       INTEGER NOT NULL,  -- 1: records are addressed by their ids
  row_count   INTEGER NOT NULL,
  intended_at INTEGER NOT NULL,
  sum         INTEGER NOT NULL,
  PRIMARY KEY (sync, key)
) STRICT, WITHOUT ROWID;

-- Their rows, in the job's order.
CREATE TABLE job_rows (
  sync        INTEGER NOT NULL REFERENCES syncs (id),
  job         TEXT    NOT NULL,
  number      INTEGER NOT NULL,
  key         TEXT    NOT NULL,
  fingerprint BLOB    NOT NULL,
  match_hash  BLOB    NOT NULL,
  token       TEXT    NOT NULL,  -- by which a result row finds its row
  changed_at  INTEGER,
  confirm_after INTEGER,         -- requests from before the job may still change the record until then
  sum         INTEGER NOT NULL,
  PRIMARY KEY (sync, job, number)
) STRICT, WITHOUT ROWID;

-- The last snapshot of a sync whose every change is settled.
CREATE TABLE marks (
  sync        INTEGER PRIMARY KEY REFERENCES syncs (id),
  mark        TEXT,              -- what the source said about the snapshot, for itself; NULL: nothing
  mapping     TEXT    NOT NULL,  -- names the mapping its rows were sent with
  compared_at INTEGER NOT NULL,  -- when every row was last compared
  run_id      TEXT    NOT NULL,
  at          INTEGER NOT NULL,
  sum         INTEGER NOT NULL
) STRICT;

-- Rows that changed without the change method noticing: only a full compare found them.
ALTER TABLE runs ADD COLUMN found_only_by_compare INTEGER NOT NULL DEFAULT 0;

-- What was last sent of a row, field by field, for syncs that ask for it (`delivery.remember`, or the guard `max_null_out`).
CREATE TABLE payloads (
  sync   INTEGER NOT NULL REFERENCES syncs (id),
  key    TEXT    NOT NULL,
  fields BLOB    NOT NULL,  -- the payload's fingerprint, then hashes of its fields, or their values
  sum    INTEGER NOT NULL,
  PRIMARY KEY (sync, key)
) STRICT, WITHOUT ROWID;

-- Of a parked run: when it can go on.
ALTER TABLE runs ADD COLUMN wake_at INTEGER;

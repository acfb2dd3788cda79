-- What delivery remembers between runs, and what is known of rows that left the model. `sum` as in 0001_state.sql.

-- When a read first found the row gone; NULL while it is in the model, or has not been missed yet.
ALTER TABLE ledger ADD COLUMN gone_since INTEGER;
-- absent: a complete read did not contain it. said: the row says so itself. settled: its record was updated as removed.
ALTER TABLE ledger ADD COLUMN gone_how TEXT;

CREATE INDEX ledger_by_gone ON ledger (sync, key) WHERE gone_since IS NOT NULL AND gone_how <> 'settled';

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
  sum         INTEGER NOT NULL,
  PRIMARY KEY (sync, job, number)
) STRICT, WITHOUT ROWID;

-- The state of one project: what outflow remembers between runs.
-- Times are microseconds since 1970-01-01T00:00:00Z. `sum` columns are XXH3 hashes of the rest of the row,
-- checked whenever the row is read, because SQLite does not notice a flipped bit.

-- Facts about the file itself: the project it belongs to and the version that made it.
CREATE TABLE meta (
  name  TEXT PRIMARY KEY,
  value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- One row per sync that ever ran.
CREATE TABLE syncs (
  id          INTEGER PRIMARY KEY,
  name        TEXT    NOT NULL UNIQUE,
  epoch       INTEGER NOT NULL,  -- grows with every owner; a write with an older one is refused
  ledger_rows INTEGER NOT NULL,  -- rows of the sync in `ledger`
  changes     INTEGER NOT NULL,  -- ledger changes ever written; numbers `ledger.seq`
  sum         INTEGER NOT NULL
) STRICT;

-- How far a sync has come: every change up to here that was visible is acknowledged or a reject.
CREATE TABLE watermarks (
  sync          INTEGER PRIMARY KEY REFERENCES syncs (id),
  column_name   TEXT    NOT NULL,
  watermark     INTEGER NOT NULL,  -- the progress column's value, in microseconds
  mapping       TEXT    NOT NULL,  -- names the mapping the rows up to here were sent with
  run_id        TEXT    NOT NULL,
  at            INTEGER NOT NULL,
  sum           INTEGER NOT NULL
) STRICT;

-- Backfills that have begun and not ended.
CREATE TABLE backfills (
  sync            INTEGER NOT NULL REFERENCES syncs (id),
  spec            TEXT    NOT NULL,  -- identifies mapping and range
  after_watermark INTEGER,
  after_key       TEXT    NOT NULL,
  settled_rows    INTEGER NOT NULL,
  at              INTEGER NOT NULL,
  sum             INTEGER NOT NULL,
  PRIMARY KEY (sync, spec)
) STRICT, WITHOUT ROWID;

-- One row per row of the model that was ever acknowledged or refused.
CREATE TABLE ledger (
  sync         INTEGER NOT NULL REFERENCES syncs (id),
  key          TEXT    NOT NULL,  -- canonical primary key; parts of a composite key are separated by char(31)
  acknowledged BLOB,              -- fingerprint of the last acknowledged payload; NULL: not known
  rejected     BLOB,              -- fingerprint of the refused payload; zeros: no payload could be made
  match_hash   BLOB,              -- hash of what the record is found by at the destination
  remote_id    TEXT,              -- the destination's record id, where it gives one
  seq          INTEGER NOT NULL,  -- order of change within the sync
  sum          INTEGER NOT NULL,
  PRIMARY KEY (sync, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX ledger_by_match ON ledger (sync, match_hash) WHERE match_hash IS NOT NULL;

-- Run history. read_rows = unchanged + created + updated + rejected + parked.
CREATE TABLE runs (
  id           TEXT    PRIMARY KEY,  -- UUID version 7
  sync         INTEGER NOT NULL REFERENCES syncs (id),
  trigger_kind TEXT    NOT NULL,     -- manual, schedule, event, backfill
  status       TEXT    NOT NULL,     -- running, ok, partial, failed, guarded, interrupted, crashed
  started_at   INTEGER NOT NULL,
  committed_at INTEGER,              -- the last commit
  ended_at     INTEGER,
  read_rows    INTEGER NOT NULL,
  unchanged    INTEGER NOT NULL,
  created      INTEGER NOT NULL,
  updated      INTEGER NOT NULL,
  rejected     INTEGER NOT NULL,
  parked       INTEGER NOT NULL,
  requests     INTEGER NOT NULL,
  retries      INTEGER NOT NULL,
  error        TEXT
) STRICT, WITHOUT ROWID;

CREATE INDEX runs_by_start ON runs (sync, started_at);

-- Open rejects: rows that did not land and wait for a retry or a decision.
-- One per row; rows whose key is NULL are counted together per stage, code and field.
CREATE TABLE rejects (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  sync       INTEGER NOT NULL REFERENCES syncs (id),
  key        TEXT,
  stage      TEXT    NOT NULL,  -- validate, destination
  code       TEXT    NOT NULL,  -- `outflow explain CODE`
  field      TEXT,
  reason     TEXT    NOT NULL,
  row_count  INTEGER NOT NULL,  -- rows this stands for, in the last run that saw it
  first_at   INTEGER NOT NULL,
  last_at    INTEGER NOT NULL,
  run_id     TEXT    NOT NULL
) STRICT;

CREATE UNIQUE INDEX rejects_by_key ON rejects (sync, key) WHERE key IS NOT NULL;
CREATE UNIQUE INDEX rejects_without_key ON rejects (sync, stage, code, ifnull(field, '')) WHERE key IS NULL;

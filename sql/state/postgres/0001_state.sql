-- The state of one project in a schema of its own: what outflow remembers between runs, for several machines.
-- Times are microseconds since 1970-01-01T00:00:00Z, unless a column has a time zone: those are the server's clock.
-- Keys, record ids and whatever else comes from rows or vendors is bytea, since text here cannot hold every character:
-- `convert_from(key, 'UTF8')` shows it. `sum` columns are XXH3 hashes of the rest of the row, checked when it is read.

-- Facts about the state itself: the project it belongs to, its version, and what a sync's memory is about.
CREATE TABLE meta (
  name  text PRIMARY KEY,
  value text NOT NULL
);

-- One row per sync that ever ran.
CREATE TABLE syncs (
  id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name       text   NOT NULL UNIQUE,
  epoch      bigint NOT NULL,  -- grows with every owner of the sync or of a shard of its work
  generation bigint NOT NULL,  -- rows of `ledger` with another one are not there
  key_order  text   NOT NULL,  -- how keys of the ledger are ordered: a letter per part; empty: by their text
  sum        bigint NOT NULL
);

-- Who may run a sync (part 0) or one shard of its work (parts from 1): over when its session ends, or when it was not
-- renewed in time.
CREATE TABLE leases (
  sync          bigint      NOT NULL REFERENCES syncs (id),
  part          integer     NOT NULL,
  epoch         bigint      NOT NULL,  -- a write with another one is refused
  process       bigint      NOT NULL,
  host          text        NOT NULL,
  taken_at      bigint      NOT NULL,
  session       integer     NOT NULL,  -- the server's process for the owner's session, and when that began
  session_began bigint      NOT NULL,
  expires_at    timestamptz NOT NULL,
  PRIMARY KEY (sync, part)
);

-- The work of a sync that several processes share.
CREATE TABLE works (
  sync     bigint  PRIMARY KEY REFERENCES syncs (id),
  number   bigint  NOT NULL,  -- the sync's epoch when it began
  spec     text    NOT NULL,  -- names what is done: processes that name the same do it together
  shards   integer NOT NULL,  -- into how many shards it is cut, by a hash of the rows' keys
  began_at bigint  NOT NULL
);

-- Its shards, and how far each has come; a lease of part number + 1 says who has one.
CREATE TABLE shards (
  sync        bigint  NOT NULL REFERENCES syncs (id),
  number      integer NOT NULL,
  done_at     bigint,
  column_name text,
  watermark   bigint,
  mapping     text,
  sum         bigint,
  PRIMARY KEY (sync, number)
);

-- How far a sync has come: every change up to here that was visible is acknowledged or a reject.
CREATE TABLE watermarks (
  sync        bigint PRIMARY KEY REFERENCES syncs (id),
  column_name text   NOT NULL,
  watermark   bigint NOT NULL,
  mapping     text   NOT NULL,  -- names the mapping the rows up to here were sent with
  run_id      text   NOT NULL,
  at          bigint NOT NULL,
  sum         bigint NOT NULL
);

-- The last snapshot of a sync whose every change is settled.
CREATE TABLE marks (
  sync        bigint PRIMARY KEY REFERENCES syncs (id),
  mark        text,             -- what the source said about the snapshot, for itself; NULL: nothing
  mapping     text   NOT NULL,
  compared_at bigint NOT NULL,  -- when every row was last compared
  run_id      text   NOT NULL,
  at          bigint NOT NULL,
  sum         bigint NOT NULL
);

-- Backfills that have begun and not ended.
CREATE TABLE backfills (
  sync            bigint NOT NULL REFERENCES syncs (id),
  spec            text   NOT NULL,  -- identifies mapping and range
  after_watermark bigint,
  after_key       bytea  NOT NULL,
  settled_rows    bigint NOT NULL,
  at              bigint NOT NULL,
  sum             bigint NOT NULL,
  PRIMARY KEY (sync, spec)
);

-- One row per row of the model that was ever acknowledged or refused. Primary keys are bytes that compare as the
-- sync's `key_order` says.
CREATE TABLE ledger (
  sync         bigint NOT NULL,
  generation   bigint NOT NULL,
  key          bytea  NOT NULL,
  acknowledged bytea,            -- fingerprint of the last acknowledged payload; NULL: not known
  rejected     bytea,            -- fingerprint of the refused payload; zeros: no payload could be made
  match_hash   bytea,            -- hash of what the record is found by at the destination
  remote_id    bytea,            -- the destination's record id, where it gives one
  gone_since   bigint,           -- the row left the model: when that was first seen, and how (absent, said, settled)
  gone_how     text,
  changed      bigint NOT NULL,  -- order of change
  sum          bigint NOT NULL,
  PRIMARY KEY (sync, generation, key)
);

CREATE INDEX ledger_by_match ON ledger (sync, generation, match_hash) WHERE match_hash IS NOT NULL;
CREATE INDEX ledger_gone ON ledger (sync, generation, key) WHERE gone_how IN ('absent', 'said');

-- Numbers commits, for `ledger.changed`.
CREATE SEQUENCE commits;

-- Run history. read_rows = unchanged + created + updated + rejected + parked, and
-- gone = removed + gone_waiting + gone_ignored + gone_failed.
CREATE TABLE runs (
  id           text   PRIMARY KEY,  -- UUID version 7
  sync         bigint NOT NULL REFERENCES syncs (id),
  part         integer NOT NULL,    -- the shard of the sync's work; 0: the sync itself
  trigger_kind text   NOT NULL,     -- manual, schedule, event, backfill
  status       text   NOT NULL,     -- running, ok, partial, failed, guarded, parked, interrupted, crashed
  started_at   bigint NOT NULL,
  committed_at bigint,              -- the last commit
  ended_at     bigint,
  read_rows    bigint NOT NULL,
  unchanged    bigint NOT NULL,
  created      bigint NOT NULL,
  updated      bigint NOT NULL,
  rejected     bigint NOT NULL,
  parked       bigint NOT NULL,
  requests     bigint NOT NULL,
  retries      bigint NOT NULL,
  found_only_by_compare bigint NOT NULL,
  gone         bigint NOT NULL,
  removed      bigint NOT NULL,
  gone_waiting bigint NOT NULL,
  gone_ignored bigint NOT NULL,
  gone_failed  bigint NOT NULL,
  wake_at      bigint,              -- of a parked run: when it can go on
  error        text
);

CREATE INDEX runs_by_start ON runs (sync, started_at);

-- Open rejects: rows that did not land and wait for a retry or a decision.
-- One per row; rows whose key is NULL are counted together per stage, code and field.
CREATE TABLE rejects (
  id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  sync      bigint NOT NULL REFERENCES syncs (id),
  key       bytea,
  stage     text   NOT NULL,  -- validate, destination
  code      text   NOT NULL,  -- `outflow explain CODE`
  field     text,
  reason    text   NOT NULL,
  row_count bigint NOT NULL,  -- rows this stands for, in the last run that saw it
  first_at  bigint NOT NULL,
  last_at   bigint NOT NULL,
  run_id    text   NOT NULL
);

CREATE UNIQUE INDEX rejects_by_key ON rejects (sync, key) WHERE key IS NOT NULL;
CREATE UNIQUE INDEX rejects_without_key ON rejects (sync, stage, code, coalesce(field, '')) WHERE key IS NULL;

-- Rows whose record a request may still change that nobody heard of: a later write that is acknowledged, and began
-- after `confirm_after`, confirms them. `match_hash` is what that request finds its record by.
CREATE TABLE unconfirmed (
  sync          bigint NOT NULL REFERENCES syncs (id),
  key           bytea  NOT NULL,
  match_hash    bytea  NOT NULL,
  confirm_after bigint NOT NULL,
  sum           bigint NOT NULL,
  PRIMARY KEY (sync, key, match_hash)
);

CREATE INDEX unconfirmed_by_time ON unconfirmed (sync, confirm_after);
CREATE INDEX unconfirmed_by_match ON unconfirmed (sync, match_hash);

-- Until when calls of a sync were left whose rows nobody could write down: their process died.
CREATE TABLE unheard (
  sync bigint PRIMARY KEY REFERENCES syncs (id),
  at   bigint NOT NULL,
  sum  bigint NOT NULL
);

-- Jobs whose end nobody has seen yet: written down before anything is sent, asked for by the next run.
CREATE TABLE jobs (
  sync        bigint NOT NULL REFERENCES syncs (id),
  key         text   NOT NULL,   -- a UUID; sent along where the destination keeps such a mark
  part        integer NOT NULL,  -- the shard of the sync's work that made it; 0: the sync itself
  remote_id   bytea,             -- the destination's id; NULL: not written down yet, so no row was uploaded
  object      text   NOT NULL,
  mode        text   NOT NULL,
  match_on    text   NOT NULL,   -- fields, separated by chr(31)
  by_id       boolean NOT NULL,  -- records are addressed by their ids
  row_count   bigint NOT NULL,
  intended_at bigint NOT NULL,
  sum         bigint NOT NULL,
  PRIMARY KEY (sync, key)
);

-- Their rows, in the job's order.
CREATE TABLE job_rows (
  sync          bigint NOT NULL,
  job           text   NOT NULL,
  number        bigint NOT NULL,
  key           bytea  NOT NULL,
  fingerprint   bytea  NOT NULL,
  match_hash    bytea  NOT NULL,
  token         bytea  NOT NULL,  -- by which a result row finds its row
  changed_at    bigint,
  confirm_after bigint,           -- requests from before the job may still change the record until then
  sum           bigint NOT NULL,
  PRIMARY KEY (sync, job, number)
);

-- What was last sent of a row, field by field, for syncs that ask for it (`delivery.remember`, or the guard `max_null_out`).
CREATE TABLE payloads (
  sync   bigint NOT NULL REFERENCES syncs (id),
  key    bytea  NOT NULL,
  fields bytea  NOT NULL,  -- the payload's fingerprint, then hashes of its fields, or their values
  sum    bigint NOT NULL,
  PRIMARY KEY (sync, key)
);

-- What all processes on this state know of an account's limits: who holds how many requests of each window, when used ones are
-- free again, pauses the destination asked for, its daily quota. Moments in microseconds of the server's clock.
CREATE TABLE quotas (
  account text PRIMARY KEY,  -- destination, host, and a short hash of whose it is
  page    text NOT NULL      -- JSON
);

-- The quota ledger: a file of its own (quota.db), not part of state.db. What all processes on one state know of an
-- account's limits: who holds how many requests of each window, when used ones are free again, pauses the destination
-- asked for, its daily quota.
CREATE TABLE IF NOT EXISTS accounts (
  account TEXT PRIMARY KEY,  -- destination, host, and a short hash of whose it is
  page    TEXT NOT NULL      -- JSON; moments in microseconds since the machine was started
) STRICT, WITHOUT ROWID;

-- What the state remembers of rows that left the model.

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

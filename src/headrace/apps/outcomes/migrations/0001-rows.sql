-- What figures are made of. A corrected row keeps its id; what it was is in row_changes, for ever.
CREATE TABLE rows (
  id TEXT PRIMARY KEY,
  start_ns INTEGER NOT NULL,
  end_ns INTEGER NOT NULL,
  unit TEXT NOT NULL,
  quantity TEXT NOT NULL,
  amount REAL NOT NULL,
  factor TEXT NOT NULL,
  told_ns INTEGER NOT NULL,
  told_by TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX rows_by_time ON rows (quantity, start_ns);

CREATE TABLE row_changes (
  id TEXT NOT NULL,
  start_ns INTEGER NOT NULL,
  end_ns INTEGER NOT NULL,
  unit TEXT NOT NULL,
  quantity TEXT NOT NULL,
  amount REAL NOT NULL,
  factor TEXT NOT NULL,
  told_ns INTEGER NOT NULL,
  told_by TEXT NOT NULL,
  replaced_ns INTEGER NOT NULL
);
CREATE INDEX row_changes_by_id ON row_changes (id, replaced_ns);

CREATE TABLE factors (
  name TEXT PRIMARY KEY,
  value REAL NOT NULL,
  source TEXT NOT NULL,
  told_ns INTEGER NOT NULL,
  told_by TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE factor_changes (
  name TEXT NOT NULL,
  value REAL NOT NULL,
  source TEXT NOT NULL,
  told_ns INTEGER NOT NULL,
  told_by TEXT NOT NULL,
  replaced_ns INTEGER NOT NULL
);

-- Signed documents. None is ever changed or taken away, so that nobody can freeze until it pleases unseen.
CREATE TABLE baselines (
  name TEXT PRIMARY KEY,
  frozen_ns INTEGER NOT NULL,
  frozen_by TEXT NOT NULL,
  document TEXT NOT NULL
) WITHOUT ROWID;
CREATE TRIGGER baselines_stay BEFORE DELETE ON baselines BEGIN SELECT RAISE(ABORT, 'a frozen baseline stays'); END;
CREATE TRIGGER baselines_keep BEFORE UPDATE ON baselines BEGIN SELECT RAISE(ABORT, 'a frozen baseline stays as it is'); END;

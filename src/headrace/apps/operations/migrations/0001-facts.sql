-- Facts in the order in which they came. `input` is what they are of: 'point:<path>', 'order', 'reason', 'level',
-- 'amount:SQ', or 'void' for what takes another back. Identities are 128 bits in two signed halves.
CREATE TABLE facts (
  id INTEGER PRIMARY KEY,
  high INTEGER NOT NULL,
  low INTEGER NOT NULL,
  unit TEXT NOT NULL,
  input TEXT NOT NULL,
  time_ns INTEGER NOT NULL,
  value REAL,
  word TEXT,
  recorded_ns INTEGER NOT NULL,
  came_ns INTEGER NOT NULL,
  replaces_high INTEGER NOT NULL DEFAULT 0,
  replaces_low INTEGER NOT NULL DEFAULT 0,
  actor TEXT NOT NULL DEFAULT '',
  UNIQUE (high, low)
) STRICT;
CREATE INDEX facts_by_unit ON facts (unit, time_ns);

-- Orders' operations. `number` is their place, from 0, and never changes.
CREATE TABLE jobs (
  number INTEGER PRIMARY KEY,
  order_id TEXT NOT NULL,
  operation TEXT NOT NULL,
  product TEXT NOT NULL,
  pri_ns REAL NOT NULL,
  quantity REAL NOT NULL,
  scrap REAL NOT NULL,
  first INTEGER NOT NULL,
  due_ns INTEGER,
  UNIQUE (order_id, operation)
) STRICT;

-- When figures up to what time were told, and which facts were here then.
CREATE TABLE closes (until_ns INTEGER PRIMARY KEY, last_fact INTEGER NOT NULL, at_ns INTEGER NOT NULL) STRICT;

-- Shifts whose reports are made.
CREATE TABLE reports (shift INTEGER PRIMARY KEY, at_ns INTEGER NOT NULL) STRICT;

CREATE TABLE units (path TEXT PRIMARY KEY, since_ns INTEGER NOT NULL) STRICT;

-- Hours of people: at a unit, or attending where `unit` is ''.
CREATE TABLE hours (
  high INTEGER NOT NULL,
  low INTEGER NOT NULL,
  person TEXT NOT NULL,
  unit TEXT NOT NULL,
  start_ns INTEGER NOT NULL,
  end_ns INTEGER NOT NULL CHECK (end_ns > start_ns),
  PRIMARY KEY (high, low)
) STRICT;
CREATE INDEX hours_by_time ON hours (start_ns, end_ns);

-- Inspections of numbered parts.
CREATE TABLE inspections (
  high INTEGER NOT NULL,
  low INTEGER NOT NULL,
  unit TEXT NOT NULL,
  serial TEXT NOT NULL,
  time_ns INTEGER NOT NULL,
  good INTEGER NOT NULL,
  PRIMARY KEY (high, low)
) STRICT;
CREATE INDEX inspections_by_serial ON inspections (unit, serial, time_ns);

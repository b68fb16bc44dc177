-- What meters measured, a row a quarter of an hour; `measured` is known to have flowed then, `bridged` flowed at some time.
CREATE TABLE quarters (
    meter TEXT NOT NULL, start_ns INTEGER NOT NULL,
    measured REAL NOT NULL, bridged REAL NOT NULL, measured_ns INTEGER NOT NULL, bridged_ns INTEGER NOT NULL,
    PRIMARY KEY (meter, start_ns)
) STRICT, WITHOUT ROWID;
-- How far a meter is worked out (its last good reading), how far was looked for a newer one, by which declaration, and what was not believed on the way.
CREATE TABLE marks (
    meter TEXT PRIMARY KEY, last_ns INTEGER NOT NULL, seen_ns INTEGER NOT NULL, declared TEXT NOT NULL,
    oddities TEXT NOT NULL
) STRICT;
-- What days of a point looked like when they were worked out: late and corrected samples change it.
CREATE TABLE days (
    meter TEXT NOT NULL, day_ns INTEGER NOT NULL, count INTEGER NOT NULL, sum REAL,
    PRIMARY KEY (meter, day_ns)
) STRICT, WITHOUT ROWID;
CREATE TABLE exchanges (
    meter TEXT NOT NULL, at_ns INTEGER NOT NULL, last REAL NOT NULL, first REAL NOT NULL, user TEXT NOT NULL,
    PRIMARY KEY (meter, at_ns)
) STRICT;
-- Entered by people or other programs. `id` is the sender's, so that what is sent twice is there once; nothing is deleted.
CREATE TABLE entries (
    kind TEXT NOT NULL, id TEXT NOT NULL, entered_ns INTEGER NOT NULL, user TEXT NOT NULL, body TEXT NOT NULL,
    withdrawn_ns INTEGER,
    PRIMARY KEY (kind, id)
) STRICT;
CREATE TABLE claims (
    id TEXT PRIMARY KEY, meter TEXT NOT NULL, start_ns INTEGER NOT NULL, end_ns INTEGER NOT NULL, weight REAL NOT NULL,
    tags TEXT NOT NULL
) STRICT;
CREATE INDEX claims_of_meter ON claims (meter, start_ns);
CREATE TABLE statements (
    id TEXT PRIMARY KEY, kind TEXT NOT NULL, told_ns INTEGER NOT NULL, user TEXT NOT NULL, body TEXT NOT NULL,
    now TEXT NOT NULL
) STRICT;

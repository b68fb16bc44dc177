-- Points whose past was taken from history: from when on, and up to where so far; NULL, all of it.
CREATE TABLE caught_up (path TEXT PRIMARY KEY, since_ns INTEGER NOT NULL, until_ns INTEGER) STRICT;

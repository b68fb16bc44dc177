CREATE TABLE standing (path TEXT PRIMARY KEY, state TEXT NOT NULL, since_ns INTEGER NOT NULL) STRICT;
CREATE TABLE hours (path TEXT, start_ns INTEGER, end_ns INTEGER, PRIMARY KEY (path, start_ns)) STRICT;

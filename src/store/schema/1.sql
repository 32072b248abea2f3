-- Rows are only added: who moved which dial, when and why.
CREATE TABLE journal (
    id         INTEGER PRIMARY KEY,          -- over all routes, in the order of writing
    route      TEXT,                         -- NULL: the button, a refused file
    seq        INTEGER NOT NULL,             -- per route, from 1, without gaps
    at         TEXT NOT NULL,                -- RFC 3339; nothing is ordered by it
    action     TEXT NOT NULL,
    "by"       TEXT NOT NULL,                -- file, gate or person
    who        TEXT NOT NULL,
    from_stage TEXT, from_weight INTEGER,    -- weights in hundredths of a percent
    to_stage   TEXT, to_weight   INTEGER,
    file_stage TEXT, file_weight INTEGER,    -- what the file said
    version    TEXT NOT NULL DEFAULT '',     -- the gate's `version`
    generation INTEGER NOT NULL,
    reason     TEXT NOT NULL,
    verdict    TEXT                          -- JSON
) STRICT;
CREATE UNIQUE INDEX journal_of_route ON journal (route, seq) WHERE route IS NOT NULL;
CREATE UNIQUE INDEX journal_without_route ON journal (seq) WHERE route IS NULL;
CREATE TRIGGER journal_is_not_changed BEFORE UPDATE ON journal
BEGIN SELECT RAISE(ABORT, 'rows of the journal are only added'); END;
CREATE TRIGGER journal_is_not_shortened BEFORE DELETE ON journal
BEGIN SELECT RAISE(ABORT, 'rows of the journal are only added'); END;

-- Where the last row of the journal leaves each route.
CREATE TABLE dial (
    route       TEXT PRIMARY KEY,
    row         INTEGER NOT NULL REFERENCES journal (id),
    stage       TEXT NOT NULL, weight      INTEGER NOT NULL,
    file_stage  TEXT NOT NULL, file_weight INTEGER NOT NULL,
    version     TEXT NOT NULL,
    "by"        TEXT NOT NULL,
    latched     INTEGER NOT NULL,
    paused      INTEGER NOT NULL,
    approved    INTEGER NOT NULL,
    since       TEXT NOT NULL                -- RFC 3339: the last move
) STRICT;

-- The big red button. One row at most.
CREATE TABLE button (
    id      INTEGER PRIMARY KEY CHECK (id = 1),
    pressed INTEGER NOT NULL,
    row     INTEGER NOT NULL REFERENCES journal (id)
) STRICT;

-- What comparisons have shown, one row for each route.
CREATE TABLE evidence (
    route   TEXT PRIMARY KEY,
    subject TEXT NOT NULL,                   -- which requests, who answers them, how they are compared: a hash
    text    TEXT NOT NULL,                   -- JSON
    at      TEXT NOT NULL
) STRICT;

-- The endpoints that a registry named last.
CREATE TABLE endpoint (
    upstream TEXT NOT NULL,
    source   TEXT NOT NULL,                  -- the registry and the place in it: a hash
    key      TEXT NOT NULL,                  -- in the registry
    address  TEXT NOT NULL,                  -- host:port or unix:/path
    weight   INTEGER NOT NULL,
    priority INTEGER NOT NULL,
    PRIMARY KEY (upstream, key)
) STRICT;

-- Files of an older program that were read: they are read once.
CREATE TABLE imported (
    name TEXT PRIMARY KEY,
    at   TEXT NOT NULL
) STRICT;

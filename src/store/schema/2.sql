-- What was learned from traffic, one row for each kind.
CREATE TABLE learned (
    name TEXT PRIMARY KEY,
    data BLOB NOT NULL,                      -- its layout is said in its first bytes
    at   TEXT NOT NULL
) STRICT;

-- How far the migration was, one row for each hour.
CREATE TABLE progress (
    hour             INTEGER PRIMARY KEY,    -- since 1970
    requests         INTEGER NOT NULL,       -- answered in that hour
    moved_requests   INTEGER NOT NULL,       -- of these, not by the monolith
    routes           INTEGER NOT NULL,
    moved_routes     INTEGER NOT NULL,       -- migrated or retired
    endpoints        INTEGER NOT NULL,
    moved_endpoints  INTEGER NOT NULL,       -- that the monolith did not answer for thirty days
    writes           INTEGER NOT NULL        -- endpoints that change something and are not moved
) STRICT;

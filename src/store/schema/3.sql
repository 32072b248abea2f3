-- Where a row of the journal came from: '' moves of a proxy that is alone, 'fleet' those of all replicas under the fleet's own
-- numbers, 'here' those that this replica made alone while the fleet could not be reached.
ALTER TABLE journal ADD COLUMN origin TEXT NOT NULL DEFAULT '';
DROP INDEX journal_of_route;
CREATE UNIQUE INDEX journal_of_route ON journal (route, origin, seq) WHERE route IS NOT NULL;

-- Moves that the fleet has not heard of yet, the last of each route.
CREATE TABLE unsent (
    route TEXT PRIMARY KEY,                  -- '': the big red button
    data  TEXT NOT NULL                      -- JSON
) STRICT;

-- What happened to the run as a whole, in order: a cap that was set, an id that could not be taken in. Nothing here is
-- changed or deleted.
CREATE TABLE run_events (
    seq  INTEGER PRIMARY KEY,
    at   REAL    NOT NULL,
    name TEXT    NOT NULL,
    data TEXT    NOT NULL                     -- JSON: the event's fields
) STRICT;

CREATE TRIGGER run_events_only_grow_update BEFORE UPDATE ON run_events BEGIN SELECT raise(ABORT, 'events are append-only'); END;
CREATE TRIGGER run_events_only_grow_delete BEFORE DELETE ON run_events BEGIN SELECT raise(ABORT, 'events are append-only'); END;

-- Every id that the service has ever given to a job, also that of a purchase which was bought anew since. An id belongs to
-- one job and to one purchase of it: a second accept of it is refused, and its job is in doubt. A unique index on jobs would
-- not do: a file of the first edition may hold an id twice, and jobs keeps only the last purchase of each.
CREATE TABLE requests (
    request_id TEXT    PRIMARY KEY,
    job        INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT OR IGNORE INTO requests
    SELECT json_extract(data, '$.handle.request_id'), job FROM events WHERE name = 'Accepted' ORDER BY seq;

CREATE TRIGGER requests_only_grow_update BEFORE UPDATE ON requests BEGIN SELECT raise(ABORT, 'requests are append-only'); END;
CREATE TRIGGER requests_only_grow_delete BEFORE DELETE ON requests BEGIN SELECT raise(ABORT, 'requests are append-only'); END;

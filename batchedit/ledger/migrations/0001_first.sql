-- The checkpoint of one run: the only truth about what was bought. This is the first edition's; later files change it.
--
-- Intake of a million rows decides the layout (see the measured limits in benchmarks/): plain integer row ids, written in
-- order; the two indexes on random numbers (key, slot) are made after the first intake, not before.

CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE jobs (
    id           INTEGER PRIMARY KEY,
    key          BLOB    NOT NULL CHECK (length(key) = 16),
    slot         INTEGER NOT NULL,            -- digest of the name without its version: what an edit keeps
    inputs       TEXT    NOT NULL,            -- canonical JSON
    name         TEXT    NOT NULL,            -- the file's path below files/, without its ending
    size         TEXT    NOT NULL,
    variant      INTEGER NOT NULL,
    revision     INTEGER NOT NULL,
    version      INTEGER NOT NULL,
    wanted       INTEGER NOT NULL CHECK (wanted = 1 OR wanted = 0),  -- 0: no row of the manifest asks for it now
    state        TEXT    NOT NULL CHECK (state = 'planned' OR state IN (
        'submitting', 'in_doubt', 'waiting', 'cancelling', 'fetched', 'uncollected', 'done', 'failed', 'cancelled')),
    serial       INTEGER NOT NULL DEFAULT 0,  -- compare-and-set
    attempts     INTEGER NOT NULL DEFAULT 0,
    due_at       REAL    NOT NULL DEFAULT 0,
    held         INTEGER NOT NULL DEFAULT 0 CHECK (held >= 0),  -- micro-dollars reserved for the purchase under way
    cost         INTEGER CHECK (cost >= 0),                     -- what it came to
    cost_known   INTEGER NOT NULL DEFAULT 0,
    sunk         INTEGER NOT NULL DEFAULT 0 CHECK (sunk >= 0),  -- what earlier purchases of this job came to, or may have
    request_id   TEXT,
    status_url   TEXT,
    result_url   TEXT,
    cancel_url   TEXT,
    outputs      TEXT,                        -- JSON: [[url, kind], ...]
    files        TEXT,                        -- JSON: [[path, sha256, bytes, width, height, url], ...]
    kind         TEXT,
    problem      TEXT,
    http         INTEGER,
    code         INTEGER,
    submitted_at REAL,
    accepted_at  REAL,
    finished_at  REAL,
    -- What the states mean, held by the store and not by good will. The cheap question stands first: SQLite makes a list
    -- behind IN anew for every row, and a planned row has passed before it (5 µs a row of intake).
    CHECK (state = 'planned' OR request_id IS NOT NULL OR state NOT IN ('waiting', 'cancelling', 'fetched', 'uncollected', 'done')),
    CHECK (state != 'submitting' OR submitted_at IS NOT NULL),
    CHECK (state != 'done' OR files IS NOT NULL),
    CHECK (held = 0 OR state NOT IN ('planned', 'done', 'failed', 'cancelled'))
) STRICT;

CREATE INDEX jobs_to_buy ON jobs (wanted, id) WHERE state = 'planned';
CREATE INDEX jobs_open ON jobs (state, id) WHERE state NOT IN ('planned', 'done');
CREATE INDEX jobs_unpriced ON jobs (id) WHERE cost IS NOT NULL AND NOT cost_known;
-- Seconds from submission to result in order: their quantiles without reading a million wide rows.
CREATE INDEX jobs_seconds ON jobs (finished_at - submitted_at) WHERE state = 'done' AND wanted = 1;

-- One line a line of the results: a row, size and variant, and the job it wants. Rebuilt by each intake that found the
-- manifest changed.
CREATE TABLE lines (
    n        INTEGER PRIMARY KEY,
    row      INTEGER NOT NULL,
    id       TEXT    NOT NULL,
    job      INTEGER,                         -- NULL: the row is invalid
    problems TEXT,                            -- JSON: [[column, value, reason], ...]
    over     TEXT                             -- JSON: the columns that --for added to this line
) STRICT;
CREATE INDEX lines_job ON lines (job);

-- Everything that ever happened, in order. Nothing here is changed or deleted.
CREATE TABLE events (
    seq   INTEGER PRIMARY KEY,
    job   INTEGER NOT NULL,
    at    REAL    NOT NULL,
    name  TEXT    NOT NULL,
    state TEXT    NOT NULL,                   -- the state it led to
    data  TEXT    NOT NULL                    -- JSON: the event's fields
) STRICT;

CREATE TRIGGER events_only_grow_update BEFORE UPDATE ON events BEGIN SELECT raise(ABORT, 'events are append-only'); END;
CREATE TRIGGER events_only_grow_delete BEFORE DELETE ON events BEGIN SELECT raise(ABORT, 'events are append-only'); END;

-- Sums by state, kept by a trigger so that the budget is checked and the status shown without reading a million rows.
CREATE TABLE tally (
    state  TEXT    NOT NULL,
    wanted INTEGER NOT NULL,
    jobs   INTEGER NOT NULL DEFAULT 0,
    spent  INTEGER NOT NULL DEFAULT 0,
    held   INTEGER NOT NULL DEFAULT 0,
    guesses INTEGER NOT NULL DEFAULT 0,       -- jobs that are over and whose cost nobody has named
    guessed INTEGER NOT NULL DEFAULT 0,       -- what they are taken to have cost, part of spent
    PRIMARY KEY (state, wanted)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER jobs_tally AFTER UPDATE OF state, wanted, held, cost, cost_known, sunk ON jobs BEGIN
    UPDATE tally SET jobs = jobs - 1, spent = spent - old.sunk - coalesce(old.cost, 0), held = held - old.held,
        guesses = guesses - (old.cost IS NOT NULL AND NOT old.cost_known),
        guessed = guessed - iif(old.cost_known, 0, coalesce(old.cost, 0))
        WHERE state = old.state AND wanted = old.wanted;
    INSERT INTO tally (state, wanted, jobs, spent, held, guesses, guessed)
        VALUES (new.state, new.wanted, 1, new.sunk + coalesce(new.cost, 0), new.held,
            new.cost IS NOT NULL AND NOT new.cost_known, iif(new.cost_known, 0, coalesce(new.cost, 0)))
        ON CONFLICT (state, wanted) DO UPDATE SET
            jobs = jobs + 1, spent = spent + excluded.spent, held = held + excluded.held,
            guesses = guesses + excluded.guesses, guessed = guessed + excluded.guessed;
END;

-- What people decide about pictures (marks, and every change of one), and what a machine found odd (flags).

CREATE TABLE marks (
    job     INTEGER PRIMARY KEY,
    verdict TEXT    NOT NULL CHECK (verdict IN ('', 'approve', 'reject', 'hold')),  -- '': undone, or only a note
    note    TEXT    NOT NULL,
    serial  INTEGER NOT NULL CHECK (serial > 0),                                    -- compare-and-set
    who     TEXT    NOT NULL,
    at      REAL    NOT NULL
) STRICT;

CREATE TABLE mark_events (
    seq     INTEGER PRIMARY KEY,
    job     INTEGER NOT NULL,
    serial  INTEGER NOT NULL,
    verdict TEXT    NOT NULL,
    note    TEXT    NOT NULL,
    who     TEXT    NOT NULL,
    at      REAL    NOT NULL,
    via     TEXT    NOT NULL                  -- review, or import
) STRICT;

CREATE TRIGGER mark_events_only_grow_update BEFORE UPDATE ON mark_events BEGIN SELECT raise(ABORT, 'events are append-only'); END;
CREATE TRIGGER mark_events_only_grow_delete BEFORE DELETE ON mark_events BEGIN SELECT raise(ABORT, 'events are append-only'); END;

CREATE TABLE flags (
    job   INTEGER PRIMARY KEY,
    flags TEXT NOT NULL                       -- words set apart by blanks: wrong_ratio tiny one_colour like_row_7 like_input unreadable
) STRICT;

-- A rejected job and the one that was bought in its place. A line that asks for the first gets the last of the chain.
CREATE TABLE redone (
    job    INTEGER PRIMARY KEY,
    by_job INTEGER NOT NULL UNIQUE CHECK (by_job > job)
) STRICT;

-- What a run has to do with the other runs of the same person.

-- Jobs that are left to another run, which has them under way, in doubt, or is about to buy them. Made anew by each
-- command that may buy, before it asks.
CREATE TABLE elsewhere (
    job    INTEGER PRIMARY KEY,
    folder TEXT    NOT NULL,                  -- the other run's
    state  TEXT    NOT NULL                   -- the job's there
) STRICT;

-- Jobs whose picture was bought by another run, and its folder. Written with the event Reused.
CREATE TABLE reused (
    job    INTEGER PRIMARY KEY,
    folder TEXT    NOT NULL
) STRICT;

-- Keys under which a job is wanted, besides its own: how the identity of a job is reckoned has changed since it was bought.
CREATE TABLE aliases (
    key BLOB    PRIMARY KEY CHECK (length(key) = 16),
    job INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

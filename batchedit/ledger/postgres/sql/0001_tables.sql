-- The shared ledger: what several workers know of the runs that they share. The functions of 0002 are the only way to change
-- anything; a worker's role may call them and read.

CREATE TABLE store (
    one           boolean PRIMARY KEY DEFAULT true CHECK (one),
    id            uuid    NOT NULL DEFAULT gen_random_uuid(),
    lease_seconds double precision NOT NULL DEFAULT 30 CHECK (lease_seconds > 0),
    accept_loss   boolean NOT NULL DEFAULT false  -- a person said that losing the last seconds may be borne
);
INSERT INTO store DEFAULT VALUES;

CREATE TABLE run (
    id         bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    name       text   NOT NULL UNIQUE,
    model      text   NOT NULL,
    service    text   NOT NULL,
    made_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    max_cost   bigint CHECK (max_cost >= 0),      -- micro-dollars; NULL: no cap
    top_price  bigint NOT NULL DEFAULT 0,         -- micro-dollars: the dearest job that the service named a cost for
    reused     bigint NOT NULL DEFAULT 0,         -- jobs that were bought in another run
    halted     text                               -- why nothing is bought in it any more, for all workers
);

-- Facts about a run, by name: the settings, the manifest's fingerprint.
CREATE TABLE fact (
    run   bigint NOT NULL REFERENCES run,
    name  text   NOT NULL,
    value text   NOT NULL,
    PRIMARY KEY (run, name)
);

CREATE TABLE run_event (
    seq  bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    run  bigint NOT NULL REFERENCES run,
    tx   bigint NOT NULL DEFAULT pg_current_xact_id()::text::bigint,
    at   double precision NOT NULL,
    name text   NOT NULL,
    data text   NOT NULL
);

-- A process that may buy as long as its lease runs, by the clock of this database. Gone is for ever: whoever comes back is
-- another worker.
CREATE TABLE worker (
    id          bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    name        text   NOT NULL,                  -- "pid 17 on host", for people
    since       timestamptz NOT NULL DEFAULT clock_timestamp(),
    connected   timestamptz NOT NULL DEFAULT clock_timestamp(),
    heard       timestamptz NOT NULL DEFAULT clock_timestamp(),
    lease_until timestamptz NOT NULL,
    gone        boolean NOT NULL DEFAULT false
);

-- What a job asks for. It never changes but for the place of its pictures, so it is kept apart from what changes often.
CREATE TABLE request (
    run      bigint   NOT NULL REFERENCES run,
    id       bigint   NOT NULL,
    key      bytea    NOT NULL CHECK (length(key) = 16),
    slot     bigint   NOT NULL,
    inputs   text     NOT NULL,
    name     text     NOT NULL,
    size     text     NOT NULL,
    variant  integer  NOT NULL,
    revision integer  NOT NULL,
    version  integer  NOT NULL,
    PRIMARY KEY (run, id)
);
CREATE UNIQUE INDEX request_key ON request (run, key);
CREATE INDEX request_slot ON request (run, slot, version);

-- How a job stands. Some five versions of a row are written in its life, hence the room left in each page.
CREATE TABLE job (
    run          bigint   NOT NULL,
    id           bigint   NOT NULL,
    wanted       boolean  NOT NULL,
    state        text     NOT NULL DEFAULT 'planned' CHECK (state IN ('planned', 'submitting', 'in_doubt', 'waiting',
        'cancelling', 'fetched', 'uncollected', 'done', 'failed', 'cancelled')),
    serial       bigint   NOT NULL DEFAULT 0,     -- compare-and-set; adoption raises it, which fences the former worker
    local        boolean  NOT NULL DEFAULT false, -- its pictures lie on the machine that took it in
    leave        smallint NOT NULL DEFAULT 0 CHECK (leave >= 0),  -- how many purchases a person said yes to
    worker       bigint,                          -- who sends or looks after it; NULL: nobody
    writer       bigint   NOT NULL DEFAULT 0,     -- whose line of the tally the last change went to
    quarantine   timestamptz,                     -- until when the POST in doubt may still be on its way
    attempts     integer  NOT NULL DEFAULT 0,
    due_at       double precision NOT NULL DEFAULT 0,
    held         bigint   NOT NULL DEFAULT 0 CHECK (held >= 0),
    cost         bigint   CHECK (cost >= 0),
    cost_known   boolean  NOT NULL DEFAULT false,
    sunk         bigint   NOT NULL DEFAULT 0 CHECK (sunk >= 0),
    request_id   text,
    status_url   text,
    result_url   text,
    cancel_url   text,
    outputs      text,
    files        text,
    kind         text,
    problem      text,
    http         integer,
    code         integer,
    submitted_at double precision,
    accepted_at  double precision,
    finished_at  double precision,
    PRIMARY KEY (run, id),
    FOREIGN KEY (run, id) REFERENCES request,
    CHECK (request_id IS NOT NULL OR state NOT IN ('waiting', 'cancelling', 'fetched', 'uncollected', 'done')),
    CHECK (state != 'submitting' OR submitted_at IS NOT NULL),
    CHECK (state != 'done' OR files IS NOT NULL),
    CHECK (held = 0 OR state NOT IN ('planned', 'done', 'failed', 'cancelled'))
) WITH (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05);

CREATE INDEX job_to_buy ON job (run, id) WHERE state = 'planned' AND worker IS NULL;
CREATE INDEX job_open ON job (run, state, id) WHERE state NOT IN ('planned', 'done');
CREATE INDEX job_worker ON job (worker) WHERE worker IS NOT NULL;
CREATE INDEX job_unpriced ON job (run, id) WHERE cost IS NOT NULL AND NOT cost_known;

-- Everything that ever happened to a job. The key makes one event of each change, so that a change whose answer was lost can
-- be sent again: the event tells whether it came through.
CREATE TABLE event (
    run        bigint NOT NULL,
    job        bigint NOT NULL,
    serial     bigint NOT NULL,                   -- the job's, after it
    seq        bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    tx         bigint NOT NULL DEFAULT pg_current_xact_id()::text::bigint,  -- what is older than all that run is complete
    worker     bigint NOT NULL,                   -- who wrote it
    mark       bigint NOT NULL,                   -- made up by the writer: the same where it sends a change again
    at         double precision NOT NULL,         -- by the worker's clock
    written_at timestamptz NOT NULL DEFAULT clock_timestamp(),  -- by this database's
    name       text   NOT NULL,
    state      text   NOT NULL,
    data       text   NOT NULL,
    PRIMARY KEY (run, job, serial)
);

CREATE INDEX event_tx ON event (run, tx);

-- What the manifest's rows ask for: a row, size and variant, and its job; NULL: the row is invalid.
CREATE TABLE line (
    run      bigint NOT NULL REFERENCES run,
    n        bigint NOT NULL,
    row      bigint NOT NULL,
    id       text   NOT NULL,
    job      bigint,
    problems text,
    over     text,
    PRIMARY KEY (run, n)
);

-- The manifest as it was taken in last, in pieces: any machine can write the results.
CREATE TABLE sheet (
    run     bigint  NOT NULL REFERENCES run,
    part    integer NOT NULL,
    ending  text    NOT NULL,
    content bytea   NOT NULL,
    PRIMARY KEY (run, part)
);

-- A rejected job and the one that was bought in its place.
CREATE TABLE redone (
    run    bigint NOT NULL,
    job    bigint NOT NULL,
    by_job bigint NOT NULL CHECK (by_job > job),
    PRIMARY KEY (run, job)
);

-- What all runs of a token may do together. A person sets it; an account without a row has no limit but its runs' own.
CREATE TABLE account (
    account   text PRIMARY KEY,                   -- the digest of its token
    max_cost  bigint  CHECK (max_cost >= 0),      -- micro-dollars; NULL: no cap
    in_flight integer CHECK (in_flight > 0)       -- jobs that are sent or under way at once; NULL: no limit
);
CREATE TABLE account_event (
    seq       bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    who       text   NOT NULL DEFAULT session_user,
    account   text   NOT NULL,
    max_cost  bigint,
    in_flight integer
);

CREATE FUNCTION only_grows() RETURNS trigger LANGUAGE plpgsql SET search_path = batchedit, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'the table % is append-only', TG_TABLE_NAME;
END $$;
CREATE TRIGGER event_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON event EXECUTE FUNCTION only_grows();
CREATE TRIGGER account_event_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON account_event
    EXECUTE FUNCTION only_grows();
CREATE TRIGGER run_event_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON run_event EXECUTE FUNCTION only_grows();

-- Every id that the service has ever given to a job of a run: it belongs to one purchase.
CREATE TABLE accepted (
    run        bigint NOT NULL,
    request_id text   NOT NULL,
    job        bigint NOT NULL,
    PRIMARY KEY (run, request_id)
);

-- An id that came when its job was somewhere else already: bought, and in no other sum. A person looks at it.
CREATE TABLE orphan (
    run        bigint NOT NULL,
    job        bigint NOT NULL,
    request_id text   NOT NULL,
    worker     bigint NOT NULL,
    written_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    stood      text   NOT NULL,                   -- the job's state then
    data       text   NOT NULL,                   -- the event Accepted
    PRIMARY KEY (run, request_id)
);
CREATE TRIGGER orphan_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON orphan EXECUTE FUNCTION only_grows();

CREATE TABLE reused (
    run    bigint NOT NULL,
    job    bigint NOT NULL,
    folder text   NOT NULL,
    PRIMARY KEY (run, job)
);

-- Sums by state. Each writer adds to lines of its own, so that no two of them wait for each other; a line alone may be
-- negative, their sum never.
CREATE TABLE tally (
    run     bigint  NOT NULL,
    writer  bigint  NOT NULL,
    state   text    NOT NULL,
    wanted  boolean NOT NULL,
    jobs    bigint  NOT NULL DEFAULT 0,
    spent   bigint  NOT NULL DEFAULT 0,
    held    bigint  NOT NULL DEFAULT 0,
    guesses bigint  NOT NULL DEFAULT 0,
    guessed bigint  NOT NULL DEFAULT 0,
    PRIMARY KEY (run, writer, state, wanted)
) WITH (fillfactor = 50);

CREATE FUNCTION tally_changes() RETURNS trigger LANGUAGE plpgsql SET search_path = batchedit, pg_temp AS $$
BEGIN
    INSERT INTO tally AS t (run, writer, state, wanted, jobs, spent, held, guesses, guessed)
        SELECT run, writer, state, wanted, sum(jobs), sum(spent), sum(held), sum(guesses), sum(guessed) FROM (
            SELECT run, writer, state, wanted, 1 AS jobs, sunk + coalesce(cost, 0) AS spent, held,
                   (cost IS NOT NULL AND NOT cost_known)::int AS guesses,
                   CASE WHEN cost_known THEN 0 ELSE coalesce(cost, 0) END AS guessed
            FROM after
            UNION ALL
            SELECT before.run, after.writer, before.state, before.wanted, -1, -before.sunk - coalesce(before.cost, 0),
                   -before.held, -(before.cost IS NOT NULL AND NOT before.cost_known)::int,
                   CASE WHEN before.cost_known THEN 0 ELSE -coalesce(before.cost, 0) END
            FROM before JOIN after USING (run, id)
        ) AS change
        GROUP BY run, writer, state, wanted
        HAVING sum(jobs) != 0 OR sum(spent) != 0 OR sum(held) != 0 OR sum(guesses) != 0 OR sum(guessed) != 0
        ORDER BY run, writer, state, wanted
        ON CONFLICT (run, writer, state, wanted) DO UPDATE SET
            jobs = t.jobs + excluded.jobs, spent = t.spent + excluded.spent, held = t.held + excluded.held,
            guesses = t.guesses + excluded.guesses, guessed = t.guessed + excluded.guessed;
    RETURN NULL;
END $$;
CREATE TRIGGER job_tally AFTER UPDATE ON job REFERENCING OLD TABLE AS before NEW TABLE AS after
    FOR EACH STATEMENT EXECUTE FUNCTION tally_changes();

CREATE FUNCTION tally_new() RETURNS trigger LANGUAGE plpgsql SET search_path = batchedit, pg_temp AS $$
BEGIN
    INSERT INTO tally AS t (run, writer, state, wanted, jobs, spent, held, guesses, guessed)
        SELECT run, 0, state, wanted, count(*), sum(sunk + coalesce(cost, 0)), sum(held),
               count(*) FILTER (WHERE cost IS NOT NULL AND NOT cost_known),
               sum(CASE WHEN cost_known THEN 0 ELSE coalesce(cost, 0) END)
        FROM after GROUP BY run, state, wanted ORDER BY run, state, wanted
        ON CONFLICT (run, writer, state, wanted) DO UPDATE SET
            jobs = t.jobs + excluded.jobs, spent = t.spent + excluded.spent, held = t.held + excluded.held,
            guesses = t.guesses + excluded.guesses, guessed = t.guessed + excluded.guessed;
    RETURN NULL;
END $$;
CREATE TRIGGER job_tally_new AFTER INSERT ON job REFERENCING NEW TABLE AS after
    FOR EACH STATEMENT EXECUTE FUNCTION tally_new();

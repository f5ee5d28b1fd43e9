-- How fast the workers of an account send, together: politeness, not money. It may be late, and what a crash takes of it is
-- told again a second later; so it waits for no disk, and has rows of its own, which no reservation locks.

-- POSTs a second of all workers together, as the one that leads has learned them; NULL: no limit is known.
CREATE TABLE pace (
    account text PRIMARY KEY,                     -- the digest of its token
    rate    double precision CHECK (rate > 0),
    worker  bigint NOT NULL,                      -- who published it
    at      timestamptz NOT NULL
);

-- What each worker said last.
CREATE TABLE pace_report (
    account    text    NOT NULL,
    worker     bigint  NOT NULL,
    at         timestamptz NOT NULL,
    sends      boolean NOT NULL,                  -- it has sent a POST lately, or wants to
    refused    bigint  NOT NULL,                  -- POSTs of it that were refused with 429, in all
    held_until timestamptz NOT NULL,              -- so long the service asked it to wait
    PRIMARY KEY (account, worker)
);

-- Tell, once a second, how this worker fares; hear what holds for all. Of those that send and were heard within 10 s the oldest
-- leads: that needs no lock, and two that lead for a moment do no harm. Only the rate of who leads is taken. Times in seconds.
CREATE FUNCTION share_pace(p_run bigint, p_worker bigint, p_sends boolean, p_rate double precision, p_refused bigint,
    p_held double precision) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = batchedit, pg_temp AS $$
DECLARE
    p_account text := coalesce(account_of(p_run), 'run ' || p_run);
    this_moment timestamptz := clock_timestamp();
    others record;
    leads boolean;
    published record;
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    INSERT INTO pace_report VALUES (p_account, p_worker, this_moment, p_sends, p_refused,
            this_moment + make_interval(secs => p_held))
        ON CONFLICT (account, worker) DO UPDATE SET at = excluded.at, sends = excluded.sends, refused = excluded.refused,
            held_until = excluded.held_until;
    SELECT count(*) FILTER (WHERE sends) AS sending, min(report.worker) FILTER (WHERE sends) AS oldest,
            coalesce(sum(refused), 0)::bigint AS refused, max(held_until) AS held_until INTO others
        FROM pace_report AS report JOIN worker ON worker.id = report.worker
        WHERE account = p_account AND report.worker != p_worker AND report.at > this_moment - interval '10 s'
            AND NOT gone AND lease_until > this_moment;
    leads := others.oldest IS NULL OR (p_sends AND p_worker < others.oldest);
    SELECT * INTO published FROM pace WHERE account = p_account;
    -- Who begins to lead takes over what was published, and has learned nothing yet that could be told.
    IF leads AND (published.account IS NULL OR published.worker = p_worker
            OR published.at < this_moment - interval '1 min') THEN
        INSERT INTO pace VALUES (p_account, p_rate, p_worker, this_moment)
            ON CONFLICT (account) DO UPDATE SET rate = excluded.rate, worker = excluded.worker, at = excluded.at;
        DELETE FROM pace_report WHERE account = p_account AND at < this_moment - interval '1 hour';
    ELSIF leads THEN
        UPDATE pace SET worker = p_worker, at = this_moment WHERE account = p_account;
    END IF;
    RETURN jsonb_build_object(
        'leads', leads,
        'workers', greatest(1, others.sending + p_sends::int),
        'rate', published.rate,
        'age', extract(epoch FROM this_moment - published.at),
        'refused', others.refused,
        'held', greatest(0, extract(epoch FROM others.held_until - this_moment)));
END $$;

REVOKE EXECUTE ON FUNCTION share_pace(bigint, bigint, boolean, double precision, bigint, double precision) FROM PUBLIC;
GRANT SELECT ON pace, pace_report TO batchedit_worker;
GRANT EXECUTE ON FUNCTION share_pace(bigint, bigint, boolean, double precision, bigint, double precision)
    TO batchedit_worker;
